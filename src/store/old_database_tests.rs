//! A database that an earlier version has left: what was on its way then still is.

use std::borrow::Cow;

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use super::outbox::{self, Stands};
use super::{Engine, MIGRATIONS, Store, handoffs};
use crate::model::HandoffState;
use crate::testing::postgres;

/// A database as the versions up to this one left it.
async fn as_of(url: &str, newest: i64) -> Store {
    let store = Store::open_existing(url, 2).await.unwrap();
    let list = MIGRATIONS
        .iter()
        .filter(|(version, ..)| *version <= newest)
        .map(|&(version, name, sqlite, postgres)| {
            let sql = if store.engine() == Engine::Sqlite { sqlite } else { postgres };
            let (name, kind) = (Cow::Borrowed(name), MigrationType::Simple);
            Migration::new(version, name, kind, sql.into_sql_str(), false)
        })
        .collect();
    let mut conn = store.read().await.unwrap();
    Migrator::with_migrations(list).run(&mut *conn).await.unwrap();
    drop(conn);
    store
}

const STORY: &str = "
INSERT INTO staff (id, email, name, role, password_hash, created_at) VALUES ('s', 's@p.example', 'S', 'platform_admin', 'x', 1);
INSERT INTO org (id, slug, name, allow_platform_impersonation, created_at) VALUES ('o', 'o', 'O', 1, 1);
INSERT INTO member (id, org_id, email, name, role, standing, role_since) VALUES ('m', 'o', 'm@o.example', 'M', 'owner', 'active', 1);
INSERT INTO secret (id, org_id, secret_type, label, target, version, created_at) VALUES ('w', 'o', 'webhook_signing_key', 'w', '', 1, 1);
INSERT INTO ticket (id, org_id, subject, state, requester_name, suspected_leak, filed_at) VALUES ('NOV-1', 'o', 't', 'open', 'M', 0, 1);
";

/// A handoff as it was kept, and the mails about it: when each was done.
async fn plant(store: &Store, (n, channel, state): (i64, &str, &str), mails: &[Option<i64>]) {
    let sent = if state == "sealed" { "NULL" } else { "50" };
    let mut sql = format!(
        "INSERT INTO impersonation (id, admin_id, org_id, ticket_id, owner_id, secret_type, secret_id, reason, scope, \
         started_at, expires_at, ended_at) VALUES ('i{n}', 's', 'o', 'NOV-1', 'm', 'webhook_signing_key', 'w', 'r', 's', 1, 90, 60);
         INSERT INTO rotation (id, org_id, secret_id, from_version, to_version, impersonation_id, actor_id, suspected_leak, \
         overlap_seconds, asked, created_at) VALUES ('r{n}', 'o', 'w', {n}, {n} + 1, 'i{n}', 's', 0, 60, '', 40);
         INSERT INTO handoff (id, rotation_id, impersonation_id, org_id, channel, recipient, recipient_key, message, state, \
         created_at, sent_at, ack_hash) VALUES ('h{n}', 'r{n}', 'i{n}', 'o', '{channel}', 'm@o.example', 'K', 'ciphertext', \
         '{state}', 40, {sent}, 'hash{n}');"
    );
    for (nth, done) in mails.iter().enumerate() {
        let done = done.map_or("NULL".to_owned(), |at| at.to_string());
        sql += &format!(
            "INSERT INTO outbox (id, kind, recipient, about, kek_id, created_at, attempts, next_at, done_at) \
             VALUES ('x{n}-{nth}', 'mail', 'm@o.example', 'h{n}', 'k', 50, 3, 60, {done});"
        );
    }
    run(store, &sql).await;
}

async fn run(store: &Store, sql: &str) {
    let mut conn = store.read().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut *conn).await.unwrap();
}

async fn what_was_on_its_way_still_is(url: &str) {
    let old = as_of(url, 25).await;
    run(&old, STORY).await;
    plant(&old, (1, "pgp", "sealed"), &[]).await;
    plant(&old, (2, "pgp", "sent"), &[Some(55)]).await;
    plant(&old, (3, "pgp", "sent"), &[None]).await;
    plant(&old, (4, "pgp", "sent"), &[Some(55), None]).await;
    plant(&old, (5, "pgp", "acknowledged"), &[Some(55)]).await;
    plant(&old, (6, "one_password", "sent"), &[]).await;
    plant(&old, (7, "one_password", "sent"), &[]).await;
    run(&old, "UPDATE handoff SET delivered_at = 58, item_id = 'item' WHERE id = 'h7'").await;
    old.close().await;

    let new = Store::connect(url, 2).await.unwrap();
    let mut conn = new.read().await.unwrap();
    for (id, state, queued_at, sent_at) in [
        ("h1", HandoffState::Sealed, None, None),
        ("h2", HandoffState::Sent, Some(50), Some(50)),
        ("h3", HandoffState::Queued, Some(50), None),
        ("h4", HandoffState::Sent, Some(50), Some(50)),
        ("h5", HandoffState::Acknowledged, Some(50), Some(50)),
        ("h6", HandoffState::Queued, Some(50), None),
        ("h7", HandoffState::Sent, Some(50), Some(50)),
    ] {
        let found = handoffs::by_id(&mut conn, id).await.unwrap().unwrap();
        assert_eq!(
            (found.state, found.queued_at, found.sent_at),
            (state, queued_at, sent_at),
            "{id}"
        );
        assert_eq!(found.message, "ciphertext");
        let hash = id.replace('h', "hash");
        assert_eq!(handoffs::by_ack(&mut conn, &hash).await.unwrap(), Some(found));
    }
    let waits = outbox::about(&mut conn, "h3").await.unwrap().remove(0);
    assert_eq!((waits.stands(), waits.failing_since), (Stands::Waits, Some(50)));
    let done = outbox::about(&mut conn, "h2").await.unwrap().remove(0);
    assert_eq!((done.stands(), done.taken_at()), (Stands::Taken, Some(55)));
    drop(conn);
    // The list of states is kept on the new table, too.
    let mut conn = new.read().await.unwrap();
    let odd = sqlx::raw_sql("UPDATE handoff SET state = 'lost' WHERE id = 'h1'");
    assert!(odd.execute(&mut *conn).await.is_err());
}

#[tokio::test]
async fn sqlite() {
    let folder = tempfile::tempdir().unwrap();
    what_was_on_its_way_still_is(&Store::sqlite_in(folder.path())).await;
}

#[tokio::test]
async fn postgres() {
    what_was_on_its_way_still_is(&postgres::database_in_words_order().await).await;
}
