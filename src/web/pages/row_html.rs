//! One row of a log: a line that opens to all its fields, its place in the tree and its raw JSON.
//! A timeline has hundreds of them, so they are written as text.

use super::places::{Tree, Trees};
use super::rows::{Shown, fields, note, pretty};
use super::timeline_lines::{Difference, action};
use super::timeline_marks::Mark;
use crate::audit::trail::ReadRow;
use crate::auth::credential::hex;
use crate::model::time;
use crate::proof::row::AuditRow;
use crate::web::html::Html;

/// What a row comes to as HTML, more or less, in bytes.
const ROW: usize = 6 * 1024;

/// How a row is drawn.
pub struct Draw<'a> {
    /// The row.
    pub row: &'a ReadRow,
    /// The trees of the logs.
    pub trees: &'a Trees,
    /// Whether it does not match the filter, and is there for the others' sake.
    pub context: bool,
    /// Whether the line names who and where: a row in a group need not.
    pub alone: bool,
    /// Whose log it is, where the column is of more than one.
    pub org: Option<String>,
    /// What its twin says otherwise, and what it says itself.
    pub differ: Vec<(&'static str, String)>,
    /// What of it does not go with the rest of its impersonation.
    pub marks: Vec<&'a Mark>,
}

impl Draw<'_> {
    /// The part of a row in the difference of a pair.
    #[must_use]
    pub fn half(differ: &[Difference], platform: bool) -> Vec<(&'static str, String)> {
        differ
            .iter()
            .map(|d| (d.field, if platform { d.platform.clone() } else { d.org.clone() }))
            .collect()
    }

    /// What stands in the line, after the action.
    fn said(&self) -> String {
        let mut said = self.row.row.as_ref().map(note).unwrap_or_default();
        if self.alone
            && let Some(row) = &self.row.row
        {
            let known = [Some(&row.actor_name), self.org.as_ref(), row.ticket_ref.as_ref()];
            let whose = known.into_iter().flatten().cloned().collect::<Vec<_>>().join(", ");
            said = if said.is_empty() { whose } else { format!("{whose}: {said}") };
        }
        match (self.context, said.is_empty()) {
            (false, _) => said,
            (true, true) => "context".to_owned(),
            (true, false) => format!("{said} (context)"),
        }
    }

    /// The line, which opens.
    #[must_use]
    pub fn html(&self) -> String {
        let (r, e) = (self.row, &self.row.entry);
        let mut to = Html::for_about(ROW);
        to.tags("<details class=\"ev\" id=\"r-").text(&e.id).tags("\"><summary>");
        to.tags("<span class=\"ev-dot\" aria-hidden=\"true\"></span>");
        side(&mut to, r.platform());
        to.tags("<code class=\"action\">").content(action(r)).tags("</code>");
        let said = self.said();
        if !said.is_empty() {
            to.tags("<span class=\"ev-note\">").content(&said).tags("</span>");
        }
        to.icon("icon ev-chev", "chevron").tags("</summary><div class=\"ev-body\">");
        match &r.row {
            Some(row) => {
                to.tags("<dl class=\"ev-fields\">");
                field_items(&mut to, row);
                to.tags("</dl>")
            }
            None => to.tags("<p>The row cannot be read. Its stored text is below.</p>"),
        };
        place(&mut to, r, self.trees.get(&e.log_id));
        let what = format!("row {} of {}", e.seq, e.log_id);
        to.tags("<div class=\"ev-foot\"><details class=\"disclose\"><summary>")
            .icon("icon", "chevron");
        to.tags("Raw JSON</summary><pre class=\"raw\" tabindex=\"0\" role=\"region\" aria-label=\"Raw JSON of ");
        to.text(&what).tags("\">").content(&pretty(&e.body)).tags("</pre></details>");
        to.tags("<a href=\"/audit/rows/").text(&e.id).tags("\">").icon("icon", "link");
        to.tags("Link to this row<span class=\"sr-only\">, ").content(&what);
        to.tags("</span></a></div></div></details>");
        if let Some(fault) = r.fault() {
            to.tags("<p class=\"ev-diff\">").icon("icon icon-sm", "warning");
            to.tags("<strong>Tampered</strong> ").text(&fault).tags("</p>");
        }
        for (field, value) in &self.differ {
            to.tags("<p class=\"ev-diff\">")
                .text(field)
                .tags(" <code>")
                .text(value)
                .tags("</code></p>");
        }
        for mark in &self.marks {
            to.tags("<p class=\"ev-diff\">");
            for (n, (what, value)) in mark.values.iter().enumerate() {
                to.tags("<span>").text(what).tags(" <code>").text(value).tags("</code>");
                to.tags(if n == 0 { ",</span> " } else { "</span>" });
            }
            to.tags("</p>");
        }
        to.into_string()
    }
}

/// The list of all fields, for within its `<dl class="ev-fields">`.
#[must_use]
pub fn field_list(row: &AuditRow) -> String {
    let mut to = Html::default();
    field_items(&mut to, row);
    to.into_string()
}

fn field_items(to: &mut Html, row: &AuditRow) {
    for (name, shown) in fields(row) {
        to.tags("<dt>").content(name).tags("</dt><dd>");
        match shown {
            Shown::Plain(text) => to.content(&text),
            Shown::Id(text) => {
                to.tags("<span class=\"idc\"><code>").content(text).tags("</code>");
                to.copy(text, name).tags("</span>")
            }
            Shown::Lines(text) => {
                to.tags("<span class=\"ev-lines\">").content(text.trim_end()).tags("</span>")
            }
        };
        to.tags("</dd>");
    }
}

/// A gap: what ought to be here.
#[must_use]
pub fn missing(name: &str, platform: bool) -> String {
    let mut to = Html::default();
    to.tags("<div class=\"ev-line\">");
    side(&mut to, platform);
    to.tags("<span class=\"ev-missing\">").icon("icon icon-sm", "warning");
    to.tags("<code class=\"action\">")
        .text(name)
        .tags("</code> <strong>missing</strong></span></div>");
    to.into_string()
}

/// A gap of which nothing says where it belongs.
#[must_use]
pub fn unplaced(rows: u64, platform: bool) -> String {
    let log = if platform { "platform" } else { "org" };
    let said = if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") };
    let are = if rows == 1 { "is" } else { "are" };
    let mut to = Html::default();
    to.tags("<div class=\"ev-line\">");
    side(&mut to, platform);
    to.tags("<span class=\"ev-missing\">").icon("icon icon-sm", "warning").tags("<span>");
    to.text(&format!("{said} of the {log} log {are} missing, by the counts at the end"));
    to.tags("</span></span></div>");
    to.into_string()
}

/// The side of a row in a word, where the columns do not say it.
fn side(to: &mut Html, platform: bool) {
    let (name, word) = if platform { ("platform", "Platform") } else { ("org", "Org") };
    to.tags("<span class=\"side ev-side\">").icon("icon", name).tags(word).tags("</span>");
}

/// Where a row stands in the tree of its log.
fn place(to: &mut Html, r: &ReadRow, tree: Option<&Tree>) {
    let e = &r.entry;
    to.tags("<div class=\"ev-place\"><p>").icon("icon icon-sm", "tree").tags("<span><strong>");
    match tree {
        Some(Tree { size, .. }) => to.text(&format!("Leaf {} of {size}", e.seq)),
        None => to.text(&format!("Leaf {}", e.seq)),
    };
    to.tags("</strong> in <span class=\"mono\">").text(&e.log_id);
    to.tags("</span>, counted from 0</span></p><p>leaf <code class=\"hash\">");
    to.text(&hex(&e.leaf_hash)).tags("</code></p>");
    match tree {
        Some(Tree { root: Ok(root), signed_at, .. }) => {
            to.tags("<p>root <code class=\"hash\">").text(root).tags("</code>, signed ");
            to.text(&time::seconds(*signed_at)).tags("</p>")
        }
        Some(Tree { root: Err(why), .. }) => {
            to.tags("<p class=\"field-error\">").icon("icon", "warning");
            to.tags("The log’s checkpoint does not hold: ").text(why).tags("</p>")
        }
        None => {
            to.tags("<p class=\"field-error\">").icon("icon", "warning");
            to.tags("There is no such log.</p>")
        }
    };
    to.tags("</div>");
}
