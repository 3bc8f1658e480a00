//! Work that is split over two threads.

/// What `work` makes of each item, in their order; half of them on a thread of their own. For what
/// takes milliseconds while somebody waits: a thread costs some tens of microseconds.
pub fn on_two<T: Send, R: Send>(mut items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    if items.len() < 2 {
        return items.into_iter().map(work).collect();
    }
    let others = items.split_off(items.len() / 2);
    std::thread::scope(|scope| {
        let others = scope.spawn(|| others.into_iter().map(&work).collect::<Vec<R>>());
        let mut done: Vec<R> = items.into_iter().map(&work).collect();
        match others.join() {
            Ok(others) => done.extend(others),
            Err(panic) => std::panic::resume_unwind(panic),
        }
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
