//! The search for what a rotation made: a vault finds a token by its accessor alone, so each is
//! looked at. A search that is cut short goes on where it was.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::HttpVault;
use super::calls::{Call, get};
use super::wire::{self, Keys};
use crate::secrets::vault::{Vault as _, VaultError};

/// The longest list of accessors, in bytes: some hundred thousand of them.
const LONGEST_LIST: usize = 16 * 1024 * 1024;

/// For how long a search goes on at a time: less than for which others leave it alone.
const AT_A_TIME: Duration = Duration::from_secs(15);

/// What a search has looked at.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Tokens of others. Nothing is made for the rotation any more, so they stay that.
    others: BTreeSet<String>,
    /// What the rotation made.
    found: BTreeSet<String>,
}

impl HttpVault {
    /// The accessors of the live tokens that a rotation made.
    pub(super) async fn search(&self, rotation_id: &str) -> Result<Vec<String>, VaultError> {
        // Held while the search runs: two at once would only be in each other's way.
        let mut searches = self.searches.lock().await;
        let mut seen = searches.remove(rotation_id).unwrap_or_default();
        match self.go_on(rotation_id, &mut seen).await {
            Ok(()) => Ok(seen.found.into_iter().collect()),
            Err(e) => {
                searches.insert(rotation_id.to_owned(), seen);
                Err(e)
            }
        }
    }

    async fn go_on(&self, rotation_id: &str, seen: &mut Seen) -> Result<(), VaultError> {
        let began = Instant::now();
        let call = Call { longest: LONGEST_LIST, ..get("auth/token/accessors/?list=true") };
        let body = self.call(&call).await?;
        let all: Keys = wire::read(&body)?;
        let total = all.data.keys.len();
        // What was found before may have expired or been revoked since.
        seen.found.clear();
        let (mut denied, mut known) = (Vec::new(), None);
        for accessor in all.data.keys {
            if seen.others.contains(&accessor) {
                continue;
            }
            if began.elapsed() > AT_A_TIME {
                let looked_at = seen.others.len();
                return Err(VaultError::NotNow(format!(
                    "{looked_at} of its {total} tokens are looked at, and it goes on"
                )));
            }
            match self.look_at(rotation_id, &accessor, seen).await {
                Ok(()) => known = Some(accessor),
                // Vaults are known to have single accessors that nobody may look up.
                Err(VaultError::Denied(_)) => denied.push(accessor),
                Err(e) => return Err(e),
            }
        }
        if denied.is_empty() {
            return Ok(());
        }
        // Or is it Keyturn itself that is refused by now? Then what was denied says nothing.
        for accessor in &denied {
            match self.look_at(rotation_id, accessor, seen).await {
                Ok(()) | Err(VaultError::Denied(_)) => {}
                Err(e) => return Err(e),
            }
        }
        let Some(known) = known else {
            return Err(VaultError::Denied("it shows Keyturn none of its tokens".into()));
        };
        self.lookup(&known).await.map(|_| ()).map_err(|e| match e {
            VaultError::NoSuchToken => VaultError::NotNow("its tokens changed meanwhile".into()),
            e => e,
        })
    }

    async fn look_at(
        &self,
        rotation_id: &str,
        accessor: &str,
        seen: &mut Seen,
    ) -> Result<(), VaultError> {
        match self.lookup(accessor).await {
            Ok(facts) if facts.rotation_id.as_deref() == Some(rotation_id) => {
                seen.found.insert(accessor.to_owned());
            }
            // It expired between the list and now.
            Ok(_) | Err(VaultError::NoSuchToken) => {
                seen.others.insert(accessor.to_owned());
            }
            Err(e) => return Err(e),
        }
        Ok(())
    }
}
