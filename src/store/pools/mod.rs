//! The pools of connections: how each begins, and when one is thrown away instead of being handed
//! out again.

mod reach;

use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Connection as _, Executor, Row as _};

use super::{Engine, Result};

pub(super) use reach::look_for;

/// How long a request waits for a connection.
const WAIT: Duration = Duration::from_secs(10);

/// What a pool is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// Steps: transactions that take locks.
    Steps,
    /// Pages and what belongs to no step, as sessions do: mostly reading.
    Serving,
    /// Only looking, maybe at a copy that takes no writes.
    Looking,
}

/// A pool of up to `connections`.
///
/// # Errors
/// Where the first one cannot be opened.
pub(super) async fn open(
    options: AnyConnectOptions,
    engine: Engine,
    purpose: For,
    connections: u32,
) -> Result<AnyPool> {
    let pool = AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(WAIT)
        // With PostgreSQL the question of `sound` tells as well whether the server is there.
        .test_before_acquire(engine == Engine::Sqlite || purpose == For::Looking)
        .before_acquire(move |conn, _| Box::pin(sound(conn, engine, purpose)))
        .after_connect(move |conn, _| Box::pin(prepare(conn, engine, purpose)));
    Ok(pool.connect_with(options).await?)
}

/// Whether a connection may be handed out once more. One that may not is closed, and another one
/// opened.
async fn sound(conn: &mut AnyConnection, engine: Engine, purpose: For) -> sqlx::Result<bool> {
    // Where the disk is full, SQLite has rolled back by itself and refuses the driver's rollback.
    // The driver goes on to count a transaction as open, and would begin no other one, ever.
    if conn.is_in_transaction() {
        tracing::warn!("a connection whose transaction did not end is thrown away");
        return Ok(false);
    }
    if engine == Engine::Sqlite || purpose == For::Looking {
        return Ok(true);
    }
    // A server that became a copy of another one, or a session from a time in which the database
    // took no writes, would refuse every step from now on.
    let row = conn.fetch_one("SHOW transaction_read_only").await?;
    if row.try_get::<String, _>(0)? == "off" {
        return Ok(true);
    }
    tracing::warn!("a connection that takes no writes is thrown away");
    Ok(false)
}

/// Sets up a connection that was just opened.
async fn prepare(conn: &mut AnyConnection, engine: Engine, purpose: For) -> sqlx::Result<()> {
    match engine {
        // FULL: a committed audit row survives the loss of power.
        Engine::Sqlite => {
            conn.execute(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
                 PRAGMA busy_timeout = 10000; PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY; \
                 PRAGMA cache_size = -32000;",
            )
            .await?;
        }
        Engine::Postgres => {
            let idle = if purpose == For::Steps { IDLE_IN_A_STEP } else { IDLE_IN_A_LOOK };
            let idle = ("idle_in_transaction_session_timeout", idle);
            let values: Vec<String> = SESSION
                .iter()
                .chain([&idle])
                .map(|(name, value)| format!("('{name}', '{value}')"))
                .collect();
            // In one go; and only what the server knows of, since older ones do not know it all.
            let sql = format!(
                "SELECT set_config(s.name, v.value, false) FROM pg_settings s \
                 JOIN (VALUES {}) AS v (name, value) ON s.name = v.name",
                values.join(", ")
            );
            // Nothing in it comes from outside.
            conn.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
        }
    }
    Ok(())
}

/// What PostgreSQL does for every session of ours, so that a machine that vanishes in the middle
/// of a step does not keep its locks: nobody says goodbye for it. The server asks the machine
/// itself, soon, and looks whether the connection still stands while the session waits for a lock.
const SESSION: [(&str, &str); 6] = [
    ("tcp_keepalives_idle", "2"),
    ("tcp_keepalives_interval", "1"),
    ("tcp_keepalives_count", "2"),
    // A session that is given the lock at that moment, and whose machine is gone, too, is found out
    // as long again after that: twice this is how long the others wait.
    ("tcp_user_timeout", "3000"),
    ("client_connection_check_interval", "1000"),
    // Longer than all of the above.
    ("lock_timeout", "15000"),
];

/// A process that was stopped, on a machine that still answers, holds its locks so long.
const IDLE_IN_A_STEP: &str = "6000";

/// A moment of the database that is only looked at holds up nobody.
const IDLE_IN_A_LOOK: &str = "60000";
