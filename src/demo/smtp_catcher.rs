//! The demo's mail server: takes every mail, delivers none, and shows what it took.
//!
//! It speaks enough of SMTP (RFC 5321) for a real client to be unable to tell. It listens on this
//! machine alone, asks for no password and has no TLS: it is for the demo and for tests.

mod folder;
mod mime;
mod session;

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

pub use mime::Part;

/// How many mails are kept in memory; the oldest goes first. Their files stay.
const KEPT: usize = 500;

/// How many clients may be connected at once.
const CONNECTIONS: usize = 64;

/// A mail as it was caught.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaughtMail {
    /// Counts up, and goes on counting where an earlier run left mails in the folder.
    pub id: u64,
    /// When it arrived, in microseconds UTC.
    pub received_at: i64,
    /// The sender by the envelope (`MAIL FROM`); empty for a bounce.
    pub from: String,
    /// The recipients by the envelope (`RCPT TO`), in the order given.
    pub to: Vec<String>,
    /// The subject, decoded (RFC 2047); empty where there is none.
    pub subject: String,
    /// The headers in their order, unfolded and otherwise as received.
    pub headers: Vec<(String, String)>,
    /// The text to read: the `text/plain` parts that are not files, or else the first part, decoded
    /// (RFC 2045).
    pub body: String,
    /// Every part that is not itself made of parts, in order; one for a mail without parts.
    pub parts: Vec<Part>,
    /// The whole mail as received, dots unstuffed, lines ending in CR LF.
    pub raw: Vec<u8>,
}

impl CaughtMail {
    fn read(id: u64, received_at: i64, from: String, to: Vec<String>, raw: Vec<u8>) -> Self {
        let message = mime::read(&raw);
        Self {
            id,
            received_at,
            from,
            to,
            subject: message.subject,
            headers: message.headers,
            body: message.body,
            parts: message.parts,
            raw,
        }
    }

    /// The first header of this name, whatever its case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        mime::find(&self.headers, name)
    }
}

/// A running mail catcher. It stops taking mail when it is dropped.
pub struct SmtpCatcher {
    mails: Arc<Mailbox>,
    listening: JoinHandle<()>,
}

impl SmtpCatcher {
    /// Starts to listen at `addr` (port 0 for any free one) and to keep a copy of each mail in
    /// `folder` as `<time>-<id>.eml`. What an earlier run left there is shown again. `clock` gives the time in microseconds UTC.
    ///
    /// # Errors
    /// When `addr` is not of this machine alone (`InvalidInput`) or is taken, or when the folder
    /// cannot be made or read.
    pub async fn bind(
        addr: SocketAddr,
        folder: PathBuf,
        clock: impl Fn() -> i64 + Send + Sync + 'static,
    ) -> io::Result<(SocketAddr, Self)> {
        if !addr.ip().is_loopback() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the mail catcher takes mail from anybody, so it listens on this machine alone",
            ));
        }
        tokio::fs::create_dir_all(&folder).await?;
        let earlier = folder::read(&folder, KEPT).await?;
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let mails = Arc::new(Mailbox::new(folder, earlier, clock));
        let listening = tokio::spawn(listen(listener, Arc::clone(&mails)));
        Ok((addr, Self { mails, listening }))
    }

    /// As [`SmtpCatcher::bind`], at any free port of 127.0.0.1.
    ///
    /// # Errors
    /// Those of [`SmtpCatcher::bind`].
    pub async fn bind_anywhere(
        folder: PathBuf,
        clock: impl Fn() -> i64 + Send + Sync + 'static,
    ) -> io::Result<(SocketAddr, Self)> {
        Self::bind((Ipv4Addr::LOCALHOST, 0).into(), folder, clock).await
    }

    /// The mails in memory, newest first.
    #[must_use]
    pub fn mails(&self) -> Vec<Arc<CaughtMail>> {
        self.mails.select(|_| true)
    }

    /// The mails to one recipient (by the envelope, whatever the case), newest first.
    #[must_use]
    pub fn mails_to(&self, recipient: &str) -> Vec<Arc<CaughtMail>> {
        self.mails.select(|mail| mail.to.iter().any(|to| to.eq_ignore_ascii_case(recipient)))
    }

    /// One mail by its id.
    #[must_use]
    pub fn mail(&self, id: u64) -> Option<Arc<CaughtMail>> {
        self.mails.select(|mail| mail.id == id).pop()
    }
}

impl Drop for SmtpCatcher {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl std::fmt::Debug for SmtpCatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmtpCatcher").field("folder", &self.mails.folder).finish_non_exhaustive()
    }
}

async fn listen(listener: TcpListener, mails: Arc<Mailbox>) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    // The sessions live in here, so that none outlives the catcher.
    let mut sessions = tokio::task::JoinSet::new();
    loop {
        let client = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = sessions.join_next() => continue,
        };
        let client = match client {
            Ok((client, _)) => client,
            Err(error) => {
                tracing::warn!(%error, "the mail catcher could not take a connection");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        match Arc::clone(&seats).try_acquire_owned() {
            Ok(seat) => {
                let mails = Arc::clone(&mails);
                sessions.spawn(async move {
                    if let Err(error) = session::serve(client, &mails).await {
                        tracing::debug!(%error, "a mail client went away");
                    }
                    drop(seat);
                });
            }
            Err(_) => {
                sessions.spawn(turn_away(client));
            }
        }
    }
}

async fn turn_away(mut client: TcpStream) {
    // The client may be gone already; then nobody waits for the answer.
    let _ = client.write_all(b"421 too many connections, try again later\r\n").await;
}

/// What the sessions deliver to, and the handle reads from.
struct Mailbox {
    folder: PathBuf,
    clock: Box<dyn Fn() -> i64 + Send + Sync>,
    state: Mutex<State>,
}

struct State {
    last_id: u64,
    mails: VecDeque<Arc<CaughtMail>>,
}

impl Mailbox {
    fn new(
        folder: PathBuf,
        earlier: folder::Earlier,
        clock: impl Fn() -> i64 + Send + Sync + 'static,
    ) -> Self {
        let mails = earlier.mails.into_iter().map(Arc::new).collect();
        let state = Mutex::new(State { last_id: earlier.last_id, mails });
        Self { folder, clock: Box::new(clock), state }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing that is done under the lock can leave the list half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn select(&self, wanted: impl Fn(&CaughtMail) -> bool) -> Vec<Arc<CaughtMail>> {
        self.state().mails.iter().rev().filter(|mail| wanted(mail)).cloned().collect()
    }

    /// Writes the mail to its file, then shows it. Only then may the client be told that it was
    /// taken (RFC 5321, section 6.1).
    async fn deliver(&self, from: String, to: Vec<String>, raw: Vec<u8>) -> io::Result<u64> {
        let received_at = (self.clock)();
        let id = {
            let mut state = self.state();
            state.last_id += 1;
            state.last_id
        };
        folder::write(&self.folder, received_at, id, &from, &to, &raw).await?;
        let mail = CaughtMail::read(id, received_at, from, to, raw);
        let mut state = self.state();
        // Two mails at once may get here in the other order than their ids.
        let at = state.mails.partition_point(|other| other.id < id);
        state.mails.insert(at, Arc::new(mail));
        if state.mails.len() > KEPT {
            state.mails.pop_front();
        }
        Ok(id)
    }
}

#[cfg(test)]
mod tests;
