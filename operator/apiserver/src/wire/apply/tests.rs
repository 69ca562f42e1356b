use serde_json::{Value, json};

use super::*;
use crate::admission::schema::StructuralSchema;

const T1: &str = "2026-01-01T00:00:00Z";
const T2: &str = "2026-01-02T00:00:00Z";

pub(super) fn schema() -> StructuralSchema {
    StructuralSchema::compile(&json!({
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "replicas": {"type": "integer"},
                    "image": {"type": "string"},
                    "command": {"type": "array", "items": {"type": "string"}},
                    "hosts": {
                        "type": "array",
                        "items": {"type": "string"},
                        "x-kubernetes-list-type": "set",
                    },
                    "ports": {
                        "type": "array",
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["port", "protocol"],
                        "items": {
                            "type": "object",
                            "required": ["port"],
                            "properties": {
                                "port": {"type": "integer"},
                                "protocol": {"type": "string", "default": "TCP"},
                                "name": {"type": "string"},
                                "weight": {"type": "integer"},
                            },
                        },
                    },
                    "selector": {
                        "type": "object",
                        "x-kubernetes-map-type": "atomic",
                        "additionalProperties": {"type": "string"},
                    },
                    "env": {"type": "object", "additionalProperties": {"type": "string"}},
                    "raw": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                },
            },
            "status": {
                "type": "object",
                "properties": {
                    "phase": {"type": "string"},
                    "conditions": {
                        "type": "array",
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["type"],
                        "items": {"type": "object", "properties": {
                            "type": {"type": "string"},
                            "status": {"type": "string"},
                        }},
                    },
                },
            },
        },
    }))
    .unwrap()
}

fn thing(spec: Value) -> Value {
    json!({
        "apiVersion": "example.org/v1",
        "kind": "Thing",
        "metadata": {"name": "one", "namespace": "default"},
        "spec": spec,
    })
}

fn request<'a>(
    current: Option<&'a Value>,
    applied: &'a Value,
    manager: &'a str,
    schema: &'a StructuralSchema,
) -> ApplyRequest<'a> {
    ApplyRequest { current, applied, manager, force: false, subresource: None, now: T1, schema }
}

fn applied(current: Option<&Value>, spec: Value, manager: &str) -> Result<Value, StatusError> {
    apply(request(current, &thing(spec), manager, &schema()))
}

fn forced(current: &Value, spec: Value, manager: &str) -> Value {
    let (schema, configuration) = (schema(), thing(spec));
    apply(ApplyRequest {
        force: true,
        now: T2,
        ..request(Some(current), &configuration, manager, &schema)
    })
    .unwrap()
}

fn updated(current: Option<&Value>, mut new: Value, manager: &str) -> Value {
    track_update(current, &mut new, manager, Operation::Update, None, T2, &schema());
    new
}

/// `manager/operation` with the fields that it owns.
fn owners(object: &Value) -> Value {
    let mut owners = serde_json::Map::new();
    for entry in object["metadata"]["managedFields"].as_array().into_iter().flatten() {
        let name = format!(
            "{}/{}",
            entry["manager"].as_str().unwrap(),
            entry["operation"].as_str().unwrap()
        );
        owners.insert(name, entry["fieldsV1"].clone());
    }
    Value::Object(owners)
}

#[test]
fn creating_by_apply_owns_what_was_applied() {
    let object = applied(
        None,
        json!({
            "replicas": 1,
            "command": ["a", "b"],
            "hosts": ["x"],
            "ports": [{"port": 80, "name": "http"}],
            "selector": {"a": "b"},
            "env": {"A": "1"},
            "raw": {"deep": {"x": [1]}},
        }),
        "kubectl",
    )
    .unwrap();
    assert_eq!(
        object["metadata"]["managedFields"],
        json!([{
            "manager": "kubectl",
            "operation": "Apply",
            "apiVersion": "example.org/v1",
            "time": T1,
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {
                "f:replicas": {},
                "f:command": {},
                "f:hosts": {"v:\"x\"": {}},
                "f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}, "f:name": {}}},
                "f:selector": {},
                "f:env": {"f:A": {}},
                "f:raw": {"f:deep": {".": {}, "f:x": {}}},
            }},
        }])
    );
}

#[test]
fn another_value_of_an_owned_field_is_a_conflict() {
    let live = applied(None, json!({"replicas": 1, "image": "a"}), "one").unwrap();
    let error = applied(Some(&live), json!({"replicas": 2}), "two").unwrap_err();
    assert_eq!(error.code(), 409);
    assert_eq!(error.reason(), "Conflict");
    assert_eq!(
        error.message(),
        "Apply failed with 1 conflict: conflict with \"one\": .spec.replicas"
    );
    assert_eq!(
        error.to_value()["details"]["causes"],
        json!([{
            "reason": "FieldManagerConflict",
            "message": "conflict with \"one\"",
            "field": ".spec.replicas",
        }])
    );
    let same = applied(Some(&live), json!({"replicas": 1}), "two").unwrap();
    assert_eq!(
        owners(&same),
        json!({
            "one/Apply": {"f:spec": {"f:replicas": {}, "f:image": {}}},
            "two/Apply": {"f:spec": {"f:replicas": {}}},
        }),
        "equal values are shared"
    );
    let taken = forced(&live, json!({"replicas": 2}), "two");
    assert_eq!(taken["spec"], json!({"replicas": 2, "image": "a"}));
    assert_eq!(
        owners(&taken),
        json!({
            "one/Apply": {"f:spec": {"f:image": {}}},
            "two/Apply": {"f:spec": {"f:replicas": {}}},
        })
    );
}

#[test]
fn conflicts_name_every_manager_and_field() {
    let created =
        updated(None, thing(json!({"replicas": 1, "ports": [{"port": 80, "weight": 1}]})), "edit");
    let live = applied(Some(&created), json!({"image": "a"}), "one").unwrap();
    let error = applied(
        Some(&live),
        json!({"replicas": 2, "image": "b", "ports": [{"port": 80, "protocol": "TCP", "weight": 2}]}),
        "two",
    )
    .unwrap_err();
    assert_eq!(
        error.message(),
        "Apply failed with 3 conflicts: conflicts with \"one\":\n- .spec.image\n\
         conflicts with \"edit\" using example.org/v1 at 2026-01-02T00:00:00Z:\n\
         - .spec.ports[port=80,protocol=\"TCP\"].weight\n- .spec.replicas"
    );
}

#[test]
fn what_is_given_up_goes_unless_someone_else_owns_it() {
    let live =
        applied(None, json!({"replicas": 1, "image": "a", "env": {"A": "1", "B": "2"}}), "one")
            .unwrap();
    let live = applied(Some(&live), json!({"image": "a"}), "two").unwrap();
    let live = applied(Some(&live), json!({"env": {"A": "1"}}), "one").unwrap();
    assert_eq!(live["spec"], json!({"image": "a", "env": {"A": "1"}}));
    let live = applied(Some(&live), json!({}), "two").unwrap();
    assert_eq!(live["spec"], json!({"env": {"A": "1"}}));
    let live = applied(Some(&live), json!({}), "one").unwrap();
    assert_eq!(live["spec"], json!({}), "an emptied map goes with its last entry");
}

#[test]
fn a_given_up_list_item_goes_whole() {
    let live = applied(
        None,
        json!({"ports": [{"port": 80, "protocol": "TCP", "name": "a"}, {"port": 81, "protocol": "TCP"}]}),
        "one",
    )
    .unwrap();
    let without =
        applied(Some(&live), json!({"ports": [{"port": 81, "protocol": "TCP"}]}), "one").unwrap();
    assert_eq!(without["spec"]["ports"], json!([{"port": 81, "protocol": "TCP"}]));
    // What the server filled into an item goes with it.
    let mut with_default = live.clone();
    with_default["spec"]["ports"][0]["weight"] = json!(5);
    let without = applied(Some(&with_default), json!({}), "one").unwrap();
    assert_eq!(without["spec"], json!({}));
}

#[test]
fn an_item_that_others_extend_keeps_its_key() {
    let live =
        applied(None, json!({"ports": [{"port": 80, "protocol": "TCP", "name": "a"}]}), "one")
            .unwrap();
    let live = applied(
        Some(&live),
        json!({"ports": [{"port": 80, "protocol": "TCP", "weight": 3}]}),
        "two",
    )
    .unwrap();
    let live = applied(Some(&live), json!({}), "one").unwrap();
    assert_eq!(live["spec"]["ports"], json!([{"port": 80, "protocol": "TCP", "weight": 3}]));
    assert_eq!(owners(&live)["one/Apply"], json!({"f:spec": {}}));
}

#[test]
fn items_are_found_by_defaulted_keys() {
    let live = applied(None, json!({"ports": [{"port": 80, "protocol": "TCP"}]}), "one").unwrap();
    let merged =
        applied(Some(&live), json!({"ports": [{"port": 80, "name": "x"}]}), "two").unwrap();
    assert_eq!(merged["spec"]["ports"], json!([{"port": 80, "protocol": "TCP", "name": "x"}]));
}

#[test]
fn lists_keep_the_order_of_the_applied() {
    let live = applied(None, json!({"hosts": ["a", "b", "c"]}), "one").unwrap();
    let merged = applied(Some(&live), json!({"hosts": ["d", "c", "e"]}), "two").unwrap();
    assert_eq!(merged["spec"]["hosts"], json!(["d", "a", "b", "c", "e"]));
    let swapped = applied(Some(&live), json!({"hosts": ["c", "b", "a"]}), "one").unwrap();
    assert_eq!(swapped["spec"]["hosts"], json!(["c", "b", "a"]));
}

#[test]
fn atomic_values_are_one_field() {
    let live =
        applied(None, json!({"command": ["a", "b"], "selector": {"a": "1"}}), "one").unwrap();
    let error = applied(Some(&live), json!({"command": ["a", "c"]}), "two").unwrap_err();
    assert!(error.message().contains(".spec.command"), "{error}");
    let error = applied(Some(&live), json!({"selector": {"b": "1"}}), "two").unwrap_err();
    assert!(error.message().ends_with(".spec.selector"), "{error}");
    let replaced =
        applied(Some(&live), json!({"command": ["x"], "selector": {"b": "2"}}), "one").unwrap();
    assert_eq!(replaced["spec"], json!({"command": ["x"], "selector": {"b": "2"}}));
}

#[test]
fn a_value_that_becomes_an_object_conflicts() {
    let live = applied(None, json!({"raw": {"x": 1}}), "one").unwrap();
    let error = applied(Some(&live), json!({"raw": {"x": {"y": 1}}}), "two").unwrap_err();
    assert!(error.message().ends_with(".spec.raw.x"), "{error}");
    let live = applied(None, json!({"raw": {"x": {"y": 1}}}), "one").unwrap();
    let error = applied(Some(&live), json!({"raw": {"x": 1}}), "two").unwrap_err();
    assert!(error.message().contains(".spec.raw.x"), "{error}");
}

#[test]
fn applying_again_changes_nothing_not_even_times() {
    let schema = schema();
    let configuration = thing(json!({"replicas": 1, "ports": [{"port": 80}]}));
    let first = apply(request(None, &configuration, "one", &schema)).unwrap();
    let again =
        apply(ApplyRequest { now: T2, ..request(Some(&first), &configuration, "one", &schema) })
            .unwrap();
    assert_eq!(again, first);
}

#[test]
fn what_the_server_owns_can_not_be_applied() {
    let mut live = applied(None, json!({"replicas": 1}), "one").unwrap();
    live["metadata"]["uid"] = json!("u1");
    live["metadata"]["resourceVersion"] = json!("7");
    live["metadata"]["generation"] = json!(3);
    let mut configuration = thing(json!({"replicas": 2}));
    configuration["metadata"] = json!({
        "name": "one",
        "uid": "u2",
        "generation": 9,
        "deletionTimestamp": T1,
        "labels": {"a": "b"},
        "finalizers": ["x.org/y"],
    });
    let schema = schema();
    let object = apply(request(Some(&live), &configuration, "one", &schema)).unwrap();
    let metadata = &object["metadata"];
    assert_eq!(metadata["uid"], "u1");
    assert_eq!(metadata["resourceVersion"], "7");
    assert_eq!(metadata["generation"], 3);
    assert_eq!(metadata.get("deletionTimestamp"), None);
    assert_eq!(metadata["labels"], json!({"a": "b"}));
    assert_eq!(
        owners(&object)["one/Apply"]["f:metadata"],
        json!({"f:labels": {"f:a": {}}, "f:finalizers": {"v:\"x.org/y\"": {}}})
    );
    configuration["metadata"]["managedFields"] = json!([{}]);
    let error = apply(request(Some(&live), &configuration, "one", &schema)).unwrap_err();
    assert_eq!(error.code(), 400);
}

#[test]
fn finalizers_of_two_managers_add_up() {
    let with = |name: &str| {
        let mut configuration = thing(json!({}));
        configuration["metadata"]["finalizers"] = json!([name]);
        configuration
    };
    let schema = schema();
    let live = apply(request(None, &with("a/a"), "one", &schema)).unwrap();
    let live = apply(request(Some(&live), &with("b/b"), "two", &schema)).unwrap();
    assert_eq!(live["metadata"]["finalizers"].as_array().unwrap().len(), 2);
    let none = thing(json!({}));
    let live = apply(request(Some(&live), &none, "one", &schema)).unwrap();
    assert_eq!(live["metadata"]["finalizers"], json!(["b/b"]));
}

#[test]
fn the_status_subresource_applies_only_status() {
    let schema = schema();
    let mut live = applied(None, json!({"replicas": 1}), "one").unwrap();
    live["status"] = json!({"phase": "Old"});
    let mut configuration = thing(json!({"replicas": 9}));
    configuration["metadata"]["labels"] = json!({"a": "b"});
    configuration["status"] = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    let object = apply(ApplyRequest {
        subresource: Some("status"),
        ..request(Some(&live), &configuration, "one", &schema)
    })
    .unwrap();
    assert_eq!(object["spec"]["replicas"], 1);
    assert_eq!(object["metadata"].get("labels"), None);
    assert_eq!(object["status"]["phase"], "Old");
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!(entries.len(), 2, "main and status are owned apart: {entries:?}");
    assert_eq!(entries[1]["subresource"], "status");
    assert_eq!(
        entries[1]["fieldsV1"],
        json!({"f:status": {"f:conditions": {"k:{\"type\":\"Ready\"}": {".": {}, "f:type": {}, "f:status": {}}}}})
    );
    // A main apply afterwards leaves the status alone.
    let object = applied(Some(&object), json!({"replicas": 2}), "one").unwrap();
    assert_eq!(object["status"]["conditions"][0]["status"], "True");
}

#[test]
fn objects_from_before_ownership_have_an_owner() {
    let error =
        applied(Some(&thing(json!({"replicas": 1}))), json!({"replicas": 2}), "one").unwrap_err();
    assert!(error.message().contains("before-first-apply"), "{error}");
}

#[test]
fn updates_take_over_what_they_change() {
    let live = applied(None, json!({"replicas": 1, "image": "a", "hosts": ["x"]}), "one").unwrap();
    let mut new = live.clone();
    new["spec"] = json!({"replicas": 5, "hosts": ["x", "y"]});
    let new = updated(Some(&live), new, "edit");
    assert_eq!(
        owners(&new),
        json!({
            "one/Apply": {"f:spec": {"f:hosts": {"v:\"x\"": {}}}},
            "edit/Update": {"f:spec": {"f:replicas": {}, "f:hosts": {"v:\"y\"": {}}}},
        })
    );
    let again = updated(Some(&new), new.clone(), "edit");
    assert_eq!(again, new, "an update without a change is none");
}

#[test]
fn clients_may_rewrite_ownership_but_not_lose_it_by_accident() {
    let live = applied(None, json!({"replicas": 1}), "one").unwrap();
    let with = |managed: Option<Value>| {
        let mut new = live.clone();
        match managed {
            Some(managed) => new["metadata"]["managedFields"] = managed,
            None => {
                new["metadata"].as_object_mut().unwrap().remove("managedFields");
            }
        }
        owners(&updated(Some(&live), new, "edit"))
    };
    let kept = owners(&live);
    assert_eq!(with(None), kept);
    assert_eq!(with(Some(json!([]))), kept);
    assert_eq!(with(Some(json!([{"manager": "x", "operation": "Guess"}]))), kept);
    assert_eq!(with(Some(json!([{}]))), json!({}));
    let other = json!([{
        "manager": "other", "operation": "Apply", "apiVersion": "example.org/v1", "time": T1,
        "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}},
    }]);
    assert_eq!(with(Some(other)), json!({"other/Apply": {"f:spec": {"f:replicas": {}}}}));
}

#[test]
fn old_update_managers_are_merged() {
    let mut live = updated(None, thing(json!({"env": {"A": "0"}})), "creator");
    for index in 0..30 {
        let mut new = live.clone();
        new["spec"]["env"][format!("K{index}")] = json!("1");
        let time = format!("2026-02-01T00:00:{index:02}Z");
        track_update(
            Some(&live),
            &mut new,
            &format!("m{index}"),
            Operation::Update,
            None,
            &time,
            &schema(),
        );
        live = new;
    }
    let owners = owners(&live);
    let owners = owners.as_object().unwrap();
    assert_eq!(owners.len(), 10);
    assert!(owners.contains_key("m29/Update"));
    let ancient = &owners["ancient-changes/Update"]["f:spec"]["f:env"];
    assert!(ancient.get("f:K0").is_some() && ancient.get("f:A").is_some(), "{ancient}");
}

#[test]
fn kubectl_can_move_from_client_side_to_server_side_apply() {
    // create by `kubectl apply`, then SSA as kubectl and as kubectl-last-applied,
    // then the JSON patch by which kubectl merges the old manager into the new.
    let live =
        updated(None, thing(json!({"replicas": 1, "image": "a"})), "kubectl-client-side-apply");
    let live = applied(Some(&live), json!({"replicas": 1, "image": "a"}), "kubectl").unwrap();
    let mut new = live.clone();
    let only_kubectl: Vec<Value> = live["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["manager"] == "kubectl")
        .cloned()
        .collect();
    new["metadata"]["managedFields"] = Value::from(only_kubectl);
    let new = updated(Some(&live), new, "kubectl");
    let last = applied(Some(&new), json!({"replicas": 2}), "kubectl").unwrap();
    assert_eq!(last["spec"], json!({"replicas": 2}), "the old manager no longer holds image");
}

#[test]
fn equality_ignores_only_times_and_version() {
    let a = applied(None, json!({"replicas": 1}), "one").unwrap();
    let mut b = a.clone();
    b["metadata"]["managedFields"][0]["time"] = json!(T2);
    b["metadata"]["resourceVersion"] = json!("9");
    assert!(equal_ignoring_times(&a, &b));
    b["metadata"]["managedFields"][0]["manager"] = json!("two");
    assert!(!equal_ignoring_times(&a, &b));
    let mut c = a.clone();
    c["spec"]["time"] = json!("x");
    assert!(!equal_ignoring_times(&a, &c));
}

#[test]
fn foreign_spellings_of_paths_are_understood() {
    let set = FieldSet::from_fields_v1(&json!({
        "f:spec": {"f:ports": {"k:{\"protocol\": \"TCP\", \"port\":80}": {".": {}}}},
    }))
    .unwrap();
    let item = field_set::key(json!({"port": 80, "protocol": "TCP"}).as_object().unwrap().clone());
    assert!(set.contains(&["f:spec".to_owned(), "f:ports".to_owned(), item]));
    for broken in [json!(1), json!({"x": {}}), json!({"k:{": {}}), json!({"f:a": 1})] {
        assert!(FieldSet::from_fields_v1(&broken).is_none(), "{broken}");
    }
}

/// Minutes where every item is looked for among all others.
#[test]
fn long_lists_are_applied_and_given_up() {
    let schema = schema();
    let ports: Vec<Value> = (0..4_000).map(|port| json!({"port": port, "name": "x"})).collect();
    let hosts: Vec<Value> = (0..4_000).map(|host| json!(host.to_string())).collect();
    let configuration = |ports: &[Value], hosts: &[Value]| {
        json!({"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "a"},
               "spec": {"ports": ports, "hosts": hosts}})
    };
    let applied_over = |current: Option<&Value>, applied: &Value, manager: &str| {
        apply(ApplyRequest {
            current,
            applied,
            manager,
            force: true,
            subresource: None,
            now: T1,
            schema: &schema,
        })
        .unwrap()
    };
    let first = applied_over(None, &configuration(&ports, &hosts), "a");
    let reversed: Vec<Value> = ports.iter().rev().cloned().collect();
    let second = applied_over(Some(&first), &configuration(&reversed, &hosts[..1]), "b");
    assert_eq!(second["spec"]["ports"][0], json!({"port": 3_999, "name": "x"}));
    let third = applied_over(Some(&second), &configuration(&[], &[]), "a");
    assert_eq!(third["spec"]["ports"].as_array().unwrap().len(), 4_000, "b has them");
    assert_eq!(third["spec"]["hosts"], json!(["0"]));
}
