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

/// Whether a text has the form of a ticket's number: capital letters, a dash, digits.
#[must_use]
pub fn ticket_like(text: &str) -> bool {
    text.split_once('-').is_some_and(|(desk, number)| {
        (1..=10).contains(&desk.len())
            && desk.bytes().all(|b| b.is_ascii_uppercase())
            && (1..=12).contains(&number.len())
            && number.bytes().all(|b| b.is_ascii_digit())
    })
}

impl TicketState {
    /// Whether the procedure may begin or go on for a ticket in this state.
    #[must_use]
    pub const fn can_be_served(self) -> bool {
        matches!(self, TicketState::Open | TicketState::Pending)
    }
}

#[cfg(test)]
mod tests {
    use super::ticket_like;

    #[test]
    fn only_a_ticket_number_looks_like_one() {
        assert!(ticket_like("NOV-4801"));
        for text in [
            "",
            "NOV",
            "NOV-",
            "-1",
            "nov-1",
            "NOV-48x",
            "NOV-1-2",
            "whsec_abc",
            "NOV-1234567890123",
        ] {
            assert!(!ticket_like(text), "{text}");
        }
    }
}
