//! The network address that a request comes from.
//!
//! Anybody may send the header that names the client; what a proxy adds to it stands at its end.
//! So it is read from there, and only as far as the addresses are proxies of ours: the first that
//! is not one is the client, and what stands before it is what the client says of itself.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::ConnectInfo;
use http::{Extensions, HeaderMap};

use crate::config::proxies::Proxies;

/// The address of the client; `unknown` where not even the connection's is known.
#[must_use]
pub fn client(proxies: &Proxies, headers: &HeaderMap, extensions: &Extensions) -> String {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
    let named = || {
        let header = proxies.header.as_ref()?;
        // Where it is known who the proxies are, nobody else is believed.
        let believed = proxies.trusted.is_empty() || peer.is_none_or(|peer| proxies.trusts(peer));
        let forwarded = header == http::header::FORWARDED;
        believed.then(|| from_the_end(proxies, headers.get_all(header).iter(), forwarded)).flatten()
    };
    named().or(peer).map_or_else(|| "unknown".to_owned(), |address| address.to_string())
}

/// The first address from the end that is not a proxy's; the last of them where all are. Where only
/// the number of proxies is known, that many from the end: the first of them wrote it.
fn from_the_end<'a>(
    proxies: &Proxies,
    lines: impl DoubleEndedIterator<Item = &'a http::HeaderValue>,
    forwarded: bool,
) -> Option<IpAddr> {
    let mut nearest = None;
    let mut passed = 0;
    for line in lines.rev() {
        let Ok(line) = line.to_str() else { break };
        for element in line.rsplit(',') {
            let element = if forwarded { node(element) } else { Some(element) };
            // Behind what cannot be read nothing is believed.
            let Some(address) = element.and_then(address) else { return nearest };
            nearest = Some(address);
            passed += 1;
            let beyond = match proxies.hops {
                Some(hops) => passed >= hops,
                None => !proxies.trusts(address),
            };
            if beyond {
                return nearest;
            }
        }
    }
    nearest
}

/// The node that an element of `Forwarded` names with `for` (RFC 7239 section 4).
fn node(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim().trim_matches('"'))
    })
}

/// An address as proxies write it: alone, in brackets, and with a port behind it.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = || text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || {
        let inner = text.strip_prefix('[')?.strip_suffix(']')?;
        inner.parse::<Ipv6Addr>().ok().map(IpAddr::from)
    };
    bare().or_else(with_port).or_else(in_brackets).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(header: &'static str, trusted: &str, peer: Option<&str>, lines: &[&str]) -> String {
        let proxies = Proxies {
            header: Some(http::HeaderName::from_static(header)),
            trusted: trusted.split(',').filter_map(|n| n.trim().parse().ok()).collect(),
            hops: trusted.parse().ok(),
        };
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header, line.parse().unwrap());
        }
        let mut extensions = Extensions::new();
        if let Some(peer) = peer {
            let peer: IpAddr = peer.parse().unwrap();
            extensions.insert(ConnectInfo(SocketAddr::new(peer, 4801)));
        }
        client(&proxies, &headers, &extensions)
    }

    const PROXY: Option<&str> = Some("10.0.0.5");

    #[test]
    fn ports_and_brackets_are_read() {
        for (line, is) in [
            ("203.0.113.9", "203.0.113.9"),
            ("203.0.113.9:51234", "203.0.113.9"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:443", "2001:db8::7"),
            (" 203.0.113.9 ", "203.0.113.9"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("[::ffff:203.0.113.9]:80", "203.0.113.9"),
        ] {
            assert_eq!(seen("x-forwarded-for", "", PROXY, &[line]), is, "{line}");
        }
        for (line, is) in [
            ("for=203.0.113.9;proto=https", "203.0.113.9"),
            ("proto=https; For=\"203.0.113.9:51234\"", "203.0.113.9"),
            ("for=192.0.2.1, for=\"[2001:db8::7]:443\";by=10.0.0.5", "2001:db8::7"),
            ("for=\"[2001:db8::7]\"", "2001:db8::7"),
            ("for=_hidden", "10.0.0.5"),
            ("for=unknown", "10.0.0.5"),
            ("by=203.0.113.9", "10.0.0.5"),
        ] {
            assert_eq!(seen("forwarded", "", PROXY, &[line]), is, "{line}");
        }
    }

    #[test]
    fn without_named_proxies_only_the_last_element_is_believed() {
        for (lines, is) in [
            (&["192.0.2.66, 203.0.113.9"][..], "203.0.113.9"),
            (&["192.0.2.66", "192.0.2.67, 203.0.113.9"], "203.0.113.9"),
            (&["203.0.113.9, 10.0.0.5"], "10.0.0.5"),
            (&["203.0.113.9, nonsense"], "10.0.0.5"),
            (&["203.0.113.9, "], "10.0.0.5"),
            (&[""], "10.0.0.5"),
            (&[], "10.0.0.5"),
            (&["203.0.113.9:port"], "10.0.0.5"),
            (&["2001:db8::7]:443"], "10.0.0.5"),
            (&["203.0.113.9:51234:1"], "10.0.0.5"),
        ] {
            assert_eq!(seen("x-forwarded-for", "", PROXY, lines), is, "{lines:?}");
        }
        assert_eq!(seen("x-forwarded-for", "", None, &["nonsense"]), "unknown");
    }

    #[test]
    fn named_proxies_are_passed_over_and_nothing_behind_the_client_is_believed() {
        let trusted = "10.0.0.0/8, 2001:db8:1::/48";
        for (lines, is) in [
            (&["203.0.113.9, 10.0.0.7"][..], "203.0.113.9"),
            (&["203.0.113.9", "10.0.0.7"], "203.0.113.9"),
            (&["203.0.113.9:51234, [2001:db8:1::2]:9, 10.0.0.7"], "203.0.113.9"),
            (&["192.0.2.66, 203.0.113.9, 10.0.0.7"], "203.0.113.9"),
            // A client inside, behind two proxies: the one that is farthest.
            (&["10.1.2.3, 10.0.0.7"], "10.1.2.3"),
            // What the client wrote stands before the proxy's own, and is not read.
            (&["10.9.9.9, 203.0.113.9, 10.0.0.7"], "203.0.113.9"),
            // A hop that does not say who it is: the proxy that it came to.
            (&["203.0.113.9, unknown, 10.0.0.7"], "10.0.0.7"),
        ] {
            assert_eq!(seen("x-forwarded-for", trusted, PROXY, lines), is, "{lines:?}");
        }
        let past = seen("x-forwarded-for", trusted, Some("198.51.100.4"), &["203.0.113.9"]);
        assert_eq!(past, "198.51.100.4", "it came past the proxies");
        let mapped = seen("x-forwarded-for", trusted, Some("::ffff:10.0.0.5"), &["203.0.113.9"]);
        assert_eq!(mapped, "203.0.113.9", "a proxy of ours on a socket for both");
    }

    #[test]
    fn as_many_proxies_as_there_are_in_a_row_are_passed_over() {
        for (hops, lines, is) in [
            ("1", &["192.0.2.66, 203.0.113.9"][..], "203.0.113.9"),
            ("2", &["203.0.113.9, 198.51.100.4"], "203.0.113.9"),
            ("2", &["192.0.2.66, 203.0.113.9:51234", "198.51.100.4"], "203.0.113.9"),
            ("3", &["192.0.2.66, 203.0.113.9, 198.51.100.4, 198.51.100.5"], "203.0.113.9"),
            // It came past some of them: who is named farthest.
            ("3", &["203.0.113.9, 198.51.100.4"], "203.0.113.9"),
            ("2", &["nonsense, 203.0.113.9"], "203.0.113.9"),
            ("2", &["203.0.113.9, nonsense"], "10.0.0.5"),
            ("2", &[], "10.0.0.5"),
        ] {
            assert_eq!(seen("x-forwarded-for", hops, PROXY, lines), is, "{hops} {lines:?}");
        }
    }
}
