//! A rotation that fails while a token that it made may live is never called failed before that
//! token is gone: it is owed, and shown as that.

use std::sync::Arc;
use std::time::Duration;

use crate::desk::StepError;
use crate::desk::rotate::Ask;
use crate::model::time;
use crate::secrets::vault::http::{Address, Credential, HttpVault};
use crate::store::vault_intents::{self, Intent};
use crate::testing::vault_server::{Fault, ROOT, VaultServer};
use crate::testing::{Bench, both_engines};

const SECRET: &str = "vtk_cedar";

both_engines!(
    a_vault_that_refuses_keyturn_in_the_midst_of_it_leaves_it_owed,
    a_token_that_is_of_no_use_is_revoked_by_the_accessor_that_is_known,
);

struct Site {
    server: VaultServer,
    folder: tempfile::TempDir,
}

impl Site {
    /// The desk's tokens are in a vault whose answers can be lost.
    async fn new(bench: &mut Bench) -> Self {
        let site =
            Self { server: VaultServer::start().await, folder: tempfile::tempdir().unwrap() };
        let file = site.folder.path().join("token");
        std::fs::write(&file, ROOT).unwrap();
        let vault = HttpVault::new(Address {
            url: site.server.url.parse().unwrap(),
            namespace: None,
            credential: Credential::TokenFile(file),
            token_role: None,
            root_certificate: None,
        })
        .unwrap()
        .with_patience(Duration::from_millis(100));
        bench.keep_tokens_in(Arc::new(vault));
        let accessor = site.server.plant("service", &["default", "cedar-import"], 86_400, 0);
        let sql = format!(
            "UPDATE secret_version SET reference = '{accessor}' WHERE secret_id = '{SECRET}'"
        );
        bench.sql(&sql).await.unwrap();
        site
    }
}

async fn rotate(bench: &Bench) -> StepError {
    bench.self_service("cedar-owner", SECRET, &Ask::default()).await.unwrap_err()
}

async fn open(bench: &Bench) -> Option<Intent> {
    let mut conn = bench.desk.store.read().await.unwrap();
    vault_intents::open_of(&mut conn, SECRET).await.unwrap()
}

async fn a_vault_that_refuses_keyturn_in_the_midst_of_it_leaves_it_owed(mut bench: Bench) {
    let site = Site::new(&mut bench).await;
    for _ in 0..4 {
        site.server.plant("service", &["default"], 60, 0);
    }
    site.server.set(Fault::LosesNewTokens);
    let said = rotate(&bench).await;
    assert!(matches!(&said, StepError::Vault(why) if why.contains("did not say")), "{said:?}");
    site.server.set(Fault::None);
    assert_eq!(site.server.count(), 6, "the old one, the lost one, and others");

    // Keyturn's own token is revoked after two look-ups of the search.
    bench.clock.advance(3 * time::MINUTE);
    site.server.say((3, 1000), 403, "permission denied", None);
    assert_eq!(bench.desk.clear_vault_intents().await.unwrap(), 0);
    let owed = open(&bench).await.expect("it is owed");
    assert_eq!(owed.state, "undoing");
    assert!(owed.last_error.unwrap().contains("refuses Keyturn itself"));
    assert!(bench.rows("cedar").await.is_empty(), "it has not failed: a token may live");
    assert!(matches!(rotate(&bench).await, StepError::Conflict(_)));

    site.server.say((0, 0), 403, "", None);
    bench.clock.advance(time::MINUTE);
    assert_eq!(bench.desk.clear_vault_intents().await.unwrap(), 1);
    assert_eq!(site.server.count(), 5);
    assert_eq!(bench.actions("cedar").await, ["vault_token.rotation_failed"]);
    assert_eq!(open(&bench).await, None);
    bench.verify_all().await.unwrap();
}

async fn a_token_that_is_of_no_use_is_revoked_by_the_accessor_that_is_known(mut bench: Bench) {
    let site = Site::new(&mut bench).await;
    site.server.set(Fault::MorePolicies);
    // The old one's look-up, the new one, its wrapping, its look-up; then nothing more.
    site.server.say((4, 1000), 429, "rate limit quota exceeded", None);
    let said = rotate(&bench).await;
    assert!(
        matches!(&said, StepError::Vault(why) if why.contains("has not revoked it yet")),
        "{said:?}"
    );
    assert_eq!(site.server.count(), 2);
    let owed = open(&bench).await.expect("it is owed");
    assert_eq!(owed.state, "undoing");
    assert!(owed.new_accessor.is_some() && bench.rows("cedar").await.is_empty());
    // At once, as soon as the vault does it: nothing has to be found.
    site.server.say((0, 0), 429, "", None);
    let before = site.server.calls().len();
    assert_eq!(bench.desk.clear_vault_intents().await.unwrap(), 1);
    assert_eq!(site.server.calls()[before..], ["auth/token/revoke-accessor"]);
    assert_eq!(site.server.count(), 1);
    assert_eq!(bench.actions("cedar").await, ["vault_token.rotation_failed"]);
    bench.verify_all().await.unwrap();
}
