//! The OpenPGP programs that Owners use: each makes keys, and opens what is encrypted to them.

mod makers;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use pgp::composed::{Deserializable as _, Message, SignedPublicKey, SignedSecretKey};
use pgp::types::Password;

use self::makers::{gnupg_key, rnp_key, rpgp_key, sop_key, sq_key};
use super::programs::{debian_version, from_pypi, node_script};

/// A program, or a library run as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Gnupg,
    Sq,
    Sqop,
    Gosop,
    Rnp,
    OpenPgpJs5,
    OpenPgpJs6,
    PgPy,
    PySequoia,
    Johnny,
    /// The library that we use ourselves.
    Rpgp,
}

/// A key of an Owner, both halves armored.
pub(crate) struct Key {
    pub(crate) public: String,
    pub(crate) secret: String,
}

/// A message that was opened.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) text: String,
    /// Whether the platform's signature is good; `None` from a program that does not look.
    pub(crate) signed: Option<bool>,
}

const USER: &str = "Olga Owner";
const USER_ID: &str = "Olga Owner <o@customer.example>";

impl Program {
    pub(crate) const ALL: [Self; 11] = [
        Self::Gnupg,
        Self::Sq,
        Self::Sqop,
        Self::Gosop,
        Self::Rnp,
        Self::OpenPgpJs5,
        Self::OpenPgpJs6,
        Self::PgPy,
        Self::PySequoia,
        Self::Johnny,
        Self::Rpgp,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gnupg => "GnuPG",
            Self::Sq => "sq",
            Self::Sqop => "sqop",
            Self::Gosop => "gosop",
            Self::Rnp => "RNP (Thunderbird's library)",
            Self::OpenPgpJs5 => "OpenPGP.js 5",
            Self::OpenPgpJs6 => "OpenPGP.js 6",
            Self::PgPy => "PGPy",
            Self::PySequoia => "pysequoia",
            Self::Johnny => "johnnycanencrypt",
            Self::Rpgp => "rPGP",
        }
    }

    /// The kinds of keys that it makes, by its own words for them.
    pub(crate) fn kinds(self) -> &'static [&'static str] {
        match self {
            Self::Gnupg => &[
                "rsa2048",
                "rsa3072",
                "rsa4096",
                "rsa2048 alone",
                "ed25519 cv25519",
                "nistp256 nistp256",
                "nistp384 nistp384",
                "nistp521 nistp521",
                "dsa3072 cv25519",
                "rsa3072 cv25519",
                "ed25519 rsa3072",
                "ed25519 cv25519 1y",
                "secp256k1 cv25519",
                "brainpoolP256r1 cv25519",
                "dsa1024 elg1024",
                "rsa1024 cv25519",
            ],
            Self::Sq => &[
                "cv25519",
                "rsa3k",
                "rsa4k",
                "cv25519 transport",
                "cv25519 storage",
                "cv25519 never",
            ],
            Self::Sqop => &["default"],
            Self::Gosop => &["default"],
            Self::Rnp => &["1", "19 1", "19 2", "19 3", "22"],
            Self::OpenPgpJs5 => &[
                "rsa2048", "rsa3072", "rsa4096", "ecc", "p256", "p384", "p521", "expiring", "aead",
            ],
            Self::OpenPgpJs6 => &[
                "rsa2048",
                "rsa4096",
                "ecc",
                "p256",
                "p384",
                "p521",
                "expiring",
                "aead",
                "curve25519",
                "curve448",
                "v6",
                "v6-448",
            ],
            Self::PgPy => &["rsa2048", "rsa3072", "rsa2048-one", "p256", "p384", "p521", "ed25519"],
            Self::PySequoia => &["rfc4880", "rfc9580"],
            Self::Johnny => &["RSA2k", "RSA4k", "Cv25519"],
            Self::Rpgp => &["legacy", "modern", "rsa", "p256", "v6", "v6-448"],
        }
    }

    pub(crate) fn version(self) -> String {
        let first = |program: &str, args: &[&str]| {
            let said = run(Command::new(program).args(args), b"").expect("its version");
            let said = text(said).expect("text");
            let line = said.lines().next().unwrap_or_default();
            let digits = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
            line.split(' ').find(digits).unwrap_or(line).to_owned()
        };
        match self {
            Self::Gnupg => first("gpg", &["--version"]),
            Self::Sq => first("sq", &["--version"]),
            Self::Sqop => first("sqop", &["version"]),
            // It says 0.0.0 of itself where Debian built it.
            Self::Gosop => debian_version("gosop"),
            Self::Rnp => first("rnp", &["--version"]),
            Self::Rpgp => "0.21".to_owned(),
            _ => self
                .script(&["make", self.kinds()[self.kinds().len() - 1], USER], b"")
                .expect("a key")["version"]
                .as_str()
                .expect("a version")
                .to_owned(),
        }
    }

    /// Makes a key.
    ///
    /// # Panics
    /// Where it cannot.
    pub(crate) fn make(self, kind: &str) -> Key {
        let home = home();
        let made = match self {
            Self::Gnupg => gnupg_key(home.path(), kind),
            Self::Sq => sq_key(home.path(), kind),
            Self::Sqop => sop_key("sqop"),
            Self::Gosop => sop_key("gosop"),
            Self::Rnp => rnp_key(home.path(), kind),
            Self::Rpgp => rpgp_key(kind),
            _ => self.script(&["make", kind, USER], b"").map(|made| Key {
                public: made["public"].as_str().expect("a key").to_owned(),
                secret: made["secret"].as_str().expect("a key").to_owned(),
            }),
        };
        made.unwrap_or_else(|e| panic!("{} makes no {kind}: {e}", self.name()))
    }

    /// Opens a message with this secret key, knowing the platform by `signer`.
    pub(crate) fn open(self, secret: &str, signer: &str, message: &str) -> Result<Opened, String> {
        let home = home();
        let at = |name: &str, text: &str| {
            let path = home.path().join(name);
            std::fs::write(&path, text).expect("a file");
            path.display().to_string()
        };
        let (key, cert) = (at("secret.asc", secret), at("signer.asc", signer));
        let sealed = at("message.asc", message);
        match self {
            Self::Gnupg => {
                gpg(home.path(), &["--import", &key])?;
                gpg(home.path(), &["--import", &cert])?;
                // The agent of a new ring may still be taking the key in: then it is asked once more.
                let decrypt = || gpg(home.path(), &["--decrypt", &sealed]);
                let opened = match decrypt() {
                    Err(said) if said.contains("No secret key") => {
                        std::thread::sleep(std::time::Duration::from_secs(1));
                        gpg(home.path(), &["--import", &key])?;
                        decrypt()?
                    }
                    other => other?,
                };
                let signed = opened.said.contains("[GNUPG:] VALIDSIG ");
                Ok(Opened { text: text(opened)?, signed: Some(signed) })
            }
            Self::Sq => {
                let args = ["decrypt", "--signer-cert", &cert, "--recipient-key", &key, &sealed];
                let opened = run(Command::new("sq").args(args), b"")?;
                let signed = opened.said.contains("1 good signature");
                Ok(Opened { text: text(opened)?, signed: Some(signed) })
            }
            Self::Sqop | Self::Gosop => {
                let program = if self == Self::Sqop { "sqop" } else { "gosop" };
                let found = home.path().join("verified");
                let mut command = Command::new(program);
                command.args(["decrypt", "--verify-with", &cert, "--verify-out"]);
                command.arg(&found).arg(&key);
                let opened = run(&mut command, message.as_bytes())?;
                let verified = std::fs::read_to_string(found).map_err(|e| e.to_string())?;
                Ok(Opened { text: text(opened)?, signed: Some(verified.lines().count() == 1) })
            }
            Self::Rnp => {
                let keys = |file: &str| {
                    let mut command = Command::new("rnpkeys");
                    command.arg("--homedir").arg(home.path());
                    run(command.args(["--import-keys", file]), b"")
                };
                keys(&key)?;
                keys(&cert)?;
                let mut command = Command::new("rnp");
                command.arg("--homedir").arg(home.path());
                command.args(["--decrypt", "--password", "", "--output", "-", &sealed]);
                let opened = run(&mut command, b"")?;
                let signed = opened.said.contains("Good signature made");
                Ok(Opened { text: text(opened)?, signed: Some(signed) })
            }
            Self::Rpgp => rpgp_opens(secret, signer, message),
            _ => {
                let given = serde_json::json!({
                    "secret": secret, "signer": signer, "message": message,
                });
                let opened = self.script(&["open"], given.to_string().as_bytes())?;
                Ok(Opened {
                    text: opened["text"].as_str().expect("text").to_owned(),
                    signed: opened["signed"].as_bool(),
                })
            }
        }
    }

    /// Runs the library's script; what it prints.
    fn script(self, args: &[&str], stdin: &[u8]) -> Result<serde_json::Value, String> {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/testing/openpgp");
        let (mut command, library) = match self {
            Self::OpenPgpJs5 => (node_script(&scripts.join("openpgpjs.cjs")), "openpgp-5"),
            Self::OpenPgpJs6 => (node_script(&scripts.join("openpgpjs.cjs")), "openpgp"),
            library => {
                let mut command = Command::new(from_pypi("python"));
                command.arg(scripts.join("libraries.py"));
                let library = match library {
                    Self::PgPy => "PGPy",
                    Self::PySequoia => "pysequoia",
                    _ => "johnnycanencrypt",
                };
                (command, library)
            }
        };
        let printed = run(command.arg(library).args(args), stdin)?;
        serde_json::from_slice(&printed.stdout).map_err(|e| e.to_string())
    }
}

/// A folder with a short path: the socket of GnuPG's agent goes in there.
fn home() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let private = std::fs::Permissions::from_mode(0o700);
    tempfile::Builder::new().prefix("o").permissions(private).tempdir().expect("a folder")
}

/// What a program printed that ended well.
struct Done {
    stdout: Vec<u8>,
    said: String,
}

/// Runs a program, which has to end well.
fn run(command: &mut Command, stdin: &[u8]) -> Result<Done, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{name}: {e}: run `make test-tools`"));
    // What is sent fits into the pipe, so nobody can be kept waiting by it; and who does not want
    // it has closed it.
    drop(child.stdin.take().map(|mut pipe| pipe.write_all(stdin)));
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.success() {
        true => Ok(Done { stdout: output.stdout, said }),
        false => Err(format!("{name}: {}", said.trim())),
    }
}

fn gpg(home: &Path, args: &[&str]) -> Result<Done, String> {
    let mut command = Command::new("gpg");
    command.arg("--homedir").arg(home);
    command.args(["--batch", "--yes", "--quiet", "--no-auto-key-locate", "--status-fd", "2"]);
    command.args(["--pinentry-mode", "loopback", "--passphrase", ""]);
    let done = run(command.args(args), b"");
    let end = Command::new("gpgconf").arg("--homedir").arg(home).args(["--kill", "all"]).output();
    drop(end);
    done
}

fn text(done: Done) -> Result<String, String> {
    String::from_utf8(done.stdout).map_err(|e| e.to_string())
}

fn rpgp_opens(secret: &str, signer: &str, message: &str) -> Result<Opened, String> {
    let open = || -> Result<Opened, pgp::errors::Error> {
        let (key, _) = SignedSecretKey::from_string(secret)?;
        let (signer, _) = SignedPublicKey::from_string(signer)?;
        let (message, _) = Message::from_string(message)?;
        let mut opened = message.decrypt(&Password::empty(), &key)?;
        let text = opened.as_data_string()?;
        Ok(Opened { text, signed: Some(opened.verify(&signer).is_ok()) })
    };
    open().map_err(|e| e.to_string())
}
