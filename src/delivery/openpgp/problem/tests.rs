use super::*;

fn expired(at: i64) -> KeyProblem {
    KeyProblem::Expired {
        at,
        fingerprint: "AB".repeat(20),
        extend: vec!["CD".repeat(20)],
        add: false,
    }
}

/// Protects the person who reads it: the day is named, and so is what to do.
#[test]
fn a_problem_names_the_day_and_the_remedy() {
    let text = expired(1_772_323_200_000_000).to_string();
    assert!(text.starts_with("this key expired on 2026-03-01. Ask the Owner"), "{text}");
    let (key, subkey) = ("AB".repeat(20), "CD".repeat(20));
    assert_eq!(
        expired(5).commands(),
        [
            format!("gpg --quick-set-expire {key} 1y"),
            format!("gpg --quick-set-expire {key} 1y {subkey}"),
            format!("gpg --armor --export {key}"),
        ]
    );
    let text = expired(i64::MAX).to_string();
    assert!(text.contains("an unknown day"), "{text}");
}

/// Protects Owners whose key is of no kind that GnuPG 2.2 knows: no command that cannot work.
#[test]
fn a_version_6_key_gets_words_and_no_commands() {
    let fingerprint = "AB".repeat(32);
    for problem in [
        KeyProblem::Expired { at: 5, fingerprint: fingerprint.clone(), extend: vec![], add: true },
        KeyProblem::NoEncryptionSubkey { fingerprint: fingerprint.clone() },
        KeyProblem::NoSelfSignature { fingerprint },
    ] {
        assert!(problem.commands().is_empty());
        let text = problem.to_string();
        assert!(text.contains("Ask the Owner") && !text.contains("gpg"), "{text}");
    }
}

/// Protects the Owner's shell: a name from a key ends no word of a command.
#[test]
fn a_name_cannot_break_out_of_its_command() {
    let problem = KeyProblem::WeakPrimary {
        algorithm: "RSA 1024".to_owned(),
        user_id: Some("O'Hara'; touch x #\n <o@example.com>".to_owned()),
    };
    let command = problem.commands().remove(0);
    assert_eq!(command.matches('\'').count(), 2, "{command}");
    assert!(!command.contains('\n'));
}

/// Protects the stored form.
#[test]
fn a_problem_survives_json() {
    for problem in [KeyProblem::Revoked, expired(5)] {
        let json = serde_json::to_string(&problem).unwrap();
        assert_eq!(serde_json::from_str::<KeyProblem>(&json).unwrap(), problem);
    }
}
