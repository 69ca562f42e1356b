//! The single calls of a fake host, each of which may fail.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use hades_api::{label, reason};
use hades_plan::{ContainerFile, ObservedNetwork, ObservedVolume};
use ipnet::Ipv4Net;
use secrecy::ExposeSecret;
use tokio::sync::broadcast;

use crate::engine::{CallError, ContainerDetail, Engine, NewContainer};
use crate::{
    ErrorClass, ProviderError, PullCredentials, PullOptions, PullProgress, Wake, ownership, refusal,
};

use super::faults::{Call, CallKind, Fault, Moment};
use super::state::State;

/// Wakes kept for a slow listener; who falls further behind gets
/// [`Wake::Everything`].
const WAKES_KEPT: usize = 1024;

/// Exit status of a process that SIGTERM ended.
const TERMINATED: i64 = 143;

/// Shared by all clones of a fake host.
pub struct FakeEngine {
    state: Arc<Mutex<State>>,
    wakes: broadcast::Sender<Wake>,
    installation: Option<String>,
}

impl fmt::Debug for FakeEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeEngine").finish_non_exhaustive()
    }
}

impl FakeEngine {
    pub(super) fn new(installation: Option<String>) -> Self {
        let (wakes, _) = broadcast::channel(WAKES_KEPT);
        Self { state: Arc::new(Mutex::new(State::default())), wakes, installation }
    }

    /// What is there, for tests to look at and to change by hand.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<Wake> {
        self.wakes.subscribe()
    }

    pub(super) fn wake(&self, wake: Wake) {
        // No listener is no error.
        let _ = self.wakes.send(wake);
    }

    pub(super) fn wake_for(&self, labels: &BTreeMap<String, String>) {
        let environment = ownership::environment_of(labels, self.installation.as_deref());
        self.wake(environment.map_or(Wake::Foreign, Wake::Environment));
    }

    /// One call: counts it, lets it fail where the fault plan says so, and
    /// otherwise carries out its effect.
    pub(super) async fn call<T>(
        &self,
        kind: CallKind,
        target: &str,
        effect: impl FnOnce(&mut State) -> Result<T, CallError> + Send,
    ) -> Result<T, CallError> {
        let (fault, delay) = self.begin(kind, target)?;
        if let Some(delay) = delay {
            tokio::time::sleep(delay).await;
        }
        let mut state = self.state();
        match fault {
            None | Some(Fault::Delay(_)) => effect(&mut state),
            Some(Fault::Fail(class)) => Err(injected(class).into()),
            Some(Fault::FailAfter(class)) => {
                effect(&mut state)?;
                Err(injected(class).into())
            }
            Some(Fault::Crash(moment)) => {
                state.fate.die();
                if moment == Moment::After {
                    effect(&mut state)?;
                }
                Err(crashed().into())
            }
            Some(Fault::Unreachable(calls)) => {
                state.unreachable_calls = calls.saturating_sub(1);
                Err(no_answer().into())
            }
        }
    }

    fn begin(
        &self,
        kind: CallKind,
        target: &str,
    ) -> Result<(Option<Fault>, Option<std::time::Duration>), CallError> {
        let mut state = self.state();
        if state.fate.is_dead() {
            return Err(crashed().into());
        }
        let number = state.calls.len() as u64 + 1;
        state.calls.push(Call { number, kind, target: target.to_owned() });
        if state.unreachable {
            return Err(no_answer().into());
        }
        if state.unreachable_calls > 0 {
            state.unreachable_calls -= 1;
            return Err(no_answer().into());
        }
        let fault = state.faults.strike(number, kind);
        let delay = match &fault {
            Some(Fault::Delay(delay)) => Some(*delay),
            _ => state.faults.delay(),
        };
        Ok((fault, delay))
    }
}

fn injected(class: ErrorClass) -> ProviderError {
    match class {
        ErrorClass::Unreachable => no_answer(),
        _ => ProviderError::new(class, reason::ACTION_FAILED, "the fault plan says so"),
    }
}

fn crashed() -> ProviderError {
    refusal::unreachable("this process is dead until the fake host is revived")
}

fn no_answer() -> ProviderError {
    refusal::unreachable("cannot reach the fake host: connection refused; start its engine")
}

#[async_trait]
impl Engine for FakeEngine {
    async fn create_container(&self, new: NewContainer<'_>) -> Result<String, CallError> {
        self.call(CallKind::CreateContainer, new.name, |state| {
            let id = state.create_container(new)?;
            self.wake_for(new.labels);
            Ok(id)
        })
        .await
    }

    async fn inspect_container(&self, id: &str) -> Result<Option<ContainerDetail>, CallError> {
        self.call(CallKind::Inspect, id, |state| Ok(state.detail(id))).await
    }

    async fn put_files(
        &self,
        id: &str,
        files: &BTreeMap<String, ContainerFile>,
    ) -> Result<(), CallError> {
        self.call(CallKind::PutFiles, id, |state| state.put_files(id, files)).await
    }

    async fn start_container(&self, id: &str) -> Result<(), CallError> {
        self.call(CallKind::StartContainer, id, |state| {
            if state.start_container(id)? {
                self.wake_for(&state.container(id)?.seen.labels);
            }
            Ok(())
        })
        .await
    }

    async fn unpause_container(&self, id: &str) -> Result<(), CallError> {
        self.call(CallKind::UnpauseContainer, id, |state| {
            let container = state.container(id)?;
            if container.seen.state != hades_plan::ContainerState::Paused {
                return Err(CallError::WrongState(format!("container {id} is not paused")));
            }
            container.run();
            self.wake_for(&container.seen.labels);
            Ok(())
        })
        .await
    }

    async fn stop_container(&self, id: &str, _grace_seconds: u64) -> Result<(), CallError> {
        self.call(CallKind::StopContainer, id, |state| {
            let container = state.container(id)?;
            container.stop(TERMINATED);
            self.wake_for(&container.seen.labels);
            Ok(())
        })
        .await
    }

    async fn remove_container(&self, id: &str) -> Result<(), CallError> {
        self.call(CallKind::RemoveContainer, id, |state| {
            let id = state.find(id).ok_or(CallError::Absent)?;
            if let Some(container) = state.containers.remove(&id) {
                self.wake_for(&container.seen.labels);
            }
            Ok(())
        })
        .await
    }

    async fn networks_named(&self, name: &str) -> Result<Vec<ObservedNetwork>, CallError> {
        self.call(CallKind::Inspect, name, |state| {
            Ok(state.networks.values().filter(|n| n.name == name).cloned().collect())
        })
        .await
    }

    async fn inspect_network(&self, id: &str) -> Result<Option<ObservedNetwork>, CallError> {
        self.call(CallKind::Inspect, id, |state| Ok(state.networks.get(id).cloned())).await
    }

    async fn has_attached(&self, network: &str) -> Result<bool, CallError> {
        self.call(CallKind::Inspect, network, |state| Ok(state.attached_to(network).is_some()))
            .await
    }

    async fn create_network(
        &self,
        name: &str,
        subnet: Ipv4Net,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), CallError> {
        self.call(CallKind::CreateNetwork, name, |state| {
            state.create_network(name, subnet, labels.clone())?;
            self.wake_for(labels);
            Ok(())
        })
        .await
    }

    async fn connect_network(
        &self,
        network: &str,
        container: &str,
        aliases: &[String],
    ) -> Result<(), CallError> {
        self.call(CallKind::ConnectNetwork, container, |state| {
            state.connect(network, container, aliases)?;
            self.wake_for(&state.container(container)?.seen.labels);
            Ok(())
        })
        .await
    }

    async fn remove_network(&self, id: &str) -> Result<(), CallError> {
        self.call(CallKind::RemoveNetwork, id, |state| {
            let network = state.remove_network(id)?;
            self.wake_for(&network.labels);
            Ok(())
        })
        .await
    }

    async fn create_volume(
        &self,
        name: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<ObservedVolume, CallError> {
        self.call(CallKind::CreateVolume, name, |state| {
            if let Some(volume) = state.volumes.get(name) {
                return Ok(volume.clone());
            }
            let volume = ObservedVolume { name: name.to_owned(), labels: labels.clone() };
            state.volumes.insert(name.to_owned(), volume.clone());
            self.wake_for(labels);
            Ok(volume)
        })
        .await
    }

    async fn inspect_volume(&self, name: &str) -> Result<Option<ObservedVolume>, CallError> {
        self.call(CallKind::Inspect, name, |state| Ok(state.volumes.get(name).cloned())).await
    }

    async fn remove_volume(&self, name: &str) -> Result<(), CallError> {
        self.call(CallKind::RemoveVolume, name, |state| {
            let volume = state.remove_volume(name)?;
            self.wake_for(&volume.labels);
            Ok(())
        })
        .await
    }

    async fn has_image(&self, reference: &str) -> Result<bool, CallError> {
        self.call(CallKind::Inspect, reference, |state| Ok(state.image_id(reference).is_some()))
            .await
    }

    async fn image_tags(&self, id: &str) -> Result<Option<Vec<String>>, CallError> {
        self.call(CallKind::Inspect, id, |state| Ok(state.image_tags(id))).await
    }

    async fn remove_image(&self, reference: &str) -> Result<(), CallError> {
        self.call(CallKind::RemoveImage, reference, |state| {
            state.remove_image(reference)?;
            self.wake(Wake::Foreign);
            Ok(())
        })
        .await
    }

    async fn pull_image(
        &self,
        reference: &str,
        host: &str,
        options: &PullOptions,
    ) -> Result<(), CallError> {
        let password = options.credentials.as_ref().map(|credentials| match credentials {
            PullCredentials::Basic { password, .. } => password.expose_secret().to_owned(),
            PullCredentials::Token(token) => token.expose_secret().to_owned(),
        });
        options.report(PullProgress { layers: 1, layers_done: 0, bytes: 0, total_bytes: 1 << 20 });
        self.call(CallKind::PullImage, reference, |state| {
            if state.registry_down {
                let words = "dial tcp: lookup registry: no such host";
                return Err(refusal::registry_unreachable(reference, host, words).into());
            }
            if state.registry_password.is_some() && state.registry_password != password {
                let words = "authentication required";
                let anonymous = password.is_none();
                return Err(
                    refusal::registry_unauthorized(reference, host, words, anonymous).into()
                );
            }
            let Some(id) = state.published(reference) else {
                let words = "manifest unknown";
                return Err(refusal::image_unavailable(reference, host, words).into());
            };
            state.pulled(reference, &id);
            self.wake(Wake::Foreign);
            Ok(())
        })
        .await
    }
}

/// Labels that mark what tests add as another installation's.
pub(super) fn labels_of_another_installation(name: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (label::INSTALLATION.to_owned(), "another-installation".to_owned()),
        (label::PROJECT.to_owned(), "theirs".to_owned()),
        (label::ENVIRONMENT.to_owned(), name.to_owned()),
    ])
}
