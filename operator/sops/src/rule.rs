//! Which values of a file are encrypted: the one rule that its metadata names.

use regex::bytes::{Regex, RegexBuilder};

use crate::SopsError;

/// What a rule's pattern may grow to once compiled (bytes). A list of 40 names takes half
/// of it; at worst a megabyte of keys costs a second or two.
const MAX_COMPILED: usize = 16 * 1024;
/// Bytes of a pattern. What is compiled is bounded only once it was parsed, and a class
/// such as `\w` takes thousands of times its length.
const MAX_PATTERN: usize = 4 * 1024;
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
            let problem = "not a regular expression, or too large a one";
            compiled(text).map(make).ok_or(SopsError::Metadata { field, problem })
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
            Self::EncryptedRegex(regex) | Self::UnencryptedRegex(regex) => {
                regex.is_match(key.as_bytes())
            }
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

/// A pattern as Go reads it, to which `\w`, `\d`, `\s` and `\b` are about ASCII alone:
/// about all of Unicode they are also a hundred times as large. What can't be read so,
/// such as letters beyond ASCII in a class, is read as Unicode.
fn compiled(text: &str) -> Option<Regex> {
    if text.len() > MAX_PATTERN {
        return None;
    }
    let build =
        |unicode| RegexBuilder::new(text).unicode(unicode).size_limit(MAX_COMPILED).build().ok();
    build(false).or_else(|| build(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_people_write_fit() {
        let fields = "^(apiVersion|metadata|kind|type|status|spec|immutable|creationTimestamp|\
                      namespace|name|labels|annotations|ownerReferences|finalizers|generation|\
                      resourceVersion|uid|selfLink)$";
        for (pattern, inside, outside) in [
            ("^(data|stringData)$", "stringData", "metadata"),
            (r"(?i)(passw(or)?d|token|secret|api[_-]?key|credential|cert)", "API-Key", "user"),
            (r"^(\w+_)?(password|token)$", "db_password", "password_file"),
            (r"^[\w.-]+\.(crt|key|pem)$", "tls.key", "tls.txt"),
            (r"^.{1,63}$", "a", ""),
            ("^[äöü]+$", "öl".trim_end_matches('l'), "ol"),
            (fields, "resourceVersion", "data"),
        ] {
            let rule = Rule::of("encrypted_regex", pattern).unwrap().unwrap();
            assert!(rule.names(inside) && !rule.names(outside), "{pattern}");
        }
        // As in Go, a letter beyond ASCII is no `\w`.
        assert!(!Rule::of("encrypted_regex", r"^\w+$").unwrap().unwrap().names("schlüssel"));
    }

    #[test]
    fn costly_patterns_are_refused() {
        for pattern in [
            "[ab]*a[ab]{1000}[cd]".to_owned(),
            "((((a{99}){99}){99}){99})".to_owned(),
            r"\pL".repeat(100),
            r"\w".repeat(MAX_PATTERN),
        ] {
            let refusal = Rule::of("unencrypted_regex", &pattern).unwrap().unwrap_err();
            let is_it = matches!(refusal, SopsError::Metadata { field: "unencrypted_regex", .. });
            assert!(is_it, "{refusal:?}");
        }
    }
}
