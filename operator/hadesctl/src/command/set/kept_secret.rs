//! The Secret that variables of a service are put into.

use std::collections::BTreeMap;

use hades_client::catalog;
use hades_client::object::{self, Owner};
use hades_client::ownership::Ownership;
use hades_client::secret::{self, Changes, KeyChange, OPAQUE, Shown};
use kube::api::DynamicObject;
use secrecy::SecretSlice;

use super::assignment::Assignments;
use crate::change::{self, OverrideFlags};
use crate::command::secret::owned;
use crate::context::Context;
use crate::error::Error;
use crate::target::Target;

/// A Secret, and what is to become of it.
pub struct KeptSecret {
    target: Target,
    before: Option<DynamicObject>,
    changes: Changes,
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
        let ownership = before.as_ref().and_then(|it| Ownership::of(it, context.now()));
        if let Some(ownership) = ownership
            && flags.override_until.is_none()
            && ownership.overridden_until().is_none()
        {
            return Err(owned(&target, &ownership));
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
        Ok(Self { target, before, changes, difference })
    }

    /// Whether a value of it becomes another.
    pub fn is_changed(&self) -> bool {
        self.difference.values().any(|change| *change != KeyChange::Same)
    }

    /// Writes the values.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn write(&self, context: &Context, flags: &OverrideFlags) -> Result<(), Error> {
        if !self.is_changed() {
            return Ok(());
        }
        let session = context.session().await?;
        let project = self.target.namespace.as_deref().unwrap_or_default();
        let Some(before) = &self.before else {
            let name = &self.target.name;
            secret::create(session, project, name, OPAQUE, &self.changes, false).await?;
            return Ok(());
        };
        // The Environment may be git's while this Secret is nobody's: then there is
        // nothing to override here.
        let none = OverrideFlags::default();
        let flags = if Owner::of(before).is_some() { flags } else { &none };
        let patch = secret::patch(&self.changes);
        change::merge(context, &self.target, before, &patch, flags).await?;
        Ok(())
    }
}
