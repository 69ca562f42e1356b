//! Two views of events.
use serde_json::Value;
/// The events.k8s.io/v1 object that is stored, from either view.
#[must_use]
pub fn to_events(event: &Value) -> Value { let _ = event; todo!() }
/// The core/v1 view of a stored event.
#[must_use]
pub fn to_core(event: &Value) -> Value { let _ = event; todo!() }
