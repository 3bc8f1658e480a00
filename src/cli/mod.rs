//! What can be asked of `keyturn`.

mod authority;
mod bench_data;
mod demo;
mod evidence;
mod gateway;
mod log_key;
mod org;
mod serve;
mod staff;
mod start;
mod verify;
mod verify_url;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use keyturn::telemetry::{self, Format};

/// Rotate a secret for a customer who cannot do it themselves, and prove afterwards what was done.
#[derive(Debug, Parser)]
#[command(name = "keyturn", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a seeded demo on this machine, with a mail catcher and the customer's side.
    Demo {
        /// The port of the console; the customer's side is on the next one.
        #[arg(long, env = "PORT", default_value_t = 3000)]
        port: u16,
        /// The data folder.
        #[arg(long, env = "DATA", default_value = "data/demo")]
        data: PathBuf,
    },
    /// Serve the console. There are no default accounts and no default keys.
    Serve {
        /// A TOML file with the settings; `KEYTURN_*` overrides it.
        #[arg(long)]
        config: Option<PathBuf>,
        /// The address to listen at; overrides the settings.
        #[arg(long)]
        listen: Option<String>,
        /// Only say what the settings are and what is wrong with them.
        #[arg(long)]
        check: bool,
    },
    /// Verify the evidence of an impersonation, or both audit logs, whole.
    Verify {
        /// A file with the evidence of an impersonation. It is checked without the database.
        #[arg(conflicts_with_all = ["data", "database_url", "url", "log", "since", "witness", "witness_key"])]
        file: Option<PathBuf>,
        /// The data folder of a SQLite deployment (a demo's too).
        #[arg(long, conflicts_with = "database_url")]
        data: Option<PathBuf>,
        /// The database of a deployment. Where neither this nor another place is named, it is
        /// that of the environment's `DATABASE_URL`.
        #[arg(long)]
        database_url: Option<String>,
        /// A log as the API serves it: an org's own, `https://…/api/v1/org/log`, or to auditors the
        /// platform's, `https://…/api/v1/platform/log`, and any org's, `https://…/api/v1/orgs/ID/log`.
        #[arg(long, conflicts_with_all = ["data", "database_url", "log", "witness", "witness_key"], requires_all = ["credential_file", "key"])]
        url: Option<String>,
        /// A file with the credential of the org, or of the auditor, for `--url`.
        #[arg(long, requires = "url")]
        credential_file: Option<PathBuf>,
        /// A checkpoint of the log that was kept from before: the log must still have what it had
        /// then. Only what came after is read; that the rows before are still those follows from
        /// the checkpoint's root.
        #[arg(long)]
        since: Option<PathBuf>,
        /// Read every row also where there is a checkpoint from before.
        #[arg(long, requires = "since")]
        full: bool,
        /// A folder in which a witness keeps checkpoints: the logs must have what it saw.
        #[arg(long)]
        witness: Option<PathBuf>,
        /// The key of a witness (a C2SP verifier key of type 0x04) whose signatures the deployment
        /// keeps: the logs must have what it signed.
        #[arg(long, value_name = "VKEY")]
        witness_key: Option<String>,
        /// Only this log: `platform`, or `org/<org id>`.
        #[arg(long)]
        log: Option<String>,
        /// The public key of the logs (a C2SP verifier key), where it is not to be taken from
        /// the data folder's own keys.
        #[arg(long)]
        key: Option<String>,
    },
    /// Make the keys of a deployment, or replace the one that signs the logs.
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Show or replace the certificate authority of the gateways.
    Ca {
        /// The settings of the deployment.
        #[arg(long)]
        config: Option<PathBuf>,
        #[command(subcommand)]
        command: AuthorityCommand,
    },
    /// The agent beside a gateway.
    Gateway {
        #[command(subcommand)]
        command: GatewayCommand,
    },
    /// Manage staff accounts.
    Staff {
        /// The settings of the deployment.
        #[arg(long)]
        config: Option<PathBuf>,
        #[command(subcommand)]
        command: StaffCommand,
    },
    /// Fill an empty data folder with a plausible year of a platform, to measure with and to see
    /// the audit pages at size. Some impersonations are not as they should be; it says how many.
    BenchData(bench_data::Asked),
    /// Bring orgs in, and give their members credentials.
    Org {
        /// The settings of the deployment.
        #[arg(long)]
        config: Option<PathBuf>,
        #[command(subcommand)]
        command: OrgCommand,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum OrgCommand {
    /// Bring in orgs with their members and secrets from a JSON document. The same document again
    /// changes nothing. Consent cannot be brought in.
    Import {
        /// The document.
        file: PathBuf,
        /// Only say what would change.
        #[arg(long)]
        check: bool,
    },
    /// Give a member a new credential of the org. It is printed once.
    Credential {
        /// The org's short name.
        #[arg(long)]
        org: String,
        /// The member's address.
        #[arg(long)]
        member: String,
    },
    /// List the credentials of an org: whose, since and until when, and their last use.
    Credentials {
        /// The org's short name.
        org: String,
    },
    /// Revoke a credential of an org.
    RevokeCredential {
        /// The org's short name.
        #[arg(long)]
        org: String,
        /// The credential's id, as the list has it.
        #[arg(long)]
        credential: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuthorityCommand {
    /// Print the chain: the issuing certificate first, then those above it.
    Show,
    /// Put your own intermediate in its place. Gateways get a certificate of it when they next
    /// re-enrol; until then the old authority stays trusted.
    Import {
        /// The chain in PEM, the issuing certificate first.
        #[arg(long)]
        chain: PathBuf,
        /// The issuing certificate's key: PKCS#8 in PEM, without a passphrase.
        #[arg(long)]
        key: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum GatewayCommand {
    /// Beat, re-enrol when told, and say how it stands in `status.json`.
    Run {
        /// The folder with the identity.
        #[arg(long)]
        dir: PathBuf,
        /// The listener, e.g. `https://keyturn.example:3002`.
        #[arg(long, env = "KEYTURN_GATEWAY_SERVER")]
        server: String,
        /// Beat once, and say by the exit status whether it was answered.
        #[arg(long)]
        once: bool,
    },
    /// Install a bundle (key, certificate, authorities) as the identity.
    Install {
        /// The folder with the identity.
        #[arg(long)]
        dir: PathBuf,
        /// The bundle; `-` reads it from standard input.
        #[arg(long)]
        bundle: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Make new keys and write them to a file that only you can read.
    New {
        /// The file; it must not be there yet.
        file: PathBuf,
        /// The name and address on the key that signs messages to Owners.
        #[arg(long, default_value = "Keyturn <keyturn@localhost>")]
        user_id: String,
    },
    /// Let a new key sign the audit logs. The old one names it, and its private half is erased;
    /// what it signed still verifies. Servers that run take the new key up by themselves.
    RotateLog {
        /// The settings of the deployment.
        #[arg(long)]
        config: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum StaffCommand {
    /// Add an account. The password is read from standard input.
    Add {
        /// The address to sign in with.
        #[arg(long)]
        email: String,
        /// The name.
        #[arg(long)]
        name: String,
        /// `platform_admin` or `auditor`.
        #[arg(long)]
        role: keyturn::model::StaffRole,
    },
    /// Give an auditor a credential for programs that read the platform's log. It is printed
    /// once.
    Credential {
        /// The auditor's address.
        #[arg(long)]
        email: String,
        /// For how many days it is good.
        #[arg(long, default_value_t = 90)]
        days: u32,
    },
    /// Revoke every credential of an auditor's programs.
    RevokeCredentials {
        /// The auditor's address.
        #[arg(long)]
        email: String,
    },
    /// Disable an account: its sessions and its live impersonation end.
    Disable {
        /// The address.
        #[arg(long)]
        email: String,
    },
}

/// Runs a command; anything that goes wrong is said in a line on standard error.
pub async fn run(cli: Cli) -> ExitCode {
    let outcome = match cli.command {
        Command::Demo { port, data } => {
            telemetry::init(Format::Text);
            demo::run(port, &data).await
        }
        Command::Serve { config, listen, check } => {
            serve::run(config.as_deref(), listen, check).await
        }
        Command::Verify { file: Some(file), key, .. } => {
            return evidence::run(&file, key.as_deref());
        }
        Command::Verify {
            url: Some(url),
            credential_file: Some(credential),
            key: Some(key),
            since,
            full,
            ..
        } => {
            let since = verify_url::Since { file: since.as_deref(), full };
            return verify_url::run(&url, &credential, &key, since).await;
        }
        Command::Verify {
            data, database_url, log, key, since, full, witness, witness_key, ..
        } => {
            let against = verify::Against { key, since, full, witness, witness_key };
            // Only now: what stands in the environment contradicts no argument.
            let database_url = match &data {
                None => database_url.or_else(|| std::env::var("DATABASE_URL").ok()),
                Some(_) => None,
            };
            return verify::run(data, database_url, log, against).await;
        }
        Command::Keys { command: KeysCommand::New { file, user_id } } => {
            staff::new_keys(&file, &user_id)
        }
        Command::Keys { command: KeysCommand::RotateLog { config } } => {
            log_key::rotate(config.as_deref()).await
        }
        Command::Ca { config, command } => authority::run(config.as_deref(), command).await,
        Command::Gateway { command } => gateway::run(command).await,
        Command::Staff { config, command } => staff::run(config.as_deref(), command).await,
        Command::BenchData(asked) => bench_data::run(&asked).await,
        Command::Org { config, command } => match org::run(config.as_deref(), command).await {
            Ok(code) => return code,
            Err(why) => Err(why),
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("keyturn: {why}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
