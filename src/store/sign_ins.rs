//! Failed sign-ins as each instance counts them, and the browsers that signed in before. Every
//! function fails where the database does not answer.

use sqlx::AnyConnection;

use super::Result;
use crate::model::Micros;

/// What an instance counted for an account and a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// A fingerprint, never what was typed.
    pub account: String,
    /// The network, or the browser.
    pub source: String,
    /// How many, of late.
    pub count: i64,
    /// When the newest was.
    pub last_at: Micros,
}

/// Failed sign-ins of late.
#[derive(Debug, Clone, Copy, Default)]
pub struct Failures {
    /// For this account from this source.
    pub by_pair: i64,
    /// The newest of them.
    pub pair_last: Option<Micros>,
    /// From this network, for whatever account.
    pub by_network: i64,
    /// The newest of them.
    pub network_last: Option<Micros>,
}

/// Writes what an instance counted.
pub async fn tell(conn: &mut AnyConnection, instance: &str, counted: &Counted) -> Result<()> {
    sqlx::query(
        "INSERT INTO sign_in_count (instance, account, source, count, last_at) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (instance, account, source) \
         DO UPDATE SET count = excluded.count, last_at = excluded.last_at",
    )
    .bind(instance)
    .bind(&counted.account)
    .bind(&counted.source)
    .bind(counted.count)
    .bind(counted.last_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// What other instances counted since `since`: for the account from the source, and from the source
/// for whatever account.
pub async fn of_others(
    conn: &mut AnyConnection,
    instance: &str,
    account: &str,
    source: &str,
    since: Micros,
) -> Result<Failures> {
    let (by_pair, pair_last, by_network, network_last) = sqlx::query_as(
        "SELECT CAST(COALESCE(SUM(CASE WHEN account = $2 THEN count END), 0) AS BIGINT), \
         MAX(CASE WHEN account = $2 THEN last_at END), \
         CAST(COALESCE(SUM(count), 0) AS BIGINT), MAX(last_at) \
         FROM sign_in_count WHERE source = $3 AND last_at > $4 AND instance <> $1",
    )
    .bind(instance)
    .bind(account)
    .bind(source)
    .bind(since)
    .fetch_one(conn)
    .await?;
    Ok(Failures { by_pair, pair_last, by_network, network_last })
}

/// Forgets what was counted of an account from where it has signed in.
pub async fn forget(conn: &mut AnyConnection, account: &str, source: &str) -> Result<()> {
    sqlx::query("DELETE FROM sign_in_count WHERE account = $1 AND source = $2")
        .bind(account)
        .bind(source)
        .execute(conn)
        .await?;
    Ok(())
}

/// Forgets what was counted before `before`.
pub async fn forget_old(conn: &mut AnyConnection, before: Micros) -> Result<()> {
    sqlx::query("DELETE FROM sign_in_count WHERE last_at < $1").bind(before).execute(conn).await?;
    Ok(())
}

/// Whether a browser has signed in to this account since `since`, and to which others.
pub async fn accounts_of_device(
    conn: &mut AnyConnection,
    hash: &str,
    since: Micros,
) -> Result<Vec<String>> {
    let sql = "SELECT staff_id FROM staff_device WHERE hash = $1 AND used_at > $2";
    Ok(sqlx::query_scalar(sql).bind(hash).bind(since).fetch_all(conn).await?)
}

/// Notes that a browser signed in to an account, and forgets all but the `most` used last.
pub async fn know_device(
    conn: &mut AnyConnection,
    hash: &str,
    staff_id: &str,
    now: Micros,
    most: i64,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO staff_device (hash, staff_id, created_at, used_at) VALUES ($1, $2, $3, $3) \
         ON CONFLICT (hash, staff_id) DO UPDATE SET used_at = excluded.used_at",
    )
    .bind(hash)
    .bind(staff_id)
    .bind(now)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "DELETE FROM staff_device WHERE staff_id = $1 AND hash NOT IN (SELECT hash FROM staff_device \
         WHERE staff_id = $1 ORDER BY used_at DESC, hash LIMIT $2)",
    )
    .bind(staff_id)
    .bind(most)
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets the browsers of an account.
pub async fn forget_devices(conn: &mut AnyConnection, staff_id: &str) -> Result<()> {
    sqlx::query("DELETE FROM staff_device WHERE staff_id = $1")
        .bind(staff_id)
        .execute(conn)
        .await?;
    Ok(())
}

/// Forgets the browsers that were last used before `before`.
pub async fn forget_old_devices(conn: &mut AnyConnection, before: Micros) -> Result<()> {
    sqlx::query("DELETE FROM staff_device WHERE used_at < $1").bind(before).execute(conn).await?;
    Ok(())
}
