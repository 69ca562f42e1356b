//! Whom to connect to, as whom, and how to know that it is them.

use std::fmt;
use std::hash::{Hash, Hasher};

use secrecy::{ExposeSecret, SecretString};

use crate::HostKey;

/// A server, a user and what proves both. Debug shows no secret.
#[derive(Clone)]
pub struct Target {
    /// Name or address.
    pub host: String,
    /// Usually 22.
    pub port: u16,
    /// Who logs in.
    pub user: String,
    /// Private key in OpenSSH or PEM format, without a passphrase.
    pub private_key: SecretString,
    /// Keys that the server may show; it must show one of them.
    pub host_keys: Vec<HostKey>,
}

impl Target {
    /// `host:port`, as errors name it.
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Fingerprints of the pinned keys, for messages.
    pub(crate) fn expected(&self) -> String {
        let keys: Vec<String> = self.host_keys.iter().map(HostKey::fingerprint).collect();
        keys.join(" or ")
    }
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        let Self { host, port, user, private_key, host_keys } = self;
        *host == other.host
            && *port == other.port
            && *user == other.user
            && private_key.expose_secret() == other.private_key.expose_secret()
            && *host_keys == other.host_keys
    }
}

impl Eq for Target {}

impl Hash for Target {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { host, port, user, private_key: _, host_keys: _ } = self;
        (host, port, user).hash(state);
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.user, self.address())
    }
}
