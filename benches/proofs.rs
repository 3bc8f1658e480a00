//! The parts that proofs are made of, each by itself: `cargo bench --bench proofs`.

use std::collections::HashMap;
use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use keyturn::proof::Hash;
use keyturn::proof::checkpoint::Checkpoint;
use keyturn::proof::merkle::{
    Frontier, ProofError, consistency_proof, inclusion_proof, leaf_hash, node_hash,
    verify_consistency, verify_inclusion,
};
use keyturn::proof::note::{NoteKey, open_note, open_notes};
use keyturn::proof::row::{ActorType, AuditRow, Outcome};
use keyturn::proof::terms;
use serde_json::{Map, json};

fn row() -> AuditRow {
    let mut details = Map::new();
    details.insert("from_version".to_owned(), json!(3));
    details.insert("to_version".to_owned(), json!(4));
    details.insert("rotation_id".to_owned(), json!("01920000-0000-7000-8000-0000000000bb"));
    AuditRow {
        v: 1,
        log: "org/org-0001".to_owned(),
        seq: 4711,
        id: "01920000-0000-7000-8000-000000000001".to_owned(),
        at: 1_760_000_000_000_000,
        action: "webhook_signing_key.rotated".to_owned(),
        actor_type: ActorType::PlatformAdminImpersonating,
        actor_id: "staff-01".to_owned(),
        actor_name: "Mara Vogel".to_owned(),
        org_id: Some("org-0001".to_owned()),
        impersonation_id: Some("01920000-0000-7000-8000-0000000000aa".to_owned()),
        ticket_ref: Some("NOV-4801".to_owned()),
        reason: Some("rotate stuck webhook_signing_key per ticket NOV-4801".to_owned()),
        secret_type: Some("webhook_signing_key".to_owned()),
        secret_id: Some("whk_0001".to_owned()),
        outcome: Outcome::Success,
        details,
    }
}

fn rows(c: &mut Criterion) {
    let row = row();
    let text = row.canonical().expect("the row has a canonical form");
    let mut group = c.benchmark_group("row");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("write as canonical JSON", |b| b.iter(|| black_box(&row).canonical()));
    group.bench_function("read, and hold to the canonical form", |b| {
        b.iter(|| AuditRow::parse(black_box(&text)));
    });
    group.bench_function("leaf hash", |b| b.iter(|| leaf_hash(black_box(text.as_bytes()))));
    group.bench_function("words", |b| b.iter(|| terms::of_row(black_box(&row))));
    group.finish();
}

fn tree(c: &mut Criterion) {
    let leaf = leaf_hash(b"a row");
    c.bench_function("node hash", |b| b.iter(|| node_hash(black_box(&leaf), black_box(&leaf))));
    c.bench_function("append 256 leaves", |b| {
        b.iter_batched(
            Frontier::new,
            |mut frontier| {
                for _ in 0..256 {
                    black_box(frontier.push(leaf));
                }
                frontier.root()
            },
            BatchSize::SmallInput,
        );
    });
}

/// A tree of 4096 leaves, with each of its full subtrees at hand: what a proof costs without the
/// reading.
fn proofs(c: &mut Criterion) {
    const SIZE: u64 = 4096;
    const OLD: u64 = 3001;
    const INDEX: u64 = 1234;
    let mut frontier = Frontier::new();
    let mut nodes: HashMap<(u8, u64), Hash> = HashMap::new();
    let (mut leaf, mut old_root) = (leaf_hash(b""), leaf_hash(b""));
    for n in 0..SIZE {
        let hash = leaf_hash(&n.to_be_bytes());
        nodes.insert((0, n), hash);
        nodes.extend(frontier.push(hash).into_iter().map(|(level, at, hash)| ((level, at), hash)));
        if n == INDEX {
            leaf = hash;
        }
        if n + 1 == OLD {
            old_root = frontier.root();
        }
    }
    let root = frontier.root();
    let mut get = |level, at| nodes.get(&(level, at)).copied().ok_or(ProofError::WrongLength);
    let included = inclusion_proof(INDEX, SIZE, &mut get).expect("a proof");
    let extended = consistency_proof(OLD, SIZE, &mut get).expect("a proof");
    verify_inclusion(&leaf, INDEX, SIZE, &included, &root).expect("it is in the tree");
    verify_consistency(OLD, SIZE, &old_root, &root, &extended).expect("the tree grew");
    let mut group = c.benchmark_group("4096 leaves");
    group.bench_function("inclusion proof made", |b| {
        b.iter(|| inclusion_proof(black_box(INDEX), SIZE, &mut get));
    });
    group.bench_function("inclusion proof verified", |b| {
        b.iter(|| verify_inclusion(black_box(&leaf), INDEX, SIZE, &included, &root));
    });
    group.bench_function("consistency proof verified", |b| {
        b.iter(|| verify_consistency(OLD, SIZE, black_box(&old_root), &root, &extended));
    });
    group.finish();
}

fn notes(c: &mut Criterion) {
    let key = NoteKey::new("bench.example", &[7; 32]).expect("a key");
    let known = [key.verifier().clone()];
    let notes: Vec<String> = (0..256)
        .map(|size| {
            let root = leaf_hash(b"root");
            let checkpoint = Checkpoint { origin: "bench.example/platform".to_owned(), size, root };
            checkpoint.sign(&key).expect("it signs")
        })
        .collect();
    let all: Vec<&str> = notes.iter().map(String::as_str).collect();
    let mut group = c.benchmark_group("256 checkpoints");
    group.throughput(Throughput::Elements(256));
    group.bench_function("opened one by one", |b| {
        b.iter(|| all.iter().filter(|note| open_note(note, &known).is_ok()).count());
    });
    group.bench_function("opened together", |b| b.iter(|| open_notes(&all, &known)));
    group.finish();
}

criterion_group!(benches, rows, tree, proofs, notes);
criterion_main!(benches);
