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

/// Whether new rows come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// They do, or nothing is known against it.
    Live,
    /// The server does not answer. It is asked again.
    Cut,
    /// Nobody is signed in any more.
    Out,
}

/// Shows rows that were written since the page was made, and says when none can come. Without
/// scripts there is a link to load the page again.
#[island]
pub fn LiveRows(
    /// Where the events come from.
    source: String,
    /// The place in the logs that the page shows, ready for an address.
    since: String,
    /// The page itself.
    here: String,
) -> impl IntoView {
    let rows = RwSignal::new(Vec::<LiveRow>::new());
    let state = RwSignal::new(State::Live);
    let gap = RwSignal::new(false);
    Effect::new({
        let source = source.clone();
        move |_| listen::start(&source, &since, rows, state, gap)
    });
    let again = here.clone();
    let sign_in = format!("/sign-in?next={}", percent(&here));
    view! {
        <div class="live-rows">
            <div role="status">
                <Show when=move || state.get() == State::Cut>
                    <p class="live-state">
                        <strong>"Not live."</strong>
                        " The server does not answer, or you watch 8 timelines already; it is asked again and again. What is written meanwhile comes in then."
                    </p>
                </Show>
                <Show when=move || state.get() == State::Out>
                    <p class="live-state">
                        <strong>"Not live: you are signed out."</strong>" "<a href=sign_in.clone()>"Sign in again"</a>
                    </p>
                </Show>
                <Show when=move || gap.get()>
                    <p class="live-state">
                        <strong>"Rows may be missing here."</strong>" Too much happened while this page did not hear of it. "
                        <a href=again.clone()>"Load the page again"</a>
                    </p>
                </Show>
            </div>
            <div aria-live="polite">
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
        </div>
    }
}

/// A path for the query of another one.
fn percent(path: &str) -> String {
    path.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                char::from(b).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(not(feature = "hydrate"))]
mod listen {
    use super::{LiveRow, RwSignal, State};

    pub(super) fn start(
        _: &str,
        _: &str,
        _: RwSignal<Vec<LiveRow>>,
        _: RwSignal<State>,
        _: RwSignal<bool>,
    ) {
    }
}

/// A browser's own way of coming again ends for good at the first answer that is no stream, as a
/// proxy gives while the server starts anew. So each stream is opened here, and watched.
#[cfg(feature = "hydrate")]
mod listen {
    use std::cell::RefCell;
    use std::collections::HashSet;
    use std::rc::Rc;

    use leptos::prelude::*;
    use wasm_bindgen::JsCast;
    use wasm_bindgen::closure::Closure;
    use web_sys::{EventSource, MessageEvent};

    use super::{LiveRow, State};

    /// A server that is there says something every five seconds: milliseconds without a word.
    const SILENCE: f64 = 15_000.0;
    /// A break is said only once it lasts so long: streams end now and then, and come again.
    const SAID_AFTER: f64 = 2_500.0;
    /// The longest pause between two attempts.
    const LONGEST: f64 = 8_000.0;

    type Heard = Closure<dyn Fn(MessageEvent)>;

    struct Listener {
        source: String,
        since: String,
        events: Option<EventSource>,
        heard: Vec<Heard>,
        /// When the server said something last.
        word: f64,
        /// Since when it has not.
        cut: Option<f64>,
        /// When it is asked again, and the pause after that.
        next: f64,
        pause: f64,
        seen: HashSet<String>,
    }

    pub(super) fn start(
        source: &str,
        since: &str,
        rows: RwSignal<Vec<LiveRow>>,
        state: RwSignal<State>,
        gap: RwSignal<bool>,
    ) {
        let now = js_sys::Date::now();
        let listener = Rc::new(RefCell::new(Listener {
            source: source.to_owned(),
            since: since.to_owned(),
            events: None,
            heard: Vec::new(),
            word: now,
            cut: None,
            next: now,
            pause: 1_000.0,
            seen: HashSet::new(),
        }));
        let look = move || tick(&listener, rows, state, gap);
        look();
        // A machine that slept finds out here: its clock went on.
        let _ = set_interval_with_handle(look, std::time::Duration::from_millis(500));
    }

    fn tick(
        listener: &Rc<RefCell<Listener>>,
        rows: RwSignal<Vec<LiveRow>>,
        state: RwSignal<State>,
        gap: RwSignal<bool>,
    ) {
        if state.get_untracked() == State::Out {
            return;
        }
        let now = js_sys::Date::now();
        let mut me = listener.borrow_mut();
        if let Some(events) = me.events.clone() {
            let over = events.ready_state() != EventSource::OPEN
                && (me.cut.is_some() || events.ready_state() == EventSource::CLOSED);
            if over || now - me.word > SILENCE {
                events.close();
                me.events = None;
                me.heard.clear();
                me.cut.get_or_insert(now);
                me.next = now + me.pause;
                me.pause = (me.pause * 2.0).min(LONGEST);
            }
        }
        if me.cut.is_some_and(|cut| now - cut > SAID_AFTER) && state.get_untracked() == State::Live
        {
            state.set(State::Cut);
        }
        if me.events.is_none() && now >= me.next {
            me.word = now;
            let and = if me.source.contains('?') { '&' } else { '?' };
            let address = format!("{}{and}since={}", me.source, me.since);
            let Ok(events) = EventSource::new(&address) else { return };
            me.heard = hear(listener, &events, rows, state, gap);
            me.events = Some(events);
        }
    }

    /// What is done with each kind of event.
    fn hear(
        listener: &Rc<RefCell<Listener>>,
        events: &EventSource,
        rows: RwSignal<Vec<LiveRow>>,
        state: RwSignal<State>,
        gap: RwSignal<bool>,
    ) -> Vec<Heard> {
        let mut heard = Vec::new();
        let mut on = |name: &str, what: Heard| {
            let _ = events.add_event_listener_with_callback(name, what.as_ref().unchecked_ref());
            heard.push(what);
        };
        let word = {
            let listener = listener.clone();
            move |event: &MessageEvent| {
                let mut me = listener.borrow_mut();
                me.word = js_sys::Date::now();
                me.cut = None;
                me.pause = 1_000.0;
                let place = event.last_event_id();
                if !place.is_empty() {
                    me.since = js_sys::encode_uri_component(&place).into();
                }
                if state.get_untracked() == State::Cut {
                    state.set(State::Live);
                }
            }
        };
        on(
            "beat",
            Closure::new({
                let word = word.clone();
                move |event: MessageEvent| word(&event)
            }),
        );
        on(
            "gap",
            Closure::new({
                let word = word.clone();
                move |event: MessageEvent| {
                    word(&event);
                    gap.set(true);
                }
            }),
        );
        on(
            "out",
            Closure::new({
                let listener = listener.clone();
                move |_: MessageEvent| {
                    if let Some(events) = &listener.borrow().events {
                        events.close();
                    }
                    state.set(State::Out);
                }
            }),
        );
        on(
            "message",
            Closure::new({
                let listener = listener.clone();
                move |event: MessageEvent| {
                    word(&event);
                    let Some(text) = event.data().as_string() else { return };
                    let Ok(row) = serde_json::from_str::<LiveRow>(&text) else { return };
                    // After a break some come again, and the page itself may show them.
                    if !listener.borrow_mut().seen.insert(row.id.clone()) || is_shown(&row) {
                        return;
                    }
                    rows.update(|rows| {
                        rows.insert(0, row);
                        rows.truncate(50);
                    });
                }
            }),
        );
        on(
            "error",
            Closure::new({
                let listener = listener.clone();
                move |_: MessageEvent| {
                    listener.borrow_mut().cut.get_or_insert_with(js_sys::Date::now);
                }
            }),
        );
        heard
    }

    fn is_shown(row: &LiveRow) -> bool {
        let Some(document) = web_sys::window().and_then(|w| w.document()) else { return false };
        document
            .query_selector(&format!("a[href=\"{}\"]", row.href))
            .is_ok_and(|found| found.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn a_path_becomes_one_value_of_a_query() {
        assert_eq!(percent("/audit?a=1&b=x y"), "/audit%3Fa%3D1%26b%3Dx%20y");
        assert_eq!(percent("/audit"), "/audit");
    }
}
