//! Checks evidence in the reader's own browser, with the code that the server and the command
//! line use, against the keys that the reader pinned.

use leptos::prelude::*;

use super::compared::parse_keys;
use super::pins::{pin, pinned};
use super::shown::{checks, icon};
use crate::proof::evidence::{Report, verify};
use crate::proof::verdict::Verdict;

/// What the check came to, or why there was none.
type Outcome = Result<Report, String>;

/// Checks a file that is chosen or dropped. Nothing is drawn without scripts; the page says how it
/// is done by command.
#[island]
pub fn CheckEvidence() -> impl IntoView {
    let ready = RwSignal::new(false);
    let keys = RwSignal::new(String::new());
    let outcome = RwSignal::new(None::<Outcome>);
    let busy = RwSignal::new(false);
    Effect::new(move |_| {
        keys.set(pinned());
        ready.set(true);
    });
    let over = RwSignal::new(false);
    view! {
        <Show when=move || ready.get()>
            <div class="stack" class:is-dropping=move || over.get()
                on:dragover=move |event| over.set(may_drop(&event))
                on:dragleave=move |_| over.set(false)
                on:drop=move |event| {
                    over.set(false);
                    dropped(&event, keys, busy, outcome);
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
                <div class="field">
                    <label for="evidence-file">"The evidence, chosen or dropped here"</label>
                    <input class="input" id="evidence-file" type="file" accept="application/json,.json"
                        on:click=move |event| forget(&event)
                        on:change=move |event| chosen(&event, keys, busy, outcome) />
                </div>
                <div aria-live="polite">
                    {move || busy.get().then_some("Checking…")}
                    {move || outcome.get().map(|outcome| shown(&outcome))}
                </div>
            </div>
        </Show>
    }
}

/// The outcome, as the page shows it.
fn shown(outcome: &Outcome) -> AnyView {
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
    // Anybody can make a file that agrees with itself: it is not to look like proof.
    let (class, word) = if report.pinned || !report.holds() {
        (class, word.to_owned())
    } else {
        ("verdict-card", format!("{word}, if the key is the logs’"))
    };
    let trust = if report.pinned {
        "Checked in your browser, against the key that you pinned."
    } else {
        "Checked in your browser, against the file’s own key: pin the logs’ key to know whose it is."
    };
    let id = report.impersonation_id.clone();
    view! {
        <div class="stack">
            <section class=class aria-label="What your browser found">
                {icon("shield-check")}
                <div><h3>{word}</h3><p>{trust}</p><p><code class="id">{id}</code></p></div>
            </section>
            <ol class="checks rules">{checks(report)}</ol>
        </div>
    }
    .into_any()
}

/// Checks a text against the keys as they were typed. A key that cannot be read is said, and
/// nothing is checked without it.
fn check(text: &str, keys: &str, now: i64) -> Outcome {
    let verifiers = parse_keys(keys)?;
    verify(text, &verifiers, now).map_err(|e| format!("{e}."))
}

#[cfg(feature = "hydrate")]
mod browser {
    use leptos::prelude::*;
    use wasm_bindgen::{JsCast, JsValue};
    use wasm_bindgen_futures::JsFuture;

    use super::super::pins::now;
    use super::{Outcome, check};

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
        busy.set(true);
        outcome.set(None);
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
use browser::{chosen, dropped, forget, may_drop};

#[cfg(not(feature = "hydrate"))]
fn chosen(
    _: &leptos::ev::Event,
    keys: RwSignal<String>,
    _: RwSignal<bool>,
    outcome: RwSignal<Option<Outcome>>,
) {
    // Never run on the server; it keeps both builds of one shape.
    outcome.set(Some(check("", &keys.get_untracked(), 0)));
}

#[cfg(not(feature = "hydrate"))]
fn dropped(
    _: &leptos::ev::DragEvent,
    _: RwSignal<String>,
    _: RwSignal<bool>,
    _: RwSignal<Option<Outcome>>,
) {
}

#[cfg(not(feature = "hydrate"))]
fn may_drop(_: &leptos::ev::DragEvent) -> bool {
    false
}

#[cfg(not(feature = "hydrate"))]
fn forget(_: &leptos::ev::MouseEvent) {}
