//! Which images of a host nothing needs any more.
//!
//! Only images that Hades pulled are ever considered: those of the record that
//! the DockerHost carries. Of these none goes that a container has, whoever made
//! it and whatever its state; that an environment still names; that is one of the
//! last versions of a service that is still described; that somebody has given
//! another name; or that hasn't been unused for long.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hades_api::{PulledImage, label};
use jiff::Timestamp;

use crate::action::{Action, ActionId, Operation, Reason, Target, TargetKind};
use crate::observed::{HostSnapshot, ObservedContainer};
use crate::reference::{familiar, is_id};

/// Services that a record of one image names at most.
const SERVICES_RECORDED: usize = 20;

/// A pull that has brought nothing for so long never will: what then comes under its
/// name was brought by somebody else.
const LONGEST_PULL: Duration = Duration::from_secs(24 * 3600);

/// When an image goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanupSettings {
    /// Versions of each service that stay, the running one included.
    pub keep: u32,
    /// How long it must have been unused.
    pub after: Duration,
}

/// What environments still need on a host.
#[derive(Debug, Clone, Default)]
pub struct NeededImages {
    /// Ids and references, as manifests and status have them.
    pub images: BTreeSet<String>,
    /// Services that are described: `PROJECT/ENVIRONMENT/SERVICE`.
    pub services: BTreeSet<String>,
}

/// The record brought up to date with what is on the host: ids of what has arrived,
/// who runs what, since when nobody does; without what has gone, or never came.
pub fn survey(
    images: &[PulledImage],
    snapshot: &HostSnapshot,
    installation: &str,
    now: Timestamp,
) -> Vec<PulledImage> {
    let mut users: BTreeMap<&str, Vec<&ObservedContainer>> = BTreeMap::new();
    for container in &snapshot.containers {
        users.entry(&container.image_id).or_default().push(container);
    }
    let mut surveyed: Vec<PulledImage> = Vec::with_capacity(images.len());
    for known in images {
        let mut image = known.clone();
        if image.id.is_none() {
            if is_old(Some(image.pulled_at), LONGEST_PULL, now) {
                continue;
            }
            image.id = snapshot.images.get(&familiar(&image.image)).cloned();
        }
        let Some(id) = image.id.clone() else {
            // It is on its way.
            surveyed.push(image);
            continue;
        };
        let is_known = |other: &PulledImage| other.id == image.id && other.image == image.image;
        if !snapshot.images.contains_key(&id) || surveyed.iter().any(is_known) {
            continue;
        }
        let users = users.get(id.as_str()).map(Vec::as_slice).unwrap_or_default();
        image.unused_since = match users {
            [] => Some(image.unused_since.unwrap_or(now)),
            _ => None,
        };
        for service in users.iter().filter_map(|container| service(container, installation)) {
            if !image.services.contains(&service) && image.services.len() < SERVICES_RECORDED {
                image.services.push(service);
            }
        }
        surveyed.push(image);
    }
    surveyed
}

/// Whether anything of the record may have been unused for long enough: only
/// then need [`NeededImages`] be found out.
pub fn is_due(images: &[PulledImage], after: Duration, now: Timestamp) -> bool {
    images.iter().any(|image| image.id.is_some() && is_old(image.unused_since, after, now))
}

/// The actions that remove what nothing needs any more. `images` is the record as
/// [`survey`] left it.
pub fn removals(
    host: &str,
    images: &[PulledImage],
    snapshot: &HostSnapshot,
    needed: &NeededImages,
    settings: CleanupSettings,
    now: Timestamp,
) -> Vec<Action> {
    let used: BTreeSet<&str> = snapshot.containers.iter().map(|c| c.image_id.as_str()).collect();
    let kept = kept(images, needed, settings.keep);
    let wanted: BTreeSet<String> = needed
        .images
        .iter()
        .map(|image| if is_id(image) { image.clone() } else { familiar(image) })
        .collect();
    let mut by_id: BTreeMap<&str, Vec<&PulledImage>> = BTreeMap::new();
    for image in images {
        if let Some(id) = &image.id {
            by_id.entry(id).or_default().push(image);
        }
    }
    let mut actions = Vec::new();
    for (id, records) in by_id {
        let names = names(snapshot, id);
        let ours: BTreeSet<String> = images.iter().map(|image| familiar(&image.image)).collect();
        let is_needed = wanted.contains(id)
            || names.all.iter().any(|name| wanted.contains(name))
            || records.iter().any(|record| {
                wanted.contains(&familiar(&record.image)) && !is_stale(record, snapshot)
            });
        if used.contains(id)
            || kept.contains(id)
            || is_needed
            || !snapshot.images.contains_key(id)
            || !names.tags.iter().all(|name| ours.contains(name))
            || !records.iter().all(|record| is_old(record.unused_since, settings.after, now))
        {
            continue;
        }
        let Some(first) = records.first() else { continue };
        let since = records.iter().filter_map(|record| record.unused_since).max();
        actions.push(Action {
            id: ActionId(format!("remove image {host}/{id}")),
            target: Target {
                host: host.to_owned(),
                kind: TargetKind::Image,
                name: first.image.clone(),
                service: None,
            },
            operation: Operation::RemoveImage { id: id.to_owned(), names: names.tags },
            reason: Reason::Unused {
                since: since.map(|since| since.to_string()).unwrap_or_default(),
            },
            needs: Vec::new(),
        });
    }
    actions
}

/// Whether the record's reference stands for another image by now.
fn is_stale(record: &PulledImage, snapshot: &HostSnapshot) -> bool {
    let now = snapshot.images.get(&familiar(&record.image));
    now.is_some() && now != record.id.as_ref()
}

fn is_old(unused_since: Option<Timestamp>, after: Duration, now: Timestamp) -> bool {
    unused_since.is_some_and(|since| {
        let unused = now.duration_since(since);
        // A clock that went back makes nothing old.
        Duration::try_from(unused).is_ok_and(|unused| unused >= after)
    })
}

/// Ids of the last versions of every service that is described.
fn kept(images: &[PulledImage], needed: &NeededImages, keep: u32) -> BTreeSet<String> {
    let mut kept = BTreeSet::new();
    for service in &needed.services {
        let mut versions: Vec<&PulledImage> =
            images.iter().filter(|image| image.services.contains(service)).collect();
        // What runs first, then what ran last.
        versions.sort_by_key(|image| {
            let last_used = image.unused_since.unwrap_or(Timestamp::MAX);
            std::cmp::Reverse((last_used, image.pulled_at, image.id.clone()))
        });
        let mut ids: Vec<&String> = Vec::new();
        for id in versions.into_iter().filter_map(|image| image.id.as_ref()) {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        kept.extend(ids.into_iter().take(keep as usize).cloned());
    }
    kept
}

struct Names {
    /// Tags and digests, as engines list them.
    all: BTreeSet<String>,
    /// Tags alone.
    tags: Vec<String>,
}

fn names(snapshot: &HostSnapshot, id: &str) -> Names {
    let all: BTreeSet<String> = snapshot
        .images
        .iter()
        .filter(|(name, found)| found.as_str() == id && name.as_str() != id)
        .map(|(name, _)| familiar(name))
        .collect();
    let tags = all.iter().filter(|name| !name.contains('@')).cloned().collect();
    Names { all, tags }
}

fn service(container: &ObservedContainer, installation: &str) -> Option<String> {
    let label = |key: &str| container.labels.get(key).map(String::as_str);
    if label(label::INSTALLATION) != Some(installation) {
        return None;
    }
    let (project, environment) = (label(label::PROJECT)?, label(label::ENVIRONMENT)?);
    Some(format!("{project}/{environment}/{}", label(label::SERVICE)?))
}
