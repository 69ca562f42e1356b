//! How large and how deep a stored object may be.

use std::io;

use serde_json::Value;

use crate::wire::status::StatusError;

/// The largest object in bytes of JSON. As much as etcd takes in one request, so
/// that what fits here fits into Kubernetes too.
const MAX_OBJECT: usize = 3 << 19;

/// The deepest nesting. What reads objects, here and in clients, counts on 128
/// levels; managedFields and lists add some around it.
const MAX_DEPTH: usize = 100;

/// Refuses an object that could not be read again.
///
/// # Errors
/// 400 for too many levels.
pub(super) fn check_depth(object: &Value) -> Result<(), StatusError> {
    if is_deeper(object, MAX_DEPTH) {
        return Err(StatusError::bad_request(format!(
            "the object is nested deeper than {MAX_DEPTH} levels"
        )));
    }
    Ok(())
}

fn is_deeper(value: &Value, levels: usize) -> bool {
    match value {
        Value::Object(members) => {
            levels == 0 || members.values().any(|value| is_deeper(value, levels - 1))
        }
        Value::Array(items) => levels == 0 || items.iter().any(|item| is_deeper(item, levels - 1)),
        _ => false,
    }
}

/// Refuses an object that is too large to keep.
///
/// # Errors
/// 413 with the limit and the size.
pub(super) fn check_size(object: &Value) -> Result<(), StatusError> {
    let mut size = Count(0);
    serde_json::to_writer(&mut size, object).map_err(StatusError::internal)?;
    if size.0 > MAX_OBJECT {
        return Err(StatusError::too_large(format!(
            "limit is {MAX_OBJECT} for a stored object with its managedFields, and this one has {}",
            size.0
        )));
    }
    Ok(())
}

/// Counts bytes and keeps none.
struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn depth_and_size_have_a_limit() {
        let nested = |levels: usize| {
            (0..levels).fold(json!(1), |value, level| {
                if level % 2 == 0 { json!({"a": value}) } else { json!([value]) }
            })
        };
        assert!(check_depth(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(check_depth(&nested(MAX_DEPTH + 1)).unwrap_err().code(), 400);
        assert!(check_size(&json!({"a": "x".repeat(MAX_OBJECT - 8)})).is_ok());
        let error = check_size(&json!({"a": "x".repeat(MAX_OBJECT)})).unwrap_err();
        assert_eq!((error.code(), error.reason()), (413, "RequestEntityTooLarge"));
        assert!(error.message().starts_with("Request entity too large: limit is 1572864"));
    }
}
