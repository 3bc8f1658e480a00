//! Connections, transactions, and the SQL: a file for each noun. One text serves both engines.

pub mod audit;
pub mod auditor_credentials;
pub mod forward;
pub mod gateways;
pub mod handoffs;
pub mod impersonations;
pub mod kept;
pub mod log_keys;
pub mod log_list;
pub mod many;
pub mod orgs;
pub mod outbox;
pub mod overview;
pub mod owner_changes;
pub mod owner_keys;
mod pools;
pub mod proven;
pub mod readiness;
pub mod saved_views;
pub mod secrets;
pub mod sign_ins;
pub mod staff;
pub mod standing;
pub mod tickets;
pub mod timeline;
pub mod vault_intents;
pub mod vault_kept;
pub mod vault_tokens;
pub mod verification;
pub mod web_sessions;
pub mod withdraw_links;
pub mod witness;

use std::borrow::Cow;
use std::path::Path;

use sqlx::SqlSafeStr;
use sqlx::any::AnyConnectOptions;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Any, AnyConnection, AnyPool, Connection as _, Executor};

use crate::config::database::unsafe_over_a_network;
use crate::model::{Micros, UnknownWord};
use pools::For;

/// What can go wrong below the desk.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or was not there.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// The tables could not be brought up to date.
    #[error("bringing the tables up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A row holds a word that this version does not know.
    #[error("a row that does not make sense: {0}")]
    Word(#[from] UnknownWord),
    /// A row that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// The address of the database cannot be used.
    #[error("DATABASE_URL: {0}")]
    Address(String),
    /// The address of the database is one that anybody on the way could answer at.
    #[error("{0}")]
    Unsafe(String),
    /// Nobody answers where the database should be.
    #[error("the database at {place} does not answer: {why}")]
    NoAnswer {
        /// Host and port, or the socket.
        place: String,
        /// What was seen instead.
        why: String,
    },
}

impl StoreError {
    /// Whether the database answered, with something that does not read as what it should be: that
    /// somebody changed it, and not that it is busy or gone.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        match self {
            Self::Database(e) => {
                matches!(e, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_))
            }
            Self::Word(_) => true,
            Self::Migrate(_)
            | Self::Missing(_)
            | Self::Address(_)
            | Self::Unsafe(_)
            | Self::NoAnswer { .. } => false,
        }
    }
}

/// Shorthand for what this floor returns.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Which database is underneath. Only connecting and the append-only triggers differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A file in the data folder.
    Sqlite,
    /// A server that several instances may share.
    Postgres,
}

/// The pool of connections.
#[derive(Debug, Clone)]
pub struct Store {
    /// For looking.
    read: AnyPool,
    /// For steps. Who holds a connection for looking may wait for one of these; never the other
    /// way round, or requests could wait for each other in a circle.
    write: AnyPool,
    engine: Engine,
}

/// One step's transaction. Without it nothing is changed, and no audit row is written; dropped
/// without [`Tx::commit`], it leaves nothing behind.
#[derive(Debug)]
pub struct Tx {
    inner: sqlx::Transaction<'static, Any>,
}

impl Tx {
    /// The connection that the transaction holds.
    pub fn conn(&mut self) -> &mut AnyConnection {
        &mut self.inner
    }

    /// Makes everything that was done through this transaction last.
    ///
    /// # Errors
    /// Where the database does not take it, nothing has happened.
    pub async fn commit(self) -> Result<()> {
        Ok(self.inner.commit().await?)
    }

    /// Undoes everything, and hands the connection back clean.
    ///
    /// # Errors
    /// Where the database is gone; it then undoes it by itself.
    pub async fn rollback(self) -> Result<()> {
        Ok(self.inner.rollback().await?)
    }
}

/// A moment of the database: every statement through it sees the same rows. It is held for a few
/// statements, never for as long as somebody reads.
#[derive(Debug)]
pub struct Snapshot<'c> {
    inner: sqlx::Transaction<'c, Any>,
}

impl Snapshot<'_> {
    /// The connection that looks at that moment.
    pub fn conn(&mut self) -> &mut AnyConnection {
        &mut self.inner
    }

    /// Lets go of the moment.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn end(self) -> Result<()> {
        Ok(self.inner.rollback().await?)
    }
}

const MIGRATIONS: &[(i64, &str, &str, &str)] = &[
    (
        1,
        "base",
        include_str!("../../migrations/0001_base.sql"),
        include_str!("../../migrations/0001_base.sql"),
    ),
    (
        2,
        "append only",
        include_str!("../../migrations/0002_append_only.sqlite.sql"),
        include_str!("../../migrations/0002_append_only.postgres.sql"),
    ),
    (
        3,
        "outside",
        include_str!("../../migrations/0003_outside.sql"),
        include_str!("../../migrations/0003_outside.sql"),
    ),
    (
        4,
        "vault",
        include_str!("../../migrations/0004_vault.sql"),
        include_str!("../../migrations/0004_vault.sql"),
    ),
    (
        5,
        "gateways",
        include_str!("../../migrations/0005_gateways.sql"),
        include_str!("../../migrations/0005_gateways.sql"),
    ),
    (
        6,
        "tickets",
        include_str!("../../migrations/0006_tickets.sql"),
        include_str!("../../migrations/0006_tickets.sql"),
    ),
    (
        7,
        "consent and keys",
        include_str!("../../migrations/0007_consent_and_keys.sql"),
        include_str!("../../migrations/0007_consent_and_keys.sql"),
    ),
    (
        8,
        "witness",
        include_str!("../../migrations/0008_witness.sql"),
        include_str!("../../migrations/0008_witness.sql"),
    ),
    (
        9,
        "verification",
        include_str!("../../migrations/0009_verification.sql"),
        include_str!("../../migrations/0009_verification.sql"),
    ),
    (
        10,
        "shared vault",
        include_str!("../../migrations/0010_shared_vault.sql"),
        include_str!("../../migrations/0010_shared_vault.sql"),
    ),
    (
        11,
        "timeline",
        include_str!("../../migrations/0011_timeline.sqlite.sql"),
        include_str!("../../migrations/0011_timeline.postgres.sql"),
    ),
    (
        12,
        "forward",
        include_str!("../../migrations/0012_forward.sql"),
        include_str!("../../migrations/0012_forward.sql"),
    ),
    (
        13,
        "standing",
        include_str!("../../migrations/0013_standing.sql"),
        include_str!("../../migrations/0013_standing.sql"),
    ),
    (
        14,
        "log signing key",
        include_str!("../../migrations/0014_log_signing_key.sql"),
        include_str!("../../migrations/0014_log_signing_key.sql"),
    ),
    (
        15,
        "saved view",
        include_str!("../../migrations/0015_saved_view.sql"),
        include_str!("../../migrations/0015_saved_view.sql"),
    ),
    (
        16,
        "auditor credential",
        include_str!("../../migrations/0016_auditor_credential.sql"),
        include_str!("../../migrations/0016_auditor_credential.sql"),
    ),
    (
        17,
        "standing judged",
        include_str!("../../migrations/0017_standing_judged.sql"),
        include_str!("../../migrations/0017_standing_judged.sql"),
    ),
    (
        18,
        "page indexes",
        include_str!("../../migrations/0018_page_indexes.sql"),
        include_str!("../../migrations/0018_page_indexes.sql"),
    ),
    (
        20,
        "words again",
        include_str!("../../migrations/0020_words_again.sql"),
        include_str!("../../migrations/0020_words_again.sql"),
    ),
    (
        21,
        "standing terms",
        include_str!("../../migrations/0021_standing_terms.sql"),
        include_str!("../../migrations/0021_standing_terms.sql"),
    ),
    (
        23,
        "witness cosigned",
        include_str!("../../migrations/0023_witness_cosigned.sqlite.sql"),
        include_str!("../../migrations/0023_witness_cosigned.postgres.sql"),
    ),
    (
        24,
        "verification faults",
        include_str!("../../migrations/0024_verification_faults.sql"),
        include_str!("../../migrations/0024_verification_faults.sql"),
    ),
    (
        25,
        "open-for terms",
        include_str!("../../migrations/0025_open_for_terms.sql"),
        include_str!("../../migrations/0025_open_for_terms.sql"),
    ),
    (
        26,
        "readiness",
        include_str!("../../migrations/0026_readiness.sql"),
        include_str!("../../migrations/0026_readiness.sql"),
    ),
    (
        27,
        "vault kept",
        include_str!("../../migrations/0027_vault_kept.sql"),
        include_str!("../../migrations/0027_vault_kept.sql"),
    ),
    (
        28,
        "undelivered",
        include_str!("../../migrations/0028_undelivered.sqlite.sql"),
        include_str!("../../migrations/0028_undelivered.postgres.sql"),
    ),
    (
        29,
        "owner change",
        include_str!("../../migrations/0029_owner_change.sql"),
        include_str!("../../migrations/0029_owner_change.sql"),
    ),
    (
        30,
        "org record",
        include_str!("../../migrations/0030_org_record.sql"),
        include_str!("../../migrations/0030_org_record.sql"),
    ),
    (
        31,
        "sign-ins",
        include_str!("../../migrations/0031_sign_ins.sql"),
        include_str!("../../migrations/0031_sign_ins.sql"),
    ),
    (
        32,
        "session replaced",
        include_str!("../../migrations/0032_session_replaced.sql"),
        include_str!("../../migrations/0032_session_replaced.sql"),
    ),
    (
        33,
        "grounds with an end",
        include_str!("../../migrations/0033_grounds_with_an_end.sqlite.sql"),
        include_str!("../../migrations/0033_grounds_with_an_end.postgres.sql"),
    ),
];

impl Store {
    /// Connects to `url` (`sqlite:…` or `postgres:…`) and brings its tables up to date. There are
    /// `connections` for looking, and half as many besides for steps.
    ///
    /// # Errors
    /// Where the address is of neither kind, or the database cannot be reached.
    pub async fn connect(url: &str, connections: u32) -> Result<Self> {
        let store = Self::open(url, connections, For::Serving).await?;
        store.migrate().await?;
        Ok(store)
    }

    /// Connects to `url` and leaves its tables as they are: for whoever only looks.
    ///
    /// # Errors
    /// Those of [`Store::connect`].
    pub async fn open_existing(url: &str, connections: u32) -> Result<Self> {
        Self::open(url, connections, For::Looking).await
    }

    async fn open(url: &str, connections: u32, purpose: For) -> Result<Self> {
        sqlx::any::install_default_drivers();
        let engine = match url.split(':').next() {
            Some("sqlite") => Engine::Sqlite,
            Some("postgres" | "postgresql") => Engine::Postgres,
            _ => {
                return Err(StoreError::Address(
                    "it must begin with sqlite: or postgres:".to_owned(),
                ));
            }
        };
        let options: AnyConnectOptions = url
            .parse()
            .map_err(|_| StoreError::Address("it cannot be read as an address".to_owned()))?;
        if let Some(why) = unsafe_over_a_network(url) {
            return Err(StoreError::Unsafe(why));
        }
        if engine == Engine::Postgres {
            pools::look_for(url).await?;
        }
        // SQLite has one writer at a time: it is queued for here, in order, rather than by retries.
        let writers = if engine == Engine::Sqlite { 1 } else { connections.div_ceil(2) };
        let write = pools::open(options.clone(), engine, For::Steps, writers).await?;
        let read = pools::open(options, engine, purpose, connections).await?;
        Ok(Self { read, write, engine })
    }

    /// The address of the SQLite file in a data folder.
    #[must_use]
    pub fn sqlite_in(folder: &Path) -> String {
        format!("sqlite:{}?mode=rwc", folder.join("keyturn.db").display())
    }

    async fn migrate(&self) -> Result<()> {
        let list = MIGRATIONS
            .iter()
            .map(|&(version, name, sqlite, postgres)| {
                let sql = if self.engine == Engine::Sqlite { sqlite } else { postgres };
                Migration::new(
                    version,
                    Cow::Borrowed(name),
                    MigrationType::Simple,
                    sql.into_sql_str(),
                    false,
                )
            })
            .collect();
        let mut conn = self.write.acquire().await?;
        if self.engine == Engine::Postgres {
            // Another instance may be at it, for longer than a step may wait.
            conn.execute("SET lock_timeout = 0").await?;
        }
        Migrator::with_migrations(list).run(&mut *conn).await?;
        Ok(conn.close().await?)
    }

    /// Which engine this is.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Begins a transaction that may write.
    ///
    /// # Errors
    /// Where no connection is free in time.
    pub async fn begin(&self) -> Result<Tx> {
        // IMMEDIATE: a reader that becomes a writer later would be refused by SQLite instead of waiting.
        let inner = match self.engine {
            Engine::Sqlite => self.write.begin_with("BEGIN IMMEDIATE").await?,
            Engine::Postgres => self.write.begin().await?,
        };
        Ok(Tx { inner })
    }

    /// A connection for reading; to be held for the whole of a request.
    ///
    /// # Errors
    /// Where no connection is free in time.
    pub async fn read(&self) -> Result<sqlx::pool::PoolConnection<Any>> {
        Ok(self.read.acquire().await?)
    }

    /// A connection for one statement that writes and belongs to no step. It waits its turn with
    /// the steps; whoever holds one already must not ask for it.
    ///
    /// # Errors
    /// Where no connection is free in time.
    pub async fn write(&self) -> Result<sqlx::pool::PoolConnection<Any>> {
        Ok(self.write.acquire().await?)
    }

    /// Over how many connections a long reading may go on at once: so many that the machine has
    /// something to do while some wait, and never so many that the pages have none left.
    pub fn readers_at_once(&self) -> usize {
        let spare = usize::try_from(self.read.options().get_max_connections() / 2).unwrap_or(1);
        std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(4)
            .saturating_mul(2)
            .min(spare)
            .max(1)
    }

    /// A moment of the database, to read more than one thing of it through a connection in hand.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn snapshot<'c>(&self, conn: &'c mut AnyConnection) -> Result<Snapshot<'c>> {
        let begin = match self.engine {
            Engine::Sqlite => "BEGIN DEFERRED",
            Engine::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        Ok(Snapshot { inner: conn.begin_with(begin).await? })
    }

    /// Makes the writing connection of SQLite fast rather than safe, for filling a database that
    /// nobody uses yet: what was written when the power fails may be spoiled.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn hurry(&self) -> Result<()> {
        if self.engine == Engine::Sqlite {
            let mut conn = self.write.acquire().await?;
            conn.execute(
                "PRAGMA synchronous = OFF; PRAGMA secure_delete = OFF; PRAGMA cache_size = -600000; \
                 PRAGMA wal_autocheckpoint = 50000;",
            )
            .await?;
        }
        Ok(())
    }

    /// Waits until every connection is closed.
    pub async fn close(&self) {
        self.write.close().await;
        self.read.close().await;
    }
}

/// Whether `error` is the breach of a unique index: somebody else was first.
#[must_use]
pub fn is_unique_violation(error: &StoreError) -> bool {
    matches!(error, StoreError::Database(sqlx::Error::Database(e)) if e.is_unique_violation())
}

/// A flag as the database keeps it.
#[must_use]
pub const fn flag(on: bool) -> i64 {
    on as i64
}

/// A place in a list that is ordered by time: where the next page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The time of the last row shown.
    pub at: Micros,
    /// The id of the last row shown.
    pub id: String,
}

impl Key {
    /// The place before everything of an instant. Databases put texts into different orders, and
    /// in all of them the empty one comes first.
    #[must_use]
    pub fn before(at: Micros) -> Self {
        Self { at, id: String::new() }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.at, self.id)
    }
}

impl std::str::FromStr for Key {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || UnknownWord { what: "place in a list", word: text.to_owned() };
        let (at, id) = text.split_once('.').ok_or_else(wrong)?;
        if id.len() > 64 {
            return Err(wrong());
        }
        Ok(Self { at: at.parse().map_err(|_| wrong())?, id: id.to_owned() })
    }
}

#[cfg(test)]
mod old_database_tests;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{MIGRATIONS, StoreError};

    /// Protects from an alarm that a busy day raises, and from none where somebody was at the data.
    #[test]
    fn only_what_was_read_and_makes_no_sense_is_unreadable() {
        use sqlx::Error;
        let odd = || "odd".into();
        for (error, unreadable) in [
            (Error::ColumnDecode { index: "body".into(), source: odd() }, true),
            (Error::Decode(odd()), true),
            (Error::PoolTimedOut, false),
            (Error::PoolClosed, false),
            (Error::RowNotFound, false),
            (Error::Io(std::io::ErrorKind::ConnectionReset.into()), false),
        ] {
            let said = error.to_string();
            assert_eq!(StoreError::from(error).is_unreadable(), unreadable, "{said}");
        }
        assert!(!StoreError::Missing("a head").is_unreadable());
    }

    /// Protects a database that is older than this version from a file that nobody carries out.
    #[test]
    fn every_file_of_a_migration_is_carried_out() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
        let mut found = BTreeSet::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let file = file.unwrap();
            let name = file.file_name().into_string().unwrap();
            let version: i64 = name.split('_').next().unwrap().parse().unwrap();
            let text = std::fs::read_to_string(file.path()).unwrap();
            let listed = MIGRATIONS.iter().find(|(number, ..)| *number == version);
            let (_, _, sqlite, postgres) = listed.unwrap_or_else(|| panic!("{name} is not listed"));
            assert!([*sqlite, *postgres].contains(&text.as_str()), "{name} is another text");
            found.insert(version);
        }
        assert_eq!(found.len(), MIGRATIONS.len());
    }
}
