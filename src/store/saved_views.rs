//! Filters of the timeline that somebody gave a name. Every function fails where the database does
//! not answer.

use sqlx::{AnyConnection, FromRow};

use super::{Result, Tx};
use crate::model::Micros;

/// A named filter.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct SavedView {
    /// Id.
    pub id: String,
    /// Whose it is.
    pub staff_id: String,
    /// What they call it.
    pub name: String,
    /// The filter, as it stands in the address.
    pub query: String,
    /// When it was saved.
    pub created_at: Micros,
}

/// The views of a person, in the order of their names.
pub async fn of(conn: &mut AnyConnection, staff_id: &str) -> Result<Vec<SavedView>> {
    Ok(sqlx::query_as(
        "SELECT id, staff_id, name, query, created_at FROM saved_view WHERE staff_id = $1 ORDER BY name LIMIT 100",
    )
    .bind(staff_id)
    .fetch_all(conn)
    .await?)
}

/// Saves a view; one of the same person with the same name takes the new filter.
pub async fn save(tx: &mut Tx, v: &SavedView) -> Result<()> {
    sqlx::query(
        "INSERT INTO saved_view (id, staff_id, name, query, created_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (staff_id, name) DO UPDATE SET query = excluded.query",
    )
    .bind(&v.id)
    .bind(&v.staff_id)
    .bind(&v.name)
    .bind(&v.query)
    .bind(v.created_at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Removes a view of a person; false where they have none of that id.
pub async fn remove(tx: &mut Tx, staff_id: &str, id: &str) -> Result<bool> {
    let done = sqlx::query("DELETE FROM saved_view WHERE staff_id = $1 AND id = $2")
        .bind(staff_id)
        .bind(id)
        .execute(tx.conn())
        .await?;
    Ok(done.rows_affected() == 1)
}
