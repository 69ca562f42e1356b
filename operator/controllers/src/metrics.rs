//! What the controllers count.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PassLabels {
    kind: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActionLabels {
    verb: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HookLabels {
    forge: &'static str,
    outcome: &'static str,
}

/// Counters and times of the controllers. Labels are closed sets, so that there
/// is no series per object.
pub struct Metrics {
    passes: Family<PassLabels, Counter>,
    pass_seconds: Family<KindLabels, Histogram>,
    actions: Family<ActionLabels, Counter>,
    heals: Counter,
    hooks: Family<HookLabels, Counter>,
}

fn histogram() -> Histogram {
    // 1 ms to 16 s.
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            passes: Family::default(),
            pass_seconds: Family::new_with_constructor(histogram),
            actions: Family::default(),
            heals: Counter::default(),
            hooks: Family::default(),
        }
    }
}

impl Metrics {
    /// Puts all of them into a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "hades_reconcile_passes",
            "Passes over objects, by kind and outcome",
            self.passes.clone(),
        );
        registry.register(
            "hades_reconcile_pass_seconds",
            "Time that a pass took, in seconds",
            self.pass_seconds.clone(),
        );
        registry.register(
            "hades_actions",
            "Actions carried out on hosts, by verb and outcome",
            self.actions.clone(),
        );
        registry.register(
            "hades_drift_healed",
            "Times that something was brought back without a change of its manifest",
            self.heals.clone(),
        );
        registry.register(
            "hades_webhook_deliveries",
            "Deliveries to webhooks, by forge and outcome",
            self.hooks.clone(),
        );
    }

    pub(crate) fn pass(&self, kind: &str, outcome: &'static str, took: Duration) {
        let kind = kind.to_owned();
        self.pass_seconds
            .get_or_create(&KindLabels { kind: kind.clone() })
            .observe(took.as_secs_f64());
        self.passes.get_or_create(&PassLabels { kind, outcome }).inc();
    }

    pub(crate) fn action(&self, verb: &'static str, outcome: &'static str) {
        self.actions.get_or_create(&ActionLabels { verb, outcome }).inc();
    }

    pub(crate) fn hook(&self, forge: &'static str, outcome: &'static str) {
        self.hooks.get_or_create(&HookLabels { forge, outcome }).inc();
    }

    pub(crate) fn healed(&self) {
        self.heals.inc();
    }
}
