//! The seven steps of the procedure, and the card with the one next action.

use leptos::prelude::*;

use super::impersonation_handoff::may_be_there;
use super::ticket::{Grant, Stage, View};
use crate::model::{
    Channel, HandoffState, Micros, SecretType, TicketState, VersionState, impersonation, time,
};
use crate::policy::eligibility::{Check, HandoffFacts};
use crate::proof::verdict::Verdict;
use crate::web::components::{at, badge, fingerprint, icon, id, id_link, sized_icon, verdict};

const NAMES: [&str; 7] =
    ["Verify", "Consent", "Impersonate", "Rotate", "Hand off", "End", "Verify the trail"];

/// The rail of steps.
pub fn steps(v: &View) -> AnyView {
    // How many steps are behind, and which one is at hand, counted from 0.
    let (done, now) = match v.stage {
        Stage::Blocked if v.only_consent() => (1, Some(1)),
        Stage::Blocked => (0, Some(0)),
        Stage::Start => (2, Some(2)),
        Stage::Rotate => (3, Some(3)),
        Stage::HandOff => (4, Some(4)),
        Stage::Over => match v.grant.as_ref().map(|g| g.judged.verdict.verdict) {
            Some(Verdict::Complete) => (7, None),
            _ => (6, Some(6)),
        },
    };
    let blocked = v.stage == Stage::Blocked;
    let note = |n: usize| -> Option<String> {
        match n {
            0 if !blocked => Some("9 of 9 checks".to_owned()),
            0 | 1 if blocked && Some(n) == now => {
                v.case.verdict.failed().next().map(|f| f.saw.clone())
            }
            2 => v
                .grant
                .as_ref()
                .filter(|_| done > 2)
                .map(|g| format!("{} UTC", time::clock(g.grant.started_at))),
            3 => v
                .grant
                .as_ref()
                .and_then(|g| g.rotation.as_ref())
                .map(|r| format!("v{} to v{}", r.from_version, r.to_version)),
            _ => None,
        }
    };
    let items = NAMES
        .iter()
        .enumerate()
        .map(|(n, name)| {
            let (class, word, mark) = if n < done {
                ("step is-done", "done", icon("check"))
            } else if Some(n) == now && blocked {
                ("step is-blocked", "blocked", icon("cross"))
            } else if Some(n) == now {
                ("step is-now", "now", (n + 1).into_any())
            } else {
                ("step", "to do", (n + 1).into_any())
            };
            view! {
                <li class=class aria-current=(Some(n) == now).then_some("step")>
                    <span class="step-line">
                        <span class="step-mark" aria-hidden="true">{mark}</span>
                        <span class="step-name">{*name}<span class="sr-only">{format!(" ({word})")}</span></span>
                        {note(n).map(|t| view! { <span class="step-note">{t}</span> })}
                    </span>
                </li>
            }
        })
        .collect_view();
    view! {
        <nav class="ticket-steps" aria-label="Steps of the procedure"><h2>"Procedure"</h2><ol class="steps">{items}</ol></nav>
    }
    .into_any()
}

/// The one next action.
pub fn next_action(v: &View) -> AnyView {
    match (v.stage, &v.grant) {
        (Stage::Blocked, _) => blocked(v),
        (Stage::Start, _) => start(v),
        (Stage::Rotate, Some(g)) => rotate(v, g),
        (Stage::HandOff, Some(g)) => hand_off(v, g),
        (_, Some(g)) => over(v, g),
        (_, None) => ().into_any(),
    }
}

fn card(class: &'static str, title: impl Into<String>, side: AnyView, body: AnyView) -> AnyView {
    view! {
        <section class=class aria-labelledby="next" id="step">
            <div class="next-head"><h2 id="next">{title.into()}</h2>{side}</div>
            {body}
        </section>
    }
    .into_any()
}

/// The channel that the case's runbook entry names, where it works.
fn channel_of(v: &View) -> Option<Channel> {
    match v.case.facts.handoff {
        HandoffFacts::Works { channel, .. } => Some(channel),
        _ => None,
    }
}

fn step_of(text: &'static str) -> AnyView {
    view! { <p>{text}</p> }.into_any()
}

fn blocked(v: &View) -> AnyView {
    if v.only_consent() {
        let body = if v.acts {
            view! {
                <form class="next-body" method="post" action="/do/request_consent">
                    <p>"Only the Owner can switch consent on. A link goes to the address on file; it appears nowhere else."</p>
                    <input type="hidden" name="ticket" value=v.ticket.id.clone() />
                    <div class="form-actions">
                        <button class="btn btn-lg btn-primary">{icon("mail")}"Ask the Owner to re-enable"</button>
                        <p class="fineprint">{icon("clock")}"The link works once, for 24 hours."</p>
                    </div>
                </form>
            }
            .into_any()
        } else {
            view! { <div class="next-body"><p>"Only the Owner can switch consent on."</p></div> }
                .into_any()
        };
        return card("next", "Ask the Owner for consent", step_of("Step 2 of 7"), body);
    }
    let over = !v.ticket.state.can_be_served();
    if v.ticket.state == TicketState::Escalated {
        return escalated(v);
    }
    if over {
        let text = "The ticket is not open any more. Nothing can be started for it.";
        let body = view! { <div class="next-body"><p>{text}</p></div> }.into_any();
        return card(
            "next next-refused",
            "This cannot be done",
            badge("badge-needs", "refused", "Refused"),
            body,
        );
    }
    if v.case.verdict.failed().any(|f| f.check == Check::OwnerReachable) {
        return escalate(v);
    }
    let body = view! {
        <div class="next-body">
            <p>"A check does not pass. There is no way around it, for anyone: not with a role, a flag or a setting. What to do stands with the check below."</p>
            {v.acts.then(|| try_anyway(v))}
        </div>
    }
    .into_any();
    card(
        "next next-refused",
        "This cannot be done",
        badge("badge-needs", "refused", "Refused"),
        body,
    )
}

/// Who doubts a refusal can have it in writing.
fn try_anyway(v: &View) -> AnyView {
    view! {
        <form method="post" action="/do/impersonate">
            <input type="hidden" name="ticket" value=v.ticket.id.clone() />
            <div class="form-actions">
                <button class="btn btn-quiet">"Try all the same"</button>
                <p class="fineprint">{icon("refused")}"It is refused, and the attempt is logged."</p>
            </div>
        </form>
    }
    .into_any()
}

/// The one thing left where the Owner cannot be reached.
fn escalate(v: &View) -> AnyView {
    let form = v.acts.then(|| {
        view! {
            <form method="post" action="/do/escalate">
                <input type="hidden" name="ticket" value=v.ticket.id.clone() />
                <div class="form-actions">
                    <button class="btn btn-lg btn-primary">{icon("scale")}"Escalate to Legal"</button>
                    <p class="fineprint fineprint-final">{icon("warning")}"Cannot be undone: nothing can be started for this ticket after."</p>
                </div>
            </form>
            {try_anyway(v)}
        }
    });
    let body = view! {
        <div class="next-body">
            <p>"The Owner was marked unreachable. There is no way around this, for anyone: no secret is rotated without the Owner. If the org is compromised, Legal has to take it on; a summary to send is written into the ticket."</p>
            {form}
        </div>
    }
    .into_any();
    card("next", "The procedure cannot go on", badge("badge-needs", "refused", "Refused"), body)
}

/// The end of the procedure: Legal has the case, and the summary to send is here.
fn escalated(v: &View) -> AnyView {
    let summary =
        v.messages.iter().rev().find(|m| {
            m.kind == "note" && m.body.starts_with(crate::desk::escalate::SUMMARY_BEGINS)
        });
    let summary = summary.map(|m| {
        view! {
            <figure class="reply">
                <figcaption>{icon("scale")}"Summary to send to Legal"</figcaption>
                <blockquote class="message-text">{m.body.clone()}</blockquote>
                <div class="reply-actions">
                    <button class="btn btn-sm btn-quiet copy-btn" type="button" data-copy=m.body.clone()>
                        {icon("copy")}"Copy"
                    </button>
                </div>
            </figure>
        }
    });
    let body = view! {
        <div class="next-body">
            <p>"Legal has the case. Nothing can be started for this ticket."</p>
            {summary}
        </div>
    }
    .into_any();
    card(
        "next next-refused",
        "Escalated to Legal",
        badge("badge-needs", "scale", "With Legal"),
        body,
    )
}

/// For when the Owner does not answer. Folded: it ends the procedure for the org.
pub fn unreachable(v: &View) -> AnyView {
    let marked = v.case.org.as_ref().is_none_or(|o| o.owner_unreachable_at.is_some());
    if !v.acts || marked || !v.ticket.state.can_be_served() || v.stage == Stage::Over {
        return ().into_any();
    }
    view! {
        <details class="panel">
            <summary class="panel-head"><h2>"The Owner does not answer?"</h2></summary>
            <form class="panel-body stack" method="post" action="/do/mark_unreachable">
                <input type="hidden" name="ticket" value=v.ticket.id.clone() />
                <div class="field">
                    <label for="attempts">"What was tried, how and when"</label>
                    <textarea class="textarea" id="attempts" name="attempts" required minlength="10" maxlength="1000"
                        aria-describedby="attempts-hint"></textarea>
                    <p class="field-hint" id="attempts-hint">"It is written into the platform log. Never a secret."</p>
                </div>
                <div class="form-actions">
                    <button class="btn btn-danger">{icon("refused")}"Mark the Owner unreachable"</button>
                    <p class="fineprint fineprint-final">{icon("warning")}"Nothing can be started for this org after."</p>
                </div>
            </form>
        </details>
    }
    .into_any()
}

/// Said in place of the button to whoever asked for a change of the way to the Owner.
fn away(until: Micros) -> AnyView {
    view! {
        <div class="notice notice-needs" role="note">
            {icon("lock")}
            <div>
                <strong>"Another admin has to do this"</strong>
                <p>"You asked for a change of this org’s key, address or channel. Until "{at(until)}" somebody else handles its secrets."</p>
            </div>
        </div>
    }
    .into_any()
}

fn start(v: &View) -> AnyView {
    let (Some(secret), Some(org)) = (&v.case.secret, &v.case.org) else { return ().into_any() };
    let owner = v.case.owner().map_or_else(String::new, |o| o.name.clone());
    let minutes = v.life / time::MINUTE;
    let terms = view! {
        <dl class="terms">
            <dt>"Reason"</dt><dd><code>{impersonation::reason(secret.secret_type, &v.ticket.id)}</code></dd>
            <dt>"Scope"</dt><dd>"Rotate this one secret, nothing else: "<code>{secret.id.clone()}</code>" of "{org.name.clone()}</dd>
            <dt>"Time"</dt><dd>{format!("{minutes} min at most")}</dd>
            <dt>"You act as"</dt><dd>"yourself, on behalf of "{owner}". They get a mail now and at the end."</dd>
        </dl>
    };
    let body = if let (true, Some(until)) = (v.acts, v.away) {
        view! { <div class="next-body">{terms}{away(until)}</div> }.into_any()
    } else if v.acts {
        view! {
            <form class="next-body" method="post" action="/do/impersonate">
                {terms}
                <input type="hidden" name="ticket" value=v.ticket.id.clone() />
                <div class="form-actions">
                    <button class="btn btn-lg btn-primary">{icon("key")}"Start impersonation"</button>
                    <p class="fineprint">{icon("clock")}"Ends by itself. You can end it at any moment."</p>
                </div>
            </form>
        }
        .into_any()
    } else {
        view! { <div class="next-body">{terms}<p class="muted">"A platform admin can start it."</p></div> }.into_any()
    };
    card("next", "Start the impersonation", step_of("Step 3 of 7"), body)
}

fn rotate(v: &View, g: &Grant) -> AnyView {
    let Some(secret) = &v.case.secret else { return ().into_any() };
    let leak = v.ticket.suspected_leak();
    let vault = secret.secret_type == SecretType::VaultToken;
    let (gateway, made) = super::gateway::what_happens(v.gateway.as_ref(), leak);
    let is_gateway = secret.secret_type == SecretType::MtlsCertificate;
    let made = match (vault, channel_of(v)) {
        _ if is_gateway => made,
        (true, Some(Channel::OnePassword)) => {
            "an orphan, otherwise the old one’s equal, sealed at once for the shared vault"
        }
        (true, _) => {
            "an orphan, otherwise the old one’s equal, encrypted to the Owner’s key at once"
        }
        (false, Some(Channel::OnePassword)) => {
            "32 random bytes, sealed at once for the shared vault"
        }
        (false, _) => "32 random bytes, encrypted to the Owner’s key at once",
    };
    let old = if is_gateway {
        gateway.to_owned()
    } else if vault {
        "The old token is revoked as soon as the new one is recorded: there is no overlap."
            .to_owned()
    } else if leak {
        "A leak is suspected: the old key stops working at once.".to_owned()
    } else {
        format!(
            "The old key stays valid for {} after the handoff.",
            time::span(v.overlap_seconds * time::SECOND)
        )
    };
    let age = v
        .versions
        .first()
        .map_or_else(String::new, |x| format!("{} old", time::span(v.now - x.created_at)));
    let swap = view! {
        <div class="swap">
            <div><span><span class="version">{format!("v{}", secret.version)}</span>" now"</span><span class="sub">{age}</span></div>
            {sized_icon("icon icon-lg", "arrow-right")}
            <div>
                <span><span class="version">{format!("v{}", v.next_version())}</span>" new"</span>
                <span class="sub">{made}</span>
            </div>
        </div>
        {v.vault.as_ref().map(|vault| vault.debts())}
        {vault.then(|| view! {
            <p>"With the old token end all tokens that it made, the leases that it holds (a database’s passwords, for instance), and what those made. The vault does not say which there are: where the Owner’s jobs may have some, ask before you rotate. The new token is an orphan, and ends with no other."</p>
        })}
        <p>{old}" "{v.overlapping().map(|x| format!("Version {} is still accepted from the last rotation.", x.version))}</p>
    };
    let mine = g.grant.admin_id == v.viewer;
    let body = if v.acts && mine {
        view! {
            <form class="next-body" method="post" action="/do/rotate">
                {swap}
                <input type="hidden" name="impersonation" value=g.grant.id.clone() />
                {vault.then(|| view! {
                    <label class="check-line"><input type="checkbox" name="dependents_end" value="true" required />
                        "What depends on the old token may end with it"</label>
                })}
                {v.overlapping().map(|_| view! {
                    <label class="check-line"><input type="checkbox" name="during_overlap" value="true" />
                        "Rotate although an older key is still in its overlap"</label>
                })}
                <div class="form-actions">
                    <button class="btn btn-lg btn-primary">{icon("rotate")}"Rotate now"</button>
                    <p class="fineprint fineprint-final">{icon("warning")}{format!("Cannot be undone: version {} does not come back.", secret.version)}</p>
                </div>
            </form>
        }
        .into_any()
    } else {
        view! { <div class="next-body">{swap}<p class="muted">{format!("{} holds the impersonation.", g.admin)}</p></div> }
            .into_any()
    };
    card(
        "next",
        format!("Rotate the {}", secret.secret_type.label().to_lowercase()),
        step_of("Step 4 of 7"),
        body,
    )
}

/// What the version before is called.
fn old_name(v: &View) -> &'static str {
    match v.case.secret.as_ref().map(|s| s.secret_type) {
        Some(SecretType::VaultToken) => "Old token",
        Some(SecretType::MtlsCertificate) => "Old certificate",
        _ => "Old key",
    }
}

fn hand_off(v: &View, g: &Grant) -> AnyView {
    let (Some(rotation), Some(handoff)) = (&g.rotation, &g.handoff) else { return ().into_any() };
    let live = g.grant.live(v.now);
    let owed = v.vault.as_ref().is_some_and(|vault| !vault.owed.is_empty());
    let is_gateway = g.grant.secret_type == SecretType::MtlsCertificate;
    let reenrols = is_gateway && !v.bundled(rotation);
    let old = if is_gateway {
        if rotation.suspected_leak != 0 {
            "is revoked: a leak is suspected".to_owned()
        } else {
            "is revoked once the new one is seen".to_owned()
        }
    } else if owed {
        "is not revoked yet: it is owed, and tried again by itself".to_owned()
    } else if v.vault.is_some() {
        "is revoked: the vault refuses it".to_owned()
    } else if rotation.overlap_seconds == 0 {
        "has stopped working: a leak is suspected".to_owned()
    } else {
        let after = match handoff.channel {
            Channel::Pgp => "the mail server has taken the mail",
            Channel::OnePassword => "the item is in the vault",
        };
        format!("works for {} after {after}", time::span(rotation.overlap_seconds * time::SECOND))
    };
    let owner = v.case.owner().map_or_else(String::new, |o| o.name.clone());
    let terms = view! {
        {v.vault.as_ref().map(|vault| vault.debts())}
        <p>
            {if reenrols { format!("Version {} is the gateway’s own to make: there is nothing to hand off but the notice. ", rotation.to_version) }
             else { format!("Version {} exists and is sealed. ", rotation.to_version) }}
            {if live { "One button sends it to the Owner and ends the impersonation." }
             else { "The impersonation has ended meanwhile; what is sealed can still be sent." }}
        </p>
        {match handoff.channel {
            Channel::Pgp => view! {
                <dl class="terms">
                    <dt>"To"</dt><dd>{owner}", at the address on file"</dd>
                    <dt>"Encrypted to"</dt><dd>{fingerprint(&handoff.recipient_key)}</dd>
                    <dt>{old_name(v)}</dt><dd>{old}</dd>
                    {v.vault.as_ref().and_then(|vault| vault.lives()).map(|lives| view! { <dt>"New token"</dt><dd>{lives}</dd> })}
                    {(g.grant.admin_id == v.viewer).then(|| view! {
                        <dt>"Ciphertext"</dt><dd><a href=format!("/handoffs/{}/message.asc", handoff.id)>"message.asc"</a>", for the Owner only; each copy is logged"</dd>
                    })}
                </dl>
            }
            .into_any(),
            Channel::OnePassword => view! {
                <dl class="terms">
                    <dt>"To"</dt><dd>"the 1Password vault shared with "{owner}</dd>
                    <dt>"Vault"</dt><dd>{id(&handoff.recipient, "vault id")}</dd>
                    <dt>{old_name(v)}</dt><dd>{old}</dd>
                    {v.vault.as_ref().and_then(|vault| vault.lives()).map(|lives| view! { <dt>"New token"</dt><dd>{lives}</dd> })}
                    <dt>"Mail"</dt><dd>"to the address on file once the item is there, without the value"</dd>
                </dl>
            }
            .into_any(),
        }}
    };
    let may = v.acts && (!live || g.grant.admin_id == v.viewer);
    let body = if let (true, Some(until)) = (may, v.away) {
        view! { <div class="next-body">{terms}{away(until)}</div> }.into_any()
    } else if may {
        view! {
            <form class="next-body" method="post" action="/do/hand_off">
                {terms}
                <input type="hidden" name="impersonation" value=g.grant.id.clone() />
                <div class="form-actions">
                    <button class="btn btn-lg btn-primary">
                        {icon("handoff")}{if live { "Hand off and end" } else { "Hand off" }}
                    </button>
                    <p class="fineprint">{icon("lock")}"Nobody at the platform can see the value. It is on no page, in no log."</p>
                </div>
            </form>
        }
        .into_any()
    } else {
        view! { <div class="next-body">{terms}<p class="muted">{format!("{} holds the impersonation.", g.admin)}</p></div> }
            .into_any()
    };
    card(
        "next",
        format!("Hand off version {}", rotation.to_version),
        step_of("Steps 5 and 6 of 7"),
        body,
    )
}

fn over(v: &View, g: &Grant) -> AnyView {
    let judged = &g.judged.verdict;
    let complete = judged.verdict == Verdict::Complete;
    let failed: Vec<String> =
        judged.failed().map(|r| format!("{}: {}", r.rule.title(), r.saw)).collect();
    let (class, title) = if complete {
        ("next next-done", "Complete")
    } else {
        ("next next-refused", "The trail needs a look")
    };
    let handoff = g.handoff.as_ref().map(|h| {
        let said = match (h.state, &g.waiting) {
            (_, Some(why)) => why.clone().into_any(),
            (HandoffState::Acknowledged, _) => view! {
                "acknowledged "{h.acknowledged_at.map(at)}" ("{h.acknowledged_how.clone()}")"
            }
            .into_any(),
            (HandoffState::Undelivered, _) => "undelivered".into_any(),
            (HandoffState::Queued, _) => "leaving".into_any(),
            _ if h.delivered_at.is_some() => view! {
                "in the shared vault since "{h.delivered_at.map(at)}", not acknowledged yet"
            }
            .into_any(),
            _ => view! { "sent "{h.sent_at.map(at)}", not acknowledged yet" }.into_any(),
        };
        let is_gateway = g.grant.secret_type == SecretType::MtlsCertificate;
        let old = v
            .versions
            .iter()
            .find(|x| Some(x.version) == g.rotation.as_ref().map(|r| r.from_version))
            .map(|x| match x.retires_at {
                _ if is_gateway && x.state == VersionState::Live => {
                    view! { "works until the new one is seen" }.into_any()
                }
                Some(t) if t > v.now => view! { "works until "{at(t)} }.into_any(),
                None if v.vault.is_some() && x.state == VersionState::Retiring => {
                    view! { "not revoked yet: it is owed, and tried again by itself" }.into_any()
                }
                None if x.accepted(v.now) => {
                    let overlap = g.rotation.as_ref().map_or(0, |r| r.overlap_seconds);
                    format!(
                        "works for {} after the new one is delivered",
                        time::span(overlap * time::SECOND)
                    )
                    .into_any()
                }
                _ => view! { "does not work any more" }.into_any(),
            });
        let lives = v.vault.as_ref().and_then(|vault| vault.lives());
        view! {
            <dt>"Handoff"</dt><dd>{said}</dd><dt>{old_name(v)}</dt><dd>{old}</dd>
            {lives.map(|lives| view! { <dt>"New token"</dt><dd>{lives}</dd> })}
        }
    });
    // Consent that was for this ticket only has gone off with its end.
    let consents = v.case.org.as_ref().is_some_and(|o| o.consent().covers(&v.ticket.id));
    let is_webhook = g.grant.secret_type == SecretType::WebhookSigningKey;
    let no_test = (v.acts && is_webhook && !consents).then(|| {
        view! { <p class="fineprint">{icon("info")}"Consent is off: no test event can be sent any more."</p> }
    });
    let test = (v.acts && is_webhook && consents && v.case.secret.is_some()).then(|| {
        view! {
            <form class="inline-form" method="post" action="/do/test_event">
                <input type="hidden" name="org" value=g.grant.org_id.clone() />
                <input type="hidden" name="secret" value=g.grant.secret_id.clone() />
                <input type="hidden" name="ticket" value=v.ticket.id.clone() />
                <input type="hidden" name="back" value=format!("/tickets/{}", v.ticket.id) />
                <button class="btn">{icon("webhook")}"Send a test event"</button>
            </form>
        }
    });
    let record = g.handoff.as_ref().filter(|h| may_be_there(h)).filter(|_| v.acts).map(|h| {
        view! {
            <form class="field-row" method="post" action="/do/acknowledge_staff">
                <input type="hidden" name="handoff" value=h.id.clone() />
                <input type="hidden" name="back" value=format!("/tickets/{}", v.ticket.id) />
                <div class="field">
                    <label for="how">"The Owner confirmed it otherwise: how?"</label>
                    <input class="input" id="how" name="how" maxlength="300" required placeholder="by phone, at the number on file" />
                </div>
                <button class="btn">{icon("check")}"Record it"</button>
            </form>
        }
    });
    // A trail that is complete is no help to an Owner who got nothing.
    let undelivered = g.handoff.as_ref().filter(|h| h.state == HandoffState::Undelivered);
    let proof = if undelivered.is_some() { "btn" } else { "btn btn-primary" };
    let put_right = undelivered.map(|h| {
        view! {
            <a class="btn btn-primary" href=format!("/rotations/{}", h.rotation_id)>{icon("send")}"Put the delivery right"</a>
        }
    });
    let body = view! {
        <div class="next-body">
            {v.vault.as_ref().map(|vault| vault.debts())}
            {if complete {
                view! { <p>"Both logs tell the same story, and both prove it."</p> }.into_any()
            } else {
                view! { <ul>{failed.into_iter().map(|f| view! { <li>{f}</li> }).collect_view()}</ul> }.into_any()
            }}
            <dl class="terms">
                <dt>"Impersonation"</dt>
                <dd>{id_link(&g.grant.id, format!("/impersonations/{}", g.grant.id), "impersonation id")}
                    {g.grant.ended_at.map(|e| format!(" {} long, {}", time::span(e - g.grant.started_at), g.grant.end_cause().map_or("", |c| c.label())))}</dd>
                {handoff}
            </dl>
            <div class="form-actions">
                {put_right}
                <a class=proof href=format!("/impersonations/{}", g.grant.id)>{icon("shield-check")}"See the proof"</a>
                {test}
                {no_test}
            </div>
            {record}
        </div>
    }
    .into_any();
    card(class, title, verdict(judged.verdict), body)
}
