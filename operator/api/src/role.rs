//! The roles that come with Hades, as data: the embedded server makes them when it
//! starts, and the chart holds the same for Kubernetes.
//!
//! ```text
//! hades:viewer ◀── hades:deployer ◀── hades:admin      bound in a project
//! hades:config-repository                              a repository of a project
//! hades:fleet-repository                               one of hades-system
//! ```
//! Each of those for projects gathers its rules by labels, so that a ClusterRole of
//! somebody else's can add kinds to it ([`AGGREGATE_TO`]).

use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::{
    AggregationRule, ClusterRole, ClusterRoleBinding, PolicyRule, RoleRef, Subject,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde_json::Value;

use crate::{GROUP, ProjectRole};

/// API group of roles and bindings.
pub const RBAC_GROUP: &str = "rbac.authorization.k8s.io";
/// API group of what a CRD can't carry.
pub const OPERATIONS_GROUP: &str = "operations.hades.dev";
/// What a ConfigRepository of a project may do there.
pub const CONFIG_REPOSITORY: &str = "hades:config-repository";
/// What a ConfigRepository of `hades-system` may do everywhere.
pub const FLEET_REPOSITORY: &str = "hades:fleet-repository";
/// What everybody may do about himself.
pub const SELF: &str = "hades:self";
/// What the controllers need on Kubernetes.
pub const OPERATOR: &str = "hades:operator";
/// The group of users who may do everything, and its binding.
pub const ADMINISTRATORS: &str = "hades:administrators";
/// A ClusterRole with this and `viewer`, `deployer`, `admin` or `config-repository`
/// behind it as a label of the value `true` adds its rules to that role.
pub const AGGREGATE_TO: &str = "rbac.hades.dev/aggregate-to-";
/// Resource whose verb `delete` is the right to say that data is deleted with its
/// environment (`deletionPolicy: Delete`). Nothing is served there.
pub const DATA_DELETION: (&str, &str) = ("environments", "volumes");
/// Resource whose verb `update` is the right to set the policy of a project. Nothing
/// is served there.
pub const PROJECT_POLICY: (&str, &str) = ("hadesprojects", "policy");

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "patch", "update"];
const DELETE: &[&str] = &["delete", "deletecollection"];
const ALL: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// What a repository does with an object of a manifest.
const KEEP: &[&str] = &["create", "delete", "get", "list", "patch", "update", "watch"];

/// Roles that more than one project may bind, by the last part of their names.
const GATHERING: [&str; 4] = ["viewer", "deployer", "admin", "config-repository"];

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|&one| one.to_owned()).collect()
}

fn rule(verbs: &[&str], groups: &[&str], resources: &[&str]) -> PolicyRule {
    PolicyRule {
        verbs: texts(verbs),
        api_groups: Some(texts(groups)),
        resources: Some(texts(resources)),
        ..PolicyRule::default()
    }
}

fn named(names: &[&str], rule: PolicyRule) -> PolicyRule {
    PolicyRule { resource_names: Some(texts(names)), ..rule }
}

fn viewer_adds() -> Vec<PolicyRule> {
    vec![
        rule(READ, &[GROUP], &["configrepositories", "environments", "environmenttemplates"]),
        rule(READ, &["", "events.k8s.io"], &["events"]),
        // Bound in a namespace, this is about that namespace only.
        rule(&["get"], &[""], &["namespaces"]),
        // What a change would do is a question, although it is posted.
        rule(&["create", "get"], &[OPERATIONS_GROUP], &["environments/plan"]),
        rule(&["get"], &[OPERATIONS_GROUP], &["environments/logs", "environments/stats"]),
    ]
}

fn deployer_adds() -> Vec<PolicyRule> {
    vec![
        rule(WRITE, &[GROUP], &["environments", "environmenttemplates"]),
        rule(&[READ, WRITE].concat(), &[""], &["configmaps", "secrets"]),
        rule(&["create"], &[OPERATIONS_GROUP], &["configrepositories/sync", "environments/exec"]),
    ]
}

fn admin_adds() -> Vec<PolicyRule> {
    let (environments, volumes) = DATA_DELETION;
    vec![
        rule(DELETE, &[GROUP], &["environments", "environmenttemplates"]),
        rule(&["delete"], &[GROUP], &[&format!("{environments}/{volumes}")]),
        rule(&[WRITE, DELETE].concat(), &[GROUP], &["configrepositories"]),
        rule(DELETE, &[""], &["configmaps", "secrets"]),
        rule(ALL, &[""], &["serviceaccounts"]),
        rule(&["create"], &[""], &["serviceaccounts/token"]),
        rule(ALL, &[RBAC_GROUP], &["rolebindings", "roles"]),
        // Whoever makes a repository lends it this role.
        named(&[CONFIG_REPOSITORY], rule(&["bind"], &[RBAC_GROUP], &["clusterroles"])),
        rule(&["create"], &["authorization.k8s.io"], &["localsubjectaccessreviews"]),
        rule(&["create", "get"], &[OPERATIONS_GROUP], &["configrepositories/webhook"]),
        rule(&["create"], &[OPERATIONS_GROUP], &["environments/volumecopy"]),
        rule(&["get", "list"], &[OPERATIONS_GROUP], &["auditevents"]),
    ]
}

fn config_repository_adds() -> Vec<PolicyRule> {
    let (environments, volumes) = DATA_DELETION;
    vec![
        rule(KEEP, &[GROUP], &["configrepositories", "environments", "environmenttemplates"]),
        rule(&["delete"], &[GROUP], &[&format!("{environments}/{volumes}")]),
        rule(KEEP, &[""], &["configmaps", "secrets", "serviceaccounts"]),
        named(&[CONFIG_REPOSITORY], rule(&["bind"], &[RBAC_GROUP], &["clusterroles"])),
    ]
}

fn fleet_repository_rules() -> Vec<PolicyRule> {
    let lent =
        ["hades:admin", CONFIG_REPOSITORY, "hades:deployer", FLEET_REPOSITORY, "hades:viewer"];
    vec![
        rule(KEEP, &["*"], &["*"]),
        named(&lent, rule(&["bind"], &[RBAC_GROUP], &["clusterroles"])),
    ]
}

fn self_rules() -> Vec<PolicyRule> {
    let own = ["selfpassword", "selfprojects", "selfsessions", "selftokens", "selftotp"];
    let verbs = ["create", "delete", "deletecollection", "get", "list"];
    vec![rule(&verbs, &[OPERATIONS_GROUP], &own)]
}

/// What the controllers do on Kubernetes. They hold what they lend, so they need no
/// right to escalate.
fn operator_rules() -> Vec<PolicyRule> {
    let lent =
        ["hades:admin", CONFIG_REPOSITORY, "hades:deployer", FLEET_REPOSITORY, "hades:viewer"];
    let of_environments = [
        "environments/exec",
        "environments/logs",
        "environments/plan",
        "environments/stats",
        "environments/volumecopy",
    ];
    vec![
        rule(ALL, &[GROUP], &["*"]),
        rule(&["create", "get"], &[OPERATIONS_GROUP], &of_environments),
        rule(&[READ, &["create", "delete"]].concat(), &[""], &["namespaces"]),
        // Keys that sealed files are opened with are made once.
        rule(&[READ, &["create"]].concat(), &[""], &["secrets"]),
        rule(&["create", "patch"], &["", "events.k8s.io"], &["events"]),
        rule(ALL, &[RBAC_GROUP], &["clusterrolebindings", "clusterroles", "rolebindings", "roles"]),
        named(&lent, rule(&["bind"], &[RBAC_GROUP], &["clusterroles"])),
        // Repositories act as service accounts of their own.
        rule(&["impersonate"], &[""], &["serviceaccounts"]),
    ]
}

/// Everything that a role of a project allows in its namespace.
#[must_use]
pub fn project_rules(role: ProjectRole) -> Vec<PolicyRule> {
    let mut rules = viewer_adds();
    if role >= ProjectRole::Deployer {
        rules.extend(deployer_adds());
    }
    if role >= ProjectRole::Admin {
        rules.extend(admin_adds());
    }
    rules
}

/// What a role allows that is for some environments of a project only. Nothing can
/// be made by it: what has no name yet can't be among those that it is for.
#[must_use]
pub fn limited_rules(role: ProjectRole, environments: &[String]) -> Vec<PolicyRule> {
    let names: Vec<&str> = environments.iter().map(String::as_str).collect();
    let of = |rule: PolicyRule| named(&names, rule);
    let mut rules = vec![
        rule(&["get"], &[""], &["namespaces"]),
        of(rule(READ, &[GROUP], &["environments"])),
        of(rule(&["create", "get"], &[OPERATIONS_GROUP], &["environments/plan"])),
        of(rule(&["get"], &[OPERATIONS_GROUP], &["environments/logs", "environments/stats"])),
    ];
    if role >= ProjectRole::Deployer {
        rules.push(of(rule(&["patch", "update"], &[GROUP], &["environments"])));
        rules.push(of(rule(&["create"], &[OPERATIONS_GROUP], &["environments/exec"])));
    }
    if role >= ProjectRole::Admin {
        let (resource, volumes) = DATA_DELETION;
        let volumes = format!("{resource}/{volumes}");
        rules.push(of(rule(&["delete"], &[GROUP], &["environments", &volumes])));
        rules.push(of(rule(&["create"], &[OPERATIONS_GROUP], &["environments/volumecopy"])));
    }
    rules
}

/// What lets members see the HadesProject that they work on.
#[must_use]
pub fn reader_rules(project: &str) -> Vec<PolicyRule> {
    vec![named(&[project], rule(READ, &[GROUP], &["hadesprojects"]))]
}

/// Name of the ClusterRole of [`reader_rules`], and of its binding.
#[must_use]
pub fn reader_name(project: &str) -> String {
    format!("hades:project:{project}")
}

/// User name of a service account.
#[must_use]
pub fn service_account_user(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

/// Service account, in its own namespace, that a ConfigRepository acts as.
#[must_use]
pub fn repository_account(repository: &str) -> String {
    format!("config-{repository}")
}

fn labels(targets: &[&str]) -> Option<BTreeMap<String, String>> {
    let label = |target: &&str| (format!("{AGGREGATE_TO}{target}"), "true".to_owned());
    (!targets.is_empty()).then(|| targets.iter().map(label).collect())
}

fn cluster_role(name: &str, targets: &[&str], rules: Vec<PolicyRule>) -> ClusterRole {
    ClusterRole {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: labels(targets),
            ..ObjectMeta::default()
        },
        aggregation_rule: None,
        rules: Some(rules),
    }
}

/// `hades:ROLE`, which gathers what is labelled for it. As on Kubernetes each role
/// of people is part of the next one.
fn gathering(role: &str) -> ClusterRole {
    let next: &[&str] = match role {
        "viewer" => &["deployer"],
        "deployer" => &["admin"],
        _ => &[],
    };
    let selector = LabelSelector { match_labels: labels(&[role]), ..LabelSelector::default() };
    ClusterRole {
        aggregation_rule: Some(AggregationRule { cluster_role_selectors: Some(vec![selector]) }),
        rules: None,
        ..cluster_role(&format!("hades:{role}"), next, Vec::new())
    }
}

/// The ClusterRoles for projects and repositories, the same in both modes.
#[must_use]
pub fn cluster_roles() -> Vec<ClusterRole> {
    let mut roles: Vec<ClusterRole> = GATHERING.iter().map(|role| gathering(role)).collect();
    let adds = [viewer_adds(), deployer_adds(), admin_adds(), config_repository_adds()];
    for (role, adds) in GATHERING.iter().zip(adds) {
        roles.push(cluster_role(&format!("hades:aggregate-to-{role}"), &[role], adds));
    }
    roles.push(cluster_role(FLEET_REPOSITORY, &[], fleet_repository_rules()));
    roles
}

/// The ClusterRole of the controllers, for Kubernetes: in the embedded server they
/// may do everything.
#[must_use]
pub fn operator() -> ClusterRole {
    cluster_role(OPERATOR, &[], operator_rules())
}

/// A reference to a ClusterRole.
#[must_use]
pub fn cluster_role_ref(name: &str) -> RoleRef {
    role_ref("ClusterRole", name)
}

/// A reference to a role of that kind.
#[must_use]
pub fn role_ref(kind: &str, name: &str) -> RoleRef {
    RoleRef { api_group: Some(RBAC_GROUP.to_owned()), kind: kind.to_owned(), name: name.to_owned() }
}

/// A user as a subject of a binding.
#[must_use]
pub fn user(name: &str) -> Subject {
    person("User", name)
}

/// A group as a subject of a binding.
#[must_use]
pub fn group(name: &str) -> Subject {
    person("Group", name)
}

fn person(kind: &str, name: &str) -> Subject {
    Subject {
        api_group: Some(RBAC_GROUP.to_owned()),
        kind: kind.to_owned(),
        name: name.to_owned(),
        namespace: None,
    }
}

/// A service account as a subject of a binding.
#[must_use]
pub fn service_account(namespace: &str, name: &str) -> Subject {
    Subject {
        api_group: None,
        kind: "ServiceAccount".to_owned(),
        name: name.to_owned(),
        namespace: Some(namespace.to_owned()),
    }
}

fn binding_of_group(name: &str, role: &str, to: &str) -> ClusterRoleBinding {
    ClusterRoleBinding {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        role_ref: cluster_role_ref(role),
        subjects: Some(vec![group(to)]),
    }
}

/// What the embedded server begins with: the roles, what everybody may do about
/// himself, and the administrators. On Kubernetes users are Kubernetes's own, so the
/// chart has only [`cluster_roles`] and [`operator`].
#[must_use]
pub fn first_objects() -> Vec<Value> {
    let mut roles = cluster_roles();
    roles.push(cluster_role(SELF, &[], self_rules()));
    let bindings = [
        binding_of_group(SELF, SELF, "system:authenticated"),
        binding_of_group(ADMINISTRATORS, "cluster-admin", ADMINISTRATORS),
    ];
    let roles = roles.iter().filter_map(|role| serde_json::to_value(role).ok());
    roles.chain(bindings.iter().filter_map(|it| serde_json::to_value(it).ok())).collect()
}

#[cfg(test)]
mod tests;
