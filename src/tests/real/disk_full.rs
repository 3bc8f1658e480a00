//! A disk that is full for a while, in earnest: a small file system of its own.

use std::time::Duration;

use tokio::time::Instant;

use crate::desk::StepError;
use crate::model::time;
use crate::store::Engine;
use crate::store::readiness::Readiness;
use crate::testing::story::{ADA, STUCK};
use crate::testing::{Bench, child};

/// Mounts a file system of a few megabytes at the folder named first, seen by nobody else, and
/// runs the rest there.
const ON_A_SMALL_DISK: &str = r#"mount -t tmpfs -o size=12m none "$1" && shift && exec "$@""#;

/// Protects from a server that has to be restarted because its disk was full once.
#[tokio::test]
async fn writes_work_again_once_a_full_disk_has_room() {
    let folder = tempfile::tempdir().unwrap();
    let run = child::command("tests::real::disk_full::child", "fill it");
    let mut command = std::process::Command::new("unshare");
    command
        .args(["--map-root-user", "--mount", "sh", "-c", ON_A_SMALL_DISK, "sh"])
        .arg(folder.path())
        .arg(run.get_program())
        .args(run.get_args())
        .envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))))
        // The database of the bench goes there.
        .env("TMPDIR", folder.path())
        .stdin(std::process::Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    let output = output.expect("unshare, of Debian's util-linux");
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{wrong}");
    assert!(said.contains("it was full, and works again"), "{said}\n{wrong}");
}

#[tokio::test]
#[ignore = "the test above starts it, as a process of its own on a small disk"]
async fn child() {
    if child::order().is_none() {
        return;
    }
    let bench = Bench::new(Engine::Sqlite).await;
    let (store, readiness) = (&bench.desk.store, Readiness::default());
    assert!(readiness.of(store, bench.now()).await);

    let filler = std::env::temp_dir().join("filler");
    fill(&filler);
    // Steps with rows, until there is room for no other one.
    let refused = async || {
        for n in 0..2000 {
            let from = format!("192.0.2.{}", n % 250);
            let email = format!("nobody-{n}@platform.example");
            match failed_sign_in(&bench, &email, &from).await {
                Err(StepError::WrongPassword | StepError::Throttled(_)) => {}
                Err(e) => return e,
                Ok(()) => panic!("somebody came in"),
            }
            bench.clock.advance(time::MINUTE);
        }
        panic!("there is room for everything");
    };
    let e = refused().await;
    assert!(e.to_string().contains("full"), "{e}");
    // And for nothing smaller, also in what comes free.
    let mut fillers = vec![filler];
    'full: loop {
        assert!(fillers.len() < 60, "there is always room for a little");
        fillers.push(std::env::temp_dir().join(format!("filler-{}", fillers.len())));
        fill(&fillers[fillers.len() - 1]);
        for n in 0..50 {
            if refused_once(&bench, n).await && store.try_writing(bench.now()).await.is_err() {
                break 'full;
            }
        }
    }

    // For a while, by everybody who writes.
    let full_since = Instant::now();
    while full_since.elapsed() < Duration::from_secs(2) {
        // The clock of the test may go on by minutes meanwhile.
        let who = bench.at_work(ADA).await;
        let step = bench.impersonate(&who, STUCK).await;
        assert!(matches!(step, Err(StepError::Store(_) | StepError::Audit(_))), "{step:?}");
        bench.clock.advance(2 * time::SECOND);
        assert!(!readiness.of(store, bench.now()).await, "ready, with no room to write");
        let mut look = store.read().await.unwrap();
        let mut moment = store.snapshot(&mut look).await.unwrap();
        crate::store::audit::heads(moment.conn()).await.unwrap();
        drop(moment);
    }

    for filler in fillers {
        std::fs::remove_file(&filler).unwrap();
    }
    let room_since = Instant::now();
    let who = bench.at_work(ADA).await;
    let grant = loop {
        match bench.impersonate(&who, STUCK).await {
            Ok(grant) => break grant,
            Err(e) if room_since.elapsed() > Duration::from_secs(5) => {
                panic!("there is room, and still: {e}")
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    bench.clock.advance(2 * time::SECOND);
    assert!(readiness.of(store, bench.now()).await, "not ready, with room to write");
    bench.end(&who, &grant.id).await.unwrap();
    bench.verify_all().await.unwrap();
    println!("it was full, and works again");
}

async fn failed_sign_in(bench: &Bench, email: &str, from: &str) -> Result<(), StepError> {
    // Without the password: what is slow here is to be the disk.
    let mut tx = bench.desk.begin().await?;
    let actor =
        crate::audit::Actor { from: Some(from.to_owned()), ..crate::audit::Actor::system() };
    let row = crate::audit::NewRow::new(crate::proof::actions::PLATFORM_SIGN_IN_FAILED, &actor)
        .with("how", email);
    let step = bench.desk.log(&mut tx, &crate::audit::LogId::Platform, row).await;
    bench.desk.settle(tx, step).await?;
    Err(StepError::WrongPassword)
}

/// Whether there is no room for a row.
async fn refused_once(bench: &Bench, n: u32) -> bool {
    let step = failed_sign_in(bench, &format!("somebody-{n}"), "192.0.2.251").await;
    !matches!(step, Err(StepError::WrongPassword))
}

/// Writes until nothing more goes in.
fn fill(path: &std::path::Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).unwrap();
    for size in [1 << 16, 1 << 12, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}
