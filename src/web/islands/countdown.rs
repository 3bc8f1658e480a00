//! The time that is left of an impersonation, ticking.

use leptos::prelude::*;

/// "10 min 12 s".
#[must_use]
pub fn left(seconds: i64) -> String {
    crate::model::time::span(seconds.max(0) * crate::model::time::SECOND)
}

/// Figures that tick. Without scripts they stand as they were when the page was made, beside a
/// bar that shrinks by itself.
#[island]
pub fn Countdown(
    /// Seconds left when the page was made.
    seconds: i64,
) -> impl IntoView {
    let shown = RwSignal::new(seconds);
    // Islands run in the browser only; on the server an effect does nothing.
    Effect::new(move |_| {
        let end = now_seconds() + seconds;
        let handle = set_interval_with_handle(
            move || {
                let left = end - now_seconds();
                shown.set(left.max(0));
                if left == -1 {
                    reload();
                }
            },
            std::time::Duration::from_millis(500),
        );
        if let Ok(handle) = handle {
            on_cleanup(move || handle.clear());
        }
    });
    view! { <span class="countdown" role="timer">{move || left(shown.get())}</span> }
}

#[cfg(feature = "hydrate")]
fn now_seconds() -> i64 {
    (js_sys::Date::now() / 1000.0) as i64
}

#[cfg(not(feature = "hydrate"))]
fn now_seconds() -> i64 {
    0
}

/// Once the time is over the page shows what became of it. Not while somebody types.
fn reload() {
    #[cfg(feature = "hydrate")]
    if let Some(window) = web_sys::window() {
        let typing = window
            .document()
            .and_then(|d| d.active_element())
            .is_some_and(|e| matches!(e.tag_name().as_str(), "INPUT" | "TEXTAREA" | "SELECT"));
        if !typing {
            let _ = window.location().reload();
        }
    }
}
