//! Secrets: values go in, and what comes back shows which of them changed.
//!
//! The embedded server answers with keyed fingerprints in place of values. On
//! Kubernetes the answer has the values themselves: nothing here shows or prints
//! them, so that what compares two answers works the same on both.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde_json::{Map, Value, json};

use crate::{Error, FIELD_MANAGER, Session, catalog};

/// What a fingerprint starts with, once it is decoded from base64.
const MARK: &str = "hades:fp:";

/// The type of a Secret that has none.
pub const OPAQUE: &str = "Opaque";

/// The largest Secret that Kubernetes takes (bytes of all values).
pub const LARGEST: usize = 1 << 20;

/// What becomes of keys: a value, or none for one that goes.
pub type Changes = BTreeMap<String, Option<SecretSlice<u8>>>;

/// The keys of a Secret, and what the server shows in place of their values. Its
/// `Debug` shows no value.
#[derive(Debug, Clone, Default)]
pub struct Shown(BTreeMap<String, SecretString>);

impl Shown {
    /// Of an object as it was read; of one that isn't there, nothing.
    pub fn of(secret: Option<&DynamicObject>) -> Self {
        let data = secret.and_then(|secret| secret.data.get("data")).and_then(Value::as_object);
        let text = |value: &Value| SecretString::from(value.as_str().unwrap_or_default());
        let entries = data.into_iter().flatten();
        Self(entries.map(|(key, value)| (key.clone(), text(value))).collect())
    }

    /// Its keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// The fingerprint of the value of a key, in hexadecimal; none where the server
    /// shows none.
    pub fn fingerprint(&self, key: &str) -> Option<String> {
        let decoded = STANDARD.decode(self.0.get(key)?.expose_secret()).ok()?;
        let text = String::from_utf8(decoded).ok()?;
        text.strip_prefix(MARK).map(str::to_owned)
    }

    /// What is different in `after`, for every key of either.
    pub fn difference(&self, after: &Self) -> BTreeMap<String, KeyChange> {
        let keys: BTreeSet<&String> = self.0.keys().chain(after.0.keys()).collect();
        let change = |key: &String| match (self.0.get(key), after.0.get(key)) {
            (None, _) => KeyChange::New,
            (_, None) => KeyChange::Removed,
            (Some(before), Some(after)) if before.expose_secret() == after.expose_secret() => {
                KeyChange::Same
            }
            (Some(_), Some(_)) => KeyChange::Changed,
        };
        keys.into_iter().map(|key| (key.clone(), change(key))).collect()
    }
}

/// What a change does to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyChange {
    /// It wasn't there.
    New,
    /// It has another value.
    Changed,
    /// It has the value that it had.
    Same,
    /// It goes.
    Removed,
}

/// The merge patch that makes the changes. It holds the values: it isn't to be shown.
pub fn patch(changes: &Changes) -> Value {
    let value = |value: &Option<SecretSlice<u8>>| match value {
        Some(bytes) => json!(STANDARD.encode(bytes.expose_secret())),
        None => Value::Null,
    };
    let data: Map<String, Value> =
        changes.iter().map(|(key, bytes)| (key.clone(), value(bytes))).collect();
    json!({"data": data})
}

/// Makes a Secret with these values.
///
/// # Errors
/// When the server refuses, as when there is one of that name, or doesn't answer.
pub async fn create(
    session: &Session,
    namespace: &str,
    name: &str,
    secret_type: &str,
    changes: &Changes,
    dry_run: bool,
) -> Result<DynamicObject, Error> {
    let mut manifest = patch(changes);
    if let Some(data) = manifest["data"].as_object_mut() {
        data.retain(|_, value| !value.is_null());
    }
    manifest["apiVersion"] = json!("v1");
    manifest["kind"] = json!("Secret");
    manifest["type"] = json!(secret_type);
    manifest["metadata"] = json!({"name": name, "namespace": namespace});
    let object: DynamicObject =
        serde_json::from_value(manifest).map_err(|error| session.protocol(error))?;
    let parameters = PostParams { dry_run, field_manager: Some(FIELD_MANAGER.to_owned()) };
    session
        .api(&catalog::secret(), Some(namespace))
        .create(&parameters, &object)
        .await
        .map_err(|error| session.error(error))
}

/// What a Secret would be after a merge patch; nothing is stored.
///
/// # Errors
/// When it isn't there, or the server refuses or doesn't answer.
pub async fn preview(
    session: &Session,
    namespace: &str,
    name: &str,
    patch: &Value,
) -> Result<DynamicObject, Error> {
    let parameters = PatchParams {
        dry_run: true,
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    session
        .api(&catalog::secret(), Some(namespace))
        .patch(name, &parameters, &Patch::Merge(patch))
        .await
        .map_err(|error| session.error(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(data: Value) -> DynamicObject {
        serde_json::from_value(json!({"metadata": {"name": "a"}, "data": data})).unwrap()
    }

    #[test]
    fn what_changed_is_told_by_what_is_shown() {
        let print = |hex: &str| json!(STANDARD.encode(format!("{MARK}{hex}")));
        let before = secret(json!({"a": print("01"), "b": print("02"), "c": print("03")}));
        let after = secret(json!({"a": print("01"), "b": print("22"), "d": print("04")}));
        let (before, after) = (Shown::of(Some(&before)), Shown::of(Some(&after)));
        let found: Vec<(String, KeyChange)> = before.difference(&after).into_iter().collect();
        let expected = [
            ("a", KeyChange::Same),
            ("b", KeyChange::Changed),
            ("c", KeyChange::Removed),
            ("d", KeyChange::New),
        ];
        assert_eq!(found, expected.map(|(key, change)| (key.to_owned(), change)));
        assert_eq!(before.fingerprint("b").as_deref(), Some("02"));
        assert_eq!(Shown::of(None).difference(&after).len(), 3);
    }

    #[test]
    fn values_of_kubernetes_are_no_fingerprints_and_are_not_printed() {
        let value = secret(json!({"a": STANDARD.encode("hunter2")}));
        let shown = Shown::of(Some(&value));
        assert_eq!(shown.fingerprint("a"), None);
        let printed = format!("{shown:?}");
        assert!(!printed.contains(&STANDARD.encode("hunter2")), "{printed}");
    }

    #[test]
    fn bytes_go_as_base64_and_what_goes_as_null() {
        let changes = Changes::from([
            ("bytes".to_owned(), Some(SecretSlice::from(vec![0, 255]))),
            ("gone".to_owned(), None),
        ]);
        assert_eq!(patch(&changes), json!({"data": {"bytes": "AP8=", "gone": null}}));
        assert!(!format!("{changes:?}").contains("255"));
    }
}
