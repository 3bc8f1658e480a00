//! Orgs that are brought in from elsewhere, and credentials for their members: from the command
//! line only, with rows in both logs. The same document again changes nothing.

mod document;
mod secrets;

pub use document::Document;
use document::{OrgEntry, RunbookEntry};

use secrecy::SecretString;
use serde_json::Value;

use super::owner_change::{self, NewChannel, NewOwner};
use super::ticket_copy::member_called;
use super::{Desk, Step, StepError};
use crate::audit::{Actor, LogId, NewRow, create_log};
use crate::auth::credential;
use crate::delivery::openpgp::{self, KeyProblem, Renewal};
use crate::model::{Channel, Micros, OwnerChangeKind, OwnerChangeState, Standing, time};
use crate::policy::owner_change::{COOL_OFF, STAYS_AWAY_FOR};
use crate::proof::actions;
use crate::store::orgs::{self, Member, NewOrg, Org};
use crate::store::owner_changes::{self, OwnerChange};
use crate::store::{Tx, audit};

/// What an import did to one org.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The org's short name.
    pub slug: String,
    /// What was changed, in words without private data.
    pub changes: Vec<String>,
    /// How many members are in the database and not in the document; they are left as they are.
    pub members_left: usize,
    /// Why the Owner's key on file, by its fingerprint, cannot be encrypted to, where it cannot.
    pub key_problem: Option<(String, KeyProblem)>,
}

/// An org that was not brought in, and why. Nothing of it was.
#[derive(Debug)]
pub struct NotImported {
    /// The org's short name.
    pub slug: String,
    /// The fingerprint of the key in the document, where it has one that can be read.
    pub fingerprint: Option<String>,
    /// Why not.
    pub why: StepError,
}

/// What became of each org of a document, in its order.
pub type Outcome = Result<Imported, Box<NotImported>>;

/// One import in hand.
struct Import<'a> {
    org: Org,
    by: &'a Actor,
    changes: Vec<String>,
    key_problem: Option<(String, KeyProblem)>,
}

impl Desk {
    /// Brings in a document, each org whole or not at all: one that cannot be brought in keeps none
    /// of the others out. Consent is never changed. Another key, address, Owner of record or channel
    /// than the one on file is asked for, and waits ([`super::owner_change`]); the same key is
    /// renewed. With `check` nothing is changed, and the answer is what
    /// would be.
    ///
    /// # Errors
    /// Where the database does not answer. What cannot be brought in is in the answer.
    pub async fn import_orgs(
        &self,
        by: &Actor,
        document: &Document,
        check: bool,
    ) -> Step<Vec<Outcome>> {
        let mut all = Vec::with_capacity(document.orgs.len());
        for entry in &document.orgs {
            let key = match &entry.runbook {
                Some(RunbookEntry::Pgp { pgp_key }) => Some(pgp_key.as_str()),
                _ => None,
            };
            if let Some(key) = key {
                self.prepare_key_import(&entry.slug, key).await?;
                openpgp::prepare(key).await;
            }
            let step = match self.check_accessors(entry).await {
                Ok(()) => {
                    let mut tx = self.begin().await?;
                    let step = self.import_org(&mut tx, by, entry).await;
                    if check {
                        tx.rollback().await?;
                        step
                    } else {
                        self.settle(tx, step).await
                    }
                }
                Err(e) => Err(e),
            };
            all.push(match step {
                Ok(imported) => Ok(imported),
                Err(
                    why @ (StepError::Invalid(_)
                    | StepError::Conflict(_)
                    | StepError::BadKey(_)
                    | StepError::NotPossible(_)
                    | StepError::Vault(_)
                    | StepError::NotFound),
                ) => Err(Box::new(NotImported {
                    slug: entry.slug.clone(),
                    fingerprint: key.and_then(openpgp::fingerprint_of),
                    why,
                })),
                Err(broken) => return Err(broken),
            });
        }
        Ok(all)
    }

    async fn import_org(&self, tx: &mut Tx, by: &Actor, entry: &OrgEntry) -> Step<Imported> {
        entry.check()?;
        audit::lock(tx, "platform").await?;
        let now = self.now();
        let new = orgs::by_slug(tx.conn(), &entry.slug).await?.is_none();
        if new {
            let id = self.new_id();
            let org = NewOrg {
                id: &id,
                slug: &entry.slug,
                name: entry.name.trim(),
                consent: false,
                owner_address: "",
                channel: None,
                pgp_key: None,
                shared_vault_id: None,
                created_at: now,
            };
            orgs::insert(tx.conn(), &org).await?;
            // The platform's log is held: no rotation of the key passes by.
            let key = self.current_log_key(tx.conn()).await?;
            create_log(tx.conn(), key, &LogId::Org(id), now).await?;
        }
        let org = orgs::by_slug(tx.conn(), &entry.slug).await?.ok_or(StepError::NotFound)?;
        audit::lock(tx, &LogId::Org(org.id.clone()).as_string()).await?;
        orgs::lock(tx, &org.id).await?;
        if !new {
            self.require_record(tx.conn(), &org.id).await?;
        }
        let mut import = Import { org, by, changes: Vec::new(), key_problem: None };
        if new {
            self.changed(tx, &mut import, "org", "added", None).await?;
        } else if import.org.name != entry.name.trim() {
            orgs::set_name(tx, &import.org.id, entry.name.trim()).await?;
            self.changed(tx, &mut import, "org", "renamed", None).await?;
        }
        let members_left = self.import_members(tx, &mut import, entry, new).await?;
        self.import_owner(tx, &mut import, entry, new).await?;
        self.import_runbook(tx, &mut import, entry).await?;
        self.import_secrets(tx, &mut import, entry).await?;
        if !import.changes.is_empty() {
            let (id, by) = (import.org.id.clone(), import.by);
            self.record_org(tx, &id, by, "import").await?;
        }
        Ok(Imported {
            slug: entry.slug.clone(),
            changes: import.changes,
            members_left,
            key_problem: import.key_problem,
        })
    }

    /// Writes one change into both logs.
    async fn changed(
        &self,
        tx: &mut Tx,
        import: &mut Import<'_>,
        what: &str,
        change: &str,
        id: Option<&str>,
    ) -> Step<()> {
        let org_id = import.org.id.clone();
        let row = |action: &str| {
            let row = NewRow::new(action, import.by)
                .org(&org_id)
                .with("what", what)
                .with("change", change);
            match id {
                Some(id) => row.with("id", Value::from(id)),
                None => row,
            }
        };
        let (platform, org) = (row(actions::PLATFORM_ORG_IMPORTED), row(actions::ORG_IMPORTED));
        self.log_both(tx, &org_id, platform, org).await?;
        let id = id.map(|id| format!(" {id}")).unwrap_or_default();
        import.changes.push(format!("{what}{id}: {change}"));
        Ok(())
    }

    async fn import_members(
        &self,
        tx: &mut Tx,
        import: &mut Import<'_>,
        entry: &OrgEntry,
        new_org: bool,
    ) -> Step<usize> {
        let now = self.now();
        let there = orgs::members(tx.conn(), &import.org.id).await?;
        let since = since_of(entry)?.filter(|_| new_org).unwrap_or(now);
        for m in &entry.members {
            let Some(before) = member_called(&there, &m.email) else {
                let member = Member {
                    id: self.new_id(),
                    org_id: import.org.id.clone(),
                    email: m.email.trim().to_lowercase(),
                    name: m.name.trim().to_owned(),
                    role: m.role,
                    standing: m.standing,
                    role_since: since,
                };
                orgs::insert_member(tx.conn(), &member).await?;
                let change = format!("added as {}, {}", m.role, m.standing);
                self.changed(tx, import, "member", &change, Some(&member.id)).await?;
                continue;
            };
            let mut change = Vec::new();
            if before.name != m.name.trim() {
                change.push("name".to_owned());
            }
            if before.role != m.role {
                change.push(format!("role {}, was {}", m.role, before.role));
            }
            if before.standing != m.standing {
                change.push(format!("standing {}, was {}", m.standing, before.standing));
            }
            if !change.is_empty() {
                let role_since = if before.role == m.role { before.role_since } else { now };
                let after = Member {
                    name: m.name.trim().to_owned(),
                    role: m.role,
                    standing: m.standing,
                    role_since,
                    ..before.clone()
                };
                orgs::update_member(tx, &after).await?;
                self.changed(tx, import, "member", &change.join(", "), Some(&before.id)).await?;
            }
        }
        let named = |m: &&Member| {
            entry.members.iter().all(|e| !e.email.trim().eq_ignore_ascii_case(&m.email))
        };
        Ok(there.iter().filter(named).count())
    }

    async fn import_owner(
        &self,
        tx: &mut Tx,
        import: &mut Import<'_>,
        entry: &OrgEntry,
        new_org: bool,
    ) -> Step<()> {
        let members = orgs::members(tx.conn(), &import.org.id).await?;
        let owner = member_called(&members, &entry.owner.email)
            .ok_or(StepError::Invalid("the Owner of record is one of the org's members"))?;
        let address = entry.owner.address.as_deref().unwrap_or(&owner.email).trim();
        let named = import.org.owner_member_id.is_some();
        let addressed = import.org.owner_address.as_deref().is_some_and(|a| !a.is_empty());
        if named && addressed && import.org.owner_member_id.as_deref() != Some(&owner.id) {
            let new = NewOwner { member_id: owner.id.clone(), address: address.to_owned() };
            let change = owner_change::owner_change(&new, &owner.name)?;
            return self.ask_by_import(tx, import, change).await;
        }
        if import.org.owner_member_id.as_deref() != Some(&owner.id) {
            // Whoever is named later was not Owner before: no date in a document says otherwise.
            let now = self.now();
            let since = since_of(entry)?.filter(|_| new_org).unwrap_or(now);
            if since > now {
                return Err(StepError::Invalid("nobody is Owner since a time that is yet to come"));
            }
            orgs::set_owner(tx.conn(), &import.org.id, &owner.id, since).await?;
            orgs::void_consent_links(tx, &import.org.id, now).await?;
            let change = format!("named, since {}", time::seconds(since));
            self.changed(tx, import, "owner", &change, Some(&owner.id)).await?;
        }
        if import.org.owner_address.as_deref().unwrap_or_default() != address {
            if addressed {
                let address = address.to_owned();
                let change = (OwnerChangeKind::Address, address.clone(), address);
                return self.ask_by_import(tx, import, change).await;
            }
            orgs::set_owner_address(tx, &import.org.id, address).await?;
            self.changed(tx, import, "owner", "address on file changed", None).await?;
        }
        Ok(())
    }

    async fn import_runbook(
        &self,
        tx: &mut Tx,
        import: &mut Import<'_>,
        entry: &OrgEntry,
    ) -> Step<()> {
        let Some(runbook) = &entry.runbook else { return Ok(()) };
        let now = self.now();
        let id = import.org.id.clone();
        match runbook {
            RunbookEntry::Pgp { pgp_key } => {
                let on_file = import.org.pgp_key.clone();
                match on_file.as_deref().map(|key| openpgp::renewal(key, pgp_key)) {
                    None => drop(openpgp::inspect(pgp_key, now)?),
                    Some(Err(unreadable)) => return Err(unreadable.into()),
                    Some(Ok(Renewal::Another)) => {
                        let report = openpgp::inspect(pgp_key, now)?;
                        let change = match import.org.channel_is(Channel::Pgp) {
                            true => (OwnerChangeKind::PgpKey, pgp_key.clone(), report.fingerprint),
                            false => owner_change::channel_change(&NewChannel::Pgp {
                                pgp_key: pgp_key.clone(),
                            })?,
                        };
                        return self.ask_by_import(tx, import, change).await;
                    }
                    Some(Ok(Renewal::NothingNew)) => {}
                    Some(Ok(Renewal::Renewed(key))) => {
                        self.renew_key(tx, &import.org, &key, import.by).await?;
                        import.changes.push("OpenPGP key on file: renewed".to_owned());
                        import.org.pgp_key = Some(key);
                    }
                }
                if on_file.is_none() || !import.org.channel_is(Channel::Pgp) {
                    let key = import.org.pgp_key.clone().unwrap_or_else(|| pgp_key.clone());
                    let new = NewChannel::Pgp { pgp_key: key.clone() };
                    if import.org.channel.is_some() && !owner_change::has_channel(&import.org, &new)
                    {
                        let change = owner_change::channel_change(&new)?;
                        return self.ask_by_import(tx, import, change).await;
                    }
                    orgs::set_runbook(tx, &id, Channel::Pgp, Some(&key), None, now).await?;
                    let print = openpgp::fingerprint_of(&key).unwrap_or_default();
                    self.changed(tx, import, "runbook entry", &format!("PGP, {print}"), None)
                        .await?;
                    import.org.pgp_key = Some(key);
                }
                import.key_problem = import.org.pgp_key.as_deref().and_then(|key| {
                    let problem = openpgp::inspect(key, now).err()?;
                    Some((openpgp::fingerprint_of(key)?, problem))
                });
            }
            RunbookEntry::OnePassword { vault_id } => {
                let good = vault_id.len() == 26
                    && vault_id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
                if !good {
                    return Err(StepError::Invalid(
                        "a 1Password vault's id has 26 lower-case letters and digits",
                    ));
                }
                let same = import.org.channel.as_deref() == Some(Channel::OnePassword.as_str())
                    && import.org.shared_vault_id.as_ref() == Some(vault_id);
                if !same && import.org.channel.is_some() {
                    let new = NewChannel::OnePassword { vault_id: vault_id.clone() };
                    let change = owner_change::channel_change(&new)?;
                    return self.ask_by_import(tx, import, change).await;
                }
                if !same {
                    let channel = Channel::OnePassword;
                    orgs::set_runbook(tx, &id, channel, None, Some(vault_id), now).await?;
                    let change = format!("1Password, vault {vault_id}");
                    self.changed(tx, import, "runbook entry", &change, None).await?;
                }
            }
        }
        Ok(())
    }

    /// Asks for what an import would change of the way to an Owner who is on file already. The same
    /// document again asks for nothing more.
    async fn ask_by_import(
        &self,
        tx: &mut Tx,
        import: &mut Import<'_>,
        change: (OwnerChangeKind, String, String),
    ) -> Step<()> {
        let waiting = owner_changes::waiting_of(tx.conn(), &import.org.id).await?;
        if waiting.iter().any(|c| c.kind == change.0 && c.value == change.1) {
            return Ok(());
        }
        let now = self.now();
        let decided = owner_changes::decided_since(tx.conn(), &import.org.id, now - STAYS_AWAY_FOR);
        let refused = |c: &OwnerChange| {
            c.state == OwnerChangeState::Objected && c.kind == change.0 && c.value == change.1
        };
        if let Some(no) = decided.await?.into_iter().find(refused) {
            return Err(StepError::NotPossible(format!(
                "the Owner said no to this {} on {}: talk to them, and take it out of the document",
                no.kind.label(),
                time::date(no.decided_at.unwrap_or(now)),
            )));
        }
        let earliest = now + COOL_OFF;
        let asked = self.ask_change(tx, &import.org, change, import.by, earliest).await?;
        import.changes.push(format!(
            "{}: asked for; it waits for the Owner’s yes, by mail to where they are on file now, for an admin’s approval in the console, and until {}",
            asked.kind.label(),
            time::seconds(earliest),
        ));
        Ok(())
    }

    /// Gives a member a new credential of the org, shown once: only its hash stays.
    ///
    /// # Errors
    /// [`StepError::NotFound`] where there is no such org or member; [`StepError::Conflict`] for a
    /// member who could not use it.
    pub async fn issue_org_credential(
        &self,
        tx: &mut Tx,
        by: &Actor,
        slug: &str,
        email: &str,
    ) -> Step<SecretString> {
        let org = orgs::by_slug(tx.conn(), slug).await?.ok_or(StepError::NotFound)?;
        crate::audit::append::lock_both(tx, &org.id).await?;
        orgs::lock(tx, &org.id).await?;
        let members = orgs::members(tx.conn(), &org.id).await?;
        let member = member_called(&members, email).ok_or(StepError::NotFound)?;
        if matches!(member.standing, Standing::Departed | Standing::Suspended) {
            return Err(StepError::Conflict("this member could not use a credential"));
        }
        let token = credential::new_org_credential(self.rng.as_ref());
        let id = self.new_id();
        let hash = credential::hash(&token);
        let now = self.now();
        let ends = now + self.settings.credential_life;
        let life = (now, ends);
        orgs::insert_credential(tx.conn(), &id, &org.id, &member.id, &hash, life).await?;
        let row = |action: &str| {
            NewRow::new(action, by)
                .org(&org.id)
                .with("member", member.id.clone())
                .with("credential", id.clone())
                .with("expires_at", ends)
        };
        self.log_both(
            tx,
            &org.id,
            row(actions::PLATFORM_ORG_CREDENTIAL_ISSUED),
            row(actions::ORG_CREDENTIAL_ISSUED),
        )
        .await?;
        Ok(token)
    }
}

fn since_of(entry: &OrgEntry) -> Step<Option<Micros>> {
    entry
        .owner
        .since
        .as_deref()
        .map(|text| {
            time::parse(text).ok_or(StepError::Invalid("owner.since is an instant in RFC 3339"))
        })
        .transpose()
}
