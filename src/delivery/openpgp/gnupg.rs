//! Test help: a real GnuPG with a home folder and a clock of its own.

use std::cell::Cell;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use super::MICROS_PER_SECOND;

/// 2026-03-01T00:00:00Z, in unix seconds.
const START: i64 = 1_772_323_200;

pub(crate) const DAY: i64 = 24 * 60 * 60 * MICROS_PER_SECOND;

pub(crate) struct Gnupg {
    home: tempfile::TempDir,
    /// Unix seconds. Each run moves it on by a minute, so that no two signatures are of one second.
    clock: Cell<i64>,
}

#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) stdout: Vec<u8>,
    /// What GnuPG reports for programs, `[GNUPG:] …`, a line each.
    pub(crate) status: String,
}

impl Gnupg {
    pub(crate) fn new() -> Self {
        // The agent's socket goes in here, and the path of a socket has to be short.
        let private = std::fs::Permissions::from_mode(0o700);
        let home = tempfile::Builder::new().prefix("g").permissions(private).tempdir().unwrap();
        Self { home, clock: Cell::new(START) }
    }

    /// What gpg's clock shows, in microseconds.
    pub(crate) fn now(&self) -> i64 {
        self.clock.get() * MICROS_PER_SECOND
    }

    /// Moves gpg's clock by so many microseconds, backwards where negative.
    pub(crate) fn travel(&self, by: i64) {
        self.clock.set(self.clock.get() + by / MICROS_PER_SECOND);
    }

    /// Its home folder.
    pub(crate) fn home(&self) -> &std::path::Path {
        self.home.path()
    }

    /// Runs gpg, which has to succeed.
    pub(crate) fn run(&self, args: &[&str], stdin: &[u8]) -> Output {
        self.try_run(args, stdin).unwrap_or_else(|status| panic!("gpg {args:?}: {status}"))
    }

    /// Runs gpg; as an error, what it said where it did not succeed.
    pub(crate) fn try_run(&self, args: &[&str], stdin: &[u8]) -> Result<Output, String> {
        self.travel(60 * MICROS_PER_SECOND);
        let time = self.clock.get().to_string();
        let mut child = Command::new("gpg")
            .arg("--homedir")
            .arg(self.home.path())
            .args(["--batch", "--yes", "--quiet", "--no-auto-key-locate"])
            .args(["--pinentry-mode", "loopback", "--passphrase", ""])
            .args(["--status-fd", "2", "--faked-system-time", &time])
            .args(args)
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("these tests need GnuPG (`gpg`)");
        // What is sent fits into the pipe, so gpg cannot be kept waiting by it.
        child.stdin.take().unwrap().write_all(stdin).unwrap();
        let output = child.wait_with_output().unwrap();
        let status = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() {
            return Err(status);
        }
        Ok(Output { stdout: output.stdout, status })
    }

    /// Makes a key and returns its fingerprint.
    pub(crate) fn make(&self, user: &str, algorithm: &str, usage: &str, expire: &str) -> String {
        let args = ["--quick-generate-key", user, algorithm, usage, expire];
        let status = self.run(&args, b"").status;
        let line = status.lines().find(|line| line.contains("KEY_CREATED"));
        line.and_then(|line| line.split(' ').nth(3)).unwrap().to_owned()
    }

    /// Adds a subkey and returns its fingerprint.
    pub(crate) fn add_subkey(
        &self,
        key: &str,
        algorithm: &str,
        usage: &str,
        expire: &str,
    ) -> String {
        let before = self.subkeys(key);
        self.run(&["--quick-add-key", key, algorithm, usage, expire], b"");
        let mut after = self.subkeys(key);
        after.retain(|subkey| !before.contains(subkey));
        after.pop().unwrap()
    }

    fn subkeys(&self, key: &str) -> Vec<String> {
        let listing = self.run(&["--with-colons", "--list-keys", key], b"").stdout;
        let listing = String::from_utf8(listing).unwrap();
        let prints = listing.lines().filter(|line| line.starts_with("fpr:"));
        let prints = prints.map(|line| line.split(':').nth(9).unwrap().to_owned());
        prints.filter(|print| print != key).collect()
    }

    /// Answers gpg's questions in `--edit-key`, a line each.
    pub(crate) fn edit(&self, key: &str, answers: &[&str]) {
        let answers = answers.join("\n") + "\n";
        self.run(&["--command-fd", "0", "--edit-key", key], answers.as_bytes());
    }

    /// Imports the revocation that gpg makes together with each key.
    pub(crate) fn revoke(&self, key: &str) {
        let file = self.home.path().join(format!("openpgp-revocs.d/{key}.rev"));
        let text = std::fs::read_to_string(file).unwrap();
        // A colon keeps the block from being used by accident.
        let block = text.replace("\n:-----BEGIN", "\n-----BEGIN");
        self.run(&["--import"], block.as_bytes());
    }

    /// The secret key, armored and not locked.
    pub(crate) fn export_secret(&self, key: &str) -> String {
        let output = self.run(&["--armor", "--export-secret-keys", key], b"");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn export(&self, key: &str) -> String {
        let output = self.run(&["--armor", "--export", key], b"");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Gnupg {
    fn drop(&mut self) {
        let agent = Command::new("gpgconf")
            .arg("--homedir")
            .arg(self.home.path())
            .args(["--kill", "gpg-agent"])
            .output();
        drop(agent);
    }
}
