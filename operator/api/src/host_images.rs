//! What a DockerHost says of disk space and of the images on it.

use jiff::Timestamp;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

/// Versions of a service that stay on a host when a DockerHost doesn't say.
pub const DEFAULT_IMAGES_KEPT: u32 = 3;
/// How long an image stays that nothing uses, when a DockerHost doesn't say.
pub const DEFAULT_IMAGE_GRACE: std::time::Duration = std::time::Duration::from_secs(24 * 3600);
/// Part of the disk in use from which on a host is under pressure, in percent.
pub const DEFAULT_DISK_WARN_PERCENT: u8 = 85;
/// Part of the disk in use from which on nothing is pulled, in percent.
pub const DEFAULT_DISK_CRITICAL_PERCENT: u8 = 95;

/// Removal of images that Hades pulled and that are no longer needed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageCleanup {
    /// How many versions of each service stay, the running one included; 3 when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub keep: Option<u32>,

    /// How long an image must have been unused; 24h when absent. While the disk is
    /// under pressure 10m are enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Duration>,

    /// Removes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
}

impl ImageCleanup {
    /// How many versions of each service stay.
    pub fn keep(&self) -> u32 {
        self.keep.unwrap_or(DEFAULT_IMAGES_KEPT)
    }

    /// How long an image must have been unused.
    pub fn after(&self) -> std::time::Duration {
        self.after.as_ref().map_or(DEFAULT_IMAGE_GRACE, Duration::get)
    }
}

/// When the disk of a host counts as full.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = ("(has(self.warnPercent) ? self.warnPercent : 85) <= (has(self.criticalPercent) ? self.criticalPercent : 95)", "warnPercent (85 when absent) must not be above criticalPercent (95 when absent)"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DiskThresholds {
    /// Percentage in use from which on `DiskPressure` is set and unused images go
    /// early; 85 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub warn_percent: Option<u8>,

    /// Percentage in use from which on nothing more is pulled; 95 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub critical_percent: Option<u8>,
}

impl DiskThresholds {
    /// Percentage from which on the disk is under pressure.
    pub fn warn(&self) -> u8 {
        self.warn_percent.unwrap_or(DEFAULT_DISK_WARN_PERCENT)
    }

    /// Percentage from which on nothing is pulled.
    pub fn critical(&self) -> u8 {
        self.critical_percent.unwrap_or(DEFAULT_DISK_CRITICAL_PERCENT)
    }
}

/// The disk that an engine keeps images and volumes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiskStatus {
    /// Size in bytes, without what is set aside for root.
    pub total: i64,
    /// Bytes that are free. Told in steps of a hundredth of the size, so that
    /// the status doesn't change all the time.
    pub free: i64,
}

/// An image that Hades pulled onto a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PulledImage {
    /// Reference that was pulled.
    pub image: String,
    /// Image id; absent while it is being pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// When it was pulled.
    pub pulled_at: Timestamp,
    /// Since when no container has it; absent while one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unused_since: Option<Timestamp>,
    /// Services that have run it: `PROJECT/ENVIRONMENT/SERVICE`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
}
