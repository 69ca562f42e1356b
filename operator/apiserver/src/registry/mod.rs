//! The resources that the server serves: the built-in ones and those of the
//! custom resource definitions it was started with.

mod builtin;
mod custom;
mod fields;
mod info;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

pub use custom::{DefinitionError, installed as installed_definition};
pub use info::{CREATE_VERBS, FULL_VERBS, READ_VERBS, ResourceInfo};

use serde_json::Value;

use crate::admission::schema::StructuralSchema;
use crate::store::Policy;
use crate::wire::openapi;
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
}

impl Resource {
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
    resources: Vec<Arc<Resource>>,
    by_path: HashMap<(String, String, String), usize>,
    infos: Vec<ResourceInfo>,
    /// Dear to make, and the same as long as the registry is.
    openapi_index: OnceLock<Value>,
}

impl Registry {
    /// The built-in resources and those of the definitions.
    ///
    /// # Errors
    /// When a definition can't be served.
    pub fn new(definitions: &[CustomResourceDefinition]) -> Result<Self, DefinitionError> {
        let mut resources = builtin::resources();
        for definition in definitions {
            resources.push(custom::resource(definition)?);
        }
        let infos: Vec<ResourceInfo> =
            resources.iter().map(|resource| resource.info.clone()).collect();
        let by_path = infos
            .iter()
            .enumerate()
            .map(|(index, info)| {
                ((info.group.clone(), info.version.clone(), info.plural.clone()), index)
            })
            .collect();
        let resources = resources.into_iter().map(Arc::new).collect();
        Ok(Self { resources, by_path, infos, openapi_index: OnceLock::new() })
    }

    /// The resource at a path.
    #[must_use]
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        let path = (group.to_owned(), version.to_owned(), plural.to_owned());
        self.by_path.get(&path).map(|index| &self.resources[*index])
    }

    /// The resource of a kind.
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
        self.resources
            .iter()
            .filter(|resource| !matches!(resource.nature, Nature::Review(_) | Nature::CoreEvent))
    }

    /// What discovery shows.
    #[must_use]
    pub fn infos(&self) -> &[ResourceInfo] {
        &self.infos
    }

    /// The index of the OpenAPI documents.
    #[must_use]
    pub fn openapi_index(&self) -> &Value {
        self.openapi_index.get_or_init(|| openapi::index(&self.infos))
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
