//! The same somebody, in a log that is long enough to have full tiles, whose rows are read many at
//! once.

use super::tamper::{bytes, change, fill, opened, unlock};
use crate::audit::verify::Fault;
use crate::proof::merkle::leaf_hash;
use crate::proof::note::{NoteKey, sign_note, unverified_text};
use crate::store::{Engine, audit, proven};
use crate::testing::{Bench, both_engines};

both_engines!(
    what_is_wrong_with_a_row_of_a_full_tile_is_named,
    a_tile_that_is_not_that_of_its_rows_is_found,
    a_log_without_tiles_is_read_row_by_row,
    a_checkpoint_that_somebody_else_signed_is_named_before_the_rows_it_speaks_of,
    rows_read_together_are_those_read_one_by_one,
);

/// A row in the second full tile.
const ROW: i64 = 300;

async fn long(bench: &Bench) {
    fill(bench, 2 * 256 + 40).await;
    opened(bench).await;
}

/// What a verification says once `sql` was done, which is undone again.
async fn after(bench: &Bench, sql: &str) -> Fault {
    let mut tx = bench.desk.begin().await.unwrap();
    let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(tx.conn()).await.unwrap();
    assert!(done.rows_affected() > 0, "{sql}");
    let fault = bench.verify_on(tx.conn()).await.expect_err(sql);
    tx.rollback().await.unwrap();
    fault
}

async fn body(bench: &Bench, seq: i64) -> String {
    let mut conn = bench.desk.store.read().await.unwrap();
    audit::range(&mut conn, "platform", seq, 1).await.unwrap().remove(0).body
}

async fn what_is_wrong_with_a_row_of_a_full_tile_is_named(bench: Bench) {
    long(&bench).await;
    let here = format!("WHERE log_id = 'platform' AND seq = {ROW}");
    let forged = body(&bench, ROW).await.replace("system", "auditor");
    let hash = bytes(bench.engine(), &leaf_hash(forged.as_bytes()));
    let mut cases = vec![
        (format!("UPDATE audit_entry SET body = '{forged}' {here}"), "does not give the leaf hash"),
        (
            format!("UPDATE audit_entry SET leaf_hash = {hash} {here}"),
            "does not give the leaf hash",
        ),
        (format!("UPDATE audit_entry SET at = at + 1 {here}"), "columns"),
        (format!("UPDATE audit_entry SET action = action || ' ' {here}"), "columns"),
        (format!("UPDATE audit_entry SET org_id = '' {here}"), "columns"),
        (format!("UPDATE audit_entry SET ticket_ref = '-' {here}"), "columns"),
        (format!("DELETE FROM audit_entry {here}"), "missing"),
    ];
    if bench.engine() == Engine::Sqlite {
        // A search for the same letters does not find them where they are kept as bytes.
        for column in ["id", "action", "actor_id"] {
            let sql = format!("UPDATE audit_entry SET {column} = CAST({column} AS BLOB) {here}");
            cases.push((sql, "columns"));
        }
        cases.push((format!("UPDATE audit_entry SET at = CAST(at AS BLOB) {here}"), "columns"));
    }
    for (sql, what) in cases {
        let fault = after(&bench, &sql).await;
        assert_eq!((fault.log.as_str(), fault.row), ("platform", Some(300)), "{sql}: {fault}");
        assert!(fault.what.contains(what), "{sql}: {fault}");
    }
    let hashed = format!("UPDATE audit_entry SET body = '{forged}', leaf_hash = {hash} {here}");
    let fault = after(&bench, &hashed).await;
    assert_eq!(fault.log, "platform");
    assert!(fault.row.is_some_and(|row| (256..=300).contains(&row)), "{fault}");
    bench.verify_all().await.unwrap();
}

async fn tile(bench: &Bench) -> Vec<u8> {
    let mut conn = bench.desk.store.read().await.unwrap();
    proven::tiles_of(&mut conn, "platform", 0, 1, 2).await.unwrap().remove(0).1
}

async fn a_tile_that_is_not_that_of_its_rows_is_found(bench: Bench) {
    long(&bench).await;
    let here = "WHERE log_id = 'platform' AND level = 0 AND idx = 1";
    let mut other = tile(&bench).await;
    other.swap(7, 8);
    other[9] ^= 1;
    for hashes in [other.clone(), other[..32].to_vec(), Vec::new()] {
        let hashes = bytes(bench.engine(), &hashes);
        let fault = after(&bench, &format!("UPDATE audit_tile SET hashes = {hashes} {here}")).await;
        assert_eq!((fault.log.as_str(), fault.row), ("platform", Some(256)), "{fault}");
        assert!(fault.what.contains("tile 1"), "{fault}");
    }
    // Together with a row that was made to fit it.
    let forged = body(&bench, ROW).await.replace("system", "auditor");
    let hash = leaf_hash(forged.as_bytes());
    let mut other = tile(&bench).await;
    let place = 32 * usize::try_from(ROW - 256).unwrap();
    other[place..place + 32].copy_from_slice(&hash);
    let (other, hash) = (bytes(bench.engine(), &other), bytes(bench.engine(), &hash));
    change(&bench, &format!("UPDATE audit_tile SET hashes = {other} {here}")).await;
    let fault = after(
        &bench,
        &format!(
            "UPDATE audit_entry SET body = '{forged}', leaf_hash = {hash} \
             WHERE log_id = 'platform' AND seq = {ROW}"
        ),
    )
    .await;
    assert_eq!(fault.log, "platform");
    assert!(fault.row.is_some_and(|row| (256..=300).contains(&row)), "{fault}");
}

/// As one that was begun before there were tiles.
async fn a_log_without_tiles_is_read_row_by_row(bench: Bench) {
    long(&bench).await;
    change(&bench, "DELETE FROM audit_tile WHERE log_id = 'platform' AND idx = 0").await;
    bench.verify_all().await.expect("tiles follow from the rows");
    let sql = "UPDATE audit_entry SET action = 'x' WHERE log_id = 'platform' AND seq = 300";
    assert_eq!(after(&bench, sql).await.row, Some(300));
}

async fn a_checkpoint_that_somebody_else_signed_is_named_before_the_rows_it_speaks_of(
    bench: Bench,
) {
    long(&bench).await;
    let kept = {
        let mut conn = bench.desk.store.read().await.unwrap();
        audit::checkpoints(&mut conn, "platform").await.unwrap()
    };
    let (size, note) = kept.last().unwrap();
    let name = bench.desk.keys.log.verifiers()[0].name().to_owned();
    let stranger = NoteKey::new(&name, &[9; 32]).unwrap();
    let text = unverified_text(note).unwrap();
    let root = text.lines().nth(2).unwrap();
    let another = if root.starts_with('A') { "B" } else { "A" };
    let wrong = text.replace(root, &format!("{another}{}", &root[1..]));
    for text in [text, &wrong] {
        let forged = sign_note(text, &[&stranger]).unwrap();
        let fault = after(
            &bench,
            &format!(
                "UPDATE audit_checkpoint SET note = '{forged}' \
                 WHERE log_id = 'platform' AND size = {size}"
            ),
        )
        .await;
        assert_eq!(
            fault.what,
            format!("the checkpoint kept for {size} rows: no signature is of a known key")
        );
    }
}

async fn rows_read_together_are_those_read_one_by_one(bench: Bench) {
    fill(&bench, 256).await;
    unlock(&bench).await;
    for odd in ["-", "!", "1:", "12:-", "ü\n3:x", "%_\u{1f600}"] {
        for column in ["action", "actor_id", "org_id", "ticket_ref", "secret_type", "body"] {
            let sql = format!(
                "UPDATE audit_entry SET {column} = '{odd}' WHERE log_id = 'platform' AND seq = 7"
            );
            change(&bench, &sql).await;
            let mut conn = bench.desk.store.read().await.unwrap();
            let rows = proven::rows(&mut conn, "platform", 0, 256).await.unwrap();
            let hashes: Vec<u8> = rows.iter().flat_map(|row| row.leaf_hash.clone()).collect();
            let read = proven::together(&mut conn, "platform", 0, 256, &hashes).await.unwrap();
            assert!(read.agree);
            let records = proven::records(&read.text).unwrap();
            assert_eq!(records.len(), 256);
            for (row, record) in rows.iter().zip(records) {
                assert_eq!(
                    (row.seq, row.columns.as_str(), row.body.as_str()),
                    (record.seq, record.columns, record.body)
                );
            }
            let none = proven::together(&mut conn, "platform", 900, 1024, &hashes).await.unwrap();
            assert_eq!((none.text.as_str(), none.agree), ("", true));
            let less = &hashes[..255 * 32];
            assert!(!proven::together(&mut conn, "platform", 0, 256, less).await.unwrap().agree);
        }
    }
    for no_records in ["x", "1", "1:", "2:1", "9999999999999999999999:1", "1:7-------- ", "-"] {
        assert_eq!(proven::records(no_records), None, "{no_records}");
    }
}
