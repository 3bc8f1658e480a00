//! Credentials of orgs: until when they work, and when they were last used. Their values are kept
//! nowhere. Every function fails where the database does not answer.

use sqlx::{AnyConnection, FromRow};

use super::Member;
use crate::model::Micros;
use crate::store::{Result, Tx};

/// A credential, without what it is known by.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct OrgCredential {
    /// Id.
    pub id: String,
    /// The org.
    pub org_id: String,
    /// Whose.
    pub member_id: String,
    /// Their name.
    pub member_name: String,
    /// Their address.
    pub member_email: String,
    /// When it was given out.
    pub created_at: Micros,
    /// Until when it works.
    pub expires_at: Option<Micros>,
    /// When it was last used, to the hour.
    pub last_used_at: Option<Micros>,
    /// When it was revoked.
    pub revoked_at: Option<Micros>,
}

impl OrgCredential {
    /// Whether it works. One without an end never does: each has one.
    #[must_use]
    pub fn works(&self, now: Micros) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_some_and(|at| now < at)
    }
}

const SELECT: &str = "SELECT c.id, c.org_id, c.member_id, m.name AS member_name, m.email AS member_email, \
     c.created_at, c.expires_at, c.last_used_at, c.revoked_at \
     FROM org_credential c JOIN member m ON m.id = c.member_id AND m.org_id = c.org_id";

fn select(rest: &str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!("{SELECT} {rest}"))
}

/// The credential with this hash, whether or not it still works, and the member whose it is.
pub async fn by_hash(
    conn: &mut AnyConnection,
    token_hash: &str,
) -> Result<Option<(OrgCredential, Member)>> {
    let found: Option<OrgCredential> = sqlx::query_as(select("WHERE c.token_hash = $1"))
        .bind(token_hash)
        .fetch_optional(&mut *conn)
        .await?;
    let Some(found) = found else { return Ok(None) };
    let member = super::members(conn, &found.org_id).await?;
    Ok(member.into_iter().find(|m| m.id == found.member_id).map(|member| (found, member)))
}

/// One of an org's.
pub async fn of_org(
    conn: &mut AnyConnection,
    org_id: &str,
    id: &str,
) -> Result<Option<OrgCredential>> {
    Ok(sqlx::query_as(select("WHERE c.org_id = $1 AND c.id = $2"))
        .bind(org_id)
        .bind(id)
        .fetch_optional(conn)
        .await?)
}

/// The newest of an org's, also those that do not work any more.
pub async fn list(
    conn: &mut AnyConnection,
    org_id: &str,
    limit: i64,
) -> Result<Vec<OrgCredential>> {
    Ok(sqlx::query_as(select("WHERE c.org_id = $1 ORDER BY c.created_at DESC, c.id DESC LIMIT $2"))
        .bind(org_id)
        .bind(limit)
        .fetch_all(conn)
        .await?)
}

/// Revokes one; false where it was revoked already.
pub async fn revoke(tx: &mut Tx, id: &str, now: Micros) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE org_credential SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL",
    )
    .bind(id)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes that one was used, unless that was noted after `since`.
pub async fn note_use(
    conn: &mut AnyConnection,
    id: &str,
    since: Micros,
    now: Micros,
) -> Result<()> {
    sqlx::query(
        "UPDATE org_credential SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= $3)",
    )
    .bind(id)
    .bind(now)
    .bind(since)
    .execute(conn)
    .await?;
    Ok(())
}
