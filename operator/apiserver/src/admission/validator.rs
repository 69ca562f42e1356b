//! Further checks of objects, as validating webhooks are.

use bytes::Bytes;
use kube::core::GroupVersionKind;
use serde_json::Value;

use super::Cause;
use crate::authn::Identity;
use crate::authz::{self, Attributes, RoleKind, RoleRef, Target};
use crate::state::State;
use crate::store::Key;

/// A further check of objects.
pub trait Validator: Send + Sync {
    /// What is wrong with an object, each mistake with its field path. Runs after
    /// the schema was checked, for dry runs too, and must not wait for anything.
    fn validate(&self, admission: &Admission<'_>) -> Vec<Cause>;

    /// What the caller should know of an object that is stored all the same. Never
    /// quotes a value of a Secret.
    fn warnings(&self, _admission: &Admission<'_>) -> Vec<String> {
        Vec::new()
    }
}

/// An object that somebody wants to store.
#[derive(Clone, Copy)]
pub struct Admission<'a> {
    /// Its kind.
    pub kind: &'a GroupVersionKind,
    /// Its namespace, empty for one of the cluster.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// As it would be stored.
    pub object: &'a Value,
    /// As it is stored, where it is.
    pub old: Option<&'a Value>,
    /// Who wants it.
    pub caller: &'a Identity,
    /// What there is besides it.
    pub surroundings: &'a dyn Surroundings,
}

/// What an object is judged against besides itself.
pub trait Surroundings: Sync {
    /// A stored object of `group/plural`; `None` where there is none.
    fn stored(&self, resource: &str, namespace: &str, name: &str) -> Option<Value>;

    /// All stored objects of `group/plural` in a namespace.
    fn all(&self, resource: &str, namespace: &str) -> Vec<Value>;

    /// Whether somebody may do something.
    fn may(&self, who: &Identity, right: Right<'_>) -> bool;

    /// Whether somebody may bind a ClusterRole in a namespace (empty: everywhere):
    /// he has the right to, or all that the role gives.
    fn may_bind(&self, who: &Identity, cluster_role: &str, namespace: &str) -> bool;
}

/// A verb on a resource. Empty texts stand for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Right<'a> {
    /// Such as `update`.
    pub verb: &'a str,
    /// API group.
    pub group: &'a str,
    /// Plural name.
    pub resource: &'a str,
    /// Such as `status`.
    pub subresource: &'a str,
    /// Namespace, empty for the cluster.
    pub namespace: &'a str,
    /// Name of one object.
    pub name: &'a str,
}

/// How much of a list is read at a time.
const PAGE: usize = 1 << 20;

fn read(bytes: &Bytes) -> Option<Value> {
    serde_json::from_slice(bytes).ok()
}

impl Surroundings for State {
    fn stored(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        let key = Key::new(&resource.into(), namespace, name);
        let row = self.store.get(&key).unwrap_or_else(|error| {
            tracing::error!(%error, "an object that another is checked against can't be read");
            None
        });
        row.and_then(|row| read(&row.object))
    }

    fn all(&self, resource: &str, namespace: &str) -> Vec<Value> {
        let mut objects = Vec::new();
        let mut read_all = || {
            let mut scan = self.store.scan(resource, Some(namespace))?;
            loop {
                let page = scan.next_page(PAGE)?;
                if page.is_empty() {
                    return Ok::<_, crate::store::StoreError>(());
                }
                objects.extend(page.iter().filter_map(|row| read(&row.object)));
            }
        };
        if let Err(error) = read_all() {
            tracing::error!(%error, "objects that another is checked against can't be read");
        }
        objects
    }

    fn may(&self, who: &Identity, right: Right<'_>) -> bool {
        let Right { verb, group, resource, subresource, namespace, name } = right;
        let target = Target::Resource { group, resource, subresource, namespace, name };
        self.rights.decide(who, &Attributes { verb, target }).is_allowed()
    }

    fn may_bind(&self, who: &Identity, cluster_role: &str, namespace: &str) -> bool {
        let (verb, resource) = ("bind", "clusterroles");
        let name = cluster_role;
        let bind =
            Right { verb, group: authz::GROUP, resource, namespace, name, ..Right::default() };
        let role = RoleRef { kind: RoleKind::ClusterRole, name: cluster_role.to_owned() };
        self.may(who, bind)
            || self
                .rights
                .rules_of(&role, namespace)
                .is_ok_and(|rules| self.rights.holds(who, namespace, &rules))
    }
}
