//! The credentials with which an org's members call the API: names and dates, no values.

use leptos::prelude::*;

use crate::model::{Micros, time};
use crate::store::orgs::credentials::OrgCredential;
use crate::web::components::{at, id, state};

/// The panel.
pub(super) fn panel(all: &[OrgCredential], now: Micros) -> AnyView {
    let rows = all
        .iter()
        .map(|c| {
            let (stands, until) = match (c.works(now), c.revoked_at) {
                (true, _) => (state("state-ok", "check", "Works"), c.expires_at),
                (false, Some(revoked)) => (state("state-needs", "cross", "Revoked"), Some(revoked)),
                (false, None) => (state("state-needs", "cross", "Expired"), c.expires_at),
            };
            view! {
                <tr>
                    <th scope="row" class="card-title">{c.member_name.clone()}</th>
                    <td data-label="Credential">{id(&c.id, "credential id")}</td>
                    <td data-label="State">{stands}</td>
                    <td class="muted" data-label="Given out">{time::date(c.created_at)}</td>
                    <td class="muted" data-label="Until">{until.map(time::date)}</td>
                    <td class="muted" data-label="Last used">{c.last_used_at.map_or_else(|| "never".into_any(), |t| at(t).into_any())}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <section class="panel" aria-label="API credentials">
            <div class="panel-head"><h2>"API credentials"</h2><p>{(all.is_empty()).then_some("none")}</p></div>
            {(!all.is_empty()).then(|| view! {
                <table class="table">
                    <thead><tr>
                        <th scope="col">"Member"</th><th scope="col">"Credential"</th><th scope="col">"State"</th>
                        <th scope="col">"Given out"</th><th scope="col">"Until"</th><th scope="col">"Last used"</th>
                    </tr></thead>
                    <tbody>{rows}</tbody>
                </table>
            })}
            <p class="panel-foot">"The Owner revokes one over the API; an operator from the command line."</p>
        </section>
    }
    .into_any()
}
