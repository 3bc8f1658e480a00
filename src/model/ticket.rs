//! Support tickets.

crate::model::words! {
    /// Where a ticket stands.
    TicketState("ticket state") {
        /// Nobody has answered yet.
        Open = "open" => "open",
        /// Being worked on, or waiting for the customer.
        Pending = "pending" => "pending",
        /// Handed to Legal: the procedure is over for it.
        Escalated = "escalated" => "escalated",
        /// Answered.
        Solved = "solved" => "solved",
        /// Filed away.
        Closed = "closed" => "closed",
    }
}

impl TicketState {
    /// Whether the procedure may begin or go on for a ticket in this state.
    #[must_use]
    pub const fn can_be_served(self) -> bool {
        matches!(self, TicketState::Open | TicketState::Pending)
    }
}
