//! Who somebody is: staff by password and session, orgs by credential, impersonations by token.

pub mod credential;
pub mod password;
pub mod session_store;
pub mod throttle;
pub mod token;
