//! What the forms of the page post to.

use leptos::prelude::*;

use crate::desk::StepError;
use crate::desk::outbox::undelivered::Wish;
use crate::web::door::{Flash, Hand};
use crate::web::fault::Fault;

/// Sends something again that was given up, or sets it aside.
#[server(prefix = "/do", endpoint = "put_right")]
pub async fn put_right(item: String, wish: String) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let who = hand.who().await?;
    let desk = hand.app.desk.clone();
    let wish = match wish.as_str() {
        "again" => Some(Wish::SendAgain),
        "aside" => Some(Wish::SetAside),
        _ => None,
    };
    let step = async {
        let wish = wish.ok_or(StepError::Invalid("It is sent again, or set aside."))?;
        let mut tx = desk.begin().await?;
        let step = desk.put_right(&mut tx, &who, &item, wish).await;
        desk.settle(tx, step).await?;
        Ok(wish)
    };
    hand.answer(step.await, "/deliveries", |wish| match wish {
        Wish::SendAgain => Flash::done(
            "Sent again",
            "It is tried now. Where the cause is still there, it comes back as undelivered.",
        ),
        Wish::SetAside => Flash::done("Set aside", "It is not tried any more, and not counted."),
    })
    .await
}
