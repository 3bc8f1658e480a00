//! The words of the domain as types, and nothing else: no I/O, no rules. The server, the
//! command line and the browser share them.

pub mod impersonation;
pub mod org;
pub mod outbox;
pub mod secret;
pub mod staff;
pub mod ticket;
pub mod time;

pub use impersonation::{EndCause, Stand};
pub use org::{
    AgreedHow, Channel, ConfirmedOver, Consent, HandoffState, MemberRole, OwnerChangeKind,
    OwnerChangeState, Standing,
};
pub use outbox::OutboxKind;
pub use secret::{SecretType, VersionState};
pub use staff::StaffRole;
pub use ticket::TicketState;
pub use time::Micros;

/// A word that is not one of a closed list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is not a {what}")]
pub struct UnknownWord {
    /// What was expected, e.g. "secret type".
    pub what: &'static str,
    /// What was found.
    pub word: String,
}

/// Declares a closed list of words: an enum whose text form is fixed, stored in the database,
/// written in audit rows and shown by the API.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident ($what:literal) { $($(#[$vmeta:meta])* $variant:ident = $text:literal => $label:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$vmeta])* #[serde(rename = $text)] $variant),+
        }

        impl $name {
            /// Every word of the list, in order.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The exact word that is stored, logged and sent.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }

            /// The word as a page shows it.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $($name::$variant => $label),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::model::UnknownWord;
            fn try_from(word: String) -> Result<Self, Self::Error> {
                word.parse()
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::model::UnknownWord;
            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $($text => Ok($name::$variant),)+
                    other => Err($crate::model::UnknownWord { what: $what, word: other.to_owned() }),
                }
            }
        }
    };
}
pub(crate) use words;
