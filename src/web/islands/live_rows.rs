//! New rows of the two logs as they are written, by server-sent events.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// A new row, as little of it as the list shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveRow {
    /// Its id.
    pub id: String,
    /// Whether it is of the platform's log.
    pub platform: bool,
    /// What.
    pub action: String,
    /// Who.
    pub actor: String,
    /// The time of day, UTC.
    pub clock: String,
    /// Where it is shown whole.
    pub href: String,
}

/// Shows rows that were written since the page was made. Without scripts there is a link to load
/// the page again.
#[island]
pub fn LiveRows(
    /// Where the events come from.
    source: String,
) -> impl IntoView {
    let rows = RwSignal::new(Vec::<LiveRow>::new());
    Effect::new({
        let source = source.clone();
        move |_| listen(&source, rows)
    });
    view! {
        <div class="live-rows" aria-live="polite">
            <Show when=move || !rows.get().is_empty()>
                <ol class="logrows">
                    <For each=move || rows.get() key=|row| row.id.clone() let:row>
                        <li class="is-new">
                            <span class="side">{if row.platform { "Platform" } else { "Org" }}</span>
                            <span><a href=row.href><code class="action">{row.action}</code></a>" "<span class="ev-note">{row.actor}</span></span>
                            <time class="at">{row.clock}</time>
                        </li>
                    </For>
                </ol>
            </Show>
        </div>
    }
}

#[cfg(not(feature = "hydrate"))]
fn listen(_: &str, _: RwSignal<Vec<LiveRow>>) {}

#[cfg(feature = "hydrate")]
fn listen(source: &str, rows: RwSignal<Vec<LiveRow>>) {
    use wasm_bindgen::JsCast;

    let Ok(events) = web_sys::EventSource::new(source) else { return };
    let on_row = wasm_bindgen::closure::Closure::<dyn Fn(web_sys::MessageEvent)>::new(
        move |event: web_sys::MessageEvent| {
            let Some(text) = event.data().as_string() else { return };
            let Ok(row) = serde_json::from_str::<LiveRow>(&text) else { return };
            rows.update(|rows| {
                if rows.iter().all(|r| r.id != row.id) {
                    rows.insert(0, row);
                    rows.truncate(50);
                }
            });
        },
    );
    events.set_onmessage(Some(on_row.as_ref().unchecked_ref()));
    on_row.forget();
}
