//! The embedded desk's intake: a program files tickets and adds messages to them.

use secrecy::SecretString;
use sha2::{Digest, Sha256};

use super::ticket_copy::{member_called, name_like};
use super::{Desk, Step, StepError};
use crate::audit::{Actor, LogId, NewRow};
use crate::auth::credential::{self, hex};
use crate::model::ticket::ticket_like;
use crate::model::{Micros, SecretType};
use crate::proof::actions;
use crate::proof::row::{ActorType, Outcome};
use crate::store::orgs::{self, Org};
use crate::store::tickets::{self, Message, Ticket};
use crate::store::{Tx, audit};

/// The longest message, in characters.
pub const LONGEST_MESSAGE: usize = 10_000;

/// A ticket as a program files it.
#[derive(Debug, Clone)]
pub struct NewTicket {
    /// Its number; the next free one where absent.
    pub number: Option<String>,
    /// The org's id or short name.
    pub org: String,
    /// What it is about.
    pub subject: String,
    /// The requester's name.
    pub requester_name: String,
    /// The requester's address.
    pub requester_email: String,
    /// How support authenticated the requester, and when; absent where it did not.
    pub authenticated: Option<(String, Micros)>,
    /// The secret that it is about.
    pub secret: Option<(SecretType, String)>,
    /// Whether that secret is suspected to have leaked.
    pub suspected_leak: bool,
    /// What the customer wrote.
    pub message: String,
    /// The `Idempotency-Key`: the same again is the same ticket.
    pub key: Option<String>,
}

/// A message as a program adds it.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Whether the customer wrote it; otherwise it is a note of support.
    pub by_customer: bool,
    /// Who wrote it.
    pub author: String,
    /// The text.
    pub text: String,
    /// How support authenticated the requester who wrote it, and when; absent where it did not.
    pub authenticated: Option<(String, Micros)>,
    /// The program's own id for it: the same again is the same message.
    pub id: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filed {
    /// The ticket's number, or the message's id.
    pub id: String,
    /// Whether it was there already.
    pub before: bool,
}

/// The program that files, as the actor of a row.
#[must_use]
pub fn program(from: &str) -> Actor {
    Actor {
        actor_type: ActorType::System,
        id: "ticket-intake".to_owned(),
        name: "Ticket intake".to_owned(),
        from: Some(from.to_owned()),
    }
}

/// The largest number that is taken from outside: numbers that are drawn come after it.
const LARGEST_NUMBER: u64 = 999_999_999;

fn digits_of(number: &str) -> u64 {
    number.rsplit('-').next().and_then(|digits| digits.parse().ok()).unwrap_or(u64::MAX)
}

impl Desk {
    /// Files a ticket with its first message.
    ///
    /// # Errors
    /// [`StepError::Unprocessable`] for an org that is none of ours, and for a text that holds a
    /// secret, which is not kept; [`StepError::Conflict`] where the number is another ticket's;
    /// [`StepError::KeyReused`].
    pub async fn file_ticket(&self, tx: &mut Tx, by: &Actor, new: &NewTicket) -> Step<Filed> {
        if self.tickets.outside().is_some() {
            return Err(StepError::NotFound);
        }
        check(new, self.tickets.prefix())?;
        let how = new.authenticated.as_ref().map_or("", |(how, _)| how.as_str());
        let id = new.secret.as_ref().map_or("", |(_, id)| id.as_str());
        let said = [&new.subject, &new.requester_name, &new.requester_email, &new.message];
        let said = said.into_iter().map(String::as_str).chain([how, id]);
        // Long texts are read before the log is held.
        let secret = self.secret_in_any(tx, said).await?;
        // Two that are filed at once get their numbers one after the other.
        audit::lock(tx, "platform").await?;
        let digest = digest_of(new);
        let key = new.key.as_ref().map(|k| credential::hash(&SecretString::from(k.as_str())));
        if let Some(key) = &key
            && let Some(id) = tickets::by_filed_key(tx.conn(), key).await?
        {
            let same = tickets::filed_as(tx.conn(), &id).await?.as_ref() == Some(&digest);
            return if same { Ok(Filed { id, before: true }) } else { Err(StepError::KeyReused) };
        }
        if let Some(number) = &new.number
            && tickets::by_id(tx.conn(), number).await?.is_some()
        {
            let same = tickets::filed_as(tx.conn(), number).await?.as_ref() == Some(&digest);
            return if same {
                Ok(Filed { id: number.clone(), before: true })
            } else {
                Err(StepError::Conflict("There is another ticket with this number."))
            };
        }
        let org = self.org_of(tx, &new.org).await?;
        let number = match &new.number {
            Some(number) => number.clone(),
            None => {
                let prefix = self.tickets.prefix();
                format!("{prefix}{}", tickets::highest(tx.conn(), prefix).await? + 1)
            }
        };
        self.refuse_secret(tx, by, &org.id, &number, secret).await?;
        let members = orgs::members(tx.conn(), &org.id).await?;
        let now = self.now();
        let mut ticket =
            Ticket::new(&number, &org.id, new.subject.trim(), new.requester_name.trim(), now)
                .leaked(new.suspected_leak);
        ticket.requester_member =
            member_called(&members, &new.requester_email).map(|m| m.id.clone());
        if let Some((how, at)) = &new.authenticated {
            ticket.authenticated_how = Some(how.trim().to_owned());
            ticket.authenticated_at = Some(*at);
        }
        if let Some((secret_type, id)) = &new.secret {
            ticket.secret_type = Some(secret_type.to_string());
            ticket.secret_id = Some(id.clone());
        }
        tickets::insert(tx.conn(), &ticket).await?;
        tickets::set_filed_as(tx, &number, &digest, key.as_deref()).await?;
        let message = self.message(&number, "customer", &ticket.requester_name, &new.message, None);
        tickets::insert_message(tx.conn(), &message).await?;
        let row = NewRow::new(actions::PLATFORM_TICKET_FILED, by)
            .org(&org.id)
            .ticket(&number)
            .with("requester_is_member", ticket.requester_member.is_some())
            .with("authenticated", ticket.authenticated_how.is_some())
            .with("suspected_leak", new.suspected_leak);
        let row = match &new.secret {
            Some((secret_type, id)) => row.secret(*secret_type, id),
            None => row,
        };
        self.log(tx, &LogId::Platform, row).await?;
        Ok(Filed { id: number, before: false })
    }

    /// Adds a message to a ticket.
    ///
    /// # Errors
    /// [`StepError::NotFound`] for a ticket that is not there; [`StepError::Unprocessable`] for a
    /// text that holds a secret, which is not kept; [`StepError::KeyReused`];
    /// [`StepError::Unprocessable`] for a proof of who wrote it that can be none.
    pub async fn add_ticket_message(
        &self,
        tx: &mut Tx,
        by: &Actor,
        number: &str,
        new: &NewMessage,
    ) -> Step<Filed> {
        if self.tickets.outside().is_some() {
            return Err(StepError::NotFound);
        }
        let text = new.text.trim();
        if text.is_empty() || text.chars().count() > LONGEST_MESSAGE {
            return Err(StepError::Invalid("text has 1 to 10,000 characters."));
        }
        if new.author.trim().is_empty() || new.author.chars().count() > 200 {
            return Err(StepError::Invalid("author has 1 to 200 characters."));
        }
        if new.id.as_deref().is_some_and(|id| !name_like(id)) {
            return Err(StepError::Invalid("id has 1 to 100 letters, digits, _, - or full stops."));
        }
        check_proof(new, self.now())?;
        let how = new.authenticated.as_ref().map_or("", |(how, _)| how.trim());
        let secret = self.secret_in_any(tx, [text, new.author.as_str(), how].into_iter()).await?;
        audit::lock(tx, "platform").await?;
        let ticket = tickets::by_id(tx.conn(), number).await?.ok_or(StepError::NotFound)?;
        let kind = if new.by_customer { "customer" } else { "note" };
        if let Some(id) = &new.id {
            let there = tickets::messages(tx.conn(), number).await?;
            if let Some(m) = there.iter().find(|m| m.outside_id.as_ref() == Some(id)) {
                let same = m.body == text && m.kind == kind && m.author == new.author.trim();
                return if same {
                    Ok(Filed { id: m.id.clone(), before: true })
                } else {
                    Err(StepError::KeyReused)
                };
            }
        }
        self.refuse_secret(tx, by, &ticket.org_id, number, secret).await?;
        let message = self.message(number, kind, &new.author, text, new.id.clone());
        tickets::insert_message(tx.conn(), &message).await?;
        let mut row = NewRow::new(actions::PLATFORM_TICKET_MESSAGE_RECEIVED, by)
            .org(&ticket.org_id)
            .ticket(number)
            .with("kind", kind);
        if let Some((_, at)) = &new.authenticated {
            row = row.with("authenticated_at", *at);
            // An answer that comes late does not make a later proof older.
            if ticket.authenticated_at.is_none_or(|before| before < *at) {
                tickets::set_authenticated(tx, number, how, *at).await?;
            }
        }
        self.log(tx, &LogId::Platform, row).await?;
        Ok(Filed { id: message.id, before: false })
    }

    fn message(
        &self,
        number: &str,
        kind: &str,
        author: &str,
        text: &str,
        outside_id: Option<String>,
    ) -> Message {
        Message {
            id: self.new_id(),
            ticket_id: number.to_owned(),
            author: author.trim().to_owned(),
            kind: kind.to_owned(),
            body: text.trim().to_owned(),
            at: self.now(),
            outside_id,
            waits: 0,
        }
    }

    async fn org_of(&self, tx: &mut Tx, name: &str) -> Step<Org> {
        let found = match orgs::by_id(tx.conn(), name).await? {
            Some(org) => Some(org),
            None => orgs::by_slug(tx.conn(), name).await?,
        };
        found.ok_or(StepError::Unprocessable("org is neither an id nor a short name of an org."))
    }

    /// What of a secret is in the first text that holds one.
    async fn secret_in_any<'a>(
        &self,
        tx: &mut Tx,
        texts: impl Iterator<Item = &'a str>,
    ) -> Step<Option<String>> {
        for text in texts {
            if let Some(found) = self.secret_in(tx.conn(), text).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Refuses what holds a secret. That it came is written down; the text is not.
    async fn refuse_secret(
        &self,
        tx: &mut Tx,
        by: &Actor,
        org_id: &str,
        number: &str,
        secret: Option<String>,
    ) -> Step<()> {
        let Some(found) = secret else { return Ok(()) };
        let row = NewRow::new(actions::PLATFORM_TICKET_MESSAGE_REFUSED, by)
            .outcome(Outcome::Refused)
            .org(org_id)
            .ticket(number)
            .with("found", found);
        self.log(tx, &LogId::Platform, row).await?;
        Err(StepError::Unprocessable(
            "The text holds a secret, or something of the shape of one. It was not kept. Take it out, and tell the customer that the secret has to be replaced.",
        ))
    }
}

fn check_proof(new: &NewMessage, now: Micros) -> Step<()> {
    let Some((how, at)) = &new.authenticated else { return Ok(()) };
    if !new.by_customer {
        return Err(StepError::Unprocessable(
            "authenticated goes with what the customer wrote: kind is customer.",
        ));
    }
    if !(1..=200).contains(&how.trim().chars().count()) {
        return Err(StepError::Invalid("authenticated.how has 1 to 200 characters."));
    }
    if *at > now {
        return Err(StepError::Unprocessable("authenticated.at is not in the future."));
    }
    Ok(())
}

fn check(new: &NewTicket, prefix: &str) -> Step<()> {
    let length = |text: &str, most: usize| (1..=most).contains(&text.trim().chars().count());
    if new.number.as_ref().is_some_and(|n| !ticket_like(n) || !n.starts_with(prefix)) {
        return Err(StepError::Invalid(
            "number is the prefix of this deployment's tickets with up to 9 digits behind it.",
        ));
    }
    if new.number.as_deref().is_some_and(|n| digits_of(n) > LARGEST_NUMBER) {
        return Err(StepError::Invalid("A ticket's number has at most 9 digits."));
    }
    if !length(&new.subject, 200) {
        return Err(StepError::Invalid("subject has 1 to 200 characters."));
    }
    if !length(&new.message, LONGEST_MESSAGE) {
        return Err(StepError::Invalid("message has 1 to 10,000 characters."));
    }
    if !length(&new.requester_name, 200) || !length(&new.requester_email, 254) {
        return Err(StepError::Invalid(
            "requester has a name of up to 200 and an email of up to 254 characters.",
        ));
    }
    if new.authenticated.as_ref().is_some_and(|(how, _)| !length(how, 200)) {
        return Err(StepError::Invalid("authenticated.how has 1 to 200 characters."));
    }
    if new.secret.as_ref().is_some_and(|(_, id)| !name_like(id)) {
        return Err(StepError::Invalid(
            "secret.id has 1 to 100 letters, digits, _, - or full stops.",
        ));
    }
    if new.key.as_ref().is_some_and(|k| k.is_empty() || k.len() > 200 || !k.is_ascii()) {
        return Err(StepError::Invalid("An Idempotency-Key has 1 to 200 ASCII characters."));
    }
    Ok(())
}

/// A digest of what was filed: the same number, or key, with something else is refused.
fn digest_of(new: &NewTicket) -> String {
    let parts = serde_json::json!([
        new.number,
        new.org,
        new.subject,
        new.requester_name,
        new.requester_email,
        new.authenticated,
        new.secret.as_ref().map(|(t, id)| (t.as_str(), id)),
        new.suspected_leak,
        new.message,
    ]);
    hex(&Sha256::digest(parts.to_string()))
}
