//! Properties of apply and update over random configurations.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::tests::schema;
use super::*;

const T1: &str = "2026-01-01T00:00:00Z";
const T2: &str = "2026-01-02T00:00:00Z";

fn text() -> impl Strategy<Value = Value> {
    "[ab]{1,2}".prop_map(Value::from)
}

fn maybe(strategy: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Option<Value>> {
    prop::option::of(strategy).boxed()
}

fn port() -> impl Strategy<Value = Value> {
    (80..83i64, maybe(text()), maybe((0..3i64).prop_map(Value::from))).prop_map(
        |(port, name, weight)| {
            let mut item = json!({"port": port, "protocol": "TCP"});
            if let Some(name) = name {
                item["name"] = name;
            }
            if let Some(weight) = weight {
                item["weight"] = weight;
            }
            item
        },
    )
}

fn raw() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(json!(1)), Just(json!("x")), Just(json!({})), Just(json!([1]))];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop::collection::btree_map("[ab]", inner, 0..3)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    })
    .prop_filter("an object", Value::is_object)
}

/// A spec that fits the schema.
fn spec() -> impl Strategy<Value = Value> {
    let env = prop::collection::btree_map("[AB]", text(), 0..3)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
        .boxed();
    let hosts = prop::collection::btree_set("[ab]", 0..3)
        .prop_map(|set| set.into_iter().map(Value::from).collect())
        .prop_shuffle_list();
    let ports = prop::collection::vec(port(), 0..3).prop_map(|mut ports| {
        ports.sort_by_key(|port| port["port"].as_i64());
        ports.dedup_by_key(|port| port["port"].as_i64());
        Value::from(ports)
    });
    let fields: Vec<(&'static str, BoxedStrategy<Option<Value>>)> = vec![
        ("replicas", maybe((0..3i64).prop_map(Value::from))),
        ("image", maybe(text())),
        ("command", maybe(prop::collection::vec(text(), 0..2).prop_map(Value::from))),
        ("env", maybe(env.clone())),
        ("selector", maybe(env)),
        ("hosts", maybe(hosts)),
        ("ports", maybe(ports)),
        ("raw", maybe(raw())),
    ];
    let (names, strategies): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
    strategies.prop_map(move |values| {
        names
            .iter()
            .zip(values)
            .filter_map(|(name, value)| Some(((*name).to_owned(), value?)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    })
}

trait ShuffleList: Strategy<Value = Value> + Sized {
    /// The same list in either order.
    fn prop_shuffle_list(self) -> BoxedStrategy<Value>
    where
        Self: 'static,
    {
        (self, any::<bool>())
            .prop_map(|(mut list, reverse)| {
                if reverse && let Some(list) = list.as_array_mut() {
                    list.reverse();
                }
                list
            })
            .boxed()
    }
}

impl<S: Strategy<Value = Value>> ShuffleList for S {}

fn thing(spec: Value) -> Value {
    json!({
        "apiVersion": "example.org/v1",
        "kind": "Thing",
        "metadata": {"name": "one"},
        "spec": spec,
    })
}

fn forced(
    schema: &StructuralSchema,
    current: Option<&Value>,
    applied: &Value,
    manager: &str,
) -> Value {
    apply(ApplyRequest {
        current,
        applied,
        manager,
        force: true,
        subresource: None,
        now: T1,
        schema,
    })
    .unwrap()
}

/// A live object with a history: some applies and an update.
fn history() -> impl Strategy<Value = Value> {
    (prop::collection::vec((spec(), "[pq]"), 1..4), prop::option::of(spec())).prop_map(
        |(applies, update)| {
            let schema = schema();
            let mut live = None;
            for (spec, manager) in applies {
                live = Some(forced(&schema, live.as_ref(), &thing(spec), &manager));
            }
            let live = live.unwrap();
            let Some(spec) = update else { return live };
            let mut new = live.clone();
            new["spec"] = spec;
            track_update(Some(&live), &mut new, "edit", Operation::Update, None, T1, &schema);
            new
        },
    )
}

fn flat(schema: &StructuralSchema, object: &Value) -> Flat {
    flatten::object(schema.root(), object, None)
}

proptest! {
    #[test]
    fn applying_twice_is_a_no_op(live in history(), spec in spec()) {
        let schema = schema();
        let configuration = thing(spec);
        let once = forced(&schema, Some(&live), &configuration, "m");
        let again = apply(ApplyRequest {
            current: Some(&once),
            applied: &configuration,
            manager: "m",
            force: false,
            subresource: None,
            now: T2,
            schema: &schema,
        }).unwrap();
        prop_assert_eq!(again, once);
    }

    #[test]
    fn a_forced_apply_ends_with_the_applied_values(live in history(), spec in spec()) {
        let schema = schema();
        let configuration = thing(spec);
        let result = forced(&schema, Some(&live), &configuration, "p");
        let result = flat(&schema, &result);
        for (path, leaf) in flat(&schema, &configuration) {
            match leaf {
                // An empty container may be filled by others.
                Some(value) if is_nothing(&value) => {}
                leaf => prop_assert_eq!(result.get(&path), Some(&leaf), "{:?}", path),
            }
        }
    }

    #[test]
    fn giving_everything_up_leaves_nothing_of_it(spec in spec(), other in spec()) {
        let schema = schema();
        let live = forced(&schema, None, &thing(spec), "m");
        let live = forced(&schema, Some(&live), &thing(other.clone()), "n");
        let result = forced(&schema, Some(&live), &thing(json!({})), "m");
        let alone = flat(&schema, &thing(other));
        for (path, leaf) in flat(&schema, &result) {
            let kept = alone.keys().any(|one| one.starts_with(&path) || path.starts_with(one));
            let identity = path.last().is_some_and(|last| last == "f:port" || last == "f:protocol");
            prop_assert!(kept || identity || path.len() == 1, "{:?} {:?}", path, leaf);
        }
    }

    #[test]
    fn disjoint_fields_never_conflict(one in spec(), two in spec()) {
        let schema = schema();
        // The fields of the second manager, by name, without those of the first.
        let mut two = two;
        for name in one.as_object().unwrap().keys() {
            two.as_object_mut().unwrap().remove(name);
        }
        let first = forced(&schema, None, &thing(one.clone()), "a");
        let both = apply(ApplyRequest {
            current: Some(&first),
            applied: &thing(two.clone()),
            manager: "b",
            force: false,
            subresource: None,
            now: T1,
            schema: &schema,
        }).unwrap();
        let mut merged = one;
        for (name, value) in two.as_object().unwrap() {
            merged[name] = value.clone();
        }
        prop_assert_eq!(&both["spec"], &merged);
    }

    #[test]
    fn disjoint_applies_commute(one in spec(), two in spec()) {
        let schema = schema();
        let mut two = two;
        for name in one.as_object().unwrap().keys() {
            two.as_object_mut().unwrap().remove(name);
        }
        let base = forced(&schema, None, &thing(json!({"image": "base"})), "base");
        let (one, two) = (thing(one), thing(two));
        let there = forced(&schema, Some(&forced(&schema, Some(&base), &one, "a")), &two, "b");
        let back = forced(&schema, Some(&forced(&schema, Some(&base), &two, "b")), &one, "a");
        prop_assert!(equal_ignoring_times(&there, &back), "{} {}", there, back);
    }

    #[test]
    fn nobody_owns_what_is_not_there(live in history(), spec in spec()) {
        let schema = schema();
        let result = forced(&schema, Some(&live), &thing(spec), "m");
        let there = flat(&schema, &result);
        for manager in managers::read(&result).unwrap_or_default() {
            let mut rest = manager.fields;
            for path in there.keys() {
                // Who applied an empty object owns the place that others filled.
                for length in 1..=path.len() {
                    rest.remove(&path[..length]);
                }
            }
            prop_assert!(rest.is_empty(), "{} owns {}", manager.name, rest.to_fields_v1());
        }
    }

    #[test]
    fn random_objects_never_panic(
        current in crate::admission::schema::tests::any_json(),
        applied in crate::admission::schema::tests::any_json(),
        managed in crate::admission::schema::tests::any_json(),
    ) {
        let schema = schema();
        let mut current = json!({"metadata": {"name": "x"}, "spec": current, "status": managed.clone()});
        current["metadata"]["managedFields"] = json!([{
            "manager": "m", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": managed,
        }]);
        for applied in [applied.clone(), json!({"spec": applied})] {
            for force in [false, true] {
                let _ = apply(ApplyRequest {
                    current: Some(&current),
                    applied: &applied,
                    manager: "m",
                    force,
                    subresource: None,
                    now: T1,
                    schema: &schema,
                });
            }
            let mut new = applied;
            track_update(Some(&current), &mut new, "n", Operation::Update, None, T1, &schema);
        }
    }

    #[test]
    fn random_schemas_keep_the_properties(
        document in crate::admission::schema::tests::any_schema(),
        current in crate::admission::schema::tests::any_json(),
        applied in crate::admission::schema::tests::any_json(),
        second in crate::admission::schema::tests::any_json(),
    ) {
        let schema = StructuralSchema::compile(&document).unwrap();
        let named = |value: Value| {
            let mut value = if value.is_object() { value } else { json!({"a": value}) };
            value["metadata"] = json!({"name": "x"});
            value
        };
        let (mut current, applied, second) = (named(current), named(applied), named(second));
        track_update(None, &mut current, "n", Operation::Update, None, T1, &schema);
        let first = forced(&schema, Some(&current), &applied, "m");
        let once = forced(&schema, Some(&first), &second, "m");
        let twice = forced(&schema, Some(&once), &second, "m");
        prop_assert_eq!(&twice, &once);
        let result = flat(&schema, &once);
        for (path, leaf) in flat(&schema, &second) {
            if leaf.as_ref().is_none_or(|value| !is_nothing(value)) {
                prop_assert_eq!(result.get(&path), Some(&leaf), "{:?}", path);
            }
        }
    }
}
