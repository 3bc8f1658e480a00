//! What is new in the logs since a place, each row once: by its place in its log. Times would not
//! do. A step takes the time of its rows before it commits, so that a row of one log can appear
//! after a row of another one that is later; and clocks of instances differ.

use std::collections::{BTreeMap, HashMap};

use sqlx::AnyConnection;

use super::{Seek, timeline};
use crate::model::{Micros, UnknownWord, time};
use crate::store::audit::{Entry, Filter};
use crate::store::{Key, Result};

/// So much later than its time a row may appear.
const LATE: Micros = time::MINUTE;

/// How many rows of a log are taken up in one round; the next one goes on.
const AT_ONCE: i64 = 500;

/// How many logs a place names at most.
const MOST_LOGS: usize = 200;

/// A place in all logs at once, short enough for an address: the time, and of each log that was
/// written to within a minute before, how many rows it had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    at: Micros,
    sizes: BTreeMap<String, i64>,
}

impl Place {
    /// Here and now. To be asked before what is shown is read: a row that comes in between is then
    /// seen twice, and not never.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn here(conn: &mut AnyConnection, now: Micros) -> Result<Self> {
        let sizes: Vec<(String, i64)> =
            sqlx::query_as("SELECT id, size FROM audit_log WHERE last_at >= $1")
                .bind(now - LATE)
                .fetch_all(conn)
                .await?;
        Ok(Self::of(now, sizes))
    }

    fn of(at: Micros, sizes: impl IntoIterator<Item = (String, i64)>) -> Self {
        Self { at, sizes: sizes.into_iter().take(MOST_LOGS).collect() }
    }

    /// When it was.
    #[must_use]
    pub fn at(&self) -> Micros {
        self.at
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.at)?;
        self.sizes.iter().try_for_each(|(log, size)| write!(f, ",{log}={size}"))
    }
}

impl std::str::FromStr for Place {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || UnknownWord { what: "place in the logs", word: String::new() };
        let mut parts = text.split(',');
        let at = parts.next().and_then(|at| at.parse().ok()).ok_or_else(wrong)?;
        let mut sizes = BTreeMap::new();
        for part in parts {
            let (log, size) = part.split_once('=').ok_or_else(wrong)?;
            let size: i64 = size.parse().map_err(|_| wrong())?;
            if size < 0 || sizes.len() == MOST_LOGS {
                return Err(wrong());
            }
            sizes.insert(log.to_owned(), size);
        }
        Ok(Self { at, sizes })
    }
}

/// A row that was written, and not shown yet.
struct Fresh {
    at: Micros,
    rounds: u32,
}

/// Somebody who watches the logs.
pub struct Watch {
    sizes: HashMap<String, i64>,
    /// By log and place.
    fresh: HashMap<(String, i64), Fresh>,
    total: i64,
    complete: bool,
    rounds: u32,
}

impl Watch {
    /// Begins at `place`. A row that comes to match its filter only later, since its trail is
    /// judged after it is written, is looked for in so many `rounds`.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn from(conn: &mut AnyConnection, place: &Place, rounds: u32) -> Result<Self> {
        let heads: Vec<(String, i64, Micros)> =
            sqlx::query_as("SELECT id, size, last_at FROM audit_log").fetch_all(&mut *conn).await?;
        let (mut sizes, mut complete) = (HashMap::new(), true);
        for (log, size, last_at) in heads {
            let known = place.sizes.get(&log).map_or(0, |known| (*known).min(size));
            // Nothing was written there since, or nothing so late. A log that the place does not
            // name had no row so late, so that all these are new.
            let since = if known == size || last_at < place.at - LATE {
                size
            } else {
                // The sizes come from the browser: whatever they say, it is shown what is new, and
                // is not led through the logs.
                let newest: Vec<(i64, Micros)> = sqlx::query_as(
                    "SELECT seq, at FROM audit_entry WHERE log_id = $1 ORDER BY seq DESC LIMIT $2",
                )
                .bind(&log)
                .bind(AT_ONCE)
                .fetch_all(&mut *conn)
                .await?;
                let new = newest.iter().take_while(|(_, at)| *at >= place.at - LATE);
                let first = new.last().map_or(size, |(seq, _)| *seq);
                let since = first.max(known);
                complete &= since == 0
                    || since == known
                    || newest.last().is_none_or(|(seq, _)| *seq < since);
                since
            };
            sizes.insert(log, since);
        }
        Ok(Self { sizes, fresh: HashMap::new(), total: -1, complete, rounds: rounds.max(1) })
    }

    /// Whether it begins where the place is: not where so much happened since then that the
    /// beginning was not looked for.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// The rows that were written since the last round and match the filter, oldest first.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn round(&mut self, conn: &mut AnyConnection, filter: &Filter) -> Result<Vec<Entry>> {
        self.take_up(conn).await?;
        let (Some(first), Some(last)) = (
            self.fresh.values().map(|row| row.at).min(),
            self.fresh.values().map(|row| row.at).max(),
        ) else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        let mut from = Key::before(first);
        loop {
            let page = timeline(conn, filter, &Seek::Newer(from), false, 100).await?;
            let whole = page.len() == 100;
            let Some(end) = page.last().map(Entry::key) else { break };
            let new = page
                .into_iter()
                .filter(|entry| self.fresh.remove(&(entry.log_id.clone(), entry.seq)).is_some());
            found.extend(new);
            if !whole || end.at > last {
                break;
            }
            from = end;
        }
        self.fresh.retain(|_, row| {
            row.rounds -= 1;
            row.rounds > 0
        });
        Ok(found)
    }

    /// Takes up what was written.
    async fn take_up(&mut self, conn: &mut AnyConnection) -> Result<()> {
        let total: i64 =
            sqlx::query_scalar("SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM audit_log")
                .fetch_one(&mut *conn)
                .await?;
        if total == self.total {
            return Ok(());
        }
        let heads: Vec<(String, i64)> =
            sqlx::query_as("SELECT id, size FROM audit_log").fetch_all(&mut *conn).await?;
        let mut behind = false;
        for (log, size) in heads {
            let from = self.sizes.get(&log).copied().unwrap_or(0);
            if size <= from {
                continue;
            }
            let new: Vec<(i64, Micros)> = sqlx::query_as(
                "SELECT seq, at FROM audit_entry WHERE log_id = $1 AND seq >= $2 ORDER BY seq LIMIT $3",
            )
            .bind(&log)
            .bind(from)
            .bind(AT_ONCE)
            .fetch_all(&mut *conn)
            .await?;
            let next = new.last().map_or(from, |(seq, _)| seq + 1);
            behind |= next < size;
            for (seq, at) in new {
                self.fresh.insert((log.clone(), seq), Fresh { at, rounds: self.rounds });
            }
            self.sizes.insert(log, next);
        }
        // What was not taken up yet is in the next round.
        self.total = if behind { -1 } else { total };
        Ok(())
    }

    /// Where it is now, to go on from after a break.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn place(&self, conn: &mut AnyConnection, now: Micros) -> Result<Place> {
        let here = Place::here(conn, now).await?;
        let shown = here.sizes.into_iter().map(|(log, size)| {
            // Not what is there, but what was looked at; a row that is still waited for counts as
            // not looked at.
            let waits = self.fresh.keys().filter(|(of, _)| *of == log).map(|(_, seq)| *seq).min();
            let looked = self.sizes.get(&log).copied().unwrap_or(0).min(size);
            (log, waits.unwrap_or(looked).min(looked))
        });
        Ok(Place::of(now, shown))
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn a_place_reads_as_it_was_written_and_nothing_else_does() {
        for text in ["0", "1700000000000000", "5,platform=7,org/org-acme=0"] {
            let place: Place = text.parse().unwrap();
            assert_eq!(place.to_string().parse::<Place>().unwrap(), place, "{text}");
        }
        let many: String = (0..201).map(|n| format!(",log-{n}=1")).collect();
        for text in ["", "x", "5,platform", "5,platform=-1", "5,=x", "5.abc", &format!("5{many}")] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
