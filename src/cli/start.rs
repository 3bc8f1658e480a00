//! Starting a server: what `demo` and `serve` have in common.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keyturn::audit::{LogId, create_log};
use keyturn::desk::Desk;
use keyturn::gateway::listener::Listener;
use keyturn::http::serve_at;
use keyturn::listen;
use keyturn::stop::Stop;
use keyturn::store::Store;
use keyturn::web::app::App;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// How long `serve` waits for a database that starts at the same moment, saying so all the while.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How long what is under way has to come to its end, once the server was asked to stop. Shorter
/// than the 30 seconds that most supervisors wait before they kill.
const DRAIN: Duration = Duration::from_secs(25);

/// Connects, and waits up to `patience` for a database that does not answer yet.
pub async fn connect(url: &str, connections: u32, patience: Duration) -> Result<Store, String> {
    let started = tokio::time::Instant::now();
    loop {
        match Store::connect(url, connections).await {
            Ok(store) => return Ok(store),
            Err(e @ keyturn::store::StoreError::NoAnswer { .. })
                if started.elapsed() < patience =>
            {
                tracing::warn!("{e}; it is tried again");
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            Err(e) => return Err(e.to_string()),
        }
    }
}

/// Makes the platform's log, where there is none yet, and ends what ran out while the server was
/// down.
pub async fn prepare(desk: &Desk) -> Result<(), String> {
    let mut tx = desk.begin().await.map_err(text)?;
    let there = keyturn::store::audit::head(tx.conn(), "platform").await.map_err(text)?;
    if there.is_none() {
        // A deployment that has accounts has a log: if it is gone, somebody removed it.
        if !keyturn::store::staff::all(tx.conn()).await.map_err(text)?.is_empty() {
            return Err("the platform log is not there, though the database is in use: it was removed. Nothing is served.".to_owned());
        }
        create_log(tx.conn(), &desk.keys.log, &LogId::Platform, desk.now()).await.map_err(text)?;
    }
    desk.load_log_key(tx.conn()).await.map_err(text)?;
    desk.ensure_authority(&mut tx, desk.now()).await.map_err(text)?;
    tx.commit().await.map_err(text)?;
    let carried = desk.carry_records_over().await.map_err(text)?;
    if carried > 0 {
        tracing::info!(orgs = carried, "what is on record of them is in their logs now");
    }
    let made = keyturn::audit::timeline::make_words(&desk.store).await.map_err(text)?;
    if made > 0 {
        tracing::info!(rows = made, "older rows can be searched now");
    }
    // A log that is not what was signed must not keep the console from showing that it is not.
    match desk.sweep().await {
        Ok(0) => {}
        Ok(ended) => tracing::info!(ended, "impersonations expired while the server was down"),
        Err(e) => tracing::error!(error = %e, "sweeping; it is tried again every second"),
    }
    Ok(())
}

/// The folder with the browser library, if it was built.
pub fn pkg(folder: &Path) -> Option<std::path::PathBuf> {
    if folder.join("keyturn_bg.wasm").is_file() && folder.join("keyturn.js").is_file() {
        return Some(folder.to_owned());
    }
    tracing::warn!(
        "the browser library is not built: pages work, without what is live (`make browser`)"
    );
    None
}

/// Makes a data folder that only its owner can look into, and the database's file with it: the
/// files that SQLite puts beside it get the same mode.
pub fn data_folder(folder: &Path) -> Result<(), String> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    let wrong = |e: std::io::Error| format!("{}: {e}", folder.display());
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(wrong)?;
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(folder.join("keyturn.db"))
        .map_err(wrong)?;
    Ok(())
}

/// What goes on beside the requests, until the server stops.
#[derive(Default)]
pub struct Background {
    /// The word to stop, which each of them heeds between two rounds of its work.
    pub stop: Stop,
    tasks: JoinSet<()>,
}

impl Background {
    /// Lets it go on.
    pub fn run(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }
}

/// Serves until the process is asked to stop. Then nobody new is let in, everybody who was gets
/// their answer, streams end, what goes on in the background ends after the round it is at, and
/// only then is the database closed.
pub async fn serve(
    app: App,
    listener: TcpListener,
    mut background: Background,
    gateways: Option<Listener>,
) -> Result<(), String> {
    let desk = app.desk.clone();
    let stop = background.stop.clone();
    background.run(desk.clone().run_sweeper(stop.clone()));
    background.run(desk.clone().run_outbox(stop.clone()));
    background.run(desk.clone().run_vault_clearing(stop.clone()));
    background.run(desk.clone().run_standing(stop.clone()));
    background.run(desk.clone().run_sign_ins(stop.clone()));
    let handle = listen::Stopping::new();
    let socket = listener.into_std().map_err(text)?;
    let serving = serve_at(Arc::new(app), socket, handle.clone()).map_err(text)?;
    let mut serving = tokio::spawn(serving);
    let served = tokio::select! {
        // It does not end by itself while nobody asks for it.
        served = &mut serving => served.map_err(text)?.map_err(text),
        () = asked_to_stop() => Ok(()),
    };
    stop.ask();
    handle.graceful_shutdown(Some(DRAIN));
    tracing::info!("stopping: what is under way comes to its end first");
    let ending = async {
        let gateways = async {
            if let Some(gateways) = gateways {
                gateways.finish(DRAIN).await;
            }
        };
        let requests = async {
            if !serving.is_finished() {
                (&mut serving).await.ok();
            }
        };
        tokio::join!(requests, gateways, async {
            while background.tasks.join_next().await.is_some() {}
        });
    };
    tokio::select! {
        () = ending => tracing::info!("stopped"),
        () = tokio::time::sleep(DRAIN) => {
            tracing::warn!("not everything came to its end within {} s", DRAIN.as_secs());
        }
        // A second time is meant in earnest.
        () = asked_to_stop() => tracing::warn!("stopped at once"),
    }
    // What is left of a step is a transaction: it was committed, or it has not happened.
    serving.abort();
    background.tasks.shutdown().await;
    tokio::time::timeout(Duration::from_secs(3), desk.store.close()).await.ok();
    served
}

async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut int), Ok(mut term)) => {
            tokio::select! { _ = int.recv() => {}, _ = term.recv() => {} }
        }
        _ => std::future::pending().await,
    }
}

/// An error as a line.
pub fn text(e: impl std::fmt::Display) -> String {
    e.to_string()
}
