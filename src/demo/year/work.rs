//! What happens in the year: impersonations from ticket to acknowledgement, staff at work, and
//! the customers' own traffic. Each writes its rows as the desk does.

use rand::Rng as _;
use rand::rngs::StdRng;

use super::grounds::grounds;
use super::people::{Calendar, People};
use super::record::{Done, Record};
use super::{Fault, YearError};
use crate::audit::bulk::Bulk;
use crate::audit::{Actor, LogId, NewRow};
use crate::clock::{SeededRng, new_id};
use crate::model::impersonation::{reason, scope};
use crate::model::{Micros, SecretType, TicketState, time};
use crate::policy::eligibility::Check;
use crate::policy::grounds::Grounds;
use crate::proof::actions;
use crate::proof::row::{ActorType, Outcome};

const SECOND: Micros = time::SECOND;
const LIFE: Micros = 15 * time::MINUTE;

/// One impersonation.
pub(super) struct Script {
    id: String,
    rotation: String,
    handoff: String,
    admin: usize,
    org: usize,
    kind: SecretType,
    secret: String,
    ticket: String,
    fault: Option<Fault>,
    filed_at: Micros,
    started_at: Micros,
    rotated_at: Option<Micros>,
    /// When it was handed off, or ended without that.
    over_at: Micros,
    acknowledged_at: Option<Micros>,
    stage: u8,
    platform_rows: i64,
    org_rows: i64,
}

impl Script {
    #[allow(clippy::too_many_arguments, reason = "each is drawn upon")]
    pub(super) fn plan(
        n: usize,
        at: Micros,
        fault: Option<Fault>,
        until: Micros,
        people: &People,
        calendar: &mut Calendar,
        ids: &SeededRng,
        rng: &mut StdRng,
    ) -> Self {
        let started_at = at - at.rem_euclid(SECOND);
        let (admin, org) = calendar.take(people, started_at, started_at + 2 * LIFE, rng);
        let which = match rng.gen_range(0..100) {
            0..55 => 0,
            55..82 => 1,
            _ => 2,
        };
        let (kind, secret) = people.orgs[org].secrets[which].clone();
        let rotates = !matches!(fault, Some(Fault::NothingRotated | Fault::ExpiredUnrotated));
        let worked = rng.gen_range(15 * SECOND..150 * SECOND);
        // Most hand off within seconds of having rotated; a few are called away.
        let waited = if rng.gen_bool(0.92) {
            rng.gen_range(5 * SECOND..50 * SECOND)
        } else {
            rng.gen_range(50 * SECOND..10 * time::MINUTE)
        };
        let over_at = match fault {
            Some(Fault::ExpiredUnrotated | Fault::NeverEnded) => started_at + LIFE,
            Some(Fault::Outlived) => started_at + LIFE + waited,
            _ => started_at + worked + waited,
        };
        let answered = over_at + rng.gen_range(time::MINUTE..30 * time::HOUR);
        let acknowledges =
            rotates && fault != Some(Fault::NeverEnded) && rng.gen_bool(0.985) && answered < until;
        Self {
            id: new_id(started_at, ids),
            rotation: new_id(started_at + worked, ids),
            handoff: new_id(started_at + worked, ids),
            admin,
            org,
            kind,
            secret,
            ticket: format!("NOV-{}", 10_000 + n),
            fault,
            filed_at: started_at - rng.gen_range(2 * time::MINUTE..5 * time::HOUR),
            started_at,
            rotated_at: rotates.then_some(started_at + worked),
            over_at,
            acknowledged_at: acknowledges.then_some(answered),
            stage: 0,
            platform_rows: 0,
            org_rows: 0,
        }
    }

    /// When its ticket is filed.
    pub(super) fn first(&self) -> Micros {
        self.filed_at
    }

    /// How many rows it writes, in both logs together.
    pub(super) fn rows(&self) -> u64 {
        let rotated = u64::from(self.rotated_at.is_some());
        let ended = !self.is(Fault::NeverEnded);
        let handed_off = self.rotated_at.is_some() && ended;
        let pairs = 1
            + u64::from(handed_off)
            + u64::from(ended)
            + u64::from(self.acknowledged_at.is_some());
        let missing = match self.fault {
            Some(Fault::PlatformStartMissing | Fault::HandoffTwinMissing) => 1,
            Some(Fault::HandoffMissing) => 2,
            _ => 0,
        };
        1 + rotated + 2 * pairs - missing
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn log(&self, people: &People) -> LogId {
        people.orgs[self.org].log.clone()
    }

    fn row(&self, action: impl Into<String>, actor: &Actor, people: &People) -> NewRow {
        let mut row = NewRow::new(action, actor)
            .org(&people.orgs[self.org].id)
            .ticket(&self.ticket)
            .secret(self.kind, &self.secret);
        row.impersonation_id = Some(self.id.clone());
        row.reason = Some(reason(self.kind, &self.ticket));
        row
    }

    /// The time of a row in each log: not before the newest of either.
    fn both(&self, people: &People, bulk: &mut Bulk<'_>, at: Micros) -> Result<Micros, YearError> {
        let newest = bulk.last_at(&LogId::Platform)?.max(bulk.last_at(&self.log(people))?);
        Ok(at.max(newest))
    }

    /// A row in each log, the org's with where the platform's stands; a side that is nothing is
    /// not written.
    fn pair(
        &self,
        people: &People,
        bulk: &mut Bulk<'_>,
        at: Micros,
        platform: Option<NewRow>,
        org: Option<NewRow>,
    ) -> Result<(), YearError> {
        let at = self.both(people, bulk, at)?;
        if let Some(platform) = platform {
            bulk.append(&LogId::Platform, platform, at)?;
        }
        if let Some(org) = org {
            let org = org.with("platform_checkpoint", bulk.checkpoint(&LogId::Platform)?);
            bulk.append(&self.log(people), org, at)?;
        }
        Ok(())
    }

    /// Writes what is due at `at`, and says when what comes next is.
    pub(super) fn step(
        mut self: Box<Self>,
        at: Micros,
        people: &People,
        bulk: &mut Bulk<'_>,
        record: &mut Record,
        rng: &mut StdRng,
    ) -> Result<Option<(Micros, Box<Self>)>, YearError> {
        let admin = people.actor_of(self.admin);
        match self.stage {
            0 => {
                let row = NewRow::new(actions::PLATFORM_TICKET_FILED, &Actor::system())
                    .org(&people.orgs[self.org].id)
                    .ticket(&self.ticket)
                    .secret(self.kind, &self.secret);
                bulk.append(&LogId::Platform, row, at)?;
                self.stage = 1;
                Ok(Some((self.started_at, self)))
            }
            1 => {
                self.start(people, bulk, at, &admin)?;
                self.stage = 2;
                Ok(Some((self.rotated_at.unwrap_or(self.over_at), self)))
            }
            2 if self.rotated_at.is_some() => {
                if !self.is(Fault::OutOfOrder) {
                    self.rotate(people, bulk, record, at, &admin)?;
                }
                self.stage = 3;
                Ok(Some((self.over_at, self)))
            }
            2 | 3 => {
                self.finish(people, bulk, record, at, &admin, rng)?;
                self.stage = 4;
                match self.acknowledged_at {
                    Some(at) => Ok(Some((at, self))),
                    None => {
                        record.push(self.done(people));
                        Ok(None)
                    }
                }
            }
            _ => {
                let owner = people.member_of(self.org, 0);
                let row = |action| {
                    self.row(action, &owner, people)
                        .with("handoff_id", self.handoff.clone())
                        .with("how", "link")
                };
                let platform = row(actions::PLATFORM_HANDOFF_ACKNOWLEDGED);
                let org = row(actions::HANDOFF_ACKNOWLEDGED);
                self.pair(people, bulk, at, Some(platform), Some(org))?;
                record.push(self.done(people));
                Ok(None)
            }
        }
    }

    /// Why its ticket could be served.
    fn grounds(&self, people: &People, state: TicketState, asked_at: Micros) -> Grounds {
        let owner = &people.orgs[self.org].members[0].0;
        let secret = (self.kind, self.secret.as_str());
        grounds((&self.ticket, state, self.filed_at), owner, secret, asked_at)
    }

    fn start(
        &mut self,
        people: &People,
        bulk: &mut Bulk<'_>,
        at: Micros,
        admin: &Actor,
    ) -> Result<(), YearError> {
        let opening = |action: &str, actor: &Actor| {
            self.row(action, actor, people)
                .with("started_at", self.started_at)
                .with("expires_at", self.started_at + LIFE)
                .with("scope", scope(self.kind))
                .with("owner_id", people.orgs[self.org].members[0].0.clone())
                .with("kid", "bench")
        };
        let grounds = self.grounds(people, TicketState::Open, at);
        let platform = opening(actions::PLATFORM_IMPERSONATION_STARTED, admin).because(&grounds);
        let mut org = opening(actions::IMPERSONATION_STARTED, &admin.impersonating());
        if self.is(Fault::OtherReason) {
            org.reason = Some(reason(self.kind, "NOV-9999"));
        }
        let platform = (!self.is(Fault::PlatformStartMissing)).then_some(platform);
        self.pair(people, bulk, at, platform, Some(org))?;
        bulk.keep(&LogId::Platform)?;
        bulk.keep(&self.log(people))?;
        (self.platform_rows, self.org_rows) = (1, 1);
        Ok(())
    }

    fn rotate(
        &mut self,
        people: &People,
        bulk: &mut Bulk<'_>,
        record: &Record,
        at: Micros,
        admin: &Actor,
    ) -> Result<(), YearError> {
        let version = record.version(&self.secret);
        let other = people.actor_of(people.another_admin(self.admin));
        let by = if self.is(Fault::OtherAdmin) { &other } else { admin };
        let row = self
            .row(actions::rotated(self.kind.as_str()), &by.impersonating(), people)
            .with("rotation_id", self.rotation.clone())
            .with("handoff_id", self.handoff.clone())
            .with("from_version", version)
            .with("to_version", version + 1)
            .with("suspected_leak", false)
            .with("overlap_seconds", 86_400)
            .because(&self.grounds(people, TicketState::Pending, at));
        bulk.append(&self.log(people), row, at)?;
        self.org_rows += 1;
        Ok(())
    }

    fn hand_off(
        &mut self,
        people: &People,
        bulk: &mut Bulk<'_>,
        at: Micros,
        admin: &Actor,
    ) -> Result<(), YearError> {
        let tell = |action: &str, actor: &Actor| {
            self.row(action, actor, people)
                .with("handoff_id", self.handoff.clone())
                .with("rotation_id", self.rotation.clone())
                .with("channel", "pgp")
        };
        let platform = tell(actions::PLATFORM_SECRET_HANDED_OFF, admin);
        let org = tell(actions::HANDOFF_SENT, &admin.impersonating());
        let neither = self.is(Fault::HandoffMissing);
        let one = neither || self.is(Fault::HandoffTwinMissing);
        let (platform, org) = ((!neither).then_some(platform), (!one).then_some(org));
        self.pair(people, bulk, at, platform, org)?;
        self.platform_rows += 1;
        self.org_rows += 1;
        Ok(())
    }

    /// Hands off where something was rotated, and ends.
    fn finish(
        &mut self,
        people: &People,
        bulk: &mut Bulk<'_>,
        record: &Record,
        at: Micros,
        admin: &Actor,
        rng: &mut StdRng,
    ) -> Result<(), YearError> {
        if self.is(Fault::NeverEnded) {
            return Ok(());
        }
        let log = self.log(people);
        let mut at = at;
        if self.rotated_at.is_some() {
            self.hand_off(people, bulk, at, admin)?;
        }
        if self.is(Fault::OutOfOrder) {
            at += SECOND;
            self.rotate(people, bulk, record, at, admin)?;
        }
        let cause = match self.fault {
            Some(Fault::NothingRotated) => "admin",
            Some(Fault::ExpiredUnrotated) => "expired",
            _ => "handoff",
        };
        // What expires is written down by the next sweep; anything else at once.
        let late = if cause == "expired" { rng.gen_range(SECOND..9 * SECOND) } else { 0 };
        let written = self.both(people, bulk, at + late)?;
        let ended = if cause == "expired" { at } else { written };
        // The register says what the rows say.
        self.over_at = ended;
        let (platform_seq, org_seq) = (bulk.size(&LogId::Platform)?, bulk.size(&log)?);
        let by = if cause == "expired" { Actor::system() } else { admin.clone() };
        let closing = |action: &str, actor: &Actor, cause: &str| {
            self.row(action, actor, people)
                .with("cause", cause)
                .with("ended_at", ended)
                .with("ended_by", by.id.clone())
                .with("ended_by_name", by.name.clone())
                .with("platform_rows", self.platform_rows + 1)
                .with("org_rows", self.org_rows + 1)
                .with("platform_last_seq", platform_seq)
                .with("org_last_seq", org_seq)
        };
        let holder = Actor { actor_type: ActorType::PlatformAdmin, from: None, ..admin.clone() };
        let other = if self.is(Fault::OtherCause) { "admin" } else { cause };
        let mut org_row = closing(actions::IMPERSONATION_ENDED, &holder.impersonating(), other)
            .with("platform_checkpoint", bulk.checkpoint(&LogId::Platform)?);
        if self.is(Fault::OrgEndMissing) {
            // Something else stands in its place: what is recorded of the log stays true.
            let member = people.member_of(self.org, 0);
            org_row = ordinary("api_key.used", "api_key/000000", &member, people, self.org);
        }
        bulk.append(&log, org_row, written)?;
        let platform_row = closing(actions::PLATFORM_IMPERSONATION_ENDED, &holder, cause)
            .with("org_checkpoint", bulk.checkpoint(&log)?);
        bulk.append(&LogId::Platform, platform_row, written)?;
        bulk.keep(&log)?;
        bulk.keep(&LogId::Platform)?;
        Ok(())
    }

    fn done(&self, people: &People) -> Done {
        let org = &people.orgs[self.org];
        Done {
            id: self.id.clone(),
            admin: people.staff[self.admin].0.clone(),
            org: org.id.clone(),
            owner: org.members[0].0.clone(),
            ticket: self.ticket.clone(),
            secret: (self.kind, self.secret.clone()),
            filed_at: self.filed_at,
            started_at: self.started_at,
            expires_at: self.started_at + LIFE,
            ended_at: self.over_at,
            cause: match self.fault {
                Some(Fault::NothingRotated) => "admin",
                Some(Fault::ExpiredUnrotated | Fault::NeverEnded) => "expired",
                _ => "handoff",
            },
            rotated: self.rotated_at.map(|at| (at, self.rotation.clone(), self.handoff.clone())),
            sent_at: self.rotated_at.filter(|_| !self.is(Fault::NeverEnded)).map(|_| self.over_at),
            acknowledged_at: self.acknowledged_at,
        }
    }
}

/// A member of staff at work: signs in, looks, is refused now and then.
pub(super) struct Staffer {
    staff: usize,
    left: u64,
    begun: bool,
}

impl Staffer {
    pub(super) fn new(left: u64, people: &People, rng: &mut StdRng) -> Self {
        Self { staff: people.some_staff(rng), left, begun: false }
    }

    pub(super) fn step(
        mut self,
        at: Micros,
        people: &People,
        bulk: &mut Bulk<'_>,
        record: &mut Record,
        rng: &mut StdRng,
    ) -> Result<Option<(Micros, Self)>, YearError> {
        let actor = people.actor_of(self.staff);
        let org = people.some_org(rng);
        let row = if !self.begun {
            NewRow::new(actions::PLATFORM_SIGNED_IN, &actor)
        } else if !people.auditor(self.staff) && rng.gen_bool(0.03) {
            let check = Check::ALL[rng.gen_range(0..Check::ALL.len())];
            record.refused += 1;
            NewRow::new(actions::PLATFORM_IMPERSONATION_REFUSED, &actor)
                .outcome(Outcome::Refused)
                .org(&people.orgs[org].id)
                .ticket(&format!("NOV-{}", 900_000 + rng.gen_range(0..90_000)))
                .with("failed_checks", vec![check.as_str().to_owned()])
        } else if rng.gen_bool(0.6) {
            NewRow::new(actions::PLATFORM_AUDIT_VIEWED, &actor)
                .with("page", "/audit")
                .with("filter", format!("org={}", people.orgs[org].id))
        } else {
            NewRow::new(actions::PLATFORM_AUDIT_VIEWED, &actor)
                .with("page", format!("/orgs/{}", people.orgs[org].id))
                .with("filter", "")
        };
        bulk.append(&LogId::Platform, row, at)?;
        self.begun = true;
        self.left -= 1;
        let next = at + rng.gen_range(5 * SECOND..3 * time::MINUTE);
        Ok((self.left > 0).then_some((next, self)))
    }
}

/// People and programs of a customer at work on what is theirs.
pub(super) struct Traffic {
    org: usize,
    member: usize,
    left: u64,
}

/// What a customer's own log is full of.
const ORDINARY: [&str; 9] = [
    "member.signed_in",
    "api_key.used",
    "api_key.used",
    "deployment.started",
    "deployment.finished",
    "webhook.endpoint_changed",
    "settings.changed",
    "report.exported",
    "member.role_changed",
];

fn ordinary(action: &str, thing: &str, actor: &Actor, people: &People, org: usize) -> NewRow {
    NewRow::new(action, actor)
        .org(&people.orgs[org].id)
        .with("resource", thing)
        .with("client", "console")
}

impl Traffic {
    pub(super) fn new(left: u64, people: &People, rng: &mut StdRng) -> Self {
        Self { org: people.some_org(rng), member: rng.gen_range(0..8), left }
    }

    pub(super) fn step(
        mut self,
        at: Micros,
        people: &People,
        bulk: &mut Bulk<'_>,
        rng: &mut StdRng,
    ) -> Result<Option<(Micros, Self)>, YearError> {
        let org = &people.orgs[self.org];
        let actor = people.member_of(self.org, self.member);
        let action = ORDINARY[rng.gen_range(0..ORDINARY.len())];
        let thing = action.split('.').next().unwrap_or("");
        let thing = format!("{thing}/{:06x}", rng.gen_range(0..1 << 24));
        let row = ordinary(action, &thing, &actor, people, self.org);
        bulk.append(&org.log, row, at)?;
        self.left -= 1;
        let next = at + rng.gen_range(200_000..4 * SECOND);
        Ok((self.left > 0).then_some((next, self)))
    }
}
