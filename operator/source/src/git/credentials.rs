//! What opens a private repository.

use secrecy::SecretString;

/// What opens a repository: for HTTPS, for SSH, or both. `Debug` shows no secret.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// For `https://`. Not sent to another host that the server redirects to.
    pub http: Option<HttpCredentials>,
    /// For `ssh://`.
    pub ssh: Option<SshCredentials>,
}

/// How a request over HTTPS says who it is from (RFC 7617, RFC 6750).
#[derive(Clone, Debug)]
pub enum HttpCredentials {
    /// User name and password, or a forge's access token in place of the password.
    Basic {
        /// User name. Most forges take anything beside an access token.
        username: String,
        /// Password or access token.
        password: SecretString,
    },
    /// A token by itself, for servers that don't take it as a password.
    Bearer(SecretString),
}

/// A key for SSH, and the servers that it may be shown to.
#[derive(Clone, Debug)]
pub struct SshCredentials {
    /// Private key in OpenSSH's or PEM format, without a passphrase.
    pub identity: SecretString,
    /// Host keys, as in OpenSSH's `known_hosts`. Of the large public forges they are
    /// known without.
    pub known_hosts: Option<String>,
}

impl Credentials {
    /// User name and password, or token, for HTTPS alone.
    pub fn basic(username: impl Into<String>, password: impl Into<SecretString>) -> Self {
        let basic = HttpCredentials::Basic { username: username.into(), password: password.into() };
        Credentials { http: Some(basic), ssh: None }
    }
}
