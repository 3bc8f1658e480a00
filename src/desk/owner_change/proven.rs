//! Who asked for a change, for what, and who agreed, as the org's log proves it: a change that
//! somebody wrote into the tables was asked for by nobody.

use sqlx::AnyConnection;

use super::Did;
use crate::audit::LogId;
use crate::desk::{Desk, Step};
use crate::model::{AgreedHow, Micros};
use crate::policy::owner_change::ChangeFacts;
use crate::proof::row::{ActorType, AuditRow};
use crate::store::audit;
use crate::store::owner_changes::OwnerChange;

/// A change, by its rows.
#[derive(Debug)]
pub(super) struct ProvenChange {
    asked_by: String,
    asked_at: Micros,
    earliest_at: Micros,
    value_sha256: String,
    agreed: Option<AgreedHow>,
    approved_by: Vec<String>,
}

impl ProvenChange {
    /// What the policy looks at; nothing where it is of something else than `change` would put on
    /// file.
    pub(super) fn facts<'a>(&'a self, change: &'a OwnerChange) -> Option<ChangeFacts<'a>> {
        (self.value_sha256 == super::value_sha256(&change.value)).then(|| ChangeFacts {
            kind: change.kind,
            asked_by: &self.asked_by,
            asked_at: self.asked_at,
            earliest_at: self.earliest_at,
            agreed: self.agreed,
            approved_by: self.approved_by.iter().map(String::as_str).collect(),
        })
    }
}

impl Desk {
    /// What the org's log proves of a change; nothing where it does not prove that it was asked for.
    pub(super) async fn proven_change(
        &self,
        conn: &mut AnyConnection,
        change: &OwnerChange,
    ) -> Step<Option<ProvenChange>> {
        let Some(asked) = self.rows_of_change(conn, change, Did::Asked).await?.pop() else {
            return Ok(None);
        };
        let (Some(value), Some(earliest_at)) =
            (asked.detail_str("value_sha256"), asked.detail_i64("earliest_at"))
        else {
            return Ok(None);
        };
        let agreed = self.rows_of_change(conn, change, Did::Agreed).await?.pop();
        let approved = self.rows_of_change(conn, change, Did::Approved).await?;
        let admins = approved.into_iter().filter(|r| r.actor_type == ActorType::PlatformAdmin);
        Ok(Some(ProvenChange {
            asked_by: asked.actor_id.clone(),
            asked_at: asked.at,
            earliest_at,
            value_sha256: value.to_owned(),
            agreed: agreed.and_then(|row| row.detail_str("how")?.parse().ok()),
            approved_by: admins.map(|row| row.actor_id).collect(),
        }))
    }

    /// The proven rows of the org's log that say that something was done about a change.
    async fn rows_of_change(
        &self,
        conn: &mut AnyConnection,
        change: &OwnerChange,
        did: Did,
    ) -> Step<Vec<AuditRow>> {
        let log = LogId::Org(change.org_id.clone()).as_string();
        let (_, action) = did.actions(change.kind);
        let mut rows = Vec::new();
        for entry in audit::of_action_since(conn, &change.org_id, &log, action, 0).await? {
            // Before the proof, which reads more: most are of other changes.
            if !entry.body.contains(&change.id) {
                continue;
            }
            let row = self.proven_row(conn, &entry).await?;
            rows.extend(row.filter(|row| {
                row.action == action
                    && row.detail_str("owner_change_id") == Some(&change.id)
                    && row.detail_str("kind") == Some(change.kind.as_str())
            }));
        }
        Ok(rows)
    }
}
