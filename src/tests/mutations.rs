//! Ten thousand random changes of a small pair of logs, each undone again. Each is found: by the
//! verification of the log itself; or, where an older state of it was put back whole, by what
//! the other log recorded of it or a witness has seen.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sqlx::AnyConnection;

use super::tamper::{fill, unlock};
use crate::audit::verify::{cross_recorded, whole_log, whole_log_against};
use crate::model::time;
use crate::proof::checkpoint::Checkpoint;
use crate::store::audit::{self, Entry, Head};
use crate::store::{Engine, Tx};
use crate::testing::Bench;
use crate::testing::story::{ADA, STUCK};

/// Drawn in four parts, so that they run side by side.
const PARTS: [u64; 4] = [1, 2, 3, 4];
/// How many changes a part makes of each engine's logs.
const SQLITE: usize = 2_500;
const POSTGRES: usize = 60;

macro_rules! parts {
    ($($name:ident: $part:expr),+ $(,)?) => {$(
        #[tokio::test]
        async fn $name() {
            no_change_is_missed(Engine::Sqlite, PARTS[$part], SQLITE, 0).await;
            no_change_is_missed(Engine::Postgres, PARTS[$part], POSTGRES, 0).await;
        }
    )+};
}

parts!(
    the_first_2500_of_ten_thousand_changes: 0,
    the_second_2500_of_ten_thousand_changes: 1,
    the_third_2500_of_ten_thousand_changes: 2,
    the_fourth_2500_of_ten_thousand_changes: 3,
);

/// Rows of full tiles are read in another way than the few of a short log.
#[tokio::test]
async fn no_change_of_a_log_with_full_tiles_is_missed() {
    no_change_is_missed(Engine::Sqlite, 5, 150, 2 * 256 + 20).await;
    no_change_is_missed(Engine::Postgres, 6, 50, 2 * 256 + 20).await;
}

/// What a column may be changed to.
#[derive(Debug, Clone)]
enum Cell {
    Text(String),
    Number(i64),
    Bytes(Vec<u8>),
}

/// One change.
#[derive(Debug, Clone)]
enum Change {
    /// One byte of one column of one row, or a word where there was none.
    Row { seq: i64, column: &'static str, to: Cell },
    /// One byte of the head.
    Head { column: &'static str, to: Cell },
    /// One byte of a kept checkpoint.
    Kept { size: i64, note: String },
    /// One row, gone.
    Deleted { seq: i64 },
    /// Two rows, each in the place of the other.
    Swapped { one: i64, other: i64 },
    /// The end, cut off, with the head cut back and an older signature put under it, or the
    /// newest left as it is.
    Cut { to: i64, older: Option<usize> },
    /// The log as it was before, whole.
    Older { state: usize },
    /// Both logs as they were before.
    BothOlder { state: usize },
}

/// The two logs as they are, and as they were after each step.
struct Logs {
    ids: [String; 2],
    rows: [Vec<Entry>; 2],
    heads: [Head; 2],
    kept: [Vec<(i64, String)>; 2],
    /// Older heads of both, of the same moments.
    older: Vec<[Head; 2]>,
    /// What a witness has seen of each.
    seen: [Checkpoint; 2],
}

async fn heads(bench: &Bench, ids: &[String; 2]) -> [Head; 2] {
    let mut conn = bench.desk.store.read().await.unwrap();
    let mut found = Vec::new();
    for id in ids {
        found.push(audit::head(&mut conn, id).await.unwrap().unwrap());
    }
    found.try_into().unwrap()
}

/// One impersonation from beginning to end, with rows of the platform's own `before` it and two
/// after it.
async fn logs(bench: &Bench, before: usize) -> Logs {
    fill(bench, before).await;
    let ada = bench.at_work(ADA).await;
    let mut older = Vec::new();
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    let ids = ["platform".to_owned(), format!("org/{}", grant.org_id)];
    older.push(heads(bench, &ids).await);
    bench.clock.advance(time::SECOND);
    bench.rotate(&grant).await.unwrap();
    older.push(heads(bench, &ids).await);
    bench.clock.advance(time::MINUTE);
    bench.hand_off(&ada, &grant.id).await.unwrap();
    older.push(heads(bench, &ids).await);
    fill(bench, 2).await;
    bench.verify_all().await.unwrap();
    unlock(bench).await;
    let now = heads(bench, &ids).await;
    let mut conn = bench.desk.store.read().await.unwrap();
    let (mut rows, mut kept) = (Vec::new(), Vec::new());
    for id in &ids {
        rows.push(audit::range(&mut conn, id, 0, 1000).await.unwrap());
        kept.push(audit::checkpoints(&mut conn, id).await.unwrap());
    }
    Logs {
        seen: [&now[0], &now[1]].map(|head| Checkpoint::unverified(&head.checkpoint).unwrap()),
        ids,
        rows: rows.try_into().unwrap(),
        heads: now,
        kept: kept.try_into().unwrap(),
        older,
    }
}

async fn no_change_is_missed(engine: Engine, seed: u64, count: usize, before: usize) {
    let bench = Bench::new(engine).await;
    let logs = logs(&bench, before).await;
    let mut chance = StdRng::seed_from_u64(seed);
    let mut missed = Vec::new();
    let mut done = 0;
    let mut by_witness_alone = 0;
    while done < count {
        let which = chance.gen_range(0..2);
        let change = random(&logs, which, &mut chance);
        let mut tx = bench.desk.begin().await.unwrap();
        // What the tables themselves refuse is no change: a number taken twice, for one.
        let made = make(&mut tx, engine, &logs, which, &change).await;
        if made.is_ok_and(|rows| rows > 0) {
            done += 1;
            match found(&bench, tx.conn(), &logs, which, &change).await {
                Found::Itself | Found::OtherLog => {}
                Found::Witness => by_witness_alone += 1,
                Found::Nowhere => missed.push(format!("{}: {change:?}", logs.ids[which])),
            }
        }
        tx.rollback().await.unwrap();
    }
    assert!(missed.is_empty(), "{engine:?}, seed {seed}: missed {}", missed.join("\n"));
    assert!(by_witness_alone < count / 4, "most are found without a witness: {by_witness_alone}");
    bench.verify_all().await.expect("each was undone");
}

/// Who found it.
enum Found {
    Itself,
    OtherLog,
    Witness,
    Nowhere,
}

async fn found(
    bench: &Bench,
    conn: &mut AnyConnection,
    logs: &Logs,
    which: usize,
    change: &Change,
) -> Found {
    let key = &bench.desk.keys.log;
    let verifiers = key.verifiers();
    let Some(head) = audit::head(conn, &logs.ids[which]).await.unwrap() else {
        return Found::Itself;
    };
    let alone = whole_log(conn, &verifiers, &key.origin, &head, |_| {}).await.unwrap();
    if alone.is_err() {
        return Found::Itself;
    }
    assert!(
        matches!(change, Change::Older { .. } | Change::BothOlder { .. } | Change::Cut { .. }),
        "only an older state holds by itself: {change:?}"
    );
    let all = audit::heads(conn).await.unwrap();
    if cross_recorded(conn, &verifiers, &all).await.unwrap().is_err() {
        return Found::OtherLog;
    }
    let seen = std::slice::from_ref(&logs.seen[which]);
    let held = whole_log_against(conn, &verifiers, &key.origin, &head, seen, |_| {}).await;
    if held.unwrap().is_err() { Found::Witness } else { Found::Nowhere }
}

fn random(logs: &Logs, which: usize, chance: &mut StdRng) -> Change {
    let rows = &logs.rows[which];
    let row = &rows[chance.gen_range(0..rows.len())];
    match chance.gen_range(0..100) {
        0..60 => {
            let (column, to) = other_cell(row, chance);
            Change::Row { seq: row.seq, column, to }
        }
        60..66 => other_head(&logs.heads[which], chance),
        66..72 if !logs.kept[which].is_empty() => {
            let kept = &logs.kept[which];
            let (size, note) = &kept[chance.gen_range(0..kept.len())];
            Change::Kept { size: *size, note: other_text(note, chance) }
        }
        66..80 => Change::Deleted { seq: row.seq },
        80..88 => {
            let other = (row.seq + chance.gen_range(1..rows.len() as i64)) % rows.len() as i64;
            Change::Swapped { one: row.seq, other }
        }
        88..94 => Change::Cut {
            to: row.seq,
            older: chance.gen_bool(0.7).then(|| chance.gen_range(0..logs.older.len())),
        },
        94..97 => Change::Older { state: chance.gen_range(0..logs.older.len()) },
        _ => Change::BothOlder { state: chance.gen_range(0..logs.older.len()) },
    }
}

/// A text with one of its bytes another; of any that ASCII has but NUL, which PostgreSQL has not.
fn other_text(text: &str, chance: &mut StdRng) -> String {
    let mut bytes = text.as_bytes().to_vec();
    loop {
        let at = chance.gen_range(0..bytes.len());
        let to = chance.gen_range(1..128);
        if bytes[at].is_ascii() && bytes[at] != to {
            bytes[at] = to;
            return String::from_utf8(bytes).unwrap();
        }
    }
}

fn other_bytes(bytes: &[u8], chance: &mut StdRng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = chance.gen_range(0..bytes.len());
    bytes[at] ^= chance.gen_range(1..=255);
    bytes
}

/// A number with one of its bytes another, and not so large that no time is.
fn other_number(number: i64, chance: &mut StdRng) -> i64 {
    number ^ (chance.gen_range(1..=255) << (8 * chance.gen_range(0..6)))
}

fn other_cell(row: &Entry, chance: &mut StdRng) -> (&'static str, Cell) {
    let text = |text: Option<&String>, chance: &mut StdRng| match text {
        Some(text) => Cell::Text(other_text(text, chance)),
        None => Cell::Text("x".to_owned()),
    };
    match chance.gen_range(0..16) {
        0 => ("log_id", text(Some(&row.log_id), chance)),
        1 => ("seq", Cell::Number(other_number(row.seq, chance))),
        2 => ("id", text(Some(&row.id), chance)),
        3 => ("at", Cell::Number(other_number(row.at, chance))),
        4 => ("action", text(Some(&row.action), chance)),
        5 => ("actor_id", text(Some(&row.actor_id), chance)),
        6 => ("org_id", text(row.org_id.as_ref(), chance)),
        7 => ("impersonation_id", text(row.impersonation_id.as_ref(), chance)),
        8 => ("ticket_ref", text(row.ticket_ref.as_ref(), chance)),
        9 => ("secret_type", text(row.secret_type.as_ref(), chance)),
        10 | 11 => ("leaf_hash", Cell::Bytes(other_bytes(&row.leaf_hash, chance))),
        _ => ("body", text(Some(&row.body), chance)),
    }
}

fn other_head(head: &Head, chance: &mut StdRng) -> Change {
    let (column, to) = match chance.gen_range(0..5) {
        0 => ("origin", Cell::Text(other_text(&head.origin, chance))),
        1 => ("size", Cell::Number(head.size ^ chance.gen_range(1..256))),
        2 => ("frontier", Cell::Bytes(other_bytes(&head.frontier, chance))),
        3 => ("last_at", Cell::Number(other_number(head.last_at, chance))),
        _ => ("checkpoint", Cell::Text(other_text(&head.checkpoint, chance))),
    };
    Change::Head { column, to }
}

/// Makes the change; how many rows the database says that it changed.
async fn make(
    tx: &mut Tx,
    engine: Engine,
    logs: &Logs,
    which: usize,
    change: &Change,
) -> Result<u64, sqlx::Error> {
    let id = logs.ids[which].as_str();
    match change {
        Change::Row { seq, column, to } => {
            if engine == Engine::Sqlite {
                // A row of no log at all: the database would see that, were it not asked later.
                run(tx, "PRAGMA defer_foreign_keys = ON", &[]).await?;
            }
            let sql =
                format!("UPDATE audit_entry SET {column} = $1 WHERE log_id = $2 AND seq = $3");
            run(tx, &sql, &[to.clone(), text(id), Cell::Number(*seq)]).await
        }
        Change::Head { column, to } => {
            let sql = format!("UPDATE audit_log SET {column} = $1 WHERE id = $2");
            run(tx, &sql, &[to.clone(), text(id)]).await
        }
        Change::Kept { size, note } => {
            let sql = "UPDATE audit_checkpoint SET note = $1 WHERE log_id = $2 AND size = $3";
            run(tx, sql, &[text(note), text(id), Cell::Number(*size)]).await
        }
        Change::Deleted { seq } => {
            let sql = "DELETE FROM audit_entry WHERE log_id = $1 AND seq = $2";
            run(tx, sql, &[text(id), Cell::Number(*seq)]).await
        }
        Change::Swapped { one, other } => {
            let sql = "UPDATE audit_entry SET seq = $3 WHERE log_id = $1 AND seq = $2";
            for (from, to) in [(*one, -1), (*other, *one), (-1, *other)] {
                run(tx, sql, &[text(id), Cell::Number(from), Cell::Number(to)]).await?;
            }
            Ok(2)
        }
        Change::Cut { to, older } => {
            cut(tx, id, *to).await?;
            let head = older.map_or(&logs.heads[which], |state| &logs.older[state][which]);
            set_head(tx, &Head { size: *to, ..head.clone() }).await
        }
        Change::Older { state } => set_back(tx, logs, which, *state).await,
        Change::BothOlder { state } => {
            let ours = set_back(tx, logs, 0, *state).await?;
            Ok(ours.min(set_back(tx, logs, 1, *state).await?))
        }
    }
}

async fn cut(tx: &mut Tx, id: &str, to: i64) -> Result<u64, sqlx::Error> {
    let at = [text(id), Cell::Number(to)];
    run(tx, "DELETE FROM audit_checkpoint WHERE log_id = $1 AND size > $2", &at).await?;
    run(tx, "DELETE FROM audit_entry WHERE log_id = $1 AND seq >= $2", &at).await
}

/// How many rows went with it: none where the log has not grown since.
async fn set_back(
    tx: &mut Tx,
    logs: &Logs,
    which: usize,
    state: usize,
) -> Result<u64, sqlx::Error> {
    let head = &logs.older[state][which];
    let gone = cut(tx, &logs.ids[which], head.size).await?;
    set_head(tx, head).await?;
    Ok(gone)
}

async fn set_head(tx: &mut Tx, head: &Head) -> Result<u64, sqlx::Error> {
    let sql = "UPDATE audit_log SET size = $1, frontier = $2, checkpoint = $3, last_at = $4 WHERE id = $5";
    let cells = [
        Cell::Number(head.size),
        Cell::Bytes(head.frontier.clone()),
        text(&head.checkpoint),
        Cell::Number(head.last_at),
        text(&head.id),
    ];
    run(tx, sql, &cells).await
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

async fn run(tx: &mut Tx, sql: &str, cells: &[Cell]) -> Result<u64, sqlx::Error> {
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql.to_owned()));
    for cell in cells {
        query = match cell {
            Cell::Text(text) => query.bind(text.as_str()),
            Cell::Number(number) => query.bind(*number),
            Cell::Bytes(bytes) => query.bind(bytes.as_slice()),
        };
    }
    Ok(query.execute(tx.conn()).await?.rows_affected())
}
