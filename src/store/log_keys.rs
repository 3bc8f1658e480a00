//! The keys that signed the logs' checkpoints. Every function fails where the database does not
//! answer.

use sqlx::{AnyConnection, FromRow};

use super::{Result, Tx};
use crate::model::Micros;

/// One key.
#[derive(Clone, PartialEq, Eq, FromRow)]
pub struct LogSigningKey {
    /// Its place in the row of keys, from 0.
    pub number: i64,
    /// The public key, as a C2SP verifier key.
    pub vkey: String,
    /// The key-encryption key that its seed is sealed with.
    pub kek_id: Option<String>,
    /// Its seed, sealed; erased when it is retired.
    pub sealed: Option<Vec<u8>>,
    /// The note in which the key before it names it as its successor.
    pub endorsement: Option<String>,
    /// When it began to sign.
    pub created_at: Micros,
    /// When it ceased to.
    pub retired_at: Option<Micros>,
}

impl std::fmt::Debug for LogSigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogSigningKey").field("vkey", &self.vkey).finish_non_exhaustive()
    }
}

/// Every key, the oldest first; none where the first was never rotated.
pub async fn all(conn: &mut AnyConnection) -> Result<Vec<LogSigningKey>> {
    Ok(sqlx::query_as(
        "SELECT number, vkey, kek_id, sealed, endorsement, created_at, retired_at \
         FROM log_signing_key ORDER BY number",
    )
    .fetch_all(conn)
    .await?)
}

/// The number of the newest key.
pub async fn newest(conn: &mut AnyConnection) -> Result<Option<i64>> {
    Ok(sqlx::query_scalar("SELECT MAX(number) FROM log_signing_key").fetch_one(conn).await?)
}

/// Adds a key.
pub async fn insert(tx: &mut Tx, key: &LogSigningKey) -> Result<()> {
    sqlx::query(
        "INSERT INTO log_signing_key (number, vkey, kek_id, sealed, endorsement, created_at, retired_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(key.number)
    .bind(&key.vkey)
    .bind(key.kek_id.as_deref())
    .bind(key.sealed.as_deref())
    .bind(key.endorsement.as_deref())
    .bind(key.created_at)
    .bind(key.retired_at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Retires a key: its private half is erased, its public one stays.
pub async fn retire(tx: &mut Tx, number: i64, at: Micros) -> Result<()> {
    sqlx::query(
        "UPDATE log_signing_key SET retired_at = $2, kek_id = NULL, sealed = NULL WHERE number = $1",
    )
    .bind(number)
    .bind(at)
    .execute(tx.conn())
    .await?;
    Ok(())
}
