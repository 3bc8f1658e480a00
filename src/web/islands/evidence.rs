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
    let over = RwSignal::new(false);
    let act = StoredValue::new(source);
    view! {
        <Show when=move || ready.get()>
            <div class="stack" class:is-dropping=move || over.get()
                on:dragover=move |event| over.set(!fetches && may_drop(&event))
                on:dragleave=move |_| over.set(false)
                on:drop=move |event| {
                    over.set(false);
                    if !fetches {
                        dropped(&event, keys, busy, outcome);
                    }
                }>
                <div class="field">
                    <label for="pinned-keys">"The logs’ public key that you pin"</label>
                    <textarea class="input" id="pinned-keys" rows="2" spellcheck="false" autocomplete="off" aria-describedby="pinned-hint"
                        prop:value=move || keys.get()
                        on:input=move |event| {
                            keys.set(event_target_value(&event));
                            pin(&keys.get_untracked());
                            // It was found with other keys than those that now stand there.
                            outcome.set(None);
                        }></textarea>
                    <p class="field-hint" id="pinned-hint">"Learned elsewhere, one on a line. Kept in this browser only. Without one the file’s own key is used, which shows only that the file agrees with itself."</p>
                </div>
                {if fetches {
                    view! {
                        <div class="form-actions">
                            <button class="btn" type="button" disabled=move || busy.get()
                                on:click=move |_| fetch(act.get_value(), keys, busy, outcome)>
                                {move || if busy.get() { "Checking…" } else { "Check it in this browser" }}
                            </button>
                        </div>
                    }.into_any()
                } else {
                    view! {
                        <div class="field">
                            <label for="evidence-file">"The evidence, chosen or dropped here"</label>
                            <input class="input" id="evidence-file" type="file" accept="application/json,.json"
                                on:click=move |event| forget(&event)
                                on:change=move |event| chosen(&event, keys, busy, outcome) />
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
        keys: RwSignal<String>,
        busy: RwSignal<bool>,
        outcome: RwSignal<Option<Outcome>>,
    ) {
        begin(busy, outcome);
        leptos::task::spawn_local(async move {
            let found = match text_at(&source).await {
                Ok(text) => check(&text, &keys.get_untracked(), now()),
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

    fn field(event: &web_sys::Event) -> Option<web_sys::HtmlInputElement> {
        event.target()?.dyn_into().ok()
    }

    /// Empties the field before a choice: the same file chosen again is then a change, too.
    pub fn forget(event: &web_sys::Event) {
        if let Some(field) = field(event) {
            field.set_value("");
        }
    }

    pub fn chosen(
        event: &web_sys::Event,
        keys: RwSignal<String>,
        busy: RwSignal<bool>,
        outcome: RwSignal<Option<Outcome>>,
    ) {
        let file = field(event).and_then(|field| field.files()).and_then(|files| files.get(0));
        if let Some(file) = file {
            read(file, keys, busy, outcome);
        }
    }

    /// Whether what is dragged is a file; text is left to the field that it is dragged to.
    pub fn may_drop(event: &web_sys::DragEvent) -> bool {
        let files = event
            .data_transfer()
            .is_some_and(|dragged| dragged.types().includes(&JsValue::from_str("Files"), 0));
        if files {
            event.prevent_default();
        }
        files
    }

    pub fn dropped(
        event: &web_sys::DragEvent,
        keys: RwSignal<String>,
        busy: RwSignal<bool>,
        outcome: RwSignal<Option<Outcome>>,
    ) {
        let files = event.data_transfer().and_then(|dragged| dragged.files());
        if let Some(file) = files.and_then(|files| files.get(0)) {
            event.prevent_default();
            read(file, keys, busy, outcome);
        }
    }

    fn read(
        file: web_sys::File,
        keys: RwSignal<String>,
        busy: RwSignal<bool>,
        outcome: RwSignal<Option<Outcome>>,
    ) {
        begin(busy, outcome);
        leptos::task::spawn_local(async move {
            let found = match JsFuture::from(file.text()).await.ok().and_then(|t| t.as_string()) {
                Some(text) => check(&text, &keys.get_untracked(), now()),
                None => Err("The file cannot be read as text.".to_owned()),
            };
            outcome.set(Some(found));
            busy.set(false);
        });
    }
}

#[cfg(feature = "hydrate")]
use browser::{chosen, dropped, fetch, forget, may_drop, pin, pinned};

#[cfg(not(feature = "hydrate"))]
fn pinned() -> String {
    String::new()
}

#[cfg(not(feature = "hydrate"))]
fn pin(_: &str) {}

#[cfg(not(feature = "hydrate"))]
fn fetch(_: String, keys: RwSignal<String>, _: RwSignal<bool>, outcome: RwSignal<Option<Outcome>>) {
    // Never run on the server; it keeps both builds of one shape.
    outcome.set(Some(check("", &keys.get_untracked(), 0)));
}

#[cfg(not(feature = "hydrate"))]
fn chosen(
    _: &leptos::ev::Event,
    keys: RwSignal<String>,
    busy: RwSignal<bool>,
    outcome: RwSignal<Option<Outcome>>,
) {
    fetch(String::new(), keys, busy, outcome);
}

#[cfg(not(feature = "hydrate"))]
fn dropped(
    _: &leptos::ev::DragEvent,
    keys: RwSignal<String>,
    busy: RwSignal<bool>,
    outcome: RwSignal<Option<Outcome>>,
) {
    fetch(String::new(), keys, busy, outcome);
}

#[cfg(not(feature = "hydrate"))]
fn may_drop(_: &leptos::ev::DragEvent) -> bool {
    false
}

#[cfg(not(feature = "hydrate"))]
fn forget(_: &leptos::ev::MouseEvent) {}
