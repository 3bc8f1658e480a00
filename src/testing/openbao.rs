//! A real OpenBao, in development mode: in memory, unsealed, with a root token.

use std::process::Command;

use serde_json::{Value, json};
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
    client: reqwest::Client,
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
        let client = reqwest::Client::new();
        let bao = Self { _running: running, _folder: folder, address, root_token, client };
        // It listens before it is unsealed.
        for _ in 0..100 {
            if bao.health().await["sealed"] == false {
                return bao;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("OpenBao stays sealed: {}", super::programs::end_of(&log));
    }

    /// Asks it for something, with all rights, in its root namespace; what it answers.
    ///
    /// # Panics
    /// Where it refuses.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Value) -> Value {
        self.ask_in(None, method, path, body).await
    }

    /// The same in a namespace.
    pub(crate) async fn ask_in(
        &self,
        namespace: Option<&str>,
        method: &str,
        path: &str,
        body: Value,
    ) -> Value {
        for _ in 0..50 {
            let body = body.clone();
            let (status, said) = self.tried(&self.root_token, namespace, method, path, body).await;
            // A limit that the test has set counts for the test, too.
            if status == 429 {
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                continue;
            }
            assert!((200..300).contains(&status), "{method} {path}: {status} {said}");
            return said;
        }
        panic!("{method} {path}: the limit is never over");
    }

    /// Asks it for something with a token; the status, and what it answers.
    pub(crate) async fn tried(
        &self,
        token: &str,
        namespace: Option<&str>,
        method: &str,
        path: &str,
        body: Value,
    ) -> (u16, Value) {
        let url = format!("{}/v1/{path}", self.address);
        let mut request = self
            .client
            .request(method.parse().expect("a method"), url)
            .header("x-vault-token", token);
        if let Some(namespace) = namespace {
            request = request.header("x-vault-namespace", namespace);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("bao");
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    /// Writes the policy for Keyturn's own credential, exactly as our documents say, with other
    /// lines added; a token with it.
    pub(crate) async fn keyturn(&self, role: &str, more: &str) -> String {
        let policy = documented_policy().replace("create/keyturn", &format!("create/{role}"));
        let policy = json!({ "policy": format!("{policy}\n{more}") });
        self.ask("PUT", "sys/policies/acl/keyturn", policy).await;
        let made = self.ask("POST", "auth/token/create-orphan", json!({ "policies": ["keyturn"] }));
        made.await["auth"]["client_token"].as_str().expect("a token").to_owned()
    }

    /// Makes a token with all rights; the token and its accessor.
    pub(crate) async fn plant(&self, path: &str, body: Value) -> (String, String) {
        let made = self.ask("POST", path, body).await;
        let part = |name: &str| made["auth"][name].as_str().expect("a token").to_owned();
        (part("client_token"), part("accessor"))
    }

    /// Whether a token works.
    pub(crate) async fn works(&self, token: &str) -> bool {
        // Not by itself: not every token may ask that.
        let body = json!({ "token": token });
        self.tried(&self.root_token, None, "POST", "auth/token/lookup", body).await.0 == 200
    }

    /// What a look-up of an accessor says; null where there is no such token.
    pub(crate) async fn look_up(&self, accessor: &str) -> Value {
        let body = json!({ "accessor": accessor });
        let path = "auth/token/lookup-accessor";
        self.tried(&self.root_token, None, "POST", path, body).await.1["data"].clone()
    }

    /// What it says of itself.
    pub(crate) async fn health(&self) -> Value {
        let answer = reqwest::get(format!("{}/v1/sys/health", self.address)).await.expect("bao");
        answer.json().await.expect("its health")
    }
}

/// The policy for Keyturn's own credential that our documents give.
pub(crate) fn documented_policy() -> String {
    let text = include_str!("../../docs/adr/0007-vault-tokens-are-a-saga.md");
    let (_, rest) = text.split_once("```hcl\n").expect("a policy");
    rest.split_once("```").expect("its end").0.to_owned()
}
