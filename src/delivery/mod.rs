//! How things reach people outside: OpenPGP messages and mail.

pub mod mail;
pub mod openpgp;
