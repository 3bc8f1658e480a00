//! The second half of the evidence document: what proves it, and how that is checked elsewhere.

use leptos::prelude::*;

use super::evidence_doc::{Doc, checked, fact, file_name, mono};
use crate::auth::credential::hex;
use crate::model::time;
use crate::proof::checkpoint::Checkpoint;
use crate::proof::log_keys::Endorsement;
use crate::proof::note::{NoteVerifier, open_note};
use crate::proof::row::PLATFORM_LOG;
use crate::proof::verdict::RuleState;
use crate::web::components::copy;

/// What was checked of the file, its checkpoints, and the keys.
pub(super) fn proofs(d: &Doc) -> AnyView {
    let items = d
        .report
        .lines
        .iter()
        .map(|line| {
            let state = if line.holds { RuleState::Passed } else { RuleState::Failed };
            checked(state, &line.what, &line.saw)
        })
        .collect_view();
    let logs = [&d.taken.evidence.platform, &d.taken.evidence.org];
    let stages = logs.iter().flat_map(|log| log.checkpoints.iter().map(move |s| (log, s)));
    let stages = stages
        .map(|(log, stage)| {
            let name = if log.log == PLATFORM_LOG { "Platform" } else { "Org" };
            let said = Checkpoint::unverified(&stage.note);
            let (size, root) = match &said {
                Ok(c) => (c.size.to_string(), hex(&c.root)),
                Err(e) => (String::new(), e.to_string()),
            };
            let by =
                d.keys.iter().find(|k| open_note(&stage.note, std::slice::from_ref(k)).is_ok());
            let by = by.map_or_else(
                || "no key that is named".to_owned(),
                |k| format!("{:08x}", k.key_id()),
            );
            view! {
                <tr>
                    <th scope="row" class="card-title">{name}</th>
                    <td data-label="Rows">{size}</td>
                    <td data-label="Root (SHA-256)"><code class="hash">{root}</code></td>
                    <td data-label="Signed by key"><span class="mono">{by}</span></td>
                    <td data-label="Proof">{format!("{} hashes", stage.consistency.len())}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <section>
            <h2>"Proofs"</h2>
            <p class="muted">"Each row leads by an inclusion proof (RFC 6962) to the newest checkpoint of its log, and the checkpoints to each other by consistency proofs: nothing was rewritten between them."</p>
            <ol class="checks">{items}</ol>
            <table class="table doc-stages">
                <thead><tr>
                    <th scope="col">"Log"</th><th scope="col">"Rows"</th><th scope="col">"Root (SHA-256)"</th>
                    <th scope="col">"Signed by key"</th><th scope="col">"Proof"</th>
                </tr></thead>
                <tbody>{stages}</tbody>
            </table>
            {keys(d)}
        </section>
    }
    .into_any()
}

/// The public keys, whole: whoever checks compares them with those that they were given.
fn keys(d: &Doc) -> AnyView {
    let since = |key: &NoteVerifier| {
        let links = d.taken.evidence.endorsements.iter().filter_map(|n| Endorsement::open(n).ok());
        let mut links = links.filter(|link| link.new == *key);
        links
            .next()
            .map(|link| format!("since {}, named by the key before it", time::seconds(link.at)))
    };
    let items = d
        .keys
        .iter()
        .map(|key| {
            let since = since(key).unwrap_or_else(|| "since the log began".to_owned());
            view! {
                <div>
                    <dt><span class="mono">{format!("{:08x}", key.key_id())}</span></dt>
                    <dd><code class="hash">{key.vkey()}</code><small>{since}</small></dd>
                </div>
            }
        })
        .collect_view();
    view! {
        <h3>"Public keys of the logs"</h3>
        <dl class="facts">{items}</dl>
    }
    .into_any()
}

/// How the file is checked elsewhere.
pub(super) fn offline(d: &Doc) -> AnyView {
    let pin = d.keys.first().map_or_else(String::new, NoteVerifier::vkey);
    let command = format!("keyturn verify {} --key '{pin}'", file_name(d));
    view! {
        <section>
            <h2>"Checking it without us"</h2>
            <p>"The command below checks the file without a database and without a network. Take the public key from where you pinned it when you began to audit, and not from here: a server that lies about its logs lies about its key, too. A key that another one took the place of leads to it by the endorsements in the file."</p>
            <dl class="facts">
                {fact("File", mono(&file_name(d)))}
                {fact("Size", format!("{} bytes", d.taken.text.len()))}
                {fact("SHA-256", view! { <span class="idc"><code class="hash">{d.sha256.clone()}</code>{copy(d.sha256.clone(), "SHA-256")}</span> })}
                {fact("Command", view! { <span class="idc"><code class="hash">{command.clone()}</code>{copy(command, "command")}</span> })}
                {fact("Exit status", "0: complete and proven. 1: something does not hold or is missing. 2: it could not be looked at. 3: not ended, and in order so far. 4: no key was given, so it agrees with itself only.")}
            </dl>
        </section>
    }
    .into_any()
}
