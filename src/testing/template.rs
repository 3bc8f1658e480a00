//! The story, written once for each engine and test process: every other test gets a copy.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use secrecy::SecretString;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::owners::owners;
use super::{Bench, postgres, story};
use crate::clock::SeededRng;
use crate::desk::keys;
use crate::store::{Engine, Store};

/// A database with the story in it, and the keys that seal what is in it.
struct Template {
    keys: Vec<u8>,
    /// Of SQLite: the whole file. Of PostgreSQL there is a database to copy.
    file: Option<Vec<u8>>,
    /// The vault token that the story begins with.
    first: Option<SecretString>,
}

/// PostgreSQL's database with the story.
const STORY: &str = "keyturn_story";

static SQLITE: OnceCell<Template> = OnceCell::const_new();
static POSTGRES: OnceCell<Template> = OnceCell::const_new();

/// Writes keys and story into a database that is empty yet.
pub(super) async fn write_story(url: &str, folder: &TempDir, seed: u64) -> Bench {
    let rng = SeededRng::new(seed << 32);
    let file = folder.path().join("keys.json");
    keys::create(&file, &rng, owners().now, "Keyturn <keyturn@platform.example>").unwrap();
    let bench = Bench::open(url, folder.path(), owners().now, seed).await;
    let mut tx = bench.desk.begin().await.unwrap();
    story::write(&bench.desk, &bench.vault, &mut tx).await;
    tx.commit().await.unwrap();
    bench.desk.carry_records_over().await.unwrap();
    bench
}

async fn make(engine: Engine) -> Template {
    let folder = tempfile::tempdir().unwrap();
    let url = match engine {
        Engine::Sqlite => Store::sqlite_in(folder.path()),
        Engine::Postgres => postgres::database_named(STORY).await,
    };
    // A seed that no test has: theirs count from one.
    let bench = write_story(&url, &folder, 0).await;
    // All of it is in the one file then, and nobody is connected to what is copied.
    let first = bench.vault.first.lock().unwrap().take();
    bench.desk.store.close().await;
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    Template {
        keys: read("keys.json"),
        file: (engine == Engine::Sqlite).then(|| read("keyturn.db")),
        first,
    }
}

/// A desk on a database with the story in it, for the caller alone.
pub(super) async fn copy(engine: Engine, seed: u64) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let template = match engine {
        Engine::Sqlite => &SQLITE,
        Engine::Postgres => &POSTGRES,
    };
    let template = template.get_or_init(|| make(engine)).await;
    let mut owner_only = std::fs::OpenOptions::new();
    owner_only.write(true).create_new(true).mode(0o600);
    owner_only.open(folder.path().join("keys.json")).unwrap().write_all(&template.keys).unwrap();
    let url = match &template.file {
        Some(file) => {
            std::fs::write(folder.path().join("keyturn.db"), file).unwrap();
            Store::sqlite_in(folder.path())
        }
        None => postgres::copy_of(STORY).await,
    };
    let bench = Bench::open(&url, folder.path(), owners().now, seed).await;
    bench.vault.first.lock().unwrap().clone_from(&template.first);
    bench.removing(folder)
}
