//! Continue tokens: where the next page of a list begins.
//!
//! ```text
//! base64url( version NUL rows left NUL namespace NUL name, keyed digest )
//! ```
//! The digest covers the resource, the namespace and the selectors as well, so
//! that a token fits only the list that it came from. It outlives a restart, as
//! the key does.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

use crate::seal::Keyring;
use crate::wire::status::StatusError;

/// Length of the digest: 16 bytes in hexadecimal.
const DIGEST: usize = 32;

/// Where a list goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The version of the pages before; `None` where the client accepted that the
    /// rest is as of another.
    pub version: Option<u64>,
    /// How many rows were left, where the list counts them.
    pub left: Option<u64>,
    /// The last object of the page before.
    pub namespace: String,
    pub name: String,
}

/// What a token is bound to.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    parts: [String; 5],
}

impl Binding {
    /// A list of `resource` in the namespace of the path, with these selectors.
    pub fn new(resource: &str, namespace: Option<&str>, labels: &str, fields: &str) -> Self {
        // No namespace is not the same as an empty one.
        let namespace = namespace.map_or_else(|| "*".to_owned(), |name| format!("={name}"));
        let parts = ["continue", resource, &namespace, labels, fields];
        Self { parts: parts.map(str::to_owned) }
    }

    fn digest(&self, keyring: &Keyring, payload: &str) -> String {
        let parts: Vec<&str> = self.parts.iter().map(String::as_str).collect();
        keyring.fingerprint(&parts, payload.as_bytes())
    }
}

fn number(value: Option<u64>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

impl Place {
    /// The token of this place.
    pub fn encode(&self, keyring: &Keyring, binding: &Binding) -> String {
        let Self { version, left, namespace, name } = self;
        let mut payload = format!("{}\0{}\0{namespace}\0{name}", number(*version), number(*left));
        let digest = binding.digest(keyring, &payload);
        payload.push_str(&digest);
        BASE64.encode(payload)
    }

    /// Reads a token that [`Place::encode`] made for the same list.
    ///
    /// # Errors
    /// 400 for every other text.
    pub fn decode(token: &str, keyring: &Keyring, binding: &Binding) -> Result<Self, StatusError> {
        Self::read(token, keyring, binding).ok_or_else(|| {
            StatusError::bad_request(
                "invalid continue token: continue key is not valid: it belongs to another list, \
                 or is none that this server gave; start a new list without it",
            )
        })
    }

    fn read(token: &str, keyring: &Keyring, binding: &Binding) -> Option<Self> {
        let text = String::from_utf8(BASE64.decode(token).ok()?).ok()?;
        let (payload, digest) = text.split_at_checked(text.len().checked_sub(DIGEST)?)?;
        if binding.digest(keyring, payload) != digest {
            return None;
        }
        let number = |text: &str| match text {
            "" => Some(None),
            text => text.parse().ok().map(Some),
        };
        let mut parts = payload.splitn(4, '\0');
        Some(Self {
            version: number(parts.next()?)?,
            left: number(parts.next()?)?,
            namespace: parts.next()?.to_owned(),
            name: parts.next()?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_fits_the_list_that_it_came_from_and_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let keyring = Keyring::load_or_create(directory.path()).unwrap();
        let binding = Binding::new("/configmaps", Some("shop"), "a=b", "");
        let place = Place {
            version: Some(17),
            left: Some(3),
            namespace: "shop".to_owned(),
            name: "m-1".to_owned(),
        };
        let token = place.encode(&keyring, &binding);
        assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        // A restart keeps the key.
        let again = Keyring::load_or_create(directory.path()).unwrap();
        assert_eq!(Place::decode(&token, &again, &binding).unwrap(), place);
        let bare = Place { version: None, left: None, ..place.clone() };
        let decoded = Place::decode(&bare.encode(&keyring, &binding), &keyring, &binding);
        assert_eq!(decoded.unwrap(), bare);
        for other in [
            Binding::new("/secrets", Some("shop"), "a=b", ""),
            Binding::new("/configmaps", None, "a=b", ""),
            Binding::new("/configmaps", Some("shop"), "a=c", ""),
            Binding::new("/configmaps", Some("shop"), "a=b", "metadata.name=x"),
        ] {
            assert_eq!(Place::decode(&token, &keyring, &other).unwrap_err().code(), 400);
        }
        let mut changed = BASE64.decode(&token).unwrap();
        changed[0] = b'2';
        for bad in ["", "x", "!", "bm90aGluZw", &token[1..], &BASE64.encode(changed)] {
            let error = Place::decode(bad, &keyring, &binding).unwrap_err();
            assert!(error.message().starts_with("invalid continue token: "), "{error}");
        }
    }
}
