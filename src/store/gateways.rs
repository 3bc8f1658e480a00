//! Gateways, their certificates and the authorities that issue them. Every function fails where
//! the database does not answer.

use sqlx::{AnyConnection, FromRow};

use super::{Result, Tx};
use crate::model::Micros;

/// A certificate authority, its key sealed.
#[derive(Clone, PartialEq, Eq, FromRow)]
pub struct AuthorityRow {
    /// Id.
    pub id: String,
    /// The issuing certificate first, then those above it, in PEM.
    pub chain: String,
    /// The key-encryption key that seals the key.
    pub kek_id: String,
    /// The sealed key.
    pub sealed: Vec<u8>,
    /// Whether it is the operator's own, 0 or 1.
    pub imported: i64,
    /// Whether it issues, 0 or 1. One does.
    pub active: i64,
    /// When it came here.
    pub created_at: Micros,
}

// Ciphertext says nothing in a log, and is long.
impl std::fmt::Debug for AuthorityRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthorityRow").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A certificate that was issued to a gateway.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Certificate {
    /// Its serial number, upper-case hexadecimal.
    pub serial: String,
    /// Who issued it.
    pub authority_id: String,
    /// The gateway.
    pub secret_id: String,
    /// The version of the gateway's secret that it is.
    pub version: i64,
    /// SHA-256 of its public key.
    pub key_hash: String,
    /// From when it holds.
    pub not_before: Micros,
    /// Until when.
    pub not_after: Micros,
    /// The certificate in PEM.
    pub pem: String,
    /// Whether its key was made here, for a handoff, and not by the gateway: 0 or 1.
    pub bundled: i64,
    /// When it was issued.
    pub issued_at: Micros,
    /// When it was revoked.
    pub revoked_at: Option<Micros>,
    /// Why.
    pub reason: Option<String>,
    /// When the gateway was last there with it.
    pub last_seen_at: Option<Micros>,
}

/// How a gateway stands.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Gateway {
    /// The gateway: a secret's id.
    pub secret_id: String,
    /// When it beat last.
    pub last_beat_at: Option<Micros>,
    /// What its agent calls itself.
    pub agent: Option<String>,
    /// The rotation whose re-enrolment is under way.
    pub rotation_id: Option<String>,
    /// The hash of the nonce that the last beat was answered with.
    pub nonce_hash: Option<String>,
    /// Until when it has to come about.
    pub deadline: Option<Micros>,
    /// The serial number that was issued for it, and has not been seen yet.
    pub issued: Option<String>,
}

const AUTHORITY: &str =
    "SELECT id, chain, kek_id, sealed, imported, active, created_at FROM certificate_authority";
const CERTIFICATE: &str = "SELECT serial, authority_id, secret_id, version, key_hash, not_before, not_after, pem, \
     bundled, issued_at, revoked_at, reason, last_seen_at FROM gateway_certificate";
const GATEWAY: &str =
    "SELECT secret_id, last_beat_at, agent, rotation_id, nonce_hash, deadline, issued FROM gateway";

fn sql(select: &str, rest: &str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!("{select} {rest}"))
}

/// The authority that issues.
pub async fn active_authority(conn: &mut AnyConnection) -> Result<Option<AuthorityRow>> {
    Ok(sqlx::query_as(sql(AUTHORITY, "WHERE active = 1")).fetch_optional(conn).await?)
}

/// The authorities whose certificates are still good somewhere at `now`, and the one that issues;
/// oldest first.
pub async fn trusted_authorities(
    conn: &mut AnyConnection,
    now: Micros,
) -> Result<Vec<AuthorityRow>> {
    Ok(sqlx::query_as(sql(
        AUTHORITY,
        "WHERE active = 1 OR EXISTS (SELECT 1 FROM gateway_certificate c \
         WHERE c.authority_id = certificate_authority.id AND c.revoked_at IS NULL AND c.not_after > $1) \
         ORDER BY created_at, id",
    ))
    .bind(now)
    .fetch_all(conn)
    .await?)
}

/// Adds an authority.
pub async fn insert_authority(conn: &mut AnyConnection, a: &AuthorityRow) -> Result<()> {
    sqlx::query(
        "INSERT INTO certificate_authority (id, chain, kek_id, sealed, imported, active, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(&a.id)
    .bind(&a.chain)
    .bind(&a.kek_id)
    .bind(&a.sealed)
    .bind(a.imported)
    .bind(a.active)
    .bind(a.created_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// Lets no authority issue, so that another one can.
pub async fn retire_authorities(tx: &mut Tx) -> Result<()> {
    sqlx::query("UPDATE certificate_authority SET active = 0 WHERE active = 1")
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Adds a certificate that was issued.
pub async fn insert_certificate(tx: &mut Tx, c: &Certificate) -> Result<()> {
    sqlx::query(
        "INSERT INTO gateway_certificate (serial, authority_id, secret_id, version, key_hash, not_before, not_after, \
         pem, bundled, issued_at, last_seen_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(&c.serial)
    .bind(&c.authority_id)
    .bind(&c.secret_id)
    .bind(c.version)
    .bind(&c.key_hash)
    .bind(c.not_before)
    .bind(c.not_after)
    .bind(&c.pem)
    .bind(c.bundled)
    .bind(c.issued_at)
    .bind(c.last_seen_at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The certificate with this serial number.
pub async fn certificate(conn: &mut AnyConnection, serial: &str) -> Result<Option<Certificate>> {
    Ok(sqlx::query_as(sql(CERTIFICATE, "WHERE serial = $1"))
        .bind(serial)
        .fetch_optional(conn)
        .await?)
}

/// The certificates of a gateway, newest first.
pub async fn certificates(
    conn: &mut AnyConnection,
    secret_id: &str,
    limit: i64,
) -> Result<Vec<Certificate>> {
    Ok(sqlx::query_as(sql(
        CERTIFICATE,
        "WHERE secret_id = $1 ORDER BY issued_at DESC, serial DESC LIMIT $2",
    ))
    .bind(secret_id)
    .bind(limit)
    .fetch_all(conn)
    .await?)
}

/// Whether a version of a gateway's secret is one whose key was made here, for a handoff.
pub async fn is_bundled(conn: &mut AnyConnection, secret_id: &str, version: i64) -> Result<bool> {
    let found: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM gateway_certificate WHERE secret_id = $1 AND version = $2 AND bundled = 1",
    )
    .bind(secret_id)
    .bind(version)
    .fetch_one(conn)
    .await?;
    Ok(found > 0)
}

/// Whether a key was certified before.
pub async fn key_is_known(conn: &mut AnyConnection, key_hash: &str) -> Result<bool> {
    let found: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM gateway_certificate WHERE key_hash = $1")
            .bind(key_hash)
            .fetch_one(conn)
            .await?;
    Ok(found > 0)
}

/// What an authority issued and was revoked, and would still hold at `now`.
pub async fn revoked(
    conn: &mut AnyConnection,
    authority_id: &str,
    now: Micros,
) -> Result<Vec<Certificate>> {
    Ok(sqlx::query_as(sql(
        CERTIFICATE,
        "WHERE authority_id = $1 AND revoked_at IS NOT NULL AND not_after > $2 ORDER BY not_after, serial",
    ))
    .bind(authority_id)
    .bind(now)
    .fetch_all(conn)
    .await?)
}

/// Revokes the certificates of a gateway up to a version, but for `but`; how many there were.
pub async fn revoke_up_to(
    tx: &mut Tx,
    secret_id: &str,
    version: i64,
    but: &str,
    reason: &str,
    now: Micros,
) -> Result<u64> {
    let done = sqlx::query(
        "UPDATE gateway_certificate SET revoked_at = $5, reason = $4 \
         WHERE secret_id = $1 AND version <= $2 AND serial <> $3 AND revoked_at IS NULL",
    )
    .bind(secret_id)
    .bind(version)
    .bind(but)
    .bind(reason)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected())
}

/// Revokes one certificate.
pub async fn revoke(tx: &mut Tx, serial: &str, reason: &str, now: Micros) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE gateway_certificate SET revoked_at = $3, reason = $2 WHERE serial = $1 AND revoked_at IS NULL",
    )
    .bind(serial)
    .bind(reason)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Adds a gateway.
pub async fn insert(conn: &mut AnyConnection, secret_id: &str) -> Result<()> {
    sqlx::query("INSERT INTO gateway (secret_id) VALUES ($1) ON CONFLICT (secret_id) DO NOTHING")
        .bind(secret_id)
        .execute(conn)
        .await?;
    Ok(())
}

/// How a gateway stands.
pub async fn by_id(conn: &mut AnyConnection, secret_id: &str) -> Result<Option<Gateway>> {
    Ok(sqlx::query_as(sql(GATEWAY, "WHERE secret_id = $1"))
        .bind(secret_id)
        .fetch_optional(conn)
        .await?)
}

/// Records a beat.
pub async fn beat(
    tx: &mut Tx,
    secret_id: &str,
    serial: &str,
    agent: &str,
    now: Micros,
) -> Result<()> {
    sqlx::query("UPDATE gateway SET last_beat_at = $2, agent = $3 WHERE secret_id = $1")
        .bind(secret_id)
        .bind(now)
        .bind(agent)
        .execute(tx.conn())
        .await?;
    sqlx::query("UPDATE gateway_certificate SET last_seen_at = $2 WHERE serial = $1")
        .bind(serial)
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Orders a re-enrolment; false where one is under way.
pub async fn order(
    tx: &mut Tx,
    secret_id: &str,
    rotation_id: &str,
    deadline: Micros,
) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE gateway SET rotation_id = $2, deadline = $3, nonce_hash = NULL, issued = NULL \
         WHERE secret_id = $1 AND rotation_id IS NULL",
    )
    .bind(secret_id)
    .bind(rotation_id)
    .bind(deadline)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Keeps the hash of the nonce that a beat is answered with.
pub async fn set_nonce(
    tx: &mut Tx,
    secret_id: &str,
    rotation_id: &str,
    hash: Option<&str>,
) -> Result<()> {
    sqlx::query("UPDATE gateway SET nonce_hash = $3 WHERE secret_id = $1 AND rotation_id = $2")
        .bind(secret_id)
        .bind(rotation_id)
        .bind(hash)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Keeps what was issued for the re-enrolment that is under way; its nonce is used up.
pub async fn set_issued(
    tx: &mut Tx,
    secret_id: &str,
    rotation_id: &str,
    serial: &str,
) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE gateway SET issued = $3, nonce_hash = NULL WHERE secret_id = $1 AND rotation_id = $2",
    )
    .bind(secret_id)
    .bind(rotation_id)
    .bind(serial)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends the re-enrolment that is under way; false where that one is not any more.
pub async fn close_order(tx: &mut Tx, secret_id: &str, rotation_id: &str) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE gateway SET rotation_id = NULL, deadline = NULL, nonce_hash = NULL, issued = NULL \
         WHERE secret_id = $1 AND rotation_id = $2",
    )
    .bind(secret_id)
    .bind(rotation_id)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The gateways whose re-enrolment has not come about in time.
pub async fn overdue(conn: &mut AnyConnection, now: Micros) -> Result<Vec<Gateway>> {
    Ok(sqlx::query_as(sql(
        GATEWAY,
        "WHERE rotation_id IS NOT NULL AND deadline <= $1 ORDER BY deadline, secret_id LIMIT 100",
    ))
    .bind(now)
    .fetch_all(conn)
    .await?)
}
