//! The resources that the server serves: the built-in ones and those of the
//! established custom resource definitions.

mod builtin;
mod custom;
mod definition;
mod documents;
mod fields;
mod gate;
mod info;
mod scale;
mod version;

use std::collections::HashMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

pub(crate) use custom::{Custom, ScalePaths};
pub(crate) use definition::Definition;
pub(crate) use documents::{Document, Documents};
pub use info::{CREATE_VERBS, FULL_VERBS, ResourceInfo, TERMINATING_VERBS};
pub(crate) use scale::scale;

use crate::admission::schema::StructuralSchema;
use crate::store::Policy;
use crate::wire::table::Columns;

/// What a resource does beyond storing objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Nothing: configmaps, service accounts, leases.
    Plain,
    /// Described by a custom resource definition.
    Custom,
    /// Namespaces: their deletion takes along what is inside.
    Namespace,
    /// Secrets: sealed on disk and masked when read.
    Secret,
    /// Events as events.k8s.io/v1, the form that is stored.
    Event,
    /// Events as core/v1, a view of the same store.
    CoreEvent,
    /// Custom resource definitions.
    Definition,
    /// A question that is answered and not stored.
    Review(Review),
}

impl Nature {
    /// Whether objects count the changes of their spec.
    #[must_use]
    pub fn has_generation(self) -> bool {
        matches!(self, Self::Custom | Self::Definition)
    }
}

/// The questions that clients ask by creating an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Review {
    /// `kubectl auth can-i VERB RESOURCE`.
    Access,
    /// The same about somebody else.
    SubjectAccess,
    /// The same about somebody else, in one namespace.
    LocalAccess,
    /// `kubectl auth can-i --list`.
    Rules,
    /// `kubectl auth whoami`.
    Subject,
    /// Whom a token belongs to.
    Token,
}

/// One served resource.
#[derive(Debug)]
pub struct Resource {
    /// Names, scope and verbs.
    pub info: ResourceInfo,
    /// `group/plural` of the rows in the store.
    pub storage: Arc<str>,
    /// What it does.
    pub nature: Nature,
    /// Schema of the objects.
    pub schema: StructuralSchema,
    /// Columns of `kubectl get`.
    pub columns: Columns,
    /// The `selectableFields` of a custom resource: dotted paths, which field
    /// selectors may name.
    pub selectable: Vec<String>,
    /// What only custom resources have.
    pub(crate) custom: Option<Custom>,
    /// Cancelled when the resource is served no longer, or not in this form.
    pub(crate) retired: CancellationToken,
}

impl Resource {
    /// Whether clients can ask for it.
    fn served(&self) -> bool {
        self.custom.as_ref().is_none_or(|custom| custom.served)
    }

    /// What clients that use it are warned of.
    #[must_use]
    pub fn deprecation(&self) -> Option<&str> {
        self.custom.as_ref()?.deprecation.as_deref()
    }

    /// Whether the resource answers this verb.
    #[must_use]
    pub fn allows(&self, verb: &str) -> bool {
        self.info.verbs.contains(&verb)
    }
}

/// All resources served at one moment. A change of the definitions makes a new
/// one; requests go on with the one they began with.
#[derive(Debug)]
pub struct Registry {
    /// The built-in ones, then those of the definitions in all their versions.
    resources: Vec<Arc<Resource>>,
    /// How many of them are built in.
    builtins: usize,
    definitions: Vec<Arc<Definition>>,
    by_path: HashMap<(String, String, String), usize>,
    infos: Vec<ResourceInfo>,
    /// Dear to make, and the same as long as the registry is.
    documents: Documents,
}

impl Registry {
    /// The built-in resources.
    #[must_use]
    pub fn builtin() -> Self {
        Self::of(builtin::resources().into_iter().map(Arc::new).collect(), Vec::new())
    }

    /// The same built-in resources with those of other definitions.
    pub(crate) fn with_definitions(&self, definitions: Vec<Arc<Definition>>) -> Self {
        let builtins = self.resources.get(..self.builtins).unwrap_or_default();
        Self::of(builtins.to_vec(), definitions)
    }

    fn of(mut resources: Vec<Arc<Resource>>, definitions: Vec<Arc<Definition>>) -> Self {
        let builtins = resources.len();
        let mut infos: Vec<ResourceInfo> =
            resources.iter().map(|resource| resource.info.clone()).collect();
        for definition in &definitions {
            for resource in &definition.resources {
                resources.push(Arc::clone(resource));
                if resource.served() {
                    let mut info = resource.info.clone();
                    if definition.terminating {
                        info.verbs = TERMINATING_VERBS;
                    }
                    infos.push(info);
                }
            }
        }
        let path =
            |info: &ResourceInfo| (info.group.clone(), info.version.clone(), info.plural.clone());
        let by_path = resources
            .iter()
            .enumerate()
            .filter(|(_, resource)| resource.served())
            .map(|(index, resource)| (path(&resource.info), index))
            .collect();
        let documents = Documents::default();
        Self { resources, builtins, definitions, by_path, infos, documents }
    }

    /// The definitions, established or not, in the order of their names.
    pub(crate) fn definitions(&self) -> &[Arc<Definition>] {
        &self.definitions
    }

    /// Whether the server itself owns a group.
    pub(crate) fn has_builtin_group(&self, group: &str) -> bool {
        self.resources.iter().take(self.builtins).any(|resource| resource.info.group == group)
    }

    /// Ends the watches of the resources that `next` no longer has.
    pub(crate) fn retire(&self, next: &Self) {
        for resource in &self.resources {
            if !next.resources.iter().any(|other| Arc::ptr_eq(other, resource)) {
                resource.retired.cancel();
            }
        }
    }

    /// The resource at a path.
    #[must_use]
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        let path = (group.to_owned(), version.to_owned(), plural.to_owned());
        self.by_path.get(&path).map(|index| &self.resources[*index])
    }

    /// The resource of a kind, whether that version is served or not.
    #[must_use]
    pub fn find_kind(&self, api_version: &str, kind: &str) -> Option<&Arc<Resource>> {
        self.resources.iter().find(|resource| {
            resource.info.kind == kind && resource.info.api_version() == api_version
        })
    }

    /// The resource whose rows a storage prefix names.
    #[must_use]
    pub fn find_storage(&self, storage: &str) -> Option<&Arc<Resource>> {
        self.stored().find(|resource| &*resource.storage == storage)
    }

    /// The resources that have rows, each store once.
    pub fn stored(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.resources.iter().filter(|resource| match resource.nature {
            Nature::Review(_) | Nature::CoreEvent => false,
            _ => resource.custom.as_ref().is_none_or(|custom| custom.is_storage),
        })
    }

    /// What discovery shows.
    #[must_use]
    pub fn infos(&self) -> &[ResourceInfo] {
        &self.infos
    }

    /// The documents about what is served.
    pub(crate) fn documents(&self) -> &Documents {
        &self.documents
    }

    /// How the store treats the rows.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let mut policy = Policy::default();
        for resource in &self.resources {
            match resource.nature {
                Nature::Secret => policy.sealed.insert(resource.storage.to_string()),
                Nature::Event => policy.volatile.insert(resource.storage.to_string()),
                Nature::Plain if resource.info.kind == "Lease" => {
                    policy.volatile.insert(resource.storage.to_string())
                }
                _ => false,
            };
        }
        policy
    }
}
