use proptest::prelude::*;
use serde_json::{Value, json};

use super::{json as json_patch, merge, merge_rules, strategic};
use crate::admission::schema::tests::any_json;

#[test]
fn merge_patch_follows_the_examples_of_rfc_7396() {
    let cases = [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
        (json!({"a": "b"}), json!({"a": null}), json!({})),
        (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
        (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
        (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
        (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
        (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
        (json!({"a": "b"}), json!(["c"]), json!(["c"])),
        (json!({"a": "foo"}), json!(null), json!(null)),
        (json!({"a": "foo"}), json!("bar"), json!("bar")),
        (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
        (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
        (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
    ];
    for (mut target, patch, expected) in cases {
        merge(&mut target, &patch);
        assert_eq!(target, expected, "{patch}");
    }
}

fn patched(target: &Value, patch: &Value) -> Result<Value, u16> {
    json_patch(target, patch.to_string().as_bytes()).map_err(|error| error.code())
}

#[test]
fn json_patch_applies_its_operations() {
    let target = json!({"a": {"b": [1, 2]}, "m~n": {"x/y": 1}});
    let cases = [
        (
            json!([{"op": "add", "path": "/a/b/-", "value": 3}]),
            Ok(json!({"a": {"b": [1, 2, 3]}, "m~n": {"x/y": 1}})),
        ),
        (
            json!([{"op": "remove", "path": "/a/b/0"}, {"op": "replace", "path": "/m~0n/x~1y", "value": 2}]),
            Ok(json!({"a": {"b": [2]}, "m~n": {"x/y": 2}})),
        ),
        (
            json!([{"op": "move", "from": "/a/b", "path": "/c"}, {"op": "copy", "from": "/c", "path": "/d"}]),
            Ok(json!({"a": {}, "c": [1, 2], "d": [1, 2], "m~n": {"x/y": 1}})),
        ),
        (
            json!([{"op": "test", "path": "/a/b/0", "value": 2}, {"op": "remove", "path": "/a"}]),
            Err(422),
        ),
        (json!([{"op": "remove", "path": "/nowhere"}]), Err(422)),
        (json!([{"op": "add", "path": "/no/where", "value": 1}]), Err(422)),
        (json!([{"op": "jump", "path": "/a"}]), Err(400)),
        (json!({"op": "add"}), Err(400)),
    ];
    for (patch, expected) in cases {
        assert_eq!(patched(&target, &patch), expected, "{patch}");
    }
}

#[test]
fn a_test_of_null_passes_on_a_missing_path() {
    // What kube's finalizer() sends for an object without finalizers.
    let patch = json!([
        {"op": "test", "path": "/metadata/finalizers", "value": null},
        {"op": "add", "path": "/metadata/finalizers", "value": ["x.org/y"]},
    ]);
    assert_eq!(
        patched(&json!({"metadata": {}}), &patch),
        Ok(json!({"metadata": {"finalizers": ["x.org/y"]}}))
    );
    assert_eq!(patched(&json!({"metadata": {"finalizers": ["other"]}}), &patch), Err(422));
    // The path is missing only once an earlier operation removed it.
    let later = json!([
        {"op": "remove", "path": "/a"},
        {"op": "test", "path": "/a", "value": null},
    ]);
    assert_eq!(patched(&json!({"a": 1}), &later), Ok(json!({})));
}

#[test]
fn copies_can_not_grow_without_bound() {
    let mut operations = vec![json!({"op": "add", "path": "/a", "value": ["x".repeat(1000)]})];
    for _ in 0..40 {
        operations.push(json!({"op": "copy", "from": "/a", "path": "/a/-"}));
    }
    assert_eq!(patched(&json!({}), &Value::from(operations)), Err(413));
    let many: Vec<Value> =
        (0..10_001).map(|_| json!({"op": "test", "path": "", "value": {}})).collect();
    assert_eq!(patched(&json!({}), &Value::from(many)), Err(413));
}

#[test]
fn strategic_patches_obey_their_directives() {
    let cases = [
        // A plain member merges, null removes, a plain list replaces.
        (
            json!({"a": {"x": 1, "y": 2}, "l": [1, 2]}),
            json!({"a": {"x": null, "z": 3}, "l": [3]}),
            json!({"a": {"y": 2, "z": 3}, "l": [3]}),
        ),
        (
            json!({"a": {"x": 1}}),
            json!({"a": {"$patch": "replace", "y": 2}}),
            json!({"a": {"y": 2}}),
        ),
        (json!({"a": {"x": 1}, "b": 1}), json!({"a": {"$patch": "delete"}}), json!({"b": 1})),
        (
            json!({"a": {"x": 1, "y": 2}}),
            json!({"a": {"$retainKeys": ["y", "z"], "z": 3}}),
            json!({"a": {"y": 2, "z": 3}}),
        ),
        // Merge lists name their keys in the order.
        (
            json!({"l": [{"name": "a", "v": 1}, {"name": "b", "v": 2}]}),
            json!({
                "$setElementOrder/l": [{"name": "b"}, {"name": "a"}, {"name": "c"}],
                "l": [{"name": "a", "v": 9}, {"name": "c", "v": 3}],
            }),
            json!({"l": [{"name": "b", "v": 2}, {"name": "a", "v": 9}, {"name": "c", "v": 3}]}),
        ),
        (
            json!({"l": [{"name": "a"}, {"name": "b"}]}),
            json!({"l": [{"$patch": "delete", "name": "a"}]}),
            json!({"l": [{"name": "b"}]}),
        ),
        (
            json!({"l": [{"name": "a"}]}),
            json!({"l": [{"$patch": "replace"}, {"name": "z"}]}),
            json!({"l": [{"name": "z"}]}),
        ),
        (
            json!({"f": ["a", "b"]}),
            json!({"$setElementOrder/f": ["c", "b"], "$deleteFromPrimitiveList/f": ["a"], "f": ["c"]}),
            json!({"f": ["c", "b"]}),
        ),
        // Directives never reach the object, whatever else the patch does.
        (
            json!({}),
            json!({"new": {"$retainKeys": ["a"], "a": 1}, "l": [{"x": {"$patch": "merge", "y": 1}}]}),
            json!({"new": {"a": 1}, "l": [{"x": {"y": 1}}]}),
        ),
    ];
    for (mut target, patch, expected) in cases {
        strategic(&mut target, &patch, &[]).unwrap();
        assert_eq!(target, expected, "{patch}");
    }
    let mut target = json!({"a": 1});
    for bad in [json!([1]), json!({"$patch": "explode"}), json!({"$retainKeys": 1})] {
        assert_eq!(strategic(&mut target, &bad, &[]).unwrap_err().code(), 400);
    }
    assert_eq!(target, json!({"a": 1}), "a refused patch changes nothing");
}

#[test]
fn lists_of_built_in_kinds_merge_by_their_keys() {
    let rules = merge_rules("", "ServiceAccount");
    let target = json!({
        "metadata": {"finalizers": ["a/a"], "ownerReferences": [{"uid": "1", "name": "x"}]},
        "secrets": [{"name": "one", "kind": "k"}],
    });
    let cases = [
        (
            json!({"secrets": [{"name": "two"}]}),
            "/secrets",
            json!([{"name": "one", "kind": "k"}, {"name": "two"}]),
        ),
        (
            json!({"secrets": [{"name": "one", "kind": "z"}]}),
            "/secrets",
            json!([{"name": "one", "kind": "z"}]),
        ),
        (json!({"secrets": [{"$patch": "delete", "name": "one"}]}), "/secrets", json!([])),
        (
            json!({"secrets": [{"name": "n"}, {"$patch": "replace"}]}),
            "/secrets",
            json!([{"name": "n"}]),
        ),
        (
            json!({"metadata": {"finalizers": ["b/b", "a/a"]}}),
            "/metadata/finalizers",
            json!(["a/a", "b/b"]),
        ),
        (
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/a"]}}),
            "/metadata/finalizers",
            json!([]),
        ),
        (
            json!({"metadata": {"ownerReferences": [{"uid": "1", "name": "y"}]}}),
            "/metadata/ownerReferences",
            json!([{"uid": "1", "name": "y"}]),
        ),
    ];
    for (patch, place, expected) in cases {
        let mut target = target.clone();
        strategic(&mut target, &patch, &rules).unwrap();
        assert_eq!(target.pointer(place), Some(&expected), "{patch}");
    }
    let mut target = target;
    let keyless = json!({"secrets": [{"kind": "k"}]});
    let error = strategic(&mut target, &keyless, &rules).unwrap_err();
    assert!(error.code() == 400 && error.message().contains("merge key \"name\""), "{error}");
}

#[test]
fn a_patch_can_not_nest_an_object_past_reading() {
    let deep = (0..100).fold(json!(1), |value, _| json!({"a": value}));
    let path = "/a".repeat(100);
    let operations = json!([
        {"op": "add", "path": "/a", "value": deep["a"]},
        {"op": "replace", "path": path, "value": deep},
    ]);
    let error = json_patch(&json!({}), operations.to_string().as_bytes()).unwrap_err();
    assert!(error.code() == 422 && error.message().contains("128 levels"), "{error}");
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(_) => false,
        Value::Object(map) => map.values().any(has_null),
        _ => false,
    }
}

proptest! {
    #[test]
    fn merging_is_idempotent_and_leaves_no_null_of_the_patch(target in any_json(), patch in any_json()) {
        let mut once = target;
        merge(&mut once, &patch);
        let mut twice = once.clone();
        merge(&mut twice, &patch);
        prop_assert_eq!(&twice, &once);
        let mut fresh = serde_json::json!({});
        if patch.is_object() {
            merge(&mut fresh, &patch);
            prop_assert!(!has_null(&fresh));
        }
    }

    #[test]
    fn without_directives_strategic_is_a_merge_patch(target in any_json(), patch in any_json()) {
        // Objects by construction: thrown-away cases would end the test early.
        let (target, patch) = (json!({"a": target}), json!({"a": patch}));
        let mut merged = target.clone();
        merge(&mut merged, &patch);
        let mut strategically = target;
        strategic(&mut strategically, &patch, &[]).unwrap();
        prop_assert_eq!(strategically, merged);
    }

    #[test]
    fn a_difference_as_json_patch_leads_to_the_other_object(from in any_json(), to in any_json()) {
        let patch = serde_json::to_vec(&::json_patch::diff(&from, &to)).unwrap();
        prop_assert_eq!(json_patch(&from, &patch).unwrap(), to);
    }

    #[test]
    fn random_bodies_never_panic(target in any_json(), body in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = json_patch(&target, &body);
    }
}

#[test]
fn a_patch_can_not_keep_the_server_busy_with_a_long_list() {
    let target = json!({"list": vec![0; 40_000], "map": {"a": vec![0; 40_000]}});
    for operation in [
        json!({"op": "add", "path": "/list/0", "value": 1}),
        json!({"op": "move", "from": "/list/0", "path": "/list/1"}),
        json!({"op": "move", "from": "/map", "path": "/map"}),
    ] {
        let operations = Value::from(vec![operation; 9000]);
        let error = json_patch(&target, operations.to_string().as_bytes()).unwrap_err();
        assert_eq!(error.code(), 413, "{error}");
    }
    let few = json!([{"op": "add", "path": "/list/0", "value": 1}]);
    let patched = json_patch(&target, few.to_string().as_bytes()).unwrap();
    assert_eq!(patched["list"].as_array().unwrap().len(), 40_001);
}

/// A minute where every item is compared with every other.
#[test]
fn long_lists_merge_by_their_keys() {
    let item = |index: usize| json!({"name": format!("n{index}"), "value": index});
    let list: Vec<Value> = (0..15_000).map(item).collect();
    let order: Vec<Value> =
        (0..15_000).rev().map(|index| json!({"name": format!("n{index}")})).collect();
    let mut target =
        json!({"list": list, "words": (0..15_000).map(|n| n.to_string()).collect::<Vec<_>>()});
    let gone: Vec<String> = (0..14_999).map(|n| n.to_string()).collect();
    let patch = json!({
        "$setElementOrder/list": order,
        "list": list.iter().map(|item| json!({"name": item["name"], "more": 1})).collect::<Vec<_>>(),
        "$deleteFromPrimitiveList/words": gone,
    });
    strategic(&mut target, &patch, &[]).unwrap();
    assert_eq!(target["list"][0], json!({"name": "n14999", "value": 14_999, "more": 1}));
    assert_eq!(target["words"], json!(["14999"]));
}
