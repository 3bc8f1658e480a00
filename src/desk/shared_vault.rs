//! The handoff into the vault that the customer shares with us: the item waits in the outbox,
//! is written there once, and then it is recorded and the Owner is told.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::handoff_mail::OldSecret;
use super::outbox::Label;
use super::seal::handoff_binding;
use super::{Desk, Step, StepError};
use crate::delivery::shared_vault::{ItemId, NewItem, SharedVaultError};
use crate::model::{Channel, OutboxKind, time};
use crate::secrets::sealing::{self, Sealed};
use crate::store::Tx;
use crate::store::handoffs::{self, Handoff};
use crate::store::impersonations::Impersonation;
use crate::store::orgs::{self, Org};
use crate::store::outbox::Item;
use crate::store::secrets::{self, Rotation};

/// An item as it waits. It is sealed in the outbox, and does not print.
#[derive(Serialize, Deserialize)]
struct ForVault {
    title: String,
    tag: String,
    label: String,
    value: Zeroizing<String>,
    notes: String,
    /// The token of the acknowledgement link, for the mail that follows.
    ack: Zeroizing<String>,
}

/// An item that is in a vault, and what the Owner is to be told. It does not print.
pub(super) struct InVault {
    id: ItemId,
    ack: SecretString,
}

impl std::fmt::Debug for InVault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InVault").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Desk {
    /// Moves the sealed value of a handoff into the outbox, as an item for the vault.
    ///
    /// # Errors
    /// Where there is no value, or it does not open; the step must then fail.
    pub(super) async fn queue_item(
        &self,
        tx: &mut Tx,
        grant: &Impersonation,
        handoff: &Handoff,
        rotation: &Rotation,
        ack: &SecretString,
    ) -> Step<()> {
        let (Some(kek_id), Some(bytes)) = (handoff.kek_id.clone(), handoff.sealed.clone()) else {
            return Err(StepError::Conflict("There is no sealed value to hand off."));
        };
        let binding = handoff_binding(rotation);
        let opened = sealing::open(&self.keys.ring, &binding, &Sealed { kek_id, bytes })
            .map_err(|e| StepError::crypto("unsealing the handoff")(&e))?;
        let value = std::str::from_utf8(opened.expose_secret())
            .map_err(|_| StepError::crypto("unsealing the handoff")(&"it is not a text"))?;
        let secret =
            secrets::by_id(tx.conn(), &rotation.secret_id).await?.ok_or(StepError::NotFound)?;
        let org = orgs::by_id(tx.conn(), &handoff.org_id).await?.ok_or(StepError::NotFound)?;
        let what = secret.secret_type.label();
        let item = ForVault {
            title: title_of(what, &secret.id, rotation.to_version),
            tag: format!("rotation:{}", rotation.id),
            label: what.to_owned(),
            value: Zeroizing::new(value.to_owned()),
            notes: format!(
                "Version {version} of the {what} {id} ({label}) of {org}.\n\
                 Made at {at} for ticket {ticket}.\n\
                 Impersonation: {impersonation}\n",
                version = rotation.to_version,
                what = what.to_lowercase(),
                id = secret.id,
                label = secret.label,
                org = org.name,
                at = time::seconds(rotation.created_at),
                ticket = grant.ticket_id,
                impersonation = grant.id,
            ),
            ack: Zeroizing::new(ack.expose_secret().to_owned()),
        };
        let (kind, label) =
            (OutboxKind::OnePassword, Label { org_id: Some(&org.id), subject: None });
        self.queue_labelled(tx, kind, &handoff.recipient, &handoff.id, label, &item).await?;
        handoffs::erase_sealed(tx, &handoff.id).await?;
        Ok(())
    }

    /// Puts an item of the outbox into its vault. The same item twice is one item there.
    ///
    /// # Errors
    /// [`StepError::SharedVault`] where it is not known to be there.
    pub(super) async fn put_into_vault(&self, item: &Item) -> Step<InVault> {
        let waiting: ForVault = self.queued(item)?;
        let vault = self.shared_vault.as_ref().ok_or(SharedVaultError::NotConfigured)?;
        let new = NewItem {
            title: waiting.title,
            tag: waiting.tag,
            label: waiting.label,
            value: SecretString::from(waiting.value.as_str()),
            notes: waiting.notes,
        };
        let id = vault.put(&item.recipient, &new).await?;
        Ok(InVault { id, ack: SecretString::from(waiting.ack.as_str()) })
    }

    /// Records that an item is in its vault: both logs say so, the overlap of the old version
    /// begins, and the Owner is told where to look.
    ///
    /// # Errors
    /// Where it cannot be written; the item is then found again at the next attempt.
    pub(super) async fn record_in_vault(
        &self,
        tx: &mut Tx,
        item: &Item,
        found: InVault,
    ) -> Step<()> {
        let handoff = handoffs::by_id(tx.conn(), &item.about).await?.ok_or(StepError::NotFound)?;
        let Some(delivery) = self.delivered(tx, &handoff, Some(found.id.as_str())).await? else {
            // Another instance took it for abandoned, and was first.
            return Ok(());
        };
        let old = match delivery.old_valid_until {
            Some(until) => OldSecret::WorksUntil(until),
            None => OldSecret::Gone,
        };
        self.mail_handoff(tx, &delivery.grant, &delivery.handoff, &found.ack, old).await
    }

    /// Where the Owner finds what a handoff put into the shared vault.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub(super) async fn place_in_vault(&self, tx: &mut Tx, handoff: &Handoff) -> Step<String> {
        if handoff.item_id.is_none() {
            return Ok(
                "There is nothing to install: the gateway makes its own new key.\n".to_owned()
            );
        }
        let rotation = secrets::rotation_by_id(tx.conn(), &handoff.rotation_id)
            .await?
            .ok_or(StepError::NotFound)?;
        let secret =
            secrets::by_id(tx.conn(), &rotation.secret_id).await?.ok_or(StepError::NotFound)?;
        Ok(format!(
            "The new one is in the 1Password vault that you share with us:\n\n\
             Vault: {}\nItem:  {}\n",
            handoff.recipient,
            title_of(secret.secret_type.label(), &secret.id, rotation.to_version),
        ))
    }

    /// Asks for each org whose handoffs go into a shared vault whether that vault can be seen:
    /// its name, and what stands in the way. It goes over the network, so it is for whoever sets
    /// a deployment up, and for no step.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn check_shared_vaults(&self) -> Step<Vec<(String, Result<(), SharedVaultError>)>> {
        const PAGE: i64 = 100;
        let mut orgs = Vec::new();
        let mut after: Option<(String, String)> = None;
        loop {
            let mut conn = self.store.read().await?;
            let from = after.as_ref().map(|(name, id)| (name.as_str(), id.as_str()));
            let page = orgs::page(&mut conn, from, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some((last.name.clone(), last.id.clone()));
            let shares = |org: &Org| org.channel.as_deref() == Some(Channel::OnePassword.as_str());
            orgs.extend(page.into_iter().filter(shares));
        }
        let mut found = Vec::with_capacity(orgs.len());
        for org in orgs {
            let vault = org.shared_vault_id.unwrap_or_default();
            let seen = match &self.shared_vault {
                Some(way) => way.check(&vault).await,
                None => Err(SharedVaultError::NotConfigured),
            };
            found.push((org.name, seen));
        }
        Ok(found)
    }
}

/// What an item is called: it is looked for by this, so only what a filter can take stays of an
/// id that somebody else chose.
fn title_of(what: &str, secret_id: &str, version: i64) -> String {
    let id: String = secret_id
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._:/-".contains(c) { c } else { '-' })
        .collect();
    format!("{what} {id}, version {version}")
}

#[cfg(test)]
mod tests {
    use super::title_of;

    /// Protects the second look for an item: its title can stand in a filter, whatever an id is.
    #[test]
    fn a_title_can_always_be_looked_for() {
        assert_eq!(title_of("Vault token", "vtk_9f3k", 3), "Vault token vtk_9f3k, version 3");
        let strange = title_of("Vault token", "a\"b\\c\nd\u{e9}", 1);
        assert_eq!(strange, "Vault token a-b-c-d-, version 1");
    }
}
