//! Who somebody is: staff by password and session, orgs by credential, impersonations by token.

pub mod credential;
pub mod failures;
pub mod guessable;
pub mod password;
pub mod queue;
pub mod session_store;
pub mod tally;
pub mod throttle;
pub mod token;
