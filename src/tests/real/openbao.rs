//! OpenBao, the real one.

use crate::testing::matrix;
use crate::testing::openbao::OpenBao;

/// Protects the other tests here: what they talk to is the real program, and ready.
#[tokio::test]
async fn it_starts_and_says_its_version() {
    let bao = OpenBao::start().await;
    let health = bao.health().await;
    assert_eq!(health["initialized"], true, "{health}");
    assert!(!bao.root_token.is_empty());
    let version = health["version"].as_str().expect("its version").to_owned();
    matrix::holds("Vault", "OpenBao", &version, "start in development mode", "ready, unsealed");
}
