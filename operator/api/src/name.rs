//! Names of projects, environments, services and hosts.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest name of a project, environment, service or volume, so that names made
/// of several of them stay readable.
pub const MAX_LENGTH: usize = 40;

/// Why a name can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("a name can't be empty")]
    Empty,
    /// Over 63 characters.
    #[error("{0:?} is longer than 63 characters")]
    TooLong(String),
    /// Characters that RFC 1123 doesn't allow.
    #[error(
        "{0:?} may only hold lower-case letters, digits and '-', and must start and end with a letter or digit"
    )]
    BadCharacters(String),
}

/// Checks that `text` is an RFC 1123 label.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_label(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > 63 {
        return Err(NameError::TooLong(text.to_owned()));
    }
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends_fit = alphanumeric(bytes[0]) && alphanumeric(bytes[bytes.len() - 1]);
    if !ends_fit || !bytes.iter().all(|&b| alphanumeric(b) || b == b'-') {
        return Err(NameError::BadCharacters(text.to_owned()));
    }
    Ok(())
}

/// Whether an object of the API can have this name: a subdomain of RFC 1123.
pub fn is_object_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(inner)
    };
    text.len() <= 253 && text.split('.').all(is_part)
}

/// Whether a HadesProject may not have this name, as the namespace belongs to
/// Kubernetes or to Hades itself.
pub fn is_reserved(project: &str) -> bool {
    project == "default" || project.starts_with("kube-") || project.starts_with("hades-")
}

/// `PROJECT/ENVIRONMENT`, as people write it everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EnvironmentName {
    /// Project, which is also the namespace.
    pub project: String,
    /// Name of the Environment object.
    pub environment: String,
}

impl EnvironmentName {
    /// From its two halves.
    pub fn new(project: impl Into<String>, environment: impl Into<String>) -> Self {
        Self { project: project.into(), environment: environment.into() }
    }
}

impl fmt::Display for EnvironmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project, self.environment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        for good in ["a", "a-b", "0x", &"a".repeat(63)] {
            assert_eq!(check_label(good), Ok(()), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", "ä", &"a".repeat(64)] {
            assert!(check_label(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_of_objects() {
        for good in ["db", "db.production", "a-b.0"] {
            assert!(is_object_name(good), "{good}");
        }
        for bad in ["", ".", "..", "../other/db", "a/b", "a?b", "a%2fb", "A", "a..b"] {
            assert!(!is_object_name(bad), "{bad}");
        }
    }

    #[test]
    fn reserved_projects() {
        assert!(is_reserved("default") && is_reserved("kube-system") && is_reserved("hades-x"));
        assert!(!is_reserved("shop") && !is_reserved("hades"));
    }
}
