//! The overlap of a webhook's keys, ended early by the customer.

use super::rotate::{as_of_now, member_actor};
use super::{Desk, Step, StepError};
use crate::audit::{LogId, NewRow};
use crate::model::{SecretType, VersionState};
use crate::proof::actions;
use crate::store::orgs::{self, Member};
use crate::store::{self, Tx, secrets};

impl Desk {
    /// Ends the overlap of a webhook's keys: older keys stop being accepted now. For the
    /// customer itself; an impersonation token can do its one rotation and nothing else.
    ///
    /// # Errors
    /// [`StepError::Conflict`] where there is no overlap.
    pub async fn end_overlap(
        &self,
        tx: &mut Tx,
        member: &Member,
        secret_id: &str,
        from: Option<String>,
    ) -> Step<()> {
        let log = LogId::Org(member.org_id.clone());
        store::audit::lock(tx, &log.as_string()).await?;
        orgs::lock(tx, &member.org_id).await?;
        let member = &as_of_now(tx, member).await?;
        if !member.role.may_rotate() {
            return Err(StepError::Forbidden(
                "Only an Owner or an Admin of the org can end an overlap.",
            ));
        }
        let secret = secrets::of_org(tx.conn(), &member.org_id, secret_id)
            .await?
            .filter(|s| s.secret_type == SecretType::WebhookSigningKey)
            .ok_or(StepError::NotFound)?;
        let now = self.now();
        let mut ended = Vec::new();
        for version in secrets::versions(tx.conn(), &secret.id).await? {
            if version.state == VersionState::Retiring {
                secrets::set_state(
                    tx,
                    &secret.id,
                    version.version,
                    VersionState::Retired,
                    Some(now),
                )
                .await?;
                ended.push(version.version);
            }
        }
        if ended.is_empty() {
            return Err(StepError::Conflict(
                "There is no overlap: only the newest key is accepted.",
            ));
        }
        let row = NewRow::new(actions::WEBHOOK_OVERLAP_ENDED, &member_actor(member, from))
            .org(&member.org_id)
            .secret(secret.secret_type, &secret.id)
            .with("retired_versions", ended);
        self.log(tx, &log, row).await?;
        Ok(())
    }
}
