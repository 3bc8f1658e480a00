//! Work that one instance has for itself: it says again and again that it goes on, so that another
//! follows soon after a death, and it lets go where the server is to stop.

use std::time::Duration;

use sqlx::Any;
use sqlx::pool::PoolConnection;

use super::{Desk, Step};
use crate::model::{Micros, time};
use crate::stop::Stop;

/// How long what was taken is held without a word. Who has died is followed by another after this.
pub(super) const LEASE: Micros = 15 * time::SECOND;

/// How often it is said that the work goes on.
const BEAT: Duration = Duration::from_secs(4);

/// How long work may go on after the word to stop.
const GRACE: Duration = Duration::from_secs(8);

/// What became of work.
pub(super) enum Held<T> {
    /// It has come to its end.
    Ended(T),
    /// Another has it by now: it was cut off.
    Lost,
    /// The server is to stop, and it did not come to its end: it was cut off.
    Stopped,
}

impl Desk {
    /// Waits for the end of work. `keep` holds what was taken until then; it says whether it still
    /// is ours.
    pub(super) async fn holding<T, F: Future<Output = Step<bool>>>(
        &self,
        stop: &Stop,
        keep: impl Fn(PoolConnection<Any>, Micros) -> F,
        work: impl Future<Output = T>,
    ) -> Held<T> {
        let mut work = std::pin::pin!(work);
        let mut stopped = std::pin::pin!(async {
            stop.wait().await;
            tokio::time::sleep(GRACE).await;
        });
        loop {
            tokio::select! {
                biased;
                ended = &mut work => return Held::Ended(ended),
                () = &mut stopped => return Held::Stopped,
                () = tokio::time::sleep(BEAT) => {}
            }
            let kept = async {
                let conn = self.store.read().await?;
                keep(conn, self.now() + LEASE).await
            };
            // The work goes on meanwhile: it may be what the connection is waited for.
            tokio::select! {
                biased;
                ended = &mut work => return Held::Ended(ended),
                kept = kept => match kept {
                    Ok(true) => {}
                    Ok(false) => return Held::Lost,
                    Err(e) => tracing::warn!(error = %e, "holding what is worked at"),
                },
            }
        }
    }
}
