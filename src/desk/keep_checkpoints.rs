//! Keeps the checkpoint of a log whose newest kept one is a minute old and does not have all rows:
//! whoever appends keeps one where the last was kept a minute before, and after the last row of a
//! minute nobody appends.

use super::{Desk, Step};
use crate::audit::{AuditError, KEEP_EVERY};
use crate::store::{audit, kept};

/// How many logs are looked after in one go; the next ones a second later.
const AT_ONCE: i64 = 100;

impl Desk {
    /// Keeps the checkpoint of each log that has rows since its newest kept one, once that is a
    /// minute old; how many were.
    ///
    /// # Errors
    /// Where the database does not answer, or a head is not what was signed: that one is not
    /// kept, and the others are all the same.
    pub(super) async fn keep_checkpoints(&self) -> Step<usize> {
        let due = {
            let mut conn = self.store.read().await?;
            kept::not_kept(&mut conn, self.now() - KEEP_EVERY, AT_ONCE).await?
        };
        let (mut done, mut failed) = (0, None);
        for log in due {
            match self.keep_checkpoint(&log).await {
                Ok(()) => done += 1,
                Err(e) => {
                    failed.get_or_insert(e);
                }
            }
        }
        failed.map_or(Ok(done), Err)
    }

    async fn keep_checkpoint(&self, log: &str) -> Step<()> {
        let mut tx = self.begin().await?;
        // Held, so that no rotation of the key signs it anew in between.
        let head = audit::lock(&mut tx, log).await?;
        let signed = self.current_log_key(tx.conn()).await?.open_head(&head)?;
        if i64::try_from(signed.size) != Ok(head.size) {
            let what = format!("it has {} rows, its checkpoint {}", head.size, signed.size);
            return Err(AuditError::Unreadable { log: head.id, what }.into());
        }
        audit::keep_checkpoint(&mut tx, log, head.size, &head.checkpoint, self.now()).await?;
        Ok(tx.commit().await?)
    }
}
