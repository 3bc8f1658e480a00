//! The replacement of a vault token. A vault is outside of the database, so this is a saga: the
//! intent is written first, then the new token is made, then one transaction writes version,
//! handoff and audit row, and only then the old token is revoked, and that is tried until it is
//! done. Whatever crashes in between, exactly one token works in the end (`vault_clearing`).

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::record::Replacement;
use super::rotate::{Ask, Caller, Gathered, Rotated};
use super::{Desk, Step, StepError};
use crate::audit::Actor;
use crate::auth::credential::hex;
use crate::model::{Micros, OutboxKind, SecretType, VersionState, time};
use crate::secrets::vault::{NewToken, NewlyMade, VaultError, may_be_copied};
use crate::store::secrets::{self, Version};
use crate::store::vault_intents::{self, Intent};
use crate::store::{self, Tx};

/// How long after the intent the vault is still asked for the new token.
const ASK_WITHIN: Micros = 20 * time::SECOND;

/// When others may clear an intent up. By then nothing that was asked for it can still come to
/// pass: what makes a token is asked for within half a minute after [`ASK_WITHIN`] at the latest
/// (the role is found out about, and a vault that does not work at present is asked again), and a
/// vault works on a request for 90 s at the longest.
const CLEAR_AFTER: Micros = 3 * time::MINUTE;

/// Within this time the one who wrote an intent clears it up alone.
pub(super) const CLEAR_ALONE: Micros = 45 * time::SECOND;

/// What the outbox holds of the revocation of an old token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Revocation {
    pub(super) accessor: String,
    pub(super) org_id: String,
    pub(super) secret_id: String,
    pub(super) version: i64,
    pub(super) rotation_id: String,
    pub(super) impersonation_id: Option<String>,
    pub(super) ticket_ref: Option<String>,
}

/// What the facts say about a rotation that is asked for.
enum Intended {
    /// It was made before, with the same `Idempotency-Key`.
    Before(Box<Rotated>),
    /// It may be made, and that is written; by whom.
    Now(Box<Intent>, Actor),
}

/// Why there is no new token.
enum NotMade {
    /// The vault was not asked for one, or refused.
    Nothing { why: String, says: StepError },
    /// There may be one all the same.
    Unclear(String),
    /// There is one that is of no use, and it is not revoked yet.
    Left { accessor: String, why: String },
}

/// What to say of a vault that did nothing. Its own words name the cause.
fn nothing_done(e: &VaultError) -> StepError {
    StepError::Vault(format!("{}. Nothing was changed: the old token works.", sentence(e)))
}

/// An error as a sentence of its own, without its full stop.
fn sentence(e: &VaultError) -> String {
    let text = e.to_string();
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => text,
    }
}

impl Desk {
    pub(super) async fn rotate_vault_token(
        &self,
        secret_id: &str,
        caller: &Caller,
        ask: &Ask,
    ) -> Step<Rotated> {
        let mut tx = self.begin().await?;
        let step = self.intend(&mut tx, secret_id, caller, ask).await;
        let step = self.settle(tx, step).await;
        if let Err(e @ (StepError::Store(_) | StepError::Audit(_) | StepError::Crypto { .. })) =
            &step
        {
            self.failed(e, SecretType::VaultToken, secret_id, caller, ask).await;
        }
        let (intent, actor) = match step? {
            Intended::Before(rotated) => return Ok(*rotated),
            Intended::Now(intent, actor) => (*intent, actor),
        };
        self.reached("intent written").await;

        let (made, new) = match self.ask_vault(&intent).await {
            Ok(made) => made,
            Err(not_made) => return Err(self.not_made(&intent, not_made, &actor).await),
        };
        self.reached("token made").await;

        let mut rotated = match self.write_down(&intent, (&made, &new), caller, ask).await {
            Ok(rotated) => rotated,
            Err(e) => self.take_back(&intent, made, e, &actor).await?,
        };
        self.reached("rotation written").await;

        // At once; where it does not succeed now, the outbox tries until it does.
        if let Err(e) = self.send_due_of(OutboxKind::VaultRevoke).await {
            tracing::warn!(error = %e, secret_id, "the old token is revoked later");
        }
        rotated.old_valid_until = self.old_revoked_at(&intent).await?;
        Ok(rotated)
    }

    /// First transaction: every check, and the intent.
    async fn intend(
        &self,
        tx: &mut Tx,
        secret_id: &str,
        caller: &Caller,
        ask: &Ask,
    ) -> Step<Intended> {
        if ask.overlap_seconds.is_some_and(|s| s != 0) || ask.during_overlap {
            return Err(StepError::Invalid(
                "A vault token has no overlap: leave overlap_seconds and during_overlap out.",
            ));
        }
        let ready = match self.gather(tx, SecretType::VaultToken, secret_id, caller, ask).await? {
            Gathered::Before(rotated) => return Ok(Intended::Before(rotated)),
            Gathered::Ready(ready) => *ready,
        };
        let (known, secret) = (ready.known, ready.secret);
        if let Some(open) = vault_intents::open_of(tx.conn(), &secret.id).await? {
            return Err(StepError::Conflict(match open.state.as_str() {
                "intended" => "A rotation of this token is in progress. Ask again in a moment.",
                _ => {
                    "A rotation of this token failed and is being undone in the vault. Ask again when that is done."
                }
            }));
        }
        let old_accessor = secrets::versions(tx.conn(), &secret.id)
            .await?
            .into_iter()
            .find(|v| v.version == secret.version)
            .and_then(|v| v.reference)
            .ok_or(StepError::Conflict(
                "The accessor of the present token is not on record, so it cannot be replaced.",
            ))?;
        let now = self.now();
        let intent = Intent {
            id: self.new_id(),
            org_id: secret.org_id,
            secret_id: secret.id,
            from_version: secret.version,
            impersonation_id: known.grant.as_ref().map(|g| g.id.clone()),
            actor_id: known.actor.id.clone(),
            idempotency_by: ask.idempotency_key.as_ref().map(|_| known.scope),
            idempotency_key: ask.idempotency_key.clone(),
            asked: ready.asked,
            old_accessor,
            new_accessor: None,
            state: "intended".to_owned(),
            deadline: now + ASK_WITHIN,
            clear_at: now + CLEAR_AFTER,
            last_error: None,
            created_at: now,
        };
        vault_intents::insert(tx, &intent).await.map_err(|e| {
            if store::is_unique_violation(&e) {
                StepError::Conflict(
                    "A rotation of this token is in progress. Ask again in a moment.",
                )
            } else {
                e.into()
            }
        })?;
        Ok(Intended::Now(Box::new(intent), known.actor))
    }

    /// Looks the old token up, and makes one that can do the same.
    async fn ask_vault(&self, intent: &Intent) -> Result<(NewlyMade, NewToken), NotMade> {
        let looked_up = self.vault.lookup(&intent.old_accessor).await;
        let old = looked_up.map_err(|e| NotMade::Nothing {
            why: e.to_string(),
            says: match &e {
                VaultError::NoSuchToken => StepError::NotPossible(
                    "The vault knows no token with the accessor on record: it has expired or was revoked, so there is nothing to copy.".to_owned(),
                ),
                _ => nothing_done(&e),
            },
        })?;
        may_be_copied(&old, &self.settings.vault_policies).map_err(|refusal| NotMade::Nothing {
            why: refusal.to_string(),
            says: StepError::NotPossible(format!(
                "This token is not replaced by a copy: {refusal}. The old token works."
            )),
        })?;
        if self.now() >= intent.deadline {
            let why = VaultError::NotNow("it took too long to look the old token up".to_owned());
            return Err(NotMade::Nothing { why: why.to_string(), says: nothing_done(&why) });
        }
        let new = NewToken::copy_of(&old, &intent.id);
        let made = self.vault.create(&new).await.map_err(|e| match e {
            VaultError::Unclear(why) => NotMade::Unclear(why),
            VaultError::Left { accessor, why } => NotMade::Left { accessor, why },
            VaultError::Refused(_) => NotMade::Nothing {
                why: e.to_string(),
                says: StepError::NotPossible(format!("{}. The old token works.", sentence(&e))),
            },
            _ => NotMade::Nothing { why: e.to_string(), says: nothing_done(&e) },
        })?;
        Ok((made, new))
    }

    /// Records that there is no new token. Where there may be one, the intent stays open, and is
    /// cleared up once that cannot change any more.
    async fn not_made(&self, intent: &Intent, not_made: NotMade, by: &Actor) -> StepError {
        match not_made {
            NotMade::Nothing { why, says } => {
                tracing::warn!(why, intent = %intent.id, "no new token was made");
                if let Err(e) = self.note_failed_intent(intent, &why, Some(by)).await {
                    tracing::error!(error = %e, intent = %intent.id, "writing that a rotation failed");
                }
                says
            }
            NotMade::Unclear(why) => {
                tracing::error!(why, intent = %intent.id, "it is not clear whether a token was made");
                self.note_open_intent(intent, &why).await;
                StepError::Vault(format!(
                    "The vault did not say whether it made a new token ({why}). Keyturn finds out, and revokes it, from in three minutes on; the old token works, and can be rotated after that.",
                ))
            }
            NotMade::Left { accessor, why } => {
                tracing::error!(why, intent = %intent.id, "a token is left to be revoked");
                self.owe_new(intent, &accessor, &why).await;
                StepError::Vault(format!(
                    "The vault made a token that is of no use ({why}), and has not revoked it yet. Keyturn tries that until it is done; the old token works, and can be rotated after that.",
                ))
            }
        }
    }

    /// Second transaction: the checks again, and the version, handoff, audit row, and what is
    /// owed to the vault.
    async fn write_down(
        &self,
        intent: &Intent,
        made: (&NewlyMade, &NewToken),
        caller: &Caller,
        ask: &Ask,
    ) -> Step<Rotated> {
        let mut tx = self.begin().await?;
        let step = self.write_down_in(&mut tx, intent, made, caller, ask).await;
        if step.is_ok() {
            self.reached("rotation about to be written").await;
        }
        self.settle(tx, step).await
    }

    async fn write_down_in(
        &self,
        tx: &mut Tx,
        intent: &Intent,
        (made, new): (&NewlyMade, &NewToken),
        caller: &Caller,
        ask: &Ask,
    ) -> Step<Rotated> {
        let gathered =
            self.gather(tx, SecretType::VaultToken, &intent.secret_id, caller, ask).await?;
        let Gathered::Ready(ready) = gathered else {
            return Err(StepError::Conflict("The same request was answered meanwhile."));
        };
        if ready.secret.version != intent.from_version
            || !vault_intents::done(tx, &intent.id, &made.accessor).await?
        {
            return Err(StepError::Conflict(
                "The vault took so long that this rotation was given up. The old token works: ask again.",
            ));
        }
        let now = self.now();
        // Until the vault has confirmed that it is revoked.
        secrets::set_state(
            tx,
            &intent.secret_id,
            intent.from_version,
            VersionState::Retiring,
            None,
        )
        .await?;
        let value = made.token.expose_secret().as_bytes();
        let replacement = Replacement {
            rotation_id: intent.id.clone(),
            version: Version {
                secret_id: intent.secret_id.clone(),
                version: intent.from_version + 1,
                state: VersionState::Live,
                created_at: now,
                retires_at: None,
                // The vault has it, and the Owner gets it: nobody else needs it.
                kek_id: None,
                sealed: None,
                reference: Some(made.accessor.clone()),
            },
            fingerprint: Some(hex(self.keys.fingerprint.fingerprint(value).as_bytes())),
            value: Some(made.token.clone()),
            overlap_seconds: 0,
            old_valid_until: None,
            details: vec![
                ("old_accessor", intent.old_accessor.clone().into()),
                ("new_accessor", made.accessor.clone().into()),
                ("policies", new.policies.clone().into()),
                ("period_seconds", new.period_seconds.into()),
            ],
        };
        let rotated = self.record(tx, &ready, ask, replacement).await?;
        let of = (intent.id.as_str(), intent.secret_id.as_str(), intent.from_version + 1);
        self.keep_alive(tx, &ready.known, of, made).await?;
        let owed = Revocation {
            accessor: intent.old_accessor.clone(),
            org_id: intent.org_id.clone(),
            secret_id: intent.secret_id.clone(),
            version: intent.from_version,
            rotation_id: intent.id.clone(),
            impersonation_id: intent.impersonation_id.clone(),
            ticket_ref: ready.known.grant.as_ref().map(|g| g.ticket_id.clone()),
        };
        let recipient = "the vault";
        self.queue(tx, OutboxKind::VaultRevoke, recipient, &intent.id, &owed).await?;
        Ok(rotated)
    }

    /// When the old token of a rotation was revoked; absent while that is owed.
    async fn old_revoked_at(&self, intent: &Intent) -> Step<Option<Micros>> {
        let mut conn = self.store.read().await?;
        Ok(secrets::versions(&mut conn, &intent.secret_id)
            .await?
            .into_iter()
            .find(|v| v.version == intent.from_version && v.state == VersionState::Retired)
            .and_then(|v| v.retires_at))
    }

    /// A place where a test lets the process die.
    #[cfg(not(test))]
    #[allow(clippy::unused_async, reason = "in tests it waits")]
    pub(super) async fn reached(&self, _place: &'static str) {}

    #[cfg(test)]
    pub(super) async fn reached(&self, place: &'static str) {
        self.deaths.reached(place).await;
    }
}
