//! Custom resource definitions over the API: applied, served, changed, deleted.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

mod support;

use futures::StreamExt;
use hades_apiserver::{ApiServer, Identity};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams,
};
use kube::core::WatchEvent;
use kube::runtime::wait::{await_condition, conditions};
use serde_json::{Value, json};
use support::{Server, barn, config, definitions, eventually};

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// A version with these fields in its spec.
fn version(name: &str, storage: bool, fields: Value) -> Value {
    json!({
        "name": name, "served": true, "storage": storage,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": {
            "type": "object",
            "properties": {
                "spec": {"type": "object", "properties": fields},
                "status": {"type": "object", "properties": {
                    "running": {"type": "integer"}, "selector": {"type": "string"}}},
            },
        }},
    })
}

fn definition(kind: &str, versions: Vec<Value>) -> Value {
    let plural = format!("{}s", kind.to_lowercase());
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.zoo.example")},
        "spec": {
            "group": "zoo.example", "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural}, "versions": versions,
        },
    })
}

fn keeper() -> Value {
    definition("Keeper", vec![version("v1", true, json!({"name": {"type": "string"}}))])
}

fn object(version: &str, kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": format!("zoo.example/{version}"), "kind": kind,
        "metadata": {"name": name, "namespace": "default"}, "spec": spec,
    })
}

fn condition<'a>(definition: &'a Value, kind: &str) -> &'a Value {
    let conditions = definition["status"]["conditions"].as_array().unwrap();
    conditions.iter().find(|condition| condition["type"] == kind).unwrap_or(&Value::Null)
}

fn fields(status: &Value) -> Vec<&str> {
    let causes = status["details"]["causes"].as_array().unwrap();
    causes.iter().map(|cause| cause["field"].as_str().unwrap_or_default()).collect()
}

async fn created(server: &Server, path: &str, object: Value) -> Value {
    let (code, created) = server.raw("POST", path, object).await;
    assert_eq!(code, 201, "{created}");
    created
}

async fn got(server: &Server, path: &str) -> Value {
    let (code, found) = server.raw("GET", path, Value::Null).await;
    assert_eq!(code, 200, "{path}: {found}");
    found
}

async fn merged(server: &Server, path: &str, patch: Value) -> (u16, Value) {
    let headers = [("content-type", "application/merge-patch+json")];
    server.raw_with("PATCH", path, &headers, patch.to_string().into_bytes()).await
}

async fn gone(server: &Server, path: &str) {
    eventually(&format!("{path} goes"), || async {
        server.raw("GET", path, Value::Null).await.0 == 404
    })
    .await;
}

fn keepers(version: &str) -> String {
    format!("/apis/zoo.example/{version}/namespaces/default/keepers")
}

#[tokio::test]
async fn a_definition_is_established_with_its_creation_and_outlives_a_restart() {
    let server = Server::start().await;
    let definition = created(&server, CRDS, keeper()).await;
    assert_eq!(condition(&definition, "Established")["status"], "True");
    assert_eq!(condition(&definition, "NamesAccepted")["reason"], "NoConflicts");
    assert_eq!(definition["status"]["acceptedNames"]["listKind"], "KeeperList");
    assert_eq!(definition["status"]["storedVersions"], json!(["v1"]));
    assert_eq!(definition["spec"]["names"]["singular"], "keeper");
    assert_eq!(definition["spec"]["conversion"]["strategy"], "None");
    let path = keepers("v1");
    created(&server, &path, object("v1", "Keeper", "ann", json!({"name": "Ann", "x": 1}))).await;
    let stored = got(&server, &format!("{CRDS}/keepers.zoo.example")).await;
    assert_eq!(stored["metadata"], definition["metadata"], "one write establishes it");
    let server = server.restart().await;
    let ann = got(&server, &format!("{path}/ann")).await;
    assert_eq!(ann["spec"], json!({"name": "Ann"}), "pruned by its schema");
    let again = got(&server, &format!("{CRDS}/keepers.zoo.example")).await;
    assert_eq!(again["metadata"], definition["metadata"], "a start writes nothing");
    let list = got(&server, "/apis/zoo.example/v1").await;
    let names: Vec<&str> =
        list["resources"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["keepers", "keepers/status"]);
    let openapi = got(&server, "/openapi/v3/apis/zoo.example/v1").await;
    assert!(openapi["components"]["schemas"].get("example.zoo.v1.Keeper").is_some());
}

#[tokio::test]
async fn kube_applies_a_definition_waits_for_it_and_uses_it() {
    let server = Server::start().await;
    let api: Api<CustomResourceDefinition> = Api::all(server.admin());
    let params = PatchParams::apply("installer");
    api.patch("keepers.zoo.example", &params, &Patch::Apply(keeper())).await.unwrap();
    let established = conditions::is_crd_established();
    await_condition(api.clone(), "keepers.zoo.example", established).await.unwrap();
    let again = api.patch("keepers.zoo.example", &params, &Patch::Apply(keeper())).await.unwrap();
    assert_eq!(again.metadata.generation, Some(1), "the same again changes nothing");
    let gvk = GroupVersionKind::gvk("zoo.example", "v1", "Keeper");
    let resource = ApiResource::from_gvk(&gvk);
    let keepers: Api<DynamicObject> = Api::default_namespaced_with(server.admin(), &resource);
    let ann = DynamicObject::new("ann", &resource).data(json!({"spec": {"name": "Ann"}}));
    keepers.create(&PostParams::default(), &ann).await.unwrap();
    assert_eq!(keepers.get("ann").await.unwrap().data["spec"]["name"], "Ann");
}

#[tokio::test]
async fn a_bad_definition_is_refused_field_by_field_and_a_typo_found() {
    let server = Server::start().await;
    let mut bad = keeper();
    bad["spec"]["scope"] = json!("Everywhere");
    bad["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["name"] =
        json!({"type": "string", "default": 7});
    let (code, status) = server.raw("POST", CRDS, bad).await;
    assert_eq!((code, status["reason"].as_str()), (422, Some("Invalid")));
    assert_eq!(
        fields(&status),
        [
            "spec.scope",
            "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[name].default"
        ]
    );
    let mut typo = keeper();
    typo["spec"]["versions"][0]["additionalPrinterColums"] = json!([]);
    typo["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["requird"] =
        json!(["name"]);
    let strict = format!("{CRDS}?fieldValidation=Strict");
    let (code, status) = server.raw("POST", &strict, typo).await;
    assert_eq!(code, 400);
    let message = status["message"].as_str().unwrap();
    for part in [
        "\"spec.versions[0].additionalPrinterColums\" (did you mean \"additionalPrinterColumns\"?)",
        "\"spec.versions[0].schema.openAPIV3Schema.properties.spec.requird\" (did you mean \"required\"?)",
    ] {
        assert!(message.contains(part), "{message}");
    }
    for spec in
        [json!(null), json!("x"), json!({"versions": {}}), json!({"names": 1, "versions": [1]})]
    {
        let mut odd = keeper();
        odd["spec"] = spec;
        let (code, status) = server.raw("POST", CRDS, odd).await;
        assert!(matches!(code, 400 | 422), "{status}");
    }
}

#[tokio::test]
async fn groups_of_the_server_cannot_be_taken() {
    let server = Server::start().await;
    for group in ["farm.example", "sub.farm.example", "events.k8s.io", "gateway.k8s.io"] {
        let mut taken = keeper();
        taken["metadata"]["name"] = json!(format!("keepers.{group}"));
        taken["spec"]["group"] = json!(group);
        let (code, status) = server.raw("POST", CRDS, taken.clone()).await;
        assert_eq!(code, 422, "{status}");
        if group == "gateway.k8s.io" {
            assert_eq!(fields(&status), ["metadata.annotations[api-approved.kubernetes.io]"]);
            taken["metadata"]["annotations"] =
                json!({"api-approved.kubernetes.io": "https://example.org/review"});
            created(&server, CRDS, taken).await;
        } else {
            assert_eq!(fields(&status), ["spec.group"]);
        }
    }
}

#[tokio::test]
async fn a_change_of_the_definition_changes_what_is_served_at_once() {
    let server = Server::start().await;
    created(&server, CRDS, keeper()).await;
    let before = got(&server, "/openapi/v3").await;
    let path = format!("{CRDS}/keepers.zoo.example");
    let fields = json!({"name": {"type": "string"}, "age": {"type": "integer", "default": 40}});
    let patch = json!({"spec": {"versions": [version("v1", true, fields)],
                                "names": {"shortNames": ["kp"]}}});
    let (code, changed) = merged(&server, &path, patch).await;
    assert_eq!(code, 200, "{changed}");
    assert_eq!(changed["metadata"]["generation"], 2);
    assert_eq!(changed["status"]["acceptedNames"]["shortNames"], json!(["kp"]));
    let ann = object("v1", "Keeper", "ann", json!({}));
    assert_eq!(created(&server, &keepers("v1"), ann).await["spec"]["age"], 40);
    let after = got(&server, "/openapi/v3").await;
    let place = "/paths/apis~1zoo.example~1v1";
    assert_ne!(before.pointer(place), after.pointer(place), "a new hash");
    let (code, status) = merged(&server, &path, json!({"spec": {"scope": "Cluster"}})).await;
    assert_eq!(code, 422);
    assert!(status["message"].as_str().unwrap().contains("field is immutable"), "{status}");
    let (code, _) = merged(
        &server,
        &format!("{path}?dryRun=All"),
        json!({"spec": {"names": {"shortNames": ["x"]}}}),
    )
    .await;
    assert_eq!(code, 200);
    let list = got(&server, "/apis/zoo.example/v1").await;
    assert_eq!(list["resources"][0]["shortNames"], json!(["kp"]), "a dry run serves nothing");
}

#[tokio::test]
async fn names_belong_to_the_first_and_go_to_the_next() {
    let server = Server::start().await;
    created(&server, CRDS, keeper()).await;
    let mut second = definition("Guard", vec![version("v1", true, json!({}))]);
    second["spec"]["names"]["kind"] = json!("Keeper");
    let second = created(&server, CRDS, second).await;
    assert_eq!(condition(&second, "NamesAccepted")["status"], "False");
    assert_eq!(condition(&second, "NamesAccepted")["reason"], "ListKindConflict");
    assert_eq!(condition(&second, "Established")["status"], "False");
    let guards = "/apis/zoo.example/v1/namespaces/default/guards";
    assert_eq!(server.raw("GET", guards, Value::Null).await.0, 404, "not served");
    let path = format!("{CRDS}/keepers.zoo.example");
    server.raw("DELETE", &path, Value::Null).await;
    eventually("the other is served", || async {
        server.raw("GET", guards, Value::Null).await.0 == 200
    })
    .await;
    let second = got(&server, &format!("{CRDS}/guards.zoo.example")).await;
    assert_eq!(condition(&second, "Established")["status"], "True");
}

#[tokio::test]
async fn a_deleted_definition_takes_its_objects_along_and_starts_empty_again() {
    let server = Server::start().await;
    created(&server, CRDS, keeper()).await;
    let path = keepers("v1");
    for name in ["ann", "bob"] {
        created(&server, &path, object("v1", "Keeper", name, json!({}))).await;
    }
    let mut held = object("v1", "Keeper", "cid", json!({}));
    held["metadata"]["finalizers"] = json!(["zoo.example/hold"]);
    created(&server, &path, held).await;
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("zoo.example", "v1", "Keeper"));
    let api: Api<DynamicObject> = Api::default_namespaced_with(server.admin(), &resource);
    let version =
        got(&server, &path).await["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let mut watch = api.watch(&Default::default(), &version).await.unwrap().boxed();
    let definition = format!("{CRDS}/keepers.zoo.example");
    let (code, marked) = server.raw("DELETE", &definition, Value::Null).await;
    assert_eq!(code, 200);
    assert_eq!(condition(&marked, "Terminating")["reason"], "InstanceDeletionPending");
    assert_eq!(
        marked["metadata"]["finalizers"],
        json!(["customresourcecleanup.apiextensions.k8s.io"])
    );
    let (code, status) = server.raw("POST", &path, object("v1", "Keeper", "dee", json!({}))).await;
    assert_eq!(code, 405);
    assert_eq!(
        status["message"],
        "create not allowed while custom resource definition is terminating"
    );
    gone(&server, &format!("{path}/ann")).await;
    gone(&server, &format!("{path}/bob")).await;
    eventually("the definition says what it waits for", || async {
        let definition = got(&server, &definition).await;
        condition(&definition, "Terminating")["message"].as_str().unwrap().contains("1 objects")
    })
    .await;
    let clear = json!({"metadata": {"finalizers": null}});
    let (code, status) = merged(&server, &definition, clear.clone()).await;
    assert_eq!(code, 422, "{status}");
    assert_eq!(fields(&status), ["metadata.finalizers"]);
    assert_eq!(merged(&server, &format!("{path}/cid"), clear).await.0, 200);
    gone(&server, &definition).await;
    let mut deleted = Vec::new();
    // The watch ends by itself, after the last deletion.
    while let Some(event) = watch.next().await {
        if let WatchEvent::Deleted(object) = event.unwrap() {
            deleted.push(object.metadata.name.unwrap());
        }
    }
    deleted.sort();
    assert_eq!(deleted, ["ann", "bob", "cid"]);
    assert_eq!(server.raw("GET", &path, Value::Null).await.0, 404);
    let groups = got(&server, "/apis").await;
    assert!(!groups.to_string().contains("zoo.example"), "{groups}");
    created(&server, CRDS, keeper()).await;
    assert_eq!(got(&server, &path).await["items"], json!([]));
    created(&server, &path, object("v1", "Keeper", "eva", json!({}))).await;
}

#[tokio::test]
async fn a_deletion_goes_on_after_a_crash() {
    let server = Server::start().await;
    created(&server, CRDS, keeper()).await;
    let path = keepers("v1");
    let mut held = object("v1", "Keeper", "ann", json!({}));
    held["metadata"]["finalizers"] = json!(["zoo.example/hold"]);
    created(&server, &path, held).await;
    let definition = format!("{CRDS}/keepers.zoo.example");
    server.raw("DELETE", &definition, Value::Null).await;
    eventually("the deletion waits", || async {
        let definition = got(&server, &definition).await;
        condition(&definition, "Terminating")["reason"] == "InstanceDeletionInProgress"
    })
    .await;
    // What a crash leaves: the files as they are while the server runs.
    let directory = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(server.directory.path()).unwrap() {
        let entry = entry.unwrap();
        // The audit log is a folder, and nothing here looks into it.
        if entry.path().is_file() {
            std::fs::copy(entry.path(), directory.path().join(entry.file_name())).unwrap();
        }
    }
    let again = ApiServer::open(config(&directory)).await.unwrap();
    let server = Server { server: again, directory };
    let (code, _) = server.raw("POST", &path, object("v1", "Keeper", "bob", json!({}))).await;
    assert_eq!(code, 405, "nothing new comes after a crash, either");
    let clear = json!({"metadata": {"finalizers": null}});
    assert_eq!(merged(&server, &format!("{path}/ann"), clear).await.0, 200);
    gone(&server, &definition).await;
    created(&server, CRDS, keeper()).await;
    assert_eq!(got(&server, &path).await["items"], json!([]));
}

#[tokio::test]
async fn creations_that_race_with_the_deletion_leave_nothing_behind() {
    let server = Server::start().await;
    created(&server, CRDS, keeper()).await;
    let path = keepers("v1");
    let definition = format!("{CRDS}/keepers.zoo.example");
    let creations = futures::future::join_all((0..40).map(|index| {
        let keeper = object("v1", "Keeper", &format!("k{index}"), json!({}));
        server.raw("POST", &path, keeper)
    }));
    let deletion = async {
        tokio::task::yield_now().await;
        server.raw("DELETE", &definition, Value::Null).await
    };
    let (outcomes, _) = futures::join!(creations, deletion);
    assert!(outcomes.iter().all(|(code, _)| matches!(code, 201 | 404 | 405)));
    gone(&server, &definition).await;
    created(&server, CRDS, keeper()).await;
    assert_eq!(got(&server, &path).await["items"], json!([]));
}

fn two_versions() -> Value {
    let old = json!({"name": {"type": "string"}, "salary": {"type": "integer"}});
    let new = json!({"name": {"type": "string"}, "grade": {"type": "string", "default": "C"}});
    let mut first = version("v1beta1", true, old);
    first["deprecated"] = json!(true);
    first["additionalPrinterColumns"] =
        json!([{"name": "Salary", "type": "integer", "jsonPath": ".spec.salary"}]);
    definition("Keeper", vec![first, version("v1", false, new)])
}

#[tokio::test]
async fn every_version_shows_the_same_objects_in_its_own_way() {
    let server = Server::start().await;
    created(&server, CRDS, two_versions()).await;
    let group = got(&server, "/apis/zoo.example").await;
    assert_eq!(group["preferredVersion"]["version"], "v1");
    let (beta, stable) = (keepers("v1beta1"), keepers("v1"));
    let spec = json!({"name": "Ann", "salary": 7});
    created(&server, &beta, object("v1beta1", "Keeper", "ann", spec)).await;
    let shown = got(&server, &format!("{stable}/ann")).await;
    assert_eq!(shown["apiVersion"], "zoo.example/v1");
    assert_eq!(shown["spec"], json!({"name": "Ann", "grade": "C"}));
    let list = got(&server, &stable).await;
    assert_eq!(
        (&list["apiVersion"], &list["kind"]),
        (&json!("zoo.example/v1"), &json!("KeeperList"))
    );
    assert_eq!(list["items"][0]["apiVersion"], "zoo.example/v1");
    // A patch by one version of what another wrote drops what it doesn't know.
    let strict = format!("{stable}/ann?fieldValidation=Strict&fieldManager=second");
    let (code, patched) = merged(&server, &strict, json!({"spec": {"name": "Anna"}})).await;
    assert_eq!(code, 200, "{patched}");
    assert_eq!(patched["apiVersion"], "zoo.example/v1");
    // Who writes in two versions has an entry for each.
    let managers: Vec<&str> = patched["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["apiVersion"].as_str().unwrap())
        .collect();
    assert!(managers.contains(&"zoo.example/v1beta1") && managers.contains(&"zoo.example/v1"));
    let back = got(&server, &format!("{beta}/ann")).await;
    assert_eq!(back["apiVersion"], "zoo.example/v1beta1");
    assert_eq!(back["spec"], json!({"name": "Anna"}));
    let table = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let (_, table) = server.raw_with("GET", &beta, &table, Vec::new()).await;
    assert_eq!(table["columnDefinitions"][1]["name"], "Salary");
    let (code, _) = server.raw("PUT", &format!("{stable}/ann"), back).await;
    assert_eq!(code, 400, "an object of another version is refused");
    let definition = format!("{CRDS}/keepers.zoo.example");
    let mut changed = got(&server, &definition).await;
    changed["spec"]["versions"][0]["served"] = json!(false);
    assert_eq!(server.raw("PUT", &definition, changed).await.0, 200);
    assert_eq!(server.raw("GET", &beta, Value::Null).await.0, 404);
    got(&server, &format!("{stable}/ann")).await;
}

#[tokio::test]
async fn a_watch_and_a_deprecated_version_speak_of_their_version() {
    let server = Server::start().await;
    created(&server, CRDS, two_versions()).await;
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("zoo.example", "v1", "Keeper"));
    let api: Api<DynamicObject> = Api::default_namespaced_with(server.admin(), &resource);
    let mut watch = api.watch(&Default::default(), "0").await.unwrap().boxed();
    let ann = object("v1beta1", "Keeper", "ann", json!({"name": "Ann"}));
    created(&server, &keepers("v1beta1"), ann).await;
    match watch.next().await.unwrap().unwrap() {
        WatchEvent::Added(object) => {
            assert_eq!(object.types.unwrap().api_version, "zoo.example/v1");
            assert_eq!(object.data["spec"]["grade"], "C");
        }
        other => panic!("{other:?}"),
    }
    let mut request =
        http::Request::builder().uri(keepers("v1beta1")).body(axum::body::Body::empty()).unwrap();
    request.extensions_mut().insert(Identity::administrator("tester"));
    let response = tower::ServiceExt::oneshot(server.server.router(), request).await.unwrap();
    assert_eq!(
        response.headers()["warning"],
        "299 - \"zoo.example/v1beta1 Keeper is deprecated; use zoo.example/v1 Keeper\""
    );
}

#[tokio::test]
async fn the_storage_version_moves_with_the_next_write() {
    let server = Server::start().await;
    created(&server, CRDS, two_versions()).await;
    let ann = object("v1beta1", "Keeper", "ann", json!({"name": "Ann"}));
    created(&server, &keepers("v1beta1"), ann).await;
    let definition = format!("{CRDS}/keepers.zoo.example");
    let mut moved = got(&server, &definition).await;
    moved["spec"]["versions"][0]["storage"] = json!(false);
    moved["spec"]["versions"][1]["storage"] = json!(true);
    let (code, moved) = server.raw("PUT", &definition, moved).await;
    assert_eq!(code, 200, "{moved}");
    assert_eq!(moved["status"]["storedVersions"], json!(["v1beta1", "v1"]));
    let path = format!("{}/ann", keepers("v1"));
    let before = got(&server, &path).await;
    let mut only = moved.clone();
    only["spec"]["versions"] = json!([moved["spec"]["versions"][1]]);
    let (code, status) = server.raw("PUT", &definition, only.clone()).await;
    assert_eq!(code, 422, "objects may still lie in the old version");
    assert_eq!(fields(&status), ["status.storedVersions[0]"]);
    // What storage migrators do: write every object back as it is.
    let (code, after) = server.raw("PUT", &path, before.clone()).await;
    assert_eq!(code, 200);
    assert_ne!(before["metadata"]["resourceVersion"], after["metadata"]["resourceVersion"]);
    let (_, same) = server.raw("PUT", &path, after.clone()).await;
    assert_eq!(same["metadata"]["resourceVersion"], after["metadata"]["resourceVersion"]);
    let status = json!({"status": {"storedVersions": ["v1"], "acceptedNames": {"kind": "X"}}});
    let (code, settled) = merged(&server, &format!("{definition}/status"), status).await;
    assert_eq!(code, 200, "{settled}");
    assert_eq!(settled["status"]["storedVersions"], json!(["v1"]));
    assert_eq!(settled["status"]["acceptedNames"]["kind"], "Keeper", "the server's to say");
    only["metadata"]["resourceVersion"] = settled["metadata"]["resourceVersion"].clone();
    assert_eq!(server.raw("PUT", &definition, only).await.0, 200);
    assert_eq!(got(&server, &path).await["spec"]["name"], "Ann");
}

fn scalable() -> Value {
    let fields = json!({"size": {"type": "object", "properties": {"pods": {"type": "integer"}}},
                        "name": {"type": "string"}});
    let mut version = version("v1", true, fields);
    version["subresources"]["scale"] = json!({
        "specReplicasPath": ".spec.size.pods", "statusReplicasPath": ".status.running",
        "labelSelectorPath": ".status.selector",
    });
    definition("Keeper", vec![version])
}

#[tokio::test]
async fn the_scale_changes_the_replicas_and_nothing_else() {
    let server = Server::start().await;
    created(&server, CRDS, scalable()).await;
    let path = keepers("v1");
    created(&server, &path, object("v1", "Keeper", "ann", json!({"name": "Ann"}))).await;
    let scale = format!("{path}/ann/scale");
    let empty = got(&server, &scale).await;
    assert_eq!((&empty["kind"], &empty["spec"]), (&json!("Scale"), &json!({})));
    let (code, one) = merged(&server, &scale, json!({"spec": {"replicas": 3}})).await;
    assert_eq!(code, 200, "{one}");
    let status = json!({"status": {"running": 2, "selector": "app=x"}});
    assert_eq!(merged(&server, &format!("{path}/ann/status"), status).await.0, 200);
    let mut read = got(&server, &scale).await;
    assert_eq!(read["apiVersion"], "autoscaling/v1");
    assert_eq!(read["spec"], json!({"replicas": 3}));
    assert_eq!(read["status"], json!({"replicas": 2, "selector": "app=x"}));
    let ann = got(&server, &format!("{path}/ann")).await;
    assert_eq!(ann["spec"], json!({"name": "Ann", "size": {"pods": 3}}));
    assert_eq!(ann["metadata"]["generation"], 2);
    assert!(ann["metadata"]["managedFields"].to_string().contains("\"subresource\":\"scale\""));
    let stale = read.clone();
    read["spec"]["replicas"] = json!(5);
    read["metadata"]["labels"] = json!({"x": "y"});
    let (code, five) = server.raw("PUT", &scale, read).await;
    assert_eq!((code, &five["spec"]["replicas"]), (200, &json!(5)));
    let (code, status) = server.raw("PUT", &scale, stale).await;
    assert_eq!((code, status["reason"].as_str()), (409, Some("Conflict")));
    let (code, status) = merged(&server, &scale, json!({"spec": {"replicas": -1}})).await;
    assert_eq!(code, 422);
    assert_eq!(fields(&status), ["spec.replicas"]);
    let apply = [("content-type", "application/apply-patch+yaml")];
    let applied = json!({"apiVersion": "autoscaling/v1", "kind": "Scale",
                         "metadata": {"name": "ann"}, "spec": {"replicas": 8}});
    let forced = format!("{scale}?fieldManager=hpa");
    let body = applied.to_string().into_bytes();
    let (code, status) = server.raw_with("PATCH", &forced, &apply, body.clone()).await;
    assert_eq!(code, 409, "{status}");
    let forced = format!("{forced}&force=true");
    let (code, eight) = server.raw_with("PATCH", &forced, &apply, body).await;
    assert_eq!((code, &eight["spec"]["replicas"]), (200, &json!(8)));
    let ann = got(&server, &format!("{path}/ann")).await;
    assert_eq!(ann["spec"], json!({"name": "Ann", "size": {"pods": 8}}));
    assert!(ann["metadata"].get("labels").is_none());
    let (code, _) = server.raw("DELETE", &scale, Value::Null).await;
    assert!(matches!(code, 404 | 405));
    let list = got(&server, "/apis/zoo.example/v1").await;
    let entry = &list["resources"][2];
    assert_eq!((&entry["name"], &entry["kind"]), (&json!("keepers/scale"), &json!("Scale")));
    assert_eq!((&entry["group"], &entry["version"]), (&json!("autoscaling"), &json!("v1")));
    let openapi = got(&server, "/openapi/v3/apis/zoo.example/v1").await;
    let place = "/apis/zoo.example/v1/namespaces/{namespace}/keepers/{name}/scale";
    assert!(openapi["paths"][place]["patch"].is_object());
}

#[tokio::test]
async fn what_comes_with_the_server_stays_as_it_is() {
    let server = Server::start().await;
    let path = format!("{CRDS}/barns.farm.example");
    let installed = got(&server, &path).await;
    assert_eq!(installed["metadata"]["annotations"]["hades.dev/installed"], "true");
    let (code, status) = server.raw("DELETE", &path, Value::Null).await;
    assert_eq!(code, 403);
    assert!(status["message"].as_str().unwrap().contains("it comes with the server"), "{status}");
    let names = json!({"spec": {"names": {"shortNames": ["bn"]}}});
    assert_eq!(merged(&server, &path, names).await.0, 403);
    let labels = json!({"metadata": {"labels": {"mine": "yes"}, "annotations": null}});
    let (code, labelled) = merged(&server, &path, labels).await;
    assert_eq!(code, 200, "{labelled}");
    assert_eq!(labelled["metadata"]["annotations"]["hades.dev/installed"], "true");
    let server = server.restart().await;
    let after = got(&server, &path).await;
    assert_eq!(after["metadata"]["labels"]["mine"], "yes");
    assert_eq!(after["metadata"]["resourceVersion"], labelled["metadata"]["resourceVersion"]);
    let mut forged = keeper();
    forged["metadata"]["annotations"] = json!({"hades.dev/installed": "true"});
    let forged = created(&server, CRDS, forged).await;
    assert_eq!(forged["metadata"]["annotations"], json!({}));
}

#[tokio::test]
async fn an_installed_definition_that_is_given_no_longer_goes_when_it_is_empty() {
    let server = Server::start().await;
    created(&server, CRDS, keeper()).await;
    let barns: Api<support::Barn> = Api::default_namespaced(server.admin());
    barns.create(&PostParams::default(), &barn("red", 1)).await.unwrap();
    drop(barns);
    let Server { server, directory } = server;
    server.shutdown().await;
    drop(server);
    let mut fewer = config(&directory);
    fewer.crds = Vec::new();
    let open = ApiServer::open(fewer).await.unwrap();
    let server = Server { server: open, directory };
    assert_eq!(server.raw("GET", &format!("{CRDS}/farms.farm.example"), Value::Null).await.0, 404);
    got(&server, &format!("{CRDS}/keepers.zoo.example")).await;
    let path = format!("{CRDS}/barns.farm.example");
    got(&server, &path).await;
    got(&server, "/apis/farm.example/v1/namespaces/default/barns/red").await;
    let (code, _) = server.raw("DELETE", &path, Value::Null).await;
    assert_eq!(code, 200, "it is a user's now");
    gone(&server, &path).await;
}

#[tokio::test]
async fn an_upgrade_of_an_installed_definition_serves_old_objects_in_the_new_version() {
    let server = Server::start().await;
    let barns: Api<support::Barn> = Api::default_namespaced(server.admin());
    barns.create(&PostParams::default(), &barn("red", 1)).await.unwrap();
    drop(barns);
    let Server { server, directory } = server;
    server.shutdown().await;
    drop(server);
    let mut newer = config(&directory);
    newer.crds = definitions();
    let mut version = newer.crds[0].spec.versions[0].clone();
    version.name = "v2".to_owned();
    newer.crds[0].spec.versions[0].storage = false;
    newer.crds[0].spec.versions.push(version);
    let open = ApiServer::open(newer).await.unwrap();
    let server = Server { server: open, directory };
    let red = got(&server, "/apis/farm.example/v2/namespaces/default/barns/red").await;
    assert_eq!((&red["apiVersion"], &red["spec"]["cows"]), (&json!("farm.example/v2"), &json!(1)));
    let definition = got(&server, &format!("{CRDS}/barns.farm.example")).await;
    assert_eq!(definition["status"]["storedVersions"], json!(["v1", "v2"]));
    assert_eq!(definition["metadata"]["generation"], 2);
    got(&server, "/apis/farm.example/v1/namespaces/default/barns/red").await;
}

#[tokio::test]
async fn a_namespace_is_emptied_of_every_version_once() {
    let server = Server::start().await;
    created(&server, CRDS, two_versions()).await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "zoo"}});
    created(&server, "/api/v1/namespaces", namespace).await;
    let path = "/apis/zoo.example/v1/namespaces/zoo/keepers";
    let mut ann = object("v1", "Keeper", "ann", json!({}));
    ann["metadata"]["namespace"] = json!("zoo");
    created(&server, path, ann).await;
    server.raw("DELETE", "/api/v1/namespaces/zoo", Value::Null).await;
    gone(&server, "/api/v1/namespaces/zoo").await;
    let all = got(&server, "/apis/zoo.example/v1/keepers").await;
    assert_eq!(all["items"], json!([]));
}
