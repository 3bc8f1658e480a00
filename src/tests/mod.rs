//! Tests of whole steps, on both engines.

mod abuse;
mod append_only;
mod consent;
mod crash;
mod eligibility;
mod evidence;
mod handoff;
mod layers;
mod planner;
mod procedure;
mod rotation;
mod secrecy;
mod shared_vault;
mod tamper;
mod tamper_random;
mod token;
mod verification;
mod witness;
