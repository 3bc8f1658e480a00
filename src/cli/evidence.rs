//! `keyturn verify FILE`: the evidence of one impersonation, checked without the database.

use std::path::Path;
use std::process::ExitCode;

use keyturn::clock::{Clock, SystemClock};
use keyturn::proof::evidence::{self, MAX_SIZE, Report};
use keyturn::proof::note::NoteVerifier;
use keyturn::proof::verdict::{RuleState, Verdict};

/// Prints a line for each rule, and exits with 0 where the file proves a complete trail, 1 where
/// something does not hold or is missing, 2 where it could not be looked at, 3 where everything
/// holds so far and the impersonation has not ended, 4 where the file agrees with itself and no key
/// was given to hold it against: anybody could have made such a file.
pub fn run(file: &Path, key: Option<&str>) -> ExitCode {
    match check(file, key) {
        Ok(report) => {
            print(&report);
            match report.verdict.verdict {
                _ if !report.holds() => ExitCode::FAILURE,
                Verdict::Complete | Verdict::Open if !report.pinned => ExitCode::from(4),
                Verdict::Complete => ExitCode::SUCCESS,
                Verdict::Open => ExitCode::from(3),
                Verdict::Incomplete | Verdict::Mismatch | Verdict::Tampered => ExitCode::FAILURE,
            }
        }
        Err(why) => {
            eprintln!("keyturn: {why}");
            ExitCode::from(2)
        }
    }
}

fn check(file: &Path, key: Option<&str>) -> Result<Report, String> {
    let wrong = |e: std::io::Error| format!("{}: {e}", file.display());
    let size = std::fs::metadata(file).map_err(wrong)?.len();
    if usize::try_from(size).map_or(true, |size| size > MAX_SIZE) {
        return Err(evidence::EvidenceError::TooLarge.to_string());
    }
    let text = std::fs::read_to_string(file).map_err(wrong)?;
    let mut pinned = Vec::new();
    if let Some(key) = key {
        pinned.push(NoteVerifier::parse(key).map_err(|e| format!("--key: {e}"))?);
    }
    evidence::verify(&text, &pinned, SystemClock.now()).map_err(|e| e.to_string())
}

fn print(report: &Report) {
    println!("impersonation {}", report.impersonation_id);
    for line in &report.lines {
        let word = if line.holds { "ok   " } else { "FAULT" };
        println!("{word} {}: {}", line.what, line.saw);
    }
    for rule in &report.verdict.rules {
        let word = match rule.result {
            RuleState::Passed => "ok   ",
            RuleState::Failed => "FAULT",
            RuleState::Pending => "wait ",
        };
        println!("{word} {}: {}", rule.rule.title(), rule.saw);
    }
    let word = report.verdict.verdict.word();
    if report.pinned {
        println!("verdict: {word}");
    } else {
        println!("verdict: {word}, if the keys are the log's");
        println!(
            "The keys are the file's own. Give the log's public key, learned elsewhere, with --key: otherwise this shows only that the file agrees with itself."
        );
    }
}
