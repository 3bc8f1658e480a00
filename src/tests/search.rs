//! Searching the timeline: by words, by ids, by verdict.

use crate::audit::timeline::make_words;
use crate::desk::StepError;
use crate::model::{Micros, time};
use crate::proof::verdict::Verdict;
use crate::store::audit::{self, Filter, Seek};
use crate::store::impersonations::Impersonation;
use crate::store::timeline::words_are_made_to;
use crate::store::{Key, saved_views};
use crate::testing::story::{ADA, CLEO, STUCK};
use crate::testing::{Bench, both_engines};

both_engines!(
    a_row_is_found_by_its_words_and_by_each_id_it_names,
    whatever_leads_the_same_rows_are_found,
    rows_from_before_words_were_are_found_after_the_next_start,
    words_by_a_newer_rule_are_made_from_where_the_last_start_came_to,
    a_verdict_is_searched_for_as_it_was_last_judged,
    a_view_is_ones_own_and_never_holds_a_secret,
);

/// A live impersonation under which something was rotated.
async fn opened(bench: &Bench) -> Impersonation {
    let who = bench.at_work(ADA).await;
    let grant = bench.impersonate(&who, STUCK).await.unwrap();
    bench.clock.advance(time::SECOND);
    bench.rotate(&grant).await.unwrap();
    grant
}

async fn ids(bench: &Bench, filter: &Filter) -> Vec<String> {
    let mut conn = bench.desk.store.read().await.unwrap();
    let rows = audit::timeline(&mut conn, filter, &Seek::Newest, false, 1000).await.unwrap();
    rows.into_iter().map(|e| e.id).collect()
}

fn text(text: &str) -> Filter {
    Filter { text: Some(text.to_owned()), ..Filter::default() }
}

async fn a_row_is_found_by_its_words_and_by_each_id_it_names(bench: Bench) {
    let grant = opened(&bench).await;
    let of_it =
        ids(&bench, &Filter { impersonation: Some(grant.id.clone()), ..Filter::default() }).await;
    assert!(!of_it.is_empty());
    assert_eq!(ids(&bench, &text(&grant.id)).await, of_it, "by the impersonation's id");
    assert_eq!(ids(&bench, &text(&of_it[0])).await, of_it[..1], "by the row's own id");
    assert_eq!(ids(&bench, &text("per ticket stuck")).await, of_it, "by words of the reason");
    let ticket = grant.ticket_id.to_lowercase();
    let by_ticket = ids(&bench, &text(&ticket)).await;
    assert!(of_it.iter().all(|id| by_ticket.contains(id)), "by the ticket's number");
    let digits = ticket.split_once('-').unwrap().1.to_owned();
    assert_eq!(ids(&bench, &text(&digits)).await, by_ticket, "by its digits");
    let started = ids(&bench, &text(&format!("started {ticket}"))).await;
    assert_eq!(started.len(), 2, "the start in both logs: each word must stand in it");
    assert!(ids(&bench, &text("started nonsense")).await.is_empty());
    assert!(!ids(&bench, &text(&grant.secret_id)).await.is_empty(), "by the secret's id");
    // By whatever ids stand in the details, and by who did it.
    let rows = bench.rows("acme").await;
    let rotation = rows.iter().find_map(|r| r.detail_str("rotation_id")).unwrap();
    assert_eq!(ids(&bench, &text(&format!("{rotation} rotated"))).await.len(), 1);
    let by_name = ids(&bench, &text(&format!("ADA {ticket}"))).await;
    assert!(of_it.iter().all(|id| by_name.contains(id)), "by the admin's name");
}

/// Protects a start that is broken off among a million rows, and the rows of an older version.
async fn words_by_a_newer_rule_are_made_from_where_the_last_start_came_to(bench: Bench) {
    opened(&bench).await;
    super::tamper::fill(&bench, 5).await;
    let before = bench.number("SELECT COUNT(*) FROM audit_term").await;
    let platform = bench.number("SELECT COUNT(*) FROM audit_entry WHERE log_id = 'platform'").await;
    let all = bench.number("SELECT COUNT(*) FROM audit_entry").await;
    let older = async |position: Option<i64>| {
        let mut tx = bench.desk.begin().await.unwrap();
        for sql in [
            "DELETE FROM audit_term WHERE term LIKE 'ada%' OR term = 'stuck'",
            "UPDATE audit_derived SET done = 1",
        ] {
            sqlx::query(sql).execute(tx.conn()).await.unwrap();
        }
        if let Some(rows) = position {
            words_are_made_to(&mut tx, "platform", rows).await.unwrap();
        }
        tx.commit().await.unwrap();
    };
    older(None).await;
    assert!(bench.number("SELECT COUNT(*) FROM audit_term").await < before);
    assert_eq!(make_words(&bench.desk.store).await.unwrap(), u64::try_from(all).unwrap());
    assert_eq!(bench.number("SELECT COUNT(*) FROM audit_term").await, before, "each word once");
    // All but the last two rows of the platform's log were done when it was broken off.
    older(Some(platform - 2)).await;
    let left = u64::try_from(all - platform + 2).unwrap();
    assert_eq!(make_words(&bench.desk.store).await.unwrap(), left);
    assert_eq!(bench.number("SELECT COUNT(*) FROM audit_derived").await, 1, "no position is left");
    assert_eq!(make_words(&bench.desk.store).await.unwrap(), 0);
}

/// The plan of a statement is ours to choose: it must never choose what is found.
async fn whatever_leads_the_same_rows_are_found(bench: Bench) {
    let grant = opened(&bench).await;
    let mut conn = bench.desk.store.read().await.unwrap();
    let all =
        audit::timeline(&mut conn, &Filter::default(), &Seek::Newest, false, 1000).await.unwrap();
    let some = |s: &str| Some(s.to_owned());
    let any = Filter::default;
    let narrowed = [
        Filter { org_id: some(&grant.org_id), action: some("impersonation.started"), ..any() },
        Filter { org_id: some(&grant.org_id), text: some("started"), ..any() },
        Filter {
            ticket: some(&grant.ticket_id),
            admin: some(&grant.admin_id),
            text: some("stuck"),
            ..any()
        },
        Filter {
            secret_type: some(grant.secret_type.as_str()),
            org_id: some(&grant.org_id),
            ..any()
        },
        Filter { text: some("platform started"), from: Some(grant.started_at), ..any() },
        Filter { to: Some(grant.started_at + 1), ..any() },
    ];
    for filter in narrowed {
        let says = |e: &audit::Entry| {
            let row = crate::proof::row::AuditRow::parse(&e.body).unwrap();
            let has = crate::proof::terms::of_row(&row);
            filter.text.as_ref().is_none_or(|t| t.split(' ').all(|w| has.contains(w)))
        };
        let is = |want: &Option<String>, have: &Option<String>| want.is_none() || want == have;
        let expected: Vec<_> = all
            .iter()
            .filter(|e| {
                is(&filter.org_id, &e.org_id)
                    && is(&filter.ticket, &e.ticket_ref)
                    && is(&filter.admin, &Some(e.actor_id.clone()))
                    && is(&filter.action, &Some(e.action.clone()))
                    && is(&filter.secret_type, &e.secret_type)
                    && filter.from.is_none_or(|t| e.at >= t)
                    && filter.to.is_none_or(|t| e.at < t)
                    && says(e)
            })
            .cloned()
            .collect();
        let found = audit::timeline(&mut conn, &filter, &Seek::Newest, false, 1000).await.unwrap();
        assert_eq!(found, expected, "{filter:?}");
        assert!(!found.is_empty(), "{filter:?}");
        let count = audit::count(&mut conn, &filter).await.unwrap();
        assert_eq!(usize::try_from(count).unwrap(), expected.len(), "{filter:?}");
        // The other way round, page by page.
        let (mut newer, mut at) = (Vec::new(), Key { at: Micros::MIN, id: String::new() });
        loop {
            let seek = Seek::Newer(at.clone());
            let page = audit::timeline(&mut conn, &filter, &seek, false, 2).await.unwrap();
            let Some(last) = page.last() else { break };
            at = last.key();
            newer.extend(page);
        }
        newer.reverse();
        assert_eq!(newer, expected, "{filter:?}, from the oldest on");
    }
}

async fn rows_from_before_words_were_are_found_after_the_next_start(bench: Bench) {
    let grant = opened(&bench).await;
    let before = ids(&bench, &text("stuck")).await;
    let mut tx = bench.desk.begin().await.unwrap();
    for sql in ["DELETE FROM audit_term", "UPDATE audit_derived SET done = 0"] {
        sqlx::query(sql).execute(tx.conn()).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert!(ids(&bench, &text("stuck")).await.is_empty());
    assert!(make_words(&bench.desk.store).await.unwrap() > 0);
    assert_eq!(ids(&bench, &text("stuck")).await, before);
    assert!(!ids(&bench, &text(&grant.ticket_id)).await.is_empty());
    assert_eq!(make_words(&bench.desk.store).await.unwrap(), 0, "once is enough");
}

async fn a_verdict_is_searched_for_as_it_was_last_judged(bench: Bench) {
    let grant = opened(&bench).await;
    let with = |verdict| Filter { verdict: Some(verdict), ..Filter::default() };
    while bench.desk.judge_due().await.unwrap() > 0 {}
    let of_it =
        ids(&bench, &Filter { impersonation: Some(grant.id.clone()), ..Filter::default() }).await;
    let open = ids(&bench, &with(Verdict::Open)).await;
    assert!(of_it.iter().all(|id| open.contains(id)));
    // It expires with nothing handed off: its rows move.
    bench.clock.advance(time::HOUR);
    bench.desk.sweep().await.unwrap();
    while bench.desk.judge_due().await.unwrap() > 0 {}
    let complete = ids(&bench, &with(Verdict::Complete)).await;
    assert!(of_it.iter().all(|id| complete.contains(id)));
    assert!(!ids(&bench, &with(Verdict::Open)).await.iter().any(|id| of_it.contains(id)));
}

async fn a_view_is_ones_own_and_never_holds_a_secret(bench: Bench) {
    let (ada, cleo) = (bench.at_work(ADA).await, bench.at_work(CLEO).await);
    let save = async |name: &str, query: &str| {
        let mut tx = bench.desk.begin().await.unwrap();
        let step = bench.desk.save_view(&mut tx, &ada, name, query).await;
        bench.desk.settle(tx, step).await
    };
    save("Mismatches", "verdict=mismatch").await.unwrap();
    save(" Mismatches ", "verdict=incomplete").await.unwrap();
    for (name, query) in [
        ("", "verdict=open"),
        ("All", ""),
        ("a\nb", "verdict=open"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr", "verdict=open"),
        ("View", "text=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr"),
    ] {
        let refused = save(name, query).await;
        assert!(matches!(refused, Err(StepError::Invalid(_))), "{name} {query}: {refused:?}");
    }
    let mut conn = bench.desk.store.read().await.unwrap();
    let kept = saved_views::of(&mut conn, &ada.staff.id).await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(
        (kept[0].name.as_str(), kept[0].query.as_str()),
        ("Mismatches", "verdict=incomplete")
    );
    assert!(saved_views::of(&mut conn, &cleo.staff.id).await.unwrap().is_empty());
    drop(conn);
    for n in 1..30 {
        save(&format!("View {n}"), "verdict=open").await.unwrap();
    }
    assert!(matches!(save("One more", "verdict=open").await, Err(StepError::Conflict(_))));
    save("View 3", "verdict=mismatch").await.unwrap();

    let mut tx = bench.desk.begin().await.unwrap();
    let step = bench.desk.remove_view(&mut tx, &cleo, &kept[0].id).await;
    assert!(matches!(bench.desk.settle(tx, step).await, Err(StepError::NotFound)));
    let mut tx = bench.desk.begin().await.unwrap();
    let step = bench.desk.remove_view(&mut tx, &ada, &kept[0].id).await;
    bench.desk.settle(tx, step).await.unwrap();
}
