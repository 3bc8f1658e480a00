//! What is owed to a vault: the revocation of an old token, and clearing up after a rotation that
//! failed half-way.

use std::sync::Arc;
use std::time::Duration;

use super::outbox::Delivered;
use super::rotate::Rotated;
use super::rotate_vault::{CLEAR_ALONE, Revocation};
use super::{Desk, Step, StepError};
use crate::audit::append::lock_both;
use crate::audit::{Actor, LogId, NewRow};
use crate::model::{SecretType, VersionState};
use crate::proof::actions;
use crate::proof::row::Outcome;
use crate::secrets::vault::NewlyMade;
use crate::stop::Stop;
use crate::store::outbox::Item;
use crate::store::vault_intents::{self, Intent};
use crate::store::{Tx, handoffs, impersonations, orgs, secrets};

impl Desk {
    /// Revokes an old token. That it is gone already is as good.
    pub(super) async fn revoke_old(&self, item: &Item) -> Step<Delivered> {
        let owed: Revocation = self.queued(item)?;
        self.vault.revoke(&owed.accessor).await.map_err(|e| StepError::Outside(e.to_string()))?;
        self.reached("old token revoked").await;
        Ok(Delivered::Revoked(Box::new(owed)))
    }

    /// Records that an old token is revoked, once.
    pub(super) async fn note_revoked(&self, tx: &mut Tx, owed: &Revocation) -> Step<()> {
        lock_both(tx, &owed.org_id).await?;
        orgs::lock(tx, &owed.org_id).await?;
        let still_owed = secrets::versions(tx.conn(), &owed.secret_id)
            .await?
            .into_iter()
            .any(|v| v.version == owed.version && v.state == VersionState::Retiring);
        if !still_owed {
            return Ok(());
        }
        let now = self.now();
        secrets::set_state(tx, &owed.secret_id, owed.version, VersionState::Retired, Some(now))
            .await?;
        // The trail of the impersonation may be closed by now, so these are rows of their own.
        let row = |action: &str| {
            let mut row = NewRow::new(action, &Actor::system())
                .org(&owed.org_id)
                .secret(SecretType::VaultToken, &owed.secret_id)
                .with("rotation_id", owed.rotation_id.clone())
                .with("version", owed.version)
                .with("accessor", owed.accessor.clone());
            if let Some(id) = &owed.impersonation_id {
                row = row.with("after_impersonation", id.clone());
            }
            row.ticket_ref.clone_from(&owed.ticket_ref);
            row
        };
        let in_org = row(actions::VAULT_TOKEN_OLD_REVOKED);
        if owed.impersonation_id.is_some() {
            let platform = row(actions::PLATFORM_VAULT_TOKEN_OLD_REVOKED);
            self.log_both(tx, &owed.org_id, platform, in_org).await
        } else {
            self.log(tx, &LogId::Org(owed.org_id.clone()), in_org).await?;
            Ok(())
        }
    }

    /// After a new token that could not be written down: revokes it, unless it was written down
    /// all the same (the database did it and could not say so any more).
    pub(super) async fn take_back(
        &self,
        intent: &Intent,
        made: NewlyMade,
        e: StepError,
        by: &Actor,
    ) -> Step<Rotated> {
        tracing::warn!(error = %e, intent = %intent.id, "a new token could not be written down");
        let found = async {
            let mut tx = self.begin().await?;
            let clear_at = self.now() + CLEAR_ALONE;
            if vault_intents::undo(
                &mut tx,
                &intent.id,
                Some(&made.accessor),
                intent.clear_at,
                clear_at,
            )
            .await?
            {
                tx.commit().await?;
                return Ok(None);
            }
            let conn = tx.conn();
            let rotation = secrets::rotation_by_id(conn, &intent.id).await?;
            let handoff = match &intent.impersonation_id {
                Some(id) => handoffs::of_impersonation(conn, id).await?,
                None => None,
            };
            tx.rollback().await?;
            Ok::<_, StepError>(rotation.map(|rotation| (rotation, handoff)))
        };
        match found.await {
            Ok(Some((rotation, handoff))) => Ok(Rotated {
                value: rotation.impersonation_id.is_none().then_some(made.token),
                rotation,
                handoff_id: handoff.map(|h| h.id),
                old_valid_until: None,
                certified: None,
                replayed: false,
            }),
            Ok(None) => {
                self.reached("undoing").await;
                let why = "the new token could not be written down";
                let undone = Intent { new_accessor: Some(made.accessor), ..intent.clone() };
                self.clear(&undone, why, Some(by)).await;
                Err(e)
            }
            // The intent stays open, and is cleared up later.
            Err(lost) => {
                tracing::error!(error = %lost, intent = %intent.id, "it is undone later");
                Err(e)
            }
        }
    }

    /// Notes the token that a failed rotation left in the vault, so that it is revoked by its
    /// accessor as soon as the vault does it again. Nobody can write the rotation down any more.
    pub(super) async fn owe_new(&self, intent: &Intent, accessor: &str, why: &str) {
        let owed = async {
            let mut tx = self.begin().await?;
            let now = self.now();
            vault_intents::undo(&mut tx, &intent.id, Some(accessor), intent.clear_at, now).await?;
            tx.commit().await.map_err(StepError::from)
        };
        if let Err(e) = owed.await {
            // It is found by the rotation's id later.
            tracing::error!(error = %e, intent = %intent.id, "noting a token that is left");
        }
        self.note_open_intent(intent, why).await;
    }

    /// Clears up what rotations left half-done that were cut off; how many were cleared.
    ///
    /// # Errors
    /// Where the database does not answer. A vault that does not answer is no error: it waits.
    pub async fn clear_vault_intents(&self) -> Step<usize> {
        let now = self.now();
        let open = {
            let mut conn = self.store.read().await?;
            vault_intents::to_clear(&mut conn, now, 20).await?
        };
        let mut cleared = 0;
        for intent in open {
            // From here on nobody can write the rotation down any more, and for a while no other
            // instance clears it up.
            let mut tx = self.begin().await?;
            let mine =
                vault_intents::undo(&mut tx, &intent.id, None, intent.clear_at, now + CLEAR_ALONE)
                    .await?;
            tx.commit().await?;
            if mine && self.clear(&intent, "it was cut off before it was written down", None).await
            {
                cleared += 1;
            }
        }
        Ok(cleared)
    }

    /// Revokes whatever a failed rotation made, and records that nothing is left of it; whether
    /// that succeeded.
    async fn clear(&self, intent: &Intent, why: &str, by: Option<&Actor>) -> bool {
        let step = async {
            let left = match &intent.new_accessor {
                Some(accessor) => vec![accessor.clone()],
                None => self
                    .vault
                    .made_for(&intent.id)
                    .await
                    .map_err(|e| StepError::Outside(e.to_string()))?,
            };
            for accessor in &left {
                self.vault.revoke(accessor).await.map_err(|e| StepError::Outside(e.to_string()))?;
            }
            self.reached("new token revoked").await;
            self.note_failed_intent(intent, why, by).await
        };
        match step.await {
            Ok(()) => true,
            Err(e) => {
                tracing::error!(error = %e, intent = %intent.id, "a failed rotation is not undone yet");
                self.note_open_intent(intent, &e.to_string()).await;
                false
            }
        }
    }

    /// Notes on an open intent why it is still open, for the page.
    pub(super) async fn note_open_intent(&self, intent: &Intent, why: &str) {
        let noted = async {
            let mut conn = self.store.read().await?;
            vault_intents::note(&mut conn, &intent.id, why).await
        };
        if let Err(e) = noted.await {
            tracing::error!(error = %e, intent = %intent.id, "noting why a rotation is still open");
        }
    }

    /// Records that a rotation failed and nothing is left of it: the old token works.
    pub(super) async fn note_failed_intent(
        &self,
        intent: &Intent,
        why: &str,
        by: Option<&Actor>,
    ) -> Step<()> {
        let mut tx = self.begin().await?;
        let step = self.note_failed_intent_in(&mut tx, intent, why, by).await;
        self.reached("failure about to be recorded").await;
        let step = self.settle(tx, step).await;
        self.reached("failure recorded").await;
        step
    }

    async fn note_failed_intent_in(
        &self,
        tx: &mut Tx,
        intent: &Intent,
        why: &str,
        by: Option<&Actor>,
    ) -> Step<()> {
        lock_both(tx, &intent.org_id).await?;
        orgs::lock(tx, &intent.org_id).await?;
        if !vault_intents::failed(tx, &intent.id).await? {
            return Ok(());
        }
        let grant = match &intent.impersonation_id {
            Some(id) => impersonations::by_id(tx.conn(), id).await?,
            None => None,
        };
        let action = actions::rotation_failed(SecretType::VaultToken.as_str());
        let row = |by: &Actor| NewRow::new(action.as_str(), by).outcome(Outcome::Failed);
        let row = match (&grant, by) {
            (Some(grant), Some(by)) if grant.live(self.now()) => row(by).under(grant),
            (Some(grant), _) => row(&Actor::system())
                .org(&intent.org_id)
                .ticket(&grant.ticket_id)
                .with("after_impersonation", grant.id.clone()),
            (None, by) => row(by.unwrap_or(&Actor::system())).org(&intent.org_id),
        };
        let row = row
            .secret(SecretType::VaultToken, &intent.secret_id)
            .with("rotation_id", intent.id.clone())
            .with("why", why)
            .with("old_secret", "still works");
        self.log(tx, &LogId::Org(intent.org_id.clone()), row).await?;
        Ok(())
    }

    /// Clears up every few seconds until the server stops. Not with the sweeper: a vault that
    /// does not answer must not keep an impersonation open.
    pub async fn run_vault_clearing(self: Arc<Self>, stop: Stop) {
        loop {
            match self.clear_vault_intents().await {
                Ok(0) => {}
                Ok(n) => tracing::info!(n, "rotations that were cut off are undone in the vault"),
                Err(e) => tracing::warn!(error = %e, "clearing up in the vault"),
            }
            if let Err(e) = self.keep_vault_tokens().await {
                tracing::warn!(error = %e, "renewing new vault tokens");
            }
            if !stop.rest(Duration::from_secs(5)).await {
                return;
            }
        }
    }
}
