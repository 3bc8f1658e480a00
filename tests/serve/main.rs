//! `keyturn serve` as a process of its own.

mod deployment;
mod followed;
mod stopping;
