//! DockerHost: an engine that containers run on.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{DiskStatus, DiskThresholds, ImageCleanup, PulledImage, SecretRef};

/// An engine that containers run on.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "hades.dev",
    version = "v1alpha1",
    kind = "DockerHost",
    plural = "dockerhosts",
    shortname = "dh",
    category = "hades",
    status = "DockerHostStatus",
    derive = "PartialEq",
    doc = "A DockerHost is a Docker engine that services run on.",
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".spec.endpoint"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "Containers", type_ = "integer", json_path = ".status.containers"),
    printcolumn(
        name = "Unschedulable",
        type_ = "boolean",
        json_path = ".spec.unschedulable",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = ("!self.endpoint.startsWith('ssh://') || has(self.ssh)", "an ssh:// endpoint needs spec.ssh with the Secret of the private key and the host keys"))]
#[x_kube(validation = ("!has(self.ssh) || self.endpoint.startsWith('ssh://')", "spec.ssh is for ssh:// endpoints only"))]
#[x_kube(validation = ("!self.endpoint.startsWith('tcp://') || has(self.tls) || self.endpoint.matches('^tcp://127[.][0-9.]+:[0-9]+$') || self.endpoint.startsWith('tcp://localhost:') || self.endpoint.startsWith('tcp://[::1]:')", "a tcp:// endpoint needs spec.tls, as whoever reaches the port is root on the machine; without TLS only 127.0.0.1, [::1] and localhost are allowed"))]
#[x_kube(validation = ("!has(self.tls) || self.endpoint.startsWith('tcp://')", "spec.tls is for tcp:// endpoints only"))]
pub struct DockerHostSpec {
    /// Where the engine listens: `unix:///var/run/docker.sock`,
    /// `ssh://USER@ADDRESS[:PORT][/path/of/docker.sock]` or `tcp://ADDRESS:PORT`.
    #[x_kube(validation = ("self.matches('^(unix:///.*[^/]|ssh://[^@/: ]+@[^@/ ]+(/.*[^/])?|tcp://[^@/ ]+:[0-9]+)$')", "write unix:///path/to/docker.sock, ssh://USER@ADDRESS[:PORT][/path/to/docker.sock] or tcp://ADDRESS:PORT"))]
    pub endpoint: String,

    /// How to log in over SSH; for `ssh://` endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<SshAccess>,

    /// Certificates; for `tcp://` endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsAccess>,

    /// Nothing new is put there, and what may run elsewhere moves away.
    /// `hadesctl host drain` sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unschedulable: Option<bool>,

    /// Addresses to take the networks of environments from. Each gets a subnet
    /// of its own out of it, of the size `subnetPrefix`. `10.213.0.0/16` when
    /// absent; networks that are there keep what they have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+/[0-9]+$"))]
    pub subnet_pool: Option<String>,

    /// Prefix length of the subnet of each environment; 24 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 8, max = 29))]
    pub subnet_prefix: Option<u8>,

    /// When images that Hades pulled and that nothing needs any more are removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_cleanup: Option<ImageCleanup>,

    /// When the disk counts as full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskThresholds>,
}

/// How to log in over SSH.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SshAccess {
    /// Secret of the namespace `hades-system` whose key `ssh-privatekey` is a
    /// private key in OpenSSH format, without a passphrase.
    pub secret_ref: SecretRef,

    /// Public keys of the server, one of which it must show: lines of its
    /// `/etc/ssh/ssh_host_*_key.pub`, such as `ssh-ed25519 AAAA…`.
    #[x_kube(validation = ("size(self) > 0", "pin at least one host key: without it nobody knows who answers (`cat /etc/ssh/ssh_host_ed25519_key.pub` on the server shows it)"))]
    #[x_kube(validation = ("self.all(k, k.matches('^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/]+=*( .*)?$'))", "a host key is a line of /etc/ssh/ssh_host_*_key.pub: `ssh-ed25519 AAAA…` (ssh-ed25519, ecdsa-sha2-nistp* or ssh-rsa)"))]
    pub host_keys: Vec<String>,
}

/// Certificates for TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsAccess {
    /// Secret of the namespace `hades-system` with `ca.crt` (who signed the
    /// engine's certificate), `tls.crt` and `tls.key` (the certificate and key by
    /// which Hades shows who it is), all PEM.
    pub secret_ref: SecretRef,
}

/// Key of the private key in the Secret of an [`SshAccess`], as in Secrets of
/// the type `kubernetes.io/ssh-auth`.
pub const SSH_PRIVATE_KEY: &str = "ssh-privatekey";
/// Key of the certificate authority in the Secret of a [`TlsAccess`].
pub const TLS_CA: &str = "ca.crt";
/// Key of the client certificate in the Secret of a [`TlsAccess`], as in Secrets
/// of the type `kubernetes.io/tls`.
pub const TLS_CERTIFICATE: &str = "tls.crt";
/// Key of the client certificate's private key in the Secret of a [`TlsAccess`].
pub const TLS_KEY: &str = "tls.key";

/// Pool that subnets are taken from when a DockerHost names none.
pub const DEFAULT_SUBNET_POOL: &str = "10.213.0.0/16";
/// Prefix length of an environment's subnet when a DockerHost names none.
pub const DEFAULT_SUBNET_PREFIX: u8 = 24;

impl DockerHostSpec {
    /// Name of the Secret in `hades-system` that the host is reached with.
    pub fn secret(&self) -> Option<&str> {
        let ssh = self.ssh.as_ref().map(|ssh| &ssh.secret_ref);
        ssh.or(self.tls.as_ref().map(|tls| &tls.secret_ref)).map(|found| found.name.as_str())
    }

    /// Whether something new may be placed there.
    pub fn is_schedulable(&self) -> bool {
        !self.unschedulable.unwrap_or(false)
    }

    /// The pool, or its default.
    pub fn pool(&self) -> &str {
        self.subnet_pool.as_deref().unwrap_or(DEFAULT_SUBNET_POOL)
    }

    /// The prefix length, or its default.
    pub fn prefix(&self) -> u8 {
        self.subnet_prefix.unwrap_or(DEFAULT_SUBNET_PREFIX)
    }
}

/// What Hades found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DockerHostStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// `Ready`: the engine answers. It takes three failed probes in a row to say no,
    /// and two good ones to say yes again. `DiskPressure`: its disk is nearly full.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// Version of the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,

    /// What the machine has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,

    /// Containers that this installation runs there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containers: Option<u32>,

    /// The disk that it keeps images and volumes on, where that can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskStatus>,

    /// Images that Hades pulled there, the latest 500: these and no others it
    /// removes when nothing needs them any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub images: Vec<PulledImage>,
}

/// What a machine has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Capacity {
    /// Processors.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory: i64,
}
