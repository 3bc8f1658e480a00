//! One impersonation: the grant, the verdict rule by rule, the handoff, and its rows in both logs.

use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use leptos::prelude::*;
use sqlx::AnyConnection;

use super::grounds::{self, Grounds};
use super::impersonation_grant::{facts, notice};
use super::impersonation_handoff::{self, Delivery};
use super::timeline_view::{Book, Frame, table};
use crate::audit::logged::{Logged, Register};
use crate::audit::timeline::{Group, Item};
use crate::audit::trail::{Depth, judge};
use crate::desk::{Step, StepError};
use crate::model::{Micros, time};
use crate::proof::verdict::{Rule, RuleResult, RuleState, TrailVerdict, Verdict};
use crate::store::impersonations::{self, Impersonation};
use crate::store::orgs::{self, Member, Org};
use crate::store::secrets::{self, Rotation, Secret};
use crate::store::{audit, staff};
use crate::web::components::{copy, icon, short};
use crate::web::door::Door;
use crate::web::islands::compared::ServerSays;
use crate::web::islands::{Countdown, YourBrowser};
use crate::web::shell::{Part, acting, page};

/// Everything that the page says. What is said of the grant is from the logs; the register of
/// impersonations only says whether it is live.
pub(super) struct Loaded {
    pub(super) id: String,
    grant: Option<Impersonation>,
    pub(super) logged: Logged,
    pub(super) register: Register,
    pub(super) admin: String,
    pub(super) org: Option<Org>,
    pub(super) owner: Option<Member>,
    pub(super) secret: Option<Secret>,
    pub(super) ended_by: Option<String>,
    verdict: TrailVerdict,
    grounds: Grounds,
    items: Vec<Item>,
    book: Book,
    delivery: Option<Delivery>,
    pub(super) rotation: Option<Rotation>,
    log_key: String,
}

impl Loaded {
    /// Whether its token works at `now`, whatever the logs say: by the register it is let in.
    pub(super) fn live(&self, now: Micros) -> bool {
        self.grant.as_ref().is_some_and(|g| g.live(now))
    }

    /// The verdict, for the reader's browser to hold its own against.
    fn says(&self, now: Micros) -> ServerSays {
        let rows = self.items.iter().map(|item| match item {
            Item::Row(_) => 1,
            Item::Group(group) => group.judged.platform.len() + group.judged.org.len(),
        });
        ServerSays::of(&self.verdict, rows.sum(), now)
    }

    /// Whether the register has it as not ended, so that its end is still to come.
    pub(super) fn awaits_end(&self) -> bool {
        self.grant.as_ref().is_some_and(|g| g.ended_at.is_none())
    }
}

/// `GET /impersonations/{id}`.
pub async fn show(mut door: Door, Path(id): Path<String>) -> Response {
    match load(&mut door, &id).await {
        Ok(loaded) => {
            let body = draw(&loaded, acting(&door), door.app.desk.now());
            let title = format!("Impersonation {}", short(&loaded.id));
            page(door, StatusCode::OK, &title, Part::Impersonations, body).await
        }
        Err(e) => super::error::of(door, e).await,
    }
}

async fn load(door: &mut Door, id: &str) -> Step<Loaded> {
    let desk = door.app.desk.clone();
    let now = desk.now();
    let conn = &mut *door.conn;
    // Its rows are enough: whoever takes the grant out of the register takes nothing from here.
    let known = !audit::of_impersonation(conn, id).await?.is_empty()
        || impersonations::by_id(conn, id).await?.is_some();
    if !known {
        return Err(StepError::NotFound);
    }
    // Who looks is on record before anything is seen.
    desk.note_view(&door.who, &format!("/impersonations/{id}"), "").await?;
    // Register and logs as of one moment: what is written meanwhile is no contradiction.
    let mut moment = desk.store.snapshot(conn).await?;
    let conn = moment.conn();
    let grant = impersonations::by_id(conn, id).await?;
    let key = desk.current_log_key(conn).await?;
    let judged = judge(conn, key, id, Depth::Proofs, now).await?;
    let verdict = judged.verdict.clone();
    let rows: Vec<_> = judged.platform.iter().chain(&judged.org).collect();
    let found = Logged::of(&rows);
    let register = Register::of(found.as_ref(), grant.as_ref());
    let logged =
        found.or_else(|| grant.as_ref().map(Logged::of_register)).ok_or(StepError::NotFound)?;
    let grounds = Grounds::of(
        judged.platform.iter().filter_map(|r| r.row.as_ref()),
        judged.org.iter().filter_map(|r| r.row.as_ref()),
    );
    let matching = rows.iter().map(|r| r.entry.id.clone()).collect();
    let items = vec![Item::Group(Box::new(Group {
        id: id.to_owned(),
        grant: grant.clone(),
        judged,
        matching,
    }))];
    let book = Book::of(conn, key, &items, &crate::audit::trail::Proofs::default()).await?;
    let org_id = logged.org_id.clone().unwrap_or_default();
    let members = orgs::members(conn, &org_id).await?;
    let loaded = Loaded {
        admin: person(conn, &logged.admin_id, &logged.admin_name, &members)
            .await?
            .unwrap_or_else(|| "somebody whom no row names".to_owned()),
        ended_by: person(conn, &logged.ended_by, &logged.ended_by_name, &members).await?,
        org: orgs::by_id(conn, &org_id).await?,
        secret: secrets::of_org(conn, &org_id, logged.secret_id.as_deref().unwrap_or_default())
            .await?,
        delivery: Delivery::of(conn, id).await?,
        log_key: key.vkey(),
        rotation: secrets::rotation_of(conn, id).await?,
        owner: members.into_iter().find(|m| Some(&m.id) == logged.owner_id.as_ref()),
        id: id.to_owned(),
        grant,
        logged,
        register,
        verdict,
        grounds,
        items,
        book,
    };
    moment.end().await?;
    Ok(loaded)
}

/// Who an id stands for: staff, a member of the org, or Keyturn itself; else the name that the row
/// has.
async fn person(
    conn: &mut AnyConnection,
    id: &Option<String>,
    name: &Option<String>,
    members: &[Member],
) -> Step<Option<String>> {
    let Some(id) = id else { return Ok(None) };
    if let Some(staff) = staff::by_id(conn, id).await? {
        return Ok(Some(staff.name));
    }
    if let Some(member) = members.iter().find(|m| m.id == *id) {
        return Ok(Some(format!("{}, {}", member.name, member.role.label())));
    }
    Ok(match id.as_str() {
        "keyturn" => Some("Keyturn itself".to_owned()),
        _ => name.clone().or_else(|| Some(id.clone())),
    })
}

fn draw(l: &Loaded, viewer: Option<&str>, now: Micros) -> AnyView {
    let g = &l.logged;
    let back = format!("/impersonations/{}", l.id);
    let org = l.org.as_ref();
    let org_name = org
        .map(|o| o.name.clone())
        .or_else(|| g.org_id.clone())
        .unwrap_or_else(|| "an org that no row names".to_owned());
    let org_href = org.map(|o| format!("/orgs/{}", o.slug));
    let frame = Frame {
        caption: "The rows of this impersonation in both logs, in the order of time".to_owned(),
        org: Some(org_name.clone()),
        filtered: false,
        fold: None,
    };
    let live = l.live(now);
    let left = g.expires_at.filter(|_| live).map(|expires| (expires - now) / time::SECOND);
    let end_now = (live && viewer.is_some()).then(|| {
        view! {
            <form class="inline-form" method="post" action="/do/end">
                <input type="hidden" name="impersonation" value=l.id.clone() />
                <input type="hidden" name="back" value=back.clone() />
                <button class="btn btn-danger">{icon("stop")}"End now"</button>
            </form>
        }
    });
    view! {
        <nav class="crumbs" aria-label="Where you are"><ol><li><a href="/impersonations">"Impersonations"</a></li></ol></nav>
        <div class="page-head">
            <div>
                <h1>"Impersonation "<code class="id" title=l.id.clone()>{short(&l.id)}</code>" "{copy(l.id.clone(), "impersonation id")}</h1>
                <div class="page-meta">
                    <span>
                        {l.admin.clone()}" in "
                        {match &org_href {
                            Some(href) => view! { <a href=href.clone()>{org_name.clone()}</a> }.into_any(),
                            None => view! { {org_name.clone()} }.into_any(),
                        }}
                        {g.ticket.clone().map(|t| view! { " on "<a class="mono" href=format!("/tickets/{t}")>{t.clone()}</a> })}
                    </span>
                    {left.map(|seconds| view! { <span><Countdown seconds=seconds />" left"</span> })}
                </div>
            </div>
            <div class="page-actions">
                <a class="btn" href=format!("/audit?impersonation={}", l.id)>{icon("timeline")}"In the timeline"</a>
                {end_now}
            </div>
        </div>
        <div class="split">
            <div class="stack-6">
                {notice(&l.register, g)}
                <div class="verdicts">
                    {verdict_card(&l.verdict)}
                    <YourBrowser id=l.id.clone() key=l.log_key.clone() server=l.says(now) />
                </div>
                {rules(&l.verdict)}
                {grounds::panel(&l.grounds)}
                {impersonation_handoff::panel(l.delivery.as_ref(), !l.awaits_end(), viewer, &back)}
                {super::evidence::panel(&l.id, &l.log_key)}
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
        PlatformStarted, Recorded, Rotated,
    };
    let fits = |rule: Rule| match v.verdict {
        Verdict::Tampered => matches!(rule, PlatformProof | OrgProof | Recorded),
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
            <div><h2>{word}<small>" as this server says"</small></h2><p>{said}</p>{first.map(|f| view! { <p>{f}</p> })}</div>
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
