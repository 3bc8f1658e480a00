//! The word that the server is to stop, for all who have to know: whoever streams, and whoever
//! works in the background.

use std::time::Duration;

use tokio::sync::watch;

/// Whether the server was asked to stop. Copies share one answer.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<bool>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Stop {
    /// Asks everybody to stop. It is not taken back.
    pub fn ask(&self) {
        self.0.send_replace(true);
    }

    /// Whether it was asked for.
    #[must_use]
    pub fn asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is asked for.
    pub async fn wait(&self) {
        // The sender is in hand, so that the wait ends only by word.
        self.0.subscribe().wait_for(|asked| *asked).await.ok();
    }

    /// Rests between two rounds of work; false where there is to be no other one. What is in hand
    /// is never cut off by it.
    pub async fn rest(&self, pause: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.wait() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_rests_wakes_by_time_or_by_word() {
        let stop = Stop::default();
        assert!(stop.rest(Duration::from_millis(1)).await);
        let resting = tokio::spawn({
            let stop = stop.clone();
            async move { stop.rest(Duration::from_secs(600)).await }
        });
        tokio::task::yield_now().await;
        stop.ask();
        assert!(!resting.await.unwrap());
        assert!(stop.asked() && !stop.rest(Duration::ZERO).await);
        stop.wait().await;
    }
}
