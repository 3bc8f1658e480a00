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

/// Remembers what a witness has seen. Of two instances the one that saw it see more wins.
pub async fn save(tx: &mut Tx, w: &Witnessed) -> Result<()> {
    sqlx::query(
        "INSERT INTO witness_state (witness, log_id, size, at, answer, last_error) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (witness, log_id) DO UPDATE SET size = excluded.size, at = excluded.at, \
         answer = excluded.answer, last_error = excluded.last_error WHERE witness_state.size <= excluded.size",
    )
    .bind(&w.witness)
    .bind(&w.log_id)
    .bind(w.size)
    .bind(w.at)
    .bind(&w.answer)
    .bind(w.last_error.as_deref())
    .execute(tx.conn())
    .await?;
    Ok(())
}
