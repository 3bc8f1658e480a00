//! What cannot even be read of a log. SQLite keeps whatever is put into a column: a row of which
//! a value is not of its column's type is no row of a log, and whoever can write to the database
//! can make one.

use sqlx::AnyConnection;

use super::AuditError;
use super::verify::Fault;
use crate::store::audit::{self, Head};

/// How many rows are read at a time to find the one that is meant.
const BATCH: i64 = 500;

/// The fault of a log of which a verification could not read something, with the first row that
/// cannot be read, if it is a row.
///
/// # Errors
/// The same one, where it is the database that does not answer.
pub(super) async fn fault(
    conn: &mut AnyConnection,
    head: &Head,
    error: AuditError,
) -> Result<Fault, AuditError> {
    let mut from = 0;
    while from < head.size {
        if audit::range(conn, &head.id, from, BATCH).await.is_err() {
            for seq in from..(from + BATCH).min(head.size) {
                if let Err(why) = audit::range(conn, &head.id, seq, 1).await {
                    answers(conn, head, error).await?;
                    return Ok(of(head, u64::try_from(seq).ok(), &why));
                }
            }
        }
        from += BATCH;
    }
    let why = error.to_string();
    answers(conn, head, error).await?;
    Ok(of(head, None, &why))
}

fn of(head: &Head, row: Option<u64>, why: &dyn std::fmt::Display) -> Fault {
    Fault { log: head.id.clone(), row, what: format!("it cannot be read: {why}") }
}

/// Whether the database answers at all.
async fn answers(
    conn: &mut AnyConnection,
    head: &Head,
    error: AuditError,
) -> Result<(), AuditError> {
    match audit::head(conn, &head.id).await {
        Ok(_) => Ok(()),
        Err(_) => Err(error),
    }
}
