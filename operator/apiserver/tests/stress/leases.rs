//! Several contenders for one lease: at most one leads at any time, and another
//! follows when the leader is lost.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hades_apiserver::Identity;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::api::{Api, ListParams, ObjectMeta, PostParams};
use kube::runtime::events::{EventType, Recorder, Reporter};

use crate::run::{Run, Tasks, repeat};

const LEASE: &str = "leader";
const DURATION: SignedDuration = SignedDuration::from_millis(30);
const CONTENDERS: usize = 4;

/// What the server acknowledged: version of the lease, epoch, holder.
type Log = Arc<Mutex<Vec<(u64, i32, String)>>>;

#[derive(Clone)]
struct Contender {
    run: Arc<Run>,
    name: String,
    api: Api<Lease>,
    log: Log,
    recorder: Recorder,
}

impl Contender {
    fn claim(&self, found: Option<&Lease>) -> Option<Lease> {
        let spec = found.and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let now = Timestamp::now();
        let mine = spec.holder_identity.as_deref() == Some(&self.name);
        let held = spec.renew_time.is_some_and(|renewed| now < renewed.0 + DURATION);
        if held && !mine {
            return None;
        }
        let epoch = spec.lease_transitions.unwrap_or(0);
        Some(Lease {
            metadata: found.map_or_else(
                || ObjectMeta { name: Some(LEASE.to_owned()), ..ObjectMeta::default() },
                |lease| lease.metadata.clone(),
            ),
            spec: Some(LeaseSpec {
                holder_identity: Some(self.name.clone()),
                lease_transitions: Some(if mine { epoch } else { epoch + 1 }),
                renew_time: Some(MicroTime(now)),
                lease_duration_seconds: Some(1),
                ..LeaseSpec::default()
            }),
        })
    }

    async fn announce(&self, lease: &Lease) {
        let note = kube::runtime::events::Event {
            type_: EventType::Normal,
            reason: "Elected".to_owned(),
            note: Some("leads from now on".to_owned()),
            action: "Elect".to_owned(),
            secondary: None,
        };
        let reference = kube::Resource::object_ref(lease, &());
        self.recorder.publish(&note, &reference).await.unwrap();
    }

    /// Contends until the task is dropped.
    async fn contend(self) {
        loop {
            self.run.note(&self.name, "reads the lease");
            let found = self.api.get_opt(LEASE).await.unwrap();
            if let Some(claim) = self.claim(found.as_ref()) {
                self.run.note(&self.name, "claims the lease");
                let params = PostParams::default();
                let answer = match &found {
                    None => self.api.create(&params, &claim).await,
                    Some(_) => self.api.replace(LEASE, &params, &claim).await,
                };
                match answer {
                    Ok(lease) => self.won(found.as_ref(), &lease).await,
                    Err(kube::Error::Api(status)) if status.code == 409 => {}
                    Err(error) => panic!("{}: {error}", self.name),
                }
            }
            self.run.note(&self.name, "pauses");
            self.run.dawdle(8).await;
        }
    }

    async fn won(&self, found: Option<&Lease>, lease: &Lease) {
        let epoch = |lease: &Lease| lease.spec.as_ref().unwrap().lease_transitions;
        let version = lease.resource_version().unwrap().parse().unwrap();
        let entry = (version, epoch(lease).unwrap(), self.name.clone());
        self.log.lock().unwrap().push(entry);
        if found.and_then(epoch) != epoch(lease) {
            self.announce(lease).await;
        }
    }
}

/// The acknowledged claims, in the order of the store, tell one story: each
/// epoch belongs to one holder, and no epoch comes back.
fn check(log: &Log) {
    let mut log = log.lock().unwrap().clone();
    log.sort();
    let mut holders: BTreeMap<i32, &str> = BTreeMap::new();
    let mut last = 0;
    for (version, epoch, holder) in &log {
        assert!(*epoch == last || *epoch == last + 1, "epoch {epoch} after {last} at {version}");
        last = *epoch;
        let first = holders.entry(*epoch).or_insert(holder);
        assert_eq!(first, holder, "two leaders in epoch {epoch}");
    }
    let versions: Vec<u64> = log.iter().map(|entry| entry.0).collect();
    assert!(versions.is_sorted_by(|a, b| a < b), "a version was given twice: {versions:?}");
}

async fn life(run: Arc<Run>) {
    let server = run.server().await;
    let log = Log::default();
    let mut contenders: BTreeMap<String, Tasks> = BTreeMap::new();
    for index in 0..CONTENDERS {
        let name = format!("contender-{index}");
        let client = server.server.client(Identity::controller(&name));
        let reporter = Reporter { controller: name.clone(), instance: None };
        let contender = Contender {
            run: Arc::clone(&run),
            name: name.clone(),
            api: Api::namespaced(client.clone(), "kube-system"),
            log: Arc::clone(&log),
            recorder: Recorder::new(client, reporter),
        };
        let mut tasks = Tasks::default();
        tasks.spawn(contender.contend());
        contenders.insert(name, tasks);
    }
    let last = || log.lock().unwrap().iter().max().cloned();
    for _ in 0..CONTENDERS - 1 {
        let living = || async {
            let leader = last().map(|entry| entry.2).unwrap_or_default();
            (!contenders.contains_key(&leader)).then(|| format!("{leader} does not live"))
        };
        run.until("somebody leads", living).await;
        tokio::time::sleep(Duration::from_millis(run.below(20))).await;
        // The leader dies without a word.
        let leader = last().unwrap().2;
        contenders.remove(&leader);
    }
    assert_eq!(contenders.len(), 1);
    let survivor = contenders.keys().next().unwrap().clone();
    let leads = || async {
        let leader = last().unwrap().2;
        (leader != survivor).then(|| format!("{leader} led last, {survivor} is alive"))
    };
    run.until("the last contender leads", leads).await;
    drop(contenders);
    check(&log);
    let events: Api<Event> = Api::namespaced(server.admin(), "kube-system");
    let events = events.list(&ListParams::default()).await.unwrap().items;
    assert!(!events.is_empty(), "elections were announced");
    assert!(events.iter().all(|event| event.reason.as_deref() == Some("Elected")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_most_one_contender_leads_and_another_follows() {
    repeat("leases", 50, life).await;
}
