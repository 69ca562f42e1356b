//! How containers are replaced, with its defaults.

use std::time::Duration;

use hades_api::{ServiceSpec, StrategyType};

use crate::check::{DEFAULT_PROGRESS_DEADLINE, Rollout};

/// Of one service.
pub(super) fn rollout(service: &ServiceSpec) -> Rollout {
    let start = service.health_check.as_ref().and_then(|check| check.start_period.as_ref());
    let patience = DEFAULT_PROGRESS_DEADLINE + start.map_or(Duration::ZERO, |start| start.get());
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
