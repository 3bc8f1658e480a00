//! Who fails at the door: what they leave behind, and whom they can keep out.

use secrecy::SecretString;

use super::SignedIn;
use crate::desk::{Step, StepError};
use crate::model::{StaffRole, time};
use crate::store::Engine;
use crate::testing::{Bench, both_engines};

both_engines!(
    whoever_is_nobody_leaves_a_row_a_minute_and_not_one_each,
    a_flood_from_many_addresses_is_one_row_besides_some,
    what_is_due_is_written_when_the_server_stops,
    a_known_browser_and_a_session_are_not_locked_out_from_their_own_network,
    a_browser_is_known_to_one_account_for_a_time,
    another_instance_hears_of_failures,
    an_account_that_is_guessed_at_from_everywhere_has_a_few_rows_a_minute,
);

const OFFICE: &str = "192.0.2.10";
const RIGHT: &str = "a made-up password";

async fn with_account(bench: &Bench) -> String {
    let mut tx = bench.desk.begin().await.unwrap();
    let by = crate::audit::Actor::system();
    let (email, role) = ("dora@platform.example", StaffRole::PlatformAdmin);
    let password = bench.desk.hash_password(&RIGHT.into(), &[]).unwrap();
    let step = bench.desk.add_staff(&mut tx, email, "Dora", role, &password, &by).await;
    step.unwrap();
    tx.commit().await.unwrap();
    email.to_owned()
}

async fn guess(bench: &Bench, email: &str, from: &str) -> Step<SignedIn> {
    bench.desk.sign_in(email, "a wrong password".into(), from).await
}

async fn written(bench: &Bench, action: &str) -> Vec<(String, i64)> {
    let rows = bench.rows_of("platform", action).await;
    rows.iter()
        .map(|row| {
            let count = row.details.get("count").and_then(serde_json::Value::as_i64);
            (row.details["from"].as_str().unwrap_or_default().to_owned(), count.unwrap_or(0))
        })
        .collect()
}

async fn whoever_is_nobody_leaves_a_row_a_minute_and_not_one_each(bench: Bench) {
    let before = bench.rows("platform").await.len();
    for n in 0..7 {
        let email = format!("nobody-{n}@platform.example");
        assert!(matches!(guess(&bench, &email, OFFICE).await, Err(StepError::WrongPassword)));
    }
    for _ in 0..8 {
        guess(&bench, "nobody-0@platform.example", OFFICE).await.unwrap_err();
    }
    for _ in 0..3 {
        bench.desk.note_refused_credential("2001:db8:1:2::7", "bearer");
    }
    bench.desk.write_sign_ins(false).await.unwrap();
    assert_eq!(bench.rows("platform").await.len(), before, "the minute is not over");
    bench.clock.advance(time::MINUTE);
    bench.desk.write_sign_ins(false).await.unwrap();
    bench.desk.write_sign_ins(false).await.unwrap();
    let row = |count| vec![(OFFICE.to_owned(), count)];
    assert_eq!(written(&bench, "platform.sign_in_failed").await, row(11));
    assert_eq!(written(&bench, "platform.sign_ins_throttled").await, row(4));
    let network = "2001:db8:1:2::/64".to_owned();
    assert_eq!(written(&bench, "platform.credentials_refused").await, [(network, 3)]);
    assert_eq!(bench.rows("platform").await.len(), before + 3);
    bench.verify_all().await.unwrap();
}

async fn a_flood_from_many_addresses_is_one_row_besides_some(bench: Bench) {
    for n in 0..500 {
        let from = format!("198.51.{}.{}", n / 250, n % 250);
        bench.desk.note_refused_credential(&from, "bearer");
    }
    bench.clock.advance(time::MINUTE);
    bench.desk.write_sign_ins(false).await.unwrap();
    let written = written(&bench, "platform.credentials_refused").await;
    assert_eq!(written.len(), 65);
    assert!(written.contains(&("others".to_owned(), 436)), "{written:?}");
}

async fn what_is_due_is_written_when_the_server_stops(bench: Bench) {
    bench.desk.note_refused_credential(OFFICE, "basic");
    let stop = crate::stop::Stop::default();
    let running = tokio::spawn(bench.desk.clone().run_sign_ins(stop.clone()));
    stop.ask();
    running.await.unwrap();
    assert_eq!(written(&bench, "platform.credentials_refused").await, [(OFFICE.to_owned(), 1)]);
}

/// Protects staff from whoever sits in the same network, as an office or a proxy makes of many.
async fn a_known_browser_and_a_session_are_not_locked_out_from_their_own_network(bench: Bench) {
    let email = with_account(&bench).await;
    let signed_in = bench.desk.sign_in(&email, RIGHT.into(), OFFICE).await.unwrap();
    let device = signed_in.device.unwrap();
    for _ in 0..5 {
        guess(&bench, &email, OFFICE).await.unwrap_err();
    }
    for n in 0..60 {
        guess(&bench, &format!("nobody-{n}@platform.example"), OFFICE).await.unwrap_err();
    }
    let stranger = bench.desk.sign_in(&email, RIGHT.into(), OFFICE).await;
    assert!(matches!(stranger, Err(StepError::Throttled(_))), "{stranger:?}");
    let known = bench.desk.sign_in_with(&email, RIGHT.into(), OFFICE, Some(device.clone())).await;
    assert!(known.is_ok(), "{known:?}");
    let token = known.unwrap().token;
    let who = {
        let mut conn = bench.desk.store.read().await.unwrap();
        bench.desk.at_work(&mut conn, &token, OFFICE, true).await.unwrap().unwrap()
    };
    bench.desk.step_up(&who, RIGHT.into()).await.unwrap();
    // Guessing is slow from there as well, and slow there alone.
    for _ in 0..5 {
        let wrong = bench.desk.step_up(&who, "a wrong password".into()).await;
        assert!(matches!(wrong, Err(StepError::WrongPassword)), "{wrong:?}");
    }
    let sixth = bench.desk.step_up(&who, RIGHT.into()).await;
    assert!(matches!(sixth, Err(StepError::Throttled(_))), "{sixth:?}");
    for n in 0..6 {
        let wrong: SecretString = "a wrong password".into();
        let step = bench.desk.sign_in_with(&email, wrong, OFFICE, Some(device.clone())).await;
        assert_eq!(matches!(step, Err(StepError::Throttled(_))), n == 5, "{step:?}");
    }
    let elsewhere = bench.desk.sign_in(&email, RIGHT.into(), "198.51.100.7").await;
    assert!(elsewhere.is_ok(), "{elsewhere:?}");
}

async fn a_browser_is_known_to_one_account_for_a_time(bench: Bench) {
    let email = with_account(&bench).await;
    let planted: SecretString = "a-value-that-somebody-chose".into();
    let signed_in =
        bench.desk.sign_in_with(&email, RIGHT.into(), OFFICE, Some(planted.clone())).await.unwrap();
    let device = signed_in.device.unwrap();
    use secrecy::ExposeSecret as _;
    assert_ne!(device.expose_secret(), planted.expose_secret());
    let again =
        bench.desk.sign_in_with(&email, RIGHT.into(), OFFICE, Some(device.clone())).await.unwrap();
    assert_eq!(again.device.unwrap().expose_secret(), device.expose_secret());
    let held =
        format!("SELECT COUNT(*) FROM staff_device WHERE hash = '{}'", device.expose_secret());
    assert_eq!(bench.number(&held).await, 0, "only its hash is kept");
    let locked_out = async |device: &SecretString| {
        for _ in 0..6 {
            guess(&bench, &email, OFFICE).await.unwrap_err();
        }
        let step =
            bench.desk.sign_in_with(&email, RIGHT.into(), OFFICE, Some(device.clone())).await;
        matches!(step, Err(StepError::Throttled(_)))
    };
    assert!(locked_out(&planted).await);
    assert!(!locked_out(&device).await);
    bench.clock.advance(91 * time::DAY);
    bench.desk.sweep().await.unwrap();
    assert_eq!(bench.number("SELECT COUNT(*) FROM staff_device").await, 0);
    assert!(locked_out(&device).await, "it was not used for too long");
    bench.clock.advance(time::HOUR);
    bench.desk.sign_in(&email, RIGHT.into(), OFFICE).await.unwrap();
    let mut tx = bench.desk.begin().await.unwrap();
    bench.desk.disable_staff(&mut tx, &email, &crate::audit::Actor::system()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(bench.number("SELECT COUNT(*) FROM staff_device").await, 0);
}

async fn another_instance_hears_of_failures(bench: Bench) {
    let email = with_account(&bench).await;
    let mut other = Bench::open(&bench.url, bench.folder(), bench.now(), 77).await;
    other.clock = bench.clock.clone();
    for _ in 0..5 {
        guess(&bench, &email, OFFICE).await.unwrap_err();
    }
    bench.desk.write_sign_ins(false).await.unwrap();
    let there = other.desk.sign_in(&email, RIGHT.into(), OFFICE).await;
    assert!(matches!(there, Err(StepError::Throttled(_))), "{there:?}");
    let elsewhere = other.desk.sign_in(&email, RIGHT.into(), "198.51.100.7").await;
    assert!(elsewhere.is_ok(), "{elsewhere:?}");
    bench.clock.advance(time::HOUR);
    bench.desk.sweep().await.unwrap();
    assert_eq!(bench.number("SELECT COUNT(*) FROM sign_in_count").await, 0);
}

async fn an_account_that_is_guessed_at_from_everywhere_has_a_few_rows_a_minute(bench: Bench) {
    let email = with_account(&bench).await;
    for n in 0..30 {
        guess(&bench, &email, &format!("198.51.100.{n}")).await.unwrap_err();
    }
    assert_eq!(bench.rows_of("platform", "platform.sign_in_failed").await.len(), 10);
    bench.clock.advance(time::MINUTE);
    bench.desk.write_sign_ins(false).await.unwrap();
    let summed: i64 =
        written(&bench, "platform.sign_in_failed").await.iter().map(|(_, count)| count).sum();
    assert_eq!(summed, 20);
}

/// Protects from guesses that fill the line: above it nothing is checked and nothing written.
#[tokio::test]
async fn above_the_line_nobody_is_checked_and_the_known_have_their_own() {
    let bench = Bench::new(Engine::Sqlite).await;
    let email = with_account(&bench).await;
    let device = bench.desk.sign_in(&email, RIGHT.into(), OFFICE).await.unwrap().device;
    let tries =
        (0..200).map(|n| {
            let bench = &bench;
            async move {
                guess(bench, &format!("n{n}@platform.example"), &format!("198.51.100.{n}")).await
            }
        });
    let known = bench.desk.sign_in_with(&email, RIGHT.into(), OFFICE, device);
    let (all, known) = tokio::join!(futures::future::join_all(tries), known);
    let busy = all.iter().filter(|s| matches!(s, Err(StepError::Throttled(_)))).count();
    let wrong = all.iter().filter(|s| matches!(s, Err(StepError::WrongPassword))).count();
    assert!(busy >= 100 && wrong >= 32 && busy + wrong == 200, "{busy} {wrong}");
    assert!(known.is_ok(), "{known:?}");
}
