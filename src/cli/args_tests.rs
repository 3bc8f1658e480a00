//! Nothing that is asked for is accepted and then ignored.

use clap::CommandFactory as _;
use clap::error::ErrorKind;

use super::*;

fn verify(args: &str) -> Result<Cli, ErrorKind> {
    let args = ["keyturn", "verify"].into_iter().chain(args.split_whitespace());
    Cli::try_parse_from(args).map_err(|e| e.kind())
}

#[test]
fn each_way_to_verify_takes_what_it_uses() {
    for good in [
        "",
        "file.json",
        "file.json --key k",
        "--data d --log platform --since s --witness w --key k",
        "--database-url u --log platform --since s --witness w --key k --witness-key v",
        "--url https://k.example --credential-file c --key k --since s",
        "--url https://k.example --credential-file c --key k --since s --full",
        "--data d --since s --full",
    ] {
        assert!(verify(good).is_ok(), "{good}");
    }
}

#[test]
fn what_would_be_ignored_is_refused() {
    let url = "--url https://k.example --credential-file c --key k";
    for place in [
        "--data d",
        "--database-url u",
        "--log platform",
        "--since s",
        "--witness w",
        "--witness-key v",
    ] {
        assert_eq!(verify(&format!("file.json {place}")).err(), Some(ErrorKind::ArgumentConflict));
        if place != "--since s" {
            let with_url = verify(&format!("{url} {place}")).err();
            assert_eq!(with_url, Some(ErrorKind::ArgumentConflict), "{place}");
        }
    }
    let both = verify(&format!("file.json {url}")).err();
    assert_eq!(both, Some(ErrorKind::ArgumentConflict));
    assert_eq!(verify("--data d --database-url u").err(), Some(ErrorKind::ArgumentConflict));
    let unused = verify("--data d --credential-file c").err();
    assert_eq!(unused, Some(ErrorKind::MissingRequiredArgument));
    let full = verify("--data d --full").err();
    assert_eq!(full, Some(ErrorKind::MissingRequiredArgument));
}

#[test]
fn the_environment_contradicts_no_argument() {
    let command = Cli::command();
    let verify = command.find_subcommand("verify").unwrap();
    let read: Vec<_> = verify.get_arguments().filter_map(clap::Arg::get_env).collect();
    assert!(read.is_empty(), "clap takes {read:?} for an argument, and refuses it beside others");
}
