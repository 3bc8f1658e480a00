//! A witness over HTTP counts by its signature: what anybody else answers counts for nothing, and
//! what it signed finds a log that was cut back or rewritten, whatever our own notes say.

use super::tamper::{change, fill, opened, unlock};
use super::witness::{cut_back, verified};
use crate::delivery::witness::HttpWitness;
use crate::desk::Step;
use crate::model::time;
use crate::proof::checkpoint::Checkpoint;
use crate::store::verification::newest;
use crate::store::witness::{self, Witnessed};
use crate::testing::story::CLEO;
use crate::testing::witness::{Answer, WitnessServer};
use crate::testing::{Bench, both_engines};

both_engines!(
    a_witness_over_http_sees_each_log_grow_and_no_fork,
    an_answer_that_is_not_its_signature_counts_for_nothing,
    a_log_cut_back_below_what_was_signed_is_found_whatever_is_noted,
    notes_that_say_something_else_than_the_signatures_are_noticed,
    a_log_with_another_content_than_was_signed_is_found,
    a_witness_that_knows_more_or_other_rows_fails_the_verification,
    what_was_signed_is_neither_changed_nor_removed,
);

const ORIGIN: &str = "keyturn.example/platform";

/// Two impersonations, a witness that has signed all of it, and verifications that ask for that.
async fn witnessed(bench: &mut Bench) -> (WitnessServer, HttpWitness) {
    opened(bench).await;
    let server = WitnessServer::start(bench).await;
    bench.hold_against(server.asked());
    let witness = server.witness();
    assert!(bench.desk.witness_due(&witness).await.unwrap() > 1);
    holds(bench).await;
    (server, witness)
}

/// Adds rows, and has them seen a minute later.
async fn grow(bench: &Bench, witness: &HttpWitness, rows: usize) -> Step<usize> {
    fill(bench, rows).await;
    bench.clock.advance(time::MINUTE);
    bench.desk.witness_due(witness).await
}

async fn state(bench: &Bench) -> Witnessed {
    let mut conn = bench.desk.store.read().await.unwrap();
    witness::of_log(&mut conn, "platform").await.unwrap().remove(0)
}

async fn size(bench: &Bench) -> i64 {
    bench.number("SELECT size FROM audit_log WHERE id = 'platform'").await
}

async fn signed(bench: &Bench) -> i64 {
    bench.number("SELECT MAX(size) FROM witness_cosigned WHERE log_id = 'platform'").await
}

async fn holds(bench: &Bench) {
    bench.clock.advance(time::SECOND);
    let who = bench.at_work(CLEO).await;
    let mut tx = bench.desk.begin().await.unwrap();
    let step = bench.desk.begin_verification(&mut tx, &who).await;
    let begun = bench.desk.settle(tx, step).await.unwrap();
    bench.desk.clone().run_verification(begun, who).await;
    let mut conn = bench.desk.store.read().await.unwrap();
    let last = newest(&mut conn, 1).await.unwrap().remove(0);
    assert_eq!(last.state, "held", "{:?}", last.fault);
}

async fn a_witness_over_http_sees_each_log_grow_and_no_fork(mut bench: Bench) {
    let (server, witness) = witnessed(&mut bench).await;
    for rows in [1, 300, 7] {
        assert_eq!(grow(&bench, &witness, rows).await.unwrap(), 1);
    }
    let (seen, size) = (state(&bench).await, size(&bench).await);
    assert_eq!((seen.size, seen.last_error.as_deref()), (size, None));
    holds(&bench).await;
    // Checkpoint and signature are kept, and make one note that anybody can check.
    let mut conn = bench.desk.store.read().await.unwrap();
    let key = server.signer().public();
    let kept = witness::cosigned(&mut conn, &key.id(), "platform", size).await.unwrap();
    drop(conn);
    assert_eq!(kept.len(), 4);
    let last = kept.last().unwrap();
    assert_eq!((last.size, &last.cosignature), (size, &seen.answer));
    key.open(&last.note, &last.cosignature).unwrap();
    let whole = format!("{}{}", last.note, last.cosignature);
    let verifiers = bench.desk.keys.log.verifiers();
    assert_eq!(
        Checkpoint::open(&whole, &verifiers, ORIGIN).unwrap(),
        Checkpoint::unverified(&last.note).unwrap()
    );

    // We forgot what it has seen (409): it says so, and goes on from there.
    change(&bench, "DELETE FROM witness_state").await;
    change(&bench, "DELETE FROM witness_cosigned").await;
    assert!(grow(&bench, &witness, 1).await.unwrap() > 1, "of every log");
    let seen = state(&bench).await;
    assert_eq!((seen.size, seen.last_error.as_deref()), (self::size(&bench).await, None));

    // It has seen another history: it takes no more, and that is remembered.
    server.has_seen(ORIGIN, |seen| seen.root = [5; 32]);
    assert_eq!(grow(&bench, &witness, 1).await.unwrap(), 0);
    let why = state(&bench).await.last_error.unwrap();
    assert!(why.contains("another content"), "{why}");
}

async fn an_answer_that_is_not_its_signature_counts_for_nothing(mut bench: Bench) {
    let (server, witness) = witnessed(&mut bench).await;
    let before = signed(&bench).await;
    for (answer, says) in [
        (Answer::ByAnother, "no signature of the witness"),
        (Answer::Forged, "does not hold"),
        (Answer::OfAnother, "does not hold"),
        (Answer::Stale, "not now"),
        (Answer::Unsigned, "did not sign"),
    ] {
        server.answers(answer);
        assert_eq!(grow(&bench, &witness, 1).await.unwrap(), 0, "{answer:?}");
        let seen = state(&bench).await;
        let why = seen.last_error.unwrap();
        assert!(why.contains(says), "{answer:?}: {why}");
        assert_eq!((seen.size, signed(&bench).await), (before, before), "{answer:?}");
    }
    holds(&bench).await;
    // What it has seen meanwhile it signs once it is asked again.
    server.answers(Answer::Signed);
    bench.clock.advance(time::MINUTE);
    assert_eq!(bench.desk.witness_due(&witness).await.unwrap(), 1);
    assert_eq!(signed(&bench).await, size(&bench).await);
    holds(&bench).await;
}

async fn a_log_cut_back_below_what_was_signed_is_found_whatever_is_noted(mut bench: Bench) {
    let (_server, witness) = witnessed(&mut bench).await;
    bench.clock.advance(2 * time::MINUTE);
    fill(&bench, 1).await;
    let keep =
        bench.number("SELECT MAX(size) FROM audit_checkpoint WHERE log_id = 'platform'").await;
    assert_eq!(grow(&bench, &witness, 5).await.unwrap(), 1);
    let seen = signed(&bench).await;
    cut_back(&bench, keep).await;
    bench.verify_all().await.expect("the database alone no longer knows");
    let missing = format!("row {keep}: rows {keep} to {} are missing", seen - 1);
    assert!(verified(&bench).await.contains(&missing), "by the notes");
    // Whoever cuts a log in our database also writes what they like beside it.
    for rewrite in [
        format!("UPDATE witness_state SET size = {keep} WHERE log_id = 'platform'"),
        "DELETE FROM witness_state".to_owned(),
    ] {
        // The verification has written a row, which is beyond what is left.
        change(&bench, &rewrite).await;
        let what = verified(&bench).await;
        assert!(what.contains("are missing") && what.contains("was cut back"), "{rewrite}: {what}");
    }
}

async fn notes_that_say_something_else_than_the_signatures_are_noticed(mut bench: Bench) {
    let (_server, witness) = witnessed(&mut bench).await;
    grow(&bench, &witness, 2).await.unwrap();
    let size = signed(&bench).await;
    let restore = format!(
        "UPDATE witness_state SET size = {size}, witness_key = (SELECT MAX(witness_key) FROM witness_cosigned) \
         WHERE log_id = 'platform'"
    );
    for rewrite in ["size = size - 1", "size = 0", "witness_key = NULL"] {
        change(&bench, &format!("UPDATE witness_state SET {rewrite} WHERE log_id = 'platform'"))
            .await;
        let what = verified(&bench).await;
        assert!(what.contains("notes were rewritten"), "{rewrite}: {what}");
        change(&bench, &restore).await;
    }
    holds(&bench).await;
    change(&bench, "DELETE FROM witness_cosigned WHERE log_id = 'platform'").await;
    let what = verified(&bench).await;
    assert!(what.contains("its signatures removed"), "{what}");
}

async fn a_log_with_another_content_than_was_signed_is_found(mut bench: Bench) {
    let (server, _) = witnessed(&mut bench).await;
    let size = signed(&bench).await;
    let key = bench.desk.keys.log.signer().unwrap();
    let other =
        Checkpoint { origin: ORIGIN.to_owned(), size: u64::try_from(size).unwrap(), root: [5; 32] };
    let note = other.sign(&key).unwrap();
    // As if the log had been rewritten, by somebody with its key, since the witness signed it.
    let at = format!("WHERE log_id = 'platform' AND size = {size}");
    change(&bench, &format!("UPDATE witness_cosigned SET note = '{note}' {at}")).await;
    let what = verified(&bench).await;
    assert!(what.contains("does not hold for this checkpoint"), "{what}");
    let line = server.signer().cosign(&note, bench.now()).unwrap();
    change(&bench, &format!("UPDATE witness_cosigned SET cosignature = '{line}' {at}")).await;
    let what = verified(&bench).await;
    assert!(what.contains("has another root"), "{what}");
}

async fn a_witness_that_knows_more_or_other_rows_fails_the_verification(mut bench: Bench) {
    let (server, witness) = witnessed(&mut bench).await;
    // It has seen the same number of rows with another content, and says 409.
    let now = u64::try_from(size(&bench).await).unwrap();
    server.has_seen(ORIGIN, |seen| (seen.size, seen.root) = (now, [5; 32]));
    bench.clock.advance(time::MINUTE);
    assert_eq!(bench.desk.witness_due(&witness).await.unwrap(), 0);
    let why = state(&bench).await.last_error.unwrap();
    assert!(why.contains("another content"), "{why}");
    let what = verified(&bench).await;
    assert!(what.contains("a witness refuses it"), "{what}");

    // It has seen more rows than there are.
    let more = u64::try_from(size(&bench).await).unwrap() + 40;
    server.has_seen(ORIGIN, |seen| seen.size = more);
    bench.clock.advance(time::MINUTE);
    assert_eq!(bench.desk.witness_due(&witness).await.unwrap(), 0);
    let what = verified(&bench).await;
    assert!(what.contains(&format!("has seen {more} rows")), "{what}");
}

async fn what_was_signed_is_neither_changed_nor_removed(bench: Bench) {
    fill(&bench, 2).await;
    let server = WitnessServer::start(&bench).await;
    assert!(bench.desk.witness_due(&server.witness()).await.unwrap() > 0);
    for sql in [
        "UPDATE witness_cosigned SET size = size",
        "DELETE FROM witness_cosigned",
        "DELETE FROM witness_cosigned WHERE log_id = 'platform'",
    ] {
        let why = bench.sql(sql).await.unwrap_err().to_string();
        assert!(why.contains("append-only"), "{sql}: {why}");
    }
    unlock(&bench).await;
}
