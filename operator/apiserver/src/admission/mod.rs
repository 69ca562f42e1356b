//! What an object must satisfy before it is stored: the structural schema of
//! its kind, defaults, unknown fields and the rules in CEL.

pub mod schema;
mod validator;

use std::fmt;

pub use validator::{Admission, Right, Surroundings, Validator};

/// One thing that is wrong with an object, as `details.causes[]` of a Status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Path of the field, such as `spec.services.api.replicas`; empty where the
    /// whole object is meant.
    pub field: String,
    /// Machine-readable class of the mistake.
    pub reason: CauseReason,
    /// What is wrong, for people, without the path.
    pub message: String,
}

impl Cause {
    /// A cause of the given reason.
    pub fn new(field: impl Into<String>, reason: CauseReason, message: impl Into<String>) -> Self {
        Self { field: field.into(), reason, message: message.into() }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.field, self.message)
        }
    }
}

/// The reasons that Kubernetes gives to causes (`metav1.CauseType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CauseReason {
    /// The referenced thing does not exist.
    FieldValueNotFound,
    /// A field that must be present is absent.
    FieldValueRequired,
    /// A value that must be unique occurs twice.
    FieldValueDuplicate,
    /// The value breaks a rule of its field.
    FieldValueInvalid,
    /// The value is not one of those allowed.
    FieldValueNotSupported,
    /// The field may not be set here.
    FieldValueForbidden,
    /// The string is too long.
    FieldValueTooLong,
    /// The list has too many items.
    FieldValueTooMany,
    /// The value has the wrong JSON type.
    FieldValueTypeInvalid,
    /// Something failed inside the server while the field was looked at.
    InternalError,
    /// Another field manager owns the field.
    FieldManagerConflict,
    /// The server answered something that the client did not expect.
    UnexpectedServerResponse,
    /// The asked resourceVersion is later than the server's.
    ResourceVersionTooLarge,
}

impl CauseReason {
    /// Whether a value of the object is meant, or the object as a value.
    #[must_use]
    pub fn is_about_a_value(self) -> bool {
        self.as_str().starts_with("FieldValue")
    }

    /// The spelling on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FieldValueNotFound => "FieldValueNotFound",
            Self::FieldValueRequired => "FieldValueRequired",
            Self::FieldValueDuplicate => "FieldValueDuplicate",
            Self::FieldValueInvalid => "FieldValueInvalid",
            Self::FieldValueNotSupported => "FieldValueNotSupported",
            Self::FieldValueForbidden => "FieldValueForbidden",
            Self::FieldValueTooLong => "FieldValueTooLong",
            Self::FieldValueTooMany => "FieldValueTooMany",
            Self::FieldValueTypeInvalid => "FieldValueTypeInvalid",
            Self::InternalError => "InternalError",
            Self::FieldManagerConflict => "FieldManagerConflict",
            Self::UnexpectedServerResponse => "UnexpectedServerResponse",
            Self::ResourceVersionTooLarge => "ResourceVersionTooLarge",
        }
    }
}

impl fmt::Display for CauseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
