//! A witness's folder takes what grew from what it has, and nothing else.

use super::*;
use crate::proof::merkle::{Frontier, consistency_proof, leaf_hash, node_hash};
use crate::proof::note::NoteKey;

const ORIGIN: &str = "k.example/platform";

fn key() -> NoteKey {
    NoteKey::new("k.example", &[3; 32]).unwrap()
}

/// The leaf at a place of a history: all begin alike, and part ways after 7 rows.
fn leaf(history: u8, index: u64) -> Hash {
    leaf_hash(&[if index < 7 { 0 } else { history }, u8::try_from(index).unwrap()])
}

fn subtree(history: u8, level: u8, index: u64) -> Hash {
    match level {
        0 => leaf(history, index),
        _ => node_hash(
            &subtree(history, level - 1, 2 * index),
            &subtree(history, level - 1, 2 * index + 1),
        ),
    }
}

/// The checkpoint of a history, with the proof that it grew from `old_size` rows of its own.
fn seen(history: u8, old_size: u64, size: u64) -> Seen {
    let mut frontier = Frontier::new();
    for index in 0..size {
        frontier.push(leaf(history, index));
    }
    let get = &mut |level, index| Ok::<_, std::convert::Infallible>(subtree(history, level, index));
    let checkpoint = Checkpoint { origin: ORIGIN.into(), size, root: frontier.root() };
    Seen {
        origin: ORIGIN.into(),
        old_size,
        proof: consistency_proof(old_size, size, get).unwrap(),
        size,
        note: checkpoint.sign(&key()).unwrap(),
    }
}

fn disagrees(answer: &Result<Option<Cosignature>, WitnessError>) -> bool {
    matches!(answer, Err(WitnessError::Disagrees(_)))
}

#[tokio::test]
async fn a_folder_never_forgets_and_never_takes_a_log_that_was_cut_back() {
    let folder = tempfile::tempdir().unwrap();
    let witness = FolderWitness::new(folder.path().to_owned());
    assert_eq!(witness.add(&seen(1, 3, 5)).await, Err(WitnessError::Conflict(0)));
    witness.add(&seen(1, 0, 5)).await.unwrap();
    witness.add(&seen(1, 0, 5)).await.unwrap();
    witness.add(&seen(1, 5, 9)).await.unwrap();
    assert_eq!(witness.add(&seen(1, 5, 7)).await, Err(WitnessError::Conflict(9)));
    let again = witness.add(&seen(1, 0, 5)).await;
    assert_eq!(again, Err(WitnessError::Conflict(9)), "what it took once is not the newest");
    assert!(disagrees(&witness.add(&seen(2, 5, 9)).await));
    let place = place(folder.path(), ORIGIN).unwrap();
    assert_eq!(sizes(&place).unwrap(), [5, 9]);
}

#[tokio::test]
async fn a_fork_that_has_grown_past_the_newest_size_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let witness = FolderWitness::new(folder.path().to_owned());
    witness.add(&seen(1, 0, 5)).await.unwrap();
    witness.add(&seen(1, 5, 9)).await.unwrap();
    // As if it had seen nothing, or less: it names what it has, and wants the proof from there.
    assert_eq!(witness.add(&seen(2, 0, 12)).await, Err(WitnessError::Conflict(9)));
    assert_eq!(witness.add(&seen(2, 5, 12)).await, Err(WitnessError::Conflict(9)));
    assert!(disagrees(&witness.add(&seen(2, 9, 12)).await), "a proof of its own history");
    let unproven = Seen { proof: Vec::new(), ..seen(1, 9, 12) };
    assert!(disagrees(&witness.add(&unproven).await));
    let other = Seen { note: seen(1, 9, 11).note, ..seen(1, 9, 12) };
    assert!(disagrees(&witness.add(&other).await), "a note of another size");
    let place = place(folder.path(), ORIGIN).unwrap();
    assert_eq!(sizes(&place).unwrap(), [5, 9]);
    witness.add(&seen(1, 9, 12)).await.unwrap();
}

#[tokio::test]
async fn what_a_folder_holds_is_read_with_its_signatures() {
    let folder = tempfile::tempdir().unwrap();
    let witness = FolderWitness::new(folder.path().to_owned());
    witness.add(&seen(1, 0, 5)).await.unwrap();
    witness.add(&seen(1, 5, 9)).await.unwrap();
    let kept = Kept::list(folder.path()).unwrap();
    let ours = [key().verifier().clone()];
    let read: Vec<u64> = kept.of(ORIGIN, &ours).unwrap().iter().map(|c| c.size).collect();
    assert_eq!((read, kept.count(ORIGIN)), (vec![5, 9], 2));
    assert_eq!(kept.gone("k.example", &["k.example/org/a"]), [ORIGIN]);
    assert!(kept.gone("k.example", &[ORIGIN]).is_empty());
    assert!(kept.gone("other.example", &[]).is_empty(), "of another deployment");
    let stranger = [NoteKey::new("k.example", &[4; 32]).unwrap().verifier().clone()];
    assert!(kept.of(ORIGIN, &stranger).unwrap_err().contains(".note"));
    assert!(kept.of("k.example/org/a", &ours).unwrap().is_empty());
    assert!(Kept::list(&folder.path().join("nowhere")).is_err());
}

#[test]
fn no_origin_leads_out_of_the_folder() {
    for wrong in ["../x", "a//b", "", "a/../b", "/etc", "a/.hidden", "a b"] {
        assert_eq!(place(Path::new("/w"), wrong), None, "{wrong}");
    }
}
