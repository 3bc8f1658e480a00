//! The customers' secrets. A webhook's key is a real one: sealed by the platform, and installed
//! at the customer's receiver.

use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::orgs::SecretSpec;
use super::planted::Planted;
use crate::auth::credential::hex;
use crate::demo::story::{VaultToken, Webhook};
use crate::demo::{DemoError, Story};
use crate::desk::{Desk, StepError};
use crate::model::{Micros, SecretType, VersionState};
use crate::secrets::sealing::{self, Binding};
use crate::secrets::vault::NewToken;
use crate::secrets::vault::embedded::EmbeddedVault;
use crate::secrets::webhook_key::WebhookKey;
use crate::store::Tx;
use crate::store::secrets::{self, Secret, Version};

/// The period of the demo's vault tokens, in seconds: a year, so that a demo that rests does not
/// lose them.
const PERIOD: i64 = 365 * 86_400;

/// Where the messages of a webhook go.
pub(super) fn target(customer_side: &str, webhook: &str) -> String {
    format!("{customer_side}/hooks/{webhook}")
}

/// Adds the secrets of an org with all their versions.
pub(super) async fn plant(
    desk: &Desk,
    tx: &mut Tx,
    org: &Planted,
    customer_side: &str,
    story: &mut Story,
    now: Micros,
) -> Result<(), DemoError> {
    for spec in org.spec.secrets {
        let is_webhook = spec.kind == SecretType::WebhookSigningKey;
        let secret = Secret {
            id: spec.id.to_owned(),
            org_id: org.id.clone(),
            secret_type: spec.kind,
            label: spec.label.to_owned(),
            target: if is_webhook {
                target(customer_side, spec.id)
            } else {
                spec.target.to_owned()
            },
            version: spec.version,
            expires_at: spec.expires_in.map(|wait| now + wait),
            created_at: now - org.spec.age,
        };
        secrets::insert(tx.conn(), &secret).await?;
        // The versions came at equal distances since the org did.
        let distance = org.spec.age / (spec.version + 1);
        for number in 1..=spec.version {
            let created_at = secret.created_at + number * distance;
            let live = number == spec.version;
            let mut version = Version {
                secret_id: secret.id.clone(),
                version: number,
                state: if live { VersionState::Live } else { VersionState::Retired },
                created_at,
                retires_at: (!live).then_some(created_at + distance),
                kek_id: None,
                sealed: None,
                reference: None,
            };
            let fingerprint = match spec.kind {
                SecretType::WebhookSigningKey => {
                    Some(new_key(desk, &secret, &mut version, org, spec, story)?)
                }
                SecretType::VaultToken if live => {
                    Some(new_token(desk, tx, &mut version, org, spec, story).await?)
                }
                // What was before is revoked and forgotten; what a gateway has never leaves it.
                SecretType::VaultToken | SecretType::MtlsCertificate => None,
            };
            secrets::insert_version(tx.conn(), &version, fingerprint.as_deref()).await?;
        }
    }
    Ok(())
}

/// Draws the key of one version. The live one is sealed as a rotation seals it, and the customer
/// has it; of a retired one only the fingerprint is left, as after a rotation.
fn new_key(
    desk: &Desk,
    secret: &Secret,
    version: &mut Version,
    org: &Planted,
    spec: &SecretSpec,
    story: &mut Story,
) -> Result<String, DemoError> {
    let key = WebhookKey::generate(&mut desk.rng.generator());
    let value = key.expose().expose_secret();
    if version.state == VersionState::Live {
        let binding = Binding {
            context: secret.secret_type.as_str(),
            org_id: &secret.org_id,
            secret_id: &secret.id,
            version: version.version,
        };
        let sealed =
            sealing::seal(&mut desk.rng.generator(), &desk.keys.ring, &binding, value.as_bytes())
                .map_err(|e| StepError::crypto("sealing a webhook key")(&e))?;
        version.kek_id = Some(sealed.kek_id);
        version.sealed = Some(sealed.bytes);
        story.webhooks.push(Webhook {
            org: org.slug.to_owned(),
            id: secret.id.clone(),
            label: spec.label.to_owned(),
            key: Zeroizing::new(value.to_owned()),
        });
    }
    Ok(hex(desk.keys.fingerprint.fingerprint(value.as_bytes()).as_bytes()))
}

/// Makes a token in the embedded vault, which the customer then has.
async fn new_token(
    desk: &Desk,
    tx: &mut Tx,
    version: &mut Version,
    org: &Planted,
    spec: &SecretSpec,
    story: &mut Story,
) -> Result<String, DemoError> {
    let name = spec.label.to_lowercase().replace(' ', "-");
    let new = NewToken {
        policies: vec!["default".to_owned(), name.clone()],
        period_seconds: PERIOD,
        ttl_seconds: 0,
        explicit_max_ttl_seconds: 0,
        renewable: true,
        display_name: name,
        ..NewToken::default()
    };
    let vault = EmbeddedVault::new(desk.store.clone(), desk.clock.clone(), desk.rng.clone());
    let made =
        vault.create_on(tx.conn(), &new).await.map_err(|e| StepError::Outside(e.to_string()))?;
    let value = made.token.expose_secret();
    story.vault_tokens.push(VaultToken {
        org: org.slug.to_owned(),
        id: spec.id.to_owned(),
        label: spec.label.to_owned(),
        accessor: made.accessor.clone(),
        token: Zeroizing::new(value.to_owned()),
    });
    version.reference = Some(made.accessor);
    Ok(hex(desk.keys.fingerprint.fingerprint(value.as_bytes()).as_bytes()))
}

/// Lets the webhooks go to where the customer's side is this time: the port may have changed.
pub(super) async fn readdress(
    tx: &mut Tx,
    story: &Story,
    customer_side: &str,
) -> Result<(), DemoError> {
    for webhook in &story.webhooks {
        sqlx::query("UPDATE secret SET target = $2 WHERE id = $1 AND target <> $2")
            .bind(&webhook.id)
            .bind(target(customer_side, &webhook.id))
            .execute(tx.conn())
            .await
            .map_err(crate::store::StoreError::from)?;
    }
    Ok(())
}
