//! Tests of the check of a whole log: each way of tampering, and where it is said to be.

use proptest::prelude::*;
use serde_json::Map;

use super::*;
use crate::proof::row::{ActorType, Outcome, PLATFORM_LOG};

#[derive(Debug, Clone, PartialEq)]
struct Stored {
    seq: u64,
    hash: Vec<u8>,
    body: String,
}

fn row(seq: u64, name: &str) -> AuditRow {
    AuditRow {
        v: 1,
        log: PLATFORM_LOG.into(),
        seq,
        id: format!("row-{seq}"),
        at: 1_000 * seq as i64,
        action: "platform.signed_in".into(),
        actor_type: ActorType::PlatformAdmin,
        actor_id: "admin-1".into(),
        actor_name: name.into(),
        org_id: None,
        impersonation_id: None,
        ticket_ref: None,
        reason: None,
        secret_type: None,
        secret_id: None,
        outcome: Outcome::Success,
        details: Map::new(),
    }
}

fn stored(row: &AuditRow) -> Stored {
    Stored { seq: row.seq, hash: row.leaf_hash().unwrap().to_vec(), body: row.canonical().unwrap() }
}

fn log(rows: u64) -> Vec<Stored> {
    (0..rows).map(|seq| stored(&row(seq, "Ada"))).collect()
}

fn checkpoint(rows: &[Stored]) -> Checkpoint {
    let mut frontier = Frontier::new();
    for row in rows {
        frontier.push(leaf_hash(row.body.as_bytes()));
    }
    Checkpoint {
        origin: "audit.example/platform".into(),
        size: frontier.size(),
        root: frontier.root(),
    }
}

/// Checks what is stored against what was signed, with these kept things.
fn check(
    found: &[Stored],
    newest: &Checkpoint,
    prepare: impl FnOnce(&mut LogChecker),
) -> Result<Report, LogFault> {
    let mut checker = LogChecker::new(PLATFORM_LOG);
    prepare(&mut checker);
    for row in found {
        let input = RowInput { seq: row.seq, stored_leaf_hash: &row.hash, body: &row.body };
        if let Err(bad) = checker.push(input) {
            assert_eq!(checker.push(input), Err(bad), "a failed check stays failed");
            break;
        }
    }
    checker.finish(found.len() as u64, newest)
}

fn keep_all(checker: &mut LogChecker, rows: &[Stored], every: usize) {
    for size in (every..=rows.len()).step_by(every) {
        let kept = checkpoint(&rows[..size]);
        checker.expect_checkpoint(kept.size, kept.root);
    }
}

fn keep_blocks(checker: &mut LogChecker, rows: &[Stored]) {
    for (index, block) in rows.chunks_exact(BLOCK_ROWS as usize).enumerate() {
        checker.expect_block(index as u64, checkpoint(block).root);
    }
}

/// Changes a row together with its hash, as somebody would who can write to the store.
fn forge(rows: &mut [Stored], seq: usize) {
    rows[seq] = stored(&row(seq as u64, "Eve"));
}

#[test]
fn an_untouched_log_holds() {
    let rows = log(600);
    let newest = checkpoint(&rows);
    let report = check(&rows, &newest, |checker| {
        keep_all(checker, &rows, 100);
        keep_blocks(checker, &rows);
    })
    .unwrap();
    assert_eq!((report.rows, report.root), (600, newest.root));
    assert_eq!((report.checkpoints_agreed, report.blocks_agreed), (6, 2));
    assert_eq!(report.beyond_checkpoint, 0);
}

#[test]
fn an_empty_log_holds_and_has_one_root() {
    assert_eq!(check(&[], &checkpoint(&[]), |_| {}).unwrap().rows, 0);
    let mut wrong = checkpoint(&[]);
    wrong.root = [1; 32];
    assert!(check(&[], &wrong, |_| {}).is_err());
    assert!(check(&[], &checkpoint(&[]), |checker| checker.expect_checkpoint(0, [1; 32])).is_err());
}

#[test]
fn a_changed_row_is_named() {
    let rows = log(10);
    let newest = checkpoint(&rows);
    let mut found = rows.clone();
    found[4].body = found[4].body.replace("Ada", "Eve");
    let fault = check(&found, &newest, |_| {}).unwrap_err();
    assert_eq!(fault.first_bad_seq, Some(4));
    assert!(fault.sentence.contains("leaf hash"), "{fault}");

    found[4].body = rows[4].body.replace(':', ": ");
    let fault = check(&found, &newest, |_| {}).unwrap_err();
    assert_eq!(fault.first_bad_seq, Some(4));
    assert!(fault.sentence.contains("canonical"), "{fault}");

    found[4] = rows[4].clone();
    found[4].hash.pop();
    assert_eq!(check(&found, &newest, |_| {}).unwrap_err().first_bad_seq, Some(4));
}

#[test]
fn deleted_rows_are_named() {
    let mut found = log(10);
    let newest = checkpoint(&found);
    found.drain(3..5);
    let fault = check(&found, &newest, |_| {}).unwrap_err();
    assert_eq!(fault.first_bad_seq, Some(3));
    assert!(fault.sentence.contains("rows 3 to 4 are missing"), "{fault}");

    for (seq, row) in found.iter_mut().enumerate() {
        row.seq = seq as u64;
    }
    let fault = check(&found, &newest, |_| {}).unwrap_err();
    assert_eq!(fault.first_bad_seq, Some(3), "numbering anew does not hide it");
    assert!(fault.sentence.contains("row 5"), "{fault}");
}

#[test]
fn swapped_rows_are_named() {
    let rows = log(10);
    let newest = checkpoint(&rows);
    let mut found = rows.clone();
    found.swap(2, 6);
    (found[2].seq, found[6].seq) = (2, 6);
    let fault = check(&found, &newest, |_| {}).unwrap_err();
    assert_eq!(fault.first_bad_seq, Some(2));
    assert!(fault.sentence.contains("swapped"), "{fault}");

    let mut twice = rows.clone();
    twice.insert(5, rows[4].clone());
    let fault = check(&twice, &newest, |_| {}).unwrap_err();
    assert_eq!(fault.first_bad_seq, Some(4));
    assert!(fault.sentence.contains("twice"), "{fault}");
}

#[test]
fn a_row_of_another_log_is_named() {
    let rows = log(5);
    let newest = checkpoint(&rows);
    let mut found = rows.clone();
    let mut foreign = row(3, "Ada");
    foreign.log = "org/o-1".into();
    found[3] = stored(&foreign);
    let fault = check(&found, &newest, |_| {}).unwrap_err();
    assert_eq!(fault.first_bad_seq, Some(3));
    assert!(fault.sentence.contains("org/o-1"), "{fault}");
}

#[test]
fn a_time_that_runs_back_is_named() {
    let mut found = log(5);
    let mut early = row(3, "Ada");
    early.at = 1_999;
    found[3] = stored(&early);
    let fault = check(&found, &checkpoint(&found), |_| {}).unwrap_err();
    assert_eq!(fault.first_bad_seq, Some(3));
}

#[test]
fn rows_cut_from_the_end_are_noticed_by_whatever_remembers_them() {
    let rows = log(600);
    let newest = checkpoint(&rows);
    let cut = &rows[..500];
    let fault = check(cut, &newest, |_| {}).unwrap_err();
    assert_eq!(fault.first_bad_seq, Some(500));
    assert!(fault.sentence.contains("cut"), "{fault}");
    // The newest checkpoint and the count were set back too.
    let older = checkpoint(cut);
    assert!(check(cut, &older, |_| {}).is_ok(), "by itself an older copy looks fine");
    let fault = check(cut, &older, |checker| keep_all(checker, &rows, 100)).unwrap_err();
    assert_eq!(fault.first_bad_seq, Some(500));
    let fault = check(cut, &older, |checker| keep_blocks(checker, &rows)).unwrap_err();
    assert_eq!(fault.first_bad_seq, Some(500));
    let mut checker = LogChecker::new(PLATFORM_LOG);
    assert!(
        checker
            .push(RowInput { seq: 0, stored_leaf_hash: &rows[0].hash, body: &rows[0].body })
            .is_ok()
    );
    let fault = checker.finish(3, &checkpoint(&rows[..1])).unwrap_err();
    assert_eq!(fault.first_bad_seq, Some(1), "the count remembers too");
}

#[test]
fn a_row_changed_together_with_its_hash_is_named_within_what_was_kept() {
    let rows = log(600);
    let newest = checkpoint(&rows);
    let mut found = rows.clone();
    forge(&mut found, 300);

    let fault = check(&found, &newest, |_| {}).unwrap_err();
    assert_eq!(fault.first_bad_seq, Some(0), "nothing was kept that could say more");

    let fault = check(&found, &newest, |checker| keep_blocks(checker, &rows)).unwrap_err();
    assert_eq!(fault.first_bad_seq, Some(256));
    assert!(fault.sentence.contains("rows 256 to 511"), "{fault}");

    let fault = check(&found, &newest, |checker| keep_all(checker, &rows, 40)).unwrap_err();
    assert_eq!(fault.first_bad_seq, Some(280));
    assert!(fault.sentence.contains("rows 280 to 319"), "{fault}");

    // The store's own checkpoint was made anew over the forged rows.
    let fault = check(&found, &checkpoint(&found), |checker| {
        keep_all(checker, &rows, 290);
        keep_blocks(checker, &rows);
    })
    .unwrap_err();
    assert_eq!(fault.first_bad_seq, Some(290));
    assert!(fault.sentence.contains("rows 290 to 511"), "{fault}");
}

#[test]
fn an_older_copy_that_grew_another_way_is_noticed() {
    let rows = log(120);
    let mut found = rows[..80].to_vec();
    found.extend((80..130).map(|seq| stored(&row(seq, "Eve"))));
    let fault =
        check(&found, &checkpoint(&found), |checker| keep_all(checker, &rows, 20)).unwrap_err();
    assert_eq!(fault.first_bad_seq, Some(80));
    assert!(fault.sentence.contains("rows 80 to 99"), "{fault}");
}

#[test]
fn rows_beyond_the_newest_checkpoint_are_counted_and_not_taken_for_proven() {
    let rows = log(12);
    let newest = checkpoint(&rows[..10]);
    let report = check(&rows, &newest, |checker| {
        checker.expect_checkpoint(newest.size, newest.root);
    })
    .unwrap();
    assert_eq!(report.beyond_checkpoint, 2);
    assert!(check(&rows, &newest, |_| {}).is_err(), "it was never compared");
}

#[test]
fn two_checkpoints_of_one_size_that_differ_are_noticed() {
    let rows = log(10);
    let newest = checkpoint(&rows);
    let fault = check(&rows, &newest, |checker| {
        keep_all(checker, &rows, 5);
        checker.expect_checkpoint(5, [1; 32]);
    });
    assert!(fault.is_err());
}

#[test]
fn the_checkpoint_of_another_log_and_added_rows_are_refused() {
    let rows = log(3);
    let mut foreign = checkpoint(&rows);
    foreign.origin = "audit.example/org/o-1".into();
    assert!(check(&rows, &foreign, |_| {}).is_err());
    let mut checker = LogChecker::new(PLATFORM_LOG);
    for row in &rows {
        let input = RowInput { seq: row.seq, stored_leaf_hash: &row.hash, body: &row.body };
        checker.push(input).unwrap();
    }
    let newest = checkpoint(&rows);
    checker.expect_checkpoint(2, newest.root);
    assert!(checker.clone().finish(3, &newest).is_err(), "a checkpoint handed in too late");
    assert_eq!(checker.finish(2, &newest).unwrap_err().first_bad_seq, Some(2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_tampering_is_noticed_and_never_said_to_be_later_than_it_is(
        size in 2u64..60, pick in any::<prop::sample::Index>(), other in any::<prop::sample::Index>(), way in 0usize..6, every in 1usize..20
    ) {
        let rows = log(size);
        let newest = checkpoint(&rows);
        let (one, two) = (pick.index(rows.len()), other.index(rows.len()));
        let mut found = rows.clone();
        match way {
            0 => forge(&mut found, one),
            1 => { found.remove(one); }
            2 => found.truncate(one),
            3 => found.swap(one, two),
            4 => found.insert(one, rows[two].clone()),
            _ => found[one].body = found[one].body.replace("Ada", "Eve"),
        }
        prop_assume!(found != rows);
        let first = rows.iter().zip(&found).position(|(a, b)| a != b).unwrap_or(rows.len().min(found.len()));
        let fault = check(&found, &newest, |checker| keep_all(checker, &rows, every)).unwrap_err();
        prop_assert!(fault.first_bad_seq.unwrap() <= first as u64, "{}", fault);
    }
}
