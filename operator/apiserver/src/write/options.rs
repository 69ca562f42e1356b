//! What a client asks of a write besides the object.

use serde_json::Value;

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

/// Query parameters of POST, PUT and PATCH.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteOptions {
    pub dry_run: bool,
    pub field_validation: FieldValidation,
    /// Who owns the written fields.
    pub manager: String,
    /// Whether the client named the manager, as apply demands.
    pub manager_given: bool,
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

fn dry_run<'a>(values: impl Iterator<Item = &'a str>) -> Result<bool, StatusError> {
    let mut dry = false;
    for value in values.filter(|value| !value.is_empty()) {
        if value != "All" {
            return Err(StatusError::bad_request(format!(
                "dryRun: unsupported value {value:?}: supported values: \"All\""
            )));
        }
        dry = true;
    }
    Ok(dry)
}

impl WriteOptions {
    /// Reads the parameters; `default_manager` is used where none is given.
    pub fn read(query: &Query, default_manager: &str) -> Result<Self, StatusError> {
        let dry = query.iter().filter(|(key, _)| key == "dryRun").map(|(_, value)| value.as_str());
        let field_validation = match parameter(query, "fieldValidation") {
            None | Some("") | Some("Warn") => FieldValidation::Warn,
            Some("Ignore") => FieldValidation::Ignore,
            Some("Strict") => FieldValidation::Strict,
            Some(other) => {
                return Err(StatusError::bad_request(format!(
                    "fieldValidation: unsupported value {other:?}: supported values: \"Ignore\", \
                     \"Warn\", \"Strict\""
                )));
            }
        };
        let manager = parameter(query, "fieldManager").filter(|name| !name.is_empty());
        if manager.is_some_and(|name| name.len() > MAX_MANAGER) {
            return Err(StatusError::bad_request(format!(
                "fieldManager: must not be longer than {MAX_MANAGER} bytes"
            )));
        }
        Ok(Self {
            dry_run: dry_run(dry)?,
            field_validation,
            manager: manager.unwrap_or(default_manager).to_owned(),
            manager_given: manager.is_some(),
            force: flag(query, "force"),
        })
    }
}

/// What becomes of the objects that name the deleted one as their owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Propagation {
    /// They are deleted afterwards.
    #[default]
    Background,
    /// They stay, without the reference.
    Orphan,
}

/// DeleteOptions from the body or the query.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeleteOptions {
    pub dry_run: bool,
    pub propagation: Propagation,
    pub uid: Option<String>,
    pub version: Option<String>,
}

impl DeleteOptions {
    /// Reads the body (null where there is none) and the query.
    pub fn read(query: &Query, body: &Value) -> Result<Self, StatusError> {
        let texts = |value: &Value| -> Vec<String> {
            let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
            list.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
        };
        let mut dry = texts(&body["dryRun"]);
        dry.extend(query.iter().filter(|(key, _)| key == "dryRun").map(|(_, value)| value.clone()));
        let policy = body["propagationPolicy"]
            .as_str()
            .or_else(|| parameter(query, "propagationPolicy"))
            .unwrap_or_default();
        let orphan_dependents = body["orphanDependents"] == Value::Bool(true);
        let propagation = match policy {
            // Dependents have no wait of their own here: what holds an owner
            // back is its finalizers.
            "" if !orphan_dependents => Propagation::Background,
            "Background" | "Foreground" => Propagation::Background,
            "" | "Orphan" => Propagation::Orphan,
            other => {
                return Err(StatusError::bad_request(format!(
                    "propagationPolicy: unsupported value {other:?}: supported values: \
                     \"Background\", \"Foreground\", \"Orphan\""
                )));
            }
        };
        let precondition = |field: &str| {
            body["preconditions"][field].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
        };
        Ok(Self {
            dry_run: dry_run(dry.iter().map(String::as_str))?,
            propagation,
            uid: precondition("uid"),
            version: precondition("resourceVersion"),
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

    #[test]
    fn write_options() {
        let read = WriteOptions::read(
            &query(&[("dryRun", "All"), ("fieldValidation", "Strict"), ("force", "true")]),
            "kubectl",
        )
        .unwrap();
        assert!(read.dry_run && read.force && !read.manager_given);
        assert_eq!(read.field_validation, FieldValidation::Strict);
        assert_eq!(read.manager, "kubectl");
        assert!(WriteOptions::read(&query(&[("dryRun", "Some")]), "m").is_err());
        assert!(WriteOptions::read(&query(&[("fieldValidation", "x")]), "m").is_err());
    }

    #[test]
    fn delete_options_come_from_body_and_query() {
        let body = json!({"propagationPolicy": "Orphan", "preconditions": {"uid": "u"}, "dryRun": ["All"]});
        let read = DeleteOptions::read(&[], &body).unwrap();
        assert_eq!(read.propagation, Propagation::Orphan);
        assert_eq!(read.uid.as_deref(), Some("u"));
        assert!(read.dry_run);
        let read =
            DeleteOptions::read(&query(&[("propagationPolicy", "Foreground")]), &Value::Null)
                .unwrap();
        assert_eq!(read.propagation, Propagation::Background);
        assert!(DeleteOptions::read(&query(&[("propagationPolicy", "x")]), &Value::Null).is_err());
    }
}
