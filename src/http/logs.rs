//! The logs as tiles: for staff at `/logs/…`, for a customer its own at `/api/v1/org/log/…`,
//! for auditors' programs the platform's at `/api/v1/platform/log/…` and each org's at
//! `/api/v1/orgs/{id}/log/…`.

use std::sync::Arc;

use axum::extract::{Path as PathOf, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::api::caller::{AuditorProgram, OrgMember};
use super::api::problem::ApiError;
use super::machine;
use crate::audit::LogId;
use crate::audit::tiles::{self, Path};
use crate::desk::{Step, StepError};
use crate::store::audit;
use crate::web::app::App;
use crate::web::at_once::Long;
use crate::web::door::Door;

/// Who is signed in, or what is answered where nobody is.
type MaybeDoor = Result<Door, Response>;

/// `GET /logs/platform/{*path}`: the platform's log.
pub async fn platform(
    door: MaybeDoor,
    headers: HeaderMap,
    PathOf(path): PathOf<String>,
) -> Response {
    for_staff(door, &headers, &LogId::Platform, &path).await
}

/// `GET /logs/org/{id}/{*path}`: an org's log.
pub async fn org(
    door: MaybeDoor,
    headers: HeaderMap,
    PathOf((id, path)): PathOf<(String, String)>,
) -> Response {
    for_staff(door, &headers, &LogId::Org(id), &path).await
}

async fn for_staff(door: MaybeDoor, headers: &HeaderMap, log: &LogId, path: &str) -> Response {
    // What no log has is not found, whoever asks: nobody is led to a sign-in for it.
    if Path::parse(path).is_none() {
        return ApiError::from(StepError::NotFound).into_response();
    }
    let Door { app, who, conn, .. } = match door {
        Ok(door) => door,
        // A program would take the page that it is led to for the file.
        Err(answer) if answer.status().is_redirection() && !machine::wants_page(headers) => {
            return ApiError::NotSignedIn.into_response();
        }
        Err(answer) => return answer,
    };
    drop(conn);
    let found = async {
        let path = known(&app, log, path).await?;
        app.desk.note_view(&who, &format!("/logs/{}", log.as_string()), "").await?;
        read(&app, log, path).await
    };
    match found.await {
        Ok(response) => response,
        Err(e) => ApiError::from(e).into_response(),
    }
}

/// Read the org's own audit log as tiles.
#[utoipa::path(get, path = "/api/v1/org/log/{path}", operation_id = "read_org_tiles", tag = "audit",
    params(("path" = String, Path, pattern = r"^(checkpoint|tile/([0-5]|entries)/(x[0-9]{3}/)*[0-9]{3}(\.p/[1-9][0-9]{0,2})?)$", description = "checkpoint, tile/<L>/<N>[.p/<W>] or tile/entries/<N>[.p/<W>] (C2SP tlog-tiles)")),
    responses((status = 200, description = "The checkpoint as text; a tile as bytes", content((String = "text/plain"), (String = "application/octet-stream"))),
        (status = 401, body = super::api::problem::Problem), (status = 404, body = super::api::problem::Problem)),
    security(("org_credential" = [])))]
pub async fn own(
    State(app): State<Arc<App>>,
    who: OrgMember,
    PathOf(path): PathOf<String>,
) -> Result<Response, ApiError> {
    // Whoever of the org may call at all: the log says what was done to all of them.
    let path = Path::parse(&path).ok_or(StepError::NotFound)?;
    Ok(read(&app, &LogId::Org(who.member.org_id.clone()), path).await?)
}

/// Read the platform's audit log as tiles, with the credential of an auditor's program.
#[utoipa::path(get, path = "/api/v1/platform/log/{path}", operation_id = "read_platform_tiles", tag = "audit",
    params(("path" = String, Path, pattern = r"^(checkpoint|tile/([0-5]|entries)/(x[0-9]{3}/)*[0-9]{3}(\.p/[1-9][0-9]{0,2})?)$", description = "checkpoint, tile/<L>/<N>[.p/<W>] or tile/entries/<N>[.p/<W>] (C2SP tlog-tiles)")),
    responses((status = 200, description = "The checkpoint as text; a tile as bytes", content((String = "text/plain"), (String = "application/octet-stream"))),
        (status = 401, body = super::api::problem::Problem), (status = 404, body = super::api::problem::Problem)),
    security(("auditor_credential" = [])))]
pub async fn for_auditors(
    State(app): State<Arc<App>>,
    who: AuditorProgram,
    PathOf(path): PathOf<String>,
) -> Result<Response, ApiError> {
    Ok(for_program(&app, who, &LogId::Platform, &path).await?)
}

/// Read an org's audit log as tiles, with the credential of an auditor's program.
#[utoipa::path(get, path = "/api/v1/orgs/{id}/log/{path}", operation_id = "read_tiles_of_org", tag = "audit",
    params(("id" = String, Path, description = "The org"),
        ("path" = String, Path, pattern = r"^(checkpoint|tile/([0-5]|entries)/(x[0-9]{3}/)*[0-9]{3}(\.p/[1-9][0-9]{0,2})?)$", description = "checkpoint, tile/<L>/<N>[.p/<W>] or tile/entries/<N>[.p/<W>] (C2SP tlog-tiles)")),
    responses((status = 200, description = "The checkpoint as text; a tile as bytes", content((String = "text/plain"), (String = "application/octet-stream"))),
        (status = 401, body = super::api::problem::Problem), (status = 404, body = super::api::problem::Problem)),
    security(("auditor_credential" = [])))]
pub async fn org_for_auditors(
    State(app): State<Arc<App>>,
    who: AuditorProgram,
    PathOf((id, path)): PathOf<(String, String)>,
) -> Result<Response, ApiError> {
    Ok(for_program(&app, who, &LogId::Org(id), &path).await?)
}

async fn for_program(app: &App, who: AuditorProgram, log: &LogId, path: &str) -> Step<Response> {
    let _under_way = app.at_once.begin(Long::Tiles, &who.auditor.id)?;
    let path = known(app, log, path).await?;
    app.desk.note_auditor_view(who.auditor, &who.from, log).await?;
    read(app, log, path).await
}

/// What is asked for, where the log is there and the path is one. Only what passes is noted: an
/// address may hold anything.
async fn known(app: &App, log: &LogId, path: &str) -> Step<Path> {
    let path = Path::parse(path).ok_or(StepError::NotFound)?;
    let mut conn = app.desk.store.read().await?;
    audit::head(&mut conn, &log.as_string()).await?.ok_or(StepError::NotFound)?;
    Ok(path)
}

async fn read(app: &App, log: &LogId, path: Path) -> Step<Response> {
    let mut conn = app.desk.store.read().await?;
    let head = audit::head(&mut conn, &log.as_string()).await?.ok_or(StepError::NotFound)?;
    let bytes = tiles::read(&mut conn, &head, path).await?.ok_or(StepError::NotFound)?;
    let kind = match path {
        Path::Checkpoint => "text/plain; charset=utf-8",
        Path::Hashes { .. } | Path::Entries { .. } => "application/octet-stream",
    };
    let mut response = (StatusCode::OK, bytes).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    // The address does not say who may read it, so nobody keeps it.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
