//! Real receivers of syslog over TLS: rsyslog with each of its TLS drivers, and syslog-ng.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::testing::programs::{Running, free_port, version_of};
use crate::testing::sinks::TestAuthority;

/// Which program it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// rsyslog, with GnuTLS.
    RsyslogGnutls,
    /// rsyslog, with OpenSSL.
    RsyslogOpenssl,
    /// syslog-ng.
    SyslogNg,
}

/// A receiver that can be stopped and started again, and keeps what it has parsed.
pub(crate) struct Receiver {
    program: Program,
    running: Option<Running>,
    port: u16,
    folder: TempDir,
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
}

impl Receiver {
    /// One with a certificate of this authority, that asks for one of it where `client` says so.
    pub(crate) async fn start(program: Program, authority: &TestAuthority, client: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("a file");
        };
        let (certificate, key) = authority.issue(&["127.0.0.1"]);
        write("ca.pem", &authority.pem);
        write("cert.pem", &certificate);
        write("key.pem", &key);
        let port = free_port();
        let config = match program {
            Program::SyslogNg => syslog_ng(folder.path(), port, client),
            Program::RsyslogGnutls => rsyslog(folder.path(), port, client, "gtls"),
            Program::RsyslogOpenssl => rsyslog(folder.path(), port, client, "ossl"),
        };
        write("config", &config);
        let address = format!("127.0.0.1:{port}");
        let mut receiver = Self { program, running: None, port, folder, address };
        receiver.start_again().await;
        receiver
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(&mut self) {
        self.running = None;
    }

    /// Starts it where it was.
    pub(crate) async fn start_again(&mut self) {
        let (folder, log) = (self.folder.path(), self.folder.path().join("log"));
        let file = |name: &str| folder.join(name).display().to_string();
        let mut command = match self.program {
            Program::SyslogNg => {
                let (mut command, root) = unpacked();
                command
                    .args(["--foreground", "--no-caps", "--cfgfile", &file("config")])
                    .args(["--persist-file", &file("persist"), "--pidfile", &file("pid")])
                    .args(["--control", &file("control")])
                    .arg(format!("--module-path={}", modules(&root).display()));
                command
            }
            _ => {
                let mut command = Command::new("rsyslogd");
                command.args(["-n", "-f", &file("config"), "-i", &file("pid")]);
                command
            }
        };
        let mut running = Running::start(&mut command, &log);
        running.listens_at(self.port, &log).await;
        self.running = Some(running);
    }

    /// The rows that it has read as JSON, `log seq action MSGID`.
    pub(crate) fn parsed(&self) -> BTreeSet<String> {
        self.lines("rows").into_iter().collect()
    }

    /// What it could not read as JSON.
    pub(crate) fn unparsed(&self) -> Vec<String> {
        self.lines("unparsed")
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// What it says of itself.
    pub(crate) fn log(&self) -> String {
        crate::testing::programs::end_of(&self.folder.path().join("log"))
    }

    /// Its name and version.
    pub(crate) async fn who(&self) -> (&'static str, String) {
        match self.program {
            Program::RsyslogGnutls => ("rsyslog, driver gtls", version_of("rsyslogd", "-v").await),
            Program::RsyslogOpenssl => ("rsyslog, driver ossl", version_of("rsyslogd", "-v").await),
            Program::SyslogNg => {
                let (mut command, root) = unpacked();
                command.arg(format!("--module-path={}", modules(&root).display())).arg("-V");
                let said = crate::testing::programs::run_well(command).await;
                let version = said.split(['(', ')']).nth(1).unwrap_or("unknown").to_owned();
                ("syslog-ng", version)
            }
        }
    }
}

/// `.ci/syslog-ng.sh` unpacks it, since its package and rsyslog's exclude each other.
fn unpacked() -> (Command, PathBuf) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/syslog-ng");
    let program = root.join("usr/sbin/syslog-ng");
    assert!(program.exists(), "{} is not there: run `make test-tools`", program.display());
    let architecture = format!("{}-linux-gnu", std::env::consts::ARCH);
    let libraries = [
        root.join("usr/lib/syslog-ng"),
        root.join("usr/lib").join(&architecture),
        root.join("lib").join(&architecture),
    ];
    let path: Vec<String> = libraries.iter().map(|p| p.display().to_string()).collect();
    let mut command = Command::new(program);
    command.env("LD_LIBRARY_PATH", path.join(":"));
    (command, root)
}

/// The folder with its modules: it has the version's name.
fn modules(root: &Path) -> PathBuf {
    let folder = root.join("usr/lib/syslog-ng");
    let entries = std::fs::read_dir(&folder).expect("its libraries").filter_map(Result::ok);
    let found = entries.map(|e| e.path()).find(|p| p.is_dir());
    found.expect("the folder with its modules")
}

fn rsyslog(folder: &Path, port: u16, client: bool, driver: &str) -> String {
    let folder = folder.display();
    let mode = if client { "x509/certvalid" } else { "anon" };
    format!(
        r#"global(workDirectory="{folder}" maxMessageSize="256k" defaultNetstreamDriver="{driver}"
  defaultNetstreamDriverCAFile="{folder}/ca.pem" defaultNetstreamDriverCertFile="{folder}/cert.pem"
  defaultNetstreamDriverKeyFile="{folder}/key.pem")
module(load="imtcp" StreamDriver.Name="{driver}" StreamDriver.Mode="1" StreamDriver.AuthMode="{mode}")
module(load="mmjsonparse")
template(name="row" type="string" string="%$!log% %$!seq% %$!action% %msgid%\n")
template(name="raw" type="string" string="%msg%\n")
input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="rows")
ruleset(name="rows") {{
  action(type="mmjsonparse" cookie="")
  if $parsesuccess == "OK" then {{ action(type="omfile" file="{folder}/rows" template="row") }}
  else {{ action(type="omfile" file="{folder}/unparsed" template="raw") }}
}}
syslog.* action(type="omfile" file="{folder}/own")
"#
    )
}

fn syslog_ng(folder: &Path, port: u16, client: bool) -> String {
    let folder = folder.display();
    let verify = if client { "required-trusted" } else { "optional-untrusted" };
    format!(
        r#"@version: 3.38
options {{ log-msg-size(262144); stats-freq(0); }};
source s {{ syslog(ip("127.0.0.1") port({port}) transport("tls") max-connections(50)
  tls(key-file("{folder}/key.pem") cert-file("{folder}/cert.pem") ca-file("{folder}/ca.pem")
      peer-verify({verify}))); }};
parser json {{ json-parser(prefix(".row.")); }};
destination rows {{ file("{folder}/rows" template("${{.row.log}} ${{.row.seq}} ${{.row.action}} ${{MSGID}}\n")); }};
destination raw {{ file("{folder}/unparsed" template("${{MSG}}\n")); }};
log {{ source(s); log {{ parser(json); destination(rows); flags(final); }};
  log {{ destination(raw); flags(fallback); }}; }};
"#
    )
}
