//! Sends new rows of every log to a sink: each at least once, those of a log in their order. The
//! position of each log moves on once the sink has taken the rows, and not before.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Any;
use sqlx::pool::PoolConnection;

use super::hold::{Held, LEASE};
use super::{Desk, Step};
use crate::audit::nodes::Edges;
use crate::audit::trail::{ReadRow, read_proven};
use crate::delivery::forward::{Batch, Outgoing, Sent, Sink};
use crate::model::{Micros, time};
use crate::stop::Stop;
use crate::store::audit;
use crate::store::forward::{self, Due};

/// How many rows of one log are in a batch at most.
const BATCH: usize = 500;

/// How many rows are in a burst at most.
const BURST: usize = 1000;

/// How often it is said that the forwarder runs.
const BEAT: Micros = 30 * time::SECOND;

/// The longest that is waited after a failure.
const LONGEST_WAIT: Micros = 5 * time::MINUTE;

/// The longest wait that a sink may ask for.
const LONGEST_ASKED: Micros = time::HOUR;

/// Why rows of a log are not sent: they are not what was hashed, or one is gone.
type Broken = Vec<(Due, String)>;

impl Desk {
    /// Sends one burst of what is new; how many rows the sink took. `me` is the instance's own
    /// name: only one instance sends to a sink at a time.
    ///
    /// # Errors
    /// Where the database does not answer. A sink that does not take rows is no error: that is
    /// remembered and shown, and it is tried again.
    pub async fn forward_due(&self, sink: &dyn Sink, me: &str) -> Step<usize> {
        self.forward_until(sink, me, &Stop::default()).await
    }

    async fn forward_until(&self, sink: &dyn Sink, me: &str, stop: &Stop) -> Step<usize> {
        let name = sink.name();
        let now = self.now();
        let mut conn = self.store.read().await?;
        let beat = forward::beat_at(&mut conn, &name).await?;
        let due = forward::due(&mut conn, &name, now).await?;
        drop(conn);
        if beat.is_none_or(|at| now - at >= BEAT) {
            let mut tx = self.begin().await?;
            forward::beat(&mut tx, &name, now).await?;
            tx.commit().await?;
        }
        if due.is_empty() || !self.take_sink(&name, me, now).await? {
            return Ok(0);
        }
        let burst = async {
            // Read again: another instance may have sent something before this one had the sink.
            let mut conn = self.store.read().await?;
            let due = forward::due(&mut conn, &name, now).await?;
            drop(conn);
            let (burst, broken) = self.gather_burst(due).await?;
            let batches: Vec<Batch> = burst.iter().map(|(_, batch)| batch.clone()).collect();
            let sent = if batches.is_empty() { Sent::default() } else { sink.send(&batches).await };
            self.settle_burst(&name, me, &burst, &broken, sent).await
        };
        let keep = |conn: PoolConnection<Any>, until| {
            let (mut conn, name) = (conn, &name);
            async move { Ok(forward::keep(&mut conn, name, me, until).await?) }
        };
        match self.holding(stop, keep, burst).await {
            Held::Ended(Ok(rows)) => Ok(rows),
            Held::Ended(Err(e)) => {
                self.give_sink_back(&name, me).await?;
                Err(e)
            }
            Held::Lost => {
                tracing::warn!(sink = name, "another instance has taken the sink over");
                Ok(0)
            }
            Held::Stopped => {
                self.give_sink_back(&name, me).await?;
                Ok(0)
            }
        }
    }

    async fn give_sink_back(&self, name: &str, me: &str) -> Step<()> {
        let mut conn = self.store.read().await?;
        Ok(forward::give_back(&mut conn, name, me).await?)
    }

    async fn take_sink(&self, name: &str, me: &str, now: Micros) -> Step<bool> {
        let mut tx = self.begin().await?;
        let taken = forward::take(&mut tx, name, me, now, now + LEASE).await?;
        tx.commit().await?;
        Ok(taken)
    }

    /// The rows of a burst. Logs that have waited longest come first, so that a busy one keeps
    /// none of the others back.
    async fn gather_burst(&self, mut due: Vec<Due>) -> Step<(Vec<(Due, Batch)>, Broken)> {
        due.sort_by_key(|d| d.at);
        let (mut burst, mut broken, mut room) = (Vec::new(), Vec::new(), BURST);
        let mut conn = self.store.read().await?;
        for log in due {
            if room == 0 {
                break;
            }
            // What was refused may have been too large, or hold one row that is: half as much each
            // time, down to that row.
            let fewer = u32::try_from(log.failures).unwrap_or(u32::MAX).min(BATCH.ilog2());
            let limit = i64::try_from((BATCH >> fewer).min(room)).unwrap_or(1);
            let entries = audit::range(&mut conn, &log.log_id, log.next_seq, limit).await?;
            let key = self.current_log_key(&mut conn).await?;
            let read = read_proven(&mut conn, key, entries, &Edges::default()).await?;
            let mut rows = Vec::with_capacity(read.len());
            let mut fault = None;
            for (seq, row) in (log.next_seq..).zip(read) {
                match outgoing(row, seq) {
                    Ok(row) => rows.push(row),
                    Err(why) => {
                        fault = Some(why);
                        break;
                    }
                }
            }
            if rows.is_empty() {
                let why = fault.unwrap_or_else(|| {
                    format!("row {} of {} is not there", log.next_seq, log.log_id)
                });
                broken.push((log, why));
                continue;
            }
            room -= rows.len().min(room);
            let batch = Batch { log: log.log_id.clone(), origin: log.origin.clone(), rows };
            burst.push((log, batch));
        }
        Ok((burst, broken))
    }

    async fn settle_burst(
        &self,
        name: &str,
        me: &str,
        burst: &[(Due, Batch)],
        broken: &[(Due, String)],
        sent: Sent,
    ) -> Step<usize> {
        let now = self.now();
        let mut taken = 0;
        let mut tx = self.begin().await?;
        let tried = burst.iter().zip(&sent.batches);
        let refused =
            tried.clone().filter_map(|((log, _), came)| Some((log, came.as_ref().err()?)));
        for (log, why) in refused.chain(broken.iter().map(|(log, why)| (log, why))) {
            tracing::warn!(sink = name, log = %log.log_id, %why, "rows are not forwarded");
            let failures = forward::log_failed(&mut tx, name, log, why, now).await?;
            forward::log_again(&mut tx, name, &log.log_id, now + wait(failures)).await?;
        }
        for ((log, batch), came) in tried {
            let rows = i64::try_from(batch.rows.len()).unwrap_or(0);
            let to = log.next_seq + rows;
            if came.is_ok()
                && forward::advance(&mut tx, name, &log.log_id, log.next_seq, to, now).await?
            {
                taken += batch.rows.len();
            }
        }
        match &sent.failure {
            None => forward::answered(&mut tx, name, me, taken > 0, now).await?,
            Some(why) => {
                let failures = forward::failures(tx.conn(), name).await? + 1;
                tracing::warn!(sink = name, %why, failures, "a sink does not take rows");
                // A sink may say how long to wait, but not for ever.
                let asked = sent.wait.unwrap_or(0).min(LONGEST_ASKED);
                let next_at = now + wait(failures).max(asked);
                forward::failed(&mut tx, name, me, why, failures, next_at).await?;
            }
        }
        tx.commit().await?;
        Ok(taken)
    }

    /// Sends new rows to a sink, again and again, until the server stops. A burst that is under way
    /// then comes to its end soon, or the sink is given back.
    pub async fn run_forwarder(self: Arc<Self>, sink: Arc<dyn Sink>, stop: Stop) {
        let me = self.new_id();
        loop {
            let pause = match self.forward_until(sink.as_ref(), &me, &stop).await {
                // There may be more.
                Ok(rows) if rows > 0 => Duration::ZERO,
                Ok(_) => Duration::from_secs(1),
                Err(e) => {
                    tracing::warn!(error = %e, sink = sink.name(), "forwarding rows");
                    Duration::from_secs(2)
                }
            };
            if !stop.rest(pause).await {
                return;
            }
        }
    }
}

/// A row as it goes out: the one that is due, and what was signed.
fn outgoing(read: ReadRow, seq: i64) -> Result<Outgoing, String> {
    if read.entry.seq != seq {
        return Err(format!("row {seq} of {} is not there", read.entry.log_id));
    }
    match (read.fault(), read.row) {
        (None, Some(row)) => Ok(Outgoing { seq, at: read.entry.at, body: read.entry.body, row }),
        (fault, _) => Err(fault.unwrap_or_else(|| "a row cannot be read".to_owned())),
    }
}

/// How long is waited after so many failures in a row: 2 s, 4 s, up to five minutes.
fn wait(failures: i64) -> Micros {
    let doublings = u32::try_from(failures.clamp(1, 10)).unwrap_or(10);
    (time::SECOND << doublings).min(LONGEST_WAIT)
}
