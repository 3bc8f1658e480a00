//! What every request finds.

use std::path::PathBuf;
use std::sync::Arc;

use http::{HeaderMap, header};

use super::at_once::AtOnce;
use crate::config::proxies::Proxies;
use crate::desk::Desk;
use crate::model::StaffRole;
use crate::secrets::vault::embedded::EmbeddedVault;
use crate::stop::Stop;
use crate::store::readiness::Readiness;

/// One of the demo's people, for the buttons of its sign-in page.
#[derive(Debug, Clone)]
pub struct DemoPerson {
    /// The address of the account.
    pub email: String,
    /// The name.
    pub name: String,
    /// The role.
    pub role: StaffRole,
}

/// The demo's own doors; there are none outside of it.
#[derive(Debug, Clone)]
pub struct DemoDoors {
    /// Who can sign in with a button.
    pub people: Vec<DemoPerson>,
    /// Where the customer's side is.
    pub customer_side: String,
}

/// The server: built once at start, handed to everything.
#[derive(Debug)]
pub struct App {
    /// The procedure.
    pub desk: Arc<Desk>,
    /// The demo's doors.
    pub demo: Option<DemoDoors>,
    /// The folder with the browser library, where it was built.
    pub pkg: Option<PathBuf>,
    /// The hash of the token with which other services may ask whether a token is live.
    pub introspection_hash: Option<String>,
    /// The hash of the token with which a program may file tickets.
    pub intake_hash: Option<String>,
    /// The proxies in front, and how they name the client.
    pub proxies: Proxies,
    /// What was counted for the strip above the timeline.
    pub density: crate::audit::strips::Strips,
    /// What proofs read of logs again and again.
    pub edges: crate::audit::nodes::Edges,
    /// The embedded vault, where it is the one in use: its tokens can be tried under `/v1/`.
    pub embedded_vault: Option<Arc<EmbeddedVault>>,
    /// The word that the server is to stop.
    pub stop: Stop,
    /// What each client and each person may have under way at once.
    pub at_once: AtOnce,
    /// What was found when it was asked last whether the database takes writes.
    pub readiness: Readiness,
}

impl App {
    /// Whether people reach the console by TLS. Only then can cookies be `Secure`: WebKit keeps no
    /// such cookie of a page that came without, not even of this machine's own address.
    #[must_use]
    pub fn secure(&self) -> bool {
        self.desk.settings.base_url.starts_with("https://")
    }

    /// The name of a cookie: by TLS with the prefix that no other host, and nothing without TLS, can
    /// set a cookie with.
    #[must_use]
    pub fn cookie(&self, name: &str) -> String {
        if self.secure() { format!("__Host-{name}") } else { name.to_owned() }
    }

    /// What sets a cookie of that name, for the whole site. No script sees it.
    #[must_use]
    pub fn set_cookie(&self, name: &str, value: &str, attributes: &str) -> String {
        let secure = if self.secure() { "; Secure" } else { "" };
        format!("{}={value}; Path=/; HttpOnly{secure}; {attributes}", self.cookie(name))
    }

    /// What a request's cookie of that name holds.
    #[must_use]
    pub fn cookie_of<'a>(&self, headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
        let name = self.cookie(name);
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
        cookies
            .flat_map(|c| c.split(';'))
            .filter_map(|c| c.trim().split_once('='))
            .find_map(|(n, value)| (n == name).then_some(value))
    }
}
