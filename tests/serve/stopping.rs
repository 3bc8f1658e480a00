//! How a server starts, and how it stops.

use std::time::{Duration, Instant};

use crate::deployment::{Deployment, EMAIL, PASSWORD, Serving, free_port, read};

fn client() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

async fn sign_in(port: u16) -> reqwest::Result<reqwest::Response> {
    client()
        .post(format!("http://127.0.0.1:{port}/do/sign_in"))
        .header("sec-fetch-site", "same-origin")
        .header("accept", "text/html")
        .header("cookie", "keyturn-kept=1")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!(
            "email={}&password={}&next=%2Forgs",
            EMAIL.replace('@', "%40"),
            PASSWORD.replace(' ', "+")
        ))
        .send()
        .await
}

/// Protects whoever works while the server is replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_was_let_in_has_an_answer_before_it_stops() {
    let deployment = Deployment::new();
    deployment.add_staff();
    let mut serving = deployment.serve().await;
    let port = deployment.port;
    let first = sign_in(port).await.unwrap();
    assert_eq!(first.headers()["location"], "/orgs");
    let cookies = first.headers().get_all("set-cookie").iter().map(|c| c.to_str().unwrap());
    let cookie = cookies.filter_map(|c| c.split(';').next()).find(|c| c.starts_with("keyturn="));
    let mut live = client()
        .get(format!("http://127.0.0.1:{port}/audit/live"))
        .header("accept", "text/event-stream")
        .header("sec-fetch-site", "same-origin")
        .header("cookie", cookie.unwrap())
        .send()
        .await
        .unwrap();
    let hello = live.chunk().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&hello).contains("retry: "), "{hello:?}");

    let in_flight: Vec<_> = (0..15).map(|_| tokio::spawn(sign_in(port))).collect();
    // Until all of them are let in, and before the last one has its answer.
    tokio::time::sleep(Duration::from_millis(100)).await;
    serving.ask_to_stop();
    let mut answered_later = 0;
    let asked = Instant::now();
    for request in in_flight {
        let answer = request.await.unwrap().expect("an answer");
        assert_eq!(answer.status(), 303);
        assert_eq!(answer.headers()["location"], "/orgs");
        answered_later += usize::from(asked.elapsed() > Duration::from_millis(5));
    }
    assert!(answered_later > 0, "none of them was still in flight");
    while let Some(part) = live.chunk().await.expect("the stream ends as it should") {
        drop(part);
    }
    let (took, well) = serving.ended().await;
    let log = read(&deployment.folder.path().join("log"));
    assert!(well && took < Duration::from_secs(10), "{took:?} {log}");
    assert!(sign_in(port).await.is_err(), "nobody listens any more");
    assert!(log.contains("stopped"), "{log}");
    // It was closed, and not left: nothing is to be put in order at the next start.
    assert!(!deployment.folder.path().join("data/keyturn.db-wal").exists(), "{log}");
    let mut again = deployment.serve().await;
    assert_eq!(sign_in(port).await.unwrap().status(), 303);
    again.ask_to_stop();
    assert!(again.ended().await.1);
}

/// Protects from a wait that nobody explains.
#[tokio::test]
async fn a_database_that_is_not_there_is_said_soon_and_by_its_place() {
    let deployment = Deployment::new();
    let nobody = free_port();
    let url = format!("postgres://keyturn:a-made-up-password@127.0.0.1:{nobody}/keyturn");
    let begun = Instant::now();
    let check =
        deployment.command(&["serve", "--check"]).env("KEYTURN_DATABASE_URL", &url).output();
    let check = check.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(!check.status.success());
    let said = String::from_utf8_lossy(&check.stderr).into_owned();
    assert!(said.contains(&format!("127.0.0.1:{nobody}")), "{said}");
    let all = format!("{said}{}", String::from_utf8_lossy(&check.stdout));
    assert!(!all.contains("a-made-up-password"), "{all}");

    // One that serves waits for it a little, and says so meanwhile.
    let log = deployment.folder.path().join("log");
    let file = std::fs::File::create(&log).unwrap();
    let mut command = deployment.command(&["serve"]);
    command.env("KEYTURN_DATABASE_URL", &url).stdout(file.try_clone().unwrap()).stderr(file);
    let _serving = Serving(command.spawn().unwrap());
    let begun = Instant::now();
    while !read(&log).contains(&format!("127.0.0.1:{nobody} does not answer")) {
        assert!(begun.elapsed() < Duration::from_secs(10), "{}", read(&log));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!read(&log).contains("a-made-up-password"));
}
