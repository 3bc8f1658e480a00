//! What the guard must keep: an issued value is known again in every dress, and what people
//! ordinarily write to a customer is let through.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use secrecy::SecretBox;

use sha2::Digest as _;

use super::*;

const BEFORE: &str = "Hello Olive, as promised on the phone, the new key is this one:";
const AFTER: &str = "Please put it into your receiver today; we retire the old one in 72 hours.";

fn key() -> FingerprintKey {
    FingerprintKey::new(SecretBox::new(Box::new([7; 32])))
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn whsec(bytes: &[u8]) -> String {
    format!("whsec_{}", STANDARD.encode(bytes))
}

/// Whether the fingerprint of the value is among those of the text. The shape does not help here.
fn knows(text: &str, value: &str) -> bool {
    let key = key();
    let fingerprint = hex(key.fingerprint(value.as_bytes()).as_bytes());
    candidates(text, &key).expect("the text can be checked").contains(&fingerprint)
}

fn every(n: usize, text: &str, between: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(n).map(|part| part.iter().collect::<String>()).collect::<Vec<_>>().join(between)
}

fn each(text: &str, dress: impl Fn(u32) -> String) -> String {
    text.chars().map(|c| dress(u32::from(c))).collect()
}

fn char_at(code: u32) -> char {
    char::from_u32(code).unwrap()
}

/// The ways of writing the value down another way.
const ENCODINGS: usize = 17;

fn encode(which: usize, value: &str) -> String {
    match which {
        0 => value.to_owned(),
        1 => STANDARD.encode(value),
        2 => STANDARD_NO_PAD.encode(value),
        3 => URL_SAFE.encode(value),
        4 => URL_SAFE_NO_PAD.encode(value),
        5 => hex(value),
        6 => hex(value).to_uppercase(),
        7 => each(value, |c| format!("%{c:02X}")),
        8 => value.replace('_', "%5F").replace('+', "%2b").replace('/', "%2F").replace('=', "%3D"),
        9 => each(value, |c| format!("&#{c};")),
        10 => value.replace('/', "&#x2F;").replace('=', "&#x3D;").replace('+', "&plus;"),
        11 => each(value, |c| format!("\\u{c:04x}")),
        12 => each(value, |c| char_at(c + 0xFEE0).to_string()),
        13 => each(value, |c| format!("0x{c:02X}, ")),
        14 => STANDARD.encode(value.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()),
        15 => value.replace('=', "=3D").chars().fold(String::new(), |out, c| {
            let soft = if out.len() % 20 == 19 { "=\r\n" } else { "" };
            out + soft + &c.to_string()
        }),
        _ => every(2, &hex(value), ":"),
    }
}

/// The ways in which a text is broken up.
const BREAKS: usize = 16;

fn broken(which: usize, width: usize, text: &str) -> String {
    match which {
        0 => text.to_owned(),
        1 => every(width, text, " "),
        2 => every(width, text, "\n"),
        3 => every(width, text, "\r\n> "),
        4 => every(width, text, "\u{200B}"),
        5 => every(width, text, "\u{AD}"),
        6 => every(width, text, "**"),
        7 => every(width, text, ". "),
        8 => every(width, text, "` `"),
        9 => every(width, text, "\u{FEFF}\u{2060}"),
        10 => every(width, text, "\"\n  + \""),
        11 => every(width, text, "<wbr>"),
        12 => every(width, text, "\n// "),
        13 => format!("+{}", every(width, text, "\n+")),
        14 => every(width, text, "\n  17: "),
        _ => every(width, text, "\u{A0}\t"),
    }
}

/// What stands around it, in three grades of closeness.
fn among(which: usize, text: &str) -> String {
    match which {
        0 => text.to_owned(),
        1 => format!("{BEFORE}\n\n{text}\n\n{AFTER}"),
        2 => format!("{BEFORE} `{text}`. {AFTER}"),
        _ => format!("xyz{text}xyz"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// Protects against a value that leaves encoded, then broken up, then among words.
    #[test]
    fn an_issued_value_is_known_in_every_dress(
        bytes in any::<[u8; 32]>(),
        encoding in 0..ENCODINGS,
        breaking in 0..BREAKS,
        width in 4_usize..80,
        around in 0_usize..4,
    ) {
        let value = whsec(&bytes);
        let text = encode(encoding, &value);
        // What is broken up within an escape is no escape any more, for nobody; letters between
        // hex digits and code are only taken off where they are marks.
        let breakable = matches!(encoding, 0..=6);
        let around = if (5..=6).contains(&encoding) && around == 3 { 2 } else { around };
        let text = among(around, &broken(if breakable { breaking } else { 0 }, width, &text));
        prop_assert!(knows(&text, &value), "{text:?}");
    }

    /// Protects against a value without its prefix, which no shape gives away, at any place.
    #[test]
    fn the_bare_key_is_known_with_anything_around_it(
        bytes in any::<[u8; 32]>(),
        padded in any::<bool>(),
        before in "[A-Za-z0-9+/]{0,40}",
        after in "[A-Za-z0-9+/]{0,40}",
        breaking in 0..BREAKS,
        width in 4_usize..80,
        around in 0_usize..4,
    ) {
        let bare = if padded { STANDARD.encode(bytes) } else { STANDARD_NO_PAD.encode(bytes) };
        let text = among(around, &broken(breaking, width, &format!("{before}{bare}{after}")));
        prop_assert!(knows(&text, &whsec(&bytes)), "{text:?}");
    }

    /// Protects the keys that were brought along: every length that the standard permits.
    #[test]
    fn a_key_of_any_permitted_length_is_known(
        bytes in prop::collection::vec(any::<u8>(), 24..=64),
        prefixed in any::<bool>(),
        breaking in 0..BREAKS,
        width in 4_usize..80,
        around in 0_usize..4,
    ) {
        let value = whsec(&bytes);
        let text = if prefixed { value.clone() } else { value["whsec_".len()..].to_owned() };
        let text = among(around, &broken(breaking, width, &text));
        prop_assert!(knows(&text, &value), "{text:?}");
    }

    /// Protects against the bytes of the key written another way, which the text form is not.
    #[test]
    fn the_bytes_of_the_key_are_known(
        bytes in any::<[u8; 32]>(),
        form in 0_usize..6,
        around in 0_usize..3,
    ) {
        let text = match form {
            0 => hex(bytes),
            1 => every(2, &hex(bytes).to_uppercase(), ":"),
            2 => URL_SAFE.encode(bytes),
            3 => URL_SAFE_NO_PAD.encode(bytes),
            4 => every(16, &URL_SAFE_NO_PAD.encode(bytes), "\n"),
            _ => every(8, &hex(bytes), " "),
        };
        prop_assert!(knows(&among(around, &text), &whsec(&bytes)), "{text:?}");
    }

    /// Protects against two encodings, one around the other.
    #[test]
    fn two_encodings_are_undone(
        bytes in any::<[u8; 32]>(),
        inner in 0..ENCODINGS,
        outer in 0..ENCODINGS,
        around in 0_usize..3,
    ) {
        let value = whsec(&bytes);
        let once = encode(inner, &value);
        // Full width over full width does not exist, nor UTF-16 that is not ASCII in these tests.
        prop_assume!(once.is_ascii() || matches!(outer, 0..=6 | 9 | 11));
        let text = among(around, &encode(outer, &once));
        prop_assert!(knows(&text, &value), "{inner} in {outer}: {text:?}");
    }

    /// Protects vault tokens: whole, split, run together with words, and without their prefix.
    #[test]
    fn a_vault_token_is_known(
        token in prop_oneof![
            "s\\.[A-Za-z0-9]{24}",
            "hvs\\.[A-Za-z0-9]{24}",
            "hvs\\.[A-Za-z0-9_-]{90,120}",
            "hvb\\.[A-Za-z0-9_-]{138,300}",
        ],
        form in 0_usize..6,
        width in 4_usize..80,
        around in 0_usize..3,
    ) {
        let text = match form {
            0 => token.clone(),
            1 => every(width, &token, "\n> "),
            2 => format!("{token}xyz"),
            3 => STANDARD.encode(&token),
            4 => format!("VAULT_TOKEN={token}"),
            _ => token.split_once('.').unwrap().1.trim_matches(['-', '_']).to_owned(),
        };
        prop_assume!(form != 5 || text.len() + token.find('.').unwrap() + 1 == token.len());
        prop_assert!(knows(&among(around, &text), &token), "{text:?}");
    }

    /// Protects the page: no text, however strange, makes the guard panic, and what comes out is
    /// bounded and without repetition.
    #[test]
    fn any_text_is_answered(text in "(?s).{0,400}|[%&#\\\\ux=<>0-9a-f;{}é]{0,400}") {
        let found = candidates(&text, &key()).unwrap();
        prop_assert!(found.len() <= MOST_CANDIDATES);
        prop_assert_eq!(found.iter().collect::<std::collections::HashSet<_>>().len(), found.len());
        prop_assert!(found.iter().all(|f| f.len() == 64));
        let _ = shape(&text);
    }

    /// Protects against the shapes in the dresses that keep them recognizable.
    #[test]
    fn a_key_that_was_not_issued_is_caught_by_its_shape(
        bytes in any::<[u8; 32]>(),
        encoding in 0..ENCODINGS,
        around in 0_usize..4,
    ) {
        let around = if (5..=6).contains(&encoding) && around == 3 { 2 } else { around };
        let text = among(around, &encode(encoding, &whsec(&bytes)));
        prop_assert_eq!(shape(&text), Ok(Some(Shape::WebhookKey)), "{}", text);
    }
}

/// Protects each shape, as it is written, in base64 and in a URL.
#[test]
fn each_shape_is_caught() {
    let long = "CAESIJ1aVxk9".repeat(12);
    let cases = [
        (whsec(&[0; 24]), Shape::WebhookKey),
        ("WHSEC_C2FVsBQIhrscChlQIMV+b5sSYspob7oD".to_owned(), Shape::WebhookKey),
        ("whsec_\n  C2FVsBQIhrsc ChlQIMV+b5sS Yspob7oD".to_owned(), Shape::WebhookKey),
        (format!("hvs.{}", &long[..95]), Shape::VaultToken),
        (format!("hvb.{}", &long[..140]), Shape::VaultToken),
        (format!("hvs.{}", every(8, &long[..95], "\n")), Shape::VaultToken),
        ("hvs.4Yd9QmLsT0aXbE7uKfRw2ZpV".to_owned(), Shape::VaultToken),
        ("s.4Yd9QmLsT0aXbE7uKfRw2ZpV".to_owned(), Shape::VaultToken),
        (
            "ops_eyJzaWduSW5BZGRyZXNzIjoibXkuMXBhc3N3b3JkLmNvbSJ9".to_owned(),
            Shape::OnePasswordToken,
        ),
        (
            "AGE-SECRET-KEY-1QQPZRY9X8GF2TVDW0S3JN54KHCE6MUA7LQQPZRY9X8GF2TVDW0S".to_owned(),
            Shape::AgeKey,
        ),
        ("-----BEGIN PRIVATE KEY-----".to_owned(), Shape::PrivateKey),
        ("-----BEGIN RSA PRIVATE KEY-----".to_owned(), Shape::PrivateKey),
        ("-----BEGIN PGP PRIVATE KEY BLOCK-----".to_owned(), Shape::PrivateKey),
        ("- - - - -B E G I N  E C\nP R I V A T E\nK E Y".to_owned(), Shape::PrivateKey),
        ("> \u{2014}\u{2014}BEGIN OPENSSH\u{200B} PRI\u{AD}VATE KEY".to_owned(), Shape::PrivateKey),
        ("**BEGIN** _ENCRYPTED_ PRIVATE KEY".to_owned(), Shape::PrivateKey),
        ("-----begin private key-----".to_owned(), Shape::PrivateKey),
        ("MC4CAQAwBQYDK2VwBCIEIJ1aVxk9".to_owned(), Shape::PrivateKey),
    ];
    for (text, expected) in cases {
        assert_eq!(shape(&text), Ok(Some(expected)), "{text:?}");
        assert_eq!(shape(&among(1, &text)), Ok(Some(expected)), "{text:?}");
        assert_eq!(shape(&STANDARD.encode(&text)), Ok(Some(expected)), "{text:?}");
        assert_eq!(shape(&encode(7, &text)), Ok(Some(expected)), "{text:?}");
    }
}

/// What is written to customers every day, and the technical texts that come nearest to secrets.
const ORDINARY: &[&str] = &[
    "This ticket is no longer open. If the secret is still stuck, please file a new ticket while signed in to support.",
    "Before we can act on this ticket we need to know that it comes from you. Please sign in to support and answer from your signed-in session.",
    "The Owner of record of your organization changed after this ticket was filed. Please file a new ticket as the Owner of record.",
    "As an Admin you can rotate this yourself: sign in and use Rotate API keys. We do not rotate a secret for you while that path is open to you.",
    "We can only do this at the request of your organization's Owner. Please ask the Owner to file the ticket while signed in to support.",
    "1 active Owner and 2 active Admins of your organization can sign in and rotate this secret with Rotate API keys. Please ask them; we step in only where nobody can.",
    "Your organization does not allow the platform to act on its behalf at the moment. If you want us to rotate this secret, please re-enable allow_platform_impersonation and tell us here.",
    "We could not find the secret that this ticket is about among those of your organization. Please send us its id; never the secret itself.",
    "We cannot encrypt to the OpenPGP key that we have on file for you. Please send us a current public key, or extend the one on file; we will confirm its fingerprint with you before we use it.",
    "The new signing key starts with whsec_ and was mailed to you, encrypted to 5F3B 22A1 C9D4 E07F 8812  93AB 4C5D 6E7F 8091 A2B3. The webhook is whk_7q2mx9dk4tfa6vhe, and the org is org_3hd8sk2mfa9qx7bv.",
    "Your vault token (it begins with hvs. or s. and is long) was put into the shared vault 4fj2k9s8d7f6g5h4j3k2l1m0n9, item ops_1.",
    "The request was 018f3c5e-7a1b-7c3d-9e4f-5a6b7c8d9e0f, its parent 550e8400-e29b-41d4-a716-446655440000, and UPPER 550E8400-E29B-41D4-A716-446655440000.",
    "Fixed in e923cda1f0b2c3d4e5f60718293a4b5c6d7e8f90 (git), image sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08.",
    "See https://docs.example.com/a/very/long/path/to/RotateApiKeys/HowTo?section=webhooks&utm_source=support%20reply&id=whk_7q2mx9dk4tfa6vhe#Verify-Signatures",
    "keyturn.example/platform\n4711\nqJ8aO0k1mF3e9wH2bT5yVxZ7dS6cR4gL1uN8pEiKjXo=\n\n\u{2014} keyturn.example/platform hXq2bGk9ZrT1cVw8YsNf4uDmA7oPe0LiJ5xQ3tRyKvB6zHgWnMdCaEfUjIlOpSq7GbXrVk2=",
    "webhook-signature: v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=\nwebhook-id: msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
    "We begin with the private key that you keep: it never leaves the gateway. --- Begin again with a new certificate, not with the private key.",
    "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUQ2x7nT0aXbE7uKfRw2ZpV4Yd9QmLswCgYIKoZIzj0EAwIw\nEzERMA8GA1UEAwwIS2V5dHVybjAeFw0yNjA\n-----END CERTIFICATE-----\n-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDMEZ1aVxhYJKwYBBAHaRw8BAQdAQmLsT0aXbE7uKfRw2ZpV4Yd9\n-----END PGP PUBLIC KEY BLOCK-----",
    "serial 1f:8a:00:c3:77:de:ad:be:ef:01:23:45:67:89:ab:cd:ef:10, valid 2026-07-01T10:20:30.123456Z to 2027-07-01T10:20:30Z, 100% done; a <b>bold</b> &amp; brave \\u0041.",
    "Guten Tag Frau Größe, выпущен новый ключ, 新しい鍵をお送りしました。 Être prêt à l'été!",
];

/// Protects the people who answer tickets: ordinary replies leave, and cost next to nothing.
#[test]
fn ordinary_replies_have_no_shape_and_few_candidates() {
    for text in ORDINARY {
        assert_eq!(shape(text), Ok(None), "{text}");
        let found = candidates(text, &key()).unwrap().len();
        assert!(found < 12_000, "{found}: {text}");
    }
    let all = ORDINARY.join("\n\n");
    assert_eq!(shape(&all), Ok(None));
    let long: String = ORDINARY[..9].join(" ").chars().cycle().take(LONGEST_TEXT).collect();
    assert_eq!(shape(&long), Ok(None));
    assert!(candidates(&long, &key()).unwrap().len() < 12_000);
}

/// Protects the ordinary replies: what the store holds is only found where it is.
#[test]
fn a_value_is_not_known_where_it_is_not() {
    let value = whsec(&[9; 32]);
    assert!(ORDINARY.iter().all(|text| !knows(text, &value)));
    assert!(!knows(&whsec(&[8; 32]), &value));
}

/// Protects against texts too large to be checked to the end: they are refused, not let through.
#[test]
fn what_cannot_be_checked_is_refused() {
    let long = "a ".repeat(LONGEST_TEXT / 2);
    assert!(candidates(&long, &key()).is_ok());
    let longer = format!("{long}é");
    let refused = Unchecked::TooLong { chars: LONGEST_TEXT + 1 };
    assert_eq!(candidates(&longer, &key()), Err(refused));
    assert_eq!(shape(&longer), Err(refused));
    // Many short random pieces: every one could be a key of any length.
    let dense: String = (0..330_u32)
        .map(|n| STANDARD.encode(sha2::Sha384::new_with_prefix(n.to_be_bytes()).finalize()))
        .collect::<Vec<_>>()
        .join(" ");
    assert!(matches!(candidates(&dense[..LONGEST_TEXT], &key()), Err(Unchecked::TooDense)));
    let anchors = "hvb.".repeat(LONGEST_TEXT / 4);
    assert_eq!(candidates(&anchors, &key()), Err(Unchecked::TooDense));
}

/// Protects the handoff: an armoured message or key may be posted, for nobody else can read it.
#[test]
fn an_armoured_message_can_be_checked() {
    let body: Vec<u8> = (0..60_u32)
        .flat_map(|n| sha2::Sha384::new_with_prefix(n.to_be_bytes()).finalize())
        .collect();
    let armour = format!(
        "-----BEGIN PGP MESSAGE-----\n\n{}\n=aB3d\n-----END PGP MESSAGE-----",
        every(64, &STANDARD.encode(body), "\n")
    );
    assert_eq!(shape(&armour), Ok(None));
    assert!(candidates(&among(1, &armour), &key()).is_ok());
    // Short prefixes turn up by chance in long random texts, and must not be taken for a token.
    for salt in 0..40_u32 {
        let body: Vec<u8> = (0..230_u32)
            .flat_map(|n| sha2::Sha384::new_with_prefix((n + 1000 * salt).to_be_bytes()).finalize())
            .collect();
        assert_eq!(shape(&STANDARD.encode(body)), Ok(None));
    }
}

/// Protects logs and audit rows: what is said of a text holds nothing of it.
#[test]
fn what_is_said_holds_no_part_of_the_text() {
    let said = format!("{} {}", Unchecked::TooLong { chars: 30_000 }, Unchecked::TooDense);
    assert!(said.contains("30000") && said.contains("20000"));
    assert_eq!(Shape::VaultToken.to_string(), "vault_token");
    assert_eq!(Shape::AgeKey.label(), "an age secret key");
}
