//! What a cookie points at. Every function fails where the database does not answer.

use sqlx::AnyConnection;

use super::Result;
use crate::model::Micros;

/// Writes a session; `create` refuses to take the place of another (false then).
pub async fn put(
    conn: &mut AnyConnection,
    id: &str,
    data: &str,
    expires_at: Micros,
    create: bool,
) -> Result<bool> {
    let sql = if create {
        "INSERT INTO web_session (id, data, expires_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING"
    } else {
        "INSERT INTO web_session (id, data, expires_at) VALUES ($1, $2, $3) \
         ON CONFLICT (id) DO UPDATE SET data = excluded.data, expires_at = excluded.expires_at"
    };
    let done = sqlx::query(sql).bind(id).bind(data).bind(expires_at).execute(conn).await?;
    Ok(done.rows_affected() == 1)
}

/// The data of a session that has not expired.
pub async fn get(conn: &mut AnyConnection, id: &str, now: Micros) -> Result<Option<String>> {
    Ok(sqlx::query_scalar("SELECT data FROM web_session WHERE id = $1 AND expires_at > $2")
        .bind(id)
        .bind(now)
        .fetch_optional(conn)
        .await?)
}

/// Forgets a session.
pub async fn delete(conn: &mut AnyConnection, id: &str) -> Result<()> {
    sqlx::query("DELETE FROM web_session WHERE id = $1").bind(id).execute(conn).await?;
    Ok(())
}

/// Forgets every session that has expired.
pub async fn sweep(conn: &mut AnyConnection, now: Micros) -> Result<()> {
    sqlx::query("DELETE FROM web_session WHERE expires_at <= $1").bind(now).execute(conn).await?;
    Ok(())
}
