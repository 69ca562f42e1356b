//! The shapes of names, label keys and label values.

use crate::registry::{Nature, Resource};

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
                         characters, '-' or '.', and must start and end with an alphanumeric \
                         character (e.g. 'example.com', regex used for validation is \
                         '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric \
                     characters or '-', and must start and end with an alphanumeric character \
                     (e.g. 'my-name',  or '123-abc', regex used for validation is \
                     '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const NAME_PART: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and \
                         must start and end with an alphanumeric character (e.g. 'MyName',  or \
                         'my.name',  or '123-abc', regex used for validation is \
                         '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, \
                     '-', '_' or '.', and must start and end with an alphanumeric character (e.g. \
                     'MyValue',  or 'my_value',  or '12345', regex used for validation is \
                     '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// The longest name of an object, and prefix of a label key.
const MAX_SUBDOMAIN: usize = 253;
/// The longest name that only has to be a step of a path. Escaped it is three times as
/// long, and there may be more of a path.
const MAX_SEGMENT: usize = 1024;
/// The longest label of DNS, part of a label key and label value.
const MAX_LABEL: usize = 63;

fn too_long(limit: usize) -> String {
    format!("must be no more than {limit} bytes")
}

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Letters, digits and `-_.` between letters or digits.
fn is_word(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn label_errors(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if text.len() > MAX_LABEL {
        errors.push(too_long(MAX_LABEL));
    }
    if !is_label(text) {
        errors.push(LABEL.to_owned());
    }
    errors
}

pub(super) fn subdomain_errors(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if text.len() > MAX_SUBDOMAIN {
        errors.push(too_long(MAX_SUBDOMAIN));
    }
    if !text.split('.').all(is_label) {
        errors.push(SUBDOMAIN.to_owned());
    }
    errors
}

/// Names that only have to be one step of a path, as roles have. Kubernetes sets them
/// no limit; a name that no request can carry could be neither read nor deleted.
pub(super) fn path_segment_errors(text: &str) -> Vec<String> {
    if matches!(text, "." | "..") {
        return vec![format!("may not be '{text}'")];
    }
    let mut errors: Vec<String> = ["/", "%"]
        .iter()
        .filter(|letter| text.contains(**letter))
        .map(|letter| format!("may not contain '{letter}'"))
        .collect();
    if text.contains(char::is_control) {
        errors.push("may not contain control characters".to_owned());
    }
    if text.len() > MAX_SEGMENT {
        errors.push(too_long(MAX_SEGMENT));
    }
    errors
}

/// What is wrong with the name of an object, in the words of Kubernetes. A
/// `prefix` may end with a dash, for something will follow.
pub(super) fn object_name_errors(resource: &Resource, name: &str, prefix: bool) -> Vec<String> {
    let masked = match name.strip_suffix('-') {
        Some(start) if prefix => format!("{start}a"),
        _ => name.to_owned(),
    };
    if resource.nature == Nature::Namespace {
        label_errors(&masked)
    } else if resource.info.group == "rbac.authorization.k8s.io" {
        path_segment_errors(&masked)
    } else {
        subdomain_errors(&masked)
    }
}

/// What is wrong with a key of labels or annotations, or a finalizer.
pub(super) fn qualified_name_errors(key: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let name = match key.split_once('/') {
        Some((prefix, name)) => {
            if prefix.is_empty() {
                errors.push("prefix part must be non-empty".to_owned());
            } else {
                let wrong = subdomain_errors(prefix);
                errors.extend(wrong.into_iter().map(|error| format!("prefix part {error}")));
            }
            name
        }
        None => key,
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if name.len() > MAX_LABEL {
        errors.push(format!("name part {}", too_long(MAX_LABEL)));
    }
    if !is_word(name) {
        errors.push(NAME_PART.to_owned());
    }
    errors
}

/// What is wrong with the value of a label.
pub(super) fn label_value_errors(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > MAX_LABEL {
        errors.push(too_long(MAX_LABEL));
    }
    if !value.is_empty() && !is_word(value) {
        errors.push(VALUE.to_owned());
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_have_their_shape() {
        for key in ["tier", "app.kubernetes.io/name", "A_b.c-d", &"x".repeat(63)] {
            assert_eq!(qualified_name_errors(key), Vec::<String>::new(), "{key}");
        }
        let wrong = ["", "/x", "a/", "a/b/c", "bad key", "-x", "A.example/x", &"x".repeat(64)];
        for key in wrong {
            assert!(!qualified_name_errors(key).is_empty(), "{key}");
        }
        assert!(label_value_errors("").is_empty() && label_value_errors("My_value.1").is_empty());
        for value in ["-x", "a b", &"x".repeat(64)] {
            assert!(!label_value_errors(value).is_empty(), "{value}");
        }
    }

    #[test]
    fn names_are_domains_and_roles_are_steps_of_a_path() {
        assert!(subdomain_errors("a.b-c.1").is_empty());
        for name in ["A", "a..b", "a_b", "-a", ""] {
            assert!(!subdomain_errors(name).is_empty(), "{name}");
        }
        assert!(path_segment_errors("system:node").is_empty());
        assert_eq!(path_segment_errors("a/b%").len(), 2);
        assert!(path_segment_errors(&"x".repeat(1024)).is_empty());
        assert_eq!(path_segment_errors(&"x".repeat(1025)).len(), 1);
        for name in ["a\0", "a\nb", "\u{1b}[2J", "\u{85}"] {
            assert_eq!(path_segment_errors(name).len(), 1, "{name:?}");
        }
    }
}
