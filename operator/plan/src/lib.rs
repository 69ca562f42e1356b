//! Desired and observed state in, a plan out, without any IO.
//!
//! ```text
//! EnvironmentTemplate ┐
//! Environment         ┼─ merge ─▶ resolve ─▶ Desired ┐
//! Secrets, hosts      ┘                              ├─ plan ─▶ Plan ─▶ text, JSON
//!                         snapshots of the hosts ─▶ Observed ┘
//! ```
//!
//! Invariants:
//! - no IO, no async, no clock, no randomness: the same input gives the same
//!   plan, whatever the order it came in;
//! - planning after a plan was carried out yields nothing to do; from any state,
//!   a bounded number of passes reaches the desired one;
//! - nothing that doesn't carry this installation's labels is ever the target
//!   of an action;
//! - the value of a secret is in no plan, rendering, digest or Debug output:
//!   only a keyed fingerprint is.

pub mod action;
mod capability;
mod check;
pub mod cleanup;
pub mod desired;
mod digest;
pub mod lint;
pub mod merge;
pub mod naming;
pub mod observed;
pub mod placement;
mod plan;
mod planner;
pub mod policy;
pub mod reference;
pub mod render;
pub mod resolve;
mod setting;

pub use action::{Action, ActionId, Change, Operation, Reason, Target, TargetKind};
pub use check::{Check, DEFAULT_PROGRESS_DEADLINE, Probe, Rollout};
pub use desired::{
    CommandCheck, Confinement, ContainerFile, ContainerSpec, Desired, DesiredContainer,
    DesiredVolume, EngineCheck, EnvVar, FileContent, HostSettings, Limits, LogOutput, Lookup,
    Mount, TmpfsMount,
};
pub use lint::Lint;
pub use merge::{merge, with_project};
pub use observed::{
    ContainerHealth, ContainerState, HostSnapshot, HostView, Observed, ObservedContainer,
    ObservedNetwork, ObservedVolume, PublishedPort,
};
pub use placement::Current;
pub use plan::{Plan, ResourceState, Summary, WaitCause, Waiting};
pub use planner::plan;
pub use resolve::{
    FoundImages, Inputs, Needs, SecretData, SecretUse, SpecError, SpecErrorKind, UsedBy,
    check_offline, holds_password, looks_secret, needs, resolve, secret_uses,
};
