use super::*;

fn known() -> Known {
    Known {
        orgs: vec![("org_acme".into(), "Acme Rail".into())],
        staff: vec![("stf_1".into(), "Ada Admin".into())],
    }
}

fn fields(ask: &Ask) -> Vec<&'static str> {
    ask.problems(&known()).into_iter().map(|p| p.field).collect()
}

#[test]
fn each_field_that_cannot_be_meant_is_named() {
    let ask = Ask {
        org: "org_x".into(),
        ticket: "4801".into(),
        admin: "stf_x".into(),
        impersonation: "0192".into(),
        action: "Impersonation Started".into(),
        secret_type: "password".into(),
        text: "a b c d e f g h i".into(),
        verdict: "good".into(),
        standing: "well".into(),
        open_for: "31".into(),
        check: String::new(),
        from: "yesterday".into(),
        to: "2026-13-01".into(),
        before: Some("nowhere".into()),
        after: None,
        fold: String::new(),
    };
    assert_eq!(
        fields(&ask),
        [
            "text",
            "org",
            "ticket",
            "admin",
            "impersonation",
            "action",
            "secret_type",
            "verdict",
            "standing",
            "open_for",
            "from",
            "to",
            "place"
        ]
    );
    assert_eq!(ask.query_sound(&ask.problems(&known())), "");
}

#[test]
fn good_fields_have_no_problem() {
    let ask = Ask {
        org: "org_acme".into(),
        ticket: " nov-4801 ".into(),
        admin: "stf_1".into(),
        impersonation: "01920000-0000-7000-8000-0000000000AA".into(),
        action: "impersonation.started".into(),
        secret_type: "vault_token".into(),
        text: "rotated NOV-4801".into(),
        verdict: "mismatch".into(),
        standing: "overstayed".into(),
        open_for: " 30 ".into(),
        check: String::new(),
        from: "2026-11-23".into(),
        to: "2026-11-23T09:52".into(),
        before: Some("5.01920000".into()),
        after: None,
        fold: String::new(),
    };
    assert_eq!(fields(&ask), Vec::<&str>::new());
    let filter = ask.filter();
    assert_eq!(filter.ticket.as_deref(), Some("NOV-4801"));
    assert_eq!(filter.open_for, Some(30));
    assert_eq!(filter.impersonation.as_deref(), Some("01920000-0000-7000-8000-0000000000aa"));
}

#[test]
fn a_time_that_cannot_be_read_lets_nothing_through() {
    let ask = Ask { from: "yesterday".into(), to: "tomorrow".into(), ..Ask::default() };
    assert_eq!(ask.filter().from, Some(Micros::MAX));
    assert_eq!(ask.filter().to, Some(Micros::MIN));
}

#[test]
fn an_end_before_the_beginning_is_said() {
    let ask = Ask { from: "2026-11-23".into(), to: "2026-11-22".into(), ..Ask::default() };
    assert_eq!(fields(&ask), ["to"]);
}

#[test]
fn both_directions_at_once_are_no_place() {
    let ask = Ask { before: Some("5.a".into()), after: Some("6.b".into()), ..Ask::default() };
    assert_eq!(ask.seek(), None);
    assert_eq!(fields(&ask), ["place"]);
    assert_eq!(Ask::default().seek(), Some(Seek::Newest));
}

#[test]
fn a_chip_says_what_it_is_and_removes_itself_alone() {
    let ask = Ask {
        org: "org_acme".into(),
        ticket: "nov-4801".into(),
        check: String::new(),
        from: "2026-11-23".into(),
        before: Some("5.a".into()),
        ..Ask::default()
    };
    assert_eq!(
        ask.chips(&known()),
        [
            ("org Acme Rail".to_owned(), "/audit?ticket=nov-4801&from=2026-11-23".to_owned()),
            ("ticket NOV-4801".into(), "/audit?org=org_acme&from=2026-11-23".into()),
            ("from 2026-11-23 00:00:00 UTC".into(), "/audit?org=org_acme&ticket=nov-4801".into()),
        ]
    );
    let one = Ask { ticket: "NOV-1".into(), ..Ask::default() };
    assert_eq!(one.chips(&known())[0].1, "/audit");
    assert!(!Ask::default().narrows());
}

#[test]
fn every_suggested_action_is_one_that_may_be_asked_for() {
    for action in crate::web::pages::audit_form::known_actions() {
        assert!(action_like(&action), "{action}");
    }
}

#[test]
fn a_secret_is_refused_in_every_field_and_does_not_come_back() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=".to_owned();
    let mut ask = Ask {
        text: secret.clone(),
        ticket: secret.clone(),
        action: secret.clone(),
        from: secret.clone(),
        org: "org_acme".into(),
        ..Ask::default()
    };
    let problems = ask.problems(&known());
    assert_eq!(fields(&ask), ["text", "ticket", "action", "from"]);
    assert!(problems.iter().all(|p| p.text == SECRET));
    assert_eq!(ask.query_sound(&problems), "org=org_acme");
    assert_eq!(ask.unvouched(&problems).count(), 0, "there is nothing more to find out");
    ask.forget(&problems);
    assert_eq!(ask.query(), "org=org_acme");
}

#[test]
fn what_is_wrong_may_still_be_a_secret_without_a_shape() {
    let ask = Ask { text: "stuck key".into(), ticket: "what".into(), ..Ask::default() };
    let problems = ask.problems(&known());
    let unvouched: Vec<_> = ask.unvouched(&problems).collect();
    assert_eq!(unvouched, [("text", "stuck key"), ("ticket", "what")]);
}

#[test]
fn folding_is_no_part_of_the_filter() {
    let ask = |fold: &str, ticket: &str| Ask {
        fold: fold.into(),
        ticket: ticket.into(),
        ..Ask::default()
    };
    assert_eq!(ask("", "").fold(), Fold::Complete);
    assert_eq!(ask("", "NOV-1").fold(), Fold::Nothing, "its rows are asked for");
    assert_eq!(ask("1", "NOV-1").fold(), Fold::All);
    assert_eq!(ask("0", "").fold(), Fold::Nothing);
    assert_eq!(ask("1", "").query(), "");
    assert!(!ask("1", "").narrows());
    use Verdict::{Complete, Mismatch, Open};
    let open = [Complete, Open, Mismatch].map(|verdict| Fold::Complete.leaves_open(verdict));
    assert_eq!(open, [false, true, true]);
}
