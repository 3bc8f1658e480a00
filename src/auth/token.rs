//! The impersonation token: a JWT access token (RFC 9068) signed with Ed25519, with the admin as
//! the actor (RFC 8693 section 4.1) and the one rotation as its authorization details (RFC 9396).
//!
//! A good signature alone never suffices: [`TokenKey::read`] says what a token claims, and every
//! use compares that with the impersonation in the database ([`matches`]).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::{Micros, time};
use crate::store::impersonations::Impersonation;

/// The `type` of the authorization details.
pub const DETAIL_TYPE: &str = "keyturn_rotation";
/// The one action.
pub const ACTION: &str = "rotate";
/// The `client_id`: the console.
pub const CLIENT_ID: &str = "keyturn-console";

/// Why a token is not accepted. The caller hears only that it is not; we note why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a JWT, or one with parts that may not be there.
    #[error("the token is not of the expected form: {0}")]
    Form(&'static str),
    /// Signed with another key, or altered.
    #[error("the token's signature does not hold")]
    Signature,
    /// Not for us, or not from us.
    #[error("the token is for another issuer or audience")]
    Audience,
    /// Not valid yet.
    #[error("the token is not valid yet")]
    NotYet,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// What it claims is not what was granted.
    #[error("the token does not match its impersonation")]
    Mismatch,
    /// The impersonation is over, or was never there.
    #[error("the impersonation is not live")]
    NotLive,
    /// The org's consent is gone.
    #[error("the org's consent is withdrawn")]
    NoConsent,
    /// The admin was disabled, or lost the role.
    #[error("the admin may no longer act")]
    AdminGone,
}

/// RFC 8693 section 4.1: who acts. A nested `act` is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    /// The platform admin.
    pub sub: String,
}

/// RFC 9396: the one action on the one secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detail {
    /// [`DETAIL_TYPE`].
    #[serde(rename = "type")]
    pub kind: String,
    /// Just [`ACTION`].
    pub actions: Vec<String>,
    /// The secret's id.
    pub identifier: String,
    /// The secret's type.
    pub secret_type: String,
}

/// The claims, all of them required, and no others accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// Issuer.
    pub iss: String,
    /// Audience.
    pub aud: String,
    /// Issued at, seconds since 1970.
    pub iat: i64,
    /// Not before, seconds since 1970.
    pub nbf: i64,
    /// Expires at, seconds since 1970.
    pub exp: i64,
    /// The `impersonation_id`.
    pub jti: String,
    /// [`CLIENT_ID`].
    pub client_id: String,
    /// The Owner of record.
    pub sub: String,
    /// The admin.
    pub act: Act,
    /// The org.
    pub org_id: String,
    /// The ticket.
    pub ticket_ref: String,
    /// The reason.
    pub reason: String,
    /// The scope.
    pub scope: String,
    /// The one rotation.
    pub authorization_details: Vec<Detail>,
}

/// The key that signs tokens.
pub struct TokenKey {
    kid: String,
    public: [u8; 32],
    signing: EncodingKey,
    verifying: DecodingKey,
    issuer: String,
    audience: String,
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl TokenKey {
    /// The key with this 32-byte Ed25519 seed, for tokens of this issuer and audience.
    #[must_use]
    pub fn new(seed: &[u8; 32], issuer: &str, audience: &str) -> Self {
        // RFC 8410 section 7: an Ed25519 private key as PKCS#8.
        let mut der = zeroize::Zeroizing::new(vec![
            0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22,
            0x04, 0x20,
        ]);
        der.extend_from_slice(seed);
        let public = ed25519_dalek::SigningKey::from_bytes(seed).verifying_key().to_bytes();
        let x = URL_SAFE_NO_PAD.encode(public);
        // RFC 7638 with the members of RFC 8037 section 2: the thumbprint names the key.
        let thumbprint = Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#));
        Self {
            kid: URL_SAFE_NO_PAD.encode(thumbprint),
            public,
            signing: EncodingKey::from_ed_der(&der),
            verifying: DecodingKey::from_ed_der(&public),
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
        }
    }

    /// The key's id.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half as a JWK Set (RFC 7517 section 5, RFC 8037).
    #[must_use]
    pub fn jwks(&self) -> serde_json::Value {
        serde_json::json!({ "keys": [{
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
            "kid": self.kid, "x": URL_SAFE_NO_PAD.encode(self.public),
        }] })
    }

    /// Signs the token of an impersonation. The times of a token are whole seconds: the
    /// impersonation begins and ends on one ([`whole_second`]).
    ///
    /// # Errors
    /// Where the signature cannot be made.
    pub fn mint(&self, i: &Impersonation) -> Result<SecretString, TokenError> {
        let begin = i.started_at / time::SECOND;
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            iat: begin,
            nbf: begin,
            exp: i.expires_at / time::SECOND,
            jti: i.id.clone(),
            client_id: CLIENT_ID.to_owned(),
            sub: i.owner_id.clone(),
            act: Act { sub: i.admin_id.clone() },
            org_id: i.org_id.clone(),
            ticket_ref: i.ticket_id.clone(),
            reason: i.reason.clone(),
            scope: i.scope.clone(),
            authorization_details: vec![Detail {
                kind: DETAIL_TYPE.to_owned(),
                actions: vec![ACTION.to_owned()],
                identifier: i.secret_id.clone(),
                secret_type: i.secret_type.as_str().to_owned(),
            }],
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, &claims, &self.signing)
            .map(SecretString::from)
            .map_err(|_| TokenError::Signature)
    }

    /// What a token claims, if it is ours, for us, of the right form, and `now` is within its
    /// time, to the second and without leeway.
    ///
    /// # Errors
    /// Whatever is wrong with it.
    pub fn read(&self, token: &SecretString, now: Micros) -> Result<Claims, TokenError> {
        let token = token.expose_secret();
        self.check_header(token)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
        // The library reads the machine's clock; ours is handed in, and is checked below.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &self.verifying, &validation)
            .map_err(|e| match e.kind() {
                jsonwebtoken::errors::ErrorKind::InvalidIssuer
                | jsonwebtoken::errors::ErrorKind::InvalidAudience => TokenError::Audience,
                jsonwebtoken::errors::ErrorKind::InvalidSignature => TokenError::Signature,
                _ => TokenError::Form("its claims"),
            })?
            .claims;
        if now < claims.nbf.saturating_mul(time::SECOND)
            || now < claims.iat.saturating_mul(time::SECOND)
        {
            return Err(TokenError::NotYet);
        }
        if now >= claims.exp.saturating_mul(time::SECOND) {
            return Err(TokenError::Expired);
        }
        Ok(claims)
    }

    /// The claims of a token that we signed, whatever its time and whatever it is for; to write
    /// down who presented it. They grant nothing.
    #[must_use]
    pub fn signed_claims(&self, token: &SecretString) -> Option<Claims> {
        let token = token.expose_secret();
        self.check_header(token).ok()?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        jsonwebtoken::decode::<Claims>(token, &self.verifying, &validation)
            .ok()
            .map(|data| data.claims)
    }

    /// RFC 8725: the header may say only what we say in it. Whatever would point at another key
    /// (`jku`, `jwk`, `x5u`, `x5c`) or change the meaning (`crit`, `b64`, `zip`) is refused.
    fn check_header(&self, token: &str) -> Result<(), TokenError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Strict {
            typ: String,
            alg: String,
            kid: String,
        }
        if token.len() > 8192 {
            return Err(TokenError::Form("its length"));
        }
        let head = token.split('.').next().ok_or(TokenError::Form("its parts"))?;
        let head = URL_SAFE_NO_PAD.decode(head).map_err(|_| TokenError::Form("its header"))?;
        let head: Strict =
            serde_json::from_slice(&head).map_err(|_| TokenError::Form("its header"))?;
        if !head.typ.eq_ignore_ascii_case("at+jwt") {
            return Err(TokenError::Form("its typ"));
        }
        if head.alg != "EdDSA" {
            return Err(TokenError::Form("its algorithm"));
        }
        if head.kid != self.kid {
            return Err(TokenError::Form("its key"));
        }
        Ok(())
    }
}

/// The instant at the beginning of the same second: a token's times have no fractions.
#[must_use]
pub const fn whole_second(t: Micros) -> Micros {
    t - t.rem_euclid(time::SECOND)
}

/// Whether a bearer token looks like a JWT rather than an org's credential.
#[must_use]
pub fn looks_like_jwt(token: &SecretString) -> bool {
    token.expose_secret().split('.').count() == 3
}

/// Compares what a token claims with the grant it names, and the grant with the present.
///
/// # Errors
/// Whatever does not agree.
pub fn matches(
    claims: &Claims,
    grant: Option<&Impersonation>,
    consent: bool,
    admin_may_act: bool,
    now: Micros,
) -> Result<(), TokenError> {
    let Some(i) = grant else { return Err(TokenError::NotLive) };
    if !i.live(now) {
        return Err(TokenError::NotLive);
    }
    let granted = Detail {
        kind: DETAIL_TYPE.to_owned(),
        actions: vec![ACTION.to_owned()],
        identifier: i.secret_id.clone(),
        secret_type: i.secret_type.as_str().to_owned(),
    };
    let same = claims.jti == i.id
        && claims.act.sub == i.admin_id
        && claims.sub == i.owner_id
        && claims.org_id == i.org_id
        && claims.ticket_ref == i.ticket_id
        && claims.reason == i.reason
        && claims.scope == i.scope
        && claims.client_id == CLIENT_ID
        && claims.exp.saturating_mul(time::SECOND) <= i.expires_at
        && claims.authorization_details == [granted];
    if !same {
        return Err(TokenError::Mismatch);
    }
    if !consent {
        return Err(TokenError::NoConsent);
    }
    if !admin_may_act {
        return Err(TokenError::AdminGone);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SecretType;

    const NOW: Micros = 1_800_000_000 * time::SECOND;

    fn key() -> TokenKey {
        TokenKey::new(&[7; 32], "https://keyturn.example", "https://keyturn.example/api")
    }

    fn grant() -> Impersonation {
        Impersonation::begin(
            "imp-1".into(),
            "admin-1",
            "org-1",
            "NOV-1",
            "member-1",
            (SecretType::WebhookSigningKey, "whk_1"),
            (NOW, NOW + 15 * time::MINUTE),
            ("kek".into(), vec![]),
        )
    }

    /// A token with whatever header and claims, signed with our own key.
    fn signed(header: &serde_json::Value, claims: &serde_json::Value) -> SecretString {
        use ed25519_dalek::Signer;
        let part = |v: &serde_json::Value| URL_SAFE_NO_PAD.encode(v.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).sign(message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes())).into()
    }

    fn good_parts() -> (serde_json::Value, serde_json::Value) {
        let token = key().mint(&grant()).unwrap();
        let part = |n: usize| {
            let text = token.expose_secret().split('.').nth(n).unwrap().to_owned();
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
        };
        (part(0), part(1))
    }

    #[test]
    fn the_token_is_what_rfc_9068_asks_for() {
        let (header, claims) = good_parts();
        assert_eq!(
            header,
            serde_json::json!({"typ": "at+jwt", "alg": "EdDSA", "kid": key().kid()})
        );
        for name in ["iss", "exp", "aud", "sub", "client_id", "iat", "jti", "nbf", "act", "scope"] {
            assert!(claims.get(name).is_some(), "{name}");
        }
        assert_eq!(claims["act"], serde_json::json!({"sub": "admin-1"}));
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 900);
        assert_eq!(claims["authorization_details"][0]["identifier"], "whk_1");
        let read = key().read(&signed(&header, &claims), NOW).unwrap();
        assert_eq!(matches(&read, Some(&grant()), true, true, NOW), Ok(()));
    }

    #[test]
    fn expiry_holds_to_the_second() {
        let token = key().mint(&grant()).unwrap();
        let end = NOW + 15 * time::MINUTE;
        assert!(key().read(&token, end - 1).is_ok());
        assert_eq!(key().read(&token, end), Err(TokenError::Expired));
        assert_eq!(key().read(&token, NOW - 1), Err(TokenError::NotYet));
    }

    #[test]
    fn headers_that_point_elsewhere_or_mean_something_else_are_refused() {
        let (good, claims) = good_parts();
        for (name, value) in [
            ("jku", serde_json::json!("https://evil.example/keys")),
            ("jwk", serde_json::json!({"kty": "OKP"})),
            ("x5u", serde_json::json!("https://evil.example/cert")),
            ("x5c", serde_json::json!([])),
            ("crit", serde_json::json!(["exp"])),
            ("b64", serde_json::json!(false)),
            ("alg", serde_json::json!("none")),
            ("alg", serde_json::json!("HS256")),
            ("typ", serde_json::json!("JWT")),
            ("kid", serde_json::json!("another")),
        ] {
            let mut header = good.clone();
            header[name] = value;
            assert!(
                matches!(key().read(&signed(&header, &claims), NOW), Err(TokenError::Form(_))),
                "{name}"
            );
        }
    }

    #[test]
    fn a_nested_actor_and_unknown_or_missing_claims_are_refused() {
        let (header, good) = good_parts();
        let mut nested = good.clone();
        nested["act"] = serde_json::json!({"sub": "admin-1", "act": {"sub": "admin-2"}});
        assert!(key().read(&signed(&header, &nested), NOW).is_err());
        for name in
            ["iss", "aud", "iat", "nbf", "exp", "jti", "client_id", "sub", "act", "org_id", "scope"]
        {
            let mut claims = good.clone();
            claims.as_object_mut().unwrap().remove(name);
            assert!(key().read(&signed(&header, &claims), NOW).is_err(), "{name}");
        }
        let mut more = good;
        more["admin"] = serde_json::json!(true);
        assert!(key().read(&signed(&header, &more), NOW).is_err());
    }

    #[test]
    fn other_keys_issuers_and_audiences_are_refused() {
        let token = key().mint(&grant()).unwrap();
        let stranger =
            TokenKey::new(&[8; 32], "https://keyturn.example", "https://keyturn.example/api");
        assert!(stranger.read(&token, NOW).is_err());
        let elsewhere =
            TokenKey::new(&[7; 32], "https://other.example", "https://keyturn.example/api");
        assert_eq!(elsewhere.read(&token, NOW), Err(TokenError::Audience));
        let mut altered = token.expose_secret().to_owned();
        altered.replace_range(altered.len() - 4.., "AAAA");
        assert!(key().read(&altered.into(), NOW).is_err());
        assert!(key().read(&"".into(), NOW).is_err());
        assert!(key().read(&"a.b.c".into(), NOW).is_err());
    }

    #[test]
    fn a_good_signature_does_not_suffice() {
        let claims = key().read(&key().mint(&grant()).unwrap(), NOW).unwrap();
        assert_eq!(matches(&claims, None, true, true, NOW), Err(TokenError::NotLive));
        assert_eq!(matches(&claims, Some(&grant()), false, true, NOW), Err(TokenError::NoConsent));
        assert_eq!(matches(&claims, Some(&grant()), true, false, NOW), Err(TokenError::AdminGone));
        let mut ended = grant();
        ended.ended_at = Some(NOW);
        assert_eq!(matches(&claims, Some(&ended), true, true, NOW), Err(TokenError::NotLive));
        for change in [
            (|c: &mut Claims| c.org_id = "org-2".into()) as fn(&mut Claims),
            |c| c.act.sub = "admin-2".into(),
            |c| c.sub = "member-2".into(),
            |c| c.ticket_ref = "NOV-2".into(),
            |c| c.reason = "because".into(),
            |c| c.scope = "everything".into(),
            |c| c.exp += 1,
            |c| c.authorization_details[0].identifier = "whk_2".into(),
            |c| c.authorization_details[0].actions.push("read".into()),
            |c| c.authorization_details.clear(),
        ] {
            let mut other = claims.clone();
            change(&mut other);
            assert_eq!(matches(&other, Some(&grant()), true, true, NOW), Err(TokenError::Mismatch));
        }
    }
}
