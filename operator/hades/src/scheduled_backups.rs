//! Makes the backups of the schedule, tries again what failed, and tells how it went:
//! in the log, as an event, in metrics, and in the audit log.

use std::time::Duration;

use hades_api::{SYSTEM_NAMESPACE, reason};
use hades_apiserver::audit::AuditEvent;
use hades_apiserver::{ApiServer, Identity};
use hades_backup::{Destination, DestinationError, S3Settings, Schedule, Stored};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use tokio_util::sync::CancellationToken;

use crate::backup_flags::BackupScheduleFlags;
use crate::backups::{self, Backups};

/// How long to wait after the first failure; twice as long after each further one.
const RETRY: Duration = Duration::from_secs(5 * 60);
const MAX_RETRY: Duration = Duration::from_secs(60 * 60);

/// How often to look at the clock, which may be set meanwhile.
const LOOK: Duration = Duration::from_secs(30);

/// Longest note of an event.
const MAX_NOTE: usize = 1000;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

/// What is counted.
#[derive(Clone, Default)]
struct Metrics {
    backups: Family<OutcomeLabels, Counter>,
    last: Gauge,
    size: Gauge,
}

impl Metrics {
    fn register(&self, registry: &mut Registry) {
        let Self { backups, last, size } = self;
        registry.register("hades_backups", "Backups of the schedule", backups.clone());
        registry.register_with_unit(
            "hades_backup_last_success_timestamp",
            "When the newest backup of the schedule was made, since 1970",
            Unit::Seconds,
            last.clone(),
        );
        registry.register_with_unit(
            "hades_backup_last_size",
            "Size of the newest backup of the schedule",
            Unit::Bytes,
            size.clone(),
        );
    }
}

/// The backups that the flags ask for.
pub(crate) struct ScheduledBackups {
    backups: Backups,
    schedule: Schedule,
    destination: Destination,
    settings: S3Settings,
    keep: usize,
    installation: String,
    metrics: Metrics,
}

impl ScheduledBackups {
    /// None where the flags ask for none.
    pub(crate) fn new(
        flags: &BackupScheduleFlags,
        backups: Backups,
        installation: &str,
        registry: &mut Registry,
    ) -> Option<Self> {
        let BackupScheduleFlags { backup_recipient: _, backup_schedule, backup_to, backup_keep } =
            flags;
        let (schedule, destination) = backup_schedule.clone().zip(backup_to.clone())?;
        let metrics = Metrics::default();
        metrics.register(registry);
        Some(Self {
            backups,
            schedule,
            destination,
            settings: S3Settings::from_env(|name| std::env::var(name).ok()),
            keep: usize::try_from(*backup_keep).unwrap_or(usize::MAX),
            installation: installation.to_owned(),
            metrics,
        })
    }

    /// Makes backups until `shutdown`; one that is under way then is given up.
    pub(crate) async fn run(self, server: ApiServer, shutdown: CancellationToken) {
        let teller = Teller::new(&server);
        let _ = shutdown.run_until_cancelled(self.go_on(teller)).await;
    }

    async fn go_on(self, mut teller: Teller) {
        let mut wait = RETRY;
        let mut made = None;
        loop {
            match self.pass(made).await {
                Ok(stored) => {
                    wait = RETRY;
                    made = Some(stored.name.time);
                    self.note(&stored);
                    teller.made(&self.destination, &stored).await;
                }
                Err(error) => {
                    self.metrics.backups.get_or_create(&OutcomeLabels { outcome: "failed" }).inc();
                    teller.failed(&self.destination, &error, wait).await;
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(MAX_RETRY);
                }
            }
        }
    }

    /// Waits until the next backup is due, and makes it. What there is is asked of the
    /// destination each time; when one was `made` last is known in any case.
    async fn pass(&self, made: Option<Timestamp>) -> Result<Stored, DestinationError> {
        let now = Timestamp::now();
        let there = self.destination.newest(&self.settings, &self.installation, now).await?;
        let newest = newest(there, made, now);
        if let Some(newest) = newest {
            self.metrics.last.set(newest.as_second());
        }
        let due = self.schedule.due(newest, now);
        tracing::info!(to = %self.destination, at = %due, "the next backup");
        while let Ok(left) = Duration::try_from(due - Timestamp::now().min(due))
            && !left.is_zero()
        {
            tokio::time::sleep(left.min(LOOK)).await;
        }
        self.backups.store(&self.destination, &self.settings, self.keep).await
    }

    fn note(&self, stored: &Stored) {
        let Metrics { backups, last, size } = &self.metrics;
        backups.get_or_create(&OutcomeLabels { outcome: "made" }).inc();
        last.set(stored.name.time.as_second());
        size.set(i64::try_from(stored.written.size).unwrap_or(i64::MAX));
    }
}

/// When the newest one was made: what the destination shows may have been taken away
/// by others, or doesn't show yet, and then one backup would follow the other. A time to
/// come is of a clock that was set back since.
fn newest(there: Option<Timestamp>, made: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    there.max(made.filter(|made| *made <= now))
}

/// Tells people.
struct Teller {
    client: Client,
    server: ApiServer,
    identity: Identity,
}

impl Teller {
    fn new(server: &ApiServer) -> Self {
        let identity = Identity::controller("backups");
        Self { client: server.client(identity.clone()), server: server.clone(), identity }
    }

    async fn made(&mut self, destination: &Destination, stored: &Stored) {
        let Stored { name, written, removed } = stored;
        let (size, sha256) = (written.size, &written.sha256);
        tracing::info!(to = %destination, %name, size, sha256, "a backup was made");
        self.record(Some(sha256));
        let mut note = format!("{name} in {destination}: {size} bytes, SHA-256 {sha256}");
        let mut type_ = EventType::Normal;
        if let Err(error) = removed {
            tracing::warn!(to = %destination, error, "old backups could not be removed");
            note = format!("{note}; older ones could not be removed: {error}");
            type_ = EventType::Warning;
        }
        self.publish(type_, reason::BACKUP_MADE, note).await;
    }

    async fn failed(
        &mut self,
        destination: &Destination,
        error: &DestinationError,
        wait: Duration,
    ) {
        let words = hades_controllers::error_chain(error);
        let minutes = wait.as_secs() / 60;
        tracing::error!(to = %destination, error = words, minutes, "no backup; it is tried again");
        self.record(None);
        let note = format!("no backup in {destination}, tried again in {minutes} minutes: {words}");
        self.publish(EventType::Warning, reason::BACKUP_FAILED, note).await;
    }

    fn record(&self, sha256: Option<&str>) {
        let event = AuditEvent::new("backup", "").by(&self.identity);
        self.server.audit().record(backups::audited(event, sha256));
    }

    async fn publish(&self, type_: EventType, reason: &str, mut note: String) {
        while note.len() > MAX_NOTE {
            note.pop();
        }
        // The fleet's own namespace stands for the installation.
        let about = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Namespace".to_owned()),
            name: Some(SYSTEM_NAMESPACE.to_owned()),
            namespace: Some(SYSTEM_NAMESPACE.to_owned()),
            ..ObjectReference::default()
        };
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(note),
            action: "Backup".to_owned(),
            secondary: None,
        };
        // A new one each time: a recorder would keep the words of the first.
        let reporter = Reporter { controller: "hades".to_owned(), instance: None };
        let recorder = Recorder::new(self.client.clone(), reporter);
        if let Err(error) = recorder.publish(&event, &about).await {
            tracing::warn!(reason, %error, "an event was lost");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_backup_does_not_follow_the_other_wherever_they_go() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let nightly: Schedule = "0 2 * * *".parse().unwrap();
        let now = at("2026-03-10T02:00:09Z");
        let made = Some(at("2026-03-10T02:00:00Z"));
        // Somebody moves them to another disk as soon as they are there.
        let due = nightly.due(newest(None, made, now), now);
        assert_eq!(due, at("2026-03-11T02:00:00Z"));
        let older = Some(at("2026-03-07T02:00:00Z"));
        assert_eq!(newest(older, made, now), made);
        assert_eq!(newest(made, older, now), made);
        assert_eq!(newest(None, None, now), None);
        // The clock was wrong, and is right again.
        assert_eq!(newest(older, Some(at("2031-01-01T02:00:00Z")), now), older);
    }
}
