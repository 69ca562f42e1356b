//! The kinds of Hades (group `hades.dev`, version `v1alpha1`) and the words
//! that all of its parts share: labels, annotations, condition types, reasons.
//!
//! ```text
//! HadesProject ──owns──▶ Namespace
//!                          ├── EnvironmentTemplate ◀─templateRef─┐
//!                          ├── Environment ──────────────────────┘
//!                          │      └── services ──host──▶ DockerHost
//!                          └── ConfigRepository ──writes──▶ all of the above
//! ```
//!
//! Invariants:
//! - nothing here does IO, reads a clock or knows an API server;
//! - a field that does nothing yet is not in the schema;
//! - what a type accepts in JSON it writes back in the same form, so that
//!   server-side apply sees no change where there is none.

// Two printer columns of one type repeat `type_ = "string"`, which is no mistake.
#![allow(clippy::duplicated_attributes)]

pub mod annotation;
pub mod condition;
mod config_repository;
mod device;
mod docker_host;
mod duration;
mod env_value;
mod environment;
mod file;
mod file_mode;
mod git_account;
mod health_check;
mod host_images;
mod image;
mod int_or_string;
pub mod label;
mod logging;
mod member;
pub mod name;
pub mod overriding;
mod placement;
mod policy;
mod port;
mod project;
mod quantity;
pub mod reason;
mod registry_account;
mod resources;
pub mod role;
pub mod schema;
mod service;
mod strategy;
mod tmpfs;
mod ulimit;
mod user;
mod version_range;
mod volume;

pub use config_repository::{
    ConfigRepository, ConfigRepositorySpec, ConfigRepositoryStatus, DEFAULT_BRANCH, Decryption,
    InventoryEntry, ManifestProblem, OverrideEntry, SOPS_AGE_TYPE, SOPS_IDENTITY, Webhook,
};
pub use device::DeviceMapping;
pub use docker_host::{
    Capacity, DockerHost, DockerHostSpec, DockerHostStatus, SSH_PRIVATE_KEY, SshAccess, TLS_CA,
    TLS_CERTIFICATE, TLS_KEY, TlsAccess,
};
pub use duration::Duration;
pub use env_value::{EnvSource, EnvValue, Scalar, SecretKeyRef};
pub use environment::{
    Defaults, Drift, Environment, EnvironmentSpec, EnvironmentStatus, EnvironmentTemplate,
    EnvironmentTemplateSpec, Health, PinnedImage, PlanRecord, ResourceStatus, TemplateRef,
};
pub use file::{DEFAULT_FILE_MODE, FileSpec};
pub use file_mode::FileMode;
pub use git_account::{GitAccount, GitAccountSpec, GitAccountStatus, GitProvider};
pub use health_check::{HealthCheck, HttpCheck, HttpScheme, TcpCheck};
pub use host_images::{
    DEFAULT_DISK_CRITICAL_PERCENT, DEFAULT_DISK_WARN_PERCENT, DiskStatus, DiskThresholds,
    ImageCleanup, PulledImage,
};
pub use image::{
    DigestPolicy, ImagePolicy, ImagePullSecret, PolicyImage, SHORTEST_POLICY_INTERVAL, SemverPolicy,
};
pub use int_or_string::IntOrString;
pub use logging::{LogDriver, Logging};
pub use member::{Member, ProjectRole};
pub use placement::{HostSelector, Placement};
pub use policy::{AllowedAccounts, POLICY_FIELD, PortRange, ProjectPolicy, ProjectQuotas};
pub use port::{PortMapping, Protocol};
pub use project::{HadesProject, HadesProjectSpec, HadesProjectStatus};
pub use quantity::Quantity;
pub use registry_account::{RegistryAccount, RegistryAccountSpec, RegistryAccountStatus};
pub use resources::{ResourceLimits, Resources};
pub use service::{EnvFromSource, ImagePullPolicy, RestartPolicy, SecretRef, ServiceSpec};
pub use strategy::{Strategy, StrategyType};
pub use tmpfs::Tmpfs;
pub use ulimit::{Ulimit, UlimitRange};
pub use user::{User, UserSpec, UserStatus};
pub use version_range::{BadRange, VersionRange};
pub use volume::{DeletionPolicy, MountForm, MountSource, VolumeMount, VolumeSpec};

/// API group of every kind of Hades.
pub const GROUP: &str = "hades.dev";
/// The one version that is served.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` of every kind of Hades.
pub const API_VERSION: &str = "hades.dev/v1alpha1";
/// Namespace of what belongs to the installation rather than to a project.
pub const SYSTEM_NAMESPACE: &str = "hades-system";
