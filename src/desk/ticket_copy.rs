//! The copy of a ticket that a support desk outside keeps. The desk is asked outside of any
//! transaction; what it said is written down in one.

use std::time::Duration;

use secrecy::SecretString;
use sqlx::AnyConnection;

use super::{AtWork, Desk, Step, StepError};
use crate::audit::{Actor, LogId, NewRow};
use crate::delivery::tickets::{OutsideComment, OutsideTicket, TicketsError};
use crate::model::ticket::ticket_like;
use crate::model::{Micros, TicketState, time};
use crate::proof::actions;
use crate::store::impersonations::Impersonation;
use crate::store::orgs::{self, Member, Org};
use crate::store::tickets::{self, Message, Ticket};
use crate::store::{Tx, audit};

/// How long whoever wants to begin something waits for the desk outside.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How long a page waits for it; it shows the copy otherwise.
pub const PAGE_PATIENCE: Duration = Duration::from_secs(3);

/// A page does not ask again within this time.
const PAGE_FRESH: Micros = 10 * time::SECOND;

/// What stands in place of a text that holds a secret.
const WITHHELD: &str = "(Not shown: it holds a secret, or something of the shape of one. Have it removed in the ticket system.)";

/// How asking the desk outside went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refreshed {
    /// There is none: tickets live here.
    Here,
    /// The copy says what it says now.
    Told,
    /// It knows no such ticket.
    Unknown,
    /// The ticket is of an org that is none of ours. What was known of it before counts no more.
    NoOrg,
    /// It did not say: why.
    NotTold(TicketsError),
}

impl Desk {
    /// Asks the desk outside for a ticket, and writes down what it says. How old the copy may be
    /// for anything to be begun is decided by the checks, not here.
    ///
    /// # Errors
    /// Where the database does not answer. That the desk outside does not is no error.
    pub async fn refresh_ticket(&self, number: &str, within: Duration) -> Step<Refreshed> {
        let Some(system) = self.tickets.outside() else { return Ok(Refreshed::Here) };
        if !ticket_like(number) {
            return Ok(Refreshed::Unknown);
        }
        // What is said after this instant was so at this instant or later.
        let asked_at = self.now();
        let found = match tokio::time::timeout(within, self.tickets.look_up(number)).await {
            Ok(Ok(found)) => found,
            Ok(Err(e)) => {
                tracing::warn!(number, error = %e, "a ticket could not be asked for");
                return Ok(Refreshed::NotTold(e));
            }
            Err(_) => return Ok(Refreshed::NotTold(TicketsError::NoAnswer)),
        };
        if self.said_again(system, number, found.as_ref(), asked_at).await? {
            return Ok(Refreshed::Told);
        }
        let found = match found {
            Some(found) => Some(self.without_secrets(number, found).await?),
            None => None,
        };
        let mut tx = self.begin().await?;
        let step = self.write_copy(&mut tx, system, number, found.as_ref(), asked_at).await;
        self.settle(tx, step).await
    }

    /// The same for a page: only where the copy is not of this moment, and never for long.
    ///
    /// # Errors
    /// As [`Desk::refresh_ticket`].
    pub async fn refresh_for_page(
        &self,
        conn: &mut AnyConnection,
        number: &str,
    ) -> Step<Refreshed> {
        if self.tickets.outside().is_none() {
            return Ok(Refreshed::Here);
        }
        let copy = tickets::by_id(conn, number).await?;
        let now = self.now();
        if copy.as_ref().and_then(|t| t.fetched_at).is_some_and(|at| now - at < PAGE_FRESH) {
            return Ok(Refreshed::Told);
        }
        if copy.is_some() && self.tickets.silent() {
            return Ok(Refreshed::NotTold(TicketsError::NoAnswer));
        }
        self.refresh_ticket(number, PAGE_PATIENCE).await
    }

    /// Asks for the ticket of a live impersonation, before its token is used. What is not told is
    /// for the checks to refuse.
    pub(super) async fn refresh_for(&self, token: &SecretString) -> Step<()> {
        if self.tickets.outside().is_none() {
            return Ok(());
        }
        let ticket = {
            let mut conn = self.store.read().await?;
            match self.check_token(&mut conn, token).await? {
                Ok((_, grant)) => grant.ticket_id,
                Err(_) => return Ok(()),
            }
        };
        self.refresh_ticket(&ticket, PATIENCE).await?;
        Ok(())
    }

    /// Starts the impersonation for a ticket, once the desk outside was asked for it: one step
    /// from beginning to end.
    ///
    /// # Errors
    /// As [`Desk::impersonate`].
    pub async fn start_impersonation(&self, who: &AtWork, number: &str) -> Step<Impersonation> {
        if who.may_carry_out().is_ok() {
            self.refresh_ticket(number, PATIENCE).await?;
        }
        self.prepare_key_of_ticket(number).await?;
        let mut tx = self.begin().await?;
        let step = self.impersonate(&mut tx, who, number).await;
        self.settle(tx, step).await
    }

    /// Where nothing is new, only the time is noted, without holding up the logs.
    async fn said_again(
        &self,
        system: &str,
        number: &str,
        found: Option<&OutsideTicket>,
        asked_at: Micros,
    ) -> Step<bool> {
        let Some(found) = found else { return Ok(false) };
        let before = {
            let mut conn = self.store.read().await?;
            let Some(before) = tickets::by_id(&mut conn, number).await? else { return Ok(false) };
            let known = self.what_is_known(&mut conn, system, found, Some(&before)).await?;
            let same = known.is_some_and(|k| changes(Some(&before), &k).is_empty());
            if !same || !self.new_comments(&mut conn, number, &found.comments).await?.is_empty() {
                return Ok(false);
            }
            before
        };
        let Some(told_at) = before.fetched_at else { return Ok(false) };
        let mut tx = self.begin().await?;
        let noted = tickets::told_again(&mut tx, number, told_at, told_at.max(asked_at)).await?;
        tx.commit().await?;
        Ok(noted)
    }

    /// Withholds each new comment that holds a secret. A customer may write many and long ones:
    /// they are read before the logs are held, so that nobody has to wait for that.
    async fn without_secrets(&self, number: &str, mut found: OutsideTicket) -> Step<OutsideTicket> {
        let mut conn = self.store.read().await?;
        let new: Vec<String> = self
            .new_comments(&mut conn, number, &found.comments)
            .await?
            .into_iter()
            .map(|(comment, _)| comment.id.clone())
            .collect();
        for comment in found.comments.iter_mut().filter(|c| new.contains(&c.id)) {
            if self.secret_in(&mut conn, &comment.body).await?.is_some() {
                WITHHELD.clone_into(&mut comment.body);
            }
        }
        Ok(found)
    }

    async fn write_copy(
        &self,
        tx: &mut Tx,
        system: &str,
        number: &str,
        found: Option<&OutsideTicket>,
        asked_at: Micros,
    ) -> Step<Refreshed> {
        // Under the log's lock two answers are written one after the other.
        audit::lock(tx, "platform").await?;
        let before = tickets::by_id(tx.conn(), number).await?;
        if before.as_ref().and_then(|t| t.fetched_at).is_some_and(|at| at > asked_at) {
            return Ok(Refreshed::Told);
        }
        let Some(found) = found else {
            return self.forget(tx, system, before, asked_at).await;
        };
        let Some(mut ticket) =
            self.what_is_known(tx.conn(), system, found, before.as_ref()).await?
        else {
            return Ok(Refreshed::NoOrg);
        };
        ticket.fetched_at = Some(asked_at);
        let changed = changes(before.as_ref(), &ticket);
        let outcome = if ticket.org_unknown() { Refreshed::NoOrg } else { Refreshed::Told };
        match before {
            None => tickets::insert(tx.conn(), &ticket).await?,
            Some(_) => tickets::overwrite(tx, &ticket).await?,
        }
        let comments = self.new_comments(tx.conn(), number, &found.comments).await?;
        for (comment, kept) in &comments {
            let body = comment.body.clone();
            match kept {
                Some(message) => tickets::set_body(tx, &message.id, &body).await?,
                None => {
                    let message = Message {
                        id: self.new_id(),
                        ticket_id: number.to_owned(),
                        author: comment.author.clone(),
                        kind: kind_of(comment).to_owned(),
                        body,
                        at: comment.at,
                        outside_id: Some(comment.id.clone()),
                        waits: 0,
                    };
                    tickets::insert_message(tx.conn(), &message).await?;
                }
            }
        }
        if !changed.is_empty() || !comments.is_empty() {
            let row = NewRow::new(actions::PLATFORM_TICKET_FETCHED, &Actor::system())
                .org(&ticket.org_id)
                .ticket(number)
                .with("system", system)
                .with("changed", changed)
                .with("messages", comments.len());
            self.log(tx, &LogId::Platform, row).await?;
        }
        Ok(outcome)
    }

    /// The desk outside knows no such ticket: a copy of it is of nothing.
    async fn forget(
        &self,
        tx: &mut Tx,
        system: &str,
        before: Option<Ticket>,
        asked_at: Micros,
    ) -> Step<Refreshed> {
        let Some(mut ticket) = before.filter(|t| t.source.as_deref() == Some(system)) else {
            return Ok(Refreshed::Unknown);
        };
        if ticket.state != TicketState::Closed && ticket.state != TicketState::Escalated {
            ticket.state = TicketState::Closed;
            let row = NewRow::new(actions::PLATFORM_TICKET_FETCHED, &Actor::system())
                .org(&ticket.org_id)
                .ticket(&ticket.id)
                .with("system", system)
                .with("changed", vec!["state"])
                .with("messages", 0)
                .with("gone", true);
            self.log(tx, &LogId::Platform, row).await?;
        }
        ticket.fetched_at = Some(asked_at);
        tickets::overwrite(tx, &ticket).await?;
        Ok(Refreshed::Unknown)
    }

    /// What is known of a ticket by what the desk outside says: in our orgs, our members, our
    /// words. Nothing where its org is none of ours and never was.
    async fn what_is_known(
        &self,
        conn: &mut AnyConnection,
        system: &str,
        found: &OutsideTicket,
        before: Option<&Ticket>,
    ) -> Step<Option<Ticket>> {
        let org = match &found.org {
            Some(name) => self.org_called(conn, name).await?,
            None => None,
        };
        let members = match &org {
            Some(org) => orgs::members(conn, &org.id).await?,
            None => Vec::new(),
        };
        let Some(org_id) =
            org.as_ref().map(|o| o.id.clone()).or_else(|| before.map(|t| t.org_id.clone()))
        else {
            return Ok(None);
        };
        let clean = async |conn: &mut AnyConnection, text: &str| {
            let text: String = text.chars().take(500).collect();
            Ok::<_, StepError>(self.secret_in(conn, &text).await?.is_none().then_some(text))
        };
        let subject = clean(&mut *conn, &found.subject).await?;
        let name = clean(&mut *conn, &found.requester_name).await?;
        let mut ticket = Ticket::new(
            &found.number,
            &org_id,
            &subject.unwrap_or_else(|| WITHHELD.to_owned()),
            &name.unwrap_or_else(|| "somebody unknown".to_owned()),
            found.filed_at,
        )
        .leaked(found.suspected_leak)
        .with_org_unknown(org.is_none());
        ticket.state = match (before.map(|t| t.state), found.state) {
            // The case is with Legal, and our admins work on it: the desk outside knows neither.
            (Some(TicketState::Escalated), _) => TicketState::Escalated,
            (Some(TicketState::Pending), TicketState::Open) => TicketState::Pending,
            (_, state) => state,
        };
        ticket.requester_member = found
            .requester_email
            .as_deref()
            .and_then(|email| member_called(&members, email))
            .map(|m| m.id.clone());
        if let Some((how, at)) = &found.authenticated
            && let Some(how) = clean(&mut *conn, how).await?
        {
            ticket.authenticated_how = Some(how);
            ticket.authenticated_at = Some(*at);
        }
        ticket.secret_type = found.secret_type.clone().filter(|t| name_like(t));
        ticket.secret_id = match found.secret_id.clone().filter(|id| name_like(id)) {
            Some(id) => clean(&mut *conn, &id).await?,
            None => None,
        };
        ticket.source = Some(system.to_owned());
        Ok(Some(ticket))
    }

    async fn org_called(&self, conn: &mut AnyConnection, name: &str) -> Step<Option<Org>> {
        if let Some(org) = orgs::by_id(conn, name).await? {
            return Ok(Some(org));
        }
        // An external id at Zendesk is the same whatever its case.
        Ok(orgs::by_slug(conn, &name.to_lowercase()).await?)
    }

    /// The comments that are not here yet, or were changed since, with what is here of them.
    async fn new_comments<'a>(
        &self,
        conn: &mut AnyConnection,
        number: &str,
        comments: &'a [OutsideComment],
    ) -> Step<Vec<(&'a OutsideComment, Option<Message>)>> {
        let here = tickets::messages(conn, number).await?;
        Ok(comments
            .iter()
            .filter_map(|comment| {
                let kept = here.iter().find(|m| m.outside_id.as_deref() == Some(&comment.id));
                match kept {
                    // What was withheld stays so: what it is about has not become less secret.
                    Some(m) if m.body == comment.body || m.body == WITHHELD => None,
                    kept => Some((comment, kept.cloned())),
                }
            })
            .collect())
    }
}

fn kind_of(comment: &OutsideComment) -> &'static str {
    match (comment.by_customer, comment.public) {
        (true, _) => "customer",
        (false, true) => "staff",
        (false, false) => "note",
    }
}

/// The one member with this address, whatever its case.
pub(super) fn member_called<'a>(members: &'a [Member], email: &str) -> Option<&'a Member> {
    let mut found = members.iter().filter(|m| m.email.eq_ignore_ascii_case(email.trim()));
    match (found.next(), found.next()) {
        (Some(member), None) => Some(member),
        _ => None,
    }
}

/// Whether a text has the form of an id: what is typed into a field may be anything.
pub(super) fn name_like(text: &str) -> bool {
    (1..=100).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

/// The names of what is new about a ticket.
fn changes(before: Option<&Ticket>, now: &Ticket) -> Vec<&'static str> {
    let Some(b) = before else { return vec!["ticket"] };
    [
        ("org", b.org_id != now.org_id || b.org_unknown() != now.org_unknown()),
        ("subject", b.subject != now.subject),
        ("state", b.state != now.state),
        (
            "requester",
            b.requester_name != now.requester_name || b.requester_member != now.requester_member,
        ),
        (
            "authenticated",
            b.authenticated_how != now.authenticated_how
                || b.authenticated_at != now.authenticated_at,
        ),
        ("secret", b.secret_type != now.secret_type || b.secret_id != now.secret_id),
        ("suspected_leak", b.suspected_leak() != now.suspected_leak()),
        ("filed_at", b.filed_at != now.filed_at),
        ("source", b.source != now.source),
    ]
    .into_iter()
    .filter_map(|(name, changed)| changed.then_some(name))
    .collect()
}
