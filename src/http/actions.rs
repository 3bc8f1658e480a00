//! Posts of the pages' forms: the server functions.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use leptos::prelude::provide_context;
use tower_sessions::Session;

use crate::web::app::App;
use crate::web::door::{Flash, flash, local};
use crate::web::fault::Fault;

/// `POST /do/{name}`.
pub async fn act(State(app): State<Arc<App>>, session: Session, request: Request) -> Response {
    let referer =
        request.headers().get(header::REFERER).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let provided = app.clone();
    let mut response = leptos_axum::handle_server_fns_with_context(
        move || provide_context(provided.clone()),
        request,
    )
    .await
    .into_response();
    // Where a form could not even be read, the framework would put its error into the address,
    // where anybody can put another. It becomes a message in the session instead.
    let forged = response
        .headers()
        .get(header::LOCATION)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|l| l.contains("__err=") || l.contains("__path="));
    if forged {
        let back = referer.as_deref().and_then(path_of).unwrap_or_else(|| "/tickets".to_owned());
        flash(
            &session,
            Flash::not_done(Fault::Invalid, "The form could not be read. Load the page again."),
        )
        .await;
        if let Ok(value) = HeaderValue::from_str(local(&back)) {
            response.headers_mut().insert(header::LOCATION, value);
            *response.status_mut() = StatusCode::SEE_OTHER;
        }
    }
    response
}

/// The path of an address, without its query.
fn path_of(address: &str) -> Option<String> {
    url::Url::parse(address).ok().map(|u| u.path().to_owned())
}
