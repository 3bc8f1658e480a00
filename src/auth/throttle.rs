//! Sign-in throttling: guessing becomes slow, and nobody can lock somebody else out. Failures
//! count for the pair of account and network, so that an attacker elsewhere does not
//! hold the owner of the account up; and, far more leniently, for the network address alone. A
//! browser that has signed in to the account before, and a session that is signed in, have a count
//! of their own ([`super::failures`]): for who sits in the same network as the attacker.

use std::net::IpAddr;

use crate::listen::subscriber;
use crate::model::{Micros, time};
use crate::store::sign_ins::Failures;

/// How far back failures count.
pub const WINDOW: Micros = 15 * time::MINUTE;
const FREE_FOR_PAIR: i64 = 5;
const FREE_FOR_ADDRESS: i64 = 50;
const LONGEST: Micros = time::MINUTE;

/// The network that an address belongs to: an IPv4 address by itself, an IPv6 address by its
/// first 64 bits, which one subscriber holds whole.
#[must_use]
pub fn network(from: &str) -> String {
    match from.parse::<IpAddr>().map(subscriber) {
        Ok(IpAddr::V6(v6)) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Ok(v4) => v4.to_string(),
        Err(_) => "unknown".to_owned(),
    }
}

/// How long the next attempt has to wait, from `now`; `None` where it may be made at once.
#[must_use]
pub fn wait(f: &Failures, now: Micros) -> Option<Micros> {
    let until = |count: i64, free: i64, last: Option<Micros>| -> Option<Micros> {
        let over = u32::try_from(count - free).ok()?;
        let pause = time::SECOND
            .saturating_mul(1_i64.checked_shl(over.min(10)).unwrap_or(i64::MAX))
            .min(LONGEST);
        Some(last? + pause)
    };
    let end = until(f.by_pair, FREE_FOR_PAIR, f.pair_last).max(until(
        f.by_network,
        FREE_FOR_ADDRESS,
        f.network_last,
    ))?;
    (end > now).then_some(end - now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(n: i64) -> Failures {
        Failures { by_pair: n, pair_last: Some(0), by_network: n, network_last: Some(0) }
    }

    #[test]
    fn a_few_mistakes_cost_nothing_then_the_wait_doubles_up_to_a_minute() {
        assert_eq!(wait(&pair(4), 0), None);
        assert_eq!(wait(&pair(5), 0), Some(time::SECOND));
        assert_eq!(wait(&pair(7), 0), Some(4 * time::SECOND));
        assert_eq!(wait(&pair(40), 0), Some(time::MINUTE));
        assert_eq!(wait(&pair(7), 4 * time::SECOND), None);
    }

    #[test]
    fn failures_of_others_from_elsewhere_do_not_count() {
        // Failures for the same account from another address are not in `by_pair` at all.
        let f = Failures { by_pair: 0, pair_last: None, by_network: 10, network_last: Some(0) };
        assert_eq!(wait(&f, 0), None);
    }

    #[test]
    fn one_subscriber_is_one_network() {
        assert_eq!(network("2001:db8:1:2:3::1"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_eq!(network("nonsense"), "unknown");
    }

    #[test]
    fn one_address_that_tries_many_accounts_is_slowed() {
        let f = Failures { by_pair: 1, pair_last: Some(0), by_network: 60, network_last: Some(0) };
        assert_eq!(wait(&f, 0), Some(time::MINUTE));
    }
}
