//! Which kinds there are, by any of the names that people use for them.

use hades_api::{
    ConfigRepository, DockerHost, Environment, EnvironmentTemplate, GitAccount, HadesProject,
    RegistryAccount, User,
};
use k8s_openapi::api::core::v1::{Event, Namespace, Secret};
use kube::core::discovery::v2::{APIGroupDiscovery, APIGroupDiscoveryList, APIResourceDiscovery};
use kube::core::{ApiResource, Resource};

use crate::{Error, Session};

/// A kind of object that the server serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// Group, version, kind and plural.
    pub resource: ApiResource,
    /// Whether its objects are in a project.
    pub namespaced: bool,
    /// Name of one of them, lower case.
    pub singular: String,
    /// Short names such as `env`.
    pub short_names: Vec<String>,
    /// Categories such as `hades`.
    pub categories: Vec<String>,
    /// Whether a controller reports on its objects.
    pub has_status: bool,
}

impl Kind {
    /// `environment.hades.dev`, or `namespace` for the core group.
    pub fn qualified(&self) -> String {
        if self.resource.group.is_empty() {
            return self.singular.clone();
        }
        format!("{}.{}", self.singular, self.resource.group)
    }

    /// Whether `word` is one of its names (lower case).
    pub fn is_called(&self, word: &str) -> bool {
        let (name, group) = match word.split_once('.') {
            // `environments.v1alpha1.hades.dev`, as kubectl allows.
            Some((name, rest)) => {
                let version = format!("{}.", self.resource.version);
                (name, Some(rest.strip_prefix(&version).unwrap_or(rest)))
            }
            None => (word, None),
        };
        let named = name == self.resource.plural
            || name == self.singular
            || name == self.resource.kind.to_lowercase()
            || self.short_names.iter().any(|short| short == name);
        named && group.is_none_or(|group| group == self.resource.group)
    }
}

/// The kinds that a word may stand for.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// All of them, in the order of preference.
    pub kinds: Vec<Kind>,
}

impl Catalog {
    /// What every server has, so that most commands need no discovery.
    pub fn built_in() -> Self {
        let hades = |resource: ApiResource, short: &str, namespaced: bool, has_status: bool| Kind {
            singular: resource.kind.to_lowercase(),
            resource,
            namespaced,
            short_names: Some(short)
                .filter(|it| !it.is_empty())
                .map(str::to_owned)
                .into_iter()
                .collect(),
            categories: vec!["hades".to_owned()],
            has_status,
        };
        let core = |resource: ApiResource, short: &[&str], namespaced: bool| Kind {
            singular: resource.kind.to_lowercase(),
            resource,
            namespaced,
            short_names: short.iter().map(|&name| name.to_owned()).collect(),
            categories: vec![],
            has_status: false,
        };
        let of = ApiResource::erase::<Environment>;
        Self {
            kinds: vec![
                hades(of(&()), "env", true, true),
                hades(erase::<EnvironmentTemplate>(), "envt", true, false),
                hades(erase::<HadesProject>(), "hp", false, true),
                hades(erase::<RegistryAccount>(), "ra", false, true),
                hades(erase::<DockerHost>(), "dh", false, true),
                hades(erase::<ConfigRepository>(), "cr", true, true),
                hades(erase::<GitAccount>(), "ga", false, true),
                hades(erase::<User>(), "", false, true),
                core(erase::<Namespace>(), &["ns"], false),
                core(erase::<Secret>(), &[], true),
                core(erase::<Event>(), &["ev"], true),
            ],
        }
    }

    /// Everything that the server serves.
    ///
    /// # Errors
    /// When the server doesn't answer.
    pub async fn discover(session: &Session) -> Result<Self, Error> {
        let client = session.client();
        let (core, groups) = tokio::try_join!(
            client.list_core_api_versions_aggregated(),
            client.list_api_groups_aggregated()
        )
        .map_err(|error| session.error(error))?;
        let mut kinds = kinds_of(groups);
        kinds.extend(kinds_of(core));
        // Our own first: where two groups have a kind of one name, people mean ours.
        kinds.sort_by_key(|kind| {
            (kind.resource.group != hades_api::GROUP, !kind.resource.group.is_empty())
        });
        Ok(Self { kinds })
    }

    /// The kind of that name: plural, singular, short name or `plural.group`.
    pub fn kind(&self, word: &str) -> Option<&Kind> {
        let word = word.to_lowercase();
        self.kinds.iter().find(|kind| kind.is_called(&word))
    }

    /// The kinds of that category.
    pub fn category(&self, word: &str) -> Vec<&Kind> {
        self.kinds
            .iter()
            .filter(|kind| kind.categories.iter().any(|category| category == word))
            .collect()
    }

    /// The kind of manifests with that `apiVersion` and `kind`.
    pub fn of_manifest(&self, api_version: &str, kind: &str) -> Option<&Kind> {
        self.kinds
            .iter()
            .find(|known| known.resource.api_version == api_version && known.resource.kind == kind)
    }

    /// Every name that a kind or a category goes by, for suggestions.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .kinds
            .iter()
            .flat_map(|kind| {
                [&kind.resource.plural, &kind.singular]
                    .into_iter()
                    .chain(&kind.short_names)
                    .chain(&kind.categories)
                    .cloned()
            })
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

/// The kind of Environments.
pub fn environment() -> Kind {
    built_in_kind("environment")
}

/// The kind of EnvironmentTemplates.
pub fn environment_template() -> Kind {
    built_in_kind("environmenttemplate")
}

/// The kind of ConfigRepositories.
pub fn config_repository() -> Kind {
    built_in_kind("configrepository")
}

/// The kind of HadesProjects.
pub fn project() -> Kind {
    built_in_kind("hadesproject")
}

/// The kind of DockerHosts.
pub fn docker_host() -> Kind {
    built_in_kind("dockerhost")
}

/// The kind of Secrets.
pub fn secret() -> Kind {
    built_in_kind("secret")
}

/// The kind of Users.
pub fn user() -> Kind {
    built_in_kind("user")
}

/// The kind of Namespaces.
pub fn namespace() -> Kind {
    built_in_kind("namespace")
}

/// The kind of (core) Events.
pub fn event() -> Kind {
    built_in_kind("event")
}

fn built_in_kind(name: &str) -> Kind {
    let catalog = Catalog::built_in();
    let found = catalog.kinds.into_iter().find(|kind| kind.singular == name);
    // The list above is constant, and a test asks for each name used here.
    found.unwrap_or_else(|| unreachable!("{name} is built in"))
}

fn erase<K: Resource<DynamicType = ()>>() -> ApiResource {
    ApiResource::erase::<K>(&())
}

fn kinds_of(groups: APIGroupDiscoveryList) -> Vec<Kind> {
    groups.items.into_iter().flat_map(kinds_of_group).collect()
}

/// The kinds of a group's preferred version.
fn kinds_of_group(group: APIGroupDiscovery) -> Vec<Kind> {
    let name = group.metadata.and_then(|metadata| metadata.name).unwrap_or_default();
    // Its documents are no objects: they have no tables, and commands of their own.
    if name == hades_api::role::OPERATIONS_GROUP {
        return vec![];
    }
    let Some(preferred) = group.versions.into_iter().next() else {
        return vec![];
    };
    let version = preferred.version.unwrap_or_default();
    let resources = preferred.resources.into_iter();
    resources.filter_map(|resource| kind_of(&name, &version, resource)).collect()
}

fn kind_of(group: &str, version: &str, resource: APIResourceDiscovery) -> Option<Kind> {
    // What can't be listed (reviews, streams) is nothing to look at by kind.
    if !resource.verbs.iter().any(|verb| verb == "list") {
        return None;
    }
    let plural = resource.resource?;
    let kind = resource.response_kind?.kind?;
    let api_version =
        if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let has_status =
        resource.subresources.iter().any(|sub| sub.subresource.as_deref() == Some("status"));
    Some(Kind {
        singular: resource
            .singular_resource
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| kind.to_lowercase()),
        resource: ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version,
            kind,
            plural,
        },
        namespaced: resource.scope.as_deref() == Some("Namespaced"),
        short_names: resource.short_names,
        categories: resource.categories,
        has_status,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_list_agrees_with_the_definitions() {
        let catalog = Catalog::built_in();
        for crd in hades_api::schema::crds() {
            let names = &crd.spec.names;
            let kind = catalog.kind(&names.plural).unwrap();
            assert_eq!(kind.resource.kind, names.kind);
            assert_eq!(Some(&kind.singular), names.singular.as_ref());
            assert_eq!(kind.short_names, names.short_names.clone().unwrap_or_default());
            assert_eq!(Some(&kind.categories), names.categories.as_ref());
            assert_eq!(kind.namespaced, crd.spec.scope == "Namespaced");
            let has_status = crd.spec.versions[0]
                .subresources
                .as_ref()
                .is_some_and(|subresources| subresources.status.is_some());
            assert_eq!(kind.has_status, has_status, "{}", names.kind);
        }
    }

    #[test]
    fn every_name_of_a_kind_is_known() {
        let catalog = Catalog::built_in();
        for word in [
            "env",
            "environment",
            "environments",
            "Environment",
            "environments.hades.dev",
            "environments.v1alpha1.hades.dev",
        ] {
            assert_eq!(catalog.kind(word).unwrap().resource.kind, "Environment", "{word}");
        }
        assert!(catalog.kind("environments.example.com").is_none());
        let ours = catalog.kinds.iter().filter(|kind| kind.resource.group == hades_api::GROUP);
        assert_eq!(catalog.category("hades").len(), ours.count());
        assert_eq!(environment().qualified(), "environment.hades.dev");
        assert_eq!(namespace().qualified(), "namespace");
        for kind in [environment_template(), config_repository(), project(), event()] {
            assert!(!kind.resource.plural.is_empty());
        }
    }

    #[test]
    fn discovery_keeps_what_can_be_listed() {
        let group = |name: &str| {
            serde_json::json!({"metadata": {"name": name}, "versions": [{
                "version": "v1alpha1",
                "resources": [
                    {"resource": "reviews", "scope": "Namespaced", "verbs": ["create"],
                     "responseKind": {"kind": "Review"}},
                    {"resource": "things", "scope": "Cluster", "verbs": ["get", "list"],
                     "singularResource": "thing", "responseKind": {"kind": "Thing"},
                     "subresources": [{"subresource": "status"}]},
                ],
            }]})
        };
        let groups: APIGroupDiscoveryList = serde_json::from_value(serde_json::json!({
            "items": [group("example.com"), group("operations.hades.dev")],
        }))
        .unwrap();
        let kinds = kinds_of(groups);
        assert_eq!(kinds.len(), 1);
        assert_eq!(kinds[0].qualified(), "thing.example.com");
        assert!(kinds[0].has_status && !kinds[0].namespaced);
    }
}
