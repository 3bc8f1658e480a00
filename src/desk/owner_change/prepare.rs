//! The Owner's key is checked before a step begins: its signatures take long, and whoever holds a
//! step meanwhile holds up everybody. The step finds what was found out.

use crate::delivery::openpgp;
use crate::desk::{Desk, Step};
use crate::store::{orgs, secrets, tickets};

impl Desk {
    /// For a step about a ticket.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn prepare_key_of_ticket(&self, number: &str) -> Step<()> {
        let mut conn = self.store.read().await?;
        let ticket = tickets::by_id(&mut conn, number).await?;
        let org = match ticket.filter(|ticket| !ticket.org_unknown()) {
            Some(ticket) => orgs::by_id(&mut conn, &ticket.org_id).await?,
            None => None,
        };
        drop(conn);
        prepare(org.and_then(|org| org.pgp_key)).await;
        Ok(())
    }

    /// For a step about a secret.
    pub(in crate::desk) async fn prepare_key_for_secret(&self, secret_id: &str) -> Step<()> {
        let mut conn = self.store.read().await?;
        let org = match secrets::by_id(&mut conn, secret_id).await? {
            Some(secret) => orgs::by_id(&mut conn, &secret.org_id).await?,
            None => None,
        };
        drop(conn);
        prepare(org.and_then(|org| org.pgp_key)).await;
        Ok(())
    }

    /// For another key, or another copy of the one on file, of this org.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn prepare_key_change(&self, org_id: &str, key: &str) -> Step<()> {
        let mut conn = self.store.read().await?;
        let org = orgs::by_id(&mut conn, org_id).await?;
        drop(conn);
        prepare_both(org.and_then(|org| org.pgp_key), key).await;
        Ok(())
    }

    /// For an org that is imported with this key.
    pub(in crate::desk) async fn prepare_key_import(&self, slug: &str, key: &str) -> Step<()> {
        let mut conn = self.store.read().await?;
        let org = orgs::by_slug(&mut conn, slug).await?;
        drop(conn);
        prepare_both(org.and_then(|org| org.pgp_key), key).await;
        Ok(())
    }
}

async fn prepare(key: Option<String>) {
    if let Some(key) = key {
        openpgp::prepare(&key).await;
    }
}

async fn prepare_both(on_file: Option<String>, key: &str) {
    let key = key.trim();
    openpgp::prepare(key).await;
    if let Some(on_file) = on_file {
        openpgp::prepare_renewal(&on_file, key).await;
    }
}
