//! Impersonations.

use axum::response::Response;
use http::StatusCode;
use leptos::prelude::*;

use crate::web::door::Door;
use crate::web::shell::{Part, page};

/// `GET /impersonations/{id}`.
pub async fn show(door: Door) -> Response {
    page(
        door,
        StatusCode::OK,
        "Impersonation",
        Part::Impersonations,
        view! { <h1>"Impersonation"</h1> }.into_any(),
    )
    .await
}
