//! Whether a host has the image that a container runs, and by which name it is
//! fetched if not.
//!
//! All replicas run the same bytes, on whichever host: once a reference has been
//! pulled anywhere, its digest is what other hosts fetch. Images that come from no
//! registry have no digest; those are what each host has under the name.

use hades_api::ImagePullPolicy;

use super::draft::{self, Draft};
use super::scope::{Host, Scope};
use crate::action::{ActionId, Operation, Reason, TargetKind};
use crate::desired::DesiredContainer;
use crate::plan::WaitCause;
use crate::reference::{by_digest, digest, familiar, is_id, tag};

/// Where a container's image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Image {
    /// The host has the very image, by this id.
    Pinned(String),
    /// The host has an image of that reference.
    Present,
    /// It has to be pulled by this reference.
    Absent(String),
}

/// Finds the image of `container` on its host.
pub(super) fn find(
    scope: &Scope<'_>,
    host: &Host<'_>,
    container: &DesiredContainer,
) -> Result<Image, WaitCause> {
    let images = &host.snapshot.images;
    let image = &container.spec.image;
    if let Some(message) = &container.image_unresolved {
        let message = message.clone();
        return Err(WaitCause::ImageUnresolved { image: image.clone(), message });
    }
    if let Some(pin) = container.pinned_image.as_ref().filter(|pin| images.contains_key(*pin)) {
        return Ok(Image::Pinned(pin.clone()));
    }
    let present = images.get(image).or_else(|| images.get(&familiar(image)));
    let is_present = present.is_some();
    let may_pull = container.spec.image_pull_policy == ImagePullPolicy::IfNotPresent;
    // Written with a tag beside it, a digest is what counts.
    let written = digest(image).map(str::to_owned);
    let is_plain = written.is_none() || tag(image).is_none();
    let known = written.or_else(|| container.pinned_digest.clone());
    let wanted = match known.or_else(|| known_elsewhere(scope, container)) {
        Some(digest) => {
            let by_digest = by_digest(image, &digest);
            if let Some(id) = images.get(&familiar(&by_digest)) {
                let by_name = is_plain && present == Some(id);
                return Ok(if by_name { Image::Present } else { Image::Pinned(id.clone()) });
            }
            by_digest
        }
        None if is_present => return Ok(Image::Present),
        None => image.clone(),
    };
    if !may_pull {
        return match is_present {
            true => Ok(Image::Present),
            false => Err(WaitCause::ImageAbsent { image: image.clone() }),
        };
    }
    match scope.full_disks.get(&container.host) {
        Some(message) => {
            Err(WaitCause::DiskFull { image: image.clone(), message: message.clone() })
        }
        None => Ok(Image::Absent(wanted)),
    }
}

/// The digest of what the first other host has under the reference, of those that
/// are to run it too.
fn known_elsewhere(scope: &Scope<'_>, container: &DesiredContainer) -> Option<String> {
    let image = &container.spec.image;
    if digest(image).is_some() || is_id(image) {
        return None;
    }
    let mut hosts: Vec<&str> = scope
        .desired
        .containers
        .iter()
        .filter(|other| other.spec.image == *image)
        .map(|other| other.host.as_str())
        .collect();
    hosts.sort_unstable();
    hosts.dedup();
    hosts.into_iter().find_map(|name| {
        let snapshot = scope.hosts.get(name)?.snapshot;
        snapshot.digest_of(image, snapshot.images.get(&familiar(image))?)
    })
}

/// Pulls what is absent, once per host and reference.
pub(super) fn pull(
    container: &DesiredContainer,
    image: &Image,
    draft: &mut Draft,
) -> Vec<ActionId> {
    match image {
        Image::Pinned(_) | Image::Present => Vec::new(),
        Image::Absent(reference) => {
            let target = draft::target(&container.host, TargetKind::Image, reference);
            let id = draft::id(&target, &Operation::PullImage);
            if !draft.actions.contains_key(&id) {
                let reason = Reason::NeededBy { container: container.name.clone() };
                draft.act(target, Operation::PullImage, reason, Vec::new());
            }
            vec![id]
        }
    }
}
