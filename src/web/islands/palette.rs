//! The command palette: every part of the console and the look-up, by keyboard, on `Ctrl K`.

use leptos::html;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// A part of the console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// What it is called.
    pub label: String,
    /// Where it is.
    pub href: String,
    /// Its icon.
    pub icon: String,
}

/// What is offered for what somebody typed: the parts in whose name each word of it stands, and
/// the look-up.
fn choices(places: &[Place], typed: &str) -> Vec<Place> {
    let typed = typed.trim();
    let small = typed.to_lowercase();
    let fits = |place: &&Place| {
        let label = place.label.to_lowercase();
        small.split_whitespace().all(|word| label.contains(word))
    };
    let mut all: Vec<Place> = places.iter().filter(fits).cloned().collect();
    if !typed.is_empty() {
        all.push(Place {
            label: format!("Look up “{typed}”: a ticket, an org or an impersonation"),
            href: format!("/lookup?q={}", encoded(typed)),
            icon: "search".to_owned(),
        });
    }
    all
}

/// The choice after, or before, another; the ends lead to each other.
fn beside(chosen: usize, of: usize, down: bool) -> usize {
    match (of, down) {
        (0, _) => 0,
        (of, true) => (chosen + 1) % of,
        (of, false) => (chosen + of - 1) % of,
    }
}

/// Opens with `Ctrl K` or its button. The button is there only with scripts; without them the rail
/// and the look-up field do the same.
#[island]
pub fn Palette(
    /// The parts of the console.
    places: Vec<Place>,
) -> impl IntoView {
    let ready = RwSignal::new(false);
    let typed = RwSignal::new(String::new());
    let chosen = RwSignal::new(0_usize);
    let dialog = NodeRef::<html::Dialog>::new();
    let field = NodeRef::<html::Input>::new();
    let shut = NodeRef::<html::Button>::new();
    let found = Memo::new(move |_| choices(&places, &typed.get()));
    Effect::new(move |_| {
        ready.set(true);
        on_shortcut(dialog, field);
    });
    let go_to = move |n: usize| {
        if let Some(place) = found.get_untracked().get(n) {
            go(&place.href);
        }
    };
    let pressed = move |event: leptos::ev::KeyboardEvent| {
        let of = found.get_untracked().len();
        match event.key().as_str() {
            "ArrowDown" => chosen.update(|n| *n = beside(*n, of, true)),
            "ArrowUp" => chosen.update(|n| *n = beside(*n, of, false)),
            "Enter" => go_to(chosen.get_untracked()),
            // There are two things to reach; nothing behind the palette is one of them.
            "Tab" => focus_button(shut),
            _ => return,
        }
        event.prevent_default();
    };
    view! {
        <Show when=move || ready.get()>
            <button class="btn btn-quiet btn-sm palette-open" type="button" aria-haspopup="dialog"
                aria-keyshortcuts="Control+K" on:click=move |_| open(dialog, field)>
                "Go to"<kbd aria-hidden="true">"Ctrl K"</kbd>
            </button>
            <dialog class="palette" aria-label="Go to" node_ref=dialog
                on:close=move |_| { typed.set(String::new()); chosen.set(0); }
                on:click=move |event| close_from_outside(&event, dialog)>
                <div class="palette-head">
                    <label class="sr-only" for="palette-q">"Part of the console, ticket, org or impersonation id"</label>
                    <input class="input" id="palette-q" type="text" role="combobox" autocomplete="off" spellcheck="false"
                        placeholder="Tickets, Audit … or a ticket, org, impersonation id"
                        aria-expanded="true" aria-controls="palette-list" aria-autocomplete="list"
                        aria-activedescendant=move || format!("palette-{}", chosen.get())
                        node_ref=field prop:value=move || typed.get()
                        on:input=move |event| { typed.set(event_target_value(&event)); chosen.set(0); }
                        on:keydown=pressed />
                    <button class="btn btn-quiet btn-sm" type="button" node_ref=shut
                        on:click=move |_| close(dialog)
                        on:keydown=move |event: leptos::ev::KeyboardEvent| {
                            if event.key() == "Tab" {
                                focus_field(field);
                                event.prevent_default();
                            }
                        }>
                        "Close"<kbd aria-hidden="true">"Esc"</kbd>
                    </button>
                </div>
                <ul id="palette-list" role="listbox" aria-label="Places">
                    {move || found.get().into_iter().enumerate().map(|(n, place)| view! {
                        <li id=format!("palette-{n}") role="option" aria-selected=move || (chosen.get() == n).to_string()
                            on:click=move |_| go_to(n) on:pointermove=move |_| chosen.set(n)>
                            <svg class="icon" aria-hidden="true"><use href=format!("/icons.svg#{}", place.icon)></use></svg>
                            {place.label}
                        </li>
                    }).collect_view()}
                </ul>
                <p class="sr-only" role="status">{move || match found.get().len() {
                    0 => "Nothing to go to".to_owned(),
                    1 => "1 place".to_owned(),
                    n => format!("{n} places"),
                }}</p>
            </dialog>
        </Show>
    }
}

#[cfg(feature = "hydrate")]
mod browser {
    use leptos::html;
    use leptos::prelude::*;
    use wasm_bindgen::JsCast;

    pub(super) fn encoded(text: &str) -> String {
        js_sys::encode_uri_component(text).into()
    }

    pub(super) fn go(href: &str) {
        if let Some(window) = web_sys::window() {
            let _ = window.location().set_href(href);
        }
    }

    /// What has the focus gets it back when the dialog closes: the browser sees to that, and that
    /// nothing behind the dialog can be reached.
    pub(super) fn open(dialog: NodeRef<html::Dialog>, field: NodeRef<html::Input>) {
        let Some(dialog) = dialog.get_untracked() else { return };
        if !dialog.open() && dialog.show_modal().is_ok() {
            focus_field(field);
        }
    }

    pub(super) fn close(dialog: NodeRef<html::Dialog>) {
        if let Some(dialog) = dialog.get_untracked() {
            dialog.close();
        }
    }

    /// What is behind a dialog belongs to it: a click there has the dialog itself as its target.
    pub(super) fn close_from_outside(
        event: &leptos::ev::MouseEvent,
        dialog: NodeRef<html::Dialog>,
    ) {
        let target = event.target().and_then(|t| t.dyn_into::<web_sys::Element>().ok());
        if target.is_some_and(|t| t.tag_name() == "DIALOG") {
            close(dialog);
        }
    }

    pub(super) fn focus_field(field: NodeRef<html::Input>) {
        if let Some(field) = field.get_untracked() {
            let _ = field.focus();
        }
    }

    pub(super) fn focus_button(button: NodeRef<html::Button>) {
        if let Some(button) = button.get_untracked() {
            let _ = button.focus();
        }
    }

    pub(super) fn on_shortcut(dialog: NodeRef<html::Dialog>, field: NodeRef<html::Input>) {
        let Some(document) = web_sys::window().and_then(|w| w.document()) else { return };
        let on_key = wasm_bindgen::closure::Closure::<dyn Fn(web_sys::KeyboardEvent)>::new(
            move |event: web_sys::KeyboardEvent| {
                let control = event.ctrl_key() || event.meta_key();
                if !control || event.alt_key() || event.shift_key() {
                    return;
                }
                if !event.key().eq_ignore_ascii_case("k") {
                    return;
                }
                event.prevent_default();
                match dialog.get_untracked() {
                    Some(there) if there.open() => close(dialog),
                    _ => open(dialog, field),
                }
            },
        );
        let listener = on_key.as_ref().unchecked_ref();
        let _ = document.add_event_listener_with_callback("keydown", listener);
        on_key.forget();
    }
}

#[cfg(not(feature = "hydrate"))]
mod browser {
    use leptos::html;
    use leptos::prelude::*;

    pub(super) fn encoded(text: &str) -> String {
        text.replace(' ', "%20")
    }
    pub(super) fn go(_: &str) {}
    pub(super) fn open(_: NodeRef<html::Dialog>, _: NodeRef<html::Input>) {}
    pub(super) fn close(_: NodeRef<html::Dialog>) {}
    pub(super) fn close_from_outside(_: &leptos::ev::MouseEvent, _: NodeRef<html::Dialog>) {}
    pub(super) fn focus_field(_: NodeRef<html::Input>) {}
    pub(super) fn focus_button(_: NodeRef<html::Button>) {}
    pub(super) fn on_shortcut(_: NodeRef<html::Dialog>, _: NodeRef<html::Input>) {}
}

use browser::{
    close, close_from_outside, encoded, focus_button, focus_field, go, on_shortcut, open,
};

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(typed: &str) -> Vec<String> {
        let place = |label: &str| Place {
            label: label.to_owned(),
            href: format!("/{label}"),
            icon: "x".to_owned(),
        };
        let places = ["Tickets", "Audit", "Integrity of the logs"].map(place);
        choices(&places, typed).into_iter().map(|c| c.label).collect()
    }

    #[test]
    fn the_parts_are_found_by_any_words_of_their_names_and_anything_is_looked_up() {
        assert_eq!(labels(" "), ["Tickets", "Audit", "Integrity of the logs"]);
        assert_eq!(labels("LOGS integ")[0], "Integrity of the logs");
        let look_up = "Look up “4801”: a ticket, an org or an impersonation";
        assert_eq!(labels(" 4801 "), [look_up]);
        assert_eq!(labels("aud").len(), 2);
    }

    #[test]
    fn the_ends_of_the_list_lead_to_each_other() {
        assert_eq!([beside(0, 3, true), beside(2, 3, true)], [1, 0]);
        assert_eq!([beside(0, 3, false), beside(1, 3, false)], [2, 0]);
        assert_eq!(beside(0, 0, true), 0);
    }
}
