//! The logs as other implementations of C2SP's formats read them: `signed_note` and `tlog_tiles`,
//! which are ported from Go's.

use std::collections::HashMap;

use signed_note::{Note, NoteError, StandardVerifier, VerifierList};
use tlog_tiles::{Checkpoint, Error, Tile, TileHashReader, TileReader};
use tlog_tiles::{check_record, check_tree, prove_record, prove_tree, record_hash, tree_hash};

use crate::audit::tiles;
use crate::store::{Engine, audit};
use crate::testing::{Bench, matrix};
use crate::tests::tamper::fill;

/// Tiles by their paths. Theirs begin with the height, which is always 8 in tlog-tiles.
struct Tiles(HashMap<String, Vec<u8>>);

fn path(tile: &Tile) -> String {
    tile.path().replacen("tile/8/", "tile/", 1)
}

impl TileReader for Tiles {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        let read = |tile| self.0.get(&path(tile)).cloned();
        tiles.iter().map(|t| read(t).ok_or(Error::InvalidInput(path(t)))).collect()
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

/// The newest checkpoint, opened with their verifier and our key.
async fn opened(bench: &Bench) -> Checkpoint {
    let mut conn = bench.desk.store.read().await.unwrap();
    let head = audit::head(&mut conn, "platform").await.unwrap().unwrap();
    let note = Note::from_bytes(head.checkpoint.as_bytes()).unwrap();
    let verifier = StandardVerifier::new(&bench.desk.keys.log.vkey()).unwrap();
    let (verified, others) = note.verify(&VerifierList::new(vec![Box::new(verifier)])).unwrap();
    assert_eq!((verified.len(), others.len()), (1, 0));
    assert_eq!(note.to_bytes(), head.checkpoint.as_bytes(), "written as they write it");
    let checkpoint = Checkpoint::from_bytes(note.text()).unwrap();
    assert_eq!(checkpoint.origin(), head.origin);
    assert_eq!(i64::try_from(checkpoint.size()), Ok(head.size));
    // One letter changed, and it does not hold.
    let forged = head.checkpoint.replacen(&head.origin, &head.origin.to_uppercase(), 1);
    let note = Note::from_bytes(forged.as_bytes()).unwrap();
    let verifier = StandardVerifier::new(&bench.desk.keys.log.vkey()).unwrap();
    let said = note.verify(&VerifierList::new(vec![Box::new(verifier)]));
    assert!(matches!(said, Err(NoteError::InvalidSignature { .. })), "{said:?}");
    checkpoint
}

/// Protects whoever follows a log with a program of another's.
#[tokio::test]
async fn notes_and_trees_are_what_others_make_of_them() {
    let bench = Bench::new(Engine::Sqlite).await;
    let mut checkpoints = vec![opened(&bench).await];
    for more in [1, 200, 56, 1, 300, 211] {
        fill(&bench, more).await;
        checkpoints.push(opened(&bench).await);
    }
    let newest = checkpoints.pop().unwrap();
    let (size, root) = (newest.size(), *newest.hash());
    assert!(size > 768);

    // Every tile that a log of this size has by their reckoning, and its rows.
    let mut conn = bench.desk.store.read().await.unwrap();
    let head = audit::head(&mut conn, "platform").await.unwrap().unwrap();
    let (mut tiles, mut rows) = (HashMap::new(), Vec::new());
    for tile in Tile::new_tiles(8, 0, size) {
        let name = path(&tile);
        let ours = tiles::Path::parse(&name).unwrap_or_else(|| panic!("{name}"));
        let bytes = tiles::read(&mut conn, &head, ours).await.unwrap();
        tiles.insert(name.clone(), bytes.unwrap_or_else(|| panic!("{name} is not there")));
        if tile.level() == 0 {
            let entries = name.replacen("tile/0/", "tile/entries/", 1);
            let ours = tiles::Path::parse(&entries).unwrap();
            let bytes = tiles::read(&mut conn, &head, ours).await.unwrap().unwrap();
            rows.extend(tiles::entries(&bytes).unwrap());
        }
    }
    assert_eq!(rows.len() as u64, size);
    let tiles = Tiles(tiles);
    // It checks each tile against the root while it reads.
    let reader = TileHashReader::new(size, root, &tiles);
    assert!(tree_hash(size, &reader).unwrap() == root);
    for (n, row) in (0..).zip(&rows) {
        let proof = prove_record(size, n, &reader).unwrap();
        let hash = record_hash(row.as_bytes());
        check_record(&proof, size, root, n, hash).unwrap_or_else(|e| panic!("row {n}: {e:?}"));
    }
    // There is nothing to prove of an empty log.
    for old in checkpoints.iter().filter(|old| old.size() > 0) {
        let proof = prove_tree(size, old.size(), &reader).unwrap();
        check_tree(&proof, size, root, old.size(), *old.hash()).unwrap();
    }
    let what = "notes verify, every row is in the tree, the tree only grew";
    let tried = format!("{size} rows, {} checkpoints", checkpoints.len() + 1);
    matrix::holds("Logs", "signed_note", version("signed_note"), &tried, "notes verify");
    matrix::holds("Logs", "tlog_tiles", version("tlog_tiles"), &tried, what);
}

/// The version of a crate, as it is locked.
fn version(name: &str) -> &'static str {
    let lock = include_str!("../../../Cargo.lock");
    let after = lock.split(&format!("name = \"{name}\"\nversion = \"")).nth(1);
    after.and_then(|rest| rest.split('"').next()).unwrap()
}
