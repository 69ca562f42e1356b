//! Structural schemas.
use serde_json::Value;
use super::Cause;

/// A compiled `openAPIV3Schema`.
#[derive(Debug)]
pub struct StructuralSchema {}

/// Why a schema cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct SchemaError {
    /// Path inside the schema document.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

/// A field that the schema does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownField {
    /// Full path, such as `spec.services.api.imgae`.
    pub path: String,
    /// The known field of the same object with the most similar name.
    pub nearest: Option<String>,
}

impl StructuralSchema {
    /// Compiles the `openAPIV3Schema` of a custom resource.
    pub fn compile(schema: &Value) -> Result<Self, SchemaError> { let _ = schema; todo!() }
    /// The schema of a kind that the server keeps but doesn't check: every
    /// field is allowed, only ObjectMeta is known.
    #[must_use]
    pub fn open() -> Self { todo!() }
    /// Fills in the defaults that the schema declares.
    pub fn apply_defaults(&self, object: &mut Value) { let _ = object; todo!() }
    /// Removes fields that the schema does not know and returns them.
    pub fn prune(&self, object: &mut Value) -> Vec<UnknownField> { let _ = object; todo!() }
    /// All that is wrong with `new`; `old` is the stored object for transition rules.
    #[must_use]
    pub fn validate(&self, new: &Value, old: Option<&Value>) -> Vec<Cause> { let _ = (new, old); todo!() }
}
