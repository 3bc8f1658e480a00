//! When the Owners' keys on file expire, as they were read when they were put there: so that a
//! list need not read every key. Every function fails where the database does not answer.

use sqlx::{AnyConnection, FromRow};

use super::{Result, Tx};
use crate::model::Micros;

/// When the key of an org's Owner expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyExpiry {
    /// The org.
    pub org_id: String,
    /// Since when that key is on file; 0 where it is not known.
    pub key_since: Micros,
    /// When it expires; absent where it never does, or cannot be read.
    pub expires_at: Option<Micros>,
    /// When it was read.
    pub read_at: Micros,
}

/// A key that was not read since it was put on file.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Unread {
    /// The org.
    pub id: String,
    /// The key, ASCII-armored.
    pub pgp_key: String,
    /// Since when it is on file; 0 where it is not known.
    pub key_since: Micros,
}

/// An org whose Owner's key expires.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Expiring {
    /// The org.
    pub id: String,
    /// Its short name.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// When.
    pub expires_at: Micros,
}

/// Keys that were not read since they were put on file.
pub async fn unread(conn: &mut AnyConnection, limit: i64) -> Result<Vec<Unread>> {
    Ok(sqlx::query_as(
        "SELECT o.id, o.pgp_key, COALESCE(o.pgp_key_since, 0) AS key_since FROM org o \
         WHERE o.pgp_key IS NOT NULL AND NOT EXISTS (SELECT 1 FROM owner_key_expiry k \
           WHERE k.org_id = o.id AND k.key_since = COALESCE(o.pgp_key_since, 0)) \
         ORDER BY o.id LIMIT $1",
    )
    .bind(limit)
    .fetch_all(conn)
    .await?)
}

/// Writes when a key expires.
pub async fn save(tx: &mut Tx, key: &KeyExpiry) -> Result<()> {
    sqlx::query(
        "INSERT INTO owner_key_expiry (org_id, key_since, expires_at, read_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (org_id) DO UPDATE SET key_since = excluded.key_since, expires_at = excluded.expires_at, \
         read_at = excluded.read_at",
    )
    .bind(&key.org_id)
    .bind(key.key_since)
    .bind(key.expires_at)
    .bind(key.read_at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The orgs that are handed to by PGP and whose Owner's key expires before `until` or has expired,
/// the first to expire first.
pub async fn expiring(
    conn: &mut AnyConnection,
    until: Micros,
    limit: i64,
) -> Result<Vec<Expiring>> {
    Ok(sqlx::query_as(
        "SELECT o.id, o.slug, o.name, k.expires_at FROM owner_key_expiry k JOIN org o ON o.id = k.org_id \
         WHERE k.expires_at IS NOT NULL AND k.expires_at < $1 AND o.pgp_key IS NOT NULL AND o.channel = 'pgp' \
         ORDER BY k.expires_at, k.org_id LIMIT $2",
    )
    .bind(until)
    .bind(limit)
    .fetch_all(conn)
    .await?)
}
