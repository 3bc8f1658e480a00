//! What must reach an outside system.

crate::model::words! {
    /// The kinds of thing that are sent through the outbox. Each is worked by itself, so that one
    /// outside system that is down holds up no other.
    OutboxKind("kind of outbox item") {
        /// A mail, over SMTP.
        Mail = "mail" => "Mail",
        /// The revocation of a replaced vault token, by its accessor.
        VaultRevoke = "vault_revoke" => "Revocation of a vault token",
        /// A comment in a ticket, to the support desk outside.
        TicketComment = "ticket_comment" => "Ticket comment",
        /// An item for a shared vault, through 1Password Connect.
        OnePassword = "one_password" => "1Password",
    }
}
