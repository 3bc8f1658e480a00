//! Pages for what went wrong: what happened, what was not done, what to do.

use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use leptos::prelude::*;

use crate::desk::StepError;
use crate::web::door::Door;
use crate::web::fault::{Fault, sentence};
use crate::web::shell::{Part, page, policy};

/// A page that says that something cannot be shown, and why.
pub async fn of(door: Door, e: StepError) -> Response {
    let fault = Fault::from(&e);
    if fault == Fault::Unavailable {
        tracing::error!(error = %e, "a page failed");
    }
    let (happened, todo) = match fault {
        Fault::NotFound => (
            "There is nothing at this address, or nothing that you may see.",
            "Check the number or the id. The look-up field above takes either.",
        ),
        Fault::Forbidden => {
            ("Your role does not allow this.", "Ask a platform admin, if it has to be done.")
        }
        Fault::Invalid => ("That cannot be right.", "Mend the field, and try again."),
        Fault::Conflict => ("This cannot be shown as things stand.", "Mend that, and try again."),
        Fault::TooMany => ("You have enough of this under way.", "Try again then."),
        _ if matches!(e, StepError::NoAnswer(_)) => {
            ("Something outside does not answer.", "Try again in a moment.")
        }
        _ => (
            "Something is broken on our side.",
            "Try again in a moment. If it stays, tell whoever runs Keyturn.",
        ),
    };
    // Words that were written for this case, and hold nothing internal.
    let own = matches!(fault, Fault::Invalid | Fault::Conflict | Fault::TooMany)
        || matches!(e, StepError::NoAnswer(_));
    let status = fault.status();
    let body = view! {
        <div class="error-page">
            <p class="error-code">{status.as_u16()}</p>
            <h1>{status.canonical_reason().unwrap_or("Error")}</h1>
            <dl class="what">
                <dt>"What happened"</dt><dd>{happened}" "{own.then(|| sentence(&e))}</dd>
                <dt>"What was not done"</dt><dd>"Nothing was changed."</dd>
                <dt>"What to do"</dt><dd>{todo}</dd>
            </dl>
            <div class="form-actions"><a class="btn" href="/tickets">"To the tickets"</a></div>
        </div>
    }
    .into_any();
    let title = status.canonical_reason().unwrap_or("Error");
    let mut response = page(door, status, title, Part::None, body).await;
    if let Some(wait) = e.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
    }
    response
}

/// What is answered where not even the frame can be drawn. It depends on nothing.
#[must_use]
pub fn broken() -> Response {
    let mut response = (
        StatusCode::SERVICE_UNAVAILABLE,
        Html(
            "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Unavailable · Keyturn</title>\
             <link rel=\"stylesheet\" href=\"/style.css\"></head><body class=\"solo\"><main class=\"solo-main\">\
             <div class=\"card\"><div class=\"card-head\"><h1>Keyturn is unavailable</h1>\
             <p>Something is broken on our side. Nothing was changed. Try again in a moment.</p></div></div>\
             </main></body></html>",
        ),
    )
        .into_response();
    if let Ok(value) = HeaderValue::from_str(&policy("none")) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, value);
    }
    response
}

/// The answer to an address that is none of ours.
pub async fn not_found(door: Door) -> Response {
    of(door, StepError::NotFound).await
}
