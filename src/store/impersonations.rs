//! Impersonations. Every function fails where the database does not answer.

use sqlx::{AnyConnection, FromRow};

use super::{Key, Result, Tx};
use crate::model::{EndCause, Micros, SecretType};

/// One grant.
#[derive(Clone, PartialEq, Eq, FromRow)]
pub struct Impersonation {
    /// The `impersonation_id`, UUIDv7; the token's `jti`.
    pub id: String,
    /// The platform admin.
    pub admin_id: String,
    /// The org.
    pub org_id: String,
    /// The ticket: `ticket_ref`.
    pub ticket_id: String,
    /// The Owner of record, for whom it is done.
    pub owner_id: String,
    /// The type of the one secret.
    #[sqlx(try_from = "String")]
    pub secret_type: SecretType,
    /// The one secret.
    pub secret_id: String,
    /// The reason that the server composed.
    pub reason: String,
    /// The token's scope.
    pub scope: String,
    /// The key that seals the token.
    pub token_kek: Option<String>,
    /// The token, sealed, while it is live.
    pub token_sealed: Option<Vec<u8>>,
    /// When it began.
    pub started_at: Micros,
    /// When it ends at the latest.
    pub expires_at: Micros,
    /// When it ended.
    pub ended_at: Option<Micros>,
    end_cause: Option<String>,
    /// Who or what ended it.
    pub ended_by: Option<String>,
}

impl std::fmt::Debug for Impersonation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Impersonation")
            .field("id", &self.id)
            .field("admin_id", &self.admin_id)
            .field("org_id", &self.org_id)
            .field("ticket_id", &self.ticket_id)
            .field("secret_id", &self.secret_id)
            .field("ended_at", &self.ended_at)
            .finish_non_exhaustive()
    }
}

impl Impersonation {
    /// Whether it is live at `now`.
    #[must_use]
    pub fn live(&self, now: Micros) -> bool {
        self.ended_at.is_none() && now < self.expires_at
    }

    /// Why it ended.
    #[must_use]
    pub fn end_cause(&self) -> Option<EndCause> {
        self.end_cause.as_deref().and_then(|c| c.parse().ok())
    }

    /// A grant that begins now.
    #[must_use]
    #[allow(clippy::too_many_arguments, reason = "each is a column of its own")]
    pub fn begin(
        id: String,
        admin_id: &str,
        org_id: &str,
        ticket_id: &str,
        owner_id: &str,
        secret: (SecretType, &str),
        times: (Micros, Micros),
        token: (String, Vec<u8>),
    ) -> Self {
        Self {
            id,
            admin_id: admin_id.to_owned(),
            org_id: org_id.to_owned(),
            ticket_id: ticket_id.to_owned(),
            owner_id: owner_id.to_owned(),
            secret_type: secret.0,
            secret_id: secret.1.to_owned(),
            reason: crate::model::impersonation::reason(secret.0, ticket_id),
            scope: crate::model::impersonation::scope(secret.0),
            token_kek: Some(token.0),
            token_sealed: Some(token.1),
            started_at: times.0,
            expires_at: times.1,
            ended_at: None,
            end_cause: None,
            ended_by: None,
        }
    }

    /// The same grant, ended.
    #[cfg(test)]
    pub(crate) fn ended(mut self, at: Micros, cause: EndCause, by: &str) -> Self {
        self.ended_at = Some(at);
        self.end_cause = Some(cause.as_str().to_owned());
        self.ended_by = Some(by.to_owned());
        self
    }
}

const COLUMNS: &str = "SELECT id, admin_id, org_id, ticket_id, owner_id, secret_type, secret_id, reason, scope, \
     token_kek, token_sealed, started_at, expires_at, ended_at, end_cause, ended_by FROM impersonation";

fn select(rest: &str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!("{COLUMNS} {rest}"))
}

/// Records a grant. The unique indexes refuse a second live one for the admin or the org.
pub async fn insert(tx: &mut Tx, i: &Impersonation) -> Result<()> {
    sqlx::query(
        "INSERT INTO impersonation (id, admin_id, org_id, ticket_id, owner_id, secret_type, secret_id, reason, scope, \
         token_kek, token_sealed, started_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(&i.id)
    .bind(&i.admin_id)
    .bind(&i.org_id)
    .bind(&i.ticket_id)
    .bind(&i.owner_id)
    .bind(i.secret_type.as_str())
    .bind(&i.secret_id)
    .bind(&i.reason)
    .bind(&i.scope)
    .bind(i.token_kek.as_deref())
    .bind(i.token_sealed.as_deref())
    .bind(i.started_at)
    .bind(i.expires_at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// These grants, by id.
pub async fn by_ids(
    conn: &mut AnyConnection,
    ids: &[String],
) -> Result<std::collections::HashMap<String, Impersonation>> {
    let mut all = std::collections::HashMap::new();
    for chunk in ids.chunks(200) {
        let places: Vec<String> = (1..=chunk.len()).map(|n| format!("${n}")).collect();
        let sql = select(&format!("WHERE id IN ({})", places.join(", ")));
        let mut query = sqlx::query_as::<_, Impersonation>(sql);
        for id in chunk {
            query = query.bind(id);
        }
        let found = query.fetch_all(&mut *conn).await?;
        all.extend(found.into_iter().map(|grant| (grant.id.clone(), grant)));
    }
    Ok(all)
}

/// The grant with this id.
pub async fn by_id(conn: &mut AnyConnection, id: &str) -> Result<Option<Impersonation>> {
    Ok(sqlx::query_as(select("WHERE id = $1")).bind(id).fetch_optional(conn).await?)
}

/// Every grant that has not been ended (those whose time ran out and that nobody has swept, too).
pub async fn open(conn: &mut AnyConnection) -> Result<Vec<Impersonation>> {
    Ok(sqlx::query_as(select("WHERE ended_at IS NULL ORDER BY expires_at")).fetch_all(conn).await?)
}

/// The open grants of an admin or an org.
pub async fn open_of(
    conn: &mut AnyConnection,
    admin_id: &str,
    org_id: &str,
) -> Result<Vec<Impersonation>> {
    Ok(sqlx::query_as(select(
        "WHERE ended_at IS NULL AND (admin_id = $1 OR org_id = $2) ORDER BY started_at, id",
    ))
    .bind(admin_id)
    .bind(org_id)
    .fetch_all(conn)
    .await?)
}

/// The grants of a ticket, newest first.
pub async fn of_ticket(conn: &mut AnyConnection, ticket_id: &str) -> Result<Vec<Impersonation>> {
    Ok(sqlx::query_as(select("WHERE ticket_id = $1 ORDER BY started_at DESC, id DESC LIMIT 50"))
        .bind(ticket_id)
        .fetch_all(conn)
        .await?)
}

/// A page of grants, newest first, beyond `before`.
pub async fn page(
    conn: &mut AnyConnection,
    live_only: bool,
    before: Option<&Key>,
    limit: i64,
) -> Result<Vec<Impersonation>> {
    let live = if live_only { "AND ended_at IS NULL" } else { "" };
    let (at, id) = before.map_or((i64::MAX, "~"), |k| (k.at, k.id.as_str()));
    Ok(sqlx::query_as(select(&format!(
        "WHERE (started_at, id) < ($1, $2) {live} ORDER BY started_at DESC, id DESC LIMIT $3"
    )))
    .bind(at)
    .bind(id)
    .bind(limit)
    .fetch_all(conn)
    .await?)
}

/// Closes a grant and erases its token; false where somebody else was first.
pub async fn close(tx: &mut Tx, id: &str, at: Micros, cause: EndCause, by: &str) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE impersonation SET ended_at = $2, end_cause = $3, ended_by = $4, token_sealed = NULL, token_kek = NULL \
         WHERE id = $1 AND ended_at IS NULL",
    )
    .bind(id)
    .bind(at)
    .bind(cause.as_str())
    .bind(by)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}
