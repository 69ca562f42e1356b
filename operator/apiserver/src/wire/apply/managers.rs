//! `metadata.managedFields`: who owns which fields.

use serde_json::{Map, Value};

use super::Operation;
use super::field_set::FieldSet;

/// More update managers than this are merged into one, oldest first, as
/// Kubernetes does: a controller that invents a manager for each request must not
/// grow objects without end.
const MAX_UPDATE_MANAGERS: usize = 10;

/// The name under which merged managers go on.
const ANCIENT: &str = "ancient-changes";

/// One entry of `managedFields`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manager {
    pub(super) name: String,
    pub(super) operation: Operation,
    pub(super) subresource: String,
    pub(super) api_version: String,
    pub(super) time: Option<String>,
    pub(super) fields: FieldSet,
}

impl Manager {
    /// Whether the entry belongs to this writer. As on Kubernetes, updates in
    /// several versions of a kind have an entry for each; an apply has one.
    pub(super) fn is(
        &self,
        name: &str,
        operation: Operation,
        subresource: &str,
        api_version: &str,
    ) -> bool {
        let same_version = operation == Operation::Apply || self.api_version == api_version;
        self.name == name
            && self.operation == operation
            && self.subresource == subresource
            && same_version
    }

    /// The manager as Kubernetes names it in conflicts.
    pub(super) fn display(&self) -> String {
        let mut text = format!("{:?}", self.name);
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == Operation::Update {
            text.push_str(&format!(" using {}", self.api_version));
            if let Some(time) = &self.time {
                text.push_str(&format!(" at {time}"));
            }
        }
        text
    }

    fn to_value(&self) -> Value {
        let mut map = Map::new();
        let texts = [
            ("manager", self.name.as_str()),
            ("operation", self.operation.as_str()),
            ("apiVersion", self.api_version.as_str()),
            ("time", self.time.as_deref().unwrap_or_default()),
            ("fieldsType", "FieldsV1"),
            ("subresource", self.subresource.as_str()),
        ];
        for (key, text) in texts {
            if !text.is_empty() {
                map.insert(key.to_owned(), Value::from(text));
            }
        }
        map.insert("fieldsV1".to_owned(), self.fields.to_fields_v1());
        Value::Object(map)
    }

    fn from_value(entry: &Value) -> Option<Self> {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
        if !matches!(text("fieldsType"), "FieldsV1") {
            return None;
        }
        Some(Self {
            name: text("manager").to_owned(),
            operation: Operation::parse(text("operation"))?,
            subresource: text("subresource").to_owned(),
            api_version: text("apiVersion").to_owned(),
            time: Some(text("time").to_owned()).filter(|time| !time.is_empty()),
            fields: match entry.get("fieldsV1") {
                Some(fields) => FieldSet::from_fields_v1(fields)?,
                None => FieldSet::default(),
            },
        })
    }
}

/// The managers of an object; `None` where managedFields is absent, empty or
/// malformed.
pub(super) fn read(object: &Value) -> Option<Vec<Manager>> {
    let entries = object.pointer("/metadata/managedFields")?.as_array()?;
    if entries.is_empty() {
        return None;
    }
    let mut managers: Vec<Manager> = Vec::with_capacity(entries.len());
    for entry in entries {
        let manager = Manager::from_value(entry)?;
        let Manager { name, operation, subresource, api_version, .. } = &manager;
        let same =
            managers.iter_mut().find(|one| one.is(name, *operation, subresource, api_version));
        match same {
            Some(same) => {
                same.fields.extend(&manager.fields);
                same.time = same.time.take().max(manager.time);
            }
            None => managers.push(manager),
        }
    }
    Some(managers)
}

/// Whether managedFields is `[{}]`, the documented way to clear it.
pub(super) fn asks_for_reset(object: &Value) -> bool {
    object.pointer("/metadata/managedFields").and_then(Value::as_array).is_some_and(
        |entries| matches!(entries.as_slice(), [Value::Object(entry)] if entry.is_empty()),
    )
}

/// Writes managedFields: entries without fields vanish, the rest is in the order
/// of Kubernetes, so that equal ownership is equal bytes.
pub(super) fn write(object: &mut Value, mut managers: Vec<Manager>) {
    managers.retain(|manager| !manager.fields.is_empty());
    cap(&mut managers);
    managers.sort_by(|a, b| {
        let key = |manager: &Manager| {
            (
                manager.operation != Operation::Apply,
                manager.time.clone(),
                manager.name.clone(),
                manager.subresource.clone(),
            )
        };
        key(a).cmp(&key(b))
    });
    let Some(object) = object.as_object_mut() else {
        return;
    };
    let metadata = object.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    let Some(metadata) = metadata.as_object_mut() else {
        return;
    };
    if managers.is_empty() {
        metadata.remove("managedFields");
    } else {
        let entries = managers.iter().map(Manager::to_value).collect();
        metadata.insert("managedFields".to_owned(), Value::Array(entries));
    }
}

fn cap(managers: &mut Vec<Manager>) {
    let is_update = |manager: &Manager| manager.operation == Operation::Update;
    let updates = managers.iter().filter(|manager| is_update(manager)).count();
    if updates <= MAX_UPDATE_MANAGERS {
        return;
    }
    managers.sort_by(|a, b| (&a.time, &a.name).cmp(&(&b.time, &b.name)));
    // One place is for the merged entry itself.
    let mut to_merge = updates - MAX_UPDATE_MANAGERS + 1;
    let mut ancient: Option<Manager> = None;
    let mut kept = Vec::with_capacity(MAX_UPDATE_MANAGERS);
    for manager in managers.drain(..) {
        if !is_update(&manager) || to_merge == 0 {
            kept.push(manager);
            continue;
        }
        to_merge -= 1;
        match &mut ancient {
            Some(ancient) => {
                ancient.fields.extend(&manager.fields);
                ancient.time = ancient.time.take().max(manager.time);
            }
            None => {
                ancient = Some(Manager {
                    name: ANCIENT.to_owned(),
                    subresource: String::new(),
                    ..manager
                });
            }
        }
    }
    kept.extend(ancient);
    *managers = kept;
}
