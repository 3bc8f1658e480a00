//! The story that a new demo begins with: staff, customers, and sixteen tickets, one for each way
//! that the procedure can go.

mod gateways;
mod history;
mod orgs;
mod people;
mod planted;
mod secrets;
mod tickets;

use std::path::Path;

use super::story::SharedVault;
use super::{DemoError, Story};
use crate::audit::Actor;
use crate::desk::Desk;
use crate::store::{Tx, staff};

/// Seeds the demo, once: where there are accounts already, the story is read back from `folder`,
/// and only the webhooks are told where the customer's side is now.
///
/// # Errors
/// [`DemoError::Lost`] where the database was seeded and its `demo.json` is gone; otherwise where
/// the database or the folder cannot be written.
pub async fn seed(desk: &Desk, folder: &Path, customer_side: &str) -> Result<Story, DemoError> {
    let mut tx = desk.begin().await?;
    let story = if staff::all(tx.conn()).await?.is_empty() {
        let story = tell(desk, &mut tx, folder, customer_side).await?;
        // Before the commit: without this file nobody could sign in to what is committed.
        story.save(folder)?;
        story
    } else {
        let story = Story::load(folder)?.ok_or(DemoError::Lost)?;
        secrets::readdress(&mut tx, &story, customer_side).await?;
        story
    };
    tx.commit().await?;
    Ok(story)
}

/// The vaults that customers share with the platform.
pub(super) fn shared_vaults() -> Vec<SharedVault> {
    let vaults = orgs::ORGS.iter().filter_map(|spec| match spec.way {
        orgs::Way::OnePassword(id) => {
            Some(SharedVault { org: spec.slug.to_owned(), id: id.to_owned() })
        }
        orgs::Way::Pgp { .. } => None,
    });
    vaults.collect()
}

async fn tell(
    desk: &Desk,
    tx: &mut Tx,
    folder: &Path,
    customer_side: &str,
) -> Result<Story, DemoError> {
    let now = desk.now();
    let mut story = Story { customer_side: customer_side.to_owned(), ..Story::default() };
    let (sign_ins, accounts) = people::plant(desk, tx).await?;
    story.staff = sign_ins;
    let mut customers = Vec::with_capacity(orgs::ORGS.len());
    for spec in &orgs::ORGS {
        let org = planted::plant(desk, tx, spec, &mut story, now).await?;
        secrets::plant(desk, tx, &org, customer_side, &mut story, now).await?;
        customers.push(org);
    }
    history::plant(desk, tx, &customers, &accounts, now).await?;
    let by = Actor { id: "demo".to_owned(), name: "keyturn demo".to_owned(), ..Actor::system() };
    for account in &accounts {
        desk.note_account(tx, account, &by).await?;
    }
    for customer in &customers {
        desk.record_org(tx, &customer.id, &by, "demo").await?;
    }
    gateways::plant(desk, tx, &customers, folder, &mut story, now).await?;
    tickets::plant(desk, tx.conn(), &customers, now).await?;
    Ok(story)
}

#[cfg(test)]
mod tests;
