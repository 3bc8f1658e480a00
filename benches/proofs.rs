//! The parts that proofs are made of, each by itself: `cargo bench --bench proofs`.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use keyturn::proof::checkpoint::Checkpoint;
use keyturn::proof::merkle::{Frontier, leaf_hash, node_hash};
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

criterion_group!(benches, rows, tree, notes);
criterion_main!(benches);
