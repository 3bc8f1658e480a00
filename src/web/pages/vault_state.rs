//! What the pages say of a vault token: whom it is pinned to, by what the vault knows it, and what
//! is owed to the vault.

use leptos::prelude::*;
use sqlx::AnyConnection;

use crate::desk::Step;
use crate::desk::vault_keeping::lives;
use crate::model::{Micros, OutboxKind, SecretType, VersionState, time};
use crate::store::orgs::Member;
use crate::store::secrets::{self, Secret, Version};
use crate::store::vault_kept::{self, Kept};
use crate::store::{outbox, vault_intents, vault_tokens};
use crate::web::components::{at, icon, id, standing};

/// A vault token, beyond what every secret has.
#[derive(Debug, Clone)]
pub struct VaultState {
    /// The accessor of the live version, where it is on record.
    pub accessor: Option<String>,
    /// Its policies and period in seconds, where the embedded vault has it.
    pub known: Option<(Vec<String>, i64)>,
    /// Old tokens that are not revoked yet.
    pub owed: Vec<Owed>,
    /// A rotation that has not come to an end.
    pub open: Option<Owed>,
    /// Whether that rotation has failed, and is being undone in the vault.
    pub undoing: bool,
    /// The present token, where it is renewed until its Owner has it, or was.
    pub kept: Option<Kept>,
}

/// Something that is owed to the vault.
#[derive(Debug, Clone)]
pub struct Owed {
    /// The version that it is about.
    pub version: i64,
    /// Since when.
    pub since: Micros,
    /// Why it is not done yet.
    pub why: Option<String>,
}

impl VaultState {
    /// That of a secret; absent where it is no vault token. The vault itself is not asked: a page
    /// does not wait for it.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn of(
        conn: &mut AnyConnection,
        secret: &Secret,
        versions: &[Version],
        now: Micros,
    ) -> Step<Option<Self>> {
        if secret.secret_type != SecretType::VaultToken {
            return Ok(None);
        }
        let live = versions.iter().find(|v| v.version == secret.version);
        let accessor = live.and_then(|v| v.reference.clone());
        let known = match &accessor {
            Some(accessor) => vault_tokens::by_accessor(conn, accessor, now)
                .await?
                .and_then(|t| Some((serde_json::from_str(&t.policies).ok()?, t.period_seconds))),
            None => None,
        };
        let mut owed = Vec::new();
        if versions.iter().any(|v| v.state == VersionState::Retiring) {
            for rotation in secrets::rotations_of_secret(conn, &secret.id).await? {
                let items = outbox::about(conn, &rotation.id).await?;
                let waits = |item: &outbox::Item| {
                    item.kind == OutboxKind::VaultRevoke && item.done_at.is_none()
                };
                owed.extend(items.into_iter().filter(waits).map(|item| Owed {
                    version: rotation.from_version,
                    since: item.created_at,
                    why: item.last_error,
                }));
            }
        }
        let intent = vault_intents::open_of(conn, &secret.id).await?;
        let undoing = intent.as_ref().is_some_and(|intent| intent.state == "undoing");
        let open = intent.map(|intent| Owed {
            version: intent.from_version + 1,
            since: intent.created_at,
            why: intent.last_error,
        });
        let kept = vault_kept::of_version(conn, &secret.id, secret.version).await?;
        Ok(Some(Self { accessor, known, owed, open, undoing, kept }))
    }

    /// What is owed, as a list; nothing where nothing is.
    pub fn debts(&self) -> AnyView {
        let ended = self.kept.iter().filter(|kept| kept.state == "expired");
        if self.owed.is_empty() && self.open.is_none() && ended.clone().next().is_none() {
            return ().into_any();
        }
        let why = |owed: &Owed| owed.why.as_ref().map(|why| format!(" ({why})"));
        let owed = self.owed.iter().map(|owed| {
            view! {
                <li>{icon("warning")}<span>
                    <strong>{format!("Revoke of v{} owed", owed.version)}</strong>" since "{at(owed.since)}{why(owed)}
                    ". The old token works until the vault has revoked it; it is tried again by itself."
                </span></li>
            }
        });
        let ended = ended.map(|kept| {
            view! {
                <li>{icon("warning")}<span>
                    <strong>{format!("v{} has ended", kept.version)}</strong>" in the vault before its Owner acknowledged it: whoever has it has nothing. Another rotation makes another."
                </span></li>
            }
        });
        let open = self.open.iter().map(|open| {
            if self.undoing {
                return view! {
                    <li>{icon("warning")}<span>
                        <strong>"A rotation failed, and is owed its undoing"</strong>" since "{at(open.since)}{why(open)}
                        ". What it made in the vault may live until that is done; it is tried again by itself. The present token works."
                    </span></li>
                }
                .into_any();
            }
            view! {
                <li>{icon("clock")}<span>
                    <strong>"A rotation is under way"</strong>" since "{at(open.since)}{why(open)}
                    ". If it does not come to its end, whatever it made is revoked; the present token works."
                </span></li>
            }
            .into_any()
        });
        view! {
            <ul class="debts">{ended.collect_view()}{owed.collect_view()}{open.collect_view()}</ul>
        }
        .into_any()
    }

    /// Until when the present token lives and who renews it, where that is known.
    pub fn lives(&self) -> Option<String> {
        self.kept.as_ref().map(lives)
    }

    /// The policies and the period, in words.
    #[must_use]
    pub fn abilities(&self) -> Option<String> {
        let (policies, period) = self.known.as_ref()?;
        let period = match period {
            0 => "not periodic".to_owned(),
            seconds => format!("period {}", time::span(seconds * time::SECOND)),
        };
        Some(format!("{}; {period}", policies.join(", ")))
    }

    /// The facts for the side of the ticket's page.
    pub fn facts(&self, secret: &Secret, members: &[Member]) -> AnyView {
        let holder = holder(secret, members);
        let name = holder.map_or_else(|| secret.target.clone(), |m| m.name.clone());
        view! {
            <div><dt>"Pinned to"</dt><dd>{name}{holder.map(|m| view! { <small>{standing(m.standing)}</small> })}</dd></div>
            {self.accessor.as_deref().map(|accessor| view! {
                <div><dt>"Accessor"</dt><dd>{id(accessor, "accessor")}</dd></div>
            })}
            {self.abilities().map(|abilities| view! {
                <div class="facts-full"><dt>"Policies"</dt><dd>{abilities}</dd></div>
            })}
        }
        .into_any()
    }
}

/// The member that a token is pinned to; the record may name them by id, address or name.
pub fn holder<'a>(secret: &Secret, members: &'a [Member]) -> Option<&'a Member> {
    members
        .iter()
        .find(|m| [&m.id, &m.email, &m.name].into_iter().any(|known| *known == secret.target))
}
