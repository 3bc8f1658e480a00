//! Syslog over TLS (RFC 5425).
//!
//! Syslog acknowledges nothing. What there is instead is the end of the connection: who has read
//! all of it answers our closure alert by closing too (RFC 5425, section 4.4). So each burst has a
//! connection of its own, and counts as taken once the receiver has ended it after us, and without
//! a reset: that is what a system sends when a connection is closed with something unread.
//! Whatever else happens, the whole burst is sent again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::rfc5424::{frame, message};
use super::trust::Trust;
use super::{Batch, Sent, Sink, SinkProblem};

/// How long a burst may take, from connecting to the receiver's end of the connection.
const PATIENCE: Duration = Duration::from_secs(30);

/// For how long an end of the connection counts as one that came before ours, and a reset as one
/// that came with it: longer than a packet takes to the receiver and back.
const GRACE: Duration = Duration::from_millis(250);

/// How much of an answer is read: a receiver has nothing to say.
const LONGEST_ANSWER: usize = 64 * 1024;

/// A syslog receiver.
pub struct SyslogSink {
    address: String,
    server: ServerName<'static>,
    connector: TlsConnector,
    host: String,
    mark: bool,
    patience: Duration,
}

impl std::fmt::Debug for SyslogSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SyslogSink").field("address", &self.address).finish_non_exhaustive()
    }
}

impl SyslogSink {
    /// The receiver at `host:port`. `origin` is what the deployment's logs are called.
    ///
    /// # Errors
    /// Where the address is none, or the certificates cannot be used.
    pub fn new(address: &str, trust: &Trust, origin: &str) -> Result<Self, SinkProblem> {
        let wrong = || SinkProblem(format!("forward_syslog {address} is not a host and a port"));
        let (name, _) = address.rsplit_once(':').ok_or_else(wrong)?;
        let name = name.trim_start_matches('[').trim_end_matches(']').to_owned();
        let mut config = trust.client()?;
        // Each burst has a connection of its own, and some receivers that ask for a certificate
        // (rsyslog with its driver ossl) refuse one that takes an earlier session up again.
        config.resumption = Resumption::disabled();
        Ok(Self {
            address: address.to_owned(),
            server: ServerName::try_from(name).map_err(|_| wrong())?,
            connector: TlsConnector::from(Arc::new(config)),
            host: origin.to_owned(),
            mark: false,
            patience: PATIENCE,
        })
    }

    /// The same with the byte order mark before each row's text, or without it.
    #[must_use]
    pub fn byte_order_mark(self, mark: bool) -> Self {
        Self { mark, ..self }
    }

    /// The same with less patience.
    #[cfg(test)]
    pub(crate) fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    async fn deliver(&self, burst: &[Batch]) -> Result<(), String> {
        let failed = |e: std::io::Error| e.to_string();
        let stream = TcpStream::connect(&self.address).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let mut tls = self.connector.connect(self.server.clone(), stream).await.map_err(failed)?;
        for batch in burst {
            let frames: Vec<u8> = batch
                .rows
                .iter()
                .flat_map(|row| frame(&message(&self.host, row, self.mark)))
                .collect();
            tls.write_all(&frames).await.map_err(failed)?;
        }
        tls.flush().await.map_err(failed)?;
        // One that ends before we do may not have read all. By the time we say that we end, ours
        // has arrived: a receiver that closes and has not read it resets the connection.
        if tokio::time::timeout(GRACE, end(&mut tls)).await.is_ok() {
            return Err("it ended the connection before all was sent".to_owned());
        }
        // The alert alone: with our half of the connection closed as well, a reset would not be
        // told any more.
        tls.get_mut().1.send_close_notify();
        tls.flush().await.map_err(failed)?;
        end(&mut tls).await?;
        let (mut stream, _) = tls.into_inner();
        // Behind the alert comes the end of the connection itself, or its reset.
        while stream.read(&mut [0; 1024]).await.map_err(failed)? > 0 {}
        tokio::time::sleep(GRACE).await;
        match stream.take_error() {
            Ok(None) => Ok(()),
            Ok(Some(e)) | Err(e) => Err(format!("it did not read all: {e}")),
        }
    }
}

/// Waits for the receiver's end of the connection.
async fn end(tls: &mut TlsStream<TcpStream>) -> Result<(), String> {
    let (mut answer, mut read) = ([0; 1024], 0);
    loop {
        match tls.read(&mut answer).await {
            Ok(0) => return Ok(()),
            // Many a receiver ends without the alert.
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
            Ok(more) => read += more,
            Err(e) => return Err(e.to_string()),
        }
        if read > LONGEST_ANSWER {
            return Err("it answers, and syslog has no answers".to_owned());
        }
    }
}

#[async_trait]
impl Sink for SyslogSink {
    fn name(&self) -> String {
        format!("syslog {}", self.address)
    }

    async fn send(&self, burst: &[Batch]) -> Sent {
        match tokio::time::timeout(self.patience, self.deliver(burst)).await {
            Ok(Ok(())) => Sent { batches: vec![Ok(()); burst.len()], ..Sent::default() },
            Ok(Err(why)) => Sent::nothing(why),
            Err(_) => Sent::nothing(format!(
                "it did not read all and end the connection within {} s (RFC 5425, section 4.4)",
                self.patience.as_secs()
            )),
        }
    }
}
