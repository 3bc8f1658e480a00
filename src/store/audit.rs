//! The tables of the two audit logs. Rows are only ever added here; what they mean is the
//! `audit` room's. Every function fails where the database does not answer.

use std::collections::BTreeSet;

use sqlx::{AnyConnection, FromRow};

pub use super::timeline::{Filter, Seek, count, timeline};
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
    /// Where its newest record of the org stands, signed; nothing where it has none.
    pub record_note: Option<String>,
}

const HEAD: &str =
    "SELECT id, org_id, origin, size, frontier, checkpoint, last_at, record_note FROM audit_log";

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

/// The columns of a row, of the table under the name `e`.
pub(super) const ENTRY_COLUMNS: &str = "e.log_id, e.seq, e.id, e.at, e.action, e.actor_id, e.org_id, \
     e.impersonation_id, e.ticket_ref, e.secret_type, e.body, e.leaf_hash";

/// How many parts a statement has at most that reads many things at once.
const UNION: usize = 60;

/// Creates a log.
pub async fn create(conn: &mut AnyConnection, head: &Head) -> Result<()> {
    sqlx::query(
        "INSERT INTO audit_log (id, org_id, origin, size, frontier, checkpoint, last_at, record_note) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(&head.id)
    .bind(head.org_id.as_deref())
    .bind(&head.origin)
    .bind(head.size)
    .bind(head.frontier.as_slice())
    .bind(&head.checkpoint)
    .bind(head.last_at)
    .bind(head.record_note.as_deref())
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
         RETURNING id, org_id, origin, size, frontier, checkpoint, last_at, record_note",
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
    sqlx::query("UPDATE audit_log SET size = $2, frontier = $3, checkpoint = $4, last_at = $5, record_note = $6 WHERE id = $1")
        .bind(&head.id)
        .bind(head.size)
        .bind(head.frontier.as_slice())
        .bind(&head.checkpoint)
        .bind(head.last_at)
        .bind(head.record_note.as_deref())
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

/// Rows of a log in order, from `from`, at most `limit`.
pub async fn range(
    conn: &mut AnyConnection,
    log_id: &str,
    from: i64,
    limit: i64,
) -> Result<Vec<Entry>> {
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "SELECT {ENTRY_COLUMNS} FROM audit_entry e WHERE e.log_id = $1 AND e.seq >= $2 ORDER BY e.seq LIMIT $3"
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
        "SELECT {ENTRY_COLUMNS} FROM audit_entry e WHERE e.impersonation_id = $1 ORDER BY e.at, e.id LIMIT 1000"
    )))
    .bind(impersonation_id)
    .fetch_all(conn)
    .await?)
}

/// Every row of these impersonations, in both logs, in the order of time; at most 1000 of each.
pub async fn of_impersonations(conn: &mut AnyConnection, ids: &[String]) -> Result<Vec<Entry>> {
    let one = |n: usize| {
        format!(
            "SELECT * FROM (SELECT {ENTRY_COLUMNS} FROM audit_entry e WHERE e.impersonation_id = ${} \
             ORDER BY e.at, e.id LIMIT 1000) x{n}",
            n + 1
        )
    };
    let mut all = Vec::new();
    for chunk in ids.chunks(UNION) {
        let parts: Vec<String> = (0..chunk.len()).map(one).collect();
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(parts.join(" UNION ALL ")));
        for id in chunk {
            query = query.bind(id);
        }
        all.extend(query.fetch_all(&mut *conn).await?);
    }
    Ok(all)
}

/// The heads of these logs.
pub async fn heads_of(conn: &mut AnyConnection, ids: &[String]) -> Result<Vec<Head>> {
    let mut all = Vec::new();
    for chunk in ids.chunks(UNION) {
        let places: Vec<String> = (1..=chunk.len()).map(|n| format!("${n}")).collect();
        let sql = format!("{HEAD} WHERE id IN ({})", places.join(", "));
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql));
        for id in chunk {
            query = query.bind(id);
        }
        all.extend(query.fetch_all(&mut *conn).await?);
    }
    Ok(all)
}

/// A stretch of one level of a log's tree: level 0 are the leaves, others are multiples of 8.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stretch {
    /// The log.
    pub log_id: String,
    /// The level.
    pub level: i64,
    /// The first node.
    pub from: i64,
    /// The node after the last one.
    pub to: i64,
}

/// A node of a log's tree as it is stored: (log, level, place, hash).
pub type Node = (String, i64, i64, Vec<u8>);

/// Full tiles: (log, tile level, which one, 256 hashes). Each stretch names one, of 256 nodes.
pub async fn tiles(conn: &mut AnyConnection, wanted: &[Stretch]) -> Result<Vec<Node>> {
    let one = |n: usize| {
        format!(
            "SELECT log_id, level, idx, hashes FROM audit_tile WHERE log_id = ${} AND level = ${} AND idx = ${}",
            n * 3 + 1,
            n * 3 + 2,
            n * 3 + 3
        )
    };
    let mut all = Vec::new();
    for chunk in wanted.chunks(UNION) {
        let parts: Vec<String> = (0..chunk.len()).map(one).collect();
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(parts.join(" UNION ALL ")));
        for s in chunk {
            query = query.bind(&s.log_id).bind(s.level / 8).bind(s.from / 256);
        }
        all.extend(query.fetch_all(&mut *conn).await?);
    }
    Ok(all)
}

/// The stored nodes of these stretches.
pub async fn nodes(conn: &mut AnyConnection, wanted: &[Stretch]) -> Result<Vec<Node>> {
    let mut all = Vec::new();
    for chunk in wanted.chunks(UNION) {
        let one = |(n, s): (usize, &Stretch)| {
            let (log, level, from, to) = (n * 4 + 1, n * 4 + 2, n * 4 + 3, n * 4 + 4);
            let level_of = format!("CAST(${level} AS BIGINT)");
            if s.level == 0 {
                format!(
                    "SELECT log_id, {level_of} AS level, seq AS idx, leaf_hash AS hash FROM audit_entry \
                     WHERE log_id = ${log} AND seq >= ${from} AND seq < ${to}"
                )
            } else {
                format!(
                    "SELECT log_id, level, idx, hash FROM audit_subtree \
                     WHERE log_id = ${log} AND level = {level_of} AND idx >= ${from} AND idx < ${to}"
                )
            }
        };
        let parts: Vec<String> = chunk.iter().enumerate().map(one).collect();
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(parts.join(" UNION ALL ")));
        for s in chunk {
            query = query.bind(&s.log_id).bind(s.level).bind(s.from).bind(s.to);
        }
        all.extend(query.fetch_all(&mut *conn).await?);
    }
    Ok(all)
}

/// How many rows an impersonation has in a log, and the sequence number of the newest.
pub async fn tally(
    conn: &mut AnyConnection,
    log_id: &str,
    impersonation_id: &str,
) -> Result<(i64, Option<i64>)> {
    // Written so that no index is chosen for the log: SQLite would read all of it.
    Ok(sqlx::query_as(
        "SELECT COUNT(*), MAX(seq) FROM audit_entry WHERE impersonation_id = $2 AND log_id || '' = $1",
    )
    .bind(log_id)
    .bind(impersonation_id)
    .fetch_one(conn)
    .await?)
}

/// The row with this id.
pub async fn by_id(conn: &mut AnyConnection, id: &str) -> Result<Option<Entry>> {
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "SELECT {ENTRY_COLUMNS} FROM audit_entry e WHERE e.id = $1"
    )))
    .bind(id)
    .fetch_optional(conn)
    .await?)
}

/// The rows with these ids, in no order; as many as are there.
pub async fn by_ids(conn: &mut AnyConnection, ids: &[String]) -> Result<Vec<Entry>> {
    let mut all = Vec::with_capacity(ids.len());
    for part in ids.chunks(UNION) {
        let places: Vec<String> = (1..=part.len()).map(|n| format!("${n}")).collect();
        let sql = format!(
            "SELECT {ENTRY_COLUMNS} FROM audit_entry e WHERE e.id IN ({})",
            places.join(", ")
        );
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql));
        for id in part {
            query = query.bind(id);
        }
        all.extend(query.fetch_all(&mut *conn).await?);
    }
    Ok(all)
}

/// Rows of a ticket, newest first.
pub async fn of_ticket(
    conn: &mut AnyConnection,
    ticket_ref: &str,
    limit: i64,
) -> Result<Vec<Entry>> {
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "SELECT {ENTRY_COLUMNS} FROM audit_entry e WHERE e.ticket_ref = $1 ORDER BY e.at DESC, e.id DESC LIMIT $2"
    )))
    .bind(ticket_ref)
    .bind(limit)
    .fetch_all(conn)
    .await?)
}

/// The orgs that rows of the platform's log of an action are about since an instant, and when, the
/// newest first; one may be there several times.
pub async fn orgs_of_action_since(
    conn: &mut AnyConnection,
    action: &str,
    since: Micros,
    limit: i64,
) -> Result<Vec<(String, Micros)>> {
    Ok(sqlx::query_as(
        "SELECT org_id, at FROM audit_entry WHERE action = $1 AND at >= $2 AND org_id IS NOT NULL \
         AND log_id = 'platform' ORDER BY at DESC, id DESC LIMIT $3",
    )
    .bind(action)
    .bind(since)
    .bind(limit)
    .fetch_all(conn)
    .await?)
}

/// Orgs whose log says nowhere where their record stands, from one on, in the order of their ids.
pub async fn orgs_without_record(
    conn: &mut AnyConnection,
    after: &str,
    limit: i64,
) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(
        "SELECT org_id FROM audit_log WHERE org_id > $1 AND record_note IS NULL ORDER BY org_id LIMIT $2",
    )
    .bind(after)
    .bind(limit)
    .fetch_all(conn)
    .await?)
}

/// Whether any row of an action is about an org.
pub async fn has_action(conn: &mut AnyConnection, org_id: &str, action: &str) -> Result<bool> {
    let found: Option<String> =
        sqlx::query_scalar("SELECT id FROM audit_entry WHERE org_id = $1 AND action = $2 LIMIT 1")
            .bind(org_id)
            .bind(action)
            .fetch_optional(conn)
            .await?;
    Ok(found.is_some())
}

/// The rows of an org's log of an action since an instant, oldest first.
pub async fn of_action_since(
    conn: &mut AnyConnection,
    org_id: &str,
    log_id: &str,
    action: &str,
    since: Micros,
) -> Result<Vec<Entry>> {
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "SELECT {ENTRY_COLUMNS} FROM audit_entry e WHERE e.org_id = $1 AND e.action = $2 \
         AND e.at >= $3 AND e.log_id = $4 ORDER BY e.at, e.id"
    )))
    .bind(org_id)
    .bind(action)
    .bind(since)
    .bind(log_id)
    .fetch_all(conn)
    .await?)
}

/// Whether it was noted since `since` that somebody looked at something.
pub async fn viewed_since(
    conn: &mut AnyConnection,
    who: &str,
    what: &str,
    since: Micros,
) -> Result<bool> {
    let at: Option<Micros> =
        sqlx::query_scalar("SELECT at FROM audit_view WHERE who = $1 AND what = $2")
            .bind(who)
            .bind(what)
            .fetch_optional(conn)
            .await?;
    Ok(at.is_some_and(|at| at > since))
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
