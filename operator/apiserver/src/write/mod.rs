//! What happens to an object on its way to the store.
//!
//! ```text
//! body ─▶ create ┐                         ┌▶ store.write ─▶ bytes
//!         update ├▶ settle metadata, admit ┤
//!  patch, apply  ┘   (schema, validators)  └▶ nothing: dry run, or no change
//! ```
//! A change of a stored object is computed against a snapshot, outside of the
//! writer; the writer only checks that the snapshot is still the truth, and the
//! change is computed again where it is not.

mod admit;
mod create;
mod delete;
mod escalation;
mod limits;
mod metadata;
mod metadata_rules;
mod names;
mod options;
mod owner_rights;
mod propagation;
mod rewrite;
mod roles;
mod scale;
mod type_meta;
mod update;

use bytes::Bytes;
use serde_json::Value;

use crate::authn::Identity;
use crate::authz::{self, Attributes, Decision, Target};
use crate::definitions::in_turn;
use crate::registry::{Nature, Resource};
use crate::state::{State, write_error};
use crate::store::{Key, WriteError};
use crate::wire::event_view;
use crate::wire::status::StatusError;

pub(crate) use admit::drop_nulls;
pub(crate) use delete::{Deleted, SYSTEM_NAMESPACES};
pub(crate) use metadata::{has_finalizers, is_terminating, text};
pub(crate) use options::{DeleteOptions, Propagation, WriteKind, WriteOptions, flag, parameter};
pub(crate) use propagation::{FOREGROUND, ORPHAN};
pub(crate) use rewrite::{remove_finalizer, strip_owners, unblock_owners};
pub(crate) use roles::{fill_in as fill_in_rights, is_of_rights};
pub(crate) use scale::{patch_scale, replace_scale, scale_of};
pub(crate) use type_meta::check_type;
pub(crate) use update::Patch;

/// Everything that a write needs besides the object.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub state: &'a State,
    pub resource: &'a Resource,
    pub namespace: Option<&'a str>,
    /// Who asks for it.
    pub caller: &'a Identity,
    pub options: &'a WriteOptions,
}

/// What a write left behind.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub created: bool,
    /// The object in the form that is stored.
    pub object: Bytes,
    /// Texts for `Warning` headers.
    pub warnings: Vec<String>,
}

impl Call<'_> {
    pub(crate) fn key(&self, name: &str) -> Key {
        Key::new(&self.resource.storage, self.namespace.unwrap_or_default(), name)
    }

    fn not_found(&self, name: &str) -> StatusError {
        StatusError::not_found(&self.resource.info.group, &self.resource.info.plural, name)
    }

    fn refused(&self, error: &WriteError, name: &str) -> StatusError {
        let info = &self.resource.info;
        write_error(error, &info.group, &info.plural, self.namespace.unwrap_or_default(), name)
    }

    /// Nothing new comes while the definition of a kind is being deleted.
    fn terminating(&self) -> StatusError {
        let info = &self.resource.info;
        StatusError::method_not_allowed(&info.group, &info.plural, "create")
            .saying("create not allowed while custom resource definition is terminating")
    }

    /// What somebody does who does this to an object of the resource.
    fn attributes<'a>(&'a self, verb: &'a str, resource: &'a str, name: &'a str) -> Attributes<'a> {
        let target = Target::Resource {
            group: &self.resource.info.group,
            resource,
            subresource: "",
            // A namespace is inside of itself.
            namespace: match self.resource.nature {
                Nature::Namespace => name,
                _ => self.namespace.unwrap_or_default(),
            },
            name,
        };
        Attributes { verb, target }
    }

    /// Whether the caller has another right than that to the verb of his request
    /// over objects of this resource, or of another one of its group.
    fn may(&self, verb: &str, resource: &str, name: &str) -> Decision {
        self.state.rights.decide(self.caller, &self.attributes(verb, resource, name))
    }

    /// Refuses a caller who changes what isn't there yet, and may not create it.
    fn may_create(&self, name: &str) -> Result<(), StatusError> {
        let attributes = self.attributes("create", &self.resource.info.plural, name);
        match self.state.rights.decide(self.caller, &attributes) {
            Decision::Allowed(_) => Ok(()),
            Decision::Refused(reason) => Err(authz::forbidden(self.caller, &attributes, &reason)),
        }
    }

    fn invalid(&self, name: &str, causes: Vec<crate::admission::Cause>) -> StatusError {
        StatusError::invalid(&self.resource.info.group, &self.resource.info.kind, name, causes)
    }
}

/// Stores a new object. `duplicates` are keys that the body held twice.
pub(crate) async fn create(
    call: Call<'_>,
    object: Value,
    duplicates: &[String],
) -> Result<Outcome, StatusError> {
    in_turn(call, create::create(call, object, duplicates)).await
}

/// PUT: stores the whole object anew.
pub(crate) async fn replace(
    call: Call<'_>,
    name: &str,
    subresource: Option<&str>,
    object: Value,
    duplicates: &[String],
) -> Result<Outcome, StatusError> {
    in_turn(call, update::replace(call, name, subresource, object, duplicates)).await
}

/// PATCH in all its forms.
pub(crate) async fn patch(
    call: Call<'_>,
    name: &str,
    subresource: Option<&str>,
    body: Patch,
    duplicates: &[String],
) -> Result<Outcome, StatusError> {
    in_turn(call, update::patch(call, name, subresource, body, duplicates)).await
}

/// Deletes one object, or marks it where something holds it.
pub(crate) async fn delete(
    call: Call<'_>,
    name: &str,
    options: &DeleteOptions,
) -> Result<Deleted, StatusError> {
    in_turn(call, delete::delete(call, name, options)).await
}

/// Deletes the object of a key; `None` when it is gone already.
pub(crate) async fn delete_key(
    state: &State,
    resource: &Resource,
    key: &Key,
    how: &DeleteOptions,
) -> Result<Option<Deleted>, StatusError> {
    let namespace = Some(key.namespace()).filter(|namespace| !namespace.is_empty());
    let (options, caller) = (&WriteOptions::default(), &Identity::server());
    match delete(Call { state, resource, namespace, caller, options }, key.name(), how).await {
        Ok(deleted) => Ok(Some(deleted)),
        Err(error) if error.code() == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// An object as this resource shows it, from the form that is stored.
pub(crate) fn outward(resource: &Resource, object: Value) -> Value {
    match resource.nature {
        Nature::CoreEvent => event_view::to_core(&object),
        _ => object,
    }
}

/// The form that is stored, from an object as this resource shows it.
fn inward(resource: &Resource, object: Value) -> Value {
    match resource.nature {
        Nature::CoreEvent => event_view::to_events(&object),
        _ => object,
    }
}

fn to_bytes(object: &Value) -> Result<Bytes, StatusError> {
    serde_json::to_vec(object).map(Bytes::from).map_err(StatusError::internal)
}

pub(crate) fn from_bytes(object: &[u8]) -> Result<Value, StatusError> {
    serde_json::from_slice(object).map_err(StatusError::internal)
}
