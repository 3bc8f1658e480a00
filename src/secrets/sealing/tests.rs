use super::*;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

const HOME: Binding<'static> =
    Binding { context: "webhook_signing_key", org_id: "org-1", secret_id: "secret-1", version: 3 };

fn rng() -> StdRng {
    StdRng::seed_from_u64(7)
}

fn ring(active: &str, others: &[&str]) -> KeyRing {
    // The key follows from the id, so that two rings that name the same id share the key.
    let kek = |id: &str| {
        let seed = id.bytes().map(u64::from).sum();
        Kek::generate(&mut StdRng::seed_from_u64(seed), id).unwrap()
    };
    KeyRing::new(kek(active), others.iter().map(|id| kek(id)).collect()).unwrap()
}

fn opened(ring: &KeyRing, binding: &Binding<'_>, sealed: &Sealed) -> Vec<u8> {
    open(ring, binding, sealed).unwrap().expose_secret().to_vec()
}

/// Protects against a row of one org, secret or version being served as that of another.
#[test]
fn a_sealed_value_opens_only_where_it_was_sealed_for() {
    let ring = ring("a", &[]);
    let sealed = seal(&mut rng(), &ring, &HOME, b"value").unwrap();
    assert_eq!(opened(&ring, &HOME, &sealed), b"value");
    let elsewhere = [
        Binding { context: "vault_token", ..HOME },
        Binding { org_id: "org-2", ..HOME },
        Binding { secret_id: "secret-2", ..HOME },
        Binding { version: 4, ..HOME },
        // The same letters, split otherwise between two fields.
        Binding { org_id: "org-1s", secret_id: "ecret-1", ..HOME },
    ];
    for binding in elsewhere {
        let refused = open(&ring, &binding, &sealed).unwrap_err();
        assert_eq!(refused, SealingError::DoesNotOpen, "{binding:?}");
        let refused = rewrap(&mut rng(), &ring, &binding, &sealed).unwrap_err();
        assert_eq!(refused, SealingError::DoesNotOpen, "{binding:?}");
    }
}

/// Protects against a change to any part of the stored bytes going unseen.
#[test]
fn every_bit_flip_and_every_cut_is_refused() {
    let ring = ring("a", &[]);
    let sealed = seal(&mut rng(), &ring, &HOME, b"value").unwrap();
    for bit in 0..sealed.bytes.len() * 8 {
        let mut flipped = sealed.clone();
        flipped.bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(open(&ring, &HOME, &flipped).is_err(), "bit {bit}");
    }
    for len in 0..sealed.bytes.len() {
        let mut cut = sealed.clone();
        cut.bytes.truncate(len);
        assert!(open(&ring, &HOME, &cut).is_err(), "{len} bytes");
    }
}

/// Protects the change of the key-encryption key: nothing is lost, and the old key can go.
#[test]
fn a_rewrap_keeps_the_value_and_frees_the_old_key() {
    let sealed = seal(&mut rng(), &ring("old", &[]), &HOME, b"value").unwrap();
    let both = ring("new", &["old"]);
    assert_eq!(opened(&both, &HOME, &sealed), b"value");

    let moved = rewrap(&mut rng(), &both, &HOME, &sealed).unwrap();
    assert_eq!(moved.kek_id, "new");
    assert_eq!(opened(&ring("new", &[]), &HOME, &moved), b"value");
    assert_eq!(rewrap(&mut rng(), &both, &HOME, &moved).unwrap(), moved);
}

/// Protects the operator who took a key away too early: the message names the key that is missing.
#[test]
fn an_unknown_key_is_named() {
    let sealed = seal(&mut rng(), &ring("gone", &[]), &HOME, b"value").unwrap();
    let refused = open(&ring("new", &[]), &HOME, &sealed).unwrap_err();
    assert_eq!(refused, SealingError::UnknownKek { kek_id: "gone".into() });
    assert!(!ring("new", &[]).knows("gone"));
}

/// Protects against a wrong key under a known id, and against relabelling a row's key.
#[test]
fn another_key_under_the_same_id_does_not_open() {
    let sealed = seal(&mut rng(), &ring("a", &[]), &HOME, b"value").unwrap();
    let impostor = Kek::generate(&mut StdRng::seed_from_u64(99), "a").unwrap();
    let impostors = KeyRing::new(impostor, vec![]).unwrap();
    assert_eq!(open(&impostors, &HOME, &sealed).unwrap_err(), SealingError::DoesNotOpen);

    let both = ring("a", &["b"]);
    let relabelled = Sealed { kek_id: "b".into(), ..sealed };
    assert_eq!(open(&both, &HOME, &relabelled).unwrap_err(), SealingError::DoesNotOpen);
}

/// Protects against two seals of one value being recognised as the same.
#[test]
fn each_seal_is_different() {
    let ring = ring("a", &[]);
    let mut rng = rng();
    let one = seal(&mut rng, &ring, &HOME, b"value").unwrap();
    let two = seal(&mut rng, &ring, &HOME, b"value").unwrap();
    assert_ne!(one.bytes[WRAPPED_AT..VALUE_AT], two.bytes[WRAPPED_AT..VALUE_AT]);
    assert_ne!(one.bytes[VALUE_AT..], two.bytes[VALUE_AT..]);
}

/// Protects logs: neither keys nor values appear in `Debug` output.
#[test]
fn debug_output_holds_no_key_and_no_value() {
    let kek = Kek::parse("k", &SecretString::from(BASE64.encode([0xABu8; 32]))).unwrap();
    assert_eq!(format!("{kek:?}"), r#"Kek { id: "k", .. }"#);
    let ring = KeyRing::new(kek, vec![]).unwrap();
    assert!(!format!("{ring:?}").contains("171"));
    let sealed = seal(&mut rng(), &ring, &HOME, b"value").unwrap();
    assert_eq!(format!("{sealed:?}"), r#"Sealed { kek_id: "k", .. }"#);
    let value = open(&ring, &HOME, &sealed).unwrap();
    assert!(!format!("{value:?}").contains("value"));
}

/// Protects the configuration: a short, long or garbled key is refused, never padded or cut.
#[test]
fn only_32_bytes_of_base64_make_a_key() {
    let parse = |text: &str| Kek::parse("k", &SecretString::from(text));
    assert!(parse(&format!(" {}\n", BASE64.encode([1u8; 32]))).is_ok());
    for text in [
        "",
        "not base64",
        &BASE64.encode([1u8; 31]),
        &BASE64.encode([1u8; 33]),
        &BASE64.encode([1u8; 64]),
    ] {
        assert_eq!(parse(text).unwrap_err(), KekProblem::NotAKey { id: "k".into() }, "{text}");
    }
    assert_eq!(Kek::generate(&mut rng(), "").unwrap_err(), KekProblem::NoId);
}

/// Protects key files: what is written out is read back as the same key.
#[test]
fn a_key_survives_its_text_form() {
    let kek = Kek::generate(&mut rng(), "k").unwrap();
    let text = kek.to_base64();
    let sealed = seal(&mut rng(), &KeyRing::new(kek, vec![]).unwrap(), &HOME, b"v").unwrap();
    let again = KeyRing::new(Kek::parse("k", &text).unwrap(), vec![]).unwrap();
    assert_eq!(opened(&again, &HOME, &sealed), b"v");
}

/// Protects against two keys under one id, where which one opens a row would be left to chance.
#[test]
fn a_ring_refuses_two_keys_of_one_id() {
    let kek = |seed| Kek::generate(&mut StdRng::seed_from_u64(seed), "k").unwrap();
    let refused = KeyRing::new(kek(1), vec![kek(2)]).unwrap_err();
    assert_eq!(refused, KekProblem::DuplicateId { id: "k".into() });
}

proptest! {
    /// Protects values of every length and content, the empty one included.
    #[test]
    fn any_value_comes_back_as_it_was(value in proptest::collection::vec(any::<u8>(), 0..200)) {
        let ring = ring("a", &[]);
        let sealed = seal(&mut rng(), &ring, &HOME, &value).unwrap();
        prop_assert_eq!(opened(&ring, &HOME, &sealed), value);
    }

    /// Protects against a panic on stored bytes that are garbage.
    #[test]
    fn garbage_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let garbage = Sealed { kek_id: "a".into(), bytes };
        prop_assert!(open(&ring("a", &[]), &HOME, &garbage).is_err());
    }
}
