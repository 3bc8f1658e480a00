//! What is on record of an org: written into its log whenever it changes, and read from there,
//! proven, whenever something is decided on it. The tables are a copy that is held against it.

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sqlx::AnyConnection;

use super::{Desk, Step, StepError};
use crate::audit::append::lock_both;
use crate::audit::nodes::Nodes;
use crate::audit::verify::Fault;
use crate::audit::{Actor, AuditError, LogId, NewRow};
use crate::auth::credential::hex;
use crate::delivery::openpgp;
use crate::model::{Consent, Standing};
use crate::policy::eligibility::RecordFacts;
use crate::proof::actions;
use crate::proof::merkle;
use crate::proof::org_record::{
    Field, OrgRecord, Part, RECORD, RecordedConsent, RecordedKeepers, RecordedKey, RecordedOwner,
};
use crate::proof::row::AuditRow;
use crate::store::audit::Entry;
use crate::store::orgs::{self, Member, Org};
use crate::store::{Tx, audit, verification};

/// The newest record in an org's log, proven under the log's signed root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The row that says it.
    pub seq: u64,
    /// What it says.
    pub record: OrgRecord,
}

/// Why an earlier version's data is recorded now.
const CARRIED_OVER: &str = "carried over";

/// How many orgs are looked at in one go.
const BATCH: i64 = 200;

impl Desk {
    /// The row that tells of a change, with what is on record of the org from now on: the proven
    /// record before, and of the tables only what the step has `changed`. Where none was proven, the
    /// row holds none: the log goes on proving nothing, and so the checks fail.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub(crate) async fn with_record(
        &self,
        conn: &mut AnyConnection,
        org_id: &str,
        changed: &[Field],
        row: NewRow,
    ) -> Step<NewRow> {
        let Ok(before) = self.org_record(conn, org_id).await? else { return Ok(row) };
        let org = orgs::by_id(conn, org_id).await?.ok_or(StepError::NotFound)?;
        let members = orgs::members(conn, org_id).await?;
        let record = before.record.with(changed, &record_of(&org, &members));
        Ok(row.with(RECORD, written(&record)?))
    }

    /// Refuses a step that rests on what the tables say of an org, where its log does not prove it.
    ///
    /// # Errors
    /// [`StepError::NotPossible`] for such an org.
    pub(crate) async fn require_record(&self, conn: &mut AnyConnection, org_id: &str) -> Step<()> {
        let org = orgs::by_id(conn, org_id).await?.ok_or(StepError::NotFound)?;
        let members = orgs::members(conn, org_id).await?;
        let facts = self.record_facts(conn, &org, &members).await?;
        match fault_of(org_id, &facts) {
            None => Ok(()),
            Some(fault) => {
                tracing::error!(%fault, "a step is refused");
                Err(StepError::NotPossible(
                    "What is on file of this org is not what its log says. Nothing is done until that is explained: keep the database as it is, and call security.".to_owned(),
                ))
            }
        }
    }

    /// Writes a row of what is on record of an org into its log, as the tables say it: for an org
    /// that has none, and for an import, which has asked [`Desk::require_record`] before. The caller
    /// holds its locks.
    ///
    /// # Errors
    /// Where it cannot be written; the step must then fail.
    pub(crate) async fn record_org(
        &self,
        tx: &mut Tx,
        org_id: &str,
        actor: &Actor,
        cause: &str,
    ) -> Step<()> {
        let org = orgs::by_id(tx.conn(), org_id).await?.ok_or(StepError::NotFound)?;
        let members = orgs::members(tx.conn(), org_id).await?;
        let row = NewRow::new(actions::ORG_RECORDED, actor)
            .org(org_id)
            .with("cause", cause)
            .with(RECORD, written(&record_of(&org, &members))?);
        self.log(tx, &LogId::Org(org_id.to_owned()), row).await?;
        Ok(())
    }

    /// Records each org whose log was begun by an earlier version, which kept no record. A log that
    /// has had one and lacks its place now was changed: nothing is written into it.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn carry_records_over(&self) -> Step<usize> {
        let (mut done, mut after) = (0, String::new());
        loop {
            let ids = {
                let mut conn = self.store.read().await?;
                audit::orgs_without_record(&mut conn, &after, BATCH).await?
            };
            let Some(last) = ids.last() else { return Ok(done) };
            after.clone_from(last);
            for id in &ids {
                let mut tx = self.begin().await?;
                let step = self.carry_record_over(&mut tx, id).await;
                match self.settle(tx, step).await {
                    Ok(written) => done += usize::from(written),
                    // Its log does not hold: it is shown, and keeps no other org waiting.
                    Err(StepError::Audit(e)) => {
                        tracing::error!(error = %e, org = %id, "recording what is known of an org");
                    }
                    Err(e) => return Err(e),
                }
            }
        }
    }

    async fn carry_record_over(&self, tx: &mut Tx, org_id: &str) -> Step<bool> {
        let (_, head) = lock_both(tx, org_id).await?;
        orgs::lock(tx, org_id).await?;
        if head.record_note.is_some() {
            return Ok(false);
        }
        if audit::has_action(tx.conn(), org_id, actions::ORG_RECORDED).await? {
            tracing::error!(org = %org_id, "the place of the org's record was removed from its log");
            return Ok(false);
        }
        self.record_org(tx, org_id, &Actor::system(), CARRIED_OVER).await?;
        Ok(true)
    }

    /// The newest record in an org's log; as text why there is none that is proven.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn org_record(
        &self,
        conn: &mut AnyConnection,
        org_id: &str,
    ) -> Step<Result<Recorded, String>> {
        let log = LogId::Org(org_id.to_owned()).as_string();
        let Some(head) = audit::head(conn, &log).await? else {
            return Ok(Err("the org has no log".to_owned()));
        };
        let key = self.current_log_key(conn).await?;
        let opened = key.open_head(&head).and_then(|root| Ok((root, key.open_record(&head)?)));
        let (checkpoint, place) = match opened {
            Ok((checkpoint, Some(place))) => (checkpoint, place),
            Ok((_, None)) => return Ok(Err("its log has no record of the org".to_owned())),
            Err(e @ (AuditError::Unreadable { .. } | AuditError::OtherKey { .. })) => {
                return Ok(Err(e.to_string()));
            }
            Err(e) => return Err(e.into()),
        };
        let at = i64::try_from(place.seq).unwrap_or(i64::MAX);
        let entry = audit::range(conn, &log, at, 1).await?.pop().filter(|e| e.seq == at);
        let Some(entry) = entry else {
            return Ok(Err(format!("row {at} of its log is missing")));
        };
        let nodes = Nodes::load(conn, &head, &[place.seq]).await?;
        let leaf = merkle::leaf_hash(entry.body.as_bytes());
        let proven = nodes.inclusion(place.seq, checkpoint.size).map_err(|e| e.to_string());
        let proven = proven.and_then(|path| {
            merkle::verify_inclusion(&leaf, place.seq, checkpoint.size, &path, &checkpoint.root)
                .map_err(|e| e.to_string())
        });
        if let Err(why) = proven {
            return Ok(Err(format!("row {at} of its log is not proven: {why}")));
        }
        let read = AuditRow::parse(&entry.body)
            .ok()
            .filter(|row| row.org_id.as_deref() == Some(org_id))
            .and_then(|row| OrgRecord::read(&row.details).ok().flatten());
        Ok(read
            .map(|record| Recorded { seq: place.seq, record })
            .ok_or_else(|| format!("row {at} of its log holds no record")))
    }

    /// A row of an org's log, where it is proven under the log's signed root.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub(super) async fn proven_row(
        &self,
        conn: &mut AnyConnection,
        entry: &Entry,
    ) -> Step<Option<AuditRow>> {
        let Some(head) = audit::head(conn, &entry.log_id).await? else { return Ok(None) };
        let Ok(checkpoint) = self.current_log_key(conn).await?.open_head(&head) else {
            return Ok(None);
        };
        let Ok(seq) = u64::try_from(entry.seq) else { return Ok(None) };
        let nodes = Nodes::load(conn, &head, &[seq]).await?;
        let leaf = merkle::leaf_hash(entry.body.as_bytes());
        let Ok(path) = nodes.inclusion(seq, checkpoint.size) else { return Ok(None) };
        let holds = merkle::verify_inclusion(&leaf, seq, checkpoint.size, &path, &checkpoint.root);
        let row = AuditRow::parse(&entry.body).ok();
        Ok(row.filter(|row| holds.is_ok() && row.seq == seq && row.log == entry.log_id))
    }

    /// What a decision about an org rests on: whether its log proves what the tables say.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub(crate) async fn record_facts(
        &self,
        conn: &mut AnyConnection,
        org: &Org,
        members: &[Member],
    ) -> Step<RecordFacts> {
        Ok(match self.org_record(conn, &org.id).await? {
            Err(why) => RecordFacts::Unproven(why),
            Ok(recorded) => {
                let parts = recorded.record.differences(&record_of(org, members));
                match parts.is_empty() {
                    true => RecordFacts::Proven { row: recorded.seq },
                    false => RecordFacts::Differs { row: recorded.seq, parts },
                }
            }
        })
    }

    /// Raises the alarm where a decision found that an org's tables are not what its log says.
    ///
    /// # Errors
    /// Where it cannot be written; the step must then fail.
    pub(crate) async fn alarm_of_record(
        &self,
        tx: &mut Tx,
        staff_id: &str,
        org_id: &str,
        facts: &RecordFacts,
    ) -> Step<()> {
        if let Some(fault) = fault_of(org_id, facts) {
            let id = self.new_id();
            let row = fault.row.and_then(|row| i64::try_from(row).ok());
            let fault = (fault.log.clone(), row, fault.to_string());
            verification::note_failure(tx, &id, staff_id, &fault, self.now()).await?;
        }
        Ok(())
    }

    /// The orgs whose tables are not what their logs say.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub(super) async fn verify_records(&self) -> Step<Vec<Fault>> {
        let mut conn = self.store.read().await?;
        let mut faults = Vec::new();
        for id in audit::orgs_named(&mut conn).await? {
            let Some(org) = orgs::by_id(&mut conn, &id).await? else { continue };
            let members = orgs::members(&mut conn, &id).await?;
            let mut facts = self.record_facts(&mut conn, &org, &members).await;
            if let Ok(RecordFacts::Differs { .. }) = &facts {
                // A step may have been under way between the two: only what stays is a fault.
                let Some(org) = orgs::by_id(&mut conn, &id).await? else { continue };
                let members = orgs::members(&mut conn, &id).await?;
                facts = self.record_facts(&mut conn, &org, &members).await;
            }
            let facts = match facts {
                Err(e) if e.is_unreadable() => RecordFacts::Unproven(e.to_string()),
                facts => facts?,
            };
            faults.extend(fault_of(&id, &facts));
        }
        Ok(faults)
    }
}

fn written(record: &OrgRecord) -> Step<Value> {
    serde_json::to_value(record).map_err(|e| StepError::crypto("writing what is on record")(&e))
}

/// What is wrong, as a fault of the org's log.
fn fault_of(org_id: &str, facts: &RecordFacts) -> Option<Fault> {
    let log = LogId::Org(org_id.to_owned()).as_string();
    match facts {
        RecordFacts::Proven { .. } | RecordFacts::NotAsked => None,
        RecordFacts::Differs { row, parts } => Some(Fault {
            log,
            row: Some(*row),
            what: format!("the org's tables are not what this row says: {}", listed(parts)),
        }),
        RecordFacts::Unproven(why) => Some(Fault {
            log,
            row: None,
            what: format!("it does not prove what is on record of the org: {why}"),
        }),
    }
}

fn listed(parts: &[Part]) -> String {
    parts.iter().map(|part| part.label()).collect::<Vec<_>>().join(", ")
}

/// What the tables say, in the form of a record.
pub(super) fn record_of(org: &Org, members: &[Member]) -> OrgRecord {
    let (scope, ticket) = match org.consent() {
        Consent::Off => ("off", None),
        Consent::ForTicket(ticket) => ("ticket", Some(ticket)),
        Consent::UntilWithdrawn => ("until_withdrawn", None),
    };
    let keepers = || members.iter().filter(|m| m.role.may_rotate());
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let mut lines: Vec<String> =
        members.iter().map(|m| format!("{}\n{}\n{}\n", m.id, m.role, m.standing)).collect();
    lines.sort_unstable();
    OrgRecord {
        consent: RecordedConsent {
            scope: scope.to_owned(),
            ticket,
            since: org.consent_changed_at,
            confirmed: org.consent_confirmed_at,
            asked: org.consent_reminded_at,
        },
        owner: org
            .owner_member_id
            .clone()
            .map(|member_id| RecordedOwner { member_id, since: org.owner_since }),
        owner_unreachable_at: org.owner_unreachable_at,
        address: org
            .owner_address
            .as_deref()
            .filter(|address| !address.is_empty())
            .map(|address| sha256(&format!("{}\n{address}", org.id))),
        channel: org.channel.clone(),
        pgp_key: org.pgp_key.as_deref().map(|key| RecordedKey {
            fingerprint: openpgp::fingerprint_of(key).unwrap_or_default(),
            sha256: sha256(key),
            since: org.pgp_key_since,
        }),
        shared_vault_id: org.shared_vault_id.clone(),
        keepers: RecordedKeepers {
            all: count(keepers().count()),
            active: count(keepers().filter(|m| m.standing == Standing::Active).count()),
            sha256: sha256(&lines.concat()),
        },
    }
}

fn sha256(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}
