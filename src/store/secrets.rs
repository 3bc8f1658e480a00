//! Secrets, their versions, and rotations. Every function fails where the database does not
//! answer.

use sqlx::{AnyConnection, FromRow};

use super::{Result, Tx};
use crate::model::{Micros, SecretType, VersionState};

/// A secret of an org, without its value.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Secret {
    /// The customer's own id for it: `whk_…`, `vtk_…`, `gw_…`.
    pub id: String,
    /// The org.
    pub org_id: String,
    /// Its type.
    #[sqlx(try_from = "String")]
    pub secret_type: SecretType,
    /// What people call it.
    pub label: String,
    /// Where a webhook's messages go; what a vault token is pinned to; which gateway it is.
    pub target: String,
    /// The live version.
    pub version: i64,
    /// When it stops working by itself.
    pub expires_at: Option<Micros>,
    /// When it was made.
    pub created_at: Micros,
}

/// One version of a secret.
#[derive(Clone, PartialEq, Eq, FromRow)]
pub struct Version {
    /// The secret.
    pub secret_id: String,
    /// Counted from 1.
    pub version: i64,
    /// What it is good for.
    #[sqlx(try_from = "String")]
    pub state: VersionState,
    /// When it was made.
    pub created_at: Micros,
    /// When a retiring version stops being accepted; absent while that hangs on the handoff.
    pub retires_at: Option<Micros>,
    /// The key-encryption key that seals the value.
    pub kek_id: Option<String>,
    /// The sealed value.
    pub sealed: Option<Vec<u8>>,
    /// Its name outside: a vault token's accessor, a certificate's serial.
    pub reference: Option<String>,
}

// Ciphertext says nothing in a log, and is long.
impl std::fmt::Debug for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Version")
            .field("secret_id", &self.secret_id)
            .field("version", &self.version)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Version {
    /// Whether messages are still signed with this version at `now`.
    #[must_use]
    pub fn accepted(&self, now: Micros) -> bool {
        match self.state {
            VersionState::Live => true,
            VersionState::Retiring => self.retires_at.is_none_or(|at| at > now),
            VersionState::Pending | VersionState::Retired | VersionState::Failed => false,
        }
    }
}

const COLUMNS: &str =
    "SELECT id, org_id, secret_type, label, target, version, expires_at, created_at FROM secret";

/// Adds a secret.
pub async fn insert(conn: &mut AnyConnection, s: &Secret) -> Result<()> {
    sqlx::query(
        "INSERT INTO secret (id, org_id, secret_type, label, target, version, expires_at, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(&s.id)
    .bind(&s.org_id)
    .bind(s.secret_type.as_str())
    .bind(&s.label)
    .bind(&s.target)
    .bind(s.version)
    .bind(s.expires_at)
    .bind(s.created_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// The secret with this id, whosever it is. Whoever shows it checks the org.
pub async fn by_id(conn: &mut AnyConnection, id: &str) -> Result<Option<Secret>> {
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE id = $1")))
        .bind(id)
        .fetch_optional(conn)
        .await?)
}

/// The secret with this id, if it is the org's.
pub async fn of_org(conn: &mut AnyConnection, org_id: &str, id: &str) -> Result<Option<Secret>> {
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE id = $1 AND org_id = $2")))
        .bind(id)
        .bind(org_id)
        .fetch_optional(conn)
        .await?)
}

/// Every secret of an org.
pub async fn all_of_org(conn: &mut AnyConnection, org_id: &str) -> Result<Vec<Secret>> {
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE org_id = $1 ORDER BY id")))
        .bind(org_id)
        .fetch_all(conn)
        .await?)
}

/// Every version of a secret, newest first.
pub async fn versions(conn: &mut AnyConnection, secret_id: &str) -> Result<Vec<Version>> {
    Ok(sqlx::query_as(
        "SELECT secret_id, version, state, created_at, retires_at, kek_id, sealed, reference FROM secret_version \
         WHERE secret_id = $1 ORDER BY version DESC",
    )
    .bind(secret_id)
    .fetch_all(conn)
    .await?)
}

/// Adds a version.
pub async fn insert_version(
    conn: &mut AnyConnection,
    v: &Version,
    fingerprint: Option<&str>,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO secret_version (secret_id, version, state, created_at, retires_at, kek_id, sealed, fingerprint, \
         reference) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(&v.secret_id)
    .bind(v.version)
    .bind(v.state.as_str())
    .bind(v.created_at)
    .bind(v.retires_at)
    .bind(v.kek_id.as_deref())
    .bind(v.sealed.as_deref())
    .bind(fingerprint)
    .bind(v.reference.as_deref())
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes `version` the live one, if `before` still is; false where another rotation was first.
pub async fn advance(tx: &mut Tx, secret_id: &str, before: i64, version: i64) -> Result<bool> {
    let done = sqlx::query("UPDATE secret SET version = $3 WHERE id = $1 AND version = $2")
        .bind(secret_id)
        .bind(before)
        .bind(version)
        .execute(tx.conn())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Keeps what a version is called outside.
pub async fn set_reference(
    tx: &mut Tx,
    secret_id: &str,
    version: i64,
    reference: &str,
) -> Result<()> {
    sqlx::query("UPDATE secret_version SET reference = $3 WHERE secret_id = $1 AND version = $2")
        .bind(secret_id)
        .bind(version)
        .bind(reference)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Keeps when a secret stops working by itself.
pub async fn set_expires(tx: &mut Tx, secret_id: &str, expires_at: Micros) -> Result<()> {
    sqlx::query("UPDATE secret SET expires_at = $2 WHERE id = $1")
        .bind(secret_id)
        .bind(expires_at)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Puts a version into another state. A retired or failed version's sealed value is erased.
pub async fn set_state(
    tx: &mut Tx,
    secret_id: &str,
    version: i64,
    state: VersionState,
    retires_at: Option<Micros>,
) -> Result<()> {
    let sql = if matches!(state, VersionState::Retired | VersionState::Failed) {
        "UPDATE secret_version SET state = $3, retires_at = $4, sealed = NULL, kek_id = NULL \
         WHERE secret_id = $1 AND version = $2"
    } else {
        "UPDATE secret_version SET state = $3, retires_at = $4 WHERE secret_id = $1 AND version = $2"
    };
    sqlx::query(sql)
        .bind(secret_id)
        .bind(version)
        .bind(state.as_str())
        .bind(retires_at)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Retires, and erases, every version whose overlap is over; how many there were.
pub async fn retire_due(tx: &mut Tx, now: Micros) -> Result<u64> {
    let done = sqlx::query(
        "UPDATE secret_version SET state = 'retired', sealed = NULL, kek_id = NULL \
         WHERE state = 'retiring' AND retires_at IS NOT NULL AND retires_at <= $1",
    )
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected())
}

/// The replacement of one secret by a new version.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Rotation {
    /// Id.
    pub id: String,
    /// The org.
    pub org_id: String,
    /// The secret.
    pub secret_id: String,
    /// The version it replaced.
    pub from_version: i64,
    /// The version it made.
    pub to_version: i64,
    /// The impersonation it was made under; absent in self-service.
    pub impersonation_id: Option<String>,
    /// Who did it.
    pub actor_id: String,
    /// Whether a leak was suspected, 0 or 1.
    pub suspected_leak: i64,
    /// How long the old version stays accepted, in seconds.
    pub overlap_seconds: i64,
    /// Who sent the `Idempotency-Key`.
    pub idempotency_by: Option<String>,
    /// The `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// What was asked for, as a digest: the same key with another question is an error.
    pub asked: String,
    /// When.
    pub created_at: Micros,
}

const ROTATION: &str = "SELECT id, org_id, secret_id, from_version, to_version, impersonation_id, actor_id, \
     suspected_leak, overlap_seconds, idempotency_by, idempotency_key, asked, created_at FROM rotation";

/// Records a rotation.
pub async fn insert_rotation(tx: &mut Tx, r: &Rotation) -> Result<()> {
    sqlx::query(
        "INSERT INTO rotation (id, org_id, secret_id, from_version, to_version, impersonation_id, actor_id, \
         suspected_leak, overlap_seconds, idempotency_by, idempotency_key, asked, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(&r.id)
    .bind(&r.org_id)
    .bind(&r.secret_id)
    .bind(r.from_version)
    .bind(r.to_version)
    .bind(r.impersonation_id.as_deref())
    .bind(&r.actor_id)
    .bind(r.suspected_leak)
    .bind(r.overlap_seconds)
    .bind(r.idempotency_by.as_deref())
    .bind(r.idempotency_key.as_deref())
    .bind(&r.asked)
    .bind(r.created_at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The rotation that was asked for with this key by this caller.
pub async fn rotation_by_key(
    conn: &mut AnyConnection,
    by: &str,
    key: &str,
) -> Result<Option<Rotation>> {
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "{ROTATION} WHERE idempotency_by = $1 AND idempotency_key = $2"
    )))
    .bind(by)
    .bind(key)
    .fetch_optional(conn)
    .await?)
}

/// The rotation with this id.
pub async fn rotation_by_id(conn: &mut AnyConnection, id: &str) -> Result<Option<Rotation>> {
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(format!("{ROTATION} WHERE id = $1")))
        .bind(id)
        .fetch_optional(conn)
        .await?)
}

/// The rotations of a secret, newest first.
pub async fn rotations_of_secret(
    conn: &mut AnyConnection,
    secret_id: &str,
) -> Result<Vec<Rotation>> {
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "{ROTATION} WHERE secret_id = $1 ORDER BY to_version DESC LIMIT 100"
    )))
    .bind(secret_id)
    .fetch_all(conn)
    .await?)
}

/// The rotation that an impersonation made.
pub async fn rotation_of(
    conn: &mut AnyConnection,
    impersonation_id: &str,
) -> Result<Option<Rotation>> {
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(format!("{ROTATION} WHERE impersonation_id = $1")))
        .bind(impersonation_id)
        .fetch_optional(conn)
        .await?)
}

/// Whether a value that was issued has one of these fingerprints.
pub async fn any_issued(conn: &mut AnyConnection, fingerprints: &[String]) -> Result<bool> {
    for some in fingerprints.chunks(500) {
        let places: Vec<String> = (1..=some.len()).map(|n| format!("${n}")).collect();
        let sql = format!(
            "SELECT COUNT(*) FROM secret_version WHERE fingerprint IN ({})",
            places.join(", ")
        );
        let mut query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql));
        for fingerprint in some {
            query = query.bind(fingerprint.clone());
        }
        let found: i64 = query.fetch_one(&mut *conn).await?;
        if found > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a version of a secret has, or had, the value with this fingerprint.
pub async fn has_fingerprint(
    conn: &mut AnyConnection,
    secret_id: &str,
    fingerprint: &str,
) -> Result<bool> {
    let found: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM secret_version WHERE secret_id = $1 AND fingerprint = $2",
    )
    .bind(secret_id)
    .bind(fingerprint)
    .fetch_one(conn)
    .await?;
    Ok(found > 0)
}

/// Writes what people call a secret, and its target.
pub async fn describe(tx: &mut Tx, id: &str, label: &str, target: &str) -> Result<()> {
    sqlx::query("UPDATE secret SET label = $2, target = $3 WHERE id = $1")
        .bind(id)
        .bind(label)
        .bind(target)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// How many secrets each org has, for the list of orgs.
pub async fn count_of_org(conn: &mut AnyConnection, org_id: &str) -> Result<i64> {
    Ok(sqlx::query_scalar("SELECT COUNT(*) FROM secret WHERE org_id = $1")
        .bind(org_id)
        .fetch_one(conn)
        .await?)
}
