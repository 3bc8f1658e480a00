//! The register of impersonations is a table that nothing protects: whoever takes a grant out of it,
//! or changes one, takes neither verdict nor evidence away, and it is said.

use axum::body::Body;
use http::{Request, StatusCode, header};

use super::doors_tests::Site;
use crate::model::time;
use crate::proof::evidence::verify;
use crate::store::Engine;
use crate::store::impersonations::Impersonation;
use crate::testing::story::{ADA, CLEO, LEAKED, STUCK};
use crate::testing::{Bench, both_engines};

both_engines!(
    a_grant_taken_out_of_the_register_is_drawn_from_the_logs,
    a_grant_changed_in_the_register_is_contradicted_field_by_field,
    a_grant_given_to_another_org_in_the_register_does_not_lead_the_evidence_astray,
    what_is_in_neither_log_is_not_found,
    a_grant_without_rows_is_an_alarm,
    lists_show_what_the_logs_have,
    a_page_that_checks_again_is_one_row_and_each_file_taken_is_one,
);

const MISSING: &str = "The register of impersonations has no such grant; both logs do";
const CONTRADICTS: &str = "The register of impersonations contradicts the logs";

impl Site {
    /// A page or a file, as an auditor gets it.
    async fn get(&self, path: &str) -> (StatusCode, String) {
        let request = Request::builder().uri(path).header(header::ACCEPT, "text/html");
        let request = request.header(header::COOKIE, self.cookie(CLEO).await);
        let answer = self.send(request.body(Body::empty()).unwrap()).await;
        let status = answer.status();
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 22).await.unwrap();
        // Without the marks at which a browser would go on.
        (status, String::from_utf8(bytes.to_vec()).unwrap().replace("<!>", ""))
    }

    async fn seen(&self, path: &str) -> String {
        let (status, text) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        text
    }

    /// Page, file and document of an impersonation; the file proves a complete trail.
    async fn three(&self, id: &str) -> (String, String, String) {
        let page = self.seen(&format!("/impersonations/{id}")).await;
        let file = self.seen(&format!("/impersonations/{id}/evidence.json")).await;
        let document = self.seen(&format!("/impersonations/{id}/evidence")).await;
        let keys = self.bench.desk.keys.log.verifiers();
        let report = verify(&file, &keys, self.bench.now()).unwrap();
        assert!(report.proves_complete(), "{report:#?}");
        assert!(page.contains("<h2>Complete"), "{page}");
        (page, file, document)
    }
}

/// A site with one impersonation from beginning to end.
async fn finished(bench: Bench) -> (Site, Impersonation) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    bench.clock.advance(time::SECOND * 40);
    bench.rotate(&grant).await.unwrap();
    bench.hand_off(&ada, &grant.id).await.unwrap();
    while bench.desk.judge_due().await.unwrap() > 0 {}
    let id = grant.id.clone();
    let site = Site::on(bench).await;
    let (page, _, document) = site.three(&id).await;
    assert!(!page.contains("egister of impersonations"), "{page}");
    assert!(!document.contains("egister of impersonations"));
    (site, grant)
}

async fn change(site: &Site, sql: &str) {
    assert!(site.bench.sql(sql).await.unwrap() > 0, "{sql}");
}

/// Takes a grant out, as whoever owns the database can: references to it hold nobody up.
async fn take_out(site: &Site, id: &str) {
    let delete = format!("DELETE FROM impersonation WHERE id = '{id}'");
    let (off, on) = match site.bench.engine() {
        Engine::Sqlite => ("PRAGMA foreign_keys = OFF", "PRAGMA foreign_keys = ON"),
        Engine::Postgres => {
            ("SET session_replication_role = replica", "SET session_replication_role = DEFAULT")
        }
    };
    change(site, &format!("{off}; {delete}; {on}")).await;
}

async fn a_grant_taken_out_of_the_register_is_drawn_from_the_logs(bench: Bench) {
    let (site, grant) = finished(bench).await;
    let (before, ..) = site.three(&grant.id).await;
    take_out(&site, &grant.id).await;
    let (page, file, document) = site.three(&grant.id).await;
    assert!(page.contains(MISSING) && page.contains("role=\"alert\""), "{page}");
    assert!(document.contains(MISSING));
    // The panel of the grant is as it was: every fact of it is in the logs.
    let facts = |page: &str| {
        let panel = page.split("aria-label=\"Facts of the grant\"").nth(1).unwrap();
        panel.split("</section>").next().unwrap().to_owned()
    };
    assert_eq!(facts(&page), facts(&before));
    for said in ["Ada Admin", "Owner of acme", STUCK, "whk_acme", "handoff", &grant.reason] {
        assert!(facts(&page).contains(said), "{said}: {page}");
    }
    assert!(document.contains(STUCK) && document.contains(&grant.reason));
    assert!(file.contains("org/org-acme"));
    let row = site.bench.rows_of("platform", "platform.audit_exported").await.pop().unwrap();
    assert_eq!(row.detail_i64("platform_rows"), Some(3), "start, handoff, end");
    assert_eq!(row.detail_i64("org_rows"), Some(4), "start, rotation, handoff, end");

    let found = site.get(&format!("/lookup?q={}", grant.id)).await;
    assert_eq!(found.0, StatusCode::SEE_OTHER, "the look-up field still leads there");
    let rotation = facts(&page).split("/rotations/").nth(1).unwrap()[..36].to_owned();
    let rotation = site.seen(&format!("/rotations/{rotation}")).await;
    assert!(rotation.contains(&format!("/impersonations/{}", grant.id)), "{rotation}");
    assert!(!rotation.contains("self-service"));
}

async fn a_grant_changed_in_the_register_is_contradicted_field_by_field(bench: Bench) {
    let (site, grant) = finished(bench).await;
    for (set, field, register, logs) in [
        ("admin_id = 'staff-ben'", "Admin", "staff-ben", ADA),
        ("ticket_id = 'NOV-4802'", "Ticket", "NOV-4802", STUCK),
        ("secret_id = 'whk_acme_2'", "Secret", "whk_acme_2", "whk_acme"),
        ("reason = 'because'", "Reason", "because", grant.reason.as_str()),
        ("expires_at = expires_at + 60000000", "Valid until", "", ""),
        ("started_at = started_at - 1000000", "Started", "", ""),
        ("ended_at = NULL", "Ended", "nothing", ""),
        ("ended_at = ended_at - 5000000", "Ended", "", ""),
        ("end_cause = 'expired'", "Cause of the end", "expired", "handoff"),
    ] {
        let (column, _) = set.split_once(" = ").unwrap();
        let kept = format!("CREATE TABLE kept AS SELECT id, {column} AS was FROM impersonation");
        site.bench.sql(&kept).await.unwrap();
        let id = &grant.id;
        change(&site, &format!("UPDATE impersonation SET {set} WHERE id = '{id}'")).await;
        let (page, _, document) = site.three(id).await;
        for text in [&page, &document] {
            assert!(text.contains(CONTRADICTS), "{set}");
            let said = text.split(&format!("<li><strong>{field}</strong>")).nth(1);
            let said = said.unwrap_or_else(|| panic!("{set}: {text}")).split("</li>").next();
            let said = said.unwrap();
            assert!(said.contains(register) && said.contains(logs), "{set}: {said}");
            assert_eq!(text.matches("the register says ").count(), 1, "{set}");
        }
        let back = format!("UPDATE impersonation SET {column} = (SELECT was FROM kept)");
        change(&site, &back).await;
        site.bench.sql("DROP TABLE kept").await.unwrap();
    }
    let (page, ..) = site.three(&grant.id).await;
    assert!(!page.contains(CONTRADICTS), "put back as it was");
}

/// Protects the evidence from being made of another org's log, where there are no rows.
async fn a_grant_given_to_another_org_in_the_register_does_not_lead_the_evidence_astray(
    bench: Bench,
) {
    let (site, grant) = finished(bench).await;
    let set = format!("UPDATE impersonation SET org_id = 'org-birch' WHERE id = '{}'", grant.id);
    change(&site, &set).await;
    let (page, file, document) = site.three(&grant.id).await;
    assert!(file.contains("org/org-acme") && !file.contains("org-birch"));
    for text in [page, document] {
        assert!(text.contains(CONTRADICTS) && text.contains("org-birch"));
    }
}

async fn what_is_in_neither_log_is_not_found(bench: Bench) {
    let site = Site::on(bench).await;
    let rows = site.bench.rows("platform").await.len();
    let cookie = site.cookie(CLEO).await;
    let signed_in = site.bench.rows("platform").await.len();
    assert_eq!(signed_in, rows + 1);
    for end in ["", "/evidence.json", "/evidence.json?check", "/evidence"] {
        let request = Request::builder()
            .uri(format!("/impersonations/whsec_none{end}"))
            .header(header::COOKIE, &cookie);
        let answer = site.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{end}");
    }
    assert_eq!(site.bench.rows("platform").await.len(), signed_in, "nor does it leave a row");
}

async fn a_grant_without_rows_is_an_alarm(bench: Bench) {
    let (site, grant) = finished(bench).await;
    let copy = format!(
        "INSERT INTO impersonation (id, admin_id, org_id, ticket_id, owner_id, secret_type, secret_id, reason, scope, \
         started_at, expires_at, ended_at, end_cause, ended_by) \
         SELECT 'made-up', admin_id, org_id, ticket_id, owner_id, secret_type, secret_id, reason, scope, \
         started_at, expires_at, ended_at, end_cause, ended_by FROM impersonation WHERE id = '{}'",
        grant.id
    );
    change(&site, &copy).await;
    let page = site.seen("/impersonations/made-up").await;
    assert!(page.contains("Neither log has a row of this impersonation"), "{page}");
    let list = site.seen("/impersonations").await;
    assert!(list.contains("In neither log"));
}

/// Protects lists and the timeline from losing what the register has lost, and from repeating
/// what was changed there.
async fn lists_show_what_the_logs_have(bench: Bench) {
    let (site, grant) = finished(bench).await;
    // A second one, so that the list has something below and above.
    let ada = site.bench.at_work(ADA).await;
    site.bench.clock.advance(time::HOUR);
    let ada = crate::desk::AtWork { proven_at: site.bench.now(), ..ada };
    let other = site.bench.impersonate(&ada, LEAKED).await.unwrap();
    site.bench.end(&ada, &other.id).await.unwrap();
    while site.bench.desk.judge_due().await.unwrap() > 0 {}
    let line = |list: &str| {
        let from =
            list.split("<tr").find(|tr| tr.contains(&format!("/impersonations/{}", grant.id)));
        from.unwrap_or_else(|| panic!("{list}")).to_owned()
    };
    let good = line(&site.seen("/impersonations").await);
    assert!(good.contains("webhook_signing_key") && good.contains("40 s"), "{good}");

    let set = format!(
        "UPDATE impersonation SET ticket_id = 'NOV-4803', ended_at = ended_at + 60000000 WHERE id = '{}'",
        grant.id
    );
    change(&site, &set).await;
    let changed = line(&site.seen("/impersonations").await);
    assert!(changed.contains("The register differs"), "{changed}");
    assert!(changed.contains(STUCK) && changed.contains("40 s") && !changed.contains("NOV-4803"));

    take_out(&site, &grant.id).await;
    for address in ["/impersonations", "/audit"] {
        let list = site.seen(address).await;
        assert!(list.contains(&format!("/impersonations/{}", grant.id)), "{address}");
        assert!(list.to_lowercase().contains("not in the register"), "{address}");
    }
    let gone = line(&site.seen("/impersonations").await);
    for said in [STUCK, "webhook_signing_key", "40 s", "Ada", "Complete"] {
        assert!(gone.contains(said), "{said}: {gone}");
    }
    // Its place is where it was: below the newer one, and not on the page before it.
    let list = site.seen("/impersonations").await;
    let at = |id: &str| list.find(&format!("/impersonations/{id}")).unwrap();
    assert!(at(&other.id) < at(&grant.id));
    assert!(line(&list).contains("NOV-4801"));
    take_out(&site, &other.id).await;
    let list = site.seen("/impersonations").await;
    assert!(list.contains(&other.id) && list.contains(&grant.id), "without any grant");
}

/// Protects the platform's log from a row for each time that a page is looked at, and auditors from
/// a file that is taken along unseen.
async fn a_page_that_checks_again_is_one_row_and_each_file_taken_is_one(bench: Bench) {
    let (site, grant) = finished(bench).await;
    let exported = async || site.bench.rows_of("platform", "platform.audit_exported").await.len();
    let before = exported().await;
    let file = format!("/impersonations/{}/evidence.json", grant.id);
    for _ in 0..3 {
        site.seen(&format!("{file}?check")).await;
    }
    assert_eq!(exported().await, before + 1);
    site.bench.clock.advance(time::MINUTE * 11);
    site.seen(&format!("{file}?check")).await;
    assert_eq!(exported().await, before + 2);
    for taken in 1..=2 {
        site.seen(&file).await;
        assert_eq!(exported().await, before + 2 + taken);
    }
    let row = site.bench.rows_of("platform", "platform.audit_exported").await.pop().unwrap();
    assert_eq!(row.detail_str("filter"), Some(format!("impersonation={}", grant.id).as_str()));
}
