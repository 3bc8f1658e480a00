//! May this ticket be served at all? Nine checks over facts; all of them are always made, and
//! nothing overrides one (US-PLAT-13).

use serde::{Deserialize, Serialize};

use crate::model::org::in_fours;
use crate::model::{Channel, Consent, MemberRole, Micros, SecretType, Standing, TicketState, time};
use crate::proof::org_record::Part;

/// Everything the checks look at. A fact that could not be read is absent, and an absent fact
/// never passes a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The ticket's number as it was asked for.
    pub ticket_id: String,
    /// The ticket, if there is one.
    pub ticket: Option<TicketFacts>,
    /// The org that the ticket names, if there is one.
    pub org: Option<OrgFacts>,
    /// The Owner of record, if the org has one.
    pub owner: Option<OwnerFacts>,
    /// Who asks, if the requester is a member of the org.
    pub requester: Option<MemberFacts>,
    /// Every member of the org. `None` where the list could not be read.
    pub members: Option<Vec<MemberFacts>>,
    /// The secret that the ticket names.
    pub secret: SecretFacts,
    /// How a new value would reach the Owner.
    pub handoff: HandoffFacts,
    /// Whether the org's log proves what is on record of it.
    #[serde(default)]
    pub record: RecordFacts,
    /// Live impersonations of the asking admin or of the org, other than the one being used.
    /// `None` where they could not be read.
    pub live: Option<Vec<LiveFacts>>,
}

/// The ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketFacts {
    /// Where it stands.
    pub state: TicketState,
    /// When it was filed.
    pub filed_at: Micros,
    /// The requester's name as support wrote it down.
    pub requester_name: String,
    /// How support authenticated the requester, and when; absent where it did not.
    pub authenticated: Option<(String, Micros)>,
    /// How old that may be.
    #[serde(default = "usual_proof_life")]
    pub proof_life: Micros,
    /// Who keeps the ticket.
    #[serde(default)]
    pub kept: Kept,
}

/// Who keeps a ticket, and so how old what is known of it may be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Kept {
    /// Our own database: what it says is so now.
    #[default]
    Here,
    /// A ticket system outside: what is known is a copy.
    Outside {
        /// Its name.
        system: String,
        /// When it last told; absent where it never did.
        told_at: Option<Micros>,
    },
}

/// How old it may be, unless it is set otherwise, that support authenticated the requester.
pub const PROOF_LIFE: Micros = 7 * time::DAY;

const fn usual_proof_life() -> Micros {
    PROOF_LIFE
}

/// A ticket that has been open for so long has to be confirmed by who filed it.
pub const LONG_OPEN: Micros = 30 * time::DAY;

/// For how long the yearly question whether consent still stands may be unanswered, for it to count.
pub const UNANSWERED_FOR: Micros = 30 * time::DAY;

/// Whether the Owner has been asked for so long that consent does not count until they answer.
#[must_use]
pub fn unanswered_too_long(reminded_at: Option<Micros>, now: Micros) -> bool {
    reminded_at.is_some_and(|at| now.saturating_sub(at) >= UNANSWERED_FOR)
}

/// How old the copy of a ticket may be that a system outside keeps, for anything to be begun.
pub const OLDEST_COPY: Micros = time::MINUTE;

/// Whether an org's log proves what its tables say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum RecordFacts {
    /// Nothing is decided on it: it is for a list, or there is no org.
    #[default]
    NotAsked,
    /// It does.
    Proven {
        /// The row, from 0.
        row: u64,
    },
    /// The tables say something else.
    Differs {
        /// The row, from 0.
        row: u64,
        /// In what.
        parts: Vec<Part>,
    },
    /// The log proves nothing of it, and why.
    Unproven(String),
}

/// The org.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrgFacts {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `allow_platform_impersonation`, and how far it goes.
    pub consent: Consent,
    /// When consent was last switched.
    pub consent_changed_at: Option<Micros>,
    /// Since when the Owner is asked whether a consent without an end still stands.
    #[serde(default)]
    pub consent_reminded_at: Option<Micros>,
}

/// The Owner of record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerFacts {
    /// The member who is the Owner of record.
    pub member_id: String,
    /// Their name.
    pub name: String,
    /// Since when the contract names them.
    pub since: Micros,
    /// When they were marked unreachable, and the attempts that were made.
    pub unreachable: Option<(Micros, String)>,
}

/// A member of the org.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberFacts {
    /// The member's id.
    pub id: String,
    /// The member's role.
    pub role: MemberRole,
    /// Whether they can use it.
    pub standing: Standing,
}

/// The secret that the ticket is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecretFacts {
    /// The ticket names none.
    NotNamed,
    /// The ticket names one that does not exist.
    Missing {
        /// The id in the ticket.
        id: String,
    },
    /// It belongs to another org. Whose is not said.
    OfAnotherOrg {
        /// The id in the ticket.
        id: String,
    },
    /// Its type is none of the three, or not the one that the ticket says.
    WrongType {
        /// The id in the ticket.
        id: String,
        /// What was found.
        found: String,
    },
    /// It is the org's.
    Known {
        /// Its id.
        id: String,
        /// Its type.
        secret_type: SecretType,
        /// Its current version.
        version: i64,
    },
}

/// The channel to the Owner, and whether it works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HandoffFacts {
    /// The org's runbook entry names no channel.
    NoChannel,
    /// The channel is named and works.
    Works {
        /// Which.
        channel: Channel,
        /// What it is addressed to: a fingerprint, or a vault's id.
        to: String,
        /// When it stops working by itself.
        expires_at: Option<Micros>,
    },
    /// The channel is named and does not work.
    Broken {
        /// Which.
        channel: Channel,
        /// What is wrong with it, and what to do.
        problem: String,
        /// How the Owner puts it right, where that is known in so many words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mend: Option<Mend>,
    },
}

/// How the Owner puts a channel right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mend {
    /// What is wrong with it.
    pub reason: String,
    /// The commands that put it right, in their order. The last one prints what to send us.
    pub commands: Vec<String>,
}

/// Another live impersonation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveFacts {
    /// Its `impersonation_id`.
    pub id: String,
    /// Its ticket.
    pub ticket_id: String,
    /// Whether the asking admin holds it (otherwise it is for the same org).
    pub same_admin: bool,
}

crate::model::words! {
    /// The nine checks, in the order in which the page lists them.
    Check("check") {
        /// The ticket exists, and is open or pending.
        TicketOpen = "ticket_open" => "Ticket open",
        /// Support authenticated the requester.
        RequesterAuthenticated = "requester_authenticated" => "Requester authenticated",
        /// The requester is the Owner of record, and was before the ticket was filed.
        RequesterIsOwner = "requester_is_owner" => "Requester is Owner",
        /// Nobody has marked the Owner unreachable.
        OwnerReachable = "owner_reachable" => "Owner reachable",
        /// No Owner or Admin of the org can do it themselves.
        SelfServiceUnavailable = "self_service_unavailable" => "Self-service unavailable",
        /// `allow_platform_impersonation` is true.
        Consent = "consent" => "Consent",
        /// The secret is the org's, and of one of the three types.
        SecretKnown = "secret_known" => "Secret known",
        /// The new value can reach the Owner.
        HandoffPossible = "handoff_possible" => "Handoff possible",
        /// Neither the admin nor the org has another live impersonation.
        NothingElseOpen = "nothing_else_open" => "Nothing else open",
    }
}

/// One check and what it came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which check.
    pub check: Check,
    /// Whether it passed.
    pub passed: bool,
    /// The fact it saw.
    pub saw: String,
    /// Why a failure stops the procedure, and the one thing to do. Empty where it passed.
    pub advice: String,
    /// A ready reply to the ticket. Empty where none is called for.
    pub reply: String,
    /// The impersonation that stands in the way, to be led to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impersonation: Option<String>,
}

/// The answer: every check, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// All nine findings.
    pub findings: Vec<Finding>,
}

impl Verdict {
    /// Whether the ticket may be served: all nine checks are there, and all passed.
    #[must_use]
    pub fn eligible(&self) -> bool {
        self.findings.len() == Check::ALL.len() && self.findings.iter().all(|f| f.passed)
    }

    /// The checks that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|f| !f.passed)
    }

    /// The names of the failed checks, for audit rows.
    #[must_use]
    pub fn failed_names(&self) -> Vec<&'static str> {
        self.failed().map(|f| f.check.as_str()).collect()
    }

    /// The reply to post: that of the first failed check that has one. The order of the checks
    /// puts what the customer must hear first in front.
    #[must_use]
    pub fn reply(&self) -> Option<&str> {
        self.failed().map(|f| f.reply.as_str()).find(|r| !r.is_empty())
    }
}

/// Asks all nine checks.
#[must_use]
pub fn decide(facts: &Facts, now: Micros) -> Verdict {
    let findings = Check::ALL
        .iter()
        .map(|&check| {
            let outcome = on_record(facts, check).and_then(|()| match check {
                Check::TicketOpen => ticket_open(facts, now),
                Check::RequesterAuthenticated => requester_authenticated(facts, now),
                Check::RequesterIsOwner => requester_is_owner(facts),
                Check::OwnerReachable => owner_reachable(facts),
                Check::SelfServiceUnavailable => self_service_unavailable(facts),
                Check::Consent => consent(facts, now),
                Check::SecretKnown => secret_known(facts),
                Check::HandoffPossible => handoff_possible(facts, now),
                Check::NothingElseOpen => nothing_else_open(facts),
            });
            let (passed, saw, advice, reply, impersonation) = match outcome {
                Ok(saw) => (true, saw, String::new(), String::new(), None),
                Err(no) => (false, no.saw, no.advice, no.reply, no.impersonation),
            };
            Finding { check, passed, saw, advice, reply, impersonation }
        })
        .collect();
    Verdict { findings }
}

/// Refuses a check that rests on what the org's log does not prove.
fn on_record(facts: &Facts, check: Check) -> Result<(), No> {
    let part = match check {
        Check::RequesterIsOwner => Part::Owner,
        Check::OwnerReachable => Part::Reachable,
        Check::SelfServiceUnavailable => Part::Members,
        Check::Consent => Part::Consent,
        Check::HandoffPossible => Part::Channel,
        Check::TicketOpen
        | Check::RequesterAuthenticated
        | Check::SecretKnown
        | Check::NothingElseOpen => return Ok(()),
    };
    const ADVICE: &str = "Somebody changed the database past the log. Nothing is done for this org until that is explained: keep the database as it is, and call security.";
    match &facts.record {
        RecordFacts::NotAsked | RecordFacts::Proven { .. } => Ok(()),
        RecordFacts::Differs { parts, .. } if !parts.contains(&part) => Ok(()),
        RecordFacts::Differs { row, .. } => Err(no(
            format!(
                "the database says something else of {} than row {row} of the org’s log",
                part.label()
            ),
            ADVICE,
            "",
        )),
        RecordFacts::Unproven(why) => {
            Err(no(format!("the org’s log does not prove {}: {why}", part.label()), ADVICE, ""))
        }
    }
}

/// A failed check: what it saw, what to do, what to reply.
struct No {
    saw: String,
    advice: String,
    reply: String,
    impersonation: Option<String>,
}

fn no(saw: impl Into<String>, advice: impl Into<String>, reply: impl Into<String>) -> No {
    No { saw: saw.into(), advice: advice.into(), reply: reply.into(), impersonation: None }
}

type Outcome = Result<String, No>;

fn ticket(facts: &Facts) -> Result<&TicketFacts, No> {
    facts.ticket.as_ref().ok_or_else(|| {
        no(
            format!("there is no ticket {}", facts.ticket_id),
            "Check the number. Without a ticket nothing can be served.",
            "",
        )
    })
}

fn ticket_open(facts: &Facts, now: Micros) -> Outcome {
    let ticket = ticket(facts)?;
    if let Kept::Outside { system, told_at } = &ticket.kept
        && told_at.is_none_or(|at| at > now || now - at > OLDEST_COPY)
    {
        return Err(match told_at {
            Some(at) => no(
                format!(
                    "the ticket system did not answer; what is known is what {system} said at {}",
                    time::seconds(*at)
                ),
                format!(
                    "Try again in a moment. Nothing is begun on what {system} said more than a minute ago."
                ),
                "",
            ),
            None => no(
                format!("{system} has not told us of this ticket"),
                format!("Check that {system} has a ticket of this number, and try again."),
                "",
            ),
        });
    }
    if ticket.state.can_be_served() {
        return Ok(format!("{}, filed {}", ticket.state.label(), time::minutes(ticket.filed_at)));
    }
    Err(match ticket.state {
        TicketState::Escalated => no(
            "the ticket was escalated to Legal",
            "Legal has the case. It is not carried on from here.",
            "",
        ),
        state => no(
            format!("the ticket is {}", state.label()),
            "Only an open or pending ticket can be served. The Owner files a new one if the secret is still stuck.",
            "This ticket is no longer open. If the secret is still stuck, please file a new ticket while signed in to support.",
        ),
    })
}

fn requester_authenticated(facts: &Facts, now: Micros) -> Outcome {
    let ticket = ticket(facts)?;
    match &ticket.authenticated {
        Some((how, at)) if !how.trim().is_empty() && *at <= now => {
            // However it is set: a month is more than anything counts for.
            let life = ticket.proof_life.min(LONG_OPEN);
            if now - at <= life {
                return Ok(format!("{how}, {}", time::minutes(*at)));
            }
            Err(proof_too_old(ticket, *at, life, now))
        }
        _ => Err(no(
            "support did not authenticate the requester",
            "Ask the requester to sign in to support and answer from there.",
            "Before we can act on this ticket we need to know that it comes from you. Please sign in to support and answer from your signed-in session.",
        )),
    }
}

fn proof_too_old(ticket: &TicketFacts, at: Micros, life: Micros, now: Micros) -> No {
    let old = format!(
        "support authenticated the requester {}, which counts for {}",
        time::minutes(at),
        time::span(life)
    );
    const AGAIN: &str = "Ask the requester to sign in to support, and to answer from there. Support then records it anew.";
    if now.saturating_sub(ticket.filed_at) > LONG_OPEN {
        return no(
            format!(
                "{old}; the ticket was filed {}, more than a month ago, and nobody has confirmed it since",
                time::minutes(ticket.filed_at)
            ),
            AGAIN,
            "This ticket has been open for more than a month. Before we act on it, please sign in to support and tell us from your signed-in session whether you still want this secret to be rotated.",
        );
    }
    no(
        old,
        AGAIN,
        "It is some time since you last showed us that this ticket comes from you. Please sign in to support once more, and tell us from your signed-in session that we may go on.",
    )
}

fn requester_is_owner(facts: &Facts) -> Outcome {
    let ticket = ticket(facts)?;
    let Some(owner) = &facts.owner else {
        return Err(no(
            "the org has no Owner of record",
            "Nobody can ask for this. Have the account team establish who the contract names as Owner.",
            "",
        ));
    };
    match &facts.requester {
        Some(requester) if requester.id == owner.member_id => {
            if owner.since < ticket.filed_at {
                return Ok(format!("Owner of record since {}", time::date(owner.since)));
            }
            Err(no(
                format!(
                    "the requester became Owner of record on {}, after the ticket was filed on {}",
                    time::minutes(owner.since),
                    time::minutes(ticket.filed_at)
                ),
                "An owner who was named after the ticket was filed cannot have asked as the Owner. Treat a change of Owner during an open case with suspicion.",
                "The Owner of record of your organization changed after this ticket was filed. Please file a new ticket as the Owner of record.",
            ))
        }
        Some(requester) if requester.role == MemberRole::Admin => Err(no(
            "the requester is an Admin of the org",
            "An Admin can do it alone, so nothing is done for them here. Post the reply.",
            "As an Admin you can rotate this yourself: sign in and use Rotate API keys. We do not rotate a secret for you while that path is open to you.",
        )),
        Some(requester) => Err(no(
            format!(
                "the requester is {} of the org, not its Owner of record",
                article(requester.role)
            ),
            "A rotation at this request is never authorised, whatever the reason: only the Owner's own request counts.",
            "We can only do this at the request of your organization's Owner. Please ask the Owner to file the ticket while signed in to support.",
        )),
        None => Err(no(
            format!("the requester, {}, is no member of the org", ticket.requester_name),
            "A rotation at this request is never authorised, whatever the reason: only the Owner's own request counts.",
            "We can only do this at the request of your organization's Owner. Please ask the Owner to file the ticket while signed in to support.",
        )),
    }
}

fn article(role: MemberRole) -> String {
    match role {
        MemberRole::Owner => "an Owner".to_owned(),
        MemberRole::Admin => "an Admin".to_owned(),
        MemberRole::Operator => "an Operator".to_owned(),
        MemberRole::Viewer => "a Viewer".to_owned(),
    }
}

fn owner_reachable(facts: &Facts) -> Outcome {
    match &facts.owner {
        None => Err(no(
            "the org has no Owner of record",
            "Nobody can receive the new secret. Have the account team establish who the contract names as Owner.",
            "",
        )),
        Some(OwnerFacts { unreachable: Some((at, attempts)), .. }) => Err(no(
            format!("marked unreachable {}: {attempts}", time::minutes(*at)),
            "There is no path in the product. If the org is compromised, escalate to Legal.",
            "",
        )),
        Some(_) => Ok("nobody has marked the Owner unreachable".to_owned()),
    }
}

fn self_service_unavailable(facts: &Facts) -> Outcome {
    let Some(members) = &facts.members else {
        return Err(no(
            "the org's members could not be read",
            "Try again. While this is not known the answer is no.",
            "",
        ));
    };
    let keepers = members.iter().filter(|m| m.role.may_rotate());
    let (mut all, mut owners, mut admins) = (0, 0, 0);
    for member in keepers {
        all += 1;
        if member.standing == Standing::Active {
            match member.role {
                MemberRole::Owner => owners += 1,
                _ => admins += 1,
            }
        }
    }
    if owners + admins == 0 {
        return Ok(format!("0 of {all} with role Owner or Admin can sign in"));
    }
    let who = [count(owners, "Owner"), count(admins, "Admin")]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" and ");
    Err(no(
        format!("{who} of the org can sign in"),
        "Somebody there can do it alone with Rotate API keys, so the platform does not. Post the reply.",
        format!(
            "{who} of your organization can sign in and rotate this secret with Rotate API keys. Please ask them; we step in only where nobody can."
        ),
    ))
}

fn count(n: usize, role: &str) -> Option<String> {
    match n {
        0 => None,
        1 => Some(format!("1 active {role}")),
        n => Some(format!("{n} active {role}s")),
    }
}

fn consent(facts: &Facts, now: Micros) -> Outcome {
    match &facts.org {
        None => Err(no(
            "the ticket names no org that exists",
            "Have support put the customer's org on the ticket.",
            "",
        )),
        Some(OrgFacts {
            consent: Consent::UntilWithdrawn, consent_reminded_at: Some(at), ..
        }) if unanswered_too_long(Some(*at), now) => Err(no(
            format!(
                "given until withdrawn; the Owner was asked {} whether it still stands, and has not answered for {}",
                time::minutes(*at),
                time::span(now.saturating_sub(*at))
            ),
            "It counts again once the Owner says so: by the link in that mail, by their own credential, or by a new link. Ask them to.",
            "Your organization allowed the platform to act on its behalf more than a year ago, and has not answered our question whether that is still so. If you want us to rotate this secret, please allow it again, by the link that we mailed to the Owner of record or for this ticket, and tell us here.",
        )),
        Some(org) if org.consent.covers(&facts.ticket_id) => {
            let given = match &org.consent {
                Consent::ForTicket(only) => format!("given for {only} only"),
                _ => "given until withdrawn".to_owned(),
            };
            Ok(match org.consent_changed_at {
                Some(at) => format!("{given}, on {}", time::date(at)),
                None => given,
            })
        }
        Some(OrgFacts { consent: Consent::ForTicket(only), .. }) => Err(no(
            format!("given for {only} only, not for this ticket"),
            "Only the Owner can allow it for this ticket (US-PLAT-12). Ask them to.",
            format!(
                "Your organization allows the platform to act on its behalf for {only} only. If you want us to rotate this secret too, please allow it for this ticket and tell us here."
            ),
        )),
        Some(_) => Err(no(
            "allow_platform_impersonation is false",
            "Only the Owner can re-enable it (US-PLAT-12). Ask them to.",
            "Your organization does not allow the platform to act on its behalf at the moment. If you want us to rotate this secret, please re-enable allow_platform_impersonation and tell us here.",
        )),
    }
}

fn secret_known(facts: &Facts) -> Outcome {
    const REPLY: &str = "We could not find the secret that this ticket is about among those of your organization. Please send us its id; never the secret itself.";
    match &facts.secret {
        SecretFacts::Known { id, secret_type, version } => {
            Ok(format!("{secret_type} {id}, version {version}"))
        }
        SecretFacts::NotNamed => {
            Err(no("the ticket names no secret", "Ask the Owner for the secret's id.", REPLY))
        }
        SecretFacts::Missing { id } => {
            Err(no(format!("there is no secret {id}"), "Ask the Owner for the right id.", REPLY))
        }
        SecretFacts::OfAnotherOrg { id } => Err(no(
            format!("{id} is not a secret of this org"),
            "Nothing is done to another org's secret. Ask the Owner for the right id.",
            REPLY,
        )),
        SecretFacts::WrongType { id, found } => Err(no(
            format!("{id} is of type {found}, which is not what the ticket says"),
            "Ask the Owner which secret is meant.",
            REPLY,
        )),
    }
}

fn handoff_possible(facts: &Facts, now: Micros) -> Outcome {
    match &facts.handoff {
        HandoffFacts::NoChannel => Err(no(
            "the org's runbook entry names no channel",
            "Have the account team agree on one with the Owner, and write it into the runbook entry.",
            "",
        )),
        HandoffFacts::Works { channel, to, expires_at: None } => {
            Ok(format!("{} to {}, does not expire", channel.label(), in_fours(to)))
        }
        HandoffFacts::Works { channel, to, expires_at: Some(at) } if *at > now => Ok(format!(
            "{} to {}, expires in {}",
            channel.label(),
            in_fours(to),
            time::span(at - now)
        )),
        HandoffFacts::Works { channel, to, expires_at: Some(at) } => Err(no(
            format!("{} to {} expired {}", channel.label(), in_fours(to), time::date(*at)),
            "The Owner has to give us a valid one first.",
            PGP_REPLY,
        )),
        HandoffFacts::Broken { channel, problem, mend } => Err(no(
            format!("{}: {problem}", channel.label()),
            "A new secret is made only when it can be handed over. Mend the channel first.",
            match (channel, mend) {
                (Channel::Pgp, Some(mend)) => pgp_reply(mend),
                (Channel::Pgp, None) => PGP_REPLY.to_owned(),
                (Channel::OnePassword, _) => String::new(),
            },
        )),
    }
}

const PGP_REPLY: &str = "We cannot encrypt to the OpenPGP key that we have on file for you. Please send us a current public key, or extend the one on file; we will confirm its fingerprint with you before we use it.";

/// The reply that the Owner can act on at once: what is wrong, and the commands that put it right.
fn pgp_reply(mend: &Mend) -> String {
    let Mend { reason, commands } = mend;
    if commands.is_empty() {
        return format!("{PGP_REPLY}\n\nWhat we found: {reason}.");
    }
    format!(
        "We cannot encrypt to the OpenPGP key that we have on file for you: {reason}. With GnuPG, these commands put it right, and the last one prints what to send us:\n\n{}\n\nYou can send us another public key as well. We will confirm its fingerprint with you before we use it.",
        commands.join("\n"),
    )
}

fn nothing_else_open(facts: &Facts) -> Outcome {
    let Some(live) = &facts.live else {
        return Err(no(
            "live impersonations could not be read",
            "Try again. While this is not known the answer is no.",
            "",
        ));
    };
    // The lowest id, so that the answer does not hang on the order of the facts.
    match live.iter().min_by(|a, b| a.id.cmp(&b.id)) {
        None => Ok("no other live impersonation".to_owned()),
        Some(other) => {
            let whose = if other.same_admin { "this admin" } else { "this org" };
            Err(No {
                impersonation: Some(other.id.clone()),
                ..no(
                    format!("{whose} already has a live impersonation, for {}", other.ticket_id),
                    "End that one first.",
                    "",
                )
            })
        }
    }
}
