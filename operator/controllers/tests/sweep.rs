//! Hades dies at every single call of a roll-out over two hosts that changes
//! something, on a host or in the API server, before and after it took effect.
//!
//! The controllers run on a runtime of their own, which is thrown away with all
//! they remember. tests/e2e/sweep.rs does the same to the real process.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hades_api::label;
use hades_plan::ContainerState;
use hades_provider::fake::{FakeHost, Fate, Fault, FaultPlan, Moment};
use http::{Method, Request};
use kube::Client;
use kube::api::DeleteParams;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use support::{Hades, eventually, is_true};

/// Where a sweep strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    HostOne,
    HostTwo,
    Api,
}

/// A call, by its number among those that change something there.
type Point = (Place, u64, Moment);

/// What becomes of the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Create,
    Change,
    Remove,
}

/// Writes to the API server, and the one at which the process dies.
#[derive(Debug, Default)]
struct Writes {
    count: AtomicU64,
    strike: AtomicU64,
    after: std::sync::atomic::AtomicBool,
}

/// A client of a process that may die: from then on nothing is answered.
fn mortal(inside: &Client, fate: &Fate, writes: &Arc<Writes>) -> Client {
    let (inside, fate, writes) = (inside.clone(), fate.clone(), writes.clone());
    let service = tower::service_fn(move |request: Request<Body>| {
        let (inside, fate, writes) = (inside.clone(), fate.clone(), writes.clone());
        async move {
            let writing = request.method() != Method::GET;
            let number = if writing { writes.count.fetch_add(1, Ordering::SeqCst) + 1 } else { 0 };
            let strikes = writing && number == writes.strike.load(Ordering::SeqCst);
            if strikes && !writes.after.load(Ordering::SeqCst) {
                fate.die();
            }
            if fate.is_dead() {
                return std::future::pending().await;
            }
            let answer = inside.send(request).await;
            if strikes {
                fate.die();
            }
            if fate.is_dead() {
                return std::future::pending().await;
            }
            answer
        }
    });
    Client::new(service, "default")
}

struct Sweep {
    hades: Hades,
    two: FakeHost,
    fate: Fate,
    writes: Arc<Writes>,
    process: Option<Runtime>,
    version: u32,
}

impl Sweep {
    async fn start() -> Self {
        let hades = Hades::prepare().await;
        let fate = hades.host.fate();
        let two = FakeHost::with_fate(&fate);
        for image in ["app:1", "app:2"] {
            two.add_image(image, image);
        }
        hades.connect.insert("unix:///two.sock", two.clone());
        hades.add_host("two", "unix:///two.sock").await;
        let writes = Arc::new(Writes::default());
        let mut sweep = Self { hades, two, fate, writes, process: None, version: 0 };
        sweep.launch();
        sweep
    }

    /// A process that remembers nothing.
    fn launch(&mut self) {
        self.fate.revive();
        let client = mortal(&self.hades.inside, &self.fate, &self.writes);
        let context = self.hades.context_through(&client);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.spawn(hades_controllers::run(context, CancellationToken::new()));
        self.process = Some(runtime);
    }

    fn kill(&mut self) {
        self.process.take().unwrap().shutdown_background();
    }

    fn spec(&self) -> Value {
        // Readiness is not what is swept here, and waiting for it would take minutes.
        let (at_once, unchecked) = (json!({"minReady": "0s"}), json!({"none": true}));
        let image = format!("app:{}", 1 + self.version % 2);
        json!({
            "env": {"VERSION": self.version},
            "volumes": {"data": {}, "scratch": {"deletionPolicy": "Delete"}},
            "services": {
                "api": {
                    "host": "local", "image": image, "replicas": 2,
                    "strategy": at_once, "healthCheck": unchecked,
                },
                "web": {
                    "host": "two", "image": image, "replicas": 2,
                    "strategy": at_once, "healthCheck": unchecked,
                },
                "db": {"host": "local", "image": image, "volumes": ["data:/data"]},
                "cache": {"host": "two", "image": image, "volumes": ["scratch:/data"]},
            },
        })
    }

    fn aim(&self, point: Option<Point>) {
        let fault = |place: Place| match point {
            Some((aimed, number, moment)) if aimed == place => {
                FaultPlan::new().at_change(number, Fault::Crash(moment))
            }
            _ => FaultPlan::new(),
        };
        self.hades.host.set_faults(fault(Place::HostOne));
        self.two.set_faults(fault(Place::HostTwo));
        self.writes.count.store(0, Ordering::SeqCst);
        let strike = match point {
            Some((Place::Api, number, moment)) => {
                self.writes.after.store(moment == Moment::After, Ordering::SeqCst);
                number
            }
            _ => 0,
        };
        self.writes.strike.store(strike, Ordering::SeqCst);
    }

    /// Does it, with the process killed at that point; says whether it came to that.
    async fn act(&mut self, act: Act, point: Option<Point>) -> bool {
        if act != Act::Remove {
            self.version += 1;
        }
        self.aim(point);
        match act {
            Act::Create | Act::Change => {
                self.hades.apply_environment("prod", self.spec()).await;
            }
            Act::Remove => {
                self.hades.environments().delete("prod", &DeleteParams::default()).await.unwrap();
            }
        }
        let what = format!("{act:?} killed at {point:?}");
        let struck = eventually(&what, || async {
            match (self.fate.is_dead(), self.is_done(act).await) {
                (true, _) => Ok(true),
                (false, true) => Ok(false),
                (false, false) => Err(self.hades.status("prod").await),
            }
        })
        .await;
        if struck {
            if act == Act::Change {
                // Dead, it shows how things were between the two calls.
                self.check_promises(&what);
            }
            self.kill();
            self.aim(None);
            self.launch();
            eventually(&format!("the end after {what}"), || async {
                match self.is_done(act).await {
                    true => Ok(()),
                    false => Err(self.hades.status("prod").await),
                }
            })
            .await;
        }
        self.check(act, &what);
        struck
    }

    async fn is_done(&self, act: Act) -> bool {
        let found = self.hades.environments().get_opt("prod").await.unwrap();
        let Some(found) = found else { return act == Act::Remove };
        let status = found.status.unwrap_or_default();
        act != Act::Remove
            && status.observed_generation == found.metadata.generation
            && is_true(&status.conditions, "Ready")
    }

    fn hosts(&self) -> [(&FakeHost, &'static str, &'static str); 2] {
        [(&self.hades.host, "api", "db"), (&self.two, "web", "cache")]
    }

    /// The rolling service has never fewer than two, the one with data never two.
    fn check_promises(&self, what: &str) {
        for (host, rolling, exclusive) in self.hosts() {
            let running = running(host);
            let count = |service: &str| running.get(service).copied().unwrap_or_default();
            assert!(count(rolling) >= 2, "{what}: {running:?}");
            assert!(count(exclusive) <= 1, "{what}: {running:?}");
        }
    }

    /// Exactly what is described is there.
    fn check(&self, act: Act, what: &str) {
        for (host, rolling, exclusive) in self.hosts() {
            let there = host.snapshot();
            let networks: Vec<_> = there.networks.iter().map(|n| n.name.as_str()).collect();
            let volumes: Vec<_> = there.volumes.iter().map(|v| v.name.as_str()).collect();
            let data = if exclusive == "db" { "shop_prod_data" } else { "shop_prod_scratch" };
            if act == Act::Remove {
                assert!(there.containers.is_empty(), "{what}: {:#?}", there.containers);
                assert!(networks.is_empty(), "{what}: {networks:?}");
                let kept: &[&str] = if exclusive == "db" { &[data] } else { &[] };
                assert_eq!(volumes, kept, "{what}");
                continue;
            }
            let wanted = BTreeMap::from([(rolling.to_owned(), 2), (exclusive.to_owned(), 1)]);
            assert_eq!(running(host), wanted, "{what}");
            assert_eq!(there.containers.len(), 3, "{what}: {:#?}", there.containers);
            for found in &there.containers {
                let env = host.env_of(&found.id).unwrap();
                assert_eq!(env["VERSION"], self.version.to_string(), "{what}");
            }
            assert_eq!(networks, ["shop_prod"], "{what}");
            assert_eq!(volumes, [data], "{what}");
        }
    }
}

impl Drop for Sweep {
    fn drop(&mut self) {
        self.process.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

/// How many containers of each service run.
fn running(host: &FakeHost) -> BTreeMap<String, usize> {
    let mut running = BTreeMap::new();
    for found in host.snapshot().containers {
        if found.state == ContainerState::Running {
            *running.entry(found.labels[label::SERVICE].clone()).or_default() += 1;
        }
    }
    running
}

const PLACES: [Place; 3] = [Place::HostOne, Place::HostTwo, Place::Api];
const MOMENTS: [Moment; 2] = [Moment::Before, Moment::After];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_any_two_calls_of_a_change_on_two_hosts_is_survived() {
    let mut sweep = Sweep::start().await;
    sweep.act(Act::Create, None).await;
    for place in PLACES {
        for moment in MOMENTS {
            let mut struck = 0;
            while sweep.act(Act::Change, Some((place, struck + 1, moment))).await {
                struck += 1;
            }
            let least = if place == Place::Api { 2 } else { 12 };
            assert!(struck >= least, "only {struck} calls on {place:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_any_two_calls_of_a_beginning_or_an_end_is_survived() {
    let mut sweep = Sweep::start().await;
    for place in PLACES {
        for moment in MOMENTS {
            let (mut number, mut going) = (0, true);
            while going {
                number += 1;
                let point = Some((place, number, moment));
                going = sweep.act(Act::Create, point).await;
                going |= sweep.act(Act::Remove, point).await;
            }
            let least = if place == Place::Api { 2 } else { 7 };
            assert!(number > least, "only {number} calls on {place:?}");
        }
    }
}
