//! Decisions: pure functions from facts to an answer. Nothing here reads a clock, a database
//! or a setting, and nothing here can be told to look away.

pub mod access;
pub mod eligibility;
pub mod grounds;
pub mod owner_change;

#[cfg(test)]
mod eligibility_tests;
