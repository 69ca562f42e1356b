//! Roles and bindings in memory, found by who is bound.
//!
//! ```text
//! user or group ─▶ bindings of the cluster, of each namespace ─▶ role ─▶ rules
//! ```
//! A look-up touches only the bindings of the caller, so that its time doesn't
//! grow with those of others, and it allocates nothing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::Attributes;
use super::granted::{self, Granted};
use super::rule::Rule;
use super::stored::{RoleKind, RoleRef, StoredBinding, StoredRole, Subject, SubjectKind};
use crate::authn::{Identity, service_account};
use crate::wire::selector::LabelSelector;

type Name = Box<str>;

/// All roles and bindings.
#[derive(Debug, Default)]
pub(super) struct Index {
    cluster_roles: HashMap<Name, ClusterRole>,
    /// By namespace and name.
    roles: HashMap<Name, HashMap<Name, Arc<[Rule]>>>,
    /// By namespace (empty: of the cluster) and name.
    bindings: HashMap<(Name, Name), Arc<Binding>>,
    /// Service accounts are among the users, by their user names.
    users: HashMap<Name, Grants>,
    groups: HashMap<Name, Grants>,
}

#[derive(Debug)]
struct ClusterRole {
    own: Arc<[Rule]>,
    labels: BTreeMap<String, String>,
    /// Whose rules it gathers, where it gathers any.
    gathers: Option<Vec<LabelSelector>>,
    /// Its own rules, or those that it gathered.
    rules: Arc<[Rule]>,
}

/// A binding of any kind.
#[derive(Debug)]
pub(crate) struct Binding {
    /// Empty for one of the cluster.
    namespace: Name,
    name: Name,
    role: RoleRef,
    subjects: Vec<Subject>,
}

/// What one user or group is bound to, in the order of the names.
#[derive(Debug, Default)]
struct Grants {
    everywhere: Vec<Grant>,
    within: HashMap<Name, Vec<Grant>>,
}

/// A binding, and which of its subjects is meant.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    binding: Arc<Binding>,
    subject: usize,
}

impl Grant {
    /// Why something is allowed, in the words of Kubernetes.
    pub fn describe(&self) -> String {
        let Binding { namespace, name, role, subjects } = &*self.binding;
        let binding = match &**namespace {
            "" => format!("ClusterRoleBinding {name:?}"),
            namespace => format!("RoleBinding {:?}", format!("{name}/{namespace}")),
        };
        let subject = subjects.get(self.subject).map(|subject| match subject.kind {
            SubjectKind::User => format!("User {:?}", subject.name),
            SubjectKind::Group => format!("Group {:?}", subject.name),
            SubjectKind::ServiceAccount => {
                let home = home_of(subject, namespace);
                format!("ServiceAccount {:?}", format!("{}/{home}", subject.name))
            }
        });
        let subject = subject.unwrap_or_default();
        format!("{binding} of {} {:?} to {subject}", role.kind.as_str(), role.name)
    }
}

/// `Group dev`.
fn who(subject: &Subject) -> String {
    let kind = match subject.kind {
        SubjectKind::User => "User",
        SubjectKind::Group => "Group",
        SubjectKind::ServiceAccount => "ServiceAccount",
    };
    format!("{kind} {}", subject.name)
}

fn home_of<'a>(subject: &'a Subject, binding: &'a str) -> &'a str {
    if subject.namespace.is_empty() { binding } else { &subject.namespace }
}

impl Index {
    /// Whether there is a grant of something, and which.
    pub fn find<'index>(
        &'index self,
        identity: &Identity,
        attributes: &Attributes<'_>,
    ) -> Option<&'index Grant> {
        self.grants(identity, attributes.namespace()).find(|grant| {
            let rules = self.rules_of(&grant.binding.role, &grant.binding.namespace);
            rules.is_some_and(|rules| rules.iter().any(|rule| rule.allows(attributes)))
        })
    }

    /// Everything that somebody may do in a namespace (empty: in the cluster), and
    /// the roles that he is bound to and that are not there.
    pub fn rules_for(&self, identity: &Identity, namespace: &str) -> (Vec<Rule>, Vec<String>) {
        let held = self.grants(identity, namespace);
        let rules = held
            .filter_map(|Grant { binding, .. }| self.rules_of(&binding.role, &binding.namespace))
            .flatten()
            .cloned()
            .collect();
        (rules, self.absent(identity, namespace))
    }

    /// The roles that somebody is bound to in a namespace and that are not there, in
    /// the words of Kubernetes. Asked for every refused request, so nothing of the
    /// roles that are there is copied.
    pub fn absent(&self, identity: &Identity, namespace: &str) -> Vec<String> {
        let is_absent =
            |binding: &Binding| self.rules_of(&binding.role, &binding.namespace).is_none();
        let mut absent: Vec<String> = self
            .grants(identity, namespace)
            .filter(|grant| is_absent(&grant.binding))
            .map(|grant| not_found(&grant.binding.role))
            .collect();
        absent.sort_unstable();
        absent.dedup();
        absent
    }

    /// The bindings that concern somebody in a namespace.
    fn grants<'index, 'ask>(
        &'index self,
        identity: &'ask Identity,
        namespace: &'ask str,
    ) -> impl Iterator<Item = &'index Grant> + use<'index, 'ask> {
        let groups =
            identity.groups.iter().filter_map(move |group| self.groups.get(group.as_str()));
        let held = self.users.get(identity.name.as_str()).into_iter().chain(groups);
        let everywhere = held.clone().flat_map(|grants| &grants.everywhere);
        everywhere.chain(held.flat_map(move |grants| {
            grants.within.get(namespace).map(Vec::as_slice).unwrap_or_default()
        }))
    }

    /// Every binding that names somebody, those of the cluster first.
    pub fn granted(&self, identity: &Identity) -> Vec<Granted> {
        let groups = identity.groups.iter().filter_map(|group| self.groups.get(group.as_str()));
        let held: Vec<&Grants> =
            self.users.get(identity.name.as_str()).into_iter().chain(groups).collect();
        let everywhere = held.iter().flat_map(|grants| &grants.everywhere);
        let within = held.iter().flat_map(|grants| grants.within.values().flatten());
        let mut found: Vec<Granted> = everywhere
            .chain(within)
            .map(|grant| {
                let Binding { namespace, name, role, subjects } = &*grant.binding;
                let rules = self.rules_of(role, namespace).unwrap_or_default();
                let subject = subjects.get(grant.subject);
                Granted {
                    namespace: namespace.to_string(),
                    binding: name.to_string(),
                    role_kind: role.kind.as_str(),
                    role: role.name.clone(),
                    subject: subject.map(who).unwrap_or_default(),
                    rules: granted::in_form(rules),
                }
            })
            .collect();
        found.sort_by(|a, b| (&a.namespace, &a.binding).cmp(&(&b.namespace, &b.binding)));
        found
    }

    /// The rules of a role that a binding in this namespace names.
    pub fn rules_of(&self, role: &RoleRef, namespace: &str) -> Option<&[Rule]> {
        match role.kind {
            RoleKind::ClusterRole => {
                self.cluster_roles.get(role.name.as_str()).map(|role| &*role.rules)
            }
            RoleKind::Role => {
                self.roles.get(namespace)?.get(role.name.as_str()).map(|rules| &**rules)
            }
        }
    }

    /// The ClusterRoles that gather rules, with what they gathered.
    pub fn gathered(&self) -> Vec<(String, Arc<[Rule]>)> {
        let gathering = self.cluster_roles.iter().filter(|(_, role)| role.gathers.is_some());
        gathering.map(|(name, role)| (name.to_string(), Arc::clone(&role.rules))).collect()
    }

    pub fn set_role(&mut self, namespace: &str, name: &str, role: Option<StoredRole>) {
        match role {
            Some(role) => {
                let roles = self.roles.entry(namespace.into()).or_default();
                roles.insert(name.into(), role.gathering().0.into());
            }
            None => {
                if let Some(roles) = self.roles.get_mut(namespace) {
                    roles.remove(name);
                    if roles.is_empty() {
                        self.roles.remove(namespace);
                    }
                }
            }
        }
    }

    pub fn set_cluster_role(&mut self, name: &str, role: Option<StoredRole>) {
        match role {
            Some(role) => {
                let (own, labels, gathers) = role.gathering();
                let own: Arc<[Rule]> = own.into();
                let rules = Arc::clone(&own);
                self.cluster_roles.insert(name.into(), ClusterRole { own, labels, gathers, rules });
            }
            None => {
                self.cluster_roles.remove(name);
            }
        }
        // Few gather, and cluster roles change seldom.
        let gathering: Vec<Name> = self
            .cluster_roles
            .iter()
            .filter(|(_, role)| role.gathers.is_some())
            .map(|(name, _)| name.clone())
            .collect();
        for name in gathering {
            let rules = self.gather(&name);
            if let Some(role) = self.cluster_roles.get_mut(&name)
                && *role.rules != *rules
            {
                role.rules = rules.into();
            }
        }
    }

    /// The rules of all that a role gathers, through others that gather too. What
    /// stands in a gathering role itself doesn't count.
    fn gather(&self, name: &str) -> Vec<Rule> {
        let mut seen: HashSet<&str> = HashSet::from([name]);
        let mut wanted: Vec<&str> = vec![name];
        let mut rules: Vec<Rule> = Vec::new();
        while let Some(role) = wanted.pop().and_then(|name| self.cluster_roles.get(name)) {
            let Some(selectors) = &role.gathers else {
                for rule in role.own.iter() {
                    if !rules.contains(rule) {
                        rules.push(rule.clone());
                    }
                }
                continue;
            };
            let mut picked: Vec<&str> = self
                .cluster_roles
                .iter()
                .filter(|(_, other)| selectors.iter().any(|one| one.matches(&other.labels)))
                .map(|(name, _)| &**name)
                .filter(|name| seen.insert(*name))
                .collect();
            // Taken from the end.
            picked.sort_unstable_by(|one, other| other.cmp(one));
            wanted.extend(picked);
        }
        rules
    }

    pub fn set_binding(&mut self, namespace: &str, name: &str, binding: Option<StoredBinding>) {
        let address: (Name, Name) = (namespace.into(), name.into());
        if let Some(old) = self.bindings.remove(&address) {
            for subject in &old.subjects {
                self.unbind(&old, subject);
            }
        }
        let Some(StoredBinding { subjects, role_ref }) = binding else {
            return;
        };
        let (namespace, name) = address.clone();
        let binding = Arc::new(Binding { namespace, name, role: role_ref, subjects });
        for (index, subject) in binding.subjects.iter().enumerate() {
            self.bind(Grant { binding: Arc::clone(&binding), subject: index }, subject);
        }
        self.bindings.insert(address, binding);
    }

    fn holders(
        &mut self,
        subject: &Subject,
        namespace: &str,
    ) -> (&mut HashMap<Name, Grants>, Name) {
        match subject.kind {
            SubjectKind::User => (&mut self.users, subject.name.as_str().into()),
            SubjectKind::Group => (&mut self.groups, subject.name.as_str().into()),
            SubjectKind::ServiceAccount => {
                let user = service_account::user_name(home_of(subject, namespace), &subject.name);
                (&mut self.users, user.into())
            }
        }
    }

    fn bind(&mut self, grant: Grant, subject: &Subject) {
        let binding = Arc::clone(&grant.binding);
        let (holders, holder) = self.holders(subject, &binding.namespace);
        let grants = holders.entry(holder).or_default();
        let list = match &*binding.namespace {
            "" => &mut grants.everywhere,
            namespace => grants.within.entry(namespace.into()).or_default(),
        };
        // A binding that names somebody twice binds him once.
        if let Err(place) = list.binary_search_by(|one| one.binding.name.cmp(&binding.name)) {
            list.insert(place, grant);
        }
    }

    fn unbind(&mut self, binding: &Binding, subject: &Subject) {
        let (holders, holder) = self.holders(subject, &binding.namespace);
        let Some(grants) = holders.get_mut(&holder) else {
            return;
        };
        match &*binding.namespace {
            "" => grants.everywhere.retain(|grant| grant.binding.name != binding.name),
            namespace => {
                if let Some(list) = grants.within.get_mut(namespace) {
                    list.retain(|grant| grant.binding.name != binding.name);
                    if list.is_empty() {
                        grants.within.remove(namespace);
                    }
                }
            }
        }
        if grants.everywhere.is_empty() && grants.within.is_empty() {
            holders.remove(&holder);
        }
    }
}

/// What Kubernetes says of a role that a binding names and that isn't there.
pub(crate) fn not_found(role: &RoleRef) -> String {
    format!("{}.{} {:?} not found", role.kind.singular(), super::stored::GROUP, role.name)
}
