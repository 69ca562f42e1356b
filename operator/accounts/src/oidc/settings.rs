//! Settings of the provider.

use std::collections::BTreeMap;

use openidconnect::url::{Host, Url};
use secrecy::SecretString;

/// A provider of identities, and what its claims mean here.
#[derive(Clone)]
pub struct ProviderSettings {
    /// As people know it, for the button on the login page.
    pub name: String,
    /// Its issuer identifier, an URL under which its metadata are.
    pub issuer: String,
    /// What it calls this server.
    pub client_id: String,
    /// The secret of that client; without one it is a public client.
    pub client_secret: Option<SecretString>,
    /// Scopes to ask for besides `openid`.
    pub scopes: Vec<String>,
    /// The claim that users are named by. By default `preferred_username`, or else
    /// the verified `email`.
    pub username_claim: Option<String>,
    /// What goes before it.
    pub username_prefix: String,
    /// The claim that names groups.
    pub groups_claim: String,
    /// What goes before each of them, so that none is a group of Hades by chance.
    pub groups_prefix: String,
    /// Groups that are certain groups of Hades, without the prefix.
    pub group_mapping: BTreeMap<String, String>,
    /// Claims that whoever logs in must have, with these values.
    pub required_claims: Vec<(String, String)>,
    /// Certificates to trust besides those of the system, PEM.
    pub extra_ca: Option<Vec<u8>>,
}

impl ProviderSettings {
    /// The usual ones.
    pub fn new(issuer: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self {
            name: "single sign-on".to_owned(),
            issuer: issuer.into(),
            client_id: client_id.into(),
            client_secret: None,
            scopes: vec!["profile".to_owned(), "email".to_owned()],
            username_claim: None,
            username_prefix: String::new(),
            groups_claim: "groups".to_owned(),
            groups_prefix: "oidc:".to_owned(),
            group_mapping: BTreeMap::new(),
            required_claims: Vec::new(),
            extra_ca: None,
        }
    }
}

impl std::fmt::Debug for ProviderSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProviderSettings").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// Why a provider can't be used as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// What is said must be encrypted on the way.
    #[error("{what} {url:?} is no https:// address (http:// is for this machine alone)")]
    Url {
        /// Which.
        what: &'static str,
        /// What was written.
        url: String,
    },
    /// There is nowhere to come back to.
    #[error("single sign-on needs the address that browsers reach this server by")]
    NoExternalUrl,
    /// A group of the server is given away.
    #[error(
        "a group may not be mapped to {0:?}: groups that begin with system: belong to the server"
    )]
    SystemGroup(String),
    /// The certificates can't be used.
    #[error("the certificates for the provider can't be used: {0}")]
    Certificates(String),
}

/// Whether what is sent there is encrypted, or stays on this machine.
pub(crate) fn is_safe(url: &Url) -> bool {
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => true,
        ("http", Some(Host::Ipv4(address))) => address.is_loopback(),
        ("http", Some(Host::Ipv6(address))) => address.is_loopback(),
        ("http", Some(Host::Domain(name))) => name == "localhost",
        _ => false,
    }
}

/// Reads an address that secrets are sent to.
///
/// # Errors
/// Where it isn't safe to.
pub(crate) fn safe_url(what: &'static str, text: &str) -> Result<Url, SettingsError> {
    let url = Url::parse(text).ok().filter(is_safe);
    url.ok_or_else(|| SettingsError::Url { what, url: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_encrypted_or_local_addresses_are_safe() {
        for good in [
            "https://id.example.com/realms/x",
            "http://127.0.0.1:8080",
            "http://[::1]/",
            "http://localhost:1/x",
        ] {
            assert!(safe_url("issuer", good).is_ok(), "{good}");
        }
        for bad in ["http://id.example.com", "http://127.0.0.1.example.com", "ftp://x", "x", ""] {
            let error = safe_url("the issuer", bad).unwrap_err().to_string();
            assert!(error.starts_with("the issuer"), "{error}");
        }
    }
}
