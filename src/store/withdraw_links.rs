//! Links with which the Owner withdraws consent. Every function fails where the database does not
//! answer.

use sqlx::{AnyConnection, FromRow};

use super::{Result, Tx};
use crate::model::Micros;

/// A link that lets the Owner withdraw consent.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct WithdrawLink {
    /// The org.
    pub org_id: String,
    /// The impersonation that its mail was about.
    pub impersonation_id: String,
    /// Who was Owner of record then.
    pub owner_id: String,
    /// Where the link went.
    pub address: String,
    /// When it was made.
    pub created_at: Micros,
    /// Until when it works.
    pub expires_at: Micros,
    /// When it was used, or consent was withdrawn otherwise.
    pub used_at: Option<Micros>,
}

/// Records a link by its hash.
pub async fn insert(tx: &mut Tx, link: &WithdrawLink, hash: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO withdraw_link (hash, org_id, impersonation_id, owner_id, address, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(hash)
    .bind(&link.org_id)
    .bind(&link.impersonation_id)
    .bind(&link.owner_id)
    .bind(&link.address)
    .bind(link.created_at)
    .bind(link.expires_at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The link with this hash.
pub async fn by_hash(conn: &mut AnyConnection, hash: &str) -> Result<Option<WithdrawLink>> {
    Ok(sqlx::query_as(
        "SELECT org_id, impersonation_id, owner_id, address, created_at, expires_at, used_at \
         FROM withdraw_link WHERE hash = $1",
    )
    .bind(hash)
    .fetch_optional(conn)
    .await?)
}

/// Uses every link of an org up: what they are for is done.
pub async fn void(tx: &mut Tx, org_id: &str, now: Micros) -> Result<()> {
    sqlx::query("UPDATE withdraw_link SET used_at = $2 WHERE org_id = $1 AND used_at IS NULL")
        .bind(org_id)
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}
