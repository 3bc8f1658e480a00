//! Checkpoints (c2sp.org/tlog-checkpoint): a log's origin, size and root, as the text of a
//! signed note.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::proof::Hash;
use crate::proof::note::{
    NoteError, NoteKey, NoteVerifier, open_note, open_notes, sign_note, unverified_text,
};

/// What a log says of itself at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The name of the log, the same in all its checkpoints: for the log `platform` of a server
    /// called `audit.example`, `audit.example/platform`.
    pub origin: String,
    /// The number of rows.
    pub size: u64,
    /// The root of the Merkle tree over them.
    pub root: Hash,
}

/// Why a text is not a checkpoint, or not the one expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The text is not origin, size and root on a line each.
    #[error("the text is not a checkpoint: {0}")]
    Malformed(&'static str),
    /// It is a checkpoint of another log.
    #[error("the checkpoint is of {found:?}, not of {expected:?}")]
    OtherLog {
        /// The origin it should have.
        expected: String,
        /// The origin it has.
        found: String,
    },
    /// The note around it was refused.
    #[error(transparent)]
    Note(#[from] NoteError),
}

impl Checkpoint {
    /// The three lines that get signed: origin, size in decimal, root in base64.
    pub fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }

    /// Reads the three lines. Extension lines are refused: our logs write none, and what cannot
    /// be audited must not travel under the signature.
    ///
    /// # Errors
    /// When a line is missing, empty, too many, or not written in the one form it has.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let malformed = CheckpointError::Malformed;
        let body = text.strip_suffix('\n').ok_or(malformed("it does not end in a newline"))?;
        let lines: Vec<&str> = body.split('\n').collect();
        let [origin, size, root] = lines[..] else {
            return Err(malformed("it does not have three lines"));
        };
        if origin.is_empty() || origin.contains(char::is_control) {
            return Err(malformed("the origin is not a name"));
        }
        let number: u64 = size.parse().map_err(|_| malformed("the size is not a number"))?;
        // The number has one spelling only: no sign, no leading zeroes.
        if number.to_string() != size {
            return Err(malformed("the size is not a plain decimal"));
        }
        let root: Hash = STANDARD
            .decode(root)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(malformed("the root is not 32 bytes in base64"))?;
        Ok(Self { origin: origin.to_owned(), size: number, root })
    }

    /// The signed note of this checkpoint.
    ///
    /// # Errors
    /// When the origin is empty or holds a control character, so that the text would not be read
    /// back as this checkpoint.
    pub fn sign(&self, key: &NoteKey) -> Result<String, CheckpointError> {
        let text = self.to_text();
        Self::parse(&text)?;
        Ok(sign_note(&text, &[key])?)
    }

    /// Opens a signed checkpoint. Every key handed in is trusted to speak for the log
    /// `expected_origin`, so hand in only keys that may.
    ///
    /// # Errors
    /// When the note is not signed by one of the keys, is not a checkpoint, or is of another log.
    pub fn open(
        note: &str,
        verifiers: &[NoteVerifier],
        expected_origin: &str,
    ) -> Result<Self, CheckpointError> {
        Self::of_log(&open_note(note, verifiers)?.text, expected_origin)
    }

    /// Opens many signed checkpoints at once: each is what [`Checkpoint::open`] gives for it.
    pub fn open_all(
        notes: &[&str],
        verifiers: &[NoteVerifier],
        expected_origin: &str,
    ) -> Vec<Result<Self, CheckpointError>> {
        let notes: Vec<(&str, &str)> = notes.iter().map(|note| (*note, expected_origin)).collect();
        Self::open_each(&notes, verifiers)
    }

    /// Opens many signed checkpoints of different logs at once, each with its origin.
    pub fn open_each(
        notes: &[(&str, &str)],
        verifiers: &[NoteVerifier],
    ) -> Vec<Result<Self, CheckpointError>> {
        let texts: Vec<&str> = notes.iter().map(|(note, _)| *note).collect();
        open_notes(&texts, verifiers)
            .into_iter()
            .zip(notes)
            .map(|(opened, (_, origin))| Self::of_log(&opened?.text, origin))
            .collect()
    }

    fn of_log(text: &str, expected_origin: &str) -> Result<Self, CheckpointError> {
        let checkpoint = Self::parse(text)?;
        if checkpoint.origin != expected_origin {
            return Err(CheckpointError::OtherLog {
                expected: expected_origin.to_owned(),
                found: checkpoint.origin,
            });
        }
        Ok(checkpoint)
    }

    /// What a signed checkpoint claims, with the signatures *not* checked.
    ///
    /// # Errors
    /// When the text is not a note with a checkpoint in it.
    pub fn unverified(note: &str) -> Result<Self, CheckpointError> {
        Self::parse(unverified_text(note)?)
    }

    /// Whether the origin can be that of a log: it is the log's own name, or ends in `/` and that
    /// name, as `audit.example/org/7` does for the log `org/7`.
    pub fn names_log(&self, log: &str) -> bool {
        self.origin == log
            || self
                .origin
                .strip_suffix(log)
                .is_some_and(|host| host.len() > 1 && host.ends_with('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn checkpoint() -> Checkpoint {
        Checkpoint { origin: "audit.example/platform".into(), size: 20852163, root: [7; 32] }
    }

    fn key() -> NoteKey {
        NoteKey::new("audit.example/platform", &[1; 32]).unwrap()
    }

    #[test]
    fn the_example_of_the_specification_is_read() {
        let note = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
            \u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";
        let read = Checkpoint::unverified(note).unwrap();
        assert_eq!(read.origin, "example.com/behind-the-sofa");
        assert_eq!(read.size, 20852163);
        assert!(note.starts_with(&read.to_text()));
    }

    #[test]
    fn a_checkpoint_is_believed_only_from_a_known_key_and_for_its_own_log() {
        let note = checkpoint().sign(&key()).unwrap();
        let known = [key().verifier().clone()];
        assert_eq!(Checkpoint::open(&note, &known, "audit.example/platform"), Ok(checkpoint()));
        assert!(matches!(
            Checkpoint::open(&note, &known, "audit.example/org/7"),
            Err(CheckpointError::OtherLog { .. })
        ));
        assert!(matches!(
            Checkpoint::open(&note, &[], "audit.example/platform"),
            Err(CheckpointError::Note(NoteError::Unsigned))
        ));
        let grown = note.replace("20852163", "20852164");
        assert!(Checkpoint::open(&grown, &known, "audit.example/platform").is_err());
    }

    #[test]
    fn each_line_has_one_spelling() {
        let good = checkpoint().to_text();
        for bad in [
            String::new(),
            "\n\n\n".to_owned(),
            good.trim_end().to_owned(),
            format!("{good}extension\n"),
            format!("{good}\n"),
            good.replace("20852163", "020852163"),
            good.replace("20852163", "+20852163"),
            good.replace("20852163", "-1"),
            good.replace("20852163", "99999999999999999999"),
            good.replace("20852163", ""),
            good.replace('=', ""),
            good.replace("Bwc=", "BwcHBw=="),
            good.replace("audit.example/platform", ""),
            good.replace('\n', "\r\n"),
        ] {
            assert!(Checkpoint::parse(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_origin_that_would_smuggle_in_lines_is_not_signed() {
        let mut forged = checkpoint();
        forged.origin = "audit.example/platform\n5".into();
        assert!(forged.sign(&key()).is_err());
        forged.origin.clear();
        assert!(forged.sign(&key()).is_err());
    }

    #[test]
    fn an_origin_names_its_log_and_no_other() {
        let of = |origin: &str| Checkpoint { origin: origin.into(), size: 0, root: [0; 32] };
        assert!(of("platform").names_log("platform"));
        assert!(of("audit.example/org/7").names_log("org/7"));
        assert!(!of("audit.example/org/77").names_log("org/7"));
        assert!(!of("audit.example/xorg/7").names_log("org/7"));
        assert!(!of("/org/7").names_log("org/7"));
        assert!(!of("audit.example/org/7").names_log("platform"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(origin in "[a-z./]{1,20}", size in any::<u64>(), root in any::<[u8; 32]>()) {
            let checkpoint = Checkpoint { origin, size, root };
            prop_assert_eq!(Checkpoint::parse(&checkpoint.to_text()), Ok(checkpoint));
        }
    }
}
