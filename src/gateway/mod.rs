//! The listener that gateways talk to, and the agent that runs beside a gateway.
//!
//! Both ends are mutual TLS 1.3 (RFC 8446). The agent beats; the answer tells it when to
//! re-enrol; it makes a new key, and swaps key and certificate together.

pub mod agent;
pub mod identity;
pub mod listener;
pub mod tls;
pub mod wire;

#[cfg(test)]
mod agent_tests;
#[cfg(test)]
mod tls_tests;
