//! Who uses which Secret: services of environments, repositories, hosts, accounts.

use std::collections::{BTreeMap, BTreeSet};

use hades_api::{EnvironmentSpec, EnvironmentTemplateSpec, HadesProjectSpec, SYSTEM_NAMESPACE};
use hades_client::object::{self, Selection};
use hades_client::{Address, Catalog, Kind, catalog};
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde::Serialize;
use serde_json::Value;

use crate::context::Context;
use crate::error::Error;

/// What uses a Secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The service of an environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The variable, file or field by which.
    pub by: String,
    /// Whether containers are replaced when the Secret changes.
    pub rolls: bool,
}

/// Namespace and name of a Secret.
type Key = (String, String);

/// The users of all Secrets that were asked for.
#[derive(Debug, Default)]
pub struct Usage(BTreeMap<Key, BTreeSet<User>>);

impl Usage {
    /// Looks at everything that can use Secrets of a project, or of all.
    ///
    /// # Errors
    /// When the server doesn't answer.
    pub async fn read(context: &Context, project: Option<&str>) -> Result<Self, Error> {
        let mut usage = Self::default();
        let environments = seen(context, &catalog::environment(), project).await?;
        if !environments.is_empty() {
            let templates = seen(context, &catalog::environment_template(), project).await?;
            let projects = projects(context, &environments).await;
            usage.add_environments(&environments, &templates, &projects);
        }
        for repository in seen(context, &catalog::config_repository(), project).await? {
            let namespace = repository.namespace().unwrap_or_default();
            let fields =
                ["/spec/secretRef", "/spec/webhook/secretRef", "/spec/decryption/secretRef"];
            usage.add_fields(&repository, "ConfigRepository", &namespace, &fields);
            usage.add_sops_key(&repository, &namespace);
        }
        if project.is_none_or(|project| project == SYSTEM_NAMESPACE) {
            for (word, fields) in [
                ("dockerhost", &["/spec/ssh/secretRef", "/spec/tls/secretRef"][..]),
                ("gitaccount", &["/spec/secretRef"][..]),
                ("registryaccount", &["/spec/secretRef"][..]),
            ] {
                let Some(kind) = Catalog::built_in().kind(word).cloned() else { continue };
                for found in seen(context, &kind, None).await? {
                    usage.add_fields(&found, &kind.resource.kind, SYSTEM_NAMESPACE, fields);
                }
            }
        }
        Ok(usage)
    }

    /// Who uses a Secret.
    pub fn of(&self, namespace: &str, name: &str) -> impl Iterator<Item = &User> {
        self.0.get(&(namespace.to_owned(), name.to_owned())).into_iter().flatten()
    }

    /// The environments in which containers have something of a Secret.
    pub fn environments(&self, namespace: &str, name: &str) -> Vec<Address> {
        let names: BTreeSet<&String> =
            self.of(namespace, name).filter(|user| user.rolls).map(|user| &user.name).collect();
        names.into_iter().map(|name| Address::environment(namespace, name)).collect()
    }

    /// Who uses a Secret, in short: `production: api, worker; staging: api`.
    pub fn text(&self, namespace: &str, name: &str) -> String {
        let mut environments: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut others = BTreeSet::new();
        for user in self.of(namespace, name) {
            match &user.service {
                Some(service) => {
                    environments.entry(&user.name).or_default().insert(service);
                }
                None => {
                    others.insert(format!("{} {}", user.kind, user.name));
                }
            }
        }
        let environments = environments.into_iter().map(|(name, services)| {
            format!("{name}: {}", services.into_iter().collect::<Vec<_>>().join(", "))
        });
        environments.chain(others).collect::<Vec<_>>().join("; ")
    }

    fn add_environments(
        &mut self,
        environments: &[DynamicObject],
        templates: &[DynamicObject],
        projects: &BTreeMap<String, HadesProjectSpec>,
    ) {
        for environment in environments {
            let namespace = environment.namespace().unwrap_or_default();
            // What this program is too old to read is left out.
            let Some(spec) = spec::<EnvironmentSpec>(environment) else { continue };
            let template = spec.template_ref.as_ref().and_then(|reference| {
                let named = |template: &&DynamicObject| {
                    template.namespace() == environment.namespace()
                        && template.name_any() == reference.name
                };
                spec_of_template(templates.iter().find(named)?)
            });
            let merged = match &template {
                Some(template) => hades_plan::merge(template, &spec),
                None => spec,
            };
            let merged = match projects.get(&namespace) {
                Some(project) => hades_plan::with_project(project, merged),
                None => merged,
            };
            for found in hades_plan::secret_uses(&merged) {
                let user = User {
                    kind: "Environment".to_owned(),
                    name: environment.name_any(),
                    service: Some(found.service),
                    by: found.by.to_string(),
                    rolls: found.by.is_in_container(),
                };
                self.0.entry((namespace.clone(), found.secret)).or_default().insert(user);
            }
        }
    }

    /// Adds an object that names Secrets of `namespace` in fields of its spec.
    fn add_fields(&mut self, object: &DynamicObject, kind: &str, namespace: &str, fields: &[&str]) {
        for field in fields {
            let name = object.data.pointer(&format!("{field}/name")).and_then(Value::as_str);
            let Some(name) = name else { continue };
            let user = User {
                kind: kind.to_owned(),
                name: object.name_any(),
                service: None,
                by: field.trim_start_matches('/').replace('/', "."),
                rolls: false,
            };
            self.0.entry((namespace.to_owned(), name.to_owned())).or_default().insert(user);
        }
    }

    /// Adds the key that a repository has of its own, which no field names.
    fn add_sops_key(&mut self, repository: &DynamicObject, namespace: &str) {
        let name = repository.name_any();
        let secret = format!("sops-age-{name}");
        let user = User {
            kind: "ConfigRepository".to_owned(),
            name,
            service: None,
            by: "status.sopsRecipient".to_owned(),
            rolls: false,
        };
        self.0.entry((namespace.to_owned(), secret)).or_default().insert(user);
    }
}

fn spec<T: serde::de::DeserializeOwned>(object: &DynamicObject) -> Option<T> {
    serde_json::from_value(object.data.get("spec")?.clone()).ok()
}

fn spec_of_template(template: &DynamicObject) -> Option<EnvironmentTemplateSpec> {
    spec(template)
}

/// Objects as far as the person may see them; what isn't seen is told.
async fn seen(
    context: &Context,
    kind: &Kind,
    project: Option<&str>,
) -> Result<Vec<DynamicObject>, Error> {
    let session = context.session().await?;
    let selection = Selection::of_project(project.filter(|_| kind.namespaced));
    match object::list(session, kind, &selection).await {
        Ok(found) => Ok(found),
        Err(error) if error.is_forbidden() => {
            context.terminal.note(&format!(
                "{} that use Secrets aren't told: you may not list them",
                kind.resource.plural
            ));
            Ok(vec![])
        }
        Err(error) => Err(error.into()),
    }
}

/// The variables that the projects of environments have for all of them. Not everybody
/// may read a project; then those variables aren't told.
async fn projects(
    context: &Context,
    environments: &[DynamicObject],
) -> BTreeMap<String, HadesProjectSpec> {
    let names: BTreeSet<String> = environments.iter().filter_map(|it| it.namespace()).collect();
    let mut found = BTreeMap::new();
    let Ok(session) = context.session().await else { return found };
    for name in names {
        let project = object::get(session, &catalog::project(), None, &name).await;
        if let Ok(Some(project)) = project
            && let Some(spec) = spec(&project)
        {
            found.insert(name, spec);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn services_by_environment_and_others_by_kind() {
        let key = |name: &str| json!({"secretKeyRef": {"name": name, "key": "k"}});
        let environment = |name: &str, spec: Value| {
            object(json!({"metadata": {"name": name, "namespace": "shop"}, "spec": spec}))
        };
        let environments = [
            environment(
                "production",
                json!({"templateRef": {"name": "base"}, "services": {
                "api": {"env": {"A": key("db")}},
                "web": {"imagePullSecrets": [{"name": "db"}]}}}),
            ),
            environment(
                "staging",
                json!({"services": {"api": {"image": "x", "env": {"P": "own"}}}}),
            ),
        ];
        let template =
            environment("base", json!({"services": {"worker": {"env": {"W": key("db")}}}}));
        let project: HadesProjectSpec =
            serde_json::from_value(json!({"env": {"P": key("mail")}})).unwrap();
        let projects = BTreeMap::from([("shop".to_owned(), project)]);
        let mut usage = Usage::default();
        usage.add_environments(&environments, &[template], &projects);
        let repository = object(json!({"metadata": {"name": "config", "namespace": "shop"},
            "spec": {"webhook": {"secretRef": {"name": "db"}}}}));
        usage.add_fields(&repository, "ConfigRepository", "shop", &["/spec/webhook/secretRef"]);
        assert_eq!(
            usage.text("shop", "db"),
            "production: api, web, worker; ConfigRepository config"
        );
        assert_eq!(usage.text("shop", "mail"), "production: api, web, worker");
        assert_eq!(usage.text("blog", "db"), "");
        let rolled: Vec<&str> = usage
            .of("shop", "db")
            .filter(|user| user.rolls)
            .filter_map(|user| user.service.as_deref())
            .collect();
        assert_eq!(rolled, ["api", "worker"]);
        let found: Vec<String> =
            usage.environments("shop", "db").iter().map(ToString::to_string).collect();
        assert_eq!(found, ["shop/production"]);
    }
}
