//! The Owner's key on file, renewed: the same key with what it says of itself by now. Whoever could
//! sign that is the Owner already, so there is nothing to wait for; the Owner is told all the same.

use crate::audit::{Actor, NewRow};
use crate::delivery::openpgp::{self, KeyProblem};
use crate::desk::{Desk, Step};
use crate::model::org::in_fours;
use crate::model::time;
use crate::proof::actions;
use crate::proof::org_record::Field;
use crate::store::Tx;
use crate::store::orgs::{self, Org};

impl Desk {
    /// Puts the renewed form of a key on file; the caller has asked [`Desk::require_record`]. Also one that cannot be used any more: what the
    /// Owner has revoked must not stay in use because a copy of it was refused.
    ///
    /// The answer says why it cannot be encrypted to, where it cannot.
    pub(in crate::desk) async fn renew_key(
        &self,
        tx: &mut Tx,
        org: &Org,
        renewed: &str,
        actor: &Actor,
    ) -> Step<Option<KeyProblem>> {
        let now = self.now();
        let judged = openpgp::inspect(renewed, now);
        let fingerprint = openpgp::fingerprint_of(renewed).unwrap_or_default();
        orgs::set_pgp_key(tx, &org.id, renewed, now).await?;
        let (until, problem) = match &judged {
            Ok(report) => (report.expires_at.map(time::date), None),
            Err(problem) => (None, Some(problem.clone())),
        };
        let row = |action| {
            let mut row =
                NewRow::new(action, actor).org(&org.id).with("fingerprint", fingerprint.clone());
            if let Some(until) = &until {
                row = row.with("expires", until.clone());
            }
            if let Some(problem) = &problem {
                row = row.with("problem", problem.reason());
            }
            row
        };
        let platform = row(actions::PLATFORM_OWNER_KEY_RENEWED);
        let own = row(actions::OWNER_KEY_RENEWED);
        let own = self.with_record(tx.conn(), &org.id, &[Field::Key], own).await?;
        self.log_both(tx, &org.id, platform, own).await?;
        let state = match (&problem, &until) {
            (Some(problem), _) => format!("It cannot be encrypted to: {}.", problem.reason()),
            (None, Some(until)) => format!("It can be encrypted to until {until}."),
            (None, None) => "It does not expire.".to_owned(),
        };
        let about = self.new_id();
        self.mail_owner(
            tx,
            &org.id,
            &about,
            &format!("Your OpenPGP key on file for {} was renewed", org.name),
            &format!(
                "A newer copy of your OpenPGP key was put on file for {} at {}, by {}:\n{}\n\n\
                 It is the same key: all that is new is signed by it.\n{state}\n\n\
                 If nobody on your side sent us this copy, answer in support.\n",
                org.name,
                time::seconds(now),
                actor.name,
                in_fours(&fingerprint),
            ),
        )
        .await?;
        Ok(problem)
    }
}
