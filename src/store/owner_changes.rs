//! Changes of what leads to the Owner, from when they are asked for, and who agreed. Every function
//! fails where the database does not answer.

use sqlx::{AnyConnection, FromRow};

use super::{Result, Tx};
use crate::model::{AgreedHow, Micros, OwnerChangeKind, OwnerChangeState};

/// A change of the Owner's key, of their address, of who they are, or of the channel to them.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct OwnerChange {
    /// Id.
    pub id: String,
    /// The org.
    pub org_id: String,
    /// What changes.
    #[sqlx(try_from = "String")]
    pub kind: OwnerChangeKind,
    /// What is to be on file: an armored key, an address, a member's id, or a channel as JSON.
    pub value: String,
    /// The same in a few words: a fingerprint, a name.
    pub shown: String,
    /// Who asked: a member of staff, or the user of the command line.
    pub asked_by: String,
    /// Their name.
    pub asked_by_name: String,
    /// When.
    pub asked_at: Micros,
    /// Before this it does not take effect, whoever agrees.
    pub earliest_at: Micros,
    /// When the Owner agreed.
    pub agreed_at: Option<Micros>,
    agreed_how: Option<String>,
    /// What has become of it.
    #[sqlx(try_from = "String")]
    pub state: OwnerChangeState,
    /// When that was decided.
    pub decided_at: Option<Micros>,
}

impl OwnerChange {
    /// A change that is asked for now, to which nobody has agreed.
    #[must_use]
    pub fn asked(
        id: String,
        org_id: &str,
        (kind, value, shown): (OwnerChangeKind, String, String),
        (asked_by, asked_by_name): (&str, &str),
        (asked_at, earliest_at): (Micros, Micros),
    ) -> Self {
        Self {
            id,
            org_id: org_id.to_owned(),
            kind,
            value,
            shown,
            asked_by: asked_by.to_owned(),
            asked_by_name: asked_by_name.to_owned(),
            asked_at,
            earliest_at,
            agreed_at: None,
            agreed_how: None,
            state: OwnerChangeState::Waiting,
            decided_at: None,
        }
    }

    /// How the Owner agreed. What does not read as a way is none.
    #[must_use]
    pub fn agreed_how(&self) -> Option<AgreedHow> {
        self.agreed_at?;
        self.agreed_how.as_deref()?.parse().ok()
    }
}

/// A platform admin who agreed to a change.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Approval {
    /// Who.
    pub staff_id: String,
    /// Their name then.
    pub staff_name: String,
    /// When.
    pub at: Micros,
}

const COLUMNS: &str = "SELECT id, org_id, kind, value, shown, asked_by, asked_by_name, asked_at, earliest_at, agreed_at, \
     agreed_how, state, decided_at FROM owner_change";

fn select(rest: &str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!("{COLUMNS} {rest}"))
}

/// Records a change that waits, with the hash of the Owner's link. The unique index refuses a
/// second one of its kind for the org.
pub async fn insert(tx: &mut Tx, change: &OwnerChange, link_hash: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO owner_change (id, org_id, kind, value, shown, asked_by, asked_by_name, asked_at, earliest_at, \
         link_hash, state) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(&change.id)
    .bind(&change.org_id)
    .bind(change.kind.as_str())
    .bind(&change.value)
    .bind(&change.shown)
    .bind(&change.asked_by)
    .bind(&change.asked_by_name)
    .bind(change.asked_at)
    .bind(change.earliest_at)
    .bind(link_hash)
    .bind(change.state.as_str())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The change with this id.
pub async fn by_id(conn: &mut AnyConnection, id: &str) -> Result<Option<OwnerChange>> {
    Ok(sqlx::query_as(select("WHERE id = $1")).bind(id).fetch_optional(conn).await?)
}

/// The change whose link has this hash.
pub async fn by_link(conn: &mut AnyConnection, hash: &str) -> Result<Option<OwnerChange>> {
    Ok(sqlx::query_as(select("WHERE link_hash = $1")).bind(hash).fetch_optional(conn).await?)
}

/// The changes that wait for an org, oldest first.
pub async fn waiting_of(conn: &mut AnyConnection, org_id: &str) -> Result<Vec<OwnerChange>> {
    Ok(sqlx::query_as(select("WHERE org_id = $1 AND state = 'waiting' ORDER BY asked_at, id"))
        .bind(org_id)
        .fetch_all(conn)
        .await?)
}

/// The changes that wait, of every org, oldest first.
pub async fn waiting(conn: &mut AnyConnection, limit: i64) -> Result<Vec<OwnerChange>> {
    Ok(sqlx::query_as(select("WHERE state = 'waiting' ORDER BY asked_at, id LIMIT $1"))
        .bind(limit)
        .fetch_all(conn)
        .await?)
}

/// The changes of an org that were decided after an instant, newest first.
pub async fn decided_since(
    conn: &mut AnyConnection,
    org_id: &str,
    since: Micros,
) -> Result<Vec<OwnerChange>> {
    Ok(sqlx::query_as(select(
        "WHERE org_id = $1 AND state <> 'waiting' AND decided_at > $2 ORDER BY asked_at DESC, id DESC LIMIT 20",
    ))
    .bind(org_id)
    .bind(since)
    .fetch_all(conn)
    .await?)
}

/// Who has agreed to a change, in their order.
pub async fn approvals(conn: &mut AnyConnection, change_id: &str) -> Result<Vec<Approval>> {
    Ok(sqlx::query_as(
        "SELECT staff_id, staff_name, at FROM owner_change_approval WHERE change_id = $1 ORDER BY at, staff_id",
    )
    .bind(change_id)
    .fetch_all(conn)
    .await?)
}

/// Records that an admin agrees. The primary key refuses the same one twice.
pub async fn approve(tx: &mut Tx, change_id: &str, by: &Approval) -> Result<()> {
    sqlx::query(
        "INSERT INTO owner_change_approval (change_id, staff_id, staff_name, at) VALUES ($1, $2, $3, $4)",
    )
    .bind(change_id)
    .bind(&by.staff_id)
    .bind(&by.staff_name)
    .bind(by.at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Records that the Owner agrees; true for the first time.
pub async fn agree(tx: &mut Tx, id: &str, how: AgreedHow, now: Micros) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE owner_change SET agreed_at = $2, agreed_how = $3 \
         WHERE id = $1 AND state = 'waiting' AND agreed_at IS NULL",
    )
    .bind(id)
    .bind(now)
    .bind(how.as_str())
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Decides a change that waits; true for whoever is first.
pub async fn decide(tx: &mut Tx, id: &str, state: OwnerChangeState, now: Micros) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE owner_change SET state = $2, decided_at = $3 WHERE id = $1 AND state = 'waiting'",
    )
    .bind(id)
    .bind(state.as_str())
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}
