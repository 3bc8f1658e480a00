//! When a change of the way to the Owner counts. Whoever replaces the Owner's key, address or
//! channel, or names another Owner, reads what is handed over next: so the Owner says yes, a second
//! person looks, and silence never counts.

use crate::model::{AgreedHow, Micros, OwnerChangeKind, time};

/// How long a change waits for those who have to agree. Then it is dropped.
pub const WAITS_FOR: Micros = 14 * time::DAY;

/// How long what the command line asks for waits, unless the Owner has signed it with the key on
/// file: whoever got hold of a mailbox can open a link, and has no key.
pub const COOL_OFF: Micros = 24 * time::HOUR;

/// How long another Owner of record waits where the one before does not answer.
pub const COOL_OFF_WITHOUT_OWNER: Micros = 7 * time::DAY;

/// For how long whoever asked for a change stays away from the org's secrets, and for how long it
/// is told of.
pub const STAYS_AWAY_FOR: Micros = 30 * time::DAY;

/// What is known of a change that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeFacts<'a> {
    /// What changes.
    pub kind: OwnerChangeKind,
    /// Who asked.
    pub asked_by: &'a str,
    /// When.
    pub asked_at: Micros,
    /// Before this it does not take effect.
    pub earliest_at: Micros,
    /// How the Owner agreed, where they did.
    pub agreed: Option<AgreedHow>,
    /// The platform admins who approved.
    pub approved_by: Vec<&'a str>,
}

/// What a change still waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// The Owner's yes.
    Owner,
    /// The approval of an admin who did not ask.
    Admin,
    /// The approval of two admins who did not ask, in place of the Owner's yes.
    TwoAdmins,
    /// An instant.
    Until(Micros),
}

/// What a change still waits for at `now`; nothing where it takes effect.
///
/// The Owner's yes and one approval are needed. Another Owner of record may also be named by two
/// approvals after seven days, since the one before may be gone: two persons then, and not silence,
/// have decided it. Whoever asked never counts as one who approved.
#[must_use]
pub fn waits_for(facts: &ChangeFacts<'_>, now: Micros) -> Vec<Wait> {
    let mut others: Vec<&str> =
        facts.approved_by.iter().copied().filter(|who| *who != facts.asked_by).collect();
    others.sort_unstable();
    others.dedup();
    let mut waits = Vec::new();
    let mut earliest = facts.earliest_at;
    if let Some(how) = facts.agreed {
        if how == AgreedHow::Signature {
            earliest = facts.asked_at;
        }
        if others.is_empty() {
            waits.push(Wait::Admin);
        }
    } else if facts.kind == OwnerChangeKind::Owner && others.len() >= 2 {
        earliest = earliest.max(facts.asked_at.saturating_add(COOL_OFF_WITHOUT_OWNER));
    } else {
        waits.push(Wait::Owner);
        match (facts.kind, others.is_empty()) {
            (OwnerChangeKind::Owner, _) => waits.push(Wait::TwoAdmins),
            (_, true) => waits.push(Wait::Admin),
            (_, false) => {}
        }
    }
    if now < earliest {
        waits.push(Wait::Until(earliest));
    }
    waits
}

/// Until when somebody who asked for a change at `asked_at` stays away from the org's secrets;
/// nothing where that is over.
#[must_use]
pub fn stays_away_until(asked_at: Micros, now: Micros) -> Option<Micros> {
    let until = asked_at.saturating_add(STAYS_AWAY_FOR);
    (now < until).then_some(until)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ASKED: Micros = 1_000 * time::DAY;

    fn facts(kind: OwnerChangeKind) -> ChangeFacts<'static> {
        ChangeFacts {
            kind,
            asked_by: "ada",
            asked_at: ASKED,
            earliest_at: ASKED,
            agreed: None,
            approved_by: Vec::new(),
        }
    }

    /// Protects the Owner: no time that passes is a yes.
    #[test]
    fn silence_never_counts() {
        for &kind in OwnerChangeKind::ALL {
            let asked = facts(kind);
            assert!(!waits_for(&asked, Micros::MAX).is_empty(), "{kind}");
            let approved = ChangeFacts { approved_by: vec!["ben"], ..asked };
            assert!(!waits_for(&approved, Micros::MAX).is_empty(), "{kind}");
        }
    }

    #[test]
    fn the_owner_and_a_second_admin_suffice() {
        for &kind in OwnerChangeKind::ALL {
            let agreed = ChangeFacts { agreed: Some(AgreedHow::Link), ..facts(kind) };
            assert_eq!(waits_for(&agreed, ASKED), [Wait::Admin], "{kind}");
            let both = ChangeFacts { approved_by: vec!["ben"], ..agreed };
            assert_eq!(waits_for(&both, ASKED), [], "{kind}");
        }
    }

    /// Protects against one admin who is both.
    #[test]
    fn whoever_asked_is_not_the_second_person() {
        let own = ChangeFacts {
            agreed: Some(AgreedHow::Link),
            approved_by: vec!["ada", "ada"],
            ..facts(OwnerChangeKind::PgpKey)
        };
        assert_eq!(waits_for(&own, ASKED), [Wait::Admin]);
        let owner =
            ChangeFacts { approved_by: vec!["ada", "ben", "ben"], ..facts(OwnerChangeKind::Owner) };
        assert_eq!(waits_for(&owner, Micros::MAX), [Wait::Owner, Wait::TwoAdmins]);
    }

    /// Protects an org whose Owner left: two persons and a week, not one and a minute.
    #[test]
    fn another_owner_can_be_named_without_the_one_before_and_nothing_else_can() {
        let two = |kind| ChangeFacts { approved_by: vec!["ben", "cyd"], ..facts(kind) };
        let week = ASKED + COOL_OFF_WITHOUT_OWNER;
        assert_eq!(waits_for(&two(OwnerChangeKind::Owner), week - 1), [Wait::Until(week)]);
        assert_eq!(waits_for(&two(OwnerChangeKind::Owner), week), []);
        for kind in [OwnerChangeKind::PgpKey, OwnerChangeKind::Address, OwnerChangeKind::Channel] {
            assert_eq!(waits_for(&two(kind), Micros::MAX), [Wait::Owner], "{kind}");
        }
    }

    proptest! {
        /// Protects the day of what the command line asks for: nobody shortens it.
        #[test]
        fn nothing_takes_effect_before_its_time(early in 1..COOL_OFF, agreed: bool, admins in 0usize..4) {
            let all = ["ben", "cyd", "dee", "eve"];
            let facts = ChangeFacts {
                earliest_at: ASKED + COOL_OFF,
                agreed: agreed.then_some(AgreedHow::Link),
                approved_by: all[..admins].to_vec(),
                ..facts(OwnerChangeKind::Address)
            };
            prop_assert!(!waits_for(&facts, ASKED + COOL_OFF - early).is_empty());
        }
    }

    /// Protects the Owner whose address takes no mail: their key speaks for them at once.
    #[test]
    fn a_signature_of_the_key_on_file_needs_no_day() {
        let signed = ChangeFacts {
            earliest_at: ASKED + COOL_OFF,
            agreed: Some(AgreedHow::Signature),
            approved_by: vec!["ben"],
            ..facts(OwnerChangeKind::Address)
        };
        assert_eq!(waits_for(&signed, ASKED), []);
        let alone = ChangeFacts { approved_by: vec!["ada"], ..signed };
        assert_eq!(waits_for(&alone, ASKED), [Wait::Admin]);
    }

    #[test]
    fn thirty_days_are_thirty_days_to_the_microsecond() {
        let until = ASKED + STAYS_AWAY_FOR;
        assert_eq!(stays_away_until(ASKED, until - 1), Some(until));
        assert_eq!(stays_away_until(ASKED, until), None);
    }
}
