//! What the Owner of record sees of the yearly question whether consent still stands.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use leptos::prelude::*;
use secrecy::SecretString;
use tower_sessions::Session;

use super::super::error::broken;
use super::super::owner::no_link;
use crate::model::Consent;
use crate::policy::eligibility::UNANSWERED_FOR;
use crate::store::orgs::Org;
use crate::store::orgs::reminders::ConsentReminder;
use crate::web::app::App;
use crate::web::components::{at, icon};
use crate::web::door::{Flash, Hand, encode, take_flashes, theme};
use crate::web::fault::Fault;
use crate::web::shell::solo;

/// What is said once the Owner has answered; the link is used up then.
const KEPT: &str = "Consent stays on";
const WITHDRAWN: &str = "Consent is off now";

/// `GET /consent-reminder/{link}`: what stands, and asks. Opening it changes nothing.
pub async fn page(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    session: Session,
    Path(link): Path<String>,
) -> Response {
    let found = async {
        let mut conn = app.desk.store.read().await?;
        app.desk.consent_of_reminder(&mut conn, &SecretString::from(link.clone())).await
    }
    .await;
    let flashes = take_flashes(&session).await;
    let answered = flashes.iter().any(|f| f.title == KEPT || f.title == WITHDRAWN);
    let (status, body) = match found {
        Err(e) => {
            tracing::error!(error = %e, "reading the link of a reminder");
            return broken();
        }
        Ok(None) if answered => (StatusCode::OK, thanks()),
        Ok(None) => (StatusCode::NOT_FOUND, no_link()),
        Ok(Some((reminder, org))) => (StatusCode::OK, card(&reminder, &org, link)),
    };
    solo(&app, theme(&app, &headers), status, "Your consent", flashes, body)
}

fn card(reminder: &ConsentReminder, org: &Org, link: String) -> AnyView {
    let stops = reminder.created_at + UNANSWERED_FOR;
    view! {
        <div class="card card-wide">
            <div class="card-head">
                <h1>{format!("May the platform still act for {}?", org.name)}</h1>
                <p>"You allowed it until you withdraw it. Once a year we ask whether that is still so."</p>
            </div>
            <div class="card-body">
                <dl class="what">
                    <dt>"What it allows"</dt>
                    <dd>"A platform admin may rotate the one secret of a ticket that you filed, for minutes, and nothing else. They never see the new value."</dd>
                    {org.consent_changed_at.map(|t| view! { <dt>"Since"</dt><dd>{at(t)}</dd> })}
                    <dt>"Without an answer"</dt><dd>"it does not count any more from "{at(stops)}" on, until you say so"</dd>
                    <dt>"The link works"</dt><dd>"once, until "{at(reminder.expires_at)}</dd>
                </dl>
                <form class="stack-2" method="post" action="/do/answer_reminder">
                    <input type="hidden" name="link" value=link.clone() />
                    <input type="hidden" name="wish" value="keep" />
                    <button class="btn btn-lg btn-primary btn-block">{icon("check")}"Keep it"</button>
                </form>
                <form class="stack-2" method="post" action="/do/answer_reminder">
                    <input type="hidden" name="link" value=link />
                    <input type="hidden" name="wish" value="withdraw" />
                    <button class="btn btn-lg btn-block">{icon("stop")}"Withdraw it"</button>
                </form>
            </div>
            <div class="card-foot"><p>"Withdrawing it ends a running impersonation at once. You can allow it again at any time."</p></div>
        </div>
    }
    .into_any()
}

fn thanks() -> AnyView {
    view! {
        <div class="card">
            <div class="card-head"><h1>"Thank you"</h1><p>"Both audit logs say what you decided. There is nothing more to do here."</p></div>
        </div>
    }
    .into_any()
}

/// The Owner keeps it or withdraws it.
#[server(prefix = "/do", endpoint = "answer_reminder")]
pub async fn answer_reminder(link: String, wish: String) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let secret = SecretString::from(link.clone());
    let step = async {
        let keep = match wish.as_str() {
            "keep" => true,
            "withdraw" => false,
            _ => return Err(crate::desk::StepError::Invalid("Keep it, or withdraw it.")),
        };
        let mut tx = hand.app.desk.begin().await?;
        let from = Some(hand.from.clone());
        let step = hand.app.desk.answer_reminder(&mut tx, &secret, keep, from).await;
        hand.app.desk.settle(tx, step).await
    };
    let back = format!("/consent-reminder/{}", encode(&link));
    hand.answer(step.await, &back, |org| {
        if org.consent() == Consent::UntilWithdrawn {
            Flash::done(KEPT, format!("The platform may act for {} as before.", org.name))
        } else {
            Flash::done(WITHDRAWN, format!("The platform cannot act for {} any more.", org.name))
        }
    })
    .await
}
