//! What an image policy has led to.

use hades_api::{
    ImagePullPolicy, PolicyImage, SHORTEST_POLICY_INTERVAL, ServiceSpec, VersionRange,
};

use super::Inputs;
use super::findings::Findings;
use super::service::Placed;
use crate::reference;

/// Checks the policy of a service that has an image.
pub(super) fn check(name: &str, service: &ServiceSpec, findings: &mut Findings) {
    let (Some(policy), Some(image)) = (&service.image_policy, &service.image) else { return };
    let field = |last: &str| format!("spec.services.{name}.{last}");
    if policy.semver.is_some() == policy.digest.is_some() {
        findings.invalid(field("imagePolicy"), "write exactly one of semver and digest");
    }
    if let Some(semver) = &policy.semver
        && let Err(error) = VersionRange::parse(&semver.range)
    {
        findings.invalid(field("imagePolicy.semver.range"), error.to_string());
    }
    if policy.interval.as_ref().is_some_and(|interval| interval.get() < SHORTEST_POLICY_INTERVAL) {
        let shortest = SHORTEST_POLICY_INTERVAL.as_secs();
        findings.invalid(
            field("imagePolicy.interval"),
            format!("registries are asked every {shortest}s at most: make it longer"),
        );
    }
    if reference::digest(image).is_some() || reference::is_id(image) {
        findings.invalid(
            field("image"),
            "a digest leaves imagePolicy nothing to choose: leave out one of the two",
        );
    }
    if service.image_pull_policy == Some(ImagePullPolicy::Never) {
        findings.invalid(
            field("imagePullPolicy"),
            "Never contradicts imagePolicy, which asks the registry: leave out one of the two",
        );
    }
}

/// What the policy of a service has led to, if that was for what it says now.
pub(super) fn found<'a>(
    inputs: &Inputs<'a>,
    name: &str,
    service: &ServiceSpec,
) -> Option<&'a PolicyImage> {
    let (policy, image) = (service.image_policy.as_ref()?, service.image.as_ref()?);
    let query = policy.query();
    inputs
        .found
        .policies
        .iter()
        .find(|found| found.service == name && found.image == *image && found.policy == query)
}

/// The image that a service is to run: what its policy has found, or what it names.
pub(super) fn image(inputs: &Inputs<'_>, name: &str, service: &ServiceSpec) -> String {
    let image = service.image.clone().unwrap_or_default();
    let Some(found) = found(inputs, name, service) else { return image };
    let repository = reference::repository(&image);
    match service.image_policy.as_ref().is_some_and(|policy| policy.semver.is_some()) {
        true => format!("{repository}:{}", found.tag),
        false => format!("{repository}:{}@{}", found.tag, found.digest),
    }
}

/// Why it isn't known yet which image a service is to run, if so.
pub(super) fn unresolved(inputs: &Inputs<'_>, placed: &Placed<'_>) -> Option<String> {
    placed.service.image_policy.as_ref()?;
    if found(inputs, placed.name, placed.service).is_some() {
        return None;
    }
    let trouble = inputs.found.troubles.get(placed.name).cloned();
    Some(trouble.unwrap_or_else(|| "the registry is being asked".to_owned()))
}
