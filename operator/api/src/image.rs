//! Where images come from: pull secrets, policies for tags, and what was found.

use jiff::Timestamp;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

/// How often a registry is asked for newer images when a policy doesn't say.
pub const DEFAULT_POLICY_INTERVAL: std::time::Duration = std::time::Duration::from_secs(300);
/// The shortest interval that a policy may have.
pub const SHORTEST_POLICY_INTERVAL: std::time::Duration = std::time::Duration::from_secs(30);

/// A Secret of the project with credentials of registries, as
/// `kubectl create secret docker-registry` makes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImagePullSecret {
    /// Name of the Secret, of type `kubernetes.io/dockerconfigjson`.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Which image of the repository is run, where that isn't what the manifest
/// names but what the registry has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = ("has(self.semver) != has(self.digest)", "write exactly one of semver and digest"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImagePolicy {
    /// The newest tag of the repository whose version is in a range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semver: Option<SemverPolicy>,

    /// What the tag stands for now, whenever that changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<DigestPolicy>,

    /// How often the registry is asked; 5m when absent, 30s at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
}

/// The newest tag whose version is in a range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SemverPolicy {
    /// Range of versions: `>=1.2 <2`, `^1.4`, `~1.4.2`, `1.x`. Tags may have a `v`
    /// in front. A prerelease counts only where the range names one:
    /// `>=2.0.0-rc.1`.
    #[schemars(length(min = 1, max = 256))]
    pub range: String,
}

/// The newest digest of the tag that `image` names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DigestPolicy {}

impl ImagePolicy {
    /// How often the registry is asked.
    pub fn interval(&self) -> std::time::Duration {
        let interval = self.interval.as_ref().map_or(DEFAULT_POLICY_INTERVAL, Duration::get);
        interval.max(SHORTEST_POLICY_INTERVAL)
    }

    /// What is asked for, in words that are the same for the same question:
    /// `semver >=1.2 <2`, `digest`.
    pub fn query(&self) -> String {
        match &self.semver {
            Some(semver) => format!("semver {}", semver.range),
            None => "digest".to_owned(),
        }
    }
}

/// What an image policy has led to: the image that a service is to run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyImage {
    /// Service with the policy.
    pub service: String,
    /// Image of the manifest that this was found for.
    pub image: String,
    /// What was asked: `semver >=1.2 <2` or `digest`.
    pub policy: String,
    /// Tag that was found.
    pub tag: String,
    /// Digest that the tag stood for then (`sha256:…`).
    pub digest: String,
    /// When it was found.
    pub time: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_have_a_default_and_a_floor() {
        let policy = |text: &str| serde_saphyr::from_str::<ImagePolicy>(text).unwrap();
        assert_eq!(policy("{digest: {}}").interval().as_secs(), 300);
        assert_eq!(policy("{digest: {}, interval: 1s}").interval().as_secs(), 30);
        assert_eq!(policy("{digest: {}, interval: 2m}").interval().as_secs(), 120);
        assert_eq!(policy("{semver: {range: ^1}}").query(), "semver ^1");
    }
}
