//! One committed change, and how it looks to watchers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::registry::Resource;
use crate::store::Key;
use crate::wire::accept::ResponseForm;
use crate::wire::table::IncludeObject;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It was created.
    Added,
    /// It was changed.
    Modified,
    /// It is gone.
    Deleted,
}

/// One committed change.
#[derive(Debug)]
pub struct Event {
    /// The resourceVersion of the change.
    pub version: u64,
    /// What happened.
    pub kind: EventKind,
    /// Whom it happened to.
    pub key: Key,
    /// The object after the change; for a deletion, its last state with the
    /// resourceVersion of the deletion. Secrets are in the clear here.
    pub object: Bytes,
    /// The object before the change: a watcher with a selector must learn that an
    /// object left it. Absent for a creation, and for a deletion where it differs
    /// from `object` in nothing but the version.
    pub before: Option<Bytes>,
    encodings: Mutex<Vec<(Appearance, Bytes)>>,
}

/// All that decides how an object looks: watchers that agree in it share the bytes.
#[derive(Clone, Debug)]
pub struct Appearance {
    /// Resource and version as which it is shown.
    pub resource: Arc<Resource>,
    /// The form.
    pub form: ResponseForm,
    /// What the rows of a table carry.
    pub include: IncludeObject,
    /// Whether secret values are hidden.
    pub masked: bool,
}

impl PartialEq for Appearance {
    fn eq(&self, other: &Self) -> bool {
        // A change of the definitions makes new resources.
        let Self { resource, form, include, masked } = self;
        Arc::ptr_eq(resource, &other.resource)
            && *form == other.form
            && *include == other.include
            && *masked == other.masked
    }
}

impl Event {
    /// A change that was just committed.
    #[must_use]
    pub fn new(
        version: u64,
        kind: EventKind,
        key: Key,
        object: Bytes,
        before: Option<Bytes>,
    ) -> Self {
        Self { version, kind, key, object, before, encodings: Mutex::default() }
    }

    /// How many bytes of objects it holds.
    #[must_use]
    pub fn size(&self) -> usize {
        self.object.len() + self.before.as_ref().map_or(0, Bytes::len)
    }

    fn encodings(&self) -> MutexGuard<'_, Vec<(Appearance, Bytes)>> {
        self.encodings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The object as it looks to some watchers, made once for all of them.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn encoded<E>(
        &self,
        appearance: &Appearance,
        make: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Bytes, E> {
        // Made under the lock: whoever comes meanwhile would make the same.
        let mut encodings = self.encodings();
        if let Some((_, bytes)) = encodings.iter().find(|(one, _)| one == appearance) {
            return Ok(bytes.clone());
        }
        let bytes = Bytes::from(make()?);
        encodings.push((appearance.clone(), bytes.clone()));
        Ok(bytes)
    }

    /// Gives the memory of the encodings back.
    pub(super) fn forget_encodings(&self) {
        *self.encodings() = Vec::new();
    }
}
