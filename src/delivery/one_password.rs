//! 1Password Connect (REST API 1.7): the customer's shared vault.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, RequestBuilder, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use super::authorities::Authorities;
use super::retry_after::retry_after;
use super::shared_vault::{ItemId, NewItem, SharedVault, SharedVaultError, is_id};
use crate::model::{Micros, time};

/// How long a Connect server may take for one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// More than a list of the items of one title, in bytes.
const LONGEST_ANSWER: usize = 256 * 1024;

/// The longest wait that an answer may ask for.
const LONGEST_WAIT: Micros = time::HOUR;

const COULD_NOT_CONNECT: &str = "could not be reached";

/// A client of a Connect server. It does not print.
pub struct Connect {
    client: Client,
    base: Url,
    bearer: HeaderValue,
}

impl std::fmt::Debug for Connect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connect")
    }
}

/// Why there can be no client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectProblem {
    /// The address is none, or one that the value must not be sent to.
    #[error(
        "the address of the 1Password Connect server begins with https:// (http:// only for \
         127.0.0.1 and localhost) and has no user name, query or fragment"
    )]
    Address,
    /// The token cannot stand in a header.
    #[error("the access token of the 1Password Connect server is empty or has strange characters")]
    Token,
    /// No client could be made.
    #[error("the client for the 1Password Connect server could not be made")]
    Client,
}

/// The address of a Connect server, without `/v1`. The new value is sent there, so it has to be
/// one that nobody can listen to.
///
/// # Errors
/// [`ConnectProblem::Address`].
pub fn address(text: &str) -> Result<Url, ConnectProblem> {
    let url = Url::parse(text).map_err(|_| ConnectProblem::Address)?;
    let local = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    let safe = url.scheme() == "https" || (url.scheme() == "http" && local);
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if safe && plain { Ok(url) } else { Err(ConnectProblem::Address) }
}

/// What a list of items tells of each; the values are not in it.
#[derive(Deserialize)]
struct Listed {
    id: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(rename = "createdAt", default)]
    created_at: String,
}

/// What we read of an item that was made; the answer holds the value too, which is left alone.
#[derive(Deserialize)]
struct Made {
    id: String,
}

/// How a Connect server says no.
#[derive(Deserialize)]
struct Refusal {
    status: u16,
    message: String,
}

#[derive(Serialize)]
struct FullItem<'a> {
    title: &'a str,
    category: &'static str,
    vault: VaultRef<'a>,
    tags: [&'a str; 1],
    fields: [Field<'a>; 2],
}

#[derive(Serialize)]
struct VaultRef<'a> {
    id: &'a str,
}

#[derive(Serialize)]
struct Field<'a> {
    id: &'static str,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    purpose: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    value: &'a str,
}

impl Connect {
    /// A client of the Connect server at `base`, which accepts `token`.
    ///
    /// # Errors
    /// Where the address or the token cannot be one.
    pub fn new(base: &str, token: &SecretString) -> Result<Self, ConnectProblem> {
        Self::trusting(base, token, &Authorities::default())
    }

    /// The same, where its certificate may be of one of these authorities.
    ///
    /// # Errors
    /// As [`Connect::new`].
    pub fn trusting(
        base: &str,
        token: &SecretString,
        authorities: &Authorities,
    ) -> Result<Self, ConnectProblem> {
        let base = address(base)?;
        let token = token.expose_secret();
        if token.is_empty() || token.contains(char::is_whitespace) {
            return Err(ConnectProblem::Token);
        }
        let text = Zeroizing::new(format!("Bearer {token}"));
        let mut bearer = HeaderValue::from_str(&text).map_err(|_| ConnectProblem::Token)?;
        bearer.set_sensitive(true);
        let client = authorities
            .client()
            // An address that sends us elsewhere is not the one that was configured.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(PATIENCE)
            // Items are rare, so no connection is kept: a server that was started again is
            // found at once.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|_| ConnectProblem::Client)?;
        Ok(Self { client, base, bearer })
    }

    fn url(&self, vault: &str, rest: &[&str]) -> Result<Url, SharedVaultError> {
        if !is_id(vault) {
            return Err(SharedVaultError::VaultId(vault.chars().take(40).collect()));
        }
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| SharedVaultError::Unreadable)?
            .pop_if_empty()
            .extend(["v1", "vaults", vault])
            .extend(rest);
        Ok(url)
    }

    /// Sends a request, and reads the whole answer to it if it says 200.
    async fn ask(
        &self,
        vault: &str,
        request: RequestBuilder,
    ) -> Result<Zeroizing<Vec<u8>>, SharedVaultError> {
        let answer = request
            .header(AUTHORIZATION, self.bearer.clone())
            .header(ACCEPT, "application/json")
            .send()
            .await
            .map_err(|e| unreachable(&e))?;
        let status = answer.status();
        let wait = retry_after(answer.headers()).map(|wait| wait.min(LONGEST_WAIT));
        let body = read(answer).await;
        if status == StatusCode::OK { body } else { Err(refused(status, wait, body, vault)) }
    }

    /// The item with this title and tag, whatever has become of it since: one that the customer
    /// has put into the archive has been delivered.
    async fn find(&self, vault: &str, item: &NewItem) -> Result<Option<ItemId>, SharedVaultError> {
        let mut url = self.url(vault, &["items"])?;
        url.query_pairs_mut().append_pair("filter", &format!("title eq \"{}\"", item.title));
        let body = self.ask(vault, self.client.get(url)).await?;
        let listed: Vec<Listed> =
            serde_json::from_slice(&body).map_err(|_| SharedVaultError::Unreadable)?;
        // Whether a filter minds upper case is nowhere said, so the title is looked at again.
        let first = listed
            .into_iter()
            .filter(|listed| listed.title == item.title && listed.tags.contains(&item.tag))
            .min_by(|a, b| (&a.created_at, &a.id).cmp(&(&b.created_at, &b.id)));
        match first {
            None => Ok(None),
            Some(found) => ItemId::parse(&found.id).map(Some).ok_or(SharedVaultError::Unreadable),
        }
    }

    async fn create(&self, vault: &str, item: &NewItem) -> Result<ItemId, SharedVaultError> {
        let url = self.url(vault, &["items"])?;
        let full = FullItem {
            title: &item.title,
            category: "API_CREDENTIAL",
            vault: VaultRef { id: vault },
            tags: [&item.tag],
            fields: [
                Field {
                    id: "credential",
                    r#type: "CONCEALED",
                    purpose: None,
                    label: Some(&item.label),
                    value: item.value.expose_secret(),
                },
                Field {
                    id: "notesPlain",
                    r#type: "STRING",
                    purpose: Some("NOTES"),
                    label: None,
                    value: &item.notes,
                },
            ],
        };
        let text = serde_json::to_vec(&full).map_err(|_| SharedVaultError::Title)?;
        let request = self.client.post(url).header(CONTENT_TYPE, "application/json").body(text);
        // From here on an answer that does not come leaves open whether the item was made.
        let body = self.ask(vault, request).await.map_err(|e| match e {
            SharedVaultError::Unreachable(COULD_NOT_CONNECT) => e,
            SharedVaultError::Unreachable(why) => SharedVaultError::Unsure(why),
            SharedVaultError::Unreadable => SharedVaultError::Unsure("its answer is too long"),
            SharedVaultError::Busy { status: 408 | 500 | 502 | 504, .. } => {
                SharedVaultError::Unsure("it or a proxy before it failed")
            }
            other => other,
        })?;
        serde_json::from_slice::<Made>(&body)
            .ok()
            .and_then(|made| ItemId::parse(&made.id))
            .ok_or(SharedVaultError::Unsure("its answer cannot be read"))
    }
}

#[async_trait]
impl SharedVault for Connect {
    async fn put(&self, vault: &str, item: &NewItem) -> Result<ItemId, SharedVaultError> {
        let findable = |text: &str| {
            !text.is_empty() && !text.contains(|c: char| c.is_control() || "\"\\".contains(c))
        };
        if !findable(&item.title) || !findable(&item.tag) {
            return Err(SharedVaultError::Title);
        }
        // Always looked for first: whether this is the first attempt is something that only the
        // vault knows for sure.
        match self.find(vault, item).await? {
            Some(there) => Ok(there),
            None => self.create(vault, item).await,
        }
    }

    async fn check(&self, vault: &str) -> Result<(), SharedVaultError> {
        let body = self.ask(vault, self.client.get(self.url(vault, &[])?)).await?;
        let found: Made =
            serde_json::from_slice(&body).map_err(|_| SharedVaultError::Unreadable)?;
        if found.id == vault { Ok(()) } else { Err(SharedVaultError::Unreadable) }
    }
}

/// Reads an answer that is not too long.
async fn read(mut answer: reqwest::Response) -> Result<Zeroizing<Vec<u8>>, SharedVaultError> {
    let mut body = Zeroizing::new(Vec::new());
    while let Some(part) = answer.chunk().await.map_err(|e| unreachable(&e))? {
        if body.len() + part.len() > LONGEST_ANSWER {
            return Err(SharedVaultError::Unreadable);
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

fn unreachable(e: &reqwest::Error) -> SharedVaultError {
    SharedVaultError::Unreachable(if e.is_timeout() {
        "did not answer in time"
    } else if e.is_connect() {
        COULD_NOT_CONNECT
    } else {
        "broke off its answer"
    })
}

/// What a status other than 200 means. The server's words are only looked at: they may repeat
/// what was sent.
fn refused(
    status: StatusCode,
    wait: Option<Micros>,
    body: Result<Zeroizing<Vec<u8>>, SharedVaultError>,
    vault: &str,
) -> SharedVaultError {
    let code = status.as_u16();
    if matches!(code, 408 | 429 | 500..=599) {
        return SharedVaultError::Busy { status: code, wait };
    }
    // A refusal without Connect's own words comes from something else at that address.
    let said = body.ok().and_then(|body| serde_json::from_slice::<Refusal>(&body).ok());
    let Some(said) = said.filter(|said| said.status == code) else {
        return SharedVaultError::Unexpected(code);
    };
    let words = said.message.to_ascii_lowercase();
    match code {
        400 if words.contains("vault uuid") => SharedVaultError::VaultId(vault.to_owned()),
        400 => SharedVaultError::NotTaken,
        401 if words.contains("write access") => SharedVaultError::ReadOnly,
        401 => SharedVaultError::Token,
        403 => SharedVaultError::NotInScope(vault.to_owned()),
        404 if words.contains("vault") => SharedVaultError::NoVault(vault.to_owned()),
        _ => SharedVaultError::Unexpected(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects the new value from a network that others can listen to, and the token from a
    /// configuration that would put it elsewhere.
    #[test]
    fn only_a_safe_address_and_a_whole_token_are_taken() {
        let token = SecretString::from("eyJ0.token");
        for good in [
            "https://connect.platform.example",
            "https://connect.platform.example:8443/op/",
            "http://127.0.0.1:8080",
            "http://localhost:8080/",
            "http://[::1]:8080",
        ] {
            assert!(Connect::new(good, &token).is_ok(), "{good}");
        }
        for bad in [
            "",
            "connect.platform.example",
            "http://connect.platform.example",
            "http://127.0.0.1.platform.example",
            "https://u:p@connect.platform.example",
            "https://connect.platform.example?x=1",
            "https://connect.platform.example#x",
            "file:///etc/passwd",
        ] {
            assert_eq!(Connect::new(bad, &token).unwrap_err(), ConnectProblem::Address, "{bad}");
        }
        for bad in ["", "a b", "a\nb", "\u{7f}"] {
            let made = Connect::new("https://connect.platform.example", &bad.into());
            assert_eq!(made.unwrap_err(), ConnectProblem::Token, "{bad:?}");
        }
        let made = Connect::new("https://connect.platform.example", &token).unwrap();
        assert_eq!(format!("{made:?} {:?}", made.bearer), "Connect Sensitive");
    }

    /// Protects a server behind a path from being asked beside it.
    #[test]
    fn the_path_of_the_address_stays() {
        let vault = "h5kq2wz7mnb4xtc9vjd8rf3gya";
        for base in ["https://platform.example/op", "https://platform.example/op/"] {
            let connect = Connect::new(base, &"t".into()).unwrap();
            let url = connect.url(vault, &["items"]).unwrap();
            assert_eq!(url.path(), format!("/op/v1/vaults/{vault}/items"));
        }
        let connect = Connect::new("https://platform.example", &"t".into()).unwrap();
        assert!(matches!(connect.url("../x", &[]), Err(SharedVaultError::VaultId(_))));
    }
}
