//! Step 3: mint the token that can do this one rotation (US-PLAT-8).

use secrecy::{ExposeSecret, SecretString};
use sqlx::AnyConnection;

use super::owner_change::STAYS_AWAY;
use super::{AtWork, Desk, Step, StepError};
use crate::audit::append::{keep, lock_both};
use crate::audit::{LogId, NewRow};
use crate::auth::token::{self, Claims, TokenError, whole_second};
use crate::model::ticket::ticket_like;
use crate::model::{EndCause, StaffRole, TicketState, time};
use crate::policy::access;
use crate::proof::actions;
use crate::proof::row::Outcome;
use crate::secrets::sealing::{self, Binding, Sealed};
use crate::store::impersonations::{self, Impersonation};
use crate::store::{self, Tx, orgs, staff, tickets};

impl Desk {
    /// Starts the impersonation for a ticket: asks all nine checks again inside the transaction,
    /// mints the token, and writes the opening rows of both logs. The token stays here, sealed.
    ///
    /// # Errors
    /// [`StepError::Refused`] with the whole verdict, and a row that says which checks failed;
    /// [`StepError::StepUp`] where the sign-in is too old.
    pub async fn impersonate(
        &self,
        tx: &mut Tx,
        who: &AtWork,
        ticket_id: &str,
    ) -> Step<Impersonation> {
        // What is refused is written down with the number that was asked for: it has to be one.
        if !ticket_like(ticket_id) {
            return Err(StepError::NotFound);
        }
        if let Err(e) = self.authorize(tx, who).await {
            let StepError::Forbidden(why) = e else { return Err(e) };
            let row = NewRow::new(actions::PLATFORM_IMPERSONATION_REFUSED, &who.actor())
                .outcome(Outcome::Refused)
                .ticket(ticket_id)
                .with("why", why);
            self.log(tx, &LogId::Platform, row).await?;
            return Err(StepError::Denied(why));
        }
        let org_id = tickets::by_id(tx.conn(), ticket_id).await?.map(|t| t.org_id);
        match &org_id {
            Some(org_id) => {
                lock_both(tx, org_id).await?;
                orgs::lock(tx, org_id).await?;
                self.end_expired_of(tx, &who.staff.id, org_id).await?;
            }
            None => {
                store::audit::lock(tx, "platform").await?;
            }
        }
        if let Some(org_id) = &org_id
            && self.stays_away(tx.conn(), &who.staff.id, org_id).await?.is_some()
        {
            let row = NewRow::new(actions::PLATFORM_IMPERSONATION_REFUSED, &who.actor())
                .outcome(Outcome::Refused)
                .org(org_id)
                .ticket(ticket_id)
                .with("why", STAYS_AWAY);
            self.log(tx, &LogId::Platform, row).await?;
            return Err(StepError::Denied(STAYS_AWAY));
        }
        let case = self.case(tx.conn(), ticket_id, &who.staff.id, None).await?;
        let verdict = case.verdict.clone();
        let (true, Some(org), Some(secret), Some(owner)) =
            (verdict.eligible(), &case.org, &case.secret, case.owner())
        else {
            let mut row = NewRow::new(actions::PLATFORM_IMPERSONATION_REFUSED, &who.actor())
                .outcome(Outcome::Refused)
                .ticket(ticket_id)
                .with("failed_checks", verdict.failed_names());
            if let Some(org_id) = &org_id {
                row = row.org(org_id);
                self.alarm_of_record(tx, &who.staff.id, org_id, &case.facts.record).await?;
            }
            self.log(tx, &LogId::Platform, row).await?;
            return Err(StepError::Refused(Box::new(verdict)));
        };
        let now = self.now();
        if !access::fresh(who.proven_at, now) {
            return Err(StepError::StepUp);
        }

        // A token's times are whole seconds, so the grant's are too: what the database says and
        // what the token says never differ.
        let begin = whole_second(now);
        let id = self.new_id();
        let mut grant = Impersonation::begin(
            id,
            &who.staff.id,
            &org.id,
            ticket_id,
            &owner.id,
            (secret.secret_type, &secret.id),
            (begin, begin + self.settings.impersonation_life),
            (String::new(), Vec::new()),
        );
        let minted =
            self.keys.token.mint(&grant).map_err(|e| StepError::crypto("minting the token")(&e))?;
        let sealed = sealing::seal(
            &mut self.rng.generator(),
            &self.keys.ring,
            &token_binding(&grant),
            minted.expose_secret().as_bytes(),
        )
        .map_err(|e| StepError::crypto("sealing the token")(&e))?;
        grant.token_kek = Some(sealed.kek_id);
        grant.token_sealed = Some(sealed.bytes);
        impersonations::insert(tx, &grant).await.map_err(|e| {
            if store::is_unique_violation(&e) {
                StepError::Conflict(
                    "Another impersonation of yours or of this org began at the same moment.",
                )
            } else {
                e.into()
            }
        })?;

        let opening = |action: &str, actor| {
            NewRow::new(action, actor)
                .under(&grant)
                .with("started_at", grant.started_at)
                .with("expires_at", grant.expires_at)
                .with("scope", grant.scope.clone())
                .with("owner_id", grant.owner_id.clone())
                .with("kid", self.keys.token.kid())
                .with(actions::RECORD_ROW, case.record_row())
        };
        let actor = who.actor();
        let (platform, in_org) = self
            .log_pair(
                tx,
                &org.id,
                opening(actions::PLATFORM_IMPERSONATION_STARTED, &actor).because(&case.grounds()),
                opening(actions::IMPERSONATION_STARTED, &actor.impersonating()),
            )
            .await?;
        // Kept, so that the evidence can show that nothing was rewritten between start and end.
        keep(tx, &LogId::Platform, &platform).await?;
        keep(tx, &LogId::Org(org.id.clone()), &in_org).await?;
        if case.ticket.as_ref().is_some_and(|t| t.state == TicketState::Open) {
            tickets::set_state(tx, ticket_id, TicketState::Pending).await?;
        }
        let withdraw = self.about_consent(tx, &grant, false).await?;
        self.mail_owner(
            tx,
            &org.id,
            &grant.id,
            &format!("[{ticket_id}] A platform admin is acting for {}", org.name),
            &format!(
                "{} of the platform started to act for {} at {}.\n\n\
                 Reason: {}\nTicket: {ticket_id}\nIt ends by itself at {} at the latest.\n\n\
                 The one thing they can do is to rotate {} {} ({}).\n\n\
                 {withdraw}",
                who.staff.name,
                org.name,
                time::seconds(grant.started_at),
                grant.reason,
                time::seconds(grant.expires_at),
                secret.secret_type.label().to_lowercase(),
                secret.id,
                secret.label,
            ),
        )
        .await?;
        Ok(grant)
    }

    /// Ends what has run out but was not swept yet, so that it does not stand in the way.
    async fn end_expired_of(&self, tx: &mut Tx, admin_id: &str, org_id: &str) -> Step<()> {
        let now = self.now();
        for grant in impersonations::open_of(tx.conn(), admin_id, org_id).await? {
            // An expired one of the same admin for another org is left to the sweeper: ending it
            // here would take that org's log after this one's.
            if !grant.live(now) && grant.org_id == org_id {
                self.end(tx, &grant, EndCause::Expired, &crate::audit::Actor::system()).await?;
            }
        }
        Ok(())
    }

    /// The token of a live impersonation, unsealed for the console's own use of it.
    ///
    /// # Errors
    /// Where there is none (it has ended), or it does not open.
    pub fn token_of(&self, grant: &Impersonation) -> Step<SecretString> {
        let (Some(kek_id), Some(bytes)) = (&grant.token_kek, &grant.token_sealed) else {
            return Err(StepError::Conflict("This impersonation has ended."));
        };
        let sealed = Sealed { kek_id: kek_id.clone(), bytes: bytes.clone() };
        let opened = sealing::open(&self.keys.ring, &token_binding(grant), &sealed)
            .map_err(|e| StepError::crypto("unsealing the token")(&e))?;
        let text = std::str::from_utf8(opened.expose_secret())
            .map_err(|e| StepError::crypto("unsealing the token")(&e))?;
        Ok(SecretString::from(text))
    }

    /// Checks a token for one use: its form, signature and time, and then the impersonation, the
    /// org's consent and the admin's role as they are in the database now.
    ///
    /// # Errors
    /// Whatever does not hold.
    pub async fn check_token(
        &self,
        conn: &mut AnyConnection,
        token: &SecretString,
    ) -> Step<Result<(Claims, Impersonation), TokenError>> {
        let now = self.now();
        let claims = match self.keys.token.read(token, now) {
            Ok(claims) => claims,
            Err(e) => return Ok(Err(e)),
        };
        let grant = impersonations::by_id(conn, &claims.jti).await?;
        let (mut consent, mut may_act) = (false, false);
        if let Some(grant) = &grant {
            consent = orgs::by_id(conn, &grant.org_id)
                .await?
                .is_some_and(|o| o.consent().covers(&grant.ticket_id));
            may_act = staff::by_id(conn, &grant.admin_id)
                .await?
                .is_some_and(|s| s.disabled_at.is_none() && s.role == StaffRole::PlatformAdmin);
        }
        Ok(match (token::matches(&claims, grant.as_ref(), consent, may_act, now), grant) {
            (Ok(()), Some(grant)) => Ok((claims, grant)),
            (Ok(()), None) => Err(TokenError::NotLive),
            (Err(e), _) => Err(e),
        })
    }
}

fn token_binding(grant: &Impersonation) -> Binding<'_> {
    Binding {
        context: "impersonation_token",
        org_id: &grant.org_id,
        secret_id: &grant.id,
        version: 0,
    }
}

impl Desk {
    /// Writes that a token was refused, where its signature is ours: somebody used what was
    /// granted once, and is over, or is for something else.
    ///
    /// # Errors
    /// Where the row cannot be written.
    pub async fn note_refused_token(
        &self,
        token: &SecretString,
        why: &str,
        from: Option<String>,
    ) -> Step<()> {
        let Some(claims) = self.keys.token.signed_claims(token) else { return Ok(()) };
        let mut tx = self.begin().await?;
        store::audit::lock(&mut tx, "platform").await?;
        let Some(grant) = impersonations::by_id(tx.conn(), &claims.jti).await? else {
            return Ok(());
        };
        let name =
            staff::by_id(tx.conn(), &grant.admin_id).await?.map_or_else(String::new, |s| s.name);
        let actor = crate::audit::Actor {
            actor_type: crate::proof::row::ActorType::PlatformAdminImpersonating,
            id: grant.admin_id.clone(),
            name,
            from,
        };
        let row = NewRow::new(actions::PLATFORM_ROTATION_REFUSED, &actor)
            .outcome(Outcome::Refused)
            .under(&grant)
            .with("why", why);
        self.log(&mut tx, &LogId::Platform, row).await?;
        Ok(tx.commit().await?)
    }
}
