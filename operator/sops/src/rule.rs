//! Which values of a file are encrypted: the one rule that its metadata names.

use regex::{Regex, RegexBuilder};

use crate::SopsError;

/// What a rule's pattern may grow to once compiled (bytes).
const MAX_COMPILED: usize = 1024 * 1024;
/// What sops leaves alone when no rule is named.
const DEFAULT_UNENCRYPTED_SUFFIX: &str = "_unencrypted";

/// Says which values are encrypted, by the keys on the way to them.
#[derive(Debug, Clone)]
pub(crate) enum Rule {
    EncryptedSuffix(String),
    UnencryptedSuffix(String),
    EncryptedRegex(Regex),
    UnencryptedRegex(Regex),
}

impl Default for Rule {
    fn default() -> Self {
        Self::UnencryptedSuffix(DEFAULT_UNENCRYPTED_SUFFIX.to_owned())
    }
}

impl Rule {
    /// The rule that a field of the metadata names. None for fields that are no rule.
    pub(crate) fn of(field: &str, text: &str) -> Option<Result<Self, SopsError>> {
        let regex = |field, make: fn(Regex) -> Self| {
            let regex = RegexBuilder::new(text).size_limit(MAX_COMPILED).build();
            let problem = "not a regular expression, or too large a one";
            regex.map(make).map_err(|_| SopsError::Metadata { field, problem })
        };
        let comments = |field| {
            let problem = "rules on comments are not supported; use encrypted_regex";
            Err(SopsError::Metadata { field, problem })
        };
        Some(match field {
            "encrypted_suffix" => Ok(Self::EncryptedSuffix(text.to_owned())),
            "unencrypted_suffix" => Ok(Self::UnencryptedSuffix(text.to_owned())),
            "encrypted_regex" => regex("encrypted_regex", Self::EncryptedRegex),
            "unencrypted_regex" => regex("unencrypted_regex", Self::UnencryptedRegex),
            "encrypted_comment_regex" => comments("encrypted_comment_regex"),
            "unencrypted_comment_regex" => comments("unencrypted_comment_regex"),
            _ => return None,
        })
    }

    /// Whether what `key` leads to is singled out by this rule, whatever stands above.
    pub(crate) fn names(&self, key: &str) -> bool {
        match self {
            Self::EncryptedSuffix(suffix) | Self::UnencryptedSuffix(suffix) => {
                key.ends_with(suffix)
            }
            Self::EncryptedRegex(regex) | Self::UnencryptedRegex(regex) => regex.is_match(key),
        }
    }

    /// Whether a value is encrypted, given whether a key on its way was singled out.
    pub(crate) fn encrypts(&self, named: bool) -> bool {
        match self {
            Self::EncryptedSuffix(_) | Self::EncryptedRegex(_) => named,
            Self::UnencryptedSuffix(_) | Self::UnencryptedRegex(_) => !named,
        }
    }

    /// As the metadata says it.
    pub(crate) fn field(&self) -> (&'static str, &str) {
        match self {
            Self::EncryptedSuffix(suffix) => ("encrypted_suffix", suffix),
            Self::UnencryptedSuffix(suffix) => ("unencrypted_suffix", suffix),
            Self::EncryptedRegex(regex) => ("encrypted_regex", regex.as_str()),
            Self::UnencryptedRegex(regex) => ("unencrypted_regex", regex.as_str()),
        }
    }
}
