//! Values of Secrets don't get into what people read: texts that come from
//! outside, or that somebody wrote a value into, are searched for them.

mod plan;
mod project;
mod status;
pub(crate) mod used;

use std::borrow::Cow;
use std::sync::Arc;

use hades_api::SYSTEM_NAMESPACE;
use hades_redact::Redactor;
use kube::Resource;

use crate::Context;

pub(crate) use plan::Before;
pub use project::ProjectValues;

/// Knows the values of Secrets.
pub trait SecretValues: Send + Sync {
    /// What hides those of a namespace. To hide other namespaces' values as well
    /// would tell a project which of its guesses are right.
    fn redactor(&self, namespace: &str) -> Redactor;
}

/// Knows none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoValues;

impl SecretValues for NoValues {
    fn redactor(&self, _namespace: &str) -> Redactor {
        Redactor::default()
    }
}

/// Has texts that may hold a value: no names, ids or digests, which must stay as
/// they are for what they name to be found.
pub trait Texts {
    /// Shows each of them.
    fn texts(&mut self, each: &mut dyn FnMut(&mut String));
}

impl Texts for String {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        each(self);
    }
}

impl<T: Texts> Texts for Option<T> {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        self.iter_mut().for_each(|it| it.texts(each));
    }
}

impl<T: Texts> Texts for Vec<T> {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        self.iter_mut().for_each(|it| it.texts(each));
    }
}

/// Hides values in all texts of something.
pub fn redact(redactor: &Redactor, it: &mut impl Texts) {
    if redactor.is_empty() {
        return;
    }
    it.texts(&mut |text| {
        if let Cow::Owned(clear) = redactor.text(text) {
            *text = clear;
        }
    });
}

impl Context {
    /// What hides the values of a namespace.
    pub fn redactor(&self, namespace: &str) -> Redactor {
        self.secret_values.redactor(namespace)
    }

    /// What hides values in that which is said of an object: those of its namespace,
    /// or for an object of the cluster those of `hades-system`.
    pub(crate) fn redactor_for(&self, object: &impl Resource) -> Redactor {
        self.redactor(object.meta().namespace.as_deref().unwrap_or(SYSTEM_NAMESPACE))
    }

    /// What hides values from a project's people.
    pub fn project_values(&self, project: &str) -> ProjectValues {
        ProjectValues::new(Arc::clone(&self.secret_values), project)
    }

    /// What hides the credentials of hosts, forges and registries.
    pub(crate) fn system_redactor(&self) -> Redactor {
        self.redactor(SYSTEM_NAMESPACE)
    }
}
