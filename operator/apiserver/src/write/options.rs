//! What a client asks of a write besides the object.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions as DeleteBody;
use serde::Deserialize;
use serde_json::Value;

use crate::admission::{Cause, CauseReason};
use crate::wire::status::StatusError;

/// What happens to fields that the schema does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    /// They are dropped without a word.
    Ignore,
    /// They are dropped with a warning.
    #[default]
    Warn,
    /// They are an error.
    Strict,
}

/// Which write the options belong to; errors name it as Kubernetes does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum WriteKind {
    Create,
    #[default]
    Update,
    Patch,
    /// Server-side apply, the only one that knows `force`.
    Apply,
}

impl WriteKind {
    fn options(self) -> &'static str {
        match self {
            Self::Create => "CreateOptions",
            Self::Update => "UpdateOptions",
            Self::Patch | Self::Apply => "PatchOptions",
        }
    }
}

/// Query parameters of POST, PUT and PATCH.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteOptions {
    pub kind: WriteKind,
    pub dry_run: bool,
    pub field_validation: FieldValidation,
    /// Who owns the written fields.
    pub manager: String,
    pub force: bool,
}

/// Kubernetes allows no longer names of field managers.
const MAX_MANAGER: usize = 128;

type Query = [(String, String)];

pub(crate) fn parameter<'a>(query: &'a Query, name: &str) -> Option<&'a str> {
    query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

pub(crate) fn flag(query: &Query, name: &str) -> bool {
    parameter(query, name).is_some_and(|value| matches!(value, "true" | "1"))
}

/// A switch of the query; `None` where it is absent.
fn switch(query: &Query, name: &str) -> Result<Option<bool>, StatusError> {
    match parameter(query, name).map(str::to_ascii_lowercase).as_deref() {
        None => Ok(None),
        Some("true" | "1" | "") => Ok(Some(true)),
        Some("false" | "0") => Ok(Some(false)),
        Some(other) => Err(StatusError::bad_request(format!(
            "{name}: {other:?} is neither \"true\" nor \"false\""
        ))),
    }
}

fn unsupported(field: &str, value: &str, supported: &[&str]) -> Cause {
    let supported: Vec<String> = supported.iter().map(|value| format!("{value:?}")).collect();
    Cause::new(
        field,
        CauseReason::FieldValueNotSupported,
        format!("Unsupported value: {value:?}: supported values: {}", supported.join(", ")),
    )
}

fn refused(options: &str, causes: Vec<Cause>) -> StatusError {
    StatusError::invalid("meta.k8s.io", options, "", causes)
}

fn dry_run<'a>(values: impl Iterator<Item = &'a str>, causes: &mut Vec<Cause>) -> bool {
    let mut dry = false;
    for value in values.filter(|value| !value.is_empty()) {
        if value == "All" {
            dry = true;
        } else {
            causes.push(unsupported("dryRun", value, &["All"]));
        }
    }
    dry
}

fn dry_runs(query: &Query) -> impl Iterator<Item = &str> {
    query.iter().filter(|(key, _)| key == "dryRun").map(|(_, value)| value.as_str())
}

fn manager_causes(manager: &str) -> Option<Cause> {
    if manager.len() > MAX_MANAGER {
        return Some(Cause::new(
            "fieldManager",
            CauseReason::FieldValueTooLong,
            format!("Too long: may not be more than {MAX_MANAGER} bytes"),
        ));
    }
    let odd = manager.chars().find(|letter| letter.is_control())?;
    Some(Cause::new(
        "fieldManager",
        CauseReason::FieldValueInvalid,
        format!(
            "Invalid value: {manager:?}: should only contain printable characters, not {odd:?}"
        ),
    ))
}

impl WriteOptions {
    /// Reads the parameters; `default_manager` is used where none is given.
    ///
    /// # Errors
    /// 422 with every parameter that has no such value.
    pub fn read(
        query: &Query,
        kind: WriteKind,
        default_manager: &str,
    ) -> Result<Self, StatusError> {
        let mut causes = Vec::new();
        let dry_run = dry_run(dry_runs(query), &mut causes);
        let field_validation = match parameter(query, "fieldValidation") {
            None | Some("" | "Warn") => FieldValidation::Warn,
            Some("Ignore") => FieldValidation::Ignore,
            Some("Strict") => FieldValidation::Strict,
            Some(other) => {
                let supported = ["Ignore", "Strict", "Warn"];
                causes.push(unsupported("fieldValidation", other, &supported));
                FieldValidation::Warn
            }
        };
        let manager = parameter(query, "fieldManager").filter(|name| !name.is_empty());
        causes.extend(manager.and_then(manager_causes));
        if manager.is_none() && kind == WriteKind::Apply {
            causes.push(Cause::new(
                "fieldManager",
                CauseReason::FieldValueRequired,
                "Required value: is required for apply patch",
            ));
        }
        let force = switch(query, "force")?;
        if force.is_some() && kind == WriteKind::Patch {
            causes.push(Cause::new(
                "force",
                CauseReason::FieldValueForbidden,
                "Forbidden: may not be specified for non-apply patch",
            ));
        }
        if !causes.is_empty() {
            return Err(refused(kind.options(), causes));
        }
        let manager: String = match manager {
            Some(manager) => manager.to_owned(),
            None => default_manager.chars().filter(|letter| !letter.is_control()).collect(),
        };
        let manager = if manager.len() > MAX_MANAGER {
            manager.chars().take(MAX_MANAGER / 4).collect()
        } else {
            manager
        };
        Ok(Self { kind, dry_run, field_validation, manager, force: force.unwrap_or(false) })
    }
}

/// What becomes of the objects that name the deleted one as their owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Propagation {
    /// They are deleted afterwards.
    Background,
    /// They are deleted first; the owner waits for those that block it.
    Foreground,
    /// They stay, without the reference.
    Orphan,
}

const POLICIES: [&str; 4] = ["Background", "Foreground", "Orphan", "nil"];

/// DeleteOptions from the body and the query.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeleteOptions {
    pub dry_run: bool,
    /// `None` leaves it to the finalizers of the object.
    pub propagation: Option<Propagation>,
    pub uid: Option<String>,
    pub version: Option<String>,
}

impl DeleteOptions {
    /// Reads the body (null where there is none) and the query. Kubernetes looks
    /// at the query only where there is no body; here both count, so that a dry
    /// run asked for in either place is one.
    ///
    /// `gracePeriodSeconds` is understood and has no effect: nothing here takes
    /// time to stop.
    ///
    /// # Errors
    /// 400 where the body is no DeleteOptions, 422 where they contradict
    /// themselves.
    pub fn read(query: &Query, body: &Value) -> Result<Self, StatusError> {
        let body = if body.is_null() {
            DeleteBody::default()
        } else {
            DeleteBody::deserialize(body).map_err(|problem| {
                StatusError::bad_request(format!("the body is no DeleteOptions: {problem}"))
            })?
        };
        if let Some(kind) = body.kind.as_deref().filter(|kind| *kind != "DeleteOptions") {
            return Err(StatusError::bad_request(format!(
                "the body of a deletion must be a DeleteOptions, not a {kind}"
            )));
        }
        if let Some(seconds) = parameter(query, "gracePeriodSeconds")
            && seconds.parse::<i64>().is_err()
        {
            return Err(StatusError::bad_request(format!(
                "gracePeriodSeconds: {seconds:?} is not a number of seconds"
            )));
        }
        let mut causes = Vec::new();
        let dry = body.dry_run.iter().flatten().map(String::as_str).chain(dry_runs(query));
        let dry_run = dry_run(dry, &mut causes);
        let policy = body.propagation_policy.as_deref().or(parameter(query, "propagationPolicy"));
        let policy = policy.filter(|policy| !policy.is_empty());
        let orphans = match body.orphan_dependents {
            Some(orphans) => Some(orphans),
            None => switch(query, "orphanDependents")?,
        };
        if let (Some(policy), Some(_)) = (policy, orphans) {
            causes.push(Cause::new(
                "propagationPolicy",
                CauseReason::FieldValueInvalid,
                format!(
                    "Invalid value: {policy:?}: orphanDependents and deletionPropagation cannot \
                     be both set"
                ),
            ));
        }
        let propagation = match (policy, orphans) {
            (Some("Background"), _) => Some(Propagation::Background),
            (Some("Foreground"), _) => Some(Propagation::Foreground),
            (Some("Orphan"), _) => Some(Propagation::Orphan),
            (Some(other), _) => {
                causes.push(unsupported("propagationPolicy", other, &POLICIES));
                None
            }
            (None, Some(true)) => Some(Propagation::Orphan),
            (None, Some(false)) => Some(Propagation::Background),
            (None, None) => None,
        };
        if !causes.is_empty() {
            return Err(refused("DeleteOptions", causes));
        }
        let preconditions = body.preconditions.unwrap_or_default();
        Ok(Self {
            dry_run,
            propagation,
            uid: preconditions.uid.filter(|text| !text.is_empty()),
            version: preconditions.resource_version.filter(|text| !text.is_empty()),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn query(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn message(error: StatusError) -> (u16, String) {
        (error.code(), error.message().to_owned())
    }

    #[test]
    fn write_options() {
        let read = WriteOptions::read(
            &query(&[("dryRun", "All"), ("fieldValidation", "Strict")]),
            WriteKind::Patch,
            "kubectl",
        )
        .unwrap();
        assert!(read.dry_run && !read.force);
        assert_eq!(read.field_validation, FieldValidation::Strict);
        assert_eq!(read.manager, "kubectl");
        let apply = query(&[("force", "true"), ("fieldManager", "me")]);
        assert!(WriteOptions::read(&apply, WriteKind::Apply, "").unwrap().force);
    }

    #[test]
    fn values_that_mean_nothing_are_named() {
        type Case<'a> = (&'a [(&'a str, &'a str)], WriteKind, u16, &'a str);
        let cases: &[Case<'_>] = &[
            (
                &[("dryRun", "Some")],
                WriteKind::Create,
                422,
                "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: \"Some\": \
                 supported values: \"All\"",
            ),
            (
                &[("fieldValidation", "x")],
                WriteKind::Update,
                422,
                "UpdateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \
                 \"x\": supported values: \"Ignore\", \"Strict\", \"Warn\"",
            ),
            (
                &[],
                WriteKind::Apply,
                422,
                "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is \
                 required for apply patch",
            ),
            (
                &[("force", "true")],
                WriteKind::Patch,
                422,
                "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified \
                 for non-apply patch",
            ),
            (
                &[("force", "perhaps"), ("fieldManager", "m")],
                WriteKind::Apply,
                400,
                "force: \"perhaps\" is neither \"true\" nor \"false\"",
            ),
        ];
        for (pairs, kind, code, text) in cases {
            let error = WriteOptions::read(&query(pairs), *kind, "m").unwrap_err();
            assert_eq!(message(error), (*code, (*text).to_owned()));
        }
        let long = "x".repeat(129);
        assert!(
            WriteOptions::read(&query(&[("fieldManager", &long)]), WriteKind::Create, "").is_err()
        );
        let read = WriteOptions::read(&[], WriteKind::Create, &long).unwrap();
        assert!(read.manager.len() <= MAX_MANAGER, "the name of the program is only cut");
    }

    #[test]
    fn delete_options_come_from_body_and_query() {
        let body = json!({"propagationPolicy": "Orphan", "preconditions": {"uid": "u"},
            "dryRun": ["All"], "gracePeriodSeconds": 0});
        let read = DeleteOptions::read(&[], &body).unwrap();
        assert_eq!(read.propagation, Some(Propagation::Orphan));
        assert_eq!(read.uid.as_deref(), Some("u"));
        assert!(read.dry_run);
        let policies = [
            ("propagationPolicy", "Foreground", Propagation::Foreground),
            ("propagationPolicy", "Background", Propagation::Background),
            ("orphanDependents", "true", Propagation::Orphan),
            ("orphanDependents", "false", Propagation::Background),
        ];
        for (name, value, expected) in policies {
            let read = DeleteOptions::read(&query(&[(name, value)]), &Value::Null).unwrap();
            assert_eq!(read.propagation, Some(expected), "{name}={value}");
        }
        assert_eq!(DeleteOptions::read(&[], &json!({})).unwrap().propagation, None);
    }

    #[test]
    fn delete_options_that_contradict_themselves_are_refused() {
        let both = json!({"propagationPolicy": "Foreground", "orphanDependents": true});
        let (code, text) = message(DeleteOptions::read(&[], &both).unwrap_err());
        assert_eq!(code, 422);
        assert!(text.contains("cannot be both set"), "{text}");
        let (code, text) = message(
            DeleteOptions::read(&query(&[("propagationPolicy", "x")]), &Value::Null).unwrap_err(),
        );
        assert_eq!(code, 422);
        assert!(text.contains("\"Background\", \"Foreground\", \"Orphan\", \"nil\""), "{text}");
        for body in [json!([]), json!({"dryRun": "All"}), json!({"kind": "Secret"})] {
            assert_eq!(DeleteOptions::read(&[], &body).unwrap_err().code(), 400, "{body}");
        }
    }
}
