use serde_json::json;

use super::*;
use crate::definitions::spec::fill_in;

fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "barns.farm.example"},
        "spec": {
            "group": "farm.example", "scope": "Namespaced",
            "names": {"kind": "Barn", "plural": "barns", "shortNames": ["ba"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}, "scale": {
                    "specReplicasPath": ".spec.cows", "statusReplicasPath": ".status.cows",
                    "labelSelectorPath": ".status.selector"}},
                "additionalPrinterColumns": [
                    {"name": "Cows", "type": "integer", "jsonPath": ".spec.cows"}],
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {
                        "cows": {"type": "integer", "default": 1, "minimum": 0},
                        "port": {"x-kubernetes-int-or-string": true,
                                 "anyOf": [{"type": "integer"}, {"type": "string"}]},
                    }},
                }}},
            }],
        },
    })
}

/// The causes of the definition with some places changed, as `field: message`.
fn wrong(changes: &[(&str, Value)]) -> Vec<String> {
    wrong_after(None, changes)
}

fn wrong_after(old: Option<&Value>, changes: &[(&str, Value)]) -> Vec<String> {
    let mut definition = definition();
    for (pointer, value) in changes {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        definition.pointer_mut(parent).unwrap()[name] = value.clone();
    }
    fill_in(&mut definition);
    let spec = Spec::read(&definition).unwrap();
    causes(&definition, &spec, old).iter().map(ToString::to_string).collect()
}

fn has(found: &[String], expected: &str) {
    assert!(found.iter().any(|text| text.contains(expected)), "{expected:?} is not in {found:#?}");
}

const SPEC: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
const FIELD: &str = "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties";

#[test]
fn a_good_definition_passes() {
    assert_eq!(wrong(&[]), Vec::<String>::new());
}

#[test]
fn every_mistake_has_its_field() {
    let found = wrong(&[
        ("/metadata/name", json!("barn.farm.example")),
        ("/spec/group", json!("farm")),
        ("/spec/scope", json!("Everywhere")),
        ("/spec/names/kind", json!("Big Barn")),
        ("/spec/names/shortNames", json!(["ba", "B"])),
        ("/spec/conversion", json!({"strategy": "Webhook"})),
        ("/spec/preserveUnknownFields", json!(true)),
        ("/spec/versions/0/name", json!("V1")),
        ("/spec/versions/0/deprecationWarning", json!("old")),
    ]);
    for expected in [
        "metadata.name: Invalid value: \"barn.farm.example\": must be spec.names.plural+\".\"+spec.group",
        "spec.group: Invalid value: \"farm\": should be a domain with at least one dot",
        "spec.scope: Unsupported value: \"Everywhere\": supported values: \"Cluster\", \"Namespaced\"",
        "spec.names.kind: Invalid value: \"Big Barn\": may have mixed case",
        "spec.names.shortNames[1]: Invalid value: \"B\": a DNS-1035 label",
        "spec.conversion.strategy: Unsupported value: \"Webhook\": supported values: \"None\"",
        "spec.preserveUnknownFields: Invalid value: true",
        "spec.versions[0].name: Invalid value: \"V1\"",
        "spec.versions[0].deprecationWarning: Invalid value: \"old\"",
    ] {
        has(&found, expected);
    }
    let found = wrong(&[("/spec/versions", json!([]))]);
    has(
        &found,
        "spec.versions: Invalid value: []: must have exactly one version marked as storage",
    );
    let version = definition()["spec"]["versions"][0].clone();
    let found = wrong(&[("/spec/versions", json!([version, version]))]);
    has(&found, "must contain unique version names");
    has(&found, "must have exactly one version marked as storage version");
}

#[test]
fn subresources_and_columns_are_checked() {
    let scale = json!({"scale": {"specReplicasPath": "spec.cows", "statusReplicasPath": ".spec.x",
                                 "labelSelectorPath": ""}});
    let columns = json!([{"name": "A", "type": "text", "jsonPath": ".a"},
                         {"type": "string", "jsonPath": "[["}]);
    let found = wrong(&[
        ("/spec/versions/0/subresources", scale),
        ("/spec/versions/0/additionalPrinterColumns", columns),
    ]);
    let path = "spec.versions[0].subresources.scale";
    has(
        &found,
        &format!("{path}.specReplicasPath: Invalid value: \"spec.cows\": should be a simple"),
    );
    has(
        &found,
        &format!(
            "{path}.statusReplicasPath: Invalid value: \".spec.x\": should be a json path under .status"
        ),
    );
    has(&found, &format!("{path}.labelSelectorPath: Required value"));
    let path = "spec.versions[0].additionalPrinterColumns";
    has(&found, &format!("{path}[0].type: Unsupported value: \"text\""));
    has(&found, &format!("{path}[1].name: Required value"));
    let found = wrong(&[(
        "/spec/versions/0/additionalPrinterColumns",
        json!([{"name": "A", "type": "string", "jsonPath": ".a[["}]),
    )]);
    has(&found, &format!("{path}[0].jsonPath: Invalid value: \".a[[\": is an invalid path"));
}

#[test]
fn schemas_are_structural() {
    let missing = wrong(&[("/spec/versions/0/schema", json!(null))]);
    has(&missing, "spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required");
    let root = "/spec/versions/0/schema/openAPIV3Schema";
    let found = wrong(&[(&format!("{root}/type"), json!("string"))]);
    has(&found, "openAPIV3Schema.type: Invalid value: \"string\": must be object at the root");
    let cases = [
        (json!({}), "cows].type: Required value: must not be empty for specified object fields"),
        (json!({"type": "string", "pattern": "("}), "cows].pattern: Invalid value"),
        (json!({"type": ["string"]}), "cows].type: Invalid value: \"array\""),
        (
            json!({"type": "array", "uniqueItems": true, "items": {"type": "string"}}),
            "cows].uniqueItems: Forbidden",
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "string"}}),
            "cows].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive",
        ),
        (
            json!({"type": "integer", "anyOf": [{"type": "integer"}]}),
            "cows].anyOf[0].type: Forbidden: must be undefined to be structural",
        ),
        (
            json!({"type": "object", "oneOf": [{"properties": {"a": {"minimum": 1}}}]}),
            "cows].oneOf[0].properties[a]: Required value",
        ),
        (
            json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                   "items": {"type": "object", "properties": {"name": {"type": "string"}}}}),
            "cows].items.properties[name].default: Required value: this property is in x-kubernetes-list-map-keys",
        ),
        (json!({"type": "object", "$ref": "#/x"}), "cows].$ref: Forbidden"),
    ];
    for (schema, expected) in cases {
        let found = wrong(&[(&format!("{SPEC}/cows"), schema)]);
        has(&found, expected);
    }
}

#[test]
fn defaults_and_rules_are_held_against_the_schema() {
    let found = wrong(&[(&format!("{SPEC}/cows"), json!({"type": "integer", "default": "many"}))]);
    has(&found, &format!("{FIELD}[cows].default: Invalid value: \"string\""));
    let object =
        json!({"type": "object", "default": {"b": 1}, "properties": {"a": {"type": "integer"}}});
    let found = wrong(&[(&format!("{SPEC}/cows"), object)]);
    has(
        &found,
        &format!(
            "{FIELD}[cows].default.b: Invalid value: {{\"b\":1}}: must not have unknown fields"
        ),
    );
    let rule =
        |rule: &str| json!({"type": "integer", "x-kubernetes-validations": [{"rule": rule}]});
    let found = wrong(&[(&format!("{SPEC}/cows"), rule("self >"))]);
    has(&found, &format!("{FIELD}[cows].x-kubernetes-validations[0].rule: Invalid value"));
    assert_eq!(wrong(&[(&format!("{SPEC}/cows"), rule("self >= oldSelf"))]), Vec::<String>::new());
    let list = json!({"type": "array", "items": rule("self >= oldSelf")});
    let found = wrong(&[(&format!("{SPEC}/cows"), list)]);
    has(&found, "oldSelf cannot be used on the uncorrelatable portion of the schema");
}

#[test]
fn the_address_of_objects_never_changes() {
    let mut old = definition();
    let found = wrong_after(Some(&old), &[("/spec/scope", json!("Cluster"))]);
    assert_eq!(found, Vec::<String>::new(), "nothing was established");
    old["status"] = json!({"conditions": [{"type": "Established", "status": "True"}]});
    let changes = [("/spec/scope", json!("Cluster")), ("/spec/names/kind", json!("Shed"))];
    let found = wrong_after(Some(&old), &changes);
    has(&found, "spec.scope: Invalid value: \"Cluster\": field is immutable");
    has(&found, "spec.names.kind: Invalid value: \"Shed\": field is immutable");
    let found = wrong(&[("/status", json!({"storedVersions": ["v1", "v1beta1"]}))]);
    has(
        &found,
        "status.storedVersions[1]: Invalid value: \"v1beta1\": must appear in spec.versions",
    );
}
