//! Where a host is and what it is reached with.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// An endpoint together with what proves who is at both ends. Two are equal when
/// a connection made from one is as good as one made from the other. Debug shows
/// no secret.
#[derive(Clone)]
pub struct HostAddress {
    /// `unix:///…`, `ssh://…` or `tcp://…`.
    pub endpoint: String,
    /// What that kind of endpoint needs.
    pub credentials: Credentials,
}

/// What a host is reached with.
#[derive(Clone)]
pub enum Credentials {
    /// Nothing: a socket of this machine.
    None,
    /// SSH.
    Ssh {
        /// In OpenSSH format, without a passphrase.
        private_key: SecretString,
        /// Public keys that the server may show, as lines of `.pub` files.
        host_keys: Vec<String>,
    },
    /// TLS.
    Tls {
        /// Certificates, PEM, that the server's must be signed by.
        ca: String,
        /// Certificate chain, PEM, that we show.
        certificate: String,
        /// Its private key, PEM.
        key: SecretString,
    },
}

impl HostAddress {
    /// An endpoint that needs no credentials.
    pub fn plain(endpoint: impl Into<String>) -> Self {
        Self { endpoint: endpoint.into(), credentials: Credentials::None }
    }
}

impl PartialEq for HostAddress {
    fn eq(&self, other: &Self) -> bool {
        let Self { endpoint, credentials } = self;
        *endpoint == other.endpoint && *credentials == other.credentials
    }
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (
                Self::Ssh { private_key, host_keys },
                Self::Ssh { private_key: other_key, host_keys: others },
            ) => private_key.expose_secret() == other_key.expose_secret() && host_keys == others,
            (
                Self::Tls { ca, certificate, key },
                Self::Tls { ca: other_ca, certificate: other_certificate, key: other_key },
            ) => {
                ca == other_ca
                    && certificate == other_certificate
                    && key.expose_secret() == other_key.expose_secret()
            }
            (Self::None | Self::Ssh { .. } | Self::Tls { .. }, _) => false,
        }
    }
}

impl Eq for HostAddress {}
impl Eq for Credentials {}

impl fmt::Debug for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostAddress")
            .field("endpoint", &self.endpoint)
            .field("credentials", &self.credentials)
            .finish()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Ssh { .. } => "SSH key",
            Self::Tls { .. } => "TLS certificates",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotated_key_makes_another_address_and_is_never_shown() {
        let address = |key: &str| HostAddress {
            endpoint: "ssh://root@web-1".to_owned(),
            credentials: Credentials::Ssh {
                private_key: key.into(),
                host_keys: vec!["ssh-ed25519 AAAA".to_owned()],
            },
        };
        assert_eq!(address("hunter2"), address("hunter2"));
        assert_ne!(address("hunter2"), address("hunter3"));
        assert_ne!(address("hunter2"), HostAddress::plain("ssh://root@web-1"));
        assert!(!format!("{:?}", address("hunter2")).contains("hunter2"));
    }
}
