//! How things reach people outside: OpenPGP messages, mail, and the guard on what staff write.

pub mod guard;
pub mod mail;
pub mod openpgp;
pub mod witness;
