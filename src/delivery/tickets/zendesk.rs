//! Zendesk Support: tickets, users, organizations, comments and audits over its REST API.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use super::fields::{self, FieldNames, FieldValue, TicketField};
use super::zendesk_http::Http;
use super::{Comment, OutsideComment, OutsideTicket, Tickets, TicketsError};
use crate::delivery::authorities::Authorities;
use crate::model::{Micros, TicketState, time};

/// How long the list of ticket fields is taken as read.
const FIELDS_FOR: Duration = Duration::from_secs(300);

/// The most pages of a list that are read, a hundred entries each.
const MOST_PAGES: usize = 100;

/// The name under which a comment's marker stands in the audit's metadata.
const MARKER: &str = "keyturn_message";

/// Where Zendesk is, and as whom it is asked.
#[derive(Debug)]
pub struct Settings {
    /// The address, `https://example.zendesk.com`.
    pub url: String,
    /// The address of the agent whose API token it is.
    pub email: String,
    /// The API token.
    pub token: SecretString,
    /// What stands before Zendesk's number in ours, `NOV-`.
    pub prefix: String,
    /// The custom fields.
    pub fields: FieldNames,
}

/// Zendesk.
pub struct Zendesk {
    http: Http,
    prefix: String,
    names: FieldNames,
    fields: tokio::sync::Mutex<Option<(Instant, Arc<Vec<TicketField>>)>>,
}

impl std::fmt::Debug for Zendesk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Zendesk")
    }
}

#[derive(Deserialize)]
struct TicketAnswer {
    ticket: RawTicket,
}

#[derive(Deserialize)]
struct RawTicket {
    id: u64,
    #[serde(default)]
    subject: Option<String>,
    status: String,
    requester_id: Option<u64>,
    organization_id: Option<u64>,
    created_at: String,
    updated_at: String,
    #[serde(default)]
    custom_fields: Vec<FieldValue>,
}

#[derive(Deserialize)]
struct UserAnswer {
    user: User,
}

#[derive(Deserialize)]
struct User {
    id: u64,
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    verified: bool,
    #[serde(default)]
    suspended: bool,
    #[serde(default)]
    role: String,
}

#[derive(Deserialize)]
struct OrganizationAnswer {
    organization: Organization,
}

#[derive(Deserialize)]
struct Organization {
    #[serde(default)]
    external_id: Option<String>,
}

#[derive(Deserialize)]
struct CommentsAnswer {
    comments: Vec<RawComment>,
    #[serde(default)]
    users: Vec<User>,
}

#[derive(Deserialize)]
struct RawComment {
    id: u64,
    author_id: i64,
    #[serde(default)]
    plain_body: Option<String>,
    #[serde(default)]
    body: String,
    public: bool,
    created_at: String,
}

/// Cursor pagination.
#[derive(Deserialize)]
struct Meta {
    has_more: bool,
    #[serde(default)]
    after_cursor: Option<String>,
}

#[derive(Deserialize)]
struct FieldsAnswer {
    ticket_fields: Vec<TicketField>,
    meta: Meta,
}

#[derive(Deserialize)]
struct AuditsAnswer {
    audits: Vec<Audit>,
    meta: Meta,
}

#[derive(Deserialize)]
struct UpdateAnswer {
    audit: Audit,
}

#[derive(Deserialize)]
struct Audit {
    #[serde(default)]
    metadata: Value,
    #[serde(default)]
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    id: u64,
    #[serde(rename = "type", default)]
    kind: String,
}

impl Audit {
    fn comment(&self) -> Option<String> {
        self.events.iter().find(|e| e.kind == "Comment").map(|e| e.id.to_string())
    }
}

fn instant(text: &str) -> Result<Micros, TicketsError> {
    time::parse(text).ok_or(TicketsError::Unreadable("a time that is none"))
}

/// Zendesk's states in our words. One that is not published yet is taken as closed: nothing is
/// done on a guess.
fn state(status: &str) -> TicketState {
    match status {
        "new" | "open" => TicketState::Open,
        "pending" | "hold" => TicketState::Pending,
        "solved" => TicketState::Solved,
        _ => TicketState::Closed,
    }
}

impl Zendesk {
    /// The Zendesk that the settings name. It is not called yet.
    ///
    /// # Errors
    /// Where the address cannot be read.
    pub fn new(settings: Settings) -> Result<Self, TicketsError> {
        Self::trusting(settings, &Authorities::default())
    }

    /// The same, where its certificate may be of one of these authorities.
    ///
    /// # Errors
    /// As [`Zendesk::new`].
    pub fn trusting(settings: Settings, authorities: &Authorities) -> Result<Self, TicketsError> {
        Ok(Self {
            http: Http::new(&settings.url, &settings.email, settings.token, authorities)?,
            prefix: settings.prefix,
            names: settings.fields,
            fields: tokio::sync::Mutex::new(None),
        })
    }

    /// Zendesk's number in ours: 4821 in `NOV-4821`.
    fn id(&self, number: &str) -> Option<u64> {
        let digits = number.strip_prefix(&self.prefix)?;
        let plain = (1..=12).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
            && !digits.starts_with('0');
        plain.then(|| digits.parse().ok())?
    }

    async fn fields(&self) -> Result<Arc<Vec<TicketField>>, TicketsError> {
        let mut kept = self.fields.lock().await;
        if let Some((at, fields)) = kept.as_ref()
            && at.elapsed() < FIELDS_FOR
        {
            return Ok(fields.clone());
        }
        let mut all = Vec::new();
        let mut after = None;
        for _ in 0..MOST_PAGES {
            let page: FieldsAnswer = self.page("api/v2/ticket_fields.json", after).await?;
            all.extend(page.ticket_fields);
            after = page.meta.after_cursor.filter(|_| page.meta.has_more);
            if after.is_none() {
                let all = Arc::new(all);
                *kept = Some((Instant::now(), all.clone()));
                return Ok(all);
            }
        }
        Err(TicketsError::Unreadable("the list of fields does not end"))
    }

    async fn page<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        after: Option<String>,
    ) -> Result<T, TicketsError> {
        let mut query = vec![("page[size]", "100")];
        if let Some(after) = &after {
            query.push(("page[after]", after));
        }
        self.http.get(path, &query).await?.ok_or(TicketsError::Unknown)
    }

    /// The id of the comment that an earlier attempt posted: its marker stands in the metadata of
    /// the audit that the update left.
    async fn posted(&self, id: u64, marker: &str) -> Result<Option<String>, TicketsError> {
        let mut after = None;
        for _ in 0..MOST_PAGES {
            let page: AuditsAnswer =
                self.page(&format!("api/v2/tickets/{id}/audits.json"), after).await?;
            let ours =
                page.audits.iter().find(|a| a.metadata["custom"][MARKER].as_str() == Some(marker));
            if let Some(audit) = ours {
                return audit
                    .comment()
                    .map(Some)
                    .ok_or(TicketsError::Unreadable("an update without its comment"));
            }
            after = page.meta.after_cursor.filter(|_| page.meta.has_more);
            if after.is_none() {
                return Ok(None);
            }
        }
        Err(TicketsError::Unreadable("the ticket's history does not end"))
    }

    async fn comments(
        &self,
        id: u64,
        requester: Option<u64>,
    ) -> Result<Vec<OutsideComment>, TicketsError> {
        let answer: CommentsAnswer = self
            .http
            .get(
                &format!("api/v2/tickets/{id}/comments.json"),
                &[("include", "users"), ("sort_order", "desc"), ("per_page", "100")],
            )
            .await?
            .ok_or(TicketsError::Unknown)?;
        let users: HashMap<u64, &User> = answer.users.iter().map(|u| (u.id, u)).collect();
        let mut comments = answer
            .comments
            .iter()
            .map(|c| {
                let author = u64::try_from(c.author_id).ok();
                let user = author.and_then(|a| users.get(&a));
                Ok(OutsideComment {
                    id: c.id.to_string(),
                    author: user
                        .map(|u| u.name.clone())
                        .filter(|name| !name.is_empty())
                        .unwrap_or_else(|| "somebody in Zendesk".to_owned()),
                    by_customer: (author.is_some() && author == requester)
                        || user.is_some_and(|u| u.role == "end-user"),
                    public: c.public,
                    body: c.plain_body.clone().unwrap_or_else(|| c.body.clone()),
                    at: instant(&c.created_at)?,
                })
            })
            .collect::<Result<Vec<_>, TicketsError>>()?;
        comments.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        Ok(comments)
    }
}

#[async_trait]
impl Tickets for Zendesk {
    fn outside(&self) -> Option<&'static str> {
        Some("Zendesk")
    }

    fn prefix(&self) -> &str {
        &self.prefix
    }

    fn silent(&self) -> bool {
        self.http.silent()
    }

    async fn look_up(&self, number: &str) -> Result<Option<OutsideTicket>, TicketsError> {
        let Some(id) = self.id(number) else { return Ok(None) };
        let Some(TicketAnswer { ticket }) =
            self.http.get(&format!("api/v2/tickets/{id}.json"), &[]).await?
        else {
            return Ok(None);
        };
        if ticket.id != id {
            return Err(TicketsError::Unreadable("another ticket than was asked for"));
        }
        let user = match ticket.requester_id {
            Some(user) => {
                self.http.get::<UserAnswer>(&format!("api/v2/users/{user}.json"), &[]).await?
            }
            None => None,
        }
        .map(|answer| answer.user)
        .filter(|user| Some(user.id) == ticket.requester_id);
        let organization = match ticket.organization_id {
            Some(org) => {
                self.http
                    .get::<OrganizationAnswer>(&format!("api/v2/organizations/{org}.json"), &[])
                    .await?
            }
            None => None,
        };
        let fields = self.fields().await?;
        let said = fields::read(&self.names, &fields, &ticket.custom_fields);
        // An address that nobody has proven to be theirs is not the requester's.
        let proven = user.as_ref().is_some_and(|u| u.verified && !u.suspended);
        let name = user.as_ref().map(|u| u.name.trim()).filter(|n| !n.is_empty());
        let name = name.unwrap_or("somebody unknown");
        Ok(Some(OutsideTicket {
            number: number.to_owned(),
            subject: ticket.subject.unwrap_or_default(),
            state: state(&ticket.status),
            requester_name: if user.is_none() || proven {
                name.to_owned()
            } else {
                format!("{name} (address not verified)")
            },
            requester_email: user.filter(|_| proven).and_then(|u| u.email),
            org: organization
                .and_then(|answer| answer.organization.external_id)
                .map(|id| id.trim().to_owned())
                .filter(|id| !id.is_empty()),
            authenticated: said.authenticated,
            secret_type: said.secret_type,
            secret_id: said.secret_id,
            suspected_leak: said.leak,
            filed_at: instant(&ticket.created_at)?,
            comments: self.comments(id, ticket.requester_id).await?,
        }))
    }

    async fn post(&self, number: &str, comment: &Comment) -> Result<String, TicketsError> {
        let id = self.id(number).ok_or(TicketsError::Unknown)?;
        let path = format!("api/v2/tickets/{id}.json");
        // The state of the ticket before its history: an earlier attempt that lands between the
        // two, or after, makes this one's stamp an old one, and Zendesk refuses it.
        let TicketAnswer { ticket } =
            self.http.get(&path, &[]).await?.ok_or(TicketsError::Unknown)?;
        if let Some(posted) = self.posted(id, &comment.marker).await? {
            return Ok(posted);
        }
        let body = json!({ "ticket": {
            "comment": { "body": comment.body, "public": comment.public },
            "metadata": { MARKER: comment.marker },
            "safe_update": true,
            "updated_stamp": ticket.updated_at,
        }});
        let answer: UpdateAnswer = self.http.put(&path, &body).await?;
        answer.audit.comment().ok_or(TicketsError::Unreadable("an update without its comment"))
    }
}
