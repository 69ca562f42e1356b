//! Gather: everything that a plan is made from, read once per pass.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::{join_all, try_join_all};
use hades_api::name::EnvironmentName;
use hades_api::{
    DockerHost, DockerHostSpec, Environment, EnvironmentSpec, EnvironmentTemplate, HadesProject,
    HadesProjectSpec, Health, PolicyImage, SOPS_AGE_TYPE, annotation, reason,
};
use hades_plan::policy::{Rules, Usage, kept_volumes};
use hades_plan::{
    Current, Desired, HostSnapshot, HostView, Inputs, Observed, SecretData, SpecError,
    SpecErrorKind, merge, naming, needs, resolve,
};
use hades_provider::{ErrorClass, Provider, ProviderError};
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use super::quota;
use crate::Context;
use crate::driver::ReconcileError;
use crate::health::{Known, Watch};
use crate::images::{self, Machines, PullKeys, Want, pull_keys};

/// A look that fails within this time costs little to be tried again.
const AT_ONCE: Duration = Duration::from_secs(2);

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
    /// With whose credentials images are pulled.
    pub(crate) pull_keys: PullKeys,
    /// What image policies have led to.
    pub(crate) policies: Vec<PolicyImage>,
    /// What registries are to be asked.
    pub(crate) wants: Vec<Want>,
}

impl Gathered {
    /// Hosts that were looked at, or would have been if they were there.
    pub(crate) fn hosts(&self) -> BTreeSet<String> {
        self.observed.hosts.keys().chain(&self.missing_hosts).cloned().collect()
    }

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
            SpecErrorKind::PolicyViolation => reason::POLICY_VIOLATION,
        };
        Self { reason, field: error.field, message: error.message }
    }
}

/// Reads what `environment` refers to and what is on its hosts.
pub(crate) async fn gather(
    context: &Context,
    environment: &Environment,
) -> Result<Result<Gathered, Vec<Fault>>, ReconcileError> {
    let name = environment.namespace().unwrap_or_default();
    let project = project(context, &name).await?.map(|project| project.spec);
    let template = match template(context, environment, &BTreeMap::new()).await? {
        Ok(template) => template,
        Err(fault) => return Ok(Err(vec![fault])),
    };
    assemble(context, environment, template, project.unwrap_or_default(), true).await
}

/// As [`gather`] for a plan that isn't carried out, with template and project
/// already at hand.
pub(crate) async fn gather_with(
    context: &Context,
    environment: &Environment,
    template: Option<EnvironmentTemplate>,
    of_project: HadesProjectSpec,
) -> Result<Result<Gathered, Vec<Fault>>, ReconcileError> {
    assemble(context, environment, template, of_project, false).await
}

/// `follow`: what is desired is to be checked from now on.
async fn assemble(
    context: &Context,
    environment: &Environment,
    template: Option<EnvironmentTemplate>,
    of_project: HadesProjectSpec,
    follow: bool,
) -> Result<Result<Gathered, Vec<Fault>>, ReconcileError> {
    let project = environment.namespace().unwrap_or_default();
    let spec = merged(environment, template.as_ref());
    let hosts = hosts(context).await?;
    let mut needed = needs(&spec, &hosts.labels);
    needed.add_variables(&of_project.env);
    let secrets = secrets(context, &project, &needed.secrets).await?;
    let status = environment.status.clone().unwrap_or_default();
    let suspended = spec.suspend.unwrap_or(false) || of_project.suspend.unwrap_or(false);
    let policy = of_project.policy.clone().unwrap_or_default();
    let others = quota::others(context, environment, &policy).await?;
    let pull_keys = match pull_keys(context, &project, &spec, &secrets, &policy).await? {
        Ok(pull_keys) => pull_keys,
        Err(faults) => return Ok(Err(faults)),
    };
    let poller = &context.images.poller;
    let machines = Machines { specs: &hosts.specs, labels: &hosts.labels };
    let recorded_images = &status.image_policies;
    let (found, mut wants) =
        images::found(poller, &spec, recorded_images, &pull_keys, machines, context.now());
    let wanted: BTreeSet<String> = needed.hosts.into_iter().chain(recorded(environment)).collect();
    let mut look = observe(context, &hosts.specs, wanted).await;
    let name = EnvironmentName::new(project.clone(), environment.name_any());
    let fingerprint = |value: &str| (context.fingerprint)(&project, value);
    let current = Current::new(&name, &context.installation, &look.observed, &status.resources);
    let kept_volumes = kept_volumes(&name, &spec, &status.resources);
    let inputs = Inputs {
        environment: name,
        uid: &environment.uid().unwrap_or_default(),
        installation: &context.installation,
        spec: &spec,
        project_env: &of_project.env,
        annotations: environment.annotations(),
        hosts: &hosts.specs,
        host_labels: &hosts.labels,
        current: &current,
        secrets: &secrets,
        pins: &status.images,
        found: &found,
        rules: Some(Rules {
            policy: &policy,
            others,
            before: Some(Usage::there(&status.resources)),
            kept_volumes,
        }),
        fingerprint: &fingerprint,
    };
    let mut desired = match resolve(&inputs) {
        Ok(desired) => desired,
        Err(errors) => return Ok(Err(errors.into_iter().map(Fault::from).collect())),
    };
    let request = environment.annotations().get(annotation::RECONCILE_REQUESTED_AT);
    desired.retry = request.is_some() && request != status.last_handled_reconcile_at.as_ref();
    let known = |host: &str, name: &str| {
        let found = status.resources.iter().find(|found| found.host == host && found.name == name);
        found.map_or_else(Known::default, |found| Known {
            healthy: found.health == Health::Healthy,
            failure: found.failure.clone(),
        })
    };
    let watch = if follow { Watch::Follow(&look.providers) } else { Watch::Peek };
    context.monitor.lay(&desired, watch, &known, &mut look.observed);
    wants.extend(images::agree(poller, &mut desired, &look.observed, &pull_keys, machines));
    let mut gathered = gathered(desired, look, suspended);
    (gathered.pull_keys, gathered.policies, gathered.wants) = (pull_keys, found.policies, wants);
    Ok(Ok(gathered))
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
        &hosts.specs,
    );
    let mut wanted: BTreeSet<String> = recorded(environment).collect();
    // A host that the spec names but the status doesn't: nothing was made there
    // if it isn't known, so only known ones are looked at.
    let named = needs(&spec, &hosts.labels).hosts.into_iter();
    wanted.extend(named.filter(|host| hosts.specs.contains_key(host)));
    let look = observe(context, &hosts.specs, wanted).await;
    Ok(gathered(desired, look, false))
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

/// Every DockerHost there is, by name.
struct Hosts {
    specs: BTreeMap<String, DockerHostSpec>,
    labels: BTreeMap<String, BTreeMap<String, String>>,
}

async fn hosts(context: &Context) -> Result<Hosts, ReconcileError> {
    let api: Api<DockerHost> = Api::all(context.client.clone());
    let list =
        api.list(&ListParams::default()).await.map_err(ReconcileError::api("list DockerHosts"))?;
    let mut hosts = Hosts { specs: BTreeMap::new(), labels: BTreeMap::new() };
    for host in list {
        hosts.labels.insert(host.name_any(), host.labels().clone());
        hosts.specs.insert(host.name_any(), host.spec);
    }
    Ok(hosts)
}

/// The Secrets of these names in a namespace, without those that aren't there. Keys for
/// sealed files aren't there for anybody: a container could show them.
pub(crate) async fn secrets(
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
            let is_lent = |secret: &Secret| secret.type_.as_deref() != Some(SOPS_AGE_TYPE);
            let secret = secret.filter(is_lent).map(|secret| (name.clone(), data(secret)));
            Ok::<_, ReconcileError>(secret)
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

/// The project of that name; environments may be in namespaces that have none.
pub(crate) async fn project(
    context: &Context,
    name: &str,
) -> Result<Option<HadesProject>, ReconcileError> {
    let projects: Api<HadesProject> = Api::all(context.client.clone());
    projects.get_opt(name).await.map_err(ReconcileError::api(format!("read HadesProject {name}")))
}

/// What is on the hosts.
struct Look {
    providers: BTreeMap<String, Arc<dyn Provider>>,
    observed: Observed,
    missing_hosts: Vec<String>,
}

async fn observe(
    context: &Context,
    specs: &BTreeMap<String, DockerHostSpec>,
    wanted: BTreeSet<String>,
) -> Look {
    let (mut providers, mut views) = (BTreeMap::new(), BTreeMap::new());
    let mut missing_hosts = Vec::new();
    for host in wanted {
        let Some(spec) = specs.get(&host) else {
            missing_hosts.push(host);
            continue;
        };
        match context.hosts.get(&host, spec).await {
            Ok(provider) => {
                providers.insert(host, provider);
            }
            Err(error) => {
                views.insert(host, unreachable(context, &error));
            }
        }
    }
    let snapshots = providers.iter().map(|(host, provider)| async move {
        let view = match look(&**provider).await {
            Ok(snapshot) => HostView::Snapshot(snapshot),
            Err(error) => unreachable(context, &error),
        };
        (host.clone(), view)
    });
    views.extend(join_all(snapshots).await);
    let observed = Observed { hosts: views, full_disks: context.images.full_disks() };
    Look { providers, observed, missing_hosts }
}

/// The words of an engine and of what leads there are about the credentials of its
/// DockerHost; nothing of them is a project's to choose.
fn unreachable(context: &Context, error: &ProviderError) -> HostView {
    HostView::Unreachable { message: context.system_redactor().text(&error.message).into_owned() }
}

fn gathered(desired: Desired, look: Look, suspended: bool) -> Gathered {
    let Look { providers, observed, missing_hosts } = look;
    let fingerprint = fingerprint(&desired);
    Gathered {
        desired,
        observed,
        providers,
        suspended,
        fingerprint,
        missing_hosts,
        pull_keys: PullKeys::default(),
        policies: Vec::new(),
        wants: Vec::new(),
    }
}

/// One failed look is not an outage: a connection that was lost since the last one
/// is noticed by the first call on it. What took long isn't tried again.
async fn look(provider: &dyn Provider) -> Result<Arc<HostSnapshot>, ProviderError> {
    let started = Instant::now();
    match provider.observe().await {
        Err(error) if error.class == ErrorClass::Unreachable && started.elapsed() < AT_ONCE => {
            provider.observe().await
        }
        outcome => outcome,
    }
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
