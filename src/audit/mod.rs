//! The two logs: what is appended, how it is read side by side, and how it is proven.

pub mod append;
pub mod bulk;
pub mod cross;
pub mod density;
pub mod evidence;
pub mod export;
pub mod grow;
mod key;
pub mod logged;
pub mod nodes;
mod recorded;
pub mod remote;
pub mod resume;
pub mod standing;
mod stored;
mod stretch;
pub mod strips;
pub mod tiles;
pub mod timeline;
pub mod trail;
mod unreadable;
pub mod verify;
pub mod witnessed;

pub use append::{Actor, Appended, KEEP_EVERY, LogId, NewRow, append, create_log};
pub use key::LogKey;

/// What can go wrong with a log.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The database.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// A row or a head that does not read as what it should be.
    #[error("log {log}: {what}")]
    Unreadable {
        /// Which log.
        log: String,
        /// What is wrong.
        what: String,
    },
    /// The head of a log was not signed by the key that is held to be the current one.
    #[error("log {log}: its newest checkpoint is not signed with the current key")]
    OtherKey {
        /// Which log.
        log: String,
    },
    /// There is no key to sign with.
    #[error("there is no key to sign the logs with")]
    NoKey,
}

impl AuditError {
    /// Whether the logs were read, and something of them does not read as what it should be.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        match self {
            Self::Store(e) => e.is_unreadable(),
            Self::Unreadable { .. } => true,
            Self::OtherKey { .. } | Self::NoKey => false,
        }
    }
}
