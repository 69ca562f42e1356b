//! HadesProject: keeps the namespace of the project, and gives its members their
//! rights there.

mod members;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, future, stream};
use hades_api::{HadesProject, HadesProjectStatus, condition, label, name, reason};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::{DeleteParams, PostParams};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use crate::driver::{Meta, Progress, ReconcileError, Reconciler};
use crate::{Context, finalizer, sops_keys, status};

/// How soon to look again whether a namespace has gone.
const CLEANUP_POLL: Duration = Duration::from_millis(500);

/// Works on HadesProjects.
pub(crate) struct Projects;

#[async_trait]
impl Reconciler for Projects {
    type Kind = HadesProject;

    fn api(client: &Client, _namespace: Option<&str>) -> Api<HadesProject> {
        Api::all(client.clone())
    }

    fn wakes(
        &self,
        context: &Arc<Context>,
        _store: Store<Meta<HadesProject>>,
    ) -> BoxStream<'static, ObjectRef<Meta<HadesProject>>> {
        let client = &context.client;
        let owned = watcher::Config::default().labels(label::OWNED_BY_PROJECT);
        let keys = watcher::Config::default()
            .fields(&format!("metadata.name={}", sops_keys::of_project()));
        let lent = || watcher::Config::default().labels(label::MEMBERS_OF);
        // Those of others count, too: they say who sees the project.
        let bindings = watcher::Config::default();
        stream::select_all([
            touched(client, owned, |namespace: &Meta<Namespace>| Some(namespace.name_any())),
            touched(client, keys, |secret: &Meta<Secret>| secret.namespace()),
            touched(client, bindings, |binding: &Meta<RoleBinding>| binding.namespace()),
            touched(client, lent(), |role: &Meta<Role>| role.namespace()),
            touched(client, lent(), members_of::<ClusterRole>),
            touched(client, lent(), members_of::<ClusterRoleBinding>),
        ])
        .boxed()
    }

    async fn reconcile(
        &self,
        context: &Arc<Context>,
        project: HadesProject,
    ) -> Result<Progress, ReconcileError> {
        let projects = Self::api(&context.client, None);
        if project.meta().deletion_timestamp.is_some() {
            return clean_up(context, &projects, &project).await;
        }
        if !finalizer::is_set(&project) {
            finalizer::set(&projects, &project, true).await?;
        }
        let verdict = keep_namespace(context, &project).await?;
        match &verdict {
            Ok(()) => members::lend(context, &project).await?,
            Err(_) => members::withdraw(context, &project).await?,
        }
        let before = project.status.clone().unwrap_or_default();
        let mut after = judged(&before, &project, verdict, context.now());
        if condition::find(&after.conditions, condition::STALLED).is_none() {
            keep_key(context, &project, &mut after).await?;
        }
        status::write(context, &projects, &project, &before, &after).await?;
        Ok(Progress::Settled)
    }
}

/// Projects that changes of other objects are about.
fn touched<K, P>(
    client: &Client,
    config: watcher::Config,
    project: P,
) -> BoxStream<'static, ObjectRef<Meta<HadesProject>>>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    Meta<K>: Resource<DynamicType = ()>,
    P: Fn(&Meta<K>) -> Option<String> + Send + 'static,
{
    let api: Api<Meta<K>> = Api::all(client.clone());
    watcher(api, config)
        .default_backoff()
        .touched_objects()
        .filter_map(move |object| {
            let project = object.ok().and_then(|object| project(&object));
            future::ready(project.map(|name| ObjectRef::new(&name)))
        })
        .boxed()
}

fn members_of<K>(grant: &Meta<K>) -> Option<String>
where
    Meta<K>: Resource<DynamicType = ()>,
{
    grant.labels().get(label::MEMBERS_OF).cloned()
}

/// Why a project can't have its namespace.
struct Refusal {
    reason: &'static str,
    message: String,
}

fn judged(
    before: &HadesProjectStatus,
    project: &HadesProject,
    verdict: Result<(), Refusal>,
    now: jiff::Timestamp,
) -> HadesProjectStatus {
    let mut after = before.clone();
    let generation = project.meta().generation;
    after.observed_generation = generation;
    let members = match &verdict {
        Ok(()) => project.spec.members.len(),
        Err(_) => 0,
    };
    after.members = u32::try_from(members).ok();
    let (ready, reason, message) = match verdict {
        Ok(()) => (true, reason::RECONCILED, format!("namespace {} is there", project.name_any())),
        Err(refusal) => (false, refusal.reason, refusal.message),
    };
    let value = |type_, status| condition::Value {
        type_,
        status,
        reason: reason.to_owned(),
        message: message.clone(),
    };
    condition::set(&mut after.conditions, value(condition::READY, ready), generation, now);
    if ready {
        condition::clear(&mut after.conditions, condition::STALLED);
    } else {
        condition::set(&mut after.conditions, value(condition::STALLED, true), generation, now);
    }
    after
}

async fn keep_namespace(
    context: &Context,
    project: &HadesProject,
) -> Result<Result<(), Refusal>, ReconcileError> {
    let name = project.name_any();
    if name::is_reserved(&name) {
        let message = format!("{name} is reserved: choose another name for the project");
        return Ok(Err(Refusal { reason: reason::RESERVED_NAME, message }));
    }
    let namespaces: Api<Namespace> = Api::all(context.client.clone());
    let found = namespaces
        .get_opt(&name)
        .await
        .map_err(ReconcileError::api(format!("read namespace {name}")))?;
    match found {
        None => create_namespace(&namespaces, &name).await.map(Ok),
        Some(namespace) if namespace.labels().get(label::OWNED_BY_PROJECT) == Some(&name) => {
            Ok(Ok(()))
        }
        Some(_) => {
            let message = format!(
                "namespace {name} is there already and wasn't made for this project; \
                 to hand it over: kubectl label namespace {name} {}={name}",
                label::OWNED_BY_PROJECT
            );
            Ok(Err(Refusal { reason: reason::NAMESPACE_CONFLICT, message }))
        }
    }
}

async fn create_namespace(namespaces: &Api<Namespace>, name: &str) -> Result<(), ReconcileError> {
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(name.to_owned());
    namespace.metadata.labels =
        Some(BTreeMap::from([(label::OWNED_BY_PROJECT.to_owned(), name.to_owned())]));
    match namespaces.create(&PostParams::default(), &namespace).await {
        Ok(_) => Ok(()),
        // Somebody else was quicker: the next pass judges what there is.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(ReconcileError::api(format!("create namespace {name}"))(error)),
    }
}

/// Keeps the key that opens files for all repositories of the project, and says whom to
/// seal to. A project is ready without.
async fn keep_key(
    context: &Context,
    project: &HadesProject,
    status: &mut HadesProjectStatus,
) -> Result<(), ReconcileError> {
    let kept = sops_keys::keep(context, &project.name_any(), sops_keys::of_project()).await?;
    let before = status.sops_recipient.take();
    match kept {
        Ok(keys) => status.sops_recipient = keys.recipients().first().map(ToString::to_string),
        Err(sops_keys::Refusal { reason, message }) => {
            context.events.warning(project, reason, "SopsKey", message).await;
        }
    }
    if let (Some(before), Some(now)) = (before, &status.sops_recipient)
        && before != *now
    {
        let note = format!(
            "the key of the project is another one: seal to {now}; what was sealed to {before} \
             opens no more"
        );
        context.events.warning(project, reason::SOPS_KEY_CHANGED, "SopsKey", note).await;
    }
    Ok(())
}

async fn clean_up(
    context: &Context,
    projects: &Api<HadesProject>,
    project: &HadesProject,
) -> Result<Progress, ReconcileError> {
    let name = project.name_any();
    let namespaces: Api<Namespace> = Api::all(context.client.clone());
    let found = namespaces
        .get_opt(&name)
        .await
        .map_err(ReconcileError::api(format!("read namespace {name}")))?;
    let owned =
        found.filter(|namespace| namespace.labels().get(label::OWNED_BY_PROJECT) == Some(&name));
    if let Some(namespace) = owned {
        if namespace.metadata.deletion_timestamp.is_none() {
            namespaces
                .delete(&name, &DeleteParams::default())
                .await
                .map_err(ReconcileError::api(format!("delete namespace {name}")))?;
        }
        return Ok(Progress::After(CLEANUP_POLL));
    }
    finalizer::set(projects, project, false).await?;
    Ok(Progress::Gone)
}
