//! What is on record of an org, as a row of its log says it: what the nine checks of the procedure
//! look at. Whoever changes the org's table without the log changes nothing that counts.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::note::{NoteError, NoteKey, NoteVerifier, open_note, sign_note};

/// The name of the record among a row's details.
pub const RECORD: &str = "record";

/// What is on record of an org.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrgRecord {
    /// `allow_platform_impersonation`, and how far it goes.
    pub consent: RecordedConsent,
    /// The Owner of record, if the contract names one.
    pub owner: Option<RecordedOwner>,
    /// When the Owner was marked unreachable, in microseconds UTC.
    pub owner_unreachable_at: Option<i64>,
    /// SHA-256 of the Owner's address on file with its org's id, in hexadecimal digits: logs are
    /// kept for good, and name no address.
    pub address: Option<String>,
    /// The handoff channel, `pgp` or `one_password`.
    pub channel: Option<String>,
    /// The Owner's OpenPGP key on file.
    pub pgp_key: Option<RecordedKey>,
    /// The shared vault.
    pub shared_vault_id: Option<String>,
    /// The members who may rotate by themselves.
    pub keepers: RecordedKeepers,
}

/// How far consent goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedConsent {
    /// `off`, `ticket` or `until_withdrawn`.
    pub scope: String,
    /// The one ticket, for `ticket`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Since when, in microseconds UTC.
    pub since: Option<i64>,
    /// When the Owner last confirmed it, in microseconds UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<i64>,
    /// Since when the Owner is asked whether it still stands, in microseconds UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<i64>,
}

/// The Owner of record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedOwner {
    /// The member.
    pub member_id: String,
    /// Since when, in microseconds UTC.
    pub since: Option<i64>,
}

/// An OpenPGP key on file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedKey {
    /// Its full fingerprint in capital hexadecimal digits; empty where it cannot be read.
    pub fingerprint: String,
    /// SHA-256 of its armored text, in hexadecimal digits.
    pub sha256: String,
    /// Since when it is on file, in microseconds UTC.
    pub since: Option<i64>,
}

/// The members with role Owner or Admin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedKeepers {
    /// How many there are.
    pub all: u64,
    /// How many of them can sign in.
    pub active: u64,
    /// SHA-256 of all members' ids, roles and standings, in hexadecimal digits.
    pub sha256: String,
}

/// What a step changes of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Consent.
    Consent,
    /// The Owner of record.
    Owner,
    /// Whether the Owner was marked unreachable.
    Reachable,
    /// The Owner's address.
    Address,
    /// The Owner's key.
    Key,
    /// The channel, and the vault that it names.
    Channel,
}

/// A part of the record, by the check that rests on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Part {
    /// Consent.
    Consent,
    /// Who the Owner of record is.
    Owner,
    /// Whether the Owner was marked unreachable.
    Reachable,
    /// Who is a member, and in which standing.
    Members,
    /// The address, the channel, the key and the vault.
    Channel,
}

impl Part {
    /// What it is called where a difference is told.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Part::Consent => "consent",
            Part::Owner => "the Owner of record",
            Part::Reachable => "whether the Owner can be reached",
            Part::Members => "members and their standings",
            Part::Channel => "the Owner’s address, key or channel",
        }
    }
}

impl OrgRecord {
    /// What a row's details say is on record; nothing where they do not.
    ///
    /// # Errors
    /// Where what they say does not read as a record.
    pub fn read(details: &Map<String, Value>) -> Result<Option<Self>, serde_json::Error> {
        details.get(RECORD).map(|record| serde_json::from_value(record.clone())).transpose()
    }

    /// This record, with only what a step has changed taken from another one. What somebody changed
    /// in the tables besides stays what it was here, and so a difference.
    #[must_use]
    pub fn with(mut self, changed: &[Field], now: &Self) -> Self {
        for field in changed {
            match field {
                Field::Consent => self.consent = now.consent.clone(),
                Field::Owner => self.owner.clone_from(&now.owner),
                Field::Reachable => self.owner_unreachable_at = now.owner_unreachable_at,
                Field::Address => self.address.clone_from(&now.address),
                Field::Key => self.pgp_key.clone_from(&now.pgp_key),
                Field::Channel => {
                    self.channel.clone_from(&now.channel);
                    self.shared_vault_id.clone_from(&now.shared_vault_id);
                }
            }
        }
        self
    }

    /// The parts in which another record differs from this one.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<Part> {
        // The fingerprint follows from the text, which is compared.
        let key = |record: &Self| record.pgp_key.as_ref().map(|k| (k.sha256.clone(), k.since));
        let channel = |record: &Self| {
            let vault = record.shared_vault_id.clone();
            (record.address.clone(), record.channel.clone(), key(record), vault)
        };
        let mut parts = Vec::new();
        let mut differ = |part, differs: bool| {
            if differs {
                parts.push(part);
            }
        };
        differ(Part::Consent, self.consent != other.consent);
        differ(Part::Owner, self.owner != other.owner);
        differ(Part::Reachable, self.owner_unreachable_at != other.owner_unreachable_at);
        differ(Part::Members, self.keepers != other.keepers);
        differ(Part::Channel, channel(self) != channel(other));
        parts
    }
}

/// Where in a log of so many rows the newest record stands, as the key of the logs has signed it.
/// Without it, whoever hides the newest record would bring back the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordPlace {
    /// How many rows the log had when it was signed.
    pub size: u64,
    /// The place of the row, from 0.
    pub seq: u64,
}

impl RecordPlace {
    /// The signed note: the log's origin with `/record`, the size and the place, a line each. It
    /// cannot be taken for a checkpoint, whose third line is a root.
    ///
    /// # Errors
    /// Where the origin is none that can be signed.
    pub fn sign(self, key: &NoteKey, origin: &str) -> Result<String, NoteError> {
        sign_note(&self.text(origin), &[key])
    }

    /// Opens a note.
    ///
    /// # Errors
    /// Why it is none of this log's, in words.
    pub fn open(note: &str, verifiers: &[NoteVerifier], origin: &str) -> Result<Self, String> {
        let text = open_note(note, verifiers).map_err(|e| e.to_string())?.text;
        let number = |line: Option<&str>| line.and_then(|line| line.parse::<u64>().ok());
        let mut lines = text.lines().skip(1);
        let (Some(size), Some(seq)) = (number(lines.next()), number(lines.next())) else {
            return Err("it does not read as the place of a record".to_owned());
        };
        let place = Self { size, seq };
        // One spelling only.
        if place.text(origin) == text && seq < size {
            Ok(place)
        } else {
            Err("it is of another log, or not written in the one form it has".to_owned())
        }
    }

    fn text(self, origin: &str) -> String {
        format!("{origin}/record\n{}\n{}\n", self.size, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::checkpoint::Checkpoint;
    use serde_json::json;

    fn record() -> OrgRecord {
        OrgRecord {
            consent: RecordedConsent {
                scope: "off".into(),
                ticket: None,
                since: Some(1),
                confirmed: None,
                asked: None,
            },
            owner: Some(RecordedOwner { member_id: "m".into(), since: Some(2) }),
            owner_unreachable_at: None,
            address: Some("aa".into()),
            channel: Some("pgp".into()),
            pgp_key: Some(RecordedKey {
                fingerprint: "F".into(),
                sha256: "bb".into(),
                since: Some(3),
            }),
            shared_vault_id: None,
            keepers: RecordedKeepers { all: 2, active: 0, sha256: "cc".into() },
        }
    }

    #[test]
    fn each_part_that_differs_is_named() {
        let same = record();
        assert_eq!(record().differences(&same), []);
        let change = |edit: &dyn Fn(&mut OrgRecord)| {
            let mut other = record();
            edit(&mut other);
            record().differences(&other)
        };
        assert_eq!(change(&|r| r.consent.scope = "until_withdrawn".into()), [Part::Consent]);
        assert_eq!(change(&|r| r.consent.confirmed = Some(1)), [Part::Consent]);
        assert_eq!(change(&|r| r.consent.asked = Some(1)), [Part::Consent]);
        assert_eq!(change(&|r| r.owner = None), [Part::Owner]);
        assert_eq!(change(&|r| r.owner_unreachable_at = Some(1)), [Part::Reachable]);
        assert_eq!(change(&|r| r.keepers.active = 1), [Part::Members]);
        for edit in [
            &|r: &mut OrgRecord| r.address = None,
            &|r: &mut OrgRecord| r.channel = None,
            &|r: &mut OrgRecord| r.shared_vault_id = Some("v".into()),
            &|r: &mut OrgRecord| r.pgp_key.as_mut().unwrap().sha256 = "dd".into(),
        ] as [&dyn Fn(&mut OrgRecord); 4]
        {
            assert_eq!(change(edit), [Part::Channel]);
        }
    }

    /// Protects against a step that would make true what was changed beside it.
    #[test]
    fn a_step_takes_along_only_what_it_changed() {
        let mut tampered = record();
        tampered.consent.scope = "until_withdrawn".into();
        tampered.pgp_key = None;
        tampered.address = Some("ee".into());
        tampered.keepers.active = 1;
        let new = record().with(&[Field::Consent], &tampered);
        assert_eq!(record().differences(&new), [Part::Consent]);
        assert_eq!(new.differences(&tampered), [Part::Members, Part::Channel]);
        let new = record().with(&[Field::Address], &tampered);
        assert_eq!((new.address.as_deref(), new.pgp_key), (Some("ee"), record().pgp_key));
    }

    #[test]
    fn what_goes_into_a_row_is_read_from_it_again() {
        let mut details = Map::new();
        assert_eq!(OrgRecord::read(&details).unwrap(), None);
        details.insert(RECORD.to_owned(), serde_json::to_value(record()).unwrap());
        assert_eq!(OrgRecord::read(&details).unwrap(), Some(record()));
        details[RECORD]["more"] = json!(1);
        assert!(OrgRecord::read(&details).is_err());
    }

    /// Protects against a place that another log, another size or nobody has signed.
    #[test]
    fn a_place_is_of_its_log_and_of_its_key() {
        let key = NoteKey::new("keyturn.example", &[7; 32]).unwrap();
        let verifiers = [key.verifier().clone()];
        let origin = "keyturn.example/org/o";
        let place = RecordPlace { size: 9, seq: 4 };
        let note = place.sign(&key, origin).unwrap();
        assert_eq!(RecordPlace::open(&note, &verifiers, origin), Ok(place));
        assert!(RecordPlace::open(&note, &verifiers, "keyturn.example/org/p").is_err());
        let other = NoteKey::new("keyturn.example", &[8; 32]).unwrap();
        assert!(RecordPlace::open(&note, &[other.verifier().clone()], origin).is_err());
        assert!(RecordPlace::open(&note.replacen("9\n4", "9\n3", 1), &verifiers, origin).is_err());
        let beyond = RecordPlace { size: 4, seq: 4 }.sign(&key, origin).unwrap();
        assert!(RecordPlace::open(&beyond, &verifiers, origin).is_err());
        let checkpoint = Checkpoint { origin: origin.to_owned(), size: 9, root: [0; 32] };
        assert!(RecordPlace::open(&checkpoint.sign(&key).unwrap(), &verifiers, origin).is_err());
        assert!(Checkpoint::open(&note, &verifiers, &format!("{origin}/record")).is_err());
    }
}
