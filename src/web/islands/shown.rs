//! How checks are listed in the browser.

use leptos::prelude::*;

use crate::proof::evidence::Report;
use crate::proof::verdict::RuleState;

/// An icon of the set.
pub(super) fn icon(name: &str) -> AnyView {
    let href = format!("/icons.svg#{name}");
    view! { <svg class="icon" aria-hidden="true"><use href=href></use></svg> }.into_any()
}

/// Everything that was checked, in order.
pub(super) fn checks(report: &Report) -> Vec<AnyView> {
    let lines = report.lines.iter().map(|l| (Some(l.holds), l.what.clone(), l.saw.clone()));
    let rules = report.verdict.rules.iter().map(|r| {
        let holds = match r.result {
            RuleState::Passed => Some(true),
            RuleState::Failed => Some(false),
            RuleState::Pending => None,
        };
        (holds, r.rule.title().to_owned(), r.saw.clone())
    });
    lines.chain(rules).map(|(holds, what, saw)| one(holds, what, saw)).collect()
}

fn one(holds: Option<bool>, what: String, saw: String) -> AnyView {
    let (class, glyph, word) = match holds {
        Some(true) => ("check is-pass", "check", "Holds: "),
        Some(false) => ("check is-fail", "cross", "Fails: "),
        None => ("check", "clock", "Cannot be said: "),
    };
    view! {
        <li class=class>
            {icon(glyph)}
            <span class="check-name"><span class="sr-only">{word}</span>{what}</span>
            <span class="check-saw">{saw}</span>
        </li>
    }
    .into_any()
}
