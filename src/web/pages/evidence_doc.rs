//! `/impersonations/{id}/evidence`: the evidence of an impersonation as a document to print. It is
//! drawn from the file's own value and nothing else, so that it says nothing that is not proven; but
//! it says where the register of impersonations contradicts it.

use axum::extract::Path;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use leptos::prelude::*;
use sha2::{Digest as _, Sha256};

use super::evidence::{Taken, take};
use super::evidence_proofs::{offline, proofs};
use super::grounds::{self, Grounds};
use super::impersonation_grant::notice;
use super::rows::{Shown, fields, note};
use super::timeline_lines::twins;
use crate::auth::credential::hex;
use crate::desk::{Step, StepError};
use crate::model::{Micros, time};
use crate::proof::actions::{
    IMPERSONATION_ENDED, PLATFORM_IMPERSONATION_ENDED, PLATFORM_IMPERSONATION_STARTED,
};
use crate::proof::evidence::{LogEvidence, Report, verify};
use crate::proof::note::NoteVerifier;
use crate::proof::row::AuditRow;
use crate::proof::verdict::{RuleState, Verdict};
use crate::web::components::icon;
use crate::web::door::Door;
use crate::web::shell::{Part, page};

/// Everything that the document says.
pub(super) struct Doc {
    pub(super) taken: Taken,
    pub(super) report: Report,
    platform: Vec<AuditRow>,
    org: Vec<AuditRow>,
    pub(super) keys: Vec<NoteVerifier>,
    pub(super) sha256: String,
    made_at: Micros,
}

/// `GET /impersonations/{id}/evidence`. That it was taken is on record, as for the file.
pub async fn document(mut door: Door, Path(id): Path<String>) -> Response {
    match make(&mut door, &id).await {
        Ok(doc) => {
            let title = format!("Evidence {id}");
            page(door, StatusCode::OK, &title, Part::Impersonations, draw(&doc)).await
        }
        Err(e) => super::error::of(door, e).await,
    }
}

async fn make(door: &mut Door, id: &str) -> Step<Doc> {
    let taken = take(door, id, false).await?;
    let made_at = door.app.desk.now();
    let report = verify(&taken.text, &[], made_at)
        .map_err(|e| StepError::crypto("checking the evidence")(&e))?;
    let rows = |log: &LogEvidence| -> Vec<AuditRow> {
        log.rows.iter().filter_map(|row| AuditRow::parse(&row.row).ok()).collect()
    };
    let keys = taken.evidence.keys.iter().filter_map(|key| NoteVerifier::parse(key).ok()).collect();
    Ok(Doc {
        platform: rows(&taken.evidence.platform),
        org: rows(&taken.evidence.org),
        sha256: hex(&Sha256::digest(taken.text.as_bytes())),
        taken,
        report,
        keys,
        made_at,
    })
}

fn draw(d: &Doc) -> AnyView {
    view! {
        <article class="doc">
            {head(d)}
            {notice(&d.taken.register, &d.taken.logged)}
            {grant(d)}
            {eligibility(d)}
            {rows(d)}
            {verdict(d)}
            {proofs(d)}
            {offline(d)}
        </article>
    }
    .into_any()
}

/// The name of the file that goes with the document.
pub(super) fn file_name(d: &Doc) -> String {
    format!("keyturn-evidence-{}.json", d.report.impersonation_id)
}

fn head(d: &Doc) -> AnyView {
    let id = d.report.impersonation_id.clone();
    // The very bytes that the digest below is of: a file fetched later is of a longer log.
    let file = format!("data:application/json;base64,{}", STANDARD.encode(&d.taken.text));
    let (glyph, said) = match d.report.verdict.verdict {
        _ if !d.report.holds() => (
            "warning",
            "Tampered: something below does not hold. Keep the database as it is, and call security.",
        ),
        Verdict::Complete => (
            "shield-check",
            "Complete: every row is there, both logs agree, and each row is proven.",
        ),
        Verdict::Open => ("live", "Open: it has not ended. Nothing is wrong so far."),
        Verdict::Incomplete => ("dashed", "Incomplete: a row is missing."),
        Verdict::Mismatch => ("unlink", "Mismatch: the logs disagree, or it outlived its token."),
        Verdict::Tampered => ("warning", "Tampered: a log fails its proof."),
    };
    view! {
        <header class="doc-head">
            <p class="row-between"><span>"Keyturn, evidence of an impersonation"</span><span>"As of "{time::seconds(d.made_at)}</span></p>
            <h1>"Impersonation "<span class="mono">{id.clone()}</span></h1>
            <p class="icon-text"><strong class="icon-text">{icon(glyph)}{said}</strong></p>
            <p>"A platform admin was let into a customer’s org to rotate one secret that the customer could not. This document shows what both audit logs, the platform’s and the customer’s, hold of it. It is drawn from the evidence file named at its end, says nothing that is not in that file, and is only a reading of it: what proves it is the file."</p>
            <p class="doc-tools">
                <a class="btn" href=file download=file_name(d)>{icon("download")}"The file it is drawn from"</a>
                <a class="btn" href=format!("/impersonations/{id}")>{icon("arrow-left")}"The impersonation"</a>
            </p>
        </header>
    }
    .into_any()
}

/// A name and what it is.
pub(super) fn fact(name: &'static str, value: impl IntoView) -> AnyView {
    view! { <div><dt>{name}</dt><dd>{value.into_any()}</dd></div> }.into_any()
}

pub(super) fn mono(text: &str) -> AnyView {
    view! { <span class="mono">{text.to_owned()}</span> }.into_any()
}

/// The grant, as its start and end rows have it.
fn grant(d: &Doc) -> AnyView {
    let find = |name: &str| d.platform.iter().chain(&d.org).find(|row| row.action == name);
    let start = find(PLATFORM_IMPERSONATION_STARTED);
    let end = find(PLATFORM_IMPERSONATION_ENDED).or_else(|| find(IMPERSONATION_ENDED));
    let Some(any) = start.or(end).or(d.org.first()) else {
        return view! { <section><h2>"The grant"</h2><p>"No row says anything of it."</p></section> }
            .into_any();
    };
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "not said".to_owned());
    let instant = |row: &AuditRow, key: &str| row.detail_i64(key).map(time::seconds);
    let said = |row: &AuditRow, key: &str| row.detail_str(key).map(str::to_owned);
    view! {
        <section>
            <h2>"The grant"</h2>
            <dl class="facts">
                {fact("Admin", format!("{} ({})", any.actor_name, any.actor_id))}
                {start.and_then(|s| said(s, "owner_id")).map(|owner| fact("On behalf of the Owner", mono(&owner)))}
                {fact("Org", mono(&text(&any.org_id)))}
                {fact("Ticket", mono(&text(&any.ticket_ref)))}
                {fact("Reason", text(&any.reason))}
                {fact("Secret", mono(&format!("{} {}", text(&any.secret_type), text(&any.secret_id))))}
                {start.and_then(|s| said(s, "scope")).map(|scope| fact("Scope", mono(&scope)))}
                {start.map(|s| fact("Started", time::seconds(s.at)))}
                {start.and_then(|s| instant(s, "expires_at")).map(|at| fact("Valid until", at))}
                {end.and_then(|e| instant(e, "ended_at")).map(|at| fact("Ended", at))}
                {end.and_then(|e| said(e, "cause")).map(|cause| fact("Cause of the end", cause))}
                {end.and_then(|e| said(e, "ended_by_name")).map(|by| fact("Ended by", by))}
            </dl>
        </section>
    }
    .into_any()
}

/// The ticket, and how the checks came out when the token was minted and when the secret was
/// rotated, as the rows have it.
fn eligibility(d: &Doc) -> AnyView {
    let grounds = Grounds::of(d.platform.iter(), d.org.iter());
    let Some(start) = &grounds.start else {
        return view! {
            <section><h2>"Why the ticket could be served"</h2><p>"The start row does not say."</p></section>
        }
        .into_any();
    };
    view! {
        <section>
            <h2>"Why the ticket could be served"</h2>
            <p class="muted">"Each check of the procedure with the fact it saw, as it was recorded when it was asked. None can be skipped."</p>
            {grounds.ticket.as_ref().map(grounds::ticket)}
            <h3>"At the start"</h3>
            <p>{grounds::said(start)}</p>
            {grounds::checks(start)}
            {grounds.rotation.as_ref().map(|asked| view! {
                <h3>"At the rotation"</h3>
                <p>{grounds::said(asked)}</p>
                {grounds::checks(asked)}
            })}
        </section>
    }
    .into_any()
}

/// The rows of both logs in the order of time; what one step wrote into both is on one line.
fn side_by_side<'a>(
    platform: &'a [AuditRow],
    org: &'a [AuditRow],
) -> Vec<(Option<&'a AuditRow>, Option<&'a AuditRow>)> {
    let mut alone: Vec<Option<&AuditRow>> = org.iter().map(Some).collect();
    let mut lines: Vec<_> = platform
        .iter()
        .map(|ours| {
            let twin = alone
                .iter_mut()
                .find(|row| row.is_some_and(|theirs| twins(&ours.action, &theirs.action)));
            (Some(ours), twin.and_then(Option::take))
        })
        .collect();
    lines.extend(alone.into_iter().flatten().map(|theirs| (None, Some(theirs))));
    let begins = |(ours, theirs): &(Option<&AuditRow>, Option<&AuditRow>)| {
        [ours, theirs].into_iter().flatten().map(|row| row.at).min()
    };
    lines.sort_by_key(begins);
    lines
}

/// The table of the rows, each in its log's column.
fn rows(d: &Doc) -> AnyView {
    let lines = side_by_side(&d.platform, &d.org)
        .into_iter()
        .map(|(ours, theirs)| {
            view! {
                <tr>
                    <td data-label="Platform log">{ours.map(entry)}</td>
                    <td data-label="Org log">{theirs.map(entry)}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <section>
            <h2>"What both logs hold"</h2>
            <table class="table doc-rows">
                <thead><tr>
                    <th scope="col">{format!("Platform log, {} rows", d.platform.len())}</th>
                    <th scope="col">{format!("Org log, {} rows", d.org.len())}</th>
                </tr></thead>
                <tbody>{lines}</tbody>
            </table>
        </section>
    }
    .into_any()
}

fn entry(row: &AuditRow) -> AnyView {
    let said = note(row);
    let items = fields(row)
        .into_iter()
        .filter(|(name, _)| !["log", "action"].contains(name))
        .map(|(name, shown)| {
            let value = match shown {
                Shown::Plain(text) => text.into_owned().into_any(),
                Shown::Id(text) => text.to_owned().into_any(),
                Shown::Lines(text) => {
                    view! { <span class="ev-lines">{text.trim_end().to_owned()}</span> }.into_any()
                }
            };
            view! { <dt>{name.to_owned()}</dt><dd>{value}</dd> }
        })
        .collect_view();
    view! {
        <div class="doc-row">
            <p><strong class="mono">{row.action.clone()}</strong>{(!said.is_empty()).then(|| format!(" {said}"))}</p>
            <dl class="ev-fields">{items}</dl>
        </div>
    }
    .into_any()
}

fn mark(state: RuleState) -> (&'static str, &'static str, &'static str) {
    match state {
        RuleState::Passed => ("check is-pass", "check", "Holds: "),
        RuleState::Failed => ("check is-fail", "cross", "Fails: "),
        RuleState::Pending => ("check", "clock", "Cannot be said: "),
    }
}

pub(super) fn checked(state: RuleState, what: &str, saw: &str) -> AnyView {
    let (class, glyph, word) = mark(state);
    view! {
        <li class=class>
            {icon(glyph)}
            <span class="check-name"><span class="sr-only">{word}</span>{what.to_owned()}</span>
            <span class="check-saw">{saw.to_owned()}</span>
        </li>
    }
    .into_any()
}

fn verdict(d: &Doc) -> AnyView {
    let rules = &d.report.verdict.rules;
    let hold = rules.iter().filter(|r| r.result == RuleState::Passed).count();
    let items = rules.iter().map(|r| checked(r.result, r.rule.title(), &r.saw)).collect_view();
    view! {
        <section>
            <h2>{format!("The verdict: {}", d.report.verdict.verdict.word())}</h2>
            <p class="muted">{format!("{hold} of {} rules hold.", rules.len())}</p>
            <ol class="checks">{items}</ol>
        </section>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_step_wrote_stands_on_one_line_in_the_order_of_time() {
        let row = |log: &str, seq: u64, at: i64, action: &str| {
            AuditRow::parse(&format!(
                r#"{{"action":"{action}","actor_id":"a","actor_name":"A","actor_type":"platform_admin","at":{at},"id":"{log}{seq}","log":"{log}","outcome":"success","seq":{seq},"v":1}}"#
            ))
            .unwrap()
        };
        let platform = [
            row("platform", 5, 10, "platform.impersonation_started"),
            row("platform", 6, 40, "platform.impersonation_ended"),
        ];
        let org = [
            row("org/o", 0, 11, "impersonation.started"),
            row("org/o", 1, 20, "vault_token.rotated"),
            row("org/o", 2, 39, "impersonation.ended"),
        ];
        let seqs: Vec<_> = side_by_side(&platform, &org)
            .into_iter()
            .map(|(ours, theirs)| (ours.map(|r| r.seq), theirs.map(|r| r.seq)))
            .collect();
        assert_eq!(seqs, [(Some(5), Some(0)), (None, Some(1)), (Some(6), Some(2))]);
    }
}
