//! DockerHost: keeps a connection and says what the engine is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use hades_api::{Capacity, DockerHost, DockerHostStatus, condition, label, reason};
use hades_provider::{ErrorClass, HostInfo, Provider, ProviderError};
use jiff::Timestamp;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, Resource, ResourceExt};
use serde::{Deserialize, Serialize};

use crate::driver::{Meta, Progress, ReconcileError, Reconciler};
use crate::reachability::{FAILURES, Streak, Verdict, needs_a_person};
use crate::redaction::redact;
use crate::{Context, error_chain, images, status, system_secrets};

/// How often a host is looked at that nothing else speaks with.
const PROBE: Duration = Duration::from_secs(15);
/// How soon a host is tried again that didn't answer, or just does again.
const RETRY: Duration = Duration::from_secs(3);
/// How soon one is tried again that a person must see to. What that person
/// changes here wakes it at once; what is changed on the host is seen then.
const REFUSED: Duration = Duration::from_secs(30);
/// How long a probe may take: more than an SSH login, which says better what is wrong.
const PROBE_LIMIT: Duration = Duration::from_secs(20);

/// Works on DockerHosts.
#[derive(Default)]
pub(crate) struct DockerHosts {
    /// The latest probes, by name; may be lost at any time.
    streaks: Mutex<HashMap<String, Streak>>,
}

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

    /// Keys and certificates that are changed are taken up at once.
    fn wakes(
        &self,
        context: &Arc<Context>,
        store: Store<Meta<DockerHost>>,
    ) -> BoxStream<'static, ObjectRef<Meta<DockerHost>>> {
        system_secrets::wakes(&context.client, store)
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
        let connected = context.hosts.renew(&name, &host.spec).await;
        let found = match &connected {
            Ok(provider) => probe(&**provider, &context.installation).await,
            Err(error) => Err(error.clone()),
        };
        // It is told in environments too.
        let found = found.map_err(|mut error| {
            redact(&context.system_redactor(), &mut error);
            error
        });
        let before = host.status.clone().unwrap_or_default();
        let is_news = before.observed_generation != host.meta().generation;
        let was_up = if is_news { None } else { readiness(&before) };
        let verdict = self.judge(&host, was_up, &found);
        let outage = match (&found, verdict) {
            (Err(error), Verdict::Down) => Some(error.clone()),
            (Ok(_), Verdict::Returning) => Some(returning()),
            _ => None,
        };
        context.hosts.set_outage(&name, outage);
        let mut after = judged(&before, &host, &found, verdict, context.now());
        let answering = connected.as_ref().ok().filter(|_| found.is_ok());
        let mut disk = None;
        if let Some(provider) = answering {
            disk = Some(images::see_to_disk(context, &host, &**provider, &mut after).await);
        }
        if is_news || was_up != Some(verdict.is_up()) {
            tell(context, &host, &found).await;
            if is_news { context.hosts.wake_all() } else { context.hosts.wake(&name) }
        }
        status::write(context, &Self::api(&context.client, None), &host, &before, &after).await?;
        // Last, as it takes its time, and nothing of the probe depends on it.
        if let (Some(provider), Some(level)) = (answering, disk)
            && let Err(error) = images::tend(context, &host, &**provider, level).await
        {
            tracing::warn!(host = name, error = error_chain(&error), "images are not tended");
        }
        Ok(Progress::After(match (&found, verdict) {
            (_, Verdict::Up) => PROBE,
            (Err(error), _) if needs_a_person(error) => REFUSED,
            _ => RETRY,
        }))
    }

    async fn forget(&self, context: &Arc<Context>, _namespace: Option<&str>, name: &str) {
        self.streaks.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        context.hosts.forget(name);
        context.monitor.forget_host(name);
        context.hosts.wake(name);
    }
}

impl DockerHosts {
    fn judge(
        &self,
        host: &DockerHost,
        was_up: Option<bool>,
        found: &Result<Found, ProviderError>,
    ) -> Verdict {
        let mut streaks = self.streaks.lock().unwrap_or_else(PoisonError::into_inner);
        let streak = streaks.entry(host.name_any()).or_default();
        streak.judge(was_up, found.as_ref().map(|_| ()))
    }
}

async fn probe(provider: &dyn Provider, installation: &str) -> Result<Found, ProviderError> {
    let look = async {
        let info = provider.describe().await?;
        let snapshot = provider.observe().await?;
        let ours = |labels: &std::collections::BTreeMap<String, String>| {
            labels.get(label::INSTALLATION).is_some_and(|found| found == installation)
        };
        let containers = snapshot.containers.iter().filter(|c| ours(&c.labels)).count();
        Ok(Found { info, containers: u32::try_from(containers).unwrap_or(u32::MAX) })
    };
    tokio::time::timeout(PROBE_LIMIT, look).await.unwrap_or_else(|_| {
        let words = format!("no answer to a probe within {} s", PROBE_LIMIT.as_secs());
        Err(ProviderError::new(ErrorClass::Unreachable, reason::HOST_UNREACHABLE, words))
    })
}

fn returning() -> ProviderError {
    ProviderError::new(
        ErrorClass::Unreachable,
        reason::HOST_UNREACHABLE,
        "it has just answered again; it is used after the next probe that it answers",
    )
}

/// Whether it was found to answer; none when it wasn't probed yet.
fn readiness(status: &DockerHostStatus) -> Option<bool> {
    condition::find(&status.conditions, condition::READY).map(|c| c.status == "True")
}

fn judged(
    before: &DockerHostStatus,
    host: &DockerHost,
    found: &Result<Found, ProviderError>,
    verdict: Verdict,
    now: Timestamp,
) -> DockerHostStatus {
    let mut after = before.clone();
    let generation = host.meta().generation;
    after.observed_generation = generation;
    if let Ok(found) = found {
        after.version = Some(found.info.version.clone());
        after.capacity = Some(Capacity { cpus: found.info.cpus, memory: found.info.memory });
        after.containers = Some(found.containers);
    }
    let (reason, message) = match (found, verdict) {
        (Ok(_), Verdict::Returning) => (reason::HOST_UNREACHABLE, returning().message),
        (Ok(found), _) => (reason::REACHABLE, format!("Docker {} answers", found.info.version)),
        (Err(error), Verdict::Doubtful(failed)) => (
            reason::REACHABLE,
            format!("{failed} of {FAILURES} probes in a row failed: {}", error.message),
        ),
        (Err(error), _) => (error.reason, error.message.clone()),
    };
    let value = condition::Value {
        type_: condition::READY,
        status: verdict.is_up(),
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

/// What a test of a host found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostTest {
    /// What the engine is, when it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<HostInfo>,
    /// How long a call took on the open connection, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip: Option<u64>,
    /// A word of [`hades_api::reason`], when it didn't answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it didn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Connects to a host anew, whatever is known of it, and says what came of it.
/// None when there is no such host.
///
/// # Errors
/// When the API server doesn't answer.
pub async fn test(context: &Context, name: &str) -> Result<Option<HostTest>, ReconcileError> {
    let hosts: Api<DockerHost> = Api::all(context.client.clone());
    let found = hosts
        .get_opt(name)
        .await
        .map_err(ReconcileError::api(format!("read DockerHost {name}")))?;
    let Some(host) = found else { return Ok(None) };
    let tried = async {
        let provider = context.hosts.fresh(&host.spec).await?;
        provider.describe().await?;
        let started = std::time::Instant::now();
        let info = provider.describe().await?;
        Ok::<_, ProviderError>((info, started.elapsed()))
    };
    Ok(Some(match tried.await {
        Ok((info, took)) => HostTest {
            info: Some(info),
            round_trip: Some(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
            ..HostTest::default()
        },
        Err(mut error) => HostTest {
            reason: Some(error.reason.to_owned()),
            message: Some({
                redact(&context.system_redactor(), &mut error);
                error.message
            }),
            ..HostTest::default()
        },
    }))
}
