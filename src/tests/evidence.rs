//! The evidence of an impersonation: a file that proves the trail without the database, and that
//! proves nothing any more once a byte of it is changed.

use rand::{RngCore as _, SeedableRng as _};

use crate::audit::evidence::of_impersonation;
use crate::proof::evidence::{Evidence, Report, verify};
use crate::proof::note::{NoteKey, NoteVerifier};
use crate::proof::verdict::Verdict;
use crate::store::Engine;
use crate::store::impersonations::Impersonation;
use crate::testing::story::{ADA, STUCK};
use crate::testing::{Bench, both_engines};

both_engines!(
    it_proves_a_complete_trail_without_the_database,
    it_proves_one_that_has_not_ended_as_open,
    any_byte_changed_is_found,
    a_row_left_out_or_put_elsewhere_is_found,
    the_keys_of_somebody_else_prove_nothing,
    a_log_rewritten_after_the_end_no_longer_leads_back,
);

/// A finished impersonation with other rows before, within and after it.
async fn finished(bench: &Bench) -> Impersonation {
    let ada = bench.at_work(ADA).await;
    for _ in 0..40 {
        bench.desk.note_view(&ada, &format!("/{}", bench.now()), "").await.unwrap();
        bench.clock.advance(crate::model::time::MINUTE * 11);
    }
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    bench.rotate(&grant).await.unwrap();
    bench.desk.note_view(&ada, "/between", "").await.unwrap();
    bench.hand_off(&ada, &grant.id).await.unwrap();
    bench.desk.note_view(&ada, "/after", "").await.unwrap();
    grant
}

async fn evidence(bench: &Bench, grant: &Impersonation) -> Evidence {
    let mut conn = bench.desk.store.read().await.unwrap();
    of_impersonation(&mut conn, &bench.desk.keys.log, &grant.id, &grant.org_id).await.unwrap()
}

fn pinned(bench: &Bench) -> [NoteVerifier; 1] {
    [bench.desk.keys.log.verifiers()[0].clone()]
}

fn check(bench: &Bench, evidence: &Evidence) -> Report {
    verify(&evidence.to_text().unwrap(), &pinned(bench), bench.now()).unwrap()
}

async fn it_proves_a_complete_trail_without_the_database(bench: Bench) {
    let grant = finished(&bench).await;
    let evidence = evidence(&bench, &grant).await;
    for (side, other, least) in
        [(&evidence.platform, &evidence.org, 4), (&evidence.org, &evidence.platform, 2)]
    {
        assert!(side.checkpoints.len() >= least, "start, end, newest, and what was recorded");
        let field = if side.log == "platform" { "platform_checkpoint" } else { "org_checkpoint" };
        for row in &other.rows {
            let row = crate::proof::row::AuditRow::parse(&row.row).unwrap();
            let Some(note) = row.detail_str(field) else { continue };
            let recorded = crate::proof::checkpoint::Checkpoint::unverified(note).unwrap();
            let stages = side.checkpoints.iter();
            let mut stages =
                stages.map(|s| crate::proof::checkpoint::Checkpoint::unverified(&s.note).unwrap());
            assert!(stages.any(|stage| stage == recorded), "{field} of {}", row.action);
        }
    }
    assert!(evidence.platform.checkpoints[1..].iter().all(|s| !s.consistency.is_empty()));
    let text = evidence.to_text().unwrap();
    let report = verify(&text, &pinned(&bench), bench.now()).unwrap();
    assert!(report.proves_complete(), "{report:#?}");
    assert!(report.pinned);
    assert!(verify(&format!("{text}\n"), &pinned(&bench), 0).unwrap().holds());
    let unpinned = verify(&text, &[], bench.now()).unwrap();
    assert!(unpinned.holds() && !unpinned.pinned);
    assert!(text.contains("requester_is_owner"), "the eligibility as it was is in the start row");
}

async fn it_proves_one_that_has_not_ended_as_open(bench: Bench) {
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    let report = check(&bench, &evidence(&bench, &grant).await);
    assert!(report.holds() && !report.proves_complete(), "{report:#?}");
    assert_eq!(report.verdict.verdict, Verdict::Open);
}

async fn any_byte_changed_is_found(bench: Bench) {
    let grant = finished(&bench).await;
    let text = evidence(&bench, &grant).await.to_text().unwrap();
    let mut rng = rand::rngs::StdRng::from_seed([7; 32]);
    for _ in 0..400 {
        let mut bytes = text.clone().into_bytes();
        let place = rng.next_u64() as usize % bytes.len();
        let other = b' ' + (rng.next_u32() % 95) as u8;
        if bytes[place] == other || !bytes[place].is_ascii() {
            continue;
        }
        bytes[place] = other;
        let changed = String::from_utf8(bytes).unwrap();
        let holds = verify(&changed, &pinned(&bench), bench.now()).is_ok_and(|r| r.holds());
        assert!(!holds, "byte {place}: {:?}", &changed[place.saturating_sub(30)..place + 1]);
    }
}

#[tokio::test]
async fn every_byte_changed_once_is_found_or_changes_nothing() {
    let bench = Bench::new(Engine::Sqlite).await;
    let ada = bench.at_work(ADA).await;
    let grant = bench.impersonate(&ada, STUCK).await.unwrap();
    let whole = evidence(&bench, &grant).await;
    let text = whole.to_text().unwrap();
    let (pinned, now) = (pinned(&bench), bench.now());
    let report = verify(&text, &pinned, now).unwrap();
    assert!(report.holds());
    let places: Vec<usize> = (0..text.len()).collect();
    // In a few threads: each change is a whole verification.
    let found = std::thread::scope(|threads| {
        let parts: Vec<_> = places
            .chunks(text.len().div_ceil(4))
            .map(|part| {
                let (text, whole, pinned) = (&text, &whole, &pinned);
                threads.spawn(move || {
                    part.iter().filter(|at| missed(text, whole, pinned, now, **at)).count()
                })
            })
            .collect();
        parts.into_iter().map(|part| part.join().unwrap()).sum::<usize>()
    });
    assert_eq!(found, 0, "of {} changes", text.len());
}

/// Whether one bit of one byte changed is missed: the file holds, and says something else.
fn missed(text: &str, whole: &Evidence, pinned: &[NoteVerifier], now: i64, at: usize) -> bool {
    let mut bytes = text.as_bytes().to_vec();
    bytes[at] ^= 1;
    let Ok(changed) = String::from_utf8(bytes) else { return false };
    let holds = verify(&changed, pinned, now).is_ok_and(|report| report.holds());
    let same = || serde_json::from_str::<Evidence>(&changed).is_ok_and(|read| read == *whole);
    let missed = holds && !same();
    if missed {
        eprintln!("byte {at}: {:?}", &changed[at.saturating_sub(40)..(at + 2).min(changed.len())]);
    }
    missed
}

async fn a_row_left_out_or_put_elsewhere_is_found(bench: Bench) {
    let grant = finished(&bench).await;
    let whole = evidence(&bench, &grant).await;
    for index in 0..whole.org.rows.len() {
        let mut less = whole.clone();
        less.org.rows.remove(index);
        assert!(!check(&bench, &less).proves_complete(), "org row {index} left out");
    }
    let mut swapped = whole.clone();
    swapped.org.rows.swap(0, 1);
    assert!(!check(&bench, &swapped).proves_complete());
    let mut moved = whole.clone();
    let row = moved.org.rows.remove(0);
    moved.platform.rows.push(row);
    assert!(!check(&bench, &moved).holds());
    let mut fewer = whole.clone();
    fewer.platform.checkpoints.remove(0);
    assert!(!check(&bench, &fewer).holds(), "the checkpoint of the start left out");
    let mut other = whole.clone();
    std::mem::swap(&mut other.platform, &mut other.org);
    assert!(!check(&bench, &other).holds(), "sides exchanged");
}

async fn the_keys_of_somebody_else_prove_nothing(bench: Bench) {
    let grant = finished(&bench).await;
    let evidence = evidence(&bench, &grant).await;
    let text = evidence.to_text().unwrap();
    let name = bench.desk.keys.log.verifiers()[0].name().to_owned();
    let stranger = NoteKey::new(&name, &[9; 32]).unwrap();
    let report = verify(&text, &[stranger.verifier().clone()], bench.now()).unwrap();
    assert!(!report.holds(), "{report:#?}");
    let mut two = evidence.clone();
    two.keys.push(stranger.vkey());
    assert!(!verify(&two.to_text().unwrap(), &[], bench.now()).unwrap().holds());
    let mut none = evidence;
    none.keys.clear();
    assert!(!verify(&none.to_text().unwrap(), &[], bench.now()).unwrap().holds());
}

async fn a_log_rewritten_after_the_end_no_longer_leads_back(bench: Bench) {
    let grant = finished(&bench).await;
    let before = evidence(&bench, &grant).await;
    // The same checkpoint of the end, before a newest one of another history.
    let mut forged = before.clone();
    let newest = forged.platform.checkpoints.pop().unwrap();
    let mut checkpoint = crate::proof::checkpoint::Checkpoint::unverified(&newest.note).unwrap();
    checkpoint.root = [1; 32];
    let note = checkpoint.sign(&bench.desk.keys.log.signer().unwrap()).unwrap();
    forged
        .platform
        .checkpoints
        .push(crate::proof::evidence::Stage { note, consistency: newest.consistency });
    let report = check(&bench, &forged);
    assert!(!report.holds());
    let failed: Vec<_> = report.lines.iter().filter(|l| !l.holds).map(|l| &l.what).collect();
    assert!(failed.iter().any(|w| w.contains("nothing was rewritten")), "{failed:?}");
}
