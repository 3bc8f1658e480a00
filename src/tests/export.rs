//! Exports of the timeline: exactly the rows that the record of them counts, or none that passes
//! for the whole.

use crate::audit::export::Format;
use crate::audit::{Actor, LogId, NewRow};
use crate::desk::export::{Export, Wanted};
use crate::desk::{AtWork, Step};
use crate::model::Stand;
use crate::proof::actions;
use crate::proof::row::AuditRow;
use crate::proof::verdict::Verdict;
use crate::store::Engine;
use crate::store::audit::Filter;
use crate::testing::story::{ADA, BEN, CLEO, LEAKED, STUCK};
use crate::testing::{Bench, both_engines};

both_engines!(
    an_export_is_of_the_rows_that_match_and_of_no_others,
    the_moment_of_an_export_is_the_one_that_was_counted,
    an_export_of_many_rows_comes_in_batches_and_in_order,
    an_export_that_is_not_on_record_does_not_happen,
    an_export_from_which_a_row_is_gone_is_cut_off,
    an_export_ends_with_the_account_that_asked_for_it,
    what_is_judged_meanwhile_neither_adds_to_an_export_nor_cuts_it_off,
    a_text_that_becomes_an_id_meanwhile_means_what_it_meant,
);

async fn begin(bench: &Bench, who: &AtWork, format: Format, filter: Filter) -> Step<Export> {
    let wanted = Wanted { format, filter, query: "as=asked".to_owned() };
    let mut conn = bench.desk.store.read().await.unwrap();
    bench.desk.begin_export(&mut conn, who, wanted).await
}

/// Rows of the platform's log, a microsecond apart: rows of one instant have no order.
async fn fill(bench: &Bench, rows: usize) {
    let mut tx = bench.desk.begin().await.unwrap();
    for _ in 0..rows {
        bench.clock.advance(1);
        let row = NewRow::new("platform.audit_viewed", &Actor::system());
        bench.desk.log(&mut tx, &LogId::Platform, row).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn rest(bench: &Bench, export: &mut Export) -> Step<String> {
    let mut text = String::new();
    while let Some(more) = bench.desk.export_more(export).await? {
        text.push_str(&more);
    }
    Ok(text)
}

async fn failure(bench: &Bench, export: &mut Export) -> String {
    rest(bench, export).await.map(|text| text.len()).unwrap_err().to_string()
}

async fn an_export_is_of_the_rows_that_match_and_of_no_others(bench: Bench) {
    let (ada, cleo) = (bench.at_work(ADA).await, bench.at_work(CLEO).await);
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    bench.rotate(&grant).await.unwrap();
    bench.hand_off(&ada, &grant.id).await.unwrap();
    fill(&bench, 3).await;
    let all = [bench.rows("platform").await, bench.rows("acme").await].concat();
    let filters = [
        (Filter::default(), all.len()),
        (Filter { ticket: Some(STUCK.into()), ..Filter::default() }, 0),
        (Filter { impersonation: Some(grant.id.clone()), ..Filter::default() }, 0),
        (Filter { action: Some("no.such".into()), ..Filter::default() }, 0),
    ];
    for (filter, at_least) in filters {
        let mut export = begin(&bench, &cleo, Format::JsonLines, filter.clone()).await.unwrap();
        let text = rest(&bench, &mut export).await.unwrap();
        let rows: Vec<AuditRow> = text.lines().map(|l| AuditRow::parse(l).unwrap()).collect();
        assert_eq!(i64::try_from(rows.len()), Ok(export.rows()));
        assert!(rows.len() >= at_least, "{filter:?}");
        assert!(rows.is_sorted_by_key(|r| (r.at, r.id.clone())));
        let wanted = |r: &AuditRow| {
            filter.ticket.as_ref().is_none_or(|t| r.ticket_ref.as_ref() == Some(t))
                && filter
                    .impersonation
                    .as_ref()
                    .is_none_or(|i| r.impersonation_id.as_ref() == Some(i))
                && filter.action.as_ref().is_none_or(|a| &r.action == a)
        };
        assert!(rows.iter().all(wanted), "{filter:?}");
        let matching = all.iter().filter(|r| wanted(r)).count();
        assert!(rows.len() >= matching, "{filter:?}");

        let record = bench.rows("platform").await.pop().unwrap();
        assert_eq!(record.action, actions::PLATFORM_AUDIT_EXPORTED);
        assert_eq!(record.actor_id, CLEO);
        assert_eq!(record.detail_str("format"), Some("jsonl"));
        assert_eq!(record.detail_str("filter"), Some("as=asked"));
        assert_eq!(record.detail_i64("count"), Some(export.rows()));
        assert!(rows.iter().all(|r| r.id != record.id), "its own row is not in it");
    }
    bench.verify_all().await.unwrap();
}

async fn the_moment_of_an_export_is_the_one_that_was_counted(bench: Bench) {
    let cleo = bench.at_work(CLEO).await;
    fill(&bench, 300).await;
    let before = bench.rows("platform").await;
    let mut export = begin(&bench, &cleo, Format::JsonLines, Filter::default()).await.unwrap();
    let first = bench.desk.export_more(&mut export).await.unwrap().unwrap();
    // Rows of this instant and of later ones, in both logs, while somebody reads.
    fill(&bench, 20).await;
    bench.set_consent(&crate::testing::story::member_id("birch", "owner"), false).await.unwrap();
    let text = first + &rest(&bench, &mut export).await.unwrap();
    let of_platform: Vec<AuditRow> =
        text.lines().map(|l| AuditRow::parse(l).unwrap()).filter(|r| r.log == "platform").collect();
    assert!(of_platform == before, "{} of {} rows", of_platform.len(), before.len());
    assert_eq!(i64::try_from(text.lines().count()), Ok(export.rows()));
}

async fn an_export_of_many_rows_comes_in_batches_and_in_order(bench: Bench) {
    let cleo = bench.at_work(CLEO).await;
    fill(&bench, 700).await;
    for format in Format::ALL {
        let mut export = begin(&bench, &cleo, format, Filter::default()).await.unwrap();
        let (mut lines, mut longest) = (0, 0);
        while let Some(more) = bench.desk.export_more(&mut export).await.unwrap() {
            longest = longest.max(more.lines().count());
            lines += more.lines().count();
        }
        assert_eq!(i64::try_from(lines), Ok(export.rows()), "{format:?}");
        assert!(longest <= 256 && lines >= 700, "{format:?}: {longest} of {lines} at once");
    }
}

async fn an_export_that_is_not_on_record_does_not_happen(bench: Bench) {
    let cleo = bench.at_work(CLEO).await;
    bench.refuse_rows("platform.audit_exported").await;
    assert!(begin(&bench, &cleo, Format::Csv, Filter::default()).await.is_err());
    bench.take_rows_again().await;
    assert!(begin(&bench, &cleo, Format::Csv, Filter::default()).await.is_ok());
}

async fn an_export_from_which_a_row_is_gone_is_cut_off(bench: Bench) {
    let cleo = bench.at_work(CLEO).await;
    fill(&bench, 300).await;
    let mut missing = begin(&bench, &cleo, Format::Csv, Filter::default()).await.unwrap();
    let mut changed = begin(&bench, &cleo, Format::Csv, Filter::default()).await.unwrap();
    for export in [&mut missing, &mut changed] {
        bench.desk.export_more(export).await.unwrap().unwrap();
    }
    let newest = "log_id = 'platform' AND seq = 290";
    match bench.engine() {
        Engine::Sqlite => {
            for event in ["update", "delete"] {
                bench.sql(&format!("DROP TRIGGER audit_entry_no_{event}")).await.unwrap();
            }
        }
        Engine::Postgres => {
            bench.sql("ALTER TABLE audit_entry DISABLE TRIGGER USER").await.unwrap();
        }
    }
    let change = format!("UPDATE audit_entry SET ticket_ref = 'NOV-1' WHERE {newest}");
    super::tamper::change(&bench, &change).await;
    let said = failure(&bench, &mut changed).await;
    assert!(said.contains("row 290 of platform"), "{said}");
    super::tamper::change(&bench, &format!("DELETE FROM audit_entry WHERE {newest}")).await;
    let said = failure(&bench, &mut missing).await;
    // The rows beside it cannot be proven without it, so it does not even come to counting.
    assert!(said.contains("rows are gone") || said.contains("of platform"), "{said}");
}

async fn an_export_ends_with_the_account_that_asked_for_it(bench: Bench) {
    let cleo = bench.at_work(CLEO).await;
    fill(&bench, 300).await;
    let mut export = begin(&bench, &cleo, Format::Csv, Filter::default()).await.unwrap();
    bench.desk.export_more(&mut export).await.unwrap().unwrap();
    let mut tx = bench.desk.begin().await.unwrap();
    let by = Actor::system();
    bench.desk.disable_staff(&mut tx, &cleo.staff.email, &by).await.unwrap();
    tx.commit().await.unwrap();
    assert!(rest(&bench, &mut export).await.is_err());
}

/// Protects an auditor from a file with other rows than the record says, or from none at all, on a
/// platform where trails are judged all the time.
async fn what_is_judged_meanwhile_neither_adds_to_an_export_nor_cuts_it_off(bench: Bench) {
    let (ada, cleo) = (bench.at_work(ADA).await, bench.at_work(CLEO).await);
    let judged = async || while bench.desk.judge_due().await.unwrap() > 0 {};
    let of = |verdict| Filter { verdict: Some(verdict), ..Filter::default() };
    let first = bench.impersonate(&ada, STUCK).await.unwrap();
    bench.rotate(&first).await.unwrap();
    judged().await;
    let ids = async |export: &mut Export| {
        let text = rest(&bench, export).await.unwrap();
        let rows = text.lines().map(|line| AuditRow::parse(line).unwrap());
        rows.map(|row| (row.impersonation_id, row.id)).collect::<Vec<_>>()
    };
    let mut before = begin(&bench, &cleo, Format::JsonLines, of(Verdict::Open)).await.unwrap();
    let open = ids(&mut before).await;
    assert!(!open.is_empty() && open.iter().all(|(of, _)| of.as_ref() == Some(&first.id)));
    // Counted while it is open, and read once it is not.
    let mut export = begin(&bench, &cleo, Format::JsonLines, of(Verdict::Open)).await.unwrap();
    bench.hand_off(&ada, &first.id).await.unwrap();
    judged().await;
    assert_eq!(i64::try_from(open.len()), Ok(export.rows()));
    assert_eq!(ids(&mut export).await, open);

    // Nor is another standing that it leaves meanwhile: the Owner confirms what came.
    let waits = Filter { standing: Some(Stand::Unacknowledged), ..Filter::default() };
    let mut export = begin(&bench, &cleo, Format::JsonLines, waits).await.unwrap();
    let counted = export.rows();
    let handoff = bench.handoff_of(&first.id).await;
    bench.desk.send_due().await.unwrap();
    let mut tx = bench.desk.begin().await.unwrap();
    let ben = bench.at_work(BEN).await;
    let over = crate::model::ConfirmedOver::Telephone;
    let step = bench.desk.acknowledge_by_staff(&mut tx, &ben, &handoff.id, over, "Olive").await;
    bench.desk.settle(tx, step).await.unwrap();
    judged().await;
    assert!(counted > 0);
    assert_eq!(i64::try_from(ids(&mut export).await.len()), Ok(counted));

    // Another one is complete by the time that this one is read.
    let mut export = begin(&bench, &cleo, Format::JsonLines, of(Verdict::Complete)).await.unwrap();
    let counted = export.rows();
    bench.clock.advance(crate::model::time::HOUR);
    let ben = bench.at_work(BEN).await;
    let second = bench.impersonate(&ben, LEAKED).await.unwrap();
    bench.rotate(&second).await.unwrap();
    bench.hand_off(&ben, &second.id).await.unwrap();
    judged().await;
    let complete = ids(&mut export).await;
    assert_eq!(i64::try_from(complete.len()), Ok(counted));
    assert!(complete.iter().all(|(of, _)| of.as_ref() == Some(&first.id)));
    let mut all = begin(&bench, &cleo, Format::JsonLines, of(Verdict::Complete)).await.unwrap();
    assert!(ids(&mut all).await.iter().any(|(of, _)| of.as_ref() == Some(&second.id)));
}

async fn a_text_that_becomes_an_id_meanwhile_means_what_it_meant(bench: Bench) {
    let cleo = bench.at_work(CLEO).await;
    fill(&bench, 3).await;
    let filter = Filter { text: Some("viewed".into()), ..Filter::default() };
    let mut export = begin(&bench, &cleo, Format::JsonLines, filter).await.unwrap();
    assert!(export.rows() >= 3);
    let named = Actor { id: "viewed".to_owned(), ..Actor::system() };
    let mut tx = bench.desk.begin().await.unwrap();
    bench.clock.advance(1);
    let row = NewRow::new("platform.audit_viewed", &named);
    bench.desk.log(&mut tx, &LogId::Platform, row).await.unwrap();
    tx.commit().await.unwrap();
    let lines = rest(&bench, &mut export).await.unwrap().lines().count();
    assert_eq!(i64::try_from(lines), Ok(export.rows()));
}
