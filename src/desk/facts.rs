//! Gathers the facts about a ticket, for the page and inside the transactions that act on it.

use sqlx::AnyConnection;

use super::{Desk, Step};
use crate::delivery::mail::address::{NOT_MAILABLE, is_mailable};
use crate::delivery::openpgp;
use crate::delivery::shared_vault::{SharedVaultError, is_id};
use crate::model::{Channel, Micros, SecretType};
use crate::policy::eligibility::{
    self, Facts, HandoffFacts, Kept, LiveFacts, MemberFacts, Mend, OrgFacts, OwnerFacts,
    RecordFacts, SecretFacts, TicketFacts, Verdict,
};
use crate::policy::grounds::{
    Asked, AuthenticatedThen, Grounds, KeeperThen, RequesterThen, TicketThen,
};
use crate::store::impersonations;
use crate::store::orgs::{self, Member, Org};
use crate::store::secrets::{self, Secret};
use crate::store::tickets::{self, Ticket};

/// A ticket with everything that hangs on it, and the verdict.
#[derive(Debug, Clone)]
pub struct Case {
    /// The ticket.
    pub ticket: Option<Ticket>,
    /// Its org.
    pub org: Option<Org>,
    /// The org's members.
    pub members: Vec<Member>,
    /// The secret, if it is the org's.
    pub secret: Option<Secret>,
    /// What the checks look at.
    pub facts: Facts,
    /// What they came to.
    pub verdict: Verdict,
    /// When they were asked.
    pub asked_at: Micros,
}

impl Case {
    /// The Owner of record.
    #[must_use]
    pub fn owner(&self) -> Option<&Member> {
        let id = self.org.as_ref()?.owner_member_id.as_deref()?;
        self.members.iter().find(|m| m.id == id)
    }

    /// The row of the org's log that the checks rest on, from 0; nothing where none is proven.
    #[must_use]
    pub fn record_row(&self) -> Option<u64> {
        match self.facts.record {
            RecordFacts::Proven { row } => Some(row),
            _ => None,
        }
    }

    /// The ticket's facts and the verdict, as a row of a log keeps them.
    #[must_use]
    pub fn grounds(&self) -> Grounds {
        let requester = self.facts.requester.as_ref();
        let then = |t: &Ticket| TicketThen {
            number: t.id.clone(),
            state: t.state,
            filed_at: t.filed_at,
            requester: requester.map(|m| RequesterThen { member_id: m.id.clone(), role: m.role }),
            authenticated: t
                .authenticated_how
                .clone()
                .zip(t.authenticated_at)
                .map(|(how, at)| AuthenticatedThen { how, at }),
            secret_type: t.secret_type.clone(),
            secret_id: t.secret_id.clone(),
            suspected_leak: t.suspected_leak(),
            kept_by: t.source.clone().map(|system| KeeperThen { system, told_at: t.fetched_at }),
        };
        Grounds {
            ticket: self.ticket.as_ref().map(then),
            asked: Asked::of(&self.verdict, self.asked_at),
            record_row: self.record_row(),
        }
    }
}

impl Desk {
    /// Reads the facts about a ticket and asks the nine checks. `admin_id` is who would act;
    /// `using` is the impersonation that is being used, which does not stand in its own way.
    ///
    /// # Errors
    /// Where the database does not answer: then there is no verdict, and nothing is done.
    pub async fn case(
        &self,
        conn: &mut AnyConnection,
        ticket_id: &str,
        admin_id: &str,
        using: Option<&str>,
    ) -> Step<Case> {
        self.gather_case(conn, ticket_id, admin_id, using, false).await
    }

    /// The same for a list, where the copy of a ticket counts whatever its age: nothing is begun
    /// from a list.
    ///
    /// # Errors
    /// As [`Desk::case`].
    pub async fn case_at_a_glance(
        &self,
        conn: &mut AnyConnection,
        ticket_id: &str,
        admin_id: &str,
    ) -> Step<Case> {
        self.gather_case(conn, ticket_id, admin_id, None, true).await
    }

    /// Who keeps a ticket. Where a system outside is set up, it keeps all of them.
    fn kept(&self, ticket: &Ticket, glance: bool) -> Kept {
        match self.tickets.outside() {
            None => Kept::Here,
            Some(system) => Kept::Outside {
                system: system.to_owned(),
                told_at: ticket
                    .fetched_at
                    .filter(|_| ticket.source.as_deref() == Some(system))
                    .map(|at| if glance { self.now() } else { at }),
            },
        }
    }

    async fn gather_case(
        &self,
        conn: &mut AnyConnection,
        ticket_id: &str,
        admin_id: &str,
        using: Option<&str>,
        glance: bool,
    ) -> Step<Case> {
        let now = self.now();
        let ticket = tickets::by_id(conn, ticket_id).await?;
        let org = match &ticket {
            Some(t) if !t.org_unknown() => orgs::by_id(conn, &t.org_id).await?,
            _ => None,
        };
        if let Some(key) = org.as_ref().and_then(|o| o.pgp_key.as_deref()) {
            // Its signatures are checked once, and not on this thread.
            openpgp::prepare(key).await;
        }
        let members = match &org {
            Some(o) => orgs::members(conn, &o.id).await?,
            None => Vec::new(),
        };
        let (secret, secret_facts) = secret_of(conn, ticket.as_ref()).await?;
        let live = match &org {
            Some(o) => {
                let open = impersonations::open_of(conn, admin_id, &o.id).await?;
                Some(
                    open.into_iter()
                        .filter(|i| i.live(now) && Some(i.id.as_str()) != using)
                        .map(|i| LiveFacts {
                            same_admin: i.admin_id == admin_id,
                            id: i.id,
                            ticket_id: i.ticket_id,
                        })
                        .collect(),
                )
            }
            // Without a ticket nothing of the kind is known, and other checks fail anyway.
            None => Some(Vec::new()),
        };
        let facts = Facts {
            ticket_id: ticket_id.to_owned(),
            ticket: ticket.as_ref().map(|t| TicketFacts {
                state: t.state,
                filed_at: t.filed_at,
                requester_name: t.requester_name.clone(),
                authenticated: t.authenticated_how.clone().zip(t.authenticated_at),
                proof_life: self.settings.proof_life,
                kept: self.kept(t, glance),
            }),
            org: org.as_ref().map(|o| OrgFacts {
                id: o.id.clone(),
                name: o.name.clone(),
                consent: o.consent(),
                consent_changed_at: o.consent_changed_at,
                consent_reminded_at: o.consent_reminded_at,
            }),
            owner: org.as_ref().and_then(|o| owner_facts(o, &members)),
            requester: ticket
                .as_ref()
                .and_then(|t| t.requester_member.as_deref())
                .and_then(|id| members.iter().find(|m| m.id == id))
                .map(member_facts),
            members: org.is_some().then(|| members.iter().map(member_facts).collect()),
            record: match &org {
                Some(o) if !glance => self.record_facts(conn, o, &members).await?,
                _ => RecordFacts::NotAsked,
            },
            secret: secret_facts,
            handoff: org.as_ref().map_or(HandoffFacts::NoChannel, |o| self.handoff_facts(o, now)),
            live,
        };
        let verdict = eligibility::decide(&facts, now);
        Ok(Case { ticket, org, members, secret, facts, verdict, asked_at: now })
    }
}

fn member_facts(m: &Member) -> MemberFacts {
    MemberFacts { id: m.id.clone(), role: m.role, standing: m.standing }
}

fn owner_facts(org: &Org, members: &[Member]) -> Option<OwnerFacts> {
    let id = org.owner_member_id.as_deref()?;
    let member = members.iter().find(|m| m.id == id)?;
    Some(OwnerFacts {
        member_id: member.id.clone(),
        name: member.name.clone(),
        since: org.owner_since?,
        unreachable: org
            .owner_unreachable_at
            .map(|at| (at, org.owner_unreachable_attempts.clone().unwrap_or_default())),
    })
}

async fn secret_of(
    conn: &mut AnyConnection,
    ticket: Option<&Ticket>,
) -> Step<(Option<Secret>, SecretFacts)> {
    let Some(ticket) = ticket else { return Ok((None, SecretFacts::NotNamed)) };
    let Some(id) = ticket.secret_id.clone() else { return Ok((None, SecretFacts::NotNamed)) };
    let Some(secret) = secrets::by_id(conn, &id).await? else {
        return Ok((None, SecretFacts::Missing { id }));
    };
    if secret.org_id != ticket.org_id {
        return Ok((None, SecretFacts::OfAnotherOrg { id }));
    }
    let named = ticket.secret_type.as_deref().and_then(|t| t.parse::<SecretType>().ok());
    if named != Some(secret.secret_type) {
        return Ok((None, SecretFacts::WrongType { id, found: secret.secret_type.to_string() }));
    }
    let facts = SecretFacts::Known { id, secret_type: secret.secret_type, version: secret.version };
    Ok((Some(secret), facts))
}

impl Desk {
    /// Whether the channel of an org's runbook entry works. Nobody outside is asked: this stands
    /// inside transactions.
    #[must_use]
    pub fn handoff_facts(&self, org: &Org, now: Micros) -> HandoffFacts {
        handoff_facts(org, now, self.shared_vault.is_some())
    }
}

fn handoff_facts(org: &Org, now: Micros, vaults: bool) -> HandoffFacts {
    let broken = |channel, problem: String| HandoffFacts::Broken { channel, problem, mend: None };
    match org.channel.as_deref().map(str::parse::<Channel>) {
        None => HandoffFacts::NoChannel,
        Some(Err(e)) => broken(Channel::Pgp, e.to_string()),
        Some(Ok(channel @ Channel::Pgp)) => {
            if org.owner_address.as_deref().is_none_or(str::is_empty) {
                return broken(channel, "there is no address on file".to_owned());
            }
            if org.owner_address.as_deref().is_some_and(|address| !is_mailable(address)) {
                return broken(channel, format!("the address on file is none: {NOT_MAILABLE}"));
            }
            match org.pgp_key.as_deref().map(|key| openpgp::inspect(key, now)) {
                None => broken(channel, "there is no key on file".to_owned()),
                Some(Ok(report)) => HandoffFacts::Works {
                    channel,
                    to: report.fingerprint,
                    expires_at: report.expires_at,
                },
                Some(Err(problem)) => {
                    let mend = Mend { reason: problem.reason(), commands: problem.commands() };
                    let problem = problem.to_string();
                    HandoffFacts::Broken { channel, problem, mend: Some(mend) }
                }
            }
        }
        Some(Ok(channel @ Channel::OnePassword)) => match org.shared_vault_id.as_deref() {
            None | Some("") => broken(channel, "the runbook entry names no vault".to_owned()),
            Some(id) if !is_id(id) => {
                broken(channel, SharedVaultError::VaultId(id.to_owned()).to_string())
            }
            Some(_) if !vaults => broken(channel, SharedVaultError::NotConfigured.to_string()),
            Some(id) => {
                HandoffFacts::Works { channel, to: format!("vault {id}"), expires_at: None }
            }
        },
    }
}
