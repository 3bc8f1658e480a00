//! Starting a server: what `demo` and `serve` have in common.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keyturn::audit::{LogId, create_log};
use keyturn::desk::Desk;
use keyturn::http::router;
use keyturn::store::Store;
use keyturn::web::app::App;
use tokio::net::TcpListener;

/// Connects, and waits a little for a database that starts at the same moment.
pub async fn connect(url: &str, connections: u32) -> Result<Store, String> {
    let mut tries = 0;
    loop {
        match Store::connect(url, connections).await {
            Ok(store) => return Ok(store),
            Err(e @ keyturn::store::StoreError::Database(_)) if tries < 10 => {
                tries += 1;
                tracing::warn!(error = %e, "the database does not answer yet");
                tokio::time::sleep(Duration::from_secs(1)).await;
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

/// Serves until the process is asked to stop; then ends what is under way.
pub async fn serve(app: App, listener: TcpListener) -> Result<(), String> {
    let desk = app.desk.clone();
    let sweeper = tokio::spawn(desk.clone().run_sweeper());
    let outbox = tokio::spawn(desk.clone().run_outbox());
    let clearing = tokio::spawn(desk.clone().run_vault_clearing());
    let standing = tokio::spawn(desk.clone().run_standing());
    let service = router(Arc::new(app)).into_make_service_with_connect_info::<SocketAddr>();
    let served = tokio::select! {
        served = async { axum::serve(listener, service).await } => served.map_err(text),
        () = asked_to_stop() => Ok(()),
    };
    // A step in hand is a transaction: it is committed, or it has not happened.
    sweeper.abort();
    outbox.abort();
    clearing.abort();
    standing.abort();
    tokio::time::timeout(Duration::from_secs(5), desk.store.close()).await.ok();
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
