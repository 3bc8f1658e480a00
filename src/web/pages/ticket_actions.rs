//! What the forms of the ticket page post to. Each calls one function of the desk.

use leptos::prelude::*;

use crate::desk::StepError;
use crate::desk::outbox::again::SentAgain;
use crate::desk::rotate::{Ask, Caller, Certified};
use crate::model::{Channel, SecretType, time};
use crate::store::{impersonations, tickets};
use crate::web::door::{Flash, Hand, local};
use crate::web::fault::Fault;

fn ticket_page(id: &str) -> String {
    format!("/tickets/{}", crate::web::door::encode(id))
}

/// Starts the impersonation for a ticket.
#[server(prefix = "/do", endpoint = "impersonate")]
pub async fn impersonate(ticket: String) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let who = hand.who().await?;
    let desk = hand.app.desk.clone();
    hand.answer(desk.start_impersonation(&who, &ticket).await, &ticket_page(&ticket), |grant| {
        Flash::done(
            "Impersonation started",
            format!(
                "It can rotate {} and nothing else, until {}.",
                grant.secret_id,
                time::seconds(grant.expires_at)
            ),
        )
    })
    .await
}

/// Rotates under the live impersonation. The console uses its token as any program would.
#[server(prefix = "/do", endpoint = "rotate")]
pub async fn rotate(
    impersonation: String,
    #[server(default)] during_overlap: bool,
    #[server(default)] dependents_end: bool,
) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let who = hand.who().await?;
    let desk = hand.app.desk.clone();
    let mut back = "/tickets".to_owned();
    let step = async {
        who.may_carry_out()?;
        let grant = {
            let mut conn = desk.store.read().await?;
            impersonations::by_id(&mut conn, &impersonation).await?.ok_or(StepError::NotFound)?
        };
        back = ticket_page(&grant.ticket_id);
        if grant.admin_id != who.staff.id {
            return Err(StepError::Forbidden(
                "Only the admin who holds the impersonation rotates under it.",
            ));
        }
        if grant.secret_type == SecretType::VaultToken && !dependents_end {
            return Err(StepError::Invalid(
                "Say that what depends on the old token may end with it: the box above the button.",
            ));
        }
        let token = desk.token_of(&grant)?;
        let ask = Ask {
            during_overlap,
            // A button that is pressed twice rotates once.
            idempotency_key: Some(format!("console-{}", grant.id)),
            from: Some(hand.from.clone()),
            ..Ask::default()
        };
        // On a task of its own: a rotation that fails is written down, whether or not the browser
        // waits.
        let rotation = tokio::spawn(async move {
            desk.rotate(grant.secret_type, &grant.secret_id, &Caller::Token(token), &ask).await
        });
        rotation.await.map_err(|e| StepError::Outside(e.to_string()))?
    };
    let step = step.await;
    hand.answer(step, &back, |rotated| {
        if let Some(Certified::Reenrol { deadline, .. }) = rotated.certified {
            return Flash::done(
                "The gateway is told to re-enrol",
                format!(
                    "It makes its own new key at its next heartbeat, until {} at the latest. Hand the notice off now.",
                    time::seconds(deadline)
                ),
            );
        }
        Flash::done(
            format!("Rotated: version {} exists", rotated.rotation.to_version),
            "It is sealed for the Owner. Hand it off now.",
        )
    })
    .await
}

/// Hands the sealed value over and ends the impersonation.
#[server(prefix = "/do", endpoint = "hand_off")]
pub async fn hand_off(impersonation: String) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let who = hand.who().await?;
    let desk = hand.app.desk.clone();
    let back = back_of(&hand, &impersonation).await;
    let step = async {
        let mut tx = desk.begin().await?;
        let step = desk.hand_off(&mut tx, &who, &impersonation).await;
        desk.settle(tx, step).await
    };
    hand.answer(step.await, &back, |handoff| {
        let how = match handoff.channel {
            Channel::Pgp => "The Owner gets the encrypted message by mail.",
            Channel::OnePassword => {
                "The value goes into the shared vault, and the Owner is told by mail when it is there."
            }
        };
        Flash::done("Handed off and ended", format!("{how} The token is closed."))
    })
    .await
}

async fn back_of(hand: &Hand, impersonation: &str) -> String {
    let found = async {
        let mut conn = hand.app.desk.store.read().await?;
        impersonations::by_id(&mut conn, impersonation).await
    };
    found
        .await
        .ok()
        .flatten()
        .map_or_else(|| "/impersonations".to_owned(), |g| ticket_page(&g.ticket_id))
}

/// Ends a live impersonation.
#[server(prefix = "/do", endpoint = "end")]
pub async fn end(impersonation: String, back: String) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let who = hand.who().await?;
    let desk = hand.app.desk.clone();
    let step = async {
        let mut tx = desk.begin().await?;
        let step = desk.end_by_admin(&mut tx, &who, &impersonation).await;
        desk.settle(tx, step).await
    };
    hand.answer(step.await, local(&back), |_| {
        Flash::done("Impersonation ended", "Its token is refused from now on. Both logs say so.")
    })
    .await
}

/// Sends a handoff again that the Owner has not acknowledged.
#[server(prefix = "/do", endpoint = "send_again")]
pub async fn send_again(handoff: String, back: String) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let who = hand.who().await?;
    let desk = hand.app.desk.clone();
    let step = async {
        let mut tx = desk.begin().await?;
        let step = desk.send_again(&mut tx, &who, &handoff).await;
        desk.settle(tx, step).await
    };
    hand.answer(step.await, local(&back), |how| match how {
        SentAgain::Hastened => Flash::done(
            "Trying again now",
            "It had not left yet. It is tried now instead of later.",
        ),
        SentAgain::Item => Flash::done(
            "Trying again",
            "The item for the shared vault is tried again. Where the cause is still there, it comes back as undelivered.",
        ),
        SentAgain::Anew => Flash::done(
            "Sent again",
            "The mail goes once more, with a new link. The old link no longer works.",
        ),
    })
    .await
}

/// Posts the ready reply of a failed check.
#[server(prefix = "/do", endpoint = "post_reply")]
pub async fn post_reply(ticket: String, check: String) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let who = hand.who().await?;
    let desk = hand.app.desk.clone();
    let step = async {
        let check = check.parse().map_err(|_| StepError::Invalid("There is no such check."))?;
        desk.prepare_key_of_ticket(&ticket).await?;
        let mut tx = desk.begin().await?;
        let step = desk.post_reply(&mut tx, &who, &ticket, check).await;
        desk.settle(tx, step).await
    };
    hand.answer(step.await, &ticket_page(&ticket), |()| {
        Flash::done("Posted", "The reply stands in the ticket.")
    })
    .await
}

/// Asks the Owner to re-enable consent.
#[server(prefix = "/do", endpoint = "request_consent")]
pub async fn request_consent(ticket: String) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let who = hand.who().await?;
    let desk = hand.app.desk.clone();
    let step = async {
        let mut tx = desk.begin().await?;
        let step = desk.request_consent(&mut tx, &who, &ticket).await;
        desk.settle(tx, step).await
    };
    hand.answer(step.await, &ticket_page(&ticket), |()| {
        Flash::done(
            "Asked",
            "A link is on its way to the Owner’s address on file. It works once, for 24 hours.",
        )
    })
    .await
}

/// Sends a really signed test message to a webhook, and shows its answer.
#[server(prefix = "/do", endpoint = "test_event")]
pub async fn test_event(
    org: String,
    secret: String,
    ticket: String,
    back: String,
) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let who = hand.who().await?;
    let desk = hand.app.desk.clone();
    let step = async {
        let mut tx = desk.begin().await?;
        let ticket = Some(ticket).filter(|t| !t.is_empty());
        if let Some(id) = &ticket {
            // A row for a ticket of another org would mislead whoever reads the logs.
            let known = tickets::by_id(tx.conn(), id).await?.is_some_and(|t| t.org_id == org);
            if !known {
                return Err(StepError::NotFound);
            }
        }
        let prepared = desk.prepare_test_event(&mut tx, &who, &org, &secret).await;
        let message = desk.settle(tx, prepared).await?;
        // On a task of its own: what was sent is written down, whether or not the browser waits.
        let sent = tokio::spawn(async move {
            let answer = desk.deliver(&message).await;
            let mut tx = desk.begin().await?;
            let noted =
                desk.note_test_event(&mut tx, &who, &message, &answer, ticket.as_deref()).await;
            desk.settle(tx, noted).await.map(|()| answer)
        });
        sent.await.map_err(|e| StepError::Outside(e.to_string()))?
    };
    hand.answer(step.await, local(&back), |answer| {
        let versions: Vec<_> = answer.signed_by.iter().map(|v| format!("v{v}")).collect();
        let signed = format!("Signed with {}.", versions.join(" and "));
        match answer.status {
            Some(status) if (200..300).contains(&status) => Flash::done(
                format!("Test event accepted ({status})"),
                format!("{signed} The endpoint answered: {}", answer.text),
            ),
            Some(status) => Flash {
                kind: "needs".into(),
                title: format!("Test event refused ({status})"),
                text: format!("{signed} The endpoint answered: {}", answer.text),
            },
            None => Flash {
                kind: "needs".into(),
                title: "Test event not delivered".into(),
                text: format!("{signed} The endpoint: {}.", answer.text),
            },
        }
    })
    .await
}

/// Records how the Owner confirmed a handoff otherwise than by the link.
#[server(prefix = "/do", endpoint = "acknowledge_staff")]
pub async fn acknowledge_staff(
    handoff: String,
    over: String,
    how: String,
    back: String,
) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let who = hand.who().await?;
    let desk = hand.app.desk.clone();
    let step = async {
        let over = over
            .parse()
            .map_err(|_| StepError::Invalid("Say over which channel the Owner confirmed it."))?;
        let mut tx = desk.begin().await?;
        let step = desk.acknowledge_by_staff(&mut tx, &who, &handoff, over, &how).await;
        desk.settle(tx, step).await
    };
    hand.answer(step.await, local(&back), |_| {
        Flash::done("Recorded", "The handoff is acknowledged.")
    })
    .await
}

/// Marks the Owner of record unreachable, with the attempts that were made.
#[server(prefix = "/do", endpoint = "mark_unreachable")]
pub async fn mark_unreachable(ticket: String, attempts: String) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let who = hand.who().await?;
    let desk = hand.app.desk.clone();
    let step = async {
        let mut tx = desk.begin().await?;
        let step = desk.mark_unreachable(&mut tx, &who, &ticket, &attempts).await;
        desk.settle(tx, step).await
    };
    hand.answer(step.await, &ticket_page(&ticket), |()| {
        Flash::done(
            "Owner marked unreachable",
            "Nothing can be started for this org. What is left is to escalate to Legal.",
        )
    })
    .await
}

/// Hands the case to Legal.
#[server(prefix = "/do", endpoint = "escalate")]
pub async fn escalate(ticket: String) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let who = hand.who().await?;
    let desk = hand.app.desk.clone();
    let step = async {
        desk.prepare_key_of_ticket(&ticket).await?;
        let mut tx = desk.begin().await?;
        let step = desk.escalate(&mut tx, &who, &ticket).await;
        desk.settle(tx, step).await
    };
    hand.answer(step.await, &ticket_page(&ticket), |_| {
        Flash::done(
            "Escalated to Legal",
            "The summary to send stands in the ticket. The platform log has the case.",
        )
    })
    .await
}

/// Posts what a platform admin wrote, once the guard has read it.
#[server(prefix = "/do", endpoint = "reply")]
pub async fn reply(ticket: String, text: String) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let who = hand.who().await?;
    let desk = hand.app.desk.clone();
    let step = async {
        let mut tx = desk.begin().await?;
        let step = desk.post_text(&mut tx, &who, &ticket, &text).await;
        desk.settle(tx, step).await
    };
    hand.answer(step.await, &ticket_page(&ticket), |()| {
        Flash::done("Posted", "The reply stands in the ticket.")
    })
    .await
}
