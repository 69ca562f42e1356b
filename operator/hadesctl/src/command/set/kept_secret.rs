//! The Secret that variables of a service are put into.

use std::collections::BTreeMap;

use hades_client::catalog;
use hades_client::object::{self, Owner};
use hades_client::secret::{self, Changes, KeyChange, OPAQUE, Shown};
use kube::api::DynamicObject;
use secrecy::SecretSlice;

use super::assignment::Assignments;
use crate::change::OverrideFlags;
use crate::command::secret::{put, refuse_owned};
use crate::context::Context;
use crate::error::Error;
use crate::target::Target;

/// A Secret, and what is to become of it.
pub struct KeptSecret {
    target: Target,
    before: Option<DynamicObject>,
    changes: Changes,
    /// Whether a repository's is overridden for longer.
    extends: bool,
    /// What that does to each key.
    pub difference: BTreeMap<String, KeyChange>,
}

impl KeptSecret {
    /// Has the server compare the values that are set; nothing is stored.
    ///
    /// # Errors
    /// When the Secret belongs to a repository, or the server refuses.
    pub async fn look(
        context: &Context,
        project: &str,
        name: &str,
        assignments: &Assignments,
        flags: &OverrideFlags,
    ) -> Result<Self, Error> {
        let session = context.session().await?;
        let kind = catalog::secret();
        let before = object::get(session, &kind, Some(project), name).await?;
        let target = Target { kind, namespace: Some(project.to_owned()), name: name.to_owned() };
        if let Some(before) = &before {
            refuse_owned(context, &target, before, flags)?;
        }
        let bytes = |value: &String| Some(SecretSlice::from(value.as_bytes().to_vec()));
        let set = assignments.iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
        let changes: Changes = set.map(|(key, value)| (key.clone(), bytes(value))).collect();
        let after = match &before {
            Some(_) => secret::preview(session, project, name, &secret::patch(&changes)).await?,
            None => secret::create(session, project, name, OPAQUE, &changes, true).await?,
        };
        let mut difference = Shown::of(before.as_ref()).difference(&Shown::of(Some(&after)));
        difference.retain(|key, _| changes.contains_key(key));
        let is_owned = before.as_ref().and_then(Owner::of).is_some();
        let extends = is_owned && flags.override_until.is_some();
        Ok(Self { target, before, changes, extends, difference })
    }

    /// Whether a repository owns it.
    pub fn is_owned(&self) -> bool {
        self.before.as_ref().and_then(Owner::of).is_some()
    }

    /// Whether there is something to write: another value, or another end of an override.
    pub fn is_changed(&self) -> bool {
        self.extends || self.difference.values().any(|change| *change != KeyChange::Same)
    }

    /// Writes the values.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn write(&self, context: &Context, flags: &OverrideFlags) -> Result<(), Error> {
        if !self.is_changed() {
            return Ok(());
        }
        // The Environment may be git's while this Secret is nobody's: then there is
        // nothing to override here.
        let none = OverrideFlags::default();
        let flags = if self.is_owned() { flags } else { &none };
        let before = self.before.clone();
        put(context, &self.target, before, None, &self.changes, flags).await?;
        Ok(())
    }
}
