//! What is kept of a judged trail, so that lists and figures need not judge thousands of them.

use super::trail::{Judged, ReadRow};
use crate::model::{EndCause, Micros, Stand, time};
use crate::proof::actions;
use crate::proof::row::AuditRow;
use crate::proof::verdict::Verdict;
use crate::store::impersonations::Impersonation;
use crate::store::standing::Standing;

/// A token has to be ended with the handoff; so much later at the latest it counts as open too
/// long.
pub const SOON_ENOUGH: Micros = time::MINUTE;

/// The times of a grant, as the platform's log has them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// Its start.
    pub opened: Option<Micros>,
    /// When the token expires.
    pub expires: Option<Micros>,
    /// Its handoff.
    pub handed_off: Option<Micros>,
    /// Its end.
    pub ended: Option<Micros>,
}

/// Whether a token was open longer than it had to be: more than a minute after the handoff, or
/// until it expired, as nobody ended it.
#[must_use]
pub fn overstayed(times: &Times, cause: Option<&str>, now: Micros) -> bool {
    let until = times.ended.unwrap_or(now);
    cause == Some(EndCause::Expired.as_str())
        || times.handed_off.is_some_and(|handoff| until - handoff > SOON_ENOUGH)
        || times.ended.is_none() && times.expires.is_some_and(|expiry| expiry <= now)
}

/// When time alone may change what was found at `now`: an open token is too long open at some
/// point, and expires at another.
#[must_use]
pub fn due_at(times: &Times, now: Micros) -> Option<Micros> {
    if times.ended.is_some() {
        return None;
    }
    let too_long = times.handed_off.map(|handoff| handoff + SOON_ENOUGH + 1);
    [too_long, times.expires].into_iter().flatten().filter(|t| *t > now).min()
}

/// How a trail stands besides its verdict. Whether its handoff is `unacknowledged` and a revocation
/// is `owing`, the tables say.
#[must_use]
pub fn stands(s: &Standing, unacknowledged: bool, owing: bool) -> Vec<Stand> {
    let ended = match (s.opened_at, s.handed_off_at, s.ended_at) {
        (Some(_), Some(handoff), Some(ended)) => Some(ended - handoff <= SOON_ENOUGH),
        _ => None,
    };
    let has = |stand| match stand {
        Stand::Overstayed => s.overstayed == 1,
        Stand::Unacknowledged => unacknowledged,
        Stand::Owing => owing,
        Stand::Prompt => ended == Some(true),
        Stand::Late => ended == Some(false),
    };
    Stand::ALL.iter().copied().filter(|stand| has(*stand)).collect()
}

/// What is kept of a trail. `grant` is the grant as the table has it, which stands in where no row
/// of it is left; without both there is nothing to keep.
#[must_use]
pub fn of(
    impersonation_id: &str,
    judged: &Judged,
    grant: Option<&Impersonation>,
    now: Micros,
) -> Option<Standing> {
    let all = || judged.platform.iter().chain(&judged.org);
    let newest = all().map(|r| r.entry.key()).max_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
    let (newest_at, newest_id) = match (newest, grant) {
        (Some(key), _) => (key.at, key.id),
        (None, Some(grant)) => (grant.started_at, grant.id.clone()),
        (None, None) => return None,
    };
    let first = |rows: &[ReadRow], action: &str| -> Option<AuditRow> {
        rows.iter().filter_map(|r| r.row.as_ref()).find(|r| r.action == action).cloned()
    };
    let start = first(&judged.platform, actions::PLATFORM_IMPERSONATION_STARTED);
    let end = first(&judged.platform, actions::PLATFORM_IMPERSONATION_ENDED);
    let handoff = first(&judged.platform, actions::PLATFORM_SECRET_HANDED_OFF);
    let times = Times {
        opened: start.as_ref().map(|r| r.at),
        expires: start
            .as_ref()
            .and_then(|r| r.detail_i64("expires_at"))
            .or(grant.map(|g| g.expires_at)),
        handed_off: handoff.map(|r| r.at),
        ended: end.as_ref().map(|r| r.at),
    };
    let cause = end.as_ref().and_then(|r| r.detail_str("cause")).map(str::to_owned);
    let named = |read: fn(&ReadRow) -> Option<&String>| all().find_map(read).cloned();
    let verdict = judged.verdict.verdict;
    Some(Standing {
        impersonation_id: impersonation_id.to_owned(),
        standing: verdict.word().to_owned(),
        overstayed: i64::from(overstayed(&times, cause.as_deref(), now)),
        org_id: named(|r| r.entry.org_id.as_ref()).or(grant.map(|g| g.org_id.clone())),
        admin_id: start.map(|r| r.actor_id).or(grant.map(|g| g.admin_id.clone())),
        ticket_ref: named(|r| r.entry.ticket_ref.as_ref()).or(grant.map(|g| g.ticket_id.clone())),
        secret_type: named(|r| r.entry.secret_type.as_ref())
            .or(grant.map(|g| g.secret_type.as_str().to_owned())),
        opened_at: times.opened,
        handed_off_at: times.handed_off,
        ended_at: times.ended,
        end_cause: cause,
        newest_at,
        newest_id,
        judged_at: now,
        due_at: match verdict {
            Verdict::Complete => None,
            _ => due_at(&times, now),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENED: Micros = 1_000 * time::MINUTE;

    fn times(handed_off: Option<Micros>, ended: Option<Micros>) -> Times {
        Times {
            opened: Some(OPENED),
            expires: Some(OPENED + 15 * time::MINUTE),
            handed_off: handed_off.map(|t| OPENED + t),
            ended: ended.map(|t| OPENED + t),
        }
    }

    #[test]
    fn a_token_that_ends_with_its_handoff_was_not_open_too_long() {
        let handoff = Some(5 * time::MINUTE);
        let later = OPENED + time::DAY;
        for (ended, too_long) in
            [(5 * time::MINUTE, false), (6 * time::MINUTE, false), (6 * time::MINUTE + 1, true)]
        {
            let found = overstayed(&times(handoff, Some(ended)), Some("handoff"), later);
            assert_eq!(found, too_long, "{ended}");
        }
        assert!(!overstayed(&times(None, Some(14 * time::MINUTE)), Some("admin"), later));
        assert!(overstayed(&times(None, Some(15 * time::MINUTE)), Some("expired"), later));
    }

    #[test]
    fn an_end_is_prompt_or_late_only_where_there_was_a_handoff_and_an_end() {
        let standing = |handed_off_at, ended_at| Standing {
            impersonation_id: "i".into(),
            standing: "complete".into(),
            overstayed: 0,
            org_id: None,
            admin_id: None,
            ticket_ref: None,
            secret_type: None,
            opened_at: Some(OPENED),
            handed_off_at,
            ended_at,
            end_cause: None,
            newest_at: 0,
            newest_id: String::new(),
            judged_at: 0,
            due_at: None,
        };
        let at = Some(OPENED + time::MINUTE);
        let soon = at.map(|t| t + time::MINUTE);
        assert_eq!(stands(&standing(at, soon), false, false), [Stand::Prompt]);
        assert_eq!(stands(&standing(at, soon.map(|t| t + 1)), false, false), [Stand::Late]);
        assert_eq!(stands(&standing(at, None), true, true), [Stand::Unacknowledged, Stand::Owing]);
        assert_eq!(stands(&standing(None, soon), false, false), []);
        let overstayed = Standing { overstayed: 1, ..standing(None, None) };
        assert_eq!(stands(&overstayed, false, false), [Stand::Overstayed]);
    }

    #[test]
    fn an_open_one_is_too_long_open_a_minute_after_its_handoff_or_when_it_expires() {
        let open = times(None, None);
        assert!(!overstayed(&open, None, OPENED + 15 * time::MINUTE - 1));
        assert!(overstayed(&open, None, OPENED + 15 * time::MINUTE));
        let handed_off = times(Some(time::MINUTE), None);
        assert!(!overstayed(&handed_off, None, OPENED + 2 * time::MINUTE));
        assert!(overstayed(&handed_off, None, OPENED + 2 * time::MINUTE + 1));
    }

    #[test]
    fn an_open_one_is_judged_again_when_that_can_change_and_an_ended_one_never() {
        let handed_off = times(Some(time::MINUTE), None);
        assert_eq!(due_at(&handed_off, OPENED), Some(OPENED + 2 * time::MINUTE + 1));
        let expiry = OPENED + 15 * time::MINUTE;
        assert_eq!(due_at(&handed_off, OPENED + 3 * time::MINUTE), Some(expiry));
        assert_eq!(due_at(&handed_off, expiry), None);
        assert_eq!(due_at(&times(None, Some(1)), OPENED), None);
    }
}
