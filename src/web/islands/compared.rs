//! Whether what the reader's browser finds in the evidence is what the server said of it.

use serde::{Deserialize, Serialize};

use crate::proof::evidence::{Evidence, Report, verify};
use crate::proof::note::NoteVerifier;
use crate::proof::trail::Rule;
use crate::proof::verdict::{RuleState, TrailVerdict, Verdict};

/// What the server says of an impersonation, as the page was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerSays {
    /// Its verdict.
    pub verdict: Verdict,
    /// How each rule came out.
    pub rules: Vec<(Rule, RuleState)>,
    /// How many rows of both logs it judged.
    pub rows: usize,
    /// When, in microseconds UTC.
    pub at: i64,
}

impl ServerSays {
    /// A verdict on so many rows, at `at`.
    #[must_use]
    pub fn of(verdict: &TrailVerdict, rows: usize, at: i64) -> Self {
        let rules = verdict.rules.iter().map(|r| (r.rule, r.result)).collect();
        Self { verdict: verdict.verdict, rules, rows, at }
    }

    /// What it says of a rule; nothing where it leaves the rule out.
    #[must_use]
    pub fn rule(&self, rule: Rule) -> Option<RuleState> {
        self.rules.iter().find(|(of, _)| *of == rule).map(|(_, state)| *state)
    }

    /// The rules that came out otherwise in a report, or that one of both leaves out.
    fn differs(&self, report: &Report) -> Vec<Rule> {
        let found = &report.verdict;
        let ours = found.rules.iter().filter(|r| self.rule(r.rule) != Some(r.result));
        let theirs = self.rules.iter().map(|(rule, _)| *rule);
        let left_out = theirs.filter(|rule| found.rule(*rule).is_none());
        ours.map(|r| r.rule).chain(left_out).collect()
    }

    fn agrees(&self, report: &Report) -> bool {
        self.verdict == report.verdict.verdict && self.differs(report).is_empty()
    }
}

/// A file that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What it came to.
    pub report: Report,
    /// How many rows of both logs are in it.
    pub rows: usize,
    /// How many proofs: that a row is in its log, and that a checkpoint led to the next.
    pub proofs: usize,
    /// The pinned key that it leads to, by its name and id.
    pub key: String,
}

/// What comparing came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compared {
    /// It is no evidence at all, and why.
    NotEvidence(String),
    /// None of the pinned keys is among the file's, whose newest is this.
    OtherKey(String),
    /// The file does not hold; `as_said` is whether the server says that a log fails its proof, too.
    Fails {
        /// The file.
        checked: Box<Checked>,
        /// Whether the server says the same.
        as_said: bool,
    },
    /// The same as the server says.
    Agrees(Box<Checked>),
    /// The impersonation has gone on since the page was made.
    Later(Box<Checked>),
    /// Not what the server says, and by which rules.
    Differs(Box<Checked>, Vec<Rule>),
}

/// Checks a file against the keys that were pinned, at `now`, and holds what is found against what
/// the server said of the impersonation `id`.
#[must_use]
pub fn compare(
    text: &str,
    id: &str,
    pinned: &[NoteVerifier],
    server: &ServerSays,
    now: i64,
) -> Compared {
    let (evidence, report) = match Evidence::parse(text)
        .and_then(|evidence| Ok((evidence, verify(text, pinned, now)?)))
    {
        Ok(both) => both,
        Err(e) => return Compared::NotEvidence(e.to_string()),
    };
    if evidence.impersonation_id != id {
        let other = format!("it is of another impersonation: {}", evidence.impersonation_id);
        return Compared::NotEvidence(other);
    }
    let key = pinned.iter().find(|pin| evidence.keys.contains(&pin.vkey()));
    let Some(key) = key.map(short_key) else {
        let newest = evidence.keys.last().cloned().unwrap_or_default();
        return Compared::OtherKey(newest);
    };
    let sides = [&evidence.platform, &evidence.org];
    let rows = sides.iter().map(|side| side.rows.len()).sum();
    let led = sides.iter().map(|side| side.checkpoints.len().saturating_sub(1)).sum::<usize>();
    let checked = Box::new(Checked { report, rows, proofs: rows + led, key });
    let report = &checked.report;
    if !report.holds() {
        let as_said = server.verdict == Verdict::Tampered && server.agrees(report);
        return Compared::Fails { checked, as_said };
    }
    if server.agrees(report) {
        return Compared::Agrees(checked);
    }
    // What was written since, or time alone, may have changed it: not what the server says of the
    // rows that it had then.
    let then = || verify(text, pinned, server.at).is_ok_and(|then| server.agrees(&then));
    if rows > server.rows || (server.verdict == Verdict::Open && then()) {
        return Compared::Later(checked);
    }
    let differs = server.differs(report);
    Compared::Differs(checked, differs)
}

/// A key by its name and id: enough to tell it from another by eye, not to pin it.
#[must_use]
pub fn short_key(key: &NoteVerifier) -> String {
    format!("{}+{:08x}", key.name(), key.key_id())
}

/// The keys of a text, one on a line.
///
/// # Errors
/// Says why one cannot be read.
pub fn parse_keys(text: &str) -> Result<Vec<NoteVerifier>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            NoteVerifier::parse(line).map_err(|e| format!("A pinned key cannot be read: {e}."))
        })
        .collect()
}
