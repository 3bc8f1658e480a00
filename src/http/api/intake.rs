//! The embedded desk's intake, for a program with the intake credential.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequestParts, Path, State};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

use super::caller::bearer;
use super::problem::{ApiError, Problem};
use super::read;
use crate::auth::credential;
use crate::desk::StepError;
use crate::desk::intake::{self, NewMessage, NewTicket};
use crate::model::{Micros, time};
use crate::web::app::App;
use crate::web::door::client;
use crate::web::known::Known;

/// The program that may file tickets.
#[derive(Debug)]
pub struct Program {
    from: String,
}

impl FromRequestParts<Arc<App>> for Program {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        // Where no credential is set up there is no intake.
        let Some(known) = app.intake_hash.as_deref().filter(|h| !h.is_empty()) else {
            return Err(StepError::NotFound.into());
        };
        let given = bearer(parts).map(|t| credential::hash(&t)).unwrap_or_default();
        if !bool::from(given.as_bytes().ct_eq(known.as_bytes())) {
            return Err(ApiError::Unauthenticated);
        }
        Known::note(&parts.extensions, "program", "intake");
        Ok(Self { from: client(app, &parts.headers, &parts.extensions) })
    }
}

/// A ticket to be filed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TicketBody {
    /// Its number, `NOV-4821`; the next free one where absent.
    number: Option<String>,
    /// The org's id or short name.
    #[schema(min_length = 1, pattern = r"^[^\x00]*\S[^\x00]*$")]
    org: String,
    /// What it is about: up to 200 characters.
    #[schema(max_length = 200, pattern = r"^[^\x00]*\S[^\x00]*$")]
    subject: String,
    /// Who asks.
    requester: Requester,
    /// How support authenticated the requester; `null` where it did not.
    authenticated: Option<Authenticated>,
    /// The secret it is about. Never its value.
    secret: Option<NamedSecret>,
    /// Whether that secret is suspected to have leaked.
    #[serde(default)]
    suspected_leak: bool,
    /// What the customer wrote: up to 10,000 characters.
    #[schema(max_length = 10_000, pattern = r"^[^\x00]*\S[^\x00]*$")]
    message: String,
}

/// Who asks.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Requester {
    /// The name.
    #[schema(max_length = 200, pattern = r"^[^\x00]*\S[^\x00]*$")]
    name: String,
    /// The address, by which the member is found.
    #[schema(max_length = 254, pattern = r"^[^\x00]*\S[^\x00]*$")]
    email: String,
}

/// How support authenticated the requester.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Authenticated {
    /// How, in a few words.
    #[schema(max_length = 200, pattern = r"^[^\x00]*\S[^\x00]*$")]
    how: String,
    /// When: RFC 3339.
    #[schema(format = DateTime)]
    at: String,
}

/// A secret by its name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedSecret {
    /// `webhook_signing_key`, `vault_token` or `mtls_certificate`.
    #[schema(value_type = SecretKind)]
    #[serde(rename = "type")]
    kind: String,
    /// The customer's own id for it.
    #[schema(pattern = r"^[A-Za-z0-9_.-]{1,100}$")]
    id: String,
}

/// The types of secrets.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(
    dead_code,
    reason = "for the description: what is read is a text, so that a wrong one is answered in words"
)]
pub enum SecretKind {
    /// A webhook's signing key.
    WebhookSigningKey,
    /// A vault token.
    VaultToken,
    /// A gateway's certificate.
    MtlsCertificate,
}

/// Whose words a message is.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(dead_code, reason = "for the description, as above")]
pub enum MessageKind {
    /// The customer's.
    Customer,
    /// What support noted.
    Note,
}

/// A message to be added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageBody {
    /// `customer`, or `note` for what support noted.
    #[schema(value_type = MessageKind)]
    kind: String,
    /// Who wrote it.
    #[schema(max_length = 200, pattern = r"^[^\x00]*\S[^\x00]*$")]
    author: String,
    /// The text: up to 10,000 characters.
    #[schema(max_length = 10_000, pattern = r"^[^\x00]*\S[^\x00]*$")]
    text: String,
    /// How support authenticated the requester who wrote it; `null` where it did not. A newer one
    /// takes the place of what the ticket has.
    #[serde(default)]
    authenticated: Option<Authenticated>,
    /// The program's own id for it: sent again, it is the same message.
    #[schema(pattern = r"^[A-Za-z0-9_.-]{1,100}$")]
    id: Option<String>,
}

/// The ticket that was filed.
#[derive(Debug, Serialize, ToSchema)]
pub struct FiledTicket {
    /// Its number.
    number: String,
}

/// The message that was added.
#[derive(Debug, Serialize, ToSchema)]
pub struct AddedMessage {
    /// Its id.
    id: String,
}

/// File a ticket. The same again, by its number or its `Idempotency-Key`, is the same ticket.
#[utoipa::path(post, path = "/api/v1/tickets", operation_id = "file_ticket", tag = "intake", request_body = TicketBody,
    params(("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 200, pattern = r"^[!-~]([ -~]{0,198}[!-~])?$", description = "The same key gives the same ticket")),
    responses((status = 201, body = FiledTicket), (status = 200, body = FiledTicket),
        (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem, description = "there is no intake here"),
        (status = 409, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem)),
    security(("intake_token" = [])))]
pub async fn file(
    State(app): State<Arc<App>>,
    program: Program,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<FiledTicket>), ApiError> {
    let body: TicketBody = json(&headers, &body)?;
    let authenticated = proof(body.authenticated)?;
    let secret = match body.secret {
        None => None,
        Some(s) => {
            let kind = s.kind.parse().map_err(|_| {
                StepError::Invalid(
                    "secret.type is webhook_signing_key, vault_token or mtls_certificate.",
                )
            })?;
            Some((kind, s.id))
        }
    };
    let key = read::idempotency_key(&headers)?;
    let new = NewTicket {
        number: body.number,
        org: body.org,
        subject: body.subject,
        requester_name: body.requester.name,
        requester_email: body.requester.email,
        authenticated,
        secret,
        suspected_leak: body.suspected_leak,
        message: body.message,
        key,
    };
    let by = intake::program(&program.from);
    let mut tx = app.desk.begin().await?;
    let step = app.desk.file_ticket(&mut tx, &by, &new).await;
    let filed = app.desk.settle(tx, step).await?;
    let status = if filed.before { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(FiledTicket { number: filed.id })))
}

/// Add a message to a ticket. The same again, by its id, is the same message.
#[utoipa::path(post, path = "/api/v1/tickets/{id}/messages", operation_id = "add_ticket_message", tag = "intake", request_body = MessageBody,
    params(("id" = String, Path, description = "The ticket's number")),
    responses((status = 201, body = AddedMessage), (status = 200, body = AddedMessage),
        (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem), (status = 415, body = Problem),
        (status = 422, body = Problem)),
    security(("intake_token" = [])))]
pub async fn add_message(
    State(app): State<Arc<App>>,
    program: Program,
    Path(number): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<AddedMessage>), ApiError> {
    let body: MessageBody = json(&headers, &body)?;
    let by_customer = match body.kind.as_str() {
        "customer" => true,
        "note" => false,
        _ => return Err(StepError::Invalid("kind is customer or note.").into()),
    };
    let new = NewMessage {
        by_customer,
        author: body.author,
        text: body.text,
        authenticated: proof(body.authenticated)?,
        id: body.id,
    };
    let by = intake::program(&program.from);
    let mut tx = app.desk.begin().await?;
    let step = app.desk.add_ticket_message(&mut tx, &by, &number, &new).await;
    let added = app.desk.settle(tx, step).await?;
    let status = if added.before { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(AddedMessage { id: added.id })))
}

fn proof(given: Option<Authenticated>) -> Result<Option<(String, Micros)>, ApiError> {
    let Some(Authenticated { how, at }) = given else { return Ok(None) };
    let at = time::parse(&at)
        .ok_or(StepError::Invalid("authenticated.at is an instant in RFC 3339."))?;
    Ok(Some((how, at)))
}

/// Reads a body of JSON. Attachments are refused in words, since a program may well send one.
fn json<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, ApiError> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.split(';').next())
        .unwrap_or_default()
        .trim()
        .to_lowercase();
    if kind != "application/json" {
        return Err(ApiError::Unsupported(
            "The body is JSON (Content-Type: application/json). Attachments are not taken: nothing could tell whether there is a secret in one.",
        ));
    }
    let attached = ["attachment", "attachments", "files", "uploads"];
    let named: Value = serde_json::from_slice(body).unwrap_or_default();
    if attached.iter().any(|name| named.get(name).is_some()) {
        return Err(StepError::Unprocessable(
            "Attachments are not taken: nothing could tell whether there is a secret in one. Put what matters into the text.",
        )
        .into());
    }
    read::json(body)
}
