//! The reader's browser checks the evidence, and holds what it finds against what the server says:
//! the same code, run here.

use crate::audit::evidence::of_impersonation;
use crate::proof::evidence::Evidence;
use crate::proof::note::{NoteKey, NoteVerifier};
use crate::proof::trail::Rule;
use crate::proof::verdict::{RuleState, Verdict};
use crate::store::impersonations::Impersonation;
use crate::testing::story::{ADA, STUCK};
use crate::testing::{Bench, both_engines};
use crate::web::islands::compared::{Compared, ServerSays, compare};

both_engines!(
    what_the_server_says_is_found_again,
    a_server_that_says_something_else_is_noticed,
    an_end_that_the_server_hides_is_noticed_and_one_since_is_told_apart,
    no_key_but_a_pinned_one_is_believed,
);

async fn evidence(bench: &Bench, grant: &Impersonation) -> Evidence {
    let mut conn = bench.desk.store.read().await.unwrap();
    of_impersonation(&mut conn, &bench.desk.keys.log, &grant.id, &grant.org_id).await.unwrap()
}

/// What the page would say.
async fn server(bench: &Bench, grant: &Impersonation) -> ServerSays {
    let found = evidence(bench, grant).await;
    let rows = found.platform.rows.len() + found.org.rows.len();
    ServerSays::of(&bench.verdict(&grant.id).await, rows, bench.now())
}

fn pinned(bench: &Bench) -> [NoteVerifier; 1] {
    [bench.desk.keys.log.verifiers()[0].clone()]
}

fn run(bench: &Bench, grant: &Impersonation, file: &Evidence, says: &ServerSays) -> Compared {
    compare(&file.to_text().unwrap(), &grant.id, &pinned(bench), says, bench.now())
}

async fn finished(bench: &Bench) -> Impersonation {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    bench.rotate(&grant).await.unwrap();
    bench.hand_off(&ada, &grant.id).await.unwrap();
    grant
}

async fn what_the_server_says_is_found_again(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    let says = server(&bench, &grant).await;
    assert_eq!(says.verdict, Verdict::Open);
    let found = run(&bench, &grant, &evidence(&bench, &grant).await, &says);
    assert!(matches!(found, Compared::Agrees(_)), "{found:?}");

    bench.rotate(&grant).await.unwrap();
    bench.hand_off(&ada, &grant.id).await.unwrap();
    let says = server(&bench, &grant).await;
    let file = evidence(&bench, &grant).await;
    let Compared::Agrees(checked) = run(&bench, &grant, &file, &says) else { panic!() };
    assert_eq!(checked.rows, 7);
    let stages = file.platform.checkpoints.len() + file.org.checkpoints.len();
    assert_eq!(checked.proofs, 7 + stages - 2, "one a row, and from checkpoint to checkpoint");
    assert!(checked.key.starts_with("keyturn.example+"), "{}", checked.key);
}

async fn a_server_that_says_something_else_is_noticed(bench: Bench) {
    let grant = finished(&bench).await;
    let true_one = server(&bench, &grant).await;
    let file = evidence(&bench, &grant).await;
    for verdict in [Verdict::Open, Verdict::Incomplete, Verdict::Mismatch, Verdict::Tampered] {
        let says = ServerSays { verdict, ..true_one.clone() };
        let found = run(&bench, &grant, &file, &says);
        assert!(matches!(found, Compared::Differs(..)), "{verdict:?}: {found:?}");
    }
    for n in 0..true_one.rules.len() {
        let mut says = true_one.clone();
        says.rules[n].1 = RuleState::Failed;
        let rule = says.rules[n].0;
        let found = run(&bench, &grant, &file, &says);
        let Compared::Differs(_, rules) = found else { panic!("{rule:?}: {found:?}") };
        assert_eq!(rules, [rule]);
        says.rules.remove(n);
        let found = run(&bench, &grant, &file, &says);
        assert!(matches!(found, Compared::Differs(_, rules) if rules == [rule]), "left out");
    }
    // Rows that the server leaves out of the file, and says nothing of.
    let mut less = file.clone();
    less.org.rows.remove(1);
    let found = run(&bench, &grant, &less, &true_one);
    let Compared::Differs(checked, rules) = found else { panic!("{found:?}") };
    assert_ne!(checked.report.verdict.verdict, Verdict::Complete);
    assert!(rules.contains(&Rule::Rotated), "{rules:?}");
    // A row that is not what was signed.
    let mut forged = file.clone();
    forged.org.rows[1].row = forged.org.rows[1].row.replace("staff-ada", "staff-ben");
    let found = run(&bench, &grant, &forged, &true_one);
    assert!(matches!(found, Compared::Fails { as_said: false, .. }), "{found:?}");
    let found = compare("<html>", &grant.id, &pinned(&bench), &true_one, bench.now());
    assert!(matches!(found, Compared::NotEvidence(_)), "{found:?}");
}

async fn an_end_that_the_server_hides_is_noticed_and_one_since_is_told_apart(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    let open = server(&bench, &grant).await;
    bench.rotate(&grant).await.unwrap();
    bench.hand_off(&ada, &grant.id).await.unwrap();
    let file = evidence(&bench, &grant).await;
    let found = run(&bench, &grant, &file, &open);
    assert!(matches!(found, Compared::Later(_)), "rows were written since: {found:?}");
    let rows = server(&bench, &grant).await.rows;
    let found = run(&bench, &grant, &file, &ServerSays { rows, ..open });
    assert!(matches!(found, Compared::Differs(..)), "no row was: {found:?}");
    // Another's file in its place.
    let other = compare(
        &file.to_text().unwrap(),
        "another",
        &pinned(&bench),
        &server(&bench, &grant).await,
        bench.now(),
    );
    assert!(matches!(other, Compared::NotEvidence(_)), "{other:?}");

    // Time alone: it was open when the page was made, and its token has run out since.
    let grant = bench.impersonate(&bench.at_work(ADA).await, "NOV-4802").await.unwrap();
    let open = server(&bench, &grant).await;
    bench.clock.advance(crate::model::time::HOUR);
    let found = run(&bench, &grant, &evidence(&bench, &grant).await, &open);
    assert!(matches!(found, Compared::Later(_)), "{found:?}");
}

async fn no_key_but_a_pinned_one_is_believed(bench: Bench) {
    let grant = finished(&bench).await;
    let (file, says) = (evidence(&bench, &grant).await, server(&bench, &grant).await);
    let text = file.to_text().unwrap();
    let name = bench.desk.keys.log.verifiers()[0].name().to_owned();
    let stranger = NoteKey::new(&name, &[9; 32]).unwrap().verifier().clone();
    for pins in [vec![], vec![stranger.clone()]] {
        let found = compare(&text, &grant.id, &pins, &says, bench.now());
        let key = pinned(&bench)[0].vkey();
        assert!(matches!(found, Compared::OtherKey(theirs) if theirs == key));
    }
    // Those of other deployments do not matter; one of these logs that the file does not know does.
    let elsewhere = NoteKey::new("other.example", &[9; 32]).unwrap().verifier().clone();
    let several = [elsewhere, pinned(&bench)[0].clone()];
    let found = compare(&text, &grant.id, &several, &says, bench.now());
    assert!(matches!(found, Compared::Agrees(_)), "one of these logs is enough: {found:?}");
    let both = [stranger, pinned(&bench)[0].clone()];
    let found = compare(&text, &grant.id, &both, &says, bench.now());
    assert!(matches!(found, Compared::Fails { .. }), "{found:?}");
}
