//! What an agent keeps in its folder.
//!
//! | file | what it is |
//! | --- | --- |
//! | `identity.pem` | key, certificate and authorities, in one file: they change together or not at all |
//! | `identity.previous.pem` | the one before, until the new one has been accepted |
//! | `status.json` | what the last answer was; no secrets |
//!
//! All of it is for the agent's user only (mode 0600). A file is written beside its place,
//! flushed to the disk and moved there, so that whoever pulls the plug finds the old or the new.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::secrets::certificates::{Bundle, BundleProblem};

const IDENTITY: &str = "identity.pem";
const PREVIOUS: &str = "identity.previous.pem";
const STATUS: &str = "status.json";

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderProblem {
    /// It cannot be read or written.
    #[error("{file}: {source}")]
    Io {
        /// Which file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// There is no identity.
    #[error("{0} has no identity: `keyturn gateway install --dir … --bundle …` puts one there")]
    Empty(String),
    /// A file that is not a bundle.
    #[error("{file}: {source}")]
    Bundle {
        /// Which file.
        file: String,
        /// What is wrong with it.
        source: BundleProblem,
    },
}

/// An agent's folder.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

fn io_problem(file: &Path) -> impl FnOnce(io::Error) -> FolderProblem {
    let file = file.display().to_string();
    move |source| FolderProblem::Io { file, source }
}

impl Folder {
    /// The folder at `path`; made where it is not there.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn at(path: &Path) -> Result<Self, FolderProblem> {
        fs::create_dir_all(path).map_err(io_problem(path))?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))
                .map_err(io_problem(path))?;
        }
        Ok(Self(path.to_owned()))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The identity.
    ///
    /// # Errors
    /// Where there is none, or it is damaged.
    pub fn identity(&self) -> Result<Bundle, FolderProblem> {
        self.read(IDENTITY)?.ok_or_else(|| FolderProblem::Empty(self.0.display().to_string()))
    }

    /// The identity before, while the new one has not been accepted yet.
    ///
    /// # Errors
    /// Where it is there and damaged.
    pub fn previous(&self) -> Result<Option<Bundle>, FolderProblem> {
        self.read(PREVIOUS)
    }

    fn read(&self, name: &str) -> Result<Option<Bundle>, FolderProblem> {
        let file = self.file(name);
        let text = match fs::read_to_string(&file) {
            Ok(text) => SecretString::from(text),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(io_problem(&file)(e)),
        };
        Bundle::read(&text)
            .map(Some)
            .map_err(|source| FolderProblem::Bundle { file: file.display().to_string(), source })
    }

    /// Puts `bundle` in the identity's place, and keeps the one that was there.
    ///
    /// # Errors
    /// Where it cannot be written; the identity is then what it was.
    pub fn swap_in(&self, bundle: &Bundle) -> Result<(), FolderProblem> {
        let (identity, previous) = (self.file(IDENTITY), self.file(PREVIOUS));
        match fs::read(&identity).map(Zeroizing::new) {
            Ok(old) => replace(&previous, &old).map_err(io_problem(&previous))?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(io_problem(&identity)(e)),
        }
        replace(&identity, bundle.to_pem().expose_secret().as_bytes())
            .map_err(io_problem(&identity))
    }

    /// Takes the identity before back.
    ///
    /// # Errors
    /// Where it cannot be moved.
    pub fn roll_back(&self) -> Result<(), FolderProblem> {
        let previous = self.file(PREVIOUS);
        fs::rename(&previous, self.file(IDENTITY)).map_err(io_problem(&previous))?;
        flush_folder(&self.0).map_err(io_problem(&self.0))
    }

    /// Forgets the identity before: the new one has been accepted.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn settle(&self) -> Result<(), FolderProblem> {
        let previous = self.file(PREVIOUS);
        match fs::remove_file(&previous) {
            Ok(()) => flush_folder(&self.0).map_err(io_problem(&self.0)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(io_problem(&previous)(e)),
        }
    }

    /// Writes what the last answer was.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write_status(&self, json: &[u8]) -> Result<(), FolderProblem> {
        let file = self.file(STATUS);
        replace(&file, json).map_err(io_problem(&file))
    }

    /// What the last answer was.
    #[must_use]
    pub fn read_status(&self) -> Option<Vec<u8>> {
        fs::read(self.file(STATUS)).ok()
    }
}

/// Puts `contents` in the place of `file`, whole or not at all.
fn replace(file: &Path, contents: &[u8]) -> io::Result<()> {
    let beside = file.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    // One that was left behind may have other rights.
    match fs::remove_file(&beside) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut written = options.open(&beside)?;
    written.write_all(contents)?;
    written.sync_all()?;
    fs::rename(&beside, file)?;
    file.parent().map_or(Ok(()), flush_folder)
}

/// A move is on the disk once its folder is.
fn flush_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
