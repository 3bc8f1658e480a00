//! Ours and others' servers on real ports, for real programs to talk to.

pub(crate) mod served;
pub(crate) mod syslog;
