//! How far a page looks. Where each of several things that a filter asks for is frequent, what has
//! all of them may still be rare, or nowhere at all, and to find that out is to walk a whole index.
//! So a page walks so many rows of it and no more, says how far it came, and the next page goes on
//! from there.

use sqlx::AnyConnection;

use super::{Entry, Key, Lead, Question, Result, Seek};

/// Rows of a page, and how far it looked for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// The rows, in the order of [`Question::page`].
    pub rows: Vec<Entry>,
    /// The place of the last row that was looked at, where there may be more beyond it: what is
    /// up to there is here. Nothing where the page is full, or nothing is left to look at.
    pub to: Option<Key>,
}

/// The keys that bound a stretch, in the order in which they are bound to the statement.
type Bound<'a> = Vec<&'a Key>;

impl Question {
    /// Whether what leads depends on the place that is read from.
    pub(super) fn undecided(&self) -> bool {
        self.lead == Lead::Time && !self.conditions.is_empty()
    }

    /// The question as it is best asked from a place, and, where what leads is frequent there too,
    /// the place behind as many rows of it as are looked at.
    pub(crate) async fn place_beyond(
        &self,
        conn: &mut AnyConnection,
        seek: &Seek,
    ) -> Result<(Self, Option<Key>)> {
        if !self.undecided() {
            return Ok((self.clone(), None));
        }
        let mut best: Option<(Lead, Key)> = None;
        // Those of which so few are left that all of them can be looked at: of these the fewest.
        let mut few: Option<(Lead, i64)> = None;
        for lead in self.leads() {
            let led = self.led_by(lead);
            let to = match few {
                None => led.place(conn, seek).await?,
                Some(_) => None,
            };
            let Some(to) = to else {
                let most = few.map_or(self.rare.saturating_add(1), |(_, found)| found);
                let found = led.count_to(conn, most).await?;
                if few.is_none() || found < most {
                    few = Some((lead, found));
                }
                continue;
            };
            // What gets furthest with as many rows is the rarest here.
            let further = best.as_ref().is_none_or(|(_, best)| match seek {
                Seek::Newer(_) => (to.at, &to.id) > (best.at, &best.id),
                _ => (to.at, &to.id) < (best.at, &best.id),
            });
            if further {
                best = Some((lead, to));
            }
        }
        if let Some((lead, _)) = few {
            return Ok((Self { lead, ..self.clone() }, None));
        }
        Ok(match best {
            Some((lead, to)) => (Self { lead, ..self.clone() }, Some(to)),
            None => (self.clone(), None),
        })
    }

    /// A page as [`Question::page`] gives it, but that looks at so many rows only. It may have
    /// fewer rows than there are, and even none: then it says how far it looked.
    pub async fn look(
        &self,
        conn: &mut AnyConnection,
        seek: &Seek,
        grouped: bool,
        limit: i64,
    ) -> Result<Looked> {
        let (question, stop) = self.place_beyond(conn, seek).await?;
        let rows = question.rows_to(conn, seek, stop.as_ref(), grouped, limit).await?;
        let full = i64::try_from(rows.len()).is_ok_and(|n| n >= limit);
        Ok(Looked { rows, to: stop.filter(|_| !full) })
    }

    /// The place of the row behind so many rows of what leads, where there are so many.
    async fn place(&self, conn: &mut AnyConnection, seek: &Seek) -> Result<Option<Key>> {
        let (places, by) = self.places();
        let (stretch, keys) = self.stretch(by, seek, None);
        let order = if matches!(seek, Seek::Newer(_)) { "" } else { " DESC" };
        let sql = format!(
            "SELECT {by}.at, {by}.id FROM {places}{stretch} ORDER BY {by}.at{order}, {by}.id{order} LIMIT 1 OFFSET $1"
        );
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(self.rare);
        for condition in &self.conditions {
            query = query.bind(condition.value().to_owned());
        }
        for key in keys {
            query = query.bind(key.at).bind(key.id.clone());
        }
        let found: Option<(i64, String)> = query.fetch_optional(conn).await?;
        Ok(found.map(|(at, id)| Key { at, id }))
    }

    /// The stretch that is read: from where `seek` says, as far as `stop`, within the bounds of the
    /// filter. Each side has one bound, the one that says most: of two, an engine would take either
    /// for its index, and read and skip all that is between them.
    pub(super) fn stretch<'a>(
        &self,
        alias: &str,
        seek: &'a Seek,
        stop: Option<&'a Key>,
    ) -> (String, Bound<'a>) {
        let from = self.from.map(|t| format!(" AND {alias}.at >= {t}"));
        let to = self.to.map(|t| format!(" AND {alias}.at < {t}"));
        let (mut low, mut high) = (from.unwrap_or_default(), to.unwrap_or_default());
        let mut keys = Vec::new();
        let mut beyond = |side: &mut String, sign: &str, key: &'a Key| {
            let first = self.conditions.len() + 2 + 2 * keys.len();
            *side = format!(" AND ({alias}.at, {alias}.id) {sign} (${first}, ${})", first + 1);
            keys.push(key);
        };
        match seek {
            Seek::Older(key) if self.to.is_none_or(|t| key.at < t) => beyond(&mut high, "<", key),
            Seek::Newer(key) if self.from.is_none_or(|t| key.at >= t) => beyond(&mut low, ">", key),
            _ => {}
        }
        match (seek, stop) {
            (Seek::Newer(_), Some(key)) => beyond(&mut high, "<=", key),
            (_, Some(key)) => beyond(&mut low, ">=", key),
            (_, None) => {}
        }
        (low + &high, keys)
    }
}
