//! Grants: the roles and bindings that the controllers keep as they should be.

use std::collections::BTreeMap;
use std::fmt::Debug;

use hades_api::label;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding, RoleRef};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ReconcileError;
use crate::status::FIELD_MANAGER;

/// A role or a binding.
pub(crate) trait Grant:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize + Sync
{
    /// What a binding binds, which never changes.
    fn role(&self) -> Option<&RoleRef>;

    /// Makes what it gives that of another one; says whether that was a change.
    fn give(&mut self, wanted: &Self) -> bool;
}

/// Takes a field over.
fn take<T: Clone + PartialEq>(own: &mut Option<Vec<T>>, wanted: &Option<Vec<T>>) -> bool {
    let items = |list: &Option<Vec<T>>| list.clone().unwrap_or_default();
    let differs = items(own) != items(wanted);
    if differs {
        own.clone_from(wanted);
    }
    differs
}

macro_rules! role {
    ($kind:ty) => {
        impl Grant for $kind {
            fn role(&self) -> Option<&RoleRef> {
                None
            }

            fn give(&mut self, wanted: &Self) -> bool {
                take(&mut self.rules, &wanted.rules)
            }
        }
    };
}

macro_rules! binding {
    ($kind:ty) => {
        impl Grant for $kind {
            fn role(&self) -> Option<&RoleRef> {
                Some(&self.role_ref)
            }

            fn give(&mut self, wanted: &Self) -> bool {
                take(&mut self.subjects, &wanted.subjects)
            }
        }
    };
}

role!(Role);
role!(ClusterRole);
binding!(RoleBinding);
binding!(ClusterRoleBinding);

/// Metadata of a grant that the controllers look after, with one label more that says
/// for whom, and gone with its owner.
pub(crate) fn metadata(
    name: impl Into<String>,
    (key, value): (&str, &str),
    owner: Option<OwnerReference>,
) -> ObjectMeta {
    let labels = BTreeMap::from([
        (label::MANAGED_BY.to_owned(), label::MANAGER.to_owned()),
        (key.to_owned(), value.to_owned()),
    ]);
    ObjectMeta {
        name: Some(name.into()),
        labels: Some(labels),
        owner_references: owner.map(|owner| vec![owner]),
        ..ObjectMeta::default()
    }
}

/// What `found` has to become to be as wanted; none if it is. What others added to
/// its metadata stays.
fn mended<K: Grant>(found: &K, wanted: &K) -> Option<K> {
    let mut object = found.clone();
    let mut changed = object.give(wanted);
    for (key, value) in wanted.labels() {
        changed |= object.labels_mut().insert(key.clone(), value.clone()).as_ref() != Some(value);
    }
    for owner in wanted.owner_references() {
        if !object.owner_references().iter().any(|known| known.uid == owner.uid) {
            object.owner_references_mut().push(owner.clone());
            changed = true;
        }
    }
    changed.then_some(object)
}

/// Makes a grant, or mends it. Says whether anything had to be done.
pub(crate) async fn keep<K: Grant>(
    api: &Api<K>,
    found: Option<&K>,
    wanted: &K,
) -> Result<bool, ReconcileError> {
    let name = wanted.name_any();
    let failed = |verb: &str| ReconcileError::api(format!("{verb} {} {name}", K::kind(&())));
    let parameters =
        PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let kept = found.filter(|found| found.role() == wanted.role());
    if let Some(kept) = kept {
        let Some(object) = mended(kept, wanted) else { return Ok(false) };
        api.replace(&name, &parameters, &object).await.map_err(failed("mend"))?;
        return Ok(true);
    }
    if let Some(found) = found {
        remove(api, found).await?;
    }
    api.create(&parameters, wanted).await.map_err(failed("create"))?;
    Ok(true)
}

/// Deletes a grant, unless another one has its name by now.
pub(crate) async fn remove<K: Grant>(api: &Api<K>, found: &K) -> Result<(), ReconcileError> {
    let name = found.name_any();
    let preconditions = Preconditions { uid: found.uid(), resource_version: None };
    let parameters = DeleteParams::default().preconditions(preconditions);
    match api.delete(&name, &parameters).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        Err(error) => Err(ReconcileError::api(format!("delete {} {name}", K::kind(&())))(error)),
    }
}

#[cfg(test)]
mod tests {
    use hades_api::role::{cluster_role_ref, user};

    use super::*;

    fn binding(users: &[&str]) -> RoleBinding {
        RoleBinding {
            metadata: metadata("b", (label::MEMBERS_OF, "shop"), None),
            role_ref: cluster_role_ref("hades:viewer"),
            subjects: Some(users.iter().map(|name| user(name)).collect()),
        }
    }

    #[test]
    fn what_was_edited_is_mended_and_what_was_added_stays() {
        let wanted = binding(&["alice"]);
        assert!(mended(&wanted, &wanted).is_none());
        let mut edited = binding(&["alice", "mallory"]);
        edited.labels_mut().remove(label::MEMBERS_OF);
        edited.annotations_mut().insert("note".to_owned(), "x".to_owned());
        let object = mended(&edited, &wanted).unwrap();
        assert_eq!(object.subjects, wanted.subjects);
        assert_eq!(object.labels(), wanted.labels());
        assert_eq!(object.annotations()["note"], "x");
        let mut nobody = binding(&[]);
        nobody.subjects = None;
        assert!(mended(&nobody, &binding(&[])).is_none(), "the same in two spellings");
    }
}
