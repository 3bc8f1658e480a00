//! How many rows match, counted along the indexes alone.

use sqlx::AnyConnection;

use super::{Lead, Question, Result};
use crate::model::Micros;

impl Question {
    /// The question as it is best asked where everything is counted: what is rarest of all leads.
    pub async fn for_all(self, conn: &mut AnyConnection) -> Result<Self> {
        if !self.undecided() {
            return Ok(self);
        }
        // What is rare is found out before what is frequent is counted to its end.
        let mut best = (self.rare.saturating_add(1), Lead::Time);
        for most in [best.0, i64::MAX] {
            if best.1 == Lead::Time {
                best.0 = most;
                for lead in self.leads() {
                    let found = self.led_by(lead).count_to(conn, best.0).await?;
                    if found < best.0 {
                        best = (found, lead);
                    }
                }
            }
        }
        Ok(Self { lead: best.1, ..self })
    }

    /// Whether another asks for the very same, whatever leads.
    #[must_use]
    pub fn asks_as(&self, other: &Self) -> bool {
        (self.from, self.to, &self.conditions) == (other.from, other.to, &other.conditions)
    }

    /// How many rows there are, counted no further than `most`.
    pub async fn count_to(&self, conn: &mut AnyConnection, most: i64) -> Result<i64> {
        let sql = format!("SELECT COUNT(*) FROM (SELECT 1 FROM {} LIMIT $1) x", self.rows());
        let mut query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(most);
        for condition in &self.conditions {
            query = query.bind(condition.value().to_owned());
        }
        Ok(query.fetch_one(conn).await?)
    }

    /// How many rows there are in each of these stretches of time, as (from, before). Ask for some
    /// dozens of stretches, not for thousands.
    pub async fn counts(
        &self,
        conn: &mut AnyConnection,
        stretches: &[(Micros, Micros)],
    ) -> Result<Vec<i64>> {
        // A part by itself is counted along an index; to group them all would be to sort them.
        let parts: Vec<String> = stretches
            .iter()
            .enumerate()
            .map(|(n, &(start, end))| {
                let part = Self {
                    from: Some(self.from.map_or(start, |t| t.max(start))),
                    to: Some(self.to.map_or(end, |t| t.min(end))),
                    ..self.clone()
                };
                format!("SELECT CAST($1 AS BIGINT) + {n} AS stretch, COUNT(*) FROM {}", part.rows())
            })
            .collect();
        let mut counts = vec![0; stretches.len()];
        if parts.is_empty() {
            return Ok(counts);
        }
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(parts.join(" UNION ALL "))).bind(0i64);
        for condition in &self.conditions {
            query = query.bind(condition.value().to_owned());
        }
        let found: Vec<(i64, i64)> = query.fetch_all(conn).await?;
        for (part, rows) in found {
            if let Some(count) = usize::try_from(part).ok().and_then(|part| counts.get_mut(part)) {
                *count = rows;
            }
        }
        Ok(counts)
    }

    /// What is counted: places, and no row is read for them.
    fn rows(&self) -> String {
        let (places, by) = self.places();
        format!("{places}{}{}", self.bounds(by), self.clause(by))
    }
}
