//! No query of a page is forgotten by the planner tests: every function of the store that pages of
//! the logs read by is asked in one of them, or stands in a list that may only shrink.

const MODULES: &[(&str, &str)] = &[
    ("audit", include_str!("../store/audit.rs")),
    ("forward", include_str!("../store/forward.rs")),
    ("handoffs", include_str!("../store/handoffs.rs")),
    ("impersonations", include_str!("../store/impersonations.rs")),
    ("log_keys", include_str!("../store/log_keys.rs")),
    ("log_list", include_str!("../store/log_list.rs")),
    ("orgs", include_str!("../store/orgs.rs")),
    ("overview", include_str!("../store/overview.rs")),
    ("owner_changes", include_str!("../store/owner_changes.rs")),
    ("owner_keys", include_str!("../store/owner_keys.rs")),
    ("proven", include_str!("../store/proven.rs")),
    ("saved_views", include_str!("../store/saved_views.rs")),
    ("secrets", include_str!("../store/secrets.rs")),
    ("staff", include_str!("../store/staff.rs")),
    ("standing", include_str!("../store/standing.rs")),
    ("timeline", include_str!("../store/timeline.rs")),
    ("timeline", include_str!("../store/timeline/counts.rs")),
    ("timeline", include_str!("../store/timeline/reach.rs")),
    ("verification", include_str!("../store/verification.rs")),
    ("witness", include_str!("../store/witness.rs")),
];

const TESTS: &[&str] = &[
    include_str!("planner.rs"),
    include_str!("planner_logs.rs"),
    include_str!("planner_overview.rs"),
    include_str!("planner_pages.rs"),
];

/// What is not asked, and why it need not be. This list may only shrink.
const NOT_ASKED: &[(&str, &str)] = &[
    ("audit::orgs_named", "a full verification reads every row there is"),
    ("proven::beyond_head", "a full verification reads every row there is"),
    ("proven::stray", "a full verification reads every row there is"),
    ("orgs::consents_left_over", "the sweeper's, not a page's"),
    ("orgs::consent_link", "the Owner's own page"),
    ("orgs::member_by_credential", "an org's program"),
];

/// How long that list is at most.
const MOST: usize = 6;

/// The functions of a module that only read, each with its name.
fn reading(module: &'static str, source: &'static str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in source.match_indices("pub async fn ") {
        let part = &source["pub async fn ".len() + at..];
        let name = part.split(['(', '<']).next().unwrap();
        // To the end of the function, or of the method: what is behind it is another's.
        let end = if source[..at].ends_with("    ") { "\n    }\n" } else { "\n}\n" };
        let body = part.split(end).next().unwrap();
        let writes = ["INSERT INTO ", "UPDATE ", "DELETE FROM "].iter().any(|w| body.contains(w));
        if !writes {
            found.push(format!("{module}::{name}"));
        }
    }
    found
}

fn is_asked(function: &str) -> bool {
    let name = function.split("::").last().unwrap();
    let called = [format!("{function}("), format!("::{name}(tx"), format!(".{name}(tx")];
    TESTS.iter().any(|test| called.iter().any(|call| test.contains(call)))
}

#[test]
fn every_query_of_a_page_is_asked_of_the_planners() {
    let all: Vec<String> =
        MODULES.iter().flat_map(|(module, source)| reading(module, source)).collect();
    assert!(all.len() > 80, "the scan of the sources finds too little: {all:#?}");
    let not: Vec<&String> = all.iter().filter(|function| !is_asked(function)).collect();
    let excused = |function: &str| NOT_ASKED.iter().any(|(name, _)| *name == function);
    let forgotten: Vec<_> = not.iter().filter(|function| !excused(function)).collect();
    assert!(forgotten.is_empty(), "ask these in src/tests/planner_pages.rs: {forgotten:#?}");
    for (name, why) in NOT_ASKED {
        assert!(!why.is_empty());
        assert!(not.iter().any(|function| function == name), "{name} is asked, or is gone");
    }
    assert!(NOT_ASKED.len() <= MOST, "the list may only shrink");
}
