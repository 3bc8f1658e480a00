//! The customer: members, standing, and the way a new secret reaches the Owner.

crate::model::words! {
    /// A member's role in the org.
    MemberRole("member role") {
        /// May do everything in the org.
        Owner = "owner" => "Owner",
        /// May rotate keys.
        Admin = "admin" => "Admin",
        /// Runs things; may not rotate keys.
        Operator = "operator" => "Operator",
        /// Looks on.
        Viewer = "viewer" => "Viewer",
    }
}

impl MemberRole {
    /// Whether the role may rotate the org's keys by itself ("Rotate API keys").
    #[must_use]
    pub const fn may_rotate(self) -> bool {
        matches!(self, MemberRole::Owner | MemberRole::Admin)
    }
}

crate::model::words! {
    /// Whether a member can use the role now.
    Standing("standing") {
        /// Can sign in.
        Active = "active" => "active",
        /// Cannot sign in (lost second factor, lost mailbox …).
        LockedOut = "locked_out" => "locked out",
        /// Barred by the org.
        Suspended = "suspended" => "suspended",
        /// No longer there.
        Departed = "departed" => "departed",
    }
}

/// `allow_platform_impersonation`, and how far it goes (US-PLAT-12).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// The platform may not act for the org.
    Off,
    /// It may, for the ticket of this number only. It goes off by itself when that is done.
    ForTicket(String),
    /// It may, until the Owner withdraws it.
    UntilWithdrawn,
}

impl Consent {
    /// `allow_platform_impersonation`: whether there is consent to anything at all.
    #[must_use]
    pub const fn on(&self) -> bool {
        !matches!(self, Consent::Off)
    }

    /// Whether it covers what is done for this ticket.
    #[must_use]
    pub fn covers(&self, ticket: &str) -> bool {
        match self {
            Consent::Off => false,
            Consent::ForTicket(only) => only == ticket,
            Consent::UntilWithdrawn => true,
        }
    }

    /// The one ticket that it is for.
    #[must_use]
    pub fn only_for(&self) -> Option<&str> {
        match self {
            Consent::ForTicket(only) => Some(only),
            Consent::Off | Consent::UntilWithdrawn => None,
        }
    }
}

/// A fingerprint in groups of four, as people read it out. What is none is left as it is.
#[must_use]
pub fn in_fours(fingerprint: &str) -> String {
    match fingerprint.len() {
        40 | 64 if fingerprint.bytes().all(|b| b.is_ascii_hexdigit()) => fingerprint
            .as_bytes()
            .chunks(4)
            .map(String::from_utf8_lossy)
            .collect::<Vec<_>>()
            .join(" "),
        _ => fingerprint.to_owned(),
    }
}

crate::model::words! {
    /// What of the way to the Owner changes.
    OwnerChangeKind("kind of an owner change") {
        /// The OpenPGP key on file.
        PgpKey = "pgp_key" => "OpenPGP key",
        /// The address on file, where the Owner's mail goes.
        Address = "address" => "address",
        /// The Owner of record.
        Owner = "owner" => "Owner of record",
        /// The channel of the runbook entry, or the vault that it names.
        Channel = "channel" => "handoff channel",
    }
}

crate::model::words! {
    /// What has become of a change of the way to the Owner.
    OwnerChangeState("state of an owner change") {
        /// Asked for; what is on file is still what is used.
        Waiting = "waiting" => "waiting",
        /// The new one is what is used.
        Applied = "applied" => "applied",
        /// The Owner objected.
        Objected = "objected" => "objected to by the Owner",
        /// A platform admin cancelled it, nobody agreed in time, or it was no good any more.
        Cancelled = "cancelled" => "cancelled",
    }
}

crate::model::words! {
    /// How the Owner agreed to a change.
    AgreedHow("way to agree") {
        /// By the link in the mail to the address on file.
        Link = "link" => "by the link in the mail to the address on file",
        /// By a signature of the OpenPGP key on file.
        Signature = "signature" => "by a signature of the key on file",
    }
}

crate::model::words! {
    /// How the runbook says a new secret reaches the Owner of record.
    Channel("handoff channel") {
        /// Encrypted to the Owner's on-file OpenPGP key, mailed to the address on file.
        Pgp = "pgp" => "PGP",
        /// An item in the 1Password vault that is shared with the customer.
        OnePassword = "one_password" => "1Password",
    }
}

crate::model::words! {
    /// How far a handoff has come.
    HandoffState("handoff state") {
        /// Encrypted, and not yet handed to the channel.
        Sealed = "sealed" => "sealed",
        /// Handed to the channel, which has yet to take it.
        Queued = "queued" => "leaving",
        /// The channel has it: the mail server took the mail, or the item is in the shared vault.
        /// Nobody has confirmed it.
        Sent = "sent" => "sent",
        /// The channel will not take it as it is.
        Undelivered = "undelivered" => "undelivered",
        /// The Owner confirmed that it arrived.
        Acknowledged = "acknowledged" => "acknowledged",
    }
}

crate::model::words! {
    /// Over which channel somebody of staff heard from the Owner that a handoff arrived.
    ConfirmedOver("channel of a confirmation") {
        /// By telephone, at a number that is known from elsewhere.
        Telephone = "telephone" => "By telephone",
        /// In a video call.
        VideoCall = "video_call" => "In a video call",
        /// Face to face.
        InPerson = "in_person" => "In person",
        /// In the support ticket, from a signed-in session.
        Ticket = "ticket" => "In the support ticket, signed in",
        /// By a mail that the Owner's key has signed.
        SignedMail = "signed_mail" => "By signed mail",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects the other tickets of an org that agreed to one.
    #[test]
    fn consent_covers_the_ticket_it_was_given_for_and_no_other() {
        let one = Consent::ForTicket("NOV-1".to_owned());
        assert!(one.on() && one.covers("NOV-1"));
        for other in ["NOV-2", "NOV-11", "nov-1", ""] {
            assert!(!one.covers(other), "{other}");
            assert!(Consent::UntilWithdrawn.covers(other));
            assert!(!Consent::Off.covers(other));
        }
        assert!(!Consent::Off.on());
    }

    #[test]
    fn a_fingerprint_reads_in_fours_and_anything_else_stays() {
        assert_eq!(in_fours(&"AB12".repeat(10)), ["AB12"; 10].join(" "));
        for other in ["", "AB12", "vault abcdefghijklmnopqrstuvwxyz", &"xyz!".repeat(10)] {
            assert_eq!(in_fours(other), other);
        }
    }
}
