//! The auditors are audited: who looks at the audit pages leaves a row, one for a person, page
//! and filter in ten minutes.

use super::{AtWork, Desk, Step};
use crate::audit::{LogId, NewRow};
use crate::model::time;
use crate::proof::actions;
use crate::store::audit;

impl Desk {
    /// Notes that somebody looks at an audit page, before it is shown.
    ///
    /// # Errors
    /// Where it cannot be written; the page is then not shown.
    pub async fn note_view(&self, who: &AtWork, page: &str, filter: &str) -> Step<()> {
        let now = self.now();
        let mut tx = self.begin().await?;
        audit::lock(&mut tx, "platform").await?;
        let what = format!("{page}?{filter}");
        if audit::note_view(&mut tx, &who.staff.id, &what, now - 10 * time::MINUTE, now).await? {
            let row = NewRow::new(actions::PLATFORM_AUDIT_VIEWED, &who.actor())
                .with("page", page)
                .with("filter", filter);
            self.log(&mut tx, &LogId::Platform, row).await?;
            tx.commit().await?;
        } else {
            tx.rollback().await?;
        }
        Ok(())
    }

    /// Notes that somebody takes something out of the logs, before it is given to them: what, and
    /// how many rows of the platform's log and of an org's. Each time is a row of its own.
    ///
    /// # Errors
    /// Where it cannot be written; nothing is then given out.
    pub async fn note_export(
        &self,
        who: &AtWork,
        what: &str,
        filter: &str,
        (platform, org): (usize, usize),
    ) -> Step<()> {
        let mut tx = self.begin().await?;
        audit::lock(&mut tx, "platform").await?;
        let row = NewRow::new(actions::PLATFORM_AUDIT_EXPORTED, &who.actor())
            .with("what", what)
            .with("filter", filter)
            .with("platform_rows", platform)
            .with("org_rows", org);
        self.log(&mut tx, &LogId::Platform, row).await?;
        Ok(tx.commit().await?)
    }
}
