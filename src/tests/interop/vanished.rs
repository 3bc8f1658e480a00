//! A machine that vanishes in the middle of a step: it says no goodbye, and nobody says one for it.
//! The instance on it runs in a network of its own, whose cable is pulled.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::model::Micros;
use crate::store::audit;
use crate::store::readiness::Readiness;
use crate::testing::postgres::Cluster;
use crate::testing::story::{ADA, BEN, LEAKED, STUCK};
use crate::testing::{Bench, child, matrix};

/// What the instance on the other machine is to work on.
#[derive(Serialize, Deserialize)]
struct Order {
    url: String,
    folder: PathBuf,
    now: Micros,
}

/// Another machine, as far as the network goes. It is taken away with the test.
struct Machine {
    name: String,
    cable: String,
    /// The address of this machine, as the other one sees it.
    here: String,
}

fn ip(args: &str) {
    let done = Command::new("ip").args(args.split(' ')).output().expect("ip, of iproute2");
    assert!(done.status.success(), "ip {args}: {}", String::from_utf8_lossy(&done.stderr));
}

impl Machine {
    fn new() -> Self {
        let id = std::process::id();
        let (name, cable, far) = (format!("kt{id}"), format!("kt{id}a"), format!("kt{id}b"));
        let net = format!("10.{}.{}", 200 + id % 50, (id / 50) % 250);
        let machine = Self { here: format!("{net}.1"), name, cable };
        let Self { name, cable, here } = &machine;
        ip(&format!("netns add {name}"));
        ip(&format!("link add {cable} type veth peer name {far}"));
        ip(&format!("link set {far} netns {name}"));
        ip(&format!("addr add {here}/30 dev {cable}"));
        ip(&format!("link set {cable} up"));
        ip(&format!("-n {name} addr add {net}.2/30 dev {far}"));
        ip(&format!("-n {name} link set {far} up"));
        ip(&format!("-n {name} link set lo up"));
        machine
    }

    /// From now on nothing comes through, in either direction, and nobody hears that it does not.
    fn vanish(&self) {
        ip(&format!("-n {0} link set {0}b down", self.name));
    }

    fn command(&self, inner: &Command) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(inner.get_program()).args(inner.get_args());
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(Stdio::null());
        command
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for args in [["link", "del", self.cable.as_str()], ["netns", "del", self.name.as_str()]] {
            drop(Command::new("ip").args(args).output());
        }
    }
}

/// Ends with the test.
struct Instance(Child);

impl Drop for Instance {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Protects everybody from one machine that is gone: nobody gives back the locks that it holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_vanishes_with_the_lock_holds_nobody_up_for_long() {
    let machine = Machine::new();
    let cluster = Cluster::listening_at(&machine.here);
    let url = cluster.address("postgres");
    let first = Bench::at(url.clone()).await;
    let second = Bench::open(&url, first.folder(), first.now(), 77).await;

    let order = Order { url, folder: first.folder().to_owned(), now: first.now() };
    let order = serde_json::to_string(&order).unwrap();
    let run = child::command("tests::interop::vanished::child", &order);
    let started = machine.command(&run).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut instance = Instance(started.unwrap());
    let mut output = BufReader::new(instance.0.stdout.take().unwrap());
    let mut line = String::new();
    while output.read_line(&mut line).unwrap() > 0 && !line.contains("holds the lock") {}
    if !line.contains("holds the lock") {
        let mut said = String::new();
        instance.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        panic!("the instance ended by itself: {line}{said}");
    }

    machine.vanish();
    let vanished = Instant::now();
    let step = async |bench: &Bench, who: &str, ticket: &str| {
        let who = bench.at_work(who).await;
        let grant = bench.impersonate(&who, ticket).await.unwrap_or_else(|e| {
            panic!("after {:?}: {e}", vanished.elapsed());
        });
        (grant, vanished.elapsed())
    };
    let both = async { tokio::join!(step(&first, ADA, STUCK), step(&second, BEN, LEAKED)) };
    let ((grant, one), (_, other)) = tokio::time::timeout(Duration::from_secs(20), both)
        .await
        .expect("the others wait for a machine that is gone");
    let longest = one.max(other);
    assert!(longest < Duration::from_secs(10), "{longest:?}");
    assert!(longest > Duration::from_secs(1), "it did not hold the lock: {longest:?}");
    assert!(Readiness::default().of(&first.desk.store, first.now()).await);
    let who = first.at_work(ADA).await;
    first.end(&who, &grant.id).await.unwrap();
    first.verify_all().await.unwrap();
    let version: String = {
        let mut conn = first.desk.store.read().await.unwrap();
        sqlx::query_scalar("SHOW server_version").fetch_one(&mut *conn).await.unwrap()
    };
    matrix::holds(
        "Database",
        "PostgreSQL",
        &version,
        "three instances; the machine of one vanishes in the middle of a step, holding the lock",
        "the others' steps go on within ten seconds",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the test above starts it, in a network of its own"]
async fn child() {
    let Some(order) = child::order() else { return };
    let order: Order = serde_json::from_str(&order).unwrap();
    let bench = std::sync::Arc::new(Bench::open(&order.url, &order.folder, order.now, 78).await);
    let mut tx = bench.desk.begin().await.unwrap();
    audit::lock(&mut tx, "platform").await.unwrap();
    // Others of the same machine wait for it: each would be the next to hold it.
    for _ in 0..3 {
        let bench = bench.clone();
        tokio::spawn(async move {
            let mut tx = bench.desk.begin().await.unwrap();
            audit::lock(&mut tx, "platform").await.ok();
            std::future::pending::<()>().await;
            drop(tx);
        });
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    println!("holds the lock");
    std::future::pending::<()>().await;
    drop(tx);
}
