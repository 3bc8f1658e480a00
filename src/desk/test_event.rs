//! "Send a test event": a really signed message to the customer's endpoint, and its answer. While
//! an overlap lasts it carries both signatures.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::{AtWork, Desk, Step, StepError};
use crate::audit::NewRow;
use crate::audit::append::lock_both;
use crate::model::{Consent, SecretType, time};
use crate::proof::actions;
use crate::proof::row::Outcome;
use crate::secrets::sealing::{self, Binding, Sealed};
use crate::secrets::webhook_key::{WebhookKey, signature_header};
use crate::store::secrets::{self, Secret};
use crate::store::{Tx, orgs, tickets};

/// What the endpoint answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// The answer's beginning, or why there was none. Never what we sent.
    pub text: String,
    /// The versions whose keys signed the message.
    pub signed_by: Vec<i64>,
}

/// A message that is ready to be sent.
#[derive(Debug)]
pub struct Prepared {
    secret: Secret,
    id: String,
    unix: i64,
    body: String,
    signatures: String,
    signed_by: Vec<i64>,
}

impl Desk {
    /// Signs a test message with every key that is accepted now, newest first.
    ///
    /// # Errors
    /// [`StepError::NotFound`] where it is no webhook of the org.
    pub async fn prepare_test_event(
        &self,
        tx: &mut Tx,
        who: &AtWork,
        org_id: &str,
        secret_id: &str,
    ) -> Step<Prepared> {
        self.authorize(tx, who).await?;
        // The customer's live key signs it: only where the customer lets the platform act.
        let consent =
            orgs::by_id(tx.conn(), org_id).await?.map_or(Consent::Off, |org| org.consent());
        let consents = match &consent {
            Consent::Off => false,
            Consent::UntilWithdrawn => true,
            // For the secret that the one ticket is about.
            Consent::ForTicket(only) => tickets::by_id(tx.conn(), only)
                .await?
                .is_some_and(|t| t.org_id == org_id && t.secret_id.as_deref() == Some(secret_id)),
        };
        let secret = secrets::of_org(tx.conn(), org_id, secret_id)
            .await?
            .filter(|s| s.secret_type == SecretType::WebhookSigningKey)
            .ok_or(StepError::NotFound)?;
        if !consents {
            return Err(StepError::Conflict("The org does not allow the platform to act for it."));
        }
        let now = self.now();
        let (mut keys, mut signed_by) = (Vec::new(), Vec::new());
        for version in secrets::versions(tx.conn(), &secret.id).await? {
            let (true, Some(kek_id), Some(bytes)) =
                (version.accepted(now), version.kek_id, version.sealed)
            else {
                continue;
            };
            let binding = Binding {
                context: secret.secret_type.as_str(),
                org_id: &secret.org_id,
                secret_id: &secret.id,
                version: version.version,
            };
            let opened = sealing::open(&self.keys.ring, &binding, &Sealed { kek_id, bytes })
                .map_err(|e| StepError::crypto("unsealing a webhook key")(&e))?;
            let text = std::str::from_utf8(opened.expose_secret())
                .map_err(|e| StepError::crypto("reading a webhook key")(&e))?;
            keys.push(
                WebhookKey::parse(SecretString::from(text))
                    .map_err(|e| StepError::crypto("a webhook key")(&e))?,
            );
            signed_by.push(version.version);
        }
        if keys.is_empty() {
            return Err(StepError::Conflict("There is no key to sign with."));
        }
        let id = format!("msg_{}", self.new_id());
        let unix = now / time::SECOND;
        let body = serde_json::json!({
            "type": "keyturn.test",
            "timestamp": time::rfc3339(now),
            "data": { "webhook": secret.id, "note": "A test message. Nothing has happened." },
        })
        .to_string();
        let signatures = signature_header(&keys, &id, unix, body.as_bytes())
            .map_err(|e| StepError::crypto("signing a message")(&e))?;
        Ok(Prepared { secret, id, unix, body, signatures, signed_by })
    }

    /// Sends a prepared message. The answer is waited for outside of any transaction.
    pub async fn deliver(&self, message: &Prepared) -> Answer {
        let outcome = self.post(message).await;
        let signed_by = message.signed_by.clone();
        match outcome {
            Ok((status, text)) => Answer { status: Some(status), text, signed_by },
            Err(text) => Answer { status: None, text, signed_by },
        }
    }

    async fn post(&self, message: &Prepared) -> Result<(u16, String), String> {
        let url = url::Url::parse(&message.secret.target)
            .map_err(|_| "its address cannot be read".to_owned())?;
        if !matches!(url.scheme(), "http" | "https")
            || (url.scheme() == "http" && !self.settings.private_targets)
        {
            return Err("its address does not begin with https://".to_owned());
        }
        let host =
            url.host_str().ok_or("its address names no host")?.trim_matches(['[', ']']).to_owned();
        let port = url.port_or_known_default().ok_or("its address names no port")?;
        let addresses: Vec<SocketAddr> = tokio::time::timeout(
            Duration::from_secs(5),
            tokio::net::lookup_host((host.as_str(), port)),
        )
        .await
        .map_err(|_| "its host is not known".to_owned())?
        .map_err(|_| "its host is not known".to_owned())?
        .filter(|a| self.settings.private_targets || public(a.ip()))
        .collect();
        if addresses.is_empty() {
            // A customer's address must not reach into the platform's own network.
            return Err("its address is not a public one".to_owned());
        }
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(Duration::from_secs(5))
            .resolve_to_addrs(&host, &addresses)
            .build()
            .map_err(|_| "the client could not be made".to_owned())?;
        let mut answer = client
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", message.unix.to_string())
            .header("webhook-signature", &message.signatures)
            .body(message.body.clone())
            .send()
            .await
            .map_err(|e| {
                if e.is_timeout() {
                    "it did not answer in 5 seconds"
                } else {
                    "it could not be reached"
                }
            })?;
        let status = answer.status().as_u16();
        let mut text = Vec::new();
        while let Ok(Some(chunk)) = answer.chunk().await {
            text.extend_from_slice(&chunk);
            if text.len() > 300 {
                text.truncate(300);
                break;
            }
        }
        Ok((status, String::from_utf8_lossy(&text).into_owned()))
    }

    /// Writes that a test message was sent, and what was answered.
    ///
    /// # Errors
    /// Where the rows cannot be written.
    pub async fn note_test_event(
        &self,
        tx: &mut Tx,
        who: &AtWork,
        message: &Prepared,
        answer: &Answer,
        ticket: Option<&str>,
    ) -> Step<()> {
        let secret = &message.secret;
        orgs::by_id(tx.conn(), &secret.org_id).await?.ok_or(StepError::NotFound)?;
        lock_both(tx, &secret.org_id).await?;
        let accepted = answer.status.is_some_and(|s| (200..300).contains(&s));
        let row = |action| {
            let mut row = NewRow::new(action, &who.actor())
                .org(&secret.org_id)
                .secret(secret.secret_type, &secret.id)
                .outcome(if accepted { Outcome::Success } else { Outcome::Failed })
                .with("message_id", message.id.clone())
                .with("signed_by_versions", answer.signed_by.clone());
            if let Some(status) = answer.status {
                row = row.with("status", i64::from(status));
            }
            if let Some(ticket) = ticket {
                row = row.ticket(ticket);
            }
            row
        };
        let (platform, org) =
            (row(actions::PLATFORM_TEST_EVENT_SENT), row(actions::WEBHOOK_TEST_EVENT_SENT));
        self.log_both(tx, &secret.org_id, platform, org).await
    }
}

/// Whether an address is one of the public internet.
#[must_use]
pub fn public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_broadcast()
                || v4.is_documentation()
                || v4.is_multicast()
                || v4.is_unspecified()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && (18..20).contains(&b)))
        }
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => public(IpAddr::V4(v4)),
            // 2000::/3 is what is routed, without documentation (2001:db8::/32) and the ranges
            // that carry an IPv4 address inside (2002::/16, 2001::/32).
            None => {
                let s = v6.segments();
                s[0] & 0xe000 == 0x2000
                    && s[0] != 0x2002
                    && !(s[0] == 0x2001 && (s[1] == 0x0db8 || s[1] == 0))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::public;

    #[test]
    fn only_public_addresses_are_reached() {
        for ip in ["1.1.1.1", "93.184.216.34", "2606:4700::1111"] {
            assert!(public(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "fe80::1",
            "fc00::1",
            "::ffff:10.0.0.1",
            "2002:0a00:0001::",
            "2001:db8::1",
            "64:ff9b::a00:1",
        ] {
            assert!(!public(ip.parse().unwrap()), "{ip}");
        }
    }
}
