//! The items, and the file that they are in.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::clock::Rng;
use crate::demo::DemoError;
use crate::demo::story::replace_private;
use crate::model::{Micros, time};

/// An item in a vault. It does not print.
#[derive(Clone, Serialize, Deserialize)]
pub struct Item {
    /// Its id.
    pub id: String,
    /// The id of its vault.
    pub vault: String,
    /// What it is called.
    pub title: String,
    /// What kind it is: `API_CREDENTIAL`.
    pub category: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its fields, in order.
    pub fields: Vec<Field>,
    /// When it was made.
    pub created_at: Micros,
}

/// A field of an item. It does not print.
#[derive(Clone, Serialize, Deserialize)]
pub struct Field {
    /// Its id within the item.
    pub id: String,
    /// Its type: `CONCEALED`, `STRING`.
    pub r#type: String,
    /// What it is for: `NOTES`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub purpose: String,
    /// What it is called.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// What is in it.
    #[serde(default)]
    pub value: Zeroizing<String>,
}

impl Item {
    /// What a list tells of it: all but the fields.
    pub(super) fn summary(&self) -> Value {
        json!({
            "id": self.id,
            "title": self.title,
            "vault": { "id": self.vault },
            "category": self.category,
            "tags": self.tags,
            "version": 1,
            "createdAt": time::rfc3339(self.created_at),
            "updatedAt": time::rfc3339(self.created_at),
        })
    }

    /// All of it.
    pub(super) fn full(&self) -> Value {
        let mut full = self.summary();
        full["fields"] = json!(self.fields);
        full
    }
}

/// A fresh id: 130 random bits in base32.
pub(super) fn new_id(rng: &dyn Rng) -> String {
    const LETTERS: [char; 32] = [
        'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r',
        's', 't', 'u', 'v', 'w', 'x', 'y', 'z', '2', '3', '4', '5', '6', '7',
    ];
    let mut random = [0; 26];
    rng.fill(&mut random);
    random.iter().map(|byte| LETTERS[usize::from(byte % 32)]).collect()
}

/// Every item, as it is in the file.
pub(super) struct Keep {
    file: PathBuf,
    items: Vec<Item>,
}

impl Keep {
    /// Reads what an earlier run kept.
    pub(super) fn open(file: &Path) -> Result<Self, DemoError> {
        let items = match std::fs::read(file) {
            Ok(kept) => {
                serde_json::from_slice(&Zeroizing::new(kept)).map_err(DemoError::json(file))?
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(DemoError::io(file)(e)),
        };
        Ok(Self { file: file.to_owned(), items })
    }

    /// Every item, oldest first.
    pub(super) fn all(&self) -> &[Item] {
        &self.items
    }

    /// Adds one, if it can be written down. The file is small and seldom written, so the thread
    /// that serves requests may wait for it.
    pub(super) fn add(&mut self, item: Item) -> std::io::Result<()> {
        self.items.push(item);
        let written = serde_json::to_vec_pretty(&self.items)
            .map_err(std::io::Error::other)
            .and_then(|text| replace_private(&self.file, &Zeroizing::new(text)));
        if written.is_err() {
            self.items.pop();
        }
        written
    }
}
