//! No step judges a key that nobody has judged before it.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::delivery::openpgp::was_unprepared;
use crate::testing::owners::owners;
use crate::testing::story::{ADA, BEN, STUCK};
use crate::testing::{Bench, both_engines};

both_engines!(a_key_is_judged_before_the_step_that_needs_it, a_key_on_trial_too);

/// The same key in a text that nobody has seen: other tests judge keys as well.
fn unseen(key: &str) -> String {
    static SEEN: AtomicU32 = AtomicU32::new(0);
    let n = SEEN.fetch_add(1, Ordering::Relaxed);
    key.replacen("-----\n", &format!("-----\nComment: of these tests, {n}\n"), 1)
}

async fn put_on_file(bench: &Bench, key: &str) {
    let sql = format!("UPDATE org SET pgp_key = '{key}' WHERE slug = 'acme'");
    bench.edit_org("org-acme", &sql).await;
}

async fn a_key_is_judged_before_the_step_that_needs_it(bench: Bench) {
    let who = bench.at_work(ADA).await;
    let on_file = unseen(&owners().modern.public);
    put_on_file(&bench, &on_file).await;
    let grant = bench.desk.start_impersonation(&who, STUCK).await.unwrap();
    assert!(!was_unprepared(&on_file), "at the start");
    let on_file = unseen(&owners().modern.public);
    put_on_file(&bench, &on_file).await;
    bench.rotate(&grant).await.unwrap();
    assert!(!was_unprepared(&on_file), "at the rotation");
}

async fn a_key_on_trial_too(bench: Bench) {
    let who = bench.at_work(ADA).await;
    let (on_file, copy) = (unseen(&owners().modern.public), unseen(&owners().rsa.public));
    put_on_file(&bench, &on_file).await;
    bench.desk.prepare_key_change("org-acme", &copy).await.unwrap();
    let mut tx = bench.desk.begin().await.unwrap();
    let step = bench.desk.ask_key_change(&mut tx, &who, "org-acme", &copy).await;
    bench.desk.settle(tx, step).await.unwrap();
    assert!(!was_unprepared(&on_file) && !was_unprepared(copy.trim()));
    // Another instance puts it on file: it has not seen it yet.
    let later = unseen(&copy);
    let sql = format!(
        "UPDATE owner_change SET value = '{later}', agreed_at = 1, agreed_how = 'link'; \
         INSERT INTO owner_change_approval SELECT id, '{BEN}', 'Ben', 1 FROM owner_change"
    );
    bench.sql(&sql).await.unwrap();
    // Nobody asked for it like this.
    assert_eq!(bench.desk.sweep_owner_changes().await.unwrap(), 0);
    assert!(!was_unprepared(&later));
}
