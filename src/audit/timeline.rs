//! The two logs side by side, an impersonation as one group.

use std::collections::HashSet;

use serde_json::Value;
use sqlx::AnyConnection;

use super::trail::{Depth, Judged, ReadRow, judge};
use super::{AuditError, LogKey};
use crate::model::Micros;
use crate::proof::actions;
use crate::proof::row::AuditRow;
use crate::store::Key;
use crate::store::audit::{self, Filter, Seek};
use crate::store::impersonations::{self, Impersonation};

/// One thing on the time axis.
#[derive(Debug, Clone)]
pub enum Item {
    /// A row that belongs to no impersonation.
    Row(Box<ReadRow>),
    /// An impersonation with its rows of both logs.
    Group(Box<Group>),
}

/// An impersonation on the time axis.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its `impersonation_id`.
    pub id: String,
    /// The grant; absent where the table has none for the rows' id.
    pub grant: Option<Impersonation>,
    /// Its rows and the verdict.
    pub judged: Judged,
    /// Whether a row matches the filter; the others are context.
    pub matching: HashSet<String>,
}

/// A page of the timeline, newest first.
#[derive(Debug, Clone)]
pub struct Page {
    /// What is on it.
    pub items: Vec<Item>,
    /// Where newer ones begin.
    pub newer: Option<Key>,
    /// Where older ones begin.
    pub older: Option<Key>,
    /// The place of the newest item, from which live rows go on.
    pub newest: Option<Key>,
}

/// Reads a page.
///
/// # Errors
/// Where the database does not answer.
pub async fn page(
    conn: &mut AnyConnection,
    key: &LogKey,
    filter: &Filter,
    seek: &Seek,
    limit: usize,
    now: Micros,
) -> Result<Page, AuditError> {
    let ask = i64::try_from(limit).unwrap_or(100) + 1;
    let mut rows = audit::timeline(conn, filter, seek, true, ask).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let backwards = matches!(seek, Seek::Newer(_));
    if backwards {
        rows.reverse();
    }
    let newest = rows.first().map(audit::Entry::key);
    let oldest = rows.last().map(audit::Entry::key);
    let (newer, older) = match seek {
        Seek::Newest => (None, oldest.filter(|_| more)),
        Seek::Older(_) => (newest.clone(), oldest.filter(|_| more)),
        Seek::Newer(_) => (newest.clone().filter(|_| more), oldest),
    };
    let mut items = Vec::with_capacity(rows.len());
    for entry in rows {
        let Some(id) = entry.impersonation_id.clone() else {
            items.push(Item::Row(Box::new(ReadRow::of(entry))));
            continue;
        };
        let judged = judge(conn, key, &id, Depth::Proofs, now).await?;
        let matching = judged
            .platform
            .iter()
            .chain(&judged.org)
            .filter(|r| matches(filter, &r.entry))
            .map(|r| r.entry.id.clone())
            .collect();
        items.push(Item::Group(Box::new(Group {
            grant: impersonations::by_id(conn, &id).await?,
            id,
            judged,
            matching,
        })));
    }
    Ok(Page { items, newer, older, newest })
}

fn matches(f: &Filter, e: &audit::Entry) -> bool {
    let is = |want: &Option<String>, have: Option<&String>| {
        want.as_ref().is_none_or(|w| have == Some(w))
    };
    is(&f.org_id, e.org_id.as_ref())
        && is(&f.ticket, e.ticket_ref.as_ref())
        && is(&f.admin, Some(&e.actor_id))
        && is(&f.impersonation, e.impersonation_id.as_ref())
        && is(&f.action, Some(&e.action))
        && is(&f.secret_type, e.secret_type.as_ref())
        && f.check.as_ref().is_none_or(|check| failed(e, check))
        && f.from.is_none_or(|t| e.at >= t)
        && f.to.is_none_or(|t| e.at < t)
}

/// Whether a row is of an attempt that was refused because of this check.
fn failed(e: &audit::Entry, check: &str) -> bool {
    let refused = [actions::PLATFORM_IMPERSONATION_REFUSED, actions::PLATFORM_ROTATION_REFUSED];
    let Ok(row) = AuditRow::parse(&e.body) else { return false };
    let checks = row.details.get("failed_checks").and_then(Value::as_array);
    refused.contains(&row.action.as_str())
        && checks.is_some_and(|checks| checks.iter().any(|c| c.as_str() == Some(check)))
}
