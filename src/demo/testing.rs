//! What the demo's tests share: a desk with a database, keys and a clock of its own.

use std::path::Path;
use std::sync::Arc;

use secrecy::SecretString;

use crate::clock::{Clock, SystemRng};
use crate::delivery::mail::SmtpMailer;
use crate::delivery::one_password::Connect;
use crate::delivery::shared_vault::SharedVault;
use crate::delivery::tickets::embedded::EmbeddedDesk;
use crate::demo::connect_token;
use crate::desk::gateways::GatewaySettings;
use crate::desk::keys::{self, Keys, Names};
use crate::desk::staff::sign_ins::SignIns;
use crate::desk::{Desk, Settings};
use crate::model::time;
use crate::secrets::vault::embedded::EmbeddedVault;
use crate::store::Store;

/// The way into the shared vaults of the customer's side at `side`.
fn shared_vault(folder: &Path, side: &str) -> Arc<dyn SharedVault> {
    let token = connect_token(folder, &SystemRng).unwrap();
    Arc::new(Connect::new(side, &token).unwrap())
}

/// A desk on a fresh SQLite file in `folder`, whose mail goes to `smtp`, and whose shared vaults
/// are at `side`.
pub(super) async fn desk(folder: &Path, clock: Arc<dyn Clock>, smtp: &str, side: &str) -> Desk {
    let now = clock.now();
    let file = folder.join("keys.json");
    if !file.exists() {
        keys::create(&file, &SystemRng, now, "Keyturn <keyturn@platform.example>").unwrap();
    }
    let names = Names {
        issuer: "http://127.0.0.1:3000",
        audience: "http://127.0.0.1:3000/api",
        log_origin: "keyturn.example",
    };
    let store = Store::connect(&Store::sqlite_in(folder), 3).await.unwrap();
    let rng = Arc::new(SystemRng);
    Desk {
        vault: Arc::new(EmbeddedVault::new(store.clone(), clock.clone(), rng.clone())),
        deaths: Arc::default(),
        tickets: Arc::new(EmbeddedDesk::new(store.clone(), "NOV-")),
        store,
        keys: Keys::load(&file, &names, now).unwrap(),
        clock,
        rng,
        settings: Settings {
            base_url: "http://127.0.0.1:3000".to_owned(),
            impersonation_life: 15 * time::MINUTE,
            overlap_seconds: 86_400,
            proof_life: crate::policy::eligibility::PROOF_LIFE,
            credential_life: crate::auth::credential::ORG_LIFE,
            private_targets: true,
            mail_from: "Keyturn <keyturn@platform.example>".to_owned(),
            vault_policies: crate::demo::vault_policies(),
            gateways: GatewaySettings::default(),
            witness_folder: None,
            witness: None,
        },
        mailer: Arc::new(SmtpMailer::new(&SecretString::from(smtp), None).unwrap()),
        shared_vault: Some(shared_vault(folder, side)),
        lists_changed: tokio::sync::Notify::new(),
        sign_ins: SignIns::new(&SystemRng),
    }
}
