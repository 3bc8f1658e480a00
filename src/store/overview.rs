//! What the overview counts, and the lists behind its figures. Every function fails where the
//! database does not answer.

use sqlx::{AnyConnection, FromRow};

use super::{Key, Result};
use crate::model::{Micros, SecretType, time};
use crate::proof::actions;
use crate::store::standing::Standing;

/// How many tokens were open for how long.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Length {
    /// For so many whole seconds.
    pub seconds: i64,
    /// How many tokens.
    pub tokens: i64,
    /// With how many of them something was handed off.
    pub handed_off: i64,
    /// How many of those ended within a minute of that.
    pub at_once: i64,
}

/// How many secrets of a type were rotated in a week.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Rotations {
    /// The action of the rows: [`actions::rotated`].
    pub action: String,
    /// How many whole weeks after the first.
    pub week: i64,
    /// How many rows.
    pub rows: i64,
}

/// How often an attempt was refused because of a check.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Denied {
    /// The check's name.
    pub failed_check: String,
    /// How many attempts.
    pub attempts: i64,
}

/// How often an org was served.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Served {
    /// The org.
    pub org_id: String,
    /// Its name; its id where there is none.
    pub name: String,
    /// How many impersonations began.
    pub impersonations: i64,
}

/// An impersonation whose handoff is not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Unacknowledged {
    /// The handoff.
    pub id: String,
    /// The impersonation.
    pub impersonation_id: String,
    /// When it was handed off.
    pub queued_at: Micros,
}

/// An org with a vault token that was replaced and not revoked yet.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Owing {
    /// The org.
    pub id: String,
    /// Its short name.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// Since when.
    pub since: Micros,
}

/// How long the tokens were open whose impersonation began from `from` to before `to`, as the
/// platform's log has it; those that are still open are not among them.
pub async fn lengths(conn: &mut AnyConnection, from: Micros, to: Micros) -> Result<Vec<Length>> {
    Ok(sqlx::query_as(
        "SELECT (ended_at - opened_at) / 1000000 AS seconds, COUNT(*) AS tokens, COUNT(handed_off_at) AS handed_off, \
         COUNT(CASE WHEN ended_at - handed_off_at <= 60000000 THEN 1 END) AS at_once \
         FROM trail_standing WHERE opened_at >= $1 AND opened_at < $2 AND ended_at IS NOT NULL \
         GROUP BY 1 ORDER BY 1",
    )
    .bind(from)
    .bind(to)
    .fetch_all(conn)
    .await?)
}

/// A page of the trails whose token was open from `least` to less than `most` whole seconds, of
/// those that began from `from` to before `to`, newest first.
pub async fn open_for(
    conn: &mut AnyConnection,
    (from, to): (Micros, Micros),
    (least, most): (i64, i64),
    before: Option<&Key>,
    limit: i64,
) -> Result<Vec<Standing>> {
    let (at, id) = before.map_or((i64::MAX, "~"), |k| (k.at, k.id.as_str()));
    Ok(sqlx::query_as(
        "SELECT impersonation_id, standing, overstayed, org_id, admin_id, ticket_ref, secret_type, opened_at, \
         handed_off_at, ended_at, end_cause, newest_at, newest_id, judged_at, due_at FROM trail_standing \
         WHERE opened_at >= $1 AND opened_at < $2 AND ended_at IS NOT NULL \
         AND (ended_at - opened_at) / 1000000 >= $3 AND (ended_at - opened_at) / 1000000 < $4 \
         AND (opened_at, impersonation_id) < ($5, $6) ORDER BY opened_at DESC, impersonation_id DESC LIMIT $7",
    )
    .bind(from)
    .bind(to)
    .bind(least)
    .bind(most)
    .bind(at)
    .bind(id)
    .bind(limit)
    .fetch_all(conn)
    .await?)
}

/// A page of the trails with a handoff whose token ended within a minute of it (`soon`), or later,
/// of those that began from `from` to before `to`, newest first.
pub async fn ended_after_handoff(
    conn: &mut AnyConnection,
    (from, to): (Micros, Micros),
    soon: bool,
    before: Option<&Key>,
    limit: i64,
) -> Result<Vec<Standing>> {
    let (at, id) = before.map_or((i64::MAX, "~"), |k| (k.at, k.id.as_str()));
    let (least, most) = if soon { (i64::MIN, time::MINUTE) } else { (time::MINUTE + 1, i64::MAX) };
    Ok(sqlx::query_as(
        "SELECT impersonation_id, standing, overstayed, org_id, admin_id, ticket_ref, secret_type, opened_at, \
         handed_off_at, ended_at, end_cause, newest_at, newest_id, judged_at, due_at FROM trail_standing \
         WHERE opened_at >= $1 AND opened_at < $2 AND ended_at IS NOT NULL \
         AND ended_at - handed_off_at >= $3 AND ended_at - handed_off_at <= $4 \
         AND (opened_at, impersonation_id) < ($5, $6) ORDER BY opened_at DESC, impersonation_id DESC LIMIT $7",
    )
    .bind(from)
    .bind(to)
    .bind(least)
    .bind(most)
    .bind(at)
    .bind(id)
    .bind(limit)
    .fetch_all(conn)
    .await?)
}

/// The rotations from `from` to before `to`, by the type of the secret and by weeks since
/// `first`.
pub async fn rotations(
    conn: &mut AnyConnection,
    first: Micros,
    from: Micros,
    to: Micros,
) -> Result<Vec<Rotations>> {
    let mut all = Vec::new();
    // One after the other, each is one stretch of the index.
    for kind in SecretType::ALL {
        let found: Vec<Rotations> = sqlx::query_as(
            "SELECT action, (at - $1) / 604800000000 AS week, COUNT(*) AS rows FROM audit_entry \
             WHERE action = $2 AND at >= $3 AND at < $4 GROUP BY 1, 2 ORDER BY 1, 2",
        )
        .bind(first)
        .bind(actions::rotated(kind.as_str()))
        .bind(from)
        .bind(to)
        .fetch_all(&mut *conn)
        .await?;
        all.extend(found);
    }
    Ok(all)
}

/// The refused attempts from `from` to before `to`, by each check that failed, the most frequent
/// first.
pub async fn denied(conn: &mut AnyConnection, from: Micros, to: Micros) -> Result<Vec<Denied>> {
    Ok(sqlx::query_as(
        "SELECT failed_check, COUNT(*) AS attempts FROM denied_check WHERE at >= $1 AND at < $2 \
         GROUP BY failed_check ORDER BY attempts DESC, failed_check",
    )
    .bind(from)
    .bind(to)
    .fetch_all(conn)
    .await?)
}

/// The orgs that were served most from `from` to before `to`.
pub async fn served(
    conn: &mut AnyConnection,
    from: Micros,
    to: Micros,
    limit: i64,
) -> Result<Vec<Served>> {
    Ok(sqlx::query_as(
        "SELECT t.org_id, COALESCE(o.name, t.org_id) AS name, t.impersonations FROM ( \
           SELECT org_id, COUNT(*) AS impersonations FROM trail_standing \
           WHERE opened_at >= $1 AND opened_at < $2 AND org_id IS NOT NULL \
           GROUP BY org_id ORDER BY impersonations DESC, org_id LIMIT $3 \
         ) t LEFT JOIN org o ON o.id = t.org_id ORDER BY t.impersonations DESC, t.org_id",
    )
    .bind(from)
    .bind(to)
    .bind(limit)
    .fetch_all(conn)
    .await?)
}

/// How many handoffs were made and are not acknowledged.
pub async fn count_unacknowledged(conn: &mut AnyConnection) -> Result<i64> {
    Ok(sqlx::query_scalar(
        "SELECT COUNT(*) FROM handoff WHERE state IN ('queued', 'sent', 'undelivered')",
    )
    .fetch_one(conn)
    .await?)
}

/// A page of the handoffs that were made and are not acknowledged, newest first.
pub async fn unacknowledged(
    conn: &mut AnyConnection,
    before: Option<&Key>,
    limit: i64,
) -> Result<Vec<Unacknowledged>> {
    let (at, id) = before.map_or((i64::MAX, "~"), |k| (k.at, k.id.as_str()));
    Ok(sqlx::query_as(
        "SELECT id, impersonation_id, queued_at FROM handoff WHERE state IN ('queued', 'sent', 'undelivered') \
         AND (queued_at, id) < ($1, $2) ORDER BY queued_at DESC, id DESC LIMIT $3",
    )
    .bind(at)
    .bind(id)
    .bind(limit)
    .fetch_all(conn)
    .await?)
}

/// Under how many impersonations a vault token was replaced that is not revoked yet.
pub async fn count_owing_impersonations(conn: &mut AnyConnection) -> Result<i64> {
    Ok(sqlx::query_scalar(
        "SELECT COUNT(DISTINCT r.impersonation_id) FROM outbox x JOIN rotation r ON r.id = x.about \
         WHERE x.done_at IS NULL AND x.gave_up_at IS NULL AND x.kind = 'vault_revoke' AND r.impersonation_id IS NOT NULL",
    )
    .fetch_one(conn)
    .await?)
}

/// The orgs with a vault token that was replaced and not revoked yet, the longest first.
pub async fn owing(conn: &mut AnyConnection, limit: i64) -> Result<Vec<Owing>> {
    Ok(sqlx::query_as(
        "SELECT o.id, o.slug, o.name, MIN(x.created_at) AS since FROM outbox x \
         JOIN rotation r ON r.id = x.about JOIN org o ON o.id = r.org_id \
         WHERE x.done_at IS NULL AND x.gave_up_at IS NULL AND x.kind = 'vault_revoke' \
         GROUP BY o.id, o.slug, o.name ORDER BY since, o.id LIMIT $1",
    )
    .bind(limit)
    .fetch_all(conn)
    .await?)
}
