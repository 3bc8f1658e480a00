//! What a server function answers when it did not do what was asked: a closed list, with no free
//! text that could come from a URL.

use http::StatusCode;
use leptos::server_fn::codec::JsonEncoding;
use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};
use serde::{Deserialize, Serialize};

use crate::desk::StepError;

/// Why nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Nobody is signed in.
    SignIn,
    /// The sign-in is too old for this.
    StepUp,
    /// The person may not do this.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// The procedure does not allow it.
    Refused,
    /// Not in this state of things.
    Conflict,
    /// The form makes no sense.
    Invalid,
    /// Too many attempts.
    Throttled,
    /// As much is under way as may be at once.
    TooMany,
    /// Something is broken; it was not done.
    Unavailable,
}

impl Fault {
    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Fault::SignIn | Fault::StepUp => StatusCode::UNAUTHORIZED,
            Fault::Forbidden => StatusCode::FORBIDDEN,
            Fault::NotFound => StatusCode::NOT_FOUND,
            Fault::Refused | Fault::Conflict => StatusCode::CONFLICT,
            Fault::Invalid => StatusCode::BAD_REQUEST,
            Fault::Throttled | Fault::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Fault::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What happened, as a title.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Fault::SignIn => "Please sign in",
            Fault::StepUp => "Please confirm that it is you",
            Fault::Forbidden => "Not allowed: nothing was done",
            Fault::NotFound => "Not found: nothing was done",
            Fault::Refused => "Refused: nothing was started",
            Fault::Conflict => "Not possible now: nothing was done",
            Fault::Invalid => "That cannot be right: nothing was done",
            Fault::Throttled => "Too many attempts",
            Fault::TooMany => "Too much at once: nothing was done",
            Fault::Unavailable => "Something is broken: nothing was done",
        }
    }
}

impl From<&StepError> for Fault {
    fn from(e: &StepError) -> Self {
        match e {
            StepError::Refused(_) => Fault::Refused,
            StepError::NotFound => Fault::NotFound,
            StepError::Forbidden(_) | StepError::Denied(_) => Fault::Forbidden,
            StepError::StepUp => Fault::StepUp,
            StepError::Conflict(_) | StepError::NotPossible(_) | StepError::KeyReused => {
                Fault::Conflict
            }
            StepError::Invalid(_)
            | StepError::Unprocessable(_)
            | StepError::BadKey(_)
            | StepError::WrongPassword => Fault::Invalid,
            StepError::Throttled(_) => Fault::Throttled,
            StepError::TooMany(..) => Fault::TooMany,
            StepError::Store(_)
            | StepError::Audit(_)
            | StepError::Crypto { .. }
            | StepError::Vault(_)
            | StepError::NoAnswer(_)
            | StepError::SharedVault(_)
            | StepError::NotTaken(_)
            | StepError::Outside(_) => Fault::Unavailable,
        }
    }
}

/// What to say of an error. Of a broken thing nothing internal is said.
#[must_use]
pub fn sentence(e: &StepError) -> String {
    match e {
        StepError::Refused(verdict) => {
            let names: Vec<_> = verdict.failed().map(|f| f.check.label()).collect();
            format!(
                "{} {} not pass: {}. The attempt is in the platform log.",
                names.len(),
                if names.len() == 1 { "check does" } else { "checks do" },
                names.join(", ")
            )
        }
        StepError::Store(_)
        | StepError::Audit(_)
        | StepError::Crypto { .. }
        | StepError::SharedVault(_)
        | StepError::NotTaken(_)
        | StepError::Outside(_) => {
            "The cause is in the server's log. Try again; if it stays, tell whoever runs Keyturn."
                .to_owned()
        }
        StepError::NotFound => "There is no such thing, or none that you may know of.".to_owned(),
        other => other.to_string(),
    }
}

impl FromServerFnError for Fault {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(e: ServerFnErrorErr) -> Self {
        match e {
            ServerFnErrorErr::Args(_)
            | ServerFnErrorErr::MissingArg(_)
            | ServerFnErrorErr::Deserialization(_) => Fault::Invalid,
            _ => Fault::Unavailable,
        }
    }
}
