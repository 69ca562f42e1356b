//! Record: what a pass found and did, as status and events. The functions that
//! work out a status do no IO.

use std::collections::{BTreeMap, BTreeSet};

use hades_api::{
    Drift, Environment, EnvironmentStatus, Health, PinnedImage, PlanRecord, PolicyImage,
    ResourceStatus, annotation, condition, reason,
};
use hades_plan::{
    Action, ActionId, HostView, Plan, Reason, ResourceState, Target, TargetKind, WaitCause, render,
};
use hades_provider::ErrorClass;
use jiff::Timestamp;
use kube::{Resource, ResourceExt};

use super::execute::Execution;
use super::gather::{Fault, Gathered};
use crate::Context;
use crate::status::set_condition;

/// Actions that a status or an event lists before it says how many more.
const ACTIONS_SHOWN: usize = 50;

/// Notes that a person's request for a pass has been seen.
pub(super) fn request_handled(status: &mut EnvironmentStatus, environment: &Environment) {
    let request = environment.annotations().get(annotation::RECONCILE_REQUESTED_AT);
    if let Some(request) = request {
        status.last_handled_reconcile_at = Some(request.clone());
    }
}

fn set(
    status: &mut EnvironmentStatus,
    environment: &Environment,
    truth: (&'static str, bool),
    words: (&str, &str),
    now: Timestamp,
) {
    set_condition(&mut status.conditions, environment, truth, words, now);
}

fn clear(status: &mut EnvironmentStatus, types: &[&str]) {
    for type_ in types {
        condition::clear(&mut status.conditions, type_);
    }
}

/// The environment can't be planned: nothing is touched, what ran runs on.
pub(super) fn faults(
    status: &mut EnvironmentStatus,
    environment: &Environment,
    faults: &[Fault],
    now: Timestamp,
) {
    status.observed_generation = environment.meta().generation;
    let reason = faults.first().map_or(reason::INVALID_SPEC, |fault| fault.reason);
    let message = fault_message(faults);
    set(status, environment, (condition::READY, false), (reason, &message), now);
    set(status, environment, (condition::STALLED, true), (reason, &message), now);
    clear(status, &[condition::RECONCILING, condition::SUSPENDED]);
}

fn fault_message(faults: &[Fault]) -> String {
    let lines: Vec<String> =
        faults.iter().map(|fault| format!("{}: {}", fault.field, fault.message)).collect();
    lines.join("; ")
}

/// Says once what is wrong: not again while it stays the same.
pub(super) async fn tell_faults(
    context: &Context,
    environment: &Environment,
    before: &EnvironmentStatus,
    faults: &[Fault],
) {
    let message = fault_message(faults);
    let known = condition::find(&before.conditions, condition::STALLED);
    if known.is_some_and(|known| known.message == message) {
        return;
    }
    let reason = faults.first().map_or(reason::INVALID_SPEC, |fault| fault.reason);
    context.events.warning(environment, reason, "Plan", message).await;
}

/// The environment is suspended: the plan is shown by its drift and not carried out.
pub(super) fn suspended(
    status: &mut EnvironmentStatus,
    environment: &Environment,
    gathered: &Gathered,
    plan: &Plan,
    now: Timestamp,
) {
    found(status, environment, gathered, plan);
    let message = match plan.actions.len() {
        0 => "suspended; everything is as described".to_owned(),
        n => format!("suspended; {n} changes are held back"),
    };
    let as_described = plan.is_empty();
    set(status, environment, (condition::SUSPENDED, true), (reason::SUSPENDED, &message), now);
    set(status, environment, (condition::READY, as_described), (reason::SUSPENDED, &message), now);
    clear(status, &[condition::RECONCILING, condition::STALLED]);
    if as_described {
        clear(status, &[condition::DRIFTED]);
    }
}

/// Whether the status must name a host before something is made there.
pub(super) fn must_precede(before: &EnvironmentStatus, plan: &Plan) -> bool {
    let known: BTreeSet<&str> = before.resources.iter().map(|found| found.host.as_str()).collect();
    plan.actions.iter().any(|action| !known.contains(action.target.host.as_str()))
}

/// What is about to be done.
pub(super) fn planned(
    status: &mut EnvironmentStatus,
    environment: &Environment,
    gathered: &Gathered,
    plan: &Plan,
    now: Timestamp,
) {
    found(status, environment, gathered, plan);
    progressing(status, environment, plan, now);
}

fn progressing(
    status: &mut EnvironmentStatus,
    environment: &Environment,
    plan: &Plan,
    now: Timestamp,
) {
    let message = summary(plan);
    set(status, environment, (condition::READY, false), (reason::PROGRESSING, &message), now);
    set(status, environment, (condition::RECONCILING, true), (reason::PROGRESSING, &message), now);
    clear(status, &[condition::STALLED, condition::SUSPENDED]);
}

fn summary(plan: &Plan) -> String {
    let summary = plan.summary();
    let counts = [
        (summary.create, "to create"),
        (summary.update, "to update"),
        (summary.replace, "to replace"),
        (summary.remove, "to remove"),
    ];
    let parts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if parts.is_empty() { "looking for what is left to do".to_owned() } else { parts.join(", ") }
}

/// What was found and done.
pub(super) fn outcome(
    status: &mut EnvironmentStatus,
    environment: &Environment,
    gathered: &Gathered,
    plan: &Plan,
    execution: &Execution,
    healing: bool,
    now: Timestamp,
) {
    found(status, environment, gathered, plan);
    if !execution.done.is_empty() {
        status.last_plan =
            Some(PlanRecord { digest: plan.digest.clone(), time: now, actions: shown(plan) });
    }
    if healing && plan.actions.iter().any(is_heal) {
        let message = summary(plan);
        set(status, environment, (condition::DRIFTED, true), (reason::DRIFT_HEALED, &message), now);
    } else if plan.actions.is_empty() {
        clear(status, &[condition::DRIFTED]);
    }
    if let Some(trouble) = trouble(plan, execution) {
        // Work goes on by itself, but a person should know.
        let (reason, message) = (trouble.reason, &trouble.message);
        set(status, environment, (condition::READY, false), (reason, message), now);
        clear(status, &[condition::SUSPENDED]);
        if trouble.stalled {
            set(status, environment, (condition::STALLED, true), (reason, message), now);
            clear(status, &[condition::RECONCILING]);
        } else {
            set(status, environment, (condition::RECONCILING, true), (reason, message), now);
            clear(status, &[condition::STALLED]);
        }
        return;
    }
    if !plan.is_empty() {
        progressing(status, environment, plan, now);
        return;
    }
    let mut message = match status.resources.iter().filter(|r| r.kind == CONTAINER).count() {
        1 => "1 container runs as described".to_owned(),
        n => format!("{n} containers run as described"),
    };
    if !status.stopped.is_empty() {
        message.push_str(&format!("; stopped: {}", status.stopped.join(", ")));
    }
    set(status, environment, (condition::READY, true), (reason::RECONCILED, &message), now);
    clear(status, &[condition::RECONCILING, condition::STALLED, condition::SUSPENDED]);
}

/// The environment is being deleted and something is still there.
pub(super) fn cleanup(
    status: &mut EnvironmentStatus,
    environment: &Environment,
    gathered: &Gathered,
    plan: &Plan,
    execution: &Execution,
    now: Timestamp,
) {
    found(status, environment, gathered, plan);
    let message = if let Some(trouble) = trouble(plan, execution) {
        format!(
            "{}; to give up what is there: annotate the environment with {}=true",
            trouble.message,
            annotation::ABANDON
        )
    } else if !gathered.missing_hosts.is_empty() {
        format!(
            "things were made on DockerHost {}, which is no more; create it again, or give up what is there: annotate the environment with {}=true",
            gathered.missing_hosts.join(", "),
            annotation::ABANDON
        )
    } else {
        format!("removing {} things", plan.actions.len())
    };
    let pending = reason::CLEANUP_PENDING;
    set(status, environment, (condition::READY, false), (pending, &message), now);
    set(status, environment, (condition::RECONCILING, true), (pending, &message), now);
    clear(status, &[condition::STALLED, condition::SUSPENDED]);
}

const CONTAINER: &str = "Container";

fn kind(kind: TargetKind) -> &'static str {
    match kind {
        TargetKind::Container => CONTAINER,
        TargetKind::Network => "Network",
        TargetKind::Volume => "Volume",
        TargetKind::Image => "Image",
    }
}

/// What is there, whatever is done about it.
fn found(
    status: &mut EnvironmentStatus,
    environment: &Environment,
    gathered: &Gathered,
    plan: &Plan,
) {
    status.observed_generation = environment.meta().generation;
    status.stopped = gathered.desired.stopped.iter().cloned().collect();
    let wanted: BTreeSet<(&str, &str)> = gathered
        .desired
        .containers
        .iter()
        .map(|container| (container.host.as_str(), container.name.as_str()))
        .collect();
    let works = |found: &&ResourceState| {
        found.target.kind == TargetKind::Container
            && found.health == Health::Healthy
            && found.drift == Drift::InSync
            && wanted.contains(&(found.target.host.as_str(), found.target.name.as_str()))
    };
    let ready = plan.resources.iter().filter(works).count();
    status.ready = Some(format!("{ready}/{}", wanted.len()));
    status.images = pins(&status.images, gathered, plan);
    let mut resources: Vec<ResourceStatus> =
        plan.resources.iter().map(|found| resource(found, gathered)).collect();
    resources.extend(unseen(&status.resources, gathered, &resources));
    status.resources = resources;
}

/// What is on record for hosts that can't be looked at now: forgetting it would
/// mean never to look for it again.
fn unseen(
    known: &[ResourceStatus],
    gathered: &Gathered,
    seen: &[ResourceStatus],
) -> Vec<ResourceStatus> {
    let hosts = gathered.unseen_hosts();
    known
        .iter()
        .filter(|old| hosts.contains(&old.host))
        .filter(|old| {
            !seen
                .iter()
                .any(|new| (&new.host, &new.kind, &new.name) == (&old.host, &old.kind, &old.name))
        })
        .map(|old| ResourceStatus {
            state: "unknown".to_owned(),
            health: Health::Unknown,
            drift: Drift::Unknown,
            message: Some("its host can't be looked at".to_owned()),
            ..old.clone()
        })
        .collect()
}

fn resource(found: &ResourceState, gathered: &Gathered) -> ResourceStatus {
    let policy = gathered
        .desired
        .volumes
        .iter()
        .find(|volume| {
            found.target.kind == TargetKind::Volume
                && (&volume.host, &volume.name) == (&found.target.host, &found.target.name)
        })
        .map(|volume| volume.deletion_policy);
    ResourceStatus {
        deletion_policy: policy,
        kind: kind(found.target.kind).to_owned(),
        name: found.target.name.clone(),
        host: found.target.host.clone(),
        service: found.target.service.clone(),
        state: found.state.clone(),
        health: found.health,
        drift: found.drift,
        message: found.message.clone(),
        failure: found.failure.clone(),
        image: found.image.clone(),
        ports: found.ports.clone(),
        created_at: found.created_at,
        limits: found.limits.clone(),
    }
}

/// What each image reference in use stands for: as it was, as long as anything
/// runs it or nothing runs; else as a container that is in sync runs it.
fn pins(known: &[PinnedImage], gathered: &Gathered, plan: &Plan) -> Vec<PinnedImage> {
    let used: BTreeSet<(&str, &str)> = gathered
        .desired
        .containers
        .iter()
        .map(|container| (container.host.as_str(), container.spec.image.as_str()))
        .collect();
    let mut running: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for found in plan.resources.iter().filter(|found| found.drift == Drift::InSync) {
        if let (Some(image), Some(id)) = (&found.image, &found.image_id) {
            running.entry((&found.target.host, image)).or_default().insert(id);
        }
    }
    let mut pins: Vec<PinnedImage> = Vec::new();
    for (host, image) in used {
        let known = known.iter().find(|pin| pin.host == host && pin.image == image);
        let ids = running.get(&(host, image));
        let id = match (known, ids.and_then(|ids| ids.first())) {
            (Some(pin), Some(_)) if ids.is_some_and(|ids| ids.contains(pin.id.as_str())) => &pin.id,
            (_, Some(id)) => *id,
            (Some(pin), None) => &pin.id,
            (None, None) => continue,
        };
        let digest = match gathered.observed.hosts.get(host) {
            Some(HostView::Snapshot(snapshot)) => snapshot.digest_of(image, id),
            Some(HostView::Unreachable { .. }) | None => None,
        };
        let recorded = known.filter(|pin| pin.id == *id).and_then(|pin| pin.digest.clone());
        pins.push(PinnedImage {
            host: host.to_owned(),
            image: image.to_owned(),
            id: id.to_owned(),
            digest: digest.or(recorded),
        });
    }
    pins.sort_by(|a, b| (&a.host, &a.image).cmp(&(&b.host, &b.image)));
    pins
}

/// What image policies have led to.
pub(super) fn policies(status: &mut EnvironmentStatus, gathered: &Gathered) {
    status.image_policies = gathered.policies.clone();
}

/// Says when a policy has led to another image.
pub(super) async fn tell_policies(
    context: &Context,
    environment: &Environment,
    before: &EnvironmentStatus,
    after: &EnvironmentStatus,
) {
    for found in &after.image_policies {
        let known = before.image_policies.iter().find(|known| known.service == found.service);
        let known = known.filter(|known| known.image == found.image);
        if known.is_some_and(|known| known.tag == found.tag && known.digest == found.digest) {
            continue;
        }
        let PolicyImage { service, policy, tag, digest, .. } = found;
        let from = known.map_or_else(|| "first".to_owned(), |known| format!("{} →", known.tag));
        let note = format!("service {service}: image policy ({policy}): {from} {tag} ({digest})");
        context.events.normal(environment, reason::IMAGE_UPDATED, "FollowPolicy", note).await;
    }
}

/// Why an environment isn't what it should be although it was tried.
struct Trouble {
    reason: &'static str,
    message: String,
    /// Nothing will get better before somebody does something.
    stalled: bool,
}

fn trouble(plan: &Plan, execution: &Execution) -> Option<Trouble> {
    // What failed before and is being left alone is as wrong as what failed now.
    let failures: Vec<_> = execution.failed.iter().chain(&execution.held_back).collect();
    let first = plan
        .actions
        .iter()
        .find_map(|action| Some((action, failures.iter().find(|f| f.action == action.id)?)));
    if let Some((action, failure)) = first {
        let others = match failures.len() {
            1 => String::new(),
            n => format!(" (and {} more)", n - 1),
        };
        let (target, error) = (&action.target, &failure.error);
        let message = if error.message.contains(&target.name) {
            format!("{}{others}", error.message)
        } else {
            format!("{} {}: {}{others}", target.kind, target.name, error.message)
        };
        let stalled = error.class == ErrorClass::Terminal;
        return Some(Trouble { reason: error.reason, message, stalled });
    }
    if execution.is_progress() {
        return None;
    }
    let causes = plan.waiting.iter().map(|waiting| (weight(&waiting.cause), waiting));
    causes.min_by_key(|(weight, _)| *weight).map(|(_, waiting)| {
        let (reason, stalled) = judge(&waiting.cause);
        let others = match plan.waiting.len() {
            1 => String::new(),
            n => format!(" (and {} more)", n - 1),
        };
        let Target { host, name, .. } = &waiting.target;
        let said = match execution.last_lines.get(&(host.clone(), name.clone())) {
            Some(lines) => format!("; its last lines: {lines}"),
            None => String::new(),
        };
        let message = format!("{}{others}{said}", render::waiting_line(waiting));
        Trouble { reason, message, stalled }
    })
}

/// What to name first when several things are waited for.
fn weight(cause: &WaitCause) -> u8 {
    match cause {
        WaitCause::HostUnreachable { .. } => 0,
        WaitCause::RolloutFailed { .. }
        | WaitCause::ContainerFailing { .. }
        | WaitCause::Unhealthy { overdue: true, .. } => 1,
        WaitCause::NameTaken { .. }
        | WaitCause::PortTaken { .. }
        | WaitCause::SubnetPoolExhausted { .. }
        | WaitCause::ImageUnresolved { .. }
        | WaitCause::DiskFull { .. }
        | WaitCause::ImageAbsent { .. } => 2,
        WaitCause::Unhealthy { overdue: false, .. } | WaitCause::HostUnschedulable => 3,
        WaitCause::RolloutHalted { .. } => 4,
        WaitCause::NotReady { .. } => 5,
        WaitCause::DependencyNotReady { .. } => 6,
        WaitCause::ReplacementNotRunning { .. } | WaitCause::Turn => 7,
        WaitCause::RemovalInProgress | WaitCause::InUse { .. } => 8,
    }
}

fn judge(cause: &WaitCause) -> (&'static str, bool) {
    match cause {
        WaitCause::HostUnreachable { .. } => (reason::HOST_UNREACHABLE, false),
        WaitCause::ContainerFailing { .. } => (reason::CONTAINER_FAILED, true),
        WaitCause::NameTaken { .. } => (reason::BLOCKED_BY_FOREIGN, true),
        WaitCause::PortTaken { .. } => (reason::PORT_TAKEN, true),
        WaitCause::SubnetPoolExhausted { .. } => (reason::ACTION_FAILED, true),
        WaitCause::ImageAbsent { .. } => (reason::IMAGE_UNAVAILABLE, true),
        WaitCause::RolloutFailed { .. } | WaitCause::RolloutHalted { .. } => {
            (reason::ROLLOUT_FAILED, true)
        }
        WaitCause::Unhealthy { overdue, .. } => (reason::HEALTH_CHECK_FAILING, *overdue),
        WaitCause::DependencyNotReady { .. } => (reason::WAITING_FOR_DEPENDENCY, false),
        WaitCause::HostUnschedulable => (reason::HOST_UNSCHEDULABLE, true),
        WaitCause::ImageUnresolved { .. } => (reason::IMAGE_POLICY_UNRESOLVED, false),
        WaitCause::DiskFull { .. } => (reason::DISK_FULL, false),
        WaitCause::ReplacementNotRunning { .. }
        | WaitCause::NotReady { .. }
        | WaitCause::Turn
        | WaitCause::RemovalInProgress
        | WaitCause::InUse { .. } => (reason::PROGRESSING, false),
    }
}

/// Whether an action brings back what was there rather than makes something new.
fn is_heal(action: &Action) -> bool {
    matches!(
        action.reason,
        Reason::Absent
            | Reason::NotRunning { .. }
            | Reason::Paused
            | Reason::Detached
            | Reason::Dead
    )
}

fn shown(plan: &Plan) -> Vec<String> {
    let mut lines: Vec<String> =
        plan.actions.iter().take(ACTIONS_SHOWN).map(render::line).collect();
    if plan.actions.len() > ACTIONS_SHOWN {
        lines.push(format!("and {} more", plan.actions.len() - ACTIONS_SHOWN));
    }
    lines
}

/// Publishes what a pass did, and trouble once while it stays the same.
pub(super) async fn tell(
    context: &Context,
    environment: &Environment,
    before: &EnvironmentStatus,
    after: &EnvironmentStatus,
    plan: &Plan,
    execution: &Execution,
    healing: bool,
) {
    if !execution.done.is_empty() {
        let done: BTreeSet<&ActionId> = execution.done.iter().collect();
        let lines: Vec<String> = plan
            .actions
            .iter()
            .filter(|action| done.contains(&action.id))
            .map(render::line)
            .collect();
        let healed = healing && plan.actions.iter().any(is_heal);
        let (reason, action) =
            if healed { (reason::DRIFT_HEALED, "Heal") } else { (reason::PLAN_APPLIED, "Apply") };
        if healed {
            context.metrics.healed();
        }
        context.events.normal(environment, reason, action, lines.join("\n")).await;
    }
    let ready = condition::find(&after.conditions, condition::READY);
    let known = condition::find(&before.conditions, condition::READY);
    let Some(ready) = ready else { return };
    let same = known.is_some_and(|known| {
        known.status == ready.status
            && known.reason == ready.reason
            && known.message == ready.message
    });
    if same || ready.reason == reason::PROGRESSING {
        return;
    }
    if ready.status == "True" {
        context.events.normal(environment, &ready.reason, "Observe", ready.message.clone()).await;
    } else {
        context.events.warning(environment, &ready.reason, "Apply", ready.message.clone()).await;
    }
}
