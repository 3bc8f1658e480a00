//! What must reach an outside system, written with the change it belongs to. Every function
//! fails where the database does not answer.

use sqlx::{AnyConnection, FromRow};

use super::{Result, Tx};
use crate::model::{Micros, OutboxKind};

/// Something to be sent.
#[derive(Clone, PartialEq, Eq, FromRow)]
pub struct Item {
    /// Id.
    pub id: String,
    /// What it is.
    #[sqlx(try_from = "String")]
    pub kind: OutboxKind,
    /// To whom.
    pub recipient: String,
    /// The id of what it is about.
    pub about: String,
    /// The key that seals it.
    pub kek_id: String,
    /// The sealed content, until it is done.
    pub sealed: Option<Vec<u8>>,
    /// When it was written.
    pub created_at: Micros,
    /// How often it was tried.
    pub attempts: i64,
    /// When it is tried next.
    pub next_at: Micros,
    /// When it was done.
    pub done_at: Option<Micros>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

const COLUMNS: &str = "SELECT id, kind, recipient, about, kek_id, sealed, created_at, attempts, next_at, done_at, \
     last_error FROM outbox";

/// Writes an item.
pub async fn insert(tx: &mut Tx, item: &Item) -> Result<()> {
    sqlx::query(
        "INSERT INTO outbox (id, kind, recipient, about, kek_id, sealed, created_at, attempts, next_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $7)",
    )
    .bind(&item.id)
    .bind(item.kind.as_str())
    .bind(&item.recipient)
    .bind(&item.about)
    .bind(&item.kek_id)
    .bind(item.sealed.as_deref())
    .bind(item.created_at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Takes the items of a kind that are due, oldest first, for `lease`: until then no other
/// instance takes them.
pub async fn take_due(
    tx: &mut Tx,
    kind: OutboxKind,
    now: Micros,
    lease: Micros,
    limit: i64,
) -> Result<Vec<Item>> {
    let due: Vec<Item> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "{COLUMNS} WHERE done_at IS NULL AND kind = $1 AND next_at <= $2 ORDER BY next_at, id LIMIT $3"
    )))
    .bind(kind.as_str())
    .bind(now)
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    let mut taken = Vec::with_capacity(due.len());
    for item in due {
        let done = sqlx::query(
            "UPDATE outbox SET next_at = $3, taken_until = $3 \
             WHERE id = $1 AND next_at = $2 AND done_at IS NULL",
        )
        .bind(&item.id)
        .bind(item.next_at)
        .bind(now + lease)
        .execute(tx.conn())
        .await?;
        if done.rows_affected() == 1 {
            taken.push(item);
        }
    }
    Ok(taken)
}

/// Notes that an item was sent, and erases its content.
pub async fn done(tx: &mut Tx, id: &str, now: Micros) -> Result<()> {
    sqlx::query("UPDATE outbox SET done_at = $2, taken_until = NULL, sealed = NULL, last_error = NULL WHERE id = $1")
        .bind(id)
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Notes that an attempt failed, and when the next one is due.
pub async fn failed(conn: &mut AnyConnection, id: &str, why: &str, next_at: Micros) -> Result<()> {
    sqlx::query(
        "UPDATE outbox SET attempts = attempts + 1, next_at = $3, taken_until = NULL, last_error = $2 \
         WHERE id = $1",
    )
    .bind(id)
    .bind(why)
    .bind(next_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes an item due now: somebody asked for another attempt. False where it is done, or under
/// way: two attempts at once could do twice what is to be done once.
pub async fn hasten(tx: &mut Tx, id: &str, now: Micros) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE outbox SET next_at = $2 WHERE id = $1 AND done_at IS NULL AND next_at > $2 \
         AND (taken_until IS NULL OR taken_until <= $2)",
    )
    .bind(id)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What was written about something, oldest first.
pub async fn about(conn: &mut AnyConnection, id: &str) -> Result<Vec<Item>> {
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "{COLUMNS} WHERE about = $1 ORDER BY created_at, id"
    )))
    .bind(id)
    .fetch_all(conn)
    .await?)
}
