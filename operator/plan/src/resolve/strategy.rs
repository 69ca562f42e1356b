//! How containers are replaced, with its defaults.

use std::time::Duration;

use hades_api::{ServiceSpec, StrategyType};

use super::health_check::DEFAULT_INTERVAL;
use crate::check::{DEFAULT_PROGRESS_DEADLINE, Rollout};

/// Time in which nothing can be told of a new container by its check: failures of the
/// start period don't count, and the engine makes its first check only when one
/// interval has passed.
fn before_checks_count(service: &ServiceSpec) -> Duration {
    let Some(check) = &service.health_check else { return Duration::ZERO };
    let given = |time: &Option<hades_api::Duration>, default| {
        time.as_ref().map_or(default, hades_api::Duration::get)
    };
    let first = match check.command {
        Some(_) => given(&check.interval, DEFAULT_INTERVAL),
        None => Duration::ZERO,
    };
    first + given(&check.start_period, Duration::ZERO)
}

/// Of one service.
pub(super) fn rollout(service: &ServiceSpec) -> Rollout {
    let patience = DEFAULT_PROGRESS_DEADLINE + before_checks_count(service);
    let Some(strategy) = &service.strategy else {
        return Rollout { progress_deadline: patience, ..Rollout::default() };
    };
    let hades_api::Strategy { type_, max_surge, progress_deadline, min_ready } = strategy;
    Rollout {
        recreate: *type_ == Some(StrategyType::Recreate),
        max_surge: max_surge.unwrap_or(1).max(1),
        progress_deadline: progress_deadline.as_ref().map_or(patience, |given| given.get()),
        min_ready: min_ready.as_ref().map(|given| given.get()),
    }
}
