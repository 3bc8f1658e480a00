//! Whoever holds things up, and whom: an org's withdrawal of consent, alone and beside 200 sign-ins
//! at once from 200 addresses, 1,000 half-open connections and an OpenPGP key of 121 names, over
//! and over, each time one that the server has not seen.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keyturn::clock::{Rng as _, SystemRng};
use pgp::composed::{
    ArmorOptions, EncryptionCaps, KeyType, SecretKeyParamsBuilder, SignedPublicKey,
    SubkeyParamsBuilder,
};
use reqwest::{Client, StatusCode, header, redirect};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;
use tokio::task::JoinSet;

type Failure = Box<dyn Error + Send + Sync>;

const SAMPLES: usize = 200;
/// What the 99th percentile is to stay under, beside all of that.
const AIM: Duration = Duration::from_millis(250);

/// A demo that runs for as long as this is there.
struct Demo {
    process: Child,
    address: String,
    port: u16,
    folder: tempfile::TempDir,
}

impl Drop for Demo {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Demo {
    async fn start() -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        // It takes this port and the two after it.
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let process = Command::new(env!("CARGO_BIN_EXE_keyturn"))
            .arg("demo")
            .env("PORT", port.to_string())
            .env("DATA", folder.path().join("demo"))
            .env("RUST_LOG", "error")
            .stdout(Stdio::null())
            .spawn()?;
        let demo = Self { process, address: format!("http://127.0.0.1:{port}"), port, folder };
        let until = Instant::now() + Duration::from_secs(120);
        while reqwest::get(format!("{}/readyz", demo.address)).await.is_err() {
            if Instant::now() > until {
                return Err("the demo does not come up".into());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(demo)
    }

    fn secrets(&self) -> Result<serde_json::Value, Failure> {
        let text = std::fs::read_to_string(self.folder.path().join("demo/demo.json"))?;
        Ok(serde_json::from_str(&text)?)
    }

    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or(0) / 1024
    }
}

fn from(address: [u8; 4]) -> Result<Client, Failure> {
    let client = Client::builder()
        .local_address(IpAddr::from(address))
        .redirect(redirect::Policy::none())
        .pool_max_idle_per_host(1);
    Ok(client.build()?)
}

fn form(client: &Client, url: String) -> reqwest::RequestBuilder {
    client.post(url).header("sec-fetch-site", "same-origin")
}

/// Gives consent, and takes the time that the withdrawal of it takes.
async fn withdrawals(demo: &Demo, credential: &str) -> Result<Vec<Duration>, Failure> {
    let client = from([127, 0, 0, 1])?;
    let put = async |body: &'static str| -> Result<Duration, Failure> {
        let begun = Instant::now();
        let answer = client
            .put(format!("{}/api/v1/org/consent", demo.address))
            .bearer_auth(credential)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .send()
            .await?;
        let took = begun.elapsed();
        if answer.status() != StatusCode::OK {
            return Err(format!("{}: {}", answer.status(), answer.text().await?).into());
        }
        Ok(took)
    };
    let mut took = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        put(r#"{"allow_platform_impersonation":true,"until_withdrawn":true}"#).await?;
        took.push(put(r#"{"allow_platform_impersonation":false}"#).await?);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    took.sort_unstable();
    Ok(took)
}

/// A key of 121 names, as OpenPGP programs make them.
fn many_names() -> Result<String, Failure> {
    let name = |n: usize| format!("Olive Hartmann, department {n} <olive-{n}@brightwater.example>");
    let subkey = SubkeyParamsBuilder::default()
        .key_type(KeyType::X25519)
        .can_encrypt(EncryptionCaps::All)
        .build()?;
    let mut params = SecretKeyParamsBuilder::default();
    params
        .key_type(KeyType::Ed25519)
        .can_certify(true)
        .can_sign(true)
        .primary_user_id(name(0))
        .user_ids((1..121).map(name).collect())
        .subkeys(vec![subkey]);
    let key = params.build()?.generate(SystemRng.generator())?;
    Ok(SignedPublicKey::from(key).to_armored_string(ArmorOptions::default())?)
}

/// What the load has done so far.
#[derive(Default)]
struct Done {
    sign_ins: AtomicU64,
    refused: AtomicU64,
    keys: AtomicU64,
    over: AtomicBool,
}

async fn sign_in(client: &Client, address: &str, email: &str) -> Result<StatusCode, Failure> {
    let request =
        form(client, format!("{address}/do/sign_in")).header(header::COOKIE, "keyturn-kept=1");
    let fields = [("email", email), ("password", "a wrong password"), ("next", "")];
    Ok(request.form(&fields).send().await?.status())
}

/// Begins the load, which goes on until it is over.
async fn load(demo: &Demo, key: String, done: &Arc<Done>) -> Result<JoinSet<()>, Failure> {
    let mut tasks = JoinSet::new();
    for n in 0..200_u8 {
        let (client, address, done) = (from([127, 1, 0, n])?, demo.address.clone(), done.clone());
        tasks.spawn(async move {
            let mut tried = 0;
            while !done.over.load(Ordering::Relaxed) {
                tried += 1;
                let email = format!("nobody-{n}-{tried}@platform.example");
                match sign_in(&client, &address, &email).await {
                    Ok(StatusCode::TOO_MANY_REQUESTS) => {
                        done.refused.fetch_add(1, Ordering::Relaxed);
                        // So does whoever does not count on being let in.
                        tokio::time::sleep(Duration::from_millis(500)).await;
                    }
                    _ => {
                        done.sign_ins.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        });
    }
    for n in 0..1000_u16 {
        let (port, done) = (demo.port, done.clone());
        let [high, low] = n.to_be_bytes();
        tasks.spawn(async move {
            while !done.over.load(Ordering::Relaxed) {
                let Ok(socket) = TcpSocket::new_v4() else { return };
                let at = SocketAddr::from(([127, 2, high, low.max(1)], 0));
                if socket.bind(at).is_err() {
                    return;
                }
                let to = SocketAddr::from(([127, 0, 0, 1], port));
                let Ok(mut stream) = socket.connect(to).await else { continue };
                stream.write_all(b"GET /sign-in HTTP/1.1\r\nHost: ").await.ok();
                // Until it is cut off.
                while !done.over.load(Ordering::Relaxed)
                    && stream.write_all(b"").await.is_ok()
                    && !matches!(stream.try_read(&mut [0; 1]), Ok(0))
                {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            }
        });
    }
    let email = demo.secrets()?["staff"][0]["email"].as_str().unwrap_or_default().to_owned();
    let client = from([127, 0, 0, 2])?;
    let signed_in = form(&client, format!("{}/do/demo_sign_in", demo.address))
        .header(header::COOKIE, "keyturn-kept=1")
        .form(&[("email", email.as_str()), ("next", "/tickets")])
        .send()
        .await?;
    let cookie = signed_in.headers().get(header::SET_COOKIE).ok_or("nobody is signed in")?;
    let cookie = cookie.to_str()?.split(';').next().unwrap_or_default().to_owned();
    let (address, done) = (demo.address.clone(), done.clone());
    tasks.spawn(async move {
        let mut tried = 0;
        while !done.over.load(Ordering::Relaxed) {
            tried += 1;
            let unseen = key.replacen("-----\n", &format!("-----\nComment: {tried}\n"), 1);
            let fields =
                [("org", "none"), ("key", unseen.as_str()), ("which", ""), ("back", "/tickets")];
            let request = form(&client, format!("{address}/do/change_owner_key"));
            if request.header(header::COOKIE, &cookie).form(&fields).send().await.is_ok() {
                done.keys.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    Ok(tasks)
}

fn said(what: &str, took: &[Duration]) -> Duration {
    let at = |part: f64| took[((took.len() - 1) as f64 * part).round() as usize];
    println!(
        "{what:<24} median {:>7.1?}   99th {:>7.1?}   longest {:>7.1?}   machine's load {}",
        at(0.5),
        at(0.99),
        at(1.0),
        std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim()
    );
    at(0.99)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    // Our own ends of the connections are files, too.
    keyturn::listen::files();
    let demo = Demo::start().await?;
    let secrets = demo.secrets()?;
    let org = &secrets["orgs"][0];
    let credential = org["credentials"][0]["token"].as_str().ok_or("no credential")?;
    let key = many_names()?;
    println!("a key of 121 names, {} bytes; {} MB resident", key.len(), demo.resident());
    said("alone", &withdrawals(&demo, credential).await?);
    let done = Arc::new(Done::default());
    let mut tasks = load(&demo, key, &done).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let took = withdrawals(&demo, credential).await;
    done.over.store(true, Ordering::Relaxed);
    let late = said("beside all of that", &took?);
    println!(
        "meanwhile {} sign-ins answered, {} refused with 429, {} keys judged; {} MB resident",
        done.sign_ins.load(Ordering::Relaxed),
        done.refused.load(Ordering::Relaxed),
        done.keys.load(Ordering::Relaxed),
        demo.resident()
    );
    tasks.shutdown().await;
    if late > AIM {
        return Err(format!("{late:?} is more than {AIM:?}").into());
    }
    Ok(())
}
