//! Where a row stands in the tree of its log, as the log's signed checkpoint has it.

use std::collections::{BTreeSet, HashMap};

use sqlx::AnyConnection;

use crate::audit::nodes::Nodes;
use crate::audit::trail::Proofs;
use crate::audit::{AuditError, LogKey};
use crate::auth::credential::hex;
use crate::model::Micros;
use crate::proof::checkpoint::Checkpoint;
use crate::proof::merkle;
use crate::store::audit::{self, Entry, Head};

/// The head of a log, as rows are shown against it.
#[derive(Debug, Clone)]
pub struct Tree {
    /// How many rows it has.
    pub size: i64,
    /// When its newest row was written, and the checkpoint signed.
    pub signed_at: Micros,
    /// The root in hexadecimal digits; or why the checkpoint does not hold.
    pub root: Result<String, String>,
    /// The signed checkpoint itself.
    pub note: String,
}

/// The trees of logs, by the log's id.
pub type Trees = HashMap<String, Tree>;

/// The trees of these logs: as far as `proofs` has them as they were read for those, otherwise
/// read now.
///
/// # Errors
/// Where the database does not answer. What is wrong with a checkpoint is in the result.
pub async fn trees(
    conn: &mut AnyConnection,
    key: &LogKey,
    proofs: &Proofs,
    logs: BTreeSet<String>,
) -> Result<Trees, AuditError> {
    let tree = |head: &Head, root| Tree {
        size: head.size,
        signed_at: head.last_at,
        root,
        note: head.checkpoint.clone(),
    };
    let mut all = Trees::new();
    let mut unread = Vec::new();
    for log in logs {
        match proofs.log(&log) {
            Some((head, signed)) => {
                let root = signed.map(|c| hex(&c.root)).map_err(str::to_owned);
                all.insert(log, tree(head, root));
            }
            None => unread.push(log),
        }
    }
    for head in audit::heads_of(conn, &unread).await? {
        let root = signed(key, &head).map(|c| hex(&c.root));
        all.insert(head.id.clone(), tree(&head, root));
    }
    Ok(all)
}

/// The checkpoint of a log, if it holds.
fn signed(key: &LogKey, head: &Head) -> Result<Checkpoint, String> {
    let checkpoint = key.open_head(head).map_err(|e| e.to_string())?;
    if i64::try_from(checkpoint.size) != Ok(head.size) {
        return Err(format!(
            "the log says that it has {} rows, its checkpoint {}",
            head.size, checkpoint.size
        ));
    }
    Ok(checkpoint)
}

/// The inclusion proof of one row.
#[derive(Debug, Clone)]
pub struct Proven {
    /// The tree that the row is proven to be in.
    pub tree: Tree,
    /// The hashes from the leaf up, in hexadecimal digits.
    pub path: Vec<String>,
    /// Whether they lead from the row to the signed root; otherwise why not.
    pub holds: Result<(), String>,
}

/// Makes the inclusion proof of a row against its log's checkpoint, and checks it.
///
/// # Errors
/// Where the database does not answer. A proof that does not hold is a result.
pub async fn prove(
    conn: &mut AnyConnection,
    key: &LogKey,
    entry: &Entry,
) -> Result<Option<Proven>, AuditError> {
    let Some(head) = audit::head(conn, &entry.log_id).await? else { return Ok(None) };
    let tree = |root| Tree {
        size: head.size,
        signed_at: head.last_at,
        root,
        note: head.checkpoint.clone(),
    };
    let checkpoint = match signed(key, &head) {
        Ok(checkpoint) => checkpoint,
        Err(why) => {
            let holds = Err(format!("its log's checkpoint does not hold: {why}"));
            return Ok(Some(Proven { tree: tree(Err(why)), path: Vec::new(), holds }));
        }
    };
    let seq = u64::try_from(entry.seq).unwrap_or(u64::MAX);
    let nodes = Nodes::load(conn, &head, &[seq]).await?;
    // Over the text as it is stored now, and not over the hash that is stored beside it.
    let leaf = merkle::leaf_hash(entry.body.as_bytes());
    let (path, holds) = match nodes.inclusion(seq, checkpoint.size) {
        Ok(path) => {
            let holds =
                merkle::verify_inclusion(&leaf, seq, checkpoint.size, &path, &checkpoint.root)
                    .map_err(|e| e.to_string());
            (path.iter().map(|h| hex(h)).collect(), holds)
        }
        Err(e) => (Vec::new(), Err(e.to_string())),
    };
    Ok(Some(Proven { tree: tree(Ok(hex(&checkpoint.root))), path, holds }))
}
