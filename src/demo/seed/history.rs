//! What has happened before the story begins, and its rows in the logs: the Owners' consent, and
//! the Owner whom nobody can reach. No impersonation is made up.

use super::planted::Planted;
use crate::audit::{Actor, LogId, NewRow, append, create_log};
use crate::demo::DemoError;
use crate::desk::Desk;
use crate::desk::rotate::member_actor;
use crate::model::{Consent, Micros, time};
use crate::proof::actions;
use crate::proof::row::ActorType;
use crate::store::staff::Staff;
use crate::store::{Tx, audit, orgs};

/// How long after they became Owner each of them gave consent.
const THOUGHT_ABOUT_IT: Micros = 2 * time::HOUR;

enum What {
    Consent(bool),
    Unreachable { ticket: &'static str, attempts: &'static str },
}

struct Event<'a> {
    at: Micros,
    org: &'a Planted,
    actor: Actor,
    what: What,
}

/// Makes the logs, and lets everything happen in its order: within a log time never runs
/// backwards.
pub(super) async fn plant(
    desk: &Desk,
    tx: &mut Tx,
    all: &[Planted],
    staff: &[Staff],
    now: Micros,
) -> Result<(), DemoError> {
    let mut events = Vec::new();
    for org in all {
        events.extend(of_org(org, staff, now)?);
    }
    events.sort_by_key(|event| event.at);

    let first = events.first().map_or(now, |event| event.at);
    if audit::head(tx.conn(), "platform").await?.is_none() {
        create_log(tx.conn(), &desk.keys.log, &LogId::Platform, first).await?;
    }
    for org in all {
        let log = LogId::Org(org.id.clone());
        create_log(tx.conn(), &desk.keys.log, &log, now - org.spec.age).await?;
    }
    for event in &events {
        happen(desk, tx, event).await?;
    }
    Ok(())
}

fn of_org<'a>(org: &'a Planted, staff: &[Staff], now: Micros) -> Result<Vec<Event<'a>>, DemoError> {
    let by = |place: usize| {
        org.members.get(place).ok_or(DemoError::Script("consent by somebody who is not there"))
    };
    let gave = by(org.spec.consented)?;
    let mut events = vec![Event {
        // Nobody of the story is asked whether it still stands.
        at: (gave.role_since + THOUGHT_ABOUT_IT).max(now - 300 * time::DAY),
        org,
        actor: member_actor(gave, None),
        what: What::Consent(true),
    }];
    if let Some(ago) = org.spec.consent_off {
        let actor = member_actor(by(0)?, None);
        events.push(Event { at: now - ago, org, actor, what: What::Consent(false) });
    }
    if let Some((ago, ticket, attempts)) = org.spec.unreachable {
        let admin = staff.get(1).ok_or(DemoError::Script("a demo without a second admin"))?;
        let actor = Actor {
            actor_type: ActorType::PlatformAdmin,
            id: admin.id.clone(),
            name: admin.name.clone(),
            from: None,
        };
        let what = What::Unreachable { ticket, attempts };
        events.push(Event { at: now - ago, org, actor, what });
    }
    Ok(events)
}

async fn happen(desk: &Desk, tx: &mut Tx, event: &Event<'_>) -> Result<(), DemoError> {
    let id = &event.org.id;
    match &event.what {
        What::Consent(on) => {
            let to = if *on { Consent::UntilWithdrawn } else { Consent::Off };
            orgs::set_consent(tx, id, &to, event.at).await?;
            let action = if *on { actions::CONSENT_ENABLED } else { actions::CONSENT_DISABLED };
            let mut row =
                NewRow::new(action, &event.actor).org(id).with("allow_platform_impersonation", *on);
            if *on {
                row = row.with("until_withdrawn", true);
            }
            write(desk, tx, &LogId::Platform, row.clone(), event.at).await?;
            write(desk, tx, &LogId::Org(id.clone()), row, event.at).await
        }
        What::Unreachable { ticket, attempts } => {
            orgs::set_unreachable(tx, id, attempts, event.at).await?;
            let row = NewRow::new(actions::PLATFORM_OWNER_MARKED_UNREACHABLE, &event.actor)
                .org(id)
                .ticket(ticket)
                .with("attempts", *attempts);
            write(desk, tx, &LogId::Platform, row, event.at).await
        }
    }
}

async fn write(
    desk: &Desk,
    tx: &mut Tx,
    log: &LogId,
    row: NewRow,
    at: Micros,
) -> Result<(), DemoError> {
    append(tx, &desk.keys.log, desk.rng.as_ref(), log, row, at).await?;
    Ok(())
}
