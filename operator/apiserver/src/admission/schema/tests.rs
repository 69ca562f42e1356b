use proptest::prelude::*;
use serde_json::{Value, json};

use super::StructuralSchema;
use crate::admission::{Cause, CauseReason};

fn schema(properties: Value) -> StructuralSchema {
    StructuralSchema::compile(&json!({
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": properties}},
    }))
    .unwrap()
}

fn object(spec: Value) -> Value {
    json!({
        "apiVersion": "example.org/v1",
        "kind": "Thing",
        "metadata": {"name": "one"},
        "spec": spec,
    })
}

fn texts(causes: &[Cause]) -> Vec<String> {
    causes.iter().map(ToString::to_string).collect()
}

#[test]
fn messages_are_those_of_kubernetes() {
    let property = |schema: Value| json!({"x": schema});
    let cases = [
        (
            json!({"type": "integer"}),
            json!("three"),
            r#"spec.x: Invalid value: "string": spec.x in body must be of type integer: "string""#,
        ),
        (
            json!({"type": "integer"}),
            json!(1.5),
            r#"spec.x: Invalid value: "number": spec.x in body must be of type integer: "number""#,
        ),
        (
            json!({"type": "string"}),
            json!(null),
            r#"spec.x: Invalid value: "null": spec.x in body must be of type string: "null""#,
        ),
        (
            json!({"type": "string", "enum": ["a", "b"]}),
            json!("c"),
            r#"spec.x: Unsupported value: "c": supported values: "a", "b""#,
        ),
        (
            json!({"type": "integer", "minimum": 1}),
            json!(0),
            "spec.x: Invalid value: 0: spec.x in body should be greater than or equal to 1",
        ),
        (
            json!({"type": "integer", "maximum": 5, "exclusiveMaximum": true}),
            json!(5),
            "spec.x: Invalid value: 5: spec.x in body should be less than 5",
        ),
        (
            json!({"type": "number", "multipleOf": 0.5}),
            json!(0.7),
            "spec.x: Invalid value: 0.7: spec.x in body should be a multiple of 0.5",
        ),
        (
            json!({"type": "string", "maxLength": 2}),
            json!("abc"),
            "spec.x: Too long: may not be more than 2 bytes",
        ),
        (
            json!({"type": "string", "minLength": 2}),
            json!("a"),
            r#"spec.x: Invalid value: "a": spec.x in body should be at least 2 chars long"#,
        ),
        (
            json!({"type": "string", "pattern": "^[a-z]+$"}),
            json!("A"),
            r#"spec.x: Invalid value: "A": spec.x in body should match '^[a-z]+$'"#,
        ),
        (
            json!({"type": "string", "format": "date-time"}),
            json!("yesterday"),
            r#"spec.x: Invalid value: "yesterday": spec.x in body must be of type date-time: "yesterday""#,
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "maxItems": 1}),
            json!(["a", "b"]),
            "spec.x: Too many: 2: must have at most 1 items",
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "minItems": 1}),
            json!([]),
            "spec.x: Invalid value: []: spec.x in body should have at least 1 items",
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "uniqueItems": true}),
            json!(["a", "a"]),
            r#"spec.x: Invalid value: ["a","a"]: spec.x in body shouldn't contain duplicates"#,
        ),
        (
            json!({"type": "array", "items": {"type": "integer"}}),
            json!([1, "b"]),
            r#"spec.x[1]: Invalid value: "string": spec.x[1] in body must be of type integer: "string""#,
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}),
            json!(["a", "b", "a"]),
            r#"spec.x[2]: Duplicate value: "a""#,
        ),
        (
            json!({
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "properties": {"name": {"type": "string"}}},
            }),
            json!([{"name": "a"}, {"name": "a"}]),
            r#"spec.x[1]: Duplicate value: {"name":"a"}"#,
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 1}),
            json!({"a": "1", "b": "2"}),
            r#"spec.x: Invalid value: {"a":"1","b":"2"}: spec.x in body should have at most 1 properties"#,
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1}),
            json!({}),
            "spec.x: Invalid value: {}: spec.x in body should have at least 1 properties",
        ),
        (
            json!({"type": "object", "required": ["y"], "properties": {"y": {"type": "string"}}}),
            json!({}),
            "spec.x.y: Required value",
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "integer"}}),
            json!({"example.org/a": "b"}),
            "spec.x[example.org/a]: Invalid value: \"string\": spec.x[example.org/a] in body must be of \
             type integer: \"string\"",
        ),
        (
            json!({"x-kubernetes-int-or-string": true}),
            json!(true),
            r#"spec.x: Invalid value: "boolean": spec.x in body must be of type integer,string: "boolean""#,
        ),
        (
            json!({"type": "string", "not": {"enum": ["root"]}}),
            json!("root"),
            r#"spec.x: Invalid value: "": "spec.x" must not validate the schema (not)"#,
        ),
        (
            json!({"type": "integer", "format": "int32"}),
            json!(5_000_000_000_i64),
            r#"spec.x: Invalid value: 5000000000: spec.x in body must be of type int32: "5000000000""#,
        ),
    ];
    for (rule, value, expected) in cases {
        let causes = schema(property(rule.clone())).validate(&object(json!({"x": value})), None);
        assert_eq!(texts(&causes), [expected], "{rule}");
    }
}

#[test]
fn right_values_pass() {
    let cases = [
        (json!({"type": "integer"}), json!(3.0)),
        (json!({"type": "number"}), json!(3)),
        (json!({"type": "string", "nullable": true}), json!(null)),
        (json!({"type": "integer", "enum": [1, 2]}), json!(2.0)),
        (json!({"x-kubernetes-int-or-string": true}), json!("25%")),
        (json!({"x-kubernetes-int-or-string": true}), json!(3)),
        (json!({"x-kubernetes-preserve-unknown-fields": true}), json!([1, {"a": null}])),
        (json!({"type": "string", "format": "date-time"}), json!("2026-01-02T03:04:05+01:00")),
        (json!({"type": "string", "format": "duration"}), json!("1h30m0.5s")),
        (
            json!({"type": "string", "format": "uuid"}),
            json!("0b5a7a3e-0e9c-4b6b-9b1a-3a8a6a0f3c1d"),
        ),
        (json!({"type": "string", "format": "ipv6"}), json!("fe80::1")),
        (json!({"type": "string", "format": "cidr"}), json!("10.0.0.0/8")),
        (json!({"type": "string", "format": "byte"}), json!("aGVsbG8=")),
        (json!({"type": "string", "format": "uri"}), json!("ssh://git@example.org/a.git")),
        (json!({"type": "string", "format": "nobody-knows"}), json!("x")),
        (json!({"type": "string", "maxLength": 2}), json!("éé")),
    ];
    for (rule, value) in cases {
        let causes = schema(json!({"x": rule})).validate(&object(json!({"x": value})), None);
        assert!(causes.is_empty(), "{rule} {value}: {causes:?}");
    }
}

#[test]
fn wrong_formats_are_found() {
    let cases = [
        ("date-time", "2026-01-02"),
        ("date", "2026-13-01"),
        ("duration", "5 minutes"),
        ("ipv4", "300.1.1.1"),
        ("cidr", "10.0.0.0/33"),
        ("mac", "aa:bb"),
        ("uuid", "0b5a7a3e"),
        ("byte", "%%%"),
        ("email", "nobody"),
        ("hostname", "-a.b"),
        ("uri", "no spaces here"),
    ];
    for (format, value) in cases {
        let rule = json!({"x": {"type": "string", "format": format}});
        let causes = schema(rule).validate(&object(json!({"x": value})), None);
        assert_eq!(causes.len(), 1, "{format} {value}");
    }
}

#[test]
fn every_mistake_is_reported_at_once() {
    let schema = schema(json!({
        "a": {"type": "integer"},
        "b": {"type": "string", "pattern": "^x"},
        "c": {"type": "array", "items": {"type": "object", "required": ["d"], "properties": {
            "d": {"type": "string"},
        }}},
    }));
    let causes = schema.validate(&object(json!({"a": "1", "b": "y", "c": [{}, {"d": 1}]})), None);
    let fields: Vec<&str> = causes.iter().map(|cause| cause.field.as_str()).collect();
    assert_eq!(fields, ["spec.a", "spec.b", "spec.c[0].d", "spec.c[1].d"]);
}

#[test]
fn junctors_tell_which_alternative_fits_best() {
    let schema = schema(json!({
        "image": {"type": "string"},
        "build": {"type": "object", "properties": {"context": {"type": "string"}}},
    }));
    assert!(schema.validate(&object(json!({"image": "a"})), None).is_empty());
    let exclusive = StructuralSchema::compile(&json!({
        "type": "object",
        "properties": {"spec": {
            "type": "object",
            "properties": {"image": {"type": "string"}, "build": {"type": "string"}},
            "oneOf": [{"required": ["image"]}, {"required": ["build"]}],
        }},
    }))
    .unwrap();
    let both = exclusive.validate(&object(json!({"image": "a", "build": "b"})), None);
    assert_eq!(
        texts(&both),
        ["spec: Invalid value: \"\": \"spec\" must validate one and only one schema (oneOf). \
          Found 2 valid alternatives"]
    );
    let none = exclusive.validate(&object(json!({})), None);
    assert_eq!(none.len(), 2, "{none:?}");
    assert_eq!(none[1].to_string(), "spec.image: Required value");
}

#[test]
fn defaults_fill_in_and_nulls_give_way() {
    let schema = schema(json!({
        "replicas": {"type": "integer", "default": 1},
        "strategy": {
            "type": "object",
            "default": {},
            "properties": {"type": {"type": "string", "default": "Rolling"}},
        },
        "services": {"type": "object", "additionalProperties": {
            "type": "object",
            "properties": {"port": {"type": "integer", "default": 80}},
        }},
        "list": {"type": "array", "items": {
            "type": "object",
            "properties": {"on": {"type": "boolean", "default": true}},
        }},
        "note": {"type": "string"},
        "maybe": {"type": "string", "nullable": true, "default": "x"},
    }));
    let mut thing = object(json!({
        "replicas": null,
        "services": {"api": {}, "gone": null},
        "list": [{}],
        "note": null,
        "maybe": null,
    }));
    schema.apply_defaults(&mut thing);
    assert_eq!(
        thing["spec"],
        json!({
            "replicas": 1,
            "strategy": {"type": "Rolling"},
            "services": {"api": {"port": 80}},
            "list": [{"on": true}],
            "maybe": null,
        })
    );
}

#[test]
fn unknown_fields_have_a_path_and_the_nearest_name() {
    let schema = StructuralSchema::compile(&json!({
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": {
                "services": {"type": "object", "additionalProperties": {
                    "type": "object",
                    "properties": {
                        "image": {"type": "string"},
                        "ports": {"type": "array", "items": {
                            "type": "object",
                            "properties": {"port": {"type": "integer"}},
                        }},
                    },
                }},
                "raw": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {
                    "known": {"type": "object", "properties": {"a": {"type": "string"}}},
                }},
                "resource": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {
                    "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                }},
            }},
        },
    }))
    .unwrap();
    let mut thing = json!({
        "apiVersion": "v1",
        "kind": "Thing",
        "metadata": {"name": "a", "lables": {}, "annotations": {"any/thing": "goes"}},
        "sepc": {},
        "spec": {
            "services": {"api": {"imgae": "x", "ports": [{"port": 1}, {"prot": 2}]}},
            "raw": {"anything": 1, "known": {"a": "b", "zzzzzzz": 1}},
            "resource": {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"nmae": "x"},
                "spec": {"free": 1},
            },
        },
    });
    let unknown: Vec<(String, Option<String>)> =
        schema.prune(&mut thing).into_iter().map(|field| (field.path, field.nearest)).collect();
    let named = |path: &str, nearest: &str| (path.to_owned(), Some(nearest.to_owned()));
    assert_eq!(
        unknown,
        [
            named("metadata.lables", "labels"),
            named("sepc", "spec"),
            ("spec.raw.known.zzzzzzz".to_owned(), None),
            named("spec.resource.metadata.nmae", "name"),
            named("spec.services.api.imgae", "image"),
            named("spec.services.api.ports[1].prot", "port"),
        ]
    );
    assert_eq!(thing["spec"]["raw"]["anything"], 1);
    assert_eq!(thing["spec"]["resource"]["spec"]["free"], 1);
    assert_eq!(thing["spec"]["services"]["api"], json!({"ports": [{"port": 1}, {}]}));
}

#[test]
fn object_meta_is_always_checked() {
    let causes = schema(json!({})).validate(
        &json!({"metadata": {"labels": {"a": 1}, "finalizers": ["x", "x"], "ownerReferences": [{}]}}),
        None,
    );
    assert_eq!(
        texts(&causes),
        [
            r#"metadata.finalizers[1]: Duplicate value: "x""#,
            r#"metadata.labels.a: Invalid value: "integer": metadata.labels.a in body must be of type string: "integer""#,
            "metadata.ownerReferences[0].apiVersion: Required value",
            "metadata.ownerReferences[0].kind: Required value",
            "metadata.ownerReferences[0].name: Required value",
            "metadata.ownerReferences[0].uid: Required value",
        ]
    );
}

fn with_rules() -> StructuralSchema {
    StructuralSchema::compile(&json!({
        "type": "object",
        "x-kubernetes-validations": [
            {"rule": "self.metadata.name.size() <= 5", "message": "names are short here"},
        ],
        "properties": {"spec": {
            "type": "object",
            "x-kubernetes-validations": [
                {"rule": "self.min <= self.max", "messageExpression": "'min ' + string(self.min) + ' is above max'"},
                {"rule": "has(self.kind) == has(oldSelf.kind)", "message": "kind is immutable", "fieldPath": ".kind", "reason": "FieldValueForbidden"},
            ],
            "properties": {
                "min": {"type": "integer", "default": 0},
                "max": {"type": "integer", "default": 10},
                "kind": {"type": "string", "x-kubernetes-validations": [
                    {"rule": "self == oldSelf", "message": "can't change"},
                ]},
                "items": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {
                        "type": "object",
                        "x-kubernetes-validations": [{"rule": "self.size >= oldSelf.size"}],
                        "properties": {"name": {"type": "string"}, "size": {"type": "integer"}},
                    },
                },
                "map": {"type": "object", "additionalProperties": {
                    "type": "object",
                    "x-kubernetes-validations": [{"rule": "!(has(self.a) && has(self.b))", "message": "a or b"}],
                    "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
                }},
            },
        }},
    }))
    .unwrap()
}

#[test]
fn cel_rules_have_paths_messages_and_reasons() {
    let schema = with_rules();
    let new = object(json!({"min": 9, "max": 3, "map": {"x": {"a": "1", "b": "2"}}}));
    assert_eq!(
        texts(&schema.validate(&new, None)),
        [r#"spec: Invalid value: min 9 is above max"#, r#"spec.map.x: Invalid value: a or b"#,]
    );
    let mut long = object(json!({"min": 1, "max": 3}));
    long["metadata"]["name"] = json!("quite-long");
    assert_eq!(texts(&schema.validate(&long, None)), [r#"Invalid value: names are short here"#]);
}

#[test]
fn transition_rules_compare_with_the_old_value() {
    let schema = with_rules();
    let old = object(json!({
        "min": 1, "max": 3, "kind": "a",
        "items": [{"name": "x", "size": 5}, {"name": "y", "size": 1}],
    }));
    assert!(schema.validate(&old, None).is_empty());
    let changed = object(json!({
        "min": 1, "max": 3, "kind": "b",
        // Other order: items are paired by name.
        "items": [{"name": "y", "size": 2}, {"name": "x", "size": 4}, {"name": "z", "size": 0}],
    }));
    assert_eq!(
        texts(&schema.validate(&changed, Some(&old))),
        [
            r#"spec.items[1]: Invalid value: failed rule: self.size >= oldSelf.size"#,
            r#"spec.kind: Invalid value: "b": can't change"#,
        ]
    );
    let without = object(json!({"min": 1, "max": 3}));
    let causes = schema.validate(&without, Some(&old));
    assert_eq!(texts(&causes), ["spec.kind: Forbidden: kind is immutable"]);
    assert_eq!(causes[0].reason, CauseReason::FieldValueForbidden);
}

#[test]
fn an_optional_old_value_is_there_or_not() {
    let schema = StructuralSchema::compile(&json!({"type": "object", "properties": {"spec": {
        "type": "object",
        "properties": {"size": {"type": "integer"}, "note": {"type": "string"}},
        "x-kubernetes-validations": [
            {"rule": "oldSelf.hasValue() || self.size == 1", "optionalOldSelf": true,
             "message": "starts at 1"},
            {"rule": "!oldSelf.hasValue() || self.size >= oldSelf.value().size",
             "optionalOldSelf": true},
            {"rule": "self.note != 'oldSelf'", "optionalOldSelf": true, "message": "only a word"},
        ],
    }}}))
    .unwrap();
    let object = |size: i64| json!({"spec": {"size": size, "note": "x"}});
    assert_eq!(texts(&schema.validate(&object(2), None)), [r#"spec: Invalid value: starts at 1"#]);
    assert!(schema.validate(&object(1), None).is_empty());
    assert!(schema.validate(&object(3), Some(&object(2))).is_empty());
    assert_eq!(
        texts(&schema.validate(&object(1), Some(&object(2)))),
        [concat!(
            r#"spec: Invalid value: failed rule: "#,
            "!oldSelf.hasValue() || self.size >= oldSelf.value().size"
        )],
        "the rule is shown as it was written"
    );
}

#[test]
fn rules_wait_until_types_are_right() {
    let causes = with_rules().validate(&object(json!({"min": "9", "max": 3})), None);
    assert_eq!(causes.len(), 2, "{causes:?}");
    assert_eq!(causes[0].reason, CauseReason::FieldValueTypeInvalid);
    assert!(causes[1].message.contains("not checked"), "{}", causes[1]);
}

#[test]
fn what_is_wrong_but_unchanged_may_stay() {
    let strict = schema(json!({
        "a": {"type": "string", "maxLength": 1},
        "b": {"type": "string", "maxLength": 1},
    }));
    let old = object(json!({"a": "long"}));
    let new = object(json!({"a": "long", "b": "long too"}));
    let fields: Vec<String> =
        strict.validate(&new, Some(&old)).into_iter().map(|cause| cause.field).collect();
    assert_eq!(fields, ["spec.b"]);
}

#[test]
fn broken_schemas_are_refused_with_a_path() {
    let cases = [
        (json!({"type": "object", "properties": {"a": {}}}), "openAPIV3Schema.properties[a].type"),
        (json!({"type": "thing"}), "openAPIV3Schema.type"),
        (json!({"type": ["string", "null"]}), "openAPIV3Schema.type"),
        (
            json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}}),
            "openAPIV3Schema.properties[a].pattern",
        ),
        (
            json!({"type": "object", "x-kubernetes-validations": [{"rule": "self.a ="}]}),
            "openAPIV3Schema.x-kubernetes-validations[0].rule",
        ),
        (
            json!({"type": "object", "properties": {"a": {
                "type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "map",
            }}}),
            "openAPIV3Schema.properties[a].x-kubernetes-list-map-keys",
        ),
        (json!({"$ref": "#/x"}), "openAPIV3Schema"),
        (json!([]), "openAPIV3Schema"),
    ];
    for (document, path) in cases {
        let error = StructuralSchema::compile(&document).unwrap_err();
        assert_eq!(error.path, path, "{error}");
    }
    let mut deep = json!({"type": "string"});
    for _ in 0..100 {
        deep = json!({"type": "object", "properties": {"a": deep}});
    }
    assert!(StructuralSchema::compile(&deep).is_err());
}

/// Any JSON value, small.
pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..12).prop_map(Value::from),
        // Quarters: serde_json does not read every float back as it wrote it.
        (-8..8i8).prop_map(|quarters| Value::from(f64::from(quarters) / 4.0)),
        "[a-c]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-d]|name|spec|min|items|map", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Any structural schema, small.
pub(crate) fn any_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({"type": "string", "maxLength": 2, "default": "a"})),
        Just(json!({"type": "integer", "minimum": 1, "nullable": true})),
        Just(json!({"type": "boolean", "default": true})),
        Just(json!({"x-kubernetes-int-or-string": true})),
        Just(json!({"x-kubernetes-preserve-unknown-fields": true})),
        Just(
            json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"})
        ),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        let properties =
            prop::collection::btree_map("[a-d]|name|spec|min|items|map", inner.clone(), 0..5);
        prop_oneof![
            (properties, any::<bool>(), any::<bool>()).prop_map(|(properties, open, atomic)| {
                let mut schema = json!({"type": "object", "properties": properties});
                schema["x-kubernetes-preserve-unknown-fields"] = json!(open);
                if atomic {
                    schema["x-kubernetes-map-type"] = json!("atomic");
                }
                schema
            }),
            inner
                .clone()
                .prop_map(|values| json!({"type": "object", "additionalProperties": values})),
            (inner, prop::sample::select(vec!["atomic", "set", "map"])).prop_map(
                |(items, list_type)| {
                    let mut schema = json!({"type": "array", "items": items});
                    schema["x-kubernetes-list-type"] = json!(list_type);
                    if list_type == "map" {
                        schema["x-kubernetes-list-map-keys"] = json!(["name", "a"]);
                    }
                    schema
                }
            ),
        ]
    })
    .prop_map(|mut schema| {
        // The root is an object in any case.
        schema["type"] = json!("object");
        schema
    })
}

#[test]
fn a_rule_that_would_take_too_long_is_refused_and_not_evaluated() {
    let schema = StructuralSchema::compile(&json!({"type": "object", "properties": {"list": {
        "type": "array", "items": {"type": "integer"},
        "x-kubernetes-validations": [{"rule": "self.all(a, self.all(b, self.all(c, a + b + c >= 0)))"}],
    }}}))
    .unwrap();
    assert!(schema.validate(&json!({"list": [1, 2, 3]}), None).is_empty());
    let causes = schema.validate(&json!({"list": vec![1; 5000]}), None);
    assert_eq!(causes.len(), 1);
    assert!(causes[0].message.contains("running out of cost budget"), "{}", causes[0]);
    assert_eq!(causes[0].field, "list");
}

#[test]
fn an_object_of_mistakes_is_told_a_hundred_of_them() {
    let schema = StructuralSchema::compile(&json!({"type": "object", "properties": {"list": {
        "type": "array", "items": {"type": "integer", "maximum": 3},
    }}}))
    .unwrap();
    let long = "x".repeat(5000);
    let causes = schema.validate(&json!({"list": vec![json!(long); 5000]}), None);
    assert_eq!(causes.len(), 101);
    assert!(causes[100].message.contains("first 100"), "{}", causes[100]);
    assert!(causes.iter().all(|cause| cause.message.len() < 2000));
    let mut unknown = json!({});
    for index in 0..5000 {
        unknown[format!("f{index}")] = json!(1);
    }
    assert_eq!(schema.prune(&mut unknown).len(), 100);
    assert_eq!(unknown, json!({}), "all are removed");
}

#[test]
fn alternatives_for_many_items_have_an_end() {
    let branches: Vec<Value> =
        (0..200).map(|index| json!({"required": [format!("f{index}")]})).collect();
    let schema = StructuralSchema::compile(&json!({"type": "object", "properties": {"list": {
        "type": "array", "items": {"type": "object", "oneOf": branches,
            "x-kubernetes-preserve-unknown-fields": true},
    }}}))
    .unwrap();
    let item = || json!({"f7": 1});
    assert!(schema.validate(&json!({"list": vec![item(); 100]}), None).is_empty());
    let causes = schema.validate(&json!({"list": vec![item(); 20_000]}), None);
    assert!(causes.last().unwrap().message.contains("make its lists shorter"), "{causes:?}");
}

/// A minute where every item is looked for among all old ones.
#[test]
fn long_lists_find_their_old_items() {
    let schema = StructuralSchema::compile(&json!({"type": "object", "properties": {"list": {
        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
        "items": {"type": "object", "required": ["name"], "properties": {
            "name": {"type": "string"},
            "value": {"type": "integer", "x-kubernetes-validations": [{"rule": "self >= oldSelf"}]},
        }},
    }}}))
    .unwrap();
    let list = |value: i64| -> Value {
        (0..10_000).rev().map(|index| json!({"name": index.to_string(), "value": value})).collect()
    };
    let causes = schema.validate(&json!({"list": list(1)}), Some(&json!({"list": list(2)})));
    assert_eq!(causes.len(), 100, "{:?}", causes.last());
}

proptest! {
    #[test]
    fn defaulting_and_pruning_are_idempotent_and_validation_is_stable(spec in any_json()) {
        let schema = with_rules();
        let mut thing = object(spec);
        schema.prune(&mut thing);
        schema.apply_defaults(&mut thing);
        let first = schema.validate(&thing, None);
        let mut again = thing.clone();
        prop_assert!(schema.prune(&mut again).is_empty());
        schema.apply_defaults(&mut again);
        prop_assert_eq!(&again, &thing);
        prop_assert_eq!(schema.validate(&again, None), first);
        // An unchanged object breaks no rule of values.
        let unchanged = schema.validate(&thing, Some(&thing));
        prop_assert!(unchanged.iter().all(|cause| cause.message.contains("oldSelf")
            || cause.message.contains("immutable") || cause.message.contains("change")), "{:?}", unchanged);
    }

    #[test]
    fn random_schemas_never_panic(document in any_schema(), old in any_json(), new in any_json()) {
        let schema = StructuralSchema::compile(&document).unwrap();
        let (mut old, mut new) = (old, new);
        for value in [&mut old, &mut new] {
            schema.prune(value);
            schema.apply_defaults(value);
            prop_assert!(schema.prune(value).is_empty());
        }
        let _ = schema.validate(&new, None);
        let _ = schema.validate(&new, Some(&old));
    }

    #[test]
    fn random_documents_never_panic(document in any_json()) {
        let _ = StructuralSchema::compile(&document);
    }
}
