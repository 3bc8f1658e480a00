//! Real OpenBao servers as they are run in earnest: raft storage on a disk, TLS by an authority of
//! their own, one node or several, sealed at the start.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::programs::{Running, end_of, free_port, from_pypi};
use super::sinks::TestAuthority;

/// One node.
struct Node {
    running: Option<Running>,
    port: u16,
}

/// Nodes that share what they keep.
pub(crate) struct Raft {
    nodes: Vec<Node>,
    folder: TempDir,
    client: reqwest::Client,
    /// The authority that their certificates are by, in PEM.
    pub(crate) authority: String,
    /// A token that may do everything.
    pub(crate) root_token: String,
    key: String,
}

impl Raft {
    /// Starts so many, and unseals them. The first is the active one.
    pub(crate) async fn start(nodes: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = TestAuthority::new();
        let (certificate, key) = authority.issue(&["localhost"]);
        std::fs::write(folder.path().join("ca.pem"), &authority.pem).expect("a file");
        std::fs::write(folder.path().join("cert.pem"), certificate).expect("a file");
        std::fs::write(folder.path().join("key.pem"), key).expect("a file");
        let root = reqwest::Certificate::from_pem(authority.pem.as_bytes()).expect("an authority");
        let client = reqwest::Client::builder()
            .add_root_certificate(root)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(30))
            .build()
            .expect("a client");
        let mut raft = Self {
            nodes: Vec::new(),
            folder,
            client,
            authority: authority.pem.clone(),
            root_token: String::new(),
            key: String::new(),
        };
        for number in 0..nodes {
            let port = raft.configure(number);
            raft.nodes.push(Node { running: None, port });
            raft.run(number).await;
            if number == 0 {
                raft.awake(number).await;
                let shares = json!({ "secret_shares": 1, "secret_threshold": 1 });
                let (status, made) = raft.tried(0, None, None, "PUT", "sys/init", shares).await;
                assert_eq!(status, 200, "{made}");
                raft.key = made["keys"][0].as_str().expect("a key").to_owned();
                raft.root_token = made["root_token"].as_str().expect("a token").to_owned();
            }
            raft.unseal(number).await;
        }
        raft
    }

    /// Waits until a new node answers: it listens before it does.
    async fn awake(&self, number: usize) {
        for _ in 0..200 {
            let health = self.tried(number, None, None, "GET", "sys/health", Value::Null).await;
            // Neither unsealed nor made.
            if health.0 == 501 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let log = self.folder.path().join(format!("log-{number}"));
        panic!("node {number} does not answer: {}", end_of(&log));
    }

    fn configure(&self, number: usize) -> u16 {
        let (port, cluster) = (free_port(), free_port());
        let folder = self.folder.path().display().to_string();
        let data = self.folder.path().join(format!("data-{number}"));
        std::fs::create_dir_all(&data).expect("a folder");
        let join = match self.nodes.first() {
            Some(first) => format!(
                "retry_join {{ leader_api_addr = \"https://localhost:{}\" leader_ca_cert_file = \"{folder}/ca.pem\" }}",
                first.port
            ),
            None => String::new(),
        };
        let text = format!(
            "storage \"raft\" {{\n  path = \"{}\"\n  node_id = \"node-{number}\"\n  {join}\n}}\n\
             listener \"tcp\" {{\n  address = \"127.0.0.1:{port}\"\n  cluster_address = \"127.0.0.1:{cluster}\"\n\
             \x20 tls_cert_file = \"{folder}/cert.pem\"\n  tls_key_file = \"{folder}/key.pem\"\n}}\n\
             api_addr = \"https://localhost:{port}\"\ncluster_addr = \"https://127.0.0.1:{cluster}\"\n",
            data.display()
        );
        std::fs::write(self.folder.path().join(format!("node-{number}.hcl")), text)
            .expect("a file");
        port
    }

    /// Starts a node, sealed.
    pub(crate) async fn run(&mut self, number: usize) {
        let log = self.folder.path().join(format!("log-{number}"));
        let mut command = Command::new(from_pypi("bao"));
        command
            .arg("server")
            .arg("-config")
            .arg(self.folder.path().join(format!("node-{number}.hcl")))
            .env("HOME", self.folder.path());
        let mut running = Running::start(&mut command, &log);
        running.listens_at(self.nodes[number].port, &log).await;
        self.nodes[number].running = Some(running);
    }

    /// Ends a node.
    pub(crate) fn end(&mut self, number: usize) {
        self.nodes[number].running = None;
    }

    /// Kills a node, as a failing machine does.
    pub(crate) fn kill(&mut self, number: usize) {
        if let Some(running) = self.nodes[number].running.take() {
            running.kill();
        }
    }

    /// Unseals a node, and waits until it works.
    pub(crate) async fn unseal(&self, number: usize) {
        for _ in 0..200 {
            let key = json!({ "key": self.key });
            let (status, _) = self.tried(number, None, None, "PUT", "sys/unseal", key).await;
            let (health, _) =
                self.tried(number, None, None, "GET", "sys/health", Value::Null).await;
            // Active, or a standby.
            if status == 200 && matches!(health, 200 | 429) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let log = self.folder.path().join(format!("log-{number}"));
        panic!("node {number} stays sealed: {}", end_of(&log));
    }

    /// Where a node is.
    pub(crate) fn address(&self, number: usize) -> String {
        format!("https://localhost:{}", self.nodes[number].port)
    }

    /// The number of the active node.
    pub(crate) async fn active(&self) -> usize {
        for _ in 0..300 {
            for number in 0..self.nodes.len() {
                let health = self.tried(number, None, None, "GET", "sys/health", Value::Null);
                if health.await.0 == 200 {
                    return number;
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no node is active");
    }

    /// Asks the active node for something, with all rights, in a namespace.
    ///
    /// # Panics
    /// Where it refuses.
    pub(crate) async fn ask(
        &self,
        namespace: Option<&str>,
        method: &str,
        path: &str,
        body: Value,
    ) -> Value {
        let node = self.active().await;
        let token = Some(self.root_token.as_str());
        let (status, said) = self.tried(node, token, namespace, method, path, body).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {said}");
        said
    }

    /// Asks a node; the status, and what it answers. The status is 0 where it does not.
    pub(crate) async fn tried(
        &self,
        number: usize,
        token: Option<&str>,
        namespace: Option<&str>,
        method: &str,
        path: &str,
        body: Value,
    ) -> (u16, Value) {
        let url = format!("{}/v1/{path}", self.address(number));
        let mut request = self.client.request(method.parse().expect("a method"), url);
        if let Some(token) = token {
            request = request.header("x-vault-token", token);
        }
        if let Some(namespace) = namespace {
            request = request.header("x-vault-namespace", namespace);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        match request.send().await {
            Ok(answer) => {
                let status = answer.status().as_u16();
                (status, answer.json().await.unwrap_or(Value::Null))
            }
            Err(_) => (0, Value::Null),
        }
    }
}
