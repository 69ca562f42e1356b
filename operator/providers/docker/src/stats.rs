//! What a container uses.

use bollard::models::ContainerStatsResponse;
use bollard::query_parameters::StatsOptionsBuilder;
use futures::TryStreamExt;
use hades_api::reason;
use hades_provider::{ContainerStats, ErrorClass, ProviderError};

use crate::client::Client;

/// One look, without the second that the engine otherwise waits to tell rates.
pub(crate) async fn look(client: &Client, id: &str) -> Result<ContainerStats, ProviderError> {
    let answer = client
        .look(|docker| async move {
            let options = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
            docker.stats(id, Some(options)).try_next().await
        })
        .await;
    let gone = || {
        ProviderError::new(
            ErrorClass::Conflict,
            reason::ACTION_FAILED,
            format!("there is no container {id} on the host any more"),
        )
    };
    match answer {
        Ok(Some(answer)) => Ok(counters(&answer)),
        Ok(None) => Err(gone()),
        Err(failure) if failure.is_not_found() => Err(gone()),
        Err(failure) => Err(failure.into_provider_error()),
    }
}

fn counters(answer: &ContainerStatsResponse) -> ContainerStats {
    let cpu = answer.cpu_stats.as_ref().and_then(|cpu| cpu.cpu_usage.as_ref()?.total_usage);
    let memory = answer.memory_stats.as_ref();
    let used = memory.and_then(|memory| memory.usage).unwrap_or_default();
    // Files that were read and not used since: cgroup 2 and cgroup 1.
    let cache = memory.and_then(|memory| {
        let details = memory.stats.as_ref()?;
        details.get("inactive_file").or_else(|| details.get("total_inactive_file")).copied()
    });
    let networks = || answer.networks.iter().flat_map(|networks| networks.values());
    ContainerStats {
        cpu_nanoseconds: cpu.unwrap_or_default(),
        memory_bytes: used.saturating_sub(cache.unwrap_or_default()),
        memory_limit_bytes: memory.and_then(|memory| memory.limit).unwrap_or_default(),
        received_bytes: networks().filter_map(|network| network.rx_bytes).sum(),
        sent_bytes: networks().filter_map(|network| network.tx_bytes).sum(),
        processes: answer.pids_stats.as_ref().and_then(|pids| pids.current).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_without_the_file_cache_of_either_cgroup() {
        for cache in ["inactive_file", "total_inactive_file"] {
            let answer: ContainerStatsResponse = serde_json::from_value(serde_json::json!({
                "cpu_stats": {"cpu_usage": {"total_usage": 5_000_000}},
                "memory_stats": {"usage": 1000, "limit": 4000, "stats": {cache: 300}},
                "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 2}, "eth1": {"rx_bytes": 10, "tx_bytes": 20}},
                "pids_stats": {"current": 3},
            }))
            .unwrap();
            let expected = ContainerStats {
                cpu_nanoseconds: 5_000_000,
                memory_bytes: 700,
                memory_limit_bytes: 4000,
                received_bytes: 11,
                sent_bytes: 22,
                processes: 3,
            };
            assert_eq!(counters(&answer), expected, "{cache}");
        }
    }

    #[test]
    fn a_container_that_has_ended_uses_nothing() {
        assert_eq!(counters(&ContainerStatsResponse::default()), ContainerStats::default());
    }
}
