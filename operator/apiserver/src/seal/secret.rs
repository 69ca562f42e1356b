//! What is special about Secrets: values go in and never come out, except to
//! controllers.
//!
//! In place of each value a reader sees a keyed fingerprint. Writing the
//! fingerprint back keeps the value, so that `kubectl edit` and `kubectl apply`
//! of what was read change nothing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};

use super::Keyring;
use crate::admission::{Cause, CauseReason};

/// What a fingerprint starts with once decoded.
const MARK: &str = "hades:fp:";

/// How many bytes the values of a Secret may have together, as in Kubernetes.
const MAX_VALUES: usize = 1 << 20;

/// Where client-side `kubectl apply` keeps a copy of the applied object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

fn fingerprint(keyring: &Keyring, object: &Value, key: &str, value: &[u8]) -> String {
    let place = [text(object, "namespace"), text(object, "name"), key];
    format!("{MARK}{}", keyring.fingerprint(&place, value))
}

/// The bytes that an entry of `data` stands for.
fn decode(value: &Value) -> Vec<u8> {
    let encoded = value.as_str().unwrap_or_default();
    BASE64.decode(encoded).unwrap_or_else(|_| encoded.as_bytes().to_vec())
}

fn is_fingerprint(value: &[u8]) -> bool {
    value.starts_with(MARK.as_bytes())
}

fn not_an_object(field: &str) -> Cause {
    Cause::new(field, CauseReason::FieldValueTypeInvalid, "Invalid value: must be an object")
}

/// Moves `stringData` into `data` and checks both.
pub(crate) fn fold(secret: &mut Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let Some(object) = secret.as_object_mut() else {
        return causes;
    };
    let texts = match object.remove("stringData") {
        None | Some(Value::Null) => None,
        Some(Value::Object(texts)) => Some(texts),
        Some(_) => {
            causes.push(not_an_object("stringData"));
            None
        }
    };
    if let Some(texts) = texts {
        let data = object.entry("data").or_insert_with(|| Value::Object(Map::new()));
        if data.is_null() {
            *data = Value::Object(Map::new());
        }
        let Some(data) = data.as_object_mut() else {
            causes.push(not_an_object("data"));
            return causes;
        };
        for (key, text) in texts {
            match text {
                Value::String(text) => {
                    data.insert(key, Value::from(BASE64.encode(text)));
                }
                // An emptied key of a merge patch.
                Value::Null => {}
                _ => causes.push(Cause::new(
                    format!("stringData[{key}]"),
                    CauseReason::FieldValueTypeInvalid,
                    "Invalid value: must be a string",
                )),
            }
        }
    }
    if object.get("type").is_none_or(|type_| type_.is_null() || type_ == "") {
        object.insert("type".to_owned(), Value::from("Opaque"));
    }
    let data = match object.get("data") {
        None | Some(Value::Null) => return causes,
        Some(Value::Object(data)) => data,
        Some(_) => {
            causes.push(not_an_object("data"));
            return causes;
        }
    };
    for (key, value) in data {
        let field = format!("data[{key}]");
        let valid_key = !key.is_empty()
            && key.len() <= 253
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if !valid_key {
            causes.push(Cause::new(
                &field,
                CauseReason::FieldValueInvalid,
                "Invalid value: a key must consist of letters, digits, '-', '_' or '.'",
            ));
        }
        if value.as_str().is_none_or(|text| BASE64.decode(text).is_err()) {
            causes.push(Cause::new(
                field,
                CauseReason::FieldValueInvalid,
                "Invalid value: must be base64; put plain text under stringData",
            ));
        }
    }
    causes
}

/// Replaces every value by its fingerprint.
pub(crate) fn mask(keyring: &Keyring, secret: &mut Value) {
    let Some(data) = secret["data"].as_object() else {
        return;
    };
    let masked: Vec<(String, String)> = data
        .iter()
        .map(|(key, value)| {
            let print = fingerprint(keyring, secret, key, &decode(value));
            (key.clone(), BASE64.encode(print))
        })
        .collect();
    for (key, value) in masked {
        secret["data"][key] = Value::from(value);
    }
}

/// Puts the stored values back in place of their fingerprints. A fingerprint
/// that is not the one of the stored value is refused: it would be stored as if
/// it were the value.
pub(crate) fn unmask(keyring: &Keyring, new: &mut Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut kept = Vec::new();
    let Some(data) = new["data"].as_object() else {
        return causes;
    };
    for (key, value) in data {
        let bytes = decode(value);
        if !is_fingerprint(&bytes) {
            continue;
        }
        let stored = old.and_then(|old| old["data"].get(key).map(|value| (old, value)));
        match stored {
            Some((old, stored))
                if fingerprint(keyring, old, key, &decode(stored)).as_bytes() == bytes =>
            {
                kept.push((key.clone(), stored.clone()));
            }
            _ => causes.push(Cause::new(
                format!("data[{key}]"),
                CauseReason::FieldValueInvalid,
                "Invalid value: this is the fingerprint of another value; write the value itself, \
                 or leave the key out of the patch to keep what is stored",
            )),
        }
    }
    for (key, value) in kept {
        new["data"][key] = value;
    }
    causes
}

/// What is wrong with the values of a Secret together.
pub(crate) fn size_causes(secret: &Value) -> Option<Cause> {
    let data = secret["data"].as_object()?;
    let size: usize = data.values().map(|value| decode(value).len()).sum();
    (size > MAX_VALUES).then(|| {
        Cause::new(
            "data",
            CauseReason::FieldValueTooLong,
            format!("Too long: may not be more than {MAX_VALUES} bytes"),
        )
    })
}

/// Masks the values in kubectl's copy of the applied object.
pub(crate) fn mask_last_applied(keyring: &Keyring, secret: &mut Value) {
    let Some(copy) = secret["metadata"]["annotations"].get(LAST_APPLIED) else {
        return;
    };
    let masked = match copy.as_str().map(serde_json::from_str::<Value>) {
        Some(Ok(mut applied)) if applied.is_object() => {
            mask_copy(keyring, secret, &mut applied);
            format!("{applied}\n")
        }
        // Not what kubectl writes, so nothing is known of where values hide.
        _ => "{}\n".to_owned(),
    };
    secret["metadata"]["annotations"][LAST_APPLIED] = Value::from(masked);
}

fn mask_copy(keyring: &Keyring, secret: &Value, applied: &mut Value) {
    for field in ["data", "stringData"] {
        let plain = field == "stringData";
        let Some(Value::Object(entries)) = applied.get_mut(field) else {
            continue;
        };
        for (key, value) in entries.iter_mut().filter(|(_, value)| !value.is_null()) {
            let bytes = match (plain, value.as_str()) {
                (true, Some(text)) => text.as_bytes().to_vec(),
                (true, None) => value.to_string().into_bytes(),
                (false, _) => decode(value),
            };
            let print = if is_fingerprint(&bytes) {
                String::from_utf8_lossy(&bytes).into_owned()
            } else {
                fingerprint(keyring, secret, key, &bytes)
            };
            *value = Value::from(if plain { print } else { BASE64.encode(print) });
        }
    }
    // A copy may hold a copy.
    let annotations = applied.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut);
    if let Some(annotations) = annotations {
        annotations.remove(LAST_APPLIED);
    }
}

/// A Secret keeps its type, as in Kubernetes: what a value is for decides who may use
/// it.
pub(crate) fn type_causes(new: &Value, old: &Value) -> Option<Cause> {
    (new["type"] != old["type"]).then(|| {
        let message = format!("Invalid value: {}: field is immutable", new["type"]);
        Cause::new("type", CauseReason::FieldValueInvalid, message)
    })
}

/// What a change of an immutable Secret or ConfigMap breaks.
pub(crate) fn immutable_causes(new: &Value, old: &Value) -> Vec<Cause> {
    if old["immutable"] != Value::Bool(true) {
        return Vec::new();
    }
    ["immutable", "data", "binaryData"]
        .into_iter()
        .filter(|field| new[*field] != old[*field])
        .map(|field| {
            Cause::new(
                field,
                CauseReason::FieldValueForbidden,
                "Forbidden: field is immutable when `immutable` is set",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keyring() -> Keyring {
        Keyring::load_or_create(tempfile::tempdir().unwrap().path()).unwrap()
    }

    fn secret(value: &str) -> Value {
        json!({"metadata": {"namespace": "shop", "name": "db"}, "data": {"password": BASE64.encode(value)}})
    }

    #[test]
    fn a_fingerprint_written_back_keeps_the_value() {
        let keyring = keyring();
        let stored = secret("hunter2");
        let mut shown = stored.clone();
        mask(&keyring, &mut shown);
        assert_ne!(shown, stored);
        assert!(unmask(&keyring, &mut shown, Some(&stored)).is_empty());
        assert_eq!(shown, stored);
    }

    #[test]
    fn a_fingerprint_of_something_else_is_refused() {
        let keyring = keyring();
        let mut shown = secret("old password");
        mask(&keyring, &mut shown);
        let causes = unmask(&keyring, &mut shown.clone(), Some(&secret("new password")));
        assert_eq!(causes[0].field, "data[password]");
        assert_eq!(unmask(&keyring, &mut shown, None).len(), 1);
    }

    #[test]
    fn texts_are_folded_and_data_must_be_base64() {
        let mut good = json!({"stringData": {"a": "x"}, "data": {"b": "eQ=="}});
        assert!(fold(&mut good).is_empty());
        assert_eq!(good, json!({"data": {"a": "eA==", "b": "eQ=="}, "type": "Opaque"}));
        let causes = fold(&mut json!({"data": {"a": "not base64!", "b c": "eQ=="}}));
        assert_eq!(causes.len(), 2);
        assert!(causes.iter().all(|cause| !cause.message.contains("not base64!")));
    }

    #[test]
    fn the_copy_that_kubectl_keeps_holds_no_value() {
        let keyring = keyring();
        let mut object = secret("hunter2");
        let copy = json!({"data": {"password": BASE64.encode("hunter2")}, "stringData": {"token": "s3cret"}});
        object["metadata"]["annotations"] = json!({LAST_APPLIED: copy.to_string()});
        mask_last_applied(&keyring, &mut object);
        let once = object["metadata"]["annotations"][LAST_APPLIED].as_str().unwrap().to_owned();
        assert!(!once.contains("s3cret") && !once.contains(&BASE64.encode("hunter2")));
        mask_last_applied(&keyring, &mut object);
        assert_eq!(object["metadata"]["annotations"][LAST_APPLIED], Value::from(once));
        object["metadata"]["annotations"][LAST_APPLIED] = Value::from("password=hunter2");
        mask_last_applied(&keyring, &mut object);
        assert!(!object.to_string().contains("password=hunter2"));
    }
}
