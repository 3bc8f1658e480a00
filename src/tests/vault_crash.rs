//! A vault token's rotation dies at every place that there is. A fresh desk on the same database
//! clears up, and exactly one token works: the new one where the rotation is recorded, else the
//! old one.

use crate::desk::Step;
use crate::desk::rotate::{Ask, Caller, Rotated};
use crate::model::{VersionState, time};
use crate::proof::verdict::Verdict;
use crate::secrets::vault::Vault as _;
use crate::store::Engine;
use crate::testing::Bench;
use crate::testing::breakable::Mood;
use crate::testing::story::ADA;

use super::vault::{old_token, working, works};

const SECRET: &str = "vtk_cedar";

/// Every place on the way of a rotation that succeeds, in order, and what is there at the end
/// where it dies: whether the rotation was recorded before.
const PLACES: [(&str, bool); 13] = [
    ("intent written", false),
    ("before lookup", false),
    ("after lookup", false),
    ("before create", false),
    ("after create", false),
    ("token made", false),
    ("rotation about to be written", false),
    ("rotation written", true),
    ("before revoke", true),
    ("after revoke", true),
    ("old token revoked", true),
    ("revocation about to be recorded", true),
    ("revocation recorded", true),
];

/// The places on the way back, where the new token cannot be written down.
const BACK: [&str; 6] = [
    "undoing",
    "before revoke",
    "after revoke",
    "new token revoked",
    "failure about to be recorded",
    "failure recorded",
];

#[tokio::test]
async fn on_sqlite_exactly_one_token_works() {
    every_death(Engine::Sqlite).await;
}

#[tokio::test]
async fn on_postgres_exactly_one_token_works() {
    every_death(Engine::Postgres).await;
}

/// Protects the lists above from missing a place.
#[tokio::test]
async fn the_places_are_all_that_there_are() {
    let bench = Bench::new(Engine::Sqlite).await;
    customer(&bench).await.unwrap();
    assert_eq!(bench.desk.deaths.seen(), PLACES.map(|(place, _)| place));
    let bench = Bench::new(Engine::Sqlite).await;
    bench.refuse_rows("%.rotated").await;
    customer(&bench).await.unwrap_err();
    let seen = bench.desk.deaths.seen();
    assert_eq!(seen[6..], BACK, "{seen:?}");
}

async fn customer(bench: &Bench) -> Step<Rotated> {
    bench.self_service("cedar-owner", SECRET, &Ask::default()).await
}

async fn every_death(engine: Engine) {
    for (place, recorded) in PLACES {
        // Also where the vault is down for a while after.
        for vault in [Mood::Well, Mood::Down] {
            let bench = Bench::new(engine).await;
            bench.desk.deaths.die_at(place);
            assert!(bench.desk.deaths.until_dead(customer(&bench)).await, "{place}");
            afterwards(&bench, &format!("{place}, vault {vault:?}"), recorded, vault).await;
        }
    }
    for place in BACK {
        let bench = Bench::new(engine).await;
        bench.refuse_rows("%.rotated").await;
        bench.desk.deaths.die_at(place);
        assert!(bench.desk.deaths.until_dead(customer(&bench)).await, "{place}");
        bench.take_rows_again().await;
        afterwards(&bench, &format!("on the way back, {place}"), false, Mood::Well).await;
    }
    under_an_impersonation(engine).await;
}

/// What a fresh desk makes of it.
async fn afterwards(bench: &Bench, context: &str, recorded: bool, vault: Mood) {
    let old = old_token(bench);
    // What was cut off is undone by the database a moment later.
    bench.quiet().await;
    let fresh = Bench::open(&bench.url, bench.folder(), bench.now(), 77).await;
    fresh.vault.set(vault);
    settle(&fresh).await;
    if vault == Mood::Down && !recorded {
        assert!(works(&fresh, &old).await, "{context}: nobody is left without a token");
    }
    fresh.vault.set(Mood::Well);
    settle(&fresh).await;

    assert_eq!(working(&fresh).await, 1, "{context}: exactly one token works");
    assert_eq!(works(&fresh, &old).await, !recorded, "{context}");
    let versions = fresh.versions(SECRET).await;
    assert_eq!(versions.len(), if recorded { 2 } else { 1 }, "{context}");
    let live: Vec<_> = versions.iter().filter(|v| v.state == VersionState::Live).collect();
    assert_eq!(live.len(), 1, "{context}");
    let accessor = live[0].reference.as_ref().unwrap();
    fresh.vault.lookup(accessor).await.unwrap_or_else(|e| panic!("{context}: {e}"));
    assert!(versions.iter().all(|v| v.state != VersionState::Retiring), "{context}: owed no more");
    // Each thing that happened is in the log, once.
    let mut expected = if recorded {
        vec!["vault_token.rotated", "vault_token.old_revoked"]
    } else {
        vec!["vault_token.rotation_failed"]
    };
    assert_eq!(fresh.actions("cedar").await, expected, "{context}");
    fresh.verify_all().await.unwrap();

    // And the procedure goes on.
    customer(&fresh).await.unwrap_or_else(|e| panic!("{context}: {e}"));
    expected.extend(["vault_token.rotated", "vault_token.old_revoked"]);
    assert_eq!(fresh.actions("cedar").await, expected, "{context}");
    assert_eq!(working(&fresh).await, 1, "{context}");
    fresh.desk.store.close().await;
    bench.desk.store.close().await;
}

/// Time passes, and what is owed is done.
async fn settle(bench: &Bench) {
    for _ in 0..3 {
        bench.clock.advance(6 * time::MINUTE);
        bench.desk.clear_vault_intents().await.unwrap();
        bench.desk.send_due().await.unwrap();
    }
}

/// The same, with the trail of an impersonation that expires meanwhile.
async fn under_an_impersonation(engine: Engine) {
    for (place, recorded) in [("after create", false), ("before revoke", true)] {
        let bench = Bench::new(engine).await;
        let ada = bench.at_work(ADA).await;
        let grant = bench.impersonate(&ada, "NOV-4803").await.unwrap();
        bench.desk.deaths.die_at(place);
        let caller = Caller::Token(bench.token(&grant));
        let ask = Ask::default();
        let rotation = bench.rotate_as(&caller, SECRET, &ask);
        assert!(bench.desk.deaths.until_dead(rotation).await, "{place}");
        let old = old_token(&bench);
        bench.quiet().await;
        let fresh = Bench::open(&bench.url, bench.folder(), bench.now(), 78).await;
        settle(&fresh).await;
        fresh.desk.sweep().await.unwrap();
        assert_eq!(working(&fresh).await, 1, "{place}");
        assert_eq!(works(&fresh, &old).await, !recorded, "{place}");
        if recorded {
            // The sealed message is there, and is sent although the impersonation has expired.
            let ada = fresh.at_work(ADA).await;
            fresh.hand_off(&ada, &grant.id).await.unwrap();
        } else {
            let row = fresh.rows_of("cedar", "vault_token.rotation_failed").await.pop().unwrap();
            assert_eq!(row.detail_str("after_impersonation"), Some(grant.id.as_str()));
        }
        let verdict = fresh.verdict(&grant.id).await.verdict;
        assert!(!matches!(verdict, Verdict::Mismatch | Verdict::Tampered), "{place}: {verdict:?}");
        fresh.verify_all().await.unwrap();
    }
}
