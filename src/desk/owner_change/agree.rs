//! The Owner says yes or no, and other admins approve or cancel.

use secrecy::SecretString;
use sqlx::AnyConnection;

use super::{Did, letter};
use crate::audit::Actor;
use crate::auth::credential;
use crate::delivery::openpgp;
use crate::desk::{AtWork, Desk, Step, StepError};
use crate::model::{AgreedHow, OwnerChangeState};
use crate::policy::access;
use crate::store::orgs::{self, Org};
use crate::store::owner_changes::{self, Approval, OwnerChange};
use crate::store::{self, Tx};

const DECIDED: &str = "This change was decided already.";

impl Desk {
    /// The change that a link is for, with its org; to be shown before the Owner decides. Also one
    /// that the Owner has decided, until it has been told of for some time.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn owner_change_of_link(
        &self,
        conn: &mut AnyConnection,
        link: &SecretString,
    ) -> Step<Option<(OwnerChange, Org)>> {
        let Some(change) = owner_changes::by_link(conn, &credential::hash(link)).await? else {
            return Ok(None);
        };
        let shown = match change.state {
            OwnerChangeState::Waiting | OwnerChangeState::Objected => true,
            OwnerChangeState::Applied => change.agreed_at.is_some(),
            OwnerChangeState::Cancelled => false,
        };
        if !shown {
            return Ok(None);
        }
        Ok(orgs::by_id(conn, &change.org_id).await?.map(|org| (change, org)))
    }

    /// The Owner agrees, by the link. It takes effect at once where an admin who did not ask has
    /// approved it and nothing else is waited for.
    ///
    /// # Errors
    /// [`StepError::NotFound`] for a link that never was; [`StepError::Conflict`] where the Owner
    /// has decided already.
    pub async fn agree_by_link(
        &self,
        tx: &mut Tx,
        link: &SecretString,
        from: Option<String>,
    ) -> Step<OwnerChange> {
        let (change, _) =
            self.owner_change_of_link(tx.conn(), link).await?.ok_or(StepError::NotFound)?;
        let (change, org) = self.waiting_change(tx, &change.id).await?;
        let actor = self.owner_of_record(tx.conn(), &org, from).await?;
        self.agreed(tx, change, &org, AgreedHow::Link, &actor).await
    }

    /// The Owner agrees, by a text that the key on file has signed; `who` of staff brings it. To be
    /// called with the key on file judged before ([`openpgp::prepare`]).
    ///
    /// # Errors
    /// [`StepError::NotPossible`] with why the signature does not count.
    pub async fn agree_by_signature(
        &self,
        tx: &mut Tx,
        who: &AtWork,
        id: &str,
        message: &str,
    ) -> Step<OwnerChange> {
        self.authorize(tx, who).await?;
        let (change, org) = self.waiting_change(tx, id).await?;
        let Some(on_file) = org.pgp_key.as_deref() else {
            return Err(StepError::Conflict("There is no OpenPGP key of the Owner on file."));
        };
        let said = openpgp::signed_statement(on_file, message, self.now())
            .map_err(|e| StepError::NotPossible(format!("{e}.")))?;
        if said.trim() != letter::statement(&org, &change) {
            return Err(StepError::NotPossible(
                "The signature is right, but the text is not the one of this change. The Owner signs exactly the line in the mail.".to_owned(),
            ));
        }
        self.agreed(tx, change, &org, AgreedHow::Signature, &who.actor()).await
    }

    async fn agreed(
        &self,
        tx: &mut Tx,
        change: OwnerChange,
        org: &Org,
        how: AgreedHow,
        actor: &Actor,
    ) -> Step<OwnerChange> {
        if !owner_changes::agree(tx, &change.id, how, self.now()).await? {
            return Err(StepError::Conflict("The Owner has agreed to this already."));
        }
        let more = [("how", how.as_str().to_owned())];
        self.log_change(tx, org, &change, Did::Agreed, actor, &more).await?;
        self.apply_if_due(tx, &change.id).await
    }

    /// An admin who did not ask for a change approves it.
    ///
    /// # Errors
    /// [`StepError::StepUp`] where the sign-in is too old; [`StepError::Forbidden`] for whoever
    /// asked; [`StepError::Conflict`] where it is decided, or they have approved it.
    pub async fn approve_owner_change(
        &self,
        tx: &mut Tx,
        who: &AtWork,
        id: &str,
    ) -> Step<OwnerChange> {
        self.authorize(tx, who).await?;
        let now = self.now();
        if !access::fresh(who.proven_at, now) {
            return Err(StepError::StepUp);
        }
        let (change, org) = self.waiting_change(tx, id).await?;
        if change.asked_by == who.staff.id {
            return Err(StepError::Forbidden(
                "You asked for this change: another admin has to approve it.",
            ));
        }
        let (staff_id, staff_name) = (who.staff.id.clone(), who.staff.name.clone());
        let approval = Approval { staff_id, staff_name, at: now };
        let before = owner_changes::approvals(tx.conn(), id).await?;
        if before.iter().any(|a| a.staff_id == who.staff.id) {
            return Err(StepError::Conflict("You have approved this already."));
        }
        owner_changes::approve(tx, id, &approval).await.map_err(|e| {
            if store::is_unique_violation(&e) {
                StepError::Conflict("You have approved this already.")
            } else {
                e.into()
            }
        })?;
        self.log_change(tx, &org, &change, Did::Approved, &who.actor(), &[]).await?;
        self.apply_if_due(tx, id).await
    }

    /// Cancels a change that waits. What is on file stays.
    ///
    /// # Errors
    /// [`StepError::Conflict`] where it was decided already.
    pub async fn cancel_owner_change(&self, tx: &mut Tx, who: &AtWork, id: &str) -> Step<Org> {
        self.authorize(tx, who).await?;
        let (change, org) = self.waiting_change(tx, id).await?;
        let cause = "a platform admin cancelled it";
        self.drop_change(tx, &org, &change, OwnerChangeState::Cancelled, &who.actor(), Some(cause))
            .await?;
        Ok(org)
    }

    /// The Owner objects, by the link: what is on file stays. It works until the change counts.
    ///
    /// # Errors
    /// [`StepError::NotFound`] for a link that never was; [`StepError::Conflict`] where it came too
    /// late.
    pub async fn object_by_link(
        &self,
        tx: &mut Tx,
        link: &SecretString,
        from: Option<String>,
    ) -> Step<()> {
        let (change, _) =
            self.owner_change_of_link(tx.conn(), link).await?.ok_or(StepError::NotFound)?;
        let (change, org) = self.waiting_change(tx, &change.id).await?;
        let actor = self.owner_of_record(tx.conn(), &org, from).await?;
        self.drop_change(tx, &org, &change, OwnerChangeState::Objected, &actor, None).await
    }

    /// Drops the changes that wait for an org, since who could have agreed to them is somebody
    /// else, or elsewhere, by now.
    pub(super) async fn drop_waiting(&self, tx: &mut Tx, org: &Org, cause: &str) -> Step<()> {
        for change in owner_changes::waiting_of(tx.conn(), &org.id).await? {
            let state = OwnerChangeState::Cancelled;
            self.drop_change(tx, org, &change, state, &Actor::system(), Some(cause)).await?;
        }
        Ok(())
    }

    pub(super) async fn drop_change(
        &self,
        tx: &mut Tx,
        org: &Org,
        change: &OwnerChange,
        state: OwnerChangeState,
        actor: &Actor,
        cause: Option<&str>,
    ) -> Step<()> {
        if !owner_changes::decide(tx, &change.id, state, self.now()).await? {
            return Err(StepError::Conflict(DECIDED));
        }
        let did = match state {
            OwnerChangeState::Objected => Did::Objected,
            _ => Did::Cancelled,
        };
        let more = cause.map(|cause| ("cause", cause.to_owned()));
        self.log_change(tx, org, change, did, actor, more.as_slice()).await
    }
}
