//! `keyturn demo`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keyturn::auth::credential;
use keyturn::clock::{Clock, SystemClock, SystemRng, new_token};
use keyturn::delivery::mail::SmtpMailer;
use keyturn::delivery::one_password::Connect;
use keyturn::delivery::tickets::embedded::EmbeddedDesk;
use keyturn::delivery::witness::FolderWitness;
use keyturn::demo::smtp_catcher::SmtpCatcher;
use keyturn::demo::{Addresses, Demo, connect_token, vault_policies};
use keyturn::desk::gateways::GatewaySettings;
use keyturn::desk::keys::{Keys, Names, create};
use keyturn::desk::staff::sign_ins::SignIns;
use keyturn::desk::{Desk, Settings};
use keyturn::gateway::listener;
use keyturn::listen::{Limits, Times};
use keyturn::model::time;
use keyturn::secrets::vault::embedded::EmbeddedVault;
use keyturn::store::Store;
use keyturn::web::app::{App, DemoDoors, DemoPerson};
use tokio::net::TcpListener;

use super::start::{Background, connect, data_folder, pkg, prepare, serve, text};

const ORIGIN: &str = "keyturn.demo";

/// Seeds a data folder once, and serves it.
pub async fn run(port: u16, data: &Path) -> Result<(), String> {
    data_folder(data)?;
    let next = port.checked_add(1).ok_or("PORT is at most 65533")?;
    let third = next.checked_add(1).ok_or("PORT is at most 65533")?;
    let console = listen(port).await?;
    let customer = listen(next).await?;
    // Agents may knock before there is an answer: they wait.
    let gateways = listen(third).await?.into_std().map_err(text)?;
    let gateway_address = format!("https://127.0.0.1:{third}");
    let (address, customer_address) =
        (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{next}"));

    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let rng = Arc::new(SystemRng);
    let now = clock.now();
    let keys_file = data.join("keys.json");
    if !keys_file.exists() {
        create(&keys_file, rng.as_ref(), now, "Keyturn demo <keyturn@platform.example>")
            .map_err(text)?;
    }
    let api = format!("{address}/api");
    let names = Names { issuer: &address, audience: &api, log_origin: ORIGIN };
    let ticks = clock.clone();
    let (smtp, catcher) =
        SmtpCatcher::bind_anywhere(data.join("mail"), move || ticks.now()).await.map_err(text)?;
    let store = connect(&Store::sqlite_in(data), 8, Duration::ZERO).await?;
    let vault = Arc::new(EmbeddedVault::new(store.clone(), clock.clone(), rng.clone()));
    let desk = Arc::new(Desk {
        tickets: Arc::new(EmbeddedDesk::new(store.clone(), "NOV-")),
        store,
        clock,
        rng: rng.clone(),
        keys: Keys::load(&keys_file, &names, now).map_err(text)?,
        settings: Settings {
            base_url: address.clone(),
            impersonation_life: 15 * time::MINUTE,
            overlap_seconds: 86_400,
            proof_life: keyturn::policy::eligibility::PROOF_LIFE,
            credential_life: keyturn::auth::credential::ORG_LIFE,
            // The demo's own receiver is on this machine.
            private_targets: true,
            mail_from: "Keyturn <keyturn@platform.example>".to_owned(),
            vault_policies: vault_policies(),
            // Often, so that nobody has to wait.
            gateways: GatewaySettings {
                interval: 2 * time::SECOND,
                names: vec!["127.0.0.1".to_owned(), "localhost".to_owned()],
            },
            witness_folder: Some(data.join("witness")),
            witness: None,
        },
        vault: vault.clone(),
        mailer: Arc::new(
            SmtpMailer::new(&format!("smtp://{smtp}").into(), Some("platform.example".to_owned()))
                .map_err(text)?,
        ),
        shared_vault: Some(Arc::new(
            Connect::new(&customer_address, &connect_token(data, &SystemRng).map_err(text)?)
                .map_err(text)?,
        )),
        lists_changed: tokio::sync::Notify::new(),
        sign_ins: SignIns::new(&SystemRng),
    });
    let introspection = new_token(rng.as_ref());
    let addresses = Addresses {
        console: address.clone(),
        customer_side: customer_address.clone(),
        gateways: gateway_address.clone(),
    };
    let demo = Demo::start(&desk, data, &addresses, &introspection, customer, catcher)
        .await
        .map_err(text)?;
    prepare(&desk).await?;
    let gateways = listener::serve(desk.clone(), gateways, Limits::default(), Times::default())
        .await
        .map_err(text)?;
    // For `keyturn verify --data`; anybody may know it.
    std::fs::write(data.join("log-key.txt"), format!("{}\n", desk.keys.log.vkey()))
        .map_err(text)?;

    // Another machine's in earnest: here it shows what a witness sees.
    let witness = FolderWitness::new(data.join("witness"));
    let mut background = Background::default();
    background.run(desk.clone().run_witness(Arc::new(witness), background.stop.clone()));

    let people = demo
        .people()
        .iter()
        .map(|p| DemoPerson { email: p.email.clone(), name: p.name.clone(), role: p.role })
        .collect();
    let app = App {
        density: Default::default(),
        edges: Default::default(),
        desk,
        demo: Some(DemoDoors { people, customer_side: customer_address.clone() }),
        pkg: pkg(Path::new("target/site/pkg")),
        introspection_hash: Some(credential::hash(&introspection)),
        intake_hash: None,
        proxies: Default::default(),
        embedded_vault: Some(vault),
        stop: background.stop.clone(),
        readiness: Default::default(),
        at_once: Default::default(),
    };
    println!(
        "\n  Keyturn demo\n\n  Console            {address}\n  The customer's side {customer_address}\n  Gateways           {gateway_address}\n  Data               {}\n\n  \
         Begin with {address}/tickets/NOV-4801: sign in as a platform admin with one button.\n  \
         Stop with Ctrl-C; `make demo-reset` starts over.\n",
        data.display()
    );
    let served = serve(app, console, background, Some(gateways)).await;
    // Dropping it stops the customer's side.
    drop(demo);
    served
}

async fn listen(port: u16) -> Result<TcpListener, String> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .await
        .map_err(|e| format!("port {port}: {e}. Choose another with PORT."))
}
