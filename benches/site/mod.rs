//! The console over a data folder of `keyturn bench-data`, in one process: what the programs of
//! this folder measure and attack.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::connect_info::MockConnectInfo;
use axum::http::{Request, header};
use axum::response::Response;
use keyturn::audit::Actor;
use keyturn::clock::{Clock as _, SystemClock, SystemRng};
use keyturn::delivery::mail::SmtpMailer;
use keyturn::delivery::tickets::embedded::EmbeddedDesk;
use keyturn::desk::gateways::GatewaySettings;
use keyturn::desk::keys::{Keys, Names, create};
use keyturn::desk::staff::sign_ins::SignIns;
use keyturn::desk::{Desk, Settings};
use keyturn::model::{StaffRole, time};
use keyturn::secrets::vault::embedded::EmbeddedVault;
use keyturn::store::Store;
use keyturn::web::app::App;
use tower::ServiceExt as _;

pub type Failure = Box<dyn std::error::Error>;

pub const ORIGIN: &str = "keyturn.bench";
const ADDRESS: &str = "http://127.0.0.1:3000";
const PASSWORD: &str = "a passphrase for measuring only";

/// The data folder that the environment names.
///
/// # Errors
/// Where it was not filled.
pub fn data() -> Result<PathBuf, Failure> {
    // What goes wrong behind a page is said here only.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()),
        )
        .with_writer(std::io::stderr)
        .try_init();
    let data = std::env::var("BENCH_DATA").unwrap_or_else(|_| "data/bench".to_owned());
    let data = PathBuf::from(data);
    if !data.join("keyturn.db").exists() {
        return Err(format!("{}: fill it with `keyturn bench-data`", data.display()).into());
    }
    Ok(data)
}

/// A desk over the data folder, with keys of its own where it has none.
pub async fn desk(folder: &Path, witness_folder: Option<PathBuf>) -> Result<Desk, Failure> {
    let keys_file = folder.join("keys.json");
    let now = SystemClock.now();
    if !keys_file.exists() {
        create(&keys_file, &SystemRng, now, "Keyturn bench <keyturn@platform.example>")?;
    }
    let api = format!("{ADDRESS}/api");
    let names = Names { issuer: ADDRESS, audience: &api, log_origin: ORIGIN };
    let store = Store::connect(&Store::sqlite_in(folder), 10).await?;
    let (clock, rng) = (Arc::new(SystemClock), Arc::new(SystemRng));
    Ok(Desk {
        tickets: Arc::new(EmbeddedDesk::new(store.clone(), "NOV-")),
        vault: Arc::new(EmbeddedVault::new(store.clone(), clock.clone(), rng.clone())),
        store,
        clock,
        rng,
        keys: Keys::load(&keys_file, &names, now)?,
        settings: Settings {
            base_url: ADDRESS.to_owned(),
            impersonation_life: 15 * time::MINUTE,
            overlap_seconds: 86_400,
            proof_life: keyturn::policy::eligibility::PROOF_LIFE,
            credential_life: keyturn::auth::credential::ORG_LIFE,
            private_targets: true,
            mail_from: "Keyturn <keyturn@platform.example>".to_owned(),
            vault_policies: keyturn::demo::vault_policies(),
            gateways: GatewaySettings::default(),
            witness_folder,
            witness: None,
        },
        mailer: Arc::new(SmtpMailer::new(&"smtp://127.0.0.1:1".into(), None)?),
        shared_vault: None,
        lists_changed: tokio::sync::Notify::new(),
        sign_ins: SignIns::new(&SystemRng),
    })
}

/// The console of a desk.
pub fn router(desk: &Arc<Desk>) -> Router {
    let app = App {
        density: Default::default(),
        edges: Default::default(),
        desk: desk.clone(),
        demo: None,
        pkg: None,
        introspection_hash: None,
        intake_hash: None,
        proxies: Default::default(),
        stop: Default::default(),
        readiness: Default::default(),
        at_once: Default::default(),
        embedded_vault: None,
    };
    let here = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    keyturn::http::router(Arc::new(app)).layer(MockConnectInfo(here))
}

/// What a browser sends with a form of the console's own.
pub async fn post(
    router: &Router,
    address: &str,
    cookie: &str,
    form: String,
) -> Result<Response, Failure> {
    let request = Request::post(address)
        .header(header::HOST, "127.0.0.1:3000")
        .header(header::ORIGIN, ADDRESS)
        .header("sec-fetch-site", "same-origin")
        .header(header::COOKIE, cookie)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    Ok(router.clone().oneshot(request.body(Body::from(form))?).await?)
}

/// A page: the router's answer with what it takes to be signed in, and how long it took.
pub async fn fetch(
    router: &Router,
    address: &str,
    cookie: &str,
) -> Result<(Bytes, Duration), Failure> {
    let request =
        Request::get(address).header(header::COOKIE, cookie).header(header::HOST, "127.0.0.1:3000");
    let request = request.body(Body::empty())?;
    let begun = Instant::now();
    let response = router.clone().oneshot(request).await?;
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await?;
    let took = begun.elapsed();
    if !status.is_success() {
        return Err(format!("{address}: {status}").into());
    }
    Ok((body, took))
}

/// The cookie of an auditor who has signed in.
pub async fn signed_in(desk: &Desk, router: &Router) -> Result<String, Failure> {
    let email = "bench@platform.example";
    let mut tx = desk.begin().await?;
    if keyturn::store::staff::by_email(tx.conn(), email).await?.is_none() {
        let step = desk
            .add_staff(
                &mut tx,
                email,
                "Bench",
                StaffRole::Auditor,
                &desk.hash_password(&PASSWORD.into(), &[])?,
                &Actor::system(),
            )
            .await;
        desk.settle(tx, step).await?;
    } else {
        tx.rollback().await?;
    }
    let body = format!(
        "email=bench%40platform.example&password={}&next=%2Faudit",
        PASSWORD.replace(' ', "+")
    );
    let response = post(router, "/do/sign_in", "keyturn-kept=1", body).await?;
    // Besides the session's there is that of the browser.
    let cookies = response.headers().get_all(header::SET_COOKIE).iter();
    let pairs = cookies.filter_map(|c| c.to_str().ok()?.split(';').next());
    let cookies = pairs.collect::<Vec<_>>().join("; ");
    if cookies.is_empty() {
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await?;
        return Err(
            format!("nobody was signed in: {status}, {}", String::from_utf8_lossy(&body)).into()
        );
    }
    Ok(cookies)
}
