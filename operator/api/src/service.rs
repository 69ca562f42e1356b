//! A service: containers of one image that stand for one another.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    DeviceMapping, Duration, EnvValue, FileSpec, HealthCheck, ImagePolicy, ImagePullSecret,
    IntOrString, Logging, Placement, PortMapping, Quantity, Resources, Strategy, Tmpfs, Ulimit,
    VolumeMount,
};

/// A service of an environment. Everything is optional, as a template and an
/// environment complete each other; what is still missing after the merge is an
/// error.
///
/// A list that is there replaces the template's, an empty one too.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = ("!(has(self.host) && has(self.placement))", "a service has either host or placement"))]
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20))]
    pub image_pull_secrets: Option<Vec<ImagePullSecret>>,

    /// DockerHost to run on; `spec.defaults.host` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,

    /// DockerHosts to spread the replicas over, in place of `host`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,

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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_from: Option<Vec<EnvFromSource>>,

    /// Ports to publish on the host: `8080:80`, `127.0.0.1:8080:80`,
    /// `53:53/udp`, or `80` for a free port that the engine picks. Services of
    /// one environment reach one another by name without publishing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<PortMapping>>,

    /// Volumes of `spec.volumes` to mount: `data:/var/lib/data`, `data:/data:ro`,
    /// or `{source: data, target: /data, readOnly: true}`; in place of a volume an
    /// absolute path of the host, where the project's policy allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volumes: Option<Vec<VolumeMount>>,

    /// Labels for the containers. `hades.dev/` belongs to Hades.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = ("!self.exists(k, k.startsWith('hades.dev/'))", "labels below hades.dev/ belong to Hades"))]
    pub labels: BTreeMap<String, String>,

    /// Further names under which the other services reach this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aliases: Option<Vec<String>>,

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

    /// How to find out whether a container does its work; the image's own check
    /// when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,

    /// Services of this environment that must be healthy before this one is
    /// started or replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depends_on: Option<Vec<String>>,

    /// How containers are replaced when the service changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,

    /// What a container may use of its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// Size of `/dev/shm`: `256Mi`. 64Mi when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<Quantity>,

    /// Limits of processes by name: `nofile: 65536`, or
    /// `nofile: {soft: 1024, hard: 65536}`. -1 is no limit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ulimits: BTreeMap<String, Ulimit>,

    /// Capabilities to have besides Docker's own set: `NET_ADMIN`. The project's
    /// policy says which are allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap_add: Option<Vec<String>>,

    /// Capabilities to do without; `ALL` drops every one that isn't in `capAdd`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap_drop: Option<Vec<String>>,

    /// Makes the processes root on their host. The project's policy must allow it,
    /// as it must for the five below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privileged: Option<bool>,

    /// Devices of the host: `/dev/ttyUSB0`, `/dev/sda:/dev/xvda:r`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub devices: Option<Vec<DeviceMapping>>,

    /// Uses the network of the host in place of one of its own: every port that a
    /// process opens is open on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_network: Option<bool>,

    /// Sees the processes of the host.
    #[serde(default, rename = "hostPID", skip_serializing_if = "Option::is_none")]
    pub host_pid: Option<bool>,

    /// Shares memory and queues with the processes of the host.
    #[serde(default, rename = "hostIPC", skip_serializing_if = "Option::is_none")]
    pub host_ipc: Option<bool>,

    /// `no-new-privileges`, which everybody may have, `seccomp=unconfined`,
    /// `apparmor=PROFILE` and `label=…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20), inner(length(min = 1, max = 256)))]
    pub security_opt: Option<Vec<String>>,

    /// Further groups of the process, by number or by name in the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_add: Option<Vec<IntOrString>>,

    /// Makes the container's own file system read-only. Volumes and `tmpfs` stay
    /// writable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,

    /// Folders that live in memory, by their absolute path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = ("self.all(k, k.startsWith('/'))", "paths of tmpfs are absolute"))]
    pub tmpfs: BTreeMap<String, Tmpfs>,

    /// Files that are put into a container before it starts, by their absolute
    /// path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = ("self.all(k, k.startsWith('/'))", "paths of files are absolute"))]
    pub files: BTreeMap<String, FileSpec>,

    /// Host name within the container; the beginning of its id when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?$"), length(max = 63))]
    pub hostname: Option<String>,

    /// Lines of `/etc/hosts`: an IP address by name. `host-gateway` stands for
    /// the host.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra_hosts: BTreeMap<String, String>,

    /// IP addresses of name servers for what isn't a name of the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<Vec<String>>,

    /// Kernel settings of the container's own namespaces:
    /// `net.core.somaxconn: 1024`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, IntOrString>,

    /// Where the output goes; the engine's log driver when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
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
