//! The plan: plain data that carries its own explanation.

use std::collections::BTreeSet;

use hades_api::name::EnvironmentName;
use hades_api::{Drift, Health, PortMapping, ResourceLimits};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::action::{Action, Operation, Target};
use crate::lint::Lint;

/// What has to be done to make an environment what it should be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Which environment.
    pub environment: EnvironmentName,
    /// SHA-256 (hex) over `actions`; equal plans have equal digests.
    pub digest: String,
    /// Steps, each behind all that it needs.
    pub actions: Vec<Action>,
    /// What can't be done now, and what it waits for.
    pub waiting: Vec<Waiting>,
    /// What a careful person would point out.
    pub lints: Vec<Lint>,
    /// Every thing that concerns the environment as it was found, sorted.
    pub resources: Vec<ResourceState>,
    /// In how many seconds time alone will have changed something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look_again_seconds: Option<u64>,
}

impl Plan {
    /// Nothing to do and nothing waited for.
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty() && self.waiting.is_empty()
    }

    /// Counts what the plan does.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary { waiting: self.waiting.len(), ..Summary::default() };
        let replaced: BTreeSet<(&str, &str)> = self
            .actions
            .iter()
            .filter_map(|action| match &action.operation {
                Operation::CreateContainer { replaces: Some(old), .. } => {
                    Some((action.target.host.as_str(), old.as_str()))
                }
                _ => None,
            })
            .collect();
        for action in &self.actions {
            let target = (action.target.host.as_str(), action.target.name.as_str());
            match &action.operation {
                Operation::PullImage => {}
                Operation::RemoveImage { .. } => summary.remove += 1,
                Operation::CreateContainer { replaces: Some(_), .. } => summary.replace += 1,
                Operation::CreateContainer { .. }
                | Operation::CreateNetwork { .. }
                | Operation::CreateVolume { .. } => summary.create += 1,
                Operation::StartContainer { .. }
                | Operation::StopContainer { .. }
                | Operation::UnpauseContainer { .. }
                | Operation::ConnectNetwork { .. } => summary.update += 1,
                Operation::RemoveContainer { .. } if replaced.contains(&target) => {}
                Operation::RemoveContainer { .. }
                | Operation::RemoveNetwork { .. }
                | Operation::RemoveVolume => summary.remove += 1,
            }
        }
        summary
    }
}

/// Numbers of a plan, as Terraform prints them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Things made.
    pub create: usize,
    /// Things started, attached or thawed.
    pub update: usize,
    /// Containers that take the place of another.
    pub replace: usize,
    /// Things removed for good.
    pub remove: usize,
    /// Things waited for.
    pub waiting: usize,
}

/// Something that can't be done now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// What waits.
    pub target: Target,
    /// What for.
    pub cause: WaitCause,
}

/// What an action waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "code")]
pub enum WaitCause {
    /// Its host doesn't answer.
    HostUnreachable {
        /// Why, for people.
        message: String,
    },
    /// Something that Hades didn't make has the name.
    NameTaken {
        /// What it is: `container`, `network`, `volume`.
        kind: String,
        /// Its name.
        name: String,
    },
    /// A container that isn't part of the environment holds the host port.
    PortTaken {
        /// The port as the manifest has it.
        port: PortMapping,
        /// Name of the container that holds it.
        holder: String,
    },
    /// No subnet is free in the host's pool.
    SubnetPoolExhausted {
        /// The pool.
        pool: String,
    },
    /// `imagePullPolicy: Never`, and the host doesn't have the image.
    ImageAbsent {
        /// The reference.
        image: String,
    },
    /// Which image to run isn't known yet.
    ImageUnresolved {
        /// The reference.
        image: String,
        /// Why.
        message: String,
    },
    /// The image isn't on the host, and its disk is too full for it.
    DiskFull {
        /// The reference.
        image: String,
        /// How full.
        message: String,
    },
    /// It ended and its restart policy leaves it so, or it ends again and again.
    ContainerFailing {
        /// What the engine says.
        state: String,
        /// Exit status, where known.
        exit_code: Option<i64>,
    },
    /// The engine is still removing it, or its predecessor of that name.
    RemovalInProgress,
    /// A network that has to go has something attached that stays.
    InUse {
        /// Names of the containers that use it.
        by: Vec<String>,
    },
    /// The old container stays until the new one does its work.
    ReplacementNotRunning {
        /// The new one.
        replacement: String,
    },
    /// It hasn't shown yet that it does its work.
    NotReady {
        /// What is missing, for people.
        why: String,
    },
    /// It runs and its check fails.
    Unhealthy {
        /// What the check says.
        why: String,
        /// It has had all the time that it may take to become healthy.
        overdue: bool,
    },
    /// It was to take the place of another, which goes on in its stead.
    RolloutFailed {
        /// How it failed.
        why: String,
    },
    /// Another container of the same description has failed.
    RolloutHalted {
        /// Its name.
        failed: String,
    },
    /// Others of its service are being replaced first.
    Turn,
    /// A service that it depends on doesn't work yet.
    DependencyNotReady {
        /// Its name.
        service: String,
        /// What is missing, for people.
        why: String,
    },
    /// Nothing new is put on its host.
    HostUnschedulable,
}

/// A thing as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceState {
    /// Which one.
    pub target: Target,
    /// What the engine says: `running`, `exited`, `present`, `absent`, `unknown`.
    pub state: String,
    /// Whether it does its work.
    pub health: Health,
    /// Whether it is as described.
    pub drift: Drift,
    /// Why it isn't.
    pub message: Option<String>,
    /// Image reference (containers).
    pub image: Option<String>,
    /// Image id that runs (containers).
    pub image_id: Option<String>,
    /// Published ports (containers).
    pub ports: Vec<String>,
    /// Id that the engine gave, where it is there.
    pub id: Option<String>,
    /// When it was made (containers).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// How it failed to take the place of another (containers).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The most that it gets (containers).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceLimits>,
}
