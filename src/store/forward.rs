//! How far each log has come at each sink that its rows are sent to. Every function fails where
//! the database does not answer.

use sqlx::{AnyConnection, FromRow};

use super::{Result, Tx};
use crate::model::Micros;

/// A log with rows that a sink has not taken.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Due {
    /// The log.
    pub log_id: String,
    /// The origin line of its checkpoints.
    pub origin: String,
    /// How many rows it has.
    pub size: i64,
    /// The first row that the sink has not taken.
    pub next_seq: i64,
    /// When the position changed last; 0 where it never did.
    pub at: Micros,
    /// How often in a row the sink refused what came next.
    pub failures: i64,
}

/// How a sink is doing.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct SinkState {
    /// The sink.
    pub sink: String,
    /// When a forwarder for it was last seen running.
    pub beat_at: Micros,
    /// When it took rows last.
    pub sent_at: Option<Micros>,
    /// How often in a row it did not answer.
    pub failures: i64,
    /// Why, the last time.
    pub last_error: Option<String>,
    /// When it is tried again.
    pub next_at: Micros,
    /// How many rows of all logs it has not taken.
    pub behind: i64,
}

/// A log that does not come forward at a sink.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Stuck {
    /// The log.
    pub log_id: String,
    /// The first row that the sink has not taken.
    pub next_seq: i64,
    /// How many rows the log has.
    pub size: i64,
    /// Why.
    pub last_error: Option<String>,
}

/// When a forwarder for a sink was last seen running.
pub async fn beat_at(conn: &mut AnyConnection, sink: &str) -> Result<Option<Micros>> {
    Ok(sqlx::query_scalar("SELECT beat_at FROM forward_sink WHERE sink = $1")
        .bind(sink)
        .fetch_optional(conn)
        .await?)
}

/// Notes that a forwarder for a sink is running.
pub async fn beat(tx: &mut Tx, sink: &str, now: Micros) -> Result<()> {
    sqlx::query(
        "INSERT INTO forward_sink (sink, taken_until, beat_at, failures, next_at) VALUES ($1, 0, $2, 0, 0) \
         ON CONFLICT (sink) DO UPDATE SET beat_at = excluded.beat_at",
    )
    .bind(sink)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Every log with rows that the sink has not taken, and that may be tried now.
pub async fn due(conn: &mut AnyConnection, sink: &str, now: Micros) -> Result<Vec<Due>> {
    Ok(sqlx::query_as(
        "SELECT l.id AS log_id, l.origin, l.size, COALESCE(p.next_seq, 0) AS next_seq, COALESCE(p.at, 0) AS at, COALESCE(p.failures, 0) AS failures \
         FROM audit_log l LEFT JOIN forward_position p ON p.sink = $1 AND p.log_id = l.id \
         WHERE l.size > COALESCE(p.next_seq, 0) AND COALESCE(p.next_at, 0) <= $2",
    )
    .bind(sink)
    .bind(now)
    .fetch_all(conn)
    .await?)
}

/// Takes a sink until then; false where another instance has it, or it is to be left alone.
pub async fn take(tx: &mut Tx, sink: &str, me: &str, now: Micros, until: Micros) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE forward_sink SET taken_by = $2, taken_until = $4 \
         WHERE sink = $1 AND next_at <= $3 AND (taken_until <= $3 OR taken_by = $2)",
    )
    .bind(sink)
    .bind(me)
    .bind(now)
    .bind(until)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Keeps a sink that `me` has until then; false where another has it by now.
pub async fn keep(conn: &mut AnyConnection, sink: &str, me: &str, until: Micros) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE forward_sink SET taken_until = $3 WHERE sink = $1 AND taken_by = $2 AND taken_until > 0",
    )
    .bind(sink)
    .bind(me)
    .bind(until)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives a sink back that `me` has: whoever comes next takes it.
pub async fn give_back(conn: &mut AnyConnection, sink: &str, me: &str) -> Result<()> {
    sqlx::query("UPDATE forward_sink SET taken_until = 0 WHERE sink = $1 AND taken_by = $2")
        .bind(sink)
        .bind(me)
        .execute(conn)
        .await?;
    Ok(())
}

/// Moves a log on that the sink has taken rows of; false where another instance has meanwhile.
pub async fn advance(
    tx: &mut Tx,
    sink: &str,
    log_id: &str,
    from: i64,
    to: i64,
    now: Micros,
) -> Result<bool> {
    let done = sqlx::query(
        "INSERT INTO forward_position (sink, log_id, next_seq, at, failures, next_at) VALUES ($1, $2, $4, $5, 0, 0) \
         ON CONFLICT (sink, log_id) DO UPDATE SET next_seq = excluded.next_seq, at = excluded.at, failures = 0, \
         last_error = NULL, next_at = 0 WHERE forward_position.next_seq = $3",
    )
    .bind(sink)
    .bind(log_id)
    .bind(from)
    .bind(to)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes that a log does not come forward; how often that was so in a row.
pub async fn log_failed(tx: &mut Tx, sink: &str, due: &Due, why: &str, now: Micros) -> Result<i64> {
    Ok(sqlx::query_scalar(
        "INSERT INTO forward_position (sink, log_id, next_seq, at, failures, last_error, next_at) \
         VALUES ($1, $2, $3, $5, 1, $4, 0) \
         ON CONFLICT (sink, log_id) DO UPDATE SET at = excluded.at, last_error = excluded.last_error, \
         failures = forward_position.failures + 1 RETURNING failures",
    )
    .bind(sink)
    .bind(&due.log_id)
    .bind(due.next_seq)
    .bind(why)
    .bind(now)
    .fetch_one(tx.conn())
    .await?)
}

/// When a log that does not come forward is tried again.
pub async fn log_again(tx: &mut Tx, sink: &str, log_id: &str, next_at: Micros) -> Result<()> {
    sqlx::query("UPDATE forward_position SET next_at = $3 WHERE sink = $1 AND log_id = $2")
        .bind(sink)
        .bind(log_id)
        .bind(next_at)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Lets a sink go that has answered.
pub async fn answered(
    tx: &mut Tx,
    sink: &str,
    me: &str,
    took_rows: bool,
    now: Micros,
) -> Result<()> {
    sqlx::query(
        "UPDATE forward_sink SET taken_until = 0, failures = 0, last_error = NULL, next_at = 0, beat_at = $4, \
         sent_at = CASE WHEN $3 = 1 THEN $4 ELSE sent_at END WHERE sink = $1 AND taken_by = $2",
    )
    .bind(sink)
    .bind(me)
    .bind(super::flag(took_rows))
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Lets a sink go that has not answered, until then.
pub async fn failed(
    tx: &mut Tx,
    sink: &str,
    me: &str,
    why: &str,
    failures: i64,
    next_at: Micros,
) -> Result<()> {
    sqlx::query(
        "UPDATE forward_sink SET taken_until = 0, failures = $4, last_error = $3, next_at = $5 \
         WHERE sink = $1 AND taken_by = $2",
    )
    .bind(sink)
    .bind(me)
    .bind(why)
    .bind(failures)
    .bind(next_at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// How often in a row a sink has not answered.
pub async fn failures(conn: &mut AnyConnection, sink: &str) -> Result<i64> {
    let found: Option<i64> =
        sqlx::query_scalar("SELECT failures FROM forward_sink WHERE sink = $1")
            .bind(sink)
            .fetch_optional(conn)
            .await?;
    Ok(found.unwrap_or(0))
}

/// Every sink that a forwarder ran for since then.
pub async fn sinks(conn: &mut AnyConnection, since: Micros) -> Result<Vec<SinkState>> {
    Ok(sqlx::query_as(
        "SELECT s.sink, s.beat_at, s.sent_at, s.failures, s.last_error, s.next_at, \
         (SELECT CAST(COALESCE(SUM(l.size - COALESCE(p.next_seq, 0)), 0) AS BIGINT) FROM audit_log l \
          LEFT JOIN forward_position p ON p.sink = s.sink AND p.log_id = l.id \
          WHERE l.size > COALESCE(p.next_seq, 0)) AS behind \
         FROM forward_sink s WHERE s.beat_at >= $1 ORDER BY s.sink",
    )
    .bind(since)
    .fetch_all(conn)
    .await?)
}

/// Logs that do not come forward at a sink, or of which it has taken more rows than there are.
pub async fn stuck(conn: &mut AnyConnection, sink: &str) -> Result<Vec<Stuck>> {
    Ok(sqlx::query_as(
        "SELECT p.log_id, p.next_seq, l.size, p.last_error FROM forward_position p \
         JOIN audit_log l ON l.id = p.log_id \
         WHERE p.sink = $1 AND (p.last_error IS NOT NULL OR p.next_seq > l.size) ORDER BY p.log_id LIMIT 20",
    )
    .bind(sink)
    .fetch_all(conn)
    .await?)
}
