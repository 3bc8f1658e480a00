//! Why a ticket could be served, drawn from what a row keeps of it.

use leptos::prelude::*;

use crate::model::{MemberRole, time};
use crate::policy::eligibility::Check;
use crate::policy::grounds::{Asked, Checked, TicketThen};
use crate::proof::actions::{PLATFORM_IMPERSONATION_STARTED, RECORD_ROW, rotated_type};
use crate::proof::row::AuditRow;
use crate::web::components::icon;

/// What the rows of an impersonation keep of why its ticket could be served.
pub(super) struct Grounds {
    pub(super) ticket: Option<TicketThen>,
    /// When the token was minted.
    pub(super) start: Option<Asked>,
    /// When the secret was rotated.
    pub(super) rotation: Option<Asked>,
    /// The row of the org's log that says what was on record at the start, from 0.
    pub(super) record_row: Option<i64>,
}

impl Grounds {
    pub(super) fn of<'a>(
        platform: impl Iterator<Item = &'a AuditRow>,
        mut org: impl Iterator<Item = &'a AuditRow>,
    ) -> Self {
        let mut platform = platform.filter(|row| row.action == PLATFORM_IMPERSONATION_STARTED);
        let start = platform.next().map(|row| &row.details);
        let rotation = org.find(|row| rotated_type(&row.action).is_some());
        Self {
            ticket: start.and_then(TicketThen::read),
            start: start.and_then(Asked::read),
            record_row: start.and_then(|details| details.get(RECORD_ROW)?.as_i64()),
            rotation: rotation.and_then(|row| Asked::read(&row.details)),
        }
    }
}

/// The ticket as it was, a line for each fact.
pub(super) fn ticket(t: &TicketThen) -> AnyView {
    let fact = |name: &'static str, value: String| {
        view! { <div><dt>{name}</dt><dd>{value}</dd></div> }.into_any()
    };
    let not_known = || "not known".to_owned();
    let requester = t.requester.as_ref().map_or_else(
        || "no member of the org".to_owned(),
        |r| format!("{} ({})", r.member_id, MemberRole::label(r.role)),
    );
    let authenticated = t
        .authenticated
        .as_ref()
        .map_or_else(not_known, |a| format!("{}, {}", a.how, time::seconds(a.at)));
    let secret = match (&t.secret_type, &t.secret_id) {
        (Some(kind), Some(id)) => format!("{kind} {id}"),
        _ => "none named".to_owned(),
    };
    let keeper = t.kept_by.as_ref().map(|k| match k.told_at {
        Some(at) => format!("{}, as it said {}", k.system, time::seconds(at)),
        None => k.system.clone(),
    });
    view! {
        <dl class="facts">
            {fact("Ticket", format!("{}, {}", t.number, t.state.label()))}
            {fact("Filed", time::seconds(t.filed_at))}
            {fact("Requester", requester)}
            {fact("Authenticated by support", authenticated)}
            {fact("Secret that it names", secret)}
            {fact("Leak suspected", if t.suspected_leak { "yes" } else { "no" }.to_owned())}
            {keeper.map(|said| fact("Kept by", said))}
        </dl>
    }
    .into_any()
}

/// How they came out together, in a sentence.
pub(super) fn said(asked: &Asked) -> String {
    let when =
        asked.asked_at.map_or_else(String::new, |at| format!(", asked {}", time::seconds(at)));
    let failed = asked.checks.iter().filter(|c| c.passed == Some(false)).count();
    let all = asked.checks.len();
    match asked.eligible {
        Some(true) if failed == 0 => format!("Eligible: {all} of {all} checks passed{when}."),
        Some(eligible) => {
            let word = if eligible { "Eligible, it says" } else { "Not eligible" };
            format!("{word}: {failed} of {all} checks failed{when}.")
        }
        None => {
            "As written then: the row says what each check saw, and not how it came out.".to_owned()
        }
    }
}

/// Each check as it was recorded.
pub(super) fn checks(asked: &Asked) -> AnyView {
    let items = asked.checks.iter().map(check).collect_view();
    view! { <ol class="checks">{items}</ol> }.into_any()
}

fn check(c: &Checked) -> AnyView {
    let (class, glyph, word) = match c.passed {
        Some(true) => ("check is-pass", "check", "Passed: "),
        Some(false) => ("check is-fail", "cross", "Failed: "),
        None => ("check", "ring", "As written then: "),
    };
    let label = Check::ALL.iter().find(|known| known.as_str() == c.check);
    let name = label.map_or_else(|| c.check.clone(), |known| known.label().to_owned());
    view! {
        <li class=class>
            {icon(glyph)}
            <span class="check-name"><span class="sr-only">{word}</span>{name}</span>
            <span class="check-saw">{c.saw.clone()}</span>
        </li>
    }
    .into_any()
}

/// The panel on the page of an impersonation.
pub(super) fn panel(g: &Grounds) -> AnyView {
    let Some(start) = &g.start else {
        return view! {
            <section class="panel" aria-label="Why the ticket could be served">
                <div class="panel-head"><h2>"Why the ticket could be served"</h2></div>
                <div class="panel-body"><p class="muted">"The platform log’s start does not say."</p></div>
            </section>
        }
        .into_any();
    };
    let again = g.rotation.as_ref().map(|asked| {
        view! {
            <details class="panel-body disclose">
                <summary>{icon("chevron")}"Asked again at the rotation"</summary>
                <p class="muted">{said(asked)}</p>
                {checks(asked)}
            </details>
        }
    });
    view! {
        <section class="panel" aria-label="Why the ticket could be served">
            <div class="panel-head"><h2>"Why the ticket could be served"</h2><p>"as recorded at the start"</p></div>
            {g.ticket.as_ref().map(ticket)}
            <div class="checks-body"><p class="muted">{said(start)}{g.record_row.map(|row| format!(" What was on record of the org is proven by row {row} of its log."))}</p>{checks(start)}</div>
            {again}
        </section>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(passed: Option<bool>, eligible: Option<bool>) -> Asked {
        let check = |n: usize| Checked {
            check: Check::ALL[n].as_str().to_owned(),
            passed: if n == 0 { passed } else { eligible.map(|_| true) },
            saw: "x".to_owned(),
        };
        Asked { eligible, asked_at: Some(0), checks: (0..2).map(check).collect() }
    }

    #[test]
    fn nothing_is_said_to_have_passed_that_is_not_recorded_so() {
        let good = asked(Some(true), Some(true));
        assert!(said(&good).starts_with("Eligible: 2 of 2 checks passed, asked 1970"));
        assert!(said(&asked(Some(false), Some(false))).starts_with("Not eligible: 1 of 2"));
        // A row that contradicts itself is not made to look better.
        assert!(said(&asked(Some(false), Some(true))).contains("1 of 2 checks failed"));
        assert!(said(&asked(None, None)).starts_with("As written then"));
        for (passed, eligible, class, word) in [
            (Some(true), Some(true), "is-pass", "Passed: "),
            (Some(false), Some(true), "is-fail", "Failed: "),
            (None, None, "class=\"check\"", "As written then: "),
        ] {
            let html = check(&asked(passed, eligible).checks[0]).to_html();
            assert!(html.contains(class) && html.contains(word), "{html}");
            assert!(html.contains("Ticket open"), "{html}");
        }
    }
}
