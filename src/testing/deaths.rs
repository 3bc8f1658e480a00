//! Where a test lets the process die: whoever comes to that place never goes on.

use std::sync::Mutex;

use tokio::sync::Notify;

/// The place at which to die, and word that it was reached.
#[derive(Debug, Default)]
pub(crate) struct Deaths {
    at: Mutex<Option<&'static str>>,
    seen: Mutex<Vec<&'static str>>,
    dead: Notify,
    pause: Mutex<Option<&'static str>>,
    paused: Notify,
    going: Notify,
}

impl Deaths {
    /// Lets whoever comes to `place` die there.
    pub(crate) fn die_at(&self, place: &'static str) {
        *self.at.lock().unwrap() = Some(place);
    }

    /// Lets whoever comes to `place` wait there until [`Deaths::go_on`].
    pub(crate) fn pause_at(&self, place: &'static str) {
        *self.pause.lock().unwrap() = Some(place);
    }

    /// Waits until somebody waits.
    pub(crate) async fn wait_for_pause(&self) {
        self.paused.notified().await;
    }

    /// Lets whoever waits go on.
    pub(crate) fn go_on(&self) {
        self.going.notify_one();
    }

    /// Comes to a place.
    pub(crate) async fn reached(&self, place: &'static str) {
        self.seen.lock().unwrap().push(place);
        if *self.at.lock().unwrap() == Some(place) {
            self.dead.notify_one();
            std::future::pending::<()>().await;
        }
        let pauses = *self.pause.lock().unwrap() == Some(place);
        if pauses {
            self.paused.notify_one();
            self.going.notified().await;
        }
    }

    /// Runs `work` until it dies, and drops what is left of it; false where it came to its end.
    pub(crate) async fn until_dead<T>(&self, work: impl Future<Output = T>) -> bool {
        tokio::select! {
            () = self.dead.notified() => true,
            _ = work => false,
        }
    }

    /// The places that were reached, in order.
    pub(crate) fn seen(&self) -> Vec<&'static str> {
        self.seen.lock().unwrap().clone()
    }
}
