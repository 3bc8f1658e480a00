//! How far a verification of the logs is.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Far {
    /// Rows done.
    pub done: i64,
    /// Rows in all.
    pub total: i64,
    /// Whether it is still running.
    pub running: bool,
}

/// A bar that moves. Without scripts it stands where it was when the page was made, beside a link
/// that loads the page again. When it is over the page is loaded again, which shows the outcome.
#[island]
pub fn Progress(
    /// Where to ask.
    source: String,
    /// How far it was when the page was made.
    far: Far,
) -> impl IntoView {
    let now = RwSignal::new(far);
    Effect::new(move |_| watch(source.clone(), now));
    view! {
        <span class="verify-progress">
            <progress max=move || now.get().total.max(1).to_string() prop:value=move || now.get().done as f64
                value=move || now.get().done.to_string() aria-label="Rows verified"></progress>
            <span role="status">{move || { let f = now.get(); format!("{} of {} rows", f.done, f.total) }}</span>
        </span>
    }
}

#[cfg(not(feature = "hydrate"))]
fn watch(_: String, _: RwSignal<Far>) {}

#[cfg(feature = "hydrate")]
fn watch(source: String, now: RwSignal<Far>) {
    let handle = set_interval_with_handle(
        move || {
            let source = source.clone();
            leptos::task::spawn_local(async move {
                let Some(far) = ask(&source).await else { return };
                let over = !far.running;
                now.set(far);
                if over && let Some(window) = web_sys::window() {
                    let _ = window.location().reload();
                }
            });
        },
        std::time::Duration::from_millis(700),
    );
    if let Ok(handle) = handle {
        on_cleanup(move || handle.clear());
    }
}

#[cfg(feature = "hydrate")]
async fn ask(source: &str) -> Option<Far> {
    use wasm_bindgen::JsCast;
    use wasm_bindgen_futures::JsFuture;

    let window = web_sys::window()?;
    let response: web_sys::Response =
        JsFuture::from(window.fetch_with_str(source)).await.ok()?.dyn_into().ok()?;
    let text = JsFuture::from(response.text().ok()?).await.ok()?.as_string()?;
    serde_json::from_str(&text).ok()
}
