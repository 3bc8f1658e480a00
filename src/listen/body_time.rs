//! A body has to come in time: as a whole, not only a byte now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use http::{HeaderValue, StatusCode, header};
use tokio::time::{Instant, timeout_at};

/// Ends the wait for a body that does not come: with 408, and the connection with it. What is
/// being done once a body is there has as long as it takes, and an answer too.
pub async fn in_time(State(time): State<Duration>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let late = Arc::new(AtomicBool::new(false));
    let noted = late.clone();
    let until = Instant::now() + time;
    let request = request.map(|body| {
        let parts = body.into_data_stream();
        Body::from_stream(futures::stream::unfold(Some(parts), move |parts| {
            let noted = noted.clone();
            async move {
                let mut parts = parts?;
                match timeout_at(until, parts.next()).await {
                    Ok(part) => part.map(|part| (part, Some(parts))),
                    Err(_) => {
                        noted.store(true, Ordering::Relaxed);
                        let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
                        Some((Err(axum::Error::new(late)), None))
                    }
                }
            }
        }))
    });
    let response = next.run(request).await;
    if !late.load(Ordering::Relaxed) {
        return response;
    }
    let text = "The body of this request did not come in time. Nothing was done.\n";
    let mut response = (StatusCode::REQUEST_TIMEOUT, text).into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
