//! JSON merge patch, JSON patch and strategic merge patch.
use serde_json::Value;
use super::status::StatusError;
/// RFC 7396.
pub fn merge(target: &mut Value, patch: &Value) { let _ = (target, patch); todo!() }
/// RFC 6902; `patch` is the body of the request.
pub fn json(target: &Value, patch: &[u8]) -> Result<Value, StatusError> { let _ = (target, patch); todo!() }
/// Strategic merge patch, read as a merge patch with the `$` directives obeyed.
pub fn strategic(target: &mut Value, patch: &Value) -> Result<(), StatusError> { let _ = (target, patch); todo!() }
