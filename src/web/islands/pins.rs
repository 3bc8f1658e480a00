//! The keys that the reader pinned, in this browser only, and what is fetched to be checked
//! against them.

#[cfg(feature = "hydrate")]
mod browser {
    use wasm_bindgen::{JsCast, JsValue};
    use wasm_bindgen_futures::JsFuture;

    const KEPT: &str = "keyturn.log-keys";

    fn storage() -> Option<web_sys::Storage> {
        web_sys::window()?.local_storage().ok().flatten()
    }

    /// What was pinned, as it was typed.
    pub fn pinned() -> String {
        storage().and_then(|s| s.get_item(KEPT).ok().flatten()).unwrap_or_default()
    }

    /// Pins what was typed.
    pub fn pin(keys: &str) {
        if let Some(storage) = storage() {
            let _ = storage.set_item(KEPT, keys);
        }
    }

    /// The time, in microseconds UTC.
    pub fn now() -> i64 {
        (js_sys::Date::now() * 1000.0) as i64
    }

    /// The text at an address of ours; nothing where there is none, or it wants a sign-in.
    pub async fn text_at(source: &str) -> Option<String> {
        let window = web_sys::window()?;
        let response: web_sys::Response =
            JsFuture::from(window.fetch_with_str(source)).await.ok()?.dyn_into().ok()?;
        if !response.ok() || response.redirected() {
            return None;
        }
        JsFuture::from(response.text().ok()?).await.ok()?.as_string()
    }

    /// Lets the browser draw what was said before more is done.
    pub async fn drawn() {
        let soon = js_sys::Promise::new(&mut |resolve, _| {
            let waits = web_sys::window().is_some_and(|window| {
                window.set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, 30).is_ok()
            });
            if !waits {
                let _ = resolve.call0(&JsValue::NULL);
            }
        });
        let _ = JsFuture::from(soon).await;
    }
}

#[cfg(feature = "hydrate")]
pub(super) use browser::{drawn, now, pin, pinned, text_at};

// Never run on the server; they keep both builds of one shape.
#[cfg(not(feature = "hydrate"))]
pub(super) fn pinned() -> String {
    String::new()
}

#[cfg(not(feature = "hydrate"))]
pub(super) fn pin(_: &str) {}

#[cfg(not(feature = "hydrate"))]
pub(super) fn now() -> i64 {
    0
}

#[cfg(not(feature = "hydrate"))]
pub(super) async fn text_at(_: &str) -> Option<String> {
    None
}

#[cfg(not(feature = "hydrate"))]
pub(super) async fn drawn() {}
