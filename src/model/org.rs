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
        /// Handed to the channel; nobody has confirmed it.
        Sent = "sent" => "sent",
        /// The Owner confirmed that it arrived.
        Acknowledged = "acknowledged" => "acknowledged",
    }
}
