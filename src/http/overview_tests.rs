//! The overview's figures, each beside what the page that it leads to shows.

use axum::body::Body;
use http::{Request, StatusCode, header};

use super::doors_tests::Site;
use crate::audit::{LogId, NewRow};
use crate::delivery::refusal::Again;
use crate::model::time;
use crate::proof::actions;
use crate::store::impersonations::Impersonation;
use crate::store::outbox;
use crate::testing::breakable::Mood;
use crate::testing::story::{ADA, BEN, CLEO, LEAKED, STUCK, STUCK_TOO};
use crate::testing::{Bench, both_engines};
use crate::tests::tamper;

both_engines!(
    each_figure_is_what_its_page_shows,
    a_revocation_that_is_made_is_owed_no_more,
    what_is_undelivered_and_what_waits_is_counted_and_shown_until_it_is_seen_to,
);

const VAULT_TICKET: &str = "NOV-4803";

async fn get(site: &Site, cookie: &str, address: &str) -> String {
    let request = Request::builder().uri(address).header(header::COOKIE, cookie);
    let response = site.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::OK, "{address}");
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 24).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap().replace("<!>", "").replace("<!---->", "")
}

/// How many impersonations a filter of the timeline shows, page by page.
async fn shown(site: &Site, cookie: &str, address: &str) -> usize {
    let (mut address, mut n) = (address.to_owned(), 0);
    loop {
        let page = get(site, cookie, &address).await;
        n += page.matches("<tbody class=\"tl-group").count();
        let Some(older) = page.split_once(">Older").map(|(before, _)| before) else { break };
        // On the last page it is a word and no link.
        let link = older.rsplit_once('<').map_or("", |(_, tag)| tag);
        let Some((_, href)) = link.split_once("href=\"/audit?") else { break };
        address = format!("/audit?{}", href.split('"').next().unwrap().replace("&amp;", "&"));
        assert!(address.contains("before="), "{address}");
    }
    n
}

/// Writes a row of an impersonation that the procedure does not write so.
async fn plant(bench: &Bench, grant: &Impersonation, log: LogId, action: &str) {
    let who = bench.at_work(ADA).await.actor();
    let who = if log == LogId::Platform { who } else { who.impersonating() };
    let mut tx = bench.desk.begin().await.unwrap();
    bench.desk.log(&mut tx, &log, NewRow::new(action, &who).under(grant)).await.unwrap();
    tx.commit().await.unwrap();
}

/// Impersonations of each kind that the overview counts.
async fn each_kind(bench: &Bench) {
    let org = |grant: &Impersonation| LogId::Org(grant.org_id.clone());
    // Handed off at once, not acknowledged; with a vault token that still works.
    for ticket in [STUCK, VAULT_TICKET] {
        let ada = bench.at_work(ADA).await;
        let grant = bench.impersonate(&ada, ticket).await.unwrap();
        bench.clock.advance(time::SECOND);
        if ticket == VAULT_TICKET {
            bench.vault.set(Mood::RevokesNothing);
        }
        bench.rotate(&grant).await.unwrap();
        bench.clock.advance(time::SECOND);
        bench.hand_off(&ada, &grant.id).await.unwrap();
        bench.clock.advance(time::MINUTE);
    }
    // Ended with nothing rotated: incomplete.
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, LEAKED).await.unwrap();
    bench.clock.advance(time::SECOND);
    bench.end(&ada, &grant.id).await.unwrap();
    bench.clock.advance(time::MINUTE);
    // A handoff long before its end: too long open, and late.
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, LEAKED).await.unwrap();
    plant(bench, &grant, LogId::Platform, actions::PLATFORM_SECRET_HANDED_OFF).await;
    bench.clock.advance(3 * time::MINUTE);
    bench.end(&ada, &grant.id).await.unwrap();
    bench.clock.advance(time::MINUTE);
    // A second start: the logs disagree.
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, LEAKED).await.unwrap();
    plant(bench, &grant, org(&grant), actions::IMPERSONATION_STARTED).await;
    bench.clock.advance(time::SECOND);
    bench.end(&ada, &grant.id).await.unwrap();
    bench.clock.advance(time::MINUTE);
    // Nobody ended it.
    let ben = bench.at_work(BEN).await;
    bench.impersonate(&ben, STUCK_TOO).await.unwrap();
    bench.clock.advance(time::HOUR);
    bench.desk.sweep().await.unwrap();
    // A row that somebody changed.
    let ben = bench.at_work(BEN).await;
    let grant = bench.impersonate(&ben, "NOV-4804").await.unwrap();
    bench.clock.advance(time::SECOND);
    bench.end(&ben, &grant.id).await.unwrap();
    tamper::unlock(bench).await;
    tamper::change(
        bench,
        &format!(
            "UPDATE audit_entry SET body = body || ' ' WHERE impersonation_id = '{}' \
             AND action = 'impersonation.started'",
            grant.id
        ),
    )
    .await;
    while bench.desk.judge_due().await.unwrap() > 0 {}
}

/// The cards with a figure: what each is called, its figure, and where the figure and what stands
/// beside it lead.
fn cards(page: &str) -> Vec<(String, usize, Vec<String>)> {
    let text = |html: &str| {
        let mut inside = false;
        let visible = |c: &char| {
            let shown = !inside && *c != '<';
            match c {
                '<' => inside = true,
                '>' => inside = false,
                _ => {}
            }
            shown && *c != '>'
        };
        html.chars().filter(visible).collect::<String>()
    };
    page.split("<li class=\"need")
        .skip(1)
        .map(|card| {
            let card = card.split("<ul>").next().unwrap();
            let title = card.split_once("<h3>").unwrap().1.split_once("</h3>").unwrap().0;
            let figure = card.split_once("class=\"need-n\"").unwrap().1;
            let figure = figure.split_once('>').unwrap().1.split_once("</a>").unwrap().0;
            let links = card.split("href=\"").skip(1).filter(|l| l.starts_with('/'));
            let links = links.map(|l| l.split('"').next().unwrap().replace("&amp;", "&"));
            (
                text(title),
                text(figure).parse().unwrap_or(0),
                links.filter(|l| !l.starts_with("/icons")).collect(),
            )
        })
        .collect()
}

async fn each_figure_is_what_its_page_shows(bench: Bench) {
    each_kind(&bench).await;
    let site = Site::on(bench).await;
    let cookie = site.cookie(CLEO).await;
    let overview = get(&site, &cookie, "/overview?days=30").await;
    let cards = cards(&overview);
    let mut seen = Vec::new();
    for (title, figure, links) in &cards {
        let timeline = links.iter().find(|l| l.starts_with("/audit?"));
        // Those are tested by themselves.
        let elsewhere = title.contains("expiring") || title == "Owner changed";
        if elsewhere || links.iter().all(|l| l == "/deliveries") {
            continue;
        }
        let timeline = timeline.unwrap_or_else(|| panic!("{title}: {links:?}"));
        assert!(*figure > 0, "{title} occurs");
        let n = shown(&site, &cookie, timeline).await;
        assert_eq!(n, *figure, "{title}: {timeline}");
        // The list beside it is as long.
        let list = links.iter().find(|l| !l.starts_with("/audit?")).unwrap();
        let list = get(&site, &cookie, list).await;
        let (_, rows) = list.split_once("<tbody").unwrap();
        let rows = rows.split_once("</tbody>").unwrap().0.matches("<tr").count();
        assert_eq!(rows, *figure, "{title}, as a list");
        seen.push(title.as_str());
    }
    assert_eq!(
        seen,
        [
            "Tampered",
            "Mismatch",
            "Incomplete",
            "Open too long",
            "Handoff not acknowledged",
            "Revoke owed"
        ]
    );
    // How many ended within a minute of the handoff, and later.
    let (_, lengths) = overview.split_once("Ended within a minute of the handoff").unwrap();
    let lengths = lengths.split_once("</dl>").unwrap().0;
    for (standing, figure) in [("standing=prompt", 2), ("standing=late", 1)] {
        let mut links = lengths.split("href=\"").skip(1).map(|l| l.split('"').next().unwrap());
        let link = links.find(|l| l.contains(standing)).unwrap().replace("&amp;", "&");
        assert_eq!(shown(&site, &cookie, &link).await, figure, "{link}");
    }
    assert!(lengths.contains("2 of 3") && lengths.contains("1 later"), "{lengths}");
    // For how long tokens were open: each bar is as high as its timeline is long.
    let (mut bars, mut tokens) = (0, 0);
    for row in overview.split("<tr><th scope=\"row\"><a href=\"").skip(1) {
        let (link, rest) = row.split_once('"').unwrap();
        if link.contains("open_for=") {
            let figure = rest.split_once("<td>").unwrap().1.split_once('<').unwrap().0;
            let figure: usize = figure.parse().unwrap();
            let link = html_escape::decode_html_entities(link);
            assert_eq!(shown(&site, &cookie, &link).await, figure, "{link}");
            (bars, tokens) = (bars + 1, tokens + figure);
        }
    }
    assert!(bars > 0 && tokens > 3, "{bars} bars of {tokens} tokens");
}

/// Protects the timeline from showing what was true once: the list of what is due is told of a
/// revocation, though its row is of no impersonation.
async fn a_revocation_that_is_made_is_owed_no_more(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, VAULT_TICKET).await.unwrap();
    bench.vault.set(Mood::RevokesNothing);
    bench.rotate(&grant).await.unwrap();
    bench.hand_off(&ada, &grant.id).await.unwrap();
    while bench.desk.judge_due().await.unwrap() > 0 {}
    let site = Site::on(bench).await;
    let cookie = site.cookie(CLEO).await;
    assert_eq!(shown(&site, &cookie, "/audit?standing=owing").await, 1);
    assert_eq!(shown(&site, &cookie, "/audit?standing=unacknowledged").await, 1);
    site.bench.vault.set(Mood::Well);
    site.bench.clock.advance(2 * time::DAY);
    site.bench.desk.send_due().await.unwrap();
    while site.bench.desk.judge_due().await.unwrap() > 0 {}
    let cookie = site.cookie(CLEO).await;
    assert_eq!(shown(&site, &cookie, "/audit?standing=owing").await, 0);
    let handoff = site.bench.handoff_of(&grant.id).await;
    let mut tx = site.bench.desk.begin().await.unwrap();
    let who = site.bench.at_work(BEN).await;
    let over = crate::model::ConfirmedOver::Telephone;
    let step =
        site.bench.desk.acknowledge_by_staff(&mut tx, &who, &handoff.id, over, "Olive").await;
    site.bench.desk.settle(tx, step).await.unwrap();
    while site.bench.desk.judge_due().await.unwrap() > 0 {}
    assert_eq!(shown(&site, &cookie, "/audit?standing=unacknowledged").await, 0);
}

/// Protects from what is tried for ever, or not any more, in silence.
async fn what_is_undelivered_and_what_waits_is_counted_and_shown_until_it_is_seen_to(bench: Bench) {
    let refused = "the mail server answered 550 5.1.1 … User unknown";
    bench.mailbox.refuse("owner@acme.example", Again::Never, refused);
    let greylisted = "the mail server answered 450 4.2.0 Greylisted";
    bench.mailbox.refuse("owner@birch.example", Again::Later(None), greylisted);
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    bench.rotate(&grant).await.unwrap();
    let handoff = bench.hand_off(&ada, &grant.id).await.unwrap();
    let other = bench.impersonate(&ada, LEAKED).await.unwrap();
    bench.desk.send_due().await.unwrap();
    bench.clock.advance(time::MINUTE);
    let site = Site::on(bench).await;
    let (desk, cookie) = (site.bench.desk.clone(), site.cookie(ADA).await);
    let figure = |page: &str, title: &str| {
        let found = cards(page).into_iter().find(|(name, ..)| name == title);
        found.unwrap_or_else(|| panic!("{title}: {:?}", cards(page))).1
    };
    let overview = get(&site, &cookie, "/overview").await;
    assert_eq!(figure(&overview, "Undelivered"), 3, "the start, the mail, the end");
    assert_eq!(figure(&overview, "Waiting for a system outside"), 1);
    assert!(overview.contains("Mail: 1"));
    let deliveries = get(&site, &cookie, "/deliveries").await;
    assert_eq!(deliveries.matches(refused).count(), 3);
    assert_eq!(deliveries.matches(greylisted).count(), 1);
    let rotation = format!("/rotations/{}", handoff.rotation_id);
    assert!(deliveries.contains(&rotation));
    assert_eq!(deliveries.matches("/do/put_right").count(), 4, "two that are no handoff");
    // Auditors see the same, and press nothing.
    let auditor = site.cookie(CLEO).await;
    let seen = get(&site, &auditor, "/deliveries").await;
    assert_eq!((seen.matches(refused).count(), seen.matches("/do/put_right").count()), (3, 0));

    for address in [rotation.as_str(), "/tickets/NOV-4801"] {
        let page = get(&site, &cookie, address).await;
        assert!(page.contains(refused) && page.contains("ndelivered"), "{address}");
        assert!(!page.contains("not acknowledged yet"), "{address}");
    }
    let page = get(&site, &cookie, &rotation).await;
    assert!(page.contains("Send again") && !page.contains("Record acknowledgement"));
    let ben = site.cookie(BEN).await;
    let seen = get(&site, &ben, &rotation).await;
    assert!(seen.contains("Record acknowledgement"), "by an admin who did not rotate");
    site.bench.mailbox.take_all();
    let post = |path: &'static str, body: String| {
        let request = Request::builder()
            .method("POST")
            .uri(path)
            .header(header::COOKIE, &cookie)
            .header("sec-fetch-site", "same-origin")
            .header(header::ACCEPT, "text/html")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        site.send(request.body(Body::from(body)).unwrap())
    };
    let answer = post("/do/send_again", format!("handoff={}&back=%2F", handoff.id)).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let mut conn = desk.store.read().await.unwrap();
    let notices = outbox::about(&mut conn, &grant.id).await.unwrap();
    drop(conn);
    for (item, wish) in notices.iter().zip(["again", "aside"]) {
        let answer = post("/do/put_right", format!("item={}&wish={wish}", item.id)).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{wish}");
    }
    site.bench.clock.advance(time::MINUTE);
    desk.send_due().await.unwrap();
    let overview = get(&site, &cookie, "/overview").await;
    assert_eq!(figure(&overview, "Undelivered"), 0);
    assert_eq!(figure(&overview, "Waiting for a system outside"), 0);
    let page = get(&site, &cookie, &rotation).await;
    assert!(page.contains("Taken by the mail server") && !page.contains(refused));
    assert!(site.bench.grant(&other.id).await.ended_at.is_none());
}
