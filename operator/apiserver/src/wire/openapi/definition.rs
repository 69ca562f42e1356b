//! The schema of the kind CustomResourceDefinition. A schema of schemas is
//! recursive, so that it can't be inlined: its parts are components with
//! references.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

const REFERENCE: &str = "#/components/schemas/";
const PREFIX: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.";

/// Component of one schema.
const PROPS: &str = "JSONSchemaProps";

/// Components that hold any JSON, or a schema and something else. Kubernetes
/// publishes them without a structure, too.
const OPEN: [&str; 4] =
    ["JSON", "JSONSchemaPropsOrArray", "JSONSchemaPropsOrBool", "JSONSchemaPropsOrStringArray"];

/// Components that every document has already, in its own form.
const SHARED: [&str; 3] = [
    "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
    "io.k8s.apimachinery.pkg.apis.meta.v1.ManagedFieldsEntry",
    "io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference",
];

fn generated() -> (Value, Map<String, Value>) {
    let settings = SchemaSettings::openapi3().with(|settings| settings.meta_schema = None);
    let root = settings.into_generator().into_root_schema_for::<CustomResourceDefinition>();
    let mut root = root.to_value();
    let components = match root.pointer_mut("/components/schemas") {
        Some(Value::Object(components)) => std::mem::take(components),
        _ => Map::new(),
    };
    if let Some(root) = root.as_object_mut() {
        root.remove("components");
        root.remove("title");
    }
    (root, components)
}

/// The kind with references to [`components`].
pub(super) fn kind() -> Value {
    generated().0
}

/// What the kind refers to.
pub(super) fn components() -> Map<String, Value> {
    let (_, mut components) = generated();
    components.retain(|name, _| !SHARED.contains(&name.as_str()));
    for (name, component) in &mut components {
        if name.strip_prefix(PREFIX).is_some_and(|name| OPEN.contains(&name)) {
            *component = json!({"description": component["description"]});
        }
    }
    components
}

/// The kind without references, by which definitions are checked. Each schema
/// inside is an open object; [`level`] is what one of them looks like.
pub(super) fn flat() -> Value {
    let (mut kind, components) = generated();
    if let Some(properties) = kind["properties"].as_object_mut() {
        properties.remove("metadata");
    }
    inline(&mut kind, &components);
    merge_by_key(&mut kind, "/properties/status/properties/conditions", "type");
    kind
}

/// One level of a schema: its fields, with everything below open.
pub(super) fn level() -> Value {
    let (_, mut components) = generated();
    let mut level = components.remove(&format!("{PREFIX}{PROPS}")).unwrap_or_default();
    inline(&mut level, &components);
    level
}

fn merge_by_key(schema: &mut Value, pointer: &str, key: &str) {
    if let Some(list) = schema.pointer_mut(pointer).and_then(Value::as_object_mut) {
        list.insert("x-kubernetes-list-type".to_owned(), Value::from("map"));
        list.insert("x-kubernetes-list-map-keys".to_owned(), json!([key]));
    }
}

fn inline(schema: &mut Value, components: &Map<String, Value>) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                *schema = resolved(reference, components);
                return;
            }
            // OpenAPI ignores what stands beside a reference, so that one with a
            // description stands in `allOf`.
            if let Some(Value::String(reference)) = map.get("allOf").and_then(lone_reference) {
                let Value::Object(target) = resolved(reference, components) else {
                    return;
                };
                map.remove("allOf");
                for (name, value) in target {
                    map.entry(name).or_insert(value);
                }
                return;
            }
            map.values_mut().for_each(|value| inline(value, components));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| inline(value, components)),
        _ => {}
    }
}

fn lone_reference(branches: &Value) -> Option<&Value> {
    match branches.as_array()?.as_slice() {
        [branch] => branch.get("$ref"),
        _ => None,
    }
}

fn resolved(reference: &str, components: &Map<String, Value>) -> Value {
    let name = reference.strip_prefix(REFERENCE).unwrap_or_default();
    match name.strip_prefix(PREFIX) {
        Some(PROPS) => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
        Some(name) if OPEN.contains(&name) => json!({"x-kubernetes-preserve-unknown-fields": true}),
        _ => {
            let mut schema = components.get(name).cloned().unwrap_or_default();
            inline(&mut schema, components);
            schema
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::schema::StructuralSchema;

    #[test]
    fn a_typo_in_a_definition_is_found() {
        let schema = StructuralSchema::compile(&flat()).unwrap();
        let mut definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "x"},
            "spec": {"versions": [{"name": "v1", "additionalPrinterColums": []}]},
        });
        let unknown = schema.prune(&mut definition);
        assert_eq!(unknown[0].path, "spec.versions[0].additionalPrinterColums");
        assert_eq!(unknown[0].nearest.as_deref(), Some("additionalPrinterColumns"));
        let causes = schema.validate(&definition, None);
        let fields: Vec<&str> = causes.iter().map(|cause| cause.field.as_str()).collect();
        for field in ["spec.group", "spec.names", "spec.scope", "spec.versions[0].served"] {
            assert!(fields.contains(&field), "{fields:?}");
        }
    }

    #[test]
    fn one_level_of_a_schema_has_its_fields_and_no_others() {
        let level = StructuralSchema::compile_part(&level()).unwrap();
        let mut schema = json!({
            "type": "object", "properties": {"spec": {"anything": 1}}, "kind": "X",
            "additionalProperties": true, "items": [{}], "default": [1], "enum": [1, "a", null],
            "x-kubernetes-validations": [{"rule": "true", "mesage": "x"}],
        });
        let unknown: Vec<String> =
            level.prune(&mut schema).into_iter().map(|field| field.path).collect();
        assert_eq!(unknown, ["kind", "x-kubernetes-validations[0].mesage"]);
        assert_eq!(level.validate(&schema, None), []);
        assert_eq!(level.validate(&json!({"type": ["a"]}), None)[0].field, "type");
    }
}
