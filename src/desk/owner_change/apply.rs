//! Putting on file what everybody who has to has agreed to.

use super::{Did, NewChannel, NewOwner, facts, letter};
use crate::audit::Actor;
use crate::delivery::openpgp;
use crate::desk::{Desk, Step, StepError};
use crate::model::{Channel, Micros, OwnerChangeKind, OwnerChangeState};
use crate::policy::owner_change::{WAITS_FOR, waits_for};
use crate::store::orgs::{self, Org, reminders};
use crate::store::owner_changes::{self, OwnerChange};
use crate::store::{Tx, withdraw_links};

/// More than wait at one time: what is over is looked at again a second later.
const MANY: i64 = 200;

impl Desk {
    /// Puts on file what is due, and drops what nobody agreed to in time. Each in a transaction of
    /// its own; how many came into use.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn sweep_owner_changes(&self) -> Step<usize> {
        let waiting = {
            let mut conn = self.store.read().await?;
            owner_changes::waiting(&mut conn, MANY).await?
        };
        let mut applied = 0;
        for change in waiting {
            let now = self.now();
            let late = change.asked_at.saturating_add(WAITS_FOR) <= now;
            let approvals = {
                let mut conn = self.store.read().await?;
                owner_changes::approvals(&mut conn, &change.id).await?
            };
            if !late && !waits_for(&facts(&change, &approvals), now).is_empty() {
                continue;
            }
            prepare(&change).await;
            let mut tx = self.begin().await?;
            let step = self.sweep_one(&mut tx, &change.id).await;
            match self.settle(tx, step).await {
                Ok(true) => applied += 1,
                // Somebody decided it between the list and now.
                Ok(false) | Err(StepError::Conflict(_) | StepError::NotFound) => {}
                // One that cannot be put on file keeps no other waiting.
                Err(e) => {
                    tracing::error!(error = %e, change = %change.id, "a change of the way to an Owner");
                }
            }
        }
        Ok(applied)
    }

    async fn sweep_one(&self, tx: &mut Tx, id: &str) -> Step<bool> {
        let change = self.apply_if_due(tx, id).await?;
        if change.state != OwnerChangeState::Waiting {
            return Ok(change.state == OwnerChangeState::Applied);
        }
        if change.asked_at.saturating_add(WAITS_FOR) <= self.now() {
            let (change, org) = self.waiting_change(tx, id).await?;
            let state = OwnerChangeState::Cancelled;
            let cause = Some("not everybody who has to agree did so in time");
            self.drop_change(tx, &org, &change, state, &Actor::system(), cause).await?;
        }
        Ok(false)
    }

    /// Puts a change on file where nothing is waited for any more; gives it as it is then. One that
    /// is no good by now is dropped.
    pub(super) async fn apply_if_due(&self, tx: &mut Tx, id: &str) -> Step<OwnerChange> {
        let (change, org) = self.waiting_change(tx, id).await?;
        let approvals = owner_changes::approvals(tx.conn(), id).await?;
        let now = self.now();
        if waits_for(&facts(&change, &approvals), now).is_empty() {
            // The tables say so; what counts is what the log proves.
            let proven = self.proven_change(tx.conn(), &change).await?;
            let stands = proven.as_ref().and_then(|proven| proven.facts(&change));
            if !stands.is_some_and(|facts| waits_for(&facts, now).is_empty()) {
                return Err(StepError::NotPossible(
                    "The org's log does not prove this change as the database has it. Nothing is put on file: keep the database as it is, and call security.".to_owned(),
                ));
            }
            self.require_record(tx.conn(), &org.id).await?;
            match self.no_good(tx, &org, &change, now).await? {
                Some(cause) => {
                    let state = OwnerChangeState::Cancelled;
                    let by = Actor::system();
                    self.drop_change(tx, &org, &change, state, &by, Some(&cause)).await?;
                }
                None => self.apply(tx, &org, &change, now).await?,
            }
        }
        owner_changes::by_id(tx.conn(), id).await?.ok_or(StepError::NotFound)
    }

    /// Why a change cannot be put on file any more.
    async fn no_good(
        &self,
        tx: &mut Tx,
        org: &Org,
        change: &OwnerChange,
        now: Micros,
    ) -> Step<Option<String>> {
        if org.owner_unreachable_at.is_some() && change.kind != OwnerChangeKind::Owner {
            return Ok(Some("the Owner was marked unreachable".to_owned()));
        }
        let bad = |key: &str| openpgp::inspect(key, now).err().map(|problem| problem.to_string());
        Ok(match change.kind {
            OwnerChangeKind::PgpKey => bad(&change.value),
            OwnerChangeKind::Address => None,
            OwnerChangeKind::Owner => {
                let members = orgs::members(tx.conn(), &org.id).await?;
                let new = new_owner(change)?;
                let there = members.iter().any(|m| m.id == new.member_id);
                (!there).then(|| "this member is not in the org any more".to_owned())
            }
            OwnerChangeKind::Channel => match new_channel(change)? {
                NewChannel::Pgp { pgp_key } => bad(&pgp_key),
                NewChannel::OnePassword { .. } => None,
            },
        })
    }

    async fn apply(&self, tx: &mut Tx, org: &Org, change: &OwnerChange, now: Micros) -> Step<()> {
        if !owner_changes::decide(tx, &change.id, OwnerChangeState::Applied, now).await? {
            return Err(StepError::Conflict("This change was decided already."));
        }
        match change.kind {
            OwnerChangeKind::PgpKey => {
                orgs::set_pgp_key(tx, &org.id, &change.value, now).await?;
            }
            OwnerChangeKind::Address => {
                orgs::set_owner_address(tx, &org.id, &change.value).await?;
            }
            OwnerChangeKind::Owner => {
                let new = new_owner(change)?;
                orgs::set_owner(tx.conn(), &org.id, &new.member_id, now).await?;
                orgs::set_owner_address(tx, &org.id, &new.address).await?;
                // Whoever could not be reached was the one before.
                orgs::clear_unreachable(tx, &org.id).await?;
            }
            OwnerChangeKind::Channel => {
                let new = new_channel(change)?;
                let (key, vault) = match &new {
                    NewChannel::Pgp { pgp_key } => (Some(pgp_key.as_str()), None),
                    NewChannel::OnePassword { vault_id } => (None, Some(vault_id.as_str())),
                };
                orgs::set_runbook(tx, &org.id, new.channel(), key, vault, now).await?;
            }
        }
        if matches!(change.kind, OwnerChangeKind::Address | OwnerChangeKind::Owner)
            && org.consent_reminded_at.is_some()
        {
            // Who was asked is not who can answer: they are asked anew, where they are now.
            reminders::set_reminded(tx, &org.id, None).await?;
        }
        self.log_change(tx, org, change, Did::Applied, &Actor::system(), &[]).await?;
        let (subject, body) = letter::applied(org, change);
        let before = org.owner_address.clone().filter(|a| !a.is_empty());
        if matches!(change.kind, OwnerChangeKind::Address | OwnerChangeKind::Owner) {
            // Whoever could decide by a link that they were sent is somebody else now.
            orgs::void_consent_links(tx, &org.id, now).await?;
            withdraw_links::void(tx, &org.id, now).await?;
            self.drop_waiting(tx, org, "the Owner or their address on file changed").await?;
            if let Some(before) = before {
                self.queue_mail(tx, &org.id, &change.id, &before, &subject, &body).await?;
            }
        }
        self.mail_owner(tx, &org.id, &change.id, &subject, &body).await
    }
}

/// Judges the key of a change, where it has one, before a transaction.
async fn prepare(change: &OwnerChange) {
    match change.kind {
        OwnerChangeKind::PgpKey => openpgp::prepare(&change.value).await,
        OwnerChangeKind::Channel => {
            if let Ok(NewChannel::Pgp { pgp_key }) = new_channel(change) {
                openpgp::prepare(&pgp_key).await;
            }
        }
        OwnerChangeKind::Address | OwnerChangeKind::Owner => {}
    }
}

/// The channel of a change of it.
pub(super) fn new_channel(change: &OwnerChange) -> Step<NewChannel> {
    serde_json::from_str(&change.value)
        .map_err(|e| StepError::crypto("reading the channel of a change")(&e))
}

/// The Owner of record of a change of it.
pub(super) fn new_owner(change: &OwnerChange) -> Step<NewOwner> {
    serde_json::from_str(&change.value)
        .map_err(|e| StepError::crypto("reading the Owner of a change")(&e))
}

/// What goes with another Owner of record when it is written down.
pub(in crate::desk) fn owner_change(
    new: &NewOwner,
    name: &str,
) -> Step<(OwnerChangeKind, String, String)> {
    let value = serde_json::to_string(new)
        .map_err(|e| StepError::crypto("writing the Owner of a change")(&e))?;
    Ok((OwnerChangeKind::Owner, value, format!("{name}, {}", new.address)))
}

/// What goes with the channel when it is written down.
pub(in crate::desk) fn channel_change(new: &NewChannel) -> Step<(OwnerChangeKind, String, String)> {
    let value = serde_json::to_string(new)
        .map_err(|e| StepError::crypto("writing the channel of a change")(&e))?;
    Ok((OwnerChangeKind::Channel, value, letter::channel(new)))
}

/// Whether the channel that an org has is this one already.
pub(in crate::desk) fn has_channel(org: &Org, new: &NewChannel) -> bool {
    match new {
        NewChannel::Pgp { .. } => org.channel_is(Channel::Pgp),
        NewChannel::OnePassword { vault_id } => {
            org.channel_is(Channel::OnePassword) && org.shared_vault_id.as_ref() == Some(vault_id)
        }
    }
}
