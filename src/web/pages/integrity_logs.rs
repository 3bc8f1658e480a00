//! The list of the logs on the page of their integrity: the platform's first, then those of the
//! orgs, a page at a time.

use std::collections::HashMap;

use leptos::prelude::*;
use serde::Deserialize;
use sqlx::AnyConnection;

use super::audit_filter::address;
use super::integrity::PLACE;
use super::places::{Tree, Trees, trees};
use crate::audit::LogKey;
use crate::audit::trail::Proofs;
use crate::delivery::guard;
use crate::desk::Step;
use crate::model::Micros;
use crate::store::audit;
use crate::store::log_list::{self, OrgLog, Verified, Wanted};
use crate::store::verification::{self, Verification};
use crate::store::witness::Witnessed;
use crate::web::components::{ago, at, copy, empty, icon, short, state};
use crate::web::door::encode;

const PAGE: usize = 25;
/// A name is not longer.
const LONGEST: usize = 120;

/// What the list is asked for; every field stands in the address.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Ask {
    /// A part of an org's name or id.
    pub org: String,
    /// `in_doubt` for those that a witness does not agree to.
    pub show: String,
    /// The log after which it goes on.
    pub after: Option<String>,
}

impl Ask {
    fn in_doubt(&self) -> bool {
        self.show == "in_doubt"
    }

    /// What is looked for, where it can be a name at all.
    fn org(&self) -> Option<&str> {
        let org = self.org.trim();
        let name = org.chars().count() <= LONGEST && matches!(guard::shape(org), Ok(None));
        (!org.is_empty() && name).then_some(org)
    }

    fn narrows(&self) -> bool {
        self.in_doubt() || !self.org.trim().is_empty()
    }

    pub(super) fn query(&self) -> String {
        let org = self.org().map(|org| format!("org={}", encode(org)));
        let show = self.in_doubt().then(|| "show=in_doubt".to_owned());
        org.into_iter().chain(show).collect::<Vec<_>>().join("&")
    }
}

/// What the list shows.
pub struct Logs {
    /// How many logs there are, and their rows.
    pub total: (i64, i64),
    in_doubt: i64,
    rows: Vec<OrgLog>,
    next: Option<String>,
    trees: Trees,
    witnesses: HashMap<String, Vec<Witnessed>>,
    verified: Verified,
    /// The verification of one log alone that is under way.
    running: Option<Verification>,
    /// Where this page is, to come back to.
    here: String,
}

impl Logs {
    /// Reads one page of it.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn load(conn: &mut AnyConnection, key: &LogKey, ask: &Ask, here: &str) -> Step<Self> {
        let wanted = Wanted {
            org: ask.org().map(str::to_owned),
            in_doubt: ask.in_doubt(),
            after: ask.after.clone(),
        };
        // What cannot be a name finds nothing.
        let none = wanted.org.is_none() && !ask.org.trim().is_empty();
        let mut rows =
            if none { Vec::new() } else { log_list::page(conn, &wanted, PAGE as i64 + 1).await? };
        let more = rows.len() > PAGE;
        rows.truncate(PAGE);
        let next = rows.last().filter(|_| more).map(|r| r.head.id.clone());
        if !ask.narrows() && ask.after.is_none() {
            let platform = audit::head(conn, "platform").await?;
            rows.splice(0..0, platform.map(|head| OrgLog { head, org: None }));
        }
        let ids: Vec<String> = rows.iter().map(|r| r.head.id.clone()).collect();
        Ok(Self {
            total: log_list::total(conn).await?,
            in_doubt: log_list::in_doubt(conn).await?,
            witnesses: log_list::witnesses(conn, &ids).await?,
            trees: trees(conn, key, &Proofs::default(), ids.into_iter().collect()).await?,
            verified: Verified::load(conn).await?,
            running: verification::newest(conn, 1)
                .await?
                .into_iter()
                .find(|v| v.state == "running" && v.log_id.is_some()),
            here: here.to_owned(),
            rows,
            next,
        })
    }

    /// The panel.
    pub fn view(&self, ask: &Ask, now: Micros) -> AnyView {
        let rows = self.rows.iter().map(|r| self.row(r, now)).collect_view();
        let table = if self.rows.is_empty() {
            let text = "Look for a part of the org’s name, of its short name, or of the log’s id.";
            empty("org", "No such log", text)
        } else {
            view! {
                <table class="table">
                    <thead><tr>
                        <th scope="col">"Log"</th><th scope="col" class="num">"Rows"</th><th scope="col">"Root"</th>
                        <th scope="col">"Checkpoint"</th><th scope="col">"Witness"</th><th scope="col">"Verified"</th>
                    </tr></thead>
                    <tbody>{rows}</tbody>
                </table>
            }
            .into_any()
        };
        view! {
            <section class="panel" aria-label="Logs">
                <div class="panel-head">
                    <h2>"Logs"</h2><p>"as signed now"</p>
                    <form class="logs-find" method="get" action=PLACE role="search" aria-label="Find a log">
                        <label class="sr-only" for="f-org">"Org"</label>
                        <input class="input" id="f-org" name="org" type="search" value=ask.org().unwrap_or_default().to_owned()
                            placeholder="Org’s name or id" autocomplete="off" spellcheck="false" />
                        <button class="btn btn-sm">"Find"</button>
                        {ask.narrows().then(|| view! { <a href=PLACE>"All logs"</a> })}
                    </form>
                </div>
                {self.doubt()}
                <p class="logs-note">"Verify reads and hashes every row of that one log, and holds it against its signed checkpoints and what witnesses saw of it. Whether other logs recorded something else of it, only Verify now says, and only that ends an alarm."</p>
                {table}
            </section>
            {self.turn(ask)}
        }
        .into_any()
    }

    fn doubt(&self) -> Option<AnyView> {
        let logs = match self.in_doubt {
            0 => return None,
            1 => "1 log".to_owned(),
            n => format!("{} logs", grouped(n)),
        };
        let said = format!("A witness does not agree to {logs}, or did not answer");
        let href = address(PLACE, "show=in_doubt");
        let view = view! {
            <p class="logs-doubt">{state("state-needs", "warning", said)}<a href=href>"Show them"</a></p>
        };
        Some(view.into_any())
    }

    fn turn(&self, ask: &Ask) -> Option<AnyView> {
        let query = ask.query();
        let first = ask.after.is_some().then(|| {
            let href = address(PLACE, &query);
            view! { <a class="btn btn-sm" href=href>{icon("arrow-left")}"First page"</a> }
        });
        let next = self.next.as_ref().map(|id| {
            let after = format!("after={}", encode(id));
            let query = if query.is_empty() { after } else { format!("{query}&{after}") };
            view! { <a class="btn btn-sm" href=address(PLACE, &query)>"Next page"{icon("arrow-right")}</a> }
        });
        (first.is_some() || next.is_some())
            .then(|| view! { <nav class="pager" aria-label="Pages">{first}{next}</nav> }.into_any())
    }

    fn row(&self, r: &OrgLog, now: Micros) -> AnyView {
        let id = &r.head.id;
        let name = match &r.org {
            Some(org) => {
                view! { <a href=format!("/orgs/{}", org.slug)>{org.name.clone()}</a> }.into_any()
            }
            None if id == "platform" => view! { "Platform log" }.into_any(),
            None => view! { <code>{id.clone()}</code> }.into_any(),
        };
        view! {
            <tr>
                <th scope="row" class="card-title">{name}</th>
                <td class="num" data-label="Rows">{grouped(r.head.size)}</td>
                <td data-label="Root">{root(self.trees.get(id))}</td>
                <td data-label="Checkpoint"><a href=format!("/logs/{id}/checkpoint")>{ago(r.head.last_at, now)}</a></td>
                <td data-label="Witness">{self.witnessed(r, now)}</td>
                <td data-label="Verified">
                    <div class="log-verified">
                        <div class="witness">{self.verified(r, now)}</div>
                        {self.verify(r, name_of(r))}
                    </div>
                </td>
            </tr>
        }
        .into_any()
    }

    fn witnessed(&self, r: &OrgLog, now: Micros) -> AnyView {
        let Some(all) = self.witnesses.get(&r.head.id) else { return state("", "info", "None") };
        let all = all
            .iter()
            .map(|w| match &w.last_error {
                Some(why) => view! {
                    <span title=w.witness.clone()>{state("state-needs", "warning", "Does not agree, or does not answer")}</span>
                    <small>{why.clone()}" "{at(w.at)}</small>
                }
                .into_any(),
                None if w.size == r.head.size => {
                    let said = if w.answer.is_empty() { "Has seen all" } else { "Has signed all" };
                    view! { <span title=w.witness.clone()>{state("state-ok", "check", said)}</span> }.into_any()
                }
                None => view! {
                    <span title=w.witness.clone()>{state("", "clock", format!("{} rows behind", grouped(r.head.size - w.size)))}</span>
                    <small>{ago(w.at, now)}</small>
                }
                .into_any(),
            })
            .map(|one| view! { <div class="witness">{one}</div> })
            .collect_view();
        view! { <div class="stack-2">{all}</div> }.into_any()
    }

    /// When the log was verified from its first row to its last, and whether it held: by itself,
    /// or with all others, which was said of each that there was by then.
    fn verified(&self, r: &OrgLog, now: Micros) -> AnyView {
        let id = r.head.id.as_str();
        let failed = self.verified.failed.iter().find(|wrong| wrong.log_id == id);
        let alone = self.verified.alone.iter().find(|v| v.log_id.as_deref() == Some(id));
        let later = |v: &&Verification| failed.is_none_or(|f| v.started_at > f.started_at);
        if let Some(alone) = alone.filter(later) {
            let said = state("state-ok", "check", "Holds by itself");
            return view! { {said}<small>{ago(alone.started_at, now)}</small> }.into_any();
        }
        if let Some(failed) = failed {
            let row = failed.seq.map(|seq| format!("row {}, ", grouped(seq)));
            return view! {
                <span title=failed.what.clone()>{state("state-bad", "warning", "Does not hold")}</span>
                <small>{row}{ago(failed.started_at, now)}</small>
            }
            .into_any();
        }
        let there = |started: Micros| r.org.as_ref().is_none_or(|org| org.since <= started);
        match &self.verified.held {
            Some(held) if there(held.started_at) => ago(held.started_at, now),
            _ => view! { <span class="muted">"Not yet"</span> }.into_any(),
        }
    }

    /// The button that verifies this log alone, or how far that is.
    fn verify(&self, r: &OrgLog, name: String) -> AnyView {
        let id = r.head.id.clone();
        if let Some(running) = self.running.as_ref().filter(|v| v.log_id.as_ref() == Some(&id)) {
            return super::integrity::running(running, &self.here);
        }
        view! {
            <form class="inline-form" method="post" action="/do/verify_log">
                <input type="hidden" name="log" value=id />
                <input type="hidden" name="back" value=self.here.clone() />
                <button class="btn btn-sm" aria-label=format!("Verify the log of {name}")>{icon("check")}"Verify"</button>
            </form>
        }
        .into_any()
    }
}

/// What a log is called.
fn name_of(r: &OrgLog) -> String {
    match &r.org {
        Some(org) => org.name.clone(),
        None if r.head.id == "platform" => "the platform".to_owned(),
        None => r.head.id.clone(),
    }
}

fn root(tree: Option<&Tree>) -> AnyView {
    match tree.map(|t| &t.root) {
        Some(Ok(root)) => {
            let full = root.clone();
            view! { <span class="idc"><code class="id" title=full.clone()>{short(root)}</code>{copy(full, "root")}</span> }
                .into_any()
        }
        Some(Err(why)) => {
            view! { {state("state-bad", "warning", "Does not hold")}<small>{why.clone()}</small> }
                .into_any()
        }
        None => state("state-bad", "warning", "Gone"),
    }
}

/// A number with its thousands apart.
#[must_use]
pub fn grouped(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if n < 0 {
        out.push('-');
    }
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        let said = [0, 999, 1000, 1_000_004, -12_345].map(grouped);
        assert_eq!(said, ["0", "999", "1,000", "1,000,004", "-12,345"]);
    }

    #[test]
    fn a_secret_is_no_name_and_does_not_come_back() {
        let ask = |org: &str| Ask { org: org.to_owned(), ..Ask::default() };
        let secret = ask("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=");
        assert_eq!((secret.org(), secret.query()), (None, String::new()));
        assert_eq!(ask(" Acme Rail ").query(), "org=Acme+Rail");
        assert_eq!(ask("").org(), None);
    }
}
