//! A vault that can be down, or lose its answers, and in which the process can die before and
//! after each call.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use secrecy::SecretString;

use super::deaths::Deaths;
use crate::secrets::vault::embedded::EmbeddedVault;
use crate::secrets::vault::{NewToken, NewlyMade, TokenFacts, Vault, VaultError};

/// How a vault behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// As it should.
    Well = 0,
    /// Nothing reaches it.
    Down = 1,
    /// It does what it is asked, and its answer to `create` is lost.
    LosesNewTokens = 2,
    /// It revokes nothing.
    RevokesNothing = 3,
}

/// The embedded vault, behind what can go wrong.
pub(crate) struct Breakable {
    pub(crate) inner: Arc<EmbeddedVault>,
    mood: AtomicU8,
    deaths: Arc<Deaths>,
    /// What a look-up answers instead of the truth.
    pub(crate) facts: Mutex<Option<TokenFacts>>,
    /// The token that the story begins with.
    pub(crate) first: Mutex<Option<SecretString>>,
}

impl Breakable {
    pub(crate) fn new(inner: Arc<EmbeddedVault>, deaths: Arc<Deaths>) -> Self {
        Self {
            inner,
            mood: AtomicU8::new(0),
            deaths,
            facts: Mutex::default(),
            first: Mutex::default(),
        }
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.mood.store(mood as u8, Ordering::SeqCst);
    }

    fn is(&self, mood: Mood) -> bool {
        self.mood.load(Ordering::SeqCst) == mood as u8
    }

    fn up(&self) -> Result<(), VaultError> {
        if self.is(Mood::Down) {
            return Err(VaultError::Unreachable("connection refused".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl Vault for Breakable {
    async fn lookup(&self, accessor: &str) -> Result<TokenFacts, VaultError> {
        self.deaths.reached("before lookup").await;
        self.up()?;
        let told = self.facts.lock().unwrap().clone();
        let found = match told {
            Some(facts) => Ok(facts),
            None => self.inner.lookup(accessor).await,
        };
        self.deaths.reached("after lookup").await;
        found
    }

    async fn create(&self, new: &NewToken) -> Result<NewlyMade, VaultError> {
        self.deaths.reached("before create").await;
        self.up()?;
        let made = self.inner.create(new).await;
        self.deaths.reached("after create").await;
        if self.is(Mood::LosesNewTokens) {
            return Err(VaultError::Unclear("the answer was lost".into()));
        }
        made
    }

    async fn revoke(&self, accessor: &str) -> Result<(), VaultError> {
        self.deaths.reached("before revoke").await;
        self.up()?;
        if self.is(Mood::RevokesNothing) {
            return Err(VaultError::Denied("permission denied".into()));
        }
        let revoked = self.inner.revoke(accessor).await;
        self.deaths.reached("after revoke").await;
        revoked
    }

    async fn made_for(&self, rotation_id: &str) -> Result<Vec<String>, VaultError> {
        self.up()?;
        self.inner.made_for(rotation_id).await
    }

    async fn renew(&self, accessor: &str) -> Result<Option<i64>, VaultError> {
        self.up()?;
        self.inner.renew(accessor).await
    }

    async fn is_accessor(&self, text: &str) -> Result<bool, VaultError> {
        self.up()?;
        self.inner.is_accessor(text).await
    }

    async fn problems(&self) -> Vec<String> {
        self.inner.problems().await
    }
}
