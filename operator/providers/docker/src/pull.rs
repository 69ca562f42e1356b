//! Pulls: credentials beside them, progress out of the engine's stream, and what
//! the words of registries mean.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::auth::DockerCredentials;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures::StreamExt;
use hades_provider::image::{ImageReference, is_image_id};
use hades_provider::{ProviderError, PullCredentials, PullOptions, PullProgress, refusal};
use secrecy::ExposeSecret;

use crate::client::{Client, PULL_SILENCE_LIMIT};
use crate::failure::{Failure, is_disk_full};

/// Layers that are followed: more than an image has.
const LAYERS_FOLLOWED: usize = 1024;

/// Fetches an image from its registry.
pub(crate) async fn pull(
    client: &Client,
    reference: &str,
    host: &str,
    options: &PullOptions,
) -> Result<(), ProviderError> {
    if is_image_id(reference) {
        let words = "an image id names no registry to fetch it from";
        return Err(refusal::image_unavailable(reference, host, words));
    }
    let credentials = options.credentials.as_ref().map(|found| credentials(reference, found));
    let credentials = credentials.transpose()?;
    let is_anonymous = credentials.is_none();
    let _turn = client.pull_turn().await;
    let parsed = ImageReference::parse(reference);
    let mut request = CreateImageOptionsBuilder::new().from_image(reference);
    if parsed.tag.is_none() && parsed.digest.is_none() {
        // Without a tag the engine would fetch every one there is.
        request = request.tag("latest");
    }
    let docker = client.docker().await.map_err(Failure::into_provider_error)?;
    let mut answers = docker.create_image(Some(request.build()), None, credentials).boxed();
    let mut layers = Layers::default();
    loop {
        match tokio::time::timeout(PULL_SILENCE_LIMIT, answers.next()).await {
            Ok(None) => return Ok(()),
            Ok(Some(Ok(answer))) => {
                if layers.follow(answer) {
                    options.report(layers.progress());
                }
            }
            Ok(Some(Err(error))) => {
                let failure = client.failure(&error);
                return Err(pull_error(failure, reference, host, is_anonymous));
            }
            Err(_) => {
                let seconds = PULL_SILENCE_LIMIT.as_secs();
                let words = format!("no progress within {seconds} s");
                return Err(refusal::registry_unreachable(reference, host, &words));
            }
        }
    }
}

/// Credentials as the engine wants them.
fn credentials(
    reference: &str,
    found: &PullCredentials,
) -> Result<DockerCredentials, ProviderError> {
    let registry = ImageReference::parse(reference).registry_or_default().to_owned();
    let credentials = match found {
        PullCredentials::Basic { username, password } => DockerCredentials {
            username: Some(username.clone()),
            password: Some(password.expose_secret().to_owned()),
            serveraddress: Some(registry),
            ..DockerCredentials::default()
        },
        PullCredentials::Token(token) => DockerCredentials {
            registrytoken: Some(token.expose_secret().to_owned()),
            serveraddress: Some(registry),
            ..DockerCredentials::default()
        },
    };
    // The client library encodes the header in an alphabet whose last two letters
    // the engine doesn't know.
    let json = serde_json::to_vec(&credentials).unwrap_or_default();
    if STANDARD.encode(json).contains(['+', '/']) {
        let words = "its password holds one of ~ > ? or a letter beyond ASCII where the engine's \
                     interface can't carry it: make a token, or a password without these";
        return Err(refusal::bad_input(&format!("credentials for image {reference}"), words));
    }
    Ok(credentials)
}

#[derive(Debug, Default)]
struct Layers(BTreeMap<String, Layer>);

#[derive(Debug, Default)]
struct Layer {
    bytes: u64,
    total: u64,
    done: bool,
}

impl Layers {
    /// Notes what the engine says of a layer; whether it said anything of one.
    fn follow(&mut self, answer: CreateImageInfo) -> bool {
        let (Some(id), Some(status)) = (answer.id, answer.status) else { return false };
        // `Pulling from shop/api` comes with the tag for an id.
        if status.starts_with("Pulling from")
            || (self.0.len() >= LAYERS_FOLLOWED && !self.0.contains_key(&id))
        {
            return false;
        }
        let layer = self.0.entry(id).or_default();
        let detail = answer.progress_detail.unwrap_or_default();
        let number = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
        match status.as_str() {
            "Downloading" => {
                layer.bytes = number(detail.current).unwrap_or(layer.bytes);
                layer.total = number(detail.total).unwrap_or(layer.total);
            }
            "Download complete" | "Verifying Checksum" | "Extracting" => {
                layer.total = layer.total.max(layer.bytes);
                layer.bytes = layer.total;
            }
            "Pull complete" | "Already exists" => {
                layer.bytes = layer.total;
                layer.done = true;
            }
            _ => {}
        }
        true
    }

    fn progress(&self) -> PullProgress {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        PullProgress {
            layers: count(self.0.len()),
            layers_done: count(self.0.values().filter(|layer| layer.done).count()),
            bytes: self.0.values().map(|layer| layer.bytes).sum(),
            total_bytes: self.0.values().map(|layer| layer.total).sum(),
        }
    }
}

/// What registries and engines say when they want to know who asks, or don't let
/// who asks have it.
const UNAUTHORIZED: [&str; 8] = [
    "unauthorized",
    "authentication required",
    "no basic auth credentials",
    "incorrect username or password",
    "access denied",
    // Not the "permission denied" of a disk.
    ": denied",
    "access forbidden",
    "403 forbidden",
];

/// What they say of an image that is not to be had, as opposed to trouble on the
/// way to it.
const NOT_TO_BE_HAD: [&str; 6] = [
    "not found",
    "manifest unknown",
    "does not exist",
    "access to the resource is denied",
    "invalid reference format",
    "no matching manifest",
];

const RATE_LIMITED: [&str; 3] = ["toomanyrequests", "too many requests", "rate limit"];

fn pull_error(failure: Failure, reference: &str, host: &str, is_anonymous: bool) -> ProviderError {
    let (status, words) = match failure {
        Failure::Failed(error) => return error,
        Failure::Refused { status, words } => (status, words),
    };
    let lower = words.to_lowercase();
    let says = |parts: &[&str]| parts.iter().any(|part| lower.contains(part));
    if is_disk_full(&words) {
        return refusal::disk_full(&format!("pulling image {reference} onto host {host}"), &words);
    }
    if status == 429 || says(&RATE_LIMITED) {
        return refusal::registry_rate_limited(reference, host, &words);
    }
    // Docker Hub says "access denied" of what isn't there, too: both are named.
    if matches!(status, 401 | 403) || says(&UNAUTHORIZED) || lower.starts_with("denied:") {
        return refusal::registry_unauthorized(reference, host, &words, is_anonymous);
    }
    if matches!(status, 400 | 404) || says(&NOT_TO_BE_HAD) {
        return refusal::image_unavailable(reference, host, &words);
    }
    refusal::registry_unreachable(reference, host, &words)
}

#[cfg(test)]
mod tests {
    use hades_api::reason;
    use hades_provider::ErrorClass;
    use secrecy::SecretString;

    use super::*;

    fn pull(status: u16, words: &str) -> ProviderError {
        let failure = Failure::Refused { status, words: words.to_owned() };
        pull_error(failure, "team/app:1", "web-1", true)
    }

    #[test]
    fn what_registries_say() {
        let (terminal, retry) = (ErrorClass::Terminal, ErrorClass::Retry);
        for (status, words, class, reason) in [
            (
                500,
                "manifest for team/app:1 not found: manifest unknown",
                terminal,
                reason::IMAGE_UNAVAILABLE,
            ),
            (404, "no such image", terminal, reason::IMAGE_UNAVAILABLE),
            (
                404,
                "pull access denied for team/app, repository does not exist or may require 'docker login'",
                terminal,
                reason::REGISTRY_UNAUTHORIZED,
            ),
            (
                500,
                "Head \"https://r/v2/\": no basic auth credentials",
                terminal,
                reason::REGISTRY_UNAUTHORIZED,
            ),
            (500, "unauthorized: authentication required", terminal, reason::REGISTRY_UNAUTHORIZED),
            (
                500,
                "Get \"https://registry-1.docker.io/v2/\": no such host",
                retry,
                reason::IMAGE_UNAVAILABLE,
            ),
            (
                500,
                "toomanyrequests: You have reached your pull rate limit",
                retry,
                reason::REGISTRY_RATE_LIMITED,
            ),
            (
                500,
                "failed to register layer: write /x: no space left on device",
                retry,
                reason::DISK_FULL,
            ),
            (
                500,
                "Head \"https://ghcr.io/v2/a/b/manifests/1\": denied: denied",
                terminal,
                reason::REGISTRY_UNAUTHORIZED,
            ),
            (500, "error from registry: denied", terminal, reason::REGISTRY_UNAUTHORIZED),
            (500, "denied: installation not allowed", terminal, reason::REGISTRY_UNAUTHORIZED),
            (500, "denied: access forbidden", terminal, reason::REGISTRY_UNAUTHORIZED),
            (
                500,
                "pulling from host 1.dkr.ecr.eu-west-1.amazonaws.com failed with status code \
                 [manifests 1]: 403 Forbidden",
                terminal,
                reason::REGISTRY_UNAUTHORIZED,
            ),
            (
                500,
                "failed to register layer: open /var/lib/docker/x: permission denied",
                retry,
                reason::IMAGE_UNAVAILABLE,
            ),
        ] {
            let error = pull(status, words);
            assert_eq!((error.class, error.reason), (class, reason), "{error}");
            for part in ["team/app:1", "web-1", words] {
                assert!(error.message.contains(part), "{error}");
            }
        }
        assert!(pull(500, "no such host").message.contains("built locally"));
    }

    #[test]
    fn credentials_are_in_no_words_and_only_what_arrives_is_sent() {
        let basic = |password: &str| PullCredentials::Basic {
            username: "me".to_owned(),
            password: SecretString::from(password),
        };
        let sent = credentials("ghcr.io/a/b", &basic("hush-hush")).unwrap();
        assert_eq!(sent.serveraddress.as_deref(), Some("ghcr.io"));
        assert!(!format!("{:?}", basic("hush-hush")).contains("hush"));
        // One of three neighbours is at the place that matters.
        let refused = ["~~~~~~", "a?????"]
            .map(|password| credentials("ghcr.io/a/b", &basic(password)).unwrap_err());
        for error in &refused {
            assert!(
                error.message.contains("make a token") && !error.message.contains("~~"),
                "{error}"
            );
        }
    }

    #[test]
    fn progress_is_added_up_over_layers() {
        let answer = |id: &str, status: &str, current: i64, total: i64| {
            let json = serde_json::json!({
                "id": id, "status": status, "progressDetail": {"current": current, "total": total},
            });
            serde_json::from_value::<CreateImageInfo>(json).unwrap()
        };
        let mut layers = Layers::default();
        assert!(!layers.follow(answer("1", "Pulling from team/app", 0, 0)));
        for (id, status, current, total) in [
            ("a", "Pulling fs layer", 0, 0),
            ("b", "Already exists", 0, 0),
            ("c", "Downloading", 50, 200),
            ("a", "Downloading", 70, 100),
            ("a", "Download complete", 0, 0),
        ] {
            assert!(layers.follow(answer(id, status, current, total)));
        }
        let expected = PullProgress { layers: 3, layers_done: 1, bytes: 150, total_bytes: 300 };
        assert_eq!(layers.progress(), expected);
    }
}
