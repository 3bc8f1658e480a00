//! RFC 7662: another service of the platform asks whether a token is live.
//!
//! It shows `introspection_token`, in one of two ways: as a bearer, or as the password of HTTP
//! Basic (RFC 6749 section 2.3.1), which most libraries of OAuth send.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::{Form, Json, RequestExt};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::caller::bearer_in;
use super::problem::{ApiError, Problem, SERVICE_NAME};
use crate::auth::credential;
use crate::desk::StepError;
use crate::web::app::App;
use crate::web::known::Known;

/// RFC 7662 section 2.1.
#[derive(Deserialize, ToSchema)]
pub struct Question {
    /// The token.
    token: String,
    /// What kind of token it is thought to be. It is not looked at.
    #[serde(rename = "token_type_hint")]
    #[allow(dead_code, reason = "it may be sent, and is read as a part of the form")]
    hint: Option<String>,
}

/// RFC 7662 section 2.2.
#[derive(Serialize, ToSchema)]
pub struct Introspection {
    /// Whether the token is live.
    active: bool,
    /// What the token says (RFC 9068), where it is live: `iss`, `sub`, `aud`, `exp`, `act` and
    /// more.
    #[serde(flatten)]
    claims: Map<String, Value>,
}

/// Ask whether an impersonation token is live. Inactive, unknown and malformed tokens all get
/// `{"active": false}` and nothing else. The user name of HTTP Basic is `introspection`.
#[utoipa::path(post, path = "/api/v1/introspect", operation_id = "introspect", tag = "tokens",
    request_body(content = Question, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = Introspection, description = "RFC 7662 section 2.2"),
        (status = 400, body = Problem), (status = 401, body = Problem), (status = 415, body = Problem)),
    security(("service_token" = []), ("service_basic" = [])))]
pub async fn ask(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Json<Introspection>, ApiError> {
    let (parts, body) = request.into_parts();
    let known = app.introspection_hash.as_deref().unwrap_or_default();
    if known.is_empty() || !is_the_service(&parts.headers, known) {
        let sent = parts.headers.contains_key(header::AUTHORIZATION);
        return Err(ApiError::NotTheService { sent });
    }
    Known::note(&parts.extensions, "program", "introspection");
    let Form(question): Form<Question> = Request::from_parts(parts, body).extract().await.map_err(
        |rejection: axum::extract::rejection::FormRejection| {
            use axum::extract::rejection::FormRejection;
            match rejection {
                FormRejection::InvalidFormContentType(_) => ApiError::Unsupported(
                    "The body is a form (Content-Type: application/x-www-form-urlencoded).",
                ),
                _ => ApiError::BadForm("The body is a form with the field token, once."),
            }
        },
    )?;
    let mut conn = app.desk.store.read().await.map_err(StepError::from)?;
    Ok(Json(match app.desk.check_token(&mut conn, &question.token.into()).await? {
        Err(_) => Introspection { active: false, claims: Map::new() },
        Ok((claims, _)) => {
            let mut said = match serde_json::to_value(&claims) {
                Ok(Value::Object(said)) => said,
                _ => return Err(StepError::Outside("claims that are no object".into()).into()),
            };
            said.insert("token_type".into(), "Bearer".into());
            Introspection { active: true, claims: said }
        }
    }))
}

/// Whether a request shows the token of this hash. Every way in which it may stand there is
/// compared, in a time that does not tell how far it agrees.
fn is_the_service(headers: &HeaderMap, known: &str) -> bool {
    let given = match bearer_in(headers) {
        Some(token) => vec![token],
        None => passwords(headers),
    };
    given.iter().fold(false, |found, token| {
        found | bool::from(credential::hash(token).as_bytes().ct_eq(known.as_bytes()))
    })
}

/// The password of HTTP Basic (RFC 7617), as it is and as the form encoding that RFC 6749 section
/// 2.3.1 asks for has it: many clients leave that out.
fn passwords(headers: &HeaderMap) -> Vec<SecretString> {
    let pair = || {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, encoded) = value.split_once(' ')?;
        let pair = STANDARD.decode(encoded.trim()).ok().map(Zeroizing::new)?;
        let pair = Zeroizing::new(std::str::from_utf8(&pair).ok()?.to_owned());
        let (name, password) = pair.split_once(':')?;
        (scheme.eq_ignore_ascii_case("basic") && name == SERVICE_NAME)
            .then(|| SecretString::from(password))
    };
    let Some(password) = pair() else { return Vec::new() };
    // `=` and `&` would end a value: they are only ever there where nothing is encoded.
    let form = format!("p={}", password.expose_secret());
    let decoded = url::form_urlencoded::parse(form.as_bytes()).next();
    let decoded = decoded.map(|(_, value)| SecretString::from(value.into_owned()));
    std::iter::once(password).chain(decoded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())])
    }

    fn basic(pair: &str) -> HeaderMap {
        with(&format!("Basic {}", STANDARD.encode(pair)))
    }

    const TOKEN: &str = "a+b%2Fc d:e&f=g-0123456789abcdef";

    #[test]
    fn the_token_counts_as_bearer_and_as_password_encoded_or_not() {
        let known = credential::hash(&TOKEN.into());
        let encoded: String = url::form_urlencoded::byte_serialize(TOKEN.as_bytes()).collect();
        for headers in [
            with(&format!("Bearer {TOKEN}")),
            with(&format!("bearer {TOKEN}")),
            basic(&format!("introspection:{TOKEN}")),
            basic(&format!("introspection:{encoded}")),
            with(&format!("basic {}", STANDARD.encode(format!("introspection:{TOKEN}")))),
        ] {
            assert!(is_the_service(&headers, &known), "{headers:?}");
        }
    }

    #[test]
    fn nothing_else_does() {
        let known = credential::hash(&TOKEN.into());
        for headers in [
            HeaderMap::new(),
            with("Basic"),
            with("Basic ="),
            with(&format!("Basic {TOKEN}")),
            with(&format!("Digest {}", STANDARD.encode(format!("introspection:{TOKEN}")))),
            basic(TOKEN),
            basic(&format!(":{TOKEN}")),
            basic(&format!("Introspection:{TOKEN}")),
            basic(&format!("keyturn:{TOKEN}")),
            basic("introspection:"),
            basic(&format!("introspection:{TOKEN}x")),
            basic(&format!("introspection:{}", &TOKEN[1..])),
            basic("introspection:a+b%2Fc"),
        ] {
            assert!(!is_the_service(&headers, &known), "{headers:?}");
        }
    }
}
