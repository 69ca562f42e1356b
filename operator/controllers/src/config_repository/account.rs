//! Account: what a repository is to the API server. It reads and writes what its
//! manifests say as a service account of its own, so that RBAC bounds it; what the
//! controller keeps for itself (status, events) stays the controller's.
//!
//! | ConfigRepository in | is bound to | by a |
//! |---|---|---|
//! | a project | ClusterRole `hades:config-repository` | RoleBinding there |
//! | `hades-system` | ClusterRole `hades:fleet-repository` | ClusterRoleBinding |

use hades_api::{ConfigRepository, SYSTEM_NAMESPACE, label, role};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::core::Status;
use kube::{Api, Client, Resource, ResourceExt};

use super::check::owner;
use crate::{Context, ReconcileError, finalizer, grant};

/// Whom a repository acts as.
pub(super) struct Account {
    namespace: String,
    name: String,
    /// Acts as the account.
    pub(super) client: Client,
}

impl Account {
    /// That of a repository.
    pub(super) fn of(context: &Context, repository: &ConfigRepository) -> Self {
        let namespace = repository.namespace().unwrap_or_default();
        let name = role::repository_account(&repository.name_any());
        Self { client: context.client_as(&namespace, &name), namespace, name }
    }

    fn is_of_fleet(&self) -> bool {
        self.namespace == SYSTEM_NAMESPACE
    }

    /// The ClusterRole that it is bound to.
    fn role(&self) -> &'static str {
        match self.is_of_fleet() {
            true => role::FLEET_REPOSITORY,
            false => role::CONFIG_REPOSITORY,
        }
    }

    fn user(&self) -> String {
        role::service_account_user(&self.namespace, &self.name)
    }

    /// Whether an answer says that the account lacks a right, rather than that
    /// nobody could do this.
    pub(super) fn lacks_right(&self, status: &Status) -> bool {
        status.code == 403 && status.message.contains(&format!("{:?}", self.user()))
    }

    /// How the account gets more rights, in words.
    pub(super) fn hint(&self) -> String {
        let Self { namespace, name, .. } = self;
        let command = match self.is_of_fleet() {
            true => "create clusterrolebinding NAME --clusterrole=ROLE".to_owned(),
            false => format!("-n {namespace} create rolebinding NAME --role=ROLE"),
        };
        format!(
            "The repository acts as service account {namespace}/{name}, which may do what \
             ClusterRole {} allows; for more: kubectl {command} \
             --serviceaccount={namespace}:{name}",
            self.role()
        )
    }

    fn metadata(
        &self,
        repository: &ConfigRepository,
        owner_ref: Option<OwnerReference>,
    ) -> ObjectMeta {
        let name = format!("{}:{}", self.role(), repository.name_any());
        grant::metadata(name, (label::ACCOUNT_OF, &owner(repository)), owner_ref)
    }

    fn cluster_binding(&self, repository: &ConfigRepository) -> ClusterRoleBinding {
        ClusterRoleBinding {
            metadata: self.metadata(repository, None),
            role_ref: role::cluster_role_ref(self.role()),
            subjects: Some(vec![role::service_account(&self.namespace, &self.name)]),
        }
    }

    fn binding(&self, repository: &ConfigRepository) -> RoleBinding {
        let owner = repository
            .controller_owner_ref(&())
            .map(|owner| OwnerReference { block_owner_deletion: None, ..owner });
        let metadata = self.metadata(repository, owner);
        RoleBinding {
            metadata: ObjectMeta { namespace: Some(self.namespace.clone()), ..metadata },
            role_ref: role::cluster_role_ref(self.role()),
            subjects: Some(vec![role::service_account(&self.namespace, &self.name)]),
        }
    }

    /// Gives the account its rights. Says whether it lacked any.
    pub(super) async fn bind(
        &self,
        context: &Context,
        repository: &ConfigRepository,
    ) -> Result<bool, ReconcileError> {
        if self.is_of_fleet() {
            // What belongs to no namespace can't go with what does.
            if !finalizer::is_set(repository) {
                let api: Api<ConfigRepository> =
                    Api::namespaced(context.client.clone(), &self.namespace);
                finalizer::set(&api, repository, true).await?;
            }
            let wanted = self.cluster_binding(repository);
            let api: Api<ClusterRoleBinding> = Api::all(context.client.clone());
            let found = api.get_opt(&wanted.name_any()).await.map_err(unreadable(&wanted))?;
            return grant::keep(&api, found.as_ref(), &wanted).await;
        }
        let wanted = self.binding(repository);
        let api: Api<RoleBinding> = Api::namespaced(context.client.clone(), &self.namespace);
        let found = api.get_opt(&wanted.name_any()).await.map_err(unreadable(&wanted))?;
        grant::keep(&api, found.as_ref(), &wanted).await
    }
}

fn unreadable<K: Resource<DynamicType = ()>>(
    binding: &K,
) -> impl FnOnce(kube::Error) -> ReconcileError {
    ReconcileError::api(format!("read {} {}", K::kind(&()), binding.name_any()))
}

/// Takes the rights of a repository that is being deleted, and lets it go. That of a
/// project goes with its owner.
pub(super) async fn release(
    context: &Context,
    repository: &ConfigRepository,
) -> Result<(), ReconcileError> {
    if !finalizer::is_set(repository) {
        return Ok(());
    }
    let account = Account::of(context, repository);
    let binding = account.cluster_binding(repository);
    let api: Api<ClusterRoleBinding> = Api::all(context.client.clone());
    let found = api.get_opt(&binding.name_any()).await.map_err(unreadable(&binding))?;
    if let Some(found) = found {
        grant::remove(&api, &found).await?;
    }
    let namespace = repository.namespace().unwrap_or_default();
    let api: Api<ConfigRepository> = Api::namespaced(context.client.clone(), &namespace);
    finalizer::set(&api, repository, false).await
}

#[cfg(test)]
mod tests;
