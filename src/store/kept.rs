//! Which logs' newest checkpoints are to be kept. Every function fails where the database does not
//! answer.

use sqlx::AnyConnection;

use super::Result;
use crate::model::Micros;

pub(crate) const NOT_KEPT: &str = "SELECT l.id FROM audit_log l WHERE l.size > 0 AND l.last_at <= $1 AND NOT EXISTS \
     (SELECT 1 FROM audit_checkpoint c WHERE c.log_id = l.id AND c.size = l.size) ORDER BY l.id LIMIT $2";

/// The logs whose newest row is from before `before`, and whose checkpoint with that row is not
/// kept; at most `limit`.
pub async fn not_kept(conn: &mut AnyConnection, before: Micros, limit: i64) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(NOT_KEPT).bind(before).bind(limit).fetch_all(conn).await?)
}
