//! Tests of signed notes against the published key and note, and against hostile ones.

use proptest::prelude::*;

use super::*;

// The pair of keys and the note that Go's implementation of the format is tested with.
const SKEY: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const TEXT: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const SIGNATURE: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn published_key() -> NoteKey {
    let bytes = STANDARD.decode(SKEY).unwrap();
    NoteKey::new("PeterNeumann", bytes[1..].try_into().unwrap()).unwrap()
}

fn key(name: &str, seed: u8) -> NoteKey {
    NoteKey::new(name, &[seed; 32]).unwrap()
}

fn verifiers(keys: &[&NoteKey]) -> Vec<NoteVerifier> {
    keys.iter().map(|key| key.verifier().clone()).collect()
}

#[test]
fn the_published_note_comes_out_byte_for_byte() {
    let key = published_key();
    assert_eq!(key.vkey(), VKEY);
    let note = sign_note(TEXT, &[&key]).unwrap();
    assert_eq!(note, format!("{TEXT}\n{SIGNATURE}"));
    let opened = open_note(&note, &[NoteVerifier::parse(VKEY).unwrap()]).unwrap();
    assert_eq!(opened.text, TEXT);
    assert_eq!(opened.verified_by, ["PeterNeumann"]);
}

#[test]
fn a_text_with_empty_lines_is_split_at_the_last_one() {
    let key = key("a.example/log", 1);
    let text = "one\n\ntwo\n\n";
    let note = sign_note(text, &[&key]).unwrap();
    assert_eq!(
        open_note(&note, &verifiers(&[&key])).unwrap().text,
        text,
        "empty lines belong to the text"
    );
}

#[test]
fn unknown_keys_are_ignored_and_do_not_help() {
    let (known, other) = (key("log", 1), key("witness", 2));
    let note = sign_note("text\n", &[&other, &known]).unwrap();
    assert_eq!(open_note(&note, &verifiers(&[&known])).unwrap().verified_by, ["log"]);
    let same_name = key("log", 3);
    assert_eq!(
        open_note(&note, &verifiers(&[&same_name])),
        Err(NoteError::Unsigned),
        "a name alone is nobody"
    );
    assert_eq!(open_note(&note, &[]), Err(NoteError::Unsigned));
}

#[test]
fn a_known_keys_bad_signature_spoils_the_whole_note() {
    let (first, second) = (key("first", 1), key("second", 2));
    let elsewhere = sign_note("another text\n", &[&second]).unwrap();
    let stolen = elsewhere.lines().last().unwrap();
    let note = format!("{}{stolen}\n", sign_note("text\n", &[&first]).unwrap());
    assert_eq!(
        open_note(&note, &verifiers(&[&first, &second])),
        Err(NoteError::BadSignature("second".into()))
    );
}

#[test]
fn a_signature_of_the_wrong_length_is_bad_and_not_a_panic() {
    let known = key("log", 1);
    let mut bytes = known.verifier().key_id().to_be_bytes().to_vec();
    bytes.extend([7; 10]);
    let note = format!("text\n\n\u{2014} log {}\n", STANDARD.encode(bytes));
    assert_eq!(open_note(&note, &verifiers(&[&known])), Err(NoteError::BadSignature("log".into())));
}

#[test]
fn malformed_notes_are_refused() {
    let known = key("log", 1);
    let good = sign_note("text\n", &[&known]).unwrap();
    let line = good.lines().last().unwrap();
    for bad in [
        String::new(),
        "text\n".to_owned(),
        "text\n\n".to_owned(),
        good.trim_end().to_owned(),
        good.replace('\u{2014}', "-"),
        good.replace("\u{2014} ", "\u{2014}"),
        good.replace('=', ""),
        good.replace("text", "te\txt"),
        good.replace('\n', "\r\n"),
        format!("{good}junk\n"),
        format!("{good}\n"),
        format!("text\n\n\u{2014}  {line}\n"),
        "text\n\n\u{2014} log AAAA\n".to_owned(),
        format!("text\n\n{}", format!("{line}\n").repeat(MAX_SIGNATURES + 1)),
    ] {
        assert!(
            matches!(open_note(&bad, &verifiers(&[&known])), Err(NoteError::Malformed(_))),
            "{bad:?}"
        );
    }
}

#[test]
fn texts_that_would_not_come_back_are_not_signed() {
    let known = key("log", 1);
    for text in ["", "no newline", "tab\t\n"] {
        assert!(matches!(sign_note(text, &[&known]), Err(NoteError::BadText(_))));
    }
    assert_eq!(sign_note("text\n", &[]), Err(NoteError::NoSigner));
}

#[test]
fn keys_with_bad_names_or_parts_that_do_not_fit_are_refused() {
    for name in ["", "a b", "a+b", "a\u{a0}b", "a\nb"] {
        assert!(NoteKey::new(name, &[1; 32]).is_err(), "{name:?}");
    }
    let good = key("log", 1).vkey();
    assert!(NoteVerifier::parse(&good).is_ok());
    for bad in [
        String::new(),
        "log".to_owned(),
        good.replacen("log", "gol", 1),
        good.replacen('+', "+0", 1),
        format!("{good}A"),
        VKEY.replace("c74f20a3", "C74F20A3"),
        VKEY.replace("+AR", "+BR"),
    ] {
        assert!(NoteVerifier::parse(&bad).is_err(), "{bad:?}");
    }
    let mut identity = [0; 32];
    identity[0] = 1;
    assert!(NoteVerifier::new("log", &identity).is_err(), "the weak key that verifies anything");
}

#[test]
fn debug_of_a_signer_does_not_show_the_seed() {
    let shown = format!("{:?}", key("log", 0xAB));
    assert!(shown.contains("log"));
    for form in ["171", "ab, ab", "abab", "ABAB", "q6ur"] {
        assert!(!shown.contains(form), "{shown}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn changing_any_byte_of_a_note_spoils_it(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let known = key("a.example/log", 1);
        let note = sign_note("a.example/log\n12\nabc\n", &[&known]).unwrap();
        let mut bytes = note.clone().into_bytes();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        if let Ok(changed) = String::from_utf8(bytes) {
            prop_assert!(open_note(&changed, &verifiers(&[&known])).is_err());
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        let _ = open_note(&text, &verifiers(&[&key("log", 1)]));
        let _ = NoteVerifier::parse(&text);
    }
}

#[test]
fn many_opened_at_once_are_each_what_it_is_alone() {
    let (one, two) =
        (NoteKey::new("one", &[1; 32]).unwrap(), NoteKey::new("two", &[2; 32]).unwrap());
    let stranger = NoteKey::new("one", &[3; 32]).unwrap();
    let mut notes: Vec<String> = (0..600)
        .map(|n| {
            let text = format!("note {n}\n");
            match n % 5 {
                0 => sign_note(&text, &[&two]).unwrap(),
                1 => sign_note(&text, &[&one, &two]).unwrap(),
                _ => sign_note(&text, &[&one]).unwrap(),
            }
        })
        .collect();
    let known = [one.verifier().clone(), two.verifier().clone()];
    let alone =
        |notes: &[String]| -> Vec<_> { notes.iter().map(|n| open_note(n, &known)).collect() };
    let together = |notes: &[String]| {
        open_notes(&notes.iter().map(String::as_str).collect::<Vec<_>>(), &known)
    };
    assert_eq!(together(&notes), alone(&notes));
    assert!(together(&notes).iter().all(Result::is_ok));
    // One that does not hold is named, and the others hold.
    notes[307] = notes[307].replace("note 307", "note 703");
    notes[9] = sign_note("note 9\n", &[&stranger]).unwrap();
    notes[599] = "no note".to_owned();
    let found = together(&notes);
    assert_eq!(found, alone(&notes));
    let bad: Vec<usize> = (0..600).filter(|n| found[*n].is_err()).collect();
    assert_eq!(bad, [9, 307, 599]);
    assert!(open_notes(&[], &known).is_empty());
}
