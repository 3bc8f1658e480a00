//! A new vault token lives until its Owner has read the message that holds it: Keyturn renews it
//! by its accessor until the handoff is acknowledged, and says until when it lives otherwise.

use super::rotate::Known;
use super::{Desk, Step};
use crate::audit::append::lock_both;
use crate::audit::{Actor, NewRow};
use crate::model::{HandoffState, Micros, SecretType, time};
use crate::proof::actions;
use crate::proof::row::Outcome;
use crate::secrets::vault::{NewlyMade, VaultError};
use crate::store::vault_kept::{self, Kept};
use crate::store::{Tx, handoffs, orgs, secrets};

/// How long an unread token is renewed at the longest.
const KEEP: Micros = 7 * time::DAY;

/// The shortest and the longest pause between two renewals; otherwise half of what it lives.
const PAUSES: (Micros, Micros) = (5 * time::SECOND, 6 * time::HOUR);

/// How long one instance has for one renewal before another tries.
const LEASE: Micros = time::MINUTE;

/// When a token is renewed next that lives until `expires_at`.
fn next(now: Micros, expires_at: Micros) -> Micros {
    now + ((expires_at - now) / 2).clamp(PAUSES.0, PAUSES.1)
}

impl Desk {
    /// Notes that a new token is to be kept alive, in the transaction that writes its rotation.
    pub(super) async fn keep_alive(
        &self,
        tx: &mut Tx,
        known: &Known,
        replacement_of: (&str, &str, i64),
        made: &NewlyMade,
    ) -> Step<()> {
        let (rotation_id, secret_id, version) = replacement_of;
        // In self-service the customer has it with the answer.
        let (Some(grant), Some(left)) = (&known.grant, made.seconds_left) else {
            return Ok(());
        };
        let now = self.now();
        let expires_at = now + left * time::SECOND;
        let kept = Kept {
            rotation_id: rotation_id.to_owned(),
            org_id: known.org_id.clone(),
            secret_id: secret_id.to_owned(),
            version,
            impersonation_id: grant.id.clone(),
            ticket_ref: grant.ticket_id.clone(),
            accessor: made.accessor.clone(),
            expires_at,
            renewable: i64::from(made.renewable),
            keep_until: now + KEEP,
            state: "kept".to_owned(),
            next_at: if made.renewable { next(now, expires_at) } else { expires_at },
            last_error: None,
        };
        Ok(vault_kept::insert(tx, &kept).await?)
    }

    /// Renews the tokens whose time it is; how many were looked after.
    ///
    /// # Errors
    /// Where the database does not answer. A vault that does not is no error: it is noted.
    pub async fn keep_vault_tokens(&self) -> Step<usize> {
        let now = self.now();
        let due = {
            let mut conn = self.store.read().await?;
            vault_kept::due(&mut conn, now, 20).await?
        };
        let mut done = 0;
        for kept in due {
            let mine = {
                let mut conn = self.store.read().await?;
                vault_kept::take(&mut conn, &kept, now + LEASE).await?
            };
            if mine {
                self.look_after(&kept).await?;
                done += 1;
            }
        }
        Ok(done)
    }

    async fn look_after(&self, kept: &Kept) -> Step<()> {
        if self.is_theirs(kept).await? {
            return self.end_keeping(kept, "released").await;
        }
        let renewed = match kept.renewable {
            0 => self.vault.lookup(&kept.accessor).await.map(|facts| facts.seconds_left),
            _ => self.vault.renew(&kept.accessor).await,
        };
        let now = self.now();
        match renewed {
            Ok(None) => self.end_keeping(kept, "released").await,
            Ok(Some(left)) => {
                let expires_at = now + left * time::SECOND;
                let at = if kept.renewable == 0 { expires_at } else { next(now, expires_at) };
                let mut conn = self.store.read().await?;
                let at = at.max(now + PAUSES.0);
                Ok(vault_kept::note(&mut conn, &kept.rotation_id, expires_at, at, None).await?)
            }
            Err(VaultError::NoSuchToken) => self.end_keeping(kept, "expired").await,
            Err(e) => {
                tracing::warn!(error = %e.to_operator(), rotation = kept.rotation_id, "a new vault token is not renewed");
                let mut conn = self.store.read().await?;
                let (id, until) = (&kept.rotation_id, kept.expires_at);
                let at = next(now, until).min(now + time::MINUTE);
                Ok(vault_kept::note(&mut conn, id, until, at, Some(&e.to_string())).await?)
            }
        }
    }

    /// Whether whoever uses a token is to renew it: the Owner has it, it was replaced, or it was
    /// kept for as long as they are.
    async fn is_theirs(&self, kept: &Kept) -> Step<bool> {
        let mut conn = self.store.read().await?;
        let handoff = handoffs::of_impersonation(&mut conn, &kept.impersonation_id).await?;
        let secret = secrets::by_id(&mut conn, &kept.secret_id).await?;
        Ok(self.now() >= kept.keep_until
            || handoff.is_some_and(|h| h.state == HandoffState::Acknowledged)
            || secret.is_none_or(|s| s.version != kept.version))
    }

    async fn end_keeping(&self, kept: &Kept, state: &str) -> Step<()> {
        let mut tx = self.begin().await?;
        let step = async {
            lock_both(&mut tx, &kept.org_id).await?;
            orgs::lock(&mut tx, &kept.org_id).await?;
            if !vault_kept::end(&mut tx, &kept.rotation_id, state).await? || state != "expired" {
                return Ok(());
            }
            let row = |action: &str| {
                let mut row = NewRow::new(action, &Actor::system())
                    .outcome(Outcome::Failed)
                    .org(&kept.org_id)
                    .secret(SecretType::VaultToken, &kept.secret_id)
                    .with("rotation_id", kept.rotation_id.clone())
                    .with("version", kept.version)
                    .with("accessor", kept.accessor.clone())
                    .with("after_impersonation", kept.impersonation_id.clone());
                row.ticket_ref = Some(kept.ticket_ref.clone());
                row
            };
            let platform = row(actions::PLATFORM_VAULT_TOKEN_EXPIRED_UNREAD);
            let org = row(actions::VAULT_TOKEN_EXPIRED_UNREAD);
            self.log_both(&mut tx, &kept.org_id, platform, org).await
        };
        let step = step.await;
        self.settle(tx, step).await
    }

    /// Until when a rotation's new token lives and who renews it, for the Owner; absent where there
    /// is nothing to say.
    pub(super) async fn how_long(&self, tx: &mut Tx, rotation_id: &str) -> Step<Option<String>> {
        let kept = vault_kept::of_rotation(tx.conn(), rotation_id).await?;
        Ok(kept.map(|kept| lives(&kept)))
    }
}

/// Until when a token lives, and who renews it.
#[must_use]
pub fn lives(kept: &Kept) -> String {
    let until = time::seconds(kept.expires_at);
    match (kept.state.as_str(), kept.renewable, &kept.last_error) {
        ("expired", ..) => {
            "The new token has ended in the vault before it was acknowledged: another rotation makes another."
                .to_owned()
        }
        (_, 0, _) => format!("The new token cannot be renewed: it ends at {until}."),
        ("kept", _, Some(why)) => format!(
            "The new token lives until {until} unless it is renewed, and Keyturn could not renew it the last time ({why}): it is to be put to use before."
        ),
        ("kept", ..) if kept.expires_at < kept.keep_until => format!(
            "The new token lives until {until} unless it is renewed. Keyturn renews it until the handoff is acknowledged, at the longest until {}; from then on whoever uses it does.",
            time::seconds(kept.keep_until)
        ),
        _ => format!("The new token lives until {until} unless whoever uses it renews it."),
    }
}
