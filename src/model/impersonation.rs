//! One grant: one admin, one org, one secret, one ticket, one reason, minutes long.

use super::SecretType;

crate::model::words! {
    /// Why an impersonation is over.
    EndCause("end cause") {
        /// The handoff was made; the same button ended it.
        Handoff = "handoff" => "handoff",
        /// Its own admin ended it.
        Admin = "admin" => "ended by its admin",
        /// Its time ran out.
        Expired = "expired" => "expired",
        /// The org's consent went away.
        ConsentWithdrawn = "consent_withdrawn" => "consent withdrawn",
        /// Its admin was disabled or lost the role.
        AdminDisabled = "admin_disabled" => "admin disabled",
        /// Another platform admin ended it.
        OtherAdmin = "other_admin" => "ended by another admin",
    }
}

crate::model::words! {
    /// How an impersonation stands besides its verdict: what is asked for on the timeline, and
    /// counted on the overview.
    Stand("standing") {
        /// Its token was open longer than it had to be.
        Overstayed = "overstayed" => "open too long",
        /// Its handoff was made, and the Owner has not confirmed it.
        Unacknowledged = "unacknowledged" => "handoff not acknowledged",
        /// The vault token that it replaced still works.
        Owing = "owing" => "revoke owed",
        /// It ended within a minute of its handoff.
        Prompt = "prompt" => "ended within a minute of the handoff",
        /// It ended later than that.
        Late = "late" => "ended later than a minute after the handoff",
    }
}

/// The reason of an impersonation. The server composes it; nobody edits it.
#[must_use]
pub fn reason(secret_type: SecretType, ticket: &str) -> String {
    format!("rotate stuck {secret_type} per ticket {ticket}")
}

/// The scope of the token: the rotation of one kind of secret (RFC 6749 section 3.3).
#[must_use]
pub fn scope(secret_type: SecretType) -> String {
    format!("{secret_type}:rotate")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_has_the_runbooks_form() {
        assert_eq!(
            reason(SecretType::WebhookSigningKey, "NOV-4801"),
            "rotate stuck webhook_signing_key per ticket NOV-4801"
        );
    }

    #[test]
    fn words_survive_the_round_trip_and_nothing_else_is_accepted() {
        for cause in EndCause::ALL {
            assert_eq!(cause.as_str().parse::<EndCause>().as_ref(), Ok(cause));
        }
        assert!("Handoff".parse::<EndCause>().is_err());
    }
}
