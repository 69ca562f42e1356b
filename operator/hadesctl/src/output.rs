//! Objects as YAML, JSON or names.

use clap::ValueEnum;
use kube::api::DynamicObject;
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::Error;

/// How to show what a list command finds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ListForm {
    #[default]
    Table,
    Yaml,
    Json,
    Name,
}

/// YAML of any value, ending in a line break.
pub fn yaml(value: &impl Serialize) -> Result<String, Error> {
    let mut text =
        serde_saphyr::to_string(value).map_err(|error| Error::Encode(Box::new(error)))?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// JSON of any value, for people, ending in a line break.
pub fn json(value: &impl Serialize) -> Result<String, Error> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| Error::Encode(Box::new(error)))?;
    Ok(format!("{text}\n"))
}

/// An object to be printed. Who owns which field is left out unless asked for.
pub fn value(object: &DynamicObject, show_managed_fields: bool) -> Result<Value, Error> {
    let mut value = serde_json::to_value(object).map_err(|error| Error::Encode(Box::new(error)))?;
    if !show_managed_fields
        && let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut)
    {
        metadata.remove("managedFields");
    }
    Ok(value)
}

/// Several objects as one.
pub fn list(items: Vec<Value>) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items})
}
