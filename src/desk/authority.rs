//! The deployment's certificate authority: made at the first start, or the operator's own; its
//! key is sealed at rest.

use secrecy::{ExposeSecret, SecretString};

use super::{Desk, Step, StepError};
use crate::audit::{Actor, LogId, NewRow};
use crate::model::{Micros, time};
use crate::proof::actions;
use crate::secrets::certificates::{Authority, Leaf, Reason, Revoked};
use crate::secrets::sealing::{self, Binding, Sealed};
use crate::store::gateways::{self, AuthorityRow, Certificate};
use crate::store::{Tx, flag};

/// How long a revocation list is good for. It is made anew long before.
const LIST_LIFE: Micros = time::DAY;

/// An authority with its id in the store.
#[derive(Debug)]
pub(super) struct Issuing {
    pub(super) id: String,
    pub(super) authority: Authority,
}

impl Issuing {
    /// What is kept of a certificate that was just issued: as version 1, not revoked, not seen.
    pub(super) fn row(
        &self,
        secret_id: &str,
        leaf: &Leaf,
        key_hash: String,
        now: Micros,
    ) -> Certificate {
        Certificate {
            serial: leaf.serial.clone(),
            authority_id: self.id.clone(),
            secret_id: secret_id.to_owned(),
            version: 1,
            key_hash,
            not_before: leaf.validity.not_before,
            not_after: leaf.validity.not_after,
            pem: leaf.pem.clone(),
            bundled: 0,
            issued_at: now,
            revoked_at: None,
            reason: None,
            last_seen_at: None,
        }
    }
}

/// What the gateways' listener shows and whom it lets in, as of now.
#[derive(Debug)]
pub struct ListenerParts {
    /// The listener's own certificate, and the one that issued it, in PEM.
    pub certificate: String,
    /// Its key.
    pub key: SecretString,
    /// The issuing certificates of gateways, in PEM.
    pub issuers: Vec<String>,
    /// A revocation list for each, in DER.
    pub crls: Vec<Vec<u8>>,
}

fn binding(id: &str) -> Binding<'_> {
    Binding { context: "certificate_authority", org_id: "", secret_id: id, version: 0 }
}

impl Desk {
    /// Makes the authority, where there is none yet, as of `since`: the certificates that it
    /// issues cannot begin before it does.
    ///
    /// # Errors
    /// Where it cannot be made or written.
    pub async fn ensure_authority(&self, tx: &mut Tx, since: Micros) -> Step<()> {
        // The log's lock, so that two instances that start at once make one.
        crate::store::audit::lock(tx, "platform").await?;
        if gateways::active_authority(tx.conn()).await?.is_some() {
            return Ok(());
        }
        let authority = Authority::create(&self.keys.log.origin, since, &mut self.rng.generator())
            .map_err(|e| StepError::crypto("making the certificate authority")(&e))?;
        self.keep_authority(tx, &authority, false).await?;
        let row = self.authority_row(actions::PLATFORM_CERTIFICATE_AUTHORITY_MADE, &authority)?;
        self.log(tx, &LogId::Platform, row).await?;
        Ok(())
    }

    /// Puts the operator's own authority in the place of the one that issues. The old one is
    /// trusted until its certificates are gone.
    ///
    /// # Errors
    /// [`StepError::Outside`] with what is wrong with it.
    pub async fn import_authority(
        &self,
        tx: &mut Tx,
        chain: &str,
        key: &SecretString,
    ) -> Step<Micros> {
        crate::store::audit::lock(tx, "platform").await?;
        let authority = Authority::import(chain, key, self.now(), &mut self.rng.generator())
            .map_err(|e| StepError::Outside(e.to_string()))?;
        gateways::retire_authorities(tx).await?;
        self.keep_authority(tx, &authority, true).await?;
        let row =
            self.authority_row(actions::PLATFORM_CERTIFICATE_AUTHORITY_IMPORTED, &authority)?;
        self.log(tx, &LogId::Platform, row).await?;
        Ok(authority.validity().not_after)
    }

    fn authority_row(&self, action: &str, authority: &Authority) -> Step<NewRow> {
        let certificate = authority
            .certificate()
            .ok_or(StepError::Invalid("the authority has no certificate"))?;
        Ok(NewRow::new(action, &Actor::system())
            .with("certificate_sha256", crate::secrets::certificates::key_hash(certificate))
            .with("expires_at", authority.validity().not_after))
    }

    async fn keep_authority(&self, tx: &mut Tx, authority: &Authority, imported: bool) -> Step<()> {
        let id = self.new_id();
        let sealed = sealing::seal(
            &mut self.rng.generator(),
            &self.keys.ring,
            &binding(&id),
            authority.key_pem().expose_secret().as_bytes(),
        )
        .map_err(|e| StepError::crypto("sealing the authority's key")(&e))?;
        let row = AuthorityRow {
            id,
            chain: authority.chain_pem(),
            kek_id: sealed.kek_id,
            sealed: sealed.bytes,
            imported: flag(imported),
            active: 1,
            created_at: self.now(),
        };
        Ok(gateways::insert_authority(tx.conn(), &row).await?)
    }

    fn open_authority(&self, row: AuthorityRow) -> Step<Issuing> {
        let sealed = Sealed { kek_id: row.kek_id, bytes: row.sealed };
        let key = sealing::open(&self.keys.ring, &binding(&row.id), &sealed)
            .map_err(|e| StepError::crypto("opening the authority's key")(&e))?;
        let key = std::str::from_utf8(key.expose_secret())
            .map_err(|e| StepError::crypto("reading the authority's key")(&e))?;
        let authority = Authority::open(&row.chain, &SecretString::from(key))
            .map_err(|e| StepError::crypto("opening the certificate authority")(&e))?;
        Ok(Issuing { id: row.id, authority })
    }

    /// The authority that issues.
    pub(super) async fn issuing(&self, conn: &mut sqlx::AnyConnection) -> Step<Issuing> {
        let row = gateways::active_authority(conn).await?.ok_or(StepError::Conflict(
            "There is no certificate authority yet: start the server once.",
        ))?;
        self.open_authority(row)
    }

    /// The certificates to trust, in PEM: of the authority that issues, and of those before it
    /// that gateways still have certificates of.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn authorities_pem(&self, conn: &mut sqlx::AnyConnection) -> Step<String> {
        let mut rows = gateways::trusted_authorities(conn, self.now()).await?;
        rows.sort_by_key(|row| std::cmp::Reverse(row.active));
        Ok(rows.into_iter().map(|row| row.chain).collect())
    }

    /// What the listener's lists are made from, as a short text: where it is the same, they are.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn lists_digest(&self) -> Step<String> {
        use sha2::{Digest as _, Sha256};
        let now = self.now();
        let mut conn = self.store.read().await?;
        let mut digest = Sha256::new();
        for row in gateways::trusted_authorities(&mut conn, now).await? {
            digest.update(format!("authority {}\n", row.id));
            for c in gateways::revoked(&mut conn, &row.id, now).await? {
                digest.update(format!("{}\n", c.serial));
            }
        }
        Ok(crate::auth::credential::hex(&digest.finalize()))
    }

    /// What the listener needs. Its own certificate comes from the oldest authority that is still
    /// trusted: gateways that were enrolled before a change of authority know only that one.
    ///
    /// # Errors
    /// Where there is no authority, or a key does not open.
    pub async fn listener_parts(&self) -> Step<ListenerParts> {
        let now = self.now();
        let mut conn = self.store.read().await?;
        let mut parts = ListenerParts {
            certificate: String::new(),
            key: SecretString::default(),
            issuers: Vec::new(),
            crls: Vec::new(),
        };
        for row in gateways::trusted_authorities(&mut conn, now).await? {
            let revoked = gateways::revoked(&mut conn, &row.id, now)
                .await?
                .into_iter()
                .map(|c| Revoked {
                    serial: c.serial,
                    at: c.revoked_at.unwrap_or(now),
                    reason: Reason::of(c.reason.as_deref().unwrap_or_default()),
                })
                .collect::<Vec<_>>();
            let chain = row.chain.clone();
            let Issuing { authority, .. } = self.open_authority(row)?;
            let problem = |e| StepError::crypto("the gateways' listener")(&e);
            let list = authority.crl(&revoked, now, now + LIST_LIFE).map_err(problem)?;
            parts.crls.push(list);
            if parts.issuers.is_empty() {
                let names = &self.settings.gateways.names;
                let (leaf, key) = authority
                    .issue_server(names, now, &mut self.rng.generator())
                    .map_err(problem)?;
                parts.certificate = format!("{}{chain}", leaf.pem);
                parts.key = key;
            }
            parts.issuers.push(chain);
        }
        if parts.issuers.is_empty() {
            return Err(StepError::Conflict("There is no certificate authority yet."));
        }
        Ok(parts)
    }
}
