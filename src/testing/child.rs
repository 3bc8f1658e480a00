//! Tests that need a process of their own: the test runs its own program again, with just one
//! test in it.

use std::process::{Command, Stdio};

/// The environment variable that tells a child what to do.
const ORDER: &str = "KEYTURN_TEST_CHILD";

/// A command that runs the ignored test `name` (`tests::crash::child`) alone, with `order` for it.
pub(crate) fn command(name: &str, order: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command
        .args(["--exact", name, "--ignored", "--nocapture", "--test-threads=1"])
        .env(ORDER, order)
        .stdin(Stdio::null());
    command
}

/// What the parent wants done; absent where the test was not started by one.
pub(crate) fn order() -> Option<String> {
    std::env::var(ORDER).ok()
}
