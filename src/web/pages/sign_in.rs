//! Sign in, step up, sign out, and the theme.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use leptos::prelude::*;
use secrecy::SecretString;
use serde::Deserialize;
use tower_sessions::Session;

use crate::desk::{Step, StepError};
use crate::model::ticket::ticket_like;
use crate::policy::access;
use crate::web::app::App;
use crate::web::components::{icon, initials};
use crate::web::door::{self, Door, Flash, Hand, THEME, local, remember, take_flashes, theme};
use crate::web::fault::Fault;
use crate::web::shell::solo;

/// Where to go afterwards.
#[derive(Debug, Deserialize)]
pub struct Next {
    /// A path of ours.
    #[serde(default)]
    next: String,
    /// `no` where a form came without the cookie that the page had set.
    #[serde(default)]
    kept: String,
}

/// A cookie that says nothing: whether it comes back says whether the session's would.
const KEPT: &str = "keyturn-kept";

fn keeps_cookies(app: &App, headers: &HeaderMap) -> bool {
    app.cookie_of(headers, KEPT) == Some("1")
}

/// `GET /`: nobody stays here.
pub async fn home() -> Redirect {
    Redirect::to("/tickets")
}

/// `GET /sign-in`.
pub async fn page(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    session: Session,
    Query(Next { next, kept }): Query<Next>,
) -> Response {
    let next = local(if next.is_empty() { "/tickets" } else { &next }).to_owned();
    let not_kept = (kept == "no" && !keeps_cookies(&app, &headers)).then(|| {
        let address = format!("{}/sign-in", app.desk.settings.base_url);
        view! {
            <div class="notice notice-needs" role="alert">
                {icon("refused")}
                <div>
                    <strong>"Your browser did not keep our cookie"</strong>
                    <p>
                        "Nobody was signed in: without it the next page would not know you. Allow cookies for this \
                         address, and open the console as "<a href=address.clone()>{address.clone()}</a>"."
                    </p>
                </div>
            </div>
        }
    });
    let people = app.demo.as_ref().map(|demo| {
        let buttons = demo
            .people
            .iter()
            .map(|p| {
                view! {
                    <li>
                        <form method="post" action="/do/demo_sign_in">
                            <input type="hidden" name="next" value=next.clone() />
                            <button class="person" name="email" value=p.email.clone()>
                                <span class="avatar" aria-hidden="true">{initials(&p.name)}</span>
                                <span>{p.name.clone()}<small>{p.role.label()}</small></span>
                                {icon("arrow-right")}
                            </button>
                        </form>
                    </li>
                }
            })
            .collect_view();
        view! {
            <div class="card-foot">
                <h2>"Demo people"</h2>
                <ul class="people">{buttons}</ul>
                <p class="muted">"What the customers receive is on "<a href=demo.customer_side.clone()>"the customer’s side"</a>"."</p>
            </div>
        }
    });
    let body = view! {
        {not_kept}
        <div class="card">
            <div class="card-head">
                <h1>"Sign in"</h1>
                <p>"Rotate a secret for a customer who cannot do it themselves."</p>
            </div>
            <form class="card-body" method="post" action="/do/sign_in">
                <input type="hidden" name="next" value=next.clone() />
                <div class="field">
                    <label for="email">"Email"</label>
                    <input class="input input-lg" id="email" name="email" type="email" autocomplete="username" required />
                </div>
                <div class="field">
                    <label for="password">"Password"</label>
                    <input class="input input-lg" id="password" name="password" type="password"
                        autocomplete="current-password" required />
                </div>
                <button class="btn btn-lg btn-primary btn-block">"Sign in"</button>
            </form>
            {people}
        </div>
    }
    .into_any();
    let flashes = take_flashes(&session).await;
    let mut page = solo(&app, theme(&app, &headers), StatusCode::OK, "Sign in", flashes, body);
    if let Ok(cookie) = HeaderValue::from_str(&app.set_cookie(KEPT, "1", "SameSite=Lax")) {
        page.headers_mut().append(header::SET_COOKIE, cookie);
    }
    page
}

/// `GET /step-up`: prove once more that it is you.
pub async fn step_up_page(door: Door, Query(Next { next, .. }): Query<Next>) -> Response {
    let next = local(if next.is_empty() { "/tickets" } else { &next }).to_owned();
    let minutes = access::STEP_UP_MAX_AGE / crate::model::time::MINUTE;
    let demo = door.app.demo.is_some().then(|| {
        view! {
            <div class="card-foot">
                <form method="post" action="/do/demo_step_up">
                    <input type="hidden" name="next" value=next.clone() />
                    <button class="btn btn-block">{icon("lock")}{format!("Confirm as {} (demo)", door.who.staff.name)}</button>
                </form>
            </div>
        }
    });
    let body = view! {
        <div class="card">
            <div class="card-head">
                <h1>"Confirm that it is you"</h1>
                <p>{format!("For what you asked for you must have proven within the last {minutes} minutes that you are there, {}. Nothing was done yet.", door.who.staff.name)}</p>
            </div>
            <form class="card-body" method="post" action="/do/step_up">
                <input type="hidden" name="next" value=next.clone() />
                <div class="field">
                    <label for="password">"Password"</label>
                    <input class="input input-lg" id="password" name="password" type="password"
                        autocomplete="current-password" required />
                </div>
                <button class="btn btn-lg btn-primary btn-block">{icon("lock")}"Confirm"</button>
                <a class="btn btn-quiet btn-block" href=next.clone()>"Back, without confirming"</a>
            </form>
            {demo}
            <div class="card-foot">
                <form method="post" action="/do/sign_out">
                    <button class="btn btn-quiet btn-block">{icon("sign-out")}"Sign out"</button>
                </form>
            </div>
        </div>
    }
    .into_any();
    let flashes = door.flashes().await;
    solo(&door.app, door.theme, StatusCode::OK, "Confirm that it is you", flashes, body)
}

fn retry(base: &str, next: &str) -> String {
    format!("{base}?next={}", crate::web::door::encode(local(next)))
}

/// Leads a form back that came from a browser which did not keep the page's cookie: it would keep
/// the session's no more, and show neither who is signed in nor why nobody is.
fn led_back(hand: &Hand, next: &str) -> bool {
    if !hand.from_page() || keeps_cookies(&hand.app, hand.headers()) {
        return false;
    }
    hand.go(&format!("{}&kept=no", retry("/sign-in", next)));
    true
}

/// Signs in with address and password.
#[server(prefix = "/do", endpoint = "sign_in")]
pub async fn sign_in(email: String, password: String, next: String) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let password = SecretString::from(password);
    if led_back(&hand, &next) {
        return Ok(());
    }
    let device = hand.device();
    let step = hand.app.desk.sign_in_with(&email, password, &hand.from, device).await;
    finish_sign_in(&hand, step, &next).await
}

/// Signs one of the demo's people in. Exists only in the demo.
#[server(prefix = "/do", endpoint = "demo_sign_in")]
pub async fn demo_sign_in(email: String, next: String) -> Result<(), Fault> {
    let hand = Hand::here()?;
    if led_back(&hand, &next) {
        return Ok(());
    }
    let step = async {
        let demo = hand.app.demo.as_ref().ok_or(StepError::NotFound)?;
        if !demo.people.iter().any(|p| p.email == email) {
            return Err(StepError::NotFound);
        }
        let mut tx = hand.app.desk.begin().await?;
        let step = hand.app.desk.sign_in_demo(&mut tx, &email, &hand.from).await;
        hand.app.desk.settle(tx, step).await
    };
    finish_sign_in(&hand, step.await, &next).await
}

async fn finish_sign_in(
    hand: &Hand,
    step: Step<crate::desk::staff::SignedIn>,
    next: &str,
) -> Result<(), Fault> {
    let step = async {
        let signed_in = step?;
        hand.end_session_before().await?;
        remember(&hand.session, &signed_in.token).await?;
        Ok(signed_in)
    };
    let step = step.await;
    match step {
        Ok(signed_in) => {
            if let Some(device) = &signed_in.device {
                hand.know_device(device);
            }
            hand.go(local(next));
            Ok(())
        }
        Err(e) => hand.not_done(&e, &retry("/sign-in", next)).await,
    }
}

/// Proves once more that the person is there.
#[server(prefix = "/do", endpoint = "step_up")]
pub async fn step_up(password: String, next: String) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let who = hand.who().await?;
    let password = SecretString::from(password);
    let step = hand.app.desk.step_up(&who, password).await;
    stepped_up(&hand, step, &next).await
}

/// The same with a button. Exists only in the demo.
#[server(prefix = "/do", endpoint = "demo_step_up")]
pub async fn demo_step_up(next: String) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let who = hand.who().await?;
    let step = async {
        hand.app.demo.as_ref().ok_or(StepError::NotFound)?;
        let mut tx = hand.app.desk.begin().await?;
        let step = hand.app.desk.step_up_demo(&mut tx, &who).await;
        hand.app.desk.settle(tx, step).await
    };
    stepped_up(&hand, step.await, &next).await
}

async fn stepped_up(hand: &Hand, step: Step<SecretString>, next: &str) -> Result<(), Fault> {
    let step = match step {
        Ok(token) => remember(&hand.session, &token).await,
        Err(e) => Err(e),
    };
    match step {
        Ok(()) => {
            hand.answer(Ok(()), local(next), |()| {
                Flash::done("Confirmed", "It is you. For five minutes nobody asks again.")
            })
            .await
        }
        Err(e) => hand.not_done(&e, &retry("/step-up", next)).await,
    }
}

/// Signs out.
#[server(prefix = "/do", endpoint = "sign_out")]
pub async fn sign_out() -> Result<(), Fault> {
    let hand = Hand::here()?;
    let who = hand.who().await?;
    let step = async {
        let mut tx = hand.app.desk.begin().await?;
        let step = hand.app.desk.sign_out(&mut tx, &who).await;
        hand.app.desk.settle(tx, step).await?;
        hand.session
            .flush()
            .await
            .map_err(|e| StepError::Outside(format!("the session store: {e}")))
    };
    match step.await {
        Ok(()) => {
            // Not its storage: what is there are the public keys that the reader pinned, and whoever
            // takes those away is believed with any other.
            hand.set_header(
                HeaderName::from_static("clear-site-data"),
                HeaderValue::from_static("\"cache\""),
            );
            hand.go("/sign-in");
            Ok(())
        }
        Err(e) => hand.not_done(&e, "/sign-in").await,
    }
}

/// Remembers a theme, in a cookie of its own: it is nobody's secret.
#[server(prefix = "/do", endpoint = "theme")]
pub async fn set_theme(theme: String, back: String) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let (value, attributes) = match theme.as_str() {
        known @ ("light" | "dark") => (known, "Max-Age=31536000; SameSite=Lax"),
        _ => ("", "Max-Age=0; SameSite=Lax"),
    };
    if let Ok(cookie) = HeaderValue::from_str(&hand.app.set_cookie(THEME, value, attributes)) {
        hand.set_header(header::SET_COOKIE, cookie);
    }
    hand.go(local(&back));
    Ok(())
}

/// `GET /lookup?q=`: a ticket by its number, an impersonation by its id, an org by its name.
pub async fn lookup(
    mut door: Door,
    Query(q): Query<std::collections::HashMap<String, String>>,
) -> Response {
    let q = q.get("q").map(|q| q.trim().to_owned()).unwrap_or_default();
    if let Err(e) = door::sound_search(&q) {
        return super::error::of(door, e).await;
    }
    let target = async {
        let conn = &mut *door.conn;
        let desk = &door.app.desk;
        let number = q.to_uppercase();
        let number = if number.bytes().all(|b| b.is_ascii_digit()) && !number.is_empty() {
            format!("{}{number}", desk.tickets.prefix())
        } else {
            number
        };
        // One that is kept outside may not have come here yet: its page asks for it.
        let outside = desk.tickets.outside().is_some() && ticket_like(&number);
        if outside || crate::store::tickets::by_id(conn, &number).await?.is_some() {
            return Ok(format!("/tickets/{number}"));
        }
        let id = q.to_lowercase();
        // Its rows in the logs are enough: the register may have lost the grant.
        if crate::store::impersonations::by_id(conn, &id).await?.is_some()
            || !crate::store::audit::of_impersonation(conn, &id).await?.is_empty()
        {
            return Ok(format!("/impersonations/{id}"));
        }
        if crate::store::orgs::by_slug(conn, &q.to_lowercase()).await?.is_some() {
            return Ok(format!("/orgs/{}", q.to_lowercase()));
        }
        Ok::<_, StepError>(format!("/tickets?q={}", crate::web::door::encode(&q)))
    };
    match target.await {
        Ok(path) => Redirect::to(&path).into_response(),
        Err(e) => super::error::of(door, e).await,
    }
}
