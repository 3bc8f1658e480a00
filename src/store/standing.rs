//! The stored standing of each impersonation's trail: what lists and figures count by. It is a
//! projection of the logs and proves nothing. Every function fails where the database does not
//! answer.

use sqlx::{AnyConnection, FromRow};

use super::timeline::{open_for_term, verdict_term};
use super::{Key, Result, Tx};
use crate::model::{Micros, Stand, time};
use crate::proof::actions::{
    PLATFORM_IMPERSONATION_REFUSED, PLATFORM_IMPERSONATION_STARTED, PLATFORM_ROTATION_REFUSED,
    PLATFORM_VAULT_TOKEN_OLD_REVOKED,
};
use crate::proof::row::AuditRow;
use crate::proof::verdict::Verdict;
use crate::store::audit::Entry;

/// How a trail stood when it was last judged.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Standing {
    /// Which impersonation.
    pub impersonation_id: String,
    /// The verdict's word ([`Verdict::word`]).
    pub standing: String,
    /// 1 where the token was open longer than it had to be, else 0.
    pub overstayed: i64,
    /// The org, as its rows name it.
    pub org_id: Option<String>,
    /// The platform admin.
    pub admin_id: Option<String>,
    /// The ticket.
    pub ticket_ref: Option<String>,
    /// The type of the secret.
    pub secret_type: Option<String>,
    /// When the platform's log has its start.
    pub opened_at: Option<Micros>,
    /// When the platform's log has its handoff.
    pub handed_off_at: Option<Micros>,
    /// When the platform's log has its end.
    pub ended_at: Option<Micros>,
    /// Why it ended.
    pub end_cause: Option<String>,
    /// The time of its newest row in either log.
    pub newest_at: Micros,
    /// The id of its newest row.
    pub newest_id: String,
    /// When it was judged.
    pub judged_at: Micros,
    /// When time alone may change the verdict.
    pub due_at: Option<Micros>,
}

/// The most minutes that lengths are told apart by; what was open longer counts as this.
pub const MOST_MINUTES: u8 = 30;

impl Standing {
    /// For how many whole minutes the token was open, [`MOST_MINUTES`] at most; nothing where it
    /// is not known to have begun and ended.
    #[must_use]
    pub fn minutes_open(&self) -> Option<u8> {
        minutes(self.opened_at, self.ended_at)
    }
}

fn minutes(opened: Option<Micros>, ended: Option<Micros>) -> Option<u8> {
    let length = ended?.saturating_sub(opened?).max(0) / time::MINUTE;
    Some(u8::try_from(length).map_or(MOST_MINUTES, |minutes| minutes.min(MOST_MINUTES)))
}

/// Something that the projection has not taken in yet.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Due {
    /// By what it is taken off the list: [`done`].
    pub id: String,
    /// The impersonation that is to be judged.
    pub impersonation_id: Option<String>,
    /// 1 where the row with this id is a refused attempt, else 0.
    pub refusal: i64,
}

const COLUMNS: &str = "SELECT impersonation_id, standing, overstayed, org_id, admin_id, ticket_ref, secret_type, \
     opened_at, handed_off_at, ended_at, end_cause, newest_at, newest_id, judged_at, due_at FROM trail_standing";

fn select(rest: &str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!("{COLUMNS} {rest}"))
}

/// Puts a row that was appended on the list of what is due, in the same transaction. A list that
/// is only added to: no step waits for another here. A row that tells of what an impersonation had
/// for a consequence makes that one due.
pub async fn note(tx: &mut Tx, entry: &Entry) -> Result<()> {
    let refusal = [PLATFORM_IMPERSONATION_REFUSED, PLATFORM_ROTATION_REFUSED]
        .contains(&entry.action.as_str());
    let after = entry.action == PLATFORM_VAULT_TOKEN_OLD_REVOKED;
    let after = after.then(|| AuditRow::parse(&entry.body).ok()).flatten();
    let after = after.and_then(|row| row.detail_str("after_impersonation").map(str::to_owned));
    let about = entry.impersonation_id.clone().or(after);
    if about.is_none() && !refusal {
        return Ok(());
    }
    sqlx::query("INSERT INTO standing_due (id, impersonation_id, refusal) VALUES ($1, $2, $3)")
        .bind(&entry.id)
        .bind(about)
        .bind(super::flag(refusal))
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// What is due, the newest rows first.
pub async fn due(conn: &mut AnyConnection, limit: i64) -> Result<Vec<Due>> {
    Ok(sqlx::query_as(
        "SELECT id, impersonation_id, refusal FROM standing_due ORDER BY id DESC LIMIT $1",
    )
    .bind(limit)
    .fetch_all(conn)
    .await?)
}

/// The impersonations whose verdict may have changed with time by `now`.
pub async fn due_by_time(conn: &mut AnyConnection, now: Micros, limit: i64) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(
        "SELECT impersonation_id FROM trail_standing WHERE due_at IS NOT NULL AND due_at <= $1 \
         ORDER BY due_at, impersonation_id LIMIT $2",
    )
    .bind(now)
    .bind(limit)
    .fetch_all(conn)
    .await?)
}

/// Takes the turn until `until`; false where another instance has it.
pub async fn take_turn(tx: &mut Tx, holder: &str, now: Micros, until: Micros) -> Result<bool> {
    let taken = sqlx::query(
        "UPDATE standing_turn SET holder = $1, taken_until = $3 WHERE one = 1 AND taken_until <= $2",
    )
    .bind(holder)
    .bind(now)
    .bind(until)
    .execute(tx.conn())
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Gives the turn back; false where it was lost meanwhile, and then nothing may be written.
pub async fn give_turn(tx: &mut Tx, holder: &str) -> Result<bool> {
    let given =
        sqlx::query("UPDATE standing_turn SET taken_until = 0 WHERE one = 1 AND holder = $1")
            .bind(holder)
            .execute(tx.conn())
            .await?;
    Ok(given.rows_affected() == 1)
}

/// Takes something off the list of what is due.
pub async fn done(tx: &mut Tx, id: &str) -> Result<()> {
    sqlx::query("DELETE FROM standing_due WHERE id = $1").bind(id).execute(tx.conn()).await?;
    Ok(())
}

/// Whether the handoff of an impersonation waits for the Owner, and whether the vault token that
/// was replaced under it still works.
pub async fn owed(conn: &mut AnyConnection, impersonation_id: &str) -> Result<(bool, bool)> {
    let unacknowledged: Option<i64> = sqlx::query_scalar(
        "SELECT CAST(1 AS BIGINT) FROM handoff WHERE impersonation_id = $1 AND state IN ('queued', 'sent', 'undelivered') LIMIT 1",
    )
    .bind(impersonation_id)
    .fetch_optional(&mut *conn)
    .await?;
    let owing: Option<i64> = sqlx::query_scalar(
        "SELECT CAST(1 AS BIGINT) FROM rotation r JOIN outbox x ON x.about = r.id \
         WHERE r.impersonation_id = $1 AND x.kind = 'vault_revoke' AND x.done_at IS NULL LIMIT 1",
    )
    .bind(impersonation_id)
    .fetch_optional(&mut *conn)
    .await?;
    Ok((unacknowledged.is_some(), owing.is_some()))
}

/// Writes how a trail stands, and lets its rows be found by that.
pub async fn save(tx: &mut Tx, s: &Standing, stands: &[Stand]) -> Result<()> {
    let verdicts = ["complete", "open", "incomplete", "mismatch", "tampered"];
    let verdicts = verdicts.into_iter().map(|word| (word, word == s.standing));
    let others = Stand::ALL.iter().map(|stand| (stand.as_str(), stands.contains(stand)));
    for (word, stands_so) in verdicts.chain(others) {
        let sql = if stands_so {
            "INSERT INTO audit_term (term, at, id) SELECT $1, at, id FROM audit_entry \
             WHERE impersonation_id = $2 ON CONFLICT (term, at, id) DO NOTHING"
        } else {
            "DELETE FROM audit_term WHERE term = $1 AND (at, id) IN \
             (SELECT at, id FROM audit_entry WHERE impersonation_id = $2)"
        };
        sqlx::query(sql)
            .bind(verdict_term(word))
            .bind(&s.impersonation_id)
            .execute(tx.conn())
            .await?;
    }
    found_by_length(tx, &s.impersonation_id, s.minutes_open()).await?;
    sqlx::query(
        "INSERT INTO trail_standing (impersonation_id, standing, overstayed, org_id, admin_id, ticket_ref, secret_type, \
         opened_at, handed_off_at, ended_at, end_cause, newest_at, newest_id, judged_at, due_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
         ON CONFLICT (impersonation_id) DO UPDATE SET standing = excluded.standing, overstayed = excluded.overstayed, \
         org_id = excluded.org_id, admin_id = excluded.admin_id, ticket_ref = excluded.ticket_ref, \
         secret_type = excluded.secret_type, opened_at = excluded.opened_at, handed_off_at = excluded.handed_off_at, \
         ended_at = excluded.ended_at, end_cause = excluded.end_cause, newest_at = excluded.newest_at, \
         newest_id = excluded.newest_id, judged_at = excluded.judged_at, due_at = excluded.due_at",
    )
    .bind(&s.impersonation_id)
    .bind(&s.standing)
    .bind(s.overstayed)
    .bind(s.org_id.as_deref())
    .bind(s.admin_id.as_deref())
    .bind(s.ticket_ref.as_deref())
    .bind(s.secret_type.as_deref())
    .bind(s.opened_at)
    .bind(s.handed_off_at)
    .bind(s.ended_at)
    .bind(s.end_cause.as_deref())
    .bind(s.newest_at)
    .bind(&s.newest_id)
    .bind(s.judged_at)
    .bind(s.due_at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Lets the start of an impersonation be found by how many minutes its token was open, and by no
/// other number of them, whoever wrote it down.
pub async fn found_by_length(
    tx: &mut Tx,
    impersonation_id: &str,
    minutes: Option<u8>,
) -> Result<()> {
    let others: Vec<String> = (0..=MOST_MINUTES)
        .filter(|other| Some(*other) != minutes)
        .map(|other| format!("'{}'", open_for_term(other)))
        .collect();
    let delete = format!(
        "DELETE FROM audit_term WHERE term IN ({}) AND (at, id) IN \
         (SELECT at, id FROM audit_entry WHERE impersonation_id = $1)",
        others.join(", ")
    );
    sqlx::query(sqlx::AssertSqlSafe(delete)).bind(impersonation_id).execute(tx.conn()).await?;
    if let Some(minutes) = minutes {
        // Of all the starts there are, this is one: no engine may look for it among them.
        sqlx::query(
            "INSERT INTO audit_term (term, at, id) SELECT $1, at, id FROM audit_entry \
             WHERE impersonation_id = $2 AND action || '' = $3 ON CONFLICT (term, at, id) DO NOTHING",
        )
        .bind(open_for_term(minutes))
        .bind(impersonation_id)
        .bind(PLATFORM_IMPERSONATION_STARTED)
        .execute(tx.conn())
        .await?;
    }
    Ok(())
}

/// What changes with every trail that is judged: when the last was, and how many were then.
pub async fn judged_last(conn: &mut AnyConnection) -> Result<String> {
    let (at, trails): (Option<Micros>, i64) = sqlx::query_as(
        "SELECT MAX(judged_at), COUNT(*) FROM trail_standing \
         WHERE judged_at = (SELECT MAX(judged_at) FROM trail_standing)",
    )
    .fetch_one(conn)
    .await?;
    Ok(format!("{}.{trails}", at.unwrap_or_default()))
}

/// Writes that an attempt was refused because of a check.
pub async fn save_denied(tx: &mut Tx, entry_id: &str, check: &str, at: Micros) -> Result<()> {
    sqlx::query(
        "INSERT INTO denied_check (entry_id, failed_check, at) VALUES ($1, $2, $3) \
         ON CONFLICT (entry_id, failed_check) DO NOTHING",
    )
    .bind(entry_id)
    .bind(check)
    .bind(at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Makes everything due again: each trail, those that the table has lost, and each refused attempt.
/// What the table says of itself is not asked: somebody may have changed it.
pub async fn judge_again(tx: &mut Tx, now: Micros) -> Result<u64> {
    // Whoever takes in a batch holds this row first, too: neither waits for the other in a circle.
    sqlx::query("UPDATE standing_turn SET taken_until = taken_until WHERE one = 1")
        .execute(tx.conn())
        .await?;
    let done =
        sqlx::query("UPDATE trail_standing SET due_at = $1").bind(now).execute(tx.conn()).await?;
    sqlx::query(
        "INSERT INTO standing_due (id, impersonation_id, refusal) SELECT x.id, x.id, 0 FROM ( \
           SELECT id FROM impersonation \
           UNION SELECT impersonation_id FROM audit_entry WHERE impersonation_id IS NOT NULL) x \
         WHERE NOT EXISTS (SELECT 1 FROM trail_standing s WHERE s.impersonation_id = x.id) \
         ON CONFLICT (id) DO NOTHING",
    )
    .execute(tx.conn())
    .await?;
    sqlx::query(
        "INSERT INTO standing_due (id, impersonation_id, refusal) \
         SELECT e.id, e.impersonation_id, 1 FROM audit_entry e WHERE e.action IN ($1, $2) \
         AND NOT EXISTS (SELECT 1 FROM denied_check d WHERE d.entry_id = e.id) ON CONFLICT (id) DO NOTHING",
    )
    .bind(PLATFORM_IMPERSONATION_REFUSED)
    .bind(PLATFORM_ROTATION_REFUSED)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected())
}

/// Makes the projection forget everything, and puts all there is in the logs on the list again.
pub async fn rebuild(tx: &mut Tx) -> Result<()> {
    for sql in [
        "DELETE FROM standing_due",
        "DELETE FROM trail_standing",
        "DELETE FROM denied_check",
        "INSERT INTO standing_due (id, impersonation_id, refusal) SELECT x.id, x.id, 0 FROM ( \
           SELECT id FROM impersonation \
           UNION SELECT impersonation_id FROM audit_entry WHERE impersonation_id IS NOT NULL) x",
    ] {
        sqlx::query(sql).execute(tx.conn()).await?;
    }
    sqlx::query(
        "INSERT INTO standing_due (id, impersonation_id, refusal) \
         SELECT id, impersonation_id, 1 FROM audit_entry WHERE action IN ($1, $2)",
    )
    .bind(PLATFORM_IMPERSONATION_REFUSED)
    .bind(PLATFORM_ROTATION_REFUSED)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// How the trail of an impersonation stood when it was last judged.
pub async fn by_id(conn: &mut AnyConnection, id: &str) -> Result<Option<Standing>> {
    Ok(sqlx::query_as(select("WHERE impersonation_id = $1")).bind(id).fetch_optional(conn).await?)
}

/// A page of the trails with a verdict, by their newest rows, newest first.
pub async fn page(
    conn: &mut AnyConnection,
    verdict: Verdict,
    before: Option<&Key>,
    limit: i64,
) -> Result<Vec<Standing>> {
    let (at, id) = before.map_or((i64::MAX, "~"), |k| (k.at, k.id.as_str()));
    Ok(sqlx::query_as(select(
        "WHERE standing = $1 AND (newest_at, newest_id) < ($2, $3) \
         ORDER BY newest_at DESC, newest_id DESC LIMIT $4",
    ))
    .bind(verdict.word())
    .bind(at)
    .bind(id)
    .bind(limit)
    .fetch_all(conn)
    .await?)
}

/// A page of the trails whose token was open longer than it had to be, newest first.
pub async fn page_overstayed(
    conn: &mut AnyConnection,
    before: Option<&Key>,
    limit: i64,
) -> Result<Vec<Standing>> {
    let (at, id) = before.map_or((i64::MAX, "~"), |k| (k.at, k.id.as_str()));
    Ok(sqlx::query_as(select(
        "WHERE overstayed = 1 AND (newest_at, newest_id) < ($1, $2) \
         ORDER BY newest_at DESC, newest_id DESC LIMIT $3",
    ))
    .bind(at)
    .bind(id)
    .bind(limit)
    .fetch_all(conn)
    .await?)
}

/// A page of the trails that began before `before` and not before `down_to`, and whose grant is not
/// in the register of impersonations, newest first.
pub async fn page_ungranted(
    conn: &mut AnyConnection,
    before: Option<&Key>,
    down_to: Micros,
    limit: i64,
) -> Result<Vec<Standing>> {
    let (at, id) = before.map_or((i64::MAX, "~"), |k| (k.at, k.id.as_str()));
    // Looked up one by one, along the index of the starts: there are as many as a page has.
    Ok(sqlx::query_as(select(
        "WHERE opened_at >= $1 AND (opened_at, impersonation_id) < ($2, $3) \
         AND (SELECT i.id FROM impersonation i WHERE i.id = impersonation_id) IS NULL \
         ORDER BY opened_at DESC, impersonation_id DESC LIMIT $4",
    ))
    .bind(down_to)
    .bind(at)
    .bind(id)
    .bind(limit)
    .fetch_all(conn)
    .await?)
}

/// How many trails have a verdict.
pub async fn count(conn: &mut AnyConnection, verdict: Verdict) -> Result<i64> {
    Ok(sqlx::query_scalar("SELECT COUNT(*) FROM trail_standing WHERE standing = $1")
        .bind(verdict.word())
        .fetch_one(conn)
        .await?)
}

/// How many tokens were open longer than they had to be.
pub async fn count_overstayed(conn: &mut AnyConnection) -> Result<i64> {
    Ok(sqlx::query_scalar("SELECT COUNT(*) FROM trail_standing WHERE overstayed = 1")
        .fetch_one(conn)
        .await?)
}
