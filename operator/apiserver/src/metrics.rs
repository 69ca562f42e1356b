//! What the server counts about itself.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    verb: String,
    resource: String,
    code: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResourceLabels {
    resource: String,
}

/// The metrics of one server; clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter<u64, AtomicU64>>,
    watchers: Family<ResourceLabels, Gauge>,
    objects: Family<ResourceLabels, Gauge>,
    commit_seconds: Histogram,
    commit_writes: Histogram,
    authorization_seconds: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        // From half a millisecond, a commit without fsync, to four seconds, a
        // disk in trouble.
        let seconds = (0..14).map(|step| 0.0005 * f64::from(1 << step));
        let writes = (0..9).map(|step| f64::from(1 << step));
        // From a quarter of a microsecond to half a millisecond.
        let authorization = (0..12).map(|step| 0.000_000_25 * f64::from(1 << step));
        Self {
            requests: Family::default(),
            watchers: Family::default(),
            objects: Family::default(),
            commit_seconds: Histogram::new(seconds),
            commit_writes: Histogram::new(writes),
            authorization_seconds: Histogram::new(authorization),
        }
    }
}

/// `plural.group`, the spelling that kubectl uses, from `group/plural`.
fn display_resource(resource: &str) -> String {
    match resource.split_once('/') {
        Some(("", plural)) => plural.to_owned(),
        Some((group, plural)) => format!("{plural}.{group}"),
        None => resource.to_owned(),
    }
}

impl Metrics {
    /// Registers everything under `hades_apiserver_`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("hades_apiserver");
        registry.register(
            "requests",
            "Requests answered, by verb, resource and HTTP status code",
            self.requests.clone(),
        );
        registry.register("watchers", "Open watches, by resource", self.watchers.clone());
        registry.register("objects", "Objects in the store, by resource", self.objects.clone());
        registry.register_with_unit(
            "store_commit",
            "Time of a commit of the store, waiting for the disk included",
            Unit::Seconds,
            self.commit_seconds.clone(),
        );
        registry.register(
            "store_commit_writes",
            "Writes that shared one commit of the store",
            self.commit_writes.clone(),
        );
        registry.register_with_unit(
            "authorization",
            "Time to find out whether a caller may do what he asks for",
            Unit::Seconds,
            self.authorization_seconds.clone(),
        );
    }

    /// Counts an answered request. `resource` is `group/plural`, or empty where
    /// the request is about no known resource.
    pub(crate) fn request(&self, verb: &str, resource: &str, code: u16) {
        let labels =
            RequestLabels { verb: verb.to_owned(), resource: display_resource(resource), code };
        self.requests.get_or_create(&labels).inc();
    }

    /// A guard that counts one open watch until it is dropped.
    pub(crate) fn watching(&self, resource: &str) -> WatchGuard {
        let labels = ResourceLabels { resource: display_resource(resource) };
        let gauge = self.watchers.get_or_create(&labels).clone();
        gauge.inc();
        WatchGuard(gauge)
    }

    pub(crate) fn object_added(&self, resource: &str) {
        let labels = ResourceLabels { resource: display_resource(resource) };
        self.objects.get_or_create(&labels).inc();
    }

    pub(crate) fn object_removed(&self, resource: &str) {
        let labels = ResourceLabels { resource: display_resource(resource) };
        self.objects.get_or_create(&labels).dec();
    }

    /// Forgets a resource that is no more.
    pub(crate) fn forget(&self, resource: &str) {
        let labels = ResourceLabels { resource: display_resource(resource) };
        self.objects.remove(&labels);
        self.watchers.remove(&labels);
    }

    pub(crate) fn authorized(&self, elapsed: Duration) {
        self.authorization_seconds.observe(elapsed.as_secs_f64());
    }

    pub(crate) fn committed(&self, elapsed: Duration, writes: usize) {
        self.commit_seconds.observe(elapsed.as_secs_f64());
        self.commit_writes.observe(u32::try_from(writes).map_or(f64::MAX, f64::from));
    }
}

/// Counts an open watch.
#[derive(Debug)]
pub(crate) struct WatchGuard(Gauge);

impl Drop for WatchGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}
