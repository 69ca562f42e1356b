//! What one may, and who may: questions to the server, and roles and bindings read
//! as Kubernetes reads them.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt};
use serde::Serialize;

use crate::{Error, Session};

const ALL: &str = "*";

/// A verb on a resource. Empty texts stand for all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Right {
    /// Such as `update`.
    pub verb: String,
    /// API group.
    pub group: String,
    /// Plural name.
    pub resource: String,
    /// Such as `exec`.
    pub subresource: String,
    /// Project; empty for what is in none.
    pub namespace: String,
    /// Name of one object.
    pub name: String,
}

/// `list secrets in project shop`.
impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { verb, group, resource, subresource, namespace, name } = self;
        write!(f, "{verb} {resource}")?;
        if !group.is_empty() && *group != hades_api::GROUP && subresource.is_empty() {
            write!(f, ".{group}")?;
        }
        if !subresource.is_empty() {
            write!(f, "/{subresource}")?;
        }
        if !name.is_empty() {
            write!(f, " {name:?}")?;
        }
        if !namespace.is_empty() {
            write!(f, " in project {namespace}")?;
        }
        Ok(())
    }
}

/// Whether a rule allows something, as Kubernetes reads rules.
pub fn allows(rule: &PolicyRule, right: &Right) -> bool {
    let among = |list: &[String], one: &str| list.iter().any(|it| it == one || it == ALL);
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let resource = match right.subresource.as_str() {
        "" => right.resource.clone(),
        subresource => format!("{}/{subresource}", right.resource),
    };
    let whichever = format!("*/{}", right.subresource);
    let is_resource = |it: &String| {
        *it == resource || it == ALL || (!right.subresource.is_empty() && *it == whichever)
    };
    let names = list(&rule.resource_names);
    among(&rule.verbs, &right.verb)
        && among(&list(&rule.api_groups), &right.group)
        && list(&rule.resources).iter().any(is_resource)
        && (names.is_empty() || names.contains(&right.name))
}

/// What the server says to a question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Whether it may be done.
    pub allowed: bool,
    /// Why, as far as the server tells.
    pub reason: String,
}

/// Asks whether one may do something.
///
/// # Errors
/// When the server doesn't answer.
pub async fn can_i(session: &Session, right: &Right) -> Result<Judgement, Error> {
    let Right { verb, group, resource, subresource, namespace, name } = right.clone();
    let given = |text: String| (!text.is_empty()).then_some(text);
    let attributes = ResourceAttributes {
        verb: given(verb),
        group: given(group),
        resource: given(resource),
        subresource: given(subresource),
        namespace: given(namespace),
        name: given(name),
        ..ResourceAttributes::default()
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let api: Api<SelfSubjectAccessReview> = Api::all(session.client().clone());
    let answer = api.create(&PostParams::default(), &review).await;
    let status = answer.map_err(|error| session.error(error))?.status.unwrap_or_default();
    Ok(Judgement { allowed: status.allowed, reason: status.reason.unwrap_or_default() })
}

/// Roles and bindings that concern a project, or what is in none.
#[derive(Debug, Clone, Default)]
pub struct Bindings {
    cluster_roles: Vec<ClusterRole>,
    roles: Vec<Role>,
    of_cluster: Vec<ClusterRoleBinding>,
    of_project: Vec<RoleBinding>,
    /// What may not be seen, so that something may be missing.
    pub unseen: Vec<&'static str>,
}

/// Somebody who may do something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Holder {
    /// `User`, `Group` or `ServiceAccount`.
    pub kind: String,
    /// Name; a service account's with its namespace before it.
    pub name: String,
    /// By which role.
    pub role: String,
    /// By which binding, such as `RoleBinding shop/hades:deployer`.
    pub binding: String,
}

impl Bindings {
    /// Reads what there is of a project and of the cluster; only the latter without
    /// a project.
    ///
    /// # Errors
    /// When nothing of it may be seen, or the server doesn't answer.
    pub async fn read(session: &Session, project: Option<&str>) -> Result<Self, Error> {
        let client = session.client();
        let all = ListParams::default();
        let mut found = Self::default();
        let mut refused = None;
        macro_rules! list {
            ($api:expr, $field:ident, $what:expr) => {
                match $api.list(&all).await.map_err(|error| session.error(error)) {
                    Ok(list) => found.$field = list.items,
                    Err(error) if error.is_forbidden() => {
                        found.unseen.push($what);
                        refused = refused.or(Some(error));
                    }
                    Err(error) => return Err(error),
                }
            };
        }
        list!(Api::<ClusterRole>::all(client.clone()), cluster_roles, "ClusterRoles");
        list!(Api::<ClusterRoleBinding>::all(client.clone()), of_cluster, "ClusterRoleBindings");
        if let Some(project) = project {
            let place = |client: &kube::Client| client.clone();
            list!(Api::<Role>::namespaced(place(client), project), roles, "Roles");
            list!(
                Api::<RoleBinding>::namespaced(place(client), project),
                of_project,
                "RoleBindings"
            );
        }
        let bindings_unseen = found.unseen.contains(&"ClusterRoleBindings")
            && (project.is_none() || found.unseen.contains(&"RoleBindings"));
        match refused {
            Some(error) if bindings_unseen => Err(error),
            _ => Ok(found),
        }
    }

    /// Everybody who may do something, sorted.
    pub fn holders(&self, right: &Right) -> Vec<Holder> {
        let mut holders = vec![];
        for binding in &self.of_cluster {
            if self.role_allows(&binding.role_ref, right) {
                let name = format!("ClusterRoleBinding {}", binding.name_any());
                collect(&binding.subjects, &binding.role_ref, &name, "", &mut holders);
            }
        }
        for binding in &self.of_project {
            let home = binding.namespace().unwrap_or_default();
            if home == right.namespace && self.role_allows(&binding.role_ref, right) {
                let name = format!("RoleBinding {home}/{}", binding.name_any());
                collect(&binding.subjects, &binding.role_ref, &name, &home, &mut holders);
            }
        }
        holders.sort();
        holders.dedup();
        holders
    }

    fn role_allows(&self, role: &RoleRef, right: &Right) -> bool {
        let any = |rules: &[PolicyRule]| rules.iter().any(|rule| allows(rule, right));
        if role.kind == "Role" {
            let found = self.roles.iter().find(|known| known.name_any() == role.name);
            return found.is_some_and(|role| any(role.rules.as_deref().unwrap_or_default()));
        }
        match self.cluster_roles.iter().find(|known| known.name_any() == role.name) {
            Some(role) => any(role.rules.as_deref().unwrap_or_default()),
            // Whoever sees only his project knows those that every server has.
            None => known_rules(&role.name).is_some_and(|rules| any(&rules)),
        }
    }
}

/// The rules of a ClusterRole that comes with Hades, for projects.
fn known_rules(role: &str) -> Option<Vec<PolicyRule>> {
    let mut roles = hades_api::ProjectRole::ALL.into_iter();
    roles.find(|known| known.cluster_role() == role).map(hades_api::role::project_rules)
}

/// The least role of a project that allows something in it; none where none does.
pub fn least_role(right: &Right) -> Option<hades_api::ProjectRole> {
    hades_api::ProjectRole::ALL.into_iter().find(|role| {
        let rules = hades_api::role::project_rules(*role);
        rules.iter().any(|rule| allows(rule, right))
    })
}

fn collect(
    subjects: &Option<Vec<Subject>>,
    role: &RoleRef,
    binding: &str,
    home: &str,
    holders: &mut Vec<Holder>,
) {
    holders.extend(subjects.iter().flatten().map(|subject| Holder {
        kind: subject.kind.clone(),
        name: match subject.kind.as_str() {
            "ServiceAccount" => {
                let namespace = subject.namespace.as_deref().unwrap_or(home);
                format!("{namespace}/{}", subject.name)
            }
            _ => subject.name.clone(),
        },
        role: format!("{} {}", role.kind, role.name),
        binding: binding.to_owned(),
    }));
}

/// What a refusal of the server is about: Kubernetes's own sentence, read back.
/// None where it is another one.
pub fn refused_right(message: &str) -> Option<Right> {
    let (_, rest) = message.split_once(" cannot ")?;
    let (verb, rest) = rest.split_once(" resource ")?;
    let (resource, rest) = quoted(rest)?;
    let (group, rest) = quoted(rest.strip_prefix(" in API group ")?)?;
    let namespace = match rest.strip_prefix(" in the namespace ") {
        Some(rest) => quoted(rest)?.0,
        None => "",
    };
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let text = str::to_owned;
    Some(Right {
        verb: text(verb),
        group: text(group),
        resource: text(resource),
        subresource: text(subresource),
        namespace: text(namespace),
        name: object_of(message).unwrap_or_default(),
    })
}

/// `secrets "db" is forbidden: …` is about one object.
fn object_of(message: &str) -> Option<String> {
    let (head, _) = message.split_once(" is forbidden")?;
    let (_, name) = head.split_once(' ')?;
    Some(quoted(name)?.0.to_owned())
}

/// What is between the quotes that a text begins with, and what follows.
fn quoted(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('"')?.split_once('"')
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn right(verb: &str, group: &str, resource: &str, namespace: &str, name: &str) -> Right {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let text = str::to_owned;
        Right {
            verb: text(verb),
            group: text(group),
            resource: text(resource),
            subresource: text(subresource),
            namespace: text(namespace),
            name: text(name),
        }
    }

    #[test]
    fn rules_as_kubernetes_reads_them() {
        let rule = |verbs: &[&str], groups: &[&str], resources: &[&str], names: &[&str]| {
            let rule = json!({"verbs": verbs, "apiGroups": groups, "resources": resources,
                "resourceNames": names});
            serde_json::from_value::<PolicyRule>(rule).unwrap()
        };
        let get_exec = right("create", "o", "environments/exec", "shop", "a");
        for (rule, expected) in [
            (rule(&["create"], &["o"], &["environments/exec"], &[]), true),
            (rule(&["*"], &["*"], &["*"], &[]), true),
            (rule(&["create"], &["o"], &["*/exec"], &[]), true),
            (rule(&["create"], &["o"], &["environments"], &[]), false),
            (rule(&["create"], &["o"], &["environments/*"], &[]), false),
            (rule(&["get"], &["o"], &["environments/exec"], &[]), false),
            (rule(&["create"], &["p"], &["environments/exec"], &[]), false),
            (rule(&["create"], &["o"], &["environments/exec"], &["a"]), true),
            (rule(&["create"], &["o"], &["environments/exec"], &["b"]), false),
        ] {
            assert_eq!(allows(&rule, &get_exec), expected, "{rule:?}");
        }
        let all = right("list", "", "secrets", "shop", "");
        assert!(!allows(&rule(&["list"], &[""], &["secrets"], &["db"]), &all));
        assert!(!allows(&rule(&["list"], &[""], &["*/exec"], &[]), &all));
    }

    fn bindings(unseen: Vec<&'static str>) -> Bindings {
        fn of<T: serde::de::DeserializeOwned>(value: Value) -> T {
            serde_json::from_value(value).unwrap()
        }
        let role = |kind: &str, name: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
        Bindings {
            cluster_roles: vec![of(json!({"metadata": {"name": "all"},
                "rules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]}))],
            roles: vec![of(json!({"metadata": {"name": "peek", "namespace": "shop"},
                "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"],
                    "resourceNames": ["db"]}]}))],
            of_cluster: vec![of(json!({"metadata": {"name": "admins"},
                "subjects": [{"kind": "Group", "name": "ops"}],
                "roleRef": role("ClusterRole", "all")}))],
            of_project: vec![
                of(json!({"metadata": {"name": "peek", "namespace": "shop"},
                    "subjects": [{"kind": "ServiceAccount", "name": "ci"},
                        {"kind": "User", "name": "alice"}],
                    "roleRef": role("Role", "peek")})),
                of(json!({"metadata": {"name": "hades:viewer", "namespace": "shop"},
                    "subjects": [{"kind": "User", "name": "bob"}],
                    "roleRef": role("ClusterRole", "hades:viewer")})),
                of(json!({"metadata": {"name": "lost", "namespace": "shop"},
                    "subjects": [{"kind": "User", "name": "eve"}],
                    "roleRef": role("ClusterRole", "gone")})),
            ],
            unseen,
        }
    }

    fn who(right: &Right) -> Vec<String> {
        let holders = bindings(vec![]).holders(right);
        holders
            .into_iter()
            .map(|Holder { kind, name, role, binding }| format!("{kind} {name}: {role}, {binding}"))
            .collect()
    }

    #[test]
    fn who_may() {
        let ops = "Group ops: ClusterRole all, ClusterRoleBinding admins";
        assert_eq!(
            who(&right("get", "", "secrets", "shop", "db")),
            [
                ops,
                "ServiceAccount shop/ci: Role peek, RoleBinding shop/peek",
                "User alice: Role peek, RoleBinding shop/peek",
            ]
        );
        assert_eq!(who(&right("get", "", "secrets", "shop", "other")), [ops]);
        assert_eq!(
            who(&right("get", "hades.dev", "environments", "shop", "production")),
            [ops, "User bob: ClusterRole hades:viewer, RoleBinding shop/hades:viewer"]
        );
        assert_eq!(who(&right("get", "", "secrets", "", "db")), [ops]);
    }

    #[test]
    fn the_role_that_is_missing() {
        let least = |verb: &str, group: &str, resource: &str| {
            least_role(&right(verb, group, resource, "shop", "")).map(|role| role.name())
        };
        assert_eq!(least("list", "hades.dev", "environments"), Some("viewer"));
        assert_eq!(least("get", "", "secrets"), Some("deployer"));
        assert_eq!(least("create", "operations.hades.dev", "environments/exec"), Some("deployer"));
        assert_eq!(least("delete", "hades.dev", "environments"), Some("admin"));
        assert_eq!(least("update", "hades.dev", "hadesprojects"), None);
    }

    #[test]
    fn refusals_are_read_back() {
        let read = |message: &str| refused_right(message).unwrap();
        let found = read(
            "secrets \"db\" is forbidden: User \"alice\" cannot get resource \"secrets\" in API \
             group \"\" in the namespace \"shop\"",
        );
        assert_eq!(found, right("get", "", "secrets", "shop", "db"));
        assert_eq!(found.to_string(), "get secrets \"db\" in project shop");
        let found = read(
            "hadesprojects.hades.dev is forbidden: User \"a b\" cannot list resource \
             \"hadesprojects\" in API group \"hades.dev\" at the cluster scope: RBAC: no",
        );
        assert_eq!(found, right("list", "hades.dev", "hadesprojects", "", ""));
        let found = read(
            "environments.operations.hades.dev \"a\" is forbidden: User \"x\" cannot create \
             resource \"environments/exec\" in API group \"operations.hades.dev\" in the \
             namespace \"shop\"",
        );
        assert_eq!(found.to_string(), "create environments/exec \"a\" in project shop");
        assert_eq!(refused_right("users is forbidden: the policy says no"), None);
    }
}
