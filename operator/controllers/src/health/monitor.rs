//! Makes the checks: a task per host, a queue by time, a bounded number at once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use hades_api::label;
use hades_api::name::EnvironmentName;
use hades_plan::observed::is_owned;
use hades_plan::{
    Check, ContainerState, Desired, HostSnapshot, HostView, Observed, ObservedContainer, naming,
};
use hades_provider::{Provider, Wake};
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

use super::probe::{self, Outcome};
use super::restarts::Restarts;
use super::verdict::Verdict;
use crate::hosts::HostWake;

/// Checks of one host at once: each is a connection over what leads there.
const AT_ONCE: usize = 32;

/// What the status last said of a container.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// It did its work.
    pub(crate) healthy: bool,
    /// How it failed to take the place of another.
    pub(crate) failure: Option<String>,
}

/// Whether what is desired is really to be checked.
#[derive(Clone, Copy)]
pub(crate) enum Watch<'a> {
    /// From now on, through these providers by host.
    Follow(&'a BTreeMap<String, Arc<dyn Provider>>),
    /// It is only a thought: nothing changes.
    Peek,
}

/// A container, how and where it is to be checked, and whether it is known to
/// be healthy.
type Wanted<'a> = (&'a mut ObservedContainer, &'a Check, SocketAddr, bool);

/// Checks containers and remembers what came of it.
pub(crate) struct Monitor {
    wakes: broadcast::Sender<HostWake>,
    stop: CancellationToken,
    hosts: Mutex<HashMap<String, Arc<Checks>>>,
    restarts: Mutex<HashMap<String, Restarts>>,
}

/// The checks of one host.
struct Checks {
    state: Mutex<State>,
    /// Something is due earlier than before.
    news: Notify,
    stop: CancellationToken,
}

struct State {
    provider: Arc<dyn Provider>,
    /// By container id.
    watched: HashMap<String, Watched>,
    /// Ids by when their next check is due; those under way aren't in it.
    queue: BTreeSet<(Instant, String)>,
}

struct Watched {
    environment: EnvironmentName,
    check: Arc<Check>,
    address: SocketAddr,
    verdict: Verdict,
    /// When the next check is due; none while one is under way.
    due: Option<Instant>,
}

impl Watched {
    /// Whether it is checked in that way.
    fn is(&self, check: &Check, address: SocketAddr) -> bool {
        self.address == address && self.check.probe == check.probe
    }
}

/// A check to be made.
struct Job {
    id: String,
    provider: Arc<dyn Provider>,
    address: SocketAddr,
    check: Arc<Check>,
}

impl Monitor {
    /// Checks nothing yet. Says through `wakes` when a verdict changes.
    pub(crate) fn new(wakes: broadcast::Sender<HostWake>) -> Self {
        Self {
            wakes,
            stop: CancellationToken::new(),
            hosts: Mutex::default(),
            restarts: Mutex::default(),
        }
    }

    /// Lays over `observed` what is known of the containers of an environment.
    /// When told to [`Watch::Follow`], it checks from now on those, and only
    /// those, that `desired` wants checked. `known`: what the status last said,
    /// by host and name.
    pub(crate) fn lay(
        &self,
        desired: &Desired,
        watch: Watch<'_>,
        known: &dyn Fn(&str, &str) -> Known,
        observed: &mut Observed,
    ) {
        let checks: HashMap<&str, &Check> = desired
            .containers
            .iter()
            .filter_map(|wanted| Some((&*wanted.spec_hash, wanted.check.as_ref()?)))
            .collect();
        let on_host: HashSet<&str> = desired
            .containers
            .iter()
            .filter(|wanted| wanted.spec.confinement.host_network)
            .map(|wanted| &*wanted.spec_hash)
            .collect();
        let network = naming::network(&desired.environment);
        let (now, mut seen) = (Instant::now(), HashSet::new());
        for (host, view) in &mut observed.hosts {
            seen.insert(host.clone());
            let HostView::Snapshot(snapshot) = view else { continue };
            let restarts = self.count_restarts(host, desired, snapshot, now);
            let checked = |container: &ObservedContainer| {
                let hash = container.labels.get(label::SPEC_HASH).map(String::as_str);
                hash.and_then(|hash| checks.get(hash).copied())
            };
            // Others share what was seen; it is copied only where there is
            // something to lay on it.
            let concerned = |container: &ObservedContainer| {
                restarts.contains_key(&container.id)
                    || checked(container).is_some()
                    || known(host, &container.name).failure.is_some()
            };
            if !owned(desired, &snapshot.containers).any(concerned) {
                if let Watch::Follow(providers) = watch
                    && let Some(provider) = providers.get(host)
                {
                    self.watch(host, provider, &desired.environment, Vec::new(), now);
                }
                continue;
            }
            let mut wanted = Vec::new();
            for container in &mut Arc::make_mut(snapshot).containers {
                if !is_own(desired, container) {
                    continue;
                }
                container.restarts_seen = restarts.get(&container.id).copied().unwrap_or(0);
                let known = known(host, &container.name);
                if container.state != ContainerState::Running || container.restarts_seen > 0 {
                    container.health_message.clone_from(&known.failure);
                }
                let check = checked(container);
                let hash = container.labels.get(label::SPEC_HASH).map(String::as_str);
                let address = match hash.is_some_and(|hash| on_host.contains(hash)) {
                    // It has the addresses of its host, this one on every host.
                    true => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                    false => container.addresses.get(&network).copied(),
                };
                if let (Some(check), Some(address)) = (check, address)
                    && container.state == ContainerState::Running
                {
                    let address = SocketAddr::new(address, check.probe.port());
                    wanted.push((container, check, address, known.healthy));
                }
            }
            match watch {
                Watch::Peek => self.peek(host, wanted, now),
                Watch::Follow(providers) => {
                    if let Some(provider) = providers.get(host) {
                        self.watch(host, provider, &desired.environment, wanted, now);
                    }
                }
            }
        }
        if matches!(watch, Watch::Peek) {
            return;
        }
        // Hosts that the environment no longer has anything to do with.
        for (host, checks) in &*locked(&self.hosts) {
            if !seen.contains(host) {
                checks.drop_others(&desired.environment, &HashSet::new());
            }
        }
    }

    /// Checks nothing of an environment any more.
    pub(crate) fn forget(&self, environment: &EnvironmentName) {
        for checks in locked(&self.hosts).values() {
            checks.drop_others(environment, &HashSet::new());
        }
    }

    /// Checks nothing on a host that is no more: the connection to it may close.
    pub(crate) fn forget_host(&self, host: &str) {
        if let Some(checks) = locked(&self.hosts).remove(host) {
            checks.stop.cancel();
        }
        locked(&self.restarts).remove(host);
    }

    /// Ends all checks.
    pub(crate) fn close(&self) {
        self.stop.cancel();
    }

    /// How often each container of an environment ended lately, by id; those that
    /// didn't are left out.
    fn count_restarts(
        &self,
        host: &str,
        desired: &Desired,
        snapshot: &HostSnapshot,
        now: Instant,
    ) -> HashMap<String, u32> {
        let mut restarts = locked(&self.restarts);
        let restarts = restarts.entry(host.to_owned()).or_default();
        let counts: HashMap<String, u32> = owned(desired, &snapshot.containers)
            .map(|container| (container.id.clone(), restarts.note(container, now)))
            .filter(|(_, count)| *count > 0)
            .collect();
        if restarts.len() > 2 * snapshot.containers.len() {
            let there: HashSet<&str> = snapshot.containers.iter().map(|c| &*c.id).collect();
            restarts.retain(|id| there.contains(id));
        }
        counts
    }

    /// Says of each what came of its check so far, if it is checked in that way.
    fn peek(&self, host: &str, wanted: Vec<Wanted<'_>>, now: Instant) {
        let checks = locked(&self.hosts).get(host).cloned();
        let state = checks.as_ref().map(|checks| locked(&checks.state));
        for (container, check, address, healthy) in wanted {
            let same = state.as_ref().and_then(|state| {
                state.watched.get(&container.id).filter(|one| one.is(check, address))
            });
            match same {
                Some(one) => one.verdict.lay(container),
                None => Verdict::new(healthy, now).lay(container),
            }
        }
    }

    /// Makes `wanted` all that is checked of an environment on a host, and says
    /// of each what came of it so far.
    fn watch(
        &self,
        host: &str,
        provider: &Arc<dyn Provider>,
        environment: &EnvironmentName,
        wanted: Vec<Wanted<'_>>,
        now: Instant,
    ) {
        let checks = {
            let mut hosts = locked(&self.hosts);
            match hosts.get(host) {
                Some(checks) => checks.clone(),
                None if wanted.is_empty() => return,
                None => {
                    let checks = Arc::new(Checks::new(provider.clone(), self.stop.child_token()));
                    hosts.insert(host.to_owned(), checks.clone());
                    tokio::spawn(run(host.to_owned(), checks.clone(), self.wakes.clone()));
                    checks
                }
            }
        };
        let ids = wanted.iter().map(|(container, ..)| container.id.clone()).collect();
        checks.drop_others(environment, &ids);
        let mut state = locked(&checks.state);
        state.provider = provider.clone();
        let mut news = false;
        for (container, check, address, healthy) in wanted {
            news |= state.want(environment, container, check, address, healthy, now);
        }
        drop(state);
        if news {
            checks.news.notify_one();
        }
    }
}

/// The containers of an environment among all of a host.
fn owned<'a>(
    desired: &'a Desired,
    containers: &'a [ObservedContainer],
) -> impl Iterator<Item = &'a ObservedContainer> {
    containers.iter().filter(|found| is_own(desired, found))
}

fn is_own(desired: &Desired, found: &ObservedContainer) -> bool {
    let Desired { installation, environment, .. } = desired;
    let EnvironmentName { project, environment } = environment;
    is_owned(&found.labels, installation, project, environment)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Checks {
    fn new(provider: Arc<dyn Provider>, stop: CancellationToken) -> Self {
        let state = State { provider, watched: HashMap::new(), queue: BTreeSet::new() };
        Self { state: Mutex::new(state), news: Notify::new(), stop }
    }

    /// Drops what is checked of an environment, but for `kept`.
    fn drop_others(&self, environment: &EnvironmentName, kept: &HashSet<String>) {
        let mut state = locked(&self.state);
        let State { watched, queue, .. } = &mut *state;
        watched.retain(|id, one| {
            let keep = one.environment != *environment || kept.contains(id);
            if let Some(due) = one.due.filter(|_| !keep) {
                queue.remove(&(due, id.clone()));
            }
            keep
        });
    }

    /// At most `most` checks that are due, and when the next one is.
    fn take_due(&self, most: usize, now: Instant) -> (Vec<Job>, Option<Instant>) {
        let mut state = locked(&self.state);
        let mut jobs = Vec::new();
        while jobs.len() < most {
            let due = state.queue.first().filter(|(due, _)| *due <= now).cloned();
            let Some((due, id)) = due else { break };
            state.queue.remove(&(due, id.clone()));
            let provider = state.provider.clone();
            if let Some(one) = state.watched.get_mut(&id) {
                one.due = None;
                let (address, check) = (one.address, one.check.clone());
                jobs.push(Job { id, provider, address, check });
            }
        }
        (jobs, state.queue.first().map(|(due, _)| *due))
    }

    /// Takes in how a check went; answers whom a changed verdict concerns.
    fn note(&self, job: Job, outcome: Outcome, now: Instant) -> Option<EnvironmentName> {
        let mut state = locked(&self.state);
        let State { watched, queue, .. } = &mut *state;
        // Dropped meanwhile, or wanted in another way and due already.
        let one = watched.get_mut(&job.id).filter(|one| one.due.is_none())?;
        let changed = match outcome {
            Outcome::Passed => one.verdict.note(&one.check, Ok(()), now),
            Outcome::Failed(why) => one.verdict.note(&one.check, Err(why), now),
            Outcome::Unknown => {
                one.verdict.host_was_silent();
                false
            }
        };
        let due = now + one.verdict.pause(&one.check, now);
        one.due = Some(due);
        queue.insert((due, job.id));
        changed.then(|| one.environment.clone())
    }
}

impl State {
    /// Checks a container from now on, if it isn't checked that way already, and
    /// says what came of it so far. Answers whether a check is due at once.
    fn want(
        &mut self,
        environment: &EnvironmentName,
        container: &mut ObservedContainer,
        check: &Check,
        address: SocketAddr,
        healthy: bool,
        now: Instant,
    ) -> bool {
        let id = container.id.clone();
        if let Some(one) = self.watched.get_mut(&id).filter(|one| one.is(check, address)) {
            if *one.check != *check {
                one.check = Arc::new(check.clone());
            }
            one.verdict.lay(container);
            return false;
        }
        let verdict = Verdict::new(healthy, now);
        verdict.lay(container);
        let one = Watched {
            environment: environment.clone(),
            check: Arc::new(check.clone()),
            address,
            verdict,
            due: Some(now),
        };
        if let Some(before) = self.watched.insert(id.clone(), one)
            && let Some(due) = before.due
        {
            self.queue.remove(&(due, id.clone()));
        }
        self.queue.insert((now, id))
    }
}

/// Makes the checks of a host until they are stopped.
async fn run(host: String, checks: Arc<Checks>, wakes: broadcast::Sender<HostWake>) {
    let mut running = FuturesUnordered::new();
    loop {
        let (jobs, next) = checks.take_due(AT_ONCE - running.len(), Instant::now());
        for job in jobs {
            running.push(async move {
                let outcome = probe::run(&job.provider, job.address, &job.check).await;
                (job, outcome)
            });
        }
        let is_full = running.len() >= AT_ONCE;
        let due = async {
            match next.filter(|_| !is_full) {
                Some(next) => tokio::time::sleep_until(next.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = checks.stop.cancelled() => return,
            () = checks.news.notified() => {}
            () = due => {}
            Some((job, outcome)) = running.next(), if !running.is_empty() => {
                if let Some(environment) = checks.note(job, outcome, Instant::now()) {
                    let wake = Wake::Environment(environment);
                    // No listener is no error.
                    let _ = wakes.send(HostWake { host: host.clone(), wake });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hades_plan::Probe;
    use hades_provider::fake::FakeHost;

    use super::*;

    #[tokio::test]
    async fn nothing_holds_the_connection_to_a_host_that_is_gone() {
        let (wakes, _) = broadcast::channel(1);
        let monitor = Monitor::new(wakes);
        let provider: Arc<dyn Provider> = Arc::new(FakeHost::new());
        let check = Check {
            probe: Probe::Tcp { port: 80 },
            interval: Duration::from_millis(10),
            timeout: Duration::from_secs(1),
            retries: 3,
            start_period: Duration::ZERO,
        };
        let mut container = ObservedContainer { id: "c".to_owned(), ..Default::default() };
        let wanted = vec![(&mut container, &check, SocketAddr::from(([127, 0, 0, 1], 1)), false)];
        let environment = EnvironmentName::new("shop", "prod");
        monitor.watch("web-1", &provider, &environment, wanted, Instant::now());
        assert!(Arc::strong_count(&provider) > 1);
        monitor.forget_host("web-1");
        let gone = async {
            while Arc::strong_count(&provider) > 1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
        assert!(locked(&monitor.hosts).is_empty());
    }
}
