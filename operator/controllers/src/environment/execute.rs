//! Execute: carries out the actions of a plan, each as soon as all that it
//! needs is done. Decides nothing that the plan didn't.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use hades_api::reason;
use hades_plan::{Action, ActionId, Operation, Plan};
use hades_provider::{ErrorClass, Outcome, Provider, ProviderError};

use super::evidence::LastLines;
use crate::images::PullDesk;
use crate::metrics::Metrics;

/// What came of a plan.
#[derive(Debug, Default)]
pub(crate) struct Execution {
    /// Actions that are done.
    pub(crate) done: Vec<ActionId>,
    /// Actions that failed now.
    pub(crate) failed: Vec<Failure>,
    /// Actions that failed before and are left alone for a while.
    pub(crate) held_back: Vec<Failure>,
    /// The world wasn't what the plan saw.
    pub(crate) changed: bool,
    /// What containers that fail last said.
    pub(crate) last_lines: LastLines,
}

/// An action that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) action: ActionId,
    pub(crate) error: ProviderError,
}

impl Execution {
    /// Whether another pass at once may find less to do.
    pub(crate) fn is_progress(&self) -> bool {
        self.changed || !self.done.is_empty()
    }
}

/// Carries out what can be. `pause` says how long a failed action is still to
/// be left alone, and how it failed.
pub(crate) async fn execute(
    plan: &Plan,
    providers: &BTreeMap<String, Arc<dyn Provider>>,
    pause: impl Fn(&ActionId) -> Option<(Duration, ProviderError)>,
    desk: &PullDesk<'_>,
    metrics: &Metrics,
) -> Execution {
    let mut execution = Execution::default();
    let mut done: BTreeSet<ActionId> = BTreeSet::new();
    let mut left: Vec<&Action> = Vec::new();
    for action in &plan.actions {
        match pause(&action.id) {
            Some((_, error)) => {
                execution.held_back.push(Failure { action: action.id.clone(), error });
            }
            None => left.push(action),
        }
    }
    let mut running = FuturesUnordered::new();
    loop {
        let ready = |action: &&Action| action.needs.iter().all(|needed| done.contains(needed));
        let (start, wait): (Vec<&Action>, Vec<&Action>) = left.into_iter().partition(ready);
        left = wait;
        for action in start {
            let provider = providers.get(&action.target.host).cloned();
            running.push(async move { (action, run(provider, action, desk).await) });
        }
        let Some((action, result)) = running.next().await else { break };
        metrics.action(verb(&action.operation), outcome_label(&result));
        match result {
            Ok(Outcome::Done) => {
                done.insert(action.id.clone());
                execution.done.push(action.id.clone());
            }
            Ok(Outcome::Changed) => execution.changed = true,
            Err(error) => {
                execution.failed.push(Failure { action: action.id.clone(), error });
            }
        }
    }
    execution
}

async fn run(
    provider: Option<Arc<dyn Provider>>,
    action: &Action,
    desk: &PullDesk<'_>,
) -> Result<Outcome, ProviderError> {
    let Some(provider) = provider else {
        let message = format!("DockerHost {} isn't connected", action.target.host);
        return Err(ProviderError::new(ErrorClass::Unreachable, reason::HOST_UNREACHABLE, message));
    };
    match action.operation {
        Operation::PullImage => desk.pull(&*provider, action).await,
        _ => provider.execute(action).await,
    }
}

fn verb(operation: &Operation) -> &'static str {
    match operation {
        Operation::PullImage => "pull_image",
        Operation::RemoveImage { .. } => "remove_image",
        Operation::CreateNetwork { .. } => "create_network",
        Operation::RemoveNetwork { .. } => "remove_network",
        Operation::CreateVolume { .. } => "create_volume",
        Operation::RemoveVolume => "remove_volume",
        Operation::CreateContainer { .. } => "create_container",
        Operation::StartContainer { .. } => "start_container",
        Operation::StopContainer { .. } => "stop_container",
        Operation::UnpauseContainer { .. } => "unpause_container",
        Operation::ConnectNetwork { .. } => "connect_network",
        Operation::RemoveContainer { .. } => "remove_container",
    }
}

fn outcome_label(result: &Result<Outcome, ProviderError>) -> &'static str {
    match result {
        Ok(Outcome::Done) => "done",
        Ok(Outcome::Changed) => "changed",
        Err(error) => error.class.as_str(),
    }
}
