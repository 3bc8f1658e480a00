//! Consent without an end: whether it was confirmed, and the links with which the Owner answers.
//! Every function fails where the database does not answer.

use sqlx::{AnyConnection, FromRow};

use crate::model::Micros;
use crate::store::{Result, Tx};

/// A link that lets the Owner keep consent or withdraw it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ConsentReminder {
    /// The org.
    pub org_id: String,
    /// Who was Owner of record then.
    pub owner_id: String,
    /// Where the link went.
    pub address: String,
    /// When it was made.
    pub created_at: Micros,
    /// Until when it works.
    pub expires_at: Micros,
    /// When it was used, or consent was decided otherwise.
    pub used_at: Option<Micros>,
}

/// The orgs whose consent has no end, was last given or confirmed at `before` or earlier, and that
/// were not asked about it since.
pub async fn due(conn: &mut AnyConnection, before: Micros, limit: i64) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(
        "SELECT id FROM org WHERE allow_platform_impersonation = 1 AND consent_ticket IS NULL \
         AND consent_reminded_at IS NULL AND COALESCE(consent_confirmed_at, consent_changed_at, 0) <= $1 \
         ORDER BY COALESCE(consent_confirmed_at, consent_changed_at, 0), id LIMIT $2",
    )
    .bind(before)
    .bind(limit)
    .fetch_all(conn)
    .await?)
}

/// Notes since when the Owner is asked; `None` where nothing is asked any more, or anew.
pub async fn set_reminded(tx: &mut Tx, org_id: &str, at: Option<Micros>) -> Result<()> {
    sqlx::query("UPDATE org SET consent_reminded_at = $2 WHERE id = $1")
        .bind(org_id)
        .bind(at)
        .execute(tx.conn())
        .await?;
    void(tx, org_id, at.unwrap_or_default()).await
}

/// Notes that the Owner has said that consent stands.
pub async fn set_confirmed(tx: &mut Tx, org_id: &str, now: Micros) -> Result<()> {
    sqlx::query(
        "UPDATE org SET consent_confirmed_at = $2, consent_reminded_at = NULL WHERE id = $1",
    )
    .bind(org_id)
    .bind(now)
    .execute(tx.conn())
    .await?;
    void(tx, org_id, now).await
}

/// Records a link by its hash.
pub async fn insert(tx: &mut Tx, link: &ConsentReminder, hash: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO consent_reminder (hash, org_id, owner_id, address, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(hash)
    .bind(&link.org_id)
    .bind(&link.owner_id)
    .bind(&link.address)
    .bind(link.created_at)
    .bind(link.expires_at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The link with this hash.
pub async fn by_hash(conn: &mut AnyConnection, hash: &str) -> Result<Option<ConsentReminder>> {
    Ok(sqlx::query_as(
        "SELECT org_id, owner_id, address, created_at, expires_at, used_at FROM consent_reminder WHERE hash = $1",
    )
    .bind(hash)
    .fetch_optional(conn)
    .await?)
}

/// Uses every link of an org up: what they ask is answered.
pub async fn void(tx: &mut Tx, org_id: &str, now: Micros) -> Result<()> {
    sqlx::query("UPDATE consent_reminder SET used_at = $2 WHERE org_id = $1 AND used_at IS NULL")
        .bind(org_id)
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}
