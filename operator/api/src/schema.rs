//! The schemas that leave this crate: CRDs for API servers, JSON Schemas for
//! editors.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::{
    API_VERSION, ConfigRepository, ConfigRepositorySpec, DockerHost, DockerHostSpec, Environment,
    EnvironmentSpec, EnvironmentTemplate, EnvironmentTemplateSpec, GitAccount, GitAccountSpec,
    HadesProject, HadesProjectSpec, RegistryAccount, RegistryAccountSpec, User, UserSpec,
};

/// The CustomResourceDefinitions of all kinds, sorted by name.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut crds = vec![
        ConfigRepository::crd(),
        DockerHost::crd(),
        Environment::crd(),
        EnvironmentTemplate::crd(),
        GitAccount::crd(),
        HadesProject::crd(),
        RegistryAccount::crd(),
        User::crd(),
    ];
    crds.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    crds
}

/// JSON Schemas (draft 2020-12) by kind, for editors: the manifest as people
/// write it, without status, unknown fields refused.
pub fn json_schemas() -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        ("ConfigRepository", manifest::<ConfigRepositorySpec>("ConfigRepository", true)),
        ("DockerHost", manifest::<DockerHostSpec>("DockerHost", false)),
        ("Environment", manifest::<EnvironmentSpec>("Environment", true)),
        ("EnvironmentTemplate", manifest::<EnvironmentTemplateSpec>("EnvironmentTemplate", true)),
        ("GitAccount", manifest::<GitAccountSpec>("GitAccount", false)),
        ("HadesProject", manifest::<HadesProjectSpec>("HadesProject", false)),
        ("RegistryAccount", manifest::<RegistryAccountSpec>("RegistryAccount", false)),
        ("User", manifest::<UserSpec>("User", false)),
    ])
}

/// One schema that accepts a manifest of any kind, which is what an editor
/// wants for files that hold several.
pub fn any_json_schema() -> Value {
    let kinds: Vec<Value> = json_schemas()
        .keys()
        .map(|kind| {
            json!({
                "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
                "then": {"$ref": format!("{}.json", kind.to_lowercase())},
            })
        })
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A manifest of Hades",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata"],
        "allOf": kinds,
    })
}

fn manifest<Spec: schemars::JsonSchema>(kind: &str, namespaced: bool) -> Value {
    let spec = SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<Spec>();
    let mut spec = spec.to_value();
    if let Some(object) = spec.as_object_mut() {
        object.remove("$schema");
        object.remove("title");
    }
    let mut metadata = json!({
        "name": {"type": "string", "minLength": 1, "maxLength": 63},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
    });
    if namespaced {
        metadata["namespace"] = json!({
            "type": "string",
            "description": "The project. A file in a ConfigRepository of a project may leave it out.",
        });
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": kind,
        "type": "object",
        "additionalProperties": false,
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {"const": API_VERSION},
            "kind": {"const": kind},
            "metadata": {
                "type": "object",
                "additionalProperties": false,
                "required": ["name"],
                "properties": metadata,
            },
            "spec": spec,
        },
    })
}
