//! Where an engine listens, as people write it.

use std::fmt;
use std::net::IpAddr;

/// The socket of an engine whose endpoint names none.
pub const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
const SSH_PORT: u16 = 22;

/// Where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A unix socket on this machine, by its absolute path.
    Unix(String),
    /// A port, with TLS.
    Tcp {
        /// Name or address, without brackets.
        host: String,
        /// Usually 2376.
        port: u16,
    },
    /// A unix socket of another machine, through its SSH server.
    Ssh {
        /// Who logs in.
        user: String,
        /// Name or address, without brackets.
        host: String,
        /// Usually 22.
        port: u16,
        /// Absolute path of the socket there.
        socket: String,
    },
}

/// Why a text is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// No scheme, or one that isn't known.
    #[error(
        "{0:?} is not an endpoint that Hades can use: write unix:///var/run/docker.sock, \
         ssh://USER@ADDRESS or tcp://ADDRESS:2376"
    )]
    Scheme(String),
    /// The path of a socket must be absolute.
    #[error(
        "{0:?} does not name an absolute path: write unix:///var/run/docker.sock, with three slashes"
    )]
    RelativePath(String),
    /// Not user@address, or a port that is none.
    #[error("{0:?} is not of the form ssh://USER@ADDRESS[:PORT][/path/to/docker.sock]")]
    Ssh(String),
    /// No address or no port.
    #[error("{0:?} is not of the form tcp://ADDRESS:PORT (engines with TLS usually have 2376)")]
    Tcp(String),
}

impl Endpoint {
    /// From text such as `unix:///var/run/docker.sock`.
    ///
    /// # Errors
    /// What is wrong with it, and how to write it.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        if let Some(path) = text.strip_prefix("unix://") {
            if !is_path(path) {
                return Err(EndpointError::RelativePath(text.to_owned()));
            }
            return Ok(Self::Unix(path.to_owned()));
        }
        if let Some(rest) = text.strip_prefix("ssh://") {
            return ssh(rest).ok_or_else(|| EndpointError::Ssh(text.to_owned()));
        }
        if let Some(rest) = text.strip_prefix("tcp://") {
            return match authority(rest) {
                Some((host, Some(port))) => Ok(Self::Tcp { host, port }),
                _ => Err(EndpointError::Tcp(text.to_owned())),
            };
        }
        Err(EndpointError::Scheme(text.to_owned()))
    }

    /// Whether it can only be this machine.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp { host, .. } | Self::Ssh { host, .. } => {
                host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
        }
    }
}

fn is_path(path: &str) -> bool {
    path.starts_with('/') && !path.ends_with('/')
}

fn ssh(rest: &str) -> Option<Endpoint> {
    let (place, socket) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, DEFAULT_SOCKET),
    };
    let (user, place) = place.split_once('@')?;
    if user.is_empty() || user.contains(':') || !is_path(socket) {
        return None;
    }
    let (host, port) = authority(place)?;
    let port = port.unwrap_or(SSH_PORT);
    Some(Endpoint::Ssh { user: user.to_owned(), host, port, socket: socket.to_owned() })
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
fn authority(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, (!port.is_empty()).then_some(port.strip_prefix(':').unwrap_or("")))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if host.is_empty() || host.contains(['/', '@', ' ']) {
        return None;
    }
    let port = match port {
        Some(port) => Some(port.parse().ok().filter(|port| *port > 0)?),
        None => None,
    };
    Some((host.to_owned(), port))
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bracketed = |host: &str| match host.contains(':') {
            true => format!("[{host}]"),
            false => host.to_owned(),
        };
        match self {
            Self::Unix(path) => write!(f, "unix://{path}"),
            Self::Tcp { host, port } => write!(f, "tcp://{}:{port}", bracketed(host)),
            Self::Ssh { user, host, port, socket } => {
                write!(f, "ssh://{user}@{}", bracketed(host))?;
                if *port != SSH_PORT {
                    write!(f, ":{port}")?;
                }
                if socket != DEFAULT_SOCKET { f.write_str(socket) } else { Ok(()) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_shown_as_they_are_written() {
        for text in [
            "unix:///var/run/docker.sock",
            "tcp://10.0.0.1:2376",
            "tcp://[2001:db8::1]:2376",
            "ssh://root@web-1",
            "ssh://root@web-1:2222",
            "ssh://deploy@[2001:db8::1]:2222/run/user/1000/docker.sock",
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), text);
        }
        let endpoint = Endpoint::parse("ssh://root@203.0.113.7").unwrap();
        let expected = Endpoint::Ssh {
            user: "root".to_owned(),
            host: "203.0.113.7".to_owned(),
            port: 22,
            socket: "/var/run/docker.sock".to_owned(),
        };
        assert_eq!(endpoint, expected);
    }

    #[test]
    fn what_is_no_endpoint() {
        for bad in ["", "/var/run/docker.sock", "http://10.0.0.1:2375", "UNIX:///x"] {
            assert!(matches!(Endpoint::parse(bad), Err(EndpointError::Scheme(_))), "{bad}");
        }
        for bad in ["unix://", "unix://var/run/docker.sock", "unix:///var/run/"] {
            assert!(matches!(Endpoint::parse(bad), Err(EndpointError::RelativePath(_))), "{bad}");
        }
        for bad in
            ["ssh://web-1", "ssh://@web-1", "ssh://a:secret@web-1", "ssh://a@web-1:x", "ssh://a@b/"]
        {
            assert!(matches!(Endpoint::parse(bad), Err(EndpointError::Ssh(_))), "{bad}");
        }
        for bad in ["tcp://10.0.0.1", "tcp://:2376", "tcp://a:0", "tcp://[a]:1", "tcp://a:1/x"] {
            assert!(matches!(Endpoint::parse(bad), Err(EndpointError::Tcp(_))), "{bad}");
        }
    }

    #[test]
    fn this_machine() {
        for (text, local) in [
            ("unix:///x", true),
            ("tcp://127.0.0.1:1", true),
            ("tcp://[::1]:1", true),
            ("tcp://localhost:1", true),
            ("tcp://10.0.0.1:1", false),
            ("tcp://localhost.example.com:1", false),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().is_local(), local, "{text}");
        }
    }
}
