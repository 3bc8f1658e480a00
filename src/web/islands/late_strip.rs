//! The strip above the timeline, where it was not counted in time for its page.

use leptos::prelude::*;

/// Fetches the strip once it is counted, and puts it into the place that the page has for it.
/// Without scripts there is a link to load the page again.
#[island]
pub fn LateStrip(
    /// Where it comes from.
    source: String,
) -> impl IntoView {
    let said = RwSignal::new(String::new());
    Effect::new(move |_| wait(source.clone(), said));
    view! { <p class="sr-only" role="status" aria-live="polite">{move || said.get()}</p> }
}

#[cfg(not(feature = "hydrate"))]
fn wait(_: String, _: RwSignal<String>) {}

#[cfg(feature = "hydrate")]
fn wait(source: String, said: RwSignal<String>) {
    browser::ask_later(source, said, 200, 30);
}

#[cfg(feature = "hydrate")]
mod browser {
    use std::time::Duration;

    use leptos::prelude::*;
    use wasm_bindgen::JsCast;
    use wasm_bindgen_futures::JsFuture;

    /// The longest pause between two times of asking, in ms.
    const LONGEST: u64 = 5000;

    /// Asks after a pause, and again after a longer one as long as it is being counted, so many
    /// times at most. Where it fails, the link stays.
    pub fn ask_later(source: String, said: RwSignal<String>, pause: u64, times: u32) {
        let ask = move || {
            leptos::task::spawn_local(async move {
                match fetch(&source).await {
                    Some((200 | 204, html)) => put(&html, said),
                    Some((202, _)) if times > 1 => {
                        ask_later(source, said, (pause * 2).min(LONGEST), times - 1);
                    }
                    _ => {}
                }
            });
        };
        set_timeout(ask, Duration::from_millis(pause));
    }

    async fn fetch(source: &str) -> Option<(u16, String)> {
        let window = web_sys::window()?;
        let response: web_sys::Response =
            JsFuture::from(window.fetch_with_str(source)).await.ok()?.dyn_into().ok()?;
        // A sign-in page would be an answer, too: it is not what was asked for.
        if response.redirected() {
            return None;
        }
        let text = JsFuture::from(response.text().ok()?).await.ok()?.as_string()?;
        Some((response.status(), text))
    }

    fn put(html: &str, said: RwSignal<String>) {
        let document = web_sys::window().and_then(|window| window.document());
        let Some(place) = document.and_then(|d| d.get_element_by_id("strip")) else { return };
        // Whoever is in it already keeps their place.
        let active = place.owner_document().and_then(|d| d.active_element());
        if active.is_some_and(|active| place.contains(Some(&active))) {
            return;
        }
        place.set_inner_html(html);
        said.set("How many rows there are when is counted.".to_owned());
    }
}
