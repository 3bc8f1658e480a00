//! The one way into the logs.

use serde_json::{Map, Value};
use sqlx::AnyConnection;

use super::AuditError;
use crate::clock::{Rng, new_id};
use crate::model::{Micros, SecretType, time};
use crate::proof::checkpoint::Checkpoint;
use crate::proof::merkle::Frontier;
use crate::proof::note::NoteKey;
use crate::proof::row::{ActorType, AuditRow, Outcome};
use crate::store::{self, Tx, audit::Entry, audit::Head};

/// How far apart kept checkpoints are while rows are written.
const KEEP_EVERY: Micros = time::MINUTE;

/// Which log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LogId {
    /// The platform's.
    Platform,
    /// That of the org with this id.
    Org(String),
}

impl LogId {
    /// The id in tables and rows: `platform`, or `org/<org id>`.
    #[must_use]
    pub fn as_string(&self) -> String {
        match self {
            LogId::Platform => "platform".to_owned(),
            LogId::Org(id) => format!("org/{id}"),
        }
    }
}

/// The key that signs checkpoints, and the name under which the logs are known.
#[derive(Debug)]
pub struct LogKey {
    /// The key of the signed notes.
    pub key: NoteKey,
    /// What every log's origin begins with, e.g. `keyturn.example`.
    pub origin: String,
}

impl LogKey {
    /// The origin line of a log's checkpoints.
    #[must_use]
    pub fn origin_of(&self, log: &LogId) -> String {
        format!("{}/{}", self.origin, log.as_string())
    }
}

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// In what capacity.
    pub actor_type: ActorType,
    /// Their id.
    pub id: String,
    /// Their name.
    pub name: String,
    /// The network address they act from, where there is one.
    pub from: Option<String>,
}

impl Actor {
    /// Keyturn itself, doing what time demands.
    #[must_use]
    pub fn system() -> Self {
        Self {
            actor_type: ActorType::System,
            id: "keyturn".to_owned(),
            name: "Keyturn".to_owned(),
            from: None,
        }
    }

    /// The same person, acting for the org under an impersonation.
    #[must_use]
    pub fn impersonating(&self) -> Self {
        Self { actor_type: ActorType::PlatformAdminImpersonating, ..self.clone() }
    }
}

/// A row to be appended.
#[derive(Debug, Clone)]
pub struct NewRow {
    /// What.
    pub action: String,
    /// Who.
    pub actor: Actor,
    /// How it came out.
    pub outcome: Outcome,
    /// Which org it is about.
    pub org_id: Option<String>,
    /// Which impersonation it belongs to.
    pub impersonation_id: Option<String>,
    /// Which ticket.
    pub ticket_ref: Option<String>,
    /// Why: the reason of the impersonation.
    pub reason: Option<String>,
    /// Which type of secret.
    pub secret_type: Option<SecretType>,
    /// Which secret.
    pub secret_id: Option<String>,
    /// What else there is to say. Never a secret value.
    pub details: Map<String, Value>,
}

impl NewRow {
    /// A row that says that `actor` did `action`.
    #[must_use]
    pub fn new(action: impl Into<String>, actor: &Actor) -> Self {
        Self {
            action: action.into(),
            actor: actor.clone(),
            outcome: Outcome::Success,
            org_id: None,
            impersonation_id: None,
            ticket_ref: None,
            reason: None,
            secret_type: None,
            secret_id: None,
            details: Map::new(),
        }
    }

    /// With an outcome other than success.
    #[must_use]
    pub fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// About an org.
    #[must_use]
    pub fn org(mut self, org_id: &str) -> Self {
        self.org_id = Some(org_id.to_owned());
        self
    }

    /// For a ticket.
    #[must_use]
    pub fn ticket(mut self, ticket: &str) -> Self {
        self.ticket_ref = Some(ticket.to_owned());
        self
    }

    /// About a secret.
    #[must_use]
    pub fn secret(mut self, secret_type: SecretType, id: &str) -> Self {
        self.secret_type = Some(secret_type);
        self.secret_id = Some(id.to_owned());
        self
    }

    /// Under an impersonation: its id, org, ticket, reason and target.
    #[must_use]
    pub fn under(mut self, i: &store::impersonations::Impersonation) -> Self {
        self.impersonation_id = Some(i.id.clone());
        self.reason = Some(i.reason.clone());
        self.org(&i.org_id).ticket(&i.ticket_id).secret(i.secret_type, &i.secret_id)
    }

    /// With one more thing to say.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }
}

/// What was appended.
#[derive(Debug, Clone)]
pub struct Appended {
    /// Its place in the log, from 0.
    pub seq: i64,
    /// Its id.
    pub id: String,
    /// The log's signed checkpoint with this row as its newest.
    pub checkpoint: String,
    /// The time of the row.
    pub at: Micros,
}

/// Creates an empty log with a signed checkpoint.
///
/// # Errors
/// Where the database refuses.
pub async fn create_log(
    conn: &mut AnyConnection,
    key: &LogKey,
    log: &LogId,
    now: Micros,
) -> Result<(), AuditError> {
    let frontier = Frontier::new();
    let origin = key.origin_of(log);
    let head = Head {
        id: log.as_string(),
        org_id: match log {
            LogId::Platform => None,
            LogId::Org(id) => Some(id.clone()),
        },
        checkpoint: Checkpoint { origin: origin.clone(), size: 0, root: frontier.root() }
            .sign(&key.key)
            .map_err(|e| AuditError::Unreadable { log: log.as_string(), what: e.to_string() })?,
        origin,
        size: 0,
        frontier: frontier.to_bytes(),
        last_at: now,
    };
    Ok(store::audit::create(conn, &head).await?)
}

/// Appends a row to a log, in the transaction of the change that it tells of: the row, the tree
/// and the signed checkpoint are written together with it, or not at all.
///
/// Where a transaction writes to both logs, it takes the platform's first ([`lock_both`]).
///
/// # Errors
/// Where the database refuses, or the head does not read as one. The change must then not be
/// committed.
pub async fn append(
    tx: &mut Tx,
    key: &LogKey,
    rng: &dyn Rng,
    log: &LogId,
    row: NewRow,
    now: Micros,
) -> Result<Appended, AuditError> {
    let log_id = log.as_string();
    let unreadable = |what: String| AuditError::Unreadable { log: log_id.clone(), what };
    let mut head = store::audit::lock(tx, &log_id).await?;
    let size = u64::try_from(head.size).map_err(|_| unreadable("its size is negative".into()))?;
    let mut frontier =
        Frontier::from_bytes(size, &head.frontier).map_err(|e| unreadable(e.to_string()))?;
    // What is built on is what was signed: otherwise our next signature would make a changed
    // past good.
    let signed = Checkpoint::open(&head.checkpoint, &[key.key.verifier().clone()], &head.origin)
        .map_err(|e| unreadable(e.to_string()))?;
    if signed.size != size || signed.root != frontier.root() {
        return Err(unreadable("its head is not what was signed: it was changed".into()));
    }

    // Another instance's clock may be ahead of ours; within a log time never runs backwards.
    let at = now.max(head.last_at);
    let mut details = row.details;
    if let Some(from) = row.actor.from {
        details.insert("from".to_owned(), Value::String(from));
    }
    let row = AuditRow {
        v: 1,
        log: log_id.clone(),
        seq: size,
        id: new_id(at, rng),
        at,
        action: row.action,
        actor_type: row.actor.actor_type,
        actor_id: row.actor.id,
        actor_name: row.actor.name,
        org_id: row.org_id,
        impersonation_id: row.impersonation_id,
        ticket_ref: row.ticket_ref,
        reason: row.reason,
        secret_type: row.secret_type.map(|t| t.as_str().to_owned()),
        secret_id: row.secret_id,
        outcome: row.outcome,
        details,
    };
    let body = row.canonical().map_err(|e| unreadable(e.to_string()))?;
    let leaf = crate::proof::merkle::leaf_hash(body.as_bytes());
    let entry = Entry {
        log_id: log_id.clone(),
        seq: head.size,
        id: row.id,
        at,
        action: row.action,
        actor_id: row.actor_id,
        org_id: row.org_id,
        impersonation_id: row.impersonation_id,
        ticket_ref: row.ticket_ref,
        secret_type: row.secret_type,
        body,
        leaf_hash: leaf.to_vec(),
    };
    store::audit::insert(tx, &entry).await?;
    for (level, index, hash) in frontier.push(leaf) {
        if level % 8 == 0 && level > 0 {
            let index = i64::try_from(index).map_err(|_| unreadable("it is full".into()))?;
            store::audit::insert_subtree(tx, &log_id, i64::from(level), index, &hash).await?;
        }
    }
    head.size += 1;
    head.frontier = frontier.to_bytes();
    head.last_at = at;
    head.checkpoint =
        Checkpoint { origin: head.origin.clone(), size: size + 1, root: frontier.root() }
            .sign(&key.key)
            .map_err(|e| unreadable(e.to_string()))?;
    store::audit::save_head(tx, &head).await?;
    let kept = store::audit::kept_at(tx.conn(), &log_id).await?;
    if kept.is_none_or(|kept| at - kept >= KEEP_EVERY) {
        store::audit::keep_checkpoint(tx, &log_id, head.size, &head.checkpoint, at).await?;
    }
    Ok(Appended { seq: entry.seq, id: entry.id, checkpoint: head.checkpoint, at })
}

/// Takes the heads of the platform's log and of an org's log, always in this order, so that two
/// steps never wait for each other in a circle.
///
/// # Errors
/// Where a log is missing, or the database does not answer.
pub async fn lock_both(tx: &mut Tx, org_id: &str) -> Result<(Head, Head), AuditError> {
    let platform = store::audit::lock(tx, "platform").await?;
    let org = store::audit::lock(tx, &LogId::Org(org_id.to_owned()).as_string()).await?;
    Ok((platform, org))
}

/// Keeps the newest checkpoint of a log, as at the end of an impersonation.
///
/// # Errors
/// Where the database refuses.
pub async fn keep(tx: &mut Tx, log: &LogId, appended: &Appended) -> Result<(), AuditError> {
    Ok(store::audit::keep_checkpoint(
        tx,
        &log.as_string(),
        appended.seq + 1,
        &appended.checkpoint,
        appended.at,
    )
    .await?)
}
