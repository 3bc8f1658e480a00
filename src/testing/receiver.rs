//! A customer's webhook endpoint: takes one message and accepts it.

use std::collections::HashMap;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A message as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// Its headers, with names in lower case.
    pub(crate) headers: HashMap<String, String>,
    /// Its body.
    pub(crate) body: String,
}

impl Message {
    /// Whether one of the signatures is the one that the `standardwebhooks` crate makes with this
    /// key. Its own check of a message reads the machine's clock, and the clock here is not that.
    pub(crate) fn accepted_with(&self, key: &str) -> bool {
        let receiver = standardwebhooks::Webhook::new(key).unwrap();
        let at = self.headers["webhook-timestamp"].parse().unwrap();
        let good = receiver.sign(&self.headers["webhook-id"], at, self.body.as_bytes()).unwrap();
        self.headers["webhook-signature"].split(' ').any(|signature| signature == good)
    }
}

/// Its address, and the message once it has come.
pub(crate) async fn receive_one() -> (String, JoinHandle<Message>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = format!("http://{}/hook", listener.local_addr().unwrap());
    let received = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut text = Vec::new();
        let message = loop {
            assert!(stream.read_buf(&mut text).await.unwrap() > 0, "it ends too early");
            if let Some(message) = whole(&String::from_utf8_lossy(&text)) {
                break message;
            }
        };
        stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await.unwrap();
        message
    });
    (address, received)
}

fn whole(text: &str) -> Option<Message> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let headers: HashMap<String, String> = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length")?.parse().ok()?;
    (body.len() == length).then(|| Message { headers, body: body.to_owned() })
}
