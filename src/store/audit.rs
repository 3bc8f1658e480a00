//! The tables of the two audit logs. Rows are only ever added here; what they mean is the
//! `audit` room's. Every function fails where the database does not answer.

use std::collections::BTreeSet;

use sqlx::{AnyConnection, FromRow};

use super::{Key, Result, StoreError, Tx};
use crate::model::Micros;

/// The head of a log.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Head {
    /// `platform`, or `org/<org id>`.
    pub id: String,
    /// The org, for an org's log.
    pub org_id: Option<String>,
    /// The origin line of its checkpoints.
    pub origin: String,
    /// How many rows it has.
    pub size: i64,
    /// The frontier of its Merkle tree.
    pub frontier: Vec<u8>,
    /// Its newest signed checkpoint.
    pub checkpoint: String,
    /// The time of its newest row.
    pub last_at: Micros,
}

const HEAD: &str = "SELECT id, org_id, origin, size, frontier, checkpoint, last_at FROM audit_log";

/// A row as it is stored: the columns that are searched, and the body that is proven.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Entry {
    /// The log.
    pub log_id: String,
    /// Its place in the log, from 0.
    pub seq: i64,
    /// Its id, UUIDv7.
    pub id: String,
    /// When.
    pub at: Micros,
    /// What.
    pub action: String,
    /// Who.
    pub actor_id: String,
    /// Which org it is about.
    pub org_id: Option<String>,
    /// Which impersonation it belongs to.
    pub impersonation_id: Option<String>,
    /// Which ticket.
    pub ticket_ref: Option<String>,
    /// Which type of secret.
    pub secret_type: Option<String>,
    /// The leaf: canonical JSON.
    pub body: String,
    /// RFC 6962 hash of the leaf.
    pub leaf_hash: Vec<u8>,
}

impl Entry {
    /// Where it stands on the time axis.
    #[must_use]
    pub fn key(&self) -> Key {
        Key { at: self.at, id: self.id.clone() }
    }
}

const ENTRY: &str = "SELECT e.log_id, e.seq, e.id, e.at, e.action, e.actor_id, e.org_id, e.impersonation_id, \
     e.ticket_ref, e.secret_type, e.body, e.leaf_hash FROM audit_entry e";

/// Creates a log.
pub async fn create(conn: &mut AnyConnection, head: &Head) -> Result<()> {
    sqlx::query(
        "INSERT INTO audit_log (id, org_id, origin, size, frontier, checkpoint, last_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(&head.id)
    .bind(head.org_id.as_deref())
    .bind(&head.origin)
    .bind(head.size)
    .bind(head.frontier.as_slice())
    .bind(&head.checkpoint)
    .bind(head.last_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// The head of a log.
pub async fn head(conn: &mut AnyConnection, log_id: &str) -> Result<Option<Head>> {
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(format!("{HEAD} WHERE id = $1")))
        .bind(log_id)
        .fetch_optional(conn)
        .await?)
}

/// The heads of every log, the platform's first.
pub async fn heads(conn: &mut AnyConnection) -> Result<Vec<Head>> {
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "{HEAD} ORDER BY CASE WHEN id = 'platform' THEN 0 ELSE 1 END, id"
    )))
    .fetch_all(conn)
    .await?)
}

/// The ids of every org that there is, or that a row of the platform's log names.
pub async fn orgs_named(conn: &mut AnyConnection) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(
        "SELECT id FROM org UNION SELECT org_id FROM audit_entry WHERE log_id = 'platform' AND org_id IS NOT NULL \
         ORDER BY 1",
    )
    .fetch_all(conn)
    .await?)
}

/// Takes a log's head for this transaction: whoever appends to the same log waits.
pub async fn lock(tx: &mut Tx, log_id: &str) -> Result<Head> {
    sqlx::query_as(
        "UPDATE audit_log SET size = size WHERE id = $1 \
         RETURNING id, org_id, origin, size, frontier, checkpoint, last_at",
    )
    .bind(log_id)
    .fetch_optional(tx.conn())
    .await?
    .ok_or(StoreError::Missing("an audit log"))
}

/// Adds a row.
pub async fn insert(tx: &mut Tx, e: &Entry) -> Result<()> {
    sqlx::query(
        "INSERT INTO audit_entry (log_id, seq, id, at, action, actor_id, org_id, impersonation_id, ticket_ref, \
         secret_type, body, leaf_hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(&e.log_id)
    .bind(e.seq)
    .bind(&e.id)
    .bind(e.at)
    .bind(&e.action)
    .bind(&e.actor_id)
    .bind(e.org_id.as_deref())
    .bind(e.impersonation_id.as_deref())
    .bind(e.ticket_ref.as_deref())
    .bind(e.secret_type.as_deref())
    .bind(&e.body)
    .bind(e.leaf_hash.as_slice())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Adds the root of a full subtree of 2^level leaves.
pub async fn insert_subtree(
    tx: &mut Tx,
    log_id: &str,
    level: i64,
    idx: i64,
    hash: &[u8],
) -> Result<()> {
    sqlx::query("INSERT INTO audit_subtree (log_id, level, idx, hash) VALUES ($1, $2, $3, $4)")
        .bind(log_id)
        .bind(level)
        .bind(idx)
        .bind(hash)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Adds a full tile of 256 hashes.
pub async fn insert_tile(
    tx: &mut Tx,
    log_id: &str,
    level: i64,
    idx: i64,
    hashes: &[u8],
) -> Result<()> {
    sqlx::query("INSERT INTO audit_tile (log_id, level, idx, hashes) VALUES ($1, $2, $3, $4)")
        .bind(log_id)
        .bind(level)
        .bind(idx)
        .bind(hashes)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Adds the words that a row is found by.
pub async fn insert_terms(
    tx: &mut Tx,
    at: Micros,
    id: &str,
    terms: &BTreeSet<String>,
) -> Result<()> {
    if terms.is_empty() {
        return Ok(());
    }
    let places: Vec<String> = (0..terms.len()).map(|i| format!("(${}, $1, $2)", i + 3)).collect();
    let sql = format!(
        "INSERT INTO audit_term (term, at, id) VALUES {} ON CONFLICT (term, at, id) DO NOTHING",
        places.join(", ")
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(at).bind(id);
    for term in terms {
        query = query.bind(term);
    }
    query.execute(tx.conn()).await?;
    Ok(())
}

/// Moves the head of a log on.
pub async fn save_head(tx: &mut Tx, head: &Head) -> Result<()> {
    sqlx::query("UPDATE audit_log SET size = $2, frontier = $3, checkpoint = $4, last_at = $5 WHERE id = $1")
        .bind(&head.id)
        .bind(head.size)
        .bind(head.frontier.as_slice())
        .bind(&head.checkpoint)
        .bind(head.last_at)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Keeps a checkpoint; one that is kept already stays as it is.
pub async fn keep_checkpoint(
    tx: &mut Tx,
    log_id: &str,
    size: i64,
    note: &str,
    at: Micros,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO audit_checkpoint (log_id, size, note, at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (log_id, size) DO NOTHING",
    )
    .bind(log_id)
    .bind(size)
    .bind(note)
    .bind(at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// When the newest kept checkpoint of a log was kept.
pub async fn kept_at(conn: &mut AnyConnection, log_id: &str) -> Result<Option<Micros>> {
    Ok(sqlx::query_scalar(
        "SELECT at FROM audit_checkpoint WHERE log_id = $1 ORDER BY size DESC LIMIT 1",
    )
    .bind(log_id)
    .fetch_optional(conn)
    .await?)
}

/// The first checkpoint that was kept of at least `size` rows.
pub async fn kept_from(
    conn: &mut AnyConnection,
    log_id: &str,
    size: i64,
) -> Result<Option<(i64, String)>> {
    Ok(sqlx::query_as(
        "SELECT size, note FROM audit_checkpoint WHERE log_id = $1 AND size >= $2 ORDER BY size LIMIT 1",
    )
    .bind(log_id)
    .bind(size)
    .fetch_optional(conn)
    .await?)
}

/// Every kept checkpoint of a log: (size, note), smallest first.
pub async fn checkpoints(conn: &mut AnyConnection, log_id: &str) -> Result<Vec<(i64, String)>> {
    Ok(sqlx::query_as("SELECT size, note FROM audit_checkpoint WHERE log_id = $1 ORDER BY size")
        .bind(log_id)
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
           SELECT log_id, (MAX(idx) + 1) * 256 - 1 FROM audit_subtree WHERE log_id = $1 AND level = 8 GROUP BY log_id \
         ) x ON x.log_id = l.id WHERE l.id = $1 AND x.seq >= l.size",
    )
    .bind(log_id)
    .fetch_one(conn)
    .await?)
}

/// Rows of a log in order, from `from`, at most `limit`.
pub async fn range(
    conn: &mut AnyConnection,
    log_id: &str,
    from: i64,
    limit: i64,
) -> Result<Vec<Entry>> {
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "{ENTRY} WHERE e.log_id = $1 AND e.seq >= $2 ORDER BY e.seq LIMIT $3"
    )))
    .bind(log_id)
    .bind(from)
    .bind(limit)
    .fetch_all(conn)
    .await?)
}

/// Leaf hashes of the rows `from..to` of a log.
pub async fn leaf_hashes(
    conn: &mut AnyConnection,
    log_id: &str,
    from: i64,
    to: i64,
) -> Result<Vec<(i64, Vec<u8>)>> {
    Ok(sqlx::query_as(
        "SELECT seq, leaf_hash FROM audit_entry WHERE log_id = $1 AND seq >= $2 AND seq < $3 ORDER BY seq",
    )
    .bind(log_id)
    .bind(from)
    .bind(to)
    .fetch_all(conn)
    .await?)
}

/// Roots of the full subtrees `from..to` at `level` of a log.
pub async fn subtrees(
    conn: &mut AnyConnection,
    log_id: &str,
    level: i64,
    from: i64,
    to: i64,
) -> Result<Vec<(i64, Vec<u8>)>> {
    Ok(sqlx::query_as("SELECT idx, hash FROM audit_subtree WHERE log_id = $1 AND level = $2 AND idx >= $3 AND idx < $4 ORDER BY idx")
        .bind(log_id)
        .bind(level)
        .bind(from)
        .bind(to)
        .fetch_all(conn)
        .await?)
}

/// Every row of an impersonation, in both logs, in the order of time.
pub async fn of_impersonation(
    conn: &mut AnyConnection,
    impersonation_id: &str,
) -> Result<Vec<Entry>> {
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "{ENTRY} WHERE e.impersonation_id = $1 ORDER BY e.at, e.id LIMIT 1000"
    )))
    .bind(impersonation_id)
    .fetch_all(conn)
    .await?)
}

/// How many rows an impersonation has in a log, and the sequence number of the newest.
pub async fn tally(
    conn: &mut AnyConnection,
    log_id: &str,
    impersonation_id: &str,
) -> Result<(i64, Option<i64>)> {
    Ok(sqlx::query_as(
        "SELECT COUNT(*), MAX(seq) FROM audit_entry WHERE impersonation_id = $2 AND log_id = $1",
    )
    .bind(log_id)
    .bind(impersonation_id)
    .fetch_one(conn)
    .await?)
}

/// The row with this id.
pub async fn by_id(conn: &mut AnyConnection, id: &str) -> Result<Option<Entry>> {
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(format!("{ENTRY} WHERE e.id = $1")))
        .bind(id)
        .fetch_optional(conn)
        .await?)
}

/// Rows of a ticket, newest first.
pub async fn of_ticket(
    conn: &mut AnyConnection,
    ticket_ref: &str,
    limit: i64,
) -> Result<Vec<Entry>> {
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "{ENTRY} WHERE e.ticket_ref = $1 ORDER BY e.at DESC, e.id DESC LIMIT $2"
    )))
    .bind(ticket_ref)
    .bind(limit)
    .fetch_all(conn)
    .await?)
}

/// What the timeline is narrowed to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Rows about this org, in either log.
    pub org_id: Option<String>,
    /// Rows of this ticket.
    pub ticket: Option<String>,
    /// Rows by this member of staff.
    pub admin: Option<String>,
    /// Rows of this impersonation.
    pub impersonation: Option<String>,
    /// Rows of this action.
    pub action: Option<String>,
    /// Rows about this type of secret.
    pub secret_type: Option<String>,
    /// Refused attempts that failed this check.
    pub check: Option<String>,
    /// Rows at or after this instant.
    pub from: Option<Micros>,
    /// Rows before this instant.
    pub to: Option<Micros>,
}

/// One condition: a column, a comparison, a value.
enum Value {
    Text(String),
    Number(i64),
}

impl Filter {
    fn conditions(&self) -> Vec<(&'static str, &'static str, Value)> {
        let texts = [
            ("org_id", &self.org_id),
            ("ticket_ref", &self.ticket),
            ("actor_id", &self.admin),
            ("impersonation_id", &self.impersonation),
            ("action", &self.action),
            ("secret_type", &self.secret_type),
        ];
        let mut all: Vec<_> = texts
            .into_iter()
            .filter_map(|(c, v)| v.clone().map(|v| (c, "=", Value::Text(v))))
            .collect();
        // Nested: the few rows that were refused because of it.
        let denied = "IN (SELECT entry_id FROM denied_check WHERE failed_check =";
        all.extend(self.check.clone().map(|c| ("id", denied, Value::Text(c))));
        all.extend(self.from.map(|t| ("at", ">=", Value::Number(t))));
        all.extend(self.to.map(|t| ("at", "<", Value::Number(t))));
        all
    }
}

/// Which way a page is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seek {
    /// From the newest.
    Newest,
    /// What is older than this place.
    Older(Key),
    /// What is newer than this place, nearest first.
    Newer(Key),
}

/// The statement for a page of the timeline, and its parameters' number.
fn timeline_sql(filter: &Filter, seek: &Seek, grouped: bool) -> String {
    let conditions = filter.conditions();
    let clause = |alias: &str| {
        conditions
            .iter()
            .enumerate()
            .map(|(i, (column, op, _))| {
                let close = if op.contains('(') { ")" } else { "" };
                format!(" AND {alias}.{column} {op} ${}{close}", i + 2)
            })
            .collect::<String>()
    };
    let mut sql = format!("{ENTRY} WHERE 1 = 1{}", clause("e"));
    let n = conditions.len();
    match seek {
        Seek::Newest => {}
        Seek::Older(_) => sql.push_str(&format!(" AND (e.at, e.id) < (${}, ${})", n + 2, n + 3)),
        Seek::Newer(_) => sql.push_str(&format!(" AND (e.at, e.id) > (${}, ${})", n + 2, n + 3)),
    }
    if grouped {
        // An impersonation stands where its newest matching row stands, and nowhere else.
        sql.push_str(&format!(
            " AND (e.impersonation_id IS NULL OR NOT EXISTS (SELECT 1 FROM audit_entry n \
             WHERE n.impersonation_id = e.impersonation_id AND (n.at, n.id) > (e.at, e.id){}))",
            clause("n")
        ));
    }
    sql.push_str(if matches!(seek, Seek::Newer(_)) {
        " ORDER BY e.at, e.id LIMIT $1"
    } else {
        " ORDER BY e.at DESC, e.id DESC LIMIT $1"
    });
    sql
}

/// A page of rows. With `grouped`, an impersonation is there once, by its newest matching row.
pub async fn timeline(
    conn: &mut AnyConnection,
    filter: &Filter,
    seek: &Seek,
    grouped: bool,
    limit: i64,
) -> Result<Vec<Entry>> {
    let mut query =
        sqlx::query_as(sqlx::AssertSqlSafe(timeline_sql(filter, seek, grouped))).bind(limit);
    for (_, _, value) in filter.conditions() {
        query = match value {
            Value::Text(text) => query.bind(text),
            Value::Number(number) => query.bind(number),
        };
    }
    if let Seek::Older(key) | Seek::Newer(key) = seek {
        query = query.bind(key.at).bind(key.id.clone());
    }
    Ok(query.fetch_all(conn).await?)
}

/// How many rows match a filter.
pub async fn count(conn: &mut AnyConnection, filter: &Filter) -> Result<i64> {
    let conditions = filter.conditions();
    let clauses: String = conditions
        .iter()
        .enumerate()
        .map(|(i, (column, op, _))| format!(" AND e.{column} {op} ${}", i + 1))
        .collect();
    let sql = format!("SELECT COUNT(*) FROM audit_entry e WHERE 1 = 1{clauses}");
    let mut query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql));
    for (_, _, value) in conditions {
        query = match value {
            Value::Text(text) => query.bind(text),
            Value::Number(number) => query.bind(number),
        };
    }
    Ok(query.fetch_one(conn).await?)
}

/// Notes that somebody looked at something; true where nothing of the kind was noted since
/// `since`.
pub async fn note_view(
    tx: &mut Tx,
    who: &str,
    what: &str,
    since: Micros,
    now: Micros,
) -> Result<bool> {
    let done = sqlx::query(
        "INSERT INTO audit_view (who, what, at) VALUES ($1, $2, $4) \
         ON CONFLICT (who, what) DO UPDATE SET at = excluded.at WHERE audit_view.at <= $3",
    )
    .bind(who)
    .bind(what)
    .bind(since)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}
