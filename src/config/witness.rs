//! The settings of a witness that is asked over HTTP.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What the key of a witness begins with: an Ed25519 key for cosignature/v1.
const COSIGNATURE: u8 = 0x04;

/// A witness: what it says counts by its signature alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// Its address, to which `/add-checkpoint` is added.
    pub url: String,
    /// The key that it signs with, as a C2SP verifier key.
    pub key: String,
}

/// The witness of the settings, if they name one.
pub(super) fn read(
    text: &dyn Fn(&str) -> Option<String>,
    loopback: &dyn Fn(&str) -> bool,
    wrong: &mut Vec<String>,
) -> Option<Witness> {
    let (url, key) = (text("witness_url"), text("witness_key"));
    if url.as_deref().is_some_and(|url| !url.starts_with("https://") && !loopback(url)) {
        wrong.push("witness_url begins with https://".to_owned());
    }
    if key.as_deref().is_some_and(|key| !is_a_witnesss(key)) {
        wrong.push(
            "witness_key is the witness’s C2SP verifier key, name+id+base64, of type 0x04 (cosignature/v1); a log’s own key is of another type"
                .to_owned(),
        );
    }
    match (url, key) {
        (Some(_), None) => {
            wrong.push(
                "witness_key is missing: the public key with which the witness at witness_url signs (a C2SP verifier key of type 0x04); without it anybody’s answer would count"
                    .to_owned(),
            );
            None
        }
        (None, Some(_)) => {
            wrong.push(
                "witness_url is missing: where the witness with witness_key is, e.g. https://witness.example"
                    .to_owned(),
            );
            None
        }
        (Some(url), Some(key)) => Some(Witness { url, key }),
        (None, None) => None,
    }
}

/// Whether a text has the form of a witness's key. That its id fits is seen where it is used.
fn is_a_witnesss(key: &str) -> bool {
    let mut parts = key.splitn(3, '+');
    let (Some(name), Some(id), Some(bytes)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let bytes = STANDARD.decode(bytes).unwrap_or_default();
    !name.is_empty() && id.len() == 8 && bytes.len() == 33 && bytes.first() == Some(&COSIGNATURE)
}

#[cfg(test)]
mod tests {
    use crate::config::Raw;
    use crate::proof::cosignature::WitnessSigner;
    use crate::proof::note::NoteKey;

    fn read(table: &str) -> Raw {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keyturn.toml");
        std::fs::write(&file, format!("[witness]\n{table}\n")).unwrap();
        Raw::read(Some(&file), |name| {
            let value = match name {
                "KEYTURN_BASE_URL" => "https://keyturn.example/",
                "KEYTURN_TRUSTED_PROXIES" => "none",
                "KEYTURN_KEYS_FILE" => "keys.json",
                "KEYTURN_LOG_ORIGIN" => "keyturn.example",
                "KEYTURN_SMTP_URL" => "smtps://mail.example",
                "KEYTURN_MAIL_FROM" => "Keyturn <k@platform.example>",
                _ => return None,
            };
            Some(value.to_owned())
        })
    }

    /// Protects a deployment from a witness that anybody can play.
    #[test]
    fn a_witness_is_named_with_the_key_that_it_signs_with() {
        let signer = WitnessSigner::new("w.example/one", &[9; 32]).unwrap();
        let vkey = signer.public().vkey();
        let (url, key) = ("url = \"https://w.example\"", format!("key = \"{vkey}\""));
        let raw = read(&format!("{url}\n{key}\nfolder = \"kept\""));
        let said = raw.describe();
        assert!(said.contains(&format!("witness_key = {vkey}\n")), "{said}");
        let config = raw.validate().unwrap();
        assert!(config.witness_folder.is_some());
        let witness = config.witness.unwrap();
        assert_eq!((witness.url.as_str(), &witness.key), ("https://w.example", &vkey));
        assert_eq!(read("").validate().unwrap().witness, None);
        assert!(read(&format!("url = \"http://127.0.0.1:9\"\n{key}")).validate().is_ok());

        let of_a_log = NoteKey::new("w.example", &[9; 32]).unwrap().vkey();
        for (table, says) in [
            (url.to_owned(), "witness_key is missing"),
            (key.clone(), "witness_url is missing"),
            (format!("url = \"http://w.example\"\n{key}"), "begins with https://"),
            (format!("{url}\nkey = \"{of_a_log}\""), "type 0x04"),
            (format!("{url}\nkey = \"nothing\""), "witness_key is the witness"),
            (format!("{url}\n{key}\nkeys = \"x\""), "no setting witness_keys"),
        ] {
            let wrong = read(&table).validate().unwrap_err();
            assert!(wrong.len() == 1 && wrong[0].contains(says), "{table}: {wrong:?}");
        }
    }
}
