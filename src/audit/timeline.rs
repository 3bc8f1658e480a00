//! The two logs side by side, an impersonation as one group.

use std::collections::HashSet;

use sqlx::AnyConnection;

use super::nodes::Edges;
use super::trail::{Judged, Proofs, ReadRow, judge_all};
use super::{AuditError, LogKey};
use crate::model::{Micros, time};
use crate::proof::actions::{PLATFORM_IMPERSONATION_STARTED, twins};
use crate::proof::row::AuditRow;
use crate::proof::terms;
use crate::store::audit::{self, Filter, Seek};
use crate::store::impersonations::{self, Impersonation};
use crate::store::timeline::{
    Looked, Question, words_are_made, words_are_made_to, words_made, words_made_to,
};
use crate::store::{Key, Store, many};

/// How many impersonations a page has at most: each brings its rows of both logs, about nine of
/// them, and their proofs. There would be no end to a page that is full of them.
const GROUPS: usize = 5;

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
#[derive(Debug)]
pub struct Page {
    /// What is on it.
    pub items: Vec<Item>,
    /// Where newer ones begin.
    pub newer: Option<Key>,
    /// Where older ones begin.
    pub older: Option<Key>,
    /// The logs of the impersonations on it.
    pub proofs: Proofs,
    /// How far was looked, where that is not as far as there are rows: what lies beyond is on the
    /// next page, or on none.
    pub looked_to: Option<Micros>,
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
    edges: &Edges,
    now: Micros,
) -> Result<Page, AuditError> {
    let ask = i64::try_from(limit).unwrap_or(100) + 1;
    let question = Question::of(conn, filter).await?;
    let Looked { mut rows, to } = question.look(conn, seek, true, ask).await?;
    let most = up_to_a_pair(&rows, limit.min(up_to_groups(&rows, GROUPS)));
    let more = rows.len() > most;
    rows.truncate(most);
    // Beyond what this page has, or beyond what it has looked at.
    let looked_to = to.filter(|_| !more);
    let backwards = matches!(seek, Seek::Newer(_));
    if backwards {
        rows.reverse();
    }
    let newest = rows.first().map(audit::Entry::key);
    let oldest = rows.last().map(audit::Entry::key);
    let beyond = |last: Option<Key>| looked_to.clone().or(last.filter(|_| more));
    let (newer, older) = match seek {
        Seek::Newest => (None, beyond(oldest)),
        // A page with nothing on it has no edges of its own.
        Seek::Older(place) => {
            (newest.clone().or_else(|| looked_to.is_some().then(|| from(place))), beyond(oldest))
        }
        Seek::Newer(place) => {
            (beyond(newest.clone()), oldest.or_else(|| looked_to.is_some().then(|| up_to(place))))
        }
    };
    let ids: Vec<String> = rows.iter().filter_map(|e| e.impersonation_id.clone()).collect();
    let loose = rows.iter().filter(|row| row.impersonation_id.is_none()).cloned();
    let mut loose: Vec<ReadRow> = loose.map(ReadRow::of).collect();
    let (mut trails, proofs) = judge_all(conn, key, &ids, &mut loose, edges, now).await?;
    let mut loose = loose.into_iter();
    let mut grants = impersonations::by_ids(conn, &ids).await?;
    let mut items = Vec::with_capacity(rows.len());
    for entry in rows {
        let judged = entry.impersonation_id.clone().and_then(|id| Some((trails.remove(&id)?, id)));
        let Some((judged, id)) = judged else {
            let row = if entry.impersonation_id.is_none() { loose.next() } else { None };
            items.push(Item::Row(Box::new(row.unwrap_or_else(|| ReadRow::of(entry)))));
            continue;
        };
        let matching = judged
            .platform
            .iter()
            .chain(&judged.org)
            .filter(|r| matches(filter, r))
            .map(|r| r.entry.id.clone())
            .collect();
        items.push(Item::Group(Box::new(Group {
            grant: grants.remove(&id),
            id,
            judged,
            matching,
        })));
    }
    Ok(Page { items, newer, older, proofs, looked_to: looked_to.map(|key| key.at) })
}

/// The place before whatever is of the instant of a place: what is newer is that, and the rest.
fn from(place: &Key) -> Key {
    Key { at: place.at, id: "0".to_owned() }
}

/// The place behind whatever is of the instant of a place.
fn up_to(place: &Key) -> Key {
    Key { at: place.at.saturating_add(1), id: "0".to_owned() }
}

/// How many rows there are before the impersonation that would be one more than `groups`.
fn up_to_groups(rows: &[audit::Entry], groups: usize) -> usize {
    let grouped = rows.iter().enumerate().filter(|(_, row)| row.impersonation_id.is_some());
    grouped.map(|(n, _)| n).nth(groups).unwrap_or(rows.len())
}

/// One fewer than `most` where that would part two rows that are drawn on one line. A page of one
/// row can but part them.
fn up_to_a_pair(rows: &[audit::Entry], most: usize) -> usize {
    let mut n = 0;
    while n < most {
        let pair = match (rows.get(n), rows.get(n + 1)) {
            (Some(one), Some(other)) => one_step(one, other),
            _ => false,
        };
        if pair && n + 1 == most {
            return n.max(1);
        }
        n += if pair { 2 } else { 1 };
    }
    most
}

/// Whether two rows that stand beside each other, and belong to no impersonation, are what one step
/// wrote into both logs. Their times are nearly the same: a log whose newest row is later gives its
/// own.
#[must_use]
pub fn one_step(one: &audit::Entry, other: &audit::Entry) -> bool {
    let (platform, org) = match (one.log_id == "platform", other.log_id == "platform") {
        (true, false) => (one, other),
        (false, true) => (other, one),
        _ => return false,
    };
    let loose = platform.impersonation_id.is_none() && org.impersonation_id.is_none();
    let together = (platform.at - org.at).abs() < time::SECOND && platform.org_id == org.org_id;
    loose && together && twins(&platform.action, &org.action)
}

fn matches(f: &Filter, r: &ReadRow) -> bool {
    let e = &r.entry;
    let is = |want: &Option<String>, have: Option<&String>| {
        want.as_ref().is_none_or(|w| have == Some(w))
    };
    is(&f.org_id, e.org_id.as_ref())
        && is(&f.ticket, e.ticket_ref.as_ref())
        && is(&f.admin, Some(&e.actor_id))
        && is(&f.impersonation, e.impersonation_id.as_ref())
        && is(&f.action, Some(&e.action))
        && is(&f.secret_type, e.secret_type.as_ref())
        && f.text.as_ref().is_none_or(|text| says(text, r))
        && f.check.as_ref().is_none_or(|check| failed(r, check))
        && f.open_for.is_none_or(|_| e.action == PLATFORM_IMPERSONATION_STARTED)
        && f.from.is_none_or(|t| e.at >= t)
        && f.to.is_none_or(|t| e.at < t)
}

/// Whether each piece of `text` is an id of the row, or is made of words of it.
fn says(text: &str, r: &ReadRow) -> bool {
    let e = &r.entry;
    let has = r.row.as_ref().map(terms::of_row).unwrap_or_default();
    text.to_lowercase().split_whitespace().all(|piece| {
        let ids = [e.impersonation_id.as_ref(), Some(&e.id), e.org_id.as_ref(), Some(&e.actor_id)];
        ids.into_iter().flatten().any(|id| id == piece) || terms::words(piece).is_subset(&has)
    })
}

/// Makes the words of rows that were written before words were, or by an older rule: once, at a
/// start. Where it is broken off, the next start goes on from there.
///
/// # Errors
/// Where the database does not answer; the next start goes on.
pub async fn make_words(store: &Store) -> Result<u64, AuditError> {
    const BATCH: i64 = 2000;
    let mut made = 0;
    let heads = {
        let mut conn = store.read().await?;
        if words_made(&mut conn).await? {
            return Ok(0);
        }
        audit::heads(&mut conn).await?
    };
    for head in heads {
        let mut tx = store.begin().await?;
        let mut from = words_made_to(tx.conn(), &head.id).await?;
        loop {
            let rows = audit::range(tx.conn(), &head.id, from, BATCH).await?;
            let Some(last) = rows.last() else { break };
            from = last.seq + 1;
            let mut words = Vec::new();
            for entry in rows {
                // A row that cannot be read has no words; that it cannot be is found by others.
                let Ok(row) = AuditRow::parse(&entry.body) else { continue };
                let of_row = terms::of_row(&row).into_iter();
                words.extend(of_row.map(|word| (word, entry.at, entry.id.clone())));
                made += 1;
            }
            many::missing_terms(tx.conn(), &words).await?;
            words_are_made_to(&mut tx, &head.id, from).await?;
            tx.commit().await?;
            tx = store.begin().await?;
        }
        tx.commit().await?;
    }
    let mut tx = store.begin().await?;
    words_are_made(&mut tx).await?;
    tx.commit().await?;
    Ok(made)
}

/// Whether a row is of an attempt that was refused because of this check.
fn failed(r: &ReadRow, check: &str) -> bool {
    let has = r.row.as_ref().map(terms::of_row).unwrap_or_default();
    has.contains(&terms::of_check(check))
}
