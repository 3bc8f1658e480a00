//! The seeded story of `keyturn demo`: cases for every branch of the procedure, a mail catcher,
//! and the customer's own side.

pub mod smtp_catcher;
