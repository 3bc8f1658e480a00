//! A new vault token lives until its Owner has it, or page, mail and logs say that it does not.

use secrecy::SecretString;

use crate::desk::StepError;
use crate::model::time;
use crate::secrets::vault::{NewToken, Vault as _};
use crate::store::impersonations::Impersonation;
use crate::store::vault_kept::{self, Kept};
use crate::testing::breakable::Mood;
use crate::testing::owners::{decrypt, owners};
use crate::testing::story::{ADA, BEN, first_token};
use crate::testing::{Bench, both_engines};

use super::vault::works;

const SECRET: &str = "vtk_cedar";

both_engines!(
    a_short_token_lives_until_the_owner_has_it,
    a_token_that_ends_unread_is_told_of,
    what_cannot_be_renewed_says_until_when_it_lives,
    nobody_is_kept_waiting_for_ever,
    in_self_service_nothing_is_renewed,
);

/// The secret's present token is another, of a short life.
async fn short(bench: &Bench, period_seconds: i64, ttl_seconds: i64, renewable: bool) {
    let new = NewToken { period_seconds, ttl_seconds, renewable, ..first_token() };
    let made = bench.vault.inner.create(&new).await.unwrap();
    let sql = format!(
        "UPDATE secret_version SET reference = '{}' WHERE secret_id = '{SECRET}'",
        made.accessor
    );
    bench.sql(&sql).await.unwrap();
}

async fn rotated(bench: &Bench) -> Impersonation {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, "NOV-4803").await.unwrap();
    bench.rotate(&grant).await.unwrap();
    grant
}

async fn pass(bench: &Bench, seconds: i64) {
    for _ in 0..seconds / 5 {
        bench.clock.advance(5 * time::SECOND);
        bench.desk.keep_vault_tokens().await.unwrap();
    }
}

async fn kept(bench: &Bench, version: i64) -> Option<Kept> {
    let mut conn = bench.desk.store.read().await.unwrap();
    vault_kept::of_version(&mut conn, SECRET, version).await.unwrap()
}

async fn a_short_token_lives_until_the_owner_has_it(bench: Bench) {
    short(&bench, 45, 0, true).await;
    let grant = rotated(&bench).await;
    pass(&bench, 50).await;
    let ada = bench.at_work(ADA).await;
    let handoff = bench.hand_off(&ada, &grant.id).await.unwrap();
    let mail = bench.mailbox_after_sending("Your new secret").await;
    assert!(mail.contains("Keyturn renews it until the handoff is acknowledged"), "{mail}");
    assert!(mail.contains("Tokens that the old one made"), "{mail}");
    let platform = bench.desk.keys.openpgp.to_armored_public().unwrap();
    let (text, _) = decrypt(&owners().modern, &platform, &handoff.message);
    let new = SecretString::from(text.lines().next().unwrap());
    assert!(works(&bench, &new).await);
    pass(&bench, 600).await;
    assert!(works(&bench, &new).await, "until they read it");

    let mut tx = bench.desk.begin().await.unwrap();
    let ben = bench.at_work(BEN).await;
    let over = crate::model::ConfirmedOver::Telephone;
    let step = bench.desk.acknowledge_by_staff(&mut tx, &ben, &handoff.id, over, "Olive").await;
    bench.desk.settle(tx, step).await.unwrap();
    pass(&bench, 100).await;
    assert!(!works(&bench, &new).await, "from then on it is theirs to renew");
    assert_eq!(kept(&bench, 2).await.unwrap().state, "released");
    assert!(bench.rows_of("cedar", "vault_token.expired_unread").await.is_empty());
    bench.verify_all().await.unwrap();
}

async fn a_token_that_ends_unread_is_told_of(bench: Bench) {
    short(&bench, 45, 0, true).await;
    let grant = rotated(&bench).await;
    bench.vault.set(Mood::Down);
    pass(&bench, 30).await;
    let seen = kept(&bench, 2).await.unwrap();
    assert!(seen.last_error.unwrap().contains("connection refused"));
    pass(&bench, 30).await;
    // What is not known to live is not handed off either.
    let ada = bench.at_work(ADA).await;
    let refused = bench.hand_off(&ada, &grant.id).await;
    assert!(matches!(&refused, Err(StepError::Conflict(why)) if why.contains("not known to live")));
    bench.vault.set(Mood::Well);
    pass(&bench, 60).await;
    assert_eq!(kept(&bench, 2).await.unwrap().state, "expired");
    for (log, action) in [
        ("cedar", "vault_token.expired_unread"),
        ("platform", "platform.vault_token_expired_unread"),
    ] {
        let rows = bench.rows_of(log, action).await;
        assert_eq!(rows.len(), 1, "{log}: once");
        assert_eq!(rows[0].detail_str("after_impersonation"), Some(grant.id.as_str()));
    }
    let refused = bench.hand_off(&ada, &grant.id).await;
    assert!(matches!(&refused, Err(StepError::Conflict(why)) if why.contains("has ended")));
    bench.end(&ada, &grant.id).await.unwrap();
    bench.verify_all().await.unwrap();
}

async fn what_cannot_be_renewed_says_until_when_it_lives(bench: Bench) {
    short(&bench, 0, 3600, false).await;
    let grant = rotated(&bench).await;
    pass(&bench, 60).await;
    let ada = bench.at_work(ADA).await;
    bench.hand_off(&ada, &grant.id).await.unwrap();
    let until = time::seconds(kept(&bench, 2).await.unwrap().expires_at);
    let mail = bench.mailbox_after_sending("Your new secret").await;
    assert!(mail.contains(&format!("cannot be renewed: it ends at {until}")), "{mail}");
    bench.clock.advance(time::HOUR);
    bench.desk.keep_vault_tokens().await.unwrap();
    assert_eq!(kept(&bench, 2).await.unwrap().state, "expired");
    assert_eq!(bench.rows_of("cedar", "vault_token.expired_unread").await.len(), 1);
}

async fn nobody_is_kept_waiting_for_ever(bench: Bench) {
    short(&bench, 6 * 3600, 0, true).await;
    let grant = rotated(&bench).await;
    let ada = bench.at_work(ADA).await;
    bench.hand_off(&ada, &grant.id).await.unwrap();
    for _ in 0..7 * 24 - 1 {
        bench.clock.advance(time::HOUR);
        bench.desk.keep_vault_tokens().await.unwrap();
    }
    assert_eq!(kept(&bench, 2).await.unwrap().state, "kept");
    bench.clock.advance(6 * time::HOUR);
    bench.desk.keep_vault_tokens().await.unwrap();
    assert_eq!(kept(&bench, 2).await.unwrap().state, "released");
}

async fn in_self_service_nothing_is_renewed(bench: Bench) {
    bench.self_service("cedar-owner", SECRET, &Default::default()).await.unwrap();
    assert_eq!(kept(&bench, 2).await, None);
    assert_eq!(bench.desk.keep_vault_tokens().await.unwrap(), 0);
}
