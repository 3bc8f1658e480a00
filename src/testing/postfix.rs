//! Postfix, the real one: a mail server of the test's own, with mailboxes in a folder.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::programs::{Running, free_port};
use super::sinks::TestAuthority;

/// The services that receiving a mail and putting it into a mailbox takes.
const SERVICES: &str = "\
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
proxymap unix - - n - - proxymap
tlsmgr unix - - n 1000? 1 tlsmgr
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
";

/// A running Postfix.
pub(crate) struct Postfix {
    /// The port where it takes mail.
    pub(crate) port: u16,
    /// The port where it takes mail over TLS alone.
    pub(crate) tls_port: u16,
    folder: TempDir,
    _running: Running,
}

impl Postfix {
    /// Starts it with mailboxes for these addresses of these domains. `rules` are lines of its
    /// configuration.
    pub(crate) async fn start(domains: &[&str], mailboxes: &[&str], rules: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("postfix").tempdir().unwrap();
        let at = folder.path();
        let open = |path: &Path| {
            std::fs::create_dir_all(path).unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        for name in ["", "config", "queue", "data", "mail"] {
            open(&at.join(name));
        }
        // Postfix keeps its own things as this user, and puts mails down as nobody.
        give(&at.join("data"), "postfix");
        give(&at.join("mail"), "nobody");
        let (port, tls_port) = (free_port(), free_port());
        let (certificate, key) = TestAuthority::new().issue(&["localhost"]);
        std::fs::write(at.join("config/tls.pem"), format!("{key}{certificate}")).unwrap();
        let maps: String =
            mailboxes.iter().map(|address| format!("{{ {address} = {address}/ }} ")).collect();
        let main = format!(
            "compatibility_level = 3.6\n\
             queue_directory = {at}/queue\n\
             data_directory = {at}/data\n\
             maillog_file = {at}/log\n\
             maillog_file_prefixes = {at}\n\
             command_directory = /usr/sbin\n\
             daemon_directory = /usr/lib/postfix/sbin\n\
             mail_owner = postfix\n\
             setgid_group = postdrop\n\
             inet_interfaces = 127.0.0.1\n\
             inet_protocols = ipv4\n\
             myhostname = mail.customer.example\n\
             mydestination =\n\
             mynetworks = 192.0.2.0/24\n\
             alias_maps =\n\
             virtual_mailbox_domains = {domains}\n\
             virtual_mailbox_maps = inline:{{ {maps}}}\n\
             virtual_mailbox_base = {at}/mail\n\
             virtual_uid_maps = static:{nobody}\n\
             virtual_gid_maps = static:{nobody}\n\
             virtual_minimum_uid = 1\n\
             smtpd_tls_chain_files = {at}/config/tls.pem\n\
             {rules}\n",
            at = at.display(),
            domains = domains.join(", "),
            nobody = id_of("nobody"),
        );
        std::fs::write(at.join("config/main.cf"), main).unwrap();
        let master = format!(
            "127.0.0.1:{port} inet n - n - - smtpd\n\
             127.0.0.1:{tls_port} inet n - n - - smtpd -o smtpd_tls_security_level=encrypt\n\
             {SERVICES}"
        );
        std::fs::write(at.join("config/master.cf"), master).unwrap();
        let said = at.join("said");
        let mut command = Command::new("/usr/sbin/postfix");
        command.arg("-c").arg(at.join("config")).arg("start-fg");
        let mut running = Running::start(&mut command, &said);
        running.listens_at(port, &said).await;
        Self { port, tls_port, folder, _running: running }
    }

    /// Its version.
    pub(crate) fn version() -> String {
        let output = Command::new("/usr/sbin/postconf").args(["-d", "-h", "mail_version"]).output();
        String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned()
    }

    /// The address for mailers.
    pub(crate) fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// The mails in a mailbox, as files, once there are so many.
    ///
    /// # Panics
    /// Where there are not after half a minute, with the server's log.
    pub(crate) async fn mails(&self, address: &str, many: usize) -> Vec<PathBuf> {
        let new = self.folder.path().join("mail").join(address).join("new");
        for _ in 0..300 {
            let found: Vec<PathBuf> = std::fs::read_dir(&new)
                .map(|files| files.map(|file| file.unwrap().path()).collect())
                .unwrap_or_default();
            if found.len() >= many {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        panic!("not {many} mails for {address}: {log}");
    }
}

fn id_of(user: &str) -> u32 {
    let output = Command::new("id").args(["-u", user]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

fn give(path: &Path, user: &str) {
    let id = id_of(user);
    chown(path, Some(id), None).unwrap_or_else(|e| panic!("Postfix is started by root alone: {e}"));
}
