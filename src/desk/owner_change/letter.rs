//! What the Owner reads of a change, and what they sign.

use crate::delivery::openpgp;
use crate::model::org::in_fours;
use crate::model::{OwnerChangeKind, time};
use crate::policy::owner_change::{COOL_OFF_WITHOUT_OWNER, WAITS_FOR};
use crate::store::orgs::Org;
use crate::store::owner_changes::OwnerChange;

/// The words that the Owner signs with the key on file to agree: nothing else counts, so that a
/// signature under something else cannot be used.
#[must_use]
pub fn statement(org: &Org, change: &OwnerChange) -> String {
    format!(
        "I am the Owner of record of {}. I agree that its {} on file is replaced by: {}. Change {}.",
        org.slug,
        change.kind.label(),
        change.shown,
        change.id
    )
}

/// The mail that asks. `link` is the address at which the Owner says yes or no.
pub(super) fn asked(
    org: &Org,
    change: &OwnerChange,
    old_fingerprint: Option<&str>,
    link: &str,
) -> (String, String) {
    let name = &org.name;
    let (what, from_to, why) = match change.kind {
        OwnerChangeKind::PgpKey => (
            "another OpenPGP key of yours",
            format!(
                "Key on file now:  {}\nNew key:          {}\n\n\
                 Compare the new fingerprint with that of your own key.",
                old_fingerprint.map_or_else(|| "none".to_owned(), in_fours),
                in_fours(&change.shown)
            ),
            "New secrets are encrypted to the key on file.",
        ),
        OwnerChangeKind::Address => (
            "another address of yours",
            format!("New address: {}", change.shown),
            "New secrets, and links to decide with, go to the address on file.",
        ),
        OwnerChangeKind::Owner => (
            "another Owner of record",
            format!("New Owner of record: {}", change.shown),
            "Only the Owner of record can ask for a new secret, and receives it.",
        ),
        OwnerChangeKind::Channel => (
            "another channel for new secrets",
            format!("New channel: {}", change.shown),
            "New secrets reach you by the channel on file.",
        ),
    };
    let silence = match change.kind {
        OwnerChangeKind::Owner => format!(
            "Where you do not answer, two admins of the platform may decide it after {}.\n\
             If it is wrong, say no.",
            time::span(COOL_OFF_WITHOUT_OWNER)
        ),
        _ => format!(
            "Without your yes nothing changes, and after {} this is dropped.",
            time::span(WAITS_FOR)
        ),
    };
    let signature = old_fingerprint.map_or_else(String::new, |old| {
        format!(
            "\nInstead of the link you may sign this line with the key on file, and answer with\n\
             all that it prints:\n\n\
             echo '{}' | gpg --local-user {old} --clearsign\n",
            statement(org, change).replace('\'', r"'\''")
        )
    });
    let body = format!(
        "{} of the platform asked at {} to put {what} on file for {name}.\n{why}\n\n\
         {from_to}\n\n\
         Open this link to say yes or no. It works once:\n{link}\n\n\
         {silence}\n{signature}",
        change.asked_by_name,
        time::seconds(change.asked_at),
    );
    (format!("Do you agree? Another {} for {name}", change.kind.label()), body)
}

/// The mail that says that a change counts from now on; it goes to where the Owner is on file now,
/// and to where they were before where that is another place.
pub(super) fn applied(org: &Org, change: &OwnerChange) -> (String, String) {
    let name = &org.name;
    let now = match change.kind {
        OwnerChangeKind::PgpKey => format!(
            "New secrets for {name} are encrypted to this OpenPGP key from now on:\n{}",
            in_fours(&change.shown)
        ),
        OwnerChangeKind::Address => {
            format!("Mail to the Owner of record of {name} goes to {} from now on.", change.shown)
        }
        OwnerChangeKind::Owner => {
            format!("The Owner of record of {name} is {} from now on.", change.shown)
        }
        OwnerChangeKind::Channel => {
            format!("New secrets of {name} go by this channel from now on: {}.", change.shown)
        }
    };
    (
        format!("Changed: the {} on file for {name}", change.kind.label()),
        format!(
            "{now}\n\nIf you did not agree to that, answer in support at once, and withdraw consent.\n"
        ),
    )
}

/// What a channel is called where a change of it is shown.
pub(super) fn channel(new: &super::NewChannel) -> String {
    match new {
        super::NewChannel::Pgp { pgp_key } => {
            format!("PGP, {}", openpgp::fingerprint_of(pgp_key).unwrap_or_default())
        }
        super::NewChannel::OnePassword { vault_id } => format!("1Password, vault {vault_id}"),
    }
}
