//! Environment: gather → plan → execute → record.

mod container;
mod evidence;
mod exec;
mod execute;
pub(crate) mod gather;
mod logs;
mod output;
mod preview;
mod quota;
mod record;
mod stats;
mod wakes;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::stream::BoxStream;
use hades_api::name::EnvironmentName;
use hades_api::{Environment, annotation, condition, reason};
use hades_plan::{ActionId, Plan};
use hades_provider::{ErrorClass, ProviderError};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, Resource, ResourceExt};

use crate::backoff::Backoff;
use crate::driver::{Meta, Progress, ReconcileError, Reconciler};
use crate::images::PullDesk;
use crate::redaction::redact;
use crate::{Context, finalizer, status};

pub use container::PickError;
pub use exec::{ExecError, exec};
pub(crate) use gather::{Fault, secrets};
pub use logs::{LogLine, LogQuery, logs};
pub use preview::{Instead, PlanReply, preview};
pub use stats::{StatsEntry, StatsReply, stats};

/// How soon to look again at what can't go on now, where nothing is sure to
/// wake it (an engine that doesn't answer sends no events).
const WAITING: Duration = Duration::from_secs(15);

/// Passes in a row that may find the world changed under them and look again at
/// once. Races are over by then; what isn't is some engine contradicting itself.
const SURPRISES_AT_ONCE: u32 = 4;
/// Pause after the next such pass; it doubles with each.
const FIRST_SURPRISE_PAUSE: Duration = Duration::from_millis(100);

/// Works on Environments.
#[derive(Default)]
pub(crate) struct Environments {
    memory: Memory,
}

/// What is remembered between passes; all of it may be lost at any time.
#[derive(Default)]
pub(crate) struct Memory {
    /// Actions that failed, by UID of their environment.
    failures: Backoff<(String, ActionId), ProviderError>,
    /// What an environment should be when it last was so, by UID: what differs
    /// while this is unchanged is drift.
    settled: Mutex<HashMap<String, String>>,
    /// Passes in a row that got nothing done as the world wasn't what the plan
    /// saw, by UID.
    surprises: Mutex<HashMap<String, u32>>,
    /// What containers that fail last said.
    last_lines: evidence::Remembered,
    /// Whose credentials images were last pulled with, by UID.
    credentials: Mutex<HashMap<String, String>>,
}

impl Memory {
    fn settle(&self, uid: &str, desired: String) {
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        settled.insert(uid.to_owned(), desired);
    }

    fn is_settled(&self, uid: &str, desired: &str) -> bool {
        let settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        settled.get(uid).is_some_and(|known| known == desired)
    }

    /// Notes a pass that got nothing done as the world wasn't what the plan saw;
    /// returns the pause before the next one.
    fn surprised(&self, uid: &str) -> Duration {
        let mut surprises = self.surprises.lock().unwrap_or_else(PoisonError::into_inner);
        let count = surprises.entry(uid.to_owned()).or_default();
        *count = count.saturating_add(1);
        match count.checked_sub(SURPRISES_AT_ONCE + 1) {
            None => Duration::ZERO,
            Some(further) => FIRST_SURPRISE_PAUSE.saturating_mul(1 << further.min(16)).min(WAITING),
        }
    }

    /// Credentials that have changed are worth a new try of every pull.
    fn credentials_are(&self, uid: &str, identity: String) {
        let mut credentials = self.credentials.lock().unwrap_or_else(PoisonError::into_inner);
        let known = credentials.insert(uid.to_owned(), identity.clone());
        if known.is_some_and(|known| known != identity) {
            self.failures.forget(|(failed, id)| failed == uid && id.0.starts_with("pull "));
        }
    }

    fn unsurprised(&self, uid: &str) {
        self.surprises.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }

    fn forget(&self, uid: &str) {
        self.unsurprised(uid);
        self.last_lines.forget(uid);
        self.credentials.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
        self.failures.forget(|(failed, _)| failed == uid);
        self.settled.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

#[async_trait]
impl Reconciler for Environments {
    type Kind = Environment;

    fn api(client: &Client, namespace: Option<&str>) -> Api<Environment> {
        match namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        }
    }

    fn wakes(
        &self,
        context: &Arc<Context>,
        store: Store<Meta<Environment>>,
    ) -> BoxStream<'static, ObjectRef<Meta<Environment>>> {
        wakes::all(context, store)
    }

    async fn reconcile(
        &self,
        context: &Arc<Context>,
        environment: Environment,
    ) -> Result<Progress, ReconcileError> {
        let api = Self::api(&context.client, environment.namespace().as_deref());
        if environment.meta().deletion_timestamp.is_some() {
            let project = environment.namespace().unwrap_or_default();
            context.hosts.users.looking(&project, &environment.name_any());
            return clean_up(context, &self.memory, &api, &environment).await;
        }
        if !finalizer::is_set(&environment) {
            // The change wakes the next pass, which then may make things.
            finalizer::set(&api, &environment, true).await?;
            return Ok(Progress::Again);
        }
        converge(context, &self.memory, &api, &environment).await
    }
}

async fn converge(
    context: &Context,
    memory: &Memory,
    api: &Api<Environment>,
    environment: &Environment,
) -> Result<Progress, ReconcileError> {
    let uid = environment.uid().unwrap_or_default();
    let before = environment.status.clone().unwrap_or_default();
    let mut after = before.clone();
    record::request_handled(&mut after, environment);
    if after.last_handled_reconcile_at != before.last_handled_reconcile_at {
        memory.failures.forget(|(failed, _)| *failed == uid);
    }
    let (project, name) = (environment.namespace().unwrap_or_default(), environment.name_any());
    context.hosts.users.looking(&project, &name);
    let gathered = match gather::gather(context, environment).await? {
        Ok(gathered) => {
            context.hosts.users.looked(&project, &name, gathered.hosts());
            gathered
        }
        Err(faults) => {
            let mut faults = faults;
            redact(&context.redactor_for(environment), &mut faults);
            record::faults(&mut after, environment, &faults, context.now());
            record::tell_faults(context, environment, &before, &faults).await;
            status::write(context, api, environment, &before, &after).await?;
            // Another environment may have left room, and nothing says so.
            let waits = faults.iter().any(|fault| fault.reason == reason::POLICY_VIOLATION);
            return Ok(if waits { Progress::After(WAITING) } else { Progress::Settled });
        }
    };
    memory.credentials_are(&uid, gathered.pull_keys.identity());
    let name = &gathered.desired.environment;
    context.images.poller.register(name, gathered.wants.clone());
    if after.last_handled_reconcile_at != before.last_handled_reconcile_at {
        context.images.poller.refresh(name);
    }
    record::policies(&mut after, &gathered);
    record::tell_policies(context, environment, &before, &after).await;
    let plan = hades_plan::plan(&gathered.desired, &gathered.observed);
    if gathered.suspended {
        record::suspended(&mut after, environment, &gathered, &plan, context.now());
        status::write(context, api, environment, &before, &after).await?;
        return Ok(Progress::Settled);
    }
    let mut stored = before.clone();
    if record::must_precede(&before, &plan) {
        // Before anything is made on a host that the status doesn't name yet: a
        // crash must not leave things where nobody would look for them.
        record::planned(&mut after, environment, &gathered, &plan, context.now());
        status::write(context, api, environment, &before, &after).await?;
        stored = after.clone();
    }
    let healing = memory.is_settled(&uid, &gathered.fingerprint);
    let execution = carry_out(context, memory, environment, &plan, &gathered).await;
    record::outcome(&mut after, environment, &gathered, &plan, &execution, healing, context.now());
    if after != stored {
        // What is told once is compared with what was written, in which they are hidden.
        redact(&context.redactor_for(environment), &mut after);
    }
    record::tell(context, environment, &before, &after, &plan, &execution, healing).await;
    status::write(context, api, environment, &stored, &after).await?;
    let all_seen = gathered.unseen_hosts().is_empty();
    Ok(next_pass(memory, &uid, &plan, &execution, gathered.fingerprint, all_seen))
}

async fn carry_out(
    context: &Context,
    memory: &Memory,
    environment: &Environment,
    plan: &Plan,
    gathered: &gather::Gathered,
) -> execute::Execution {
    let uid = environment.uid().unwrap_or_default();
    let redactor = || context.redactor_for(environment);
    let last_lines =
        evidence::last_lines(&memory.last_lines, &uid, plan, gathered, &redactor).await;
    let started = Instant::now();
    let may_try = |id: &ActionId| memory.failures.remaining(&(uid.clone(), id.clone()), started);
    let desk = PullDesk { context, environment, keys: &gathered.pull_keys };
    let mut execution =
        execute::execute(plan, &gathered.providers, may_try, &desk, &context.metrics).await;
    execution.last_lines = last_lines;
    for id in &execution.done {
        memory.failures.succeeded(&(uid.clone(), id.clone()));
    }
    for failure in &execution.failed {
        let key = (uid.clone(), failure.action.clone());
        let hopeless = failure.error.class == ErrorClass::Terminal;
        memory.failures.failed(&key, Instant::now(), hopeless, failure.error.clone());
    }
    execution
}

fn next_pass(
    memory: &Memory,
    uid: &str,
    plan: &Plan,
    execution: &execute::Execution,
    fingerprint: String,
    all_seen: bool,
) -> Progress {
    if execution.changed && execution.done.is_empty() {
        return Progress::After(memory.surprised(uid));
    }
    memory.unsurprised(uid);
    if execution.changed || !execution.done.is_empty() {
        return Progress::Again;
    }
    if plan.is_empty() {
        memory.settle(uid, fingerprint);
        return if all_seen { Progress::Settled } else { Progress::After(WAITING) };
    }
    let now = Instant::now();
    let soonest = plan
        .actions
        .iter()
        .filter_map(|action| memory.failures.remaining(&(uid.to_owned(), action.id.clone()), now))
        .map(|(pause, _)| pause)
        .chain(plan.look_again_seconds.map(Duration::from_secs))
        .min();
    Progress::After(soonest.map_or(WAITING, |soonest| soonest.min(WAITING)))
}

fn name_of(environment: &Environment) -> EnvironmentName {
    EnvironmentName::new(environment.namespace().unwrap_or_default(), environment.name_any())
}

async fn clean_up(
    context: &Context,
    memory: &Memory,
    api: &Api<Environment>,
    environment: &Environment,
) -> Result<Progress, ReconcileError> {
    let uid = environment.uid().unwrap_or_default();
    if !finalizer::is_set(environment) {
        memory.forget(&uid);
        context.monitor.forget(&name_of(environment));
        return Ok(Progress::Gone);
    }
    if environment.annotations().contains_key(annotation::ABANDON) {
        let note = "left as it was on its hosts, as hades.dev/abandon asks".to_owned();
        context.events.warning(environment, reason::CLEANED_UP, "Abandon", note).await;
        finalizer::set(api, environment, false).await?;
        memory.forget(&uid);
        context.monitor.forget(&name_of(environment));
        return Ok(Progress::Gone);
    }
    let gathered = gather::for_deletion(context, environment).await?;
    context.images.poller.register(&gathered.desired.environment, Vec::new());
    let plan = hades_plan::plan(&gathered.desired, &gathered.observed);
    if plan.is_empty() && gathered.missing_hosts.is_empty() {
        finalizer::set(api, environment, false).await?;
        memory.forget(&uid);
        context.monitor.forget(&name_of(environment));
        return Ok(Progress::Gone);
    }
    let before = environment.status.clone().unwrap_or_default();
    let mut after = before.clone();
    let execution = carry_out(context, memory, environment, &plan, &gathered).await;
    record::cleanup(&mut after, environment, &gathered, &plan, &execution, context.now());
    let pending = condition::find(&after.conditions, condition::READY);
    if let Some(pending) = pending.filter(|_| !execution.is_progress()) {
        let note = pending.message.clone();
        context.events.warning(environment, reason::CLEANUP_PENDING, "Delete", note).await;
    }
    status::write(context, api, environment, &before, &after).await?;
    Ok(match next_pass(memory, &uid, &plan, &execution, String::new(), true) {
        Progress::Settled => Progress::After(WAITING),
        progress => progress,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surprises_in_a_row_are_met_with_patience() {
        let memory = Memory::default();
        let pauses: Vec<_> = (0..16).map(|_| memory.surprised("uid")).collect();
        assert_eq!(pauses[..4], [Duration::ZERO; 4]);
        assert_eq!(pauses[4], FIRST_SURPRISE_PAUSE);
        assert_eq!(pauses[5], FIRST_SURPRISE_PAUSE * 2);
        assert_eq!(pauses[15], WAITING);
        assert_eq!(memory.surprised("another"), Duration::ZERO);
        memory.unsurprised("uid");
        assert_eq!(memory.surprised("uid"), Duration::ZERO);
    }
}
