//! Staff and their sessions. Every function fails where the database does not
//! answer.

use sqlx::{AnyConnection, FromRow};

use super::Result;
use crate::model::{Micros, StaffRole};

/// A member of staff.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Staff {
    /// Id, UUIDv7.
    pub id: String,
    /// The address they sign in with, lower case.
    pub email: String,
    /// Their name.
    pub name: String,
    /// Their role.
    #[sqlx(try_from = "String")]
    pub role: StaffRole,
    /// When the account was disabled.
    pub disabled_at: Option<Micros>,
}

/// Adds an account.
pub async fn insert(
    conn: &mut AnyConnection,
    staff: &Staff,
    password_hash: &str,
    now: Micros,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO staff (id, email, name, role, password_hash, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(&staff.id)
    .bind(&staff.email)
    .bind(&staff.name)
    .bind(staff.role.as_str())
    .bind(password_hash)
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// The account with this address, and its password hash.
pub async fn by_email(conn: &mut AnyConnection, email: &str) -> Result<Option<(Staff, String)>> {
    #[derive(FromRow)]
    struct Row {
        #[sqlx(flatten)]
        staff: Staff,
        password_hash: String,
    }
    let row: Option<Row> = sqlx::query_as(
        "SELECT id, email, name, role, disabled_at, password_hash FROM staff WHERE email = $1",
    )
    .bind(email)
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|r| (r.staff, r.password_hash)))
}

/// The account with this id, and its password hash.
pub async fn by_id(conn: &mut AnyConnection, id: &str) -> Result<Option<Staff>> {
    Ok(sqlx::query_as("SELECT id, email, name, role, disabled_at FROM staff WHERE id = $1")
        .bind(id)
        .fetch_optional(conn)
        .await?)
}

/// Every account, by name.
pub async fn all(conn: &mut AnyConnection) -> Result<Vec<Staff>> {
    Ok(sqlx::query_as("SELECT id, email, name, role, disabled_at FROM staff ORDER BY name, id")
        .fetch_all(conn)
        .await?)
}

/// Disables an account; true where it was enabled.
pub async fn disable(conn: &mut AnyConnection, id: &str, now: Micros) -> Result<bool> {
    let done =
        sqlx::query("UPDATE staff SET disabled_at = $2 WHERE id = $1 AND disabled_at IS NULL")
            .bind(id)
            .bind(now)
            .execute(conn)
            .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives an account another role.
pub async fn set_role(conn: &mut AnyConnection, id: &str, role: StaffRole) -> Result<()> {
    sqlx::query("UPDATE staff SET role = $2 WHERE id = $1")
        .bind(id)
        .bind(role.as_str())
        .execute(conn)
        .await?;
    Ok(())
}

/// A signed-in session of staff.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct StaffSession {
    /// Id: 32 random bytes, hashed.
    pub id: String,
    /// Whose.
    pub staff_id: String,
    /// When it began.
    pub signed_in_at: Micros,
    /// When the person last proved to be there.
    pub proven_at: Micros,
    /// When it was last used.
    pub last_seen_at: Micros,
    /// When it ends, however much it is used.
    pub expires_at: Micros,
    /// When it was ended.
    pub ended_at: Option<Micros>,
    /// The session of the same person that took its place.
    pub replaced_by: Option<String>,
}

/// Records a new session.
pub async fn insert_session(conn: &mut AnyConnection, s: &StaffSession) -> Result<()> {
    sqlx::query(
        "INSERT INTO staff_session (id, staff_id, signed_in_at, proven_at, last_seen_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(&s.id)
    .bind(&s.staff_id)
    .bind(s.signed_in_at)
    .bind(s.proven_at)
    .bind(s.last_seen_at)
    .bind(s.expires_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// The session with this id.
pub async fn session(conn: &mut AnyConnection, id: &str) -> Result<Option<StaffSession>> {
    Ok(sqlx::query_as(
        "SELECT id, staff_id, signed_in_at, proven_at, last_seen_at, expires_at, ended_at, \
         replaced_by FROM staff_session WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await?)
}

/// Notes that a session was used.
pub async fn touch_session(conn: &mut AnyConnection, id: &str, now: Micros) -> Result<()> {
    sqlx::query("UPDATE staff_session SET last_seen_at = $2 WHERE id = $1 AND last_seen_at < $2")
        .bind(id)
        .bind(now)
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends a session whose place another takes; true where it had not ended.
pub async fn replace_session(
    conn: &mut AnyConnection,
    id: &str,
    by: &str,
    now: Micros,
) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE staff_session SET ended_at = $2, replaced_by = $3 \
         WHERE id = $1 AND ended_at IS NULL",
    )
    .bind(id)
    .bind(now)
    .bind(by)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends a session.
pub async fn end_session(conn: &mut AnyConnection, id: &str, now: Micros) -> Result<()> {
    sqlx::query("UPDATE staff_session SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL")
        .bind(id)
        .bind(now)
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends every session of an account.
pub async fn end_sessions_of(conn: &mut AnyConnection, staff_id: &str, now: Micros) -> Result<()> {
    sqlx::query("UPDATE staff_session SET ended_at = $2 WHERE staff_id = $1 AND ended_at IS NULL")
        .bind(staff_id)
        .bind(now)
        .execute(conn)
        .await?;
    Ok(())
}
