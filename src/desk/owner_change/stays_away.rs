//! Whoever asked for a change of the way to the Owner stays away from the org's secrets for a
//! while: nobody changes where a secret goes and then sends it there.

use sqlx::AnyConnection;

use crate::audit::{LogId, NewRow};
use crate::desk::{AtWork, Desk, Step, StepError};
use crate::model::Micros;
use crate::policy::owner_change::{STAYS_AWAY_FOR, stays_away_until};
use crate::proof::actions;
use crate::proof::row::{AuditRow, Outcome};
use crate::store::impersonations::Impersonation;
use crate::store::{Tx, audit};

/// Who asks where it is the command line that asks.
pub const COMMAND_LINE: &str = "command-line";

/// What is said of it.
pub(in crate::desk) const STAYS_AWAY: &str = "You asked in the last 30 days for a change of this org's key, address or channel: another admin has to do this.";

impl Desk {
    /// Until when a member of staff stays away from an org's secrets, by what the org's log says of
    /// who asked; nothing where they need not.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub async fn stays_away(
        &self,
        conn: &mut AnyConnection,
        staff_id: &str,
        org_id: &str,
    ) -> Step<Option<Micros>> {
        let now = self.now();
        // Of what the command line asked for nobody knows who it was: whoever approved that stays
        // away, so that it takes two persons all the same.
        let asked = [
            actions::OWNER_KEY_CHANGE_ASKED,
            actions::OWNER_RECORD_CHANGE_ASKED,
            actions::OWNER_KEY_CHANGE_APPROVED,
            actions::OWNER_RECORD_CHANGE_APPROVED,
        ];
        let log = LogId::Org(org_id.to_owned()).as_string();
        let since = now - STAYS_AWAY_FOR;
        let mut newest = None;
        for action in asked {
            for row in audit::of_action_since(conn, org_id, &log, action, since).await? {
                let row = AuditRow::parse(&row.body).map_err(|e| {
                    StepError::crypto("reading a row of who asked for a change")(&e)
                })?;
                let asked_by = row.detail_str("asked_by");
                let approved = asked_by == Some(COMMAND_LINE) && row.actor_id == staff_id;
                if asked_by == Some(staff_id) || approved {
                    newest = newest.max(stays_away_until(row.at, now));
                }
            }
        }
        Ok(newest)
    }

    /// Refuses who has to stay away, with a row that says so.
    ///
    /// # Errors
    /// [`StepError::Denied`] for them.
    pub(in crate::desk) async fn refuse_who_stays_away(
        &self,
        tx: &mut Tx,
        who: &AtWork,
        grant: &Impersonation,
        what: &'static str,
    ) -> Step<()> {
        match self.stays_away(tx.conn(), &who.staff.id, &grant.org_id).await? {
            None => Ok(()),
            Some(_) => self.refuse_handoff_step(tx, who, grant, what, STAYS_AWAY).await,
        }
    }

    /// Refuses a step about a handoff, with a row that says so.
    ///
    /// # Errors
    /// [`StepError::Denied`], always.
    pub(in crate::desk) async fn refuse_handoff_step<T>(
        &self,
        tx: &mut Tx,
        who: &AtWork,
        grant: &Impersonation,
        what: &'static str,
        why: &'static str,
    ) -> Step<T> {
        let row = NewRow::new(actions::PLATFORM_HANDOFF_REFUSED, &who.actor())
            .outcome(Outcome::Refused)
            .org(&grant.org_id)
            .ticket(&grant.ticket_id)
            .with("what", what)
            .with("after_impersonation", grant.id.clone())
            .with("why", why);
        self.log(tx, &LogId::Platform, row).await?;
        Err(StepError::Denied(why))
    }
}
