//! A service: containers of one image that stand for one another.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Duration, EnvValue, ImagePolicy, ImagePullSecret, PortMapping, VolumeMount};

/// A service of an environment. Everything is optional, as a template and an
/// environment complete each other; what is still missing after the merge is an
/// error.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceSpec {
    /// Image to run, as `docker pull` takes it: `nginx:1.29`,
    /// `registry.example.com/shop/api@sha256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,

    /// When to ask the registry: `IfNotPresent` (the default) or `Never`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,

    /// Follows what the registry has instead of the tag of `image`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_policy: Option<ImagePolicy>,

    /// Secrets of the project with credentials of registries, before those of
    /// `spec.defaults`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub image_pull_secrets: Vec<ImagePullSecret>,

    /// DockerHost to run on; `spec.defaults.host` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,

    /// How many containers. 1 when absent; 0 runs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub replicas: Option<u32>,

    /// Replaces the command (`CMD`) of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,

    /// Replaces the entry point of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,

    /// User, or `user:group`, to run as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,

    /// Folder that the command starts in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,

    /// Environment variables, over those of `spec.env` and `envFrom`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, EnvValue>,

    /// Secrets of the project all of whose keys become variables; a later one
    /// wins over an earlier one, `env` over all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env_from: Vec<EnvFromSource>,

    /// Ports to publish on the host: `8080:80`, `127.0.0.1:8080:80`,
    /// `53:53/udp`, or `80` for a free port that the engine picks. Services of
    /// one environment reach one another by name without publishing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortMapping>,

    /// Volumes of `spec.volumes` to mount: `data:/var/lib/data`, `data:/data:ro`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumeMount>,

    /// Labels for the containers. `hades.dev/` belongs to Hades.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = ("!self.exists(k, k.startsWith('hades.dev/'))", "labels below hades.dev/ belong to Hades"))]
    pub labels: BTreeMap<String, String>,

    /// Further names under which the other services reach this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,

    /// What Docker does when a container ends: `always`, `unless-stopped` (the
    /// default), `on-failure` or `no`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<RestartPolicy>,

    /// Signal that asks the container to stop; the image's, or SIGTERM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^(SIG[A-Z0-9+]+|[0-9]+)$"))]
    pub stop_signal: Option<String>,

    /// How long a container may take to stop before it is killed; 10s when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_grace_period: Option<Duration>,

    /// Runs a small init as process 1, which reaps zombies and passes signals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
}

/// When to ask the registry for an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ImagePullPolicy {
    /// Pull when the host doesn't have it.
    #[default]
    IfNotPresent,
    /// Never pull: the image must be on the host.
    Never,
}

/// What Docker does when a container ends, in the words of the compose
/// specification.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Start it again, also after a stop by hand and a restart of the engine.
    Always,
    /// Start it again unless somebody stopped it; Hades undoes such a stop.
    #[default]
    UnlessStopped,
    /// Start it again when its exit status isn't 0.
    OnFailure,
    /// Leave it ended.
    No,
}

/// A source of several variables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvFromSource {
    /// A Secret of the project.
    pub secret_ref: SecretRef,
}

/// A Secret of the project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretRef {
    /// Name of the Secret.
    pub name: String,
}
