//! How things reach people outside: OpenPGP messages, mail, shared vaults, and the guard on what
//! staff write.

pub mod authorities;
pub mod forward;
pub mod guard;
pub mod mail;
pub mod one_password;
pub mod openpgp;
pub mod refusal;
pub mod retry_after;
pub mod shared_vault;
mod smtp_refusal;
pub mod tickets;
pub mod witness;
