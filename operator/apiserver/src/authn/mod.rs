//! Who is asking.
//!
//! A request of the in-process client carries its [`Identity`] as an extension,
//! which nothing that arrives over a socket can set. All others show a bearer
//! token, of which only the digest is kept.

mod impersonation;
mod scope;
pub(crate) mod service_account;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::random;
use crate::wire::status::StatusError;
pub(crate) use impersonation::{Impersonation, Mask};
pub use scope::Scope;
pub(crate) use service_account::ServiceAccounts;

/// The group that may do everything.
pub const ADMINISTRATORS: &str = "system:masters";
/// The group of everyone who is logged in.
pub const AUTHENTICATED: &str = "system:authenticated";

/// An authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User name, such as `admin` or `system:hades:controllers`.
    pub name: String,
    /// Groups of the user.
    pub groups: Vec<String>,
    /// Uid of the user, where one is known.
    pub uid: Option<String>,
    /// Whatever else is known of the user, by key.
    pub extra: BTreeMap<String, Vec<String>>,
    /// What a token leaves of the user's rights; `None` leaves them all.
    pub scope: Option<Arc<Scope>>,
    /// Not public: only [`Identity::controller`] makes one that reads values.
    reads_secrets: bool,
}

impl Identity {
    /// Somebody of these groups, who reads no values of Secrets.
    pub fn of_user(name: impl Into<String>, groups: Vec<String>) -> Self {
        Self {
            name: name.into(),
            groups,
            uid: None,
            extra: BTreeMap::new(),
            scope: None,
            reads_secrets: false,
        }
    }

    /// The server itself, for what it writes on its own account.
    pub(crate) fn server() -> Self {
        Self::administrator("system:apiserver")
    }

    /// The same with no more rights than a scope leaves.
    #[must_use]
    pub fn within(self, scope: Scope) -> Self {
        Self { scope: Some(Arc::new(scope)), ..self }
    }

    /// The same with what else is known.
    #[must_use]
    pub fn known_as(self, uid: Option<String>, extra: BTreeMap<String, Vec<String>>) -> Self {
        Self { uid, extra, ..self }
    }

    /// A person with every right but that of reading the values of Secrets.
    pub fn administrator(name: impl Into<String>) -> Self {
        Self::of_user(name, vec![ADMINISTRATORS.to_owned(), AUTHENTICATED.to_owned()])
    }

    /// A controller of this process, which reads the values of Secrets because
    /// it has to hand them to containers and clouds.
    pub fn controller(name: &str) -> Self {
        Self { reads_secrets: true, ..Self::administrator(format!("system:hades:{name}")) }
    }

    /// Whether the values of Secrets are shown to this caller.
    #[must_use]
    pub fn reads_secrets(&self) -> bool {
        self.reads_secrets
    }
}

/// Knows callers by what their requests show, besides the tokens that the server
/// was opened with: tokens and sessions of users.
pub trait Authenticator: Send + Sync {
    /// The caller that a request proves, if it does. Asked for every request that
    /// no other proof was found for, so it must be quick; it may read a store.
    ///
    /// # Errors
    /// Where the proof is good and the request must be refused all the same, such
    /// as one that another site made a browser send.
    fn authenticate(&self, request: &Request) -> Result<Option<Identity>, StatusError>;

    /// The caller that a bearer token proves, if it does.
    fn identify(&self, token: &str) -> Option<Identity>;
}

/// A bearer token that the server accepts, without the token.
#[derive(Clone)]
pub struct Credential {
    digest: [u8; 32],
    identity: Identity,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Credential {
    /// The credential of a token in the clear.
    #[must_use]
    pub fn of_token(token: &str, identity: Identity) -> Self {
        Self { digest: digest(token), identity }
    }

    /// The credential of a digest in hexadecimal, as [`digest_hex`] writes it.
    #[must_use]
    pub fn of_digest(hex: &str, identity: Identity) -> Option<Self> {
        let text = hex.trim();
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        let mut digest = [0; 32];
        for (index, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).ok()?;
        }
        Some(Self { digest, identity })
    }
}

/// SHA-256 is enough: tokens are 256 random bits, not passwords.
fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// The digest of a token, for the file that outlives the process.
#[must_use]
pub fn digest_hex(token: &str) -> String {
    random::hex(&digest(token))
}

/// The bearer token that a request shows.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The bearer tokens of a server.
#[derive(Clone, Debug, Default)]
pub struct Tokens(Arc<Vec<Credential>>);

impl Tokens {
    /// The tokens that the server accepts.
    #[must_use]
    pub fn new(credentials: Vec<Credential>) -> Self {
        Self(Arc::new(credentials))
    }

    /// The caller that the `Authorization` header proves, if it does.
    #[must_use]
    pub fn authenticate(&self, headers: &HeaderMap) -> Option<Identity> {
        self.identify(bearer(headers)?)
    }

    /// The caller that a token proves, if it does.
    #[must_use]
    pub fn identify(&self, token: &str) -> Option<Identity> {
        let presented = digest(token);
        // All are compared, so that the time does not tell which one came near.
        let mut found = None;
        for credential in self.0.iter() {
            if bool::from(credential.digest.ct_eq(&presented)) {
                found = Some(credential.identity.clone());
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_token_is_let_in() {
        let tokens =
            Tokens::new(vec![Credential::of_token("good", Identity::administrator("admin"))]);
        let ask = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            tokens.authenticate(&headers).map(|identity| identity.name)
        };
        assert_eq!(ask("Bearer good"), Some("admin".to_owned()));
        assert_eq!(ask("bearer good"), Some("admin".to_owned()));
        assert_eq!(ask("Bearer bad"), None);
        assert_eq!(ask("Basic good"), None);
        assert_eq!(tokens.authenticate(&HeaderMap::new()), None);
    }

    #[test]
    fn digests_survive_their_file() {
        let identity = Identity::administrator("admin");
        let again = Credential::of_digest(&digest_hex("t"), identity.clone()).unwrap();
        assert_eq!(again.digest, Credential::of_token("t", identity.clone()).digest);
        assert!(Credential::of_digest("zz", identity).is_none());
    }
}
