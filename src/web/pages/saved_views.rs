//! Saved views of the timeline: each person's own, one click away.

use axum::extract::Query;
use http::Uri;
use leptos::prelude::*;

use super::audit_filter::{Ask, Known, address};
use crate::desk::StepError;
use crate::store::saved_views::SavedView;
use crate::web::components::icon;
use crate::web::door::{Flash, Hand};
use crate::web::fault::Fault;

/// Keeps a filter of the timeline under a name.
#[server(prefix = "/do", endpoint = "save_view")]
pub async fn save_view(name: String, query: String) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let who = hand.who().await?;
    let desk = hand.app.desk.clone();
    let sound = sound(&query);
    let step = async {
        let query = sound.ok_or(StepError::Invalid("The filter cannot be read."))?;
        let mut tx = desk.begin().await?;
        let step = desk.save_view(&mut tx, &who, &name, &query).await;
        desk.settle(tx, step).await.map(|()| query)
    };
    let step = step.await;
    let back = address("/audit", step.as_deref().unwrap_or_default());
    hand.answer(step, &back, |_| {
        Flash::done("Saved", "The view is above the timeline, for you alone.")
    })
    .await
}

/// Forgets a saved view.
#[server(prefix = "/do", endpoint = "remove_view")]
pub async fn remove_view(id: String) -> Result<(), Fault> {
    let hand = Hand::here()?;
    let who = hand.who().await?;
    let desk = hand.app.desk.clone();
    let step = async {
        let mut tx = desk.begin().await?;
        let step = desk.remove_view(&mut tx, &who, &id).await;
        desk.settle(tx, step).await
    };
    let step = step.await;
    hand.answer(step, "/audit", |()| Flash::done("Removed", "The view is no longer kept.")).await
}

/// The filter of an address in its one fixed form, if all of it can be meant.
fn sound(query: &str) -> Option<String> {
    let uri: Uri = address("/audit", query).parse().ok()?;
    let Query(ask) = Query::<Ask>::try_from_uri(&uri).ok()?;
    // Orgs and staff may come and go; the page says so when it is opened.
    let wrong = ask.problems(&Known::default());
    wrong.iter().all(|p| ["org", "admin"].contains(&p.field)).then(|| ask.query())
}

/// The saved views, and the form that saves what is shown.
pub fn bar(views: &[SavedView], ask: &Ask) -> AnyView {
    let query = ask.query();
    let here = views.iter().find(|v| v.query == query).map(|v| v.id.clone());
    if views.is_empty() && query.is_empty() {
        return ().into_any();
    }
    let links = views
        .iter()
        .map(|v| {
            let current = (v.query == query).then_some("page");
            view! {
                <li><a class="chip" href=address("/audit", &v.query) aria-current=current>{icon("filter")}{v.name.clone()}</a></li>
            }
        })
        .collect_view();
    let remove = here.map(|id| {
        view! {
            <form method="post" action="/do/remove_view">
                <input type="hidden" name="id" value=id />
                <button class="btn btn-quiet btn-sm">"Remove this view"</button>
            </form>
        }
    });
    let save = (!query.is_empty() && remove.is_none()).then(|| {
        view! {
            <details class="saved-new disclose">
                <summary>{icon("chevron")}"Save this view"</summary>
                <form method="post" action="/do/save_view">
                    <input type="hidden" name="query" value=query.clone() />
                    <label for="f-view-name">"Name"</label>
                    <input class="input" id="f-view-name" name="name" required maxlength="60" autocomplete="off" />
                    <button class="btn btn-sm">"Save"</button>
                </form>
            </details>
        }
    });
    view! {
        <nav class="saved" aria-label="Saved views">
            {(!views.is_empty()).then(|| view! { <ul>{links}</ul> })}
            {save}
            {remove}
        </nav>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::door::encode;

    #[test]
    fn a_view_is_kept_in_one_form_and_only_if_it_can_be_meant() {
        assert_eq!(
            sound("ticket=NOV-4801&org=org_gone&before=5.a"),
            Some("org=org_gone&ticket=NOV-4801".to_owned())
        );
        assert_eq!(sound("ticket=4801"), None);
        assert_eq!(sound("from=yesterday"), None);
        assert_eq!(sound("org=a&org=b"), None);
        assert_eq!(sound("org=a b"), None);
        assert_eq!(
            sound(&format!("text={}", encode("rotated vault"))),
            Some("text=rotated+vault".to_owned())
        );
    }
}
