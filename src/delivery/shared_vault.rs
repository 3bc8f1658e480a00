//! The vault that the platform shares with a customer: an item is put there once.

use async_trait::async_trait;
use secrecy::SecretString;

use super::refusal::{Again, Refusal};
use crate::model::{Micros, time};

/// An item that is to be in the vault. The value does not print.
#[derive(Debug, Clone)]
pub struct NewItem {
    /// What the item is called. Without quotation marks, backslashes and control characters,
    /// since it is what the item is looked for by.
    pub title: String,
    /// Tells this item from any other of that title: `rotation:<id>`.
    pub tag: String,
    /// What the field with the value is called.
    pub label: String,
    /// The value, for the concealed field.
    pub value: SecretString,
    /// What goes with it, in clear: which secret, which version, which ticket.
    pub notes: String,
}

/// The id of an item in a vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemId(String);

impl ItemId {
    /// An id as 1Password writes it; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_id(text).then(|| Self(text.to_owned()))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ItemId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a text has the form of an id of 1Password's, of a vault or of an item:
/// `^[\da-z]{26}$`.
#[must_use]
pub fn is_id(text: &str) -> bool {
    text.len() == 26 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

/// Why an item could not be put into the vault, and what to do about it. Whether it is tried
/// again says [`SharedVaultError::refusal`]. None repeats what the other side said: it may repeat
/// what was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SharedVaultError {
    /// 400: what was sent is not taken.
    #[error(
        "the 1Password Connect server does not take the item (400): look for the request in its \
         log, and see that it is version 1.7 or later; this will not mend itself"
    )]
    NotTaken,
    /// 400 with the word that the vault's id is none; or it has not the form of one.
    #[error(
        "{0:?} is no id of a 1Password vault: it is 26 lower-case letters and digits, as in the \
         runbook entry; this will not mend itself"
    )]
    VaultId(String),
    /// 401: the access token is missing, wrong or expired.
    #[error(
        "the 1Password Connect server does not accept our access token (401): issue a new one in \
         1Password with write access to the vault, set it as one_password.token and start \
         Keyturn again; this will not mend itself"
    )]
    Token,
    /// 401 with the word that the token may not write.
    #[error(
        "our 1Password access token may read the vault and not write (401): issue one with write \
         access, set it as one_password.token and start Keyturn again; this will not mend itself"
    )]
    ReadOnly,
    /// 403: the token's scope is without this vault.
    #[error(
        "vault {0} is not in the scope of our 1Password access token (403): give the Connect \
         server and the token access to it in 1Password; this will not mend itself"
    )]
    NotInScope(String),
    /// 404: the Connect server knows no such vault.
    #[error(
        "the 1Password Connect server knows no vault {0} (404): ask the Owner whether it was \
         removed or is no longer shared; where it stays away, rotate again once the runbook \
         entry names another; this will not mend itself"
    )]
    NoVault(String),
    /// Nobody answered, or the answer did not come to its end.
    #[error(
        "the 1Password Connect server {0}: it is tried again by itself; where this lasts, see \
         that the server runs and that one_password.url is its address"
    )]
    Unreachable(&'static str),
    /// The item may have been made, or be about to: the answer did not come.
    #[error(
        "the 1Password Connect server did not say whether it made the item ({0}): it is looked \
         for before it is tried again by itself; where this lasts, look into its log"
    )]
    Unsure(&'static str),
    /// 408, 429 or 5xx.
    #[error(
        "the 1Password Connect server answered {status}: it is tried again by itself; where this \
         lasts, look into its log"
    )]
    Busy {
        /// The status.
        status: u16,
        /// How long it asks to wait, where it does.
        wait: Option<Micros>,
    },
    /// An answer that is not one of a Connect server.
    #[error(
        "what answered is not a 1Password Connect server, or one that we do not understand: see \
         that one_password.url is its address, without /v1; it is tried again by itself"
    )]
    Unreadable,
    /// Another status.
    #[error(
        "the address one_password.url answered {0}, which a 1Password Connect server does not: \
         see that it is its address, without /v1; this will not mend itself"
    )]
    Unexpected(u16),
    /// The title or the tag cannot be looked for.
    #[error("the item's title or tag has a character that it cannot be looked for with")]
    Title,
    /// There is nobody to ask.
    #[error(
        "no 1Password Connect server is configured: set one_password.url and one_password.token, \
         and start Keyturn again; this will not mend itself"
    )]
    NotConfigured,
}

impl SharedVaultError {
    /// Whether waiting can help by itself. Otherwise somebody has to set something right.
    #[must_use]
    pub fn waits(&self) -> bool {
        matches!(self.refusal().again, Again::Later(_))
    }

    /// Whether what was not taken is to be tried again, and why it was not.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        let again = match self {
            Self::Unreachable(_) | Self::Unreadable => Again::Later(None),
            // The server may still be at it: it gets the time to finish.
            Self::Unsure(_) => Again::Later(Some(30 * time::SECOND)),
            Self::Busy { wait, .. } => Again::Later(*wait),
            Self::Token
            | Self::ReadOnly
            | Self::NotInScope(_)
            | Self::Unexpected(_)
            | Self::NotConfigured => Again::Mend,
            Self::NotTaken | Self::VaultId(_) | Self::NoVault(_) | Self::Title => Again::Never,
        };
        Refusal { again, said: self.to_string() }
    }
}

/// A way into the vaults that customers share with the platform.
#[async_trait]
pub trait SharedVault: Send + Sync + 'static {
    /// Puts an item into a vault, once: one that is there already, with this title and tag, is
    /// found and left as it is. So it can be called again whenever it is not known what became
    /// of the last call.
    ///
    /// # Errors
    /// Where it is not known to be there; call again.
    async fn put(&self, vault: &str, item: &NewItem) -> Result<ItemId, SharedVaultError>;

    /// Asks whether a vault can be seen. It goes over the network: never inside a transaction.
    ///
    /// # Errors
    /// What stands in the way.
    async fn check(&self, vault: &str) -> Result<(), SharedVaultError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects the address that is made from an id: nothing else gets into it.
    #[test]
    fn an_id_is_26_lower_case_letters_and_digits() {
        let good = "h5kq2wz7mnb4xtc9vjd8rf3gya";
        assert!(is_id(good) && is_id(&"0".repeat(26)));
        for bad in [
            "",
            &good[1..],
            &format!("{good}a"),
            &good.to_uppercase(),
            "h5kq2wz7mnb4xtc9vjd8rf3gy/",
            "h5kq2wz7mnb4xtc9vjd8rf3g\u{e9}",
            "h5kq2wz7mnb4xtc9vjd8rf3gy\n",
        ] {
            assert!(!is_id(bad), "{bad:?}");
            assert_eq!(ItemId::parse(bad), None);
        }
    }

    /// Protects the console's line about a delivery that waits: each says what to do, and the
    /// three that mend themselves say that too.
    #[test]
    fn each_error_says_what_to_do() {
        use SharedVaultError as E;
        let vault = || "h5kq2wz7mnb4xtc9vjd8rf3gya".to_owned();
        for (error, says, waits) in [
            (E::NotTaken, "look for the request in its log", false),
            (E::VaultId("x".to_owned()), "as in the runbook entry", false),
            (E::Token, "issue a new one", false),
            (E::ReadOnly, "issue one with write access", false),
            (E::NotInScope(vault()), "give the Connect server and the token access", false),
            (E::NoVault(vault()), "ask the Owner", false),
            (E::Unreachable("did not answer in time"), "see that the server runs", true),
            (E::Unsure("it broke off"), "looked for before", true),
            (E::Busy { status: 503, wait: None }, "look into its log", true),
            (E::Unreadable, "see that one_password.url is its address", true),
            (E::Unexpected(302), "without /v1", false),
            (E::NotConfigured, "set one_password.url", false),
        ] {
            let text = error.to_string();
            assert!(text.contains(says), "{text}");
            assert_eq!(error.waits(), waits, "{text}");
            assert_eq!(text.contains("tried again by itself"), waits, "{text}");
            assert_eq!(text.contains("will not mend itself"), !waits, "{text}");
        }
    }

    #[test]
    fn an_item_prints_without_its_value() {
        let item = NewItem {
            title: "t".to_owned(),
            tag: "rotation:1".to_owned(),
            label: "l".to_owned(),
            value: "whsec_never".into(),
            notes: String::new(),
        };
        assert!(!format!("{item:?}").contains("never"));
    }
}
