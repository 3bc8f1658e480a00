//! A log is checked over HTTP as `keyturn verify --url` does it: the real router on a port, and
//! between it and the check somebody who counts what is asked for, and may change the answers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::middleware::{self, Next};
use axum::response::Response;
use http::Request;
use secrecy::SecretString;

use super::doors_tests::Site;
use crate::audit::Actor;
use crate::audit::remote::{Ask, Held, NotLooked, Server};
use crate::audit::tiles::Path;
use crate::audit::verify::Fault;
use crate::model::time;
use crate::proof::checkpoint::Checkpoint;
use crate::proof::note::NoteVerifier;
use crate::store::audit;
use crate::testing::story::{CLEO, credential_of, member_id};
use crate::tests::tamper::{change, fill, unlock};

/// What is done to the answer at a path.
type Spoil = (String, fn(&mut Vec<u8>));

#[derive(Default)]
struct Between {
    asked: Mutex<Vec<String>>,
    spoil: Mutex<Option<Spoil>>,
}

struct Remote {
    site: Site,
    between: Arc<Between>,
    address: String,
    token: SecretString,
}

impl Remote {
    /// A platform's log of so many rows, served on a port, and an auditor's credential.
    async fn new(rows: i64) -> Self {
        let site = Site::new().await;
        let token = site.issue(CLEO, 90).await.unwrap();
        let between = Arc::new(Between::default());
        let (router, counted) = (site.router.clone(), between.clone());
        let router =
            router.layer(middleware::from_fn(move |request: Request<Body>, next: Next| {
                let counted = counted.clone();
                async move { counted.pass(request, next).await }
            }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        let remote = Self { site, between, address, token };
        remote.grow_to(rows).await;
        remote
    }

    /// Adds rows until there are so many. The view of each check is one, the first time.
    async fn grow_to(&self, rows: i64) {
        self.site
            .bench
            .desk
            .note_view(&self.site.bench.at_work(CLEO).await, "x", "")
            .await
            .unwrap();
        let more = usize::try_from(rows - self.head("platform").await.size).unwrap();
        fill(&self.site.bench, more).await;
    }

    async fn head(&self, log: &str) -> audit::Head {
        let mut conn = self.site.bench.desk.store.read().await.unwrap();
        audit::head(&mut conn, log).await.unwrap().unwrap()
    }

    /// The newest checkpoint as a file that somebody keeps.
    async fn kept(&self) -> String {
        self.head("platform").await.checkpoint
    }

    fn pin(&self) -> NoteVerifier {
        self.site.bench.desk.keys.log.anchor().clone()
    }

    async fn ask(
        &self,
        path: &str,
        token: &SecretString,
        since: Option<&str>,
        full: bool,
    ) -> Result<Result<Held, Fault>, NotLooked> {
        self.between.asked.lock().unwrap().clear();
        let server = Server::new(&format!("{}{path}", self.address), token.clone())?;
        let ask = Ask { pinned: self.pin(), since, full };
        let mut heard = Vec::new();
        let found = server.check(&ask, |done, total| heard.push((done, total))).await;
        assert!(heard.is_sorted() && heard.iter().all(|(done, total)| done <= total));
        if let Ok(Ok(held)) = &found
            && held.read_from < held.rows
        {
            assert_eq!(heard.last(), Some(&(held.rows, held.rows)), "progress to the end");
        }
        found
    }

    async fn platform(&self, since: Option<&str>) -> Result<Held, Fault> {
        self.ask("/api/v1/platform/log", &self.token, since, false).await.unwrap()
    }

    /// How many tiles of rows and of hashes were asked for.
    fn tiles(&self) -> (usize, usize) {
        let asked = self.between.asked.lock().unwrap();
        let entries = asked.iter().filter(|path| path.contains("/tile/entries/")).count();
        let all = asked.iter().filter(|path| path.contains("/tile/")).count();
        (entries, all - entries)
    }

    fn spoil(&self, path: Path, how: fn(&mut Vec<u8>)) {
        let path = format!("/api/v1/platform/log/{}", path.text());
        *self.between.spoil.lock().unwrap() = Some((path, how));
    }
}

impl Between {
    async fn pass(&self, mut request: Request<Body>, next: Next) -> Response {
        // The console answers under its own name only.
        let name = http::HeaderValue::from_static("keyturn.example");
        request.headers_mut().insert(http::header::HOST, name);
        let path = request.uri().path().to_owned();
        self.asked.lock().unwrap().push(path.clone());
        let answer = next.run(request).await;
        let spoil = self.spoil.lock().unwrap().clone();
        let Some((_, how)) = spoil.filter(|(at, _)| *at == path) else { return answer };
        let (mut parts, body) = answer.into_parts();
        let mut bytes = axum::body::to_bytes(body, 1 << 24).await.unwrap().to_vec();
        how(&mut bytes);
        parts.headers.remove(http::header::CONTENT_LENGTH);
        Response::from_parts(parts, Body::from(bytes))
    }
}

/// Signs a checkpoint as the log's key would.
fn signed(remote: &Remote, size: u64, root: [u8; 32]) -> String {
    let key = remote.site.bench.desk.keys.log.signer().unwrap();
    Checkpoint { origin: "keyturn.example/platform".to_owned(), size, root }.sign(&key).unwrap()
}

#[tokio::test]
async fn a_good_log_holds_for_the_auditor_and_for_the_org() {
    let remote = Remote::new(700).await;
    // The view of the check itself is a row, before the checkpoint is read.
    let held = remote.platform(None).await.unwrap();
    assert_eq!((held.log.as_str(), held.rows, held.read_from), ("platform", 701, 0));
    assert!(held.to_string().ends_with("all of them read"), "{held}");
    assert_eq!(remote.tiles(), (3, 0), "each row once, and nothing else");
    for role in ["owner", "operator"] {
        let credential = credential_of(&member_id("acme", role));
        let held = remote.ask("/api/v1/org/log", &credential, None, false).await.unwrap().unwrap();
        assert_eq!(held.log, "org/org-acme", "{role}");
    }
    let held = remote.ask("/api/v1/orgs/org-acme/log", &remote.token, None, false).await;
    assert_eq!(held.unwrap().unwrap().log, "org/org-acme");
}

#[tokio::test]
async fn a_wrong_credential_or_address_says_nothing_of_the_log() {
    let remote = Remote::new(20).await;
    let owner = credential_of(&member_id("acme", "owner"));
    for (path, token) in [
        ("/api/v1/platform/log", SecretString::from("ktau_nobody")),
        ("/api/v1/platform/log", owner.clone()),
        ("/api/v1/org/log", remote.token.clone()),
        ("/api/v1/org/log", credential_of(&member_id("acme", "admin"))),
    ] {
        let why = remote.ask(path, &token, None, false).await.unwrap_err().to_string();
        assert!(why.contains("401"), "{path}: {why}");
    }
    let none = remote.ask("/api/v1/nothing", &owner, None, false).await.unwrap_err().to_string();
    assert!(none.contains("the server answers"), "{none}");
    // A name that only begins like this machine's gets no credential in clear.
    for url in ["http://localhost.evil.example/log", "http://127.0.0.1.evil.example", "ftp://x"] {
        let why = Server::new(url, owner.clone()).unwrap_err().to_string();
        assert!(why.contains("https://"), "{url}: {why}");
    }
}

#[tokio::test]
async fn a_changed_row_is_named() {
    let remote = Remote::new(700).await;
    remote.platform(None).await.unwrap();
    // On the way, or by the server: a letter of row 256's text.
    remote.spoil(Path::Entries { index: 1, width: 256 }, |bytes| {
        let at = bytes.windows(9).position(|w| w == b"\"actor_id").unwrap() + 12;
        bytes[at] = bytes[at].wrapping_add(1);
    });
    let fault = remote.platform(None).await.unwrap_err();
    assert_eq!((fault.log.as_str(), fault.row), ("platform", Some(256)), "{fault}");
    // One that is gone.
    remote.spoil(Path::Entries { index: 1, width: 256 }, |bytes| {
        let length = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
        bytes.drain(..2 + length);
    });
    assert_eq!(remote.platform(None).await.unwrap_err().row, Some(256));
    *remote.between.spoil.lock().unwrap() = None;
    remote.platform(None).await.unwrap();

    // In the database, where the hash beside it was left; and in the last tile, which is not full.
    unlock(&remote.site.bench).await;
    let spoil = |from: &str, to: &str, seq: i64| {
        format!(
            "UPDATE audit_entry SET body = REPLACE(body, '{from}', '{to}') WHERE log_id = 'platform' AND seq = {seq}"
        )
    };
    for seq in [699, 600, 300] {
        change(&remote.site.bench, &spoil("audit_viewed", "audit_viewer", seq)).await;
        let fault = remote.platform(None).await.unwrap_err();
        assert_eq!(fault.row, u64::try_from(seq).ok(), "{fault}");
    }
    for seq in [699, 600, 300] {
        change(&remote.site.bench, &spoil("audit_viewer", "audit_viewed", seq)).await;
    }
    remote.platform(None).await.unwrap();
}

#[tokio::test]
async fn a_log_that_was_cut_back_or_rewritten_since_is_a_fault() {
    let remote = Remote::new(600).await;
    remote.platform(None).await.unwrap();
    let rows = u64::try_from(remote.head("platform").await.size).unwrap();
    let fault = remote.platform(Some(&signed(&remote, rows + 40, [5; 32]))).await.unwrap_err();
    assert_eq!(fault.row, Some(rows), "the first that is missing");
    let missing = format!("rows {rows} to {} are missing", rows + 39);
    assert!(fault.what.contains(&missing) && fault.what.contains("cut back"), "{fault}");
    for size in [rows, rows - 1, 512, 511, 256, 3] {
        let other = signed(&remote, size, [5; 32]);
        for full in [false, true] {
            let found = remote.ask("/api/v1/platform/log", &remote.token, Some(&other), full).await;
            let fault = found.unwrap().unwrap_err();
            assert!(fault.what.contains("another root"), "{size}: {fault}");
        }
    }
    // What is no checkpoint of this log says nothing of it.
    let key = remote.site.bench.desk.keys.log.signer().unwrap();
    let of_org = Checkpoint { origin: "keyturn.example/org/a".into(), size: 3, root: [5; 32] };
    for none in ["nothing", &of_org.sign(&key).unwrap()] {
        let found = remote.ask("/api/v1/platform/log", &remote.token, Some(none), false).await;
        let why = found.unwrap_err().to_string();
        assert!(why.contains("the checkpoint from before"), "{why}");
    }
}

#[tokio::test]
async fn from_a_checkpoint_on_only_what_is_new_is_read() {
    let remote = Remote::new(1000).await;
    remote.platform(None).await.unwrap();
    let early = remote.kept().await;
    let rows = remote.head("platform").await.size;
    // Nothing is new: the roots say it all.
    let held = remote.platform(Some(&early)).await.unwrap();
    assert_eq!((held.read_from, remote.tiles()), (held.rows, (0, 0)));
    assert!(held.to_string().contains("none was read"), "{held}");

    remote.grow_to(2200).await;
    let held = remote.platform(Some(&early)).await.unwrap();
    assert_eq!((held.read_from, held.since), (768, u64::try_from(rows).ok()));
    assert_eq!(remote.tiles(), (6, 1), "rows 768 to 2199, and one tile of hashes");
    let said = held.to_string();
    assert!(said.contains("read: rows 768 to 2199") && said.contains("not read: rows 0 to 767"));
    let later = remote.kept().await;
    remote.grow_to(2201).await;
    remote.platform(Some(&later)).await.unwrap();
    assert_eq!(remote.tiles(), (1, 1));
    let found = remote.ask("/api/v1/platform/log", &remote.token, Some(&early), true).await;
    assert_eq!(found.unwrap().unwrap().read_from, 0);
    assert_eq!(remote.tiles(), (9, 0), "--full reads it all");

    // A row that is new and changed is named; one that is old is not looked at, as it is said.
    unlock(&remote.site.bench).await;
    for (seq, row) in [(1500, Some(1500)), (100, None)] {
        let sql = |from: &str, to: &str| {
            format!(
                "UPDATE audit_entry SET body = REPLACE(body, '{from}', '{to}') WHERE log_id = 'platform' AND seq = {seq}"
            )
        };
        change(&remote.site.bench, &sql("audit_viewed", "audit_viewer")).await;
        let found = remote.platform(Some(&early)).await;
        assert_eq!(found.err().and_then(|fault| fault.row), row);
        change(&remote.site.bench, &sql("audit_viewer", "audit_viewed")).await;
    }
    // A tile of hashes that is not that of the rows is found by the checkpoint's root.
    let tile = Path::Hashes { level: 1, index: 0, width: 8 };
    remote.spoil(tile, |bytes| bytes[40] ^= 1);
    let fault = remote.platform(Some(&early)).await.unwrap_err();
    assert!(fault.what.contains("another root"), "{fault}");
    remote.spoil(tile, |bytes| bytes.truncate(64));
    let found = remote.ask("/api/v1/platform/log", &remote.token, Some(&early), false).await;
    assert!(found.unwrap_err().to_string().contains("too short"));
}

#[tokio::test]
async fn the_first_key_leads_to_the_one_that_signs_now() {
    let remote = Remote::new(300).await;
    let before = remote.kept().await;
    let desk = remote.site.bench.desk.clone();
    for _ in 0..2 {
        let mut tx = desk.begin().await.unwrap();
        let step = desk.rotate_log_key(&mut tx, &Actor::system()).await;
        desk.settle(tx, step).await.unwrap();
        let mut conn = desk.store.read().await.unwrap();
        desk.current_log_key(&mut conn).await.unwrap();
        drop(conn);
        remote.site.bench.clock.advance(time::MINUTE);
        fill(&remote.site.bench, 5).await;
    }
    assert_ne!(remote.pin(), desk.keys.log.verifiers()[0], "the pinned one is the first");
    remote.platform(None).await.unwrap();
    // What the first one signed still counts for what was.
    let held = remote.platform(Some(&before)).await.unwrap();
    assert_eq!(held.read_from, 256);
    // A key that leads nowhere is none.
    let server =
        Server::new(&format!("{}/api/v1/platform/log", remote.address), remote.token.clone());
    let stranger = crate::proof::note::NoteKey::new("keyturn.example", &[77; 32]).unwrap();
    let ask = Ask { pinned: stranger.verifier().clone(), since: None, full: false };
    let why = server.unwrap().check(&ask, |_, _| {}).await.unwrap_err().to_string();
    assert!(why.contains("no pinned key leads to"), "{why}");
}

/// Protects a customer's cron job, which looks at the exit status and not at the name.
#[tokio::test]
async fn another_log_in_the_place_of_the_one_that_was_asked_for_is_a_fault() {
    let remote = Remote::new(20).await;
    unlock(&remote.site.bench).await;
    let sql = "UPDATE audit_log SET checkpoint = (SELECT checkpoint FROM audit_log WHERE id = 'org/org-birch') \
               WHERE id = 'org/org-acme'";
    change(&remote.site.bench, sql).await;
    let path = "/api/v1/orgs/org-acme/log";
    let fault = remote.ask(path, &remote.token, None, false).await.unwrap().unwrap_err();
    assert!(fault.what.contains("in the place of another"), "{fault}");
}
