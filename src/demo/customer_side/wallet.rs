//! The customer's vault tokens: those that it has, and what the vault said of each. They are kept
//! in a file, so that a restart changes nothing.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::demo::DemoError;
use crate::demo::story::{VaultToken, replace_private};
use crate::model::Micros;

/// How many tokens are kept of each secret; the oldest makes room.
const MOST: usize = 4;

/// A secret of the customer's, with the tokens that it has had.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Pinned {
    /// `vtk_…`.
    pub(super) id: String,
    /// The org's short name.
    pub(super) org: String,
    pub(super) label: String,
    /// Newest first.
    pub(super) tokens: Vec<Kept>,
}

/// A token.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Counted from 1 for each secret.
    pub(super) number: u64,
    pub(super) since: Micros,
    pub(super) token: Zeroizing<String>,
    /// What the vault said when it was last tried.
    pub(super) said: Option<Said>,
}

/// What the vault answered.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Said {
    pub(super) at: Micros,
    /// The HTTP status; absent where it did not answer.
    pub(super) status: Option<u16>,
    /// The policies, or the errors.
    pub(super) text: String,
}

/// What the pages show.
pub(super) struct Wallet {
    file: PathBuf,
    /// Where the vault is.
    vault: String,
    client: reqwest::Client,
    pinned: Mutex<Vec<Pinned>>,
}

impl Kept {
    /// Enough of the token to tell it from another.
    pub(super) fn shortened(&self) -> String {
        let tail = self.token.len().saturating_sub(4);
        format!("hvs.…{}", self.token.get(tail..).unwrap_or_default())
    }
}

impl Pinned {
    /// What people call the token at a place of the list.
    pub(super) fn name(&self, place: usize) -> &'static str {
        match (self.tokens.len(), place) {
            (1, _) => "present token",
            (_, 0) => "new token",
            (_, 1) => "old token",
            _ => "older token",
        }
    }
}

impl Wallet {
    /// Reads what an earlier run kept; a secret that it did not know comes with the token that
    /// the story began with. The vault is the console's.
    pub(super) fn open(
        folder: &Path,
        known: &[VaultToken],
        console: &str,
        now: Micros,
    ) -> Result<Self, DemoError> {
        let file = folder.join("customer_tokens.json");
        let mut pinned: Vec<Pinned> = match std::fs::read(&file) {
            Ok(kept) => {
                serde_json::from_slice(&Zeroizing::new(kept)).map_err(DemoError::json(&file))?
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(DemoError::io(&file)(e)),
        };
        for token in known {
            if pinned.iter().all(|held| held.id != token.id) {
                let first = Kept { number: 1, since: now, token: token.token.clone(), said: None };
                pinned.push(Pinned {
                    id: token.id.clone(),
                    org: token.org.clone(),
                    label: token.label.clone(),
                    tokens: vec![first],
                });
            }
        }
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(5))
            .build()
            .map_err(|_| DemoError::Script("the client of the vault could not be made"))?;
        Ok(Self { file, vault: console.to_owned(), client, pinned: Mutex::new(pinned) })
    }

    fn held(&self) -> MutexGuard<'_, Vec<Pinned>> {
        // Nothing that is done under the lock can leave it half changed.
        self.pinned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As with the receiver: where it cannot be written down, the site goes on.
    fn keep(&self, pinned: &[Pinned]) {
        let written = serde_json::to_vec_pretty(pinned)
            .map_err(std::io::Error::other)
            .and_then(|text| replace_private(&self.file, &Zeroizing::new(text)));
        if let Err(error) = written {
            tracing::warn!(%error, "the customer's tokens could not be written down");
        }
    }

    /// Every secret.
    pub(super) fn all(&self) -> Vec<Pinned> {
        self.held().clone()
    }

    /// Where tokens are tried.
    pub(super) fn address(&self) -> String {
        format!("{}/v1/auth/token/lookup-self", self.vault)
    }

    /// Keeps a token as the new one of a secret; one that is there already stays where it is.
    pub(super) fn add(&self, id: &str, token: &str, now: Micros) -> bool {
        let mut held = self.held();
        let Some(pinned) = held.iter_mut().find(|pinned| pinned.id == id) else { return false };
        if pinned.tokens.iter().any(|kept| kept.token.as_str() == token) {
            return true;
        }
        let number = pinned.tokens.iter().map(|kept| kept.number).max().unwrap_or(0) + 1;
        let token = Zeroizing::new(token.to_owned());
        pinned.tokens.insert(0, Kept { number, since: now, token, said: None });
        pinned.tokens.truncate(MOST);
        self.keep(&held);
        true
    }

    /// Shows a token to the vault, and keeps what it says; false where there is no such token.
    pub(super) async fn try_out(&self, id: &str, number: u64, now: Micros) -> bool {
        let find = |held: &[Pinned]| {
            let pinned = held.iter().position(|pinned| pinned.id == id)?;
            let kept = held.get(pinned)?.tokens.iter().position(|kept| kept.number == number)?;
            Some((pinned, kept))
        };
        let token = {
            let held = self.held();
            let Some((pinned, kept)) = find(&held) else { return false };
            held[pinned].tokens[kept].token.clone()
        };
        let said = self.ask(&token, now).await;
        let mut held = self.held();
        if let Some((pinned, kept)) = find(&held) {
            held[pinned].tokens[kept].said = Some(said);
        }
        self.keep(&held);
        true
    }

    async fn ask(&self, token: &str, at: Micros) -> Said {
        let sent = self.client.get(self.address()).header("x-vault-token", token).send().await;
        let Ok(answer) = sent else {
            return Said { at, status: None, text: "the vault did not answer".to_owned() };
        };
        let status = Some(answer.status().as_u16());
        let body: serde_json::Value = answer.json().await.unwrap_or_default();
        let list = |value: &serde_json::Value| {
            let words = value.as_array()?.iter().filter_map(serde_json::Value::as_str);
            Some(words.collect::<Vec<_>>().join(", "))
        };
        let text = match (list(&body["data"]["policies"]), list(&body["errors"])) {
            (Some(policies), _) => format!("policies {policies}"),
            (None, Some(errors)) => errors,
            (None, None) => "no more than that".to_owned(),
        };
        Said { at, status, text }
    }
}
