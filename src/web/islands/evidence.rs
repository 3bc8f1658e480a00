//! Checks evidence in the reader's own browser, with the code that the server and the command
//! line use, against the keys that the reader pinned.

use leptos::prelude::*;

use crate::proof::evidence::{Report, verify};
use crate::proof::note::NoteVerifier;
use crate::proof::verdict::{RuleState, Verdict};

/// What the check came to, or why there was none.
type Outcome = Result<Report, String>;

/// Checks evidence: the file at `source`, or one that is chosen or dropped where `source` is
/// empty. Nothing is drawn without scripts; the page offers the file and the command beneath.
#[island]
pub fn CheckEvidence(
    /// Where the file is.
    source: String,
) -> impl IntoView {
    let ready = RwSignal::new(false);
    let keys = RwSignal::new(String::new());
    let outcome = RwSignal::new(None::<Outcome>);
    let busy = RwSignal::new(false);
    Effect::new(move |_| {
        keys.set(pinned());
        ready.set(true);
    });
    let fetches = !source.is_empty();
    let act = StoredValue::new(source);
    view! {
        <Show when=move || ready.get()>
            <div class="stack">
                <div class="field">
                    <label for="pinned-keys">"The logs’ public key that you pin"</label>
                    <textarea class="input" id="pinned-keys" rows="2" spellcheck="false" autocomplete="off" aria-describedby="pinned-hint"
                        prop:value=move || keys.get()
                        on:input=move |event| {
                            keys.set(event_target_value(&event));
                            pin(&keys.get_untracked());
                        }></textarea>
                    <p class="field-hint" id="pinned-hint">"Learned elsewhere, one on a line. Kept in this browser only. Without one the file’s own key is used, which shows only that the file agrees with itself."</p>
                </div>
                {if fetches {
                    view! {
                        <div class="form-actions">
                            <button class="btn" type="button" disabled=move || busy.get()
                                on:click=move |_| fetch(act.get_value(), keys.get_untracked(), busy, outcome)>
                                {move || if busy.get() { "Checking…" } else { "Check it in this browser" }}
                            </button>
                        </div>
                    }.into_any()
                } else {
                    view! {
                        <div class="field">
                            <label for="evidence-file">"The evidence, chosen or dropped here"</label>
                            <input class="input" id="evidence-file" type="file" accept="application/json,.json"
                                on:change=move |event| chosen(&event, keys.get_untracked(), busy, outcome) />
                        </div>
                    }.into_any()
                }}
                <div aria-live="polite">{move || outcome.get().map(|outcome| shown(&outcome, fetches))}</div>
            </div>
        </Show>
    }
}

/// The outcome, as a page shows it. Where the page has the server's own list of the rules already
/// (`brief`), the list is folded away as long as everything holds.
fn shown(outcome: &Outcome, brief: bool) -> AnyView {
    let report = match outcome {
        Ok(report) => report,
        Err(why) => {
            let why = why.clone();
            return view! { <p class="field-error" role="alert">{why}</p> }.into_any();
        }
    };
    let (class, word) = match report.verdict.verdict {
        _ if !report.holds() => ("verdict-card is-alarm", "It does not hold"),
        Verdict::Complete => ("verdict-card is-complete", "Complete"),
        Verdict::Open => ("verdict-card is-live", "Open"),
        Verdict::Incomplete => ("verdict-card is-needs", "Incomplete"),
        Verdict::Mismatch => ("verdict-card is-needs", "Mismatch"),
        Verdict::Tampered => ("verdict-card is-alarm", "Tampered"),
    };
    let trust = if report.pinned {
        "Checked in your browser, against the key that you pinned."
    } else {
        "Checked in your browser, against the file’s own key: pin the logs’ key to know whose it is."
    };
    let id = report.impersonation_id.clone();
    let lines = report.lines.iter().map(|l| (Some(l.holds), l.what.clone(), l.saw.clone()));
    let rules = report.verdict.rules.iter().map(|r| {
        let holds = match r.result {
            RuleState::Passed => Some(true),
            RuleState::Failed => Some(false),
            RuleState::Pending => None,
        };
        (holds, r.rule.title().to_owned(), r.saw.clone())
    });
    let items: Vec<AnyView> =
        lines.chain(rules).map(|(holds, what, saw)| one(holds, what, saw)).collect();
    view! {
        <div class="stack">
            <section class=class aria-label="What your browser found">
                <svg class="icon" aria-hidden="true"><use href="/icons.svg#shield-check"></use></svg>
                <div><h3>{word}</h3><p>{trust}</p><p><code class="id">{id}</code></p></div>
            </section>
            {if brief && report.holds() {
                view! {
                    <details>
                        <summary>{format!("{} checks, one by one", items.len())}</summary>
                        <ol class="checks rules">{items}</ol>
                    </details>
                }.into_any()
            } else {
                view! { <ol class="checks rules">{items}</ol> }.into_any()
            }}
        </div>
    }
    .into_any()
}

fn one(holds: Option<bool>, what: String, saw: String) -> AnyView {
    let (class, glyph, word) = match holds {
        Some(true) => ("check is-pass", "/icons.svg#check", "Holds: "),
        Some(false) => ("check is-fail", "/icons.svg#cross", "Fails: "),
        None => ("check", "/icons.svg#clock", "Cannot be said: "),
    };
    view! {
        <li class=class>
            <svg class="icon" aria-hidden="true"><use href=glyph></use></svg>
            <span class="check-name"><span class="sr-only">{word}</span>{what}</span>
            <span class="check-saw">{saw}</span>
        </li>
    }
    .into_any()
}

/// Checks a text against the keys as they were typed. A key that cannot be read is said, and
/// nothing is checked without it.
fn check(text: &str, keys: &str, now: i64) -> Outcome {
    let mut verifiers = Vec::new();
    for line in keys.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let key =
            NoteVerifier::parse(line).map_err(|e| format!("A pinned key cannot be read: {e}."))?;
        verifiers.push(key);
    }
    verify(text, &verifiers, now).map_err(|e| format!("{e}."))
}

#[cfg(feature = "hydrate")]
mod browser {
    use leptos::prelude::*;
    use wasm_bindgen::{JsCast, JsValue};
    use wasm_bindgen_futures::JsFuture;

    use super::{Outcome, check};

    const KEPT: &str = "keyturn.log-keys";

    fn storage() -> Option<web_sys::Storage> {
        web_sys::window()?.local_storage().ok().flatten()
    }

    pub fn pinned() -> String {
        storage().and_then(|s| s.get_item(KEPT).ok().flatten()).unwrap_or_default()
    }

    pub fn pin(keys: &str) {
        if let Some(storage) = storage() {
            let _ = storage.set_item(KEPT, keys);
        }
    }

    fn now() -> i64 {
        (js_sys::Date::now() * 1000.0) as i64
    }

    fn begin(busy: RwSignal<bool>, outcome: RwSignal<Option<Outcome>>) {
        busy.set(true);
        outcome.set(None);
    }

    pub fn fetch(
        source: String,
        keys: String,
        busy: RwSignal<bool>,
        outcome: RwSignal<Option<Outcome>>,
    ) {
        begin(busy, outcome);
        leptos::task::spawn_local(async move {
            let found = match text_at(&source).await {
                Ok(text) => check(&text, &keys, now()),
                Err(_) => {
                    Err("The file could not be fetched: load the page again, or sign in again."
                        .to_owned())
                }
            };
            outcome.set(Some(found));
            busy.set(false);
        });
    }

    async fn text_at(source: &str) -> Result<String, JsValue> {
        let window = web_sys::window().ok_or(JsValue::NULL)?;
        let response: web_sys::Response =
            JsFuture::from(window.fetch_with_str(source)).await?.dyn_into()?;
        if !response.ok() {
            return Err(JsValue::NULL);
        }
        JsFuture::from(response.text()?).await?.as_string().ok_or(JsValue::NULL)
    }

    pub fn chosen(
        event: &web_sys::Event,
        keys: String,
        busy: RwSignal<bool>,
        outcome: RwSignal<Option<Outcome>>,
    ) {
        let file = event
            .target()
            .and_then(|t| t.dyn_into::<web_sys::HtmlInputElement>().ok())
            .and_then(|input| input.files())
            .and_then(|files| files.get(0));
        let Some(file) = file else { return };
        begin(busy, outcome);
        leptos::task::spawn_local(async move {
            let found = match JsFuture::from(file.text()).await.ok().and_then(|t| t.as_string()) {
                Some(text) => check(&text, &keys, now()),
                None => Err("The file cannot be read as text.".to_owned()),
            };
            outcome.set(Some(found));
            busy.set(false);
        });
    }
}

#[cfg(feature = "hydrate")]
use browser::{chosen, fetch, pin, pinned};

#[cfg(not(feature = "hydrate"))]
fn pinned() -> String {
    String::new()
}

#[cfg(not(feature = "hydrate"))]
fn pin(_: &str) {}

#[cfg(not(feature = "hydrate"))]
fn fetch(_: String, keys: String, _: RwSignal<bool>, outcome: RwSignal<Option<Outcome>>) {
    // Never run on the server; it keeps both builds of one shape.
    outcome.set(Some(check("", &keys, 0)));
}

#[cfg(not(feature = "hydrate"))]
fn chosen(
    _: &leptos::ev::Event,
    keys: String,
    _: RwSignal<bool>,
    outcome: RwSignal<Option<Outcome>>,
) {
    outcome.set(Some(check("", &keys, 0)));
}
