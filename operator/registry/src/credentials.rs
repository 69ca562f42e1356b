//! Credentials of registries, and which of them are for an image.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::name::{ImageName, Prefix};

/// Who asks a registry.
#[derive(Clone)]
pub enum Credentials {
    /// A user with a password, or with a token that the registry takes for one.
    Basic {
        /// User.
        username: String,
        /// Password or token.
        password: SecretString,
    },
    /// A token that the registry itself takes, without any exchange.
    Token(SecretString),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic { .. } => "Basic(…)",
            Self::Token(_) => "Token(…)",
        })
    }
}

impl Credentials {
    /// From a user and a password.
    pub fn basic(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self::Basic { username: username.into(), password: SecretString::from(password.into()) }
    }

    /// A word that is the same for the same credentials. It is a plain hash: keep
    /// it in memory.
    pub fn identity(&self) -> String {
        let mut hash = Sha256::new();
        match self {
            Self::Basic { username, password } => {
                hash.update(b"basic\0");
                hash.update(username.as_bytes());
                hash.update([0]);
                hash.update(password.expose_secret().as_bytes());
            }
            Self::Token(token) => {
                hash.update(b"token\0");
                hash.update(token.expose_secret().as_bytes());
            }
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Credentials and what they are for.
#[derive(Debug, Clone)]
pub struct Login {
    /// What they are for.
    pub prefix: Prefix,
    /// The credentials.
    pub credentials: Credentials,
}

/// Why a `.dockerconfigjson` can't be used. Says nothing of what is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DockerConfigError {
    /// Another shape.
    #[error(
        "it is not what Docker writes: {{\"auths\": {{\"registry.example.com\": {{…}}}}}}; make it with `kubectl create secret docker-registry`"
    )]
    Shape,
    /// An entry without credentials that could be used.
    #[error(
        "its entry for {0} has no password: what a password store of the machine where it was made keeps isn't reachable from here, and an identity token of `docker login` is none; make it with `kubectl create secret docker-registry`"
    )]
    Incomplete(String),
}

#[derive(Deserialize)]
struct DockerConfig {
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    auth: Option<String>,
    #[serde(default)]
    registrytoken: Option<String>,
}

/// Logins out of what Docker keeps in `config.json` and Kubernetes in Secrets of
/// type `kubernetes.io/dockerconfigjson`.
///
/// # Errors
/// When it is something else, or holds an entry without credentials.
pub fn docker_config(text: &str) -> Result<Vec<Login>, DockerConfigError> {
    let config: DockerConfig = serde_json::from_str(text).map_err(|_| DockerConfigError::Shape)?;
    config
        .auths
        .into_iter()
        .map(|(registry, entry)| {
            let credentials = credentials(entry)
                .ok_or_else(|| DockerConfigError::Incomplete(registry.clone()))?;
            Ok(Login { prefix: Prefix::parse(&registry), credentials })
        })
        .collect()
}

fn credentials(entry: Entry) -> Option<Credentials> {
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    if let Some(token) = filled(entry.registrytoken) {
        return Some(Credentials::Token(SecretString::from(token)));
    }
    if let (Some(username), Some(password)) = (filled(entry.username), filled(entry.password)) {
        return Some(Credentials::basic(username, password));
    }
    let auth = filled(entry.auth)?;
    let auth = auth.trim();
    let bytes = STANDARD.decode(auth).or_else(|_| STANDARD_NO_PAD.decode(auth)).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (username, password) = text.split_once(':')?;
    // Docker ends it with zeros at times. It is empty beside an `identitytoken`, which
    // only Docker itself can exchange.
    let password = password.trim_end_matches('\0');
    (!password.is_empty()).then(|| Credentials::basic(username, password))
}

/// All credentials that an image may be pulled with.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    rings: Vec<Vec<Login>>,
}

impl Keyring {
    /// With nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// With logins that are looked at after those that are there.
    pub fn add(&mut self, logins: Vec<Login>) {
        self.rings.push(logins);
    }

    /// The credentials for an image: of the first logins that have any for it, those
    /// with the longest match.
    pub fn find(&self, image: &ImageName) -> Option<&Credentials> {
        self.rings.iter().find_map(|logins| {
            logins
                .iter()
                .filter(|login| login.prefix.covers(image))
                .max_by_key(|login| login.prefix.path.len())
                .map(|login| &login.credentials)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(credentials: Option<&Credentials>) -> &str {
        match credentials {
            Some(Credentials::Basic { username, .. }) => username,
            Some(Credentials::Token(_)) => "(token)",
            None => "(nobody)",
        }
    }

    #[test]
    fn the_longest_match_of_the_first_ring_wins() {
        let login = |prefix: &str, user: &str| Login {
            prefix: Prefix::parse(prefix),
            credentials: Credentials::basic(user, "p"),
        };
        let mut keyring = Keyring::new();
        keyring.add(vec![login("ghcr.io/studio", "project")]);
        keyring.add(vec![
            login("ghcr.io", "fleet"),
            login("ghcr.io/studio/app", "fleet-app"),
            login("docker.io", "hub"),
        ]);
        for (image, expected) in [
            ("ghcr.io/studio/app:1", "project"),
            ("ghcr.io/other/app", "fleet"),
            ("nginx", "hub"),
            ("quay.io/a", "(nobody)"),
        ] {
            assert_eq!(user(keyring.find(&ImageName::parse(image).unwrap())), expected, "{image}");
        }
    }

    #[test]
    fn docker_configs() {
        // dTpw is u:p.
        let text = r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "dTpw"},
            "ghcr.io": {"username": "me", "password": "secret-word"},
            "quay.io": {"registrytoken": "t"}
        }}"#;
        let logins = docker_config(text).unwrap();
        let found: Vec<_> = logins
            .iter()
            .map(|login| (login.prefix.to_string(), user(Some(&login.credentials))))
            .collect();
        let expected = [("ghcr.io", "me"), ("docker.io", "u"), ("quay.io", "(token)")];
        assert_eq!(found, expected.map(|(prefix, user)| (prefix.to_owned(), user)));
        assert!(!format!("{logins:?}").contains("secret-word"));
        assert_eq!(docker_config("[]").unwrap_err(), DockerConfigError::Shape);
        let store = docker_config(r#"{"auths": {"ghcr.io": {}}, "credsStore": "osxkeychain"}"#);
        assert!(store.unwrap_err().to_string().contains("ghcr.io"));
        // dTo= is u and an empty password.
        for token in ["", r#", "identitytoken": "t0ken""#] {
            let text = format!(r#"{{"auths": {{"shop.azurecr.io": {{"auth": "dTo="{token}}}}}}}"#);
            let error = docker_config(&text).unwrap_err();
            assert_eq!(error, DockerConfigError::Incomplete("shop.azurecr.io".to_owned()));
            assert!(error.to_string().contains("identity token"), "{error}");
        }
    }

    #[test]
    fn identities_tell_credentials_apart() {
        let one = Credentials::basic("a", "b");
        assert_eq!(one.identity(), Credentials::basic("a", "b").identity());
        assert_ne!(one.identity(), Credentials::basic("a", "c").identity());
        assert_ne!(one.identity(), Credentials::Token(SecretString::from("b")).identity());
    }
}
