//! Exports of the timeline: what is in one is fixed, counted and on record before the first byte
//! of it leaves.

use std::collections::HashMap;

use sqlx::AnyConnection;

use uuid::Uuid;

use super::{AtWork, Desk, Step, StepError};
use crate::audit::export::Format;
use crate::audit::nodes::Edges;
use crate::audit::trail::{ReadRow, read_proven};
use crate::audit::{LogId, NewRow};
use crate::model::Micros;
use crate::proof::actions;
use crate::store::audit::{self, Entry, Filter, Seek};
use crate::store::timeline::Question;
use crate::store::{Key, staff};

/// How many rows are in memory at once.
const BATCH: i64 = 256;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The form.
    pub format: Format,
    /// Which rows.
    pub filter: Filter,
    /// The same as text, for the record.
    pub query: String,
}

/// How many rows of a fixed set are in memory at once while it is drawn up.
const DRAW_UP: i64 = 1000;

/// The rows of an export.
#[derive(Debug)]
enum Rows {
    /// Those that match, as far as each log had them. What a filter was found to mean is kept: it
    /// must not mean something else once a row came that has its text as an id.
    Matching(Question),
    /// These: the verdict on a trail may change while somebody reads. 16 bytes for each row.
    Fixed(std::vec::IntoIter<Uuid>),
}

/// An export that is on record and under way.
#[derive(Debug)]
pub struct Export {
    format: Format,
    set: Rows,
    who: String,
    /// How many rows each log had: the export is of these and no others.
    sizes: HashMap<String, i64>,
    /// How many of them match.
    rows: i64,
    sent: i64,
    beyond: Key,
    edges: Edges,
}

impl Export {
    /// How many rows it has, as its row in the platform log says.
    #[must_use]
    pub fn rows(&self) -> i64 {
        self.rows
    }

    /// Its form.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }
}

impl Desk {
    /// Begins an export: takes a moment of all logs, counts what matches, and writes the row that
    /// says who takes what. That row itself is not in it.
    ///
    /// # Errors
    /// Where the row cannot be written; nothing is then given out.
    pub async fn begin_export(
        &self,
        conn: &mut AnyConnection,
        who: &AtWork,
        wanted: Wanted,
    ) -> Step<Export> {
        let mut moment = self.store.snapshot(conn).await?;
        let heads = audit::heads(moment.conn()).await?;
        let question = Question::of(moment.conn(), &wanted.filter).await?;
        let question = question.for_all(moment.conn()).await?;
        let (set, rows) = if wanted.filter.is_judged() {
            let fixed = draw_up(moment.conn(), &question).await?;
            let rows = i64::try_from(fixed.len()).unwrap_or(i64::MAX);
            (Rows::Fixed(fixed.into_iter()), rows)
        } else {
            let rows = question.count_to(moment.conn(), i64::MAX).await?;
            (Rows::Matching(question), rows)
        };
        moment.end().await?;
        let Wanted { format, query, .. } = wanted;
        let mut tx = self.begin().await?;
        audit::lock(&mut tx, "platform").await?;
        let row = NewRow::new(actions::PLATFORM_AUDIT_EXPORTED, &who.actor())
            .with("what", "timeline")
            .with("format", format.word())
            .with("filter", query)
            .with("count", rows);
        self.log(&mut tx, &LogId::Platform, row).await?;
        tx.commit().await?;
        Ok(Export {
            format,
            set,
            who: who.staff.id.clone(),
            sizes: heads.into_iter().map(|head| (head.id, head.size)).collect(),
            rows,
            sent: 0,
            beyond: Key { at: Micros::MIN, id: String::new() },
            edges: Edges::default(),
        })
    }

    /// The next rows of an export as text, oldest first; nothing once all are given.
    ///
    /// # Errors
    /// Where a row is not what was signed, where there are fewer rows than were counted, where
    /// the account was disabled meanwhile, or where the database does not answer. The export must
    /// then be cut off: a shorter one would be taken for the whole.
    pub async fn export_more(&self, export: &mut Export) -> Step<Option<String>> {
        if export.sent == export.rows {
            return Ok(None);
        }
        let mut conn = self.store.read().await?;
        let account = staff::by_id(&mut conn, &export.who).await?;
        if account.is_none_or(|s| s.disabled_at.is_some()) {
            return Err(StepError::Forbidden("This account may no longer read."));
        }
        let batch = match &mut export.set {
            Rows::Matching(question) => {
                let seek = Seek::Newer(export.beyond.clone());
                question.page(&mut conn, &seek, false, BATCH).await?
            }
            Rows::Fixed(ids) => {
                let ids: Vec<String> = ids.take(BATCH as usize).map(|id| id.to_string()).collect();
                fetch(&mut conn, &ids).await?
            }
        };
        let key = self.current_log_key(&mut conn).await?;
        let batch = read_proven(&mut conn, key, batch, &export.edges).await?;
        drop(conn);
        let Some(last) = batch.last().map(|row| &row.entry) else {
            return Err(StepError::Outside(format!(
                "an export ends after {} of {} rows: rows are gone",
                export.sent, export.rows
            )));
        };
        export.beyond = last.key();
        let mut text = String::new();
        for row in batch {
            let ReadRow { entry, .. } = &row;
            let there = export.sizes.get(&entry.log_id).is_some_and(|size| entry.seq < *size);
            // It was written after the moment that was counted.
            if !there || export.sent == export.rows {
                continue;
            }
            let line = export.format.line(&row).map_err(StepError::Outside)?;
            text.push_str(&line);
            export.sent += 1;
        }
        Ok(Some(text))
    }
}

/// The ids of the rows that match, the oldest first.
async fn draw_up(conn: &mut AnyConnection, question: &Question) -> Step<Vec<Uuid>> {
    let mut ids = Vec::new();
    let mut beyond = Key { at: Micros::MIN, id: String::new() };
    loop {
        let seek = Seek::Newer(beyond);
        let rows = question.page(conn, &seek, false, DRAW_UP).await?;
        let Some(last) = rows.last() else { return Ok(ids) };
        beyond = last.key();
        for row in &rows {
            let id = Uuid::parse_str(&row.id)
                .map_err(|_| StepError::Outside(format!("the id of a row is none: {}", row.id)))?;
            ids.push(id);
        }
    }
}

/// The rows with these ids, in the order of the ids; all of them.
async fn fetch(conn: &mut AnyConnection, ids: &[String]) -> Step<Vec<Entry>> {
    let mut found: HashMap<String, Entry> =
        audit::by_ids(conn, ids).await?.into_iter().map(|row| (row.id.clone(), row)).collect();
    let gone = |id: &String| StepError::Outside(format!("an export is cut off: row {id} is gone"));
    ids.iter().map(|id| found.remove(id).ok_or_else(|| gone(id))).collect()
}
