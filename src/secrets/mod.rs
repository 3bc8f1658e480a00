//! Secrets: how they are sealed, and what each kind is.

pub mod certificates;
pub mod fingerprint;
pub mod sealing;
pub mod vault;
pub mod webhook_key;
