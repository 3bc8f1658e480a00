//! How the server listens: how long somebody has for each part of a request, and how many
//! connections are held at once. The console and the gateways' listener have the same.
//!
//! Who has sent nothing yet, or nothing for a while, is the first to go where there are too many:
//! connections that are only held open keep nobody else out.

mod acceptor;
mod body_time;
mod doorkeeper;
mod headers;
mod held;

#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum_server::{Handle, Server};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

pub use crate::config::limits::Limits;
pub use acceptor::Watched;
pub use body_time::in_time;
pub use doorkeeper::Doorkeeper;
pub use headers::said_always;
pub use held::held_with;

/// How long somebody has.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// From the connection to the end of the first request's headers.
    pub first_request: Duration,
    /// From the end of an answer to the end of the next request's headers. Longer than proxies
    /// keep a connection that is not used (nginx: 60 s), so that it is theirs to close.
    pub idle: Duration,
    /// For a request's body, from its first byte to its last.
    pub body: Duration,
    /// In which something of an answer has to be taken.
    pub write: Duration,
    /// For a TLS handshake.
    pub handshake: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            first_request: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            body: Duration::from_secs(30),
            write: Duration::from_secs(30),
            handshake: Duration::from_secs(10),
        }
    }
}

/// A server at `socket` that keeps to `times`, with `door` in front. Only HTTP/1.1: with HTTP/2
/// one connection is as many requests as it likes.
///
/// # Errors
/// Where the socket cannot be used.
pub fn server(
    socket: TcpListener,
    door: Arc<Doorkeeper>,
    times: Times,
) -> io::Result<Server<SocketAddr, Watched>> {
    let mut server = axum_server::from_tcp(socket)?
        .acceptor(Watched::new(door, times.write))
        .http1_only()
        .first_request_timeout(times.first_request)
        .accept_error_handler(|from, error| {
            // Whoever goes away before they are let in is nobody's fault.
            if from.is_none() {
                tracing::error!(%error, "no connection can be taken");
            }
        });
    server.http_builder().http1().header_read_timeout(times.idle);
    Ok(server)
}

/// What a running server is stopped by.
pub type Stopping = Handle<SocketAddr>;

/// Who an address belongs to: an IPv4 address is one subscriber's, and so are the first 64 bits
/// of an IPv6 address.
#[must_use]
pub fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

/// How many files the process may have open, raised as far as it may raise it itself: many systems
/// begin with 1,024, and a connection is one. None where that is not known.
pub fn files() -> Option<usize> {
    let now = getrlimit(Resource::Nofile);
    if now.current != now.maximum {
        let wanted = Rlimit { current: now.maximum, maximum: now.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, wanted) {
            tracing::warn!(%error, "the limit of open files stays as it is");
        }
    }
    getrlimit(Resource::Nofile).current.and_then(|files| usize::try_from(files).ok())
}

/// What is not for connections of clients: the database, the logs, what is sent elsewhere.
const FOR_THE_REST: usize = 256;

/// The limits, as far as the process may open files for both listeners.
#[must_use]
pub fn within(limits: Limits, files: Option<usize>) -> Limits {
    let most = files.map_or(usize::MAX, |files| files.saturating_sub(FOR_THE_REST) / 2).max(16);
    if most < limits.connections {
        tracing::warn!(
            most,
            wanted = limits.connections,
            "max_connections is lowered to what the limit of open files allows (ulimit -n)"
        );
    }
    Limits { connections: limits.connections.min(most), ..limits }
}
