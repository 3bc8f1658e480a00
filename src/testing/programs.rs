//! Real programs that the tests meet: where they are, a free port for each, and an end for each.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A program that came from PyPI, by `.ci/requirements.txt`.
///
/// # Panics
/// Where it is not installed: a test that needs it fails, and does not pass without it.
pub(crate) fn from_pypi(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/python/bin").join(name);
    assert!(path.exists(), "{} is not there: run `make test-tools`", path.display());
    path
}

/// Node with a script that finds the packages of `end2end/package.json`.
///
/// # Panics
/// Where they are not installed.
pub(crate) fn node_script(script: &Path) -> Command {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("end2end/node_modules");
    assert!(packages.exists(), "{} is not there: run `make test-tools`", packages.display());
    let mut node = Command::new("node");
    node.env("NODE_PATH", packages).arg(script);
    node
}

/// A program that came from npm, by `end2end/package.json`: to be run by `node` in that folder.
///
/// # Panics
/// Where it is not installed.
pub(crate) fn from_npm(name: &str) -> PathBuf {
    let path = end2end().join("node_modules/.bin").join(name);
    assert!(path.exists(), "{} is not there: run `make test-tools`", path.display());
    path
}

/// The folder in which `node` finds the packages of npm.
pub(crate) fn end2end() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("end2end")
}

/// The version of a package of npm, as it is installed.
pub(crate) fn npm_version(package: &str) -> String {
    let file = end2end().join("node_modules").join(package).join("package.json");
    let text = std::fs::read(&file)
        .unwrap_or_else(|e| panic!("{}: {e}: run `make test-tools`", file.display()));
    let said: serde_json::Value = serde_json::from_slice(&text).expect("a package.json");
    said["version"].as_str().expect("its version").to_owned()
}

/// The version of a package of PyPI, as `.ci/requirements.txt` pins it.
pub(crate) fn pypi_version(package: &str) -> String {
    let pins = include_str!("../../.ci/requirements.txt");
    let pin = pins.lines().find_map(|l| l.strip_prefix(package)?.strip_prefix("=="));
    pin.unwrap_or_else(|| panic!("{package} is not in .ci/requirements.txt")).to_owned()
}

/// Runs a program to its end, on a thread of its own; what it said, and whether it went well.
pub(crate) async fn run(mut command: Command) -> (bool, String) {
    let name = command.get_program().to_string_lossy().into_owned();
    let ran = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output());
    let output = ran
        .await
        .expect("its thread")
        .unwrap_or_else(|e| panic!("{name}: {e}: run `make test-tools`"));
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// The same, where it has to go well; what it said.
///
/// # Panics
/// Where it does not, with what it said.
pub(crate) async fn run_well(command: Command) -> String {
    let name = format!("{command:?}");
    let (well, said) = run(command).await;
    assert!(well, "{name}:\n{said}");
    said
}

/// Runs a script of Python with the packages of PyPI.
pub(crate) async fn python(script: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(from_pypi("python"));
    command.arg("-c").arg(script).args(arguments);
    run_well(command).await
}

/// Runs a module of JavaScript with the packages of npm.
pub(crate) async fn node(script: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("node");
    command.current_dir(end2end()).args(["--input-type=module", "-e", script, "--"]);
    command.args(arguments);
    run_well(command).await
}

/// A port of this machine that nobody listens at.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// A program that runs until this is dropped. It is asked to end, and ended where it does not.
pub(crate) struct Running {
    child: Child,
    name: String,
}

impl Running {
    /// Starts it, its output going to `log`.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let file = std::fs::File::create(log).expect("a log file");
        let again = file.try_clone().expect("the log file");
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(again)
            .spawn()
            .unwrap_or_else(|e| panic!("{name}: {e}: run `make test-tools`"));
        Self { child, name }
    }

    /// Ends it without asking.
    pub(crate) fn kill(mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Waits until something listens at the port.
    ///
    /// # Panics
    /// Where nothing does within 30 seconds, or the program has ended; with the end of its log.
    pub(crate) async fn listens_at(&mut self, port: u16, log: &Path) {
        let started = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            let ended = self.child.try_wait().expect("its state");
            if ended.is_some() || started.elapsed() > Duration::from_secs(30) {
                panic!("{} does not listen ({ended:?}): {}", self.name, end_of(log));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its number may be another's by now.
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let asked = Command::new("kill").arg(self.child.id().to_string()).status();
        for _ in 0..40 {
            if asked.is_err() || matches!(self.child.try_wait(), Ok(Some(_))) {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a program says of its version: the first word that looks like one.
pub(crate) async fn version_of(program: &str, flag: &str) -> String {
    let mut command = Command::new(program);
    command.arg(flag);
    let said = run_well(command).await;
    let ends = |c: char| c.is_whitespace() || matches!(c, '/' | '-' | ',' | '(' | ')');
    let number = |w: &&str| w.starts_with(|c: char| c.is_ascii_digit()) && w.contains('.');
    said.split(ends).find(number).unwrap_or("unknown").to_owned()
}

/// The version of a package of Debian, for programs that do not say theirs.
///
/// # Panics
/// Where it is not installed.
pub(crate) fn debian_version(package: &str) -> String {
    let mut command = Command::new("dpkg-query");
    command.args(["--show", "--showformat=${Version}", package]);
    let output = command.output().unwrap_or_else(|e| panic!("dpkg-query: {e}"));
    let version = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && !version.is_empty(), "{package}: {output:?}");
    version
}

/// The last lines of a log.
pub(crate) fn end_of(log: &Path) -> String {
    let Ok(file) = std::fs::File::open(log) else { return "(no log)".to_owned() };
    let lines: Vec<String> = BufReader::new(file).lines().map_while(Result::ok).collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
