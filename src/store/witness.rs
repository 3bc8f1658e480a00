//! What each witness has seen of each log. Every function fails where the database does not
//! answer.

use sqlx::{AnyConnection, FromRow};

use super::{Result, Tx};
use crate::model::Micros;

/// What a witness has seen of a log.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Witnessed {
    /// The witness.
    pub witness: String,
    /// The log.
    pub log_id: String,
    /// Of how many rows.
    pub size: i64,
    /// When it was tried last.
    pub at: Micros,
    /// Its signature lines, where it gives any.
    pub answer: String,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

/// Everything that a witness has seen.
pub async fn all(conn: &mut AnyConnection, witness: &str) -> Result<Vec<Witnessed>> {
    Ok(sqlx::query_as(
        "SELECT witness, log_id, size, at, answer, last_error FROM witness_state WHERE witness = $1 ORDER BY log_id",
    )
    .bind(witness)
    .fetch_all(conn)
    .await?)
}

/// What every witness has seen of a log.
pub async fn of_log(conn: &mut AnyConnection, log_id: &str) -> Result<Vec<Witnessed>> {
    Ok(sqlx::query_as(
        "SELECT witness, log_id, size, at, answer, last_error FROM witness_state WHERE log_id = $1 ORDER BY witness",
    )
    .bind(log_id)
    .fetch_all(conn)
    .await?)
}

/// Of how many rows of each log any witness has seen a checkpoint: (log, rows).
pub async fn most(conn: &mut AnyConnection) -> Result<Vec<(String, i64)>> {
    Ok(sqlx::query_as(
        "SELECT log_id, MAX(size) FROM witness_state GROUP BY log_id ORDER BY log_id",
    )
    .fetch_all(conn)
    .await?)
}

/// How an attempt to have a checkpoint seen ended, besides what [`Witnessed`] says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attempt<'a> {
    /// The id of the key whose signature the answer is; absent where there is none.
    pub key: Option<&'a str>,
    /// The witness knows the log with another content, or with more rows.
    pub disagrees: bool,
}

/// Remembers what a witness has seen. Of two instances the one that saw it see more wins.
pub async fn save(tx: &mut Tx, w: &Witnessed, attempt: Attempt<'_>) -> Result<()> {
    sqlx::query(
        "INSERT INTO witness_state (witness, log_id, size, at, answer, last_error, witness_key, disagrees) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (witness, log_id) DO UPDATE SET size = excluded.size, at = excluded.at, \
         answer = excluded.answer, last_error = excluded.last_error, \
         witness_key = COALESCE(excluded.witness_key, witness_state.witness_key), disagrees = excluded.disagrees \
         WHERE witness_state.size <= excluded.size",
    )
    .bind(&w.witness)
    .bind(&w.log_id)
    .bind(w.size)
    .bind(w.at)
    .bind(&w.answer)
    .bind(w.last_error.as_deref())
    .bind(attempt.key)
    .bind(i64::from(attempt.disagrees))
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The logs that one of these witnesses knows with another content, or with more rows: (log, what
/// it said).
pub async fn disagreeing(
    conn: &mut AnyConnection,
    witnesses: &[String],
) -> Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    for witness in witnesses {
        let said: Vec<(String, String)> = sqlx::query_as(
            "SELECT log_id, COALESCE(last_error, '') FROM witness_state WHERE witness = $1 AND disagrees = 1 \
             ORDER BY log_id",
        )
        .bind(witness)
        .fetch_all(&mut *conn)
        .await?;
        all.extend(said);
    }
    Ok(all)
}

/// A checkpoint that a witness signed.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Cosigned {
    /// The log.
    pub log_id: String,
    /// Of how many rows.
    pub size: i64,
    /// The checkpoint, with the log's own signature.
    pub note: String,
    /// The witness's signature line.
    pub cosignature: String,
}

/// Keeps a checkpoint that the witness with this key signed; one of the same size stays.
pub async fn keep(tx: &mut Tx, key: &str, c: &Cosigned) -> Result<()> {
    sqlx::query(
        "INSERT INTO witness_cosigned (witness_key, log_id, size, note, cosignature) \
         SELECT $1, $2, CAST($3 AS BIGINT), $4, $5 WHERE NOT EXISTS \
         (SELECT 1 FROM witness_cosigned WHERE witness_key = $1 AND log_id = $2 AND size = $3) \
         ON CONFLICT (witness_key, log_id, size) DO NOTHING",
    )
    .bind(key)
    .bind(&c.log_id)
    .bind(c.size)
    .bind(&c.note)
    .bind(&c.cosignature)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The checkpoints of a log that the witness with this key signed, of at most `upto` rows, the
/// smallest first.
pub async fn cosigned(
    conn: &mut AnyConnection,
    key: &str,
    log_id: &str,
    upto: i64,
) -> Result<Vec<Cosigned>> {
    Ok(sqlx::query_as(
        "SELECT log_id, size, note, cosignature FROM witness_cosigned \
         WHERE witness_key = $1 AND log_id = $2 AND size <= $3 ORDER BY size",
    )
    .bind(key)
    .bind(log_id)
    .bind(upto)
    .fetch_all(conn)
    .await?)
}

/// Of how many rows the newest checkpoint of each log is that the witness with this key signed:
/// (log, rows).
pub async fn newest_cosigned(conn: &mut AnyConnection, key: &str) -> Result<Vec<(String, i64)>> {
    Ok(sqlx::query_as(
        "SELECT log_id, MAX(size) FROM witness_cosigned WHERE witness_key = $1 GROUP BY log_id ORDER BY log_id",
    )
    .bind(key)
    .fetch_all(conn)
    .await?)
}

/// Of how many rows of each log it is noted that the witness with this key signed a checkpoint:
/// (log, rows).
pub async fn noted(conn: &mut AnyConnection, key: &str) -> Result<Vec<(String, i64)>> {
    Ok(sqlx::query_as(
        "SELECT log_id, MAX(size) FROM witness_state WHERE witness_key = $1 GROUP BY log_id ORDER BY log_id",
    )
    .bind(key)
    .fetch_all(conn)
    .await?)
}
