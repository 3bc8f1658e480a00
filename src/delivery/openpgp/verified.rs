//! A key with each signature of its own checked, once: what of it counts at a given time is decided
//! by [`super::trust`], without any more arithmetic.

use pgp::composed::{ArmorOptions, SignedKeyDetails, SignedPublicKey, SignedPublicSubKey};
use pgp::packet::{PublicKey, PublicSubkey, Signature, SignatureType, SubpacketData, UserId};
use pgp::types::{KeyDetails as _, SignedUser, Tag};

use super::problem::{KeyProblem, TooMuch, Unsound};
use super::{algorithm, trust};

/// More names than anybody has. Each is a signature to check, and somebody waits for it.
const MOST_NAMES: usize = 64;

/// More signatures of its own than a key gathers that is extended every year. One of a slow
/// algorithm counts for several.
const MOST_SIGNATURES: usize = 512;

/// A key, with those of its own signatures that are arithmetically right, and no others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verified {
    pub(super) primary: PublicKey,
    /// Revocations of the whole key, by itself.
    pub(super) revocations: Vec<Signature>,
    /// Revocations that may be by a designated revoker: their key is not at hand.
    pub(super) claimed_revocations: Vec<Signature>,
    pub(super) direct: Vec<Signature>,
    pub(super) names: Vec<Name>,
    pub(super) subkeys: Vec<Subkey>,
    /// How many signatures say that they are by the key, and are not.
    pub(super) wrong: usize,
    /// Why one over the key or a name cannot even be checked: no more than a reason to give.
    pub(super) unchecked: Option<Unsound>,
}

/// A name on a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) id: UserId,
    pub(super) confirmations: Vec<Signature>,
    pub(super) revocations: Vec<Signature>,
}

/// A subkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subkey {
    pub(super) key: PublicSubkey,
    pub(super) bindings: Vec<Signature>,
    pub(super) revocations: Vec<Signature>,
    /// Why a binding cannot even be checked: no more than a reason to give.
    pub(super) unchecked: Option<Unsound>,
}

impl Verified {
    /// Checks each signature that says that it is by the key.
    pub(super) fn of(key: &SignedPublicKey) -> Result<Self, KeyProblem> {
        let primary = &key.primary_key;
        let details = &key.details;
        within_limits(key)?;
        let (mut wrong, mut unchecked) = (0, None);
        let mut sort = |signatures: &[Signature], right: &dyn Fn(&Signature) -> bool| {
            let own = signatures.iter().filter(|signature| claims(signature, primary));
            let (right, others): (Vec<_>, Vec<_>) = own.cloned().partition(right);
            wrong += others.len();
            (right, others.iter().find_map(|other| trust::weak_hash(other, primary)))
        };
        let of_key = |signature: &Signature| signature.verify_key(primary).is_ok();
        let (revocations, _) = sort(&details.revocation_signatures, &of_key);
        let (direct, weak) = sort(&details.direct_signatures, &of_key);
        unchecked = unchecked.or(weak);
        let names: Vec<Name> = details
            .users
            .iter()
            .map(|user| {
                let of_name = |signature: &Signature| {
                    signature.verify_certification(primary, Tag::UserId, &user.id).is_ok()
                };
                let (own, weak) = sort(&user.signatures, &of_name);
                unchecked = unchecked.take().or(weak);
                let (revocations, confirmations) = own
                    .into_iter()
                    .partition(|signature| signature.typ() == Some(SignatureType::CertRevocation));
                Name { id: user.id.clone(), confirmations, revocations }
            })
            .collect();
        let subkeys = key
            .public_subkeys
            .iter()
            .map(|subkey| {
                let of_subkey = |signature: &Signature| {
                    signature.verify_subkey_binding(primary, &subkey.key).is_ok()
                };
                let (own, unchecked) = sort(&subkey.signatures, &of_subkey);
                let (revocations, bindings) = own.into_iter().partition(|signature| {
                    signature.typ() == Some(SignatureType::SubkeyRevocation)
                });
                Subkey { key: subkey.key.clone(), bindings, revocations, unchecked }
            })
            .collect();
        let own = direct.iter().chain(names.iter().flat_map(|name| &name.confirmations));
        let claimed_revocations = claimed(own, &details.revocation_signatures);
        Ok(Self {
            primary: primary.clone(),
            revocations,
            claimed_revocations,
            direct,
            names,
            subkeys,
            wrong,
            unchecked,
        })
    }

    /// Whether the other names a revocation by a designated revoker that this one lacks. Whether
    /// it is genuine cannot be checked without the revoker's key.
    pub(super) fn lacks_a_claim_of(&self, other: &Self) -> bool {
        let known = |claim: &Signature| self.claimed_revocations.iter().any(|own| same(own, claim));
        !other.claimed_revocations.iter().all(known)
    }

    /// What both say of the same key: whatever one of them lacks or had dropped, a revocation above
    /// all, is in it, and nothing that the key has not signed itself. Nothing where they are
    /// different keys.
    pub(super) fn with(mut self, other: &Self) -> Option<Self> {
        if self.primary.fingerprint() != other.primary.fingerprint() {
            return None;
        }
        add(&mut self.revocations, &other.revocations);
        add(&mut self.direct, &other.direct);
        for name in &other.names {
            match self.names.iter_mut().find(|known| known.id.id() == name.id.id()) {
                Some(known) => {
                    add(&mut known.confirmations, &name.confirmations);
                    add(&mut known.revocations, &name.revocations);
                }
                None => self.names.push(name.clone()),
            }
        }
        for subkey in &other.subkeys {
            let same = |known: &&mut Subkey| known.key.fingerprint() == subkey.key.fingerprint();
            match self.subkeys.iter_mut().find(same) {
                Some(known) => {
                    add(&mut known.bindings, &subkey.bindings);
                    add(&mut known.revocations, &subkey.revocations);
                }
                None => self.subkeys.push(subkey.clone()),
            }
        }
        Some(self)
    }

    /// Whether both say the same.
    pub(super) fn says_what(&self, other: &Self) -> bool {
        // What is wrong on one of them is not said by the key.
        let said = |key: &Self| {
            let mut key = key.clone();
            (key.wrong, key.unchecked) = (0, None);
            key.names.retain(|name| !name.confirmations.is_empty() || !name.revocations.is_empty());
            key.subkeys.retain(|subkey| !subkey.bindings.is_empty());
            key.subkeys.iter_mut().for_each(|subkey| subkey.unchecked = None);
            key
        };
        said(self) == said(other)
    }

    /// The key as it is written out: what it has signed itself, and no more.
    pub(super) fn to_armored(&self) -> Result<String, pgp::errors::Error> {
        let both = |one: &[Signature], other: &[Signature]| [one, other].concat();
        let names = self.names.iter().filter(|name| {
            // What the key has never said of itself is somebody else's.
            !name.confirmations.is_empty() || !name.revocations.is_empty()
        });
        let users = names.map(|name| {
            SignedUser::new(name.id.clone(), both(&name.revocations, &name.confirmations))
        });
        let subkeys = self.subkeys.iter().filter(|subkey| !subkey.bindings.is_empty());
        let key = SignedPublicKey {
            primary_key: self.primary.clone(),
            details: SignedKeyDetails::new(
                both(&self.revocations, &self.claimed_revocations),
                self.direct.clone(),
                users.collect(),
                vec![],
            ),
            public_subkeys: subkeys
                .map(|subkey| {
                    let signatures = both(&subkey.revocations, &subkey.bindings);
                    SignedPublicSubKey::new(subkey.key.clone(), signatures)
                })
                .collect(),
        };
        key.to_armored_string(ArmorOptions::default())
    }
}

/// Whether two signatures are the same in what is signed. Nobody has signed the unhashed part, so
/// that anybody could make as many of one signature as they like.
fn same(one: &Signature, other: &Signature) -> bool {
    let hashed = |signature: &Signature| {
        signature.config().map(|config| config.hashed_subpackets().cloned().collect::<Vec<_>>())
    };
    one.typ() == other.typ() && one.signature() == other.signature() && hashed(one) == hashed(other)
}

fn add(known: &mut Vec<Signature>, more: &[Signature]) {
    for signature in more {
        if !known.iter().any(|own| same(own, signature)) {
            known.push(signature.clone());
        }
    }
}

/// Whether a signature says that it is by this key, or says nothing of whose it is.
fn claims(signature: &Signature, primary: &PublicKey) -> bool {
    let (ids, fingerprints) = (signature.issuer_key_id(), signature.issuer_fingerprint());
    ids.is_empty() && fingerprints.is_empty()
        || ids.iter().any(|id| **id == primary.legacy_key_id())
        || fingerprints.iter().any(|fingerprint| **fingerprint == primary.fingerprint())
}

/// The revocations that claim to be by somebody the key has named as its designated revoker
/// (section 5.2.3.23).
fn claimed<'a>(
    own: impl Iterator<Item = &'a Signature>,
    revocations: &[Signature],
) -> Vec<Signature> {
    let named: Vec<&[u8]> = own
        .filter_map(Signature::config)
        .flat_map(|config| config.hashed_subpackets())
        .filter_map(|part| match &part.data {
            SubpacketData::RevocationKey(revoker) => Some(revoker.fingerprint.as_slice()),
            _ => None,
        })
        .collect();
    let by_one_of_them = |signature: &&Signature| {
        named.iter().any(|revoker| {
            signature.issuer_fingerprint().iter().any(|issuer| issuer.as_bytes() == *revoker)
                || signature.issuer_key_id().iter().any(|issuer| revoker.ends_with(issuer.as_ref()))
        })
    };
    revocations.iter().filter(by_one_of_them).cloned().collect()
}

fn within_limits(key: &SignedPublicKey) -> Result<(), KeyProblem> {
    let primary = &key.primary_key;
    let details = &key.details;
    let fingerprint = super::key_on_file::fingerprint(primary);
    if details.users.len() > MOST_NAMES {
        // The one to keep; which is left to the Owner where none is an address.
        let address = details.users.iter().find_map(|user| address_in(user.id.as_str()?));
        let what = TooMuch::Names { count: details.users.len(), most: MOST_NAMES, address };
        return Err(KeyProblem::TooMuch { what, fingerprint });
    }
    let of_names = details.users.iter().flat_map(|user| &user.signatures);
    let of_subkeys = key.public_subkeys.iter().flat_map(|subkey| &subkey.signatures);
    let all = details.revocation_signatures.iter().chain(&details.direct_signatures);
    let own = all.chain(of_names).chain(of_subkeys).filter(|own| claims(own, primary)).count();
    let most = MOST_SIGNATURES / algorithm::cost(primary);
    if own > most {
        let what = TooMuch::Signatures { count: own, most };
        return Err(KeyProblem::TooMuch { what, fingerprint });
    }
    Ok(())
}

/// The address in a name, `Olga <olga@example.com>`, where it can stand in a command as it is.
pub(super) fn address_in(name: &str) -> Option<String> {
    let (_, rest) = name.rsplit_once('<')?;
    let (address, _) = rest.split_once('>')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "@.-_+".contains(c);
    (address.contains('@') && address.chars().all(plain)).then(|| address.to_owned())
}
