//! A deployment in a folder, and its server as a process.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "a made-up password of some length";
pub(crate) const EMAIL: &str = "ada@platform.example";

pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// A deployment in a folder, on SQLite.
pub(crate) struct Deployment {
    pub(crate) folder: TempDir,
    pub(crate) port: u16,
    /// What differs from the usual settings.
    pub(crate) settings: Vec<(&'static str, String)>,
}

impl Deployment {
    pub(crate) fn new() -> Self {
        let new =
            Self { folder: tempfile::tempdir().unwrap(), port: free_port(), settings: Vec::new() };
        let keys = new.folder.path().join("keys.json");
        let made = new
            .command(&["keys", "new"])
            .arg(&keys)
            .args(["--user-id", "Keyturn <keyturn@platform.example>"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        new
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let folder = self.folder.path();
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyturn"));
        command
            .args(args)
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("KEYTURN_BASE_URL", format!("http://127.0.0.1:{}", self.port))
            .env("KEYTURN_LISTEN", format!("127.0.0.1:{}", self.port))
            .env("KEYTURN_DATA", folder.join("data"))
            .env("KEYTURN_KEYS_FILE", folder.join("keys.json"))
            .env("KEYTURN_LOG_ORIGIN", "keyturn.example")
            .env("KEYTURN_SMTP_URL", "smtp://127.0.0.1:9")
            .env("KEYTURN_MAIL_FROM", "Keyturn <keyturn@platform.example>")
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn add_staff(&self) {
        let mut child = self
            .command(&[
                "staff",
                "add",
                "--email",
                EMAIL,
                "--name",
                "Ada",
                "--role",
                "platform_admin",
            ])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }

    pub(crate) async fn serve(&self) -> Serving {
        let log = self.folder.path().join("log");
        let file = std::fs::File::create(&log).unwrap();
        let child = self
            .command(&["serve"])
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        let serving = Serving(child);
        let address = format!("http://127.0.0.1:{}/readyz", self.port);
        for _ in 0..600 {
            if reqwest::get(&address).await.is_ok_and(|answer| answer.status().is_success()) {
                return serving;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it is not ready: {}", read(&log));
    }
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// A server that is ended with the test.
pub(crate) struct Serving(pub(crate) Child);

impl Serving {
    pub(crate) fn ask_to_stop(&self) {
        let asked = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        assert!(asked.unwrap().success());
    }

    /// Ends it as a failing machine does.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Waits for its end; how long that took, and whether it was a success.
    pub(crate) async fn ended(&mut self) -> (Duration, bool) {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return (begun.elapsed(), status.success());
            }
            assert!(begun.elapsed() < Duration::from_secs(40), "it does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
