//! The token: dead from the very next use after each of the six ends, to the second at its
//! expiry, and good for one rotation of one secret.

use secrecy::SecretString;

use crate::auth::token::TokenError;
use crate::desk::StepError;
use crate::desk::rotate::{Ask, Caller};
use crate::model::{EndCause, SecretType, StaffRole, time};
use crate::proof::verdict::Verdict;
use crate::store::impersonations::Impersonation;
use crate::store::staff;
use crate::testing::story::{ADA, BEN, STUCK};
use crate::testing::{Bench, both_engines};

both_engines!(
    it_is_dead_after_the_handoff,
    it_is_dead_after_its_admin_ends_it,
    it_is_dead_after_another_admin_ends_it,
    it_is_dead_after_consent_is_withdrawn,
    it_is_dead_after_its_admin_is_disabled,
    it_is_dead_from_the_second_of_its_expiry,
    it_is_dead_when_its_admin_loses_the_role_and_the_sweeper_ends_it,
    what_expired_while_the_server_was_down_ends_at_its_expiry,
    an_end_is_written_once,
    it_is_good_for_one_secret_of_one_type_only,
    it_is_good_for_one_rotation_only,
    an_altered_or_foreign_token_is_refused,
    one_org_that_cannot_be_ended_does_not_keep_the_others_open,
);

/// Ada's impersonation for Acme, and its token as somebody could have copied it.
async fn minted(bench: &Bench) -> (Impersonation, SecretString) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    let token = bench.token(&grant);
    assert!(check(bench, &token).await.is_ok());
    (grant, token)
}

async fn check(bench: &Bench, token: &SecretString) -> Result<Impersonation, TokenError> {
    let mut conn = bench.desk.store.read().await.unwrap();
    bench.desk.check_token(&mut conn, token).await.unwrap().map(|(_, grant)| grant)
}

/// The copy is refused, the database has none any more, and both logs say the cause.
async fn assert_dead(bench: &Bench, id: &str, token: &SecretString, why: TokenError, c: EndCause) {
    assert_eq!(check(bench, token).await.err(), Some(why));
    let step = bench.rotate_as(&Caller::Token(token.clone()), "whk_acme", &Ask::default()).await;
    assert!(matches!(step, Err(StepError::Forbidden(_))), "{step:?}");
    let grant = bench.grant(id).await;
    assert_eq!(grant.end_cause(), Some(c));
    assert!(grant.token_sealed.is_none() && grant.token_kek.is_none(), "the token is erased");
    assert!(bench.desk.token_of(&grant).is_err());
    for (log, action) in
        [("platform", "platform.impersonation_ended"), ("acme", "impersonation.ended")]
    {
        let rows = bench.rows_of(log, action).await;
        assert_eq!(rows.len(), 1, "{log}");
        assert_eq!(rows[0].detail_str("cause"), Some(c.as_str()), "{log}");
        assert_eq!(rows[0].actor_id, ADA, "{log}: whose it was");
    }
    let verdict = bench.verdict(id).await.verdict;
    assert!(matches!(verdict, Verdict::Complete | Verdict::Incomplete), "{verdict:?}");
    bench.verify_all().await.unwrap();
}

async fn it_is_dead_after_the_handoff(bench: Bench) {
    let (grant, token) = minted(&bench).await;
    bench.rotate(&grant).await.unwrap();
    assert!(check(&bench, &token).await.is_ok(), "until then it lives");
    bench.hand_off(&bench.at_work(ADA).await, &grant.id).await.unwrap();
    assert_dead(&bench, &grant.id, &token, TokenError::NotLive, EndCause::Handoff).await;
}

async fn it_is_dead_after_its_admin_ends_it(bench: Bench) {
    let (grant, token) = minted(&bench).await;
    bench.end(&bench.at_work(ADA).await, &grant.id).await.unwrap();
    assert_dead(&bench, &grant.id, &token, TokenError::NotLive, EndCause::Admin).await;
}

async fn it_is_dead_after_another_admin_ends_it(bench: Bench) {
    let (grant, token) = minted(&bench).await;
    bench.end(&bench.at_work(BEN).await, &grant.id).await.unwrap();
    assert_dead(&bench, &grant.id, &token, TokenError::NotLive, EndCause::OtherAdmin).await;
    let end = &bench.rows_of("acme", "impersonation.ended").await[0];
    assert_eq!(end.detail_str("ended_by"), Some(BEN));
}

async fn it_is_dead_after_consent_is_withdrawn(bench: Bench) {
    let (grant, token) = minted(&bench).await;
    bench.set_consent("acme-owner", false).await.unwrap();
    assert_dead(&bench, &grant.id, &token, TokenError::NotLive, EndCause::ConsentWithdrawn).await;
    // Given back, it does not come to life again.
    bench.set_consent("acme-owner", true).await.unwrap();
    assert_eq!(check(&bench, &token).await.err(), Some(TokenError::NotLive));
}

async fn it_is_dead_after_its_admin_is_disabled(bench: Bench) {
    let (grant, token) = minted(&bench).await;
    let mut tx = bench.desk.begin().await.unwrap();
    let step = bench
        .desk
        .disable_staff(&mut tx, "staff-ada@platform.example", &crate::audit::Actor::system())
        .await;
    bench.desk.settle(tx, step).await.unwrap();
    assert_dead(&bench, &grant.id, &token, TokenError::NotLive, EndCause::AdminDisabled).await;
}

async fn it_is_dead_from_the_second_of_its_expiry(bench: Bench) {
    let (grant, token) = minted(&bench).await;
    assert_eq!(grant.expires_at - grant.started_at, 15 * time::MINUTE);
    bench.clock.advance(grant.expires_at - 1 - bench.now());
    assert!(check(&bench, &token).await.is_ok());
    assert_eq!(bench.desk.sweep().await.unwrap(), 0, "it is not swept early");
    bench.clock.advance(1);
    // Before anybody has swept.
    assert_eq!(check(&bench, &token).await.err(), Some(TokenError::Expired));
    assert_eq!(bench.desk.sweep().await.unwrap(), 1);
    assert_dead(&bench, &grant.id, &token, TokenError::Expired, EndCause::Expired).await;
}

async fn it_is_dead_when_its_admin_loses_the_role_and_the_sweeper_ends_it(bench: Bench) {
    let (grant, token) = minted(&bench).await;
    {
        let mut conn = bench.desk.store.read().await.unwrap();
        staff::set_role(&mut conn, ADA, StaffRole::Auditor).await.unwrap();
    }
    assert_eq!(check(&bench, &token).await.err(), Some(TokenError::AdminGone));
    assert_eq!(bench.desk.sweep().await.unwrap(), 1);
    assert_dead(&bench, &grant.id, &token, TokenError::NotLive, EndCause::AdminDisabled).await;
}

async fn what_expired_while_the_server_was_down_ends_at_its_expiry(bench: Bench) {
    let (grant, token) = minted(&bench).await;
    bench.rotate(&grant).await.unwrap();
    bench.clock.advance(30 * time::DAY);
    let later = Bench::open(&bench.url, bench.folder(), bench.now(), 7).await;
    assert_eq!(later.desk.sweep().await.unwrap(), 1);
    let ended = later.grant(&grant.id).await;
    assert_eq!(ended.ended_at, Some(grant.expires_at));
    assert_dead(&later, &grant.id, &token, TokenError::Expired, EndCause::Expired).await;
    // Late, and still what it was: nothing happened after the expiry.
    assert_eq!(later.verdict(&grant.id).await.verdict, Verdict::Complete);
    let row = &later.rows_of("acme", "impersonation.ended").await[0];
    assert_eq!(row.detail_i64("ended_at"), Some(grant.expires_at));
    assert_eq!(row.at, later.now());
}

async fn an_end_is_written_once(bench: Bench) {
    let (grant, _) = minted(&bench).await;
    let (ada, ben) = (bench.at_work(ADA).await, bench.at_work(BEN).await);
    let (one, two) = tokio::join!(bench.end(&ada, &grant.id), bench.end(&ben, &grant.id));
    assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1);
    let again = bench.end(&ada, &grant.id).await;
    assert!(matches!(again, Err(StepError::Conflict(_))), "{again:?}");
    bench.clock.advance(time::DAY);
    assert_eq!(bench.desk.sweep().await.unwrap(), 0);
    assert_eq!(bench.rows_of("acme", "impersonation.ended").await.len(), 1);
    assert_eq!(bench.rows_of("platform", "platform.impersonation_ended").await.len(), 1);
}

async fn it_is_good_for_one_secret_of_one_type_only(bench: Bench) {
    let (_, token) = minted(&bench).await;
    let caller = Caller::Token(token);
    // Another of the same org is forbidden; one of another org is not there at all.
    let sibling = bench.rotate_as(&caller, "whk_acme_2", &Ask::default()).await;
    assert!(matches!(sibling, Err(StepError::Forbidden(_))), "{sibling:?}");
    let foreign = bench.rotate_as(&caller, "whk_birch", &Ask::default()).await;
    assert!(matches!(foreign, Err(StepError::NotFound)), "{foreign:?}");
    let kind = SecretType::VaultToken;
    let other = bench.desk.rotate(kind, "whk_acme", &caller, &Ask::default()).await;
    assert!(matches!(other, Err(StepError::NotFound)), "{other:?}");
    assert_eq!(bench.number("SELECT COUNT(*) FROM rotation").await, 0);
}

async fn it_is_good_for_one_rotation_only(bench: Bench) {
    let (grant, _) = minted(&bench).await;
    bench.rotate(&grant).await.unwrap();
    assert!(matches!(bench.rotate(&grant).await, Err(StepError::Conflict(_))));
    // Nor in so many words.
    let ask = Ask { during_overlap: true, ..Ask::default() };
    let caller = Caller::Token(bench.token(&grant));
    let again = bench.rotate_as(&caller, "whk_acme", &ask).await;
    assert!(matches!(again, Err(StepError::Conflict(_))), "{again:?}");
    assert_eq!(bench.accepted("whk_acme").await, [2, 1]);
}

async fn an_altered_or_foreign_token_is_refused(bench: Bench) {
    use secrecy::ExposeSecret as _;
    let (_, token) = minted(&bench).await;
    let mut altered = token.expose_secret().to_owned();
    let place = altered.len() - 3..altered.len() - 2;
    let other = if &altered[place.clone()] == "A" { "B" } else { "A" };
    altered.replace_range(place, other);
    assert!(check(&bench, &altered.into()).await.is_err());
    // Good by itself, and signed by another deployment.
    let other = Bench::new(bench.engine()).await;
    let (_, foreign) = minted(&other).await;
    assert!(check(&bench, &foreign).await.is_err());
}

/// Protects the ends of everybody else when one org's log is damaged.
async fn one_org_that_cannot_be_ended_does_not_keep_the_others_open(bench: Bench) {
    let (damaged, _) = minted(&bench).await;
    bench.clock.advance(time::MINUTE);
    let ben = bench.at_work(BEN).await;
    let other = bench.impersonate(&ben, crate::testing::story::LEAKED).await.unwrap();
    let broken = "UPDATE audit_log SET frontier = org_frontier.frontier FROM \
        (SELECT frontier FROM audit_log WHERE id = 'org/org-cedar') AS org_frontier \
        WHERE id = 'org/org-acme'";
    bench.sql(broken).await.unwrap();
    bench.clock.advance(20 * time::MINUTE);
    assert!(bench.desk.sweep().await.is_err(), "it is said");
    assert!(bench.grant(&damaged.id).await.ended_at.is_none());
    assert!(bench.grant(&other.id).await.ended_at.is_some());
}
