//! Webhook signing keys as Standard Webhooks 1.0 has them: `whsec_` and the base64 of 24 to 64
//! random bytes; each message is signed by every live key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rand::{CryptoRng, RngCore};
use secrecy::{ExposeSecret, SecretString};
use standardwebhooks::Webhook;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

const PREFIX: &str = "whsec_";
const NEW_KEY_LEN: usize = 32;
const SHORTEST_KEY: usize = 24;
const LONGEST_KEY: usize = 64;

/// Why a text is not a webhook key. None of these repeats any part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookKeyProblem {
    /// The text does not start with `whsec_`.
    #[error("a webhook key starts with `whsec_`")]
    NoPrefix,
    /// What follows the prefix is not standard base64.
    #[error("what follows `whsec_` is not base64")]
    NotBase64,
    /// The key is too short to be safe, or longer than the specification allows.
    #[error("a webhook key is 24 to 64 bytes long, and this one is {bytes}")]
    WrongLength {
        /// The length found, in bytes.
        bytes: usize,
    },
}

/// Why a message could not be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureProblem {
    /// The id is empty, or holds a full stop (which separates the signed parts), white space or
    /// anything else that does not go into a header.
    #[error("a message id is made of visible ASCII characters other than the full stop")]
    BadId,
    /// The time is before 1970.
    #[error("the time of a message is in unix seconds and not negative")]
    BadTime,
    /// The body is not UTF-8, which Standard Webhooks asks of it.
    #[error("the body of a message is UTF-8 text")]
    BodyNotText,
    /// No key was given: a message without a signature must not leave.
    #[error("there is no live key to sign with")]
    NoKey,
}

/// A webhook signing key. The text is wiped when it is dropped, and never in `Debug` output.
pub struct WebhookKey(SecretString);

impl WebhookKey {
    /// Draws a new key of 32 bytes.
    pub fn generate(rng: &mut (impl RngCore + CryptoRng)) -> Self {
        let mut key = Zeroizing::new([0u8; NEW_KEY_LEN]);
        rng.fill_bytes(key.as_mut());
        // Room for all of it at once, so that no part is left behind by a reallocation.
        let mut text = String::with_capacity(PREFIX.len() + NEW_KEY_LEN.div_ceil(3) * 4);
        text.push_str(PREFIX);
        BASE64.encode_string(key.as_ref(), &mut text);
        Self(SecretString::from(text))
    }

    /// Takes a key from its text form, exactly as it was issued.
    ///
    /// # Errors
    /// [`WebhookKeyProblem`], when the text is not a key of 24 to 64 bytes.
    pub fn parse(text: SecretString) -> Result<Self, WebhookKeyProblem> {
        let encoded =
            text.expose_secret().strip_prefix(PREFIX).ok_or(WebhookKeyProblem::NoPrefix)?;
        let key = Zeroizing::new(BASE64.decode(encoded).map_err(|_| WebhookKeyProblem::NotBase64)?);
        if !(SHORTEST_KEY..=LONGEST_KEY).contains(&key.len()) {
            return Err(WebhookKeyProblem::WrongLength { bytes: key.len() });
        }
        Ok(Self(text))
    }

    /// The text form, `whsec_…`: for sealing, for the handoff, and for nothing else.
    #[must_use]
    pub fn expose(&self) -> &SecretString {
        &self.0
    }

    /// Signs one message: `v1,` and the base64 of the HMAC-SHA256 of `{id}.{unix_ts}.{body}`.
    ///
    /// `unix_ts` is in seconds.
    ///
    /// # Errors
    /// [`SignatureProblem`], other than `NoKey`.
    pub fn sign(&self, id: &str, unix_ts: i64, body: &[u8]) -> Result<String, SignatureProblem> {
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_graphic() && b != b'.') {
            return Err(SignatureProblem::BadId);
        }
        if unix_ts < 0 {
            return Err(SignatureProblem::BadTime);
        }
        Webhook::new(self.0.expose_secret())
            // `parse` and `generate` let nothing through that is not base64, so all that is left
            // to be wrong is the body, which the signer wants as text.
            .and_then(|signer| signer.sign(id, unix_ts, body))
            .map_err(|_| SignatureProblem::BodyNotText)
    }
}

impl PartialEq for WebhookKey {
    fn eq(&self, other: &Self) -> bool {
        let (one, two) = (self.0.expose_secret(), other.0.expose_secret());
        one.as_bytes().ct_eq(two.as_bytes()).into()
    }
}

impl Eq for WebhookKey {}

impl std::fmt::Debug for WebhookKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookKey")
    }
}

/// The value of the `webhook-signature` header: one signature for each live key, in the order
/// given (newest first), with a space between. `unix_ts` is in seconds.
///
/// # Errors
/// [`SignatureProblem`]; `NoKey` when `keys` is empty.
pub fn signature_header<'a>(
    keys: impl IntoIterator<Item = &'a WebhookKey>,
    id: &str,
    unix_ts: i64,
    body: &[u8],
) -> Result<String, SignatureProblem> {
    let signatures =
        keys.into_iter().map(|key| key.sign(id, unix_ts, body)).collect::<Result<Vec<_>, _>>()?;
    if signatures.is_empty() {
        return Err(SignatureProblem::NoKey);
    }
    Ok(signatures.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP};

    fn key(seed: u64) -> WebhookKey {
        WebhookKey::generate(&mut StdRng::seed_from_u64(seed))
    }

    fn parse(text: &str) -> Result<WebhookKey, WebhookKeyProblem> {
        WebhookKey::parse(SecretString::from(text))
    }

    /// The receiver's side, by the reference implementation; it reads the real clock.
    fn verifies(key: &WebhookKey, id: &str, ts: i64, signatures: &str, body: &[u8]) -> bool {
        let mut headers = http::HeaderMap::new();
        headers.insert(HEADER_WEBHOOK_ID, id.parse().unwrap());
        headers.insert(HEADER_WEBHOOK_TIMESTAMP, ts.into());
        headers.insert(HEADER_WEBHOOK_SIGNATURE, signatures.parse().unwrap());
        Webhook::new(key.expose().expose_secret()).unwrap().verify(body, &headers).is_ok()
    }

    #[allow(clippy::disallowed_methods, reason = "the reference verifier reads the real clock")]
    fn now() -> i64 {
        time::OffsetDateTime::now_utc().unix_timestamp()
    }

    /// Protects what the customer is handed: the form, the length, and that no two are alike.
    #[test]
    fn a_new_key_is_whsec_and_32_bytes() {
        let new = key(1);
        let text = new.expose().expose_secret();
        assert_eq!(text.len(), 50);
        assert_eq!(BASE64.decode(&text[6..]).unwrap().len(), 32);
        assert_eq!(parse(text).unwrap(), new);
        assert_ne!(key(2), new);
    }

    /// Protects the interoperability with every receiver: the vector of the reference library.
    #[test]
    fn the_reference_vector_comes_out() {
        let key = parse("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD").unwrap();
        let body = br#"{"email":"test@example.com","username":"test_user"}"#;
        assert_eq!(
            key.sign("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1649367553, body),
            Ok("v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=".to_owned())
        );
    }

    /// Protects the overlap: a receiver that holds either key accepts the message, and one that
    /// holds neither does not.
    #[test]
    fn each_live_key_verifies_the_joined_header() {
        let (new, old, foreign) = (key(1), key(2), key(3));
        let (ts, body) = (now(), b"{\"a\":1}");
        let header = signature_header([&new, &old], "msg_1", ts, body).unwrap();
        assert!(header.starts_with(&new.sign("msg_1", ts, body).unwrap()));
        assert!(verifies(&new, "msg_1", ts, &header, body));
        assert!(verifies(&old, "msg_1", ts, &header, body));
        assert!(!verifies(&foreign, "msg_1", ts, &header, body));
        assert!(!verifies(&new, "msg_1", ts, &header, b"{\"a\":2}"));
        assert!(!verifies(&new, "msg_2", ts, &header, body));
    }

    /// Protects against a message that leaves without a signature.
    #[test]
    fn no_key_is_an_error_and_not_an_empty_header() {
        let none: [&WebhookKey; 0] = [];
        assert_eq!(signature_header(none, "msg_1", 0, b"{}"), Err(SignatureProblem::NoKey));
    }

    /// Protects against two messages with the same signed text: `a.1` at 2 and `a` at `1.2`.
    #[test]
    fn ids_that_blur_the_signed_text_are_refused() {
        for id in ["", "a.1", "a b", "a\r\nb", "é"] {
            assert_eq!(key(1).sign(id, 1, b"{}"), Err(SignatureProblem::BadId), "{id:?}");
        }
        assert_eq!(key(1).sign("a", -1, b"{}"), Err(SignatureProblem::BadTime));
        assert_eq!(key(1).sign("a", 1, b"\xff"), Err(SignatureProblem::BodyNotText));
    }

    /// Protects against weak and garbled keys, at both ends of the permitted lengths.
    #[test]
    fn only_24_to_64_bytes_of_base64_after_the_prefix_are_a_key() {
        let of = |len: usize| parse(&format!("whsec_{}", BASE64.encode(vec![1u8; len]))).err();
        assert_eq!(of(24), None);
        assert_eq!(of(64), None);
        assert_eq!(of(23), Some(WebhookKeyProblem::WrongLength { bytes: 23 }));
        assert_eq!(of(65), Some(WebhookKeyProblem::WrongLength { bytes: 65 }));
        assert_eq!(of(0), Some(WebhookKeyProblem::WrongLength { bytes: 0 }));
        let bare = BASE64.encode([1u8; 32]);
        assert_eq!(parse(&bare).err(), Some(WebhookKeyProblem::NoPrefix));
        assert_eq!(parse("whsec_!").err(), Some(WebhookKeyProblem::NotBase64));
        assert_eq!(parse(&format!("whsec_{bare}\n")).err(), Some(WebhookKeyProblem::NotBase64));
    }

    /// Protects logs and error pages.
    #[test]
    fn debug_output_holds_no_key() {
        assert_eq!(format!("{:?}", key(1)), "WebhookKey");
    }
}
