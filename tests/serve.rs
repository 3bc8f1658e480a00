//! `keyturn serve` as a process of its own: how it starts, and how it stops.
#![allow(missing_docs)]

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const PASSWORD: &str = "a made-up password of some length";
const EMAIL: &str = "ada@platform.example";

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// A deployment in a folder, on SQLite.
struct Deployment {
    folder: TempDir,
    port: u16,
}

impl Deployment {
    fn new() -> Self {
        let new = Self { folder: tempfile::tempdir().unwrap(), port: free_port() };
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

    fn command(&self, args: &[&str]) -> Command {
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
            .stdin(Stdio::null());
        command
    }

    fn add_staff(&self) {
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

    async fn serve(&self) -> Serving {
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

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// A server that is ended with the test.
struct Serving(Child);

impl Serving {
    fn ask_to_stop(&self) {
        let asked = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        assert!(asked.unwrap().success());
    }

    /// Waits for its end; how long that took, and whether it was a success.
    async fn ended(&mut self) -> (Duration, bool) {
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

fn client() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

async fn sign_in(port: u16) -> reqwest::Result<reqwest::Response> {
    client()
        .post(format!("http://127.0.0.1:{port}/do/sign_in"))
        .header("sec-fetch-site", "same-origin")
        .header("accept", "text/html")
        .header("cookie", "keyturn-kept=1")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!(
            "email={}&password={}&next=%2Forgs",
            EMAIL.replace('@', "%40"),
            PASSWORD.replace(' ', "+")
        ))
        .send()
        .await
}

/// Protects whoever works while the server is replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_was_let_in_has_an_answer_before_it_stops() {
    let deployment = Deployment::new();
    deployment.add_staff();
    let mut serving = deployment.serve().await;
    let port = deployment.port;
    let first = sign_in(port).await.unwrap();
    assert_eq!(first.headers()["location"], "/orgs");
    let cookie = first.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap();
    let mut live = client()
        .get(format!("http://127.0.0.1:{port}/audit/live"))
        .header("accept", "text/event-stream")
        .header("sec-fetch-site", "same-origin")
        .header("cookie", cookie)
        .send()
        .await
        .unwrap();
    let hello = live.chunk().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&hello).contains("retry: "), "{hello:?}");

    let in_flight: Vec<_> = (0..15).map(|_| tokio::spawn(sign_in(port))).collect();
    // Until all of them are let in, and before the last one has its answer.
    tokio::time::sleep(Duration::from_millis(100)).await;
    serving.ask_to_stop();
    let mut answered_later = 0;
    let asked = Instant::now();
    for request in in_flight {
        let answer = request.await.unwrap().expect("an answer");
        assert_eq!(answer.status(), 303);
        assert_eq!(answer.headers()["location"], "/orgs");
        answered_later += usize::from(asked.elapsed() > Duration::from_millis(5));
    }
    assert!(answered_later > 0, "none of them was still in flight");
    while let Some(part) = live.chunk().await.expect("the stream ends as it should") {
        drop(part);
    }
    let (took, well) = serving.ended().await;
    let log = read(&deployment.folder.path().join("log"));
    assert!(well && took < Duration::from_secs(10), "{took:?} {log}");
    assert!(sign_in(port).await.is_err(), "nobody listens any more");
    assert!(log.contains("stopped"), "{log}");
    // It was closed, and not left: nothing is to be put in order at the next start.
    assert!(!deployment.folder.path().join("data/keyturn.db-wal").exists(), "{log}");
    let mut again = deployment.serve().await;
    assert_eq!(sign_in(port).await.unwrap().status(), 303);
    again.ask_to_stop();
    assert!(again.ended().await.1);
}

/// Protects from a wait that nobody explains.
#[tokio::test]
async fn a_database_that_is_not_there_is_said_soon_and_by_its_place() {
    let deployment = Deployment::new();
    let nobody = free_port();
    let url = format!("postgres://keyturn:a-made-up-password@127.0.0.1:{nobody}/keyturn");
    let begun = Instant::now();
    let check =
        deployment.command(&["serve", "--check"]).env("KEYTURN_DATABASE_URL", &url).output();
    let check = check.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(!check.status.success());
    let said = String::from_utf8_lossy(&check.stderr).into_owned();
    assert!(said.contains(&format!("127.0.0.1:{nobody}")), "{said}");
    let all = format!("{said}{}", String::from_utf8_lossy(&check.stdout));
    assert!(!all.contains("a-made-up-password"), "{all}");

    // One that serves waits for it a little, and says so meanwhile.
    let log = deployment.folder.path().join("log");
    let file = std::fs::File::create(&log).unwrap();
    let mut command = deployment.command(&["serve"]);
    command.env("KEYTURN_DATABASE_URL", &url).stdout(file.try_clone().unwrap()).stderr(file);
    let _serving = Serving(command.spawn().unwrap());
    let begun = Instant::now();
    while !read(&log).contains(&format!("127.0.0.1:{nobody} does not answer")) {
        assert!(begun.elapsed() < Duration::from_secs(10), "{}", read(&log));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!read(&log).contains("a-made-up-password"));
}
