//! The timeline, page by page and filter by filter: the first look at each filter, the median of
//! many, and what the same bytes and the bare query take.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::routing::get;
use keyturn::desk::Desk;
use keyturn::model::{Micros, Stand, time};
use keyturn::policy::eligibility::Check;
use keyturn::proof::verdict::Verdict;
use keyturn::store::Key;
use keyturn::store::audit::{self, Filter, Seek};
use keyturn::store::timeline::Question;

use super::median;
use super::site::{Failure, desk, fetch, router, signed_in};

const PAGE: i64 = 26;
const ROUNDS: usize = 21;

/// No page may take longer at the median, in ms. A first look is shown beside it: it also reads
/// from the disk, and its strip is counted from nothing at the same time.
const LONGEST: f64 = 20.0;

/// The deepest page may take so many times what the newest takes.
const DEEPEST: f64 = 1.2;

/// What is not as it has to be is measured so many times more before it is believed: the machine
/// does other things, too.
const AGAIN: usize = 2;

/// A filter: what it is called, as it stands in the address, and as it is.
type Asked = (&'static str, String, Filter);

fn filters(ids: &Ids) -> Vec<Asked> {
    let (some, any) = (|s: &str| Some(s.to_owned()), Filter::default);
    let by = |name: &'static str, query: &str, filter: Filter| (name, query.to_owned(), filter);
    let verdict = |name: &'static str, verdict: Verdict| {
        let filter = Filter { verdict: Some(verdict), ..any() };
        by(name, &format!("verdict={}", verdict.word()), filter)
    };
    let (check, id, (from, to)) = (&ids.check, &ids.impersonation, ids.range);
    vec![
        by("no filter", "", any()),
        by("org (the busiest)", "org=org-0001", Filter { org_id: some("org-0001"), ..any() }),
        by("org (a quiet one)", "org=org-0400", Filter { org_id: some("org-0400"), ..any() }),
        by("admin", "admin=staff-03", Filter { admin: some("staff-03"), ..any() }),
        by("ticket", "ticket=NOV-15000", Filter { ticket: some("NOV-15000"), ..any() }),
        by(
            "impersonation",
            &format!("impersonation={id}"),
            Filter { impersonation: some(id), ..any() },
        ),
        by(
            "action (frequent)",
            "action=api_key.used",
            Filter { action: some("api_key.used"), ..any() },
        ),
        by(
            "action (rare)",
            "action=platform.impersonation_refused",
            Filter { action: some("platform.impersonation_refused"), ..any() },
        ),
        by(
            "secret type",
            "secret_type=vault_token",
            Filter { secret_type: some("vault_token"), ..any() },
        ),
        by("failed check", &format!("check={check}"), Filter { check: some(check), ..any() }),
        by(
            "a month",
            &format!("from={}&to={}", time::rfc3339(from), time::rfc3339(to)),
            Filter { from: Some(from), to: Some(to), ..any() },
        ),
        verdict("verdict complete", Verdict::Complete),
        verdict("verdict open", Verdict::Open),
        verdict("verdict incomplete", Verdict::Incomplete),
        verdict("verdict mismatch", Verdict::Mismatch),
        verdict("verdict tampered", Verdict::Tampered),
        by("open for two minutes", "open_for=2", Filter { open_for: Some(2), ..any() }),
        by(
            "starts that ended promptly",
            "action=platform.impersonation_started&standing=prompt",
            Filter {
                action: some("platform.impersonation_started"),
                standing: Some(Stand::Prompt),
                ..any()
            },
        ),
        by("text, one word", "text=rotated", Filter { text: some("rotated"), ..any() }),
        by(
            "text, three words",
            "text=stuck+vault+sent",
            Filter { text: some("stuck vault sent"), ..any() },
        ),
        by(
            "text and verdict",
            "text=vault&verdict=incomplete",
            Filter { text: some("vault"), verdict: Some(Verdict::Incomplete), ..any() },
        ),
        by(
            "text and verdict (both frequent)",
            "text=ticket&verdict=complete",
            Filter { text: some("ticket"), verdict: Some(Verdict::Complete), ..any() },
        ),
        by(
            "admin and action",
            "admin=staff-03&action=platform.impersonation_started",
            Filter {
                admin: some("staff-03"),
                action: some("platform.impersonation_started"),
                ..any()
            },
        ),
        by(
            "org and action",
            "org=org-0001&action=webhook_signing_key.rotated",
            Filter {
                org_id: some("org-0001"),
                action: some("webhook_signing_key.rotated"),
                ..any()
            },
        ),
        by(
            "org, type and text",
            "org=org-0002&secret_type=vault_token&text=handoff",
            Filter {
                org_id: some("org-0002"),
                secret_type: some("vault_token"),
                text: some("handoff"),
                ..any()
            },
        ),
        // Each of a hundred thousand rows or more, and none that has both.
        by(
            "two frequent words, nowhere together",
            "text=deployment+ticket",
            Filter { text: some("deployment ticket"), ..any() },
        ),
        by(
            "a frequent action by nobody who does it",
            "action=api_key.used&admin=staff-19",
            Filter { action: some("api_key.used"), admin: some("staff-19"), ..any() },
        ),
    ]
}

/// What the filters name.
struct Ids {
    impersonation: String,
    check: String,
    range: (Micros, Micros),
}

impl Ids {
    async fn of(desk: &Desk) -> Result<Self, Failure> {
        let mut conn = desk.store.read().await?;
        let ticket = Filter { ticket: Some("NOV-15000".to_owned()), ..Filter::default() };
        let rows = audit::timeline(&mut conn, &ticket, &Seek::Newest, false, PAGE).await?;
        let mut impersonations = rows.into_iter().filter_map(|row| row.impersonation_id);
        let impersonation = impersonations.next().ok_or("NOV-15000 has no impersonation")?;
        let mut check = (0, String::new());
        for each in Check::ALL {
            let filter = Filter { check: Some(each.as_str().to_owned()), ..Filter::default() };
            check = check.max((audit::count(&mut conn, &filter).await?, each.as_str().to_owned()));
        }
        let (oldest, newest) = ends(desk, &Filter::default()).await?.ok_or("there are no rows")?;
        let middle = oldest.at + (newest.at - oldest.at) / 2;
        let range = (middle - 15 * time::DAY, middle + 15 * time::DAY);
        Ok(Self { impersonation, check: check.1, range })
    }
}

/// The place of the third page from the end, and of the newest row.
async fn ends(desk: &Desk, filter: &Filter) -> Result<Option<(Key, Key)>, Failure> {
    let mut conn = desk.store.read().await?;
    let question = Question::of(&mut conn, filter).await?;
    let first = Key { at: Micros::MIN, id: "0".to_owned() };
    let oldest = question.page(&mut conn, &Seek::Newer(first), false, 3 * PAGE).await?;
    let newest = question.page(&mut conn, &Seek::Newest, false, 1).await?;
    Ok(oldest.last().map(audit::Entry::key).zip(newest.first().map(audit::Entry::key)))
}

/// A page at some depth, and how long it took each time.
struct Depth {
    name: &'static str,
    seek: Seek,
    address: String,
    /// The handler that serves the very same bytes.
    same: Router,
    /// Impersonations and lines on it.
    on_it: (usize, usize),
    first: f64,
    pages: Vec<Duration>,
    handlers: Vec<Duration>,
    bares: Vec<Duration>,
}

fn count(bytes: &Bytes, what: &str) -> usize {
    String::from_utf8_lossy(bytes).matches(what).count()
}

struct Site<'a> {
    desk: &'a Desk,
    router: &'a Router,
    cookie: &'a str,
}

impl Site<'_> {
    /// The newest page, one in the middle and one at the end of what matches: of all rows, where
    /// nothing does.
    async fn depths(&self, asked: &Asked, all: &(Key, Key)) -> Result<Vec<Depth>, Failure> {
        let (_, query, filter) = asked;
        let (deep, newest) = ends(self.desk, filter).await?.unwrap_or_else(|| all.clone());
        let middle = Key { at: deep.at + (newest.at - deep.at) / 2, id: "0".to_owned() };
        let mut depths = Vec::new();
        for (name, seek) in [
            ("newest", Seek::Newest),
            ("middle", Seek::Older(middle)),
            ("deepest", Seek::Older(deep.clone())),
            ("from the end up", Seek::Newer(deep)),
        ] {
            let place = match &seek {
                Seek::Older(key) => format!("before={key}"),
                Seek::Newer(key) => format!("after={key}"),
                _ => String::new(),
            };
            let join = if query.is_empty() || place.is_empty() { "" } else { "&" };
            let address = format!("/audit?{query}{join}{place}");
            let (bytes, first) = fetch(self.router, &address, self.cookie).await?;
            let on_it = (count(&bytes, "class=\"tl-group"), count(&bytes, "class=\"tl-row"));
            let same =
                Router::new().route("/audit", get(move || std::future::ready(bytes.clone())));
            let first = first.as_secs_f64() * 1000.0;
            let (pages, handlers, bares) = (Vec::new(), Vec::new(), Vec::new());
            depths.push(Depth { name, seek, address, same, on_it, first, pages, handlers, bares });
        }
        Ok(depths)
    }

    /// All depths in turns, so that none of them has the machine to itself.
    async fn rounds(&self, filter: &Filter, depths: &mut [Depth]) -> Result<(), Failure> {
        for depth in &mut *depths {
            depth.pages.clear();
            depth.handlers.clear();
            depth.bares.clear();
        }
        for _ in 0..ROUNDS {
            for depth in &mut *depths {
                depth.pages.push(fetch(self.router, &depth.address, self.cookie).await?.1);
                depth.handlers.push(fetch(&depth.same, &depth.address, self.cookie).await?.1);
                let mut conn = self.desk.store.read().await?;
                let begun = Instant::now();
                let question = Question::of(&mut conn, filter).await?;
                let rows = question.look(&mut conn, &depth.seek, true, PAGE).await?;
                depth.bares.push(begun.elapsed());
                std::hint::black_box(rows);
            }
        }
        Ok(())
    }
}

/// What of these pages is not as it has to be.
fn missed(name: &str, depths: &[Depth]) -> Vec<String> {
    let mut missed = Vec::new();
    for depth in depths {
        let page = median(depth.pages.clone());
        if page >= LONGEST {
            missed.push(format!("{name}, {}: {page:.1} ms at the median", depth.name));
        }
    }
    if let [newest, .., deepest, up] = depths {
        for far in [deepest, up] {
            let ratio = median(far.pages.clone()) / median(newest.pages.clone());
            if alike(newest, far) && ratio > DEEPEST {
                missed.push(format!("{name}, {}: {ratio:.2} times the newest", far.name));
            }
        }
    }
    missed
}

/// Whether as much is on two pages. What a page costs is what is on it: pages of unlike rows say
/// nothing about depth.
fn alike(one: &Depth, other: &Depth) -> bool {
    one.on_it.0 == other.on_it.0 && one.on_it.1.abs_diff(other.on_it.1) * 5 <= one.on_it.1
}

/// Measures, prints, and says what is not as fast as it has to be.
///
/// # Errors
/// Where a page cannot be had at all.
pub async fn measure(data: &Path, only: Option<&str>) -> Result<Vec<String>, Failure> {
    let desk = Arc::new(desk(data, None).await?);
    while desk.judge_due().await? > 0 {}
    let router = router(&desk);
    let cookie = signed_in(&desk, &router).await?;
    let site = Site { desk: &desk, router: &router, cookie: &cookie };
    let all = ends(&desk, &Filter::default()).await?.ok_or("there are no rows")?;
    // The very first page of a process also reads what all pages need.
    fetch(&router, "/audit/integrity", &cookie).await?;
    println!("## The timeline: server time in ms, the first look and the median of {ROUNDS}\n");
    println!(
        "| filter | depth | first look | page | impersonations on it | each of them | handler of the same bytes | bare query | page/handler | page/query |"
    );
    println!("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let mut all_missed = Vec::new();
    for asked in filters(&Ids::of(&desk).await?) {
        let (name, _, filter) = &asked;
        if only.is_some_and(|only| only != *name) {
            continue;
        }
        let mut depths = site.depths(&asked, &all).await?;
        let mut found = Vec::new();
        for _ in 0..=AGAIN {
            site.rounds(filter, &mut depths).await?;
            found = missed(name, &depths);
            if found.is_empty() {
                break;
            }
        }
        all_missed.extend(found);
        print(name, &depths);
    }
    println!();
    desk.store.close().await;
    Ok(all_missed)
}

fn print(name: &str, depths: &[Depth]) {
    let newest = depths.first().map_or(1.0, |depth| median(depth.pages.clone()));
    for depth in depths {
        let page = median(depth.pages.clone());
        let (handler, bare) = (median(depth.handlers.clone()), median(depth.bares.clone()));
        let each = match depth.on_it.0 {
            0 => "–".to_owned(),
            n => format!("{:.2}", page / f64::from(u32::try_from(n).unwrap_or(u32::MAX))),
        };
        println!(
            "| {name} | {} | {:.2} | {page:.2} ({:.2} of the newest{}) | {} | {each} | {handler:.3} | {bare:.2} | {:.0} | {:.1} |",
            depth.name,
            depth.first,
            page / newest,
            if depths.first().is_some_and(|newest| alike(newest, depth)) {
                ""
            } else {
                ", on which other rows are"
            },
            depth.on_it.0,
            page / handler,
            page / bare
        );
    }
}
