//! What the year leaves in the tables beside the logs: tickets, impersonations, rotations and
//! handoffs.

use std::collections::HashMap;

use super::people::People;
use crate::audit::Actor;
use crate::model::{Micros, SecretType, VersionState};
use crate::store::many::{self, Value};
use crate::store::{Result, Tx};

/// An impersonation as the tables have it.
pub(super) struct Done {
    pub(super) id: String,
    pub(super) admin: String,
    pub(super) org: String,
    pub(super) owner: String,
    pub(super) ticket: String,
    pub(super) secret: (SecretType, String),
    pub(super) filed_at: Micros,
    pub(super) started_at: Micros,
    pub(super) expires_at: Micros,
    pub(super) ended_at: Micros,
    pub(super) cause: &'static str,
    /// When, and the rotation's and the handoff's id.
    pub(super) rotated: Option<(Micros, String, String)>,
    pub(super) sent_at: Option<Micros>,
    pub(super) acknowledged_at: Option<Micros>,
}

/// What waits to be written.
#[derive(Default)]
pub(super) struct Record {
    waiting: Vec<(Done, i64)>,
    versions: HashMap<String, (i64, Micros)>,
    pub(super) refused: usize,
    pub(super) unacknowledged: usize,
}

impl Record {
    /// Takes note of an impersonation that is over.
    pub(super) fn push(&mut self, done: Done) {
        let mut to = 0;
        if let Some((at, ..)) = &done.rotated {
            let version = self.versions.entry(done.secret.1.clone()).or_insert((1, *at));
            *version = (version.0 + 1, *at);
            to = version.0;
        }
        self.unacknowledged +=
            usize::from(done.sent_at.is_some() && done.acknowledged_at.is_none());
        self.waiting.push((done, to));
    }

    /// The version that the next rotation of a secret replaces.
    pub(super) fn version(&self, secret: &str) -> i64 {
        self.versions.get(secret).map_or(1, |(version, _)| *version)
    }

    /// Writes what waits.
    pub(super) async fn flush(&mut self, tx: &mut Tx) -> Result<()> {
        use Value::{Maybe, MaybeNumber, Number, Text};
        let all = std::mem::take(&mut self.waiting);
        let rows: Vec<_> = all
            .iter()
            .map(|(d, _)| {
                [
                    Text(&d.ticket),
                    Text(&d.org),
                    Text("We are locked out and a secret must be rotated"),
                    Text(if d.acknowledged_at.is_some() { "solved" } else { "pending" }),
                    Text("Owner of record"),
                    Text(&d.owner),
                    Text("support SSO"),
                    Number(d.filed_at),
                    Text(d.secret.0.as_str()),
                    Text(&d.secret.1),
                    Number(0),
                    Number(d.filed_at),
                ]
            })
            .collect();
        let into = "ticket (id, org_id, subject, state, requester_name, requester_member, authenticated_how, \
                    authenticated_at, secret_type, secret_id, suspected_leak, filed_at)";
        many::insert(tx.conn(), into, &rows).await?;
        let texts: Vec<(String, String)> = all
            .iter()
            .map(|(d, _)| {
                let reason = crate::model::impersonation::reason(d.secret.0, &d.ticket);
                (reason, crate::model::impersonation::scope(d.secret.0))
            })
            .collect();
        let system = Actor::system();
        let rows: Vec<_> = all
            .iter()
            .zip(&texts)
            .map(|((d, _), (reason, scope))| {
                [
                    Text(&d.id),
                    Text(&d.admin),
                    Text(&d.org),
                    Text(&d.ticket),
                    Text(&d.owner),
                    Text(d.secret.0.as_str()),
                    Text(&d.secret.1),
                    Text(reason),
                    Text(scope),
                    Number(d.started_at),
                    Number(d.expires_at),
                    Number(d.ended_at),
                    Text(d.cause),
                    Text(if d.cause == "expired" { &system.id } else { &d.admin }),
                ]
            })
            .collect();
        let into = "impersonation (id, admin_id, org_id, ticket_id, owner_id, secret_type, secret_id, reason, scope, \
                    started_at, expires_at, ended_at, end_cause, ended_by)";
        many::insert(tx.conn(), into, &rows).await?;
        let rotated = || {
            all.iter()
                .filter_map(|(d, to)| d.rotated.as_ref().map(|(at, r, h)| (d, *to, *at, r, h)))
        };
        let rows: Vec<_> = rotated()
            .map(|(d, to, at, rotation, _)| {
                [
                    Text(rotation),
                    Text(&d.org),
                    Text(&d.secret.1),
                    Number(to - 1),
                    Number(to),
                    Text(&d.id),
                    Text(&d.admin),
                    Number(0),
                    Number(86_400),
                    Text(""),
                    Number(at),
                ]
            })
            .collect();
        let into = "rotation (id, org_id, secret_id, from_version, to_version, impersonation_id, actor_id, \
                    suspected_leak, overlap_seconds, asked, created_at)";
        many::insert(tx.conn(), into, &rows).await?;
        let rows: Vec<_> = rotated()
            .map(|(d, _, at, rotation, handoff)| {
                let state = match (d.sent_at, d.acknowledged_at) {
                    (_, Some(_)) => "acknowledged",
                    (Some(_), None) => "sent",
                    (None, None) => "sealed",
                };
                [
                    Text(handoff),
                    Text(rotation),
                    Text(&d.id),
                    Text(&d.org),
                    Text("pgp"),
                    Text("owner@customer.example"),
                    Text("0000000000000000000000000000000000000000"),
                    Text(""),
                    Text(state),
                    Number(at),
                    MaybeNumber(d.sent_at),
                    MaybeNumber(d.sent_at),
                    MaybeNumber(d.acknowledged_at),
                    Maybe(d.acknowledged_at.map(|_| "link")),
                ]
            })
            .collect();
        let into = "handoff (id, rotation_id, impersonation_id, org_id, channel, recipient, recipient_key, message, \
                    state, created_at, queued_at, sent_at, acknowledged_at, acknowledged_how)";
        many::insert(tx.conn(), into, &rows).await
    }

    /// Writes down at which version each secret is.
    pub(super) async fn finish(&mut self, tx: &mut Tx, people: &People) -> Result<()> {
        use Value::{Number, Text};
        let secrets = || people.orgs.iter().flat_map(|o| o.secrets.iter().map(|(_, id)| id));
        let rotated = || secrets().filter_map(|id| self.versions.get(id).map(|v| (id, v)));
        let live = VersionState::Live.as_str();
        let rows: Vec<_> = rotated()
            .map(|(id, (version, at))| [Text(id), Number(*version), Text(live), Number(*at)])
            .collect();
        many::insert(tx.conn(), "secret_version (secret_id, version, state, created_at)", &rows)
            .await?;
        for (id, (version, _)) in rotated() {
            crate::store::secrets::advance(tx, id, 1, *version).await?;
            crate::store::secrets::set_state(tx, id, 1, VersionState::Retired, None).await?;
        }
        Ok(())
    }
}
