//! The tokens of the embedded vault. Every function fails where the database does not answer.

use sqlx::{AnyConnection, FromRow};

use super::{Result, Tx};
use crate::model::Micros;

/// A token, by its hash.
#[derive(Clone, PartialEq, Eq, FromRow)]
pub struct VaultToken {
    /// By what it is known.
    pub accessor: String,
    /// SHA-256 of the token, in hexadecimal.
    pub token_hash: String,
    /// A JSON array of policies.
    pub policies: String,
    /// The period, in seconds; 0 where it is not periodic.
    pub period_seconds: i64,
    /// For how long it was made, in seconds.
    pub ttl_seconds: i64,
    /// The longest it may ever live, in seconds; 0 for no such limit.
    pub explicit_max_ttl_seconds: i64,
    /// Whether it can be renewed, 0 or 1.
    pub renewable: i64,
    /// What it is called.
    pub display_name: String,
    /// The rotation that made it.
    pub rotation_id: Option<String>,
    /// When it was made.
    pub created_at: Micros,
    /// When it expires unless it is renewed.
    pub expires_at: Micros,
    /// When it was revoked.
    pub revoked_at: Option<Micros>,
}

// The hash says nothing in a log.
impl std::fmt::Debug for VaultToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VaultToken").field("accessor", &self.accessor).finish_non_exhaustive()
    }
}

const COLUMNS: &str = "SELECT accessor, token_hash, policies, period_seconds, ttl_seconds, explicit_max_ttl_seconds, \
     renewable, display_name, rotation_id, created_at, expires_at, revoked_at FROM vault_token";

fn live(rest: &str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE revoked_at IS NULL AND {rest}"))
}

/// Adds a token.
pub async fn insert(conn: &mut AnyConnection, t: &VaultToken) -> Result<()> {
    sqlx::query(
        "INSERT INTO vault_token (accessor, token_hash, policies, period_seconds, ttl_seconds, \
         explicit_max_ttl_seconds, renewable, display_name, rotation_id, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(&t.accessor)
    .bind(&t.token_hash)
    .bind(&t.policies)
    .bind(t.period_seconds)
    .bind(t.ttl_seconds)
    .bind(t.explicit_max_ttl_seconds)
    .bind(t.renewable)
    .bind(&t.display_name)
    .bind(t.rotation_id.as_deref())
    .bind(t.created_at)
    .bind(t.expires_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// The token with this accessor, if it works at `now`.
pub async fn by_accessor(
    conn: &mut AnyConnection,
    accessor: &str,
    now: Micros,
) -> Result<Option<VaultToken>> {
    Ok(sqlx::query_as(live("accessor = $1 AND expires_at > $2"))
        .bind(accessor)
        .bind(now)
        .fetch_optional(conn)
        .await?)
}

/// The token with this hash, if it works at `now`.
pub async fn by_hash(
    conn: &mut AnyConnection,
    hash: &str,
    now: Micros,
) -> Result<Option<VaultToken>> {
    Ok(sqlx::query_as(live("token_hash = $1 AND expires_at > $2"))
        .bind(hash)
        .bind(now)
        .fetch_optional(conn)
        .await?)
}

/// The accessors of the tokens of a rotation that work at `now`.
pub async fn of_rotation(
    conn: &mut AnyConnection,
    rotation_id: &str,
    now: Micros,
) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(
        "SELECT accessor FROM vault_token WHERE rotation_id = $1 AND revoked_at IS NULL AND expires_at > $2",
    )
    .bind(rotation_id)
    .bind(now)
    .fetch_all(conn)
    .await?)
}

/// Revokes the token with this accessor, if it is there and was not revoked before.
pub async fn revoke(tx: &mut Tx, accessor: &str, now: Micros) -> Result<()> {
    sqlx::query(
        "UPDATE vault_token SET revoked_at = $2 WHERE accessor = $1 AND revoked_at IS NULL",
    )
    .bind(accessor)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Lets a token live until `expires_at`, if it still works at `now`; false where it does not.
pub async fn renew(tx: &mut Tx, accessor: &str, expires_at: Micros, now: Micros) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE vault_token SET expires_at = $2 WHERE accessor = $1 AND revoked_at IS NULL AND expires_at > $3",
    )
    .bind(accessor)
    .bind(expires_at)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}
