//! The `spec` of a custom resource definition as this server reads it.
//!
//! Schemas and printer columns stay JSON: what Kubernetes adds to their
//! vocabulary passes through.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `spec`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Spec {
    pub group: String,
    pub scope: String,
    pub names: Names,
    pub versions: Vec<Version>,
    pub conversion: Option<Conversion>,
    #[serde(default)]
    pub preserve_unknown_fields: bool,
}

/// `spec.names`, and `status.acceptedNames`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Names {
    pub plural: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub singular: String,
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub list_kind: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub short_names: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
}

/// One of `spec.versions`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Version {
    pub name: String,
    pub served: bool,
    pub storage: bool,
    #[serde(default)]
    pub deprecated: bool,
    pub deprecation_warning: Option<String>,
    pub schema: Option<VersionSchema>,
    pub subresources: Option<Subresources>,
    #[serde(default)]
    pub additional_printer_columns: Vec<Value>,
    #[serde(default)]
    pub selectable_fields: Vec<SelectableField>,
}

/// `spec.versions[].schema`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct VersionSchema {
    #[serde(rename = "openAPIV3Schema")]
    pub open_api_v3_schema: Option<Value>,
}

/// `spec.versions[].subresources`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Subresources {
    pub status: Option<Value>,
    pub scale: Option<Scale>,
}

/// `spec.versions[].subresources.scale`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Scale {
    #[serde(default)]
    pub spec_replicas_path: String,
    #[serde(default)]
    pub status_replicas_path: String,
    pub label_selector_path: Option<String>,
}

/// One of `spec.versions[].selectableFields`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SelectableField {
    #[serde(default)]
    pub json_path: String,
}

/// `spec.conversion`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Conversion {
    #[serde(default)]
    pub strategy: String,
    pub webhook: Option<Value>,
}

impl Spec {
    /// Reads the spec of a definition.
    pub fn read(definition: &Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(&definition["spec"])
    }

    /// Whether objects live in namespaces.
    pub fn namespaced(&self) -> bool {
        self.scope == "Namespaced"
    }

    /// The version that objects are stored in.
    pub fn storage_version(&self) -> Option<&Version> {
        self.versions.iter().find(|version| version.storage)
    }
}

impl Version {
    /// The schema of the version's objects.
    pub fn schema(&self) -> Option<&Value> {
        self.schema.as_ref()?.open_api_v3_schema.as_ref()
    }

    /// Whether `/status` is a resource of its own.
    pub fn has_status(&self) -> bool {
        self.subresources.as_ref().is_some_and(|subresources| subresources.status.is_some())
    }

    /// The fields that selectors may name, as dotted paths.
    pub fn selectable(&self) -> Vec<String> {
        let fields = self.selectable_fields.iter();
        fields.map(|field| field.json_path.trim_start_matches('.').to_owned()).collect()
    }

    /// The paths of `/scale`.
    pub fn scale(&self) -> Option<&Scale> {
        self.subresources.as_ref()?.scale.as_ref()
    }
}

/// Fills in what Kubernetes fills in: the singular name, the kind of lists and
/// the conversion strategy.
pub(crate) fn fill_in(definition: &mut Value) {
    let Some(spec) = definition.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    let conversion = spec.entry("conversion").or_insert_with(|| Value::Object(Default::default()));
    if let Some(conversion) = conversion.as_object_mut() {
        conversion.entry("strategy").or_insert_with(|| Value::from("None"));
    }
    let Some(names) = spec.get_mut("names").and_then(Value::as_object_mut) else {
        return;
    };
    let kind = names.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    if kind.is_empty() {
        return;
    }
    for (field, value) in [("singular", kind.to_lowercase()), ("listKind", format!("{kind}List"))] {
        let absent = names.get(field).is_none_or(|name| name.as_str() == Some(""));
        if absent {
            names.insert(field.to_owned(), Value::from(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_and_strategy_are_filled_in() {
        let mut definition = json!({"spec": {"names": {"kind": "Barn", "plural": "barns"}}});
        fill_in(&mut definition);
        assert_eq!(
            definition["spec"],
            json!({
                "conversion": {"strategy": "None"},
                "names": {
                    "kind": "Barn", "plural": "barns", "singular": "barn", "listKind": "BarnList",
                },
            })
        );
        let mut own =
            json!({"spec": {"names": {"kind": "Ox", "singular": "bull", "listKind": "Oxen"}}});
        fill_in(&mut own);
        assert_eq!(own["spec"]["names"]["singular"], "bull");
        assert_eq!(own["spec"]["names"]["listKind"], "Oxen");
    }
}
