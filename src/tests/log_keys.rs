//! The key that signs the logs is rotated: what the old one signed still verifies, whoever pinned
//! it is led to the new one, and nobody signs with it any more.

use super::tamper::{bytes, change, fill, opened};
use crate::audit::evidence::of_impersonation;
use crate::audit::verify::{cross_recorded, endorsements, whole_log};
use crate::audit::{Actor, AuditError};
use crate::desk::keys::{Keys, Names, forget_log_key};
use crate::desk::log_keys::LogKeyRotated;
use crate::desk::{Step, StepError};
use crate::model::time;
use crate::proof::actions::PLATFORM_LOG_KEY_ROTATED;
use crate::proof::checkpoint::Checkpoint;
use crate::proof::evidence::{Evidence, verify};
use crate::proof::log_keys::{Endorsement, trusted};
use crate::proof::note::{NoteKey, NoteVerifier};
use crate::store::impersonations::Impersonation;
use crate::store::{audit, log_keys};
use crate::testing::story::{ADA, BEN, LEAKED, STUCK};
use crate::testing::{Bench, both_engines};

both_engines!(
    what_older_keys_signed_still_verifies,
    evidence_from_before_and_across_rotations_holds_for_whoever_pinned_the_first_key,
    a_forged_endorsement_leads_nowhere,
    a_retired_key_does_not_say_what_a_log_is_now,
    another_instance_takes_the_new_key_up_and_does_not_sign_with_the_old_one,
    an_auditor_needs_no_more_than_the_first_key_and_the_database,
    a_head_signed_with_a_retired_key_is_found_and_takes_no_more_rows,
    keys_put_into_the_database_by_others_are_not_taken_up,
    a_changed_head_is_not_signed_anew,
    the_first_private_half_is_erased_from_the_keys_file,
);

async fn rotate(bench: &Bench) -> Step<LogKeyRotated> {
    let mut tx = bench.desk.begin().await?;
    let step = bench.desk.rotate_log_key(&mut tx, &Actor::system()).await;
    bench.desk.settle(tx, step).await
}

async fn done(bench: &Bench, staff: &str, ticket: &str) -> Impersonation {
    let who = bench.at_work(staff).await;
    let grant = bench.impersonate(&who, ticket).await.unwrap();
    bench.rotate(&grant).await.unwrap();
    bench.hand_off(&who, &grant.id).await.unwrap();
    bench.clock.advance(time::HOUR);
    grant
}

async fn evidence(bench: &Bench, grant: &Impersonation) -> Evidence {
    let mut conn = bench.desk.store.read().await.unwrap();
    let key = bench.desk.current_log_key(&mut conn).await.unwrap();
    of_impersonation(&mut conn, key, &grant.id, &grant.org_id).await.unwrap()
}

fn anchor(bench: &Bench) -> [NoteVerifier; 1] {
    [bench.desk.keys.log.anchor().clone()]
}

async fn what_older_keys_signed_still_verifies(bench: Bench) {
    let first = bench.desk.keys.log.vkey();
    done(&bench, ADA, STUCK).await;
    let old: Vec<(i64, String)> = {
        let mut conn = bench.desk.store.read().await.unwrap();
        audit::checkpoints(&mut conn, "platform").await.unwrap()
    };
    let one = rotate(&bench).await.unwrap();
    assert_eq!(one.old, first);
    done(&bench, BEN, LEAKED).await;
    let two = rotate(&bench).await.unwrap();
    assert_eq!(two.old, one.new);
    assert_eq!(bench.desk.keys.log.vkey(), two.old, "what is committed is loaded next");
    fill(&bench, 3).await;
    assert_eq!(bench.desk.keys.log.vkey(), two.new);

    let verifiers = bench.desk.keys.log.verifiers();
    let all: Vec<String> = verifiers.iter().map(NoteVerifier::vkey).collect();
    assert_eq!(all, [two.new.clone(), one.new.clone(), first.clone()]);
    for (_, note) in &old {
        Checkpoint::open(note, &verifiers, "keyturn.example/platform").unwrap();
    }
    bench.verify_all().await.unwrap();

    // Each rotation left a checkpoint of one size by either key, and a row that says who follows.
    let rows = bench.rows_of("platform", PLATFORM_LOG_KEY_ROTATED).await;
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].detail_str("old_key"), Some(first.as_str()));
    assert_eq!(rows[1].detail_str("new_key"), Some(two.new.as_str()));
    let mut conn = bench.desk.store.read().await.unwrap();
    let (size, by_old) =
        audit::kept_from(&mut conn, "platform", rows[0].seq as i64 + 1).await.unwrap().unwrap();
    assert_eq!(size, rows[0].seq as i64 + 1);
    let alone = [NoteVerifier::parse(&first).unwrap()];
    Checkpoint::open(&by_old, &alone, "keyturn.example/platform").unwrap();
    for head in audit::heads(&mut conn).await.unwrap() {
        Checkpoint::open(&head.checkpoint, &verifiers[..1], &head.origin).unwrap();
    }
    let kept = log_keys::all(&mut conn).await.unwrap();
    let private: Vec<bool> = kept.iter().map(|k| k.sealed.is_some()).collect();
    assert_eq!(private, [false, false, true], "the private halves of the retired ones are gone");
}

async fn evidence_from_before_and_across_rotations_holds_for_whoever_pinned_the_first_key(
    bench: Bench,
) {
    let before = done(&bench, ADA, STUCK).await;
    let taken_before = evidence(&bench, &before).await.to_text().unwrap();
    assert!(!taken_before.contains("endorsements"), "a file of one key is as it was");
    // One that begins under the first key, and ends under the second.
    let ben = bench.at_work(BEN).await;
    let across = bench.impersonate(&ben, LEAKED).await.unwrap();
    rotate(&bench).await.unwrap();
    bench.clock.advance(time::MINUTE * 2);
    bench.rotate(&across).await.unwrap();
    bench.hand_off(&ben, &across.id).await.unwrap();
    let middle = bench.desk.keys.log.verifiers()[0].clone();
    fill(&bench, 2).await;
    rotate(&bench).await.unwrap();
    fill(&bench, 1).await;
    let newest = bench.desk.keys.log.verifiers()[0].clone();

    let first = anchor(&bench);
    assert!(verify(&taken_before, &first, bench.now()).unwrap().proves_complete());
    // A thief of the first key could have made such a file. Who pinned the newest, too, is safe.
    let both = [first[0].clone(), newest.clone()];
    let report = verify(&taken_before, &both, bench.now()).unwrap();
    assert!(!report.holds(), "{report:#?}");
    assert!(report.lines.iter().any(|l| l.saw.contains("does not know a key that is pinned")));
    for grant in [&before, &across] {
        let file = evidence(&bench, grant).await;
        assert_eq!((file.keys.len(), file.endorsements.len()), (3, 2));
        let text = file.to_text().unwrap();
        for pin in [first[0].clone(), middle.clone(), newest.clone()] {
            let report = verify(&text, std::slice::from_ref(&pin), bench.now()).unwrap();
            assert!(report.proves_complete(), "{} pinned: {report:#?}", pin.vkey());
            let said = &report.lines.iter().find(|l| l.what.contains("keys")).unwrap().saw;
            assert!(said.contains(&format!("pinned: {}; linked", pin.vkey())), "{said}");
        }
        assert!(verify(&text, &[], bench.now()).unwrap().proves_complete());
        let verdict = bench.verdict(&grant.id).await;
        assert_eq!(verdict.verdict, crate::proof::verdict::Verdict::Complete, "{verdict:#?}");
    }
}

async fn a_forged_endorsement_leads_nowhere(bench: Bench) {
    let grant = done(&bench, ADA, STUCK).await;
    let name = bench.desk.keys.log.origin.clone();
    let (first, mallory) = (anchor(&bench), NoteKey::new(&name, &[66; 32]).unwrap());
    rotate(&bench).await.unwrap();
    let honest = evidence(&bench, &grant).await;
    assert!(verify(&honest.to_text().unwrap(), &first, bench.now()).unwrap().proves_complete());

    // Somebody signs everything anew with a key of their own, and says that ours named it.
    let mut forged = honest.clone();
    for side in [&mut forged.platform, &mut forged.org] {
        for stage in &mut side.checkpoints {
            let said = Checkpoint::unverified(&stage.note).unwrap();
            stage.note = said.sign(&mallory).unwrap();
        }
    }
    let old = NoteKey::new(&name, &[67; 32]).unwrap();
    let word = Endorsement::sign(&old, &mallory, bench.now()).unwrap();
    let claimed = word.replace(&old.vkey(), &first[0].vkey());
    for (keys, notes) in [
        (vec![mallory.vkey()], vec![]),
        (vec![old.vkey(), mallory.vkey()], vec![word]),
        (vec![first[0].vkey(), mallory.vkey()], vec![claimed]),
        (vec![first[0].vkey(), mallory.vkey()], vec![]),
        (vec![first[0].vkey(), mallory.vkey()], honest.endorsements.clone()),
    ] {
        forged.keys = keys;
        forged.endorsements = notes;
        let report = verify(&forged.to_text().unwrap(), &first, bench.now()).unwrap();
        assert!(!report.holds(), "{report:#?}");
        let keys = report.lines.iter().find(|l| l.what.contains("keys")).unwrap();
        assert!(!keys.holds, "{}", keys.saw);
    }
    let mut without = honest.clone();
    without.endorsements.clear();
    assert!(!verify(&without.to_text().unwrap(), &first, bench.now()).unwrap().holds());
    let stranger = [mallory.verifier().clone()];
    let report = verify(&honest.to_text().unwrap(), &stranger, bench.now()).unwrap();
    assert!(!report.holds(), "a key that nothing leads to");
}

/// Whoever has the old key could otherwise invent one side of a file.
async fn a_retired_key_does_not_say_what_a_log_is_now(bench: Bench) {
    let grant = done(&bench, ADA, STUCK).await;
    let (first, old) = (anchor(&bench), bench.desk.keys.log.signer().unwrap());
    rotate(&bench).await.unwrap();
    let honest = evidence(&bench, &grant).await;
    for of_platform in [true, false] {
        let mut forged = honest.clone();
        let side = if of_platform { &mut forged.platform } else { &mut forged.org };
        let last = side.checkpoints.last_mut().unwrap();
        last.note = Checkpoint::unverified(&last.note).unwrap().sign(&old).unwrap();
        let report = verify(&forged.to_text().unwrap(), &first, bench.now()).unwrap();
        assert!(!report.holds(), "{report:#?}");
    }
}

async fn another_instance_takes_the_new_key_up_and_does_not_sign_with_the_old_one(bench: Bench) {
    let grant = done(&bench, ADA, STUCK).await;
    let other = Bench::open(&bench.url, bench.folder(), bench.now(), 501).await;
    fill(&other, 1).await;
    let rotated = rotate(&bench).await.unwrap();
    assert_eq!(other.desk.keys.log.vkey(), rotated.old, "it has not looked yet");

    // It reads with the new one, and what it appends is signed with it.
    {
        let mut conn = other.desk.store.read().await.unwrap();
        let key = other.desk.current_log_key(&mut conn).await.unwrap();
        assert_eq!(key.vkey(), rotated.new);
    }
    assert!(
        verify(&evidence(&other, &grant).await.to_text().unwrap(), &anchor(&other), 0)
            .unwrap()
            .holds()
    );
    let again = rotate(&bench).await.unwrap();
    assert_eq!(other.desk.keys.log.vkey(), again.old);
    fill(&other, 2).await;
    assert_eq!(other.desk.keys.log.vkey(), again.new);
    // The one that rotated goes on, and the other rotates.
    fill(&bench, 1).await;
    let third = rotate(&other).await.unwrap();
    fill(&bench, 1).await;
    assert_eq!(bench.desk.keys.log.vkey(), third.new);
    other.desk.sweep().await.unwrap();
    assert_eq!(other.desk.keys.log.vkey(), third.new, "the sweeper looks, too");
    bench.verify_all().await.unwrap();

    // One that starts now has the first key in its file, and knows better at the first row.
    let late = Bench::open(&bench.url, bench.folder(), bench.now(), 502).await;
    done(&late, BEN, LEAKED).await;
    assert_eq!(late.desk.keys.log.vkey(), third.new);
    late.verify_all().await.unwrap();
}

async fn an_auditor_needs_no_more_than_the_first_key_and_the_database(bench: Bench) {
    done(&bench, ADA, STUCK).await;
    rotate(&bench).await.unwrap();
    done(&bench, BEN, LEAKED).await;
    rotate(&bench).await.unwrap();
    let mut conn = bench.desk.store.read().await.unwrap();
    let notes = endorsements(&mut conn).await.unwrap();
    assert_eq!(notes.len(), 2);
    let verifiers = trusted(&anchor(&bench), &notes).unwrap();
    let heads = audit::heads(&mut conn).await.unwrap();
    let origin = &bench.desk.keys.log.origin;
    for head in &heads {
        whole_log(&mut conn, &verifiers, origin, head, |_| {}).await.unwrap().unwrap();
        // The first key alone is not enough, and neither is a list that ends too early.
        let less = trusted(&anchor(&bench), &notes[..1]).unwrap();
        for known in [anchor(&bench).to_vec(), less] {
            let fault = whole_log(&mut conn, &known, origin, head, |_| {}).await.unwrap();
            assert!(fault.unwrap_err().what.contains("current key"));
        }
    }
    assert!(cross_recorded(&mut conn, &verifiers, &heads).await.unwrap().unwrap() > 0);
}

async fn a_head_signed_with_a_retired_key_is_found_and_takes_no_more_rows(bench: Bench) {
    opened(&bench).await;
    let stolen = bench.desk.keys.log.signer().unwrap();
    rotate(&bench).await.unwrap();
    bench.verify_fresh().await.unwrap();
    let sql = "SELECT checkpoint FROM audit_log WHERE id = 'platform'";
    let note: String = {
        let mut conn = bench.desk.store.read().await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut *conn).await.unwrap()
    };
    let again = Checkpoint::unverified(&note).unwrap().sign(&stolen).unwrap();
    change(&bench, &format!("UPDATE audit_log SET checkpoint = '{again}' WHERE id = 'platform'"))
        .await;
    let fault = bench.verify_fresh().await.unwrap_err();
    assert_eq!(fault.log, "platform");
    assert!(fault.what.contains("not signed with the current key"), "{fault}");
    let ada = bench.at_work(ADA).await;
    let refused = bench.desk.note_view(&ada, "/after", "").await.unwrap_err();
    assert!(matches!(refused, StepError::Audit(AuditError::OtherKey { .. })), "{refused}");
}

async fn keys_put_into_the_database_by_others_are_not_taken_up(bench: Bench) {
    let rotated = rotate(&bench).await.unwrap();
    fill(&bench, 1).await;
    let name = bench.desk.keys.log.origin.clone();
    let current = bench.desk.keys.log.signer().unwrap();
    let mallory = NoteKey::new(&name, &[66; 32]).unwrap();
    let known = Endorsement::sign(&current, &mallory, 1).unwrap();
    let stranger = NoteKey::new(&name, &[67; 32]).unwrap();
    let unknown = Endorsement::sign(&stranger, &mallory, 1).unwrap();
    let seed = bytes(bench.engine(), &[66; 32]);
    let insert = |note: &str| {
        format!(
            "INSERT INTO log_signing_key (number, vkey, kek_id, sealed, endorsement, created_at) \
             SELECT 2, '{}', kek_id, {seed}, '{note}', 1 FROM log_signing_key WHERE number = 1",
            mallory.vkey()
        )
    };
    let erase = "UPDATE log_signing_key SET sealed = NULL, kek_id = NULL WHERE number = 1";
    let swap = format!("UPDATE log_signing_key SET vkey = '{}' WHERE number = 1", mallory.vkey());
    // Even with the current key's word for it: what is not sealed by us is not ours.
    for sql in
        [insert(&known), insert(&unknown), erase.into(), swap, "DELETE FROM log_signing_key".into()]
    {
        let mut tx = bench.desk.begin().await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.clone())).execute(tx.conn()).await.unwrap();
        let taken = bench.desk.load_log_key(tx.conn()).await;
        assert!(taken.is_err(), "{sql}");
        tx.rollback().await.unwrap();
        assert_eq!(bench.desk.keys.log.vkey(), rotated.new, "{sql}");
    }
    let fresh = Bench::open(&bench.url, bench.folder(), bench.now(), 503).await;
    bench.sql("DELETE FROM log_signing_key").await.unwrap();
    let ada = fresh.at_work(ADA).await;
    let refused = fresh.desk.note_view(&ada, "/with-the-old-key", "").await.unwrap_err();
    assert!(matches!(refused, StepError::Audit(AuditError::OtherKey { .. })), "{refused}");
}

async fn a_changed_head_is_not_signed_anew(bench: Bench) {
    opened(&bench).await;
    let sql = "UPDATE audit_log SET last_at = last_at + 1, frontier = \
        (SELECT frontier FROM audit_log WHERE id = 'org/org-acme') WHERE id = 'platform'";
    change(&bench, sql).await;
    assert!(rotate(&bench).await.is_err());
    assert_eq!(bench.number("SELECT COUNT(*) FROM log_signing_key").await, 0);
}

async fn the_first_private_half_is_erased_from_the_keys_file(bench: Bench) {
    let file = bench.folder().join("keys.json");
    let origin = bench.desk.keys.log.origin.clone();
    let names = Names { issuer: "https://i", audience: "https://a", log_origin: &origin };
    let first = bench.desk.keys.log.vkey();
    rotate(&bench).await.unwrap();
    assert!(forget_log_key(&file, &origin).unwrap());
    assert!(!forget_log_key(&file, &origin).unwrap(), "there is nothing left to erase");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains("log_signing") && text.contains(&first), "{text}");
    let loaded = Keys::load(&file, &names, bench.now()).unwrap();
    assert_eq!(loaded.log.vkey(), first);
    assert!(loaded.log.signer().is_err(), "it cannot sign with what it has");

    // An instance that starts with it takes its key from the database.
    let fresh = Bench::open(&bench.url, bench.folder(), bench.now(), 504).await;
    fill(&fresh, 2).await;
    fresh.verify_all().await.unwrap();
    let other = Names { log_origin: "another.example", ..names };
    assert!(Keys::load(&file, &other, bench.now()).is_err());
}
