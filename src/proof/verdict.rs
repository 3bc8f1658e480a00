//! The verdict on the dual trail of one impersonation: whether the rows in the platform log and
//! those in the org log are all there, agree with each other, and are proven.

use serde::{Deserialize, Serialize};

pub use crate::proof::trail::{ProofState, Rule, Trail};
use crate::proof::trail_facts::{Facts, Finding};
use crate::proof::trail_rules::check;

/// The verdict in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// All rows are there and agree.
    Complete,
    /// It is not over yet, and nothing is wrong so far.
    Open,
    /// A row is missing.
    Incomplete,
    /// The logs disagree, or it outlived its token.
    Mismatch,
    /// A log's proof fails.
    Tampered,
}

impl Verdict {
    /// The word itself, lower-case, as it stands in JSON and in filters.
    pub fn word(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Open => "open",
            Self::Incomplete => "incomplete",
            Self::Mismatch => "mismatch",
            Self::Tampered => "tampered",
        }
    }
}

/// How one rule came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleState {
    /// It holds.
    Passed,
    /// It does not hold.
    Failed,
    /// It cannot be said: it is too early, or what it looks at is missing or was not checked.
    Pending,
}

/// One rule, how it came out, and the facts it saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleResult {
    /// The rule.
    pub rule: Rule,
    /// How it came out.
    pub result: RuleState,
    /// What it saw, for people.
    pub saw: String,
}

/// The verdict, with every rule's result: none is ever left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrailVerdict {
    /// The verdict.
    pub verdict: Verdict,
    /// The results, in the order of [`Rule::ALL`].
    pub rules: Vec<RuleResult>,
}

impl TrailVerdict {
    /// The result of one rule.
    pub fn rule(&self, rule: Rule) -> Option<&RuleResult> {
        self.rules.iter().find(|result| result.rule == rule)
    }

    /// The rules that failed.
    pub fn failed(&self) -> impl Iterator<Item = &RuleResult> {
        self.rules.iter().filter(|result| result.result == RuleState::Failed)
    }
}

impl Trail<'_> {
    /// Judges the trail. The worst finding wins: a proof that fails, then a disagreement, then a
    /// missing row. A trail without an end is open until its token expires, if its start is in
    /// both logs: a missing start is never a matter of waiting.
    pub fn judge(&self) -> TrailVerdict {
        let facts = Facts::of(self);
        let (mut broken, mut disagrees, mut missing) = (false, false, false);
        let rules = Rule::ALL
            .into_iter()
            .map(|rule| {
                let (result, saw) = match check(rule, &facts) {
                    Finding::Passed(saw) => (RuleState::Passed, saw),
                    Finding::Pending(saw) => (RuleState::Pending, saw),
                    Finding::Missing(saw) => {
                        missing = true;
                        (RuleState::Failed, saw)
                    }
                    Finding::Disagrees(saw) => {
                        disagrees = true;
                        (RuleState::Failed, saw)
                    }
                    Finding::Broken(saw) => {
                        broken = true;
                        (RuleState::Failed, saw)
                    }
                };
                RuleResult { rule, result, saw }
            })
            .collect();
        let verdict = if broken {
            Verdict::Tampered
        } else if disagrees {
            Verdict::Mismatch
        } else if facts.running {
            Verdict::Open
        } else if missing {
            Verdict::Incomplete
        } else {
            Verdict::Complete
        };
        TrailVerdict { verdict, rules }
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "verdict_rules_tests.rs"]
mod rules_tests;
