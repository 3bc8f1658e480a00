//! What was found out about a key is kept for a while: a page judges the same key several times,
//! and checking its signatures takes long.
//!
//! What is kept has nothing to do with the time of day, so it cannot be out of date.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use super::key_on_file::read;
use super::problem::KeyProblem;
use super::renewal::renewal;
use super::verified::Verified;

/// How many keys are kept; the one that came first goes first.
const MOST: usize = 256;

type Known = Result<Arc<Verified>, KeyProblem>;

#[derive(Default)]
struct Kept {
    known: HashMap<[u8; 32], Known>,
    order: VecDeque<[u8; 32]>,
    /// Those that were checked where others may have waited.
    #[cfg(test)]
    unprepared: Vec<[u8; 32]>,
}

thread_local! {
    /// Whether this thread is one where a check holds nobody up.
    static ASIDE: Cell<bool> = const { Cell::new(false) };
}

static KEPT: LazyLock<Mutex<Kept>> = LazyLock::new(Mutex::default);

fn kept<T>(look: impl FnOnce(&mut Kept) -> T) -> T {
    // Nothing is left half-done where somebody panicked: it is a map and a list.
    look(&mut KEPT.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The key in this text with its signatures checked, as it was found before or is found now.
pub(super) fn verified(text: &str) -> Known {
    let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    if let Some(known) = kept(|kept| kept.known.get(&hash).cloned()) {
        return known;
    }
    if !ASIDE.get() {
        // Whoever judges a key in a step has to have prepared it before.
        tracing::warn!("an OpenPGP key is checked while somebody waits for it");
        #[cfg(test)]
        kept(|kept| kept.unprepared.push(hash));
    }
    // Not under the lock: others look up other keys meanwhile.
    let found = read(text).map(Arc::new);
    kept(|kept| {
        if kept.known.insert(hash, found.clone()).is_none() {
            kept.order.push_back(hash);
        }
        while kept.order.len() > MOST {
            if let Some(oldest) = kept.order.pop_front() {
                kept.known.remove(&oldest);
            }
        }
    });
    found
}

/// Whether this key was looked at already, so that looking again takes no time.
fn is_known(text: &str) -> bool {
    let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    kept(|kept| kept.known.contains_key(&hash))
}

/// Checks the signatures of a key on a thread where that holds nobody up; whatever judges the same
/// text afterwards does so at once. To be called before a transaction, not in it.
pub async fn prepare(text: &str) {
    if is_known(text) {
        return;
    }
    let text = text.to_owned();
    aside(move || drop(verified(&text))).await;
}

/// The same for a copy of a key that is going to be held against the one on file: both, and what
/// both say together.
pub async fn prepare_renewal(on_file: &str, copy: &str) {
    let (on_file, copy) = (on_file.to_owned(), copy.to_owned());
    aside(move || drop(renewal(&on_file, &copy))).await;
}

/// On a thread where it holds nobody up.
async fn aside(check: impl FnOnce() + Send + 'static) {
    let checked = tokio::task::spawn_blocking(move || {
        ASIDE.set(true);
        check();
        ASIDE.set(false);
    });
    // A panic in there is found again, as one, by whoever judges the key.
    drop(checked.await);
}

/// Whether this key was checked where others may have waited.
#[cfg(test)]
pub(crate) fn was_unprepared(text: &str) -> bool {
    let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    kept(|kept| kept.unprepared.contains(&hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects the memory of a server to which somebody pastes key after key.
    #[test]
    fn only_so_many_are_kept_and_each_is_found_again() {
        let text = |n: usize| format!("no key, number {n}");
        for n in 0..MOST + 40 {
            assert_eq!(verified(&text(n)), Err(KeyProblem::Unreadable));
            assert!(is_known(&text(n)));
        }
        let (known, order) = kept(|kept| (kept.known.len(), kept.order.len()));
        assert!(known <= MOST && order <= MOST, "{known} {order}");
        assert!(!is_known(&text(0)), "the first has gone");
    }

    /// Protects whoever waits for a page: what takes seconds with a large key is done once.
    #[test]
    fn a_key_is_judged_once() {
        let key = &crate::testing::owners::owners().rsa.public;
        let first = verified(key).unwrap();
        assert!(Arc::ptr_eq(&first, &verified(key).unwrap()), "what was found before");
    }

    #[tokio::test]
    async fn what_was_prepared_is_known() {
        prepare("no key, prepared").await;
        assert!(is_known("no key, prepared"));
    }
}
