//! What people read when something on a host can't be done: one sentence that
//! says what, where and what to do next, the same from every provider.

use hades_api::reason;
use hades_plan::{PublishedPort, TargetKind};

use crate::image::ImageReference;
use crate::{ErrorClass, ProviderError};

/// A name is held by something that the environment doesn't own.
pub fn blocked_by_foreign(kind: TargetKind, name: &str, holder: &str) -> ProviderError {
    let command = match kind {
        TargetKind::Container => format!("docker rename {name} NEW-NAME"),
        TargetKind::Network => format!("docker network rm {name}"),
        TargetKind::Volume => format!("docker volume rm {name}"),
        TargetKind::Image => format!("docker rmi {name}"),
    };
    ProviderError::new(
        ErrorClass::Conflict,
        reason::BLOCKED_BY_FOREIGN,
        format!(
            "{kind} {name} is already there and is not this environment's own ({holder}); \
             it is left alone: remove or rename it if nothing needs it (`{command}`)"
        ),
    )
}

/// An action's target carries no labels of this installation.
pub fn not_ours(kind: TargetKind, name: &str) -> ProviderError {
    ProviderError::new(
        ErrorClass::Conflict,
        reason::BLOCKED_BY_FOREIGN,
        format!("{kind} {name} was not made by this installation and is left alone"),
    )
}

/// A host port is held by something else. `port` as the engine or the spec
/// writes it; `words` of the engine.
pub fn port_taken(container: &str, port: &str, words: &str) -> ProviderError {
    ProviderError::new(
        ErrorClass::Conflict,
        reason::PORT_TAKEN,
        format!(
            "container {container} can't have port {port} of the host: {words}; \
             stop what listens there (`ss -ltnup` shows it) or choose another port in the manifest"
        ),
    )
}

/// How people write a port of a host: `0.0.0.0:8080/tcp`.
pub fn host_port_words(port: &PublishedPort) -> String {
    match port.host_ip {
        Some(ip) => format!("{ip}:{}/{}", port.host_port, port.protocol),
        None => format!("{}/{}", port.host_port, port.protocol),
    }
}

/// The registry says that there is no such image, or that it isn't for us.
pub fn image_unavailable(reference: &str, host: &str, words: &str) -> ProviderError {
    ProviderError::new(
        ErrorClass::Terminal,
        reason::IMAGE_UNAVAILABLE,
        format!(
            "image {reference} is neither on host {host} nor to be had from {}: {words}; \
             check its name and tag, or load it onto the host (`docker load`, `docker build`)",
            ImageReference::parse(reference).registry_or_default()
        ),
    )
}

/// The registry wants to know who asks, or doesn't let who asks have it.
pub fn registry_unauthorized(
    reference: &str,
    host: &str,
    words: &str,
    anonymous: bool,
) -> ProviderError {
    let hint = match anonymous {
        true => {
            "no credentials are there for it: name a Secret in imagePullSecrets of the service or \
             of spec.defaults, or make a RegistryAccount that allows the project"
        }
        false => {
            "check the credentials (Secret in imagePullSecrets, or RegistryAccount) and what they \
             may read"
        }
    };
    ProviderError::new(
        ErrorClass::Terminal,
        reason::REGISTRY_UNAUTHORIZED,
        format!(
            "image {reference} is not on host {host} and {} doesn't let Hades have it: {words}; {hint}",
            ImageReference::parse(reference).registry_or_default()
        ),
    )
}

/// The registry takes no more requests for a while.
pub fn registry_rate_limited(reference: &str, host: &str, words: &str) -> ProviderError {
    ProviderError::new(
        ErrorClass::Retry,
        reason::REGISTRY_RATE_LIMITED,
        format!(
            "image {reference} is not on host {host} and {} takes no more requests for now: {words}; \
             it is tried again; credentials of an account (imagePullSecrets, RegistryAccount) raise \
             the limit",
            ImageReference::parse(reference).registry_or_default()
        ),
    )
}

/// The disk of the host is full.
pub fn disk_full(what: &str, words: &str) -> ProviderError {
    ProviderError::new(
        ErrorClass::Retry,
        reason::DISK_FULL,
        format!(
            "{what}: the disk of the host is full: {words}; make room there (`docker system df` \
             shows what takes it), then it goes on by itself"
        ),
    )
}

/// The registry can't be asked just now.
pub fn registry_unreachable(reference: &str, host: &str, words: &str) -> ProviderError {
    let parsed = ImageReference::parse(reference);
    let hint = match parsed.registry {
        Some(_) => "it is tried again",
        None => {
            "it is tried again; an image that was built locally must be on the host itself \
             (`docker load`, `docker build`) or be named with its registry"
        }
    };
    ProviderError::new(
        ErrorClass::Retry,
        reason::IMAGE_UNAVAILABLE,
        format!(
            "image {reference} is not on host {host} and {} can't be asked for it: {words}; {hint}",
            parsed.registry_or_default()
        ),
    )
}

/// An action failed in a way that may pass.
pub fn failed(what: &str, words: &str) -> ProviderError {
    ProviderError::new(ErrorClass::Retry, reason::ACTION_FAILED, format!("{what}: {words}"))
}

/// An action failed because of what it was given.
pub fn bad_input(what: &str, words: &str) -> ProviderError {
    ProviderError::new(ErrorClass::Terminal, reason::ACTION_FAILED, format!("{what}: {words}"))
}

/// A place doesn't answer.
pub fn unreachable(message: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorClass::Unreachable, reason::HOST_UNREACHABLE, message)
}
