//! What a verification reads of a log from one end to the other, in as few and as cheap statements
//! as it can. Every function fails where the database does not answer.

use std::fmt::Write as _;

use sqlx::{AnyConnection, FromRow};

use super::Result;
use crate::proof::row::AuditRow;

/// A row as a verification reads it: its searched columns as one text, since what is read of each
/// row by itself is most of the time that a verification takes.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Proven {
    /// Its place in the log, from 0.
    pub seq: i64,
    /// The canonical text, the leaf.
    pub body: String,
    /// Its leaf hash.
    pub leaf_hash: Vec<u8>,
    /// What the columns say: [`columns_of`] of what the text says, where they agree with it.
    pub columns: String,
}

/// The columns of a row as one text: each after its length in bytes, so that none can end where
/// another begins; `-` for one that is not there.
pub fn columns_of(row: &AuditRow) -> String {
    let mut columns = row.at.to_string();
    let optional = [&row.org_id, &row.impersonation_id, &row.ticket_ref, &row.secret_type];
    let optional = optional.map(|value| value.as_deref());
    for value in
        [Some(row.id.as_str()), Some(&row.action), Some(&row.actor_id)].into_iter().chain(optional)
    {
        match value {
            Some(value) => {
                let _ = write!(columns, " {}:{value}", value.len());
            }
            None => columns.push_str(" -"),
        }
    }
    columns
}

/// Rows of a log in order, from `from`, at most `limit`.
pub async fn rows(
    conn: &mut AnyConnection,
    log_id: &str,
    from: i64,
    limit: i64,
) -> Result<Vec<Proven>> {
    const COLUMNS: [&str; 7] = [
        "e.id",
        "e.action",
        "e.actor_id",
        "e.org_id",
        "e.impersonation_id",
        "e.ticket_ref",
        "e.secret_type",
    ];
    let columns =
        COLUMNS.map(|c| format!("COALESCE(' ' || OCTET_LENGTH({c}) || ':' || {c}, ' -')"));
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "SELECT e.seq, e.body, e.leaf_hash, CAST(e.at AS TEXT) || {} AS columns \
         FROM audit_entry e WHERE e.log_id = $1 AND e.seq >= $2 ORDER BY e.seq LIMIT $3",
        columns.join(" || ")
    )))
    .bind(log_id)
    .bind(from)
    .bind(limit)
    .fetch_all(conn)
    .await?)
}

/// The full tiles `from..to` of one tile level of a log: (which one, 256 hashes).
pub async fn tiles_of(
    conn: &mut AnyConnection,
    log_id: &str,
    tile_level: i64,
    from: i64,
    to: i64,
) -> Result<Vec<(i64, Vec<u8>)>> {
    Ok(sqlx::query_as(
        "SELECT idx, hashes FROM audit_tile WHERE log_id = $1 AND level = $2 AND idx >= $3 AND idx < $4 ORDER BY idx",
    )
    .bind(log_id)
    .bind(tile_level)
    .bind(from)
    .bind(to)
    .fetch_all(conn)
    .await?)
}

/// The first row, kept checkpoint or subtree root that a log has beyond the size in its head; a
/// log in order has none. One statement, so that no append can come in between.
pub async fn beyond_head(conn: &mut AnyConnection, log_id: &str) -> Result<Option<i64>> {
    Ok(sqlx::query_scalar(
        "SELECT MIN(x.seq) FROM audit_log l JOIN ( \
           SELECT log_id, MAX(seq) AS seq FROM audit_entry WHERE log_id = $1 GROUP BY log_id \
           UNION ALL \
           SELECT log_id, MAX(size) - 1 FROM audit_checkpoint WHERE log_id = $1 GROUP BY log_id \
           UNION ALL \
           SELECT log_id, MAX((idx + 1) * CASE level WHEN 8 THEN 256 WHEN 16 THEN 65536 WHEN 24 THEN 16777216 \
             ELSE 4294967296 END) - 1 FROM audit_subtree WHERE log_id = $1 GROUP BY log_id \
           UNION ALL \
           SELECT log_id, MAX((idx + 1) * CASE level WHEN 0 THEN 256 WHEN 1 THEN 65536 WHEN 2 THEN 16777216 \
             ELSE 4294967296 END) - 1 FROM audit_tile WHERE log_id = $1 GROUP BY log_id \
         ) x ON x.log_id = l.id WHERE l.id = $1 AND x.seq >= l.size",
    )
    .bind(log_id)
    .fetch_one(conn)
    .await?)
}
