//! The form of the timeline's filter.

use leptos::prelude::*;

use super::audit_filter::{Ask, Known, Problem, VERDICTS};
use crate::model::{SecretType, Stand, time};
use crate::policy::eligibility::Check;
use crate::proof::actions;
use crate::web::components::icon;
use crate::web::html::Html;

/// The actions that are suggested; another one can be typed.
pub(super) fn known_actions() -> Vec<String> {
    let mut all: Vec<String> = [
        actions::PLATFORM_IMPERSONATION_STARTED,
        actions::PLATFORM_IMPERSONATION_ENDED,
        actions::PLATFORM_SECRET_HANDED_OFF,
        actions::PLATFORM_SECRET_DELIVERED,
        actions::PLATFORM_HANDOFF_UNDELIVERED,
        actions::PLATFORM_MAIL_UNDELIVERED,
        actions::PLATFORM_REPLY_UNDELIVERED,
        actions::PLATFORM_MAIL_SENT_AGAIN,
        actions::PLATFORM_MAIL_SET_ASIDE,
        actions::PLATFORM_IMPERSONATION_REFUSED,
        actions::PLATFORM_ROTATION_REFUSED,
        actions::PLATFORM_CONSENT_REQUESTED,
        actions::PLATFORM_OWNER_MARKED_UNREACHABLE,
        actions::PLATFORM_ESCALATED_TO_LEGAL,
        actions::PLATFORM_HANDOFF_ACKNOWLEDGED,
        actions::PLATFORM_TEST_EVENT_SENT,
        actions::PLATFORM_REPLY_POSTED,
        actions::PLATFORM_REPLY_REFUSED,
        actions::PLATFORM_TICKET_FILED,
        actions::PLATFORM_TICKET_MESSAGE_RECEIVED,
        actions::PLATFORM_TICKET_MESSAGE_REFUSED,
        actions::PLATFORM_TICKET_FETCHED,
        actions::PLATFORM_ORG_IMPORTED,
        actions::PLATFORM_ORG_CREDENTIAL_ISSUED,
        actions::PLATFORM_AUDIT_VIEWED,
        actions::PLATFORM_AUDIT_EXPORTED,
        actions::PLATFORM_SIGNED_IN,
        actions::PLATFORM_SIGN_IN_FAILED,
        actions::PLATFORM_SIGN_INS_THROTTLED,
        actions::PLATFORM_CREDENTIALS_REFUSED,
        actions::PLATFORM_STEPPED_UP,
        actions::PLATFORM_SIGNED_OUT,
        actions::IMPERSONATION_STARTED,
        actions::IMPERSONATION_ENDED,
        actions::CONSENT_ENABLED,
        actions::CONSENT_DISABLED,
        actions::PLATFORM_ORG_CREDENTIAL_REVOKED,
        actions::ORG_CREDENTIAL_REVOKED,
        actions::CONSENT_REMINDED,
        actions::CONSENT_CONFIRMED,
        actions::ORG_IMPORTED,
        actions::ORG_CREDENTIAL_ISSUED,
        actions::HANDOFF_QUEUED,
        actions::HANDOFF_SENT,
        actions::HANDOFF_DELIVERED,
        actions::HANDOFF_UNDELIVERED,
        actions::HANDOFF_ACKNOWLEDGED,
        actions::WEBHOOK_TEST_EVENT_SENT,
        actions::WEBHOOK_OVERLAP_ENDED,
        actions::VAULT_TOKEN_OLD_REVOKED,
        actions::PLATFORM_VAULT_TOKEN_OLD_REVOKED,
        actions::VAULT_TOKEN_EXPIRED_UNREAD,
        actions::PLATFORM_VAULT_TOKEN_EXPIRED_UNREAD,
        actions::PLATFORM_OWNER_KEY_CHANGE_ASKED,
        actions::PLATFORM_OWNER_KEY_CHANGE_CANCELLED,
        actions::PLATFORM_OWNER_KEY_CHANGE_OBJECTED,
        actions::PLATFORM_OWNER_KEY_CHANGED,
        actions::PLATFORM_OWNER_KEY_RENEWED,
        actions::OWNER_KEY_CHANGE_ASKED,
        actions::OWNER_KEY_CHANGE_CANCELLED,
        actions::OWNER_KEY_CHANGE_OBJECTED,
        actions::OWNER_KEY_CHANGED,
        actions::OWNER_KEY_RENEWED,
        actions::PLATFORM_OWNER_KEY_CHANGE_AGREED,
        actions::PLATFORM_OWNER_KEY_CHANGE_APPROVED,
        actions::OWNER_KEY_CHANGE_AGREED,
        actions::OWNER_KEY_CHANGE_APPROVED,
        actions::PLATFORM_OWNER_RECORD_CHANGE_ASKED,
        actions::PLATFORM_OWNER_RECORD_CHANGE_AGREED,
        actions::PLATFORM_OWNER_RECORD_CHANGE_APPROVED,
        actions::PLATFORM_OWNER_RECORD_CHANGE_CANCELLED,
        actions::PLATFORM_OWNER_RECORD_CHANGE_OBJECTED,
        actions::PLATFORM_OWNER_RECORD_CHANGED,
        actions::OWNER_RECORD_CHANGE_ASKED,
        actions::OWNER_RECORD_CHANGE_AGREED,
        actions::OWNER_RECORD_CHANGE_APPROVED,
        actions::OWNER_RECORD_CHANGE_CANCELLED,
        actions::OWNER_RECORD_CHANGE_OBJECTED,
        actions::OWNER_RECORD_CHANGED,
        actions::PLATFORM_HANDOFF_DOWNLOADED,
        actions::HANDOFF_DOWNLOADED,
        actions::PLATFORM_HANDOFF_REFUSED,
        actions::ORG_RECORDED,
        actions::OWNER_MARKED_UNREACHABLE,
    ]
    .map(str::to_owned)
    .to_vec();
    for kind in actions::SECRET_TYPES {
        all.push(actions::rotated(kind));
        all.push(actions::rotation_failed(kind));
    }
    all
}

/// The filter's form, and what it is set to.
pub fn form(ask: &Ask, known: &Known, problems: &[Problem]) -> AnyView {
    let field = |name: &'static str, label: &'static str, control: AnyView| {
        let error = problems.iter().find(|p| p.field == name).map(|p| p.text.clone());
        view! {
            <div class="field">
                <label for=format!("f-{name}")>{label}</label>
                {control}
                {error.map(|text| view! {
                    <p class="field-error" id=format!("f-{name}-error")>{icon("warning")}{text}</p>
                })}
            </div>
        }
    };
    let wrong = |name: &str| problems.iter().any(|p| p.field == name);
    let invalid = |name: &str| wrong(name).then_some("true");
    let described = |name: &str| wrong(name).then(|| format!("f-{name}-error"));
    let text = |name: &'static str, value: &str, hint: &'static str, list: Option<&'static str>| {
        view! {
            <input class="input input-mono" id=format!("f-{name}") name=name value=value.to_owned() placeholder=hint
                list=list autocomplete="off" spellcheck="false" aria-invalid=invalid(name) aria-describedby=described(name) />
        }
        .into_any()
    };
    let instant = |name: &'static str, value: &str| {
        // A browser empties a date field whose value it cannot read; what was typed must stay.
        let (kind, value) = match time::parse(value) {
            Some(t) => ("datetime-local", time::rfc3339(t).chars().take(19).collect::<String>()),
            None if value.is_empty() => ("datetime-local", String::new()),
            None => ("text", value.to_owned()),
        };
        view! {
            <input class="input" id=format!("f-{name}") name=name type=kind step="1" value=value
                aria-invalid=invalid(name) aria-describedby=described(name) />
        }
        .into_any()
    };
    let choice = |name: &'static str,
                  any: &'static str,
                  chosen: &str,
                  list: Vec<(String, String)>| {
        // A platform has hundreds of orgs.
        let mut options = Html::default();
        options.tags("<option value=\"\">").tags(any).tags("</option>");
        for (id, label) in &list {
            options.tags("<option value=\"").text(id);
            options.tags(if id == chosen { "\" selected>" } else { "\">" });
            options.text(label).tags("</option>");
        }
        view! {
            <select class="select" id=format!("f-{name}") name=name aria-invalid=invalid(name) aria-describedby=described(name)
                inner_html=options.into_string()></select>
        }
        .into_any()
    };
    let mut suggestions = Html::default();
    for action in known_actions() {
        suggestions.tags("<option value=\"").text(&action).tags("\"></option>");
    }
    let suggested = suggestions.into_string();
    let types = SecretType::ALL.iter().map(|t| (t.to_string(), t.label().to_owned())).collect();
    let verdicts = VERDICTS.iter().map(|v| (v.word().to_owned(), v.word().to_owned())).collect();
    let stands = Stand::ALL.iter().map(|s| (s.to_string(), s.label().to_owned())).collect();
    let search = view! {
        <input class="input" id="f-text" name="text" type="search" value=ask.text.trim().to_owned()
            placeholder="Words of the action, the reason, a name; a ticket; an id" autocomplete="off" spellcheck="false"
            aria-invalid=invalid("text") aria-describedby=described("text") />
    }
    .into_any();
    let checks = Check::ALL.iter().map(|c| (c.to_string(), c.label().to_owned())).collect();
    let more = ["verdict", "standing", "open_for", "impersonation", "check", "from", "to"]
        .iter()
        .any(|name| {
            wrong(name)
                || ask.fields().iter().any(|(field, value)| field == name && !value.is_empty())
        });
    let chips = ask
        .chips(known)
        .into_iter()
        .map(|(label, href)| {
            view! {
                <a class="chip" href=href><span class="sr-only">"Remove filter: "</span>{label}{icon("cross")}</a>
            }
        })
        .collect_view();
    view! {
        <form class="filters" method="get" action="/audit" aria-label="Filter the logs">
            {field("text", "Search", search)}
            <div class="filters-line">
                {field("action", "Action", text("action", ask.action.trim(), "impersonation.started", Some("f-actions")))}
                {field("org", "Org", choice("org", "Any org", ask.org.trim(), known.orgs.clone()))}
                {field("ticket", "Ticket", text("ticket", ask.ticket.trim(), "NOV-4801", None))}
                {field("admin", "Done by", choice("admin", "Anyone", ask.admin.trim(), known.staff.clone()))}
                {field("secret_type", "Secret type", choice("secret_type", "Any type", ask.secret_type.trim(), types))}
                <button class="btn">{icon("filter")}"Apply"</button>
            </div>
            <datalist id="f-actions" inner_html=suggested></datalist>
            <details class="filters-more" open=more>
                <summary>{icon("chevron")}"More filters"</summary>
                <div class="filters-line">
                    {field("verdict", "Verdict", choice("verdict", "Any verdict", ask.verdict.trim(), verdicts))}
                    {field("standing", "Standing", choice("standing", "Any standing", ask.standing.trim(), stands))}
                    {field("open_for", "Open for (minutes)", text("open_for", ask.open_for.trim(), "", None))}
                    {field("impersonation", "Impersonation id", text("impersonation", ask.impersonation.trim(), "", None))}
                    {field("check", "Refused because of", choice("check", "Any check", ask.check.trim(), checks))}
                    {field("from", "From (UTC)", instant("from", ask.from.trim()))}
                    {field("to", "Before (UTC)", instant("to", ask.to.trim()))}
                </div>
            </details>
            {ask.narrows().then(|| view! {
                <p class="filters-set">{if problems.is_empty() { "Showing " } else { "Asked for " }}{chips}<a href="/audit">"Clear all"</a></p>
            })}
        </form>
    }
    .into_any()
}
