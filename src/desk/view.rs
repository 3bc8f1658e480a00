//! The auditors are audited: who looks at the audit pages leaves a row, one for a person, page
//! and filter in ten minutes.

use sqlx::AnyConnection;

use super::{AtWork, Desk, Step};
use crate::audit::{LogId, NewRow};
use crate::model::{Micros, time};
use crate::proof::actions;
use crate::store::{Tx, audit};

/// Within this time the looks of somebody at the same are one.
const ONE_LOOK: Micros = 10 * time::MINUTE;

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
        if audit::note_view(&mut tx, &who.staff.id, &what, now - ONE_LOOK, now).await? {
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

    /// As [`Desk::note_view`]; a look that is on record already does not wait for whoever writes.
    ///
    /// # Errors
    /// As [`Desk::note_view`].
    pub async fn note_view_once(
        &self,
        conn: &mut AnyConnection,
        who: &AtWork,
        page: &str,
        filter: &str,
    ) -> Step<()> {
        let (what, since) = (format!("{page}?{filter}"), self.now() - ONE_LOOK);
        if audit::viewed_since(conn, &who.staff.id, &what, since).await? {
            return Ok(());
        }
        self.note_view(who, page, filter).await
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
        rows: (usize, usize),
    ) -> Step<()> {
        let mut tx = self.begin().await?;
        audit::lock(&mut tx, "platform").await?;
        self.exported(&mut tx, who, what, filter, rows).await?;
        Ok(tx.commit().await?)
    }

    /// Notes that somebody's browser takes evidence to check it, before it is given to it: one row
    /// for a person, an impersonation and as many rows in ten minutes, as for a look at its page.
    ///
    /// # Errors
    /// As [`Desk::note_export`].
    pub async fn note_check(&self, who: &AtWork, filter: &str, rows: (usize, usize)) -> Step<()> {
        let now = self.now();
        let mut tx = self.begin().await?;
        audit::lock(&mut tx, "platform").await?;
        let what = format!("evidence?{filter}&rows={}+{}", rows.0, rows.1);
        if audit::note_view(&mut tx, &who.staff.id, &what, now - ONE_LOOK, now).await? {
            self.exported(&mut tx, who, "evidence", filter, rows).await?;
            tx.commit().await?;
        } else {
            tx.rollback().await?;
        }
        Ok(())
    }

    async fn exported(
        &self,
        tx: &mut Tx,
        who: &AtWork,
        what: &str,
        filter: &str,
        (platform, org): (usize, usize),
    ) -> Step<()> {
        let row = NewRow::new(actions::PLATFORM_AUDIT_EXPORTED, &who.actor())
            .with("what", what)
            .with("filter", filter)
            .with("platform_rows", platform)
            .with("org_rows", org);
        self.log(tx, &LogId::Platform, row).await?;
        Ok(())
    }
}
