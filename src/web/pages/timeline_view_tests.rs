use super::super::timeline_lines::tests::{EXPIRES, ID, counted, judged};
use super::*;
use crate::proof::actions::{HANDOFF_QUEUED, PLATFORM_SECRET_HANDED_OFF};
use crate::proof::row::AuditRow;

const NOW: i64 = 5000 * time::SECOND;

/// The words of the table of one impersonation whose rows were spoiled: what is read out.
fn words(spoil: impl FnOnce(&mut Vec<AuditRow>, &mut Vec<AuditRow>)) -> String {
    let (mut platform, mut org) = counted();
    spoil(&mut platform, &mut org);
    let judged = judged((platform, org), NOW);
    let group = Group { id: ID.to_owned(), grant: None, judged, matching: HashSet::new() };
    let items = [Item::Group(Box::new(group))];
    let html = table(&items, &Book::default(), &Frame::default(), NOW).to_html();
    let mut text = String::new();
    let mut tag = false;
    for c in html.chars() {
        match c {
            '<' => tag = true,
            '>' => tag = false,
            c if !tag => text.push(c),
            _ => {}
        }
    }
    text
}

/// What a colour or a dashed line tells, a word tells too.
#[test]
fn gaps_and_broken_ties_are_told_in_words() {
    let whole = words(|_, _| {});
    for word in ["missing", "differ", "too late", "out of order", "twice"] {
        assert!(!whole.contains(word), "{word}: {whole}");
    }
    let gap = words(|_, org| org.retain(|r| r.action != HANDOFF_QUEUED));
    assert!(gap.contains("Orghandoff.queued missing"), "{gap}");
    let unplaced = words(|platform, org| {
        platform.retain(|r| r.action != PLATFORM_SECRET_HANDED_OFF);
        org.retain(|r| r.action != HANDOFF_QUEUED);
    });
    assert!(unplaced.contains("1 row of the org log is missing, by the counts at the end"));
    assert!(unplaced.contains("1 row of the platform log is missing, by the counts at the end"));
    let other = words(|_, org| {
        org[1].actor_id = "admin-2".into();
        org[1].actor_name = "Bo Brandt".into();
    });
    assert!(other.contains("differs"));
    assert!(other.contains("admin Bo Brandt (admin-2), elsewhere Ada Admin (admin-1)"), "{other}");
    let late = words(|platform, org| {
        let late = EXPIRES + 312 * time::SECOND;
        for row in platform.iter_mut().chain(org).filter(|r| r.action.ends_with("ended")) {
            row.at = late;
            row.details.insert("ended_at".into(), serde_json::json!(late));
        }
    });
    assert!(late.contains("too late"));
    assert!(late.contains("expired 00:15:00.0, ended 00:20:12.0"), "{late}");
}
