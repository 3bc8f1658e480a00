//! `keyturn serve` as a process of its own.

mod check;
mod deployment;
mod followed;
mod stopping;
