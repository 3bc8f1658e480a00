//! Where cookies' sessions are kept: the database, by the hash of their id, so that who reads
//! the table cannot use what stands in it.

use std::sync::Arc;

use async_trait::async_trait;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result};

use crate::auth::credential;
use crate::clock::Clock;
use crate::store::{Store, web_sessions};

/// The sessions in the database.
#[derive(Clone)]
pub struct DatabaseSessions {
    store: Store,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for DatabaseSessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DatabaseSessions")
    }
}

impl DatabaseSessions {
    /// Sessions in `store`, whose expiry follows `clock`.
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    async fn put(&self, record: &Record, create: bool) -> Result<bool> {
        let data = serde_json::to_string(&record.data).map_err(|e| Error::Encode(e.to_string()))?;
        let expires_at =
            i64::try_from(record.expiry_date.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX);
        let mut conn = self.store.write().await.map_err(backend)?;
        web_sessions::put(&mut conn, &key(&record.id), &data, expires_at, create)
            .await
            .map_err(backend)
    }
}

fn backend(e: crate::store::StoreError) -> Error {
    Error::Backend(e.to_string())
}

fn key(id: &Id) -> String {
    credential::hash(&id.to_string().into())
}

#[async_trait]
impl SessionStore for DatabaseSessions {
    async fn create(&self, record: &mut Record) -> Result<()> {
        // An id that is taken is not taken over.
        while !self.put(record, true).await? {
            record.id = Id::default();
        }
        Ok(())
    }

    async fn save(&self, record: &Record) -> Result<()> {
        self.put(record, false).await.map(|_| ())
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let now = self.clock.now();
        let mut conn = self.store.read().await.map_err(backend)?;
        let Some(data) = web_sessions::get(&mut conn, &key(id), now).await.map_err(backend)? else {
            return Ok(None);
        };
        let data = serde_json::from_str(&data).map_err(|e| Error::Decode(e.to_string()))?;
        // The cookie's own life is short of this; the row's expiry is what counts.
        let expiry_date = time::OffsetDateTime::from_unix_timestamp(now / 1_000_000)
            .map_err(|e| Error::Decode(e.to_string()))?
            + time::Duration::hours(12);
        Ok(Some(Record { id: *id, data, expiry_date }))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        let mut conn = self.store.write().await.map_err(backend)?;
        web_sessions::delete(&mut conn, &key(id)).await.map_err(backend)
    }
}
