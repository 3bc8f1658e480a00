//! Rotations that are under way in a vault. Every function fails where the database does not
//! answer.

use sqlx::{AnyConnection, FromRow};

use super::{Result, Tx};
use crate::model::Micros;

/// What is about to be done in a vault, or was.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Intent {
    /// The id that the rotation has, or would have had.
    pub id: String,
    /// The org.
    pub org_id: String,
    /// The secret.
    pub secret_id: String,
    /// The version that is to be replaced.
    pub from_version: i64,
    /// The impersonation it is made under; absent in self-service.
    pub impersonation_id: Option<String>,
    /// Who does it.
    pub actor_id: String,
    /// Who sent the `Idempotency-Key`.
    pub idempotency_by: Option<String>,
    /// The `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// A digest of what was asked.
    pub asked: String,
    /// The accessor of the token that is to be replaced.
    pub old_accessor: String,
    /// The accessor of the new token, where it is known.
    pub new_accessor: Option<String>,
    /// `intended`, `undoing`, `done` or `failed`.
    pub state: String,
    /// After this nothing is asked of the vault any more for it.
    pub deadline: Micros,
    /// When somebody else may clear it up.
    pub clear_at: Micros,
    /// Why clearing up has not succeeded yet.
    pub last_error: Option<String>,
    /// When it was written.
    pub created_at: Micros,
}

const COLUMNS: &str = "SELECT id, org_id, secret_id, from_version, impersonation_id, actor_id, idempotency_by, \
     idempotency_key, asked, old_accessor, new_accessor, state, deadline, clear_at, last_error, created_at \
     FROM vault_intent";

fn select(rest: &str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!("{COLUMNS} {rest}"))
}

/// Writes an intent, `intended`. There is one open intent for a secret at most.
pub async fn insert(tx: &mut Tx, i: &Intent) -> Result<()> {
    sqlx::query(
        "INSERT INTO vault_intent (id, org_id, secret_id, from_version, impersonation_id, actor_id, idempotency_by, \
         idempotency_key, asked, old_accessor, state, deadline, clear_at, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'intended', $11, $12, $13)",
    )
    .bind(&i.id)
    .bind(&i.org_id)
    .bind(&i.secret_id)
    .bind(i.from_version)
    .bind(i.impersonation_id.as_deref())
    .bind(&i.actor_id)
    .bind(i.idempotency_by.as_deref())
    .bind(i.idempotency_key.as_deref())
    .bind(&i.asked)
    .bind(&i.old_accessor)
    .bind(i.deadline)
    .bind(i.clear_at)
    .bind(i.created_at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The intent with this id.
pub async fn by_id(conn: &mut AnyConnection, id: &str) -> Result<Option<Intent>> {
    Ok(sqlx::query_as(select("WHERE id = $1")).bind(id).fetch_optional(conn).await?)
}

/// The open intent of a secret.
pub async fn open_of(conn: &mut AnyConnection, secret_id: &str) -> Result<Option<Intent>> {
    Ok(sqlx::query_as(select("WHERE secret_id = $1 AND state IN ('intended', 'undoing')"))
        .bind(secret_id)
        .fetch_optional(conn)
        .await?)
}

/// The open intents that may be cleared up at `now`, oldest first.
pub async fn to_clear(conn: &mut AnyConnection, now: Micros, limit: i64) -> Result<Vec<Intent>> {
    Ok(sqlx::query_as(select(
        "WHERE state IN ('intended', 'undoing') AND clear_at <= $1 ORDER BY clear_at, id LIMIT $2",
    ))
    .bind(now)
    .bind(limit)
    .fetch_all(conn)
    .await?)
}

/// Records that the rotation is written; false where the intent is not `intended` any more.
pub async fn done(tx: &mut Tx, id: &str, new_accessor: &str) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE vault_intent SET state = 'done', new_accessor = $2 WHERE id = $1 AND state = 'intended'",
    )
    .bind(id)
    .bind(new_accessor)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Records that it is to be undone, and when others may try; false where it is done or has failed
/// already, or where somebody else undoes it: `seen` is when it could be cleared up before.
pub async fn undo(
    tx: &mut Tx,
    id: &str,
    new_accessor: Option<&str>,
    seen: Micros,
    clear_at: Micros,
) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE vault_intent SET state = 'undoing', new_accessor = COALESCE(new_accessor, $2), clear_at = $3 \
         WHERE id = $1 AND state IN ('intended', 'undoing') AND clear_at = $4",
    )
    .bind(id)
    .bind(new_accessor)
    .bind(clear_at)
    .bind(seen)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Records that nothing is left of it; false where that was recorded before, or it is done.
pub async fn failed(tx: &mut Tx, id: &str) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE vault_intent SET state = 'failed', last_error = NULL \
         WHERE id = $1 AND state IN ('intended', 'undoing')",
    )
    .bind(id)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes why it is still open.
pub async fn note(conn: &mut AnyConnection, id: &str, why: &str) -> Result<()> {
    sqlx::query("UPDATE vault_intent SET last_error = $2 WHERE id = $1")
        .bind(id)
        .bind(why)
        .execute(conn)
        .await?;
    Ok(())
}
