//! The structural schema of a kind: compiled once, then asked for defaults,
//! unknown fields, mistakes and (by server-side apply) merge semantics.
//!
//! ```text
//! openAPIV3Schema ──compile──▶ StructuralSchema ── Node tree
//!                                ├─ apply_defaults   defaults.rs
//!                                ├─ prune            prune.rs
//!                                ├─ validate         validate.rs, rules.rs (CEL)
//!                                └─ root()           wire::apply
//! ```
//!
//! Invariants: `apiVersion`, `kind` and `metadata` are always known at the root
//! and in embedded resources, whatever the document says; every pattern and rule
//! is compiled when the schema is, so that validation can't meet a broken one.

mod compile;
mod cost;
mod declarations;
mod defaults;
mod findings;
mod format;
mod node;
mod place;
mod prune;
mod rules;
mod validate;
mod weight;

use serde_json::{Value, json};

use super::Cause;

pub(crate) use node::{ListType, Node};
pub(crate) use place::{Place, child_path, index_path};

/// A compiled `openAPIV3Schema`.
#[derive(Debug)]
pub struct StructuralSchema {
    root: Node,
}

/// Why a schema cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct SchemaError {
    /// Path inside the schema document, such as
    /// `openAPIV3Schema.properties[spec].pattern`.
    pub path: String,
    /// What is wrong there, and what would be right.
    pub message: String,
}

/// A field that the schema does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownField {
    /// Full path, such as `spec.services.api.imgae`.
    pub path: String,
    /// The known field of the same object with the most similar name, if one is
    /// similar enough to be a likely slip of the fingers.
    pub nearest: Option<String>,
}

impl std::fmt::Display for UnknownField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "unknown field \"{}\"", self.path)?;
        if let Some(nearest) = &self.nearest {
            write!(f, " (did you mean \"{nearest}\"?)")?;
        }
        Ok(())
    }
}

impl StructuralSchema {
    /// Compiles the `openAPIV3Schema` of a custom resource.
    ///
    /// # Errors
    /// The first place where the document is not a structural schema, a pattern
    /// is no regular expression, or a CEL rule does not compile.
    pub fn compile(schema: &Value) -> Result<Self, SchemaError> {
        weight::check(schema, "openAPIV3Schema")?;
        compile::resource(schema, "openAPIV3Schema", 0).map(|root| Self { root })
    }

    /// Compiles the schema of a value that is no object of the API: nothing is
    /// known of it but what the document says.
    ///
    /// # Errors
    /// As [`StructuralSchema::compile`].
    pub(crate) fn compile_part(schema: &Value) -> Result<Self, SchemaError> {
        weight::check(schema, "openAPIV3Schema")?;
        compile::part(schema, "openAPIV3Schema").map(|root| Self { root })
    }

    /// What the schema declares and can't hold: defaults that it refuses itself,
    /// and rules that compare with an old value where nothing says which that
    /// is. `path` is that of the schema.
    pub(crate) fn declaration_causes(&self, path: &str) -> Vec<Cause> {
        declarations::causes(&self.root, path)
    }

    /// The schema of a kind that the server keeps but doesn't check: every
    /// field is allowed, only ObjectMeta is known.
    #[must_use]
    pub fn open() -> Self {
        let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        Self::compile(&open).unwrap_or_else(|_| Self { root: Node::default() })
    }

    /// Fills in the defaults that the schema declares. Nulls of fields that are
    /// not nullable are dropped first, as Kubernetes does, so that an explicit
    /// null gets the default too.
    pub fn apply_defaults(&self, object: &mut Value) {
        defaults::apply(&self.root, object);
    }

    /// Drops nulls of fields that are not nullable, as [`Self::apply_defaults`]
    /// does, and fills in nothing.
    pub fn drop_nulls(&self, object: &mut Value) {
        defaults::drop_nulls(&self.root, object);
    }

    /// Removes fields that the schema does not know and returns them.
    pub fn prune(&self, object: &mut Value) -> Vec<UnknownField> {
        let mut unknown = Vec::new();
        prune::node(&self.root, object, &Place::ROOT, &mut unknown);
        unknown
    }

    /// All that is wrong with `new`. `old` is the stored object: transition
    /// rules compare with it, and what is wrong but unchanged is let through,
    /// so that an object outlives a schema that became stricter.
    ///
    /// CEL rules are only evaluated on objects whose types and required fields
    /// are right, as Kubernetes does; a last cause says so where they were not.
    #[must_use]
    pub fn validate(&self, new: &Value, old: Option<&Value>) -> Vec<Cause> {
        validate::object(&self.root, new, old)
    }

    /// The root of the schema, for merge semantics.
    pub(crate) fn root(&self) -> &Node {
        &self.root
    }
}

#[cfg(test)]
pub(crate) mod tests;
