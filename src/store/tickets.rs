//! Tickets and their messages. Every function fails where the database does not answer.

use sqlx::{AnyConnection, FromRow};

use super::{Key, Result, Tx, flag};
use crate::model::{Micros, TicketState};

/// A support ticket.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Ticket {
    /// Its number, `NOV-4801`.
    pub id: String,
    /// The org.
    pub org_id: String,
    /// What it is about.
    pub subject: String,
    /// Where it stands.
    #[sqlx(try_from = "String")]
    pub state: TicketState,
    /// The requester's name as support wrote it down.
    pub requester_name: String,
    /// The member who asks, if it is one.
    pub requester_member: Option<String>,
    /// How support authenticated the requester.
    pub authenticated_how: Option<String>,
    /// When it did.
    pub authenticated_at: Option<Micros>,
    /// The type of secret, as the ticket says.
    pub secret_type: Option<String>,
    /// The secret, as the ticket says.
    pub secret_id: Option<String>,
    #[sqlx(rename = "suspected_leak")]
    leak: i64,
    /// When it was filed.
    pub filed_at: Micros,
    /// The system outside that keeps it; absent where this database does.
    pub source: Option<String>,
    /// When that system last told what stands here.
    pub fetched_at: Option<Micros>,
    #[sqlx(rename = "org_unknown")]
    no_org: i64,
}

impl Ticket {
    /// Whether the system outside names an org that is none of ours: then no org is known.
    #[must_use]
    pub fn org_unknown(&self) -> bool {
        self.no_org == 1
    }

    /// The same ticket, with its org known or not.
    #[must_use]
    pub fn with_org_unknown(mut self, unknown: bool) -> Self {
        self.no_org = flag(unknown);
        self
    }

    /// Whether the secret is suspected to have leaked.
    #[must_use]
    pub fn suspected_leak(&self) -> bool {
        self.leak == 1
    }

    /// A ticket to be filed.
    #[must_use]
    pub fn new(
        id: &str,
        org_id: &str,
        subject: &str,
        requester_name: &str,
        filed_at: Micros,
    ) -> Self {
        Self {
            id: id.to_owned(),
            org_id: org_id.to_owned(),
            subject: subject.to_owned(),
            state: TicketState::Open,
            requester_name: requester_name.to_owned(),
            requester_member: None,
            authenticated_how: None,
            authenticated_at: None,
            secret_type: None,
            secret_id: None,
            leak: 0,
            filed_at,
            source: None,
            fetched_at: None,
            no_org: 0,
        }
    }

    /// The same ticket, with the suspicion of a leak.
    #[must_use]
    pub fn leaked(mut self, suspected: bool) -> Self {
        self.leak = flag(suspected);
        self
    }

    /// Where it stands in a list.
    #[must_use]
    pub fn key(&self) -> Key {
        Key { at: self.filed_at, id: self.id.clone() }
    }
}

const COLUMNS: &str = "SELECT id, org_id, subject, state, requester_name, requester_member, authenticated_how, \
     authenticated_at, secret_type, secret_id, suspected_leak, filed_at, source, fetched_at, org_unknown FROM ticket";

/// Files a ticket.
pub async fn insert(conn: &mut AnyConnection, t: &Ticket) -> Result<()> {
    sqlx::query(
        "INSERT INTO ticket (id, org_id, subject, state, requester_name, requester_member, authenticated_how, \
         authenticated_at, secret_type, secret_id, suspected_leak, filed_at, source, fetched_at, org_unknown) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    )
    .bind(&t.id)
    .bind(&t.org_id)
    .bind(&t.subject)
    .bind(t.state.as_str())
    .bind(&t.requester_name)
    .bind(t.requester_member.as_deref())
    .bind(t.authenticated_how.as_deref())
    .bind(t.authenticated_at)
    .bind(t.secret_type.as_deref())
    .bind(t.secret_id.as_deref())
    .bind(t.leak)
    .bind(t.filed_at)
    .bind(t.source.as_deref())
    .bind(t.fetched_at)
    .bind(t.no_org)
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes everything about a ticket but its number, as the system that keeps it told.
pub async fn overwrite(tx: &mut Tx, t: &Ticket) -> Result<()> {
    sqlx::query(
        "UPDATE ticket SET org_id = $2, subject = $3, state = $4, requester_name = $5, requester_member = $6, \
         authenticated_how = $7, authenticated_at = $8, secret_type = $9, secret_id = $10, suspected_leak = $11, \
         filed_at = $12, source = $13, fetched_at = $14, org_unknown = $15 WHERE id = $1",
    )
    .bind(&t.id)
    .bind(&t.org_id)
    .bind(&t.subject)
    .bind(t.state.as_str())
    .bind(&t.requester_name)
    .bind(t.requester_member.as_deref())
    .bind(t.authenticated_how.as_deref())
    .bind(t.authenticated_at)
    .bind(t.secret_type.as_deref())
    .bind(t.secret_id.as_deref())
    .bind(t.leak)
    .bind(t.filed_at)
    .bind(t.source.as_deref())
    .bind(t.fetched_at)
    .bind(t.no_org)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Notes how support authenticated the requester, and when.
pub async fn set_authenticated(tx: &mut Tx, id: &str, how: &str, at: Micros) -> Result<()> {
    sqlx::query("UPDATE ticket SET authenticated_how = $2, authenticated_at = $3 WHERE id = $1")
        .bind(id)
        .bind(how)
        .bind(at)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Notes that the system outside said again what it said at `before`; false where somebody else
/// wrote what it said later.
pub async fn told_again(tx: &mut Tx, id: &str, before: Micros, now: Micros) -> Result<bool> {
    let done = sqlx::query("UPDATE ticket SET fetched_at = $3 WHERE id = $1 AND fetched_at = $2")
        .bind(id)
        .bind(before)
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// The digest of what a program filed as this ticket.
pub async fn filed_as(conn: &mut AnyConnection, id: &str) -> Result<Option<String>> {
    Ok(sqlx::query_scalar("SELECT filed_as FROM ticket WHERE id = $1")
        .bind(id)
        .fetch_optional(conn)
        .await?
        .flatten())
}

/// Notes the digest of what a program filed, and of the key it sent with it.
pub async fn set_filed_as(tx: &mut Tx, id: &str, digest: &str, key: Option<&str>) -> Result<()> {
    sqlx::query("UPDATE ticket SET filed_as = $2, filed_key = $3 WHERE id = $1")
        .bind(id)
        .bind(digest)
        .bind(key)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The number of the ticket that a program filed with this key.
pub async fn by_filed_key(conn: &mut AnyConnection, key: &str) -> Result<Option<String>> {
    Ok(sqlx::query_scalar("SELECT id FROM ticket WHERE filed_key = $1")
        .bind(key)
        .fetch_optional(conn)
        .await?)
}

/// The highest number behind a prefix of capital letters and a dash.
pub async fn highest(conn: &mut AnyConnection, prefix: &str) -> Result<i64> {
    let sql = format!(
        "SELECT COALESCE(MAX(CAST(SUBSTR(id, {}) AS BIGINT)), 0) FROM ticket WHERE id LIKE $1",
        prefix.len() + 1
    );
    Ok(sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .bind(format!("{prefix}%"))
        .fetch_one(conn)
        .await?)
}

/// The ticket with this number.
pub async fn by_id(conn: &mut AnyConnection, id: &str) -> Result<Option<Ticket>> {
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE id = $1")))
        .bind(id)
        .fetch_optional(conn)
        .await?)
}

/// What the queue is narrowed to.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only tickets in this state.
    pub state: Option<TicketState>,
    /// Only tickets of this org.
    pub org_id: Option<String>,
    /// Only tickets whose number, subject or requester has this text in it.
    pub text: Option<String>,
}

/// A page of the queue, newest first, beyond `before`.
pub async fn page(
    conn: &mut AnyConnection,
    filter: &Filter,
    before: Option<&Key>,
    limit: i64,
) -> Result<Vec<Ticket>> {
    let mut sql = format!("{COLUMNS} WHERE 1 = 1");
    let mut texts: Vec<String> = Vec::new();
    let mut add = |fragment: &str, value: String, sql: &mut String| {
        texts.push(value);
        sql.push_str(&fragment.replace('?', &format!("${}", texts.len())));
    };
    if let Some(state) = filter.state {
        add(" AND state = ?", state.as_str().to_owned(), &mut sql);
    }
    if let Some(org) = &filter.org_id {
        add(" AND org_id = ?", org.clone(), &mut sql);
    }
    if let Some(text) = &filter.text {
        let pattern = format!("%{}%", escape_like(&text.to_lowercase()));
        add(
            " AND (LOWER(id) LIKE ? ESCAPE '\\' OR LOWER(subject) LIKE ? ESCAPE '\\' \
             OR LOWER(requester_name) LIKE ? ESCAPE '\\')",
            pattern,
            &mut sql,
        );
    }
    let n = texts.len();
    if before.is_some() {
        sql.push_str(&format!(" AND (filed_at, id) < (${}, ${})", n + 2, n + 3));
    }
    sql.push_str(&format!(" ORDER BY filed_at DESC, id DESC LIMIT ${}", n + 1));
    let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql));
    for text in texts {
        query = query.bind(text);
    }
    query = query.bind(limit);
    if let Some(key) = before {
        query = query.bind(key.at).bind(key.id.clone());
    }
    Ok(query.fetch_all(conn).await?)
}

/// Makes `%`, `_` and `\` in what a person typed mean themselves.
#[must_use]
pub fn escape_like(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

/// How many tickets are in each state.
pub async fn counts(conn: &mut AnyConnection) -> Result<Vec<(TicketState, i64)>> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT state, COUNT(*) FROM ticket GROUP BY state").fetch_all(conn).await?;
    rows.into_iter().map(|(state, n)| Ok((state.parse()?, n))).collect()
}

/// How many tickets wait for somebody.
pub async fn count_waiting(conn: &mut AnyConnection) -> Result<i64> {
    let states = [TicketState::Open, TicketState::Pending].map(|state| state.as_str());
    Ok(sqlx::query_scalar("SELECT COUNT(*) FROM ticket WHERE state IN ($1, $2)")
        .bind(states[0])
        .bind(states[1])
        .fetch_one(conn)
        .await?)
}

/// Puts a ticket into another state.
pub async fn set_state(tx: &mut Tx, id: &str, state: TicketState) -> Result<()> {
    sqlx::query("UPDATE ticket SET state = $2 WHERE id = $1")
        .bind(id)
        .bind(state.as_str())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// A message in a ticket.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Message {
    /// Id.
    pub id: String,
    /// The ticket.
    pub ticket_id: String,
    /// Who wrote it.
    pub author: String,
    /// `customer`, `staff` or `note`.
    pub kind: String,
    /// The text.
    pub body: String,
    /// When.
    pub at: Micros,
    /// Its id outside: the comment's at the support desk, or the filing program's own.
    pub outside_id: Option<String>,
    /// 1 until the support desk outside has it.
    pub waits: i64,
}

/// Adds a message.
pub async fn insert_message(conn: &mut AnyConnection, m: &Message) -> Result<()> {
    sqlx::query(
        "INSERT INTO ticket_message (id, ticket_id, author, kind, body, at, outside_id, waits) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(&m.id)
    .bind(&m.ticket_id)
    .bind(&m.author)
    .bind(&m.kind)
    .bind(&m.body)
    .bind(m.at)
    .bind(m.outside_id.as_deref())
    .bind(m.waits)
    .execute(conn)
    .await?;
    Ok(())
}

/// Changes the text of a message that was changed where it is kept.
pub async fn set_body(tx: &mut Tx, id: &str, body: &str) -> Result<()> {
    sqlx::query("UPDATE ticket_message SET body = $2 WHERE id = $1")
        .bind(id)
        .bind(body)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Notes that the support desk outside has a message of ours, under this id. A copy of it that
/// came in from there meanwhile goes.
pub async fn posted(tx: &mut Tx, id: &str, outside_id: &str) -> Result<()> {
    sqlx::query(
        "DELETE FROM ticket_message WHERE outside_id = $2 AND id <> $1 \
         AND ticket_id = (SELECT ticket_id FROM ticket_message WHERE id = $1)",
    )
    .bind(id)
    .bind(outside_id)
    .execute(tx.conn())
    .await?;
    sqlx::query("UPDATE ticket_message SET waits = 0, outside_id = $2 WHERE id = $1")
        .bind(id)
        .bind(outside_id)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Every message of a ticket, oldest first.
pub async fn messages(conn: &mut AnyConnection, ticket_id: &str) -> Result<Vec<Message>> {
    Ok(sqlx::query_as(
        "SELECT id, ticket_id, author, kind, body, at, outside_id, waits FROM ticket_message \
         WHERE ticket_id = $1 ORDER BY at, id",
    )
    .bind(ticket_id)
    .fetch_all(conn)
    .await?)
}
