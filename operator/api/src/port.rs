//! Published ports in the short form of the compose specification.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Transport protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP, when nothing is said.
    Tcp,
    /// UDP.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// `[[HOST_IP:][HOST_PORT]:]CONTAINER_PORT[/PROTOCOL]`, as in the compose
/// specification. Without a host port the engine picks a free one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortMapping {
    /// Address on the host to listen on; all of them when absent.
    pub host_ip: Option<IpAddr>,
    /// Port on the host; a free one is picked when absent.
    pub host_port: Option<u16>,
    /// Port in the container.
    pub container_port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

impl PortMapping {
    /// From the short form.
    ///
    /// # Errors
    /// A sentence for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refusal =
            || format!("{text:?} is not a port: write 8080:80, 127.0.0.1:8080:80, 53:53/udp or 80");
        let (addresses, protocol) = match text.split_once('/') {
            None | Some((_, "tcp")) => (text.split('/').next().unwrap_or(text), Protocol::Tcp),
            Some((addresses, "udp")) => (addresses, Protocol::Udp),
            Some(_) => return Err(refusal()),
        };
        let port = |digits: &str| match digits.parse::<u16>() {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(refusal()),
        };
        let (host, container) = match addresses.rsplit_once(':') {
            None => (None, addresses),
            Some((host, container)) => (Some(host), container),
        };
        let (host_ip, host_port) = match host {
            None => (None, None),
            Some(host) => match host.rsplit_once(':') {
                None => (None, Some(port(host)?)),
                Some((ip, digits)) => {
                    let ip = ip.trim_start_matches('[').trim_end_matches(']');
                    let ip = ip.parse::<IpAddr>().map_err(|_| refusal())?;
                    let host_port = if digits.is_empty() { None } else { Some(port(digits)?) };
                    (Some(ip), host_port)
                }
            },
        };
        Ok(Self { host_ip, host_port, container_port: port(container)?, protocol })
    }

    /// Whether both need the same port of the same host.
    pub fn collides_with(&self, other: &Self) -> bool {
        let any = |ip: Option<IpAddr>| ip.is_none_or(|ip| ip.is_unspecified());
        self.host_port.is_some()
            && self.host_port == other.host_port
            && self.protocol == other.protocol
            && (any(self.host_ip) || any(other.host_ip) || self.host_ip == other.host_ip)
    }
}

impl fmt::Display for PortMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host_ip {
            Some(IpAddr::V4(ip)) => write!(f, "{ip}:")?,
            Some(IpAddr::V6(ip)) => write!(f, "[{ip}]:")?,
            None => {}
        }
        match (self.host_ip, self.host_port) {
            (_, Some(port)) => write!(f, "{port}:")?,
            (Some(_), None) => f.write_str(":")?,
            (None, None) => {}
        }
        write!(f, "{}", self.container_port)?;
        match self.protocol {
            Protocol::Tcp => Ok(()),
            Protocol::Udp => f.write_str("/udp"),
        }
    }
}

impl Serialize for PortMapping {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PortMapping {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for PortMapping {
    fn schema_name() -> Cow<'static, str> {
        "PortMapping".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^(([0-9.]+|\[[0-9a-fA-F:]+\]):)?([0-9]*:)?[0-9]+(/(tcp|udp))?$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms() {
        for text in
            ["80", "8080:80", "127.0.0.1:8080:80", "127.0.0.1::80", "[::1]:8080:80", "53:53/udp"]
        {
            assert_eq!(PortMapping::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(PortMapping::parse("1:2/tcp").unwrap().to_string(), "1:2");
        for bad in ["", "x", "0", "1:0", "70000:80", "80/sctp", "host:80:80", ":80"] {
            assert!(PortMapping::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn collisions() {
        let parse = |text| PortMapping::parse(text).unwrap();
        assert!(parse("8080:80").collides_with(&parse("127.0.0.1:8080:81")));
        assert!(!parse("127.0.0.2:8080:80").collides_with(&parse("127.0.0.1:8080:81")));
        assert!(!parse("8080:80").collides_with(&parse("8080:80/udp")));
        assert!(!parse("80").collides_with(&parse("80")));
    }
}
