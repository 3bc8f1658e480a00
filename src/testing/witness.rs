//! A witness that keeps C2SP tlog-witness's rules and really signs, or answers as a bad one would.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;

use super::Bench;
use crate::clock::Clock;
use crate::delivery::witness::HttpWitness;
use crate::desk::AskedWitness;
use crate::model::time;
use crate::proof::checkpoint::Checkpoint;
use crate::proof::cosignature::WitnessSigner;
use crate::proof::merkle::verify_consistency;
use crate::proof::note::NoteVerifier;

/// How it answers to what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// With its signature.
    Signed,
    /// With another witness's signature.
    ByAnother,
    /// With a line that looks like its signature.
    Forged,
    /// With its signature on the checkpoint of another size.
    OfAnother,
    /// With its signature of an hour ago.
    Stale,
    /// With a page that says welcome.
    Unsigned,
}

struct Rules {
    logs: Arc<[NoteVerifier]>,
    signer: WitnessSigner,
    clock: Arc<dyn Clock>,
    seen: Mutex<HashMap<String, Checkpoint>>,
    answer: Mutex<Answer>,
}

/// It, and where it listens.
pub(crate) struct WitnessServer {
    pub(crate) address: String,
    rules: Arc<Rules>,
}

impl WitnessServer {
    /// Starts one that knows the bench's logs.
    pub(crate) async fn start(bench: &Bench) -> Self {
        let rules = Arc::new(Rules {
            logs: bench.desk.keys.log.verifiers(),
            signer: WitnessSigner::new("witness.example/w1", &[9; 32]).unwrap(),
            clock: bench.clock.clone(),
            seen: Mutex::default(),
            answer: Mutex::new(Answer::Signed),
        });
        let router =
            Router::new().route("/add-checkpoint", post(add_checkpoint)).with_state(rules.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, rules }
    }

    /// The way to it.
    pub(crate) fn witness(&self) -> HttpWitness {
        let key = self.signer().public().clone();
        HttpWitness::new(&self.address, key, self.rules.clock.clone()).unwrap()
    }

    /// It, as a desk's settings name it.
    pub(crate) fn asked(&self) -> AskedWitness {
        AskedWitness { name: self.address.clone(), key: self.signer().public().clone() }
    }

    /// Its key.
    pub(crate) fn signer(&self) -> &WitnessSigner {
        &self.rules.signer
    }

    /// How it answers from now on.
    pub(crate) fn answers(&self, answer: Answer) {
        *self.rules.answer.lock().unwrap() = answer;
    }

    /// It has seen this of a log, whoever signed it.
    pub(crate) fn has_seen(&self, origin: &str, change: impl FnOnce(&mut Checkpoint)) {
        change(self.rules.seen.lock().unwrap().get_mut(origin).unwrap());
    }
}

async fn add_checkpoint(State(rules): State<Arc<Rules>>, body: String) -> (StatusCode, String) {
    let refuse = |status: StatusCode| (status, String::new());
    let (request, note) = body.split_once("\n\n").unwrap();
    let mut lines = request.lines();
    let old: u64 = lines.next().unwrap().strip_prefix("old ").unwrap().parse().unwrap();
    let proof: Vec<[u8; 32]> =
        lines.map(|l| STANDARD.decode(l).unwrap().try_into().unwrap()).collect();
    let claimed = Checkpoint::unverified(note).unwrap();
    let Ok(new) = Checkpoint::open(note, &rules.logs, &claimed.origin) else {
        return refuse(StatusCode::FORBIDDEN);
    };
    if old > new.size {
        return refuse(StatusCode::BAD_REQUEST);
    }
    let mut all = rules.seen.lock().unwrap();
    let before = all.get(&new.origin).cloned();
    let (size, root) = before.map_or((0, [0; 32]), |b| (b.size, b.root));
    if old != size || (size == new.size && size > 0 && root != new.root) {
        return (StatusCode::CONFLICT, format!("{size}\n"));
    }
    if size > 0 && verify_consistency(size, new.size, &root, &new.root, &proof).is_err() {
        return refuse(StatusCode::UNPROCESSABLE_ENTITY);
    }
    all.insert(new.origin.clone(), new);
    let now = rules.clock.now();
    let cosign = |signer: &WitnessSigner, note: &str, at| signer.cosign(note, at).unwrap();
    let answer = match *rules.answer.lock().unwrap() {
        Answer::Signed => cosign(&rules.signer, note, now),
        Answer::ByAnother => {
            cosign(&WitnessSigner::new("witness.example/w1", &[8; 32]).unwrap(), note, now)
        }
        Answer::Forged => {
            let line = cosign(&rules.signer, note, now);
            let at = line.len() - 12;
            let other = if line.as_bytes()[at] == b'A' { "B" } else { "A" };
            format!("{}{other}{}", &line[..at], &line[at + 1..])
        }
        Answer::OfAnother => {
            let (size, rest) =
                (format!("\n{}\n", claimed.size), format!("\n{}\n", claimed.size + 1));
            cosign(&rules.signer, &note.replacen(&size, &rest, 1), now)
        }
        Answer::Stale => cosign(&rules.signer, note, now - time::HOUR),
        Answer::Unsigned => "welcome\n".to_owned(),
    };
    (StatusCode::OK, answer)
}
