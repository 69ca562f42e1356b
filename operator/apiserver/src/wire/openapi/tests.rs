use insta::assert_json_snapshot;

use super::*;
use crate::admission::schema::StructuralSchema;
use crate::wire::discovery::tests::resources;

#[test]
fn the_index_names_each_document_with_its_hash() {
    let resources = resources();
    let hashes: Vec<(String, String)> = versions(&resources)
        .into_iter()
        .map(|(path, (group, version))| {
            let document = document(&resources, group, version).unwrap();
            (path, hash(document.to_string().as_bytes()))
        })
        .collect();
    let index = index(hashes.iter().map(|(path, hash)| (path.as_str(), hash.as_str())));
    let paths: Vec<&String> = index["paths"].as_object().unwrap().keys().collect();
    assert_eq!(
        paths,
        [
            "api/v1",
            "apis/authorization.k8s.io/v1",
            "apis/example.org/v1",
            "apis/example.org/v1beta1"
        ]
    );
    let url = index["paths"]["apis/example.org/v1"]["serverRelativeURL"].as_str().unwrap();
    let hash = hash(document(&resources, "example.org", "v1").unwrap().to_string().as_bytes());
    assert_eq!(url, format!("/openapi/v3/apis/example.org/v1?hash={hash}"));
    assert_eq!(hash.len(), 64);
    assert_eq!(document(&resources, "example.org", "v3"), None);
}

#[test]
fn kubectl_finds_kinds_and_the_parameters_of_patch() {
    let document = document(&resources(), "example.org", "v1beta1").unwrap();
    let schemas = &document["components"]["schemas"];
    let thing = &schemas["org.example.v1beta1.Thing"];
    assert_json_snapshot!("kind_schema", thing);
    for name in [OBJECT_META, LIST_META, DELETE_OPTIONS, PATCH, STATUS] {
        assert!(schemas.get(name).is_some(), "{name}");
    }
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(
        paths.keys().collect::<Vec<_>>(),
        [
            "/apis/example.org/v1beta1/namespaces/{namespace}/things",
            "/apis/example.org/v1beta1/namespaces/{namespace}/things/{name}",
            "/apis/example.org/v1beta1/namespaces/{namespace}/things/{name}/status",
            "/apis/example.org/v1beta1/things",
        ]
    );
    let object = &paths["/apis/example.org/v1beta1/namespaces/{namespace}/things/{name}"];
    assert_json_snapshot!("patch_operation", object["patch"]);
    for method in ["get", "put", "delete"] {
        assert!(object.get(method).is_some(), "{method}");
    }
    let collection = &paths["/apis/example.org/v1beta1/namespaces/{namespace}/things"];
    for method in ["get", "post", "delete"] {
        assert!(collection.get(method).is_some(), "{method}");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    for (group, version) in [("", "v1"), ("example.org", "v1beta1"), ("authorization.k8s.io", "v1")]
    {
        let document = document(&resources(), group, version).unwrap();
        let mut references = Vec::new();
        collect(&document, &mut references);
        assert!(!references.is_empty());
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }
}

#[test]
fn operations_name_every_parameter_and_answer() {
    let resources = resources();
    let of_group = |group: &str, version: &str| document(&resources, group, version).unwrap();
    let names = |operation: &Value| -> Vec<String> {
        let parameters = operation["parameters"].as_array().unwrap();
        parameters.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    let custom = of_group("example.org", "v1beta1");
    let collection = &custom["paths"]["/apis/example.org/v1beta1/namespaces/{namespace}/things"];
    let object = &custom["paths"]["/apis/example.org/v1beta1/namespaces/{namespace}/things/{name}"];
    assert_eq!(
        names(&collection["get"]),
        [
            "continue",
            "fieldSelector",
            "labelSelector",
            "limit",
            "resourceVersion",
            "resourceVersionMatch",
            "sendInitialEvents",
            "timeoutSeconds",
            "allowWatchBookmarks",
            "watch",
        ]
    );
    assert_eq!(
        names(&object["delete"]),
        ["dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy"]
    );
    assert_eq!(names(&object["patch"]), ["dryRun", "fieldManager", "fieldValidation", "force"]);
    assert_eq!(names(&object["put"]), ["dryRun", "fieldManager", "fieldValidation"]);
    assert_eq!(names(&object["get"]), Vec::<String>::new());
    let codes = |operation: &Value| -> Vec<String> {
        operation["responses"].as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(codes(&collection["post"]), ["200", "201", "202", "401", "default"]);
    assert_eq!(codes(&object["patch"]), ["200", "201", "401", "default"]);
    assert_eq!(codes(&object["get"]), ["200", "401", "default"]);
    let forms = |operation: &Value| -> Vec<String> {
        operation["requestBody"]["content"].as_object().unwrap().keys().cloned().collect()
    };
    let strategic = "application/strategic-merge-patch+json".to_owned();
    assert!(!forms(&object["patch"]).contains(&strategic), "kubectl makes merge patches");
    let core = of_group("", "v1");
    assert!(forms(&core["paths"]["/api/v1/namespaces/{name}"]["patch"]).contains(&strategic));
}

#[test]
fn kubectl_learns_which_lists_of_built_in_kinds_merge() {
    let account = builtin_schema("", "ServiceAccount").unwrap();
    assert_eq!(account["properties"]["secrets"]["x-kubernetes-patch-merge-key"], "name");
    let metadata = builtin::object_meta();
    let owners = &metadata["properties"]["ownerReferences"];
    assert_eq!(owners["x-kubernetes-patch-merge-key"], "uid");
    assert_eq!(metadata["properties"]["finalizers"]["x-kubernetes-patch-strategy"], "merge");
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                references.push(reference.clone());
            }
            map.values().for_each(|value| collect(value, references));
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}

#[test]
fn parts_of_built_in_kinds_have_names() {
    let document = document(&resources(), "example.org", "v1beta1").unwrap();
    let schemas = &document["components"]["schemas"];
    let meta = &schemas[OBJECT_META]["properties"];
    let owners = &meta["ownerReferences"];
    let name = "io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference";
    assert_eq!(
        owners["items"]["allOf"][0]["$ref"],
        format!("#/components/schemas/{name}"),
        "{owners}"
    );
    assert_eq!(owners["type"], "array");
    assert!(schemas[name]["properties"]["uid"].is_object());
    let text = schemas[name]["description"].as_str().unwrap();
    assert!(text.starts_with("OwnerReference contains"), "{text}");
    let entry = &schemas["io.k8s.apimachinery.pkg.apis.meta.v1.ManagedFieldsEntry"];
    assert!(entry["properties"]["fieldsV1"]["allOf"].is_array());
    assert!(schemas.get("io.k8s.api.core.v1.ObjectReference").is_none(), "nothing refers to it");
}

#[test]
fn operations_have_ids_of_their_own() {
    let resources = resources();
    let document = document(&resources, "example.org", "v1beta1").unwrap();
    let mut ids: Vec<&str> = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
        .filter_map(|operation| operation.get("operationId")?.as_str())
        .collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

#[test]
fn built_in_schemas_are_structural_and_inlined() {
    let kinds = [
        ("", "Namespace"),
        ("", "Secret"),
        ("", "ConfigMap"),
        ("", "ServiceAccount"),
        ("", "Event"),
        ("events.k8s.io", "Event"),
        ("coordination.k8s.io", "Lease"),
        ("authorization.k8s.io", "SelfSubjectAccessReview"),
        ("authorization.k8s.io", "SelfSubjectRulesReview"),
        ("authentication.k8s.io", "SelfSubjectReview"),
        ("rbac.authorization.k8s.io", "Role"),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ];
    for (group, kind) in kinds {
        let schema = builtin_schema(group, kind).unwrap();
        let mut references = Vec::new();
        collect(&schema, &mut references);
        assert_eq!(references, Vec::<String>::new(), "{kind}");
        StructuralSchema::compile(&schema)
            .unwrap_or_else(|error| panic!("{group} {kind}: {error}"));
    }
    assert_eq!(builtin_schema("apps", "Deployment"), None);
    let secret = StructuralSchema::compile(&builtin_schema("", "Secret").unwrap()).unwrap();
    let causes = secret.validate(&json!({"data": {"a": "%"}, "type": 1}), None);
    assert_eq!(causes.len(), 2 + usize::from(causes.iter().any(|cause| cause.field == "metadata")));
}
