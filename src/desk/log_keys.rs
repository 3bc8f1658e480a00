//! The rotation of the key that signs the logs. The old key names the new one in a row of the
//! platform log, every log's newest checkpoint is signed anew, and the old private key is erased,
//! all in one transaction that holds every log: nothing is signed in between.

use secrecy::ExposeSecret as _;
use sqlx::AnyConnection;
use zeroize::Zeroizing;

use super::{Desk, Step, StepError};
use crate::audit::grow::Growing;
use crate::audit::{Actor, AuditError, LogId, LogKey, NewRow, append};
use crate::model::Micros;
use crate::proof::actions;
use crate::proof::log_keys::{Endorsement, trusted};
use crate::proof::note::NoteKey;
use crate::secrets::sealing::{self, Binding, Sealed};
use crate::store::log_keys::{self, LogSigningKey};
use crate::store::{Tx, audit};

/// What a rotation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogKeyRotated {
    /// The key that signs no more.
    pub old: String,
    /// The key that signs from now on.
    pub new: String,
    /// How many logs were signed anew.
    pub logs: usize,
}

/// The place of a key's seed. The public half is in it: another key's seed does not open here.
fn binding(vkey: &str, number: i64) -> Binding<'_> {
    Binding { context: "log_signing_key", org_id: "", secret_id: vkey, version: number }
}

fn wrong(what: impl std::fmt::Display) -> StepError {
    AuditError::Unreadable { log: "platform".to_owned(), what: format!("its keys: {what}") }.into()
}

impl Desk {
    /// The logs' keys as they are now: another instance may have rotated them.
    ///
    /// # Errors
    /// As [`Desk::load_log_key`].
    pub async fn current_log_key(&self, conn: &mut AnyConnection) -> Step<&LogKey> {
        let key = &self.keys.log;
        let newest = log_keys::newest(conn).await?.map_or(1, |number| number + 1);
        if usize::try_from(newest) != Ok(key.verifiers().len()) || key.signer().is_err() {
            self.load_log_key(conn).await?;
        }
        Ok(key)
    }

    /// Takes up a key that another instance rotated to, so that what reads with the keys in hand
    /// knows it.
    ///
    /// # Errors
    /// As [`Desk::load_log_key`].
    pub(super) async fn follow_log_key(&self) -> Step<()> {
        let mut conn = self.store.read().await?;
        self.current_log_key(&mut conn).await.map(|_| ())
    }

    /// Takes up the keys that the database holds, if the key of the keys file leads to them.
    ///
    /// # Errors
    /// [`AuditError::Unreadable`] where it does not, or the current key does not open;
    /// [`AuditError::NoKey`] where there is none. What was in hand stays then, and nothing is
    /// appended with it: the logs are signed by another.
    pub async fn load_log_key(&self, conn: &mut AnyConnection) -> Step<()> {
        let key = &self.keys.log;
        let mut kept = log_keys::all(conn).await?;
        let Some(current) = kept.pop() else {
            // As long as none was rotated, the key of the file signs.
            return match (key.signer(), key.verifiers().len()) {
                (Ok(_), 1) => Ok(()),
                (Ok(_), _) => Err(wrong("they were removed")),
                (Err(e), _) => Err(e.into()),
            };
        };
        let endorsements: Vec<String> =
            kept.iter().chain([&current]).filter_map(|k| k.endorsement.clone()).collect();
        let verifiers =
            trusted(std::slice::from_ref(key.anchor()), &endorsements).map_err(wrong)?;
        let named = kept.iter().chain([&current]).map(|k| k.vkey.clone());
        if !named.eq(verifiers.iter().rev().map(|v| v.vkey())) {
            return Err(wrong("they are not those that were endorsed"));
        }
        let (Some(kek_id), Some(bytes), None) =
            (current.kek_id, current.sealed, current.retired_at)
        else {
            return Err(wrong("the newest of them was retired"));
        };
        let place = binding(&current.vkey, current.number);
        let seed = sealing::open(&self.keys.ring, &place, &Sealed { kek_id, bytes })
            .map_err(|e| StepError::crypto("opening the key of the logs")(&e))?;
        let seed: &[u8; 32] =
            seed.expose_secret().try_into().map_err(|_| wrong("a seed is not of 32 bytes"))?;
        let signer = NoteKey::new(&key.origin, seed).map_err(wrong)?;
        if signer.vkey() != current.vkey {
            return Err(wrong("the newest is another than it is said to be"));
        }
        key.replace(signer, verifiers, endorsements);
        Ok(())
    }

    /// Makes a new key for the logs, and retires the one that signs. Afterwards the caller loads
    /// it ([`Desk::load_log_key`]); other instances do so by themselves.
    ///
    /// # Errors
    /// Where a log's head is not what was signed: it would be signed anew.
    pub async fn rotate_log_key(&self, tx: &mut Tx, by: &Actor) -> Step<LogKeyRotated> {
        audit::lock(tx, "platform").await?;
        self.load_log_key(tx.conn()).await?;
        let origin = self.keys.log.origin.clone();
        let old = self.keys.log.signer()?;
        let now = self.now();
        let mut seed = Zeroizing::new([0; 32]);
        self.rng.fill(seed.as_mut());
        let new = NoteKey::new(&origin, &seed).map_err(wrong)?;
        let endorsement = Endorsement::sign(&old, &new, now).map_err(wrong)?;
        let row = NewRow::new(actions::PLATFORM_LOG_KEY_ROTATED, by)
            .with("old_key", old.vkey())
            .with("new_key", new.vkey())
            .with("endorsement", endorsement.clone());
        append(tx, &self.keys.log, self.rng.as_ref(), &LogId::Platform, row, now).await?;
        let rotated = LogKeyRotated {
            old: old.vkey(),
            new: new.vkey(),
            logs: self.sign_anew(tx, &NoteKey::new(&origin, &seed).map_err(wrong)?, now).await?,
        };
        self.keep_log_key(tx, &rotated, &seed, endorsement, now).await?;
        Ok(rotated)
    }

    /// Signs the newest checkpoint of every log with the new key. The old key's of the same size
    /// is kept: so each says that the other is of the same log.
    async fn sign_anew(&self, tx: &mut Tx, new: &NoteKey, now: Micros) -> Step<usize> {
        // In this order: the platform's is held already, and steps take it before an org's.
        let heads = audit::heads(tx.conn()).await?;
        for head in &heads {
            let head = audit::lock(tx, &head.id).await?;
            // A log that has not grown since it was signed anew has one of this size.
            let kept = audit::kept_from(tx.conn(), &head.id, head.size).await?;
            if head.size > 0 && kept.is_none() {
                audit::keep_checkpoint(tx, &head.id, head.size, &head.checkpoint, now).await?;
            }
            let signed = Growing::open(&self.keys.log, head)?.signed_by(new)?;
            audit::save_head(tx, &signed).await?;
        }
        Ok(heads.len())
    }

    async fn keep_log_key(
        &self,
        tx: &mut Tx,
        rotated: &LogKeyRotated,
        seed: &[u8; 32],
        endorsement: String,
        now: Micros,
    ) -> Step<()> {
        let last = match log_keys::newest(tx.conn()).await? {
            Some(last) => {
                log_keys::retire(tx, last, now).await?;
                last
            }
            // The key of the file: it has signed since the log began.
            None => {
                let began = audit::range(tx.conn(), "platform", 0, 1).await?;
                let first = LogSigningKey {
                    number: 0,
                    vkey: rotated.old.clone(),
                    kek_id: None,
                    sealed: None,
                    endorsement: None,
                    created_at: began.first().map_or(now, |row| row.at),
                    retired_at: Some(now),
                };
                log_keys::insert(tx, &first).await?;
                0
            }
        };
        let number = last + 1;
        let place = binding(&rotated.new, number);
        let sealed = sealing::seal(&mut self.rng.generator(), &self.keys.ring, &place, seed)
            .map_err(|e| StepError::crypto("sealing the key of the logs")(&e))?;
        let key = LogSigningKey {
            number,
            vkey: rotated.new.clone(),
            kek_id: Some(sealed.kek_id),
            sealed: Some(sealed.bytes),
            endorsement: Some(endorsement),
            created_at: now,
            retired_at: None,
        };
        Ok(log_keys::insert(tx, &key).await?)
    }
}
