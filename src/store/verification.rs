//! Full verifications of the logs. Every function fails where the database does not answer.

use sqlx::{AnyConnection, FromRow};

use super::{Result, Tx};
use crate::model::Micros;

/// One verification.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Verification {
    /// Id.
    pub id: String,
    /// Which log; all of them where absent.
    pub log_id: Option<String>,
    /// Who asked.
    pub asked_by: String,
    /// When it began.
    pub started_at: Micros,
    /// When it last said how far it is.
    pub beat_at: Micros,
    /// How many rows are done.
    pub rows_done: i64,
    /// How many there are.
    pub rows_total: i64,
    /// `running`, `held`, `failed` or `stopped`.
    pub state: String,
    /// The log that is wrong; the first one where several are.
    pub fault_log: Option<String>,
    /// What is wrong with it.
    pub fault: Option<String>,
    /// When it was over.
    pub finished_at: Option<Micros>,
    /// How many logs are wrong.
    pub faults: i64,
}

/// A log that was found wrong.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Wrong {
    /// Which.
    pub log_id: String,
    /// The first row that is bad or missing, where it has a place.
    pub seq: Option<i64>,
    /// What is wrong with it.
    pub what: String,
    /// When the verification began that found it.
    pub started_at: Micros,
}

const COLUMNS: &str = "SELECT id, log_id, asked_by, started_at, beat_at, rows_done, rows_total, state, fault_log, fault, \
     finished_at, faults FROM log_verification";

fn select(rest: &str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!("{COLUMNS} {rest}"))
}

/// Records that one begins. At most one runs at a time: the index sees to that.
pub async fn insert(tx: &mut Tx, v: &Verification) -> Result<()> {
    sqlx::query(
        "INSERT INTO log_verification (id, log_id, asked_by, started_at, beat_at, rows_done, rows_total, state) \
         VALUES ($1, $2, $3, $4, $4, 0, $5, 'running')",
    )
    .bind(&v.id)
    .bind(v.log_id.as_deref())
    .bind(&v.asked_by)
    .bind(v.started_at)
    .bind(v.rows_total)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Marks those that have been silent since before `since` as stopped.
pub async fn stop_silent(tx: &mut Tx, since: Micros) -> Result<u64> {
    let done = sqlx::query(
        "UPDATE log_verification SET state = 'stopped' WHERE state = 'running' AND beat_at < $1",
    )
    .bind(since)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected())
}

/// Says how far one is.
pub async fn beat(tx: &mut Tx, id: &str, rows_done: i64, now: Micros) -> Result<()> {
    sqlx::query(
        "UPDATE log_verification SET rows_done = $2, beat_at = $3 WHERE id = $1 AND state = 'running'",
    )
    .bind(id)
    .bind(rows_done)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What is wrong with a log, as it is recorded: (log, first bad or missing row, what).
pub type Fault = (String, Option<i64>, String);

/// Records that a log was found wrong outside of a verification: it counts as a failed one, and ends
/// with the next that finds all logs well. The same again while it stands is not recorded.
pub async fn note_failure(
    tx: &mut Tx,
    id: &str,
    asked_by: &str,
    (log, seq, what): &Fault,
    now: Micros,
) -> Result<()> {
    let standing = standing_failure(tx.conn()).await?;
    if standing.is_some_and(|v| v.fault.as_ref() == Some(what)) {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO log_verification (id, log_id, asked_by, started_at, beat_at, rows_done, rows_total, state, \
         fault_log, fault, finished_at, faults) VALUES ($1, $2, $3, $4, $4, 0, 0, 'failed', $2, $5, $4, 1)",
    )
    .bind(id)
    .bind(log)
    .bind(asked_by)
    .bind(now)
    .bind(what)
    .execute(tx.conn())
    .await?;
    sqlx::query(
        "INSERT INTO log_verification_fault (verification_id, nth, log_id, seq, what) VALUES ($1, 0, $2, $3, $4)",
    )
    .bind(id)
    .bind(log)
    .bind(*seq)
    .bind(what)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Records what one came to. Of the logs that are wrong the first is the one that is named.
pub async fn finish(
    tx: &mut Tx,
    id: &str,
    rows_done: i64,
    faults: &[Fault],
    now: Micros,
) -> Result<()> {
    let first = faults.first();
    sqlx::query(
        "UPDATE log_verification SET state = $2, rows_done = $3, fault_log = $4, fault = $5, finished_at = $6, \
         beat_at = $6, faults = $7 WHERE id = $1",
    )
    .bind(id)
    .bind(if first.is_some() { "failed" } else { "held" })
    .bind(rows_done)
    .bind(first.map(|(log, ..)| log.as_str()))
    .bind(first.map(|(.., what)| what.as_str()))
    .bind(now)
    .bind(i64::try_from(faults.len()).unwrap_or(i64::MAX))
    .execute(tx.conn())
    .await?;
    for (nth, (log, seq, what)) in (0i64..).zip(faults) {
        sqlx::query(
            "INSERT INTO log_verification_fault (verification_id, nth, log_id, seq, what) \
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(id)
        .bind(nth)
        .bind(log)
        .bind(*seq)
        .bind(what)
        .execute(tx.conn())
        .await?;
    }
    Ok(())
}

/// The logs that one found wrong, in the order in which they are named.
pub async fn wrong_in(conn: &mut AnyConnection, id: &str, limit: i64) -> Result<Vec<Wrong>> {
    Ok(sqlx::query_as(
        "SELECT f.log_id, f.seq, f.what, v.started_at FROM log_verification_fault f \
         JOIN log_verification v ON v.id = f.verification_id WHERE f.verification_id = $1 ORDER BY f.nth LIMIT $2",
    )
    .bind(id)
    .bind(limit)
    .fetch_all(conn)
    .await?)
}

/// The newest ones, newest first.
pub async fn newest(conn: &mut AnyConnection, limit: i64) -> Result<Vec<Verification>> {
    Ok(sqlx::query_as(select("ORDER BY started_at DESC, id DESC LIMIT $1"))
        .bind(limit)
        .fetch_all(conn)
        .await?)
}

/// The newest verification of all logs that held.
pub async fn newest_held(conn: &mut AnyConnection) -> Result<Option<Verification>> {
    Ok(sqlx::query_as(select(
        "WHERE state = 'held' AND log_id IS NULL ORDER BY started_at DESC LIMIT 1",
    ))
    .fetch_optional(conn)
    .await?)
}

/// What those since `since` found wrong, newest first, some thousands at most.
pub async fn failed_since(conn: &mut AnyConnection, since: Micros) -> Result<Vec<Wrong>> {
    Ok(sqlx::query_as(
        "SELECT f.log_id, f.seq, f.what, v.started_at FROM log_verification v \
         JOIN log_verification_fault f ON f.verification_id = v.id \
         WHERE v.state = 'failed' AND v.started_at > $1 ORDER BY v.started_at DESC LIMIT 5000",
    )
    .bind(since)
    .fetch_all(conn)
    .await?)
}

/// Those of one log alone since `since` that held, newest first, some thousands at most.
pub async fn held_alone_since(
    conn: &mut AnyConnection,
    since: Micros,
) -> Result<Vec<Verification>> {
    Ok(sqlx::query_as(select(
        "WHERE state = 'held' AND started_at > $1 AND log_id IS NOT NULL ORDER BY started_at DESC LIMIT 5000",
    ))
    .bind(since)
    .fetch_all(conn)
    .await?)
}

/// The newest failure that no later, whole verification has answered.
pub async fn standing_failure(conn: &mut AnyConnection) -> Result<Option<Verification>> {
    Ok(sqlx::query_as(select(
        "WHERE state = 'failed' AND started_at > COALESCE((SELECT MAX(started_at) FROM log_verification \
         WHERE state = 'held' AND log_id IS NULL), 0) ORDER BY started_at DESC LIMIT 1",
    ))
    .fetch_optional(conn)
    .await?)
}
