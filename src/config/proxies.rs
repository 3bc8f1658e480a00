//! The proxies in front of the console, and how they say who the client is.

use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

/// What counts for who a request comes from. Where nothing is set, that is who connects.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// The header in which the proxy names the client.
    pub header: Option<http::HeaderName>,
    /// The networks of the proxies, where there are several in a row, or others may connect as
    /// well.
    pub trusted: Vec<IpNet>,
    /// How many there are in a row, where their networks are not known: one where it is not said.
    pub hops: Option<u8>,
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

/// More proxies in a row than anybody has.
const MOST_HOPS: u8 = 10;

/// What has to be set where TLS ends in front of the console.
const MISSING: &str = "trusted_proxies is missing: with an https base_url a proxy stands in front, \
     and where nobody says which it is, clients cannot be told apart. Say the networks of your \
     proxies, trusted_proxies = \"127.0.0.1\", or their number, trusted_proxies = 1; with it the \
     header in which they name the client, client_ip_header = \"X-Forwarded-For\". Where who \
     connects is the client itself, say trusted_proxies = \"none\"";

/// The settings `client_ip_header` and `trusted_proxies`; with `https` the second has to be there.
pub(super) fn read(
    text: &dyn Fn(&str) -> Option<String>,
    https: bool,
    wrong: &mut Vec<String>,
) -> Proxies {
    let header = text("client_ip_header").and_then(|name| {
        let header = name.parse().ok();
        if header.is_none() {
            wrong.push("client_ip_header is the name of a header".to_owned());
        }
        header
    });
    let said = text("trusted_proxies").map(|said| said.trim().to_owned());
    let mut proxies = Proxies { header, ..Proxies::default() };
    match said.as_deref() {
        None if https => wrong.push(MISSING.to_owned()),
        None => {}
        Some("none") => {
            if proxies.header.is_some() {
                wrong.push(
                    "trusted_proxies = \"none\" says that nobody names the client: leave client_ip_header out"
                        .to_owned(),
                );
            }
            return proxies;
        }
        Some(number) if number.bytes().all(|b| b.is_ascii_digit()) => {
            proxies.hops = number.parse().ok().filter(|hops| (1..=MOST_HOPS).contains(hops));
            if proxies.hops.is_none() {
                wrong.push(format!(
                    "trusted_proxies: the number of proxies in a row is from 1 to {MOST_HOPS}"
                ));
            }
        }
        Some(networks) => proxies.trusted = read_networks(networks, wrong),
    }
    if proxies.header.is_none() && said.is_some() {
        wrong.push(
            "trusted_proxies is for client_ip_header, which is missing: the header in which they name the client, e.g. X-Forwarded-For"
                .to_owned(),
        );
    }
    proxies
}

/// Nobody speaks to the console without TLS over a network: where it listens beyond this machine,
/// a proxy has to be named that ends TLS.
pub(super) fn beyond_this_machine(
    listen: SocketAddr,
    https: bool,
    proxies: &Proxies,
    wrong: &mut Vec<String>,
) {
    if listen.ip().to_canonical().is_loopback() {
        return;
    }
    if !https {
        wrong.push(format!(
            "listen is {listen}, where other machines reach it, and with a base_url of http:// without TLS: \
             say listen = \"127.0.0.1:{}\", or put a proxy with TLS in front and its https:// into base_url",
            listen.port()
        ));
    } else if proxies.header.is_none() {
        wrong.push(format!(
            "listen is {listen}, where other machines reach it without TLS: with trusted_proxies = \"none\" \
             nobody is named who ends TLS. Say listen = \"127.0.0.1:{}\", or which proxies may connect, \
             trusted_proxies = \"10.0.0.0/8\"",
            listen.port()
        ));
    }
}

fn read_networks(networks: &str, wrong: &mut Vec<String>) -> Vec<IpNet> {
    let mut trusted = Vec::new();
    for network in networks.split(',').map(str::trim).filter(|n| !n.is_empty()) {
        let bare = network.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(network);
        match bare.parse::<IpNet>().or_else(|_| bare.parse::<IpAddr>().map(IpNet::from)) {
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
    trusted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(header: &str, trusted: &str) -> Result<Proxies, Vec<String>> {
        with(header, trusted, false)
    }

    fn with(header: &str, trusted: &str, https: bool) -> Result<Proxies, Vec<String>> {
        let text = |name: &str| match name {
            "client_ip_header" if !header.is_empty() => Some(header.to_owned()),
            "trusted_proxies" if !trusted.is_empty() => Some(trusted.to_owned()),
            _ => None,
        };
        let mut wrong = Vec::new();
        let proxies = read(&text, https, &mut wrong);
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
            ("", "1", "client_ip_header, which is missing"),
            ("X-Forwarded-For", "0", "from 1 to 10"),
            ("X-Forwarded-For", "11", "from 1 to 10"),
            ("X-Forwarded-For", "99999999999999999999", "from 1 to 10"),
            ("X-Forwarded-For", "none", "leave client_ip_header out"),
        ] {
            let wrong = of(header, trusted).unwrap_err();
            assert!(wrong.len() == 1 && wrong[0].contains(says), "{trusted}: {wrong:?}");
        }
    }

    #[test]
    fn beyond_this_machine_somebody_ends_tls() {
        let wrong = |listen: &str, https: bool, header: &str, trusted: &str| {
            let mut wrong = Vec::new();
            let proxies = with(header, trusted, https).unwrap();
            beyond_this_machine(listen.parse().unwrap(), https, &proxies, &mut wrong);
            wrong
        };
        for listen in ["0.0.0.0:3000", "192.0.2.1:3000", "[::]:3000"] {
            let http = wrong(listen, false, "", "");
            assert!(http.len() == 1 && http[0].contains("base_url of http://"), "{http:?}");
            assert!(http[0].contains("listen = \"127.0.0.1:3000\""), "{http:?}");
            let none = wrong(listen, true, "", "none");
            assert!(none.len() == 1 && none[0].contains("nobody is named"), "{none:?}");
            assert!(wrong(listen, true, "Forwarded", "10.0.0.0/8").is_empty());
            assert!(wrong(listen, true, "Forwarded", "1").is_empty());
        }
        for listen in ["127.0.0.1:3000", "127.0.0.9:1", "[::1]:3000", "[::ffff:127.0.0.1]:3000"] {
            assert!(wrong(listen, false, "", "").is_empty(), "{listen}");
            assert!(wrong(listen, true, "", "none").is_empty(), "{listen}");
        }
    }

    /// Protects a deployment from a proxy that nobody named: all its clients would be one, and any
    /// of them could lock out the others.
    #[test]
    fn behind_tls_it_has_to_be_said_who_the_proxies_are() {
        for (header, trusted) in [("", ""), ("X-Forwarded-For", "")] {
            let wrong = with(header, trusted, true).unwrap_err();
            assert_eq!(wrong.len(), 1, "{wrong:?}");
            for part in [
                "trusted_proxies is missing",
                "trusted_proxies = \"127.0.0.1\"",
                "trusted_proxies = 1;",
                "client_ip_header = \"X-Forwarded-For\"",
                "trusted_proxies = \"none\"",
            ] {
                assert!(wrong[0].contains(part), "{part}: {wrong:?}");
            }
        }
        assert!(with("", "none", true).unwrap().header.is_none());
        assert_eq!(with("Forwarded", "2", true).unwrap().hops, Some(2));
        let named = with("Forwarded", "[2001:db8::7], 10.0.0.0/8", true).unwrap();
        assert!(named.trusts("2001:db8::7".parse().unwrap()));
        assert!(with("", "127.0.0.1", true).is_err());
    }
}
