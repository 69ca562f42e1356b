//! A host in memory that can fail in every way that a real one can't be made to.
//!
//! ```text
//! controller ──Provider──▶ FakeHost ──steps──▶ single calls ──▶ state
//! test ──knobs──────────────┘   └─ FaultPlan strikes at call N ─┘
//! ```
//!
//! Actions go through the same [`crate::steps`] as on a real engine. Clones
//! share one host. A test that wants a crash of Hades sets
//! [`Fault::Crash`], throws its controllers away, calls [`FakeHost::revive`]
//! and starts new ones.

mod connect;
mod dial;
mod engine;
mod exec;
mod fate;
mod faults;
mod state;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use hades_api::{Protocol, reason};
use hades_plan::{
    Action, ContainerFile, ContainerHealth, ContainerState, HostSnapshot, ObservedContainer,
    ObservedVolume, PublishedPort,
};
use ipnet::Ipv4Net;
use tokio::sync::broadcast::error::RecvError;

use crate::engine::CallError;
use crate::steps::Steps;
use crate::{
    ByteStream, ContainerStats, DiskUsage, ErrorClass, ExecOptions, ExecSession, HostInfo,
    LogChunk, LogOptions, LogStream, NewVolume, Outcome, Provider, ProviderError, PullOptions,
    VolumeArchive, Wake,
};
use state::State;

pub use connect::FakeConnect;
pub use engine::FakeEngine;
pub use fate::Fate;
pub use faults::{Call, CallKind, Fault, FaultPlan, Moment};

/// A host in memory. Cheap to clone; clones share one host.
#[derive(Debug, Clone)]
pub struct FakeHost {
    steps: Arc<Steps<FakeEngine>>,
}

impl Default for FakeHost {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeHost {
    /// An empty host that answers, for the things of any installation.
    pub fn new() -> Self {
        Self { steps: Arc::new(Steps::new(FakeEngine::new(None), None)) }
    }

    /// An empty host that answers, for the things of one installation.
    pub fn for_installation(installation: &str) -> Self {
        let installation = Some(installation.to_owned());
        Self { steps: Arc::new(Steps::new(FakeEngine::new(installation.clone()), installation)) }
    }

    /// An empty host used by a process that dies as that of others does.
    pub fn with_fate(fate: &Fate) -> Self {
        let host = Self::new();
        host.engine().state().fate = fate.clone();
        host
    }

    fn engine(&self) -> &FakeEngine {
        self.steps.engine()
    }

    // ---- faults ----

    /// What will go wrong from now on, instead of what was said before.
    pub fn set_faults(&self, faults: FaultPlan) {
        self.engine().state().faults = faults;
    }

    /// Calls so far, those that failed included.
    pub fn call_count(&self) -> u64 {
        self.engine().state().calls.len() as u64
    }

    /// All calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.engine().state().calls.clone()
    }

    /// Calls so far that change something.
    pub fn mutating_calls(&self) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.kind.is_mutating()).collect()
    }

    /// The life of the process that uses it.
    pub fn fate(&self) -> Fate {
        self.engine().state().fate.clone()
    }

    /// Whether a [`Fault::Crash`] has struck.
    pub fn is_crashed(&self) -> bool {
        self.engine().state().fate.is_dead()
    }

    /// After a crash: answers again, with all that had taken effect.
    pub fn revive(&self) {
        self.engine().state().fate.revive();
        self.engine().wake(Wake::Everything);
    }

    /// Stops answering; everything goes on running.
    pub fn disconnect(&self) {
        self.engine().state().unreachable = true;
    }

    /// Answers again.
    pub fn reconnect(&self) {
        self.engine().state().unreachable = false;
        self.engine().wake(Wake::Everything);
    }

    /// Stops the engine with all its containers: nothing answers.
    pub fn stop_engine(&self) {
        let mut state = self.engine().state();
        state.unreachable = true;
        for container in state.containers.values_mut() {
            container.stop(0);
        }
    }

    /// Starts the engine again, and with it the containers whose restart
    /// policy says so.
    pub fn start_engine(&self) {
        {
            let mut state = self.engine().state();
            state.unreachable = false;
            for container in state.containers.values_mut() {
                let policy = container.spec.as_ref().map(|spec| spec.restart);
                let revived = matches!(
                    policy,
                    Some(
                        hades_api::RestartPolicy::Always | hades_api::RestartPolicy::UnlessStopped
                    )
                );
                if revived && container.seen.state == ContainerState::Exited {
                    container.run();
                }
            }
        }
        self.engine().wake(Wake::Everything);
    }

    // ---- images, ports ----

    /// Puts an image onto the host; answers its id. Another `content` under the
    /// same reference is another id.
    pub fn add_image(&self, reference: &str, content: &str) -> String {
        let id = image_id(reference, content);
        self.engine().state().images.insert(reference.to_owned(), id.clone());
        self.engine().wake(Wake::Foreign);
        id
    }

    /// Puts an image into the registry, to be pulled; answers its id.
    pub fn publish_image(&self, reference: &str, content: &str) -> String {
        let id = image_id(reference, content);
        let mut state = self.engine().state();
        state.registry.insert(reference.to_owned(), id.clone());
        let repository = hades_plan::reference::repository(reference).to_owned();
        state.published.insert((repository, id.clone()));
        id
    }

    /// Whether the registry can't be reached.
    pub fn set_registry_down(&self, down: bool) {
        self.engine().state().registry_down = down;
    }

    /// Without this password the registry gives nothing from now on.
    pub fn set_registry_password(&self, password: Option<&str>) {
        self.engine().state().registry_password = password.map(str::to_owned);
    }

    /// How full the disk is; not to be told when none.
    pub fn set_disk(&self, disk: Option<DiskUsage>) {
        self.engine().state().disk = disk;
    }

    /// Takes an image away.
    pub fn remove_image(&self, reference: &str) {
        self.engine().state().images.remove(reference);
    }

    /// Containers of this image end with `code` as soon as they are started;
    /// with none, they run.
    pub fn set_exits_at_once(&self, reference: &str, code: Option<i64>) {
        let mut state = self.engine().state();
        match code {
            Some(code) => state.exits_at_once.insert(reference.to_owned(), code),
            None => state.exits_at_once.remove(reference),
        };
    }

    /// What the engine's own check says of every container of this image.
    pub fn set_health_of_image(&self, reference: &str, health: ContainerHealth) {
        self.engine().state().image_health.insert(reference.to_owned(), health);
        self.engine().wake(Wake::Everything);
    }

    /// Containers of this image answer HTTP requests with that status; with none,
    /// they accept no connection.
    pub fn set_answer(&self, reference: &str, status: Option<u16>) {
        let mut state = self.engine().state();
        match status {
            Some(status) => state.answers.insert(reference.to_owned(), status),
            None => state.answers.remove(reference),
        };
    }

    /// Containers of this image write that when they are started.
    pub fn set_first_words(&self, reference: &str, words: &str) {
        self.engine().state().first_words.insert(reference.to_owned(), words.to_owned());
    }

    /// Lets a container have run for so long.
    pub fn set_uptime(&self, id_or_name: &str, uptime: Duration) -> bool {
        self.change(id_or_name, |container| container.started = Instant::now().checked_sub(uptime))
    }

    /// A process outside of any container takes a port of the host.
    pub fn take_port(&self, port: u16, protocol: Protocol) {
        self.engine().state().taken_ports.insert((port, protocol));
    }

    /// The process lets the port go.
    pub fn free_port(&self, port: u16, protocol: Protocol) {
        self.engine().state().taken_ports.remove(&(port, protocol));
    }

    // ---- what people and other tools do by hand ----

    /// Everything there, without a call that counts or can fail.
    pub fn snapshot(&self) -> HostSnapshot {
        self.engine().state().snapshot()
    }

    /// The container of that name or id, if it is there.
    pub fn container(&self, id_or_name: &str) -> Option<ObservedContainer> {
        let snapshot = self.snapshot();
        snapshot.containers.into_iter().find(|c| c.id == id_or_name || c.name == id_or_name)
    }

    /// Names of the containers that run, sorted.
    pub fn running(&self) -> Vec<String> {
        let running = |c: &ObservedContainer| c.state == ContainerState::Running;
        let mut names: Vec<_> =
            self.snapshot().containers.into_iter().filter(running).map(|c| c.name).collect();
        names.sort();
        names
    }

    /// Variables of a container, with the values of secrets.
    pub fn env_of(&self, id_or_name: &str) -> Option<BTreeMap<String, String>> {
        self.engine().state().container(id_or_name).ok().map(|container| container.env())
    }

    /// Files of a container by path, with the values of secrets.
    pub fn files_of(&self, id_or_name: &str) -> Option<BTreeMap<String, ContainerFile>> {
        self.engine().state().container(id_or_name).ok().map(|container| container.files.clone())
    }

    /// Names of a container on a network.
    pub fn aliases_of(&self, id_or_name: &str, network: &str) -> Vec<String> {
        let mut state = self.engine().state();
        let container = state.container(id_or_name).ok();
        container.and_then(|c| c.aliases.get(network).cloned()).unwrap_or_default()
    }

    /// `docker stop`. Answers whether there was such a container, as all of
    /// these do.
    pub fn stop_by_hand(&self, id_or_name: &str) -> bool {
        self.change(id_or_name, |container| container.stop(0))
    }

    /// Its process ends; the restart policy is not asked.
    pub fn exit_by_hand(&self, id_or_name: &str, code: i64) -> bool {
        self.change(id_or_name, |container| container.stop(code))
    }

    /// `docker pause`.
    pub fn pause_by_hand(&self, id_or_name: &str) -> bool {
        self.set_state_by_hand(id_or_name, ContainerState::Paused)
    }

    /// Any state, such as [`ContainerState::Dead`].
    pub fn set_state_by_hand(&self, id_or_name: &str, to: ContainerState) -> bool {
        self.change(id_or_name, |container| {
            container.seen.state = to;
            container.seen.status = to.to_string();
        })
    }

    /// `docker rm -f`.
    pub fn remove_by_hand(&self, id_or_name: &str) -> bool {
        let removed = {
            let mut state = self.engine().state();
            state.find(id_or_name).and_then(|id| state.containers.remove(&id))
        };
        if let Some(container) = &removed {
            self.engine().wake_for(&container.seen.labels);
        }
        removed.is_some()
    }

    /// `docker network disconnect`, from every network.
    pub fn detach_by_hand(&self, id_or_name: &str) -> bool {
        self.change(id_or_name, |container| container.seen.network_ids.clear())
    }

    /// What some engines do after many containers ended at once: it believes that
    /// something is attached to a network, until `found`.
    pub fn miscount_endpoints_of(&self, name: &str, found: bool) {
        let mut state = self.engine().state();
        let Some(id) = state.network_named(name).map(|network| network.id.clone()) else { return };
        if found {
            state.miscounted.remove(&id);
        } else {
            state.miscounted.insert(id);
        }
    }

    /// `docker network rm -f`: containers keep a stale entry of it.
    pub fn remove_network_by_hand(&self, name: &str) -> bool {
        let removed = {
            let mut state = self.engine().state();
            let id = state.network_named(name).map(|network| network.id.clone());
            id.and_then(|id| state.networks.remove(&id))
        };
        if let Some(network) = &removed {
            self.engine().wake_for(&network.labels);
        }
        removed.is_some()
    }

    /// `docker volume rm`, with its data.
    pub fn remove_volume_by_hand(&self, name: &str) -> bool {
        let removed = self.engine().state().volumes.remove(name);
        if let Some(volume) = &removed {
            self.engine().wake_for(&volume.labels);
        }
        removed.is_some()
    }

    /// A running container that Hades didn't make, holding these ports of the
    /// host; answers its id.
    pub fn add_foreign_container(&self, name: &str, host_ports: &[u16]) -> String {
        let published = |port: &u16| PublishedPort {
            host_ip: None,
            host_port: *port,
            container_port: *port,
            protocol: Protocol::Tcp,
        };
        self.add_container(ObservedContainer {
            name: name.to_owned(),
            image: "foreign:1".to_owned(),
            image_id: image_id("foreign:1", ""),
            state: ContainerState::Running,
            ports: host_ports.iter().map(published).collect(),
            status: "Up 2 hours".to_owned(),
            ..ObservedContainer::default()
        })
    }

    /// Any container as it is, but for an id of its own; answers that.
    pub fn add_container(&self, mut seen: ObservedContainer) -> String {
        let labels = seen.labels.clone();
        let id = {
            let mut state = self.engine().state();
            seen.id = state.next_id();
            let id = seen.id.clone();
            let (aliases, files, logs) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
            let stats = ContainerStats::default();
            let (started, number) = (None, state.next_number());
            let container =
                state::Container { seen, spec: None, aliases, files, logs, stats, started, number };
            state.containers.insert(id.clone(), container);
            id
        };
        self.engine().wake_for(&labels);
        id
    }

    /// A network that Hades didn't make; answers its id.
    pub fn add_foreign_network(&self, name: &str, subnet: Ipv4Net) -> Option<String> {
        let made = self.engine().state().create_network(name, subnet, BTreeMap::new());
        self.engine().wake(Wake::Foreign);
        made.ok()
    }

    /// Puts content into a volume; archives of fakes are any bytes.
    pub fn set_content(&self, volume: &str, content: &'static [u8]) {
        let content = Bytes::from_static(content);
        self.engine().state().contents.insert(volume.to_owned(), content);
    }

    /// The content of a volume, if it has any.
    pub fn content(&self, volume: &str) -> Option<Bytes> {
        self.engine().state().contents.get(volume).cloned()
    }

    /// A volume that Hades didn't make.
    pub fn add_foreign_volume(&self, name: &str) {
        let volume = ObservedVolume { name: name.to_owned(), labels: BTreeMap::new() };
        self.engine().state().volumes.insert(name.to_owned(), volume);
        self.engine().wake(Wake::Foreign);
    }

    /// A volume of another installation under this name.
    pub fn add_volume_of_another_installation(&self, name: &str) {
        let labels = engine::labels_of_another_installation(name);
        let volume = ObservedVolume { name: name.to_owned(), labels };
        self.engine().state().volumes.insert(name.to_owned(), volume);
    }

    /// A container writes a piece of output.
    pub fn write_log(&self, id_or_name: &str, chunk: LogChunk) -> bool {
        self.engine()
            .state()
            .container(id_or_name)
            .map(|container| container.logs.push(chunk))
            .is_ok()
    }

    /// What a container is to use from now on.
    pub fn set_stats(&self, id_or_name: &str, stats: ContainerStats) -> bool {
        let mut state = self.engine().state();
        state.container(id_or_name).map(|container| container.stats = stats).is_ok()
    }

    fn change(&self, id_or_name: &str, how: impl FnOnce(&mut state::Container)) -> bool {
        let labels = {
            let mut state = self.engine().state();
            let Ok(container) = state.container(id_or_name) else {
                return false;
            };
            how(container);
            container.seen.labels.clone()
        };
        self.engine().wake_for(&labels);
        true
    }
}

/// An id that looks like a digest: the same for the same content.
fn image_id(reference: &str, content: &str) -> String {
    // FNV-1a, 64 bits: no secret depends on it, and nothing else is needed.
    let bytes = reference.bytes().chain([0]).chain(content.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("sha256:{}", format!("{hash:016x}").repeat(4))
}

/// The error of a call that isn't part of an action.
fn no_volume(error: CallError, name: &str) -> ProviderError {
    let conflict = |words| ProviderError::new(ErrorClass::Conflict, reason::ACTION_FAILED, words);
    match error {
        CallError::Absent => conflict(format!("there is no volume {name} on the host")),
        CallError::NameTaken => conflict(format!("there is a volume {name} on the host already")),
        error => plain_error(error),
    }
}

fn plain_error(error: CallError) -> ProviderError {
    match error {
        CallError::Other(error) => error,
        unexpected => crate::refusal::failed("fake host", &unexpected.to_string()),
    }
}

#[async_trait]
impl Provider for FakeHost {
    async fn describe(&self) -> Result<HostInfo, ProviderError> {
        let info = HostInfo { version: "fake".to_owned(), cpus: 2, memory: 1 << 30 };
        let answer = self.engine().call(CallKind::Describe, "", |_| Ok(info)).await;
        answer.map_err(plain_error)
    }

    async fn observe(&self) -> Result<Arc<HostSnapshot>, ProviderError> {
        let answer = self.engine().call(CallKind::List, "", |state| Ok(state.snapshot())).await;
        answer.map(Arc::new).map_err(plain_error)
    }

    async fn execute(&self, action: &Action) -> Result<Outcome, ProviderError> {
        self.steps.execute(action).await
    }

    async fn pull(&self, action: &Action, options: &PullOptions) -> Result<Outcome, ProviderError> {
        self.steps.pull(action, options).await
    }

    async fn disk(&self) -> Result<Option<DiskUsage>, ProviderError> {
        Ok(self.engine().state().disk)
    }

    fn wakes(&self) -> BoxStream<'static, Wake> {
        let receiver = self.engine().listen();
        stream::unfold(receiver, |mut receiver| async move {
            match receiver.recv().await {
                Ok(wake) => Some((wake, receiver)),
                Err(RecvError::Lagged(_)) => Some((Wake::Everything, receiver)),
                // All clones of the host are gone; the contract knows no end.
                Err(RecvError::Closed) => std::future::pending().await,
            }
        })
        .boxed()
    }

    async fn dial(&self, address: SocketAddr) -> Result<ByteStream, ProviderError> {
        if let Some(answer) = dial::to_container(self.engine(), address) {
            return answer;
        }
        let answer = self.engine().call(CallKind::Dial, &address.to_string(), |_| Ok(())).await;
        answer.map_err(plain_error)?;
        // A fake host's network is this machine's.
        let stream = tokio::net::TcpStream::connect(address).await.map_err(|error| {
            let words = format!("nothing answers at {address}: {error}");
            ProviderError::new(ErrorClass::Retry, reason::ACTION_FAILED, words)
        })?;
        Ok(Box::new(stream))
    }

    async fn volume_writers(&self, name: &str) -> Result<Vec<String>, ProviderError> {
        let answer = self.engine().call(CallKind::Inspect, name, |state| Ok(state.writers(name)));
        answer.await.map_err(plain_error)
    }

    async fn read_volume(&self, name: &str) -> Result<VolumeArchive, ProviderError> {
        let content = |state: &mut State| match state.volumes.contains_key(name) {
            true => Ok(state.contents.get(name).cloned().unwrap_or_default()),
            false => Err(CallError::Absent),
        };
        let answer = self.engine().call(CallKind::ReadVolume, name, content).await;
        let content = answer.map_err(|error| no_volume(error, name))?;
        Ok(stream::iter([Ok(content)]).boxed())
    }

    async fn fill_volume(
        &self,
        volume: NewVolume<'_>,
        content: VolumeArchive,
    ) -> Result<(), ProviderError> {
        let NewVolume { name, labels } = volume;
        let pieces: Vec<Bytes> = content.try_collect().await?;
        let fill = |state: &mut State| {
            if state.volumes.contains_key(name) {
                return Err(CallError::NameTaken);
            }
            let made = ObservedVolume { name: name.to_owned(), labels: labels.clone() };
            state.volumes.insert(name.to_owned(), made);
            state.contents.insert(name.to_owned(), pieces.concat().into());
            Ok(())
        };
        let answer = self.engine().call(CallKind::FillVolume, name, fill).await;
        answer.map_err(|error| no_volume(error, name))
    }

    async fn logs(&self, id: &str, options: &LogOptions) -> Result<LogStream, ProviderError> {
        let chunks = self
            .engine()
            .call(CallKind::Logs, id, |state| Ok(state.container(id)?.logs.clone()))
            .await
            .map_err(|error| match error {
                CallError::Absent => ProviderError::new(
                    ErrorClass::Conflict,
                    reason::ACTION_FAILED,
                    format!("there is no container {id} on the host any more"),
                ),
                error => plain_error(error),
            })?;
        let skipped = match options.tail {
            Some(lines) => chunks.len().saturating_sub(lines as usize),
            None => 0,
        };
        Ok(stream::iter(chunks.into_iter().skip(skipped).map(Ok)).boxed())
    }

    async fn exec(&self, id: &str, options: &ExecOptions) -> Result<ExecSession, ProviderError> {
        exec::start(self.engine(), id, options).await
    }

    async fn stats(&self, id: &str) -> Result<ContainerStats, ProviderError> {
        exec::stats(self.engine(), id).await
    }
}
