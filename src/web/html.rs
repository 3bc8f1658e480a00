//! HTML written as text, for the parts that a page has hundreds of: a view of every element of
//! theirs would take most of the page's time.
//!
//! Tags are literals of this program. Whatever comes from anywhere else goes through
//! [`Html::text`] or [`Html::content`], which leave nothing in it that HTML gives a meaning to.

/// A piece of HTML.
#[derive(Debug, Default)]
pub struct Html(String);

impl Html {
    /// With room for so many bytes, so that it need not grow for them.
    #[must_use]
    pub fn for_about(bytes: usize) -> Self {
        Self(String::with_capacity(bytes))
    }

    /// Markup of our own.
    pub fn tags(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Text, or the value of an attribute in quotes: escaped.
    pub fn text(&mut self, text: &str) -> &mut Self {
        html_escape::encode_safe_to_string(text, &mut self.0);
        self
    }

    /// Text between tags, where quotes are but text: never the value of an attribute.
    pub fn content(&mut self, text: &str) -> &mut Self {
        html_escape::encode_text_to_string(text, &mut self.0);
        self
    }

    /// An icon, as [`super::components::sized_icon`] draws it.
    pub fn icon(&mut self, class: &'static str, name: &'static str) -> &mut Self {
        self.tags("<svg class=\"").tags(class);
        self.tags("\" aria-hidden=\"true\"><use href=\"/icons.svg#")
            .tags(name)
            .tags("\"></use></svg>")
    }

    /// A copy button, as [`super::components::copy`] draws it.
    pub fn copy(&mut self, value: &str, what: &str) -> &mut Self {
        self.tags("<button class=\"copy\" type=\"button\" data-copy=\"").text(value);
        self.tags("\" aria-label=\"Copy ")
            .text(what)
            .tags("\">")
            .icon("icon", "copy")
            .tags("</button>")
    }

    /// The HTML, for `inner_html`.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Protects the pages from whatever stands in a row: no text becomes markup.
        #[test]
        fn no_text_becomes_markup(text in any::<String>()) {
            let mut html = Html::default();
            html.text(&text);
            let html = html.into_string();
            prop_assert!(!html.contains(['<', '>', '"', '\'']), "{html}");
            prop_assert_eq!(html_escape::decode_html_entities(&html), text);
        }
    }

    proptest! {
        /// Between tags, too.
        #[test]
        fn no_content_becomes_markup(text in any::<String>()) {
            let mut html = Html::default();
            html.content(&text);
            let html = html.into_string();
            prop_assert!(!html.contains(['<', '>']), "{html}");
            prop_assert_eq!(html_escape::decode_html_entities(&html), text);
        }
    }

    #[test]
    fn a_value_stays_within_its_quotes() {
        let mut html = Html::default();
        html.copy("\"><script>", "a & b");
        let html = html.into_string();
        assert!(html.contains("data-copy=\"&quot;&gt;&lt;script&gt;\""), "{html}");
        assert!(html.contains("aria-label=\"Copy a &amp; b\""), "{html}");
    }
}
