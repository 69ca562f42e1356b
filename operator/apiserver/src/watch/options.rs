//! What a client asks of a watch.

use std::time::Duration;

use crate::http::list::{forbidden, invalid, text, unsupported_match, version_parameter};
use crate::wire::status::StatusError;
use crate::write::flag;

/// How long a watch lasts when the client doesn't say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// The longest watch; whoever wants more watches again.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Query parameters of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// 0 means any.
    pub version: Option<u64>,
    /// `Some(true)`: the initial objects first, and a bookmark after them.
    pub initial_events: Option<bool>,
    pub bookmarks: bool,
    pub timeout: Duration,
}

impl Options {
    /// Reads and checks the parameters.
    ///
    /// # Errors
    /// 400 for what can't be read, 422 for what doesn't go together.
    pub fn read(query: &[(String, String)]) -> Result<Self, StatusError> {
        let timeout = match text(query, "timeoutSeconds") {
            None | Some("0") => DEFAULT_TIMEOUT,
            Some(text) => {
                let seconds = text.parse().map_err(|_| {
                    StatusError::bad_request(format!("timeoutSeconds: {text:?} is not a number"))
                })?;
                Duration::from_secs(seconds).min(LONGEST)
            }
        };
        // As Kubernetes reads it: whatever is not a no is a yes.
        let initial_events = text(query, "sendInitialEvents")
            .map(|value| !matches!(value.to_ascii_lowercase().as_str(), "false" | "0"));
        check_match(query, initial_events.is_some())?;
        Ok(Self {
            version: version_parameter(query)?,
            initial_events,
            bookmarks: flag(query, "allowWatchBookmarks"),
            timeout,
        })
    }

    /// Whether the objects that exist already come first.
    pub fn starts_with_objects(&self) -> bool {
        match self.initial_events {
            Some(wanted) => wanted,
            None => matches!(self.version, None | Some(0)),
        }
    }

    /// Whether a bookmark tells where the initial objects end.
    pub fn marks_the_start(&self) -> bool {
        self.initial_events == Some(true) && self.bookmarks
    }
}

fn check_match(query: &[(String, String)], initial_events: bool) -> Result<(), StatusError> {
    let name = "resourceVersionMatch";
    let found = text(query, name);
    let mut causes = Vec::new();
    if initial_events && found != Some("NotOlderThan") {
        causes.push(forbidden(
            name,
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ));
    }
    if let Some(found) = found {
        if !initial_events {
            causes.push(forbidden(
                name,
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ));
        }
        if found != "NotOlderThan" {
            causes.push(unsupported_match(found, &["NotOlderThan"]));
        }
        if text(query, "continue").is_some() {
            causes.push(forbidden(
                name,
                "resourceVersionMatch is forbidden when continue is provided",
            ));
        }
    }
    if causes.is_empty() { Ok(()) } else { Err(invalid(causes)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Options, StatusError> {
        let pairs: Vec<(String, String)> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Options::read(&pairs)
    }

    #[test]
    fn a_watch_list_is_what_kubernetes_means_by_it() {
        let asked = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
        let options = read(&format!("{asked}&allowWatchBookmarks=true")).unwrap();
        assert!(options.starts_with_objects() && options.marks_the_start());
        assert!(!read(asked).unwrap().marks_the_start(), "nobody asked for bookmarks");
        let quiet = "sendInitialEvents=false&resourceVersionMatch=NotOlderThan";
        assert!(!read(quiet).unwrap().starts_with_objects());
        assert!(read("resourceVersion=0").unwrap().starts_with_objects());
        assert!(!read("resourceVersion=5").unwrap().starts_with_objects());
    }

    #[test]
    fn what_does_not_go_together_is_refused_in_the_words_of_kubernetes() {
        let cases = [
            (
                "resourceVersionMatch=NotOlderThan",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ),
            (
                "sendInitialEvents=true",
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            ),
            (
                "sendInitialEvents=true&resourceVersionMatch=Exact",
                "Unsupported value: \"Exact\": supported values: \"NotOlderThan\"",
            ),
            (
                "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&continue=x",
                "resourceVersionMatch is forbidden when continue is provided",
            ),
        ];
        for (query, text) in cases {
            let error = read(query).unwrap_err();
            assert_eq!(error.code(), 422, "{query}: {error}");
            assert!(error.message().contains(text), "{query}: {error}");
        }
        assert_eq!(read("timeoutSeconds=soon").unwrap_err().code(), 400);
        assert_eq!(read("timeoutSeconds=-1").unwrap_err().code(), 400);
        assert_eq!(read("timeoutSeconds=18446744073709551615").unwrap().timeout, LONGEST);
    }
}
