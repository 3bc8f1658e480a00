//! What a verification reads of a log from one end to the other, in as few and as cheap statements
//! as it can. Every function fails where the database does not answer.

use std::fmt::Write as _;

use sqlx::{AnyConnection, FromRow};

use super::Result;
use crate::proof::row::AuditRow;

/// What stands before the columns of a row where one of them is not of the type that a search
/// compares it with. SQLite keeps a value as it was given, whatever the column is declared as.
const NOT_SEARCHABLE: &str = "!";

/// The columns that rows are searched by, and whether a row may have none.
const SEARCHED: [(&str, &str, bool); 8] = [
    ("e.at", "BIGINT", false),
    ("e.id", "TEXT", false),
    ("e.action", "TEXT", false),
    ("e.actor_id", "TEXT", false),
    ("e.org_id", "TEXT", true),
    ("e.impersonation_id", "TEXT", true),
    ("e.ticket_ref", "TEXT", true),
    ("e.secret_type", "TEXT", true),
];

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

/// Rows read as one text: [`records`] takes it apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Together {
    /// A record for each row.
    pub text: String,
    /// Whether each row's leaf hash is the one handed in for its place, and its text a text. Where
    /// it is not, [`rows`] shows what is wrong.
    pub agree: bool,
}

/// One row of [`Together`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place in the log, from 0.
    pub seq: i64,
    /// As [`Proven::columns`].
    pub columns: &'a str,
    /// The canonical text, the leaf.
    pub body: &'a str,
}

/// The columns of a row as one text: each after its length in bytes, so that none can end where
/// another begins; `-` for one that is not there.
pub fn columns_of(row: &AuditRow) -> String {
    let at = row.at.to_string();
    let optional = [&row.org_id, &row.impersonation_id, &row.ticket_ref, &row.secret_type];
    let optional = optional.map(|value| value.as_deref());
    let always = [Some(at.as_str()), Some(&row.id), Some(&row.action), Some(&row.actor_id)];
    let mut columns = String::with_capacity(160);
    for value in always.into_iter().chain(optional) {
        match value {
            Some(value) => {
                let _ = write!(columns, "{}:{value}", value.len());
            }
            None => columns.push('-'),
        }
    }
    columns
}

/// A value after its length in bytes, as SQL.
fn measured(column: &str) -> String {
    format!("COALESCE(OCTET_LENGTH(CAST({column} AS TEXT)) || ':' || {column}, '-')")
}

/// [`columns_of`] as SQL.
fn columns() -> String {
    let of_its_type = SEARCHED.map(|(column, kind, optional)| {
        let same = format!("{column} = CAST({column} AS {kind})");
        if optional { format!("COALESCE({same}, {column} IS NULL)") } else { same }
    });
    format!(
        "CONCAT(CASE WHEN {} THEN '' ELSE '{NOT_SEARCHABLE}' END, {})",
        of_its_type.join(" AND "),
        SEARCHED.map(|(column, ..)| measured(column)).join(", ")
    )
}

/// The rows `from..to` of a log, in order.
pub async fn rows(
    conn: &mut AnyConnection,
    log_id: &str,
    from: i64,
    to: i64,
) -> Result<Vec<Proven>> {
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "SELECT e.seq, e.body, e.leaf_hash, {} AS columns FROM audit_entry e \
         WHERE e.log_id = $1 AND e.seq >= $2 AND e.seq < $3 ORDER BY e.seq",
        columns()
    )))
    .bind(log_id)
    .bind(from)
    .bind(to)
    .fetch_all(conn)
    .await?)
}

/// The rows `from..to` of a log as one text, with the leaf hashes that they should have, 32 bytes
/// each: a fraction of what reading them one by one takes.
pub async fn together(
    conn: &mut AnyConnection,
    log_id: &str,
    from: i64,
    to: i64,
    leaf_hashes: &[u8],
) -> Result<Together> {
    // That they are compared with a leaf hash says of which type they are.
    let (text, agree): (Option<String>, Option<i64>) =
        sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT STRING_AGG(x.record, ''), CAST(MIN(x.agrees) AS BIGINT) FROM ( \
           SELECT CONCAT({}, {}, {}) AS record, \
             CASE WHEN e.leaf_hash = SUBSTR(COALESCE($4, e.leaf_hash), CAST(32 * (e.seq - $2) + 1 AS INTEGER), 32) \
               AND e.body = CAST(e.body AS TEXT) THEN 1 ELSE 0 END AS agrees \
           FROM audit_entry e WHERE e.log_id = $1 AND e.seq >= $2 AND e.seq < $3 ORDER BY e.seq \
         ) x",
            measured("e.seq"),
            columns(),
            measured("e.body"),
        )))
        .bind(log_id)
        .bind(from)
        .bind(to)
        .bind(leaf_hashes)
        .fetch_one(conn)
        .await?;
    Ok(Together { text: text.unwrap_or_default(), agree: agree != Some(0) })
}

/// The rows of [`Together`], in order; nothing where the text is not made of records.
pub fn records(text: &str) -> Option<Vec<Record<'_>>> {
    let mut found = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (seq, after) = value(rest)?;
        let mut end = after.strip_prefix(NOT_SEARCHABLE).unwrap_or(after);
        for _ in SEARCHED {
            end = value(end)?.1;
        }
        let columns = after.get(..after.len() - end.len())?;
        let (body, next) = value(end)?;
        found.push(Record { seq: seq?.parse().ok()?, columns, body: body? });
        rest = next;
    }
    // Which way the database puts them together is its own affair.
    found.sort_by_key(|record| record.seq);
    Some(found)
}

/// The first value of a text, `-` for none, and what is behind it.
fn value(text: &str) -> Option<(Option<&str>, &str)> {
    if let Some(rest) = text.strip_prefix('-') {
        return Some((None, rest));
    }
    let (length, rest) = text.split_once(':')?;
    let length: usize = length.parse().ok()?;
    Some((Some(rest.get(..length)?), rest.get(length..)?))
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

/// The checkpoints kept of a log for more than `above` rows and at most `upto`: (size, note), the
/// smallest first.
pub async fn checkpoints(
    conn: &mut AnyConnection,
    log_id: &str,
    above: i64,
    upto: i64,
) -> Result<Vec<(i64, String)>> {
    Ok(sqlx::query_as(
        "SELECT size, note FROM audit_checkpoint WHERE log_id = $1 AND size > $2 AND size <= $3 ORDER BY size",
    )
    .bind(log_id)
    .bind(above)
    .bind(upto)
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

/// A row that is in no log: its log is not there, or its place is before the first. (Log, place.)
pub async fn stray(conn: &mut AnyConnection) -> Result<Option<(String, i64)>> {
    Ok(sqlx::query_as(
        "SELECT e.log_id, e.seq FROM audit_entry e \
         WHERE e.seq < 0 OR NOT EXISTS (SELECT 1 FROM audit_log l WHERE l.id = e.log_id) \
         ORDER BY e.log_id, e.seq LIMIT 1",
    )
    .fetch_optional(conn)
    .await?)
}
