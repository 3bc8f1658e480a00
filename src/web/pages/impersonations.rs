//! Impersonations.

use axum::response::Response;
use http::StatusCode;
use leptos::prelude::*;

use crate::web::door::Door;
use crate::web::shell::{Part, page};

/// `GET /impersonations`.
pub async fn show(door: Door) -> Response {
    page(
        door,
        StatusCode::OK,
        "Impersonations",
        Part::Impersonations,
        view! { <h1>"Impersonations"</h1> }.into_any(),
    )
    .await
}
