//! Another key for the Owner: a day in which the old one is still used, and in which the Owner
//! can object.

use rand::Rng as _;
use secrecy::{ExposeSecret as _, SecretString};

use crate::desk::owner_key::{COOL_OFF, KeyAsked};
use crate::desk::rotate::{Ask, Caller};
use crate::desk::{Step, StepError};
use crate::model::org::in_fours;
use crate::model::{KeyChangeState, time};
use crate::policy::access::STEP_UP_MAX_AGE;
use crate::proof::row::ActorType;
use crate::store::key_changes::{self, KeyChange};
use crate::store::orgs;
use crate::testing::mailbox::link_in;
use crate::testing::owners::owners;
use crate::testing::story::{ADA, BEN, CLEO, STUCK};
use crate::testing::{Bench, both_engines};

both_engines!(
    the_old_key_is_used_for_24_hours_to_the_microsecond_and_the_new_one_after,
    before_it_takes_effect_the_old_key_is_always_the_one_used,
    a_message_sealed_to_the_new_key_is_for_its_holder_alone,
    it_wants_an_admin_who_has_just_signed_in,
    a_key_that_cannot_be_used_is_refused_with_what_is_wrong_and_not_kept,
    one_change_waits_at_a_time_and_any_admin_cancels_it,
    the_owner_objects_by_the_link_once_and_the_key_stays,
    the_owner_is_told_both_fingerprints_and_of_the_link_only_the_hash_is_kept,
    a_day_is_counted_from_when_the_mail_has_left,
    a_key_that_has_expired_by_then_is_dropped,
    nobody_replaces_the_key_of_an_owner_who_cannot_object,
    it_is_applied_once_however_many_sweep,
    the_same_key_renewed_is_used_at_once_and_the_owner_is_told,
    a_renewal_takes_nothing_away_and_a_revocation_is_heeded,
);

async fn ask(bench: &Bench, staff: &str, org: &str, key: &str) -> Step<KeyChange> {
    match asked_for(bench, staff, org, key).await? {
        KeyAsked::Waits(change) => Ok(*change),
        renewed => panic!("{renewed:?}"),
    }
}

async fn asked_for(bench: &Bench, staff: &str, org: &str, key: &str) -> Step<KeyAsked> {
    let who = bench.at_work(staff).await;
    let mut tx = bench.desk.begin().await?;
    let step = bench.desk.ask_key_change(&mut tx, &who, org, key).await;
    bench.desk.settle(tx, step).await
}

async fn cancel(bench: &Bench, staff: &str, id: &str) -> Step<orgs::Org> {
    let who = bench.at_work(staff).await;
    let mut tx = bench.desk.begin().await?;
    let step = bench.desk.cancel_key_change(&mut tx, &who, id).await;
    bench.desk.settle(tx, step).await
}

async fn object(bench: &Bench, link: &SecretString) -> Step<()> {
    let mut tx = bench.desk.begin().await?;
    let step = bench.desk.object_by_link(&mut tx, link, None).await;
    bench.desk.settle(tx, step).await
}

/// Asks for Acme's key to be Rosa's, with the mail sent.
async fn asked(bench: &Bench) -> KeyChange {
    let change = ask(bench, ADA, "org-acme", &owners().rsa.public).await.unwrap();
    bench.desk.send_due().await.unwrap();
    change
}

async fn change(bench: &Bench, id: &str) -> KeyChange {
    let mut conn = bench.desk.store.read().await.unwrap();
    key_changes::by_id(&mut conn, id).await.unwrap().unwrap()
}

async fn key_on_file(bench: &Bench, slug: &str) -> String {
    let mut conn = bench.desk.store.read().await.unwrap();
    orgs::by_slug(&mut conn, slug).await.unwrap().unwrap().pgp_key.unwrap()
}

/// Rotates Acme's key under an impersonation; the key that the new value was sealed to.
async fn sealed_to(bench: &Bench) -> String {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    let caller = Caller::Token(bench.token(&grant));
    let again = Ask { during_overlap: true, ..Ask::default() };
    bench.rotate_as(&caller, "whk_acme", &again).await.unwrap();
    bench.end(&ada, &grant.id).await.unwrap();
    bench.handoff_of(&grant.id).await.recipient_key
}

async fn the_old_key_is_used_for_24_hours_to_the_microsecond_and_the_new_one_after(bench: Bench) {
    let (old, new) = (&owners().modern.fingerprint, &owners().rsa.fingerprint);
    let asked = asked(&bench).await;
    assert_eq!(asked.effective_at, bench.now() + 24 * time::HOUR);
    assert_eq!(&sealed_to(&bench).await, old);
    bench.clock.advance(COOL_OFF - 1);
    bench.desk.sweep().await.unwrap();
    assert_eq!(&sealed_to(&bench).await, old);
    assert_eq!(change(&bench, &asked.id).await.state, KeyChangeState::Waiting);
    bench.clock.advance(1);
    bench.desk.sweep().await.unwrap();
    assert_eq!(&sealed_to(&bench).await, new);
    assert_eq!(change(&bench, &asked.id).await.state, KeyChangeState::Applied);
    let (platform, org) = ("platform.owner_key_changed", "owner_key.changed");
    for (log, action) in [("platform", platform), ("acme", org)] {
        let rows = bench.rows_of(log, action).await;
        assert_eq!(rows.len(), 1, "{log}");
        assert_eq!(rows[0].actor_type, ActorType::System);
        assert_eq!(rows[0].detail_str("old_fingerprint"), Some(old.as_str()));
        assert_eq!(rows[0].detail_str("new_fingerprint"), Some(new.as_str()));
        assert_eq!(rows[0].detail_str("asked_by"), Some(ADA));
    }
    bench.verify_all().await.unwrap();
}

/// Whatever is done meanwhile, and whenever the sweeper comes by.
async fn before_it_takes_effect_the_old_key_is_always_the_one_used(bench: Bench) {
    let (old, new) = (&owners().modern.fingerprint, &owners().rsa.fingerprint);
    let mut rng = bench.desk.rng.generator();
    for _ in 0..3 {
        let asked = asked(&bench).await;
        for _ in 0..6 {
            let left = asked.effective_at - bench.now() - 1;
            bench.clock.advance(rng.gen_range(0..=left.max(0)));
            match rng.gen_range(0..4) {
                0 => {
                    bench.desk.sweep().await.unwrap();
                }
                1 => {
                    let second = ask(&bench, BEN, "org-acme", &owners().rsa.public).await;
                    assert!(matches!(second, Err(StepError::Conflict(_))));
                }
                2 => {
                    bench.desk.send_due().await.unwrap();
                }
                _ => bench.set_consent("acme-owner", true).await.unwrap(),
            }
            assert!(bench.now() < asked.effective_at);
            assert_eq!(&sealed_to(&bench).await, old);
        }
        cancel(&bench, BEN, &asked.id).await.unwrap();
    }
    let last = asked(&bench).await;
    bench.clock.advance(last.effective_at - bench.now());
    // Not before somebody puts it on file.
    assert_eq!(&sealed_to(&bench).await, old);
    bench.desk.sweep().await.unwrap();
    assert_eq!(&sealed_to(&bench).await, new);
}

async fn a_message_sealed_to_the_new_key_is_for_its_holder_alone(bench: Bench) {
    asked(&bench).await;
    bench.clock.advance(COOL_OFF);
    bench.desk.sweep().await.unwrap();
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    bench.rotate(&grant).await.unwrap();
    let message = bench.handoff_of(&grant.id).await.message;
    let platform = bench.desk.keys.openpgp.to_armored_public().unwrap();
    let (text, _) = crate::testing::owners::decrypt(&owners().rsa, &platform, &message);
    assert_eq!(text.lines().next(), Some(bench.value("whk_acme", 2).await.expose_secret()));
}

async fn it_wants_an_admin_who_has_just_signed_in(bench: Bench) {
    let auditor = ask(&bench, CLEO, "org-acme", &owners().rsa.public).await;
    assert!(matches!(auditor, Err(StepError::Forbidden(_))), "{auditor:?}");
    let mut ada = bench.at_work(ADA).await;
    bench.clock.advance(STEP_UP_MAX_AGE + 1);
    for (proven_at, fresh) in [(ada.proven_at, false), (ada.proven_at + 1, true)] {
        ada.proven_at = proven_at;
        let mut tx = bench.desk.begin().await.unwrap();
        let step = bench.desk.ask_key_change(&mut tx, &ada, "org-acme", &owners().rsa.public).await;
        let step = bench.desk.settle(tx, step).await;
        match fresh {
            true => drop(step.unwrap()),
            false => assert!(matches!(step, Err(StepError::StepUp)), "{step:?}"),
        }
    }
    let waits = bench.number("SELECT COUNT(*) FROM pgp_key_change").await;
    assert_eq!(waits, 1, "what is refused leaves nothing");
    let nowhere = ask(&bench, ADA, "org-none", &owners().rsa.public).await;
    assert!(matches!(nowhere, Err(StepError::NotFound)), "{nowhere:?}");
    let id = bench.rows_of("acme", "owner_key.change_asked").await[0]
        .detail_str("key_change_id")
        .unwrap()
        .to_owned();
    let auditor = cancel(&bench, CLEO, &id).await;
    assert!(matches!(auditor, Err(StepError::Forbidden(_))), "{auditor:?}");
}

async fn a_key_that_cannot_be_used_is_refused_with_what_is_wrong_and_not_kept(bench: Bench) {
    let keys = owners();
    let two = format!("{}\n{}", keys.rsa.public, keys.modern.public);
    for (key, why) in [
        (keys.expired.public.as_str(), "expired on"),
        (&keys.revoked.public, "has revoked this key"),
        (&keys.sign_only.public, "no subkey for encryption"),
        (&keys.rsa.secret, "nothing of it was kept"),
        (&two, "there are 2 keys in this text"),
        ("", "not a readable OpenPGP public key"),
        (&"x".repeat(300_000), "longer than"),
    ] {
        match ask(&bench, ADA, "org-acme", key).await {
            Err(e @ StepError::BadKey(_)) => assert!(e.to_string().contains(why), "{e}"),
            other => panic!("{why}: {other:?}"),
        }
    }
    let same = ask(&bench, ADA, "org-acme", &keys.modern.public).await;
    assert!(matches!(same, Err(StepError::Conflict(_))), "{same:?}");
    let other_channel = ask(&bench, ADA, "org-lark", &keys.rsa.public).await;
    assert!(matches!(other_channel, Err(StepError::Conflict(_))), "{other_channel:?}");
    for table in ["pgp_key_change", "outbox", "audit_entry"] {
        assert_eq!(bench.number(&format!("SELECT COUNT(*) FROM {table}")).await, 0, "{table}");
    }
}

async fn one_change_waits_at_a_time_and_any_admin_cancels_it(bench: Bench) {
    let first = asked(&bench).await;
    let second = ask(&bench, BEN, "org-acme", &owners().rsa.public).await;
    assert!(matches!(second, Err(StepError::Conflict(_))), "{second:?}");
    // Another org's is no hindrance.
    ask(&bench, BEN, "org-birch", &owners().modern.public).await.unwrap();
    cancel(&bench, BEN, &first.id).await.unwrap();
    assert!(matches!(cancel(&bench, BEN, &first.id).await, Err(StepError::Conflict(_))));
    for (log, action) in [
        ("platform", "platform.owner_key_change_cancelled"),
        ("acme", "owner_key.change_cancelled"),
    ] {
        let rows = bench.rows_of(log, action).await;
        assert_eq!(rows.len(), 1, "{log}");
        assert_eq!(rows[0].actor_id, BEN);
    }
    let link = link_in(&bench.mailbox.to("owner@acme.example")[0], "/key-change/");
    assert!(matches!(object(&bench, &link).await, Err(StepError::NotFound)), "nothing waits");
    ask(&bench, ADA, "org-acme", &owners().rsa.public).await.unwrap();
    bench.clock.advance(COOL_OFF);
    bench.desk.sweep().await.unwrap();
    assert_eq!(change(&bench, &first.id).await.state, KeyChangeState::Cancelled);
    bench.verify_all().await.unwrap();
}

async fn the_owner_objects_by_the_link_once_and_the_key_stays(bench: Bench) {
    let asked = asked(&bench).await;
    let link = link_in(&bench.mailbox.about("object if it is not yours"), "/key-change/");
    bench.clock.advance(COOL_OFF - 1);
    {
        let mut conn = bench.desk.store.read().await.unwrap();
        let (seen, _) = bench.desk.key_change_of_link(&mut conn, &link).await.unwrap().unwrap();
        assert_eq!((seen.id.as_str(), seen.state), (asked.id.as_str(), KeyChangeState::Waiting));
    }
    object(&bench, &link).await.unwrap();
    assert!(matches!(object(&bench, &link).await, Err(StepError::Conflict(_))), "once");
    assert!(matches!(object(&bench, &"none".into()).await, Err(StepError::NotFound)));
    bench.clock.advance(7 * time::DAY);
    bench.desk.sweep().await.unwrap();
    assert_eq!(change(&bench, &asked.id).await.state, KeyChangeState::Objected);
    assert_eq!(key_on_file(&bench, "acme").await, owners().modern.public);
    for (log, action) in
        [("platform", "platform.owner_key_change_objected"), ("acme", "owner_key.change_objected")]
    {
        let rows = bench.rows_of(log, action).await;
        assert_eq!(rows.len(), 1, "{log}");
        assert_eq!(rows[0].actor_type, ActorType::OrgMember);
        assert_eq!(rows[0].actor_id, "acme-owner");
    }
    // Once the new key is the one used, it is too late for the link.
    let applied = self::asked(&bench).await;
    let link = bench.mailbox.to("owner@acme.example");
    let link = link_in(link.last().unwrap(), "/key-change/");
    bench.clock.advance(COOL_OFF);
    bench.desk.sweep().await.unwrap();
    assert_eq!(change(&bench, &applied.id).await.state, KeyChangeState::Applied);
    assert!(matches!(object(&bench, &link).await, Err(StepError::NotFound)));
    bench.verify_all().await.unwrap();
}

async fn the_owner_is_told_both_fingerprints_and_of_the_link_only_the_hash_is_kept(bench: Bench) {
    let asked = asked(&bench).await;
    let mails = bench.mailbox.all();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to, "owner@acme.example", "the address on file");
    let body = mails[0].body.expose_secret();
    for needed in [
        "Ada Admin",
        &in_fours(&owners().modern.fingerprint),
        &in_fours(&owners().rsa.fingerprint),
        &time::seconds(asked.effective_at),
    ] {
        assert!(body.contains(needed), "{needed}: {body}");
    }
    let link = link_in(&mails[0], "/key-change/");
    let link = link.expose_secret();
    let rows = format!("SELECT COUNT(*) FROM audit_entry WHERE body LIKE '%{link}%'");
    assert_eq!(bench.number(&rows).await, 0);
    let hash = crate::auth::credential::hash(&link.into());
    let kept = format!("SELECT COUNT(*) FROM pgp_key_change WHERE object_hash = '{hash}'");
    assert_eq!(bench.number(&kept).await, 1);
    for (log, action) in
        [("platform", "platform.owner_key_change_asked"), ("acme", "owner_key.change_asked")]
    {
        let row = bench.rows_of(log, action).await.pop().unwrap();
        assert_eq!(row.actor_id, ADA, "{log}");
        assert_eq!(row.detail_str("new_fingerprint"), Some(owners().rsa.fingerprint.as_str()));
        assert_eq!(row.detail_i64("effective_at"), Some(asked.effective_at));
    }
    // And again once it is the one used.
    bench.clock.advance(COOL_OFF);
    bench.desk.sweep().await.unwrap();
    bench.desk.send_due().await.unwrap();
    let told = bench.mailbox.about("Your new OpenPGP key is on file");
    assert!(told.body.expose_secret().contains(&in_fours(&owners().rsa.fingerprint)));
}

/// While the Owner has not heard of it, there is nobody to object.
async fn a_day_is_counted_from_when_the_mail_has_left(bench: Bench) {
    bench.mailbox.set_down(true);
    let asked = asked(&bench).await;
    bench.clock.advance(COOL_OFF + time::HOUR);
    bench.desk.sweep().await.unwrap();
    assert_eq!(change(&bench, &asked.id).await.state, KeyChangeState::Waiting);
    bench.mailbox.set_down(false);
    bench.desk.send_due().await.unwrap();
    bench.clock.advance(COOL_OFF - 1);
    bench.desk.sweep().await.unwrap();
    assert_eq!(key_on_file(&bench, "acme").await, owners().modern.public);
    bench.clock.advance(1);
    bench.desk.sweep().await.unwrap();
    assert_eq!(change(&bench, &asked.id).await.state, KeyChangeState::Applied);
}

async fn a_key_that_has_expired_by_then_is_dropped(bench: Bench) {
    let key = &owners().expired.public;
    let end = crate::delivery::openpgp::inspect(key, bench.now() - 5 * time::DAY)
        .unwrap()
        .expires_at
        .unwrap();
    bench.clock.advance(end - COOL_OFF - bench.now());
    let asked = ask(&bench, ADA, "org-acme", key).await.unwrap();
    bench.desk.send_due().await.unwrap();
    bench.clock.advance(COOL_OFF);
    bench.desk.sweep().await.unwrap();
    assert_eq!(change(&bench, &asked.id).await.state, KeyChangeState::Cancelled);
    assert_eq!(key_on_file(&bench, "acme").await, owners().modern.public);
    let row = bench.rows_of("acme", "owner_key.change_cancelled").await.pop().unwrap();
    assert!(row.detail_str("cause").unwrap().contains("expired on"), "{row:?}");
    assert_eq!(row.actor_type, ActorType::System);
}

async fn nobody_replaces_the_key_of_an_owner_who_cannot_object(bench: Bench) {
    let unreachable = ask(&bench, ADA, "org-fir", &owners().rsa.public).await;
    assert!(matches!(unreachable, Err(StepError::Conflict(_))), "{unreachable:?}");
    bench.sql("UPDATE org SET owner_address = '' WHERE id = 'org-elm'").await.unwrap();
    let no_address = ask(&bench, ADA, "org-elm", &owners().rsa.public).await;
    assert!(matches!(no_address, Err(StepError::Conflict(_))), "{no_address:?}");
    // Marked unreachable while it waits.
    let asked = asked(&bench).await;
    let ada = bench.at_work(ADA).await;
    let mut tx = bench.desk.begin().await.unwrap();
    let attempts = "Called twice, wrote to the address on file.";
    let step = bench.desk.mark_unreachable(&mut tx, &ada, STUCK, attempts).await;
    bench.desk.settle(tx, step).await.unwrap();
    bench.clock.advance(COOL_OFF);
    bench.desk.sweep().await.unwrap();
    assert_eq!(change(&bench, &asked.id).await.state, KeyChangeState::Cancelled);
    assert_eq!(key_on_file(&bench, "acme").await, owners().modern.public);
}

async fn it_is_applied_once_however_many_sweep(bench: Bench) {
    asked(&bench).await;
    bench.clock.advance(COOL_OFF);
    let (one, two) = tokio::join!(bench.desk.apply_key_changes(), bench.desk.apply_key_changes());
    assert_eq!(one.unwrap() + two.unwrap(), 1);
    assert_eq!(bench.rows_of("acme", "owner_key.changed").await.len(), 1);
    bench.desk.send_due().await.unwrap();
    bench.mailbox.about("Your new OpenPGP key is on file");
}

/// The key on file, extended by its holder; and that, revoked.
fn renewals() -> (String, String) {
    let gpg = crate::delivery::openpgp::gnupg::Gnupg::new();
    gpg.run(&["--import"], owners().modern.secret.as_bytes());
    gpg.travel(owners().now - gpg.now());
    let key = &owners().modern.fingerprint;
    gpg.run(&["--quick-set-expire", key, "2y"], b"");
    let extended = gpg.export(key);
    let args = ["--no-batch", "--no-tty", "--armor", "--command-fd", "0", "--gen-revoke", key];
    let revocation = gpg.run(&args, b"y\n0\n\ny\n").stdout;
    gpg.run(&["--import"], &revocation);
    (extended, gpg.export(key))
}

async fn the_same_key_renewed_is_used_at_once_and_the_owner_is_told(bench: Bench) {
    let (extended, _) = renewals();
    let asked = asked_for(&bench, ADA, "org-acme", &extended).await.unwrap();
    assert_eq!(asked, KeyAsked::Renewed { problem: None });
    let on_file = key_on_file(&bench, "acme").await;
    let report = crate::delivery::openpgp::inspect(&on_file, bench.now()).unwrap();
    assert!(report.expires_at.is_some(), "by what it says now");
    assert_eq!(&sealed_to(&bench).await, &owners().modern.fingerprint, "without a wait");
    for (log, action) in [("platform", "platform.owner_key_renewed"), ("acme", "owner_key.renewed")]
    {
        let rows = bench.rows_of(log, action).await;
        assert_eq!(rows.len(), 1, "{log}");
        assert_eq!(rows[0].actor_id, ADA);
        assert_eq!(rows[0].detail_str("fingerprint"), Some(owners().modern.fingerprint.as_str()));
    }
    bench.desk.send_due().await.unwrap();
    let told = bench.mailbox.about("was renewed");
    assert_eq!(told.to, "owner@acme.example");
    assert!(told.body.expose_secret().contains(&in_fours(&owners().modern.fingerprint)));
    // Another key still waits its day.
    let other = asked_for(&bench, ADA, "org-acme", &owners().rsa.public).await.unwrap();
    assert!(matches!(other, KeyAsked::Waits(_)), "{other:?}");
    bench.verify_all().await.unwrap();
}

async fn a_renewal_takes_nothing_away_and_a_revocation_is_heeded(bench: Bench) {
    let (extended, revoked) = renewals();
    asked_for(&bench, ADA, "org-acme", &extended).await.unwrap();
    let on_file = key_on_file(&bench, "acme").await;
    // An older copy, and the same once more.
    for copy in [&owners().modern.public, &extended] {
        let step = asked_for(&bench, ADA, "org-acme", copy).await;
        assert!(matches!(step, Err(StepError::Conflict(_))), "{step:?}");
        assert_eq!(key_on_file(&bench, "acme").await, on_file);
    }
    let asked = asked_for(&bench, ADA, "org-acme", &revoked).await.unwrap();
    let problem = Some(crate::delivery::openpgp::KeyProblem::Revoked);
    assert_eq!(asked, KeyAsked::Renewed { problem });
    // And no copy from before brings it back.
    let step = asked_for(&bench, ADA, "org-acme", &extended).await;
    assert!(matches!(step, Err(StepError::Conflict(_))), "{step:?}");
    let on_file = key_on_file(&bench, "acme").await;
    assert!(crate::delivery::openpgp::inspect(&on_file, bench.now()).is_err());
}
