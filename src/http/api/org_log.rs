//! An org's own audit log, for its Owner and Admins.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::caller::OrgMember;
use super::problem::{ApiError, Problem};
use crate::audit::LogId;
use crate::desk::StepError;
use crate::store::audit;
use crate::web::app::App;

/// From where, and how many.
#[derive(Debug, Deserialize, IntoParams)]
pub struct From {
    /// The first sequence number, from 0.
    #[serde(default)]
    from: i64,
    /// At most so many rows: 1 to 500, 100 by default.
    limit: Option<i64>,
}

/// Rows of the log, in order.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrgLog {
    /// The log's id.
    log: String,
    /// The log's newest signed checkpoint (C2SP tlog-checkpoint).
    checkpoint: String,
    /// The rows: canonical JSON, the very text that is hashed into the tree.
    rows: Vec<String>,
    /// Where the next page begins; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

/// Read the org's own audit log.
#[utoipa::path(get, path = "/api/v1/org/audit-log", tag = "audit", params(From),
    responses((status = 200, body = OrgLog), (status = 401, body = Problem)),
    security(("org_credential" = [])))]
pub async fn read(
    State(app): State<Arc<App>>,
    who: OrgMember,
    Query(ask): Query<From>,
) -> Result<Json<OrgLog>, ApiError> {
    let limit = ask.limit.unwrap_or(100).clamp(1, 500);
    let log = LogId::Org(who.member.org_id).as_string();
    let mut conn = app.desk.store.read().await?;
    let head = audit::head(&mut conn, &log).await?.ok_or(StepError::NotFound)?;
    let rows = audit::range(&mut conn, &log, ask.from.max(0), limit).await?;
    let next = rows.last().map(|r| r.seq + 1).filter(|next| *next < head.size);
    Ok(Json(OrgLog {
        log,
        checkpoint: head.checkpoint,
        rows: rows.into_iter().map(|r| r.body).collect(),
        next,
    }))
}
