//! Pure code that makes and checks the proofs over the two audit logs.
//!
//! Nothing here reads a file, a clock or a random source: the server, the offline check and the
//! auditor's browser run these same functions on data they were handed, so all three reach the
//! same answer.
//!
//! From the ground up:
//! - [`merkle`]: the tree over a log's rows (RFC 6962),
//! - [`note`] and [`checkpoint`]: signed statements of a tree's size and root (C2SP),
//! - [`cosignature`]: that somebody else has seen such a statement, and when,
//! - [`log_keys`]: how one key of the logs follows another,
//! - [`canonical`], [`row`] and [`actions`]: what a row is, and the one text its leaf is made of,
//! - [`org_record`]: what is on record of an org, on which decisions rest,
//! - [`trail`] and [`verdict`]: whether the rows of one impersonation, in both logs, agree,
//! - [`evidence`]: all of that about one impersonation, in one file,
//! - [`log_check`]: whether a whole log is what its checkpoints say it was.

pub mod actions;
pub mod canonical;
pub mod checkpoint;
pub mod cosignature;
pub mod evidence;
mod evidence_keys;
pub mod log_check;
pub mod log_keys;
pub mod merkle;
pub mod note;
pub mod org_record;
pub mod row;
pub mod terms;
pub mod trail;
mod trail_ends;
mod trail_facts;
#[cfg(test)]
mod trail_fixture;
pub mod trail_recorded;
mod trail_rules;
pub mod verdict;
#[cfg(test)]
mod verdict_properties;

/// A SHA-256 hash: of a leaf, of a node, or the root of a tree.
pub type Hash = [u8; 32];
