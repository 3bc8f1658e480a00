//! How much of it the server takes on at once.

/// How many connections are held at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// In all.
    pub connections: usize,
    /// Of one client; of requests that are being answered, where a proxy names the client.
    pub per_client: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 2000, per_client: 256 }
    }
}

/// The settings `max_connections` and `max_connections_per_client`.
pub(super) fn read(number: &mut dyn FnMut(&str, i64, i64, i64) -> i64) -> Limits {
    const MOST: i64 = 100_000;
    let usual = Limits::default();
    let mut limit = |name: &str, usual: usize| {
        let usual = i64::try_from(usual).unwrap_or(MOST);
        usize::try_from(number(name, usual, 16, MOST)).unwrap_or(16)
    };
    Limits {
        connections: limit("max_connections", usual.connections),
        per_client: limit("max_connections_per_client", usual.per_client),
    }
}
