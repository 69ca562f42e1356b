//! Protobuf bodies.
use serde_json::Value;
use super::status::StatusError;
/// Decodes the `k8s\0` envelope to the JSON form of the object.
pub fn decode(body: &[u8]) -> Result<Value, StatusError> { let _ = body; todo!() }
