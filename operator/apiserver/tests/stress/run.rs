//! One run of a scenario: its number, its random choices and what it waits for.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use hades_apiserver::{ApiServer, ServerConfig};
use kube::runtime::utils::Backoff;
use kube::runtime::wait::{self, Condition, await_condition};
use kube::runtime::watcher;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use crate::support::{Server, config};

/// A run takes well below a second; this is a hang.
const LIMIT: Duration = Duration::from_secs(60);

/// How often something is looked at that should become true.
const PAUSE: Duration = Duration::from_millis(3);

pub struct Run {
    pub number: u64,
    random: Mutex<u64>,
    doing: Mutex<BTreeMap<String, String>>,
}

impl Run {
    fn new(number: u64) -> Arc<Self> {
        // Neighbouring numbers must not give neighbouring choices.
        let random = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Arc::new(Self { number, random: Mutex::new(random), doing: Mutex::default() })
    }

    /// A random number below `limit`.
    pub fn below(&self, limit: u64) -> u64 {
        let mut state = self.random.lock().unwrap();
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 11) % limit
    }

    /// Sleeps for up to so many milliseconds, or not at all.
    pub async fn dawdle(&self, limit: u64) {
        match self.below(limit + 1) {
            0 => tokio::task::yield_now().await,
            some => tokio::time::sleep(Duration::from_millis(some)).await,
        }
    }

    /// Notes what a part of the run is about to do.
    pub fn note(&self, who: &str, what: impl Into<String>) {
        self.doing.lock().unwrap().insert(who.to_owned(), what.into());
    }

    /// Waits until `check` answers nothing; what it answers is what is missing.
    pub async fn until<F>(&self, what: &str, mut check: impl FnMut() -> F)
    where
        F: Future<Output = Option<String>>,
    {
        while let Some(missing) = check().await {
            self.note("main", format!("{what}: {missing}"));
            tokio::time::sleep(PAUSE).await;
        }
        self.note("main", format!("after {what}"));
    }

    fn report(&self) -> String {
        let doing = self.doing.lock().unwrap();
        doing.iter().map(|(who, what)| format!("\n  {who}: {what}")).collect()
    }

    /// How many changes the watch ring of this run's server keeps: in half of
    /// the runs so few that watchers expire.
    pub fn ring(&self) -> usize {
        if self.number.is_multiple_of(2) { 8192 } else { 3 + self.below(12) as usize }
    }

    /// A server for this run.
    pub async fn server(&self) -> Server {
        let directory = tempfile::tempdir().unwrap();
        let server = ApiServer::open(self.config(&directory)).await.unwrap();
        Server { server, directory }
    }

    pub fn config(&self, directory: &TempDir) -> ServerConfig {
        let mut config = config(directory);
        config.watch_ring = self.ring();
        config
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Runs a scenario again and again.
pub async fn repeat<F>(scenario: &str, runs: u64, body: impl Fn(Arc<Run>) -> F)
where
    F: Future<Output = ()>,
{
    let runs = number("HADES_STRESS_RUNS").unwrap_or(runs);
    let first = number("HADES_STRESS_FIRST").unwrap_or(0);
    for number in first..first + runs {
        let run = Run::new(number);
        let life = AssertUnwindSafe(body(Arc::clone(&run))).catch_unwind();
        match tokio::time::timeout(LIMIT, life).await {
            Ok(Ok(())) => {}
            Ok(Err(panic)) => {
                eprintln!("{scenario}: run {number} failed; its parts:{}", run.report());
                std::panic::resume_unwind(panic);
            }
            Err(_) => panic!("{scenario}: run {number} hangs; its parts:{}", run.report()),
        }
    }
}

/// Waits for a condition, again where the watch fell behind: kube's own wait
/// gives up then.
pub async fn wait_for<K, C>(api: Api<K>, name: &str, condition: impl Fn() -> C) -> Option<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    C: Condition<K>,
{
    loop {
        match await_condition(api.clone(), name, condition()).await {
            Ok(object) => return object,
            Err(wait::Error::ProbeFailed(watcher::Error::WatchError(status)))
                if status.code == 410 => {}
            Err(error) => panic!("waiting for {name}: {error}"),
        }
    }
}

/// A pause between attempts that does not grow: runs are short.
pub struct Steady;

impl Iterator for Steady {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(PAUSE)
    }
}

impl Backoff for Steady {
    fn reset(&mut self) {}
}

/// Tasks that end with the run.
#[derive(Default)]
pub struct Tasks(tokio::task::JoinSet<()>);

impl Tasks {
    pub fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(task);
    }

    /// Waits for tasks that end by themselves; a panic in one is a panic here.
    pub async fn join(mut self) {
        while let Some(outcome) = self.0.join_next().await {
            if let Err(error) = outcome {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    }
}
