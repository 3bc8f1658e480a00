//! The words, and the commands that lead out.

use super::{KeyName, KeyProblem, TooMuch, Unsound, day};
use crate::delivery::openpgp::printable;

/// How many keys of a text are named.
const MOST_NAMED: usize = 5;

/// The fingerprint of a version 4 key has so many digits; GnuPG knows no other keys.
const GNUPG_DIGITS: usize = 40;

impl KeyProblem {
    /// What is wrong.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Unreadable => "this is not a readable OpenPGP public key".to_owned(),
            Self::CutOff => "this key is cut off: its END line is missing".to_owned(),
            Self::TooLong { limit_kib } => format!("this key is longer than {limit_kib} KiB"),
            Self::TooMuch { what: TooMuch::Names { count, most, .. }, .. } => {
                format!("there are {count} names on this key, more than the {most} that are looked at")
            }
            Self::TooMuch { what: TooMuch::Signatures { count, most }, .. } => format!(
                "this key carries {count} signatures of its own, more than the {most} that are looked at"
            ),
            Self::SeveralKeys { keys } => several(keys),
            Self::SecretKey => "this is a secret key, and nothing of it was kept".to_owned(),
            Self::Version { version, .. } => {
                format!("this key is of version {version}, which few programs read")
            }
            Self::Revoked => "the Owner has revoked this key".to_owned(),
            Self::PerhapsRevoked => "this key holds a revocation by a designated revoker".to_owned(),
            Self::Expired { at, .. } => format!("this key expired on {}", day(*at)),
            Self::NotYetValid { from } => {
                format!("this key says that it was made on {}, which is yet to come", day(*from))
            }
            Self::WeakPrimary { algorithm, .. } => format!(
                "the primary key is {algorithm}, which can be broken: anybody could put a subkey of theirs under it"
            ),
            Self::UnknownPrimary { algorithm, .. } => format!(
                "the primary key is {algorithm}, and signatures of that kind cannot be checked here"
            ),
            Self::NoNames { .. } => {
                "there is no name on this key, as some keyservers give it out, and nothing else that says what it is for".to_owned()
            }
            Self::NamesRevoked { .. } => "the Owner has withdrawn every name on this key".to_owned(),
            Self::Unsound { why, .. } => format!("what this key says of itself {}", why.words()),
            Self::UnsoundSubkey { why, .. } => {
                format!("what this key says of its encryption subkey {}", why.words())
            }
            Self::NoSelfSignature { .. } => {
                "this key carries no valid signature of its own: it is damaged".to_owned()
            }
            Self::NoEncryptionSubkey { .. } => "this key has no subkey for encryption".to_owned(),
            Self::SubkeyRevoked { .. } => {
                "the Owner has revoked the encryption subkey of this key".to_owned()
            }
            Self::SubkeyExpired { at, .. } => {
                format!("the encryption subkey of this key expired on {}", day(*at))
            }
            Self::UnusableAlgorithm { algorithm, .. } => format!(
                "the encryption subkey of this key is {algorithm}, which is not used here"
            ),
        }
    }

    /// The commands with which the Owner puts it right, in their order; empty where GnuPG cannot.
    /// The last one prints what to send us.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        let Some(fingerprint) = self.fingerprint().filter(|f| f.len() == GNUPG_DIGITS) else {
            return match self {
                Self::WeakPrimary { user_id, .. }
                | Self::UnknownPrimary { user_id, .. }
                | Self::Version { user_id, .. } => new_key(user_id.as_deref()),
                _ => Vec::new(),
            };
        };
        let extend = format!("gpg --quick-set-expire {fingerprint} 1y");
        let add = format!("gpg --quick-add-key {fingerprint} cv25519 encr 1y");
        let subkey = |subkey: &String| format!("{extend} {subkey}");
        let mut commands = match self {
            Self::Expired { extend: subkeys, add: lacks, .. } => {
                let mut commands = vec![extend.clone()];
                commands.extend(subkeys.iter().map(subkey));
                commands.extend(lacks.then_some(add));
                commands
            }
            Self::SubkeyExpired { subkey: one, .. } => vec![subkey(one)],
            Self::NoEncryptionSubkey { .. }
            | Self::SubkeyRevoked { .. }
            | Self::UnusableAlgorithm { .. } => vec![add],
            Self::NamesRevoked { .. } => {
                vec![format!("gpg --quick-add-uid {fingerprint} 'NAME <ADDRESS>'")]
            }
            Self::Unsound {
                why: Unsound::Critical { .. } | Unsound::ShortHash { .. },
                user_id,
                ..
            } => {
                // GnuPG does not rely on such a key either, and signs nothing anew with it.
                return new_key(user_id.as_deref());
            }
            Self::Unsound { subkeys, .. } => {
                let mut commands = vec![extend.clone()];
                commands.extend(subkeys.iter().map(subkey));
                commands.into_iter().map(|command| with_sha256(&command)).collect()
            }
            Self::UnsoundSubkey {
                why: Unsound::Critical { .. } | Unsound::ShortHash { .. },
                ..
            } => vec![add],
            Self::UnsoundSubkey { subkey: one, .. } => vec![with_sha256(&subkey(one))],
            Self::TooMuch { what: TooMuch::Names { address: Some(address), .. }, .. } => {
                return vec![format!(
                    "gpg --armor --export-options export-minimal --export-filter keep-uid=\"mbox = {address}\" --export {fingerprint}"
                )];
            }
            Self::TooMuch { what: TooMuch::Signatures { .. }, .. } => {
                return vec![format!(
                    "gpg --armor --export-options export-minimal --export {fingerprint}"
                )];
            }
            _ => Vec::new(),
        };
        commands.push(format!("gpg --armor --export {fingerprint}"));
        commands
    }

    /// What the Owner is asked for.
    pub(super) fn remedy(&self) -> String {
        let commands = self.commands();
        let run = steps(&commands);
        match self {
            Self::Unreadable => "Ask the Owner for the whole output of `gpg --armor --export`, \
                 followed by the fingerprint of their key, from the BEGIN line to the END line"
                .to_owned(),
            Self::CutOff => "Ask the Owner for the whole of it, as an attached file where the text \
                 does not come through"
                .to_owned(),
            Self::TooLong { .. } => "Ask the Owner for one exported with \
                 `gpg --armor --export-options export-minimal --export`, followed by its fingerprint"
                .to_owned(),
            Self::TooMuch { .. } if commands.is_empty() => {
                "Ask the Owner for an export with fewer of them".to_owned()
            }
            Self::TooMuch { .. } => format!("Ask the Owner for what {run} prints"),
            Self::SeveralKeys { keys } => {
                let one: Vec<String> = keys
                    .iter()
                    .take(MOST_NAMED)
                    .map(|key| format!("`gpg --armor --export {}`", key.fingerprint))
                    .collect();
                format!("Ask the Owner which one is to be used, and for that one alone: {}", one.join(" or "))
            }
            Self::SecretKey => "Tell the Owner that it has left their hands and has to be revoked, \
                 and ask for the public half of a new one"
                .to_owned(),
            Self::Revoked => "Ask for a new one".to_owned(),
            Self::PerhapsRevoked => "Ask the Owner for a new one, or for an export without it \
                 where the revocation is not genuine"
                .to_owned(),
            Self::NotYetValid { .. } => "Ask the Owner to set the clock of the machine that made \
                 it, and for a new one"
                .to_owned(),
            Self::WeakPrimary { .. }
            | Self::UnknownPrimary { .. }
            | Self::Version { .. }
            | Self::Unsound { why: Unsound::Critical { .. } | Unsound::ShortHash { .. }, .. } => {
                format!("Ask the Owner for a whole new key, since a new subkey would not do: {run}, with the new key's fingerprint")
            }
            Self::NoNames { .. } | Self::NoSelfSignature { .. } if commands.is_empty() => {
                "Ask the Owner to export it again from where they use it".to_owned()
            }
            Self::NoNames { .. } | Self::NoSelfSignature { .. } => {
                format!("Ask the Owner to export it again from where they use it: {run}")
            }
            Self::Expired { .. }
            | Self::SubkeyExpired { .. }
            | Self::Unsound { .. }
            | Self::UnsoundSubkey { .. }
                if commands.is_empty() =>
            {
                "Ask the Owner to extend it with the program that it is used with, and to send it again, or to send a new one".to_owned()
            }
            Self::Expired { .. } | Self::SubkeyExpired { .. } => {
                format!("Ask the Owner to extend it and to send it again: {run}. Or ask for a new one")
            }
            Self::Unsound { .. } | Self::UnsoundSubkey { .. } => {
                format!("Ask the Owner to sign it anew and to send it again: {run}. Or ask for a new one")
            }
            Self::NamesRevoked { .. } => {
                format!("Ask the Owner to put a name on it, or for a new one: {run}")
            }
            Self::NoEncryptionSubkey { .. }
            | Self::SubkeyRevoked { .. }
            | Self::UnusableAlgorithm { .. }
                if commands.is_empty() =>
            {
                "Ask the Owner for a new subkey for encryption, of Curve25519, or for a new key"
                    .to_owned()
            }
            Self::NoEncryptionSubkey { .. }
            | Self::SubkeyRevoked { .. }
            | Self::UnusableAlgorithm { .. } => {
                format!("Ask the Owner to add one of Curve25519 and to send the key again: {run}. Or ask for a new key")
            }
        }
    }

    /// Which key it is about, where that helps.
    fn fingerprint(&self) -> Option<&str> {
        match self {
            Self::TooMuch { fingerprint, .. }
            | Self::Expired { fingerprint, .. }
            | Self::NoNames { fingerprint }
            | Self::NamesRevoked { fingerprint }
            | Self::Unsound { fingerprint, .. }
            | Self::UnsoundSubkey { fingerprint, .. }
            | Self::NoSelfSignature { fingerprint }
            | Self::NoEncryptionSubkey { fingerprint }
            | Self::SubkeyRevoked { fingerprint }
            | Self::SubkeyExpired { fingerprint, .. }
            | Self::UnusableAlgorithm { fingerprint, .. } => Some(fingerprint),
            _ => None,
        }
    }
}

impl Unsound {
    fn words(&self) -> String {
        match self {
            Self::Undated => "does not say since when".to_owned(),
            Self::NotYet { from } => {
                format!("was signed on {}, which is yet to come", day(*from))
            }
            Self::Ended { at } => format!("was signed until {}, and not since", day(*at)),
            Self::Hash { name, at } => {
                format!("was signed on {} with {name}, which can be forged", day(*at))
            }
            Self::ShortHash { at } => format!(
                "was signed on {} with a hash that is too short for a key of this kind",
                day(*at)
            ),
            Self::Critical { part } => format!(
                "comes with a note that is marked as critical and known to few programs ({part})"
            ),
        }
    }
}

fn several(keys: &[KeyName]) -> String {
    let named: Vec<String> = keys
        .iter()
        .take(MOST_NAMED)
        .map(|key| match &key.user_id {
            Some(name) => format!("{} ({})", key.fingerprint, printable(name)),
            None => key.fingerprint.clone(),
        })
        .collect();
    let more = if keys.len() > MOST_NAMED { " and more" } else { "" };
    format!("there are {} keys in this text: {}{more}", keys.len(), named.join(", "))
}

/// A key of today's kind. What it is exported by is known once it is made.
fn new_key(user_id: Option<&str>) -> Vec<String> {
    // Whatever stands in a name, it is one word of a command.
    let name = user_id.unwrap_or("NAME <ADDRESS>").replace('\'', "").replace(char::is_control, " ");
    vec![
        format!("gpg --quick-generate-key '{name}' default default 2y"),
        "gpg --armor --export FINGERPRINT".to_owned(),
    ]
}

fn with_sha256(command: &str) -> String {
    command.replacen("gpg ", "gpg --cert-digest-algo SHA256 ", 1)
}

fn steps(commands: &[String]) -> String {
    let quoted: Vec<String> = commands.iter().map(|command| format!("`{command}`")).collect();
    quoted.join(", then ")
}
