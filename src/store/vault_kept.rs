//! New vault tokens that are renewed until the Owner has them. Every function fails where the
//! database does not answer.

use sqlx::{AnyConnection, FromRow};

use super::{Result, Tx};
use crate::model::Micros;

/// A token that is kept alive, or was.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Kept {
    /// The rotation that made it.
    pub rotation_id: String,
    /// The org.
    pub org_id: String,
    /// The secret.
    pub secret_id: String,
    /// The version that it is.
    pub version: i64,
    /// The impersonation it was made under.
    pub impersonation_id: String,
    /// Its ticket.
    pub ticket_ref: String,
    /// By what the vault knows it.
    pub accessor: String,
    /// When it expires unless it is renewed, by what the vault said last.
    pub expires_at: Micros,
    /// Whether it can be renewed, 0 or 1.
    pub renewable: i64,
    /// Until when it is renewed here, at the longest.
    pub keep_until: Micros,
    /// `kept`, `released` or `expired`.
    pub state: String,
    /// When it is looked after next.
    pub next_at: Micros,
    /// Why it could not be renewed the last time.
    pub last_error: Option<String>,
}

const COLUMNS: &str = "SELECT rotation_id, org_id, secret_id, version, impersonation_id, ticket_ref, accessor, \
     expires_at, renewable, keep_until, state, next_at, last_error FROM vault_kept";

fn select(rest: &str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!("{COLUMNS} {rest}"))
}

/// Writes one, `kept`.
pub async fn insert(tx: &mut Tx, k: &Kept) -> Result<()> {
    sqlx::query(
        "INSERT INTO vault_kept (rotation_id, org_id, secret_id, version, impersonation_id, ticket_ref, accessor, \
         expires_at, renewable, keep_until, state, next_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'kept', $11)",
    )
    .bind(&k.rotation_id)
    .bind(&k.org_id)
    .bind(&k.secret_id)
    .bind(k.version)
    .bind(&k.impersonation_id)
    .bind(&k.ticket_ref)
    .bind(&k.accessor)
    .bind(k.expires_at)
    .bind(k.renewable)
    .bind(k.keep_until)
    .bind(k.next_at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The one that a rotation made.
pub async fn of_rotation(conn: &mut AnyConnection, rotation_id: &str) -> Result<Option<Kept>> {
    Ok(sqlx::query_as(select("WHERE rotation_id = $1"))
        .bind(rotation_id)
        .fetch_optional(conn)
        .await?)
}

/// The one that a version of a secret is.
pub async fn of_version(
    conn: &mut AnyConnection,
    secret_id: &str,
    version: i64,
) -> Result<Option<Kept>> {
    Ok(sqlx::query_as(select("WHERE secret_id = $1 AND version = $2"))
        .bind(secret_id)
        .bind(version)
        .fetch_optional(conn)
        .await?)
}

/// Those to be looked after at `now`, oldest first.
pub async fn due(conn: &mut AnyConnection, now: Micros, limit: i64) -> Result<Vec<Kept>> {
    Ok(sqlx::query_as(select(
        "WHERE state = 'kept' AND next_at <= $1 ORDER BY next_at, rotation_id LIMIT $2",
    ))
    .bind(now)
    .bind(limit)
    .fetch_all(conn)
    .await?)
}

/// Takes one until `until`; false where somebody else has, or it is kept no more.
pub async fn take(conn: &mut AnyConnection, k: &Kept, until: Micros) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE vault_kept SET next_at = $2 WHERE rotation_id = $1 AND state = 'kept' AND next_at = $3",
    )
    .bind(&k.rotation_id)
    .bind(until)
    .bind(k.next_at)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes until when it lives, or why it could not be renewed.
pub async fn note(
    conn: &mut AnyConnection,
    rotation_id: &str,
    expires_at: Micros,
    next_at: Micros,
    last_error: Option<&str>,
) -> Result<()> {
    sqlx::query(
        "UPDATE vault_kept SET expires_at = $2, next_at = $3, last_error = $4 WHERE rotation_id = $1",
    )
    .bind(rotation_id)
    .bind(expires_at)
    .bind(next_at)
    .bind(last_error)
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends the keeping, `released` or `expired`; false where it has ended before.
pub async fn end(tx: &mut Tx, rotation_id: &str, state: &str) -> Result<bool> {
    let done =
        sqlx::query("UPDATE vault_kept SET state = $2 WHERE rotation_id = $1 AND state = 'kept'")
            .bind(rotation_id)
            .bind(state)
            .execute(tx.conn())
            .await?;
    Ok(done.rows_affected() == 1)
}
