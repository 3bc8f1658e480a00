//! The receiver's memory: which keys the customer has installed for each webhook, and what the
//! latest messages came to. It is kept in a file, so that a restart changes nothing.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use standardwebhooks::{HEADER_WEBHOOK_ID, Webhook as Verifier};
use zeroize::Zeroizing;

use crate::demo::DemoError;
use crate::demo::story::{Webhook, replace_private};
use crate::model::Micros;
use crate::secrets::webhook_key::WebhookKey;

/// How many keys a webhook may have at a time; the oldest makes room.
const MOST_KEYS: usize = 4;

/// How many messages are remembered.
const MOST_DELIVERIES: usize = 50;

/// A webhook at the customer.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Hook {
    pub(super) id: String,
    /// The org's short name.
    pub(super) org: String,
    pub(super) label: String,
    /// Newest first.
    pub(super) keys: Vec<Installed>,
}

/// A key that messages are verified with.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Installed {
    /// Counted from 1 for each webhook.
    pub(super) number: u64,
    pub(super) since: Micros,
    key: Zeroizing<String>,
}

/// A message that was posted here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Delivery {
    pub(super) at: Micros,
    pub(super) webhook: String,
    /// Its `webhook-id`.
    pub(super) message: String,
    /// What each installed key said of it, newest key first.
    pub(super) verdicts: Vec<(String, bool)>,
}

#[derive(Default, Serialize, Deserialize)]
struct Memory {
    hooks: Vec<Hook>,
    /// Newest first.
    deliveries: Vec<Delivery>,
}

/// What the pages show.
pub(super) struct Receiver {
    file: PathBuf,
    memory: Mutex<Memory>,
}

impl Installed {
    /// Enough of the key to tell it from another.
    pub(super) fn shortened(&self) -> String {
        let tail = self.key.len().saturating_sub(4);
        format!("whsec_…{}", self.key.get(tail..).unwrap_or_default())
    }

    fn verifies(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        Verifier::new(&self.key).is_ok_and(|verifier| verifier.verify(body, headers).is_ok())
    }
}

impl Hook {
    /// What people call each of its keys, newest first.
    pub(super) fn names(&self) -> Vec<&'static str> {
        match self.keys.len() {
            1 => vec!["installed key"],
            n => ["new key", "old key"]
                .into_iter()
                .chain(std::iter::repeat("older key"))
                .take(n)
                .collect(),
        }
    }
}

impl Delivery {
    /// Whether any key verified it.
    pub(super) fn accepted(&self) -> bool {
        self.verdicts.iter().any(|(_, good)| *good)
    }

    /// What each key said: `new key: accepted, old key: refused`.
    pub(super) fn in_words(&self) -> String {
        let words = self
            .verdicts
            .iter()
            .map(|(name, good)| format!("{name}: {}", if *good { "accepted" } else { "refused" }));
        words.collect::<Vec<_>>().join(", ")
    }
}

impl Receiver {
    /// Reads what an earlier run kept; a webhook that it did not know comes with the key that the
    /// story began with.
    pub(super) fn open(folder: &Path, known: &[Webhook], now: Micros) -> Result<Self, DemoError> {
        let file = folder.join("customer_side.json");
        let mut memory: Memory = match std::fs::read(&file) {
            Ok(kept) => {
                serde_json::from_slice(&Zeroizing::new(kept)).map_err(DemoError::json(&file))?
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Memory::default(),
            Err(e) => return Err(DemoError::io(&file)(e)),
        };
        for webhook in known {
            if memory.hooks.iter().all(|hook| hook.id != webhook.id) {
                memory.hooks.push(Hook {
                    id: webhook.id.clone(),
                    org: webhook.org.clone(),
                    label: webhook.label.clone(),
                    keys: vec![Installed { number: 1, since: now, key: webhook.key.clone() }],
                });
            }
        }
        Ok(Self { file, memory: Mutex::new(memory) })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Nothing that is done under the lock can leave it half changed.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the file. Where that fails the site goes on: it is a demo's memory, not a ledger.
    /// It is small and seldom written, so the thread that serves requests may wait for it.
    fn keep(&self, memory: &Memory) {
        let written = serde_json::to_vec_pretty(memory)
            .map_err(std::io::Error::other)
            .and_then(|text| replace_private(&self.file, &Zeroizing::new(text)));
        if let Err(error) = written {
            tracing::warn!(%error, "the customer's side could not be written down");
        }
    }

    /// Every webhook.
    pub(super) fn hooks(&self) -> Vec<Hook> {
        self.memory().hooks.clone()
    }

    /// The latest messages, newest first.
    pub(super) fn deliveries(&self) -> Vec<Delivery> {
        self.memory().deliveries.clone()
    }

    /// Verifies a message with each installed key; `None` where there is no such webhook.
    pub(super) fn receive(
        &self,
        webhook: &str,
        headers: &HeaderMap,
        body: &[u8],
        now: Micros,
    ) -> Option<Delivery> {
        let mut memory = self.memory();
        let hook = memory.hooks.iter().find(|hook| hook.id == webhook)?;
        let verdicts = hook.names().into_iter().zip(&hook.keys);
        let verdicts =
            verdicts.map(|(name, key)| (name.to_owned(), key.verifies(headers, body))).collect();
        let message = headers.get(HEADER_WEBHOOK_ID).and_then(|id| id.to_str().ok());
        let message = message.unwrap_or("none").chars().take(80).collect();
        let delivery = Delivery { at: now, webhook: webhook.to_owned(), message, verdicts };
        memory.deliveries.insert(0, delivery.clone());
        memory.deliveries.truncate(MOST_DELIVERIES);
        self.keep(&memory);
        Some(delivery)
    }

    /// Installs a key as the new one, beside those that are there. One that is installed already
    /// stays where it is.
    pub(super) fn install(&self, webhook: &str, key: &WebhookKey, now: Micros) -> bool {
        let mut memory = self.memory();
        let Some(hook) = memory.hooks.iter_mut().find(|hook| hook.id == webhook) else {
            return false;
        };
        let text = key.expose().expose_secret();
        if hook.keys.iter().any(|installed| installed.key.as_str() == text) {
            return true;
        }
        let number = hook.keys.iter().map(|key| key.number).max().unwrap_or(0) + 1;
        let key = Zeroizing::new(text.to_owned());
        hook.keys.insert(0, Installed { number, since: now, key });
        hook.keys.truncate(MOST_KEYS);
        self.keep(&memory);
        true
    }

    /// Removes an old key. The newest stays: without it nothing could be received any more.
    pub(super) fn remove(&self, webhook: &str, number: u64) -> bool {
        let mut memory = self.memory();
        let Some(hook) = memory.hooks.iter_mut().find(|hook| hook.id == webhook) else {
            return false;
        };
        let Some(at) = hook.keys.iter().position(|key| key.number == number).filter(|at| *at > 0)
        else {
            return false;
        };
        hook.keys.remove(at);
        self.keep(&memory);
        true
    }
}
