//! The pages, a file each, with the server functions that they post to.

pub mod assets;
pub mod audit;
pub mod error;
pub mod impersonation;
pub mod impersonations;
pub mod org;
pub mod orgs;
pub mod owner;
pub mod sign_in;
pub mod ticket;
pub mod ticket_actions;
pub mod ticket_parts;
pub mod ticket_steps;
pub mod tickets;
