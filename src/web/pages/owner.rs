//! What the Owner of record sees: the page of the link in the mail with a new secret.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use leptos::prelude::*;
use secrecy::SecretString;
use tower_sessions::Session;

use crate::desk::Step;
use crate::model::{Channel, HandoffState};
use crate::store::handoffs::Handoff;
use crate::web::app::App;
use crate::web::components::{at, fingerprint, icon};
use crate::web::door::{Flash, Hand, take_flashes, theme};
use crate::web::fault::Fault;
use crate::web::shell::solo;

/// `GET /acknowledge/{link}`: shows what is acknowledged, and asks. Opening the link alone
/// changes nothing: mail scanners open links.
pub async fn acknowledge_page(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    session: Session,
    Path(link): Path<String>,
) -> Response {
    let found: Step<Option<Handoff>> = async {
        let mut conn = app.desk.store.read().await?;
        app.desk.handoff_of_link(&mut conn, &SecretString::from(link.clone())).await
    }
    .await;
    let flashes = take_flashes(&session).await;
    let (status, body) = match found {
        Err(e) => {
            tracing::error!(error = %e, "reading a handoff");
            return super::error::broken();
        }
        Ok(None) => (StatusCode::NOT_FOUND, no_link()),
        Ok(Some(handoff)) => (StatusCode::OK, acknowledge_card(&app, &handoff, link)),
    };
    solo(&app, theme(&app, &headers), status, "Your new secret", flashes, body)
}

fn acknowledge_card(app: &App, handoff: &Handoff, link: String) -> AnyView {
    let (facts, once) = match handoff.channel {
        Channel::Pgp => (
            view! {
                <dl class="what">
                    <dt>"Sent"</dt><dd>{handoff.sent_at.map(at)}</dd>
                    <dt>"To"</dt><dd>{handoff.recipient.clone()}</dd>
                    <dt>"Encrypted to"</dt><dd>{fingerprint(&handoff.recipient_key)}</dd>
                    <dt>"Signed with"</dt>
                    <dd>{fingerprint(&app.desk.keys.openpgp.fingerprint())}<a href="/.well-known/keyturn-openpgp-key.asc">"the platform’s public key"</a></dd>
                </dl>
            }
            .into_any(),
            "once you have decrypted it",
        ),
        Channel::OnePassword => (
            view! {
                <dl class="what">
                    <dt>"Delivered"</dt><dd>{handoff.delivered_at.or(handoff.sent_at).map(at)}</dd>
                    <dt>"To the vault"</dt><dd><code>{handoff.recipient.clone()}</code></dd>
                    <dt>"Item"</dt><dd><code>{handoff.item_id.clone()}</code></dd>
                </dl>
            }
            .into_any(),
            "once you have found it in the vault",
        ),
    };
    if handoff.state == HandoffState::Acknowledged {
        return view! {
            <div class="card">
                <div class="card-head"><h1>"Thank you"</h1><p>"You have told us that your new secret arrived. There is nothing more to do here."</p></div>
                <div class="card-body">{facts}</div>
            </div>
        }
        .into_any();
    }
    view! {
        <div class="card">
            <div class="card-head">
                <h1>"Did your new secret arrive?"</h1>
                <p>{format!("Confirm {once}. The link works once, and it shows nobody the secret.")}</p>
            </div>
            <form class="card-body" method="post" action="/do/acknowledge">
                {facts}
                <input type="hidden" name="link" value=link />
                <button class="btn btn-lg btn-primary btn-block">{icon("check")}"Yes, I have it"</button>
            </form>
        </div>
    }
    .into_any()
}

/// What is said of a link that was never sent, or does nothing any more.
pub fn no_link() -> AnyView {
    view! {
        <div class="card">
            <div class="card-head">
                <h1>"This link does not work"</h1>
                <p>"It was used already, has expired, or was not copied whole. If you still need it, answer in your support ticket."</p>
            </div>
        </div>
    }
    .into_any()
}

/// The Owner confirms that the secret arrived.
#[server(prefix = "/do", endpoint = "acknowledge")]
pub async fn acknowledge(link: String) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let secret = SecretString::from(link.clone());
    let step = async {
        let mut tx = hand.app.desk.begin().await?;
        let step =
            hand.app.desk.acknowledge_by_link(&mut tx, &secret, Some(hand.from.clone())).await;
        hand.app.desk.settle(tx, step).await
    };
    let back = format!("/acknowledge/{}", crate::web::door::encode(&link));
    hand.answer(step.await, &back, |_| Flash::done("Recorded", "Both audit logs say so now.")).await
}
