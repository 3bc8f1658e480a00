//! Organizations.

use axum::response::Response;
use http::StatusCode;
use leptos::prelude::*;

use crate::web::door::Door;
use crate::web::shell::{Part, page};

/// `GET /orgs/{slug}`.
pub async fn show(door: Door) -> Response {
    page(
        door,
        StatusCode::OK,
        "Organization",
        Part::Orgs,
        view! { <h1>"Organization"</h1> }.into_any(),
    )
    .await
}
