//! Who works on a project: members that its HadesProject names, and those that a
//! RoleBinding in it makes.

use std::fmt;

use hades_api::{HadesProject, Member, ProjectRole, label, role};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions};
use kube::{Api, ResourceExt};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{Error, FIELD_MANAGER, Session};

/// What names of bindings begin with that [`bind`] makes.
const PREFIX: &str = "grant";

/// Bytes of a hash that stands for what can't be in a name.
const HASH_BYTES: usize = 5;

/// Somebody who may be a member.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", content = "name")]
pub enum Who {
    /// A user.
    User(String),
    /// A group of users.
    Group(String),
    /// A service account of the project.
    ServiceAccount(String),
}

/// `alice`, `group dev`, `service account ci`.
impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => f.write_str(name),
            Self::Group(name) => write!(f, "group {name}"),
            Self::ServiceAccount(name) => write!(f, "service account {name}"),
        }
    }
}

impl Who {
    fn of(member: &Member) -> Option<Self> {
        let Member { user, group, service_account, .. } = member;
        user.clone()
            .map(Self::User)
            .or_else(|| group.clone().map(Self::Group))
            .or_else(|| service_account.clone().map(Self::ServiceAccount))
    }

    fn of_subject(subject: &Subject, project: &str) -> Self {
        let name = subject.name.clone();
        match subject.kind.as_str() {
            "Group" => Self::Group(name),
            "ServiceAccount" => match subject.namespace.as_deref() {
                Some(elsewhere) if elsewhere != project => {
                    Self::ServiceAccount(format!("{elsewhere}/{name}"))
                }
                _ => Self::ServiceAccount(name),
            },
            _ => Self::User(name),
        }
    }

    fn subject(&self, project: &str) -> Subject {
        match self {
            Self::User(name) => role::user(name),
            Self::Group(name) => role::group(name),
            Self::ServiceAccount(name) => role::service_account(project, name),
        }
    }

    /// A part of a binding's name: names of path segments hold no `/` and no `%`.
    fn slug(&self) -> String {
        let (kind, name) = match self {
            Self::User(name) => ("user", name),
            Self::Group(name) => ("group", name),
            Self::ServiceAccount(name) => ("serviceaccount", name),
        };
        if name.contains(['/', '%']) || name.len() > 100 {
            return format!("{kind}:{}", hash(name));
        }
        format!("{kind}:{name}")
    }
}

fn hash(text: &str) -> String {
    Sha256::digest(text).iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

/// A role for somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// For whom.
    pub who: Who,
    /// Which one.
    pub role: ProjectRole,
    /// Only for these environments; for the whole project with none.
    pub environments: Option<Vec<String>>,
}

impl Grant {
    fn member(&self) -> Member {
        let Self { who, role, environments } = self;
        let mut member = Member {
            user: None,
            group: None,
            service_account: None,
            role: *role,
            environments: environments.clone(),
        };
        match who {
            Who::User(name) => member.user = Some(name.clone()),
            Who::Group(name) => member.group = Some(name.clone()),
            Who::ServiceAccount(name) => member.service_account = Some(name.clone()),
        }
        member
    }

    /// Whether a membership gives no more than this does.
    pub fn covers(&self, membership: &Membership) -> bool {
        let is_role = membership.project_role().is_some_and(|role| role <= self.role);
        let others = &membership.environments;
        is_role
            && match &self.environments {
                None => true,
                Some(names) => !others.is_empty() && others.iter().all(|it| names.contains(it)),
            }
    }

    fn binding(&self, project: &str) -> (Option<Role>, RoleBinding) {
        let Self { who, role, environments } = self;
        // In whatever order they were typed, it is the same binding.
        let environments = &sorted(environments);
        let name = match environments {
            None => format!("{PREFIX}:{role}:{}", who.slug()),
            Some(names) => format!("{PREFIX}:{role}:{}:{}", who.slug(), hash(&names.join("\n"))),
        };
        let metadata = ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(project.to_owned()),
            labels: Some([(label::MANAGED_BY.to_owned(), FIELD_MANAGER.to_owned())].into()),
            ..ObjectMeta::default()
        };
        let (limited, role_ref) = match environments {
            None => (None, role::cluster_role_ref(role.cluster_role())),
            Some(names) => {
                let rules = Some(role::limited_rules(*role, names));
                let limited = Role { metadata: metadata.clone(), rules };
                (Some(limited), role::role_ref("Role", &name))
            }
        };
        let subjects = Some(vec![who.subject(project)]);
        (limited, RoleBinding { metadata, role_ref, subjects })
    }
}

/// The members with a grant among them: it takes the place of another role of the
/// same one for the same environments. Also that role, if there was one.
pub fn with(members: &[Member], grant: &Grant) -> (Vec<Member>, Option<ProjectRole>) {
    let mut members = members.to_vec();
    let same = |member: &Member| {
        Who::of(member).as_ref() == Some(&grant.who)
            && sorted(&member.environments) == sorted(&grant.environments)
    };
    let before = members.iter().find(|member| same(member)).map(|member| member.role);
    match members.iter_mut().find(|member| same(member)) {
        Some(known) => known.role = grant.role,
        None => members.push(grant.member()),
    }
    (members, before)
}

fn sorted(environments: &Option<Vec<String>>) -> Option<Vec<String>> {
    environments.clone().map(|mut names| {
        names.sort();
        names.dedup();
        names
    })
}

/// What is to be taken from somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// From whom.
    pub who: Who,
    /// Only this role; all of them with none.
    pub role: Option<ProjectRole>,
    /// Only what is for these environments.
    pub environments: Option<Vec<String>>,
}

impl Revocation {
    fn hits(
        &self,
        who: &Who,
        role: Option<ProjectRole>,
        environments: &Option<Vec<String>>,
    ) -> bool {
        self.who == *who
            && self.role.is_none_or(|wanted| role == Some(wanted))
            && (self.environments.is_none() || sorted(environments) == sorted(&self.environments))
    }

    /// Whether it is about this membership.
    pub fn is_about(&self, membership: &Membership) -> bool {
        let environments = &membership.environments;
        let environments = (!environments.is_empty()).then(|| environments.clone());
        let role = membership.project_role();
        role.is_some() && self.hits(&membership.who, role, &environments)
    }
}

/// The members without those that a revocation hits, and these.
pub fn without(members: &[Member], revocation: &Revocation) -> (Vec<Member>, Vec<Member>) {
    members.iter().cloned().partition(|member| {
        let who = Who::of(member);
        !who.is_some_and(|who| revocation.hits(&who, Some(member.role), &member.environments))
    })
}

/// A role that somebody has in a project.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Membership {
    /// Who.
    pub who: Who,
    /// `viewer`, `deployer` or `admin`; another role by its whole name.
    pub role: String,
    /// The environments that it is for; all, and what else is in the project, where
    /// it is empty.
    pub environments: Vec<String>,
    /// Name of the RoleBinding that makes it; none where the HadesProject does.
    pub binding: Option<String>,
}

impl Membership {
    /// The role, if it is one of those that come with Hades.
    pub fn project_role(&self) -> Option<ProjectRole> {
        ProjectRole::ALL.into_iter().find(|known| known.name() == self.role)
    }
}

/// What is known of a project's members.
#[derive(Debug, Clone, Default)]
pub struct Members {
    /// Those that the HadesProject names; none where one may not see it.
    pub of_project: Option<Vec<Member>>,
    bindings: Option<Vec<RoleBinding>>,
    roles: Vec<Role>,
    project: String,
}

impl Members {
    /// Reads both.
    ///
    /// # Errors
    /// When neither may be seen, there is no such project, or the server doesn't answer.
    pub async fn read(session: &Session, project: &str) -> Result<Self, Error> {
        let client = session.client();
        let of_project = Api::<HadesProject>::all(client.clone()).get(project).await;
        let all = ListParams::default();
        let bindings = Api::<RoleBinding>::namespaced(client.clone(), project).list(&all).await;
        let roles = Api::<Role>::namespaced(client.clone(), project).list(&all).await;
        let of_project = allowed(of_project.map_err(|error| session.error(error)))?;
        let bindings = allowed(bindings.map_err(|error| session.error(error)))?;
        let roles = allowed(roles.map_err(|error| session.error(error)))?;
        match (of_project, bindings) {
            (Err(refused), Err(_)) => Err(refused),
            // A namespace that isn't there has no bindings, and no error either.
            (Err(missing), Ok(bindings)) if missing.is_not_found() && bindings.items.is_empty() => {
                Err(missing)
            }
            (of_project, bindings) => Ok(Self {
                of_project: of_project.ok().map(|project| project.spec.members),
                bindings: bindings.ok().map(|list| list.items),
                roles: roles.map(|list| list.items).unwrap_or_default(),
                project: project.to_owned(),
            }),
        }
    }

    /// Whether it may be that not all members are seen.
    pub fn is_partial(&self) -> bool {
        self.bindings.is_none()
    }

    /// All of them, sorted.
    pub fn all(&self) -> Vec<Membership> {
        let mut found: Vec<Membership> =
            self.of_project.iter().flatten().filter_map(named).collect();
        for binding in self.bindings.iter().flatten() {
            // What the HadesProject makes is there already, if it may be seen.
            let is_projects = binding.labels().contains_key(label::MEMBERS_OF);
            if is_projects && self.of_project.is_some() {
                continue;
            }
            let (role, environments) = self.role_of(&binding.role_ref);
            found.extend(binding.subjects.iter().flatten().map(|subject| Membership {
                who: Who::of_subject(subject, &self.project),
                role: role.clone(),
                environments: environments.clone(),
                binding: (!is_projects).then(|| binding.name_any()),
            }));
        }
        found.sort();
        found
    }

    /// What somebody has in the project, but for what groups give.
    pub fn of(&self, who: &Who) -> Vec<Membership> {
        self.all().into_iter().filter(|membership| membership.who == *who).collect()
    }

    /// What groups give: to their users.
    pub fn of_groups(&self) -> Vec<Membership> {
        let is_group = |membership: &Membership| matches!(membership.who, Who::Group(_));
        self.all().into_iter().filter(is_group).collect()
    }

    /// Who may make others members.
    pub fn admins(&self) -> Vec<Who> {
        let mut admins: Vec<Who> = self
            .all()
            .into_iter()
            .filter(|member| {
                member.role == ProjectRole::Admin.name() && member.environments.is_empty()
            })
            .map(|member| member.who)
            .collect();
        admins.dedup();
        admins
    }

    /// Name of a role for people, and the environments that it is limited to.
    fn role_of(&self, role: &RoleRef) -> (String, Vec<String>) {
        if role.kind == "ClusterRole" {
            let known = ProjectRole::ALL.into_iter().find(|one| one.cluster_role() == role.name);
            let name = known.map_or_else(|| role.name.clone(), |role| role.name().to_owned());
            return (name, vec![]);
        }
        let found = self.roles.iter().find(|known| known.name_any() == role.name);
        let rules = found.and_then(|role| role.rules.as_deref()).unwrap_or_default();
        for role in ProjectRole::ALL {
            let environments = limit(rules);
            if !environments.is_empty() && rules == role::limited_rules(role, &environments) {
                return (role.name().to_owned(), environments);
            }
        }
        (format!("Role {}", role.name), vec![])
    }

    /// The bindings that a revocation hits and that somebody other than the
    /// HadesProject's controller made.
    fn hit(&self, revocation: &Revocation) -> Vec<&RoleBinding> {
        let bindings = self.bindings.iter().flatten();
        let others = bindings.filter(|it| !it.labels().contains_key(label::MEMBERS_OF));
        others.filter(|binding| !self.hit_subjects(binding, revocation).is_empty()).collect()
    }

    fn hit_subjects(&self, binding: &RoleBinding, revocation: &Revocation) -> Vec<Subject> {
        let (role, environments) = self.role_of(&binding.role_ref);
        let role = ProjectRole::ALL.into_iter().find(|known| known.name() == role);
        // Other roles aren't ours to take: they may be a program's.
        if role.is_none() {
            return vec![];
        }
        let environments = (!environments.is_empty()).then_some(environments);
        let subjects = binding.subjects.iter().flatten();
        subjects
            .filter(|subject| {
                revocation.hits(&Who::of_subject(subject, &self.project), role, &environments)
            })
            .cloned()
            .collect()
    }
}

/// An answer, or the refusal of it.
fn allowed<T>(answer: Result<T, Error>) -> Result<Result<T, Error>, Error> {
    match answer {
        Ok(found) => Ok(Ok(found)),
        Err(error) if error.is_forbidden() || error.is_not_found() => Ok(Err(error)),
        Err(error) => Err(error),
    }
}

fn named(member: &Member) -> Option<Membership> {
    Some(Membership {
        who: Who::of(member)?,
        role: member.role.name().to_owned(),
        environments: member.environments.clone().unwrap_or_default(),
        binding: None,
    })
}

/// The names that rules on environments are limited to.
fn limit(rules: &[k8s_openapi::api::rbac::v1::PolicyRule]) -> Vec<String> {
    let of_environments = |rule: &&k8s_openapi::api::rbac::v1::PolicyRule| {
        rule.resources.iter().flatten().any(|resource| resource == "environments")
    };
    let rule = rules.iter().find(of_environments);
    rule.and_then(|rule| rule.resource_names.clone()).unwrap_or_default()
}

/// Makes a RoleBinding for a grant, in place of one that this made for another role
/// of the same one. Returns its name.
///
/// # Errors
/// When one may not lend that role, or the server doesn't answer.
pub async fn bind(session: &Session, project: &str, grant: &Grant) -> Result<String, Error> {
    let (limited, binding) = grant.binding(project);
    let name = binding.name_any();
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    if let Some(mut limited) = limited {
        limited.metadata.managed_fields = None;
        let api: Api<Role> = Api::namespaced(session.client().clone(), project);
        let patched = api.patch(&name, &parameters, &Patch::Apply(&limited)).await;
        patched.map_err(|error| session.error(error))?;
    }
    let api: Api<RoleBinding> = Api::namespaced(session.client().clone(), project);
    let patched = api.patch(&name, &parameters, &Patch::Apply(&binding)).await;
    patched.map_err(|error| session.error(error))?;
    let others: Vec<String> = ProjectRole::ALL
        .into_iter()
        .filter(|role| *role != grant.role)
        .map(|role| Grant { role, ..grant.clone() }.binding(project).1.name_any())
        .collect();
    let ours = ListParams::default().labels(&format!("{}={FIELD_MANAGER}", label::MANAGED_BY));
    let known = api.list(&ours).await.map_err(|error| session.error(error))?;
    for binding in known.items.iter().filter(|known| others.contains(&known.name_any())) {
        remove_binding(session, project, &binding.name_any(), binding.resource_version()).await?;
    }
    Ok(name)
}

/// Takes somebody out of the RoleBindings of a project that a revocation hits.
/// Returns their names. Those of the HadesProject are left to its controller.
///
/// # Errors
/// When one may not change them, or the server doesn't answer.
pub async fn unbind(
    session: &Session,
    members: &Members,
    revocation: &Revocation,
) -> Result<Vec<String>, Error> {
    let project = &members.project;
    let api: Api<RoleBinding> = Api::namespaced(session.client().clone(), project);
    let mut names = vec![];
    for binding in members.hit(revocation) {
        let gone = members.hit_subjects(binding, revocation);
        let mut left = binding.subjects.clone().unwrap_or_default();
        left.retain(|subject| !gone.contains(subject));
        let name = binding.name_any();
        let version = binding.resource_version();
        if left.is_empty() {
            remove_binding(session, project, &name, version).await?;
        } else {
            let patch = json!({"metadata": {"resourceVersion": version}, "subjects": left});
            let patched = api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await;
            patched.map_err(|error| session.error(error))?;
        }
        names.push(name);
    }
    Ok(names)
}

/// Removes a binding, and the role of the same name that [`bind`] made for it.
async fn remove_binding(
    session: &Session,
    project: &str,
    name: &str,
    resource_version: Option<String>,
) -> Result<(), Error> {
    let is_gone =
        |error: &kube::Error| matches!(error, kube::Error::Api(status) if status.is_not_found());
    let preconditions = Preconditions { resource_version, uid: None };
    let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    let client = session.client();
    let api: Api<RoleBinding> = Api::namespaced(client.clone(), project);
    match api.delete(name, &parameters).await {
        Ok(_) => {}
        Err(error) if is_gone(&error) => return Ok(()),
        Err(error) => return Err(session.error(error)),
    }
    if !name.starts_with(&format!("{PREFIX}:")) {
        return Ok(());
    }
    let api: Api<Role> = Api::namespaced(client.clone(), project);
    match api.delete(name, &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        Err(error) if is_gone(&error) => Ok(()),
        Err(error) => Err(session.error(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> Who {
        Who::User("alice".to_owned())
    }

    fn grant(who: Who, role: ProjectRole, environments: &[&str]) -> Grant {
        let names: Vec<String> = environments.iter().map(|&name| name.to_owned()).collect();
        Grant { who, role, environments: (!names.is_empty()).then_some(names) }
    }

    #[test]
    fn one_role_each_for_the_same_environments() {
        let (members, before) = with(&[], &grant(alice(), ProjectRole::Viewer, &[]));
        assert_eq!((members.len(), before), (1, None));
        let (members, before) = with(&members, &grant(alice(), ProjectRole::Admin, &[]));
        assert_eq!((members.len(), before), (1, Some(ProjectRole::Viewer)));
        let staging = grant(alice(), ProjectRole::Deployer, &["b", "a"]);
        let (members, before) = with(&members, &staging);
        assert_eq!((members.len(), before), (2, None));
        let (members, before) = with(&members, &grant(alice(), ProjectRole::Viewer, &["a", "b"]));
        assert_eq!((members.len(), before), (2, Some(ProjectRole::Deployer)));
        let group = grant(Who::Group("alice".to_owned()), ProjectRole::Viewer, &[]);
        assert_eq!(with(&members, &group).0.len(), 3);
    }

    #[test]
    fn what_is_revoked() {
        let grants = [
            grant(alice(), ProjectRole::Viewer, &[]),
            grant(alice(), ProjectRole::Deployer, &["staging"]),
            grant(Who::Group("dev".to_owned()), ProjectRole::Viewer, &[]),
        ];
        let members = grants.iter().fold(vec![], |members, grant| with(&members, grant).0);
        let count = |role: Option<ProjectRole>, environments: Option<&str>| {
            let environments = environments.map(|name| vec![name.to_owned()]);
            let revocation = Revocation { who: alice(), role, environments };
            without(&members, &revocation).1.len()
        };
        assert_eq!(count(None, None), 2);
        assert_eq!(count(Some(ProjectRole::Viewer), None), 1);
        assert_eq!(count(Some(ProjectRole::Admin), None), 0);
        assert_eq!(count(None, Some("staging")), 1);
        assert_eq!(count(None, Some("production")), 0);
    }

    #[test]
    fn names_of_bindings_are_names() {
        let name = |grant: &Grant| grant.binding("shop").1.name_any();
        assert_eq!(name(&grant(alice(), ProjectRole::Viewer, &[])), "grant:viewer:user:alice");
        let odd = name(&grant(Who::Group("oidc:a/b%".to_owned()), ProjectRole::Viewer, &[]));
        assert!(!odd.contains(['/', '%']), "{odd}");
        let one = name(&grant(alice(), ProjectRole::Viewer, &["a"]));
        assert_ne!(one, name(&grant(alice(), ProjectRole::Viewer, &["b"])));
    }

    #[test]
    fn the_order_of_environments_says_nothing() {
        let binding = |names: &[&str]| grant(alice(), ProjectRole::Viewer, names).binding("shop");
        assert_eq!(binding(&["a", "b"]), binding(&["b", "a", "b"]));
    }

    #[test]
    fn what_is_covered_by_a_grant() {
        let has = |role: &str, environments: &[&str]| Membership {
            who: alice(),
            role: role.to_owned(),
            environments: environments.iter().map(|&name| name.to_owned()).collect(),
            binding: None,
        };
        let whole = grant(alice(), ProjectRole::Deployer, &[]);
        assert!(whole.covers(&has("deployer", &[])) && whole.covers(&has("viewer", &["a"])));
        assert!(!whole.covers(&has("admin", &["a"])) && !whole.covers(&has("Role logs", &[])));
        let limited = grant(alice(), ProjectRole::Deployer, &["a", "b"]);
        assert!(limited.covers(&has("viewer", &["a"])));
        assert!(!limited.covers(&has("viewer", &[])) && !limited.covers(&has("viewer", &["c"])));
        let revocation = Revocation { who: alice(), role: None, environments: None };
        assert!(revocation.is_about(&has("viewer", &["a"])));
        assert!(!revocation.is_about(&has("Role logs", &[])), "not ours to take");
    }

    #[test]
    fn bindings_are_read_back() {
        let limited = grant(alice(), ProjectRole::Deployer, &["staging"]);
        let whole = grant(Who::ServiceAccount("ci".to_owned()), ProjectRole::Admin, &[]);
        let (role, first) = limited.binding("shop");
        let (_, second) = whole.binding("shop");
        let mut other = second.clone();
        other.role_ref.name = "somebodys".to_owned();
        let mut members = Members {
            of_project: None,
            bindings: Some(vec![first, second, other]),
            roles: vec![role.unwrap()],
            project: "shop".to_owned(),
        };
        let found: Vec<String> = members
            .all()
            .iter()
            .map(|m| format!("{} {} {:?}", m.who, m.role, m.environments))
            .collect();
        assert_eq!(
            found,
            [
                "alice deployer [\"staging\"]",
                "service account ci admin []",
                "service account ci somebodys []",
            ]
        );
        assert_eq!(members.admins(), [Who::ServiceAccount("ci".to_owned())]);
        let all = Revocation {
            who: Who::ServiceAccount("ci".to_owned()),
            role: None,
            environments: None,
        };
        assert_eq!(members.hit(&all).len(), 1, "roles of others stay");
        // What the controller made is in the HadesProject.
        let label = [(label::MEMBERS_OF.to_owned(), "shop".to_owned())];
        members.bindings.as_mut().unwrap()[1].metadata.labels = Some(label.into());
        members.of_project = Some(vec![]);
        assert_eq!(members.all().len(), 2);
        assert_eq!(members.hit(&all).len(), 0);
    }
}
