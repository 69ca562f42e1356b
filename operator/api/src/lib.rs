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
mod docker_host;
mod duration;
mod env_value;
mod environment;
pub mod label;
pub mod name;
pub mod overriding;
mod port;
mod project;
pub mod reason;
pub mod schema;
mod service;
mod volume;

pub use config_repository::{
    ConfigRepository, ConfigRepositorySpec, ConfigRepositoryStatus, InventoryEntry, ManifestProblem,
};
pub use docker_host::{Capacity, DockerHost, DockerHostSpec, DockerHostStatus};
pub use duration::Duration;
pub use env_value::{EnvSource, EnvValue, Scalar, SecretKeyRef};
pub use environment::{
    Defaults, Drift, Environment, EnvironmentSpec, EnvironmentStatus, EnvironmentTemplate,
    EnvironmentTemplateSpec, Health, PinnedImage, PlanRecord, ResourceStatus, TemplateRef,
};
pub use port::{PortMapping, Protocol};
pub use project::{HadesProject, HadesProjectSpec, HadesProjectStatus};
pub use service::{EnvFromSource, ImagePullPolicy, RestartPolicy, SecretRef, ServiceSpec};
pub use volume::{DeletionPolicy, VolumeMount, VolumeSpec};

/// API group of every kind of Hades.
pub const GROUP: &str = "hades.dev";
/// The one version that is served.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` of every kind of Hades.
pub const API_VERSION: &str = "hades.dev/v1alpha1";
/// Namespace of what belongs to the installation rather than to a project.
pub const SYSTEM_NAMESPACE: &str = "hades-system";
