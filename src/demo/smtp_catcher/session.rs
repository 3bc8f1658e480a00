//! One client's session: RFC 5321, the server's side.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::Mailbox;

/// The longest mail, in bytes, that is kept.
const LONGEST_MAIL: usize = 1024 * 1024;

/// How much of a mail that is too long is read on, to be able to answer at its end.
const LONGEST_READ: usize = 8 * LONGEST_MAIL;

/// Section 4.5.3.1.4 asks for 512, and extensions for more.
const LONGEST_COMMAND: usize = 2048;

const MOST_RECIPIENTS: usize = 100;

/// Section 4.5.3.2 has five minutes, for clients far away; this one's are on the same machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many commands in a row may make no sense before the client is sent away.
const MOST_ERRORS: u32 = 20;

struct Session<'a> {
    from_client: BufReader<OwnedReadHalf>,
    to_client: OwnedWriteHalf,
    mails: &'a Mailbox,
    greeted: bool,
    from: Option<String>,
    to: Vec<String>,
}

enum Line {
    Text(Vec<u8>),
    TooLong,
    Gone,
}

/// Serves one client until it says goodbye, goes away, or stays silent for too long.
///
/// # Errors
/// When the connection breaks.
pub(super) async fn serve(client: TcpStream, mails: &Mailbox) -> io::Result<()> {
    let (from_client, to_client) = client.into_split();
    let mut session = Session {
        from_client: BufReader::new(from_client),
        to_client,
        mails,
        greeted: false,
        from: None,
        to: Vec::new(),
    };
    session.answer("220 localhost mail catcher ready").await?;
    session.converse().await
}

impl Session<'_> {
    async fn converse(&mut self) -> io::Result<()> {
        let mut errors = 0;
        while errors < MOST_ERRORS {
            let reply = match timeout(PATIENCE, self.line(LONGEST_COMMAND)).await {
                Err(_) => return self.answer("421 nothing heard for too long, goodbye").await,
                Ok(line) => match line? {
                    Line::Gone => return Ok(()),
                    Line::TooLong => "500 the line is too long".to_owned(),
                    Line::Text(line) => match self.command(&line).await? {
                        Some(reply) => reply,
                        None => return Ok(()),
                    },
                },
            };
            errors = if reply.starts_with('5') { errors + 1 } else { 0 };
            self.answer(&reply).await?;
        }
        self.answer("421 too many errors, goodbye").await
    }

    /// The reply to a command; `None` when the session is over.
    async fn command(&mut self, line: &[u8]) -> io::Result<Option<String>> {
        let Ok(line) = std::str::from_utf8(line) else {
            return Ok(Some("500 a command is made of ASCII characters".to_owned()));
        };
        let line = line.trim_end();
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let reply = match verb.to_ascii_uppercase().as_str() {
            "EHLO" | "HELO" if rest.trim().is_empty() => {
                "501 say who you are: EHLO <name>".to_owned()
            }
            "EHLO" => {
                self.begin_anew();
                format!(
                    "250-localhost\r\n250-SIZE {LONGEST_MAIL}\r\n250-8BITMIME\r\n250 PIPELINING"
                )
            }
            "HELO" => {
                self.begin_anew();
                "250 localhost".to_owned()
            }
            "MAIL" => self.mail(rest),
            "RCPT" => self.rcpt(rest),
            "DATA" => return self.data().await,
            "RSET" => {
                self.forget_mail();
                "250 forgotten".to_owned()
            }
            "NOOP" => "250 fine".to_owned(),
            "VRFY" => "252 every address is taken here".to_owned(),
            "QUIT" => {
                self.answer("221 goodbye").await?;
                return Ok(None);
            }
            "EXPN" | "HELP" | "STARTTLS" | "AUTH" => "502 not implemented".to_owned(),
            _ => "500 no such command".to_owned(),
        };
        Ok(Some(reply))
    }

    fn begin_anew(&mut self) {
        self.greeted = true;
        self.forget_mail();
    }

    fn forget_mail(&mut self) {
        self.from = None;
        self.to.clear();
    }

    fn mail(&mut self, rest: &str) -> String {
        if !self.greeted {
            return "503 say EHLO first".to_owned();
        }
        if self.from.is_some() {
            return "503 there is a mail under way already".to_owned();
        }
        let Some((address, parameters)) = path(rest, "FROM:") else {
            return "501 syntax: MAIL FROM:<address>".to_owned();
        };
        for parameter in parameters.split_ascii_whitespace() {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name.to_ascii_uppercase().as_str() {
                "SIZE" => match value.parse::<usize>() {
                    Ok(size) if size > LONGEST_MAIL => return too_long(),
                    Ok(_) => {}
                    Err(_) => return "501 SIZE is a number of bytes".to_owned(),
                },
                "BODY" => {}
                _ => return "555 this parameter is not known".to_owned(),
            }
        }
        self.from = Some(address.to_owned());
        "250 sender taken".to_owned()
    }

    fn rcpt(&mut self, rest: &str) -> String {
        if self.from.is_none() {
            return "503 say MAIL FROM first".to_owned();
        }
        if self.to.len() >= MOST_RECIPIENTS {
            return "452 too many recipients".to_owned();
        }
        match path(rest, "TO:") {
            Some((_, parameters)) if !parameters.trim().is_empty() => {
                "555 this parameter is not known".to_owned()
            }
            Some((address, _)) if !address.is_empty() => {
                self.to.push(address.to_owned());
                "250 recipient taken".to_owned()
            }
            _ => "501 syntax: RCPT TO:<address>".to_owned(),
        }
    }

    async fn data(&mut self) -> io::Result<Option<String>> {
        if self.from.is_none() {
            return Ok(Some("503 say MAIL FROM first".to_owned()));
        }
        if self.to.is_empty() {
            return Ok(Some("503 say RCPT TO first".to_owned()));
        }
        self.answer("354 go ahead, and end with a dot on a line of its own").await?;
        let raw = match timeout(PATIENCE, self.content()).await {
            Ok(content) => content?,
            Err(_) => {
                self.answer("421 the mail took too long, goodbye").await?;
                return Ok(None);
            }
        };
        let (from, to) = (self.from.take().unwrap_or_default(), std::mem::take(&mut self.to));
        match raw {
            Content::Whole(raw) => match self.mails.deliver(from, to, raw).await {
                Ok(id) => Ok(Some(format!("250 taken as {id}"))),
                Err(error) => {
                    tracing::warn!(%error, "the mail catcher could not write a mail");
                    Ok(Some("451 the mail could not be written".to_owned()))
                }
            },
            Content::TooLong => Ok(Some(too_long())),
            Content::Cut => Ok(None),
        }
    }

    /// Reads a mail up to its final dot, and takes the stuffed dots out (section 4.5.2). A line
    /// ends in CR LF only: a bare LF before the dot ends nothing, or a mail could be smuggled in
    /// by way of another.
    async fn content(&mut self) -> io::Result<Content> {
        let mut raw = Vec::new();
        let mut read = 0;
        let mut line_begins = true;
        loop {
            let line = match self.line(LONGEST_MAIL).await? {
                Line::Text(line) => line,
                Line::TooLong | Line::Gone => return Ok(Content::Cut),
            };
            if line_begins && line == b".\r\n" {
                break;
            }
            read += line.len();
            if read > LONGEST_READ {
                return Ok(Content::Cut);
            }
            let unstuffed = if line_begins { line.strip_prefix(b".") } else { None };
            line_begins = line.ends_with(b"\r\n");
            if read <= LONGEST_MAIL {
                raw.extend_from_slice(unstuffed.unwrap_or(&line));
            }
        }
        Ok(if read > LONGEST_MAIL { Content::TooLong } else { Content::Whole(raw) })
    }

    /// One line with its ending. The rest of a line that is too long is read, and thrown away.
    async fn line(&mut self, longest: usize) -> io::Result<Line> {
        let mut line = Vec::new();
        let mut len = 0usize;
        loop {
            let available = self.from_client.fill_buf().await?;
            if available.is_empty() {
                return Ok(Line::Gone);
            }
            let end = available.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            let taken = end.unwrap_or(available.len());
            len = len.saturating_add(taken);
            if len <= longest {
                line.extend_from_slice(&available[..taken]);
            }
            self.from_client.consume(taken);
            if end.is_some() {
                return Ok(if len <= longest { Line::Text(line) } else { Line::TooLong });
            }
        }
    }

    async fn answer(&mut self, reply: &str) -> io::Result<()> {
        self.to_client.write_all(format!("{reply}\r\n").as_bytes()).await
    }
}

enum Content {
    Whole(Vec<u8>),
    TooLong,
    /// The client went away or sent without end.
    Cut,
}

fn too_long() -> String {
    format!("552 a mail has {LONGEST_MAIL} bytes at most")
}

/// The address and the parameters of `FROM:<address> PARAMETERS`. A source route before the
/// address is dropped (section 3.3).
fn path<'a>(rest: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let (start, rest) = rest.trim_start().split_at_checked(keyword.len())?;
    if !start.eq_ignore_ascii_case(keyword) {
        return None;
    }
    let (address, parameters) = rest.trim_start().strip_prefix('<')?.split_once('>')?;
    let address = match address.strip_prefix('@') {
        Some(route) => route.split_once(':')?.1,
        None => address,
    };
    let clean = address.bytes().all(|byte| byte > b' ' && byte != 0x7f && byte != b'<');
    let whole = address.is_empty() || address.contains('@');
    (clean && whole).then_some((address, parameters))
}
