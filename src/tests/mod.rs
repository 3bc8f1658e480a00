//! Tests of whole steps, on both engines.

mod abuse;
mod append_only;
mod consent;
mod crash;
mod eligibility;
mod evidence;
mod gateways;
mod handoff;
mod import;
mod intake;
mod layers;
mod outside_tickets;
mod owner_key;
mod planner;
mod procedure;
mod rotation;
mod secrecy;
mod shared_vault;
mod tamper;
mod tamper_random;
mod token;
mod vault;
mod vault_crash;
mod verification;
mod withdraw;
mod witness;
