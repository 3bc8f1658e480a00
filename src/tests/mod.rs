//! Tests of whole steps, on both engines.

mod append_only;
mod consent;
mod eligibility;
mod handoff;
mod procedure;
mod rotation;
mod tamper;
mod token;
