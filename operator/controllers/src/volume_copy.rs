//! Copies a volume of an environment to another host, through this server.
//!
//! The copy gets the name and the labels that the environment's volume has
//! there, so that a service that is moved to the host finds its data. The source
//! is never touched.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use hades_api::name::EnvironmentName;
use hades_api::{DockerHost, Environment, label};
use hades_plan::naming;
use hades_plan::policy::allows_host;
use hades_provider::{NewVolume, Provider, ProviderError};
use kube::{Api, ResourceExt};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::Context;
use crate::driver::ReconcileError;
use crate::environment::gather;

/// How often progress is told.
const TELL: Duration = Duration::from_millis(500);
/// Progress kept for a caller who is busy.
const KEPT: usize = 16;

/// What to copy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeCopy {
    /// Key of the volume in `spec.volumes`.
    pub volume: String,
    /// DockerHost that gets the copy.
    pub to: String,
    /// DockerHost that has it; needed when several do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Also while a container writes to it.
    #[serde(default)]
    pub live: bool,
}

/// How a copy gets on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CopyProgress {
    /// Bytes copied so far.
    pub bytes: u64,
    /// It is whole.
    pub done: bool,
    /// Why it came to nothing; nothing is left on the target then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl CopyProgress {
    fn failed(error: impl Into<String>) -> Self {
        Self { error: Some(error.into()), ..Self::default() }
    }
}

/// The volumes that are being copied, on both of their hosts: two copies would meet
/// in the container that a volume is mounted by, or in the volume.
#[derive(Clone, Default)]
pub(crate) struct Copies(Arc<Mutex<BTreeSet<(String, String)>>>);

impl Copies {
    /// Notes that a volume is copied between these hosts, until the answer is
    /// dropped; none when it is being copied on one of them already.
    fn begin(&self, volume: &str, hosts: [&str; 2]) -> Option<UnderWay> {
        let places = hosts.map(|host| (host.to_owned(), volume.to_owned()));
        let mut copies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.iter().any(|place| copies.contains(place)) {
            return None;
        }
        copies.extend(places.iter().cloned());
        Some(UnderWay { copies: self.clone(), places })
    }
}

/// A copy that is noted.
struct UnderWay {
    copies: Copies,
    places: [(String, String); 2],
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut copies = self.copies.0.lock().unwrap_or_else(PoisonError::into_inner);
        for place in &self.places {
            copies.remove(place);
        }
    }
}

/// A copy that can begin.
struct Copy {
    _under_way: UnderWay,
    name: String,
    labels: std::collections::BTreeMap<String, String>,
    from: Arc<dyn Provider>,
    to: Arc<dyn Provider>,
}

/// Copies; the last piece of progress is `done` or has an error. It goes on when
/// nobody takes the progress. None when there is no such environment.
///
/// # Errors
/// When the API server doesn't answer.
pub async fn copy(
    context: &Context,
    project: &str,
    name: &str,
    request: &VolumeCopy,
) -> Result<Option<BoxStream<'static, CopyProgress>>, ReconcileError> {
    let api: Api<Environment> = Api::namespaced(context.client.clone(), project);
    let found = api
        .get_opt(name)
        .await
        .map_err(ReconcileError::api(format!("read Environment {project}/{name}")))?;
    let Some(environment) = found else { return Ok(None) };
    Ok(Some(match prepare(context, &environment, request).await? {
        Ok(copy) => begin(context, project, copy),
        Err(words) => stream::iter([CopyProgress::failed(words)]).boxed(),
    }))
}

async fn prepare(
    context: &Context,
    environment: &Environment,
    request: &VolumeCopy,
) -> Result<Result<Copy, String>, ReconcileError> {
    let VolumeCopy { volume, to, from, live } = request;
    let owner =
        EnvironmentName::new(environment.namespace().unwrap_or_default(), environment.name_any());
    let name = naming::volume(&owner, volume);
    let from = match source(environment, &name, volume, from.as_deref()) {
        Ok(from) => from,
        Err(words) => return Ok(Err(words)),
    };
    if from == *to {
        return Ok(Err(format!("volume {volume} is on {to} already")));
    }
    let Some(under_way) = context.copies.begin(&name, [&from, to]) else {
        return Ok(Err(format!("volume {volume} is being copied already; wait for the end of it")));
    };
    if let Some(words) = not_by_policy(context, &owner.project, to).await? {
        return Ok(Err(words));
    }
    let hosts = (
        provider(context, &owner.project, &from).await?,
        provider(context, &owner.project, to).await?,
    );
    let (source, target) = match hosts {
        (Ok(source), Ok(target)) => (source, target),
        (Err(words), _) | (_, Err(words)) => return Ok(Err(words)),
    };
    let writers = match source.volume_writers(&name).await {
        Ok(writers) => writers,
        Err(mut error) => {
            context.project_values(&owner.project).clear(&mut error);
            return Ok(Err(error.message));
        }
    };
    if !writers.is_empty() && !live {
        return Ok(Err(format!(
            "{} may write to it while it is copied; stop the service first, or copy what is there \
             at the moment with --live (databases usually can't be started from such a copy)",
            writers.join(", ")
        )));
    }
    let uid = environment.uid().unwrap_or_default();
    let mut labels = naming::ownership(&context.installation, &owner, &uid);
    labels.insert(label::VOLUME.to_owned(), volume.clone());
    Ok(Ok(Copy { _under_way: under_way, name, labels, from: source, to: target }))
}

/// Why the policy of a project keeps its data from a host, if it does.
async fn not_by_policy(
    context: &Context,
    project: &str,
    host: &str,
) -> Result<Option<String>, ReconcileError> {
    let found = gather::project(context, project).await?;
    let policy = found.and_then(|project| project.spec.policy).unwrap_or_default();
    Ok((!allows_host(&policy, host)).then(|| {
        format!("policy of project {project} doesn't allow DockerHost {host} (spec.policy.hosts)")
    }))
}

/// The host that has the volume.
fn source(
    environment: &Environment,
    name: &str,
    volume: &str,
    wanted: Option<&str>,
) -> Result<String, String> {
    let resources = environment.status.iter().flat_map(|status| &status.resources);
    let hosts: BTreeSet<&str> = resources
        .filter(|found| found.kind == "Volume" && found.name == name)
        .map(|found| found.host.as_str())
        .collect();
    let known = hosts.iter().copied().collect::<Vec<_>>().join(", ");
    match (wanted, hosts.len()) {
        (_, 0) => Err(format!("the environment has no volume {volume} on any host")),
        (Some(wanted), _) if hosts.contains(wanted) => Ok(wanted.to_owned()),
        (Some(wanted), _) => Err(format!("volume {volume} is not on {wanted} but on {known}")),
        (None, 1) => Ok(known),
        (None, _) => Err(format!("volume {volume} is on {known}: say which with --from HOST")),
    }
}

async fn provider(
    context: &Context,
    project: &str,
    name: &str,
) -> Result<Result<Arc<dyn Provider>, String>, ReconcileError> {
    let hosts: Api<DockerHost> = Api::all(context.client.clone());
    let found = hosts
        .get_opt(name)
        .await
        .map_err(ReconcileError::api(format!("read DockerHost {name}")))?;
    let Some(host) = found else { return Ok(Err(format!("there is no DockerHost {name}"))) };
    Ok(context.hosts.get(name, &host.spec).await.map_err(|mut error| {
        context.project_values(project).clear(&mut error);
        error.message
    }))
}

/// Copies in a task of its own: a caller who goes away doesn't leave half a copy.
fn begin(context: &Context, project: &str, copy: Copy) -> BoxStream<'static, CopyProgress> {
    let (told, progress) = mpsc::channel(KEPT);
    let words = context.project_values(project);
    tokio::spawn(async move {
        let last = match run(&copy, &told).await {
            Ok(bytes) => CopyProgress { bytes, done: true, error: None },
            Err(mut error) => {
                words.clear(&mut error);
                CopyProgress::failed(error.message)
            }
        };
        // Whoever hears of its end may begin the next.
        drop(copy);
        let _ = told.send(last).await;
    });
    stream::unfold(progress, |mut progress| async move { Some((progress.recv().await?, progress)) })
        .boxed()
}

async fn run(copy: &Copy, told: &mpsc::Sender<CopyProgress>) -> Result<u64, ProviderError> {
    let Copy { _under_way: _, name, labels, from, to } = copy;
    let content = from.read_volume(name).await?;
    let counted = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let (count, told) = (counted.clone(), told.clone());
    let mut last = Instant::now();
    let content = content.inspect_ok(move |piece: &Bytes| {
        let more = u64::try_from(piece.len()).unwrap_or_default();
        let bytes = count.fetch_add(more, std::sync::atomic::Ordering::Relaxed) + more;
        if last.elapsed() >= TELL {
            last = Instant::now();
            let _ = told.try_send(CopyProgress { bytes, ..CopyProgress::default() });
        }
    });
    to.fill_volume(NewVolume { name, labels }, content.boxed()).await?;
    Ok(counted.load(std::sync::atomic::Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_copied_once_at_a_time() {
        let copies = Copies::default();
        let first = copies.begin("data", ["a", "b"]).unwrap();
        for hosts in [["a", "b"], ["a", "c"], ["c", "b"], ["b", "c"]] {
            assert!(copies.begin("data", hosts).is_none(), "{hosts:?}");
        }
        let others = [copies.begin("data", ["c", "d"]), copies.begin("other", ["a", "b"])];
        assert!(others.iter().all(Option::is_some));
        drop(first);
        assert!(copies.begin("data", ["a", "e"]).is_some());
    }
}
