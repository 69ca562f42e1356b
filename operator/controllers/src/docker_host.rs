//! DockerHost: keeps a connection and says what the engine is.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hades_api::{Capacity, DockerHost, DockerHostStatus, condition, label, reason};
use hades_provider::{HostInfo, Provider, ProviderError};
use jiff::Timestamp;
use kube::{Api, Client, Resource, ResourceExt};

use crate::driver::{Progress, ReconcileError, Reconciler};
use crate::{Context, images, status};

/// How often a host is looked at that nothing else speaks with.
const PROBE: Duration = Duration::from_secs(15);
/// How soon a host that didn't answer is tried again.
const RETRY: Duration = Duration::from_secs(3);

/// Works on DockerHosts.
pub(crate) struct DockerHosts;

/// What a probe found.
struct Found {
    info: HostInfo,
    containers: u32,
}

#[async_trait]
impl Reconciler for DockerHosts {
    type Kind = DockerHost;

    fn api(client: &Client, _namespace: Option<&str>) -> Api<DockerHost> {
        Api::all(client.clone())
    }

    async fn reconcile(
        &self,
        context: &Arc<Context>,
        host: DockerHost,
    ) -> Result<Progress, ReconcileError> {
        let name = host.name_any();
        if host.meta().deletion_timestamp.is_some() {
            return Ok(Progress::Gone);
        }
        let connected = context.hosts.get(&name, &host.spec.endpoint);
        let found = match &connected {
            Ok(provider) => probe(&**provider, &context.installation).await,
            Err(error) => Err(error.clone()),
        };
        let before = host.status.clone().unwrap_or_default();
        let mut after = judged(&before, &host, &found, context.now());
        if let (Ok(provider), Ok(_)) = (&connected, &found) {
            images::tend(context, &host, &**provider, &mut after).await?;
        }
        let was = is_ready(&before);
        let is = is_ready(&after);
        if was != is || before.observed_generation != after.observed_generation {
            tell(context, &host, &found).await;
            context.hosts.wake(&name);
        }
        status::write(&Self::api(&context.client, None), &host, &before, &after).await?;
        Ok(Progress::After(if is { PROBE } else { RETRY }))
    }

    async fn forget(&self, context: &Arc<Context>, _namespace: Option<&str>, name: &str) {
        context.hosts.forget(name);
        context.hosts.wake(name);
    }
}

async fn probe(provider: &dyn Provider, installation: &str) -> Result<Found, ProviderError> {
    let info = provider.describe().await?;
    let snapshot = provider.observe().await?;
    let ours = |labels: &std::collections::BTreeMap<String, String>| {
        labels.get(label::INSTALLATION).is_some_and(|found| found == installation)
    };
    let containers = snapshot.containers.iter().filter(|c| ours(&c.labels)).count();
    Ok(Found { info, containers: u32::try_from(containers).unwrap_or(u32::MAX) })
}

fn is_ready(status: &DockerHostStatus) -> bool {
    condition::find(&status.conditions, condition::READY).is_some_and(|c| c.status == "True")
}

fn judged(
    before: &DockerHostStatus,
    host: &DockerHost,
    found: &Result<Found, ProviderError>,
    now: Timestamp,
) -> DockerHostStatus {
    let mut after = before.clone();
    let generation = host.meta().generation;
    after.observed_generation = generation;
    let (ready, reason, message) = match found {
        Ok(found) => {
            after.version = Some(found.info.version.clone());
            after.capacity = Some(Capacity { cpus: found.info.cpus, memory: found.info.memory });
            after.containers = Some(found.containers);
            (true, reason::REACHABLE, format!("Docker {} answers", found.info.version))
        }
        Err(error) => (false, error.reason, error.message.clone()),
    };
    let value = condition::Value {
        type_: condition::READY,
        status: ready,
        reason: reason.to_owned(),
        message,
    };
    condition::set(&mut after.conditions, value, generation, now);
    after
}

async fn tell(context: &Context, host: &DockerHost, found: &Result<Found, ProviderError>) {
    match found {
        Ok(found) => {
            let note = format!(
                "Docker {} answers: {} processors, {} MiB of memory",
                found.info.version,
                found.info.cpus,
                found.info.memory / (1024 * 1024)
            );
            context.events.normal(host, reason::REACHABLE, "Probe", note).await;
        }
        Err(error) => {
            context.events.warning(host, error.reason, "Probe", error.message.clone()).await;
        }
    }
}
