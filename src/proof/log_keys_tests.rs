//! A key follows another only by a note that both signed, and a chain has no gap and no fork.

use super::*;

fn key(seed: u8) -> NoteKey {
    NoteKey::new("log.example", &[seed; 32]).unwrap()
}

fn note(old: u8, new: u8) -> String {
    Endorsement::sign(&key(old), &key(new), 1_700_000_000_000_000).unwrap()
}

fn verifier(seed: u8) -> NoteVerifier {
    key(seed).verifier().clone()
}

#[test]
fn a_pinned_key_leads_forwards_and_backwards() {
    let notes = [note(1, 2), note(2, 3)];
    let all = [verifier(3), verifier(2), verifier(1)];
    for pinned in [1, 2, 3] {
        assert_eq!(trusted(&[verifier(pinned)], &notes).unwrap(), all, "{pinned} pinned");
    }
    assert_eq!(chain::<&str>(&[]).unwrap(), []);
    assert_eq!(trusted::<&str>(&[verifier(4)], &[]).unwrap(), [verifier(4)]);
}

#[test]
fn a_key_that_nobody_endorsed_leads_nowhere() {
    let notes = [note(1, 2)];
    assert!(matches!(trusted(&[verifier(4)], &notes), Err(LogKeyError::NotTrusted(_))));
    assert!(matches!(trusted(&[], &notes), Err(LogKeyError::NotTrusted(_))));
}

#[test]
fn an_endorsement_needs_both_signatures_and_nothing_else() {
    let said = text(&key(1).vkey(), &key(2).vkey(), 5);
    let (one, two, three) = (key(1), key(2), key(3));
    assert!(Endorsement::open(&sign_note(&said, &[&one, &two]).unwrap()).is_ok());
    for signers in [vec![&one], vec![&two], vec![&one, &one], vec![&two, &three]] {
        let forged = sign_note(&said, &signers).unwrap();
        assert!(Endorsement::open(&forged).is_err(), "{forged}");
    }
    let more = sign_note(&said, &[&one, &two, &three]).unwrap();
    assert!(matches!(Endorsement::open(&more), Err(LogKeyError::Malformed(_))));
    let other = NoteKey::new("other.example", &[2; 32]).unwrap();
    let renamed = Endorsement::sign(&one, &other, 5).unwrap();
    assert!(matches!(Endorsement::open(&renamed), Err(LogKeyError::Malformed(_))));
    assert!(Endorsement::open(&Endorsement::sign(&one, &one, 5).unwrap()).is_err());
}

#[test]
fn any_byte_changed_spoils_it() {
    let good = note(1, 2);
    for place in 0..good.len() {
        for change in [1_u8, 32, 64] {
            let mut bytes = good.clone().into_bytes();
            bytes[place] ^= change;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            assert!(Endorsement::open(&changed).is_err(), "byte {place}: {changed}");
        }
    }
}

#[test]
fn gaps_forks_and_circles_are_refused() {
    for notes in [
        vec![note(1, 2), note(3, 4)],
        vec![note(2, 3), note(1, 2)],
        vec![note(1, 2), note(1, 3)],
        vec![note(1, 2), note(2, 1)],
        vec![note(1, 2), note(1, 2)],
    ] {
        assert!(matches!(chain(&notes), Err(LogKeyError::Gap(_))));
    }
}

#[test]
fn a_checkpoint_is_no_endorsement_and_the_reverse() {
    use crate::proof::checkpoint::Checkpoint;
    let checkpoint = Checkpoint { origin: "log.example/platform".into(), size: 1, root: [1; 32] };
    assert!(Endorsement::open(&checkpoint.sign(&key(1)).unwrap()).is_err());
    assert!(Checkpoint::unverified(&note(1, 2)).is_err());
}

#[test]
fn what_is_published_is_read_back() {
    let notes = vec![note(1, 2), note(2, 3)];
    let lines = to_lines(&[verifier(3), verifier(2), verifier(1)], &notes);
    assert_eq!(lines.lines().next(), Some(key(3).vkey().as_str()), "the current one is first");
    assert_eq!(from_lines(&lines), notes);
    assert!(from_lines(&to_lines(&[verifier(1)], &[])).is_empty());
}
