//! What became of the new secret: sealed, handed off, sent or undelivered, acknowledged.

use leptos::prelude::*;
use sqlx::AnyConnection;

use crate::desk::Step;
use crate::model::{Channel, ConfirmedOver, HandoffState, OutboxKind, time};
use crate::store::handoffs::{self, Handoff};
use crate::store::impersonations;
use crate::store::outbox::{self, Item, Stands};
use crate::web::components::{copy, fingerprint, icon, id, state};

/// The handoff of an impersonation, and what carries it.
#[derive(Clone)]
pub struct Delivery {
    /// The handoff.
    pub handoff: Handoff,
    /// Who rotated.
    pub admin_id: String,
    /// Its mails, oldest first.
    pub mails: Vec<Item>,
    /// What is to be in the shared vault.
    pub item: Option<Item>,
}

impl Delivery {
    /// What is known of an impersonation's handoff; nothing before the rotation.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn of(conn: &mut AnyConnection, impersonation_id: &str) -> Step<Option<Self>> {
        let Some(handoff) = handoffs::of_impersonation(conn, impersonation_id).await? else {
            return Ok(None);
        };
        let (mails, others): (Vec<_>, Vec<_>) = outbox::about(conn, &handoff.id)
            .await?
            .into_iter()
            .partition(|item| item.kind == OutboxKind::Mail);
        let item = others.into_iter().find(|item| item.kind == OutboxKind::OnePassword);
        let grant = impersonations::by_id(conn, impersonation_id).await?;
        // One that was taken out of the register is shown all the same, and nobody's.
        let admin_id = grant.map_or_else(String::new, |g| g.admin_id);
        Ok(Some(Self { handoff, admin_id, mails, item }))
    }
}

/// An address of which only as much is shown as tells it from another.
#[must_use]
pub fn masked(address: &str) -> String {
    match address.split_once('@') {
        Some((name, host)) if !name.is_empty() => {
            format!("{}•••@{host}", name.chars().take(1).collect::<String>())
        }
        _ => "•••".to_owned(),
    }
}

/// The panel. `over` is whether the impersonation has ended.
pub fn panel(delivery: Option<&Delivery>, over: bool, viewer: Option<&str>, back: &str) -> AnyView {
    let acts = viewer.is_some();
    let Some(d) = delivery else {
        let said = if over {
            "Nothing was rotated, so there was nothing to hand off."
        } else {
            "Nothing is rotated yet, so there is nothing to hand off."
        };
        return view! {
            <section class="panel" aria-label="Handoff">
                <div class="panel-head"><h2>"Handoff"</h2></div>
                <div class="panel-body"><p class="muted">{said}</p></div>
            </section>
        }
        .into_any();
    };
    let h = &d.handoff;
    let pgp = h.channel == Channel::Pgp;
    let key = if pgp {
        view! { <span class="idc">{fingerprint(&h.recipient_key)}{copy(h.recipient_key.clone(), "fingerprint")}</span> }
            .into_any()
    } else {
        id(&h.recipient_key, "vault id")
    };
    let to =
        if pgp { masked(&h.recipient) } else { "the vault shared with the customer".to_owned() };
    view! {
        <section class="panel" aria-label="Handoff">
            <div class="panel-head"><h2>"Handoff"</h2><p>{h.channel.label()}</p></div>
            {stages(d)}
            <dl class="facts">
                <div><dt>"To"</dt><dd>{to}</dd></div>
                <div class="facts-full"><dt>{if pgp { "Encrypted to the key" } else { "Vault" }}</dt><dd>{key}</dd></div>
                {d.item.as_ref().map(|item| view! { <div class="facts-full"><dt>"Item"</dt><dd>{in_vault(h, item)}</dd></div> })}
                <div><dt>"Mail"</dt><dd>{mail(d)}</dd></div>
                {(pgp && viewer == Some(d.admin_id.as_str())).then(|| view! {
                    <div>
                        <dt>"Ciphertext"</dt>
                        <dd>
                            <a class="icon-text" href=format!("/handoffs/{}/message.asc", h.id)>{icon("download")}"message.asc"</a>
                            <small>"only the Owner can read it; each copy is a row of both logs"</small>
                        </dd>
                    </div>
                })}
            </dl>
            {(acts && on_its_way(h)).then(|| send_again(d, back))}
            {(acts && may_be_there(h)).then(|| match viewer == Some(d.admin_id.as_str()) {
                false => acknowledge(h, back),
                true => view! {
                    <p class="panel-foot">"The Owner confirms it by the link, or another admin records how they did: you rotated it."</p>
                }
                .into_any(),
            })}
        </section>
    }
    .into_any()
}

/// Whether a handoff was made and the Owner has not confirmed it.
fn on_its_way(h: &Handoff) -> bool {
    matches!(h.state, HandoffState::Queued | HandoffState::Sent | HandoffState::Undelivered)
}

/// Whether the Owner may have it, so that staff can record that they do: it was sent, or the
/// message can have been passed on otherwise.
#[must_use]
pub fn may_be_there(h: &Handoff) -> bool {
    matches!(h.state, HandoffState::Sent | HandoffState::Undelivered) && !h.awaits_vault()
}

fn stages(d: &Delivery) -> AnyView {
    let h = &d.handoff;
    let stage = |done: bool, name: &'static str, sub: String| {
        let (class, glyph) = if done { ("is-done", "check") } else { ("is-wait", "clock") };
        view! { <li class=class>{icon(glyph)}<span>{name}</span><span class="sub">{sub}</span></li> }
            .into_any()
    };
    let in_vault = d.item.is_some();
    let queued = match h.queued_at {
        Some(at) => stage(true, "Handed off", time::seconds(at)),
        None => stage(false, "Not handed off yet", "it waits for Hand off and end".to_owned()),
    };
    let sent = h.queued_at.map(|_| match (h.sent_at, h.state) {
        (Some(at), _) if in_vault => stage(true, "In the shared vault", time::seconds(at)),
        (Some(at), _) => stage(true, "Sent", time::seconds(at)),
        (None, HandoffState::Undelivered) => view! {
            <li class="is-wait">
                {icon("warning")}<span>"Undelivered"</span>
                <span class="sub">"the old secret goes on working meanwhile"</span>
            </li>
        }
        .into_any(),
        (None, _) if in_vault => {
            stage(false, "Not in the shared vault yet", "Keyturn tries again by itself".to_owned())
        }
        (None, _) => stage(false, "Leaving", "the mail server has not taken it yet".to_owned()),
    });
    let acknowledged = match (h.acknowledged_at, &h.acknowledged_how) {
        (Some(at), Some(how)) if how == "link" => {
            stage(true, "Acknowledged", format!("{}, by the link in the mail", time::seconds(at)))
        }
        (Some(at), how) => {
            let how = how.as_deref().unwrap_or("unknown");
            stage(true, "Acknowledged", format!("{}: {how}", time::seconds(at)))
        }
        (None, _) => stage(
            false,
            "Not acknowledged yet",
            "by the link in the mail, which works once, or recorded by staff".to_owned(),
        ),
    };
    view! {
        <ol class="stages">
            {stage(true, "Sealed", time::seconds(h.created_at))}
            {queued}
            {sent}
            {acknowledged}
        </ol>
    }
    .into_any()
}

/// Whether the item is in the shared vault, and where it is not, what to do.
fn in_vault(h: &Handoff, item: &Item) -> AnyView {
    match &h.item_id {
        Some(there) => view! {
            <span>{state("state-ok", "check", "Written")}<small>{id(there, "item id")}</small></span>
        }
        .into_any(),
        None => not_taken(item, "About to be written"),
    }
}

/// Why an item has not left, in the other side's words, and what happens next. Nothing where it
/// has not been tried.
#[must_use]
pub fn not_taken(item: &Item, untried: &'static str) -> AnyView {
    let tried = match item.attempts {
        1 => "tried once".to_owned(),
        n => format!("tried {n} times"),
    };
    let next = time::seconds(item.next_at);
    let (class, word, then) = match (item.stands(), &item.last_error) {
        (Stands::Undelivered, _) => {
            let at = item.gave_up_at.map(time::seconds).unwrap_or_default();
            ("state-bad", "Undelivered", format!("{tried}, given up {at}"))
        }
        (Stands::SetAside, _) => ("", "Set aside", tried),
        (_, None) => return state("", "clock", untried),
        (_, Some(_)) if item.to_mend == 1 => {
            ("state-needs", "Needs mending", format!("{tried}, again {next}"))
        }
        (_, Some(_)) => ("state-needs", "Waits", format!("{tried}, again {next}")),
    };
    view! {
        <span>
            {state(class, "warning", word)}
            {item.last_error.clone().map(|why| view! { <small>{why}</small> })}
            <small>{then}</small>
        </span>
    }
    .into_any()
}

/// Where the mail is.
fn mail(d: &Delivery) -> AnyView {
    let Some(last) = d.mails.last() else {
        let waits = d.item.is_some() && d.handoff.delivered_at.is_none();
        return if waits { "goes once the item is there" } else { "none yet" }.into_any();
    };
    match last.taken_at() {
        Some(at) => view! { <span>{state("state-ok", "check", "Taken by the mail server")}<small>{time::seconds(at)}</small></span> }
            .into_any(),
        None => not_taken(last, "Waiting to be sent"),
    }
}

fn send_again(d: &Delivery, back: &str) -> AnyView {
    let all = || d.mails.iter().chain(&d.item).map(Item::stands);
    let (word, hint) = if all().any(|stands| stands == Stands::Waits) {
        ("Try again now", "It has not left yet. Keyturn tries again by itself; this tries at once.")
    } else if all().any(|stands| stands == Stands::Undelivered) {
        (
            "Send again",
            "It was refused for good. Put right what the answer names, such as the Owner’s address on file, and send it again. A mail goes to the address on file by then, with a new link.",
        )
    } else if d.handoff.channel == Channel::OnePassword {
        (
            "Send the notice again",
            "The item stays as it is. The mail that says where it is goes once more, with a new link. The old link stops working.",
        )
    } else {
        (
            "Send again",
            "The same message, to the same address and key, with a new link. The old link stops working.",
        )
    };
    view! {
        <form class="panel-body panel-form stack" method="post" action="/do/send_again">
            <input type="hidden" name="handoff" value=d.handoff.id.clone() />
            <input type="hidden" name="back" value=back.to_owned() />
            <p class="field-hint">{hint}</p>
            <div class="form-actions"><button class="btn">{icon("send")}{word}</button></div>
        </form>
    }
    .into_any()
}

fn acknowledge(h: &Handoff, back: &str) -> AnyView {
    view! {
        <form class="panel-body panel-form stack" method="post" action="/do/acknowledge_staff">
            <input type="hidden" name="handoff" value=h.id.clone() />
            <input type="hidden" name="back" value=back.to_owned() />
            <div class="field">
                <label for="ack-over">"Over which channel the Owner confirmed that it arrived"</label>
                <select class="select" id="ack-over" name="over" required>
                    <option value="">"Choose one"</option>
                    {ConfirmedOver::ALL.iter().map(|over| view! { <option value=over.as_str()>{over.label()}</option> }).collect_view()}
                </select>
            </div>
            <div class="field">
                <label for="ack-how">"How you know that it was the Owner"</label>
                <input class="input" id="ack-how" name="how" required maxlength="300" autocomplete="off" aria-describedby="ack-hint" />
                <p class="field-hint" id="ack-hint">"For example: at the number in the contract, to Olive herself. It goes into both logs."</p>
            </div>
            <div class="form-actions"><button class="btn">{icon("check")}"Record acknowledgement"</button></div>
        </form>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn of_an_address_only_the_first_letter_and_the_host_are_shown() {
        assert_eq!(masked("ines@acme.example"), "i•••@acme.example");
        assert_eq!(masked("nonsense"), "•••");
        assert_eq!(masked("@acme.example"), "•••");
    }
}
