//! The one way into the logs.

use serde_json::{Map, Value};
use sqlx::AnyConnection;

use super::grow::{Completed, Growing};
use super::{AuditError, LogKey};
use crate::clock::Rng;
use crate::model::{Micros, SecretType, time};
use crate::policy::grounds::Grounds;
use crate::proof::checkpoint::Checkpoint;
use crate::proof::merkle::Frontier;
use crate::proof::row::{ActorType, Outcome};
use crate::store::{self, Tx, audit::Head};

/// How far apart kept checkpoints are while rows are written.
pub const KEEP_EVERY: Micros = time::MINUTE;

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

    /// With why the ticket could be served.
    #[must_use]
    pub fn because(mut self, grounds: &Grounds) -> Self {
        self.details.extend(grounds.details().map(|(name, value)| (name.to_owned(), value)));
        self
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
            .sign(key.signer()?.as_ref())
            .map_err(|e| AuditError::Unreadable { log: log.as_string(), what: e.to_string() })?,
        origin,
        size: 0,
        frontier: frontier.to_bytes(),
        last_at: now,
        record_note: None,
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
    let head = store::audit::lock(tx, &log_id).await?;
    let mut growing = Growing::open(key, head)?;
    let grown = growing.push(row, now, rng)?;
    let (seq, at) = (grown.entry.seq, grown.entry.at);
    store::audit::insert(tx, &grown.entry).await?;
    store::standing::note(tx, &grown.entry).await?;
    store::audit::insert_terms(tx, at, &grown.entry.id, &grown.terms).await?;
    for node in &grown.completed {
        complete(tx, &log_id, node).await?;
    }
    let head = growing.head(key)?;
    store::audit::save_head(tx, &head).await?;
    let kept = store::audit::kept_at(tx.conn(), &log_id).await?;
    if due(kept, at) {
        store::audit::keep_checkpoint(tx, &log_id, head.size, &head.checkpoint, at).await?;
    }
    Ok(Appended { seq, id: grown.entry.id, checkpoint: head.checkpoint, at })
}

/// Whether a checkpoint is to be kept at `at`, where the newest was kept at `kept`.
pub(super) fn due(kept: Option<Micros>, at: Micros) -> bool {
    kept.is_none_or(|kept| at - kept >= KEEP_EVERY)
}

/// Writes the root of a subtree that is full now, and the tile below it.
async fn complete(tx: &mut Tx, log_id: &str, node: &Completed) -> Result<(), AuditError> {
    let unreadable = || AuditError::Unreadable {
        log: log_id.to_owned(),
        what: "rows of its newest tile are missing".to_owned(),
    };
    let (from, to) = (node.idx * 256, (node.idx + 1) * 256);
    let below = if node.level == 8 {
        store::audit::leaf_hashes(tx.conn(), log_id, from, to).await?
    } else {
        store::audit::subtrees(tx.conn(), log_id, node.level - 8, from, to).await?
    };
    if below.len() != 256 {
        return Err(unreadable());
    }
    let hashes: Vec<u8> = below.into_iter().flat_map(|(_, hash)| hash).collect();
    store::audit::insert_subtree(tx, log_id, node.level, node.idx, &node.hash).await?;
    Ok(store::audit::insert_tile(tx, log_id, node.level / 8 - 1, node.idx, &hashes).await?)
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
