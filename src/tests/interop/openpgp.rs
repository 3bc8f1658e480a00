//! Every program's keys, judged, encrypted to, and opened by every program that can.

use std::collections::BTreeMap;

use crate::clock::{Clock as _, Rng as _, SystemClock, SystemRng};
use crate::delivery::openpgp::{SigningKey, encrypt_and_sign, inspect};
use crate::testing::matrix;
use crate::testing::openpgp::Program;

const SECRET: &str = "whsec_value\nfor the webhook\n";

/// The keys that are refused, and for what.
const REFUSED: [(Program, &str, &str); 5] = [
    // Signed with SHA-256, whatever the curve.
    (Program::PgPy, "p521", "what this key says of itself was signed on "),
    (Program::Gnupg, "secp256k1 cv25519", "the primary key is secp256k1"),
    (Program::Gnupg, "brainpoolP256r1 cv25519", "the primary key is brainpoolP256r1"),
    (Program::Gnupg, "dsa1024 elg1024", "the primary key is DSA 1024"),
    (Program::Gnupg, "rsa1024 cv25519", "the primary key is RSA 1024"),
];

/// The programs that open what is encrypted to a version 4 key of an algorithm that all of them
/// know. The others are recorded as they are found.
const EVERYWHERE: [Program; 5] =
    [Program::Gnupg, Program::Rnp, Program::OpenPgpJs5, Program::OpenPgpJs6, Program::Rpgp];

/// What of a maker's keys need not open everywhere.
fn is_rare(maker: Program, kind: &str) -> bool {
    // Algorithms that some programs have never known.
    let young = ["v6", "448", "curve25519", "modern", "dsa", "rfc9580"];
    young.iter().any(|rare| kind.contains(rare))
        // It signs them with SHA-256, which GnuPG holds to be too short for these curves.
        || maker == Program::PgPy && kind == "p384"
        // It locks its secret keys with an empty passphrase, which others take for none.
        || maker == Program::Johnny
}

/// Makes each kind of key that a program makes. The key is accepted, and what is encrypted to it is
/// opened by its maker with a good signature; or it is refused for the reason that is expected.
fn keys_of(maker: Program) {
    let rng = &mut SystemRng.generator();
    let now = SystemClock.now();
    let name = "Keyturn <keyturn@platform.example>";
    let platform = SigningKey::generate(rng, now, name).unwrap();
    let signer = platform.to_armored_public().unwrap();
    let mut versions = BTreeMap::new();
    let mut version = |program: Program| {
        versions.entry(program.name()).or_insert_with(|| program.version()).clone()
    };
    for kind in maker.kinds() {
        let key = maker.make(kind);
        let tried = format!("a key of {} ({kind})", maker.name());
        let now = SystemClock.now();
        let refused = REFUSED.iter().find(|(who, what, _)| *who == maker && what == kind);
        let report = match (inspect(&key.public, now), refused) {
            (Err(problem), Some((.., why))) => {
                assert!(problem.to_string().starts_with(why), "{tried}: {problem}");
                let what = format!("refused: {}", problem.reason());
                matrix::holds("OpenPGP keys", maker.name(), &version(maker), &tried, &what);
                continue;
            }
            (Ok(report), None) => report,
            (found, _) => panic!("{tried}: {found:?}"),
        };
        let message = encrypt_and_sign(rng, now, &key.public, &platform, SECRET.as_bytes());
        let message = message.unwrap_or_else(|e| panic!("{tried}: {e}"));
        let (mut opened_by, mut not_by) = (Vec::new(), Vec::new());
        for program in Program::ALL {
            match program.open(&key.secret, &signer, &message) {
                Ok(opened) => {
                    assert_eq!(opened.text, SECRET, "{tried} in {program:?}");
                    assert_ne!(opened.signed, Some(false), "{tried} in {program:?}");
                    opened_by.push(program.name());
                }
                Err(e) => {
                    let must =
                        program == maker || EVERYWHERE.contains(&program) && !is_rare(maker, kind);
                    assert!(!must, "{tried} in {program:?}: {e}");
                    not_by.push(program.name());
                }
            }
        }
        let mut what =
            format!("accepted, {}; opened by {}", report.algorithm, opened_by.join(", "));
        if !not_by.is_empty() {
            what.push_str(&format!("; not by {}", not_by.join(", ")));
        }
        matrix::holds("OpenPGP keys", maker.name(), &version(maker), &tried, &what);
    }
}

macro_rules! makers {
    ($($name:ident: $program:ident),+ $(,)?) => {$(
        #[test]
        fn $name() {
            keys_of(Program::$program);
        }
    )+};
}

makers!(
    gnupg_s_keys: Gnupg,
    sq_s_keys: Sq,
    sqop_s_keys: Sqop,
    gosop_s_keys: Gosop,
    rnp_s_keys: Rnp,
    openpgp_js_5_s_keys: OpenPgpJs5,
    openpgp_js_6_s_keys: OpenPgpJs6,
    pgpy_s_keys: PgPy,
    pysequoia_s_keys: PySequoia,
    johnnycanencrypt_s_keys: Johnny,
    rpgp_s_keys: Rpgp,
);

/// Protects the matrix: as many keys, by as many programs, as it is meant to have.
#[test]
fn there_are_enough_of_them() {
    let kinds: usize = Program::ALL.iter().map(|program| program.kinds().len()).sum();
    assert!(kinds >= 60 && Program::ALL.len() >= 8, "{kinds} keys");
}
