//! When an item that was not taken is tried again, and when it is given up.

use rand::Rng as _;

use super::super::StepError;
use crate::clock::Rng;
use crate::delivery::refusal::{Again, Refusal};
use crate::model::{Micros, OutboxKind, time};
use crate::store::outbox::Item;

/// The first pause after "not now", and the longest.
const PAUSES: (Micros, Micros) = (time::SECOND, 15 * time::MINUTE);

/// The same where somebody has to mend something first.
const MEND_PAUSES: (Micros, Micros) = (15 * time::SECOND, 10 * time::MINUTE);

/// The same where a token lives that should not.
const REVOKE_PAUSES: (Micros, Micros) = (time::SECOND, 45 * time::SECOND);

/// For how long "not now" is believed. A mail server tries for about as long (RFC 5321, section
/// 4.5.4.1).
const LONGEST_WAIT: Micros = 3 * time::DAY;

/// However long it was down, each item gets so many attempts.
const FEWEST_ATTEMPTS: i64 = 10;

/// What an error means for the item that it befell.
pub(super) fn refusal(e: &StepError) -> Refusal {
    match e {
        StepError::NotTaken(refusal) => refusal.clone(),
        StepError::SharedVault(e) => e.refusal(),
        // Nobody outside can mend what we cannot read.
        StepError::Crypto { .. } => Refusal { again: Again::Mend, said: e.to_string() },
        _ => Refusal { again: Again::Later(None), said: e.to_string() },
    }
}

/// Why an item is given up, if it is.
pub(super) fn gives_up(item: &Item, refusal: &Refusal, now: Micros) -> Option<String> {
    // A token that lives is revoked however long that takes. Pages say that it is owed.
    if item.kind == OutboxKind::VaultRevoke {
        return None;
    }
    let since = item.failing_since.unwrap_or(now);
    match refusal.again {
        Again::Never => Some(refusal.said.clone()),
        Again::Mend => None,
        Again::Later(_) => (now - since >= LONGEST_WAIT && item.attempts + 1 >= FEWEST_ATTEMPTS)
            .then(|| {
                let (tries, span) = (item.attempts + 1, time::span(now - since));
                format!("{}; tried {tries} times in {span}", refusal.said)
            }),
    }
}

/// How long to wait after an attempt that failed: longer each time, by up to a quarter more than
/// planned, so that what failed together does not come back together.
pub(super) fn pause(kind: OutboxKind, refusal: &Refusal, attempts: i64, rng: &dyn Rng) -> Micros {
    let (first, longest) = match refusal.again {
        // Whoever has the old token can use it: no minute is to be lost.
        _ if kind == OutboxKind::VaultRevoke => REVOKE_PAUSES,
        Again::Mend | Again::Never => MEND_PAUSES,
        Again::Later(_) => PAUSES,
    };
    let planned = (first << attempts.clamp(0, 20)).min(longest);
    let least = match refusal.again {
        Again::Later(Some(wait)) => wait.max(planned),
        _ => planned,
    };
    least + rng.generator().gen_range(0..=planned / 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SeededRng;

    fn of(again: Again) -> Refusal {
        Refusal { again, said: "no".to_owned() }
    }

    #[test]
    fn pauses_grow_to_a_maximum_and_are_never_shorter_than_asked() {
        let rng = SeededRng::new(1);
        for (again, attempts, least) in [
            (Again::Later(None), 0, time::SECOND),
            (Again::Later(None), 3, 8 * time::SECOND),
            (Again::Later(None), 10, 15 * time::MINUTE),
            (Again::Later(None), i64::MAX, 15 * time::MINUTE),
            (Again::Later(Some(time::MINUTE)), 0, time::MINUTE),
            (Again::Later(Some(time::SECOND)), 6, 64 * time::SECOND),
            (Again::Mend, 0, 15 * time::SECOND),
            (Again::Mend, 30, 10 * time::MINUTE),
        ] {
            for _ in 0..20 {
                let pause = pause(OutboxKind::Mail, &of(again), attempts, &rng);
                let planned = least..=least + least / 4;
                assert!(planned.contains(&pause), "{again:?} {attempts}: {pause}");
                let owed = super::pause(OutboxKind::VaultRevoke, &of(Again::Mend), attempts, &rng);
                assert!(owed <= time::MINUTE, "a token lives: {owed}");
            }
        }
    }
}
