//! The ticket.

use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use leptos::prelude::*;

use crate::web::door::Door;
use crate::web::shell::{Part, page};

/// `GET /tickets/{id}`.
pub async fn show(door: Door, Path(_id): Path<String>) -> Response {
    page(door, StatusCode::OK, "Ticket", Part::Tickets, view! { <h1>"Ticket"</h1> }.into_any())
        .await
}

/// `GET /handoffs/{id}/message.asc`.
pub async fn ciphertext(door: Door, Path(_id): Path<String>) -> Response {
    page(door, StatusCode::OK, "x", Part::Tickets, view! { <h1>"Ticket"</h1> }.into_any()).await
}
