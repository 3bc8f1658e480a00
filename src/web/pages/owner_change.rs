//! The way to the Owner: the panel in which staff ask for another key, and approve or cancel what
//! waits; the notices that tell of a change; and the page of the link by which the Owner decides.

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
use crate::desk::owner_change::{Asked, facts, fingerprint_on_file, statement};
use crate::model::{Channel, Micros, OwnerChangeKind, OwnerChangeState, time};
use crate::policy::owner_change::{STAYS_AWAY_FOR, WAITS_FOR, Wait, waits_for};
use crate::store::orgs::{self, Org};
use crate::store::owner_changes::{self, Approval, OwnerChange};
use crate::web::app::App;
use crate::web::components::{at, copy, fingerprint, icon};
use crate::web::door::{Flash, Hand, encode, local, take_flashes, theme};
use crate::web::fault::Fault;
use crate::web::shell::solo;

/// What there is to tell of changes of the way to an org's Owner.
pub struct Changes {
    /// Those that wait, who approved each, and what it still waits for.
    waiting: Vec<(OwnerChange, Vec<Approval>, Vec<Wait>)>,
    /// Those that are over, newest first, for as long as they are told of.
    decided: Vec<OwnerChange>,
}

/// Reads what there is to tell.
///
/// # Errors
/// Where the database does not answer.
pub async fn changes(conn: &mut AnyConnection, org_id: &str, now: Micros) -> Step<Changes> {
    let mut waiting = Vec::new();
    for change in owner_changes::waiting_of(conn, org_id).await? {
        let approvals = owner_changes::approvals(conn, &change.id).await?;
        let waits = waits_for(&facts(&change, &approvals), now);
        waiting.push((change, approvals, waits));
    }
    let decided = owner_changes::decided_since(conn, org_id, now - STAYS_AWAY_FOR).await?;
    Ok(Changes { waiting, decided })
}

/// What whoever hands something over has to know: that something of the way to the Owner was
/// replaced not long ago, or is about to be. No check: the procedure goes on.
pub fn notices(changes: &Changes) -> AnyView {
    let applied = changes.decided.iter().filter(|c| c.state == OwnerChangeState::Applied);
    let applied = applied.filter_map(|c| Some((c, c.decided_at?))).map(|(c, on)| {
        view! {
            <div class="notice notice-needs" role="note">
                {icon("key")}
                <div>
                    <strong>{format!("The Owner’s {} was changed on {}", c.kind.label(), time::date(on))}</strong>
                    <p>{format!("Asked for by {} at {}. Compare it with the Owner in another way before you hand anything over.", c.asked_by_name, time::seconds(c.asked_at))}</p>
                </div>
            </div>
        }
    });
    let waiting = changes.waiting.iter().map(|(c, _, waits)| {
        view! {
            <div class="notice" role="note">
                {icon("clock")}
                <div>
                    <strong>{format!("A change of the Owner’s {} waits", c.kind.label())}</strong>
                    <p>{format!("{} asked for it. It waits for {}. Until then what is on file is used.", c.asked_by_name, listed(waits))}</p>
                </div>
            </div>
        }
    });
    view! { {applied.collect_view()}{waiting.collect_view()} }.into_any()
}

/// What a change waits for, in words.
fn listed(waits: &[Wait]) -> String {
    let said = waits.iter().map(|wait| match wait {
        Wait::Owner => "the Owner’s yes".to_owned(),
        Wait::Admin => "an admin who did not ask".to_owned(),
        Wait::TwoAdmins => {
            "an admin who did not ask (or two, after seven days without the Owner)".to_owned()
        }
        Wait::Until(at) => time::seconds(*at),
    });
    said.collect::<Vec<_>>().join(", and for ")
}

/// The panel of the org page: what waits, and the form for another key. `viewer` is the id of who
/// looks, where they may act; `fresh` says whether they have just proven to be there.
pub fn panel(org: &Org, changes: &Changes, viewer: Option<&str>, fresh: bool) -> AnyView {
    let pgp = org.channel.as_deref() == Some(Channel::Pgp.as_str());
    if !pgp && changes.waiting.is_empty() && changes.decided.is_empty() {
        return ().into_any();
    }
    let back = format!("/orgs/{}", org.slug);
    let decided = changes.decided.first().and_then(|c| Some((c, c.decided_at?))).map(|(c, on)| {
        let said = match c.state {
            OwnerChangeState::Applied => format!("The {} on file was changed", c.kind.label()),
            OwnerChangeState::Objected => {
                format!("The Owner objected to another {}", c.kind.label())
            }
            _ => format!("A change of the {} was cancelled", c.kind.label()),
        };
        view! { <div class="facts-full"><dt>{said}</dt><dd>{at(on)}</dd></div> }
    });
    let waiting = changes
        .waiting
        .iter()
        .map(|(c, approvals, waits)| waiting(org, c, approvals, waits, viewer, fresh, &back))
        .collect_view();
    let asks = pgp
        && viewer.is_some()
        && !changes.waiting.iter().any(|(c, ..)| c.kind == OwnerChangeKind::PgpKey);
    let ask = match (asks, fresh) {
        (false, _) => ().into_any(),
        (true, false) => view! {
            <div class="panel-body stack-2">
                <p>"Whoever replaces this key reads what is handed over next. Confirm first that it is you."</p>
                <div class="form-actions">
                    <a class="btn" href=format!("/step-up?next={}", encode(&back))>{icon("lock")}"Confirm, to replace the key"</a>
                </div>
            </div>
        }
        .into_any(),
        (true, true) => form(org, &back),
    };
    view! {
        <section class="panel" aria-label="Owner's key" id="owner-key">
            <div class="panel-head"><h2>"Replace the Owner’s key"</h2></div>
            {decided.map(|d| view! { <dl class="facts">{d}</dl> })}
            {waiting}
            {ask}
            <p class="panel-foot">"It counts when the Owner says yes and an admin who did not ask approves. Silence is no yes. Whoever asks stays away from this org’s secrets for 30 days."</p>
        </section>
    }
    .into_any()
}

fn waiting(
    org: &Org,
    change: &OwnerChange,
    approvals: &[Approval],
    waits: &[Wait],
    viewer: Option<&str>,
    fresh: bool,
    back: &str,
) -> AnyView {
    let (old, new) = (on_file(org, change.kind), shown(change));
    let copied = (change.kind == OwnerChangeKind::PgpKey)
        .then(|| copy(change.shown.clone(), "new fingerprint"));
    let owner = match (change.agreed_at, change.agreed_how()) {
        (Some(on), Some(how)) => view! { "Yes, "{how.label()}<small>{at(on)}</small> }.into_any(),
        _ => view! { "Has not answered"<small>"Asked by mail at the address on file"</small> }
            .into_any(),
    };
    let admins = match approvals {
        [] => view! { "Nobody yet"<small>"Not whoever asked"</small> }.into_any(),
        some => some
            .iter()
            .map(|a| view! { <span>{a.staff_name.clone()}<small>{at(a.at)}</small></span> })
            .collect_view()
            .into_any(),
    };
    let rest = match waits {
        [] => "nothing any more: it takes effect within seconds".to_owned(),
        some => listed(some),
    };
    let approves = viewer
        .is_some_and(|who| who != change.asked_by && approvals.iter().all(|a| a.staff_id != who));
    let approve = match (approves, fresh) {
        (false, _) => ().into_any(),
        (true, false) => view! {
            <a class="btn btn-primary" href=format!("/step-up?next={}", encode(back))>{icon("lock")}"Confirm, to approve"</a>
        }
        .into_any(),
        (true, true) => view! {
            <form method="post" action="/do/approve_owner_change">
                <input type="hidden" name="change" value=change.id.clone() />
                <input type="hidden" name="back" value=back.to_owned() />
                <button class="btn btn-primary">{icon("check")}"Approve the change"</button>
            </form>
        }
        .into_any(),
    };
    let acts = viewer.map(|_| {
        let signed = (change.agreed_at.is_none() && org.pgp_key.is_some())
            .then(|| signed_form(org, change, back));
        view! {
            <div class="panel-body form-actions">
                {approve}
                <form method="post" action="/do/cancel_owner_change">
                    <input type="hidden" name="change" value=change.id.clone() />
                    <input type="hidden" name="back" value=back.to_owned() />
                    <button class="btn btn-danger">{icon("cross")}"Cancel the change"</button>
                </form>
            </div>
            {signed}
        }
    });
    view! {
        <dl class="facts">
            <div class="facts-full"><dt>{format!("{} on file, used until then", capital(change.kind.label()))}</dt><dd>{old}</dd></div>
            <div class="facts-full">
                <dt>{format!("New {}, waiting", change.kind.label())}</dt>
                <dd><span class="idc">{new}{copied}</span></dd>
            </div>
            <div><dt>"Asked for by"</dt><dd>{change.asked_by_name.clone()}<small>{at(change.asked_at)}</small></dd></div>
            <div><dt>"The Owner"</dt><dd>{owner}</dd></div>
            <div><dt>"Approved by"</dt><dd>{admins}</dd></div>
            <div><dt>"Waits for"</dt><dd>{rest}<small>"Dropped "{at(change.asked_at.saturating_add(WAITS_FOR))}</small></dd></div>
        </dl>
        {acts}
    }
    .into_any()
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What is on file of this kind.
fn on_file(org: &Org, kind: OwnerChangeKind) -> AnyView {
    let none = || "none".into_any();
    match kind {
        OwnerChangeKind::PgpKey => match fingerprint_on_file(org) {
            Some(old) => fingerprint(&old),
            None => none(),
        },
        OwnerChangeKind::Address => org.owner_address.clone().map_or_else(none, IntoAny::into_any),
        OwnerChangeKind::Owner => "the Owner of record as above".into_any(),
        OwnerChangeKind::Channel => {
            let label = org.channel.as_deref().and_then(|c| c.parse::<Channel>().ok());
            label.map_or_else(none, |c| c.label().into_any())
        }
    }
}

/// What is to be on file.
fn shown(change: &OwnerChange) -> AnyView {
    match change.kind {
        OwnerChangeKind::PgpKey => fingerprint(&change.shown),
        _ => change.shown.clone().into_any(),
    }
}

/// Where staff bring what the Owner signed.
fn signed_form(org: &Org, change: &OwnerChange, back: &str) -> AnyView {
    let field = format!("signed-{}", change.id);
    let hint = format!("{field}-hint");
    view! {
        <details class="disclose panel-body">
            <summary>{icon("chevron")}"The Owner signed instead of using the link"</summary>
            <form class="stack" method="post" action="/do/agree_owner_change">
                <input type="hidden" name="change" value=change.id.clone() />
                <input type="hidden" name="back" value=back.to_owned() />
                <div class="field">
                    <label for=field.clone()>"The signed text"</label>
                    <textarea class="textarea input-mono" id=field name="signed" required rows="5" spellcheck="false" autocomplete="off"
                        aria-describedby=hint.clone() placeholder="-----BEGIN PGP SIGNED MESSAGE-----"></textarea>
                    <p class="field-hint" id=hint>"The Owner signs this line with the key on file ("<code>"gpg --clearsign"</code>"): "<q>{statement(org, change)}</q></p>
                </div>
                <div class="form-actions"><button class="btn">{icon("check")}"Check the signature"</button></div>
            </form>
        </details>
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

/// `GET /owner-change/{link}`: what is to be on file, and asks for a yes or a no.
pub async fn decide_page(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    session: Session,
    Path(link): Path<String>,
) -> Response {
    let found: Step<Option<(OwnerChange, Org)>> = async {
        let mut conn = app.desk.store.read().await?;
        app.desk.owner_change_of_link(&mut conn, &SecretString::from(link.clone())).await
    }
    .await;
    let flashes = take_flashes(&session).await;
    let (status, body) = match found {
        Err(e) => {
            tracing::error!(error = %e, "reading a change of the way to the Owner");
            return super::error::broken();
        }
        Ok(None) => (StatusCode::NOT_FOUND, no_link()),
        Ok(Some((change, org))) => (StatusCode::OK, card(&change, &org, link)),
    };
    solo(&app, theme(&app, &headers), status, "Do you agree?", flashes, body)
}

fn card(change: &OwnerChange, org: &Org, link: String) -> AnyView {
    let what = change.kind.label();
    match (change.state, change.agreed_at) {
        (OwnerChangeState::Objected, _) => said(
            "What is on file stays".to_owned(),
            format!(
                "You said no, and the other {what} is not used for {}. If nobody on your side asked for it, tell us in your support ticket.",
                org.name
            ),
        ),
        (OwnerChangeState::Applied, _) => said(
            format!("The new {what} counts"),
            format!(
                "You agreed, and so did an admin of the platform. It is what is used for {} now.",
                org.name
            ),
        ),
        (_, Some(_)) => agreed(change, org, link),
        _ => asking(change, org, link),
    }
}

fn said(heading: String, text: String) -> AnyView {
    view! { <div class="card"><div class="card-head"><h1>{heading}</h1><p>{text}</p></div></div> }
        .into_any()
}

fn asking(change: &OwnerChange, org: &Org, link: String) -> AnyView {
    let (heading, why) = match change.kind {
        OwnerChangeKind::PgpKey => {
            ("Is this new key yours?", "New secrets are encrypted to the OpenPGP key on file.")
        }
        OwnerChangeKind::Address => {
            ("Is this new address yours?", "New secrets go to the address on file.")
        }
        OwnerChangeKind::Owner => (
            "Is this the new Owner of record?",
            "The Owner of record asks for new secrets, and receives them.",
        ),
        OwnerChangeKind::Channel => {
            ("Shall new secrets go this way?", "New secrets reach you by the channel on file.")
        }
    };
    view! {
        <div class="card card-wide">
            <div class="card-head">
                <h1>{heading}</h1>
                <p>{format!("{why} Another one is to take its place for {}. Without your yes it does not.", org.name)}</p>
            </div>
            <form class="card-body" method="post" action="/do/agree_by_link">
                <dl class="what">
                    <dt>"On file now"</dt><dd>{on_file(org, change.kind)}</dd>
                    <dt>"New"</dt><dd>{shown(change)}</dd>
                    <dt>"Asked for by"</dt><dd>{change.asked_by_name.clone()}", "{at(change.asked_at)}</dd>
                </dl>
                <input type="hidden" name="link" value=link.clone() />
                <button class="btn btn-lg btn-primary btn-block">{icon("check")}"Yes, I agree"</button>
                <button class="btn btn-lg btn-block" formaction="/do/object_by_link">{icon("refused")}"No, keep what is on file"</button>
            </form>
            <div class="card-foot"><p>"Compare it with what you have, letter by letter. Both audit logs keep your answer."</p></div>
        </div>
    }
    .into_any()
}

fn agreed(change: &OwnerChange, org: &Org, link: String) -> AnyView {
    view! {
        <div class="card">
            <div class="card-head">
                <h1>"You agreed"</h1>
                <p>{format!("The new {} counts for {} as soon as a second admin of the platform has approved it. You get a mail then.", change.kind.label(), org.name)}</p>
            </div>
            <form class="card-body" method="post" action="/do/object_by_link">
                <input type="hidden" name="link" value=link />
                <button class="btn btn-lg btn-block">{icon("refused")}"I take it back: keep what is on file"</button>
            </form>
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
    let step = async {
        desk.prepare_key_change(&org, &key).await?;
        let mut tx = desk.begin().await?;
        let step = desk.ask_key_change(&mut tx, &who, &org, &key).await;
        desk.settle(tx, step).await
    };
    hand.answer(step.await, local(&back), |asked| match asked {
        Asked::Waits(_) => Flash::done(
            "The new key waits",
            "The Owner gets both fingerprints by mail, with a link to say yes or no. Another admin approves it here.",
        ),
        Asked::Renewed { problem: None } => Flash::done(
            "The key on file is renewed",
            "It is the same key, so there is nothing to wait for. The Owner is told by mail.",
        ),
        Asked::Renewed { problem: Some(problem) } => Flash::done(
            "The key on file is renewed, and cannot be used",
            format!("{}.", problem),
        ),
    })
    .await
}

/// Another admin approves a change that waits.
#[server(prefix = "/do", endpoint = "approve_owner_change")]
pub async fn approve_owner_change(change: String, back: String) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let who = hand.who().await?;
    let desk = hand.app.desk.clone();
    let step = async {
        prepare_change(&desk, &change).await?;
        let mut tx = desk.begin().await?;
        let step = desk.approve_owner_change(&mut tx, &who, &change).await;
        desk.settle(tx, step).await
    };
    hand.answer(step.await, local(&back), told).await
}

/// What the Owner signed is brought by staff.
#[server(prefix = "/do", endpoint = "agree_owner_change")]
pub async fn agree_owner_change(change: String, signed: String, back: String) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let who = hand.who().await?;
    let desk = hand.app.desk.clone();
    let step = async {
        prepare_change(&desk, &change).await?;
        let mut tx = desk.begin().await?;
        let step = desk.agree_by_signature(&mut tx, &who, &change, &signed).await;
        desk.settle(tx, step).await
    };
    hand.answer(step.await, local(&back), told).await
}

/// Cancels a change that waits.
#[server(prefix = "/do", endpoint = "cancel_owner_change")]
pub async fn cancel_owner_change(change: String, back: String) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let who = hand.who().await?;
    let desk = hand.app.desk.clone();
    let step = async {
        let mut tx = desk.begin().await?;
        let step = desk.cancel_owner_change(&mut tx, &who, &change).await;
        desk.settle(tx, step).await
    };
    hand.answer(step.await, local(&back), |_| {
        Flash::done("Cancelled", "What is on file stays. Both logs say so.")
    })
    .await
}

/// The Owner agrees.
#[server(prefix = "/do", endpoint = "agree_by_link")]
pub async fn agree_by_link(link: String) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let secret = SecretString::from(link.clone());
    let step = async {
        let desk = &hand.app.desk;
        let known = {
            let mut conn = desk.store.read().await?;
            desk.owner_change_of_link(&mut conn, &secret).await?
        };
        if let Some((change, _)) = known {
            prepare_change(desk, &change.id).await?;
        }
        let mut tx = desk.begin().await?;
        let step = desk.agree_by_link(&mut tx, &secret, Some(hand.from.clone())).await;
        desk.settle(tx, step).await
    };
    let back = format!("/owner-change/{}", encode(&link));
    hand.answer(step.await, &back, |_| {
        Flash::done("Recorded", "Both audit logs say that you agreed.")
    })
    .await
}

/// The Owner objects.
#[server(prefix = "/do", endpoint = "object_by_link")]
pub async fn object_by_link(link: String) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let secret = SecretString::from(link.clone());
    let step = async {
        let mut tx = hand.app.desk.begin().await?;
        let step = hand.app.desk.object_by_link(&mut tx, &secret, Some(hand.from.clone())).await;
        hand.app.desk.settle(tx, step).await
    };
    let back = format!("/owner-change/{}", encode(&link));
    hand.answer(step.await, &back, |()| {
        Flash::done("Recorded", "Both audit logs say that you objected.")
    })
    .await
}

/// Judges the keys that a decision rests on, where it holds nobody up: the one that is to be on
/// file, and the one that is.
async fn prepare_change(desk: &crate::desk::Desk, id: &str) -> Step<()> {
    let (change, org) = {
        let mut conn = desk.store.read().await?;
        let Some(change) = owner_changes::by_id(&mut conn, id).await? else { return Ok(()) };
        let org = orgs::by_id(&mut conn, &change.org_id).await?;
        (change, org)
    };
    if change.kind == OwnerChangeKind::PgpKey {
        openpgp::prepare(&change.value).await;
    }
    if let Some(key) = org.and_then(|org| org.pgp_key) {
        openpgp::prepare(&key).await;
    }
    Ok(())
}

fn told(change: &OwnerChange) -> Flash {
    match change.state {
        OwnerChangeState::Applied => Flash::done(
            format!("The new {} counts", change.kind.label()),
            "Everybody who has to has agreed. The Owner is told by mail.",
        ),
        OwnerChangeState::Cancelled => Flash::done(
            "The change was dropped",
            "It could not be put on file any more. Both logs say why.",
        ),
        _ => Flash::done("Recorded", "It still waits. What for stands with the change."),
    }
}
