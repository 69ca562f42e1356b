//! `selfprojects` of `operations.hades.dev`: the projects in which whoever asks has
//! any right, and what gives it. Clients ask it where they may not list all projects.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use hades_api::{GROUP, HadesProject};
use hades_apiserver::authn::ADMINISTRATORS;
use hades_apiserver::wire::status::StatusError;
use hades_apiserver::{Announced, ApiServer, Granted, Identity, Right};
use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::api::ListParams;
use kube::{Api, Client};
use serde::Serialize;

use crate::operations::API_VERSION;

/// Who may list one of these everywhere has a right in every project.
const IN_PROJECTS: [(&str, &str); 8] = [
    (GROUP, "environments"),
    (GROUP, "environmenttemplates"),
    (GROUP, "configrepositories"),
    (GROUP, "hadesprojects"),
    ("", "namespaces"),
    ("", "secrets"),
    ("", "events"),
    ("rbac.authorization.k8s.io", "rolebindings"),
];

/// The answer.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct SelfProjects {
    api_version: &'static str,
    kind: &'static str,
    everywhere: Vec<Held>,
    items: Vec<Project>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Project {
    name: String,
    roles: Vec<Held>,
}

/// A role, and what gives it.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Held {
    name: String,
    binding: String,
    subject: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    environments: Vec<String>,
}

#[derive(Clone)]
struct Context {
    server: ApiServer,
    client: Client,
}

/// The route, below the prefix of the group. `client` may list HadesProjects.
pub(crate) fn router(server: ApiServer, client: Client) -> Router {
    Router::new().route("/selfprojects", get(answer)).with_state(Context { server, client })
}

/// What the route serves, for discovery.
pub(crate) fn announced(group: &str, version: &str) -> Announced {
    Announced {
        group: group.to_owned(),
        version: version.to_owned(),
        resource: "selfprojects".to_owned(),
        subresource: String::new(),
        kind: "SelfProject".to_owned(),
        namespaced: false,
        verbs: &["list"],
    }
}

async fn answer(State(context): State<Context>, Extension(who): Extension<Identity>) -> Response {
    let Context { server, client } = context;
    // What a token leaves of it is looked at below: it may be limited to projects.
    let mut whole = who.clone();
    whole.scope = None;
    let wide = IN_PROJECTS.iter().any(|(group, resource)| {
        server.may(&whole, Right { verb: "list", group, resource, ..Right::default() })
    });
    let mut all = BTreeSet::new();
    if wide {
        let projects: Api<HadesProject> = Api::all(client);
        match projects.list_metadata(&ListParams::default()).await {
            Ok(found) => all.extend(found.items.into_iter().filter_map(|it| it.metadata.name)),
            Err(error) => return StatusError::internal(error).into_response(),
        }
    }
    let limits = who.scope.as_ref().map(|scope| scope.namespaces.as_slice()).unwrap_or_default();
    let is_master = who.groups.iter().any(|group| group == ADMINISTRATORS);
    Json(projects(server.granted(&whole), all, limits, is_master)).into_response()
}

/// The projects of somebody who is granted this; `all` that there are if he has a
/// right in all, only those of `limits` if there are any.
fn projects(
    granted: Vec<Granted>,
    all: BTreeSet<String>,
    limits: &[String],
    is_master: bool,
) -> SelfProjects {
    let mut everywhere = Vec::new();
    if is_master {
        everywhere.push(Held {
            name: ADMINISTRATORS.to_owned(),
            binding: "the server itself".to_owned(),
            subject: format!("Group {ADMINISTRATORS}"),
            environments: Vec::new(),
        });
    }
    let mut found: BTreeMap<String, Vec<Held>> =
        all.into_iter().map(|name| (name, Vec::new())).collect();
    for grant in granted {
        match grant.namespace.as_str() {
            "" if grant.rules.iter().any(is_of_projects) => everywhere.push(held(&grant)),
            "" => {}
            namespace => found.entry(namespace.to_owned()).or_default().push(held(&grant)),
        }
    }
    found.retain(|name, _| limits.is_empty() || limits.contains(name));
    let items = found.into_iter().map(|(name, roles)| Project { name, roles }).collect();
    SelfProjects { api_version: API_VERSION, kind: "SelfProjectList", everywhere, items }
}

/// Whether a rule of the whole cluster is about what is in projects, all of it.
fn is_of_projects(rule: &PolicyRule) -> bool {
    let has = |list: &Option<Vec<String>>, one: &str| {
        list.iter().flatten().any(|it| it == one || it == "*")
    };
    rule.resource_names.as_ref().is_none_or(Vec::is_empty)
        && rule.verbs.iter().any(|verb| verb == "list" || verb == "*")
        && IN_PROJECTS
            .iter()
            .any(|(group, resource)| has(&rule.api_groups, group) && has(&rule.resources, resource))
}

fn held(grant: &Granted) -> Held {
    let Granted { namespace, binding, role_kind: _, role, subject, rules } = grant;
    let kind = if namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
    Held {
        name: role.clone(),
        binding: format!("{kind} {binding}"),
        subject: subject.clone(),
        environments: environments(rules),
    }
}

/// The environments that a role is limited to.
fn environments(rules: &[PolicyRule]) -> Vec<String> {
    let mut names = BTreeSet::new();
    for rule in rules {
        let resources = rule.resources.iter().flatten();
        if resources.clone().any(|it| it == "environments" || it == "*") {
            match rule.resource_names.as_deref().unwrap_or_default() {
                [] => return Vec::new(),
                some => names.extend(some.iter().cloned()),
            }
        }
    }
    names.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use hades_api::ProjectRole;
    use hades_api::role::{limited_rules, project_rules, reader_rules};

    use super::*;

    fn grant(namespace: &str, role: &str, rules: Vec<PolicyRule>) -> Granted {
        Granted {
            namespace: namespace.to_owned(),
            binding: role.to_owned(),
            role_kind: "ClusterRole",
            role: role.to_owned(),
            subject: "User alice".to_owned(),
            rules,
        }
    }

    fn names(found: &SelfProjects) -> Vec<&str> {
        found.items.iter().map(|project| project.name.as_str()).collect()
    }

    #[test]
    fn only_projects_with_a_binding() {
        let staging = vec!["staging".to_owned()];
        let granted = || {
            vec![
                grant("", "hades:project:shop", reader_rules("shop")),
                grant("blog", "hades:viewer", project_rules(ProjectRole::Viewer)),
                grant("shop", "limited", limited_rules(ProjectRole::Deployer, &staging)),
            ]
        };
        let found = projects(granted(), BTreeSet::new(), &[], false);
        assert_eq!((names(&found), found.everywhere.len()), (vec!["blog", "shop"], 0));
        assert_eq!(found.items[0].roles[0].environments, Vec::<String>::new());
        assert_eq!(found.items[1].roles[0].environments, staging);
        // A token that is limited to one project says nothing of others.
        let found = projects(granted(), BTreeSet::new(), &["shop".to_owned()], false);
        assert_eq!(names(&found), ["shop"]);
    }

    #[test]
    fn who_has_a_right_in_all_sees_all() {
        let all = BTreeSet::from(["blog".to_owned(), "shop".to_owned()]);
        let granted = vec![grant("", "hades:viewer", project_rules(ProjectRole::Viewer))];
        let found = projects(granted, all.clone(), &[], false);
        assert_eq!((names(&found), found.everywhere.len()), (vec!["blog", "shop"], 1));
        let found = projects(Vec::new(), all, &[], true);
        assert_eq!(found.everywhere[0].name, ADMINISTRATORS);
    }
}
