//! Server-side apply against a model of a few lines: fields are names with
//! values, managers are sets of names.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::tests::schema;
use super::*;

type Fields = BTreeMap<String, Value>;
type Owner = (String, Operation);

#[derive(Clone, Debug)]
enum Step {
    Apply { manager: String, fields: Fields, force: bool },
    Update { manager: String, fields: Fields },
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    values: Fields,
    owners: BTreeMap<Owner, BTreeSet<String>>,
}

impl Model {
    fn owns(&self, owner: &Owner, field: &String) -> bool {
        self.owners.get(owner).is_some_and(|fields| fields.contains(field))
    }

    /// Who objects to which field.
    fn conflicts(&self, me: &Owner, fields: &Fields) -> Vec<(Owner, String)> {
        let mut conflicts = Vec::new();
        for owner in self.owners.keys().filter(|owner| *owner != me) {
            for (field, value) in fields {
                if self.owns(owner, field) && self.values.get(field) != Some(value) {
                    conflicts.push((owner.clone(), field.clone()));
                }
            }
        }
        conflicts
    }

    /// `false` where the apply is refused.
    fn apply(&mut self, manager: &str, fields: &Fields, force: bool) -> bool {
        let me = (manager.to_owned(), Operation::Apply);
        let conflicts = self.conflicts(&me, fields);
        if !conflicts.is_empty() && !force {
            return false;
        }
        for (owner, field) in conflicts {
            self.owners.entry(owner).or_default().remove(&field);
        }
        let last = self.owners.remove(&me).unwrap_or_default();
        for field in last.iter().filter(|field| !fields.contains_key(*field)) {
            if !self.owners.keys().any(|owner| self.owns(owner, field)) {
                self.values.remove(field);
            }
        }
        self.values.extend(fields.clone());
        self.owners.insert(me, fields.keys().cloned().collect());
        self.forget_nobody();
        true
    }

    fn update(&mut self, manager: &str, fields: &Fields) {
        let me = (manager.to_owned(), Operation::Update);
        let changed: BTreeSet<String> = fields
            .iter()
            .filter(|(field, value)| self.values.get(*field) != Some(value))
            .map(|(field, _)| field.clone())
            .collect();
        for (owner, owned) in &mut self.owners {
            owned.retain(|field| {
                fields.contains_key(field) && (*owner == me || !changed.contains(field))
            });
        }
        self.owners.entry(me).or_default().extend(changed);
        self.values = fields.clone();
        self.forget_nobody();
    }

    fn forget_nobody(&mut self) {
        self.owners.retain(|_, fields| !fields.is_empty());
    }
}

/// The spec of some fields: those in capitals are entries of a map.
fn object(fields: &Fields) -> Value {
    let mut spec = json!({});
    for (name, value) in fields {
        if name.chars().all(char::is_uppercase) {
            spec["env"][name] = value.clone();
        } else {
            spec[name] = value.clone();
        }
    }
    json!({"apiVersion": "example.org/v1", "kind": "Thing", "metadata": {"name": "one"},
        "spec": spec})
}

/// What the model would know of a real object.
fn abstraction(object: &Value) -> Model {
    let mut model = Model::default();
    let name = |path: &[String]| path.last().unwrap().trim_start_matches("f:").to_owned();
    for (path, leaf) in flatten::object(schema().root(), object, None) {
        if let Some(leaf) = leaf {
            model.values.insert(name(&path), leaf);
        }
    }
    for manager in managers::read(object).unwrap_or_default() {
        let mut fields = BTreeSet::new();
        for (path, _) in flatten::object(schema().root(), object, None) {
            if manager.fields.contains(&path) {
                fields.insert(name(&path));
            }
        }
        model.owners.insert((manager.name, manager.operation), fields);
    }
    model
}

fn fields() -> impl Strategy<Value = Fields> {
    let choice = |values: [Value; 2]| prop::option::of(prop::sample::select(values.to_vec()));
    (
        choice([json!(1), json!(2)]),
        choice([json!("x"), json!("y")]),
        choice([json!("x"), json!("y")]),
    )
        .prop_map(|(replicas, a, b)| {
            // Never empty: an empty object is a value of its own.
            let mut fields = Fields::from([("image".to_owned(), json!("same"))]);
            for (name, value) in [("replicas", replicas), ("A", a), ("B", b)] {
                fields.extend(value.map(|value| (name.to_owned(), value)));
            }
            fields
        })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => ("[abc]", fields(), any::<bool>())
            .prop_map(|(manager, fields, force)| Step::Apply { manager, fields, force }),
        1 => ("[uva]", fields()).prop_map(|(manager, fields)| Step::Update { manager, fields }),
    ]
}

proptest! {
    #[test]
    fn histories_end_as_the_model_says(steps in prop::collection::vec(step(), 1..12)) {
        let schema = schema();
        let mut model = Model::default();
        let mut live: Option<Value> = None;
        for step in steps {
            match &step {
                Step::Apply { manager, fields, force } => {
                    let outcome = apply(ApplyRequest {
                        current: live.as_ref(),
                        applied: &object(fields),
                        manager,
                        force: *force,
                        subresource: None,
                        now: "2026-01-01T00:00:00Z",
                        schema: &schema,
                    });
                    let before = model.clone();
                    prop_assert_eq!(outcome.is_ok(), model.apply(manager, fields, *force));
                    match outcome {
                        Ok(object) => live = Some(object),
                        Err(error) => {
                            let me = (manager.clone(), Operation::Apply);
                            let expected = before.conflicts(&me, fields).len();
                            prop_assert_eq!(error.causes().len(), expected, "{}", error);
                        }
                    }
                }
                Step::Update { manager, fields } => {
                    let mut new = object(fields);
                    track_update(
                        live.as_ref(), &mut new, manager, Operation::Update, None,
                        "2026-01-01T00:00:00Z", &schema,
                    );
                    model.update(manager, fields);
                    live = Some(new);
                }
            }
            prop_assert_eq!(&abstraction(live.as_ref().unwrap_or(&Value::Null)), &model);
        }
    }
}
