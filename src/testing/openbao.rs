//! A real OpenBao, in development mode: in memory, unsealed, with a root token.

use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::programs::{Running, free_port, from_pypi};

/// An OpenBao that runs until it is dropped.
pub(crate) struct OpenBao {
    _running: Running,
    _folder: TempDir,
    /// `http://127.0.0.1:PORT`.
    pub(crate) address: String,
    /// A token that may do everything.
    pub(crate) root_token: String,
}

impl OpenBao {
    /// Starts one on a free port.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        let port = free_port();
        let root_token = "root-of-the-test".to_owned();
        let mut command = Command::new(from_pypi("bao"));
        command
            .args(["server", "-dev", "-dev-no-store-token"])
            .arg(format!("-dev-root-token-id={root_token}"))
            .arg(format!("-dev-listen-address=127.0.0.1:{port}"))
            .env("HOME", folder.path());
        let mut running = Running::start(&mut command, &log);
        running.listens_at(port, &log).await;
        let address = format!("http://127.0.0.1:{port}");
        let bao = Self { _running: running, _folder: folder, address, root_token };
        // It listens before it is unsealed.
        for _ in 0..100 {
            if bao.health().await["sealed"] == false {
                return bao;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("OpenBao stays sealed: {}", super::programs::end_of(&log));
    }

    /// What it says of itself.
    pub(crate) async fn health(&self) -> Value {
        let answer = reqwest::get(format!("{}/v1/sys/health", self.address)).await.expect("bao");
        answer.json().await.expect("its health")
    }
}
