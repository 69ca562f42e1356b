use insta::assert_json_snapshot;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn cells(columns: &Columns, object: &Value) -> Vec<Value> {
    columns.cells(&serde_json::to_vec(object).unwrap(), now())
}

fn now() -> Timestamp {
    "2026-01-10T12:00:00Z".parse().unwrap()
}

#[test]
fn durations_are_those_of_kubectl() {
    let cases = [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (121, "2m1s"),
        (599, "9m59s"),
        (600, "10m"),
        (179 * 60 + 59, "179m"),
        (3 * 3600, "3h"),
        (7 * 3600 + 59 * 60, "7h59m"),
        (8 * 3600 + 59 * 60, "8h"),
        (47 * 3600, "47h"),
        (48 * 3600, "2d"),
        (51 * 3600, "2d3h"),
        (8 * 86400, "8d"),
        (729 * 86400, "729d"),
        (730 * 86400, "2y"),
        (800 * 86400, "2y70d"),
        (8 * 365 * 86400, "8y"),
        (9 * 365 * 86400 + 86400, "9y"),
    ];
    for (seconds, expected) in cases {
        assert_eq!(human_duration(seconds), expected, "{seconds}");
    }
    assert_eq!(age("2026-01-10T11:55:00Z", now()), "5m");
    assert_eq!(age("soon", now()), "<unknown>");
}

fn environment() -> Value {
    json!({
        "apiVersion": "example.org/v1",
        "kind": "Thing",
        "metadata": {
            "name": "production",
            "namespace": "shop",
            "creationTimestamp": "2026-01-08T09:00:00Z",
            "labels": {"example.org/tier": "front"},
        },
        "spec": {"replicas": 2, "weight": 1.5, "my-host": "web-1", "list": ["a", "b"], "on": true},
        "status": {"conditions": [
            {"type": "Stalled", "status": "False"},
            {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-10T11:58:00Z"},
        ]},
    })
}

#[test]
fn printer_columns_are_compiled_and_filled() {
    let columns = Columns::compile(&[
        json!({"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}),
        json!({"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas", "format": "int32"}),
        json!({"name": "Weight", "type": "integer", "jsonPath": ".spec.weight"}),
        json!({"name": "Exact", "type": "number", "jsonPath": ".spec.weight"}),
        json!({"name": "On", "type": "boolean", "jsonPath": ".spec.on"}),
        json!({"name": "Host", "type": "string", "jsonPath": ".spec.my-host"}),
        json!({"name": "Tier", "type": "string", "jsonPath": r".metadata.labels.example\.org/tier"}),
        json!({"name": "List", "type": "string", "jsonPath": "{.spec.list}"}),
        json!({"name": "First", "type": "string", "jsonPath": ".spec.list[0]"}),
        json!({"name": "Missing", "type": "string", "jsonPath": ".spec.nothing.here"}),
        json!({"name": "Wrong", "type": "integer", "jsonPath": ".spec.my-host"}),
        json!({"name": "Since", "type": "date", "priority": 1, "jsonPath": ".status.conditions[?(@.type=='Ready')].lastTransitionTime"}),
        json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}),
    ])
    .unwrap();
    assert_eq!(
        Value::from(cells(&columns, &environment())),
        json!([
            "production",
            "True",
            2,
            1,
            1.5,
            true,
            "web-1",
            "front",
            "[\"a\",\"b\"]",
            "a",
            null,
            null,
            "2m",
            "2d3h",
        ])
    );
    let definitions = columns.definitions();
    assert_eq!(definitions.as_array().unwrap().len(), 14);
    assert_json_snapshot!("name_column", definitions[0]);
    assert_json_snapshot!("date_column", definitions[12]);
}

#[test]
fn without_columns_there_are_name_and_age() {
    let columns = Columns::compile(&[]).unwrap();
    assert_eq!(cells(&columns, &environment()), [json!("production"), json!("2d3h")]);
    let bare = cells(&columns, &json!({"metadata": {"name": "x"}}));
    assert_eq!(bare, [json!("x"), json!("<unknown>")]);
}

#[test]
fn paths_that_multiply_their_work_are_refused() {
    for path in ["..a..b", ".a[?(@.b[?(@.c[?(@.d)])])]", &format!(".{}", "a".repeat(2000))] {
        let column = json!({"name": "C", "type": "string", "jsonPath": path});
        assert!(Columns::compile(&[column]).is_err(), "{path}");
    }
}

#[test]
fn a_path_that_breaks_off_within_an_escape_is_refused() {
    for path in [r#".m["\u"#, r#".m["\u12"#, r#".m["\ud83d\u"#] {
        let column = json!({"name": "C", "type": "string", "jsonPath": path});
        let error = Columns::compile(&[column]).unwrap_err();
        assert!(error.message.contains("can't be read"), "{error}");
    }
}

#[test]
fn a_path_can_look_at_everything_below_a_place() {
    let object = json!({"spec": {"x": {"image": "a"}, "y": [{"n-m": {"image": "b"}}]}});
    for (path, expected) in [(".spec..image", "a"), ("..n-m.image", "b"), (".spec.y..*", "")] {
        let column = json!({"name": "C", "type": "string", "jsonPath": path});
        let columns = Columns::compile(&[column]).unwrap();
        let cell = &cells(&columns, &object)[1];
        assert!(expected.is_empty() || cell == expected, "{path}: {cell}");
    }
}

#[test]
fn unusable_columns_are_refused_with_their_index() {
    let good = json!({"name": "A", "type": "string", "jsonPath": ".a"});
    let cases = [
        json!({"type": "string", "jsonPath": ".a"}),
        json!({"name": "A", "type": "text", "jsonPath": ".a"}),
        json!({"name": "A", "type": "string"}),
        json!({"name": "A", "type": "string", "jsonPath": ".a["}),
        json!({"name": "A", "type": "string", "jsonPath": ".a[?("}),
    ];
    for case in cases {
        let error = Columns::compile(&[good.clone(), case.clone()]).unwrap_err();
        assert_eq!(error.index, 1, "{case}: {error}");
    }
}

#[test]
fn events_look_the_same_in_both_views() {
    let stored = json!({
        "metadata": {"name": "e.1"},
        "eventTime": "2026-01-10T11:00:00.000000Z",
        "series": {"count": 4, "lastObservedTime": "2026-01-10T11:59:00.000000Z"},
        "reportingController": "controller",
        "reportingInstance": "host-1",
        "reason": "Started",
        "type": "Normal",
        "note": "container started\n",
        "regarding": {"kind": "Thing", "name": "production", "fieldPath": "spec.services.api"},
    });
    let expected = json!([
        "60s",
        "Normal",
        "Started",
        "thing/production",
        "spec.services.api",
        "controller, host-1",
        "container started",
        "60m",
        4,
        "e.1",
    ]);
    let new = Columns::builtin("events.k8s.io", "Event");
    assert_eq!(Value::from(cells(&new, &stored)), expected);
    let core = Columns::builtin("", "Event");
    let view = crate::wire::event_view::to_core(&stored);
    assert_eq!(Value::from(cells(&core, &view)), expected);
    let names: Vec<Value> =
        core.definitions().as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(
        Value::from(names),
        json!([
            "Last Seen",
            "Type",
            "Reason",
            "Object",
            "Subobject",
            "Source",
            "Message",
            "First Seen",
            "Count",
            "Name"
        ])
    );
}

#[test]
fn events_of_the_old_recorder() {
    let old = json!({
        "metadata": {"name": "e.2"},
        "count": 2,
        "firstTimestamp": "2026-01-10T10:00:00Z",
        "lastTimestamp": "2026-01-10T11:30:00Z",
        "source": {"component": "kubelet"},
        "involvedObject": {"kind": "Pod", "name": "x"},
        "eventTime": null,
    });
    let cells = cells(&Columns::builtin("", "Event"), &old);
    assert_eq!(cells[0], "30m");
    assert_eq!(cells[5], "kubelet");
    assert_eq!(cells[7], "120m");
    assert_eq!(cells[8], 2);
}

#[test]
fn built_in_kinds_have_their_columns() {
    let created = "2026-01-10T11:59:00Z";
    let cases = [
        (("", "Namespace"), json!({"status": {"phase": "Active"}}), json!(["x", "Active", "60s"])),
        (
            ("", "Secret"),
            json!({"type": "Opaque", "data": {"a": "", "b": ""}}),
            json!(["x", "Opaque", 2, "60s"]),
        ),
        (
            ("", "ConfigMap"),
            json!({"data": {"a": ""}, "binaryData": {"b": ""}}),
            json!(["x", 2, "60s"]),
        ),
        (("", "ServiceAccount"), json!({}), json!(["x", 0, "60s"])),
        (
            ("coordination.k8s.io", "Lease"),
            json!({"spec": {"holderIdentity": "me"}}),
            json!(["x", "me", "60s"]),
        ),
        (("apiextensions.k8s.io", "CustomResourceDefinition"), json!({}), json!(["x", created])),
        (("example.org", "Thing"), json!({}), json!(["x", "60s"])),
    ];
    for ((group, kind), mut object, expected) in cases {
        object["metadata"] = json!({"name": "x", "creationTimestamp": created});
        let columns = Columns::builtin(group, kind);
        assert_eq!(Value::from(cells(&columns, &object)), expected, "{kind}");
        assert_eq!(
            columns.definitions().as_array().unwrap().len(),
            expected.as_array().unwrap().len()
        );
    }
}

#[test]
fn rows_carry_what_was_asked_for() {
    let columns = Columns::compile(&[]).unwrap();
    let bytes = br#"{"kind":"Thing","metadata":{"name":"a","uid":"1","n":1.0},"spec":{"x":1}}"#;
    let made = |include| {
        let mut out = Vec::new();
        row(&mut out, &columns, bytes, include, MetaVersion::V1, now()).unwrap();
        String::from_utf8(out).unwrap()
    };
    assert_eq!(made(IncludeObject::None), r#"{"cells":["a","<unknown>"]}"#);
    assert_eq!(
        made(IncludeObject::Metadata),
        r#"{"cells":["a","<unknown>"],"object":{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"a","uid":"1","n":1.0}}}"#
    );
    assert_eq!(
        made(IncludeObject::Object),
        r#"{"cells":["a","<unknown>"],"object":{"kind":"Thing","metadata":{"name":"a","uid":"1","n":1.0},"spec":{"x":1}}}"#
    );
    let mut out = Vec::new();
    let broken = row(&mut out, &columns, b"{", IncludeObject::None, MetaVersion::V1, now());
    assert_eq!(broken, Err(NotAnObject));
    out.clear();
    partial_metadata(&mut out, b"{}", MetaVersion::V1Beta1).unwrap();
    assert_eq!(
        out,
        br#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1beta1","metadata":{}}"#
    );
}

proptest! {
    #[test]
    fn random_objects_and_paths_never_panic(object in crate::admission::schema::tests::any_json(), path in r#"[.\[\]a-c0-9?@=()'"\\*{}-]{0,16}"#) {
        let column = json!({"name": "A", "type": "string", "jsonPath": path});
        if let Ok(columns) = Columns::compile(&[column]) {
            let _ = cells(&columns, &object);
        }
        for (group, kind) in [("", "Event"), ("", "Secret"), ("coordination.k8s.io", "Lease")] {
            let _ = cells(&Columns::builtin(group, kind), &object);
        }
    }

    #[test]
    fn every_duration_has_a_word(seconds in any::<i64>()) {
        prop_assert!(!human_duration(seconds).is_empty());
    }
}
