//! Witnesses and tiles: what somebody else keeps finds a log that was set back, and what a log
//! serves is all that one needs to check it.

use super::tamper::{change, fill, mend_frontier, opened};
use crate::audit::tiles::{self, Path};
use crate::audit::verify::whole_log_against;
use crate::delivery::witness::{FolderWitness, place, sizes};
use crate::model::time;
use crate::proof::checkpoint::Checkpoint;
use crate::proof::merkle::{Frontier, leaf_hash};
use crate::store::verification::newest;
use crate::store::{audit, witness};
use crate::testing::story::CLEO;
use crate::testing::{Bench, both_engines};

both_engines!(
    a_log_set_back_that_no_other_log_recorded_is_found_by_the_witness,
    a_log_that_grows_while_it_is_witnessed_holds,
    the_tiles_of_a_log_are_all_that_it_takes_to_check_it,
);

async fn a_log_set_back_that_no_other_log_recorded_is_found_by_the_witness(bench: Bench) {
    opened(&bench).await;
    let kept_by = bench.desk.settings.witness_folder.clone().unwrap();
    let witness = FolderWitness::new(kept_by.clone());
    assert!(bench.desk.witness_due(&witness).await.unwrap() > 1);
    // A checkpoint that we keep, and then rows of the platform's own that no org's log records.
    bench.clock.advance(2 * time::MINUTE);
    fill(&bench, 1).await;
    let keep =
        bench.number("SELECT MAX(size) FROM audit_checkpoint WHERE log_id = 'platform'").await;
    fill(&bench, 5).await;
    assert_eq!(bench.desk.witness_due(&witness).await.unwrap(), 1, "only the platform's has grown");
    assert_eq!(bench.desk.witness_due(&witness).await.unwrap(), 0, "nothing is new");
    cut_back(&bench, keep).await;
    bench.verify_all().await.expect("the database alone no longer knows");

    let mut conn = bench.desk.store.read().await.unwrap();
    let head = audit::head(&mut conn, "platform").await.unwrap().unwrap();
    let key = &bench.desk.keys.log;
    let verifiers = key.verifiers();
    let folder = place(&kept_by, &head.origin).unwrap();
    let seen: Vec<Checkpoint> = sizes(&folder)
        .unwrap()
        .into_iter()
        .map(|size| {
            let note = std::fs::read_to_string(folder.join(format!("{size:020}.note"))).unwrap();
            Checkpoint::open(&note, &verifiers, &head.origin).unwrap()
        })
        .collect();
    assert_eq!(seen.len(), 2);
    let against = whole_log_against(&mut conn, &verifiers, &key.origin, &head, &seen, |_| {});
    let fault = against.await.unwrap().unwrap_err();
    assert!(fault.what.contains("cut back"), "{fault}");
    assert_eq!(fault.row, u64::try_from(keep).ok(), "the first row that is missing");
    let missing = format!("rows {keep} to {} are missing", seen[1].size - 1);
    assert!(fault.what.contains(&missing), "{fault}");
    drop(conn);

    // So does the button on the page: by what was noted of the witness, and by its folder alone.
    let aside = kept_by.with_extension("aside");
    let said = verified(&bench).await;
    assert!(said.contains("a witness has seen") && said.contains(&missing), "{said}");
    std::fs::rename(&kept_by, &aside).unwrap();
    assert!(verified(&bench).await.contains("a witness has seen"));
    std::fs::rename(&aside, &kept_by).unwrap();
    bench.sql("DELETE FROM witness_state").await.unwrap();
    assert!(verified(&bench).await.contains("somebody else has seen"));

    // Rows that are written over it do not help: the witness has seen others.
    fill(&bench, 9).await;
    bench.clock.advance(time::MINUTE);
    bench.desk.witness_due(&witness).await.unwrap();
    assert_eq!(sizes(&folder).unwrap().len(), 2, "it takes no fork");
    let mut conn = bench.desk.store.read().await.unwrap();
    let state = witness::of_log(&mut conn, "platform").await.unwrap();
    assert!(state[0].last_error.as_deref().unwrap().contains("another content"), "{state:?}");
    let head = audit::head(&mut conn, "platform").await.unwrap().unwrap();
    let against = whole_log_against(&mut conn, &verifiers, &key.origin, &head, &seen, |_| {});
    assert!(against.await.unwrap().is_err());
    drop(conn);
    verified(&bench).await;
}

/// Cuts the platform's log back to a checkpoint that is kept, head and all.
pub(super) async fn cut_back(bench: &Bench, keep: i64) {
    for sql in [
        format!("DELETE FROM audit_entry WHERE log_id = 'platform' AND seq >= {keep}"),
        format!(
            "UPDATE audit_log SET size = {keep}, checkpoint = (SELECT note FROM audit_checkpoint \
             WHERE log_id = 'platform' AND size = {keep}), last_at = (SELECT at FROM audit_entry \
             WHERE log_id = 'platform' AND seq = {keep} - 1) WHERE id = 'platform'"
        ),
    ] {
        change(bench, &sql).await;
    }
    mend_frontier(bench, "platform").await;
}

/// Verifies as the button on the page does: it must fail, and name the platform's log; why.
pub(super) async fn verified(bench: &Bench) -> String {
    bench.clock.advance(time::SECOND);
    let who = bench.at_work(CLEO).await;
    let mut tx = bench.desk.begin().await.unwrap();
    let step = bench.desk.begin_verification(&mut tx, &who).await;
    let begun = bench.desk.settle(tx, step).await.unwrap();
    bench.desk.clone().run_verification(begun, who).await;
    let mut conn = bench.desk.store.read().await.unwrap();
    let last = newest(&mut conn, 1).await.unwrap().remove(0);
    assert_eq!((last.state.as_str(), last.fault_log.as_deref()), ("failed", Some("platform")));
    last.fault.unwrap()
}

async fn a_log_that_grows_while_it_is_witnessed_holds(bench: Bench) {
    let witness = FolderWitness::new(bench.desk.settings.witness_folder.clone().unwrap());
    for rows in [1, 300] {
        fill(&bench, rows).await;
        bench.clock.advance(time::MINUTE);
        assert!(bench.desk.witness_due(&witness).await.unwrap() > 0);
        let who = bench.at_work(CLEO).await;
        let mut tx = bench.desk.begin().await.unwrap();
        let step = bench.desk.begin_verification(&mut tx, &who).await;
        let begun = bench.desk.settle(tx, step).await.unwrap();
        bench.desk.clone().run_verification(begun, who).await;
        let mut conn = bench.desk.store.read().await.unwrap();
        assert_eq!(newest(&mut conn, 1).await.unwrap()[0].state, "held");
    }
    // A witness that is there and cannot be read is not one that agrees.
    let folder = bench.desk.settings.witness_folder.clone().unwrap();
    let origin = format!("{}/platform", bench.desk.keys.log.origin);
    let of_log = place(&folder, &origin).unwrap();
    let size = sizes(&of_log).unwrap()[0];
    std::fs::write(of_log.join(format!("{size:020}.note")), "nothing").unwrap();
    assert!(verified(&bench).await.contains("cannot be read"));
}

async fn the_tiles_of_a_log_are_all_that_it_takes_to_check_it(bench: Bench) {
    fill(&bench, 600).await;
    let mut conn = bench.desk.store.read().await.unwrap();
    let head = audit::head(&mut conn, "platform").await.unwrap().unwrap();
    let size = u64::try_from(head.size).unwrap();
    let mut frontier = Frontier::new();
    let mut first_tile = Vec::new();
    for index in 0..size.div_ceil(256) {
        let width = (size - index * 256).min(256);
        let path = Path::parse(&Path::of_entries(index, width)).unwrap();
        let bytes = tiles::read(&mut conn, &head, path).await.unwrap().unwrap();
        let path = Path::Hashes { level: 0, index, width };
        let hashes = tiles::read(&mut conn, &head, path).await.unwrap().unwrap();
        for (row, hash) in tiles::entries(&bytes).unwrap().iter().zip(hashes.chunks(32)) {
            assert_eq!(leaf_hash(row.as_bytes()).as_slice(), hash);
            for (level, _, hash) in frontier.push(leaf_hash(row.as_bytes())) {
                if level == 8 {
                    first_tile.extend_from_slice(&hash);
                }
            }
        }
    }
    let signed =
        Checkpoint::open(&head.checkpoint, &bench.desk.keys.log.verifiers(), &head.origin).unwrap();
    assert_eq!(frontier.root(), signed.root);
    let above = Path::Hashes { level: 1, index: 0, width: size >> 8 };
    assert_eq!(tiles::read(&mut conn, &head, above).await.unwrap().unwrap(), first_tile);
    for beyond in [
        Path::Hashes { level: 0, index: size / 256, width: 256 },
        Path::Hashes { level: 2, index: 0, width: 1 },
        Path::Entries { index: size / 256, width: size % 256 + 1 },
        Path::Entries { index: u64::MAX / 2, width: 256 },
    ] {
        assert_eq!(tiles::read(&mut conn, &head, beyond).await.unwrap(), None, "{beyond:?}");
    }
}
