//! What the Owner of record sees of consent: the pages of the links with which it is given and
//! withdrawn.

pub mod reminder;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use leptos::prelude::*;
use secrecy::SecretString;
use tower_sessions::Session;

use super::owner::no_link;
use crate::desk::withdraw::Withdrawal;
use crate::desk::{Step, StepError};
use crate::model::{Consent, Micros};
use crate::store::orgs::{ConsentLink, Org};
use crate::web::app::App;
use crate::web::components::{at, icon};
use crate::web::door::{Flash, Hand, encode, take_flashes, theme};
use crate::web::fault::Fault;
use crate::web::shell::solo;

/// What is said once consent was given by the link, which is used up then.
const CONSENT_GIVEN: &str = "Consent is on";

/// How far consent by the link goes: the words of the form.
const THIS_TICKET: &str = "ticket";
const UNTIL_WITHDRAWN: &str = "until_withdrawn";

/// `GET /consent/{link}`: what would be allowed, to whom and for how long; and asks.
pub async fn consent_page(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    session: Session,
    Path(link): Path<String>,
) -> Response {
    let found: Step<Option<(ConsentLink, Org, String)>> = async {
        let mut conn = app.desk.store.read().await?;
        let Some((record, org)) =
            app.desk.consent_of_link(&mut conn, &SecretString::from(link.clone())).await?
        else {
            return Ok(None);
        };
        let asked_by = crate::store::staff::by_id(&mut conn, &record.asked_by).await?;
        Ok(Some((record, org, asked_by.map_or_else(String::new, |s| s.name))))
    }
    .await;
    let flashes = take_flashes(&session).await;
    let (status, body) = match found {
        Err(e) => {
            tracing::error!(error = %e, "reading a consent link");
            return super::error::broken();
        }
        Ok(None) if flashes.iter().any(|f| f.title == CONSENT_GIVEN) => {
            (StatusCode::OK, consent_given())
        }
        Ok(None) => (StatusCode::NOT_FOUND, no_link()),
        Ok(Some((record, org, asked_by))) => {
            (StatusCode::OK, consent_card(&record, &org, asked_by, link))
        }
    };
    solo(&app, theme(&app, &headers), status, "Consent", flashes, body)
}

fn consent_card(record: &ConsentLink, org: &Org, asked_by: String, link: String) -> AnyView {
    let ticket = record.ticket_id.clone();
    let now_for = org.consent().only_for().map(|other| {
        view! {
            <dt>"At present"</dt>
            <dd>{format!("It is allowed for {other} only. What you choose here replaces that.")}</dd>
        }
    });
    view! {
        <div class="card card-wide">
            <div class="card-head">
                <h1>{format!("Allow the platform to act for {}?", org.name)}</h1>
                <p>"Only you, the Owner of record, can allow it, and you can withdraw it at any moment."</p>
            </div>
            <form class="card-body" method="post" action="/do/consent">
                <dl class="what">
                    <dt>"What it allows"</dt>
                    <dd>"A platform admin may rotate the one secret of a ticket that you filed, for minutes, and nothing else. They never see the new value."</dd>
                    <dt>"Asked by"</dt><dd>{asked_by}" for ticket "{ticket.clone()}", "{at(record.created_at)}</dd>
                    {now_for}
                    <dt>"The link works"</dt><dd>"once, until "{at(record.expires_at)}</dd>
                </dl>
                <fieldset class="fieldset stack-2">
                    <legend>"Until when"</legend>
                    <label class="check-line">
                        <input type="radio" name="scope" value=THIS_TICKET checked />
                        <span>{format!("For {ticket} only. It goes off by itself when that is done.")}</span>
                    </label>
                    <label class="check-line">
                        <input type="radio" name="scope" value=UNTIL_WITHDRAWN />
                        <span>"Until I withdraw it, for later tickets too."</span>
                    </label>
                </fieldset>
                <input type="hidden" name="link" value=link />
                <button class="btn btn-lg btn-primary btn-block">{icon("check")}"Allow it"</button>
            </form>
            <div class="card-foot"><p>"If you do not want this, close the page. Nothing changes. Withdrawing it later ends a running impersonation at once."</p></div>
        </div>
    }
    .into_any()
}

fn consent_given() -> AnyView {
    view! {
        <div class="card">
            <div class="card-head"><h1>"Thank you"</h1><p>"Consent is on. The platform’s staff can go on with your ticket. You get a mail when they begin, with a link to withdraw it at once."</p></div>
        </div>
    }
    .into_any()
}

/// `GET /withdraw/{link}`: what withdrawing does; and asks.
pub async fn withdraw_page(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    session: Session,
    Path(link): Path<String>,
) -> Response {
    let found: Step<Option<Withdrawal>> = async {
        let mut conn = app.desk.store.read().await?;
        app.desk.withdrawal_of_link(&mut conn, &SecretString::from(link.clone())).await
    }
    .await;
    let flashes = take_flashes(&session).await;
    let (status, body) = match found {
        Err(e) => {
            tracing::error!(error = %e, "reading a link to withdraw consent");
            return super::error::broken();
        }
        Ok(Some(w)) if !w.org.consent().on() => (StatusCode::OK, withdrawn(&w.org)),
        Ok(Some(w)) if w.link.used_at.is_none() => {
            (StatusCode::OK, withdraw_card(&w, link, app.desk.now()))
        }
        Ok(_) => (StatusCode::NOT_FOUND, no_link()),
    };
    solo(&app, theme(&app, &headers), status, "Withdraw consent", flashes, body)
}

fn withdraw_card(w: &Withdrawal, link: String, now: Micros) -> AnyView {
    let g = &w.grant;
    let state = if g.live(now) {
        view! { "running, until "{at(g.expires_at)}" at the latest" }.into_any()
    } else {
        view! { "over"{g.ended_at.map(|t| view! { " since "{at(t)} })} }.into_any()
    };
    let allowed = match w.org.consent() {
        Consent::ForTicket(only) => format!("for {only} only"),
        _ => "until you withdraw it".to_owned(),
    };
    view! {
        <div class="card card-wide">
            <div class="card-head">
                <h1>{format!("Withdraw the consent of {}?", w.org.name)}</h1>
                <p>"Whatever the platform is doing for you ends at once, and nothing new can begin unless you allow it again."</p>
            </div>
            <form class="card-body" method="post" action="/do/withdraw_consent">
                <dl class="what">
                    <dt>"Allowed now"</dt><dd>{allowed}</dd>
                    <dt>"The mail was about"</dt><dd>{g.ticket_id.clone()}": "{g.reason.clone()}", by "{w.admin.clone()}</dd>
                    <dt>"That is"</dt><dd>{state}</dd>
                    <dt>"The link works"</dt><dd>"once, until "{at(w.link.expires_at)}</dd>
                </dl>
                <input type="hidden" name="link" value=link />
                <button class="btn btn-lg btn-primary btn-block">{icon("stop")}"Withdraw consent now"</button>
            </form>
            <div class="card-foot"><p>"If you do not want this, close the page. Nothing changes."</p></div>
        </div>
    }
    .into_any()
}

fn withdrawn(org: &Org) -> AnyView {
    view! {
        <div class="card">
            <div class="card-head">
                <h1>"Consent is off"</h1>
                <p>{format!("The platform cannot act for {}. There is nothing to withdraw.", org.name)}</p>
            </div>
        </div>
    }
    .into_any()
}

/// The Owner allows it: for the ticket only, unless it says otherwise.
#[server(prefix = "/do", endpoint = "consent")]
pub async fn give_consent(link: String, #[server(default)] scope: String) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let secret = SecretString::from(link.clone());
    let step = async {
        let until_withdrawn = match scope.as_str() {
            "" | THIS_TICKET => false,
            UNTIL_WITHDRAWN => true,
            _ => {
                return Err(StepError::Invalid("Choose for this ticket only, or until withdrawn."));
            }
        };
        let mut tx = hand.app.desk.begin().await?;
        let step = hand
            .app
            .desk
            .consent_by_link(&mut tx, &secret, until_withdrawn, Some(hand.from.clone()))
            .await;
        hand.app.desk.settle(tx, step).await
    };
    let back = format!("/consent/{}", encode(&link));
    hand.answer(step.await, &back, |org| {
        let far = match org.consent() {
            Consent::ForTicket(only) => format!("for {only} only"),
            _ => "until you withdraw it".to_owned(),
        };
        Flash::done(CONSENT_GIVEN, format!("The platform may act for {}, {far}.", org.name))
    })
    .await
}

/// The Owner withdraws it.
#[server(prefix = "/do", endpoint = "withdraw_consent")]
pub async fn withdraw_consent(link: String) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let secret = SecretString::from(link.clone());
    let step = async {
        let mut tx = hand.app.desk.begin().await?;
        let step = hand.app.desk.withdraw_by_link(&mut tx, &secret, Some(hand.from.clone())).await;
        hand.app.desk.settle(tx, step).await
    };
    let back = format!("/withdraw/{}", encode(&link));
    hand.answer(step.await, &back, |()| {
        Flash::done("Withdrawn", "Both audit logs say so. What was running has ended.")
    })
    .await
}
