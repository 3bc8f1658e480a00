//! Who calls the API: an org's own credential, or an impersonation token.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, header};
use secrecy::{ExposeSecret, SecretString};

use super::problem::ApiError;
use crate::auth::credential::{AUDITOR_PREFIX, ORG_PREFIX};
use crate::auth::token::looks_like_jwt;
use crate::desk::StepError;
use crate::desk::rotate::Caller;
use crate::model::Standing;
use crate::store::orgs::Member;
use crate::store::staff::Staff;
use crate::web::app::App;
use crate::web::door::client;
use crate::web::known::Known;

/// The bearer credential of a request (RFC 6750 section 2.1). Only in the header: a credential
/// in an address would be logged by whatever stands between.
#[must_use]
pub fn bearer(parts: &Parts) -> Option<SecretString> {
    bearer_in(&parts.headers)
}

/// The same, from the headers alone.
#[must_use]
pub fn bearer_in(headers: &HeaderMap) -> Option<SecretString> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty())
        .then(|| SecretString::from(token.trim()))
}

/// A member of an org with the org's credential, in good standing for its use: departed and
/// suspended members cannot use theirs.
#[derive(Debug)]
pub struct OrgMember {
    /// Who.
    pub member: Member,
    /// The network address.
    pub from: String,
}

async fn member_of(app: &App, token: &SecretString) -> Result<Member, ApiError> {
    if !token.expose_secret().starts_with(ORG_PREFIX) {
        return Err(ApiError::BadCredential);
    }
    match app.desk.member_of_credential(token).await {
        Ok(member) => Ok(member),
        Err(StepError::NotFound) => Err(ApiError::BadCredential),
        Err(e) => Err(e.into()),
    }
}

/// What is said to a member who is locked out.
const LOCKED_OUT: &str = "You are locked out of your org. Until that is over your credential withdraws consent and reads the org's log, and nothing else; consent can be given by the link that the platform mails.";

impl OrgMember {
    /// Refuses whoever is locked out: their credential withdraws consent and reads the log.
    ///
    /// # Errors
    /// [`StepError::Forbidden`] for them.
    pub fn not_locked_out(&self) -> Result<(), ApiError> {
        may_act(&self.member)
    }
}

fn may_act(member: &Member) -> Result<(), ApiError> {
    if member.standing == Standing::LockedOut {
        return Err(StepError::Forbidden(LOCKED_OUT).into());
    }
    Ok(())
}

impl FromRequestParts<Arc<App>> for OrgMember {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let token = bearer(parts).ok_or(ApiError::Unauthenticated)?;
        let member = member_of(app, &token).await?;
        Known::note(&parts.extensions, "member", &member.id);
        Ok(Self { member, from: client(app, &parts.headers, &parts.extensions) })
    }
}

/// A program of an auditor's, which reads the logs. What it reads is put on record by the handler.
#[derive(Debug)]
pub struct AuditorProgram {
    /// The auditor.
    pub auditor: Staff,
    /// The network address.
    pub from: String,
}

impl FromRequestParts<Arc<App>> for AuditorProgram {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let token = bearer(parts).ok_or(ApiError::Unauthenticated)?;
        if !token.expose_secret().starts_with(AUDITOR_PREFIX) {
            return Err(ApiError::BadCredential);
        }
        let from = client(app, &parts.headers, &parts.extensions);
        match app.desk.auditor_of(&token).await {
            Ok(auditor) => {
                Known::note(&parts.extensions, "staff", &auditor.id);
                Ok(Self { auditor, from })
            }
            Err(StepError::NotFound) => Err(ApiError::BadCredential),
            Err(e) => Err(e.into()),
        }
    }
}

/// Whoever may ask for a rotation. What they may rotate is decided by the desk, under its locks.
#[derive(Debug)]
pub struct Rotator {
    /// Who.
    pub caller: Caller,
    /// The network address.
    pub from: String,
}

impl FromRequestParts<Arc<App>> for Rotator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let token = bearer(parts).ok_or(ApiError::Unauthenticated)?;
        let from = client(app, &parts.headers, &parts.extensions);
        if looks_like_jwt(&token) {
            // A token that does not hold is a missing credential, whatever it asks for.
            let mut conn = app.desk.store.read().await?;
            if let Err(why) = app.desk.check_token(&mut conn, &token).await? {
                tracing::info!(%why, "an impersonation token was refused");
                drop(conn);
                app.desk.note_refused_token(&token, &why.to_string(), Some(from)).await?;
                return Err(ApiError::BadCredential);
            }
            Known::note(&parts.extensions, "token", "impersonation");
            return Ok(Self { caller: Caller::Token(token), from });
        }
        let member = member_of(app, &token).await?;
        Known::note(&parts.extensions, "member", &member.id);
        Ok(Self { caller: Caller::Member(Box::new(member)), from })
    }
}
