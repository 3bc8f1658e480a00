//! Where tickets live: in our own database, or in a support desk outside.

pub mod embedded;
pub mod fields;
pub mod zendesk;
mod zendesk_http;

#[cfg(test)]
mod zendesk_tests;

use async_trait::async_trait;

use crate::delivery::refusal::{Again, Refusal};
use crate::model::{Micros, TicketState};

/// A ticket as the support desk tells it. What it does not know is absent, and an absent fact
/// passes no check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutsideTicket {
    /// Its number with the prefix, `NOV-4821`.
    pub number: String,
    /// What it is about.
    pub subject: String,
    /// Where it stands.
    pub state: TicketState,
    /// The requester's name.
    pub requester_name: String,
    /// The requester's address, where the desk has verified it.
    pub requester_email: Option<String>,
    /// The org's id or short name, as the desk keeps it.
    pub org: Option<String>,
    /// How the requester was authenticated, and when.
    pub authenticated: Option<(String, Micros)>,
    /// The type of secret that it names.
    pub secret_type: Option<String>,
    /// The secret that it names.
    pub secret_id: Option<String>,
    /// Whether the secret is suspected to have leaked.
    pub suspected_leak: bool,
    /// When it was filed.
    pub filed_at: Micros,
    /// Its newest comments, oldest first.
    pub comments: Vec<OutsideComment>,
}

/// A comment as the support desk keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutsideComment {
    /// Its id at the desk.
    pub id: String,
    /// Who wrote it.
    pub author: String,
    /// Whether the customer wrote it.
    pub by_customer: bool,
    /// Whether the customer sees it.
    pub public: bool,
    /// The text.
    pub body: String,
    /// When.
    pub at: Micros,
}

/// A comment to be posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Whether the customer sees it; otherwise it is an internal note.
    pub public: bool,
    /// The text.
    pub body: String,
    /// When it was written.
    pub at: Micros,
    /// What tells this comment from every other, the same on every attempt.
    pub marker: String,
}

/// Why the support desk did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TicketsError {
    /// No connection, or no answer in time.
    #[error("the ticket system did not answer")]
    NoAnswer,
    /// It answered that something is wrong with itself (5xx).
    #[error("the ticket system answered that it is not well ({status})")]
    Unwell {
        /// The status.
        status: u16,
        /// How long it asks to wait, where it does.
        wait: Option<Micros>,
    },
    /// Too many requests (429).
    #[error("the ticket system asks to wait {} s", .wait / 1_000_000)]
    Busy {
        /// How long it asks to wait.
        wait: Micros,
    },
    /// It does not accept the account (401).
    #[error("the ticket system does not accept the account: check tickets_email and tickets_token")]
    Account,
    /// The account may not do this (403).
    #[error("the ticket system does not let this account see or answer tickets")]
    Forbidden,
    /// The ticket is not there.
    #[error("the ticket system does not know this ticket")]
    Unknown,
    /// It will never take this (400, 422): the ticket is closed, for example. With its own words,
    /// as far as they are kept.
    #[error("the ticket system refuses the comment: {0}")]
    Refused(String),
    /// The ticket was changed at the same moment (409); the next attempt looks again.
    #[error("the ticket was changed at the same moment")]
    Changed,
    /// The answer does not read as one.
    #[error("the ticket system's answer cannot be read: {0}")]
    Unreadable(&'static str),
}

impl TicketsError {
    /// Whether what was not taken is to be tried again, and why it was not.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        let again = match self {
            Self::NoAnswer | Self::Changed => Again::Later(None),
            Self::Unwell { wait, .. } => Again::Later(*wait),
            Self::Busy { wait } => Again::Later(Some(*wait)),
            Self::Account | Self::Forbidden | Self::Unreadable(_) => Again::Mend,
            Self::Unknown | Self::Refused(_) => Again::Never,
        };
        Refusal { again, said: self.to_string() }
    }
}

/// A support desk.
#[async_trait]
pub trait Tickets: Send + Sync + 'static {
    /// The name of the system outside, for people. Nothing where tickets live in our own
    /// database.
    fn outside(&self) -> Option<&'static str>;

    /// What a ticket's number begins with, `NOV-`.
    fn prefix(&self) -> &str;

    /// Whether it went without an answer a moment ago: who can do without asks later.
    fn silent(&self) -> bool {
        false
    }

    /// The ticket with this number, if there is one.
    ///
    /// # Errors
    /// Where it could not be found out.
    async fn look_up(&self, number: &str) -> Result<Option<OutsideTicket>, TicketsError>;

    /// Posts a comment, once: a second call with the same marker finds the first one's comment.
    /// What comes back is the comment's id.
    ///
    /// # Errors
    /// Where it is not known that the comment is there; the call is then made again.
    async fn post(&self, number: &str, comment: &Comment) -> Result<String, TicketsError>;
}
