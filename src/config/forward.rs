//! The settings about where new rows of the logs are sent to.

use std::path::PathBuf;

use secrecy::SecretString;

/// Where new rows of the logs are sent to; nowhere where all is absent.
#[derive(Debug, Default)]
pub struct Forward {
    /// A syslog receiver over TLS, `host:port`.
    pub syslog: Option<String>,
    /// Whether syslog messages have the byte order mark before a row's text.
    pub syslog_bom: bool,
    /// An address that takes JSON Lines.
    pub http: Option<String>,
    /// The token for that.
    pub http_token: Option<SecretString>,
    /// The file with the authorities that count, instead of the public ones.
    pub ca_file: Option<PathBuf>,
    /// The files with our certificate and with its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Reads the settings by their names, and adds what is wrong with them.
pub(super) fn read(
    text: &dyn Fn(&str) -> Option<String>,
    loopback: &dyn Fn(&str) -> bool,
    wrong: &mut Vec<String>,
) -> Forward {
    let syslog = text("forward_syslog");
    if let Some(address) = &syslog
        && !host_and_port(address)
    {
        wrong.push(
            "forward_syslog is a host and a port, e.g. logs.platform.example:6514: syslog over TLS"
                .to_owned(),
        );
    }
    let syslog_bom = match text("forward_syslog_bom").as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => {
            wrong.push("forward_syslog_bom is true or false".to_owned());
            false
        }
    };
    let http = text("forward_http");
    if let Some(address) = &http {
        let here = address.starts_with("http://") && loopback(address);
        if !address.starts_with("https://") && !here {
            wrong.push(
                "forward_http begins with https:// (http:// only for 127.0.0.1 and localhost)"
                    .to_owned(),
            );
        }
        // It is shown on a page, and in the log.
        let bare = |url: url::Url| {
            url.username().is_empty() && url.password().is_none() && url.query().is_none()
        };
        if !url::Url::parse(address).is_ok_and(bare) {
            wrong.push(
                "forward_http is an address without a user and without a query: a token goes into forward_http_token"
                    .to_owned(),
            );
        }
    }
    let http_token = text("forward_http_token");
    if http_token.is_some() && http.is_none() {
        wrong.push("forward_http is missing: what the forward_http_token is for".to_owned());
    }
    if http_token.as_ref().is_some_and(|t| t.chars().any(|c| !c.is_ascii_graphic())) {
        wrong.push("forward_http_token has no white space".to_owned());
    }
    let ca_file = text("forward_ca_file").map(PathBuf::from);
    let identity = match (text("forward_client_cert_file"), text("forward_client_key_file")) {
        (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
        (None, None) => None,
        _ => {
            wrong.push(
                "forward_client_cert_file and forward_client_key_file go together".to_owned(),
            );
            None
        }
    };
    if syslog.is_none() && http.is_none() && (ca_file.is_some() || identity.is_some()) {
        wrong.push("forward_syslog or forward_http is missing: where rows are sent to".to_owned());
    }
    Forward {
        syslog,
        syslog_bom,
        http,
        http_token: http_token.map(SecretString::from),
        ca_file,
        identity,
    }
}

fn host_and_port(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else { return false };
    let name = |h: &str| {
        !h.is_empty()
            && h.len() <= 253
            && h.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c))
    };
    let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let known = name(host) || bracketed.is_some_and(|h| h.parse::<std::net::Ipv6Addr>().is_ok());
    known && port.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<Forward, Vec<String>> {
        let text = |name: &str| {
            pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        };
        let mut wrong = Vec::new();
        let found = read(&text, &|url| url.contains("127.0.0.1"), &mut wrong);
        if wrong.is_empty() { Ok(found) } else { Err(wrong) }
    }

    #[test]
    fn a_sink_is_named_wholly_and_safely_or_not_at_all() {
        assert!(of(&[]).unwrap().syslog.is_none());
        for address in ["logs.example:6514", "192.0.2.7:6514", "[2001:db8::1]:6514"] {
            assert!(of(&[("forward_syslog", address)]).is_ok(), "{address}");
        }
        for address in ["logs.example", "logs.example:0", ":6514", "tls://logs:6514", "a b:1"] {
            assert!(of(&[("forward_syslog", address)]).is_err(), "{address}");
        }
        let syslog = ("forward_syslog", "logs.example:6514");
        for (mark, says) in [("true", true), ("false", false)] {
            assert_eq!(of(&[syslog, ("forward_syslog_bom", mark)]).unwrap().syslog_bom, says);
        }
        assert!(!of(&[syslog]).unwrap().syslog_bom);
        let https = ("forward_http", "https://logs.example/in");
        let good = of(&[https, ("forward_http_token", "hunter2")]).unwrap();
        assert!(!format!("{good:?}").contains("hunter2"));
        assert!(of(&[("forward_http", "http://127.0.0.1:9/in")]).is_ok());
        for (pairs, says) in [
            (vec![("forward_http", "http://logs.example/in")], "begins with https://"),
            (vec![("forward_http", "https://u:hunter2@logs.example")], "without a user"),
            (vec![("forward_http", "https://logs.example/?key=hunter2")], "without a query"),
            (vec![syslog, ("forward_syslog_bom", "yes")], "is true or false"),
            (vec![("forward_http_token", "x")], "forward_http is missing"),
            (vec![https, ("forward_http_token", "a b")], "no white space"),
            (vec![("forward_ca_file", "ca.pem")], "forward_syslog or forward_http is missing"),
            (vec![https, ("forward_client_cert_file", "c.pem")], "go together"),
        ] {
            let wrong = of(&pairs).unwrap_err();
            assert!(wrong.iter().any(|w| w.contains(says)), "{pairs:?}: {wrong:?}");
            assert!(!wrong.iter().any(|w| w.contains("hunter2")), "{wrong:?}");
        }
    }
}
