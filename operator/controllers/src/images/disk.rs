//! Disk pressure of a host, seen before it hurts.

use hades_api::{DiskStatus, DiskThresholds, DockerHost, DockerHostStatus, condition, reason};
use hades_provider::DiskUsage;
use jiff::Timestamp;

use crate::status::set_condition;

/// How full a disk is, against the thresholds of its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// It has room.
    Room,
    /// Unused images go early.
    Pressure,
    /// Nothing more is pulled.
    Critical,
}

/// Judges a disk.
pub(super) fn level(disk: DiskUsage, thresholds: &DiskThresholds) -> Level {
    match disk.used_percent() {
        used if used >= thresholds.critical() => Level::Critical,
        used if used >= thresholds.warn() => Level::Pressure,
        _ => Level::Room,
    }
}

/// What people read of it.
pub(super) fn words(disk: DiskUsage, thresholds: &DiskThresholds, level: Level) -> String {
    let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30));
    let used = disk.used_percent();
    let size = gib(disk.total);
    match level {
        Level::Room => format!("its disk ({size}) has room"),
        Level::Pressure => format!(
            "its disk ({size}) is {used} % full, {} % count as full: images that nothing uses are removed early",
            thresholds.warn()
        ),
        Level::Critical => format!(
            "its disk ({size}) is {used} % full, from {} % on nothing is pulled: make room (`docker system df` shows what takes it)",
            thresholds.critical()
        ),
    }
}

/// Puts a disk into the status of its host.
pub(super) fn record(
    status: &mut DockerHostStatus,
    host: &DockerHost,
    disk: Option<(DiskUsage, Level, &str)>,
    now: Timestamp,
) {
    let Some((usage, level, words)) = disk else {
        status.disk = None;
        condition::clear(&mut status.conditions, condition::DISK_PRESSURE);
        return;
    };
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let step = (usage.total / 100).max(1);
    status.disk =
        Some(DiskStatus { total: signed(usage.total), free: signed(usage.free / step * step) });
    let reason = match level {
        Level::Room => reason::DISK_HAS_ROOM,
        Level::Pressure => reason::DISK_PRESSURE,
        Level::Critical => reason::DISK_FULL,
    };
    let truth = (condition::DISK_PRESSURE, level > Level::Room);
    set_condition(&mut status.conditions, host, truth, (reason, words), now);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels() {
        let of =
            |free, thresholds: &DiskThresholds| level(DiskUsage { total: 100, free }, thresholds);
        let default = DiskThresholds::default();
        assert_eq!(of(16, &default), Level::Room);
        assert_eq!(of(15, &default), Level::Pressure);
        assert_eq!(of(5, &default), Level::Critical);
        let own = DiskThresholds { warn_percent: Some(50), critical_percent: Some(60) };
        assert_eq!(
            (of(51, &own), of(45, &own), of(40, &own)),
            (Level::Room, Level::Pressure, Level::Critical)
        );
    }
}
