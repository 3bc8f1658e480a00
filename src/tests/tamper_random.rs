//! Two hundred random changes of what the logs are stored as, each undone again: verification
//! finds every one.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sqlx::AnyConnection;

use super::tamper::{bytes, fill, opened};
use crate::proof::merkle::leaf_hash;
use crate::store::audit::{self, Entry, Head};
use crate::testing::{Bench, both_engines};

both_engines!(of_two_hundred_random_changes_none_is_missed);

async fn of_two_hundred_random_changes_none_is_missed(bench: Bench) {
    // More than a block, so that there are subtree roots to spoil as well.
    fill(&bench, 260).await;
    opened(&bench).await;
    let mut chance = StdRng::seed_from_u64(200);
    let mut kinds = std::collections::BTreeMap::new();
    for nth in 0..200 {
        let mut tx = bench.desk.begin().await.unwrap();
        let (log, sql) = random_change(&bench, tx.conn(), &mut chance).await;
        let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.clone())).execute(tx.conn()).await;
        let changed = done.unwrap_or_else(|e| panic!("{sql}: {e}")).rows_affected();
        assert!(changed > 0, "{sql}");
        match bench.verify_on(tx.conn()).await {
            Ok(_) => panic!("change {nth} of {log} was missed: {sql}"),
            Err(fault) => assert_eq!(fault.log, log, "change {nth}: {sql}: {fault}"),
        }
        tx.rollback().await.unwrap();
        *kinds.entry(sql.split(" = ").next().unwrap_or_default().to_owned()).or_insert(0) += 1;
    }
    assert!(kinds.len() >= 10, "all kinds of changes: {kinds:?}");
    bench.verify_all().await.expect("each was undone");
}

/// One of the logs with rows, and a statement that spoils something of it.
async fn random_change(
    bench: &Bench,
    conn: &mut AnyConnection,
    chance: &mut StdRng,
) -> (String, String) {
    let heads = audit::heads(&mut *conn).await.unwrap();
    let heads: Vec<&Head> = heads.iter().filter(|head| head.size > 1).collect();
    let head = heads[chance.gen_range(0..heads.len())];
    let log = head.id.clone();
    let seq = chance.gen_range(0..head.size);
    let entry = audit::range(conn, &log, seq, 1).await.unwrap().remove(0);
    let row = format!("WHERE log_id = '{log}' AND seq = {seq}");
    let of_head = format!("WHERE id = '{log}'");
    let flip = |hash: &[u8], chance: &mut StdRng| {
        let mut hash = hash.to_vec();
        let at = chance.gen_range(0..hash.len());
        hash[at] ^= 1 << chance.gen_range(0..8);
        bytes(bench.engine(), &hash)
    };
    let sql = match chance.gen_range(0..13) {
        0 => format!("UPDATE audit_entry SET body = '{}' {row}", other_text(&entry, chance)),
        1 => {
            let body = other_text(&entry, chance);
            let hash = bytes(bench.engine(), &leaf_hash(body.as_bytes()));
            format!("UPDATE audit_entry SET leaf_hash = {hash}, body = '{body}' {row}")
        }
        2 => format!("UPDATE audit_entry SET leaf_hash = {} {row}", flip(&entry.leaf_hash, chance)),
        3 => format!("DELETE FROM audit_entry {row}"),
        4 => {
            let columns = ["action", "actor_id", "org_id", "ticket_ref", "impersonation_id"];
            let column = columns[chance.gen_range(0..columns.len())];
            format!("UPDATE audit_entry SET {column} = 'spoilt' {row}")
        }
        5 => format!("UPDATE audit_entry SET at = at + {} {row}", chance.gen_range(1..1000)),
        6 => format!("UPDATE audit_entry SET id = 'another' {row}"),
        7 => {
            let place = head.size + chance.gen_range(0..5);
            format!("UPDATE audit_entry SET seq = {place} {row}")
        }
        8 => format!("DELETE FROM audit_entry WHERE log_id = '{log}' AND seq >= {seq}"),
        9 => {
            let by = if chance.gen_bool(0.5) { -1 } else { 1 };
            format!("UPDATE audit_log SET size = size + {by} {of_head}")
        }
        10 => {
            format!("UPDATE audit_log SET frontier = {} {of_head}", flip(&head.frontier, chance))
        }
        11 => format!("UPDATE audit_log SET last_at = last_at - 1 {of_head}"),
        _ if head.size >= 256 => {
            let hash = bytes(bench.engine(), &chance.r#gen::<[u8; 32]>());
            format!("UPDATE audit_subtree SET hash = {hash} WHERE log_id = '{log}'")
        }
        _ => format!(
            "UPDATE audit_checkpoint SET note = '{}' WHERE log_id = '{log}' AND size = \
             (SELECT MIN(size) FROM audit_checkpoint WHERE log_id = '{log}')",
            head.checkpoint
        ),
    };
    (log, sql)
}

/// The text with one letter or digit of it another.
fn other_text(entry: &Entry, chance: &mut StdRng) -> String {
    let places: Vec<usize> = entry
        .body
        .bytes()
        .enumerate()
        .filter(|(_, byte)| byte.is_ascii_alphanumeric())
        .map(|(at, _)| at)
        .collect();
    let at = places[chance.gen_range(0..places.len())];
    let now = entry.body.as_bytes()[at];
    let other = if now == b'7' { '8' } else { '7' };
    let mut body = entry.body.clone();
    body.replace_range(at..=at, &other.to_string());
    body
}
