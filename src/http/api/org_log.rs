//! An org's own audit log, for its Owner and Admins.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
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
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct From {
    /// The first sequence number, from 0.
    #[serde(default)]
    #[param(minimum = 0, default = 0)]
    from: i64,
    /// At most so many rows: 1 to 500, 100 by default.
    #[param(value_type = Option<i64>, nullable = false, minimum = 1, maximum = 500)]
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
#[utoipa::path(get, path = "/api/v1/org/audit-log", operation_id = "read_org_log", tag = "audit", params(From),
    responses((status = 200, body = OrgLog), (status = 400, body = Problem), (status = 401, body = Problem)),
    security(("org_credential" = [])))]
pub async fn show(
    State(app): State<Arc<App>>,
    who: OrgMember,
    ask: Result<Query<From>, QueryRejection>,
) -> Result<Json<OrgLog>, ApiError> {
    let wrong = StepError::Invalid(
        "from is a whole number from 0, limit one from 1 to 500, and there is nothing else to ask for.",
    );
    let Ok(Query(ask)) = ask else { return Err(wrong.into()) };
    let limit = ask.limit.unwrap_or(100);
    if ask.from < 0 || !(1..=500).contains(&limit) {
        return Err(wrong.into());
    }
    let log = LogId::Org(who.member.org_id).as_string();
    let mut conn = app.desk.store.read().await?;
    let head = audit::head(&mut conn, &log).await?.ok_or(StepError::NotFound)?;
    let rows = audit::range(&mut conn, &log, ask.from, limit).await?;
    let next = rows.last().map(|r| r.seq + 1).filter(|next| *next < head.size);
    Ok(Json(OrgLog {
        log,
        checkpoint: head.checkpoint,
        rows: rows.into_iter().map(|r| r.body).collect(),
        next,
    }))
}
