//! One impersonation: the grant, the verdict rule by rule, the handoff, and its rows in both logs.

use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use leptos::prelude::*;
use sqlx::AnyConnection;

use super::impersonation_handoff::{self, Delivery};
use super::rows::life;
use super::timeline_view::{Book, Frame, table};
use crate::audit::timeline::{Group, Item};
use crate::audit::trail::{Depth, judge};
use crate::desk::{Step, StepError};
use crate::model::{Micros, time};
use crate::proof::verdict::{Rule, RuleResult, RuleState, TrailVerdict, Verdict};
use crate::store::impersonations::{self, Impersonation};
use crate::store::orgs::{self, Member, Org};
use crate::store::secrets::{self, Rotation, Secret};
use crate::store::staff;
use crate::web::components::{at, copy, icon, id, secret_type, short};
use crate::web::door::Door;
use crate::web::islands::Countdown;
use crate::web::shell::{Part, acts, page};

struct Loaded {
    grant: Impersonation,
    admin: String,
    org: Option<Org>,
    owner: Option<Member>,
    secret: Option<Secret>,
    ended_by: Option<String>,
    verdict: TrailVerdict,
    items: Vec<Item>,
    book: Book,
    delivery: Option<Delivery>,
    rotation: Option<Rotation>,
    log_key: String,
}

/// `GET /impersonations/{id}`.
pub async fn show(mut door: Door, Path(id): Path<String>) -> Response {
    match load(&mut door, &id).await {
        Ok(loaded) => {
            let body = draw(&loaded, acts(&door), door.app.desk.now());
            let title = format!("Impersonation {}", short(&loaded.grant.id));
            page(door, StatusCode::OK, &title, Part::Impersonations, body).await
        }
        Err(e) => super::error::of(door, e).await,
    }
}

async fn load(door: &mut Door, id: &str) -> Step<Loaded> {
    let desk = door.app.desk.clone();
    let now = desk.now();
    let grant = impersonations::by_id(&mut door.conn, id).await?.ok_or(StepError::NotFound)?;
    // Who looks is on record before anything is seen.
    desk.note_view(&door.who, &format!("/impersonations/{}", grant.id), "").await?;
    let conn = &mut *door.conn;
    let org = orgs::by_id(conn, &grant.org_id).await?;
    let members = orgs::members(conn, &grant.org_id).await?;
    let key = desk.current_log_key(conn).await?;
    let judged = judge(conn, key, &grant.id, Depth::Proofs, now).await?;
    let verdict = judged.verdict.clone();
    let matching = judged.platform.iter().chain(&judged.org).map(|r| r.entry.id.clone()).collect();
    let items = vec![Item::Group(Box::new(Group {
        id: grant.id.clone(),
        grant: Some(grant.clone()),
        judged,
        matching,
    }))];
    let book = Book::of(conn, key, &items, &crate::audit::trail::Proofs::default()).await?;
    Ok(Loaded {
        admin: person(conn, &grant.admin_id, &members).await?,
        ended_by: match &grant.ended_by {
            Some(by) => Some(person(conn, by, &members).await?),
            None => None,
        },
        owner: members.into_iter().find(|m| m.id == grant.owner_id),
        secret: secrets::of_org(conn, &grant.org_id, &grant.secret_id).await?,
        delivery: Delivery::of(conn, &grant.id).await?,
        log_key: key.vkey(),
        rotation: secrets::rotation_of(conn, &grant.id).await?,
        org,
        grant,
        verdict,
        items,
        book,
    })
}

/// Who an id stands for: staff, a member of the org, or Keyturn itself.
async fn person(conn: &mut AnyConnection, id: &str, members: &[Member]) -> Step<String> {
    if let Some(staff) = staff::by_id(conn, id).await? {
        return Ok(staff.name);
    }
    if let Some(member) = members.iter().find(|m| m.id == id) {
        return Ok(format!("{}, {}", member.name, member.role.label()));
    }
    Ok(if id == "keyturn" { "Keyturn itself".to_owned() } else { id.to_owned() })
}

fn draw(l: &Loaded, acts: bool, now: Micros) -> AnyView {
    let g = &l.grant;
    let back = format!("/impersonations/{}", g.id);
    let org = l.org.as_ref();
    let org_name = org.map_or_else(|| g.org_id.clone(), |o| o.name.clone());
    let org_href = org.map(|o| format!("/orgs/{}", o.slug));
    let frame = Frame {
        caption: "The rows of this impersonation in both logs, in the order of time".to_owned(),
        org: Some(org_name.clone()),
        filtered: false,
        fold: None,
    };
    let live = g.live(now);
    let end_now = (live && acts).then(|| {
        view! {
            <form class="inline-form" method="post" action="/do/end">
                <input type="hidden" name="impersonation" value=g.id.clone() />
                <input type="hidden" name="back" value=back.clone() />
                <button class="btn btn-danger">{icon("stop")}"End now"</button>
            </form>
        }
    });
    view! {
        <nav class="crumbs" aria-label="Where you are"><ol><li><a href="/impersonations">"Impersonations"</a></li></ol></nav>
        <div class="page-head">
            <div>
                <h1>"Impersonation "<code class="id" title=g.id.clone()>{short(&g.id)}</code>" "{copy(g.id.clone(), "impersonation id")}</h1>
                <div class="page-meta">
                    <span>
                        {l.admin.clone()}" in "
                        {match &org_href {
                            Some(href) => view! { <a href=href.clone()>{org_name.clone()}</a> }.into_any(),
                            None => view! { {org_name.clone()} }.into_any(),
                        }}
                        " on "<a class="mono" href=format!("/tickets/{}", g.ticket_id)>{g.ticket_id.clone()}</a>
                    </span>
                    {live.then(|| view! { <span><Countdown seconds=(g.expires_at - now) / time::SECOND />" left"</span> })}
                </div>
            </div>
            <div class="page-actions">
                <a class="btn" href=format!("/audit?impersonation={}", g.id)>{icon("timeline")}"In the timeline"</a>
                {end_now}
            </div>
        </div>
        <div class="split">
            <div class="stack-6">
                {verdict_card(&l.verdict)}
                {rules(&l.verdict)}
                {impersonation_handoff::panel(l.delivery.as_ref(), g, acts, &back)}
                {super::evidence::panel(&g.id, &l.log_key)}
            </div>
            <aside aria-label="The grant">{facts(l, now)}</aside>
        </div>
        <section aria-labelledby="rows-h">
            <div class="section-head"><h2 id="rows-h">"Its rows in both logs"</h2></div>
            {table(&l.items, &l.book, &frame, now)}
        </section>
    }
    .into_any()
}

/// The failed rule that the verdict hangs on: a broken proof outweighs a disagreement, and that a
/// missing row.
fn decisive(v: &TrailVerdict) -> Option<&RuleResult> {
    use Rule::{
        Counts, LastSeq, OrgEnded, OrgProof, OrgStarted, PlatformEnded, PlatformProof,
        PlatformStarted, Rotated,
    };
    let fits = |rule: Rule| match v.verdict {
        Verdict::Tampered => matches!(rule, PlatformProof | OrgProof),
        // These fail for a missing row, too.
        Verdict::Mismatch => !matches!(
            rule,
            PlatformStarted | OrgStarted | Rotated | OrgEnded | PlatformEnded | Counts | LastSeq
        ),
        _ => true,
    };
    v.failed().find(|r| fits(r.rule)).or_else(|| v.failed().next())
}

/// The verdict in a sentence, and the first rule that decided it.
fn verdict_card(v: &TrailVerdict) -> AnyView {
    let (class, glyph, word, said) = match v.verdict {
        Verdict::Complete => (
            "verdict-card is-complete",
            "shield-check",
            "Complete",
            "Every row is there, both logs agree, and each is proven by its signed checkpoint.",
        ),
        Verdict::Open => {
            ("verdict-card is-live", "live", "Open", "It is not over yet. Nothing is wrong so far.")
        }
        Verdict::Incomplete => (
            "verdict-card is-needs",
            "dashed",
            "Incomplete",
            "A row is missing. What is there does not contradict itself. Ask the admin what happened.",
        ),
        Verdict::Mismatch => (
            "verdict-card is-needs",
            "unlink",
            "Mismatch",
            "The logs disagree, or it outlived its token. Compare the rows below, and ask the admin before anything else.",
        ),
        Verdict::Tampered => (
            "verdict-card is-alarm",
            "warning",
            "Tampered",
            "A log fails its proof: it is not what was signed. Keep the database as it is, and call security.",
        ),
    };
    let first = decisive(v).map(|r| format!("{}: {}.", r.rule.title(), r.saw));
    view! {
        <section class=class aria-label="Verdict">
            {icon(glyph)}
            <div><h2>{word}</h2><p>{said}</p>{first.map(|f| view! { <p>{f}</p> })}</div>
        </section>
    }
    .into_any()
}

fn rules(v: &TrailVerdict) -> AnyView {
    let hold = v.rules.iter().filter(|r| r.result == RuleState::Passed).count();
    let items = v.rules.iter().map(rule).collect_view();
    view! {
        <section class="panel" aria-label="Rules">
            <div class="panel-head"><h2>"Rule by rule"</h2><p>{format!("{hold} of {} hold", v.rules.len())}</p></div>
            <div class="checks-body"><ol class="checks rules">{items}</ol></div>
        </section>
    }
    .into_any()
}

fn rule(r: &RuleResult) -> AnyView {
    let (class, glyph, word) = match r.result {
        RuleState::Passed => ("check is-pass", "check", "Holds: "),
        RuleState::Failed => ("check is-fail", "cross", "Fails: "),
        RuleState::Pending => ("check", "clock", "Cannot be said: "),
    };
    view! {
        <li class=class>
            {icon(glyph)}
            <span class="check-name"><span class="sr-only">{word}</span>{r.rule.title()}</span>
            <span class="check-saw">{r.saw.clone()}</span>
        </li>
    }
    .into_any()
}

fn facts(l: &Loaded, now: Micros) -> AnyView {
    let g = &l.grant;
    let of = life(g.expires_at - g.started_at);
    let ended = match g.ended_at {
        Some(ended) => {
            let cause = g.end_cause().map_or("unknown", |c| c.label());
            let after = time::span(ended - g.started_at);
            view! { {at(ended)}<small>{format!("{cause}, after {after} of {of}")}</small> }
                .into_any()
        }
        None if g.live(now) => view! { "live"<small>"until "{at(g.expires_at)}</small> }.into_any(),
        None => view! { "expired"<small>{at(g.expires_at)}", its end is being written"</small> }
            .into_any(),
    };
    let owner = match &l.owner {
        Some(m) => format!("{}, {}", m.name, m.role.label()),
        None => g.owner_id.clone(),
    };
    view! {
        <section class="panel" aria-label="Facts of the grant">
            <div class="panel-head"><h2>"The grant"</h2></div>
            <dl class="facts">
                <div><dt>"Id"</dt><dd>{id(&g.id, "impersonation id")}</dd></div>
                <div><dt>"Admin"</dt><dd>{l.admin.clone()}</dd></div>
                <div><dt>"On behalf of"</dt><dd>{owner}</dd></div>
                <div>
                    <dt>"Org"</dt>
                    <dd>{match &l.org {
                        Some(o) => view! { <a href=format!("/orgs/{}", o.slug)>{o.name.clone()}</a> }.into_any(),
                        None => view! { <span class="mono">{g.org_id.clone()}</span> }.into_any(),
                    }}</dd>
                </div>
                <div><dt>"Ticket"</dt><dd><a class="mono" href=format!("/tickets/{}", g.ticket_id)>{g.ticket_id.clone()}</a></dd></div>
                <div><dt>"Reason"</dt><dd>{g.reason.clone()}</dd></div>
                <div><dt>"Scope"</dt><dd><span class="mono">{g.scope.clone()}</span><small>"on this one secret only"</small></dd></div>
                <div>
                    <dt>"Secret"</dt>
                    <dd>
                        {secret_type(g.secret_type)}
                        <small><span class="mono">{g.secret_id.clone()}</span>{l.secret.as_ref().map(|s| format!(", {}", s.label))}</small>
                    </dd>
                </div>
                {l.rotation.as_ref().map(|r| view! {
                    <div>
                        <dt>"Rotation"</dt>
                        <dd><a href=format!("/rotations/{}", r.id)>{format!("version {} to {}", r.from_version, r.to_version)}</a></dd>
                    </div>
                })}
                <div><dt>"Started"</dt><dd>{at(g.started_at)}</dd></div>
                <div><dt>"Ended"</dt><dd>{ended}</dd></div>
                {l.ended_by.clone().map(|by| view! { <div><dt>"Ended by"</dt><dd>{by}</dd></div> })}
            </dl>
        </section>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_card_names_the_rule_that_the_verdict_hangs_on() {
        let failed = |rule| RuleResult { rule, result: RuleState::Failed, saw: "x".into() };
        let rules = vec![failed(Rule::OrgEnded), failed(Rule::SameTicket), failed(Rule::OrgProof)];
        let of = |verdict| {
            let verdict = TrailVerdict { verdict, rules: rules.clone() };
            decisive(&verdict).map(|r| r.rule)
        };
        assert_eq!(of(Verdict::Tampered), Some(Rule::OrgProof));
        assert_eq!(of(Verdict::Mismatch), Some(Rule::SameTicket));
        assert_eq!(of(Verdict::Incomplete), Some(Rule::OrgEnded));
    }
}
