#!/bin/sh
# sqlx 0.9.0 with SQLite (bundled 3.51): when a statement fails because the disk is full, SQLite may
# roll the whole transaction back by itself. sqlx's own count of open transactions stays at 1: its
# ROLLBACK is refused ("no transaction is active"), a refused one does not lower the count, and the
# connection goes back to the pool as good. From then on `begin_with` is refused on it
# ("begin_with at non-zero transaction depth"), and plain `begin` silently makes a savepoint.
# Why it matters: with one writer in the pool, a moment without room on the disk stops every step
# that begins with BEGIN IMMEDIATE until the process is restarted. Whoever shares one writer has to
# ask `Connection::is_in_transaction()` in `before_acquire`, and throw such a connection away.
# Needs cargo and a C compiler; exits non-zero where this is so no more.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2024"
[dependencies]
sqlx = { version = "=0.9.0", default-features = false, features = ["runtime-tokio", "sqlite"] }
tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
TOML
cat >src/main.rs <<'RUST'
use sqlx::{Connection, Executor, sqlite::SqlitePoolOptions};

#[tokio::main]
async fn main() {
    let url = format!("sqlite:{}?mode=rwc", std::env::args().nth(1).unwrap());
    let pool = SqlitePoolOptions::new().max_connections(1).connect(&url).await.unwrap();
    let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&pool).await.unwrap();
    println!("sqlx 0.9.0, SQLite {version}");
    pool.execute("PRAGMA journal_mode = WAL; CREATE TABLE t (x BLOB); PRAGMA max_page_count = 8").await.unwrap();

    // As on a disk that is full: no page more than there are.
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let full = tx.execute("INSERT INTO t VALUES (zeroblob(100000))").await.unwrap_err();
    println!("in the transaction: {full}");
    drop(tx);

    // There is room again.
    let mut conn = pool.acquire().await.unwrap();
    conn.execute("PRAGMA max_page_count = 100000").await.unwrap();
    let counted = conn.is_in_transaction();
    println!("the connection that the pool hands out counts as in a transaction: {counted}");
    drop(conn);
    let again = pool.begin_with("BEGIN IMMEDIATE").await.map(drop);
    println!("the next begin_with: {again:?}");
    assert!(counted && again.is_err(), "this has changed");
}
RUST
cargo run --quiet -- "$folder/t.db"
