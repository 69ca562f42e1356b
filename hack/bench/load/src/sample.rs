//! What was measured, in numbers.

use std::time::Duration;

use serde_json::{Value, json};

/// The value below which a share of the samples lies; sorts them.
pub fn percentile(samples: &mut [Duration], share: f64) -> f64 {
    samples.sort_unstable();
    let last = samples.len().saturating_sub(1);
    // The rank is far below 2^52.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let rank = (last as f64 * share).round() as usize;
    samples.get(rank).map_or(0.0, Duration::as_secs_f64)
}

/// Count and percentiles.
pub fn summary(mut samples: Vec<Duration>) -> Value {
    json!({
        "count": samples.len(),
        "p50": percentile(&mut samples, 0.5),
        "p99": percentile(&mut samples, 0.99),
        "max": percentile(&mut samples, 1.0),
    })
}

/// Seconds of processor time that this process has used.
pub fn processor_seconds() -> f64 {
    // Fields 14 and 15, after a name that may hold anything but a bracket.
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|tick| tick.parse::<f64>().ok())
        .sum();
    // USER_HZ is 100 on every Linux that Rust runs on.
    ticks / 100.0
}
