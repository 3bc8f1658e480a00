//! The configuration of `keyturn serve`: a TOML file, then `KEYTURN_*`, then flags. What is
//! secret can also stand in a file of its own (`…_FILE`).

pub mod database;
pub mod forward;
pub mod limits;
pub mod proxies;
pub mod vault;
pub mod witness;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use crate::model::{Micros, time};

/// A configuration that has been found good.
#[derive(Debug)]
pub struct Config {
    /// Where the console listens.
    pub listen: SocketAddr,
    /// Where people reach it, without a slash at the end.
    pub base_url: String,
    /// The data folder, for SQLite.
    pub data: PathBuf,
    /// The database; SQLite in the data folder where absent.
    pub database_url: Option<SecretString>,
    /// The file with the keys.
    pub keys_file: PathBuf,
    /// What the logs' origins begin with.
    pub log_origin: String,
    /// The mail server.
    pub smtp_url: SecretString,
    /// Who mails come from.
    pub mail_from: String,
    /// How long an impersonation lasts.
    pub impersonation_life: Micros,
    /// How long an old webhook key stays valid, in seconds.
    pub overlap_seconds: i64,
    /// How old it may be that support authenticated a requester.
    pub proof_life: Micros,
    /// How long a new credential of an org works.
    pub credential_life: Micros,
    /// The token with which services may introspect.
    pub introspection_token: Option<SecretString>,
    /// The token with which a program may file tickets; without it there is no intake.
    pub intake_token: Option<SecretString>,
    /// What the numbers of tickets begin with.
    pub tickets_prefix: String,
    /// The Zendesk that keeps the tickets; without it they are kept here.
    pub zendesk: Option<Zendesk>,
    /// The file with the authorities that count besides the public ones, for what is outside.
    pub ca_file: Option<PathBuf>,
    /// How many connections are held at once.
    pub limits: limits::Limits,
    /// The proxies in front of the console.
    pub proxies: proxies::Proxies,
    /// The folder in which a witness keeps the logs' checkpoints.
    pub witness_folder: Option<PathBuf>,
    /// A witness that is asked over HTTP (C2SP tlog-witness).
    pub witness: Option<witness::Witness>,
    /// Where new rows of the logs are sent to.
    pub forward: forward::Forward,
    /// The folder with the browser library.
    pub pkg: PathBuf,
    /// How many connections to the database.
    pub connections: u32,
    /// Whether log lines are JSON.
    pub json_logs: bool,
    /// The vault.
    pub vault: vault::VaultSettings,
    /// The 1Password Connect server, and its access token; without it no handoff goes into a
    /// shared vault.
    pub one_password: Option<OnePassword>,
    /// Where gateways are listened to; nowhere where absent.
    pub gateway_listen: Option<SocketAddr>,
    /// The names under which gateways reach that: hosts, or addresses.
    pub gateway_names: Vec<String>,
    /// How often gateways beat.
    pub gateway_interval: Micros,
}

/// Where the 1Password Connect server is.
#[derive(Debug)]
pub struct OnePassword {
    /// Its address, without `/v1`.
    pub url: String,
    /// The access token.
    pub token: SecretString,
}

/// A Zendesk, and what its custom ticket fields are called (their titles, or their ids in
/// digits).
#[derive(Debug)]
pub struct Zendesk {
    /// Its address, without a slash at the end.
    pub url: String,
    /// The address of the agent whose API token it is.
    pub email: String,
    /// The API token.
    pub token: SecretString,
    /// The field with how support authenticated the requester.
    pub field_how: Option<String>,
    /// The field with when it did.
    pub field_when: Option<String>,
    /// The field with the secret's id.
    pub field_secret_id: Option<String>,
    /// The field with the secret's type.
    pub field_secret_type: Option<String>,
    /// The field that says that a leak is suspected.
    pub field_leak: Option<String>,
}

/// One setting: its name, whether it is secret, and what it is.
struct Setting {
    name: &'static str,
    secret: bool,
}

const SETTINGS: &[Setting] = &[
    Setting { name: "listen", secret: false },
    Setting { name: "base_url", secret: false },
    Setting { name: "data", secret: false },
    Setting { name: "database_url", secret: true },
    Setting { name: "database_ca_file", secret: false },
    Setting { name: "keys_file", secret: false },
    Setting { name: "log_origin", secret: false },
    Setting { name: "smtp_url", secret: true },
    Setting { name: "mail_from", secret: false },
    Setting { name: "impersonation_minutes", secret: false },
    Setting { name: "overlap_seconds", secret: false },
    Setting { name: "authentication_days", secret: false },
    Setting { name: "org_credential_days", secret: false },
    Setting { name: "introspection_token", secret: true },
    Setting { name: "ca_file", secret: false },
    Setting { name: "max_connections", secret: false },
    Setting { name: "max_connections_per_client", secret: false },
    Setting { name: "client_ip_header", secret: false },
    Setting { name: "trusted_proxies", secret: false },
    Setting { name: "witness_folder", secret: false },
    Setting { name: "witness_url", secret: false },
    Setting { name: "witness_key", secret: false },
    Setting { name: "intake_token", secret: true },
    Setting { name: "tickets_prefix", secret: false },
    Setting { name: "tickets_zendesk_url", secret: false },
    Setting { name: "tickets_email", secret: false },
    Setting { name: "tickets_token", secret: true },
    Setting { name: "tickets_field_how", secret: false },
    Setting { name: "tickets_field_when", secret: false },
    Setting { name: "tickets_field_secret_id", secret: false },
    Setting { name: "tickets_field_secret_type", secret: false },
    Setting { name: "tickets_field_leak", secret: false },
    Setting { name: "forward_syslog", secret: false },
    Setting { name: "forward_syslog_bom", secret: false },
    Setting { name: "forward_http", secret: false },
    Setting { name: "forward_http_token", secret: true },
    Setting { name: "forward_ca_file", secret: false },
    Setting { name: "forward_client_cert_file", secret: false },
    Setting { name: "forward_client_key_file", secret: false },
    Setting { name: "pkg", secret: false },
    Setting { name: "connections", secret: false },
    Setting { name: "json_logs", secret: false },
    Setting { name: "vault_addr", secret: false },
    Setting { name: "vault_namespace", secret: false },
    Setting { name: "vault_token_file", secret: false },
    Setting { name: "vault_approle_role_id", secret: false },
    Setting { name: "vault_approle_secret_id_file", secret: false },
    Setting { name: "vault_token_role", secret: false },
    Setting { name: "vault_ca_file", secret: false },
    Setting { name: "vault_allowed_policies", secret: false },
    Setting { name: "one_password_url", secret: false },
    Setting { name: "one_password_token", secret: true },
    Setting { name: "gateway_listen", secret: false },
    Setting { name: "gateway_names", secret: false },
    Setting { name: "gateway_heartbeat_seconds", secret: false },
];

/// Settings by name, before they are looked at.
#[derive(Default)]
pub struct Raw {
    values: BTreeMap<&'static str, SecretString>,
    problems: Vec<String>,
}

impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.values.keys()).finish()
    }
}

impl Raw {
    /// Reads the file, if there is one, and then the environment. What cannot be read is said by
    /// [`Raw::validate`] along with everything else.
    #[must_use]
    pub fn read(file: Option<&Path>, environment: impl Fn(&str) -> Option<String>) -> Self {
        let mut raw = Self::default();
        if let Some(file) = file {
            raw.read_file(file);
        }
        for setting in SETTINGS {
            let name = format!("KEYTURN_{}", setting.name.to_uppercase());
            if let Some(value) = environment(&name) {
                raw.values.insert(setting.name, value.into());
            }
            if setting.secret
                && let Some(path) = environment(&format!("{name}_FILE"))
            {
                raw.read_secret(setting.name, Path::new(&path));
            }
        }
        // The names that everything else uses, too.
        for (theirs, ours) in [
            ("DATABASE_URL", "database_url"),
            ("VAULT_ADDR", "vault_addr"),
            ("VAULT_NAMESPACE", "vault_namespace"),
            ("VAULT_CACERT", "vault_ca_file"),
        ] {
            if let Some(value) = environment(theirs) {
                raw.values.entry(ours).or_insert_with(|| value.into());
            }
        }
        raw
    }

    /// Sets one setting, as a flag does.
    pub fn set(&mut self, name: &'static str, value: String) {
        self.values.insert(name, value.into());
    }

    fn read_secret(&mut self, name: &'static str, path: &Path) {
        match std::fs::read_to_string(path) {
            Ok(text) => {
                self.values.insert(name, text.trim_end().into());
            }
            Err(e) => self.problems.push(format!("{name}_file {}: {e}", path.display())),
        }
    }

    fn read_file(&mut self, file: &Path) {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(e) => return self.problems.push(format!("{}: {e}", file.display())),
        };
        let table: toml::Table = match text.parse() {
            Ok(table) => table,
            Err(e) => return self.problems.push(format!("{}: {}", file.display(), e.message())),
        };
        self.read_table("", table);
    }

    /// `[tickets] email` is `tickets_email`.
    fn read_table(&mut self, group: &str, table: toml::Table) {
        for (name, value) in table {
            let name = format!("{group}{name}");
            let text = match value {
                toml::Value::Table(table) if group.is_empty() => {
                    self.read_table(&format!("{name}_"), table);
                    continue;
                }
                toml::Value::String(s) => s,
                toml::Value::Integer(n) => n.to_string(),
                toml::Value::Boolean(b) => b.to_string(),
                toml::Value::Array(all) if all.iter().all(toml::Value::is_str) => {
                    let all: Vec<_> = all.iter().filter_map(toml::Value::as_str).collect();
                    all.join(",")
                }
                _ => {
                    self.problems.push(format!(
                        "{name} is a text, a number, true or false, or a list of texts"
                    ));
                    continue;
                }
            };
            if let Some(setting) = SETTINGS.iter().find(|s| s.name == name) {
                self.values.insert(setting.name, text.into());
            } else if let Some(setting) =
                SETTINGS.iter().find(|s| s.secret && name.strip_suffix("_file") == Some(s.name))
            {
                self.read_secret(setting.name, Path::new(&text));
            } else {
                self.problems.push(format!("there is no setting {name}"));
            }
        }
    }

    /// Every setting as `name = value`, with the secret ones left out.
    #[must_use]
    pub fn describe(&self) -> String {
        SETTINGS
            .iter()
            .map(|s| match self.values.get(s.name) {
                None => format!("{} = (default)\n", s.name),
                Some(_) if s.secret => format!("{} = (set, not shown)\n", s.name),
                Some(value) => format!("{} = {}\n", s.name, value.expose_secret()),
            })
            .collect()
    }

    /// Looks at everything, and says all that is wrong at once.
    ///
    /// # Errors
    /// A line for each thing that is wrong.
    pub fn validate(self) -> Result<Config, Vec<String>> {
        let mut wrong = self.problems;
        let values = self.values;
        let text = |name: &str| {
            values.get(name).map(|v| v.expose_secret().to_owned()).filter(|v| !v.is_empty())
        };
        let mut need = |name: &str, what: &str| {
            text(name).unwrap_or_else(|| {
                wrong.push(format!("{name} is missing: {what}"));
                String::new()
            })
        };
        let base_url =
            need("base_url", "where people reach the console, e.g. https://keyturn.example");
        let keys_file = need("keys_file", "the file that `keyturn keys new` made");
        let log_origin = need(
            "log_origin",
            "the name of this deployment in signed checkpoints, e.g. keyturn.example",
        );
        let smtp_url = need("smtp_url", "the mail server, e.g. smtps://user:password@mail.example");
        let mail_from =
            need("mail_from", "who mails come from, e.g. Keyturn <keyturn@platform.example>");
        // By the mailer's own reading, which is the one that counts.
        if !mail_from.is_empty() && mail_from.parse::<lettre::message::Mailbox>().is_err() {
            wrong.push(format!(
                "mail_from is a name and an address, e.g. Keyturn <keyturn@platform.example>: mail could not come from {mail_from:?}"
            ));
        }
        let mut number = |name: &str, default: i64, min: i64, max: i64| match text(name)
            .map(|t| t.parse::<i64>())
        {
            None => default,
            Some(Ok(n)) if (min..=max).contains(&n) => n,
            Some(_) => {
                wrong.push(format!("{name} is a whole number from {min} to {max}"));
                default
            }
        };
        let minutes = number("impersonation_minutes", 15, 1, 30);
        let overlap_seconds = number("overlap_seconds", 86_400, 0, 604_800);
        let authentication_days = number("authentication_days", 7, 1, 30);
        let credential_days = number("org_credential_days", 365, 1, 1095);
        let connections = number("connections", 10, 2, 100);
        let limits = limits::read(&mut number);
        let heartbeat = number("gateway_heartbeat_seconds", 30, 1, 3600);
        let listen = text("listen").unwrap_or_else(|| "127.0.0.1:3000".to_owned());
        let listen = listen.parse().unwrap_or_else(|_| {
            wrong.push("listen is an address with a port, e.g. 127.0.0.1:3000".to_owned());
            SocketAddr::from(([127, 0, 0, 1], 3000))
        });
        let base_url = base_url.trim_end_matches('/').to_owned();
        let host = |address: &str| {
            url::Url::parse(address).ok().and_then(|url| url.host_str().map(str::to_owned))
        };
        let loopback = |address: &str| {
            matches!(host(address).as_deref(), Some("127.0.0.1" | "localhost" | "[::1]"))
        };
        let local = base_url.starts_with("http://") && loopback(&base_url);
        // Mails carry links that work once.
        if smtp_url.starts_with("smtp://")
            && !smtp_url.contains("tls=required")
            && !loopback(&smtp_url)
        {
            wrong.push("smtp_url begins with smtps://, or says ?tls=required".to_owned());
        }
        if values.get("database_url").is_some_and(|url| url.expose_secret().trim().is_empty()) {
            wrong.push("database_url is empty: leave it out for SQLite".to_owned());
        }
        if !base_url.is_empty() && !base_url.starts_with("https://") && !local {
            wrong.push(
                "base_url begins with https:// (http:// only for 127.0.0.1 and localhost)"
                    .to_owned(),
            );
        }
        if log_origin.contains(char::is_whitespace) || log_origin.contains('+') {
            wrong.push("log_origin has no white space and no +".to_owned());
        }
        let database_url = database::read(&text, &mut wrong);
        if text("introspection_token").is_some_and(|t| t.len() < 32) {
            wrong.push("introspection_token has at least 32 characters".to_owned());
        }
        if text("intake_token").is_some_and(|t| t.len() < 32) {
            wrong.push("intake_token has at least 32 characters".to_owned());
        }
        let tickets_prefix = text("tickets_prefix").unwrap_or_else(|| "NOV-".to_owned());
        if !crate::model::ticket::ticket_like(&format!("{tickets_prefix}1")) {
            wrong
                .push("tickets_prefix is 1 to 10 capital letters and a dash, e.g. NOV-".to_owned());
        }
        let zendesk = zendesk(&text, &loopback, &mut wrong);
        let gateway_listen = text("gateway_listen").and_then(|t| match t.parse::<SocketAddr>() {
            Ok(address) => Some(address),
            Err(_) => {
                wrong
                    .push("gateway_listen is an address with a port, e.g. 0.0.0.0:3002".to_owned());
                None
            }
        });
        let gateway_names: Vec<String> = text("gateway_names")
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        let host_name = |name: &String| {
            name.parse::<std::net::IpAddr>().is_ok()
                || (name.len() <= 253
                    && name.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)))
        };
        if gateway_names.iter().any(|name| !host_name(name)) {
            wrong.push(
                "gateway_names is a list of host names and addresses, with commas between"
                    .to_owned(),
            );
        }
        if gateway_listen.is_some() && gateway_names.is_empty() {
            wrong.push(
                "gateway_names is missing: the names under which gateways reach gateway_listen"
                    .to_owned(),
            );
        }
        let json_logs = match text("json_logs").as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                wrong.push("json_logs is true or false".to_owned());
                false
            }
        };
        let forward = forward::read(&text, &loopback, &mut wrong);
        let witness = witness::read(&text, &loopback, &mut wrong);
        let proxies = proxies::read(&text, base_url.starts_with("https://"), &mut wrong);
        proxies::beyond_this_machine(
            listen,
            base_url.starts_with("https://"),
            &proxies,
            &mut wrong,
        );
        let vault = vault::read(text, &mut wrong);
        let one_password = match (text("one_password_url"), text("one_password_token")) {
            (None, None) => None,
            (Some(url), Some(token)) => {
                // New values are sent there.
                let safe =
                    url.starts_with("https://") || (url.starts_with("http://") && loopback(&url));
                if !safe {
                    wrong.push(
                        "one_password_url begins with https:// (http:// only for 127.0.0.1 and localhost)"
                            .to_owned(),
                    );
                }
                if url.trim_end_matches('/').ends_with("/v1") {
                    wrong.push("one_password_url is without /v1 at its end".to_owned());
                }
                if token.contains(char::is_whitespace) {
                    wrong.push("one_password_token has no white space".to_owned());
                }
                Some(OnePassword { url, token: token.into() })
            }
            (Some(_), None) => {
                wrong.push("one_password_token is missing: the access token of the 1Password Connect server at one_password_url".to_owned());
                None
            }
            (None, Some(_)) => {
                wrong.push("one_password_url is missing: where the 1Password Connect server is, e.g. https://connect.platform.example".to_owned());
                None
            }
        };
        let config = Config {
            listen,
            base_url,
            data: text("data").unwrap_or_else(|| "data".to_owned()).into(),
            database_url,
            keys_file: keys_file.into(),
            log_origin,
            smtp_url: smtp_url.into(),
            mail_from,
            impersonation_life: minutes * time::MINUTE,
            overlap_seconds,
            proof_life: authentication_days * time::DAY,
            credential_life: credential_days * time::DAY,
            introspection_token: text("introspection_token").map(SecretString::from),
            intake_token: text("intake_token").map(SecretString::from),
            tickets_prefix,
            zendesk,
            ca_file: text("ca_file").map(PathBuf::from),
            limits,
            proxies,
            witness_folder: text("witness_folder").map(PathBuf::from),
            witness,
            forward,
            pkg: text("pkg").unwrap_or_else(|| "target/site/pkg".to_owned()).into(),
            connections: u32::try_from(connections).unwrap_or(10),
            json_logs,
            vault,
            one_password,
            gateway_listen,
            gateway_names,
            gateway_interval: heartbeat * time::SECOND,
        };
        if wrong.is_empty() { Ok(config) } else { Err(wrong) }
    }
}

/// The Zendesk of the settings, if they name one.
fn zendesk(
    text: &dyn Fn(&str) -> Option<String>,
    loopback: &dyn Fn(&str) -> bool,
    wrong: &mut Vec<String>,
) -> Option<Zendesk> {
    let Some(url) = text("tickets_zendesk_url") else {
        if text("tickets_email").is_some() || text("tickets_token").is_some() {
            wrong.push(
                "tickets_zendesk_url is missing: the address of the Zendesk, e.g. https://example.zendesk.com"
                    .to_owned(),
            );
        }
        return None;
    };
    let here = url.starts_with("http://") && loopback(&url);
    if !url.starts_with("https://") && !here {
        wrong.push("tickets_zendesk_url begins with https://".to_owned());
    } else if url::Url::parse(&url).is_ok_and(|u| u.path() != "/" || u.query().is_some()) {
        wrong.push("tickets_zendesk_url has nothing behind the host".to_owned());
    }
    if text("intake_token").is_some() {
        wrong.push(
            "intake_token is for tickets that are kept here: leave it out where there is a tickets_zendesk_url"
                .to_owned(),
        );
    }
    let mut need = |name: &str, what: &str| {
        text(name).unwrap_or_else(|| {
            wrong.push(format!("{name} is missing: {what}"));
            String::new()
        })
    };
    Some(Zendesk {
        url: url.trim_end_matches('/').to_owned(),
        email: need("tickets_email", "the address of the agent whose API token it is"),
        token: need("tickets_token", "the API token of Zendesk").into(),
        field_how: text("tickets_field_how"),
        field_when: text("tickets_field_when"),
        field_secret_id: text("tickets_field_secret_id"),
        field_secret_type: text("tickets_field_secret_type"),
        field_leak: text("tickets_field_leak"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(name: &str) -> Option<String> {
        Some(
            match name {
                "KEYTURN_BASE_URL" => "https://keyturn.example/",
                "KEYTURN_TRUSTED_PROXIES" => "none",
                "KEYTURN_KEYS_FILE" => "keys.json",
                "KEYTURN_LOG_ORIGIN" => "keyturn.example",
                "KEYTURN_SMTP_URL" => "smtps://u:hunter2@mail.example",
                "KEYTURN_MAIL_FROM" => "Keyturn <k@platform.example>",
                _ => return None,
            }
            .to_owned(),
        )
    }

    #[test]
    fn the_least_that_is_needed_suffices() {
        let config = Raw::read(None, good).validate().unwrap();
        assert_eq!(config.base_url, "https://keyturn.example");
        assert_eq!(config.impersonation_life, 15 * time::MINUTE);
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let wrong = Raw::read(None, |name| match name {
            "KEYTURN_LISTEN" => Some("nowhere".into()),
            "KEYTURN_IMPERSONATION_MINUTES" => Some("31".into()),
            "KEYTURN_AUTHENTICATION_DAYS" => Some("31".into()),
            "KEYTURN_ORG_CREDENTIAL_DAYS" => Some("0".into()),
            "KEYTURN_BASE_URL" => Some("http://keyturn.example".into()),
            "DATABASE_URL" => Some("mysql://x".into()),
            _ => None,
        })
        .validate()
        .unwrap_err();
        for part in [
            "listen",
            "impersonation_minutes",
            "authentication_days is a whole number from 1 to 30",
            "org_credential_days is a whole number from 1 to 1095",
            "base_url begins",
            "database_url",
            "keys_file is missing",
            "smtp_url",
        ] {
            assert!(wrong.iter().any(|w| w.contains(part)), "{part}: {wrong:?}");
        }
    }

    #[test]
    fn a_setting_that_does_not_exist_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keyturn.toml");
        std::fs::write(&file, "lisen = \"127.0.0.1:1\"\n").unwrap();
        let wrong = Raw::read(Some(&file), good).validate().unwrap_err();
        assert_eq!(wrong, ["there is no setting lisen"]);
    }

    #[test]
    fn the_vault_has_a_head_of_its_own_in_the_file_and_the_usual_names_outside() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keyturn.toml");
        let text = "[vault]\ntoken_file = \"/run/t\"\nallowed_policies = [\"default\", \"a-*\"]\n";
        std::fs::write(&file, text).unwrap();
        let environment = |name: &str| match name {
            "VAULT_ADDR" => Some("https://vault.example:8200".to_owned()),
            "VAULT_NAMESPACE" => Some("customers".to_owned()),
            _ => good(name),
        };
        let raw = Raw::read(Some(&file), environment);
        assert!(raw.describe().contains("vault_addr = https://vault.example:8200\n"));
        let vault = raw.validate().unwrap().vault;
        assert_eq!(vault.allowed_policies, ["default", "a-*"]);
        assert_eq!(vault.server.unwrap().namespace.as_deref(), Some("customers"));
        std::fs::write(&file, "[vualt]\naddr = \"x\"\n").unwrap();
        let wrong = Raw::read(Some(&file), good).validate().unwrap_err();
        assert_eq!(wrong, ["there is no setting vualt_addr"]);
    }

    #[test]
    fn a_gateways_listener_needs_the_names_it_is_reached_under() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keyturn.toml");
        let read = |text: &str| {
            std::fs::write(&file, text).unwrap();
            Raw::read(Some(&file), good).validate()
        };
        let config =
            read("[gateway]\nlisten = \"0.0.0.0:3002\"\nnames = \"gw.example, 192.0.2.7\"\n");
        let config = config.unwrap();
        assert_eq!(config.gateway_names, ["gw.example", "192.0.2.7"]);
        assert_eq!(config.gateway_interval, 30 * time::SECOND);
        let wrong = read("[gateway]\nlisten = \"0.0.0.0:3002\"\n").unwrap_err();
        assert!(wrong[0].starts_with("gateway_names is missing"), "{wrong:?}");
        let wrong =
            read("[gateway]\nnames = \"a b\"\nheartbeat_seconds = 0\nport = 1\n").unwrap_err();
        assert_eq!(wrong.len(), 3, "{wrong:?}");
    }

    #[test]
    fn secrets_are_described_without_their_values() {
        let raw = Raw::read(None, good);
        assert!(!raw.describe().contains("hunter2"));
        assert!(!format!("{raw:?}").contains("hunter2"));
        assert!(!format!("{:?}", raw.validate().unwrap()).contains("hunter2"));
    }

    /// Protects a deployment from half a configuration: handoffs would wait for ever.
    #[test]
    fn the_connect_server_is_configured_wholly_and_safely_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let (file, token) = (folder.path().join("keyturn.toml"), folder.path().join("token"));
        std::fs::write(&token, "eyJ.hunter2\n").unwrap();
        let read = |table: &str| {
            std::fs::write(&file, format!("[one_password]\n{table}\n")).unwrap();
            Raw::read(Some(&file), good)
        };
        let url = "url = \"https://connect.platform.example\"";
        let from = format!("token_file = \"{}\"", token.display());
        let raw = read(&format!("{url}\n{from}"));
        let said = raw.describe();
        assert!(said.contains("one_password_url = https://connect.platform.example"));
        assert!(said.contains("one_password_token = (set, not shown)"));
        let config = raw.validate().unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        assert_eq!(config.one_password.unwrap().token.expose_secret(), "eyJ.hunter2");
        assert!(Raw::read(None, good).validate().unwrap().one_password.is_none());
        for (table, says) in [
            (url.to_owned(), "one_password_token is missing"),
            (from.clone(), "one_password_url is missing"),
            (format!("{from}\nurl = \"http://connect.platform.example\""), "begins with https://"),
            (format!("{url}\ntoken = \"a b\""), "no white space"),
            (format!("{from}\nurl = \"https://c.example/v1/\""), "without /v1"),
            ("uri = \"x\"".to_owned(), "there is no setting one_password_uri"),
        ] {
            let wrong = read(&table).validate().unwrap_err();
            assert!(wrong.len() == 1 && wrong[0].contains(says), "{table}: {wrong:?}");
        }
    }

    #[test]
    fn a_secret_can_stand_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("smtp");
        std::fs::write(&file, "smtps://elsewhere\n").unwrap();
        let config = Raw::read(None, |name| {
            if name == "KEYTURN_SMTP_URL_FILE" {
                Some(file.display().to_string())
            } else {
                good(name)
            }
        })
        .validate()
        .unwrap();
        assert_eq!(config.smtp_url.expose_secret(), "smtps://elsewhere");
    }

    #[test]
    fn zendesk_is_set_up_as_a_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keyturn.toml");
        let with = |text: &str| {
            std::fs::write(&file, text).unwrap();
            Raw::read(Some(&file), good)
        };
        let none = with("").validate().unwrap();
        assert!(none.zendesk.is_none() && none.intake_token.is_none());
        assert_eq!(none.tickets_prefix, "NOV-");
        let whole = "[tickets]\nzendesk_url = \"https://example.zendesk.com/\"\nemail = \"a@b.example\"\n\
                     token = \"hunter2\"\nprefix = \"SUP-\"\nfield_how = \"901\"\n";
        assert!(!with(whole).describe().contains("hunter2"));
        let config = with(whole).validate().unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        let zendesk = config.zendesk.unwrap();
        assert_eq!(zendesk.url, "https://example.zendesk.com");
        assert_eq!(zendesk.field_how.as_deref(), Some("901"));
        assert_eq!(config.tickets_prefix, "SUP-");
        for (text, problem) in [
            (
                "[tickets]\nzendesk_url = \"https://example.zendesk.com\"\n",
                "tickets_email is missing",
            ),
            ("[tickets]\nemail = \"a@b.example\"\n", "tickets_zendesk_url is missing"),
            ("[tickets]\nzendesk_url = \"http://example.zendesk.com\"\n", "begins with https://"),
            ("[tickets]\nzendesk_url = \"https://example.zendesk.com/api\"\n", "nothing behind"),
            ("[tickets]\nprefix = \"nov\"\n", "tickets_prefix is"),
            ("[intake]\ntoken = \"short\"\n", "at least 32"),
            (
                "[intake]\ntoken = \"0123456789012345678901234567890123\"\n[tickets]\nzendesk_url = \"https://e.zendesk.com\"\n",
                "leave it out",
            ),
            ("[tickets]\nno_such = 1\n", "no setting tickets_no_such"),
        ] {
            let wrong = with(text).validate().unwrap_err();
            assert!(wrong.iter().any(|w| w.contains(problem)), "{text}: {wrong:?}");
        }
    }
}
