//! The Owner's key on file: the panel in which staff replace it, the notices that tell of a
//! change, and the page of the link with which the Owner objects.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use leptos::prelude::*;
use secrecy::SecretString;
use sqlx::AnyConnection;
use tower_sessions::Session;

use super::owner::no_link;
use crate::delivery::openpgp;
use crate::desk::Step;
use crate::desk::owner_key::{KeyAsked, TOLD_FOR, fingerprint_on_file};
use crate::model::{Channel, KeyChangeState, Micros, time};
use crate::store::key_changes::{self, KeyChange};
use crate::store::orgs::Org;
use crate::store::staff;
use crate::web::app::App;
use crate::web::components::{at, copy, fingerprint, icon};
use crate::web::door::{Flash, Hand, encode, local, take_flashes, theme};
use crate::web::fault::Fault;
use crate::web::shell::solo;

/// What there is to tell of changes of an org's key.
pub struct Changes {
    /// The one that waits, and who asked for it.
    waiting: Option<(KeyChange, String)>,
    /// The newest one that is over, for as long as it is told of.
    decided: Option<KeyChange>,
    /// The newest one whose key came into use, for as long as it is told of.
    applied: Option<(KeyChange, String)>,
}

/// Reads what there is to tell.
///
/// # Errors
/// Where the database does not answer.
pub async fn changes(conn: &mut AnyConnection, org_id: &str, now: Micros) -> Step<Changes> {
    let fresh = |c: &KeyChange| c.decided_at.is_some_and(|t| now - t < TOLD_FOR);
    let waiting = key_changes::waiting(conn, org_id).await?;
    let decided = key_changes::newest_decided(conn, org_id).await?.filter(fresh);
    let applied = key_changes::newest_applied(conn, org_id).await?.filter(fresh);
    Ok(Changes {
        waiting: asked_by(conn, waiting).await?,
        decided,
        applied: asked_by(conn, applied).await?,
    })
}

async fn asked_by(
    conn: &mut AnyConnection,
    change: Option<KeyChange>,
) -> Step<Option<(KeyChange, String)>> {
    let Some(change) = change else { return Ok(None) };
    let who = staff::by_id(conn, &change.asked_by).await?.map_or_else(String::new, |s| s.name);
    Ok(Some((change, who)))
}

/// What whoever hands something over has to know: that the key was replaced not long ago, or is
/// about to be. No check: the procedure goes on.
pub fn notices(changes: &Changes) -> AnyView {
    let applied = changes.applied.as_ref().and_then(|(c, who)| Some((c.decided_at?, c, who)));
    let applied = applied.map(|(on, c, who)| {
        view! {
            <div class="notice notice-needs" role="note">
                {icon("key")}
                <div>
                    <strong>{format!("The Owner’s PGP key was changed on {}", time::date(on))}</strong>
                    <p>{format!("Asked for by {who} at {}. Compare the fingerprint with the Owner in another way before you hand anything over.", time::seconds(c.asked_at))}</p>
                </div>
            </div>
        }
    });
    let waiting = changes.waiting.as_ref().map(|(c, who)| {
        view! {
            <div class="notice" role="note">
                {icon("clock")}
                <div>
                    <strong>"Another PGP key of the Owner waits"</strong>
                    <p>{format!("{who} asked for it. Until {} the key on file is the one used.", time::seconds(c.effective_at))}</p>
                </div>
            </div>
        }
    });
    view! { {applied}{waiting} }.into_any()
}

/// The panel of the org page: what waits, or the form. `fresh` says whether the viewer has just
/// proven to be there.
pub fn panel(org: &Org, changes: &Changes, acts: bool, fresh: bool) -> AnyView {
    if org.channel.as_deref() != Some(Channel::Pgp.as_str()) {
        return ().into_any();
    }
    let back = format!("/orgs/{}", org.slug);
    let decided = changes.decided.as_ref().and_then(|c| Some((c, c.decided_at?))).map(|(c, on)| {
        let said = match c.state {
            KeyChangeState::Applied => "The key on file was changed",
            KeyChangeState::Objected => "The Owner objected to another key",
            _ => "A change of the key was cancelled",
        };
        view! { <div class="facts-full"><dt>{said}</dt><dd>{at(on)}</dd></div> }
    });
    let body = match &changes.waiting {
        Some((change, who)) => waiting(org, change, who, acts, &back),
        None if !acts => ().into_any(),
        None if !fresh => view! {
            <div class="panel-body stack-2">
                <p>"Whoever replaces this key reads what is handed over next. Confirm first that it is you."</p>
                <div class="form-actions">
                    <a class="btn" href=format!("/step-up?next={}", encode(&back))>{icon("lock")}"Confirm, to replace the key"</a>
                </div>
            </div>
        }
        .into_any(),
        None => form(org, &back),
    };
    view! {
        <section class="panel" aria-label="Owner's key" id="owner-key">
            <div class="panel-head"><h2>"Replace the Owner’s key"</h2></div>
            {decided.map(|d| view! { <dl class="facts">{d}</dl> })}
            {body}
            <p class="panel-foot">"The old key stays the one used for 24 hours. The Owner gets both fingerprints by mail, and can object."</p>
        </section>
    }
    .into_any()
}

fn waiting(org: &Org, change: &KeyChange, who: &str, acts: bool, back: &str) -> AnyView {
    let old = fingerprint_on_file(org);
    let old = match &old {
        Some(old) => fingerprint(old),
        None => "none".into_any(),
    };
    let cancel = acts.then(|| {
        view! {
            <form class="panel-body panel-form" method="post" action="/do/cancel_owner_key">
                <input type="hidden" name="change" value=change.id.clone() />
                <input type="hidden" name="back" value=back.to_owned() />
                <button class="btn btn-danger">{icon("cross")}"Cancel the change"</button>
            </form>
        }
    });
    view! {
        <dl class="facts">
            <div class="facts-full"><dt>"Key on file, used until then"</dt><dd>{old}</dd></div>
            <div class="facts-full">
                <dt>"New key, waiting"</dt>
                <dd><span class="idc">{fingerprint(&change.fingerprint)}{copy(change.fingerprint.clone(), "new fingerprint")}</span></dd>
            </div>
            <div><dt>"Asked for by"</dt><dd>{who.to_owned()}<small>{at(change.asked_at)}</small></dd></div>
            <div><dt>"Takes effect"</dt><dd>{at(change.effective_at)}<small>"unless the Owner objects before"</small></dd></div>
        </dl>
        {cancel}
    }
    .into_any()
}

fn form(org: &Org, back: &str) -> AnyView {
    view! {
        <details class="disclose panel-body">
            <summary>{icon("chevron")}"Put another key on file"</summary>
            <form class="stack" method="post" action="/do/change_owner_key">
                <input type="hidden" name="org" value=org.id.clone() />
                <input type="hidden" name="back" value=back.to_owned() />
                <div class="field">
                    <label for="new-key">"The Owner’s new public key"</label>
                    <textarea class="textarea input-mono" id="new-key" name="key" required rows="6" spellcheck="false" autocomplete="off"
                        aria-describedby="new-key-hint" placeholder="-----BEGIN PGP …"></textarea>
                    <p class="field-hint" id="new-key-hint">
                        "The whole of "<code>"gpg --armor --export-options export-minimal --export"</code>", followed by the key’s fingerprint. Never a private key."
                    </p>
                </div>
                <div class="field">
                    <label for="which-key">"Its fingerprint, where the text holds several keys"</label>
                    <input class="input input-mono" id="which-key" name="which" spellcheck="false" autocomplete="off" />
                </div>
                <div class="form-actions"><button class="btn">{icon("key")}"Ask for the change"</button></div>
            </form>
        </details>
    }
    .into_any()
}

/// `GET /key-change/{link}`: which key would be used, and asks.
pub async fn object_page(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    session: Session,
    Path(link): Path<String>,
) -> Response {
    let found: Step<Option<(KeyChange, Org, String)>> = async {
        let mut conn = app.desk.store.read().await?;
        let Some((change, org)) =
            app.desk.key_change_of_link(&mut conn, &SecretString::from(link.clone())).await?
        else {
            return Ok(None);
        };
        let who =
            staff::by_id(&mut conn, &change.asked_by).await?.map_or_else(String::new, |s| s.name);
        Ok(Some((change, org, who)))
    }
    .await;
    let flashes = take_flashes(&session).await;
    let (status, body) = match found {
        Err(e) => {
            tracing::error!(error = %e, "reading a change of a key");
            return super::error::broken();
        }
        Ok(None) => (StatusCode::NOT_FOUND, no_link()),
        Ok(Some((change, org, _))) if change.state == KeyChangeState::Objected => {
            (StatusCode::OK, objected(&org))
        }
        Ok(Some((change, org, who))) => (StatusCode::OK, object_card(&change, &org, who, link)),
    };
    solo(&app, theme(&headers), status, "Your OpenPGP key", flashes, body)
}

fn object_card(change: &KeyChange, org: &Org, who: String, link: String) -> AnyView {
    let old = match fingerprint_on_file(org) {
        Some(old) => fingerprint(&old),
        None => "none".into_any(),
    };
    view! {
        <div class="card card-wide">
            <div class="card-head">
                <h1>"Is this new key yours?"</h1>
                <p>{format!("New secrets of {} are encrypted to the OpenPGP key on file. Another one is to take its place.", org.name)}</p>
            </div>
            <form class="card-body" method="post" action="/do/object_to_key">
                <dl class="what">
                    <dt>"Key on file"</dt><dd>{old}</dd>
                    <dt>"New key"</dt><dd>{fingerprint(&change.fingerprint)}</dd>
                    <dt>"Asked for by"</dt><dd>{who}", "{at(change.asked_at)}</dd>
                    <dt>"Not used before"</dt><dd>{at(change.effective_at)}</dd>
                </dl>
                <input type="hidden" name="link" value=link />
                <button class="btn btn-lg btn-primary btn-block">{icon("refused")}"I object: keep the key on file"</button>
            </form>
            <div class="card-foot"><p>"If the new key is yours, close the page. It is used from then on."</p></div>
        </div>
    }
    .into_any()
}

fn objected(org: &Org) -> AnyView {
    view! {
        <div class="card">
            <div class="card-head">
                <h1>"The key on file stays"</h1>
                <p>{format!("You objected, and the other key is not used for {}. If you did not send it to us, tell us in your support ticket.", org.name)}</p>
            </div>
        </div>
    }
    .into_any()
}

/// Asks for another key for the Owner.
#[server(prefix = "/do", endpoint = "change_owner_key")]
pub async fn change_owner_key(
    org: String,
    key: String,
    #[server(default)] which: String,
    back: String,
) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let who = hand.who().await?;
    let desk = hand.app.desk.clone();
    let which = which.replace(char::is_whitespace, "").to_ascii_uppercase();
    // Where it is none of them, the answer names them.
    let key = openpgp::choose(&key, &which).unwrap_or(key);
    openpgp::prepare(&key).await;
    let step = async {
        let mut tx = desk.begin().await?;
        let step = desk.ask_key_change(&mut tx, &who, &org, &key).await;
        desk.settle(tx, step).await
    };
    hand.answer(step.await, local(&back), |asked| match asked {
        KeyAsked::Waits(change) => Flash::done(
            "The new key waits",
            format!(
                "It is not used before {}. The Owner gets both fingerprints by mail, with a link to object.",
                time::seconds(change.effective_at)
            ),
        ),
        KeyAsked::Renewed { problem: None } => Flash::done(
            "The key on file is renewed",
            "It is the same key, so there is nothing to wait for. The Owner is told by mail.",
        ),
        KeyAsked::Renewed { problem: Some(problem) } => Flash::done(
            "The key on file is renewed, and cannot be used",
            format!("{}.", problem),
        ),
    })
    .await
}

/// Cancels a change that waits.
#[server(prefix = "/do", endpoint = "cancel_owner_key")]
pub async fn cancel_owner_key(change: String, back: String) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let who = hand.who().await?;
    let desk = hand.app.desk.clone();
    let step = async {
        let mut tx = desk.begin().await?;
        let step = desk.cancel_key_change(&mut tx, &who, &change).await;
        desk.settle(tx, step).await
    };
    hand.answer(step.await, local(&back), |_| {
        Flash::done("Cancelled", "The key on file stays. Both logs say so.")
    })
    .await
}

/// The Owner objects.
#[server(prefix = "/do", endpoint = "object_to_key")]
pub async fn object_to_key(link: String) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let secret = SecretString::from(link.clone());
    let step = async {
        let mut tx = hand.app.desk.begin().await?;
        let step = hand.app.desk.object_by_link(&mut tx, &secret, Some(hand.from.clone())).await;
        hand.app.desk.settle(tx, step).await
    };
    let back = format!("/key-change/{}", encode(&link));
    hand.answer(step.await, &back, |()| {
        Flash::done("Recorded", "Both audit logs say that you objected.")
    })
    .await
}
