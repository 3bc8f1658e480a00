//! Which logs' newest checkpoints are to be kept. Every function fails where the database does not
//! answer.

use sqlx::AnyConnection;

use super::Result;
use crate::model::Micros;

pub(crate) const NOT_KEPT: &str = "SELECT l.id FROM audit_log l WHERE l.size > 0 AND NOT EXISTS \
     (SELECT 1 FROM audit_checkpoint c WHERE c.log_id = l.id AND c.size = l.size) AND COALESCE( \
     (SELECT c.at FROM audit_checkpoint c WHERE c.log_id = l.id ORDER BY c.size DESC LIMIT 1), l.last_at) <= $1 \
     ORDER BY l.id LIMIT $2";

/// The logs that have rows of which no kept checkpoint is, and whose newest kept one is from before
/// `before`; at most `limit`. So however rows come, one is kept for each minute with any.
pub async fn not_kept(conn: &mut AnyConnection, before: Micros, limit: i64) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(NOT_KEPT).bind(before).bind(limit).fetch_all(conn).await?)
}
