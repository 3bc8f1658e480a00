//! What the tests found out about real programs, for `docs/interop.md`: a line each in
//! `target/interop/`, of which `make interop` makes the table.

use std::io::Write as _;
use std::path::Path;

/// Records that something was tried with a real program and holds. To be called at the end of a
/// test, when it is so. `area` is the heading (`OpenPGP`, `Vault`, `Syslog` …).
pub(crate) fn holds(area: &str, program: &str, version: &str, tried: &str, what: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/interop");
    std::fs::create_dir_all(&folder).expect("target/interop");
    let line = serde_json::json!({
        "area": area, "program": program, "version": version, "tried": tried, "holds": what,
    });
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("found.jsonl"))
        .expect("target/interop/found.jsonl");
    // One write, so that lines of tests that run side by side do not mix.
    file.write_all(format!("{line}\n").as_bytes()).expect("a line of the matrix");
}
