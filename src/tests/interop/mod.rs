//! Meetings with real programs that take minutes: `make interop` runs them, `make test` leaves
//! them out by the name of this module.

mod api;
mod leader;
mod openpgp;
mod vanished;
mod vault;
