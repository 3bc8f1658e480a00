//! Beside the server's verdict on an impersonation: what the reader's own browser finds in its
//! evidence, against the key that the reader pinned, and whether that is the same.

use leptos::prelude::*;

use super::compared::{Checked, Compared, ServerSays, compare, parse_keys};
use super::pins::{drawn, now, pin, pinned, text_at};
use super::shown::{checks, icon};
use crate::proof::evidence::Evidence;
use crate::proof::trail::Rule;
use crate::proof::verdict::{RuleState, Verdict};

/// How far the browser is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// Scripts are off, or have not begun.
    Still,
    /// Nothing is pinned, or what is cannot be read, and why.
    NoKey(Option<String>),
    /// At work, and what at.
    Running(String),
    /// The file could not be fetched.
    NotFetched,
    /// Done.
    Done(Compared),
}

/// What the parts of the island share.
#[derive(Clone, Copy)]
struct Shared {
    stage: RwSignal<Stage>,
    typed: RwSignal<String>,
    id: StoredValue<String>,
    key: StoredValue<String>,
    server: StoredValue<ServerSays>,
}

/// Checks the evidence of an impersonation by itself where a key is pinned, and offers to pin one
/// where none is: the server's own is never taken for it. Without scripts it says how the file is
/// checked by command.
#[island]
pub fn YourBrowser(
    /// The impersonation.
    id: String,
    /// The key that the server says is the logs'.
    key: String,
    /// What the server says of the impersonation.
    server: ServerSays,
) -> impl IntoView {
    let shared = Shared {
        stage: RwSignal::new(Stage::Still),
        typed: RwSignal::new(String::new()),
        id: StoredValue::new(id),
        key: StoredValue::new(key),
        server: StoredValue::new(server),
    };
    Effect::new(move |_| {
        shared.typed.set(pinned());
        begin(shared);
    });
    view! { <div aria-live="polite">{move || card(shared, &shared.stage.get())}</div> }
}

/// Checks, where a key is pinned.
fn begin(s: Shared) {
    let keys = match parse_keys(&s.typed.get_untracked()) {
        Ok(keys) if keys.is_empty() => return s.stage.set(Stage::NoKey(None)),
        Ok(keys) => keys,
        Err(why) => return s.stage.set(Stage::NoKey(Some(why))),
    };
    s.stage.set(Stage::Running("Fetching the evidence…".to_owned()));
    leptos::task::spawn_local(async move {
        let id = s.id.get_value();
        // Marked, so that looking again within minutes is one row of the log, and not many.
        let Some(text) = text_at(&format!("/impersonations/{id}/evidence.json?check")).await else {
            return s.stage.set(Stage::NotFetched);
        };
        let rows = Evidence::parse(&text).map_or(0, |e| e.platform.rows.len() + e.org.rows.len());
        s.stage.set(Stage::Running(format!("Checking the proofs of {rows} rows…")));
        drawn().await;
        s.stage.set(Stage::Done(compare(&text, &id, &keys, &s.server.get_value(), now())));
    });
}

fn card(s: Shared, stage: &Stage) -> AnyView {
    let framed = |class: &'static str, glyph: &'static str, title: String, body: AnyView| {
        view! {
            <section class=class aria-label="What your browser found">
                {icon(glyph)}
                <div class="stack-2"><h2>{title}</h2>{body}</div>
            </section>
        }
        .into_any()
    };
    match stage {
        Stage::Still => framed("verdict-card", "ring", "Your browser: not asked".into(), still(s)),
        Stage::NoKey(why) => {
            let title = "Your browser: no key is pinned".into();
            framed("verdict-card", "key", title, no_key(s, why.clone()))
        }
        Stage::Running(what) => {
            let body = view! { <p role="status">{what.clone()}</p> }.into_any();
            framed("verdict-card", "clock", "Your browser: checking".into(), body)
        }
        Stage::NotFetched => framed(
            "verdict-card is-needs",
            "warning",
            "Your browser could not check it".into(),
            view! {
                <p role="alert">"The evidence could not be fetched, so your browser says nothing of it. Sign in again, or ask again."</p>
                {again(s, "Ask again")}
            }
            .into_any(),
        ),
        Stage::Done(done) => {
            let (class, glyph, title) = heading(done);
            framed(class, glyph, title, outcome(s, done))
        }
    }
}

fn heading(done: &Compared) -> (&'static str, &'static str, String) {
    let alarm = "verdict-card is-alarm";
    match done {
        Compared::NotEvidence(_) => (alarm, "warning", "Your browser: this is no evidence".into()),
        Compared::OtherKey(_) => {
            (alarm, "warning", "Your browser: not the key that you pinned".into())
        }
        Compared::Fails { .. } => (alarm, "warning", "Your browser: it does not hold".into()),
        Compared::Differs(checked, _) => {
            let word = checked.report.verdict.verdict.word();
            (alarm, "unlink", format!("Your browser: {word}, and not what the server says"))
        }
        Compared::Later(checked) => {
            let word = checked.report.verdict.verdict.word();
            ("verdict-card is-needs", "clock", format!("Your browser: {word} by now"))
        }
        Compared::Agrees(checked) => {
            let verdict = checked.report.verdict.verdict;
            let (class, glyph) = match verdict {
                Verdict::Complete => ("verdict-card is-complete", "shield-check"),
                Verdict::Open => ("verdict-card is-live", "live"),
                Verdict::Incomplete => ("verdict-card is-needs", "dashed"),
                Verdict::Mismatch => ("verdict-card is-needs", "unlink"),
                Verdict::Tampered => (alarm, "warning"),
            };
            (class, glyph, format!("Your browser: {}", verdict.word()))
        }
    }
}

fn outcome(s: Shared, done: &Compared) -> AnyView {
    let body = match done {
        Compared::NotEvidence(why) => view! {
            <p role="alert">{format!("What the server sent for it cannot be checked: {why}. Call security.")}</p>
        }
        .into_any(),
        Compared::OtherKey(theirs) => view! {
            <p role="alert">"The evidence is signed by a key that is none of those that you pinned, and that none of them endorsed. Compare both with the one that you were given. If yours is right, this server shows you other logs: call security."</p>
            <p>"The server’s: "<code class="hash">{theirs.clone()}</code></p>
        }
        .into_any(),
        Compared::Fails { checked, as_said } => {
            let first = checked.report.lines.iter().find(|line| !line.holds);
            let first = first.map(|line| format!("{}: {}.", line.what, line.saw));
            let said = if *as_said {
                "The server says that a log fails its proof, too."
            } else {
                "The server does not say so. Keep the file, and call security."
            };
            view! { <p role="alert">{first}" "{said}</p>{counted(checked)}{all_checks(checked)} }
                .into_any()
        }
        Compared::Agrees(checked) => view! {
            <p>{counted(checked)}" The same as the server says."</p>
            {all_checks(checked)}
        }
        .into_any(),
        Compared::Later(checked) => view! {
            <p>{counted(checked)}" It has gone on since this page was made: load the page again to compare."</p>
            {all_checks(checked)}
        }
        .into_any(),
        Compared::Differs(checked, rules) => view! {
            <p role="alert">{counted(checked)}{format!(" The server says {}. Keep the file, and call security.", s.server.get_value().verdict.word())}</p>
            {differing(s, checked, rules)}
            {all_checks(checked)}
        }
        .into_any(),
    };
    view! {
        {body}
        <details class="disclose">
            <summary>{icon("chevron")}"The key that you pinned"</summary>
            {field(s)}
        </details>
    }
    .into_any()
}

fn counted(c: &Checked) -> String {
    let Checked { rows, proofs, key, .. } = c;
    format!("Checked {rows} rows, {proofs} proofs against key {key} that you pinned.")
}

fn differing(s: Shared, c: &Checked, rules: &[Rule]) -> AnyView {
    let word = |state: Option<RuleState>| match state {
        Some(RuleState::Passed) => "holds",
        Some(RuleState::Failed) => "fails",
        Some(RuleState::Pending) => "cannot be said",
        None => "is not there",
    };
    let items: Vec<AnyView> = rules
        .iter()
        .map(|rule| {
            let ours = word(c.report.verdict.rule(*rule).map(|r| r.result));
            let theirs = word(s.server.with_value(|server| server.rule(*rule)));
            let said = format!(": {ours} here, {theirs} by the server");
            view! { <li><strong>{rule.title()}</strong>{said}</li> }.into_any()
        })
        .collect();
    view! { <ul class="differs">{items}</ul> }.into_any()
}

fn all_checks(c: &Checked) -> AnyView {
    let items = checks(&c.report);
    view! {
        <details>
            <summary>{format!("{} checks, one by one", items.len())}</summary>
            <ol class="checks rules">{items}</ol>
        </details>
    }
    .into_any()
}

fn again(s: Shared, word: &'static str) -> AnyView {
    view! { <div class="form-actions"><button class="btn btn-sm" type="button" on:click=move |_| begin(s)>{word}</button></div> }
        .into_any()
}

/// How it is done without scripts.
fn still(s: Shared) -> AnyView {
    let id = s.id.get_value();
    let file = format!("keyturn-evidence-{id}.json");
    let command = format!("keyturn verify {file} --key '{}'", s.key.get_value());
    view! {
        <p>"With scripts, your browser checks the evidence by itself and says here whether that comes to the same. Without them, download "<a href=format!("/impersonations/{id}/evidence.json") download="">{file}</a>" and check it on a machine of your own, with the key that you were given in place of this server’s:"</p>
        <p><code class="hash">{command}</code></p>
    }
    .into_any()
}

fn no_key(s: Shared, why: Option<String>) -> AnyView {
    view! {
        {why.map(|why| view! { <p class="field-error" role="alert">{why}</p> })}
        <p>"To pin a key is to have this browser keep the logs’ public key that you were given when you began to audit. It then checks each impersonation against that one, whatever this server says. The key of this page proves nothing: a server that lies about its logs lies about its key, too."</p>
        {field(s)}
    }
    .into_any()
}

/// Where keys are typed, held against the server's, and pinned.
fn field(s: Shared) -> AnyView {
    let compared = move || {
        let typed = s.typed.get();
        let theirs = s.key.get_value();
        match parse_keys(&typed) {
            Ok(keys) if keys.is_empty() => {
                "Learned elsewhere, one on a line. Kept in this browser only.".to_owned()
            }
            Ok(keys) if keys.iter().any(|key| key.vkey() == theirs) => {
                "It is the one that this server names.".to_owned()
            }
            Ok(_) => format!(
                "This server names another: {theirs}. One that took the place of yours leads back to it."
            ),
            Err(why) => why,
        }
    };
    view! {
        <div class="field">
            <label for="pinned-key">"The logs’ public key that you were given"</label>
            <textarea class="input" id="pinned-key" rows="2" spellcheck="false" autocomplete="off" aria-describedby="pinned-key-hint"
                prop:value=move || s.typed.get()
                on:input=move |event| s.typed.set(event_target_value(&event))></textarea>
            <p class="field-hint" id="pinned-key-hint">{compared}</p>
        </div>
        <div class="form-actions">
            <button class="btn btn-sm" type="button" on:click=move |_| {
                pin(&s.typed.get_untracked());
                begin(s);
            }>"Pin it and check"</button>
        </div>
    }
    .into_any()
}
