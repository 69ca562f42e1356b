//! What an environment's containers use.

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use hades_plan::ContainerState;
use hades_provider::ContainerStats;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::container::{FoundContainer, survey};
use crate::Context;
use crate::driver::ReconcileError;

/// Looks at once: each costs the engine some milliseconds of one processor.
const LOOKS_AT_ONCE: usize = 8;

/// Counters of a container, or why there are none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatsEntry {
    /// Service; empty when a whole host can't be looked at.
    pub service: String,
    /// Which of its containers, from 1.
    pub replica: u32,
    /// Name of the container.
    pub container: String,
    /// DockerHost.
    pub host: String,
    /// When the counters were read.
    pub time: Timestamp,
    /// The counters; absent for a container that doesn't run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<ContainerStats>,
    /// Why there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What `…/stats` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatsReply {
    /// An entry a container, in the order of host, service and replica.
    pub items: Vec<StatsEntry>,
}

/// Counters of all containers of an environment. None when there is no such
/// environment.
///
/// # Errors
/// When the API server doesn't answer. What can't be looked at is an entry with
/// `error`.
pub async fn stats(
    context: &Context,
    project: &str,
    environment: &str,
) -> Result<Option<StatsReply>, ReconcileError> {
    let Some(survey) = survey(context, project, environment).await? else { return Ok(None) };
    // Boxed: the compiler can't tell that a stream of borrowing futures is Send.
    let looks: Vec<BoxFuture<'_, StatsEntry>> =
        survey.containers.iter().map(|found| look(context, project, found).boxed()).collect();
    let mut items: Vec<StatsEntry> = stream::iter(looks).buffered(LOOKS_AT_ONCE).collect().await;
    items.extend(survey.unseen.iter().map(|(host, why)| StatsEntry {
        service: String::new(),
        replica: 0,
        container: String::new(),
        host: host.clone(),
        time: context.now(),
        stats: None,
        error: Some(why.clone()),
    }));
    Ok(Some(StatsReply { items }))
}

async fn look(context: &Context, project: &str, found: &FoundContainer) -> StatsEntry {
    let (stats, error) = if found.seen.state == ContainerState::Running {
        match found.provider.stats(&found.seen.id).await {
            Ok(stats) => (Some(stats), None),
            Err(mut error) => {
                context.project_values(project).clear(&mut error);
                (None, Some(error.message))
            }
        }
    } else {
        (None, Some(format!("it is {}", found.seen.state)))
    };
    StatsEntry {
        service: found.service.clone(),
        replica: found.replica,
        container: found.seen.name.clone(),
        host: found.host.clone(),
        time: context.now(),
        stats,
        error,
    }
}
