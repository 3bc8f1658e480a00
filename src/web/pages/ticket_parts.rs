//! Parts of the ticket page: the nine checks, the facts, the rows just written, the messages.

use leptos::prelude::*;

use super::orgs::{SOON, days_until};
use super::ticket::{Stage, View};
use crate::delivery::openpgp;
use crate::model::{Channel, Consent, time};
use crate::policy::eligibility::{Check, Finding, HandoffFacts};
use crate::web::components::{
    ago, at, badge, fingerprint, icon, id, id_link, initials, standing, state, version_state,
};

/// The nine checks. A failed one is open: what it saw, why it stops, what to do, what to reply.
pub fn eligibility(v: &View, folded: bool) -> AnyView {
    let verdict = &v.case.verdict;
    let all = verdict.findings.len();
    let failed = verdict.failed().count();
    let mark = match failed {
        0 => badge("badge-ok", "check", "Eligible"),
        1 => badge("badge-needs", "cross", "1 check stops this"),
        n => badge("badge-needs", "cross", format!("{n} checks stop this")),
    };
    let head =
        view! { <h2>"Eligibility"</h2>{mark}<p>{format!("{} of {all} pass", all - failed)}</p> };
    let primary = verdict.failed().find(|f| !f.reply.is_empty()).map(|f| f.check);
    let checks = verdict
        .findings
        .iter()
        .map(|f| {
            check(v, f, v.stage == Stage::Blocked && primary == Some(f.check) && !v.only_consent())
        })
        .collect_view();
    let body = view! { <div class="checks-body"><ol class="checks">{checks}</ol></div> };
    if folded {
        view! { <details class="panel"><summary class="panel-head">{head}</summary>{body}</details> }.into_any()
    } else {
        view! { <section class="panel" aria-label="Eligibility"><div class="panel-head">{head}</div>{body}</section> }
            .into_any()
    }
}

fn check(v: &View, f: &Finding, primary: bool) -> AnyView {
    if f.passed {
        return view! {
            <li class="check is-pass">
                {icon("check")}
                <span class="check-name"><span class="sr-only">"Passed: "</span>{f.check.label()}</span>
                <span class="check-saw">{f.saw.clone()}</span>
            </li>
        }
        .into_any();
    }
    let reply = (!f.reply.is_empty()).then(|| {
        let class = if primary { "btn btn-sm btn-primary" } else { "btn btn-sm" };
        view! {
            <figure class="reply">
                <figcaption>{icon("message")}"Ready reply to the ticket"</figcaption>
                <blockquote>{f.reply.clone()}</blockquote>
                <div class="reply-actions">
                    {(v.acts && v.ticket.state.can_be_served()).then(|| view! {
                        <form class="inline-form" method="post" action="/do/post_reply">
                            <input type="hidden" name="ticket" value=v.ticket.id.clone() />
                            <input type="hidden" name="check" value=f.check.as_str() />
                            <button class=class>{icon("send")}"Post to ticket"</button>
                        </form>
                    })}
                    <button class="btn btn-sm btn-quiet copy-btn" type="button" data-copy=f.reply.clone()>
                        {icon("copy")}"Copy"
                    </button>
                </div>
            </figure>
        }
    });
    view! {
        <li class="check is-fail">
            {icon("cross")}
            <span class="check-name"><span class="sr-only">"Failed: "</span>{f.check.label()}</span>
            <span class="check-saw">
                {f.saw.clone()}
                {f.impersonation.as_ref().map(|i| view! {
                    " "{id_link(i, format!("/impersonations/{i}"), "impersonation id")}
                })}
            </span>
            <div class="check-more">
                <dl><div><dt>"What to do"</dt><dd>{f.advice.clone()}{replace_key(v, f)}</dd></div></dl>
                {reply}
            </div>
        </li>
    }
    .into_any()
}

/// Where a key that does not work is replaced.
fn replace_key(v: &View, f: &Finding) -> AnyView {
    let broken = f.check == Check::HandoffPossible
        && matches!(
            v.case.facts.handoff,
            HandoffFacts::Works { channel: Channel::Pgp, .. }
                | HandoffFacts::Broken { channel: Channel::Pgp, .. }
        );
    match (&v.case.org, broken) {
        (Some(org), true) => {
            view! { " "<a href=format!("/orgs/{}#owner-key", org.slug)>"Replace the key on file"</a> }
                .into_any()
        }
        _ => ().into_any(),
    }
}

/// Facts about the org, its Owner of record and the secret.
pub fn facts(v: &View) -> AnyView {
    let Some(org) = &v.case.org else { return ().into_any() };
    let owner = v.case.owner().map(|m| {
        view! {
            <div>
                <dt>"Owner of record"</dt>
                <dd>{m.name.clone()}{org.owner_since.map(|t| view! { <small>"since "{time::date(t)}</small> })}</dd>
            </div>
            <div><dt>"Standing"</dt><dd>{standing(m.standing)}</dd></div>
        }
    });
    let consent = match org.consent() {
        Consent::Off => state("state-needs", "cross", "Off"),
        Consent::UntilWithdrawn => {
            view! { {state("state-ok", "check", "On")}<small>"until withdrawn"</small> }.into_any()
        }
        Consent::ForTicket(only) if only == v.ticket.id => {
            view! { {state("state-ok", "check", "On")}<small>"for this ticket only"</small> }
                .into_any()
        }
        Consent::ForTicket(only) => state("state-needs", "cross", format!("For {only} only")),
    };
    let channel = match &v.case.facts.handoff {
        HandoffFacts::NoChannel => view! { <div><dt>"Channel"</dt><dd>"none named"</dd></div> }.into_any(),
        HandoffFacts::Works { channel: Channel::Pgp, to, .. } => {
            let report = org.pgp_key.as_deref().and_then(|key| openpgp::inspect(key, v.now).ok());
            let expires = report.and_then(|r| r.expires_at).map_or_else(
                || view! { <small>"does not expire"</small> }.into_any(),
                |t| {
                    let left = time::span(t - v.now);
                    if days_until(t, v.now) <= SOON {
                        view! { <small>{state("state-needs", "warning", format!("expires soon, in {left}"))}</small> }
                            .into_any()
                    } else {
                        view! { <small>"valid, expires in "{left}</small> }.into_any()
                    }
                },
            );
            view! {
                <div class="facts-full"><dt>"Channel"</dt><dd>"PGP, mail to the address on file"</dd></div>
                <div class="facts-full"><dt>"PGP key"</dt><dd>{fingerprint(to)}{expires}</dd></div>
            }
            .into_any()
        }
        HandoffFacts::Works { channel, to, .. } => {
            view! { <div class="facts-full"><dt>"Channel"</dt><dd>{channel.label()}<small>{to.clone()}</small></dd></div> }
                .into_any()
        }
        HandoffFacts::Broken { channel, .. } => view! {
            <div><dt>"Channel"</dt><dd>{state("state-needs", "warning", format!("{}, unusable", channel.label()))}</dd></div>
        }
        .into_any(),
    };
    let secret = v.case.secret.as_ref().map(|s| {
        let versions = v
            .versions
            .iter()
            .take(3)
            .map(|ver| {
                let until = ver.retires_at.map(|t| view! { <small>"until "{at(t)}</small> });
                view! {
                    <div>
                        <dt><span class="version">{format!("v{}", ver.version)}</span></dt>
                        <dd>{version_state(ver.state)}{until}</dd>
                    </div>
                }
            })
            .collect_view();
        view! {
            <div><dt>"Secret"</dt><dd>{s.label.clone()}<small>{id(&s.id, "secret id")}</small></dd></div>
            {v.vault.as_ref().map(|vault| vault.facts(s, &v.case.members))}
            {versions}
        }
    });
    let leak = v.ticket.suspected_leak().then(|| {
        view! { <div><dt>"Leak"</dt><dd>{state("state-needs", "warning", "Suspected")}<small>"no overlap"</small></dd></div> }
    });
    view! {
        <section class="panel" aria-label="Facts">
            <div class="panel-head"><h2>"Facts"</h2></div>
            <dl class="facts">
                {owner}
                <div>
                    <dt>"Consent"</dt>
                    <dd>{consent}{org.consent_changed_at.map(|t| view! { <small>"since "{time::date(t)}</small> })}</dd>
                </div>
                {channel}
                {secret}
                {leak}
            </dl>
        </section>
    }
    .into_any()
}

/// The newest rows that the procedure wrote for this ticket.
pub fn rows_written(v: &View) -> AnyView {
    if v.rows.is_empty() {
        return ().into_any();
    }
    let rows = v
        .rows
        .iter()
        .map(|r| {
            let (glyph, side) = if r.platform() { ("platform", "Platform") } else { ("org", "Org") };
            let note = r.row.as_ref().map_or_else(String::new, |row| row.actor_name.clone());
            view! {
                <li>
                    <span class="side">{icon(glyph)}{side}</span>
                    <span>
                        <a href=format!("/audit/rows/{}", r.entry.id)><code class="action">{r.entry.action.clone()}</code></a>" "
                        <span class="ev-note">{note}</span>
                    </span>
                    <time class="at" datetime=time::rfc3339(r.entry.at) title=time::seconds(r.entry.at)>
                        {format!("{} UTC", time::clock(r.entry.at))}
                    </time>
                </li>
            }
        })
        .collect_view();
    view! {
        <section class="panel" aria-label="Newest audit rows">
            <div class="panel-head">
                <h2>"Newest audit rows"</h2>
                <a href=format!("/audit?ticket={}", v.ticket.id)>"In the timeline"</a>
            </div>
            <ol class="logrows">{rows}</ol>
        </section>
    }
    .into_any()
}

/// That what the page shows is not of this moment, and since when it is so.
pub fn copy_note(v: &View) -> AnyView {
    let Some(note) = &v.copy else { return ().into_any() };
    let said = note.told_at.map(|t| view! { ", "{ago(t, v.now)} });
    view! {
        <div class="notice notice-needs" role="status">
            {icon("warning")}
            <div>
                <strong>{note.system}" could not say how this ticket stands now"</strong>
                <p>"Why: "{note.why.clone()}"."</p>
                <p>
                    "The page shows what it said last"{said}". Nothing can be started or rotated until it answers. \
                     Replies can be written: they wait, and go there by themselves."
                </p>
            </div>
        </div>
    }
    .into_any()
}

/// The messages of the ticket.
pub fn thread(v: &View) -> AnyView {
    let items = v
        .messages
        .iter()
        .map(|m| {
            let class = if m.kind == "note" { "message message-system" } else { "message" };
            let from = match m.kind.as_str() {
                "staff" => "Platform",
                "customer" => "Customer",
                _ => "Support desk",
            };
            let waits = v.owed.get(&m.id).map(|owed| {
                let why = if owed.why.is_empty() { String::new() } else { format!(": {}", owed.why) };
                let (word, more) = match owed.given_up {
                    Some(_) => (
                        "Not in the ticket system",
                        Some(view! { ". "<a href="/deliveries">"Send it again or set it aside"</a> }),
                    ),
                    None => ("Waits for the ticket system", None),
                };
                view! { <p class="field-hint">{state("state-needs", "dashed", word)}{why}{more}</p> }
            });
            view! {
                <li class=class>
                    <span class="avatar" aria-hidden="true">{initials(&m.author)}</span>
                    <header><strong>{m.author.clone()}</strong><span class="muted">{from}</span>{ago(m.at, v.now)}</header>
                    <div class="message-text">{m.body.clone()}</div>
                    {waits}
                </li>
            }
        })
        .collect_view();
    view! {
        <section class="panel" aria-label="Messages">
            <div class="panel-head"><h2>"Messages"</h2><p>{v.messages.len()}</p></div>
            <ol class="thread">{items}</ol>
            {(v.acts && v.ticket.state.can_be_served()).then(|| view! {
                <div class="panel-foot">
                    <form method="post" action="/do/reply" class="stack-2">
                        <input type="hidden" name="ticket" value=v.ticket.id.clone() />
                        <div class="field">
                            <label for="reply">"Reply"</label>
                            <textarea class="textarea" id="reply" name="text" required maxlength="5000"
                                aria-describedby="reply-hint"></textarea>
                            <p class="field-hint" id="reply-hint">"Read before it leaves: a reply that holds a secret is refused and not kept."</p>
                        </div>
                        <div class="form-actions"><button class="btn">{icon("send")}"Post reply"</button></div>
                    </form>
                </div>
            })}
        </section>
    }
    .into_any()
}
