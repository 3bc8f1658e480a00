//! What we see of the server while it runs. `docs/security.md` says what is never logged.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For a person at a terminal.
    Text,
    /// For a machine that collects them.
    Json,
}

/// Sets the subscriber of the whole process. `RUST_LOG` narrows or widens what is written.
pub fn init(format: Format) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn,tower_sessions_core=warn"));
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(OneLine(io::stderr));
    match format {
        Format::Text => builder.with_target(false).init(),
        Format::Json => builder.json().init(),
    }
}

/// Writes each event as one line: words of others in it begin none of their own.
#[derive(Debug, Clone, Copy)]
struct OneLine<M>(M);

/// A writer of one event, which comes in one piece.
#[derive(Debug)]
struct Line<W>(W);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for OneLine<M> {
    type Writer = Line<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Line(self.0.make_writer())
    }
}

impl<W: Write> Write for Line<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        self.0.write_all(one_line(&text).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A text whose only line break is the one at its end. What colours it at a terminal stays.
fn one_line(text: &str) -> String {
    let (body, end) = match text.strip_suffix('\n') {
        Some(body) => (body, "\n"),
        None => (text, ""),
    };
    let mut line = String::with_capacity(text.len());
    for c in body.chars() {
        match c {
            '\t' | '\u{1b}' => line.push(c),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                line.extend(c.escape_default());
            }
            c => line.push(c),
        }
    }
    line.push_str(end);
    line
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Debug, Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, event: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(event)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Protects whoever reads the log from lines that somebody else wrote into it.
    #[test]
    fn a_line_break_in_the_words_of_others_begins_no_line() {
        let kept = Kept::default();
        let into = kept.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(OneLine(move || into.clone()))
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let error = "550 no\r\n2031-01-01T00:00:00Z  INFO forged\u{2028}x\u{85}y\x0bz";
            tracing::warn!(%error, "a mail\nwas refused");
            tracing::warn!("the next");
        });
        let written = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(written.lines().count(), 2, "{written:?}");
        assert!(written.contains("550 no\\r\\n2031-01-01T00:00:00Z  INFO forged"), "{written}");
        assert!(written.contains("a mail\\nwas refused"), "{written}");
        for c in ['\r', '\u{2028}', '\u{85}', '\u{b}'] {
            assert!(!written.contains(c), "{written:?}");
        }
    }
}
