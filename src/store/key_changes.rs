//! Changes of the Owner's key on file. Every function fails where the database does not answer.

use sqlx::{AnyConnection, FromRow};

use super::{Result, Tx};
use crate::model::{KeyChangeState, Micros};

/// Another key for the Owner, from when it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct KeyChange {
    /// Id.
    pub id: String,
    /// The org.
    pub org_id: String,
    /// The key, ASCII-armored.
    pub new_key: String,
    /// Its full fingerprint.
    pub fingerprint: String,
    /// The platform admin who asked.
    pub asked_by: String,
    /// When.
    pub asked_at: Micros,
    /// From when on it is used, unless somebody says no before.
    pub effective_at: Micros,
    /// What has become of it.
    #[sqlx(try_from = "String")]
    pub state: KeyChangeState,
    /// When that was decided.
    pub decided_at: Option<Micros>,
}

const COLUMNS: &str = "SELECT id, org_id, new_key, fingerprint, asked_by, asked_at, effective_at, state, decided_at \
     FROM pgp_key_change";

fn select(rest: &str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!("{COLUMNS} {rest}"))
}

/// Records a change that waits, with the hash of the link to object. The unique index refuses a
/// second one for the org.
pub async fn insert(tx: &mut Tx, change: &KeyChange, object_hash: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO pgp_key_change (id, org_id, new_key, fingerprint, asked_by, asked_at, effective_at, \
         object_hash, state) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(&change.id)
    .bind(&change.org_id)
    .bind(&change.new_key)
    .bind(&change.fingerprint)
    .bind(&change.asked_by)
    .bind(change.asked_at)
    .bind(change.effective_at)
    .bind(object_hash)
    .bind(change.state.as_str())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The change with this id.
pub async fn by_id(conn: &mut AnyConnection, id: &str) -> Result<Option<KeyChange>> {
    Ok(sqlx::query_as(select("WHERE id = $1")).bind(id).fetch_optional(conn).await?)
}

/// The change whose link to object has this hash.
pub async fn by_link(conn: &mut AnyConnection, hash: &str) -> Result<Option<KeyChange>> {
    Ok(sqlx::query_as(select("WHERE object_hash = $1")).bind(hash).fetch_optional(conn).await?)
}

/// The change that waits for an org.
pub async fn waiting(conn: &mut AnyConnection, org_id: &str) -> Result<Option<KeyChange>> {
    Ok(sqlx::query_as(select("WHERE org_id = $1 AND state = 'waiting'"))
        .bind(org_id)
        .fetch_optional(conn)
        .await?)
}

/// The newest change of an org that is over.
pub async fn newest_decided(conn: &mut AnyConnection, org_id: &str) -> Result<Option<KeyChange>> {
    Ok(sqlx::query_as(select(
        "WHERE org_id = $1 AND state <> 'waiting' ORDER BY asked_at DESC, id DESC LIMIT 1",
    ))
    .bind(org_id)
    .fetch_optional(conn)
    .await?)
}

/// The newest change of an org whose key came into use.
pub async fn newest_applied(conn: &mut AnyConnection, org_id: &str) -> Result<Option<KeyChange>> {
    Ok(sqlx::query_as(select(
        "WHERE org_id = $1 AND state = 'applied' ORDER BY asked_at DESC, id DESC LIMIT 1",
    ))
    .bind(org_id)
    .fetch_optional(conn)
    .await?)
}

/// The changes that are due, oldest first.
pub async fn due(conn: &mut AnyConnection, now: Micros) -> Result<Vec<KeyChange>> {
    Ok(sqlx::query_as(select(
        "WHERE state = 'waiting' AND effective_at <= $1 ORDER BY effective_at",
    ))
    .bind(now)
    .fetch_all(conn)
    .await?)
}

/// Decides a change that waits; true for whoever is first.
pub async fn decide(tx: &mut Tx, id: &str, state: KeyChangeState, now: Micros) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE pgp_key_change SET state = $2, decided_at = $3 WHERE id = $1 AND state = 'waiting'",
    )
    .bind(id)
    .bind(state.as_str())
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}
