//! The proxies in front of the console, and how they say who the client is.

use ipnet::IpNet;
use std::net::IpAddr;

/// What counts for who a request comes from. Where nothing is set, that is who connects.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// The header in which the proxy names the client.
    pub header: Option<http::HeaderName>,
    /// The networks of the proxies, where there are several in a row, or others may connect as
    /// well.
    pub trusted: Vec<IpNet>,
}

impl Proxies {
    /// Whether what connects from this address may be many clients.
    #[must_use]
    pub fn speaks_for_others(&self, peer: IpAddr) -> bool {
        self.header.is_some() && (self.trusted.is_empty() || self.trusts(peer.to_canonical()))
    }

    /// Whether an address is one of the proxies'.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }
}

/// The settings `client_ip_header` and `trusted_proxies`.
pub(super) fn read(text: &dyn Fn(&str) -> Option<String>, wrong: &mut Vec<String>) -> Proxies {
    let header = text("client_ip_header").and_then(|name| {
        let header = name.parse().ok();
        if header.is_none() {
            wrong.push("client_ip_header is the name of a header".to_owned());
        }
        header
    });
    let networks = text("trusted_proxies").unwrap_or_default();
    let mut trusted = Vec::new();
    for network in networks.split(',').map(str::trim).filter(|n| !n.is_empty()) {
        match network.parse::<IpNet>().or_else(|_| network.parse::<IpAddr>().map(IpNet::from)) {
            // Whoever is trusted may say that it is anybody.
            Ok(all) if all.prefix_len() == 0 => wrong.push(format!(
                "trusted_proxies: {network} is every address there is, and then any client may say who it is"
            )),
            Ok(network) => trusted.push(network),
            Err(_) => wrong.push(format!(
                "trusted_proxies: {network} is neither an address nor a network such as 10.0.0.0/8"
            )),
        }
    }
    if header.is_none() && !trusted.is_empty() {
        wrong.push(
            "trusted_proxies is for client_ip_header, which is missing: the header in which they name the client, e.g. X-Forwarded-For"
                .to_owned(),
        );
    }
    Proxies { header, trusted }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(header: &str, trusted: &str) -> Result<Proxies, Vec<String>> {
        let text = |name: &str| match name {
            "client_ip_header" if !header.is_empty() => Some(header.to_owned()),
            "trusted_proxies" if !trusted.is_empty() => Some(trusted.to_owned()),
            _ => None,
        };
        let mut wrong = Vec::new();
        let proxies = read(&text, &mut wrong);
        if wrong.is_empty() { Ok(proxies) } else { Err(wrong) }
    }

    #[test]
    fn networks_and_single_addresses_are_read() {
        assert!(of("", "").unwrap().header.is_none());
        let proxies = of("X-Forwarded-For", "10.0.0.0/8, 192.0.2.7,2001:db8::/32").unwrap();
        assert_eq!(proxies.header.as_ref().unwrap(), "x-forwarded-for");
        for (address, trusted) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("2001:db8:1::7", true),
            ("2001:db9::7", false),
        ] {
            assert_eq!(proxies.trusts(address.parse().unwrap()), trusted, "{address}");
        }
    }

    #[test]
    fn what_would_let_anybody_be_anybody_is_refused() {
        for (header, trusted, says) in [
            ("X Forwarded", "", "client_ip_header is the name"),
            ("X-Forwarded-For", "0.0.0.0/0", "every address"),
            ("X-Forwarded-For", "::/0", "every address"),
            ("X-Forwarded-For", "10.0.0.0/33", "neither an address nor a network"),
            ("X-Forwarded-For", "proxy.example", "neither an address nor a network"),
            ("", "10.0.0.0/8", "client_ip_header, which is missing"),
        ] {
            let wrong = of(header, trusted).unwrap_err();
            assert!(wrong.len() == 1 && wrong[0].contains(says), "{trusted}: {wrong:?}");
        }
    }
}
