//! Handoffs. Every function fails where the database does not answer.

use sqlx::{AnyConnection, FromRow};

use super::{Result, Tx};
use crate::model::{Channel, HandoffState, Micros};

/// The sealed delivery of a new version to the Owner of record.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Handoff {
    /// Id.
    pub id: String,
    /// The rotation whose value it carries.
    pub rotation_id: String,
    /// The impersonation it was made under.
    pub impersonation_id: String,
    /// The org.
    pub org_id: String,
    /// The channel.
    #[sqlx(try_from = "String")]
    pub channel: Channel,
    /// Where it goes: an address, or a vault's id.
    pub recipient: String,
    /// The key it is encrypted to: a full fingerprint, or the vault's id.
    pub recipient_key: String,
    /// The ciphertext, where the channel takes one; empty otherwise.
    pub message: String,
    /// The key-encryption key that seals the value, for a channel that takes the value itself.
    pub kek_id: Option<String>,
    /// The value, sealed, until the channel has it.
    pub sealed: Option<Vec<u8>>,
    /// How far it has come.
    #[sqlx(try_from = "String")]
    pub state: HandoffState,
    /// When it was sealed.
    pub created_at: Micros,
    /// When it was handed to the channel.
    pub queued_at: Option<Micros>,
    /// When the channel had it.
    pub sent_at: Option<Micros>,
    /// When the item was in the shared vault, or the notice went where there is no item; only for
    /// that channel.
    pub delivered_at: Option<Micros>,
    /// The item there.
    pub item_id: Option<String>,
    /// When the Owner confirmed it.
    pub acknowledged_at: Option<Micros>,
    /// How that is known.
    pub acknowledged_how: Option<String>,
}

impl Handoff {
    /// Whether the Owner cannot have it yet: the item is not in the shared vault.
    #[must_use]
    pub fn awaits_vault(&self) -> bool {
        self.channel == Channel::OnePassword
            && self.queued_at.is_some()
            && self.delivered_at.is_none()
    }
}

const COLUMNS: &str = "SELECT id, rotation_id, impersonation_id, org_id, channel, recipient, recipient_key, message, \
     kek_id, sealed, state, created_at, queued_at, sent_at, delivered_at, item_id, acknowledged_at, acknowledged_how FROM handoff";

fn select(rest: &str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!("{COLUMNS} {rest}"))
}

/// Records a sealed handoff.
pub async fn insert(tx: &mut Tx, h: &Handoff) -> Result<()> {
    sqlx::query(
        "INSERT INTO handoff (id, rotation_id, impersonation_id, org_id, channel, recipient, recipient_key, message, \
         state, created_at, kek_id, sealed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(&h.id)
    .bind(&h.rotation_id)
    .bind(&h.impersonation_id)
    .bind(&h.org_id)
    .bind(h.channel.as_str())
    .bind(&h.recipient)
    .bind(&h.recipient_key)
    .bind(&h.message)
    .bind(h.state.as_str())
    .bind(h.created_at)
    .bind(h.kek_id.as_deref())
    .bind(h.sealed.as_deref())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The handoff with this id.
pub async fn by_id(conn: &mut AnyConnection, id: &str) -> Result<Option<Handoff>> {
    Ok(sqlx::query_as(select("WHERE id = $1")).bind(id).fetch_optional(conn).await?)
}

/// The handoff of an impersonation.
pub async fn of_impersonation(
    conn: &mut AnyConnection,
    impersonation_id: &str,
) -> Result<Option<Handoff>> {
    Ok(sqlx::query_as(select("WHERE impersonation_id = $1"))
        .bind(impersonation_id)
        .fetch_optional(conn)
        .await?)
}

/// The handoff whose acknowledgement link has this hash.
pub async fn by_ack(conn: &mut AnyConnection, hash: &str) -> Result<Option<Handoff>> {
    Ok(sqlx::query_as(select("WHERE ack_hash = $1")).bind(hash).fetch_optional(conn).await?)
}

/// Marks a handoff as given to its channel, with the hash of its acknowledgement link; false where
/// it already was.
pub async fn mark_queued(tx: &mut Tx, id: &str, ack_hash: &str, now: Micros) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE handoff SET state = 'queued', queued_at = $3, ack_hash = $2 WHERE id = $1 AND state = 'sealed'",
    )
    .bind(id)
    .bind(ack_hash)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives a handoff another acknowledgement link: the old one is dead. One that its channel would
/// not take is on its way again. False where it was not handed off, or is acknowledged already.
pub async fn renew_link(tx: &mut Tx, id: &str, ack_hash: &str) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE handoff SET ack_hash = $2, state = CASE WHEN state = 'undelivered' THEN 'queued' ELSE state END \
         WHERE id = $1 AND state IN ('queued', 'sent', 'undelivered')",
    )
    .bind(id)
    .bind(ack_hash)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Marks a handoff that its channel would not take as on its way again.
pub async fn mark_leaving(tx: &mut Tx, id: &str) -> Result<()> {
    sqlx::query("UPDATE handoff SET state = 'queued' WHERE id = $1 AND state = 'undelivered'")
        .bind(id)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Marks a handoff as one that its channel will not take. One that it has taken stays so.
pub async fn mark_undelivered(tx: &mut Tx, id: &str) -> Result<()> {
    sqlx::query("UPDATE handoff SET state = 'undelivered' WHERE id = $1 AND state = 'queued'")
        .bind(id)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Puts the address right that a handoff goes to.
pub async fn set_recipient(tx: &mut Tx, id: &str, recipient: &str) -> Result<()> {
    sqlx::query("UPDATE handoff SET recipient = $2 WHERE id = $1")
        .bind(id)
        .bind(recipient)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Erases the sealed value: another place keeps it from here on.
pub async fn erase_sealed(tx: &mut Tx, id: &str) -> Result<()> {
    sqlx::query("UPDATE handoff SET sealed = NULL, kek_id = NULL WHERE id = $1")
        .bind(id)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Marks a handoff as sent: its channel has it, as this item where it has one. False where that
/// was known already, or it was not handed off.
pub async fn mark_delivered(
    tx: &mut Tx,
    handoff: &Handoff,
    item_id: Option<&str>,
    now: Micros,
) -> Result<bool> {
    let in_vault = (handoff.channel == Channel::OnePassword).then_some(now);
    let done = sqlx::query(
        "UPDATE handoff SET state = 'sent', sent_at = $3, delivered_at = $4, item_id = $2 \
         WHERE id = $1 AND state IN ('queued', 'undelivered')",
    )
    .bind(&handoff.id)
    .bind(item_id)
    .bind(now)
    .bind(in_vault)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Marks a handoff as acknowledged; false where it was not handed off, or is acknowledged already.
pub async fn mark_acknowledged(tx: &mut Tx, id: &str, how: &str, now: Micros) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE handoff SET state = 'acknowledged', acknowledged_at = $3, acknowledged_how = $2, \
         sent_at = COALESCE(sent_at, $3) WHERE id = $1 AND state IN ('queued', 'sent', 'undelivered')",
    )
    .bind(id)
    .bind(how)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}
