//! What auditors' programs read the platform's log with. Every function fails where the database
//! does not answer.

use sqlx::{AnyConnection, FromRow};

use super::{Result, Tx};
use crate::model::Micros;

/// A credential, without what it is known by.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct AuditorCredential {
    /// Id.
    pub id: String,
    /// Whose.
    pub staff_id: String,
    /// When it was given out.
    pub created_at: Micros,
    /// Until when it is good.
    pub expires_at: Micros,
    /// When it was revoked.
    pub revoked_at: Option<Micros>,
}

/// Adds a credential, by its hash.
pub async fn insert(tx: &mut Tx, c: &AuditorCredential, hash: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO auditor_credential (id, staff_id, hash, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(&c.id)
    .bind(&c.staff_id)
    .bind(hash)
    .bind(c.created_at)
    .bind(c.expires_at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The credential of this hash, whether or not it is still good.
pub async fn by_hash(conn: &mut AnyConnection, hash: &str) -> Result<Option<AuditorCredential>> {
    Ok(sqlx::query_as(
        "SELECT id, staff_id, created_at, expires_at, revoked_at FROM auditor_credential WHERE hash = $1",
    )
    .bind(hash)
    .fetch_optional(conn)
    .await?)
}

/// Revokes every credential of a member of staff; how many there were.
pub async fn revoke_of(tx: &mut Tx, staff_id: &str, at: Micros) -> Result<u64> {
    let done = sqlx::query(
        "UPDATE auditor_credential SET revoked_at = $2 WHERE staff_id = $1 AND revoked_at IS NULL",
    )
    .bind(staff_id)
    .bind(at)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected())
}
