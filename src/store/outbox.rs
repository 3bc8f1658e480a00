//! What must reach an outside system, written with the change it belongs to. Every function
//! fails where the database does not answer.

use sqlx::{AnyConnection, FromRow};

use super::{Key, Result, Tx, flag};
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
    /// Whose it is, where that is known.
    pub org_id: Option<String>,
    /// What a mail is about, in clear.
    pub subject: Option<String>,
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
    /// When it was done, or set aside.
    pub done_at: Option<Micros>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// Since when every attempt has failed.
    pub failing_since: Option<Micros>,
    /// 1 where somebody has to mend something before it can be taken.
    pub to_mend: i64,
    /// Since when it is not tried any more.
    pub gave_up_at: Option<Micros>,
}

/// What became of an item so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    /// It waits, and is tried by itself.
    Waits,
    /// The other side has it.
    Taken,
    /// It will not be taken as it is, and is not tried any more.
    Undelivered,
    /// It was not taken, and somebody has decided that it need not be.
    SetAside,
}

impl Item {
    /// What became of it so far.
    #[must_use]
    pub fn stands(&self) -> Stands {
        match (self.done_at, self.gave_up_at) {
            (None, None) => Stands::Waits,
            (None, Some(_)) => Stands::Undelivered,
            (Some(_), None) => Stands::Taken,
            (Some(_), Some(_)) => Stands::SetAside,
        }
    }

    /// When the other side had it, where it has.
    #[must_use]
    pub fn taken_at(&self) -> Option<Micros> {
        self.done_at.filter(|_| self.gave_up_at.is_none())
    }
}

const COLUMNS: &str = "SELECT id, kind, recipient, about, org_id, subject, kek_id, sealed, created_at, attempts, next_at, \
     done_at, last_error, failing_since, to_mend, gave_up_at FROM outbox";

fn select(rest: &str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!("{COLUMNS} {rest}"))
}

/// Writes an item.
pub async fn insert(tx: &mut Tx, item: &Item) -> Result<()> {
    sqlx::query(
        "INSERT INTO outbox (id, kind, recipient, about, org_id, subject, kek_id, sealed, created_at, attempts, next_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $9)",
    )
    .bind(&item.id)
    .bind(item.kind.as_str())
    .bind(&item.recipient)
    .bind(&item.about)
    .bind(item.org_id.as_deref())
    .bind(item.subject.as_deref())
    .bind(&item.kek_id)
    .bind(item.sealed.as_deref())
    .bind(item.created_at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Takes the item of a kind that has been due for longest, as `me`, until then: no other instance
/// takes it meanwhile.
pub async fn take_next(
    tx: &mut Tx,
    kind: OutboxKind,
    me: &str,
    now: Micros,
    until: Micros,
) -> Result<Option<Item>> {
    let due: Option<Item> = sqlx::query_as(select(
        "WHERE done_at IS NULL AND gave_up_at IS NULL AND kind = $1 AND next_at <= $2 ORDER BY next_at, id LIMIT 1",
    ))
    .bind(kind.as_str())
    .bind(now)
    .fetch_optional(tx.conn())
    .await?;
    let Some(item) = due else { return Ok(None) };
    let done = sqlx::query(
        "UPDATE outbox SET next_at = $3, taken_until = $3, taken_by = $4 \
         WHERE id = $1 AND next_at = $2 AND done_at IS NULL AND gave_up_at IS NULL",
    )
    .bind(&item.id)
    .bind(item.next_at)
    .bind(until)
    .bind(me)
    .execute(tx.conn())
    .await?;
    Ok((done.rows_affected() == 1).then_some(item))
}

/// Keeps an item that `me` has taken until then; false where another has it by now.
pub async fn keep(conn: &mut AnyConnection, id: &str, me: &str, until: Micros) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE outbox SET next_at = $3, taken_until = $3 WHERE id = $1 AND taken_by = $2 AND done_at IS NULL",
    )
    .bind(id)
    .bind(me)
    .bind(until)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives an item back that `me` has taken: whoever comes next takes it.
pub async fn give_back(conn: &mut AnyConnection, id: &str, me: &str, now: Micros) -> Result<()> {
    sqlx::query(
        "UPDATE outbox SET next_at = $3, taken_until = NULL, taken_by = NULL WHERE id = $1 AND taken_by = $2",
    )
    .bind(id)
    .bind(me)
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that an item was sent, and erases its content.
pub async fn done(tx: &mut Tx, id: &str, now: Micros) -> Result<()> {
    sqlx::query(
        "UPDATE outbox SET done_at = $2, taken_until = NULL, taken_by = NULL, sealed = NULL, last_error = NULL, \
         failing_since = NULL, to_mend = 0, gave_up_at = NULL WHERE id = $1",
    )
    .bind(id)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Notes that an attempt of `me` failed, when the next one is due, and whether somebody has to
/// mend something first. Nothing where another has the item by now.
pub async fn failed(
    conn: &mut AnyConnection,
    (id, me): (&str, &str),
    why: &str,
    to_mend: bool,
    now: Micros,
    next_at: Micros,
) -> Result<()> {
    sqlx::query(
        "UPDATE outbox SET attempts = attempts + 1, next_at = $6, taken_until = NULL, taken_by = NULL, \
         last_error = $3, to_mend = $4, failing_since = COALESCE(failing_since, $5) \
         WHERE id = $1 AND taken_by = $2 AND done_at IS NULL",
    )
    .bind(id)
    .bind(me)
    .bind(why)
    .bind(flag(to_mend))
    .bind(now)
    .bind(next_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that an item will not be taken: it is not tried any more. False where another than `me`
/// has it by now.
pub async fn give_up(tx: &mut Tx, (id, me): (&str, &str), why: &str, now: Micros) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE outbox SET attempts = attempts + 1, taken_until = NULL, taken_by = NULL, last_error = $3, to_mend = 0, \
         failing_since = COALESCE(failing_since, $4), gave_up_at = $4 \
         WHERE id = $1 AND taken_by = $2 AND done_at IS NULL AND gave_up_at IS NULL",
    )
    .bind(id)
    .bind(me)
    .bind(why)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Makes an item that was given up due now, to this recipient; false where it was not given up.
pub async fn revive(tx: &mut Tx, id: &str, recipient: &str, now: Micros) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE outbox SET gave_up_at = NULL, failing_since = NULL, attempts = 0, last_error = NULL, next_at = $3, \
         recipient = $2 WHERE id = $1 AND gave_up_at IS NOT NULL AND done_at IS NULL",
    )
    .bind(id)
    .bind(recipient)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Sets an item aside that was not taken, and erases its content; false where it is done, or
/// being tried at this moment.
pub async fn set_aside(tx: &mut Tx, id: &str, now: Micros) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE outbox SET done_at = $2, gave_up_at = COALESCE(gave_up_at, $2), sealed = NULL \
         WHERE id = $1 AND done_at IS NULL AND (taken_until IS NULL OR taken_until <= $2)",
    )
    .bind(id)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Makes an item due now: somebody asked for another attempt. False where it is done, given up, or
/// under way: two attempts at once could do twice what is to be done once.
pub async fn hasten(tx: &mut Tx, id: &str, now: Micros) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE outbox SET next_at = $2 WHERE id = $1 AND done_at IS NULL AND gave_up_at IS NULL AND next_at > $2 \
         AND (taken_until IS NULL OR taken_until <= $2)",
    )
    .bind(id)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The item with this id.
pub async fn by_id(conn: &mut AnyConnection, id: &str) -> Result<Option<Item>> {
    Ok(sqlx::query_as(select("WHERE id = $1")).bind(id).fetch_optional(conn).await?)
}

/// What was written about something, oldest first.
pub async fn about(conn: &mut AnyConnection, id: &str) -> Result<Vec<Item>> {
    Ok(sqlx::query_as(select("WHERE about = $1 ORDER BY created_at, id"))
        .bind(id)
        .fetch_all(conn)
        .await?)
}

/// A page of what was given up, the newest first.
pub async fn undelivered(
    conn: &mut AnyConnection,
    before: Option<&Key>,
    limit: i64,
) -> Result<Vec<Item>> {
    let (at, id) = before.map_or((i64::MAX, "~"), |k| (k.at, k.id.as_str()));
    Ok(sqlx::query_as(select(
        "WHERE done_at IS NULL AND gave_up_at IS NOT NULL AND (gave_up_at, id) < ($1, $2) \
         ORDER BY gave_up_at DESC, id DESC LIMIT $3",
    ))
    .bind(at)
    .bind(id)
    .bind(limit)
    .fetch_all(conn)
    .await?)
}

/// How many items were given up.
pub async fn count_undelivered(conn: &mut AnyConnection) -> Result<i64> {
    Ok(sqlx::query_scalar(
        "SELECT COUNT(*) FROM outbox WHERE done_at IS NULL AND gave_up_at IS NOT NULL",
    )
    .fetch_one(conn)
    .await?)
}

/// What of a kind waits.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Waiting {
    /// The kind.
    #[sqlx(try_from = "String")]
    pub kind: OutboxKind,
    /// How many items.
    pub items: i64,
    /// How many of them wait for somebody to mend something.
    pub to_mend: i64,
    /// When the oldest was written.
    pub since: Micros,
}

/// What waits of each kind: what an attempt has failed for, and what was written before then and
/// is not done.
pub async fn waiting(conn: &mut AnyConnection, written_before: Micros) -> Result<Vec<Waiting>> {
    Ok(sqlx::query_as(
        "SELECT kind, COUNT(*) AS items, CAST(SUM(to_mend) AS BIGINT) AS to_mend, MIN(created_at) AS since FROM outbox \
         WHERE done_at IS NULL AND gave_up_at IS NULL AND (attempts > 0 OR created_at < $1) \
         GROUP BY kind ORDER BY since, kind",
    )
    .bind(written_before)
    .fetch_all(conn)
    .await?)
}

/// The items of a kind that wait, the oldest first.
pub async fn waiting_of(
    conn: &mut AnyConnection,
    kind: OutboxKind,
    written_before: Micros,
    limit: i64,
) -> Result<Vec<Item>> {
    Ok(sqlx::query_as(select(
        "WHERE done_at IS NULL AND gave_up_at IS NULL AND kind = $1 AND (attempts > 0 OR created_at < $2) \
         ORDER BY created_at, id LIMIT $3",
    ))
    .bind(kind.as_str())
    .bind(written_before)
    .bind(limit)
    .fetch_all(conn)
    .await?)
}
