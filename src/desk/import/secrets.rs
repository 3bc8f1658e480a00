//! The secrets of an org that is brought in. A webhook's key is sealed at once; of a vault token
//! only the accessor is known, of a gateway only that it is there.

use secrecy::{ExposeSecret as _, SecretString};

use super::Import;
use super::document::OrgEntry;
use crate::auth::credential;
use crate::desk::{Desk, Step, StepError};
use crate::model::{Micros, SecretType, VersionState, time};
use crate::secrets::sealing::{self, Binding};
use crate::secrets::webhook_key::WebhookKey;
use crate::store::Tx;
use crate::store::secrets::{self, Secret, Version};

const NOT_AN_ACCESSOR: &str = "a vault token is given by its accessor, never by the token itself";

impl Desk {
    /// Makes sure that what an org gives as the accessors of its vault tokens are accessors: the
    /// vault knows. To be asked before the transaction of the import. What is on record already
    /// was asked before, and may be gone by now.
    ///
    /// # Errors
    /// [`StepError::NotPossible`] for one that is none, by the secret's id alone: it may be a
    /// token; [`StepError::Vault`] where the vault cannot be asked.
    pub(super) async fn check_accessors(&self, entry: &OrgEntry) -> Step<()> {
        for v in &entry.vault_tokens {
            let on_record = {
                let mut conn = self.store.read().await?;
                let versions = secrets::versions(&mut conn, &v.id).await?;
                versions.iter().any(|known| known.reference.as_ref() == Some(&v.accessor))
            };
            if on_record {
                continue;
            }
            match self.vault.is_accessor(&v.accessor).await {
                Ok(true) => {}
                Ok(false) => {
                    return Err(StepError::NotPossible(format!(
                        "{}: {NOT_AN_ACCESSOR}; the vault knows no live token by the accessor that is given",
                        v.id
                    )));
                }
                Err(e) => {
                    return Err(StepError::Vault(format!(
                        "{}: whether its accessor is one cannot be asked: {}",
                        v.id,
                        e.to_operator()
                    )));
                }
            }
        }
        Ok(())
    }

    pub(super) async fn import_secrets(
        &self,
        tx: &mut Tx,
        import: &mut Import<'_>,
        entry: &OrgEntry,
    ) -> Step<()> {
        for w in &entry.webhooks {
            let key = WebhookKey::parse(SecretString::from(w.key.as_str())).map_err(|_| {
                StepError::Invalid("a webhook's key is a Standard Webhooks key, whsec_…")
            })?;
            let value = key.expose().expose_secret().as_bytes().to_vec();
            let value = zeroize::Zeroizing::new(value);
            let fingerprint = credential::hex(self.keys.fingerprint.fingerprint(&value).as_bytes());
            let secret = self.secret(
                import,
                SecretType::WebhookSigningKey,
                &w.id,
                &w.label,
                &w.target,
                None,
            );
            let Some(before) = self.known_secret(tx, import, &secret).await? else {
                let binding = Binding {
                    context: secret.secret_type.as_str(),
                    org_id: &secret.org_id,
                    secret_id: &secret.id,
                    version: 1,
                };
                let sealed =
                    sealing::seal(&mut self.rng.generator(), &self.keys.ring, &binding, &value)
                        .map_err(|e| StepError::crypto("sealing a webhook key")(&e))?;
                let mut version = first_version(&secret);
                version.kek_id = Some(sealed.kek_id);
                version.sealed = Some(sealed.bytes);
                self.add_secret(tx, import, &secret, &version, Some(&fingerprint)).await?;
                continue;
            };
            if !secrets::has_fingerprint(tx.conn(), &before.id, &fingerprint).await? {
                return Err(StepError::Conflict(
                    "a webhook that is here has another key: a key is replaced by a rotation, not by an import",
                ));
            }
            self.describe_secret(tx, import, &before, &secret).await?;
        }
        for v in &entry.vault_tokens {
            if v.accessor.trim().is_empty() || v.accessor.len() > 200 {
                return Err(StepError::Invalid(NOT_AN_ACCESSOR));
            }
            let secret =
                self.secret(import, SecretType::VaultToken, &v.id, &v.label, &v.pinned_to, None);
            let Some(before) = self.known_secret(tx, import, &secret).await? else {
                let mut version = first_version(&secret);
                version.reference = Some(v.accessor.clone());
                self.add_secret(tx, import, &secret, &version, None).await?;
                continue;
            };
            let versions = secrets::versions(tx.conn(), &before.id).await?;
            if versions.iter().all(|known| known.reference.as_ref() != Some(&v.accessor)) {
                return Err(StepError::Conflict(
                    "a vault token that is here has another accessor: a token is replaced by a rotation, not by an import",
                ));
            }
            self.describe_secret(tx, import, &before, &secret).await?;
        }
        for g in &entry.gateways {
            let expires_at = match &g.expires_at {
                None => None,
                Some(text) => Some(
                    time::parse(text)
                        .ok_or(StepError::Invalid("expires_at is an instant in RFC 3339"))?,
                ),
            };
            let secret = self.secret(
                import,
                SecretType::MtlsCertificate,
                &g.id,
                &g.label,
                &g.label,
                expires_at,
            );
            match self.known_secret(tx, import, &secret).await? {
                None => self.add_secret(tx, import, &secret, &first_version(&secret), None).await?,
                Some(before) => self.describe_secret(tx, import, &before, &secret).await?,
            }
        }
        Ok(())
    }

    fn secret(
        &self,
        import: &Import<'_>,
        secret_type: SecretType,
        id: &str,
        label: &str,
        target: &str,
        expires_at: Option<Micros>,
    ) -> Secret {
        Secret {
            id: id.to_owned(),
            org_id: import.org.id.clone(),
            secret_type,
            label: label.trim().to_owned(),
            target: target.trim().to_owned(),
            version: 1,
            expires_at,
            created_at: self.now(),
        }
    }

    /// The secret with the same id, which must be this org's and of this type.
    async fn known_secret(
        &self,
        tx: &mut Tx,
        import: &Import<'_>,
        secret: &Secret,
    ) -> Step<Option<Secret>> {
        let Some(before) = secrets::by_id(tx.conn(), &secret.id).await? else { return Ok(None) };
        if before.org_id != import.org.id || before.secret_type != secret.secret_type {
            return Err(StepError::Conflict(
                "a secret's id is that of another org's secret, or of one of another type",
            ));
        }
        Ok(Some(before))
    }

    async fn add_secret(
        &self,
        tx: &mut Tx,
        import: &mut Import<'_>,
        secret: &Secret,
        version: &Version,
        fingerprint: Option<&str>,
    ) -> Step<()> {
        secrets::insert(tx.conn(), secret).await?;
        secrets::insert_version(tx.conn(), version, fingerprint).await?;
        self.changed(tx, import, secret.secret_type.as_str(), "added", Some(&secret.id)).await
    }

    async fn describe_secret(
        &self,
        tx: &mut Tx,
        import: &mut Import<'_>,
        before: &Secret,
        now: &Secret,
    ) -> Step<()> {
        let mut change = Vec::new();
        if before.label != now.label {
            change.push("label");
        }
        // Where a gateway's certificate ends is known here better, once it has enrolled.
        if now.secret_type != SecretType::MtlsCertificate && before.target != now.target {
            change.push("target");
        }
        if change.is_empty() {
            return Ok(());
        }
        let target = if change.contains(&"target") { &now.target } else { &before.target };
        secrets::describe(tx, &before.id, &now.label, target).await?;
        let change = format!("{} changed", change.join(" and "));
        self.changed(tx, import, now.secret_type.as_str(), &change, Some(&now.id)).await
    }
}

fn first_version(secret: &Secret) -> Version {
    Version {
        secret_id: secret.id.clone(),
        version: 1,
        state: VersionState::Live,
        created_at: secret.created_at,
        retires_at: None,
        kek_id: None,
        sealed: None,
        reference: None,
    }
}
