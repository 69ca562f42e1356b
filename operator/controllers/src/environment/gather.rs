//! Gather: everything that a plan is made from, read once per pass.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::{join_all, try_join_all};
use hades_api::name::EnvironmentName;
use hades_api::{
    DockerHost, DockerHostSpec, Environment, EnvironmentSpec, EnvironmentTemplate, HadesProject,
    PinnedImage, reason,
};
use hades_plan::{
    Desired, HostView, Inputs, Observed, SecretData, SpecError, SpecErrorKind, merge, naming,
    needs, resolve,
};
use hades_provider::Provider;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use crate::Context;
use crate::driver::ReconcileError;

/// All that a plan is made from.
pub(crate) struct Gathered {
    pub(crate) desired: Desired,
    pub(crate) observed: Observed,
    pub(crate) providers: BTreeMap<String, Arc<dyn Provider>>,
    /// The environment or its project is suspended.
    pub(crate) suspended: bool,
    /// The same as long as the same is desired.
    pub(crate) fingerprint: String,
    /// Hosts that things were made on and that are no DockerHosts any more.
    pub(crate) missing_hosts: Vec<String>,
}

impl Gathered {
    /// Hosts that can't be looked at now: unreachable ones and those that are no
    /// DockerHosts any more.
    pub(crate) fn unseen_hosts(&self) -> BTreeSet<String> {
        let unreachable = self.observed.hosts.iter().filter_map(|(host, view)| match view {
            HostView::Unreachable { .. } => Some(host.clone()),
            HostView::Snapshot(_) => None,
        });
        unreachable.chain(self.missing_hosts.iter().cloned()).collect()
    }
}

/// Something that keeps an environment from being planned at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) reason: &'static str,
    pub(crate) field: String,
    pub(crate) message: String,
}

impl From<SpecError> for Fault {
    fn from(error: SpecError) -> Self {
        let reason = match error.kind {
            SpecErrorKind::Invalid => reason::INVALID_SPEC,
            SpecErrorKind::HostNotFound => reason::HOST_NOT_FOUND,
            SpecErrorKind::SecretNotFound => reason::SECRET_NOT_FOUND,
        };
        Self { reason, field: error.field, message: error.message }
    }
}

/// Reads what `environment` refers to and what is on its hosts.
pub(crate) async fn gather(
    context: &Context,
    environment: &Environment,
) -> Result<Result<Gathered, Vec<Fault>>, ReconcileError> {
    let template = match template(context, environment, &BTreeMap::new()).await? {
        Ok(template) => template,
        Err(fault) => return Ok(Err(vec![fault])),
    };
    gather_with(context, environment, template).await
}

/// As [`gather`], with the template already at hand.
pub(crate) async fn gather_with(
    context: &Context,
    environment: &Environment,
    template: Option<EnvironmentTemplate>,
) -> Result<Result<Gathered, Vec<Fault>>, ReconcileError> {
    let project = environment.namespace().unwrap_or_default();
    let spec = merged(environment, template.as_ref());
    let needed = needs(&spec);
    let hosts = hosts(context).await?;
    let secrets = secrets(context, &project, &needed.secrets).await?;
    let pins: Vec<PinnedImage> =
        environment.status.as_ref().map(|status| status.images.clone()).unwrap_or_default();
    let suspended =
        spec.suspend.unwrap_or(false) || project_is_suspended(context, &project).await?;
    let inputs = Inputs {
        environment: EnvironmentName::new(project.clone(), environment.name_any()),
        uid: &environment.uid().unwrap_or_default(),
        installation: &context.installation,
        spec: &spec,
        annotations: environment.annotations(),
        hosts: &hosts,
        secrets: &secrets,
        pins: &pins,
        fingerprint: &*context.fingerprint,
    };
    let desired = match resolve(&inputs) {
        Ok(desired) => desired,
        Err(errors) => return Ok(Err(errors.into_iter().map(Fault::from).collect())),
    };
    let wanted: BTreeSet<String> = needed.hosts.into_iter().chain(recorded(environment)).collect();
    Ok(Ok(observe(context, desired, &hosts, wanted, suspended).await))
}

/// Reads what is needed to remove all that `environment` made.
pub(crate) async fn for_deletion(
    context: &Context,
    environment: &Environment,
) -> Result<Gathered, ReconcileError> {
    let project = environment.namespace().unwrap_or_default();
    // Without its template an environment can still be removed.
    let template = template(context, environment, &BTreeMap::new()).await?.ok().flatten();
    let mut spec = merged(environment, template.as_ref());
    if template.is_none() {
        recall_policies(&mut spec, environment);
    }
    let hosts = hosts(context).await?;
    let desired = Desired::for_deletion(
        EnvironmentName::new(project, environment.name_any()),
        &environment.uid().unwrap_or_default(),
        &context.installation,
        &spec,
        &hosts,
    );
    let mut wanted: BTreeSet<String> = recorded(environment).collect();
    // A host that the spec names but the status doesn't: nothing was made there
    // if it isn't known, so only known ones are looked at.
    wanted.extend(needs(&spec).hosts.into_iter().filter(|host| hosts.contains_key(host)));
    Ok(observe(context, desired, &hosts, wanted, false).await)
}

/// What a template that is gone said of volumes, as the status remembers it.
fn recall_policies(spec: &mut EnvironmentSpec, environment: &Environment) {
    let name =
        EnvironmentName::new(environment.namespace().unwrap_or_default(), environment.name_any());
    let prefix = naming::volume(&name, "");
    for found in environment.status.iter().flat_map(|status| &status.resources) {
        let Some(policy) = found.deletion_policy else { continue };
        if let Some(key) = found.name.strip_prefix(&prefix) {
            let volume = spec.volumes.entry(key.to_owned()).or_default();
            volume.deletion_policy.get_or_insert(policy);
        }
    }
}

/// Hosts that the status says things were made on.
fn recorded(environment: &Environment) -> impl Iterator<Item = String> + '_ {
    environment.status.iter().flat_map(|status| &status.resources).map(|found| found.host.clone())
}

fn merged(environment: &Environment, template: Option<&EnvironmentTemplate>) -> EnvironmentSpec {
    match template {
        Some(template) => merge(&template.spec, &environment.spec),
        None => environment.spec.clone(),
    }
}

/// The template that an environment names; `instead` goes before what is stored.
pub(crate) async fn template(
    context: &Context,
    environment: &Environment,
    instead: &BTreeMap<String, EnvironmentTemplate>,
) -> Result<Result<Option<EnvironmentTemplate>, Fault>, ReconcileError> {
    let Some(reference) = &environment.spec.template_ref else { return Ok(Ok(None)) };
    if let Some(template) = instead.get(&reference.name) {
        return Ok(Ok(Some(template.clone())));
    }
    let project = environment.namespace().unwrap_or_default();
    let templates: Api<EnvironmentTemplate> = Api::namespaced(context.client.clone(), &project);
    let found = templates
        .get_opt(&reference.name)
        .await
        .map_err(ReconcileError::api(format!("read template {project}/{}", reference.name)))?;
    if found.is_some() {
        return Ok(Ok(found));
    }
    let known = templates
        .list_metadata(&ListParams::default())
        .await
        .map_err(ReconcileError::api(format!("list templates of {project}")))?;
    let known: Vec<String> = known.iter().map(ResourceExt::name_any).collect();
    let hint = match known.is_empty() {
        true => format!("project {project} has no EnvironmentTemplate"),
        false => format!("project {project} has: {}", known.join(", ")),
    };
    Ok(Err(Fault {
        reason: reason::TEMPLATE_NOT_FOUND,
        field: "spec.templateRef.name".to_owned(),
        message: format!("there is no EnvironmentTemplate {:?}; {hint}", reference.name),
    }))
}

async fn hosts(context: &Context) -> Result<BTreeMap<String, DockerHostSpec>, ReconcileError> {
    let hosts: Api<DockerHost> = Api::all(context.client.clone());
    let list = hosts
        .list(&ListParams::default())
        .await
        .map_err(ReconcileError::api("list DockerHosts"))?;
    Ok(list.into_iter().map(|host| (host.name_any(), host.spec)).collect())
}

async fn secrets(
    context: &Context,
    project: &str,
    names: &BTreeSet<String>,
) -> Result<BTreeMap<String, SecretData>, ReconcileError> {
    let api: Api<Secret> = Api::namespaced(context.client.clone(), project);
    let reads = names.iter().map(|name| {
        let api = api.clone();
        async move {
            let secret = api
                .get_opt(name)
                .await
                .map_err(ReconcileError::api(format!("read Secret {project}/{name}")))?;
            Ok::<_, ReconcileError>(secret.map(|secret| (name.clone(), data(secret))))
        }
    });
    Ok(try_join_all(reads).await?.into_iter().flatten().collect())
}

/// The values that are text; others can't be environment variables.
fn data(secret: Secret) -> SecretData {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).ok().map(SecretString::from);
    SecretData(
        secret
            .data
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(key, value)| Some((key, text(value.0)?)))
            .collect(),
    )
}

async fn project_is_suspended(context: &Context, project: &str) -> Result<bool, ReconcileError> {
    let projects: Api<HadesProject> = Api::all(context.client.clone());
    let found = projects
        .get_opt(project)
        .await
        .map_err(ReconcileError::api(format!("read HadesProject {project}")))?;
    Ok(found.is_some_and(|project| project.spec.suspend.unwrap_or(false)))
}

async fn observe(
    context: &Context,
    desired: Desired,
    specs: &BTreeMap<String, DockerHostSpec>,
    wanted: BTreeSet<String>,
    suspended: bool,
) -> Gathered {
    let (mut providers, mut views) = (BTreeMap::new(), BTreeMap::new());
    let mut missing_hosts = Vec::new();
    for host in wanted {
        let Some(spec) = specs.get(&host) else {
            missing_hosts.push(host);
            continue;
        };
        match context.hosts.get(&host, &spec.endpoint) {
            Ok(provider) => {
                providers.insert(host, provider);
            }
            Err(error) => {
                views.insert(host, HostView::Unreachable { message: error.message });
            }
        }
    }
    let snapshots = providers.iter().map(|(host, provider)| async move {
        let view = match provider.observe().await {
            Ok(snapshot) => HostView::Snapshot(snapshot),
            Err(error) => HostView::Unreachable { message: error.message },
        };
        (host.clone(), view)
    });
    views.extend(join_all(snapshots).await);
    let fingerprint = fingerprint(&desired);
    let observed = Observed { hosts: views };
    Gathered { desired, observed, providers, suspended, fingerprint, missing_hosts }
}

fn fingerprint(desired: &Desired) -> String {
    let mut hash = Sha256::new();
    for container in &desired.containers {
        hash.update(container.host.as_bytes());
        hash.update([0]);
        hash.update(container.name.as_bytes());
        hash.update([0]);
    }
    for volume in &desired.volumes {
        hash.update(volume.host.as_bytes());
        hash.update([0]);
        hash.update(volume.name.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
