//! The address of a request without what may be secret in it.

use axum::http::Uri;
use percent_encoding::percent_decode_str;

/// Parameters whose values tell what was asked for: those of Kubernetes and of the
/// streams. They hold no secret, but for a `command` that somebody wrote one into.
const TOLD: [&str; 34] = [
    "allowWatchBookmarks",
    "command",
    "container",
    "dryRun",
    "environment",
    "fieldManager",
    "fieldSelector",
    "fieldValidation",
    "follow",
    "force",
    "gracePeriodSeconds",
    "includeObject",
    "labelSelector",
    "limit",
    "orphanDependents",
    "pretty",
    "propagationPolicy",
    "resource",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "service",
    "since",
    "stderr",
    "stdin",
    "stdout",
    "tail",
    "timeoutSeconds",
    "timestamps",
    "tty",
    "until",
    "user",
    "watch",
    "workingDir",
];

/// What stands for a value that is not told.
const HIDDEN: &str = "-";

/// The path, and the query with the values of unknown parameters left out.
pub fn without_secrets(uri: &Uri) -> String {
    let mut text = uri.path().to_owned();
    let Some(query) = uri.query() else { return text };
    let mut mark = '?';
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let name = percent_decode_str(key).decode_utf8_lossy();
        text.push(mark);
        mark = '&';
        if TOLD.contains(&name.as_ref()) {
            text.push_str(part);
        } else if value.is_empty() {
            // A secret can stand where a name should.
            text.push_str(HIDDEN);
        } else {
            text.push_str(key);
            text.push('=');
            text.push_str(HIDDEN);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_be_no_secret_is_told() {
        let told = |text: &str| without_secrets(&text.parse().unwrap());
        assert_eq!(told("/a/b"), "/a/b");
        assert_eq!(told("/a?&limit=1"), "/a?limit=1");
        assert_eq!(told("/a?watch=true&labelSelector=x%3Dy"), "/a?watch=true&labelSelector=x%3Dy");
        assert_eq!(told("/a?token=hds_1&%74oken=2&limit=1"), "/a?token=-&%74oken=-&limit=1");
        assert_eq!(told("/a?hds_secret"), "/a?-");
        assert_eq!(told("/exec?command=sh&command=-c"), "/exec?command=sh&command=-c");
    }
}
