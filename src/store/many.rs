//! Many rows in one statement, for whoever fills tables from nothing.

use sqlx::query::Query;
use sqlx::{Any, AnyConnection};

use super::Result;
use super::audit::Entry;
use crate::model::Micros;

/// How many values a statement has at most. With more, SQLite's driver spends its time on looking
/// up the parameters' names, one after the other.
const MOST_VALUES: usize = 160;

/// One value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// A text.
    Text(&'a str),
    /// A text, or nothing.
    Maybe(Option<&'a str>),
    /// A number.
    Number(i64),
    /// A number, or nothing.
    MaybeNumber(Option<i64>),
    /// Bytes.
    Bytes(&'a [u8]),
}

type Binding<'a> = Query<'a, Any, sqlx::any::AnyArguments>;

fn bind<'a>(query: Binding<'a>, value: &Value<'_>) -> Binding<'a> {
    match value {
        Value::Text(text) => query.bind((*text).to_owned()),
        Value::Maybe(text) => query.bind(text.map(str::to_owned)),
        Value::Number(number) => query.bind(*number),
        Value::MaybeNumber(number) => query.bind(*number),
        Value::Bytes(bytes) => query.bind(bytes.to_vec()),
    }
}

/// Inserts rows of `N` columns: `into` is the table and its columns, e.g. `staff (id, name)`.
/// All of them or, with an error, an unknown number: to be called in a transaction.
pub async fn insert<'a, const N: usize>(
    conn: &mut AnyConnection,
    into: &'static str,
    rows: &[[Value<'a>; N]],
) -> Result<()> {
    insert_or(conn, into, rows, "").await
}

async fn insert_or<'a, const N: usize>(
    conn: &mut AnyConnection,
    into: &'static str,
    rows: &[[Value<'a>; N]],
    otherwise: &'static str,
) -> Result<()> {
    for chunk in rows.chunks((MOST_VALUES / N).max(1)) {
        let places: Vec<String> = (0..chunk.len())
            .map(|row| {
                let row: Vec<String> = (1..=N).map(|c| format!("${}", row * N + c)).collect();
                format!("({})", row.join(", "))
            })
            .collect();
        let sql = format!("INSERT INTO {into} VALUES {}{otherwise}", places.join(", "));
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for value in chunk.iter().flatten() {
            query = bind(query, value);
        }
        query.execute(&mut *conn).await?;
    }
    Ok(())
}

/// Adds rows of audit logs.
pub async fn entries(conn: &mut AnyConnection, rows: &[Entry]) -> Result<()> {
    let rows: Vec<_> = rows
        .iter()
        .map(|e| {
            [
                Value::Text(&e.log_id),
                Value::Number(e.seq),
                Value::Text(&e.id),
                Value::Number(e.at),
                Value::Text(&e.action),
                Value::Text(&e.actor_id),
                Value::Maybe(e.org_id.as_deref()),
                Value::Maybe(e.impersonation_id.as_deref()),
                Value::Maybe(e.ticket_ref.as_deref()),
                Value::Maybe(e.secret_type.as_deref()),
                Value::Text(&e.body),
                Value::Bytes(&e.leaf_hash),
            ]
        })
        .collect();
    let into = "audit_entry (log_id, seq, id, at, action, actor_id, org_id, impersonation_id, ticket_ref, \
                secret_type, body, leaf_hash)";
    insert(conn, into, &rows).await
}

fn words<'a>(rows: &'a [(String, Micros, String)]) -> Vec<[Value<'a>; 3]> {
    let word = |(term, at, id): &'a (String, Micros, String)| {
        [Value::Text(term), Value::Number(*at), Value::Text(id)]
    };
    rows.iter().map(word).collect()
}

/// Adds the words that rows are found by: (word, time, id).
pub async fn terms(conn: &mut AnyConnection, rows: &[(String, Micros, String)]) -> Result<()> {
    insert(conn, "audit_term (term, at, id)", &words(rows)).await
}

/// Adds those of the words that are not there yet.
pub async fn missing_terms(
    conn: &mut AnyConnection,
    rows: &[(String, Micros, String)],
) -> Result<()> {
    let otherwise = " ON CONFLICT (term, at, id) DO NOTHING";
    insert_or(conn, "audit_term (term, at, id)", &words(rows), otherwise).await
}
