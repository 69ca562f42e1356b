//! Looks after the disk and the images of a host, at each of its probes.

use std::time::{Duration, Instant};

use hades_api::{
    DiskThresholds, DockerHost, DockerHostStatus, Environment, EnvironmentTemplate, ImageCleanup,
    PulledImage, condition, reason,
};
use hades_plan::cleanup::{CleanupSettings, NeededImages, is_due, removals, survey};
use hades_plan::{HostSnapshot, merge, reference, render};
use hades_provider::{Outcome, Provider};
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use super::disk::{self, Level};
use super::keep;
use crate::Context;
use crate::driver::ReconcileError;

/// How long an image must have been unused while the disk is under pressure.
const GRACE_UNDER_PRESSURE: Duration = Duration::from_secs(600);

/// Images that are removed at one probe, for the next one not to be late.
const REMOVALS_AT_ONCE: usize = 4;
/// After so long none is begun any more, for the same reason.
const REMOVAL_TIME: Duration = Duration::from_secs(10);

/// Brings the record of a host's images up to date, and removes those that nothing
/// needs any more. This may take a while.
pub(crate) async fn tend(
    context: &Context,
    host: &DockerHost,
    provider: &dyn Provider,
    level: Level,
) -> Result<(), ReconcileError> {
    let known = host.status.as_ref().map(|status| status.images.clone()).unwrap_or_default();
    if known.is_empty() {
        return Ok(());
    }
    // One that doesn't answer now is looked at by the next probe.
    let Ok(snapshot) = provider.observe().await else { return Ok(()) };
    let surveyed = survey(&known, &snapshot, &context.installation, context.now());
    let name = host.name_any();
    if surveyed != known {
        // As it is by then: a pull may have begun meanwhile.
        keep::change(context, &name, |images| {
            *images = survey(images, &snapshot, &context.installation, context.now());
        })
        .await?;
    }
    let settings = host.spec.image_cleanup.clone().unwrap_or_default();
    if settings.disabled.unwrap_or(false) {
        return Ok(());
    }
    clean_up(context, host, provider, &snapshot, &surveyed, (&settings, level)).await
}

/// Puts the disk of a host that answers into `status`.
pub(crate) async fn see_to_disk(
    context: &Context,
    host: &DockerHost,
    provider: &dyn Provider,
    status: &mut DockerHostStatus,
) -> Level {
    let thresholds: DiskThresholds = host.spec.disk.clone().unwrap_or_default();
    let name = host.name_any();
    let Some(usage) = provider.disk().await.ok().flatten() else {
        disk::record(status, host, None, context.now());
        context.images.set_full(&name, None);
        return Level::Room;
    };
    let level = disk::level(usage, &thresholds);
    let words = disk::words(usage, &thresholds, level);
    let reason_of = |status: &DockerHostStatus| {
        condition::find(&status.conditions, condition::DISK_PRESSURE).map(|c| c.reason.clone())
    };
    let before = reason_of(status);
    disk::record(status, host, Some((usage, level, &words)), context.now());
    let after = reason_of(status).unwrap_or_default();
    if before.as_deref().unwrap_or(reason::DISK_HAS_ROOM) != after {
        match level {
            Level::Room => context.events.normal(host, &after, "Probe", words.clone()).await,
            _ => context.events.warning(host, &after, "Probe", words.clone()).await,
        }
    }
    if context.images.set_full(&name, (level == Level::Critical).then_some(words)) {
        context.hosts.wake(&name);
    }
    level
}

async fn clean_up(
    context: &Context,
    host: &DockerHost,
    provider: &dyn Provider,
    snapshot: &HostSnapshot,
    images: &[PulledImage],
    (cleanup, level): (&ImageCleanup, Level),
) -> Result<(), ReconcileError> {
    let after = match level {
        Level::Room => cleanup.after(),
        Level::Pressure | Level::Critical => cleanup.after().min(GRACE_UNDER_PRESSURE),
    };
    let now = context.now();
    if !is_due(images, after, now) {
        return Ok(());
    }
    let name = host.name_any();
    let needed = needed(context, &name).await?;
    let settings = CleanupSettings { keep: cleanup.keep(), after };
    let actions = removals(&name, images, snapshot, &needed, settings, now);
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    let started = Instant::now();
    for action in actions.iter().take(REMOVALS_AT_ONCE) {
        if started.elapsed() > REMOVAL_TIME {
            break;
        }
        match provider.execute(action).await {
            Ok(Outcome::Done) => done.push(render::line(action)),
            // Somebody uses it or has named it by now; the next probe looks again.
            Ok(Outcome::Changed) => {}
            Err(error) => failed.push(error.message),
        }
    }
    if !done.is_empty() {
        context.events.normal(host, reason::IMAGES_REMOVED, "CleanUp", done.join("\n")).await;
    }
    if !failed.is_empty() {
        context.events.warning(host, reason::ACTION_FAILED, "CleanUp", failed.join("\n")).await;
    }
    Ok(())
}

/// What environments still need on a host.
async fn needed(context: &Context, host: &str) -> Result<NeededImages, ReconcileError> {
    let everything = ListParams::default();
    let environments: Api<Environment> = Api::all(context.client.clone());
    let environments =
        environments.list(&everything).await.map_err(ReconcileError::api("list Environments"))?;
    let templates: Api<EnvironmentTemplate> = Api::all(context.client.clone());
    let templates =
        templates.list(&everything).await.map_err(ReconcileError::api("list templates"))?;
    let mut needed = NeededImages::default();
    for environment in environments {
        let (project, name) = (environment.namespace(), environment.name_any());
        let reference = environment.spec.template_ref.as_ref().map(|reference| &reference.name);
        let template = templates.items.iter().find(|template| {
            template.namespace() == project && Some(&template.name_any()) == reference
        });
        let spec = match template {
            Some(template) => merge(&template.spec, &environment.spec),
            None => environment.spec.clone(),
        };
        for (service, of_service) in &spec.services {
            needed.images.extend(of_service.image.clone());
            let project = project.as_deref().unwrap_or_default();
            needed.services.insert(format!("{project}/{name}/{service}"));
        }
        let status = environment.status.unwrap_or_default();
        for pin in status.images.into_iter().filter(|pin| pin.host == host) {
            let by_digest = pin.digest.map(|digest| reference::by_digest(&pin.image, &digest));
            needed.images.extend(by_digest.into_iter().chain([pin.id, pin.image]));
        }
        for found in status.image_policies {
            let repository = reference::repository(&found.image);
            needed.images.insert(format!("{repository}:{}", found.tag));
            needed.images.insert(format!("{repository}@{}", found.digest));
        }
    }
    Ok(needed)
}
