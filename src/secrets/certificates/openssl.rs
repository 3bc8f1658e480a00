//! The `openssl` command, which shares no code with this house: what it accepts is accepted.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs `openssl` in `folder`; its output and whether it succeeded.
pub(crate) fn openssl(folder: &Path, args: &[&str], input: &str) -> (bool, String) {
    let mut child = Command::new("openssl")
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tests need the openssl command");
    // A command that does not read its input closes it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let out = child.wait_with_output().unwrap();
    let text = [out.stdout, out.stderr].concat();
    (out.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// As [`openssl`], and it has to succeed.
pub(crate) fn must(folder: &Path, args: &[&str]) -> String {
    let (done, out) = openssl(folder, args, "");
    assert!(done, "openssl {args:?}: {out}");
    out
}

/// Makes a key and a request with `openssl`: `kind` are the words that say which key.
pub(crate) fn request(folder: &Path, kind: &[&str], subject: &str, more: &[&str]) -> String {
    let mut args = vec!["req", "-new", "-nodes", "-keyout", "r.key", "-out", "r.csr"];
    args.extend_from_slice(kind);
    args.extend_from_slice(&["-subj", subject]);
    args.extend_from_slice(more);
    must(folder, &args);
    std::fs::read_to_string(folder.join("r.csr")).unwrap()
}

/// Words that make `openssl req` draw a P-256 key.
pub(crate) const P256: [&str; 4] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
