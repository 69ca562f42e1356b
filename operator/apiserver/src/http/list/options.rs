//! What a client asks of a list: how much of it, and as of which version.

use crate::admission::{Cause, CauseReason};
use crate::wire::status::StatusError;
use crate::write::parameter;

type Query = [(String, String)];

/// What the version of the answer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The latest.
    Latest,
    /// This one or a later one.
    NotOlderThan(u64),
    /// This one.
    Exact(u64),
}

/// Query parameters of a list, those of a [`super::Filter`] aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListOptions {
    pub limit: Option<usize>,
    pub token: Option<String>,
    pub wanted: Wanted,
}

/// 422 as Kubernetes words it.
pub(crate) fn invalid(causes: Vec<Cause>) -> StatusError {
    StatusError::invalid("meta.k8s.io", "ListOptions", "", causes)
}

/// A parameter that may not be given, with the reason.
pub(crate) fn forbidden(name: &str, why: &str) -> Cause {
    Cause::new(name, CauseReason::FieldValueForbidden, format!("Forbidden: {why}"))
}

/// A `resourceVersionMatch` that there is not, or not here.
pub(crate) fn unsupported_match(found: &str, supported: &[&str]) -> Cause {
    let quoted: Vec<String> = supported.iter().map(|one| format!("{one:?}")).collect();
    let message = format!("Unsupported value: {found:?}: supported values: {}", quoted.join(", "));
    Cause::new("resourceVersionMatch", CauseReason::FieldValueNotSupported, message)
}

/// A parameter that counts as absent when it is empty.
pub(crate) fn text<'a>(query: &'a Query, name: &str) -> Option<&'a str> {
    parameter(query, name).filter(|value| !value.is_empty())
}

/// The resourceVersion parameter, where it names one. 0 means any.
pub(crate) fn version_parameter(query: &Query) -> Result<Option<u64>, StatusError> {
    let Some(text) = text(query, "resourceVersion") else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| {
        StatusError::bad_request(format!(
            "invalid resource version: resourceVersion: Invalid value: {text:?}: must be a whole \
             number that this server gave as a resourceVersion"
        ))
    })
}

/// 504 where the client asks for a version that is not there yet. Versions are
/// given out only once they can be read, so that waiting would not help.
pub(crate) fn check_not_newer(wanted: Option<u64>, current: u64) -> Result<(), StatusError> {
    match wanted {
        Some(wanted) if wanted > current => Err(StatusError::version_too_large(wanted, current)),
        _ => Ok(()),
    }
}

impl ListOptions {
    /// Reads and checks the parameters.
    ///
    /// # Errors
    /// 400 for what can't be read, 422 for what doesn't go together.
    pub fn read(query: &Query) -> Result<Self, StatusError> {
        let limit = match text(query, "limit") {
            None => None,
            Some(text) => {
                let limit = text.parse::<i64>().map_err(|_| {
                    StatusError::bad_request(format!(
                        "limit: Invalid value: {text:?}: must be a whole number"
                    ))
                })?;
                // As in Kubernetes, 0 and less mean no limit.
                usize::try_from(limit).ok().filter(|limit| *limit > 0)
            }
        };
        let token = text(query, "continue").map(str::to_owned);
        check_match(query, token.is_some())?;
        let version = version_parameter(query)?;
        if token.is_some() && version.is_some_and(|version| version > 0) {
            return Err(StatusError::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        let wanted = match (version, text(query, "resourceVersionMatch")) {
            (None | Some(0), _) => Wanted::Latest,
            (Some(version), Some("Exact")) => Wanted::Exact(version),
            // What a limit meant before there was resourceVersionMatch.
            (Some(version), None) if limit.is_some() => Wanted::Exact(version),
            (Some(version), _) => Wanted::NotOlderThan(version),
        };
        Ok(Self { limit, token, wanted })
    }
}

fn check_match(query: &Query, continues: bool) -> Result<(), StatusError> {
    let mut causes = Vec::new();
    let version = text(query, "resourceVersion");
    if let Some(found) = text(query, "resourceVersionMatch") {
        let name = "resourceVersionMatch";
        if version.is_none() {
            causes.push(forbidden(
                name,
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ));
        }
        if continues {
            causes.push(forbidden(
                name,
                "resourceVersionMatch is forbidden when continue is provided",
            ));
        }
        if !matches!(found, "Exact" | "NotOlderThan") {
            causes.push(unsupported_match(found, &["Exact", "NotOlderThan", ""]));
        }
        if found == "Exact" && version == Some("0") {
            causes.push(forbidden(
                name,
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            ));
        }
    }
    if text(query, "sendInitialEvents").is_some() {
        causes.push(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    if causes.is_empty() { Ok(()) } else { Err(invalid(causes)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<ListOptions, StatusError> {
        let pairs: Vec<(String, String)> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        ListOptions::read(&pairs)
    }

    #[test]
    fn versions_mean_what_they_mean_in_kubernetes() {
        let cases = [
            ("", Wanted::Latest),
            ("resourceVersion=", Wanted::Latest),
            ("resourceVersion=0", Wanted::Latest),
            ("resourceVersion=0&resourceVersionMatch=NotOlderThan", Wanted::Latest),
            ("resourceVersion=7", Wanted::NotOlderThan(7)),
            ("resourceVersion=7&limit=0", Wanted::NotOlderThan(7)),
            ("resourceVersion=7&limit=5", Wanted::Exact(7)),
            (
                "resourceVersion=7&resourceVersionMatch=NotOlderThan&limit=5",
                Wanted::NotOlderThan(7),
            ),
            ("resourceVersion=7&resourceVersionMatch=Exact", Wanted::Exact(7)),
        ];
        for (query, wanted) in cases {
            assert_eq!(read(query).unwrap().wanted, wanted, "{query}");
        }
        assert_eq!(read("limit=-1").unwrap().limit, None);
        assert_eq!(read("limit=500&continue=x").unwrap().token.as_deref(), Some("x"));
    }

    #[test]
    fn what_does_not_go_together_is_refused_in_the_words_of_kubernetes() {
        let cases = [
            (
                "resourceVersionMatch=Exact",
                422,
                "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless \
                 resourceVersion is provided",
            ),
            (
                "resourceVersion=1&continue=x&resourceVersionMatch=Exact",
                422,
                "resourceVersionMatch is forbidden when continue is provided",
            ),
            (
                "resourceVersion=1&resourceVersionMatch=Newest",
                422,
                "Unsupported value: \"Newest\": supported values: \"Exact\", \"NotOlderThan\", \"\"",
            ),
            (
                "resourceVersion=0&resourceVersionMatch=Exact",
                422,
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            ),
            ("sendInitialEvents=true", 422, "sendInitialEvents is forbidden for list"),
            (
                "resourceVersion=1&continue=x",
                400,
                "specifying resource version is not allowed when using continue",
            ),
            ("resourceVersion=x", 400, "invalid resource version"),
            ("resourceVersion=-1", 400, "invalid resource version"),
            ("limit=many", 400, "limit"),
        ];
        for (query, code, text) in cases {
            let error = read(query).unwrap_err();
            assert_eq!(error.code(), code, "{query}: {error}");
            assert!(error.message().contains(text), "{query}: {error}");
        }
        let error = read("resourceVersionMatch=Exact").unwrap_err();
        assert!(
            error.message().starts_with("ListOptions.meta.k8s.io \"\" is invalid: "),
            "{error}"
        );
    }
}
