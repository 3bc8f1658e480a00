//! The timeline: the rows of both logs in the order of time, narrowed and paged by key.
//!
//! A statement is driven by one index, and that is decided here rather than by the engine: of what
//! a filter asks for, the rarest leads, and everything else is looked up in the indexes of its own.
//! The statement is the same on both engines, and so is its plan. Every function fails where the
//! database does not answer.

mod counts;
mod reach;
pub mod watch;

use std::collections::{BTreeSet, HashSet};

use sqlx::query::QueryAs;
use sqlx::{Any, AnyConnection};

use super::audit::{ENTRY_COLUMNS, Entry};
use super::{Key, Result};
use crate::model::{Micros, Stand};
use crate::proof::terms;
use crate::proof::verdict::Verdict;

pub use reach::Looked;

/// How far rows are counted to see what is rare, and how many of what is not a page looks at.
const RARE: i64 = 800;

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
    /// Rows in which each of these words stands, or each of these ids.
    pub text: Option<String>,
    /// Rows of impersonations whose trails stood like this when they were last judged.
    pub verdict: Option<Verdict>,
    /// Rows of impersonations that stood like this when they were last judged.
    pub standing: Option<Stand>,
    /// Starts of impersonations whose tokens were open for so many whole minutes
    /// ([`super::standing::Standing::minutes_open`]).
    pub open_for: Option<u8>,
    /// Refused attempts that failed this check.
    pub check: Option<String>,
    /// Rows at or after this instant.
    pub from: Option<Micros>,
    /// Rows before this instant.
    pub to: Option<Micros>,
}

impl Filter {
    /// Whether what matches may change with every trail that is judged, and not only with what is
    /// appended.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        self.verdict.is_some() || self.standing.is_some() || self.open_for.is_some()
    }
}

/// The columns that have an index in the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Column {
    Id,
    Org,
    Ticket,
    Actor,
    Impersonation,
    Action,
    SecretType,
}

impl Column {
    fn name(self) -> &'static str {
        match self {
            Column::Id => "id",
            Column::Org => "org_id",
            Column::Ticket => "ticket_ref",
            Column::Actor => "actor_id",
            Column::Impersonation => "impersonation_id",
            Column::Action => "action",
            Column::SecretType => "secret_type",
        }
    }
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Condition {
    Is(Column, String),
    Has(String),
}

impl Condition {
    fn value(&self) -> &str {
        match self {
            Condition::Is(_, value) | Condition::Has(value) => value,
        }
    }
}

/// What leads a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lead {
    /// Time alone. Where several things are asked for, which of them leads depends on the place
    /// that is read from (`reach`).
    Time,
    /// The condition at this place.
    One(usize),
    /// The org and the action, which have an index together.
    OrgAction(usize, usize),
}

/// The word under which the rows of trails with a verdict, or another standing, are. No row's own word has a `=`.
#[must_use]
pub fn verdict_term(word: &str) -> String {
    format!("={word}")
}

/// The word under which the starts of impersonations are whose tokens were open for so many whole
/// minutes.
#[must_use]
pub fn open_for_term(minutes: u8) -> String {
    verdict_term(&format!("open-for-{minutes}"))
}

/// A filter that was looked at: which conditions it has, and which one leads.
#[derive(Debug, Clone)]
pub struct Question {
    conditions: Vec<Condition>,
    lead: Lead,
    /// How many rows are few enough to look at all of them.
    rare: i64,
    from: Option<Micros>,
    to: Option<Micros>,
}

impl Question {
    /// Looks at a filter: what its text names.
    pub async fn of(conn: &mut AnyConnection, filter: &Filter) -> Result<Self> {
        Self::of_rare(conn, filter, RARE).await
    }

    /// The same where so many rows are rare.
    pub(crate) async fn of_rare(
        conn: &mut AnyConnection,
        filter: &Filter,
        rare: i64,
    ) -> Result<Self> {
        let columns = [
            (Column::Org, &filter.org_id),
            (Column::Ticket, &filter.ticket),
            (Column::Actor, &filter.admin),
            (Column::Impersonation, &filter.impersonation),
            (Column::Action, &filter.action),
            (Column::SecretType, &filter.secret_type),
        ];
        let mut conditions: Vec<Condition> = columns
            .into_iter()
            .filter_map(|(column, value)| value.clone().map(|v| Condition::Is(column, v)))
            .collect();
        if let Some(verdict) = filter.verdict {
            conditions.push(Condition::Has(verdict_term(verdict.word())));
        }
        conditions.extend(filter.standing.map(|s| Condition::Has(verdict_term(s.as_str()))));
        conditions.extend(filter.open_for.map(|n| Condition::Has(open_for_term(n))));
        conditions.extend(filter.check.iter().map(|c| Condition::Has(terms::of_check(c))));
        let pieces: BTreeSet<&str> =
            filter.text.iter().flat_map(|t| t.split_whitespace()).collect();
        for piece in pieces {
            match named_by(conn, piece).await? {
                Some(column) => conditions.push(Condition::Is(column, piece.to_lowercase())),
                None => {
                    let words = terms::words(piece);
                    conditions.extend(words.into_iter().map(Condition::Has));
                }
            }
        }
        let mut seen = HashSet::new();
        conditions.retain(|condition| seen.insert(condition.clone()));
        let (lead, from, to) = (Lead::Time, filter.from, filter.to);
        let mut question = Self { conditions, lead, rare, from, to };
        if let [only] = question.leads()[..] {
            question.lead = only;
        }
        Ok(question)
    }

    /// What can lead.
    fn leads(&self) -> Vec<Lead> {
        let place = |wanted: Column| {
            self.conditions
                .iter()
                .position(|c| matches!(c, Condition::Is(column, _) if *column == wanted))
        };
        let mut leads: Vec<Lead> = (0..self.conditions.len()).map(Lead::One).collect();
        if let (Some(org), Some(action)) = (place(Column::Org), place(Column::Action)) {
            leads.insert(0, Lead::OrgAction(org, action));
        }
        leads
    }

    /// The question that asks for what leads, and for nothing else.
    fn led_by(&self, lead: Lead) -> Self {
        let (conditions, lead) = match lead {
            Lead::Time => (Vec::new(), Lead::Time),
            Lead::One(n) => (vec![self.conditions[n].clone()], Lead::One(0)),
            Lead::OrgAction(org, action) => (
                vec![self.conditions[org].clone(), self.conditions[action].clone()],
                Lead::OrgAction(0, 1),
            ),
        };
        Self { conditions, lead, ..*self }
    }

    /// Whether the condition at this place leads.
    fn is_lead(&self, n: usize) -> bool {
        match self.lead {
            Lead::Time => false,
            Lead::One(lead) => n == lead,
            Lead::OrgAction(org, action) => n == org || n == action,
        }
    }

    /// The conditions that do not lead, as they hold for the place on the time axis that `alias`
    /// has. Each is looked up in its own index, where the next place is next to the last one: the
    /// row itself is not read. Each value is at `$2 + n`.
    fn clause(&self, alias: &str) -> String {
        let holds = |(n, condition): (usize, &Condition)| match condition {
            _ if self.is_lead(n) => String::new(),
            // The id is compared as no index has it: one that is unique by it would lead to the row.
            Condition::Is(column, _) => format!(
                " AND EXISTS (SELECT 1 FROM audit_entry x WHERE x.{} = ${} AND x.at = {alias}.at AND x.id || '' = {alias}.id)",
                column.name(),
                n + 2
            ),
            Condition::Has(_) => has(n, alias),
        };
        self.conditions.iter().enumerate().map(holds).collect()
    }

    /// All conditions as they hold for the row `alias`, written so that no index is chosen for them.
    fn clause_of_row(&self, alias: &str) -> String {
        let holds = |(n, condition): (usize, &Condition)| match condition {
            Condition::Is(column, _) => {
                format!(" AND {alias}.{} || '' = ${}", column.name(), n + 2)
            }
            Condition::Has(_) => has(n, alias),
        };
        self.conditions.iter().enumerate().map(holds).collect()
    }

    /// The places of what leads, in its order, and the alias that has them. Where an index of
    /// their own has all that is asked of them, no engine takes another for them.
    fn places(&self) -> (String, &'static str) {
        let is = |alias: &str, n: usize| match &self.conditions[n] {
            Condition::Is(column, _) => format!(" AND {alias}.{} = ${}", column.name(), n + 2),
            Condition::Has(_) => format!(" AND {alias}.term = ${}", n + 2),
        };
        match self.lead {
            Lead::Time => ("audit_entry e WHERE 1 = 1".to_owned(), "e"),
            Lead::One(n) if matches!(self.conditions[n], Condition::Has(_)) => {
                (format!("audit_term d WHERE 1 = 1{}", is("d", n)), "d")
            }
            Lead::One(n) => (format!("audit_entry e WHERE 1 = 1{}", is("e", n)), "e"),
            Lead::OrgAction(org, action) => {
                (format!("audit_entry d WHERE 1 = 1{}{}", is("d", org), is("d", action)), "d")
            }
        }
    }

    /// Where the rows come from, in the order of what leads; and the alias that has it.
    fn source(&self) -> (String, &'static str) {
        match self.places() {
            (places, "d") => (
                places.replace(" d WHERE 1 = 1", " d CROSS JOIN audit_entry e WHERE e.id = d.id"),
                "d",
            ),
            places => places,
        }
    }

    /// The bounds in time, as numbers: they are ours, and not what somebody typed.
    fn bounds(&self, alias: &str) -> String {
        let from = self.from.map(|t| format!(" AND {alias}.at >= {t}")).unwrap_or_default();
        let to = self.to.map(|t| format!(" AND {alias}.at < {t}")).unwrap_or_default();
        from + &to
    }

    fn page_sql(&self, seek: &Seek, stop: Option<&Key>, grouped: bool) -> String {
        let (source, by) = self.source();
        let mut sql = format!(
            "SELECT {ENTRY_COLUMNS} FROM {source}{}{}",
            self.stretch(by, seek, stop).0,
            self.clause(by)
        );
        if grouped {
            // An impersonation stands where its newest matching row stands, and nowhere else.
            sql.push_str(&format!(
                " AND (e.impersonation_id IS NULL OR NOT EXISTS (SELECT 1 FROM audit_entry n \
                 WHERE n.impersonation_id = e.impersonation_id AND (n.at, n.id) > (e.at, e.id){}{}))",
                self.bounds("n"),
                self.clause_of_row("n")
            ));
        }
        let order = if matches!(seek, Seek::Newer(_)) { "" } else { " DESC" };
        sql.push_str(&format!(" ORDER BY {by}.at{order}, {by}.id{order} LIMIT $1"));
        sql
    }

    /// A page of rows. With `grouped`, an impersonation is there once, by its newest matching row.
    /// It is looked for as far as there are rows; [`Question::look`] does not.
    pub async fn page(
        &self,
        conn: &mut AnyConnection,
        seek: &Seek,
        grouped: bool,
        limit: i64,
    ) -> Result<Vec<Entry>> {
        let (question, _) = self.place_beyond(conn, seek).await?;
        question.rows_to(conn, seek, None, grouped, limit).await
    }

    /// The same as far as `stop` and no further.
    async fn rows_to(
        &self,
        conn: &mut AnyConnection,
        seek: &Seek,
        stop: Option<&Key>,
        grouped: bool,
        limit: i64,
    ) -> Result<Vec<Entry>> {
        let sql = self.page_sql(seek, stop, grouped);
        let mut query: QueryAs<'_, Any, Entry, _> =
            sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(limit);
        for condition in &self.conditions {
            query = query.bind(condition.value().to_owned());
        }
        for key in self.stretch("", seek, stop).1 {
            query = query.bind(key.at).bind(key.id.clone());
        }
        Ok(query.fetch_all(conn).await?)
    }
}

/// That the word at this place stands in the row at the place on the time axis that `alias` has.
fn has(n: usize, alias: &str) -> String {
    format!(
        " AND EXISTS (SELECT 1 FROM audit_term t WHERE t.term = ${} AND t.at = {alias}.at AND t.id = {alias}.id)",
        n + 2
    )
}

/// Which column a piece of text is a value of, where it is one.
async fn named_by(conn: &mut AnyConnection, piece: &str) -> Result<Option<Column>> {
    for column in [Column::Impersonation, Column::Id, Column::Org, Column::Actor] {
        let sql = format!("SELECT 1 FROM audit_entry WHERE {} = $1 LIMIT 1", column.name());
        let found: Option<i32> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(piece.to_lowercase())
            .fetch_optional(&mut *conn)
            .await?;
        if found.is_some() {
            return Ok(Some(column));
        }
    }
    Ok(None)
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

/// Whether the words of every row are there by the rule of this version: not so where rows are
/// older than the rule.
pub async fn words_made(conn: &mut AnyConnection) -> Result<bool> {
    let done: Option<i64> =
        sqlx::query_scalar("SELECT done FROM audit_derived WHERE name = 'terms'")
            .fetch_optional(conn)
            .await?;
    Ok(done >= Some(terms::VERSION))
}

/// The name of the position in a log up to which the words are made by this version's rule.
fn position(log_id: &str) -> String {
    format!("terms/{}/{log_id}", terms::VERSION)
}

/// How many rows of a log have their words by this version's rule, of those from before it.
pub async fn words_made_to(conn: &mut AnyConnection, log_id: &str) -> Result<i64> {
    let done: Option<i64> = sqlx::query_scalar("SELECT done FROM audit_derived WHERE name = $1")
        .bind(position(log_id))
        .fetch_optional(conn)
        .await?;
    Ok(done.unwrap_or(0))
}

/// Moves that position on.
pub async fn words_are_made_to(tx: &mut super::Tx, log_id: &str, rows: i64) -> Result<()> {
    sqlx::query(
        "INSERT INTO audit_derived (name, done) VALUES ($1, $2) \
         ON CONFLICT (name) DO UPDATE SET done = excluded.done",
    )
    .bind(position(log_id))
    .bind(rows)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Says that the words of every row are there.
pub async fn words_are_made(tx: &mut super::Tx) -> Result<()> {
    sqlx::query("UPDATE audit_derived SET done = $1 WHERE name = 'terms'")
        .bind(terms::VERSION)
        .execute(tx.conn())
        .await?;
    sqlx::query("DELETE FROM audit_derived WHERE name LIKE 'terms/%'").execute(tx.conn()).await?;
    Ok(())
}

/// The time of the oldest row of all.
pub async fn oldest_at(conn: &mut AnyConnection) -> Result<Option<Micros>> {
    Ok(sqlx::query_scalar("SELECT at FROM audit_entry ORDER BY at, id LIMIT 1")
        .fetch_optional(conn)
        .await?)
}

/// A page of rows, as [`Question::page`] gives it for a filter.
pub async fn timeline(
    conn: &mut AnyConnection,
    filter: &Filter,
    seek: &Seek,
    grouped: bool,
    limit: i64,
) -> Result<Vec<Entry>> {
    Question::of(conn, filter).await?.page(conn, seek, grouped, limit).await
}

/// How many rows match a filter.
pub async fn count(conn: &mut AnyConnection, filter: &Filter) -> Result<i64> {
    let question = Question::of(conn, filter).await?.for_all(conn).await?;
    question.count_to(conn, i64::MAX).await
}
