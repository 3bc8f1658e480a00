//! Small helps on every page: copy buttons, and `/` for the look-up field.

use leptos::prelude::*;

/// Wires the copy buttons of the page, which are invisible until then, and the `/` key.
#[island]
pub fn Helpers() -> impl IntoView {
    let said = RwSignal::new(String::new());
    Effect::new(move |_| wire(said));
    view! { <p class="sr-only" role="status" aria-live="polite">{move || said.get()}</p> }
}

#[cfg(not(feature = "hydrate"))]
fn wire(_: RwSignal<String>) {}

#[cfg(feature = "hydrate")]
fn wire(said: RwSignal<String>) {
    use wasm_bindgen::JsCast;

    let Some(document) = web_sys::window().and_then(|w| w.document()) else { return };
    if let Ok(buttons) = document.query_selector_all("[data-copy]") {
        for n in 0..buttons.length() {
            if let Some(button) = buttons.get(n).and_then(|b| b.dyn_into::<web_sys::Element>().ok())
            {
                let _ = button.set_attribute("data-ready", "");
            }
        }
    }
    // One listener for all of them, also for those that come later.
    let on_click = wasm_bindgen::closure::Closure::<dyn Fn(web_sys::Event)>::new(
        move |event: web_sys::Event| {
            let target = event.target().and_then(|t| t.dyn_into::<web_sys::Element>().ok());
            let Some(button) = target.and_then(|t| t.closest("[data-copy]").ok().flatten()) else {
                return;
            };
            let Some(value) = button.get_attribute("data-copy") else { return };
            if let Some(window) = web_sys::window() {
                let _ = window.navigator().clipboard().write_text(&value);
                let _ = button.class_list().add_1("is-done");
                said.set("Copied".to_owned());
                set_timeout(
                    move || {
                        let _ = button.class_list().remove_1("is-done");
                        said.set(String::new());
                    },
                    std::time::Duration::from_secs(2),
                );
            }
        },
    );
    let _ = document.add_event_listener_with_callback("click", on_click.as_ref().unchecked_ref());
    on_click.forget();
    let on_key = wasm_bindgen::closure::Closure::<dyn Fn(web_sys::KeyboardEvent)>::new(
        move |event: web_sys::KeyboardEvent| {
            if event.key() != "/" || event.ctrl_key() || event.meta_key() || event.alt_key() {
                return;
            }
            let Some(document) = web_sys::window().and_then(|w| w.document()) else { return };
            let typing = document
                .active_element()
                .is_some_and(|e| matches!(e.tag_name().as_str(), "INPUT" | "TEXTAREA" | "SELECT"));
            if typing {
                return;
            }
            if let Some(field) = document
                .get_element_by_id("lookup")
                .and_then(|e| e.dyn_into::<web_sys::HtmlElement>().ok())
            {
                event.prevent_default();
                let _ = field.focus();
            }
        },
    );
    let _ = document.add_event_listener_with_callback("keydown", on_key.as_ref().unchecked_ref());
    on_key.forget();
}
