//! Orgs, their members and their credentials. Every function fails where the database does not
//! answer.

pub mod credentials;
pub mod reminders;

use sqlx::{AnyConnection, FromRow};

use super::{Result, Tx, flag};
use crate::model::{Channel, Consent, MemberRole, Micros, Standing};

/// A customer.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Org {
    /// Id.
    pub id: String,
    /// Short name for addresses.
    pub slug: String,
    /// Name.
    pub name: String,
    /// `allow_platform_impersonation`, 0 or 1.
    #[sqlx(rename = "allow_platform_impersonation")]
    consent: i64,
    consent_ticket: Option<String>,
    /// When consent was last switched, or came to go further or less far.
    pub consent_changed_at: Option<Micros>,
    /// When the Owner last confirmed a consent without an end.
    pub consent_confirmed_at: Option<Micros>,
    /// Since when the Owner is asked whether it still stands.
    pub consent_reminded_at: Option<Micros>,
    /// The member who is Owner of record.
    pub owner_member_id: Option<String>,
    /// Since when.
    pub owner_since: Option<Micros>,
    /// Where the Owner's mail goes.
    pub owner_address: Option<String>,
    /// When the Owner was marked unreachable.
    pub owner_unreachable_at: Option<Micros>,
    /// What was tried.
    pub owner_unreachable_attempts: Option<String>,
    /// The channel that the runbook entry names.
    pub channel: Option<String>,
    /// The Owner's OpenPGP key on file, armored.
    pub pgp_key: Option<String>,
    /// Since when that key is the one used.
    pub pgp_key_since: Option<Micros>,
    /// The shared 1Password vault.
    pub shared_vault_id: Option<String>,
    /// When the org became a customer.
    pub created_at: Micros,
}

impl Org {
    /// Whether the runbook entry names this channel.
    #[must_use]
    pub fn channel_is(&self, channel: Channel) -> bool {
        self.channel.as_deref() == Some(channel.as_str())
    }

    /// `allow_platform_impersonation`, and how far it goes.
    #[must_use]
    pub fn consent(&self) -> Consent {
        match (self.consent, &self.consent_ticket) {
            (1, None) => Consent::UntilWithdrawn,
            (1, Some(ticket)) => Consent::ForTicket(ticket.clone()),
            _ => Consent::Off,
        }
    }
}

/// What a new org is made of.
#[derive(Debug, Clone)]
pub struct NewOrg<'a> {
    /// Id.
    pub id: &'a str,
    /// Short name for addresses.
    pub slug: &'a str,
    /// Name.
    pub name: &'a str,
    /// `allow_platform_impersonation`.
    pub consent: bool,
    /// Where the Owner's mail goes.
    pub owner_address: &'a str,
    /// The runbook entry's channel.
    pub channel: Option<Channel>,
    /// The Owner's key on file.
    pub pgp_key: Option<&'a str>,
    /// The shared vault.
    pub shared_vault_id: Option<&'a str>,
    /// When it became a customer.
    pub created_at: Micros,
}

const COLUMNS: &str = "id, slug, name, allow_platform_impersonation, consent_ticket, consent_changed_at, consent_confirmed_at, consent_reminded_at, owner_member_id, owner_since, \
     owner_address, owner_unreachable_at, owner_unreachable_attempts, channel, pgp_key, pgp_key_since, \
     shared_vault_id, created_at";

fn select(rest: &str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM org {rest}"))
}

/// Adds an org.
pub async fn insert(conn: &mut AnyConnection, org: &NewOrg<'_>) -> Result<()> {
    sqlx::query(
        "INSERT INTO org (id, slug, name, allow_platform_impersonation, consent_changed_at, owner_address, channel, \
         pgp_key, pgp_key_since, shared_vault_id, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(org.id)
    .bind(org.slug)
    .bind(org.name)
    .bind(flag(org.consent))
    .bind(org.created_at)
    .bind(org.owner_address)
    .bind(org.channel.map(Channel::as_str))
    .bind(org.pgp_key)
    .bind(org.pgp_key.map(|_| org.created_at))
    .bind(org.shared_vault_id)
    .bind(org.created_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// Names the Owner of record.
pub async fn set_owner(
    conn: &mut AnyConnection,
    org_id: &str,
    member_id: &str,
    since: Micros,
) -> Result<()> {
    sqlx::query("UPDATE org SET owner_member_id = $2, owner_since = $3 WHERE id = $1")
        .bind(org_id)
        .bind(member_id)
        .bind(since)
        .execute(conn)
        .await?;
    Ok(())
}

/// Renames an org.
pub async fn set_name(tx: &mut Tx, id: &str, name: &str) -> Result<()> {
    sqlx::query("UPDATE org SET name = $2 WHERE id = $1")
        .bind(id)
        .bind(name)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Changes where the Owner's mail goes.
pub async fn set_owner_address(tx: &mut Tx, id: &str, address: &str) -> Result<()> {
    sqlx::query("UPDATE org SET owner_address = $2 WHERE id = $1")
        .bind(id)
        .bind(address)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Writes the runbook entry. A key that is on file and not given here stays on file.
pub async fn set_runbook(
    tx: &mut Tx,
    id: &str,
    channel: Channel,
    pgp_key: Option<&str>,
    vault: Option<&str>,
    now: Micros,
) -> Result<()> {
    sqlx::query(
        "UPDATE org SET channel = $2, shared_vault_id = COALESCE($4, shared_vault_id), \
         pgp_key_since = CASE WHEN $3 IS NOT NULL AND COALESCE(pgp_key, '') <> $3 THEN $5 ELSE pgp_key_since END, \
         pgp_key = COALESCE($3, pgp_key) WHERE id = $1",
    )
    .bind(id)
    .bind(channel.as_str())
    .bind(pgp_key)
    .bind(vault)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The org with this id.
pub async fn by_id(conn: &mut AnyConnection, id: &str) -> Result<Option<Org>> {
    Ok(sqlx::query_as(select("WHERE id = $1")).bind(id).fetch_optional(conn).await?)
}

/// The org with this short name.
pub async fn by_slug(conn: &mut AnyConnection, slug: &str) -> Result<Option<Org>> {
    Ok(sqlx::query_as(select("WHERE slug = $1")).bind(slug).fetch_optional(conn).await?)
}

/// A page of orgs by name, after `after` (a name and an id).
pub async fn page(
    conn: &mut AnyConnection,
    after: Option<(&str, &str)>,
    limit: i64,
) -> Result<Vec<Org>> {
    let (name, id) = after.unwrap_or(("", ""));
    Ok(sqlx::query_as(select("WHERE (name, id) > ($1, $2) ORDER BY name, id LIMIT $3"))
        .bind(name)
        .bind(id)
        .bind(limit)
        .fetch_all(conn)
        .await?)
}

/// Id and name of so many orgs, in the order of their names. They come as one text: each row by
/// itself is handed from thread to thread, and a page that lets one choose an org has them all.
pub async fn names(conn: &mut AnyConnection, limit: i64) -> Result<Vec<(String, String)>> {
    const BETWEEN: &str = "\u{1e}";
    const WITHIN: &str = "\u{1f}";
    // What is between them cannot be in them.
    let plain = |column: &str| format!("replace({column}, $2, '')");
    let sql = format!(
        "SELECT string_agg({} || $3 || {}, $2 ORDER BY name, id) FROM (SELECT id, name FROM org ORDER BY name, id LIMIT $1) x",
        plain("id"),
        plain("name")
    );
    let all: Option<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .bind(limit)
        .bind(BETWEEN)
        .bind(WITHIN)
        .fetch_one(conn)
        .await?;
    Ok(all
        .iter()
        .flat_map(|all| all.split(BETWEEN))
        .filter_map(|one| one.split_once(WITHIN))
        .map(|(id, name)| (id.to_owned(), name.to_owned()))
        .collect())
}

/// Id, name and short name of these orgs.
pub async fn named(
    conn: &mut AnyConnection,
    ids: &[String],
) -> Result<Vec<(String, String, String)>> {
    let mut all = Vec::new();
    for chunk in ids.chunks(200) {
        let places: Vec<String> = (1..=chunk.len()).map(|n| format!("${n}")).collect();
        let sql = format!("SELECT id, name, slug FROM org WHERE id IN ({})", places.join(", "));
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql));
        for id in chunk {
            query = query.bind(id);
        }
        all.extend(query.fetch_all(&mut *conn).await?);
    }
    Ok(all)
}

/// Makes concurrent steps about the org wait for this transaction, and says whether there is
/// such an org.
pub async fn lock(tx: &mut Tx, id: &str) -> Result<bool> {
    let done = sqlx::query("UPDATE org SET step = step + 1 WHERE id = $1")
        .bind(id)
        .execute(tx.conn())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Switches consent. Only what acts for the Owner calls this, and what withdraws a consent whose
/// one ticket is done.
pub async fn set_consent(tx: &mut Tx, id: &str, consent: &Consent, now: Micros) -> Result<()> {
    sqlx::query(
        "UPDATE org SET allow_platform_impersonation = $2, consent_ticket = $3, consent_changed_at = $4, \
         consent_confirmed_at = NULL, consent_reminded_at = NULL WHERE id = $1",
    )
    .bind(id)
    .bind(flag(consent.on()))
    .bind(consent.only_for())
    .bind(now)
    .execute(tx.conn())
    .await?;
    reminders::void(tx, id, now).await
}

/// The orgs whose consent is for one ticket that is not being served any more, with that ticket.
pub async fn consents_left_over(conn: &mut AnyConnection) -> Result<Vec<(String, String)>> {
    Ok(sqlx::query_as(
        "SELECT o.id, o.consent_ticket FROM org o LEFT JOIN ticket t ON t.id = o.consent_ticket \
         WHERE o.consent_ticket IS NOT NULL AND o.allow_platform_impersonation = 1 \
         AND (t.id IS NULL OR t.state NOT IN ('open', 'pending'))",
    )
    .fetch_all(conn)
    .await?)
}

/// Puts another key on file.
pub async fn set_pgp_key(tx: &mut Tx, id: &str, key: &str, now: Micros) -> Result<()> {
    sqlx::query("UPDATE org SET pgp_key = $2, pgp_key_since = $3 WHERE id = $1")
        .bind(id)
        .bind(key)
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The Owner of record can be reached again, or is somebody else.
pub async fn clear_unreachable(tx: &mut Tx, org_id: &str) -> Result<()> {
    sqlx::query(
        "UPDATE org SET owner_unreachable_at = NULL, owner_unreachable_attempts = NULL WHERE id = $1",
    )
    .bind(org_id)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Marks the Owner of record unreachable.
pub async fn set_unreachable(tx: &mut Tx, id: &str, attempts: &str, now: Micros) -> Result<()> {
    sqlx::query(
        "UPDATE org SET owner_unreachable_at = $3, owner_unreachable_attempts = $2 WHERE id = $1",
    )
    .bind(id)
    .bind(attempts)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A member of an org.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Member {
    /// Id.
    pub id: String,
    /// The org.
    pub org_id: String,
    /// Address.
    pub email: String,
    /// Name.
    pub name: String,
    /// Role.
    #[sqlx(try_from = "String")]
    pub role: MemberRole,
    /// Standing.
    #[sqlx(try_from = "String")]
    pub standing: Standing,
    /// Since when they have the role.
    pub role_since: Micros,
}

/// Adds a member.
pub async fn insert_member(conn: &mut AnyConnection, m: &Member) -> Result<()> {
    sqlx::query(
        "INSERT INTO member (id, org_id, email, name, role, standing, role_since) VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(&m.id)
    .bind(&m.org_id)
    .bind(&m.email)
    .bind(&m.name)
    .bind(m.role.as_str())
    .bind(m.standing.as_str())
    .bind(m.role_since)
    .execute(conn)
    .await?;
    Ok(())
}

/// Changes a member's standing.
pub async fn set_standing(
    conn: &mut AnyConnection,
    member_id: &str,
    standing: Standing,
) -> Result<()> {
    sqlx::query("UPDATE member SET standing = $2 WHERE id = $1")
        .bind(member_id)
        .bind(standing.as_str())
        .execute(conn)
        .await?;
    Ok(())
}

/// Writes a member's name, role and standing.
pub async fn update_member(tx: &mut Tx, m: &Member) -> Result<()> {
    sqlx::query(
        "UPDATE member SET name = $2, role = $3, standing = $4, role_since = $5 WHERE id = $1",
    )
    .bind(&m.id)
    .bind(&m.name)
    .bind(m.role.as_str())
    .bind(m.standing.as_str())
    .bind(m.role_since)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Every member of an org: owners first, then by name.
pub async fn members(conn: &mut AnyConnection, org_id: &str) -> Result<Vec<Member>> {
    Ok(sqlx::query_as(
        "SELECT id, org_id, email, name, role, standing, role_since FROM member WHERE org_id = $1 \
         ORDER BY CASE role WHEN 'owner' THEN 0 WHEN 'admin' THEN 1 WHEN 'operator' THEN 2 ELSE 3 END, name, id",
    )
    .bind(org_id)
    .fetch_all(conn)
    .await?)
}

/// Adds a credential; only the hash of the token is kept.
pub async fn insert_credential(
    conn: &mut AnyConnection,
    id: &str,
    org_id: &str,
    member_id: &str,
    token_hash: &str,
    (now, expires_at): (Micros, Micros),
) -> Result<()> {
    sqlx::query(
        "INSERT INTO org_credential (id, org_id, member_id, token_hash, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(id)
    .bind(org_id)
    .bind(member_id)
    .bind(token_hash)
    .bind(now)
    .bind(expires_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// Revokes a credential.
pub async fn revoke_credential(
    conn: &mut AnyConnection,
    token_hash: &str,
    now: Micros,
) -> Result<()> {
    sqlx::query(
        "UPDATE org_credential SET revoked_at = $2 WHERE token_hash = $1 AND revoked_at IS NULL",
    )
    .bind(token_hash)
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// The member whose unrevoked credential has this hash.
pub async fn member_by_credential(
    conn: &mut AnyConnection,
    token_hash: &str,
) -> Result<Option<Member>> {
    Ok(sqlx::query_as(
        "SELECT m.id, m.org_id, m.email, m.name, m.role, m.standing, m.role_since \
         FROM org_credential c JOIN member m ON m.id = c.member_id AND m.org_id = c.org_id \
         WHERE c.token_hash = $1 AND c.revoked_at IS NULL",
    )
    .bind(token_hash)
    .fetch_optional(conn)
    .await?)
}

/// A link that lets the Owner switch consent on.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ConsentLink {
    /// Id.
    pub id: String,
    /// The org.
    pub org_id: String,
    /// The ticket it was asked for.
    pub ticket_id: String,
    /// The platform admin who asked.
    pub asked_by: String,
    /// Who was Owner of record then.
    pub owner_id: String,
    /// Where the link went.
    pub address: String,
    /// When it was made.
    pub created_at: Micros,
    /// Until when it works.
    pub expires_at: Micros,
    /// When it was used.
    pub used_at: Option<Micros>,
}

/// Records a link by its hash.
pub async fn insert_consent_link(tx: &mut Tx, link: &ConsentLink, hash: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO consent_link (id, org_id, ticket_id, asked_by, hash, created_at, expires_at, owner_id, address) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(&link.id)
    .bind(&link.org_id)
    .bind(&link.ticket_id)
    .bind(&link.asked_by)
    .bind(hash)
    .bind(link.created_at)
    .bind(link.expires_at)
    .bind(&link.owner_id)
    .bind(&link.address)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The link with this hash.
pub async fn consent_link(conn: &mut AnyConnection, hash: &str) -> Result<Option<ConsentLink>> {
    Ok(sqlx::query_as(
        "SELECT id, org_id, ticket_id, asked_by, owner_id, address, created_at, expires_at, used_at FROM consent_link WHERE hash = $1",
    )
    .bind(hash)
    .fetch_optional(conn)
    .await?)
}

/// Makes every unused link of an org worthless.
pub async fn void_consent_links(tx: &mut Tx, org_id: &str, now: Micros) -> Result<()> {
    sqlx::query("UPDATE consent_link SET used_at = $2 WHERE org_id = $1 AND used_at IS NULL")
        .bind(org_id)
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Uses a link up; true for whoever is first.
pub async fn use_consent_link(tx: &mut Tx, id: &str, now: Micros) -> Result<bool> {
    let done = sqlx::query("UPDATE consent_link SET used_at = $2 WHERE id = $1 AND used_at IS NULL AND expires_at > $2")
        .bind(id)
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(done.rows_affected() == 1)
}
