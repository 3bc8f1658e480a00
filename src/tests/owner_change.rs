//! Changes of the way to the Owner: nothing counts before the Owner has said yes and an admin who
//! did not ask has approved, and whoever asked stays away from what is handed over next.

use secrecy::{ExposeSecret as _, SecretString};

use crate::delivery::openpgp::gnupg::Gnupg;
use crate::desk::owner_change::{Asked, statement};
use crate::desk::rotate::{Ask, Caller};
use crate::desk::{Step, StepError};
use crate::model::org::in_fours;
use crate::model::{AgreedHow, ConfirmedOver, OwnerChangeState, time};
use crate::policy::access::STEP_UP_MAX_AGE;
use crate::policy::owner_change::{STAYS_AWAY_FOR, WAITS_FOR};
use crate::proof::row::ActorType;
use crate::proof::verdict::Verdict;
use crate::store::orgs;
use crate::store::owner_changes::{self, OwnerChange};
use crate::testing::mailbox::link_in;
use crate::testing::owners::owners;
use crate::testing::story::{ADA, BEN, CLEO, STUCK};
use crate::testing::{Bench, both_engines};

both_engines!(
    one_admin_cannot_get_a_secret_and_confirm_it_alone,
    the_new_key_counts_when_the_owner_and_a_second_admin_have_agreed,
    whichever_comes_first_both_are_needed,
    silence_changes_nothing_and_ends_it,
    a_message_sealed_to_the_new_key_is_for_its_holder_alone,
    it_wants_an_admin_who_has_just_signed_in,
    whoever_asked_does_not_approve_and_nobody_twice,
    a_key_that_cannot_be_used_is_refused_with_what_is_wrong_and_not_kept,
    one_change_waits_at_a_time_and_any_admin_cancels_it,
    the_owner_objects_by_the_link_and_the_key_stays,
    the_owner_is_told_both_fingerprints_and_of_the_link_only_the_hash_is_kept,
    the_owner_may_sign_with_the_key_on_file_instead,
    a_key_that_has_expired_by_then_is_dropped,
    nobody_replaces_the_key_of_an_owner_who_cannot_agree,
    it_is_applied_once_however_many_agree,
    whoever_asked_stays_away_for_thirty_days,
    ciphertext_is_for_the_admin_of_the_grant_with_a_row_each_time,
    staff_who_rotated_do_not_confirm_it,
    the_same_key_renewed_is_used_at_once_and_the_owner_is_told,
    a_renewal_takes_nothing_away_and_a_revocation_is_heeded,
);

async fn ask(bench: &Bench, staff: &str, org: &str, key: &str) -> Step<OwnerChange> {
    match asked_for(bench, staff, org, key).await? {
        Asked::Waits(change) => Ok(*change),
        renewed => panic!("{renewed:?}"),
    }
}

async fn asked_for(bench: &Bench, staff: &str, org: &str, key: &str) -> Step<Asked> {
    let who = bench.at_work(staff).await;
    let mut tx = bench.desk.begin().await?;
    let step = bench.desk.ask_key_change(&mut tx, &who, org, key).await;
    bench.desk.settle(tx, step).await
}

async fn cancel(bench: &Bench, staff: &str, id: &str) -> Step<orgs::Org> {
    let who = bench.at_work(staff).await;
    let mut tx = bench.desk.begin().await?;
    let step = bench.desk.cancel_owner_change(&mut tx, &who, id).await;
    bench.desk.settle(tx, step).await
}

async fn approve(bench: &Bench, staff: &str, id: &str) -> Step<OwnerChange> {
    let who = bench.at_work(staff).await;
    let mut tx = bench.desk.begin().await?;
    let step = bench.desk.approve_owner_change(&mut tx, &who, id).await;
    bench.desk.settle(tx, step).await
}

async fn agree(bench: &Bench, link: &SecretString) -> Step<OwnerChange> {
    let mut tx = bench.desk.begin().await?;
    let step = bench.desk.agree_by_link(&mut tx, link, None).await;
    bench.desk.settle(tx, step).await
}

async fn bring_signed(bench: &Bench, staff: &str, id: &str, text: &str) -> Step<OwnerChange> {
    let who = bench.at_work(staff).await;
    let mut tx = bench.desk.begin().await?;
    let step = bench.desk.agree_by_signature(&mut tx, &who, id, text).await;
    bench.desk.settle(tx, step).await
}

async fn object(bench: &Bench, link: &SecretString) -> Step<()> {
    let mut tx = bench.desk.begin().await?;
    let step = bench.desk.object_by_link(&mut tx, link, None).await;
    bench.desk.settle(tx, step).await
}

/// Asks for Acme's key to be Rosa's, with the mail sent; and the link in the mail.
async fn asked(bench: &Bench) -> (OwnerChange, SecretString) {
    let change = ask(bench, ADA, "org-acme", &owners().rsa.public).await.unwrap();
    bench.desk.send_due().await.unwrap();
    let mails = bench.mailbox.to("owner@acme.example");
    let asks = mails.iter().rev().find(|mail| mail.subject.starts_with("Do you agree?"));
    (change, link_in(asks.unwrap(), "/owner-change/"))
}

/// Puts Rosa's key on file for Acme, as it ought to go.
async fn replaced(bench: &Bench) {
    let (change, link) = asked(bench).await;
    agree(bench, &link).await.unwrap();
    let done = approve(bench, BEN, &change.id).await.unwrap();
    assert_eq!(done.state, OwnerChangeState::Applied);
}

async fn change(bench: &Bench, id: &str) -> OwnerChange {
    let mut conn = bench.desk.store.read().await.unwrap();
    owner_changes::by_id(&mut conn, id).await.unwrap().unwrap()
}

async fn key_on_file(bench: &Bench, slug: &str) -> String {
    let mut conn = bench.desk.store.read().await.unwrap();
    orgs::by_slug(&mut conn, slug).await.unwrap().unwrap().pgp_key.unwrap()
}

/// Rotates Acme's key under an impersonation by Ben; the key that the new value was sealed to.
async fn sealed_to(bench: &Bench) -> String {
    bench.authenticated_anew().await;
    let ben = bench.at_work(BEN).await;
    let grant = bench.impersonate(&ben, STUCK).await.unwrap();
    let caller = Caller::Token(bench.token(&grant));
    let again = Ask { during_overlap: true, ..Ask::default() };
    bench.rotate_as(&caller, "whk_acme", &again).await.unwrap();
    bench.end(&ben, &grant.id).await.unwrap();
    bench.handoff_of(&grant.id).await.recipient_key
}

/// What an admin alone could do: ask for a key of their own, wait, rotate, take the ciphertext, and
/// say that the Owner has it.
async fn one_admin_cannot_get_a_secret_and_confirm_it_alone(bench: Bench) {
    let (own, _) = asked(&bench).await;
    for _ in 0..40 {
        bench.clock.advance(time::DAY);
        bench.desk.sweep().await.unwrap();
        bench.desk.send_due().await.unwrap();
    }
    assert_eq!(change(&bench, &own.id).await.state, OwnerChangeState::Cancelled);
    assert_eq!(key_on_file(&bench, "acme").await, owners().modern.public);
    // With a key that came onto file as it ought to, whoever asked for it still does not rotate.
    replaced(&bench).await;
    let ada = bench.at_work(ADA).await;
    let step = bench.impersonate(&ada, STUCK).await;
    assert!(matches!(step, Err(StepError::Denied(_))), "{step:?}");
    let row = bench.rows_of("platform", "platform.impersonation_refused").await.pop().unwrap();
    assert_eq!(row.actor_id, ADA);
    assert!(row.detail_str("why").unwrap().contains("another admin"), "{row:?}");
    bench.verify_all().await.unwrap();
}

async fn the_new_key_counts_when_the_owner_and_a_second_admin_have_agreed(bench: Bench) {
    let (old, new) = (&owners().modern.fingerprint, &owners().rsa.fingerprint);
    let (asked, link) = asked(&bench).await;
    assert_eq!(&sealed_to(&bench).await, old);
    let agreed = agree(&bench, &link).await.unwrap();
    assert_eq!(
        (agreed.state, agreed.agreed_how()),
        (OwnerChangeState::Waiting, Some(AgreedHow::Link))
    );
    bench.clock.advance(WAITS_FOR - 1);
    bench.desk.sweep().await.unwrap();
    assert_eq!(&sealed_to(&bench).await, old, "the Owner alone is not enough, however long");
    approve(&bench, BEN, &asked.id).await.unwrap();
    assert_eq!(&sealed_to(&bench).await, new);
    assert_eq!(change(&bench, &asked.id).await.state, OwnerChangeState::Applied);
    for (log, actions) in [
        (
            "platform",
            [
                "platform.owner_key_change_agreed",
                "platform.owner_key_change_approved",
                "platform.owner_key_changed",
            ],
        ),
        ("acme", ["owner_key.change_agreed", "owner_key.change_approved", "owner_key.changed"]),
    ] {
        for (action, by) in actions.into_iter().zip(["acme-owner", BEN, "keyturn"]) {
            let rows = bench.rows_of(log, action).await;
            assert_eq!(rows.len(), 1, "{log} {action}");
            assert_eq!(rows[0].actor_id, by, "{action}");
            assert_eq!(rows[0].detail_str("old_fingerprint"), Some(old.as_str()));
            assert_eq!(rows[0].detail_str("new_fingerprint"), Some(new.as_str()));
            assert_eq!(rows[0].detail_str("asked_by"), Some(ADA));
        }
    }
    bench.desk.send_due().await.unwrap();
    let told = bench.mailbox.about("Changed: the OpenPGP key on file");
    assert!(told.body.expose_secret().contains(&in_fours(new)));
    bench.verify_all().await.unwrap();
}

async fn whichever_comes_first_both_are_needed(bench: Bench) {
    let (asked, link) = asked(&bench).await;
    let approved = approve(&bench, BEN, &asked.id).await.unwrap();
    assert_eq!(approved.state, OwnerChangeState::Waiting);
    bench.desk.sweep().await.unwrap();
    assert_eq!(key_on_file(&bench, "acme").await, owners().modern.public);
    let agreed = agree(&bench, &link).await.unwrap();
    assert_eq!(agreed.state, OwnerChangeState::Applied);
    assert_eq!(key_on_file(&bench, "acme").await, owners().rsa.public.trim());
    // The link has done what it was for.
    for step in [agree(&bench, &link).await.map(drop), object(&bench, &link).await] {
        assert!(matches!(step, Err(StepError::Conflict(_))), "{step:?}");
    }
}

async fn silence_changes_nothing_and_ends_it(bench: Bench) {
    let (asked, link) = asked(&bench).await;
    approve(&bench, BEN, &asked.id).await.unwrap();
    bench.clock.advance(WAITS_FOR - 1);
    bench.desk.sweep().await.unwrap();
    assert_eq!(change(&bench, &asked.id).await.state, OwnerChangeState::Waiting);
    bench.clock.advance(1);
    bench.desk.sweep().await.unwrap();
    assert_eq!(change(&bench, &asked.id).await.state, OwnerChangeState::Cancelled);
    assert_eq!(key_on_file(&bench, "acme").await, owners().modern.public);
    let row = bench.rows_of("acme", "owner_key.change_cancelled").await.pop().unwrap();
    assert_eq!(row.actor_type, ActorType::System);
    assert!(row.detail_str("cause").unwrap().contains("in time"), "{row:?}");
    assert!(matches!(agree(&bench, &link).await, Err(StepError::NotFound)));
}

async fn a_message_sealed_to_the_new_key_is_for_its_holder_alone(bench: Bench) {
    replaced(&bench).await;
    let ben = bench.at_work(BEN).await;
    let grant = bench.impersonate(&ben, STUCK).await.unwrap();
    bench.rotate(&grant).await.unwrap();
    let message = bench.handoff_of(&grant.id).await.message;
    let platform = bench.desk.keys.openpgp.to_armored_public().unwrap();
    let (text, _) = crate::testing::owners::decrypt(&owners().rsa, &platform, &message);
    assert_eq!(text.lines().next(), Some(bench.value("whk_acme", 2).await.expose_secret()));
}

async fn it_wants_an_admin_who_has_just_signed_in(bench: Bench) {
    let auditor = ask(&bench, CLEO, "org-acme", &owners().rsa.public).await;
    assert!(matches!(auditor, Err(StepError::Forbidden(_))), "{auditor:?}");
    let (mut ada, mut ben) = (bench.at_work(ADA).await, bench.at_work(BEN).await);
    bench.clock.advance(STEP_UP_MAX_AGE + 1);
    for fresh in [false, true] {
        ada.proven_at += i64::from(fresh);
        let mut tx = bench.desk.begin().await.unwrap();
        let step = bench.desk.ask_key_change(&mut tx, &ada, "org-acme", &owners().rsa.public).await;
        let step = bench.desk.settle(tx, step).await;
        match fresh {
            true => drop(step.unwrap()),
            false => assert!(matches!(step, Err(StepError::StepUp)), "{step:?}"),
        }
    }
    let waits = bench.number("SELECT COUNT(*) FROM owner_change").await;
    assert_eq!(waits, 1, "what is refused leaves nothing");
    let nowhere = ask(&bench, ADA, "org-none", &owners().rsa.public).await;
    assert!(matches!(nowhere, Err(StepError::NotFound)), "{nowhere:?}");
    let row = bench.rows_of("acme", "owner_key.change_asked").await.pop().unwrap();
    let id = row.detail_str("owner_change_id").unwrap();
    for fresh in [false, true] {
        ben.proven_at += i64::from(fresh);
        let mut tx = bench.desk.begin().await.unwrap();
        let step = bench.desk.approve_owner_change(&mut tx, &ben, id).await;
        let step = bench.desk.settle(tx, step).await;
        match fresh {
            true => drop(step.unwrap()),
            false => assert!(matches!(step, Err(StepError::StepUp)), "{step:?}"),
        }
    }
    for step in [
        cancel(&bench, CLEO, id).await.map(drop),
        approve(&bench, CLEO, id).await.map(drop),
        bring_signed(&bench, CLEO, id, "yes").await.map(drop),
    ] {
        assert!(matches!(step, Err(StepError::Forbidden(_))), "{step:?}");
    }
}

async fn whoever_asked_does_not_approve_and_nobody_twice(bench: Bench) {
    let (asked, _) = asked(&bench).await;
    let own = approve(&bench, ADA, &asked.id).await;
    assert!(matches!(own, Err(StepError::Forbidden(_))), "{own:?}");
    approve(&bench, BEN, &asked.id).await.unwrap();
    let twice = approve(&bench, BEN, &asked.id).await;
    assert!(matches!(twice, Err(StepError::Conflict(_))), "{twice:?}");
    assert_eq!(bench.rows_of("acme", "owner_key.change_approved").await.len(), 1);
    let none = approve(&bench, BEN, "none").await;
    assert!(matches!(none, Err(StepError::NotFound)), "{none:?}");
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
    for table in ["owner_change", "outbox"] {
        assert_eq!(bench.number(&format!("SELECT COUNT(*) FROM {table}")).await, 0, "{table}");
    }
    assert!(bench.rows_of("acme", "owner_key.change_asked").await.is_empty());
}

async fn one_change_waits_at_a_time_and_any_admin_cancels_it(bench: Bench) {
    let (first, link) = asked(&bench).await;
    let second = ask(&bench, BEN, "org-acme", &owners().rsa.public).await;
    assert!(matches!(second, Err(StepError::Conflict(_))), "{second:?}");
    // Another org's is no hindrance.
    ask(&bench, BEN, "org-birch", &owners().modern.public).await.unwrap();
    cancel(&bench, BEN, &first.id).await.unwrap();
    assert!(matches!(cancel(&bench, BEN, &first.id).await, Err(StepError::Conflict(_))));
    assert!(matches!(approve(&bench, BEN, &first.id).await, Err(StepError::Conflict(_))));
    for (log, action) in [
        ("platform", "platform.owner_key_change_cancelled"),
        ("acme", "owner_key.change_cancelled"),
    ] {
        let rows = bench.rows_of(log, action).await;
        assert_eq!(rows.len(), 1, "{log}");
        assert_eq!(rows[0].actor_id, BEN);
    }
    for step in [object(&bench, &link).await, agree(&bench, &link).await.map(drop)] {
        assert!(matches!(step, Err(StepError::NotFound)), "nothing waits: {step:?}");
    }
    ask(&bench, ADA, "org-acme", &owners().rsa.public).await.unwrap();
    assert_eq!(change(&bench, &first.id).await.state, OwnerChangeState::Cancelled);
    bench.verify_all().await.unwrap();
}

async fn the_owner_objects_by_the_link_and_the_key_stays(bench: Bench) {
    let (asked, link) = asked(&bench).await;
    approve(&bench, BEN, &asked.id).await.unwrap();
    {
        let mut conn = bench.desk.store.read().await.unwrap();
        let (seen, _) = bench.desk.owner_change_of_link(&mut conn, &link).await.unwrap().unwrap();
        assert_eq!((seen.id.as_str(), seen.state), (asked.id.as_str(), OwnerChangeState::Waiting));
    }
    object(&bench, &link).await.unwrap();
    for step in [object(&bench, &link).await, agree(&bench, &link).await.map(drop)] {
        assert!(matches!(step, Err(StepError::Conflict(_))), "once: {step:?}");
    }
    assert!(matches!(object(&bench, &"none".into()).await, Err(StepError::NotFound)));
    bench.clock.advance(7 * time::DAY);
    bench.desk.sweep().await.unwrap();
    assert_eq!(change(&bench, &asked.id).await.state, OwnerChangeState::Objected);
    assert_eq!(key_on_file(&bench, "acme").await, owners().modern.public);
    for (log, action) in
        [("platform", "platform.owner_key_change_objected"), ("acme", "owner_key.change_objected")]
    {
        let rows = bench.rows_of(log, action).await;
        assert_eq!(rows.len(), 1, "{log}");
        assert_eq!(rows[0].actor_type, ActorType::OrgMember);
        assert_eq!(rows[0].actor_id, "acme-owner");
    }
    // A yes can be taken back as long as it does not count.
    let (again, link) = self::asked(&bench).await;
    agree(&bench, &link).await.unwrap();
    object(&bench, &link).await.unwrap();
    assert!(matches!(approve(&bench, BEN, &again.id).await, Err(StepError::Conflict(_))));
    assert_eq!(key_on_file(&bench, "acme").await, owners().modern.public);
    bench.verify_all().await.unwrap();
}

async fn the_owner_is_told_both_fingerprints_and_of_the_link_only_the_hash_is_kept(bench: Bench) {
    let (_, link) = asked(&bench).await;
    let mails = bench.mailbox.all();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to, "owner@acme.example", "the address on file");
    let body = mails[0].body.expose_secret();
    for needed in [
        "Ada Admin",
        &in_fours(&owners().modern.fingerprint),
        &in_fours(&owners().rsa.fingerprint),
        "Without your yes nothing changes",
        "--clearsign",
    ] {
        assert!(body.contains(needed), "{needed}: {body}");
    }
    let link = link.expose_secret();
    let rows = format!("SELECT COUNT(*) FROM audit_entry WHERE body LIKE '%{link}%'");
    assert_eq!(bench.number(&rows).await, 0);
    let hash = crate::auth::credential::hash(&link.into());
    let kept = format!("SELECT COUNT(*) FROM owner_change WHERE link_hash = '{hash}'");
    assert_eq!(bench.number(&kept).await, 1);
}

/// Protects an Owner whose address takes no mail: what the key on file signs is their word.
async fn the_owner_may_sign_with_the_key_on_file_instead(bench: Bench) {
    let (asked, _) = asked(&bench).await;
    let gpg = Gnupg::new();
    gpg.travel(bench.now() - gpg.now() - time::HOUR);
    for key in [&owners().modern, &owners().rsa] {
        gpg.run(&["--import"], key.secret.as_bytes());
    }
    let org = {
        let mut conn = bench.desk.store.read().await.unwrap();
        orgs::by_slug(&mut conn, "acme").await.unwrap().unwrap()
    };
    let sign = |key: &str, text: &str| {
        let made = gpg.run(&["--local-user", key, "--clearsign"], text.as_bytes());
        String::from_utf8(made.stdout).unwrap()
    };
    let (right, other) = (&owners().modern.fingerprint, &owners().rsa.fingerprint);
    let said = format!("{}\n", statement(&org, &asked));
    for (wrong, why) in [
        (sign(other, &said), "not signed by the key on file"),
        (sign(right, "I agree to everything.\n"), "not the one of this change"),
        (sign(right, &said.replace(&asked.id, "another")), "not the one of this change"),
        (said.clone(), "no signed text"),
    ] {
        match bring_signed(&bench, BEN, &asked.id, &wrong).await {
            Err(StepError::NotPossible(said)) => assert!(said.contains(why), "{said}"),
            other => panic!("{why}: {other:?}"),
        }
    }
    let agreed = bring_signed(&bench, ADA, &asked.id, &sign(right, &said)).await.unwrap();
    assert_eq!(agreed.agreed_how(), Some(AgreedHow::Signature));
    let row = bench.rows_of("acme", "owner_key.change_agreed").await.pop().unwrap();
    assert_eq!((row.actor_id.as_str(), row.detail_str("how")), (ADA, Some("signature")));
    assert_eq!(approve(&bench, BEN, &asked.id).await.unwrap().state, OwnerChangeState::Applied);
    assert_eq!(key_on_file(&bench, "acme").await, owners().rsa.public.trim());
}

async fn a_key_that_has_expired_by_then_is_dropped(bench: Bench) {
    let key = &owners().expired.public;
    let end = crate::delivery::openpgp::inspect(key, bench.now() - 5 * time::DAY)
        .unwrap()
        .expires_at
        .unwrap();
    bench.clock.advance(end - time::DAY - bench.now());
    let asked = ask(&bench, ADA, "org-acme", key).await.unwrap();
    bench.desk.send_due().await.unwrap();
    let mails = bench.mailbox.to("owner@acme.example");
    agree(&bench, &link_in(&mails[0], "/owner-change/")).await.unwrap();
    bench.clock.advance(time::DAY);
    let dropped = approve(&bench, BEN, &asked.id).await.unwrap();
    assert_eq!(dropped.state, OwnerChangeState::Cancelled);
    assert_eq!(key_on_file(&bench, "acme").await, owners().modern.public);
    let row = bench.rows_of("acme", "owner_key.change_cancelled").await.pop().unwrap();
    assert!(row.detail_str("cause").unwrap().contains("expired on"), "{row:?}");
    assert_eq!(row.actor_type, ActorType::System);
}

async fn nobody_replaces_the_key_of_an_owner_who_cannot_agree(bench: Bench) {
    let unreachable = ask(&bench, ADA, "org-fir", &owners().rsa.public).await;
    assert!(matches!(unreachable, Err(StepError::Conflict(_))), "{unreachable:?}");
    bench.edit_org("org-elm", "UPDATE org SET owner_address = '' WHERE id = 'org-elm'").await;
    let no_address = ask(&bench, ADA, "org-elm", &owners().rsa.public).await;
    assert!(matches!(no_address, Err(StepError::Conflict(_))), "{no_address:?}");
    // Marked unreachable while it waits.
    let (asked, link) = asked(&bench).await;
    let ada = bench.at_work(ADA).await;
    let mut tx = bench.desk.begin().await.unwrap();
    let attempts = "Called twice, wrote to the address on file.";
    let step = bench.desk.mark_unreachable(&mut tx, &ada, STUCK, attempts).await;
    bench.desk.settle(tx, step).await.unwrap();
    agree(&bench, &link).await.unwrap();
    approve(&bench, BEN, &asked.id).await.unwrap();
    assert_eq!(change(&bench, &asked.id).await.state, OwnerChangeState::Cancelled);
    assert_eq!(key_on_file(&bench, "acme").await, owners().modern.public);
}

async fn it_is_applied_once_however_many_agree(bench: Bench) {
    let (asked, link) = asked(&bench).await;
    let (one, two) = tokio::join!(agree(&bench, &link), approve(&bench, BEN, &asked.id));
    let applied = [one.unwrap().state, two.unwrap().state];
    assert_eq!(applied.iter().filter(|s| **s == OwnerChangeState::Applied).count(), 1);
    bench.desk.sweep().await.unwrap();
    assert_eq!(bench.rows_of("acme", "owner_key.changed").await.len(), 1);
    bench.desk.send_due().await.unwrap();
    bench.mailbox.about("Changed: the OpenPGP key on file");
}

async fn whoever_asked_stays_away_for_thirty_days(bench: Bench) {
    // Asked for while they hold an impersonation: they do not hand off either.
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    bench.rotate(&grant).await.unwrap();
    let asked_at = bench.now();
    asked(&bench).await;
    let step = bench.hand_off(&ada, &grant.id).await;
    assert!(matches!(step, Err(StepError::Denied(_))), "{step:?}");
    let row = bench.rows_of("platform", "platform.handoff_refused").await.pop().unwrap();
    assert_eq!((row.actor_id.as_str(), row.detail_str("what")), (ADA, Some("hand off")));
    let ben = bench.at_work(BEN).await;
    bench.end(&ben, &grant.id).await.unwrap();
    bench.hand_off(&ben, &grant.id).await.unwrap();
    bench.desk.send_due().await.unwrap();
    let handoff = bench.handoff_of(&grant.id).await;
    let mut tx = bench.desk.begin().await.unwrap();
    let step = bench.desk.send_again(&mut tx, &ada, &handoff.id).await;
    let step = bench.desk.settle(tx, step).await;
    assert!(matches!(step, Err(StepError::Denied(_))), "{step:?}");
    // The day is the log's, whatever a table says.
    bench.sql("DELETE FROM owner_change").await.unwrap();
    let until = asked_at + STAYS_AWAY_FOR;
    for (at, away) in [(until - 1, true), (until, false)] {
        bench.clock.advance(at - bench.now());
        let mut conn = bench.desk.store.read().await.unwrap();
        let found = bench.desk.stays_away(&mut conn, ADA, "org-acme").await.unwrap();
        assert_eq!(found.is_some(), away);
        let other = bench.desk.stays_away(&mut conn, ADA, "org-birch").await.unwrap();
        assert_eq!(other, None, "of another org");
        assert_eq!(bench.desk.stays_away(&mut conn, BEN, "org-acme").await.unwrap(), None);
    }
}

async fn ciphertext_is_for_the_admin_of_the_grant_with_a_row_each_time(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    bench.rotate(&grant).await.unwrap();
    let handoff = bench.handoff_of(&grant.id).await;
    let take = async |staff: &str| {
        let who = bench.at_work(staff).await;
        let mut tx = bench.desk.begin().await.unwrap();
        let step = bench.desk.download_handoff(&mut tx, &who, &handoff.id).await;
        bench.desk.settle(tx, step).await
    };
    for times in 1..=2 {
        assert_eq!(take(ADA).await.unwrap().message, handoff.message);
        for (log, action) in
            [("platform", "platform.handoff_downloaded"), ("acme", "handoff.downloaded")]
        {
            let rows = bench.rows_of(log, action).await;
            assert_eq!(rows.len(), times, "{log}");
            assert_eq!(rows[0].detail_str("handoff_id"), Some(handoff.id.as_str()));
        }
    }
    for other in [BEN, CLEO] {
        let step = take(other).await;
        assert!(matches!(step, Err(StepError::Denied(_))), "{step:?}");
        let row = bench.rows_of("platform", "platform.handoff_refused").await.pop().unwrap();
        assert_eq!((row.actor_id.as_str(), row.detail_str("what")), (other, Some("download")));
    }
    bench.hand_off(&ada, &grant.id).await.unwrap();
    let verdict = bench.verdict(&grant.id).await;
    assert_eq!(verdict.verdict, Verdict::Complete, "{verdict:?}");
    bench.verify_all().await.unwrap();
}

async fn staff_who_rotated_do_not_confirm_it(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    bench.rotate(&grant).await.unwrap();
    bench.hand_off(&ada, &grant.id).await.unwrap();
    bench.desk.send_due().await.unwrap();
    let handoff = bench.handoff_of(&grant.id).await;
    let confirm = async |staff: &str| {
        let who = bench.at_work(staff).await;
        let mut tx = bench.desk.begin().await.unwrap();
        let over = ConfirmedOver::Telephone;
        let step = bench.desk.acknowledge_by_staff(&mut tx, &who, &handoff.id, over, "Olive").await;
        bench.desk.settle(tx, step).await
    };
    let own = confirm(ADA).await;
    assert!(matches!(own, Err(StepError::Denied(_))), "{own:?}");
    let row = bench.rows_of("platform", "platform.handoff_refused").await.pop().unwrap();
    assert_eq!((row.actor_id.as_str(), row.detail_str("what")), (ADA, Some("acknowledge")));
    confirm(BEN).await.unwrap();
    for (log, action) in
        [("platform", "platform.handoff_acknowledged"), ("acme", "handoff.acknowledged")]
    {
        let row = bench.rows_of(log, action).await.pop().unwrap();
        assert_eq!(row.detail_str("confirmed_over"), Some("telephone"), "{log}");
        assert_eq!(row.actor_id, BEN);
    }
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
    assert_eq!(asked, Asked::Renewed { problem: None });
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
    // Another key still waits.
    let other = asked_for(&bench, ADA, "org-acme", &owners().rsa.public).await.unwrap();
    assert!(matches!(other, Asked::Waits(_)), "{other:?}");
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
    assert_eq!(asked, Asked::Renewed { problem });
    // And no copy from before brings it back.
    let step = asked_for(&bench, ADA, "org-acme", &extended).await;
    assert!(matches!(step, Err(StepError::Conflict(_))), "{step:?}");
    let on_file = key_on_file(&bench, "acme").await;
    assert!(crate::delivery::openpgp::inspect(&on_file, bench.now()).is_err());
}
