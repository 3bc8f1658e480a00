//! Sinks: systems outside that rows of the logs are sent to as they are written, such as what a
//! security team searches.

pub mod http;
pub mod rfc5424;
pub mod syslog;
pub mod trust;

use async_trait::async_trait;

use crate::model::Micros;
use crate::proof::row::AuditRow;

/// A row on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its place in its log.
    pub seq: i64,
    /// When it was written.
    pub at: Micros,
    /// The canonical text, byte by byte what was hashed.
    pub body: String,
    /// What it says.
    pub row: AuditRow,
}

/// Rows of one log that follow each other; never none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The log.
    pub log: String,
    /// The origin line of its checkpoints.
    pub origin: String,
    /// The rows, in order.
    pub rows: Vec<Outgoing>,
}

/// What came of a burst.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// For each batch that was tried, in order: whether the sink took it, or why not it alone.
    pub batches: Vec<Result<(), String>>,
    /// Why the rest was not tried, or not taken.
    pub failure: Option<String>,
    /// How long it then asks to wait, where it does.
    pub wait: Option<Micros>,
}

impl Sent {
    /// Nothing was taken.
    #[must_use]
    pub fn nothing(why: impl Into<String>) -> Self {
        Self { failure: Some(why.into()), ..Self::default() }
    }
}

/// Somewhere that rows are sent to.
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// Under which name we remember how far it is. It is shown, and holds nothing secret.
    fn name(&self) -> String;

    /// Sends a burst. A batch that is said to be taken has been read by the other side, as far as
    /// its protocol lets one know. It comes back within 40 seconds.
    async fn send(&self, burst: &[Batch]) -> Sent;
}

/// Why a sink cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SinkProblem(pub String);
