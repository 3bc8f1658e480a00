//! A mailer that keeps what it is given, and can be told to fail.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use secrecy::ExposeSecret as _;

use crate::delivery::mail::{Mail, MailError, Mailer};
use crate::delivery::refusal::{Again, Refusal};

/// The mails that have left.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    sent: Mutex<Vec<Mail>>,
    down: AtomicBool,
    refuses: Mutex<Vec<(String, Refusal)>>,
    loses_answers: AtomicBool,
}

impl Mailbox {
    /// From now on the mail server does not answer, or answers again.
    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// From now on mails to this address are refused.
    pub(crate) fn refuse(&self, address: &str, again: Again, said: &str) {
        let refusal = Refusal { again, said: said.to_owned() };
        self.refuses.lock().unwrap().push((address.to_owned(), refusal));
    }

    /// From now on mails arrive, and nobody hears that they have.
    pub(crate) fn lose_answers(&self, lose: bool) {
        self.loses_answers.store(lose, Ordering::SeqCst);
    }

    /// From now on every address is taken.
    pub(crate) fn take_all(&self) {
        self.refuses.lock().unwrap().clear();
    }

    /// Everything that was sent, oldest first.
    pub(crate) fn all(&self) -> Vec<Mail> {
        self.sent.lock().unwrap().clone()
    }

    /// Everything that went to an address.
    pub(crate) fn to(&self, address: &str) -> Vec<Mail> {
        self.all().into_iter().filter(|mail| mail.to == address).collect()
    }

    /// The one mail whose subject has this in it.
    pub(crate) fn about(&self, subject: &str) -> Mail {
        let mut found: Vec<Mail> =
            self.all().into_iter().filter(|mail| mail.subject.contains(subject)).collect();
        assert_eq!(found.len(), 1, "one mail about {subject:?}");
        found.remove(0)
    }
}

/// The token at the end of the link that begins with `path` in a mail.
pub(crate) fn link_in(mail: &Mail, path: &str) -> secrecy::SecretString {
    let body = mail.body.expose_secret();
    let (_, rest) = body.split_once(path).unwrap_or_else(|| panic!("no {path} in {body}"));
    rest.split_whitespace().next().unwrap_or_default().into()
}

#[async_trait]
impl Mailer for Mailbox {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        if self.down.load(Ordering::SeqCst) {
            let said = "the mail server answered 421 try again later".to_owned();
            return Err(Refusal { again: Again::Later(None), said }.into());
        }
        let refused = self.refuses.lock().unwrap().iter().find(|(to, _)| *to == mail.to).cloned();
        if let Some((_, refusal)) = refused {
            return Err(refusal.into());
        }
        self.sent.lock().unwrap().push(mail.clone());
        if self.loses_answers.load(Ordering::SeqCst) {
            let said = "the mail server did not answer in time".to_owned();
            return Err(Refusal { again: Again::Later(None), said }.into());
        }
        Ok(())
    }
}
