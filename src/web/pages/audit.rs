//! The audit timeline: the platform's log and the orgs' logs side by side.

use axum::extract::{Path, Query};
use axum::response::Response;
use http::StatusCode;
use leptos::prelude::*;
use serde::Deserialize;

use crate::model::time;
use crate::store::audit::Filter;
use crate::web::door::Door;
use crate::web::shell::{Part, page};

/// What the page is asked for; every field stands in the address.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Ask {
    /// An org's id.
    pub org: String,
    /// A ticket's number.
    pub ticket: String,
    /// A member of staff's id.
    pub admin: String,
    /// An `impersonation_id`.
    pub impersonation: String,
    /// An action.
    pub action: String,
    /// A type of secret.
    pub secret_type: String,
    /// From when, UTC.
    pub from: String,
    /// Until when, UTC.
    pub to: String,
    /// What is older than this place.
    pub before: Option<String>,
    /// What is newer than this place.
    pub after: Option<String>,
}

impl Ask {
    /// The filter that the address asks for. An empty field narrows nothing.
    #[must_use]
    pub fn filter(&self) -> Filter {
        let text = |s: &str| Some(s.trim().to_owned()).filter(|s| !s.is_empty());
        Filter {
            org_id: text(&self.org),
            ticket: text(&self.ticket).map(|t| t.to_uppercase()),
            admin: text(&self.admin),
            impersonation: text(&self.impersonation),
            action: text(&self.action),
            secret_type: text(&self.secret_type),
            from: time::parse(&self.from),
            to: time::parse(&self.to),
        }
    }
}

/// `GET /audit`.
pub async fn show(door: Door, Query(_ask): Query<Ask>) -> Response {
    page(door, StatusCode::OK, "Audit", Part::Audit, view! { <h1>"Audit"</h1> }.into_any()).await
}

/// `GET /audit/rows/{id}`: one row, to be linked to.
pub async fn row(door: Door, Path(_id): Path<String>) -> Response {
    page(door, StatusCode::OK, "Audit row", Part::Audit, view! { <h1>"Audit row"</h1> }.into_any())
        .await
}
