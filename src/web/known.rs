//! Who a request turned out to be from, for the line of the process log that it leaves.

use std::sync::{Arc, OnceLock};

use http::Extensions;

/// Noted once a request's credential was found to be one, read when it was answered.
#[derive(Debug, Clone, Default)]
pub struct Known(Arc<OnceLock<String>>);

impl Known {
    /// Notes who a request is from: the kind and the id, which says nothing to others.
    pub fn note(extensions: &Extensions, kind: &str, id: &str) {
        if let Some(known) = extensions.get::<Self>() {
            // A request has one credential: whoever was noted first stays.
            let _ = known.0.set(format!("{kind}:{id}"));
        }
    }

    /// Who it is; nobody where no credential was shown, or none that holds.
    #[must_use]
    pub fn who(&self) -> &str {
        self.0.get().map_or("nobody", String::as_str)
    }
}
