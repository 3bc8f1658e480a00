//! Whoever can write to the database, and has no key, changes nothing that a decision rests on: what
//! counts is what an org's log says, proven.

use crate::audit::{LogId, create_log};
use crate::desk::{Step, StepError};
use crate::proof::actions;
use crate::proof::org_record::OrgRecord;
use crate::store::verification;
use crate::testing::mailbox::link_in;
use crate::testing::owners::owners;
use crate::testing::story::{ADA, BEN, STUCK};
use crate::testing::{Bench, both_engines};
use crate::tests::tamper::{change, unlock};

both_engines!(
    what_is_changed_past_the_log_is_refused_named_and_raises_the_alarm,
    between_the_minting_and_the_rotation_it_is_asked_again,
    an_older_record_does_not_come_back_by_hiding_the_newer,
    nothing_is_sent_to_an_address_that_the_log_does_not_have,
    a_mail_that_waits_goes_nowhere_else,
    no_step_makes_true_what_was_changed_beside_it,
    a_change_that_nobody_asked_for_is_never_put_on_file,
    a_handoff_goes_where_the_log_says_that_the_owner_is,
    what_an_earlier_version_left_is_carried_over_once,
    every_change_of_what_is_on_record_is_in_the_log,
);

/// The checks that fail, and what they saw.
fn refused<T: std::fmt::Debug>(step: Step<T>) -> (Vec<&'static str>, String) {
    match step {
        Err(StepError::Refused(verdict)) => {
            let saw = verdict.failed().map(|f| f.saw.clone()).collect::<Vec<_>>().join("; ");
            (verdict.failed_names(), saw)
        }
        other => panic!("{other:?}"),
    }
}

async fn alarm(bench: &Bench) -> Option<String> {
    let mut conn = bench.desk.store.read().await.unwrap();
    verification::standing_failure(&mut conn).await.unwrap().map(|v| v.fault.unwrap())
}

async fn verify(bench: &Bench) {
    bench.clock.advance(crate::model::time::SECOND);
    let who = bench.at_work(ADA).await;
    let mut tx = bench.desk.begin().await.unwrap();
    let step = bench.desk.begin_verification(&mut tx, &who).await;
    let begun = bench.desk.settle(tx, step).await.unwrap();
    bench.desk.clone().run_verification(begun, who).await;
}

async fn what_is_changed_past_the_log_is_refused_named_and_raises_the_alarm(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let key = owners().rsa.public.replace('\'', "''");
    for (sql, undo, check, named) in [
        (
            // NOV-4806 is of an org that has not consented.
            "UPDATE org SET allow_platform_impersonation = 1 WHERE id = 'org-elm'".to_owned(),
            "UPDATE org SET allow_platform_impersonation = 0 WHERE id = 'org-elm'".to_owned(),
            ("NOV-4806", "consent"),
            "consent",
        ),
        (
            format!("UPDATE org SET pgp_key = '{key}' WHERE id = 'org-acme'"),
            format!("UPDATE org SET pgp_key = '{}' WHERE id = 'org-acme'", owners().modern.public),
            (STUCK, "handoff_possible"),
            "the Owner’s address, key or channel",
        ),
        (
            "UPDATE org SET owner_address = 'x@y.example' WHERE id = 'org-acme'".to_owned(),
            "UPDATE org SET owner_address = 'owner@acme.example' WHERE id = 'org-acme'".to_owned(),
            (STUCK, "handoff_possible"),
            "the Owner’s address, key or channel",
        ),
        (
            "UPDATE member SET standing = 'suspended' WHERE id = 'acme-admin'".to_owned(),
            "UPDATE member SET standing = 'departed' WHERE id = 'acme-admin'".to_owned(),
            (STUCK, "self_service_unavailable"),
            "members and their standings",
        ),
    ] {
        bench.clock.advance(crate::model::time::SECOND);
        assert_eq!(bench.sql(&sql).await.unwrap(), 1, "{sql}");
        let (ticket, check) = check;
        let (failed, saw) = refused(bench.impersonate(&ada, ticket).await);
        assert!(failed.contains(&check), "{sql}: {failed:?}");
        assert!(saw.contains(&format!("something else of {named} than row")), "{saw}");
        let alarm_now = alarm(&bench).await.expect(&sql);
        assert!(alarm_now.contains(named), "{alarm_now}");
        // A verification of all logs finds it as well, and goes on saying so.
        verify(&bench).await;
        assert!(alarm(&bench).await.expect("still").contains(named));
        bench.sql(&undo).await.unwrap();
        verify(&bench).await;
        assert_eq!(alarm(&bench).await, None, "{undo}");
    }
    bench.impersonate(&ada, STUCK).await.unwrap();
}

async fn between_the_minting_and_the_rotation_it_is_asked_again(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    for (log, action) in [
        ("platform", actions::PLATFORM_IMPERSONATION_STARTED),
        ("acme", actions::IMPERSONATION_STARTED),
    ] {
        let row = bench.rows_of(log, action).await.pop().unwrap();
        assert_eq!(row.detail_i64(actions::RECORD_ROW), Some(0), "{log}: what it rests on");
    }
    let sql = format!("UPDATE org SET pgp_key = '{}' WHERE id = 'org-acme'", owners().rsa.public);
    bench.sql(&sql).await.unwrap();
    let (failed, _) = refused(bench.rotate(&grant).await);
    assert_eq!(failed, ["handoff_possible"]);
    assert_eq!(bench.versions("whk_acme").await.len(), 1, "no value was made");
}

/// Consent was on, and the Owner switched it off: whoever puts the table back has to hide a row.
async fn an_older_record_does_not_come_back_by_hiding_the_newer(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    bench.sql("CREATE TABLE then_log AS SELECT id, record_note FROM audit_log").await.unwrap();
    bench.sql("CREATE TABLE then_org AS SELECT * FROM org").await.unwrap();
    bench.set_consent("acme-owner", false).await.unwrap();
    let (failed, _) = refused(bench.impersonate(&ada, STUCK).await);
    assert_eq!(failed, ["consent"]);
    let back = "UPDATE org SET allow_platform_impersonation = 1, consent_changed_at = \
                (SELECT consent_changed_at FROM then_org WHERE id = 'org-acme') WHERE id = 'org-acme'";
    bench.sql(back).await.unwrap();
    let (failed, saw) = refused(bench.impersonate(&ada, STUCK).await);
    assert_eq!(failed, ["consent"], "{saw}");
    // The place of the record before, as it was signed then.
    let replayed = "UPDATE audit_log SET record_note = \
                    (SELECT t.record_note FROM then_log t WHERE t.id = audit_log.id) WHERE id = 'org/org-acme'";
    let kept = "CREATE TABLE now_log AS SELECT id, record_note FROM audit_log";
    bench.sql(kept).await.unwrap();
    bench.sql(replayed).await.unwrap();
    let step = bench.impersonate(&ada, STUCK).await;
    assert!(step.is_err(), "{step:?}");
    // None at all: it is not carried over again.
    bench.sql("UPDATE audit_log SET record_note = NULL WHERE id = 'org/org-acme'").await.unwrap();
    assert_eq!(bench.desk.carry_records_over().await.unwrap(), 0);
    let (failed, saw) = refused(bench.impersonate(&ada, STUCK).await);
    assert!(failed.len() == 5 && saw.contains("no record"), "{failed:?} {saw}");
    // The row itself, gone or changed.
    let restored = "UPDATE audit_log SET record_note = \
                    (SELECT t.record_note FROM now_log t WHERE t.id = audit_log.id) WHERE id = 'org/org-acme'";
    bench.sql(restored).await.unwrap();
    let newest = "(SELECT MAX(seq) FROM audit_entry WHERE log_id = 'org/org-acme')";
    let spoilt = format!(
        "UPDATE audit_entry SET body = REPLACE(body, '\"scope\":\"off\"', '\"scope\":\"until_withdrawn\"') \
         WHERE log_id = 'org/org-acme' AND seq = {newest}"
    );
    unlock(&bench).await;
    change(&bench, &spoilt).await;
    let (failed, saw) = refused(bench.impersonate(&ada, STUCK).await);
    assert!(failed.len() == 5 && saw.contains("not proven"), "{failed:?} {saw}");
}

async fn nothing_is_sent_to_an_address_that_the_log_does_not_have(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    bench.rotate(&grant).await.unwrap();
    let handoff = bench.hand_off(&ada, &grant.id).await.unwrap();
    bench.sql("UPDATE org SET owner_address = 'x@y.example' WHERE id = 'org-acme'").await.unwrap();
    let mut tx = bench.desk.begin().await.unwrap();
    let step = bench.desk.send_again(&mut tx, &ada, &handoff.id).await;
    let step = bench.desk.settle(tx, step).await;
    assert!(matches!(&step, Err(StepError::NotPossible(why)) if why.contains("log")), "{step:?}");
}

/// Protects against whoever changes a table and waits for an honest step of the Owner's.
async fn no_step_makes_true_what_was_changed_beside_it(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let key = format!("UPDATE org SET pgp_key = '{}' WHERE id = 'org-acme'", owners().rsa.public);
    bench.sql(&key).await.unwrap();
    // Withdrawn it can always be; given, asked for and renewed only where the log proves the rest.
    bench.set_consent("acme-owner", false).await.unwrap();
    let step = bench.set_consent("acme-owner", true).await;
    assert!(matches!(step, Err(StepError::NotPossible(_))), "{step:?}");
    let mut tx = bench.desk.begin().await.unwrap();
    let step = bench.desk.request_consent(&mut tx, &ada, STUCK).await;
    let step = bench.desk.settle(tx, step).await;
    assert!(matches!(step, Err(StepError::NotPossible(_))), "{step:?}");
    let mut tx = bench.desk.begin().await.unwrap();
    let step = bench.desk.ask_key_change(&mut tx, &ada, "org-acme", &owners().expired.public).await;
    assert!(bench.desk.settle(tx, step).await.is_err());
    let mut tx = bench.desk.begin().await.unwrap();
    let attempts = "Called twice, wrote to the address on file.";
    let step = bench.desk.mark_unreachable(&mut tx, &ada, STUCK, attempts).await;
    bench.desk.settle(tx, step).await.unwrap();
    let (failed, _) = refused(bench.impersonate(&ada, STUCK).await);
    for check in ["handoff_possible", "consent", "owner_reachable"] {
        assert!(failed.contains(&check), "{failed:?}");
    }
    let mut conn = bench.desk.store.read().await.unwrap();
    let recorded = bench.desk.org_record(&mut conn, "org-acme").await.unwrap().unwrap();
    assert_eq!(recorded.record.consent.scope, "off");
    let on_record = recorded.record.pgp_key.unwrap().fingerprint;
    assert_eq!(on_record, owners().modern.fingerprint, "as it was before");
}

async fn a_change_that_nobody_asked_for_is_never_put_on_file(bench: Bench) {
    let org = async || {
        let mut conn = bench.desk.store.read().await.unwrap();
        crate::store::orgs::by_id(&mut conn, "org-acme").await.unwrap().unwrap()
    };
    let before = org().await;
    let planted = format!(
        "INSERT INTO owner_change (id, org_id, kind, value, shown, asked_by, asked_by_name, asked_at, earliest_at, \
         link_hash, agreed_at, agreed_how, state) VALUES ('planted', 'org-acme', 'pgp_key', '{}', 'F', 'nobody', 'N', \
         {now}, 0, 'h', 1, 'link', 'waiting'); \
         INSERT INTO owner_change_approval (change_id, staff_id, staff_name, at) VALUES ('planted', '{BEN}', 'Ben', 1)",
        owners().rsa.public,
        now = bench.now(),
    );
    bench.sql(&planted).await.unwrap();
    assert_eq!(bench.desk.sweep_owner_changes().await.unwrap(), 0);
    assert_eq!(org().await, before);
    bench.sql("DELETE FROM owner_change_approval; DELETE FROM owner_change").await.unwrap();
    // One that was asked for, and is of another key by the time that everybody agrees.
    let ada = bench.at_work(ADA).await;
    let mut tx = bench.desk.begin().await.unwrap();
    let step = bench.desk.ask_key_change(&mut tx, &ada, "org-acme", &owners().rsa.public).await;
    bench.desk.settle(tx, step).await.unwrap();
    bench.desk.send_due().await.unwrap();
    let link = link_in(&bench.mailbox.about("Do you agree?"), "/owner-change/");
    let swapped = format!("UPDATE owner_change SET value = '{}'", owners().modern.public);
    bench.sql(&swapped).await.unwrap();
    let mut tx = bench.desk.begin().await.unwrap();
    let step = bench.desk.agree_by_link(&mut tx, &link, None).await;
    let change = bench.desk.settle(tx, step).await.unwrap();
    let ben = bench.at_work(BEN).await;
    let mut tx = bench.desk.begin().await.unwrap();
    let step = bench.desk.approve_owner_change(&mut tx, &ben, &change.id).await;
    let step = bench.desk.settle(tx, step).await;
    assert!(matches!(step, Err(StepError::NotPossible(_))), "{step:?}");
    assert_eq!(org().await, before);
}

/// Protects against a new secret that is sent to whom a table names.
async fn a_handoff_goes_where_the_log_says_that_the_owner_is(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    bench.rotate(&grant).await.unwrap();
    let elsewhere = "UPDATE handoff SET recipient = 'x@y.example'";
    bench.sql(elsewhere).await.unwrap();
    let step = bench.hand_off(&ada, &grant.id).await;
    assert!(matches!(step, Err(StepError::Conflict(_))), "{step:?}");
    bench.sql("UPDATE org SET owner_address = 'x@y.example' WHERE id = 'org-acme'").await.unwrap();
    let step = bench.hand_off(&ada, &grant.id).await;
    assert!(matches!(step, Err(StepError::NotPossible(_))), "{step:?}");
    let there = bench.mailbox_after_sending("A platform admin is acting").await;
    assert!(!there.contains("x@y.example"));
}

/// Protects the links and the ciphertext in what waits to be sent.
async fn a_mail_that_waits_goes_nowhere_else(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    let change = "UPDATE outbox SET recipient = 'x@y.example' WHERE done_at IS NULL";
    assert_eq!(bench.sql(change).await.unwrap(), 1);
    bench.desk.send_due().await.unwrap();
    assert!(bench.mailbox.all().is_empty());
    let mut conn = bench.desk.store.read().await.unwrap();
    let item = crate::store::outbox::about(&mut conn, &grant.id).await.unwrap().remove(0);
    drop(conn);
    assert!(item.gave_up_at.is_some(), "it is not tried for ever");
    assert!(item.last_error.unwrap().contains("was changed in the database"));
    assert_eq!(bench.rows_of("platform", "platform.mail_undelivered").await.len(), 1);
    // Nor does it belong to something else.
    bench.rotate(&grant).await.unwrap();
    bench.hand_off(&ada, &grant.id).await.unwrap();
    let change = "UPDATE outbox SET about = 'another' WHERE done_at IS NULL AND gave_up_at IS NULL";
    assert!(bench.sql(change).await.unwrap() > 0);
    bench.desk.send_due().await.unwrap();
    assert!(bench.mailbox.all().is_empty());
}

async fn what_an_earlier_version_left_is_carried_over_once(bench: Bench) {
    let desk = &bench.desk;
    bench.sql("INSERT INTO org (id, slug, name, allow_platform_impersonation, created_at) VALUES ('org-old', 'old', 'Old', 1, 1)").await.unwrap();
    let mut tx = desk.begin().await.unwrap();
    let log = LogId::Org("org-old".to_owned());
    create_log(tx.conn(), &desk.keys.log, &log, bench.now()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(desk.carry_records_over().await.unwrap(), 1);
    assert_eq!(desk.carry_records_over().await.unwrap(), 0);
    let mut conn = desk.store.read().await.unwrap();
    let rows = crate::store::audit::range(&mut conn, "org/org-old", 0, 10).await.unwrap();
    assert_eq!(rows.len(), 1);
    let row = crate::proof::row::AuditRow::parse(&rows[0].body).unwrap();
    assert_eq!(row.detail_str("cause"), Some("carried over"));
    let record = OrgRecord::read(&row.details).unwrap().unwrap();
    assert_eq!(record.consent.scope, "until_withdrawn");
    let found = desk.org_record(&mut conn, "org-old").await.unwrap().unwrap();
    assert_eq!((found.seq, found.record), (0, record));
    drop(conn);
    bench.verify_all().await.unwrap();
}

/// Whatever changes what is on record: the log says the same as the tables afterwards.
async fn every_change_of_what_is_on_record_is_in_the_log(bench: Bench) {
    let same = async |what: &str| {
        verify(&bench).await;
        assert_eq!(alarm(&bench).await, None, "{what}");
    };
    same("as it began").await;
    bench.set_consent("acme-owner", false).await.unwrap();
    same("consent off").await;
    bench.set_consent("acme-owner", true).await.unwrap();
    same("consent on").await;
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    bench.rotate(&grant).await.unwrap();
    bench.hand_off(&ada, &grant.id).await.unwrap();
    same("a procedure").await;
    let mut tx = bench.desk.begin().await.unwrap();
    let attempts = "Called twice, wrote to the address on file.";
    let step = bench.desk.mark_unreachable(&mut tx, &ada, STUCK, attempts).await;
    bench.desk.settle(tx, step).await.unwrap();
    same("unreachable").await;
    let rows = bench.rows_of("acme", actions::OWNER_MARKED_UNREACHABLE).await;
    assert_eq!(rows.len(), 1, "the org is told");
}
