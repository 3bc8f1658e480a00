//! `keyturn verify` says that something holds only where it looked at something.

use std::path::Path;

use keyturn::audit::{Actor, LogId, LogKey, NewRow, append, create_log};
use keyturn::clock::SystemRng;
use keyturn::delivery::witness::{FolderWitness, Seen, Witness as _};
use keyturn::proof::cosignature::WitnessSigner;
use keyturn::proof::note::NoteKey;
use keyturn::store::witness;
use tempfile::TempDir;

use super::*;

/// A data folder with the platform's log of three rows.
async fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let key = LogKey::new(NoteKey::new("k.example", &[3; 32]).unwrap(), "k.example");
    let store = Store::connect(&Store::sqlite_in(folder.path()), 2).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    create_log(tx.conn(), &key, &LogId::Platform, 1).await.unwrap();
    let mut newest = String::new();
    for at in 2..5 {
        let row = NewRow::new("platform.audit_viewed", &Actor::system());
        let done = append(&mut tx, &key, &SystemRng, &LogId::Platform, row, at).await.unwrap();
        newest = done.checkpoint;
    }
    tx.commit().await.unwrap();
    store.close().await;
    std::fs::write(folder.path().join("log-key.txt"), key.vkey()).unwrap();
    std::fs::write(folder.path().join("newest.note"), newest).unwrap();
    std::fs::write(folder.path().join("other.note"), of_org(3)).unwrap();
    folder
}

/// A checkpoint of another log, with the same key's signature.
fn of_org(size: u64) -> String {
    let key = NoteKey::new("k.example", &[3; 32]).unwrap();
    Checkpoint { origin: "k.example/org/a".to_owned(), size, root: [7; 32] }.sign(&key).unwrap()
}

/// Lets a witness keep a note of a log of so many rows.
async fn in_folder(folder: &Path, origin: &str, size: u64, note: String) {
    let seen = Seen { origin: origin.to_owned(), old_size: 0, proof: Vec::new(), size, note };
    FolderWitness::new(folder.to_owned()).add(&seen).await.unwrap();
}

async fn asked(
    data: &TempDir,
    log: Option<&str>,
    since: Option<&str>,
    witness: Option<&str>,
) -> Result<bool, String> {
    let data = data.path();
    let at = |name: Option<&str>| name.map(|name| data.join(name));
    let (since, witness) = (at(since), at(witness));
    let against = Against { key: None, since, full: false, witness, witness_key: None };
    verify(Some(data.to_owned()), None, log.map(str::to_owned), against).await
}

/// Lets the witness with this key have signed the platform's log when it had so many rows.
async fn signed(data: &TempDir, signer: &WitnessSigner, size: u64, note: String) {
    let store = Store::connect(&Store::sqlite_in(data.path()), 2).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let cosignature = signer.cosign(&note, 4_000_000).unwrap();
    let (log_id, size) = ("platform".to_owned(), i64::try_from(size).unwrap());
    let seen = witness::Witnessed {
        witness: "https://w.example".to_owned(),
        log_id: log_id.clone(),
        size,
        at: 4,
        answer: cosignature.clone(),
        last_error: None,
    };
    let key = signer.public().id();
    let attempt = witness::Attempt { key: Some(&key), disagrees: false };
    witness::save(&mut tx, &seen, attempt).await.unwrap();
    let kept = witness::Cosigned { log_id, size, note, cosignature };
    witness::keep(&mut tx, &key, &kept).await.unwrap();
    tx.commit().await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn what_a_witness_signed_is_held_against_the_logs() {
    let data = folder().await;
    let signer = WitnessSigner::new("w.example", &[9; 32]).unwrap();
    let ask = async |vkey: &str| {
        let against = Against {
            key: None,
            since: None,
            full: false,
            witness: None,
            witness_key: Some(vkey.to_owned()),
        };
        verify(Some(data.path().to_owned()), None, None, against).await
    };
    let vkey = signer.public().vkey();
    let why = ask(&vkey).await.unwrap_err();
    assert!(why.contains("nothing is kept that this witness signed"), "{why}");
    let newest = std::fs::read_to_string(data.path().join("newest.note")).unwrap();
    signed(&data, &signer, 3, newest).await;
    assert_eq!(ask(&vkey).await, Ok(true));
    let stranger = WitnessSigner::new("w.example", &[8; 32]).unwrap();
    assert!(ask(&stranger.public().vkey()).await.is_err(), "nothing of another's is looked at");
    let of_the_log = NoteKey::new("k.example", &[3; 32]).unwrap().vkey();
    for wrong in ["", "w.example", &of_the_log] {
        let why = ask(wrong).await.unwrap_err();
        assert!(why.starts_with("--witness-key: "), "{wrong}: {why}");
    }
    // It has signed more rows than there are.
    let key = NoteKey::new("k.example", &[3; 32]).unwrap();
    let more = Checkpoint { origin: "k.example/platform".to_owned(), size: 9, root: [7; 32] };
    signed(&data, &signer, 9, more.sign(&key).unwrap()).await;
    assert_eq!(ask(&vkey).await, Ok(false));
}

#[tokio::test]
async fn a_log_that_is_not_there_is_not_said_to_hold() {
    let data = folder().await;
    assert_eq!(asked(&data, None, None, None).await, Ok(true));
    assert_eq!(asked(&data, Some("platform"), None, None).await, Ok(true));
    for wrong in ["Platform", "org/a", "a", ""] {
        let why = asked(&data, Some(wrong), None, None).await.unwrap_err();
        assert!(why.contains("--log takes"), "{why}");
    }
}

#[tokio::test]
async fn a_checkpoint_of_no_log_that_is_verified_is_not_said_to_hold() {
    let data = folder().await;
    assert_eq!(asked(&data, None, Some("newest.note"), None).await, Ok(true));
    let why = asked(&data, None, Some("other.note"), None).await.unwrap_err();
    assert!(why.contains("k.example/org/a") && why.contains("another --log"), "{why}");
    for unreadable in ["log-key.txt", "nowhere.note"] {
        let why = asked(&data, None, Some(unreadable), None).await.unwrap_err();
        assert!(why.starts_with("--since "), "{why}");
    }
}

#[tokio::test]
async fn a_folder_without_a_checkpoint_of_the_logs_is_not_said_to_agree() {
    let data = folder().await;
    assert!(asked(&data, None, None, Some("nowhere")).await.unwrap_err().contains("nowhere"));
    let kept = data.path().join("kept");
    std::fs::create_dir(&kept).unwrap();
    let why = asked(&data, None, None, Some("kept")).await.unwrap_err();
    assert!(why.contains("holds no checkpoint"), "{why}");
    let newest = std::fs::read_to_string(data.path().join("newest.note")).unwrap();
    in_folder(&kept, "k.example/platform", 3, newest).await;
    assert_eq!(asked(&data, None, None, Some("kept")).await, Ok(true));
    // The witness has seen a log that is not there.
    in_folder(&kept, "k.example/org/a", 3, of_org(3)).await;
    assert_eq!(asked(&data, None, None, Some("kept")).await, Ok(false));
}
