//! One temporary PostgreSQL for the whole test process, and a database of its own for each test.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{Connection as _, PgConnection};

use crate::store::Store;
use crate::testing::sinks::TestAuthority;

/// Starts the server, says `ready`, waits until nobody holds its standard input any more (the
/// test process has ended, however it did), and removes everything. PostgreSQL refuses to run as
/// root, so root hands it to another user.
const KEEPER: &str = r#"
set -u
bin=$1 dir=$2 port=$3 listen=$4 tls=
if [ "$(id -u)" = 0 ]; then
  user=postgres; id "$user" >/dev/null 2>&1 || user=nobody
  chown "$user" "$dir"
  if command -v runuser >/dev/null; then as="runuser -u $user --"
  else as="setpriv --reuid=$user --regid=$(id -g "$user") --clear-groups"; fi
else as=""; fi
cd "$dir"
gone() { $as "$bin/pg_ctl" -D "$dir/data" stop -m immediate >/dev/null 2>&1; cd /; rm -rf "$dir"; }
$as "$bin/initdb" -D "$dir/data" -U keyturn --auth=trust --no-sync --encoding=UTF8 --locale=C \
  </dev/null >"$dir/initdb.log" 2>&1 || { tail -n 5 "$dir/initdb.log"; gone; exit 1; }
if [ "$listen" != 127.0.0.1 ]; then
  echo 'hostssl all all samenet trust' >>"$dir/data/pg_hba.conf"
  [ "$(id -u)" != 0 ] || chown "$user" "$dir/server.key"
  tls="-c ssl=on -c ssl_cert_file=$dir/server.pem -c ssl_key_file=$dir/server.key"
fi
$as "$bin/pg_ctl" -D "$dir/data" -w -t 60 -l "$dir/data/server.log" -o "-p $port -k $dir \
  -c listen_addresses=$listen -c max_connections=400 -c fsync=off -c synchronous_commit=off \
  -c full_page_writes=off $tls -c shared_buffers=32MB -c track_activity_query_size=16384" start \
  </dev/null >"$dir/start.log" 2>&1 || { tail -n 5 "$dir/data/server.log"; gone; exit 1; }
echo ready
cat >/dev/null
gone
"#;

/// The database that the others are copied from.
const TEMPLATE: &str = "keyturn_template";

/// A server that runs.
pub(crate) struct Cluster {
    listen: String,
    port: u16,
    /// Where its authority's certificate and its own are, where it is reached over a network.
    folder: PathBuf,
    /// Holds the keeper's standard input open for as long as this process, or the owner, lives.
    _keeper: Child,
}

impl Cluster {
    /// A server of its own, for a test that reaches it by another address of this machine.
    pub(crate) fn listening_at(address: &str) -> Self {
        start(address, address)
    }

    /// The same, where its certificate is for another name.
    pub(crate) fn named(address: &str, name: &str) -> Self {
        start(address, name)
    }

    /// The address of a database: over a network, where the server proves who it is.
    pub(crate) fn address(&self, database: &str) -> String {
        if self.listen == "127.0.0.1" {
            return self.address_without(database, "sslmode=disable");
        }
        let file = self.authority();
        let query = format!("sslmode=verify-full&sslrootcert={}", file.display());
        self.address_without(database, &query)
    }

    /// The certificate of its authority.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    /// The address of a database, with this query alone.
    pub(crate) fn address_without(&self, database: &str, query: &str) -> String {
        format!("postgres://keyturn@{}:{}/{database}?{query}", self.listen, self.port)
    }
}

static CLUSTER: OnceLock<Cluster> = OnceLock::new();
static TEMPLATE_MADE: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// Where the server's programs are: the newest of Debian's folders, or the search path.
fn programs() -> PathBuf {
    let version = |path: &PathBuf| -> u32 {
        let name = path.parent().and_then(|p| p.file_name()).map(|n| n.to_string_lossy());
        name.and_then(|n| n.parse().ok()).unwrap_or(0)
    };
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let path = std::env::var_os("PATH").unwrap_or_default();
    debian
        .map(|folder| folder.path().join("bin"))
        .chain(std::env::split_paths(&path))
        .filter(|bin| bin.join("initdb").is_file() && bin.join("pg_ctl").is_file())
        .max_by_key(version)
        .expect(
            "these tests need PostgreSQL's server programs (initdb, pg_ctl): install Debian's \
             package `postgresql`, or put them on the PATH",
        )
}

/// Writes a certificate for `name`, and that of the authority it is by.
fn certify(folder: &Path, authority: &TestAuthority, name: &str) {
    use std::os::unix::fs::PermissionsExt;
    let (certificate, key) = authority.issue(&[name]);
    let key_file = folder.join("server.key");
    std::fs::write(folder.join("authority.pem"), &authority.pem).expect("the authority");
    std::fs::write(folder.join("server.pem"), certificate).expect("the certificate");
    std::fs::write(&key_file, key).expect("the key");
    std::fs::set_permissions(&key_file, <std::fs::Permissions as PermissionsExt>::from_mode(0o600))
        .expect("its mode");
}

fn start(listen: &str, name: &str) -> Cluster {
    let bin = programs();
    let mut said = String::new();
    // Somebody else may take the port between our look and the server's start.
    for _ in 0..5 {
        let port = std::net::TcpListener::bind((listen, 0))
            .and_then(|l| l.local_addr())
            .expect("a free port")
            .port();
        // The server's socket goes in there too, and the path of a socket has to be short.
        let folder = tempfile::Builder::new().prefix("pg").tempdir().expect("a folder").keep();
        if listen != "127.0.0.1" {
            certify(&folder, &TestAuthority::new(), name);
        }
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .arg(&bin)
            .arg(&folder)
            .arg(port.to_string())
            .arg(listen)
            // Ctrl-C goes to the tests and not to it: it still has to clean up.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let output = BufReader::new(keeper.stdout.take().expect("its output"));
        for line in output.lines().map_while(Result::ok) {
            if line == "ready" {
                return Cluster { listen: listen.to_owned(), port, folder, _keeper: keeper };
            }
            said.push_str(&line);
            said.push('\n');
        }
        drop(keeper.stdin.take());
        drop(keeper.wait());
    }
    panic!("PostgreSQL did not start: {said}");
}

fn address(database: &str) -> String {
    CLUSTER.get_or_init(|| start("127.0.0.1", "127.0.0.1")).address(database)
}

async fn run(sql: String) {
    let mut conn = PgConnection::connect(&address("postgres")).await.expect("the server");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut conn).await.expect("making a database");
    conn.close().await.expect("the server");
}

/// The address of a database with all tables and no rows, for the caller alone.
pub(crate) async fn database() -> String {
    TEMPLATE_MADE
        .get_or_init(|| async {
            run(format!("CREATE DATABASE {TEMPLATE}")).await;
            let store = Store::connect(&address(TEMPLATE), 1).await.expect("the tables");
            store.close().await;
        })
        .await;
    copy_of(TEMPLATE).await
}

/// The address of an empty database of this name.
pub(crate) async fn database_named(name: &str) -> String {
    run(format!("CREATE DATABASE {name}")).await;
    address(name)
}

/// The address of a copy of a database that nobody is connected to, for the caller alone.
pub(crate) async fn copy_of(template: &str) -> String {
    let name = format!("t{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    // The files are copied as they are: by way of the write-ahead log it takes six times as long.
    run(format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")).await;
    address(&name)
}

/// The address of a database like that of [`database`], which orders texts as people do: most
/// servers' databases do, and this cluster's other ones do not.
pub(crate) async fn database_in_words_order() -> String {
    let name = format!("w{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    run(format!(
        "CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C' LOCALE_PROVIDER icu \
         ICU_LOCALE 'en-US'"
    ))
    .await;
    address(&name)
}
