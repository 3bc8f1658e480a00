//! Style, icons and fonts: part of the binary, so that it needs no folder beside it.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use sha2::{Digest, Sha256};

/// The style sheet: its layers in order.
static STYLE: LazyLock<String> = LazyLock::new(|| {
    [
        include_str!("../../../style/reset.css"),
        include_str!("../../../style/tokens.css"),
        include_str!("../../../style/base.css"),
        include_str!("../../../style/components.css"),
        include_str!("../../../style/pages.css"),
        include_str!("../../../style/charts.css"),
        include_str!("../../../style/utilities.css"),
    ]
    .join("\n")
});

/// Where the style sheet is: its address changes with its content, so it can be kept for ever.
pub static STYLE_PATH: LazyLock<String> = LazyLock::new(|| {
    let digest = crate::auth::credential::hex(&Sha256::digest(STYLE.as_bytes()));
    format!("/style.css?v={}", &digest[..12])
});

const FOREVER: &str = "public, max-age=31536000, immutable";
const A_DAY: &str = "public, max-age=86400";

/// `GET /style.css`.
pub async fn style() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, FOREVER)],
        STYLE.as_str(),
    )
}

/// `GET /icons.svg`, `/favicon.svg` and `/favicon-live.svg`.
pub async fn icons() -> impl IntoResponse {
    svg(include_str!("../../../public/icons.svg"))
}

/// `GET /favicon.svg`.
pub async fn favicon() -> impl IntoResponse {
    svg(include_str!("../../../public/favicon.svg"))
}

/// `GET /favicon-live.svg`: red, while an impersonation is live.
pub async fn favicon_live() -> impl IntoResponse {
    svg(include_str!("../../../public/favicon-live.svg"))
}

fn svg(text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "image/svg+xml; charset=utf-8"), (header::CACHE_CONTROL, A_DAY)], text)
}

/// `GET /fonts/{name}`.
pub async fn font(Path(name): Path<String>) -> Response {
    let bytes: &'static [u8] = match name.as_str() {
        "inter-latin-wght-normal.woff2" => {
            include_bytes!("../../../public/fonts/inter-latin-wght-normal.woff2")
        }
        "jetbrains-mono-latin-wght-normal.woff2" => {
            include_bytes!("../../../public/fonts/jetbrains-mono-latin-wght-normal.woff2")
        }
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    ([(header::CONTENT_TYPE, "font/woff2"), (header::CACHE_CONTROL, FOREVER)], bytes)
        .into_response()
}
