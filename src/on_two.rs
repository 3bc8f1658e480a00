//! Work that is split over two threads.

use std::sync::{Mutex, PoisonError};
use std::thread::ScopedJoinHandle;

/// What `work` makes of each item, in their order; half of them on a thread of their own. For what
/// takes milliseconds while somebody waits: a thread costs some tens of microseconds.
pub fn on_two<T: Send, R: Send>(mut items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    if items.len() < 2 {
        return items.into_iter().map(work).collect();
    }
    let others = Mutex::new(items.split_off(items.len() / 2));
    let take = || std::mem::take(&mut *others.lock().unwrap_or_else(PoisonError::into_inner));
    let all = |items: Vec<T>| items.into_iter().map(&work).collect::<Vec<R>>();
    std::thread::scope(|scope| {
        // Where there is no thread to be had, this one does all of it.
        let beside = std::thread::Builder::new().spawn_scoped(scope, || all(take()));
        let mut done = all(items);
        done.extend(match beside.map(ScopedJoinHandle::join) {
            Ok(Ok(others)) => others,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(_) => all(take()),
        });
        done
    })
}

#[cfg(test)]
mod tests {
    use super::on_two;

    #[test]
    fn everything_is_done_and_stays_in_order() {
        for n in 0..6 {
            let doubled: Vec<usize> = (0..n).map(|i| i * 2).collect();
            assert_eq!(on_two((0..n).collect(), |i: usize| i * 2), doubled);
        }
    }

    #[test]
    #[should_panic(expected = "the fourth")]
    fn a_panic_is_not_lost() {
        on_two((0..4).collect(), |i: usize| assert!(i != 3, "the fourth"));
    }
}
