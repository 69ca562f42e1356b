//! Whether a host has the image that a container runs.

use hades_api::ImagePullPolicy;

use super::draft::{self, Draft};
use super::scope::Host;
use crate::action::{ActionId, Operation, Reason, TargetKind};
use crate::desired::DesiredContainer;
use crate::plan::WaitCause;

/// Where a container's image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Image {
    /// The host has the very image that the container ran before.
    Pinned(String),
    /// The host has an image of that reference.
    Present,
    /// It has to be pulled.
    Absent,
}

/// Finds the image of `container` on its host.
pub(super) fn find(host: &Host<'_>, container: &DesiredContainer) -> Result<Image, WaitCause> {
    let images = &host.snapshot.images;
    if let Some(pin) = container.pinned_image.as_ref().filter(|pin| images.contains_key(*pin)) {
        return Ok(Image::Pinned(pin.clone()));
    }
    let reference = &container.spec.image;
    if images.contains_key(reference) || images.contains_key(&familiar(reference)) {
        return Ok(Image::Present);
    }
    match container.spec.image_pull_policy {
        ImagePullPolicy::IfNotPresent => Ok(Image::Absent),
        ImagePullPolicy::Never => Err(WaitCause::ImageAbsent { image: reference.clone() }),
    }
}

/// Pulls what is absent, once per host and reference.
pub(super) fn pull(
    container: &DesiredContainer,
    image: &Image,
    draft: &mut Draft,
) -> Vec<ActionId> {
    match image {
        Image::Pinned(_) | Image::Present => Vec::new(),
        Image::Absent => {
            let target = draft::target(&container.host, TargetKind::Image, &container.spec.image);
            let id = draft::id(&target, &Operation::PullImage);
            if !draft.actions.contains_key(&id) {
                let reason = Reason::NeededBy { container: container.name.clone() };
                draft.act(target, Operation::PullImage, reason, Vec::new());
            }
            vec![id]
        }
    }
}

/// A reference the way engines list it: the default registry and its `library/`
/// left out, a tag always there, no tag beside a digest.
fn familiar(reference: &str) -> String {
    let mut name = reference;
    for registry in ["docker.io/", "index.docker.io/"] {
        name = name.strip_prefix(registry).unwrap_or(name);
    }
    name = name.strip_prefix("library/").unwrap_or(name);
    let tag_at = |name: &str| {
        let colon = name.rfind(':')?;
        (!name[colon..].contains('/')).then_some(colon)
    };
    match name.split_once('@') {
        Some((path, digest)) => {
            let path = tag_at(path).map_or(path, |colon| &path[..colon]);
            format!("{path}@{digest}")
        }
        None if tag_at(name).is_none() => format!("{name}:latest"),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::familiar;

    #[test]
    fn references_as_engines_list_them() {
        for (reference, expected) in [
            ("nginx", "nginx:latest"),
            ("docker.io/library/nginx:1", "nginx:1"),
            ("docker.io/a/b", "a/b:latest"),
            ("localhost:5000/a", "localhost:5000/a:latest"),
            ("a:1@sha256:x", "a@sha256:x"),
            ("localhost:5000/a@sha256:x", "localhost:5000/a@sha256:x"),
        ] {
            assert_eq!(familiar(reference), expected);
        }
    }
}
