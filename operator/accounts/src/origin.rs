//! Origin: where a request came from.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};
use hades_apiserver::Peer;

/// How much is kept of what a client says of itself.
const MAX_AGENT: usize = 200;

/// Where a request came from, for throttling and for lists of sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Address of the other end; `None` for a client of this process.
    pub address: Option<IpAddr>,
    /// What the client says of itself, at most 200 characters.
    pub agent: String,
}

impl Origin {
    /// Where a request with these headers came from. Only the address of the
    /// connection counts: a header that names another one can be made up.
    #[must_use]
    pub fn of(peer: Option<&Peer>, headers: &HeaderMap) -> Self {
        let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let agent = agent.unwrap_or_default().chars().take(MAX_AGENT).collect();
        Self { address: peer.map(|Peer(address)| address.ip()), agent }
    }

    /// The network that is throttled as one: an IPv4 address, or the /64 that a
    /// host with IPv6 has to itself.
    #[must_use]
    pub fn network(&self) -> Option<IpAddr> {
        self.address.map(hades_apiserver::network)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forwarded_header_is_not_believed() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "192.0.2.1".parse().unwrap());
        headers.insert(header::USER_AGENT, "a".repeat(1000).parse().unwrap());
        let peer = Peer("198.51.100.2:4000".parse().unwrap());
        let origin = Origin::of(Some(&peer), &headers);
        assert_eq!(origin.address, Some("198.51.100.2".parse().unwrap()));
        assert_eq!(origin.agent.len(), MAX_AGENT);
    }
}
