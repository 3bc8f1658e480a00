//! A cosignature is believed from the witness's own key, for the checkpoint that was sent, and
//! when it is given.

use sha2::{Digest as _, Sha256};

use super::*;
use crate::proof::checkpoint::Checkpoint;
use crate::proof::note::{NoteKey, NoteVerifier};

const NOW: Micros = 1_796_000_000 * time::SECOND;

fn checkpoint(size: u64) -> String {
    let key = NoteKey::new("k.example", &[3; 32]).unwrap();
    Checkpoint { origin: "k.example/platform".into(), size, root: [7; 32] }.sign(&key).unwrap()
}

fn signer() -> WitnessSigner {
    WitnessSigner::new("w.example/one", &[9; 32]).unwrap()
}

/// Byte by byte as the specification has it, without our own code.
#[test]
fn a_cosignature_is_made_as_the_specification_says() {
    let key = SigningKey::from_bytes(&[9; 32]);
    let mut id = Sha256::new();
    id.update(b"w.example/one\n\x04");
    id.update(key.verifying_key().as_bytes());
    let id: [u8; 32] = id.finalize().into();
    let root = STANDARD.encode([7; 32]);
    let message = format!("cosignature/v1\ntime 1796000000\nk.example/platform\n5\n{root}\n");
    let mut bytes = id[..4].to_vec();
    bytes.extend_from_slice(&1_796_000_000_u64.to_be_bytes());
    bytes.extend_from_slice(&key.sign(message.as_bytes()).to_bytes());
    let line = format!("\u{2014} w.example/one {}\n", STANDARD.encode(bytes));
    assert_eq!(signer().cosign(&checkpoint(5), NOW).unwrap(), line);

    let mut vkey = vec![4];
    vkey.extend_from_slice(key.verifying_key().as_bytes());
    let hex: String = id[..4].iter().map(|b| format!("{b:02x}")).collect();
    let vkey = format!("w.example/one+{hex}+{}", STANDARD.encode(vkey));
    let public = WitnessKey::parse(&vkey).unwrap();
    assert_eq!((&public, public.vkey()), (signer().public(), vkey));
    assert_eq!(public.open(&checkpoint(5), &line), Ok(Cosignature { line, at: NOW }));
}

#[test]
fn only_the_witnesss_own_signature_of_this_checkpoint_counts() {
    let (signer, note) = (signer(), checkpoint(5));
    let public = signer.public();
    let line = signer.cosign(&note, NOW).unwrap();
    let stranger = WitnessSigner::new("w.example/one", &[8; 32]).unwrap();
    let renamed = WitnessSigner::new("w.example/two", &[9; 32]).unwrap();
    let unsigned = Err(CosignatureError::Unsigned(public.id()));
    for other in [&stranger, &renamed] {
        assert_eq!(public.open(&note, &other.cosign(&note, NOW).unwrap()), unsigned);
    }
    assert_eq!(public.open(&note, ""), unsigned);
    // Beside those of keys that nobody knows it is found, and they are not kept.
    let among = stranger.cosign(&note, NOW).unwrap() + &line;
    assert_eq!(public.open(&note, &among).unwrap().line, line);

    let bad = Err(CosignatureError::BadSignature("w.example/one".into()));
    assert_eq!(public.open(&checkpoint(6), &line), bad, "of another checkpoint");
    let forged = |at: usize| {
        let text = line.strip_prefix("\u{2014} w.example/one ").unwrap();
        let mut bytes = STANDARD.decode(text.trim_end()).unwrap();
        bytes[at] ^= 1;
        format!("\u{2014} w.example/one {}\n", STANDARD.encode(bytes))
    };
    for at in [4 + 7, 4 + 8, 4 + 8 + 63] {
        assert_eq!(public.open(&note, &forged(at)), bad, "byte {at}");
    }
    assert_eq!(public.open(&note, &forged(0)), unsigned, "the id of another key");
    let malformed = Err(CosignatureError::Malformed("w.example/one".into()));
    assert_eq!(public.open(&note, &forged(4)), malformed, "a time that there is none of");
    let short = {
        let text = line.strip_prefix("\u{2014} w.example/one ").unwrap();
        let bytes = STANDARD.decode(text.trim_end()).unwrap();
        format!("\u{2014} w.example/one {}\n", STANDARD.encode(&bytes[..bytes.len() - 1]))
    };
    assert_eq!(public.open(&note, &short), malformed);
    for no_line in ["\u{2014} \n", "\u{2014} w.example AAAA\n", "welcome", "-- a b\n"] {
        assert!(public.open(&note, no_line).is_err(), "{no_line}");
    }
}

#[test]
fn a_time_that_is_not_now_is_refused() {
    let given = |at: Micros| {
        let line = signer().cosign(&checkpoint(5), at).unwrap();
        signer().public().open(&checkpoint(5), &line).unwrap().given_at(NOW)
    };
    for near in [0, OFF_THE_CLOCK, -OFF_THE_CLOCK] {
        assert!(given(NOW + near).is_ok(), "{near}");
    }
    for far in [time::HOUR, -time::HOUR, OFF_THE_CLOCK + time::SECOND] {
        let refused = given(NOW + far);
        assert!(matches!(refused, Err(CosignatureError::OtherTime(_))), "{far}: {refused:?}");
    }
}

#[test]
fn many_at_once_are_what_each_is() {
    let (signer, public) = (signer(), signer().public().clone());
    let notes: Vec<String> = (0..40).map(checkpoint).collect();
    let lines: Vec<String> = notes.iter().map(|n| signer.cosign(n, NOW).unwrap()).collect();
    let mut many: Vec<(&str, &str)> =
        notes.iter().map(String::as_str).zip(lines.iter().map(String::as_str)).collect();
    assert!(public.open_all(&many).iter().all(Result::is_ok));
    many[7].1 = &lines[8];
    many[9].1 = "nothing";
    let opened = public.open_all(&many);
    for (n, ((note, line), opened)) in many.iter().zip(&opened).enumerate() {
        assert_eq!(*opened, public.open(note, line), "{n}");
        assert_eq!(opened.is_ok(), n != 7 && n != 9, "{n}");
    }
    assert!(public.open_all(&[]).is_empty());
}

/// Protects against a key of a log in the place of a witness's, and the reverse.
#[test]
fn a_key_of_another_kind_is_none() {
    let log = NoteKey::new("k.example", &[3; 32]).unwrap().vkey();
    let why = WitnessKey::parse(&log).unwrap_err().to_string();
    assert!(why.contains("0x04"), "{why}");
    assert!(NoteVerifier::parse(&signer().public().vkey()).is_err());
    let vkey = signer().public().vkey();
    for wrong in [
        String::new(),
        vkey.replace("one", "two"),
        vkey.to_uppercase(),
        vkey.replacen('+', " ", 1),
        vkey.trim_end_matches('=').to_owned() + "A",
    ] {
        assert!(WitnessKey::parse(&wrong).is_err(), "{wrong}");
    }
    assert_ne!(WitnessKey::new("w.example", &[0; 32]).err(), None, "a weak key");
}
