//! Members: who works on a project, as roles and bindings.
//!
//! ```text
//! spec.members ─▶ RoleBinding hades:ROLE            in the namespace ─▶ ClusterRole hades:ROLE
//!                 Role + RoleBinding hades:ROLE:…   for some environments only
//!                 ClusterRole + -Binding hades:project:NAME   to see the HadesProject
//! ```
//! What is made carries a label and belongs to the controller: it is mended when it
//! was edited and removed when nobody is a member by it any more. Bindings that
//! others made are left alone; whom they make a member sees the project, too.

use std::collections::{BTreeMap, BTreeSet};

use hades_api::{HadesProject, Member, ProjectRole, label, role};
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, Subject,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::ListParams;
use kube::{Api, Resource, ResourceExt};
use sha2::{Digest, Sha256};

use crate::grant::{self, Grant};
use crate::{Context, ReconcileError};

/// Bytes of a hash that tell sets of environments apart in names.
const HASH_BYTES: usize = 5;

/// What there should be.
#[derive(Debug, Default, PartialEq)]
struct Lent {
    roles: Vec<Role>,
    bindings: Vec<RoleBinding>,
    reader: Option<(ClusterRole, ClusterRoleBinding)>,
}

/// What there is in the project's namespace, and of its reader's role.
struct Found {
    roles: Vec<Role>,
    bindings: Vec<RoleBinding>,
    reader_role: Option<ClusterRole>,
    reader_binding: Option<ClusterRoleBinding>,
}

/// Gives members their rights and takes them from those who aren't any more.
pub(super) async fn lend(context: &Context, project: &HadesProject) -> Result<(), ReconcileError> {
    let found = find(context, project).await?;
    let lent = lent(project, &found.bindings);
    settle(context, project, &found, &lent).await
}

/// Takes the rights from all: the namespace isn't the project's.
pub(super) async fn withdraw(
    context: &Context,
    project: &HadesProject,
) -> Result<(), ReconcileError> {
    let found = find(context, project).await?;
    settle(context, project, &found, &Lent::default()).await
}

fn lent(project: &HadesProject, bindings: &[RoleBinding]) -> Lent {
    let name = project.name_any();
    let owner = project.controller_owner_ref(&()).map(|owner| OwnerReference {
        // Nothing has to wait for them.
        controller: None,
        block_owner_deletion: None,
        ..owner
    });
    let metadata =
        |of: String| grant::metadata(of, (label::MEMBERS_OF, name.as_str()), owner.clone());
    let mut lent = Lent::default();
    for ((role, environments), subjects) in grouped(&name, &project.spec.members) {
        let (binding, role_ref) = match &environments {
            None => {
                let cluster_role = role.cluster_role();
                (cluster_role.to_owned(), role::cluster_role_ref(cluster_role))
            }
            Some(environments) => {
                let of = limited_name(role, environments);
                let rules = Some(role::limited_rules(role, environments));
                lent.roles
                    .push(Role { metadata: in_namespace(&name, metadata(of.clone())), rules });
                (of.clone(), role::role_ref("Role", &of))
            }
        };
        lent.bindings.push(RoleBinding {
            metadata: in_namespace(&name, metadata(binding)),
            role_ref,
            subjects: Some(subjects),
        });
    }
    let readers = readers(bindings, &lent.bindings);
    if !readers.is_empty() {
        let reader = role::reader_name(&name);
        let rules: Option<Vec<PolicyRule>> = Some(role::reader_rules(&name));
        let role =
            ClusterRole { metadata: metadata(reader.clone()), rules, ..ClusterRole::default() };
        let binding = ClusterRoleBinding {
            metadata: metadata(reader.clone()),
            role_ref: role::cluster_role_ref(&reader),
            subjects: Some(readers),
        };
        lent.reader = Some((role, binding));
    }
    lent
}

fn in_namespace(namespace: &str, metadata: ObjectMeta) -> ObjectMeta {
    ObjectMeta { namespace: Some(namespace.to_owned()), ..metadata }
}

/// Members by what they get, each once.
fn grouped(
    namespace: &str,
    members: &[Member],
) -> BTreeMap<(ProjectRole, Option<Vec<String>>), Vec<Subject>> {
    let mut groups: BTreeMap<_, Vec<Subject>> = BTreeMap::new();
    for member in members {
        let Some(subject) = subject(namespace, member) else { continue };
        let environments = member.environments.as_ref().map(|environments| {
            let sorted: BTreeSet<String> = environments.iter().cloned().collect();
            sorted.into_iter().collect::<Vec<String>>()
        });
        let subjects = groups.entry((member.role, environments)).or_default();
        if !subjects.contains(&subject) {
            subjects.push(subject);
        }
    }
    groups.values_mut().for_each(|subjects| sort(subjects));
    groups
}

fn sort(subjects: &mut [Subject]) {
    subjects
        .sort_by(|a, b| (&a.kind, &a.name, &a.namespace).cmp(&(&b.kind, &b.name, &b.namespace)));
}

fn subject(namespace: &str, member: &Member) -> Option<Subject> {
    let Member { user, group, service_account, role: _, environments: _ } = member;
    match (user, group, service_account) {
        (Some(user), None, None) => Some(role::user(user)),
        (None, Some(group), None) => Some(role::group(group)),
        (None, None, Some(account)) => Some(role::service_account(namespace, account)),
        // The schema refuses this.
        _ => None,
    }
}

/// `hades:viewer:0123456789`: the same for the same environments.
fn limited_name(role: ProjectRole, environments: &[String]) -> String {
    let digest = Sha256::digest(environments.join("\n").as_bytes());
    let hash: String = digest.iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}")).collect();
    format!("{}:{hash}", role.cluster_role())
}

/// Everybody who is a member by one of these bindings: by those that are to be, and
/// by those that somebody else made.
fn readers(found: &[RoleBinding], wanted: &[RoleBinding]) -> Vec<Subject> {
    let is_role = |name: &str| ProjectRole::ALL.iter().any(|role| role.cluster_role() == name);
    let others = found.iter().filter(|binding| {
        let role = &binding.role_ref;
        !is_ours(*binding) && role.kind == "ClusterRole" && is_role(&role.name)
    });
    let mut readers: Vec<Subject> = Vec::new();
    for binding in wanted.iter().chain(others.filter(|it| !is_named_in(*it, wanted))) {
        let namespace = binding.namespace();
        for subject in binding.subjects.iter().flatten() {
            let mut subject = subject.clone();
            if subject.kind == "ServiceAccount" && subject.namespace.is_none() {
                subject.namespace.clone_from(&namespace);
            }
            if !readers.contains(&subject) {
                readers.push(subject);
            }
        }
    }
    sort(&mut readers);
    readers
}

fn is_ours<K: Resource>(grant: &K) -> bool {
    grant.meta().labels.as_ref().is_some_and(|labels| labels.contains_key(label::MEMBERS_OF))
}

fn is_named_in<K: Grant>(grant: &K, among: &[K]) -> bool {
    among.iter().any(|one| one.name_any() == grant.name_any())
}

async fn find(context: &Context, project: &HadesProject) -> Result<Found, ReconcileError> {
    let name = project.name_any();
    let failed = || ReconcileError::api(format!("read the roles and bindings of project {name}"));
    let roles: Api<Role> = Api::namespaced(context.client.clone(), &name);
    let bindings: Api<RoleBinding> = Api::namespaced(context.client.clone(), &name);
    let reader = role::reader_name(&name);
    let reader_roles: Api<ClusterRole> = Api::all(context.client.clone());
    let reader_bindings: Api<ClusterRoleBinding> = Api::all(context.client.clone());
    let all = ListParams::default();
    Ok(Found {
        roles: roles.list(&all).await.map_err(failed())?.items,
        bindings: bindings.list(&all).await.map_err(failed())?.items,
        reader_role: reader_roles.get_opt(&reader).await.map_err(failed())?,
        reader_binding: reader_bindings.get_opt(&reader).await.map_err(failed())?,
    })
}

/// What is taken goes first: whoever was a member must not stay one because something
/// else fails.
async fn settle(
    context: &Context,
    project: &HadesProject,
    found: &Found,
    lent: &Lent,
) -> Result<(), ReconcileError> {
    let name = project.name_any();
    let roles: Api<Role> = Api::namespaced(context.client.clone(), &name);
    let bindings: Api<RoleBinding> = Api::namespaced(context.client.clone(), &name);
    let reader_roles: Api<ClusterRole> = Api::all(context.client.clone());
    let reader_bindings: Api<ClusterRoleBinding> = Api::all(context.client.clone());
    remove_others(&bindings, &found.bindings, &lent.bindings).await?;
    remove_others(&roles, &found.roles, &lent.roles).await?;
    match &lent.reader {
        None => {
            let ours = found.reader_binding.iter().filter(|it| is_ours(*it));
            for binding in ours {
                grant::remove(&reader_bindings, binding).await?;
            }
            for role in found.reader_role.iter().filter(|it| is_ours(*it)) {
                grant::remove(&reader_roles, role).await?;
            }
        }
        Some((role, binding)) => {
            grant::keep(&reader_roles, found.reader_role.as_ref(), role).await?;
            grant::keep(&reader_bindings, found.reader_binding.as_ref(), binding).await?;
        }
    }
    // A binding to a role that isn't there yet gives nothing.
    keep_all(&roles, &found.roles, &lent.roles).await?;
    keep_all(&bindings, &found.bindings, &lent.bindings).await
}

async fn remove_others<K: Grant>(
    api: &Api<K>,
    found: &[K],
    wanted: &[K],
) -> Result<(), ReconcileError> {
    for grant in found.iter().filter(|it| is_ours(*it) && !is_named_in(*it, wanted)) {
        grant::remove(api, grant).await?;
    }
    Ok(())
}

async fn keep_all<K: Grant>(api: &Api<K>, found: &[K], wanted: &[K]) -> Result<(), ReconcileError> {
    for grant in wanted {
        let known = found.iter().find(|known| known.name_any() == grant.name_any());
        grant::keep(api, known, grant).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
