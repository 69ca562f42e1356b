//! Resources that custom resource definitions describe.

use std::sync::Arc;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion,
};
use serde_json::{Value, json};

use super::{FULL_VERBS, Nature, Resource, ResourceInfo};
use crate::admission::schema::{SchemaError, StructuralSchema};
use crate::wire::table::{ColumnError, Columns};

/// Why a custom resource definition can't be served.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// Conversion between versions is not there.
    #[error(
        "the definition {name} must serve exactly one version, which is also the stored one; \
             it serves {served}"
    )]
    Versions {
        /// Name of the definition.
        name: String,
        /// How many versions it serves.
        served: usize,
    },
    /// The version has no schema.
    #[error("the definition {0} has no openAPIV3Schema")]
    NoSchema(String),
    /// The schema can't be compiled.
    #[error("the schema of the definition {name} can't be used")]
    Schema {
        /// Name of the definition.
        name: String,
        /// Where and why.
        source: SchemaError,
    },
    /// A printer column can't be compiled.
    #[error("the printer columns of the definition {name} can't be used")]
    Column {
        /// Name of the definition.
        name: String,
        /// Which and why.
        source: ColumnError,
    },
    /// The definition can't be written as JSON.
    #[error("the definition {name} can't be written as JSON")]
    Json {
        /// Name of the definition.
        name: String,
        /// Why.
        source: serde_json::Error,
    },
}

fn name_of(definition: &CustomResourceDefinition) -> String {
    definition
        .metadata
        .name
        .clone()
        .unwrap_or_else(|| format!("{}.{}", definition.spec.names.plural, definition.spec.group))
}

/// The resource of a definition.
pub(super) fn resource(definition: &CustomResourceDefinition) -> Result<Resource, DefinitionError> {
    let name = name_of(definition);
    let spec = &definition.spec;
    let mut served = spec.versions.iter().filter(|version| version.served);
    let version = match (served.next(), served.next()) {
        (Some(version), None) if version.storage => version,
        _ => {
            let served = spec.versions.iter().filter(|version| version.served).count();
            return Err(DefinitionError::Versions { name, served });
        }
    };
    let json = |source| DefinitionError::Json { name: name.clone(), source };
    let schema_json = version
        .schema
        .as_ref()
        .and_then(|schema| schema.open_api_v3_schema.as_ref())
        .ok_or_else(|| DefinitionError::NoSchema(name.clone()))
        .and_then(|schema| serde_json::to_value(schema).map_err(json))?;
    let columns = version.additional_printer_columns.as_deref().unwrap_or_default();
    let columns: Vec<Value> =
        columns.iter().map(serde_json::to_value).collect::<Result<_, _>>().map_err(json)?;
    let schema = StructuralSchema::compile(&schema_json)
        .map_err(|source| DefinitionError::Schema { name: name.clone(), source })?;
    let columns = if columns.is_empty() {
        Columns::builtin(&spec.group, &spec.names.kind)
    } else {
        Columns::compile(&columns)
            .map_err(|source| DefinitionError::Column { name: name.clone(), source })?
    };
    let names = &spec.names;
    Ok(Resource {
        storage: format!("{}/{}", spec.group, names.plural).into(),
        nature: Nature::Custom,
        schema,
        columns,
        selectable: selectable(version),
        info: ResourceInfo {
            group: spec.group.clone(),
            version: version.name.clone(),
            kind: names.kind.clone(),
            list_kind: names.list_kind.clone().unwrap_or_else(|| format!("{}List", names.kind)),
            plural: names.plural.clone(),
            singular: names.singular.clone().unwrap_or_else(|| names.kind.to_lowercase()),
            short_names: names.short_names.clone().unwrap_or_default(),
            categories: names.categories.clone().unwrap_or_default(),
            namespaced: spec.scope == "Namespaced",
            status: version.subresources.as_ref().is_some_and(|sub| sub.status.is_some()),
            verbs: FULL_VERBS,
            schema_json: Arc::new(schema_json),
        },
    })
}

/// The fields that selectors may name, as dotted paths.
fn selectable(version: &CustomResourceDefinitionVersion) -> Vec<String> {
    let fields = version.selectable_fields.as_deref().unwrap_or_default();
    fields.iter().map(|field| field.json_path.trim_start_matches('.').to_owned()).collect()
}

/// The object that clients see for an installed definition: with the status of
/// one that is being served.
///
/// # Errors
/// When the definition can't be written as JSON.
pub fn installed(
    definition: &CustomResourceDefinition,
    now: &str,
) -> Result<Value, DefinitionError> {
    let name = name_of(definition);
    let mut object = serde_json::to_value(definition)
        .map_err(|source| DefinitionError::Json { name: name.clone(), source })?;
    let names = object["spec"]["names"].clone();
    let stored: Vec<&str> = definition
        .spec
        .versions
        .iter()
        .filter(|version| version.storage)
        .map(|version| version.name.as_str())
        .collect();
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({"type": kind, "status": "True", "reason": reason, "message": message,
               "lastTransitionTime": now})
    };
    object["apiVersion"] = Value::from("apiextensions.k8s.io/v1");
    object["kind"] = Value::from("CustomResourceDefinition");
    object["metadata"]["name"] = Value::from(name);
    object["status"] = json!({
        "acceptedNames": names,
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        "storedVersions": stored,
    });
    Ok(object)
}
