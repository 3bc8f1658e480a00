//! What cannot even be read of a log. SQLite keeps whatever is put into a column: a row of which
//! a value is not of its column's type is no row of a log, and whoever can write to the database
//! can make one.

use sqlx::AnyConnection;

use super::AuditError;
use super::verify::Fault;
use crate::store::StoreError;
use crate::store::audit::{self, Head};

/// How many rows are read at a time to find the one that is meant.
const BATCH: i64 = 500;

/// The fault of a log of which a verification could not read something, with the first row that
/// cannot be read, if it is a row.
///
/// # Errors
/// The same one, where it is of another kind: a database that does not answer says nothing of what
/// is in it.
pub(super) async fn fault(
    conn: &mut AnyConnection,
    head: &Head,
    error: AuditError,
) -> Result<Fault, AuditError> {
    if !error.is_unreadable() {
        return Err(error);
    }
    let mut from = 0;
    while from < head.size {
        if unread(audit::range(conn, &head.id, from, BATCH).await)?.is_some() {
            for seq in from..(from + BATCH).min(head.size) {
                if let Some(why) = unread(audit::range(conn, &head.id, seq, 1).await)? {
                    return Ok(of(head, u64::try_from(seq).ok(), &why));
                }
            }
        }
        from += BATCH;
    }
    Ok(of(head, None, &error))
}

/// Why rows cannot be read, where they cannot.
fn unread<T>(read: Result<T, StoreError>) -> Result<Option<StoreError>, AuditError> {
    match read {
        Ok(_) => Ok(None),
        Err(why) if why.is_unreadable() => Ok(Some(why)),
        Err(e) => Err(e.into()),
    }
}

fn of(head: &Head, row: Option<u64>, why: &dyn std::fmt::Display) -> Fault {
    Fault { log: head.id.clone(), row, what: format!("it cannot be read: {why}") }
}
