//! The logs as a list, with what is known of each. Every function fails where the database does not
//! answer.

use std::collections::HashMap;

use sqlx::{AnyConnection, FromRow};

use super::Result;
use super::audit::Head;
use super::tickets::escape_like;
use super::verification::{self, Verification, Wrong};
use super::witness::Witnessed;
use crate::model::Micros;

/// Which logs are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// A part of an org's name, short name or id, in any case.
    pub org: Option<String>,
    /// Only those that a witness does not agree to, or did not answer about.
    pub in_doubt: bool,
    /// Only those after this log's id.
    pub after: Option<String>,
}

/// An org's log, and whose it is.
#[derive(Debug, Clone)]
pub struct OrgLog {
    /// The head.
    pub head: Head,
    /// Name, short name and birth of the org; absent where there is no such org.
    pub org: Option<Org>,
}

/// Whose log it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Org {
    /// Its name.
    pub name: String,
    /// Its short name.
    pub slug: String,
    /// Since when it is here, and its log with it.
    pub since: Micros,
}

#[derive(FromRow)]
struct Found {
    #[sqlx(flatten)]
    head: Head,
    name: Option<String>,
    slug: Option<String>,
    created_at: Option<Micros>,
}

/// The logs of orgs, in the order of their ids. A log whose org is gone is among them.
pub async fn page(conn: &mut AnyConnection, wanted: &Wanted, limit: i64) -> Result<Vec<OrgLog>> {
    let mut sql = String::from(
        "SELECT l.id, l.org_id, l.origin, l.size, l.frontier, l.checkpoint, l.last_at, l.record_note, o.name, o.slug, o.created_at \
         FROM audit_log l LEFT JOIN org o ON o.id = l.org_id WHERE l.id <> 'platform' AND l.id > $1",
    );
    if wanted.org.is_some() {
        sql.push_str(
            " AND (LOWER(o.name) LIKE $3 ESCAPE '\\' OR LOWER(o.slug) LIKE $3 ESCAPE '\\' \
             OR LOWER(l.id) LIKE $3 ESCAPE '\\')",
        );
    }
    if wanted.in_doubt {
        sql.push_str(
            " AND EXISTS (SELECT 1 FROM witness_state w WHERE w.log_id = l.id AND w.last_error IS NOT NULL)",
        );
    }
    sql.push_str(" ORDER BY l.id LIMIT $2");
    let mut query = sqlx::query_as::<_, Found>(sqlx::AssertSqlSafe(sql))
        .bind(wanted.after.as_deref().unwrap_or_default())
        .bind(limit);
    if let Some(org) = &wanted.org {
        query = query.bind(format!("%{}%", escape_like(&org.to_lowercase())));
    }
    let found = query.fetch_all(conn).await?;
    let log = |f: Found| OrgLog {
        org: f.name.zip(f.slug).zip(f.created_at).map(|((name, slug), since)| Org {
            name,
            slug,
            since,
        }),
        head: f.head,
    };
    Ok(found.into_iter().map(log).collect())
}

/// How many logs there are, and how many rows they say they have.
pub async fn total(conn: &mut AnyConnection) -> Result<(i64, i64)> {
    Ok(sqlx::query_as("SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM audit_log")
        .fetch_one(conn)
        .await?)
}

/// What every witness has seen of these logs, by the log's id.
pub async fn witnesses(
    conn: &mut AnyConnection,
    logs: &[String],
) -> Result<HashMap<String, Vec<Witnessed>>> {
    let mut all: HashMap<String, Vec<Witnessed>> = HashMap::new();
    for chunk in logs.chunks(200) {
        let places: Vec<String> = (1..=chunk.len()).map(|n| format!("${n}")).collect();
        let sql = format!(
            "SELECT witness, log_id, size, at, answer, last_error FROM witness_state WHERE log_id IN ({}) \
             ORDER BY witness",
            places.join(", ")
        );
        let mut query = sqlx::query_as::<_, Witnessed>(sqlx::AssertSqlSafe(sql));
        for log in chunk {
            query = query.bind(log);
        }
        for seen in query.fetch_all(&mut *conn).await? {
            all.entry(seen.log_id.clone()).or_default().push(seen);
        }
    }
    Ok(all)
}

/// How many logs a witness does not agree to, or did not answer about.
pub async fn in_doubt(conn: &mut AnyConnection) -> Result<i64> {
    Ok(sqlx::query_scalar(
        "SELECT COUNT(DISTINCT log_id) FROM witness_state WHERE last_error IS NOT NULL",
    )
    .fetch_one(conn)
    .await?)
}

/// The newest verification of all logs that held, and what later ones found.
#[derive(Debug, Clone, Default)]
pub struct Verified {
    /// The newest of all logs that held.
    pub held: Option<Verification>,
    /// What later ones found wrong, the newest first.
    pub failed: Vec<Wrong>,
    /// Later ones of one log alone that held, the newest first.
    pub alone: Vec<Verification>,
}

impl Verified {
    /// Reads them.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn load(conn: &mut AnyConnection) -> Result<Self> {
        let held = verification::newest_held(conn).await?;
        let since = held.as_ref().map_or(0, |v| v.started_at);
        Ok(Self {
            failed: verification::failed_since(conn, since).await?,
            alone: verification::held_alone_since(conn, since).await?,
            held,
        })
    }
}
