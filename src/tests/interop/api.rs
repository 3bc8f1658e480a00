//! The API under schemathesis, for longer, and on PostgreSQL.

use crate::store::Engine;
use crate::tests::real::api::what_is_described_is_done;

#[tokio::test]
async fn what_is_described_is_done_at_length() {
    what_is_described_is_done(Engine::Postgres, 60, "API").await;
}
