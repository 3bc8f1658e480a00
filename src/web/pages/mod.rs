//! The pages, a file each, with the server functions that they post to.

pub mod assets;
pub mod audit;
pub mod audit_filter;
pub mod audit_row;
pub mod error;
pub mod impersonation;
pub mod impersonation_handoff;
pub mod impersonations;
pub mod org;
pub mod org_secrets;
pub mod orgs;
pub mod owner;
pub mod places;
pub mod rotation;
pub mod rows;
pub mod sign_in;
pub mod ticket;
pub mod ticket_actions;
pub mod ticket_parts;
pub mod ticket_steps;
pub mod tickets;
pub mod timeline_lines;
pub mod timeline_view;
mod vault_state;
