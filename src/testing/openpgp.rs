//! The OpenPGP programs that Owners use: each makes keys, and opens what is encrypted to them.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use pgp::composed::{
    ArmorOptions, Deserializable as _, EncryptionCaps, KeyType, Message, SecretKeyParamsBuilder,
    SignedPublicKey, SignedSecretKey, SubkeyParamsBuilder,
};
use pgp::crypto::ecc_curve::ECCCurve;
use pgp::types::{KeyVersion, Password};

use super::programs::{from_pypi, node_script};
use crate::clock::{Rng as _, SystemRng};

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
            Self::Gosop => first("gosop", &["version"]),
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
                let opened = gpg(home.path(), &["--decrypt", &sealed])?;
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

fn gnupg_key(home: &Path, kind: &str) -> Result<Key, String> {
    let words: Vec<&str> = kind.split(' ').collect();
    let (primary, subkey) = (words[0], words.get(1).copied().unwrap_or(words[0]));
    let expires = words.get(2).copied().unwrap_or("never");
    let usage = if subkey == "alone" { "sign,cert,encr" } else { "sign,cert" };
    gpg(home, &["--quick-generate-key", USER_ID, primary, usage, expires])?;
    if subkey != "alone" {
        let listed = text(gpg(home, &["--with-colons", "--list-keys"])?)?;
        let line = listed.lines().find(|line| line.starts_with("fpr:")).ok_or("no key")?;
        let fingerprint = line.split(':').nth(9).ok_or("no fingerprint")?.to_owned();
        gpg(home, &["--quick-add-key", &fingerprint, subkey, "encr", expires])?;
    }
    Ok(Key {
        public: text(gpg(home, &["--armor", "--export"])?)?,
        secret: text(gpg(home, &["--armor", "--export-secret-keys"])?)?,
    })
}

fn sq_key(home: &Path, kind: &str) -> Result<Key, String> {
    let mut words = kind.split(' ');
    let suite = words.next().unwrap_or("cv25519");
    let file = home.join("key");
    let mut command = Command::new("sq");
    command.args(["key", "generate", "--userid", USER_ID, "--cipher-suite", suite, "--export"]);
    command.arg(&file);
    match words.next() {
        Some("never") => command.args(["--expires", "never"]),
        Some(purpose) => command.args(["--can-encrypt", purpose]),
        None => &mut command,
    };
    run(&mut command, b"")?;
    let public = run(Command::new("sq").args(["key", "extract-cert"]).arg(&file), b"")?;
    let secret = std::fs::read_to_string(file).map_err(|e| e.to_string())?;
    Ok(Key { public: text(public)?, secret })
}

fn sop_key(program: &str) -> Result<Key, String> {
    let secret = run(Command::new(program).args(["generate-key", USER_ID]), b"")?;
    let public = run(Command::new(program).arg("extract-cert"), &secret.stdout)?;
    Ok(Key { public: text(public)?, secret: text(secret)? })
}

fn rnp_key(home: &Path, kind: &str) -> Result<Key, String> {
    let rnpkeys = |args: &[&str], stdin: &[u8]| {
        let mut command = Command::new("rnpkeys");
        command.arg("--homedir").arg(home);
        run(command.args(args), stdin)
    };
    let make = ["--generate-key", "--userid", USER_ID, "--password", ""];
    if kind == "1" {
        rnpkeys(&make, b"")?;
    } else {
        // It asks which algorithm, and then which curve.
        let answers = format!("{}\n", kind.replace(' ', "\n"));
        rnpkeys(&[&["--expert"], &make[..]].concat(), answers.as_bytes())?;
    }
    let public = rnpkeys(&["--export-key", USER], b"")?;
    let secret = rnpkeys(&["--export-key", "--secret", USER], b"")?;
    Ok(Key { public: text(public)?, secret: text(secret)? })
}

fn rpgp_key(kind: &str) -> Result<Key, String> {
    let (version, primary, subkey) = match kind {
        "legacy" => {
            (KeyVersion::V4, KeyType::Ed25519Legacy, KeyType::ECDH(ECCCurve::Curve25519Legacy))
        }
        "rsa" => (KeyVersion::V4, KeyType::Rsa(2048), KeyType::Rsa(2048)),
        "p256" => (KeyVersion::V4, KeyType::ECDSA(ECCCurve::P256), KeyType::ECDH(ECCCurve::P256)),
        "v6" => (KeyVersion::V6, KeyType::Ed25519, KeyType::X25519),
        "v6-448" => (KeyVersion::V6, KeyType::Ed448, KeyType::X448),
        _ => (KeyVersion::V4, KeyType::Ed25519, KeyType::X25519),
    };
    let make = || -> Result<SignedSecretKey, Box<dyn std::error::Error>> {
        let subkey = SubkeyParamsBuilder::default()
            .version(version)
            .key_type(subkey)
            .can_encrypt(EncryptionCaps::All)
            .build()?;
        let mut params = SecretKeyParamsBuilder::default();
        params
            .version(version)
            .key_type(primary)
            .can_certify(true)
            .can_sign(true)
            .feature_seipd_v2(true)
            .primary_user_id(USER_ID.to_owned())
            .subkeys(vec![subkey]);
        Ok(params.build()?.generate(SystemRng.generator())?)
    };
    let key = make().map_err(|e| e.to_string())?;
    let public = SignedPublicKey::from(key.clone()).to_armored_string(ArmorOptions::default());
    let secret = key.to_armored_string(ArmorOptions::default());
    Ok(Key {
        public: public.map_err(|e| e.to_string())?,
        secret: secret.map_err(|e| e.to_string())?,
    })
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
