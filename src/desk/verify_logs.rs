//! Which logs do not hold: every log by itself, against what witnesses saw of it, and then what the
//! logs recorded of each other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::stream::{self, StreamExt as _};
use sqlx::AnyConnection;

use super::{Desk, Step};
use crate::audit::verify::{Claim, Fault, agree, largest_first, set_faults, whole_log_against};
use crate::audit::witnessed::Signed;
use crate::delivery::witness::{FolderWitness, Kept};
use crate::proof::note::NoteVerifier;
use crate::store::audit::{self, Head};
use crate::store::witness;

/// What was found wrong: one fault for a log, the platform's first and then by the logs' ids, so
/// that the same one is named first each time, whichever was found first.
#[derive(Debug, Default)]
pub(super) struct Faults(BTreeMap<(bool, String), Fault>);

impl Faults {
    /// Adds a fault. Of two of the same log the first counts, unless only the other names a row.
    fn add(&mut self, fault: Fault) {
        let place = (fault.log != "platform", fault.log.clone());
        let known = self.0.entry(place).or_insert_with(|| fault.clone());
        if known.row.is_none() && fault.row.is_some() {
            *known = fault;
        }
    }

    pub(super) fn in_order(self) -> Vec<Fault> {
        self.0.into_values().collect()
    }
}

/// What somebody else has seen of the logs.
struct Elsewhere {
    /// Checkpoints in a witness's folder.
    kept: Kept,
    /// Checkpoints that a witness signed.
    signed: Option<Signed>,
}

impl Desk {
    /// Verifies every log, or only one of them. All of them are read to the end also where one does
    /// not hold, so that it can be said how many do not. What the logs recorded of each other is
    /// looked at where each holds by itself and all are asked for: of a log that is known to be
    /// broken it says nothing new, and blames logs that are not.
    pub(super) async fn verify_logs(&self, only: Option<&str>, done: &AtomicU64) -> Step<Faults> {
        let mut found = Faults::default();
        let mut conn = self.store.read().await?;
        // Before the heads: a log may grow, and be witnessed, in between.
        let kept = match self.kept_by_witness().await {
            Ok(kept) => kept,
            Err(what) => {
                found.add(fault(only.unwrap_or("platform"), what));
                return Ok(found);
            }
        };
        let signed = match &self.settings.witness {
            Some(at) => Some(Signed::list(&self.store, &mut conn, &at.key).await?),
            None => None,
        };
        let noted = witness::most(&mut conn).await?;
        let (verifiers, heads) = self.keys_and_heads(&mut conn).await?;
        let elsewhere = Arc::new(Elsewhere { kept, signed });
        let of_the_set = set_faults(&mut conn, &heads).await?.into_iter();
        let unlike = unlike_witnessed(&heads, &self.keys.log.origin, &elsewhere, &noted);
        let disagreeing = self.disagreeing(&mut conn).await?;
        // Each of those that are verified at once has a connection of its own.
        drop(conn);
        let asked = |log: &str| only.is_none_or(|only| only == log);
        for fault in of_the_set.chain(unlike).chain(disagreeing).filter(|f| asked(&f.log)) {
            found.add(fault);
        }
        let chosen: Vec<Head> = heads.iter().filter(|head| asked(&head.id)).cloned().collect();
        let mut checked = stream::iter(largest_first(&chosen).into_iter().cloned())
            .map(async |head: Head| {
                let log = head.id.clone();
                match self.verify_one(&verifiers, head, &elsewhere, done).await {
                    // The others are verified all the same.
                    Err(e) if e.is_unreadable() => {
                        Ok(Err(fault(&log, format!("what belongs to it cannot be read: {e}"))))
                    }
                    found => found,
                }
            })
            .buffer_unordered(self.store.readers_at_once());
        let mut claims = Vec::new();
        while let Some(one) = checked.next().await {
            match one? {
                Ok(of_it) => claims.extend(of_it),
                Err(fault) => found.add(fault),
            }
        }
        drop(checked);
        if only.is_none() && found.0.is_empty() {
            let mut conn = self.store.read().await?;
            if let Err(fault) = agree(&mut conn, &heads, claims).await? {
                found.add(fault);
            }
        }
        Ok(found)
    }

    /// The keys and the heads of one moment: a rotation of the key signs every head anew.
    async fn keys_and_heads(
        &self,
        conn: &mut AnyConnection,
    ) -> Step<(Arc<[NoteVerifier]>, Vec<Head>)> {
        loop {
            let before = self.current_log_key(conn).await?.verifiers();
            let heads = audit::heads(conn).await?;
            if self.current_log_key(conn).await?.verifiers() == before {
                return Ok((before, heads));
            }
        }
    }

    async fn verify_one(
        &self,
        verifiers: &[NoteVerifier],
        head: Head,
        elsewhere: &Arc<Elsewhere>,
        done: &AtomicU64,
    ) -> Step<Result<Vec<Claim>, Fault>> {
        let seen = {
            let (all, origin, verifiers) =
                (elsewhere.clone(), head.origin.clone(), verifiers.to_vec());
            aside(move || all.kept.of(&origin, &verifiers)).await
        };
        let mut seen = match seen {
            Ok(seen) => seen,
            Err(what) => return Ok(Err(fault(&head.id, unread(&what)))),
        };
        let mut conn = self.store.read().await?;
        if let Some(signed) = &elsewhere.signed {
            match signed.of(&mut conn, &head, verifiers).await? {
                Ok(signed) => seen.extend(signed),
                Err(fault) => return Ok(Err(fault)),
            }
        }
        let mut counted = 0;
        let progress = |rows: u64| {
            done.fetch_add(rows.saturating_sub(counted), Ordering::Relaxed);
            counted = rows;
        };
        let origin = &self.keys.log.origin;
        let checked = whole_log_against(&mut conn, verifiers, origin, &head, &seen, progress);
        Ok(checked.await?.map(|verified| verified.claims))
    }

    /// What the witness's folder holds; nothing where there is none yet.
    async fn kept_by_witness(&self) -> Result<Kept, String> {
        let Some(folder) = self.settings.witness_folder.clone() else {
            return Ok(Kept::default());
        };
        aside(move || match Kept::list(&folder) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && !folder.exists() => {
                Ok(Kept::default())
            }
            listed => listed.map_err(|e| unread(&e)),
        })
        .await
    }

    /// The logs to whose newest checkpoint a witness that is asked now did not agree.
    async fn disagreeing(&self, conn: &mut AnyConnection) -> Step<Vec<Fault>> {
        let folder = self.settings.witness_folder.as_deref().map(FolderWitness::name_of);
        let address = self.settings.witness.as_ref().map(|at| at.name.clone());
        let asked: Vec<String> = folder.into_iter().chain(address).collect();
        let said = witness::disagreeing(conn, &asked).await?.into_iter();
        Ok(said.map(|(log, what)| fault(&log, format!("a witness refuses it: {what}"))).collect())
    }
}

fn fault(log: &str, what: String) -> Fault {
    Fault { log: log.to_owned(), row: None, what }
}

fn unread(what: &dyn std::fmt::Display) -> String {
    format!("what the witness kept cannot be read: {what}")
}

/// Reads files without holding up what else runs on this thread.
async fn aside<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let read = tokio::task::spawn_blocking(read).await;
    read.unwrap_or_else(|e| Err(format!("reading stopped: {e}")))
}

/// The logs that a witness has seen, and that are not there or have fewer rows by now; and those
/// of which something else is noted than the witness signed.
fn unlike_witnessed(
    heads: &[Head],
    host: &str,
    elsewhere: &Elsewhere,
    noted: &[(String, i64)],
) -> Vec<Fault> {
    let origins: Vec<&str> = heads.iter().map(|head| head.origin.as_str()).collect();
    let removed = "a witness has seen it, and it is not there: it was removed whole";
    let gone = elsewhere.kept.gone(host, &origins).into_iter().map(|origin| {
        let log = origin.strip_prefix(host).unwrap_or(origin).trim_start_matches('/');
        fault(log, removed.to_owned())
    });
    let cut = noted.iter().filter_map(|(log, seen)| {
        let Some(head) = heads.iter().find(|head| head.id == *log) else {
            return Some(fault(log, removed.to_owned()));
        };
        let what = format!(
            "rows {} to {} are missing: a witness has seen {seen} rows of it, and there are {}: it was cut back or replaced by an older copy",
            head.size,
            seen - 1,
            head.size
        );
        (head.size < *seen).then(|| Fault {
            log: log.clone(),
            row: u64::try_from(head.size).ok(),
            what,
        })
    });
    let signed = elsewhere.signed.iter().flat_map(|signed| signed.faults(heads));
    gone.chain(cut).chain(signed).collect()
}
