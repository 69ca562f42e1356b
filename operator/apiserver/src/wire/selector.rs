//! Selectors.
use std::collections::BTreeMap;
use serde_json::Value;
use super::status::StatusError;
/// Label selector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector { requirements: Vec<()> }
impl LabelSelector {
    /// Parses `a=b,c!=d,e in (f,g),h notin (i),j,!k`.
    pub fn parse(text: &str) -> Result<Self, StatusError> { let _ = text; todo!() }
    /// Whether it matches everything.
    #[must_use]
    pub fn is_empty(&self) -> bool { self.requirements.is_empty() }
    /// Whether labels match.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool { let _ = labels; todo!() }
    /// Whether `metadata.labels` of the object match.
    #[must_use]
    pub fn matches_object(&self, object: &Value) -> bool { let _ = object; todo!() }
}
/// Field selector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector { terms: Vec<()> }
impl FieldSelector {
    /// Parses `metadata.name=a,status.phase!=b`.
    pub fn parse(text: &str) -> Result<Self, StatusError> { let _ = text; todo!() }
    /// Whether it matches everything.
    #[must_use]
    pub fn is_empty(&self) -> bool { self.terms.is_empty() }
    /// Whether the object matches.
    #[must_use]
    pub fn matches(&self, object: &Value) -> bool { let _ = object; todo!() }
    /// The exact value that a field must have, when the selector demands one (`metadata.name=x`).
    #[must_use]
    pub fn exact(&self, path: &str) -> Option<&str> { let _ = path; todo!() }
}
