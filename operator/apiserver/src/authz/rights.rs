//! Who may do what, as of now.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use serde::de::DeserializeOwned;
use tokio::sync::Notify;

use super::granted::Granted;
use super::index::{Grant, Index, not_found};
use super::rule::{self, Rule, is_path};
use super::stored::{CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES, RoleRef};
use super::{Attributes, Target};
use crate::authn::{ADMINISTRATORS, Identity, Scope};
use crate::store::{Key, Observer};
use crate::wire::raw;

const OUT_OF_SCOPE: &str = "the token is limited to other projects or verbs";

/// How many rules that somebody holds are compared with how many that he grants: a
/// tenth of a second's work. A role of 200 combinations meets 10,000 rules.
const MAX_COMPARISONS: usize = 2_000_000;

/// Whether something may be done, and why.
#[derive(Clone, Debug)]
pub(crate) enum Decision {
    /// By a binding, or as one who may do everything (`None`).
    Allowed(Option<Grant>),
    /// The roles that are bound and not there, or what else is in the way.
    Refused(String),
}

impl Decision {
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed(_))
    }

    /// Empty where there is nothing to say.
    pub fn reason(&self) -> String {
        match self {
            Self::Allowed(None) => String::new(),
            Self::Allowed(Some(grant)) => format!("RBAC: allowed by {}", grant.describe()),
            Self::Refused(reason) => reason.clone(),
        }
    }
}

/// Whether an identity may do everything, whatever it is.
pub(crate) fn is_administrator(identity: &Identity) -> bool {
    identity.scope.is_none() && is_master(identity)
}

fn is_master(identity: &Identity) -> bool {
    identity.groups.iter().any(|group| group == ADMINISTRATORS)
}

/// What the scope of a token never takes away: to learn what is served, and what
/// one may do. It has to be allowed all the same.
fn is_about_oneself(attributes: &Attributes<'_>) -> bool {
    match attributes.target {
        Target::Path(path) => {
            attributes.verb == "get" && OPEN_PATHS.iter().any(|open| is_path(open, path))
        }
        Target::Resource { group, resource, subresource, .. } => {
            attributes.verb == "create"
                && subresource.is_empty()
                && QUESTIONS
                    .iter()
                    .any(|(known, kinds)| *known == group && kinds.contains(&resource))
        }
    }
}

/// Paths that tell what is served, and whether it is well.
pub(super) const OPEN_PATHS: [&str; 11] = [
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/openapi",
    "/openapi/*",
    "/readyz",
    "/version",
    "/version/",
];

/// Questions that somebody asks about himself, by group.
pub(super) const QUESTIONS: [(&str, &[&str]); 2] = [
    ("authorization.k8s.io", &["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
    ("authentication.k8s.io", &["selfsubjectreviews"]),
];

/// Who may do what. Kept in step with the store, as whose observer it hears of
/// every role and binding.
#[derive(Debug, Default)]
pub(crate) struct Rights {
    index: RwLock<Index>,
    /// Wakes whoever writes down what roles gathered.
    gathered: Notify,
}

impl Rights {
    fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an identity may do something.
    pub fn decide(&self, identity: &Identity, attributes: &Attributes<'_>) -> Decision {
        if let Some(scope) = &identity.scope
            && !scope.leaves(attributes.verb, attributes.namespace())
            && !is_about_oneself(attributes)
        {
            return Decision::Refused(OUT_OF_SCOPE.to_owned());
        }
        if is_master(identity) {
            return Decision::Allowed(None);
        }
        let index = self.index();
        if let Some(grant) = index.find(identity, attributes) {
            return Decision::Allowed(Some(grant.clone()));
        }
        let absent = index.absent(identity, attributes.namespace());
        Decision::Refused(match absent.as_slice() {
            [] => String::new(),
            [one] => format!("RBAC: {one}"),
            several => format!("RBAC: [{}]", several.join(", ")),
        })
    }

    /// Everything that an identity may do in a namespace (empty: in the cluster),
    /// and the roles that it is bound to and that are not there.
    pub fn rules_for(&self, identity: &Identity, namespace: &str) -> (Vec<Rule>, Vec<String>) {
        let (mut rules, absent) = self.index().rules_for(identity, namespace);
        if is_master(identity) {
            let [resources, paths] = Rule::everything();
            rules.splice(0..0, [resources, paths]);
        }
        let rules = match &identity.scope {
            Some(scope) => narrow(rules, scope, namespace),
            None => rules,
        };
        (rules, absent)
    }

    /// What of these rules an identity doesn't hold in a namespace; empty where it
    /// holds them all, and `None` where so many meet so many that to find it out
    /// would hold up everybody else.
    pub fn lacking(
        &self,
        identity: &Identity,
        namespace: &str,
        rules: &[Rule],
    ) -> Option<Vec<Rule>> {
        let held = self.rules_for(identity, namespace).0;
        let pieces = rules.iter().map(Rule::combinations).fold(0, usize::saturating_add);
        (held.len().saturating_mul(pieces) <= MAX_COMPARISONS).then(|| rule::missing(&held, rules))
    }

    /// Whether an identity certainly holds all of these rules in a namespace.
    pub fn holds(&self, identity: &Identity, namespace: &str, rules: &[Rule]) -> bool {
        self.lacking(identity, namespace, rules).is_some_and(|lacking| lacking.is_empty())
    }

    /// Every binding that names an identity, whatever a token leaves of them.
    pub fn granted(&self, identity: &Identity) -> Vec<Granted> {
        self.index().granted(identity)
    }

    /// The rules of a role that a binding in this namespace names.
    ///
    /// # Errors
    /// Where there is no such role: what Kubernetes says of that.
    pub fn rules_of(&self, role: &RoleRef, namespace: &str) -> Result<Vec<Rule>, String> {
        let index = self.index();
        index.rules_of(role, namespace).map(<[Rule]>::to_vec).ok_or_else(|| not_found(role))
    }

    /// The ClusterRoles that gather rules of others, with what they gathered.
    pub fn gathered(&self) -> Vec<(String, Arc<[Rule]>)> {
        self.index().gathered()
    }

    /// Ends when a ClusterRole changed since it was last waited for.
    pub async fn roles_changed(&self) {
        self.gathered.notified().await;
    }
}

/// What a scope leaves of rules.
fn narrow(rules: Vec<Rule>, scope: &Scope, namespace: &str) -> Vec<Rule> {
    let Scope { namespaces, verbs } = scope;
    let inside = namespaces.is_empty() || namespaces.iter().any(|one| one == namespace);
    // Paths are nowhere.
    let paths = namespaces.is_empty();
    let mut left: Vec<Rule> = rules
        .iter()
        .filter(|rule| if rule.is_of_paths() { paths } else { inside })
        .map(|rule| if verbs.is_empty() { rule.clone() } else { rule.clone().within(verbs) })
        .filter(|rule| !rule.verbs.is_empty())
        .collect();
    for rule in about_oneself(&rules) {
        if !rule::missing(&left, std::slice::from_ref(&rule)).is_empty() {
            left.push(rule);
        }
    }
    left
}

/// What of these rules no scope takes away.
fn about_oneself(rules: &[Rule]) -> Vec<Rule> {
    let texts = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    let is_held = |rule: &Rule| rule::missing(rules, std::slice::from_ref(rule)).is_empty();
    let get = |urls: &[&str]| Rule {
        verbs: texts(&["get"]),
        non_resource_urls: texts(urls),
        ..Rule::default()
    };
    let open: Vec<&str> = OPEN_PATHS.into_iter().filter(|url| is_held(&get(&[url]))).collect();
    let mut kept = Vec::new();
    if !open.is_empty() {
        kept.push(get(&open));
    }
    for (group, resources) in QUESTIONS {
        let question = Rule {
            verbs: texts(&["create"]),
            api_groups: texts(&[group]),
            resources: texts(resources),
            ..Rule::default()
        };
        if is_held(&question) {
            kept.push(question);
        }
    }
    kept
}

/// The object as one that gives rights. Who takes a right away by deleting it has
/// taken it, though a finalizer keeps the object a while.
fn read<T: DeserializeOwned>(key: &Key, object: Option<&[u8]>) -> Option<T> {
    let object = object?;
    let ends = raw::find(object, &["metadata", "deletionTimestamp"]);
    if ends.is_some_and(|time| time != b"null") {
        return None;
    }
    let read = serde_json::from_slice(object);
    read.inspect_err(|error| {
        // Checked before it was stored, so this is damage; it gives no rights.
        tracing::error!(resource = key.resource(), name = key.name(), %error, "no rights by this");
    })
    .ok()
}

impl Observer for Rights {
    fn follows(&self) -> &[&str] {
        &[ROLES, CLUSTER_ROLES, ROLE_BINDINGS, CLUSTER_ROLE_BINDINGS]
    }

    fn changed(&self, key: &Key, object: Option<&[u8]>) {
        let (namespace, name) = (key.namespace(), key.name());
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        match key.resource() {
            ROLES => index.set_role(namespace, name, read(key, object)),
            CLUSTER_ROLES => {
                index.set_cluster_role(name, read(key, object));
                self.gathered.notify_one();
            }
            _ => index.set_binding(namespace, name, read(key, object)),
        }
    }
}
