//! Events are forgotten an hour after they were last seen, whatever the clock
//! does meanwhile.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::time::Instant;

use super::rows;
use super::steady::Steady;
use crate::registry::Nature;
use crate::state::State;
use crate::wire::status::StatusError;
use crate::write::{DeleteOptions, delete_key};

/// As long as Kubernetes keeps events unless told otherwise.
const TIME_TO_LIVE: SignedDuration = SignedDuration::from_hours(1);

const INTERVAL: Duration = Duration::from_secs(60);

/// Sweeps until shutdown.
pub(super) async fn run(state: Arc<State>) {
    let mut steady = Steady::new((state.clock)(), Instant::now());
    loop {
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = state.shutdown.cancelled() => return,
        }
        let clock = (state.clock)();
        let believed = steady.now(clock, Instant::now());
        if let Err(error) = sweep(&state, believed, clock).await {
            tracing::warn!(%error, "old events could not be deleted");
        }
    }
}

/// Deletes what is too old by the time that is believed and by what the clock
/// shows. What claims to be from the future by both was written while the clock
/// was wrong, and would stay for long.
async fn sweep(
    state: &Arc<State>,
    believed: Timestamp,
    clock: Timestamp,
) -> Result<(), StatusError> {
    let Some(resource) =
        state.registry().stored().find(|resource| resource.nature == Nature::Event).cloned()
    else {
        return Ok(());
    };
    let oldest = believed.min(clock) - TIME_TO_LIVE;
    let latest = believed.max(clock) + TIME_TO_LIVE;
    let pick = move |row: crate::store::Row| {
        let seen = last_seen(&row.object);
        seen.is_some_and(|seen| seen < oldest || seen > latest).then_some(row.key)
    };
    for key in rows(state, &resource.storage, None, pick).await?.into_iter().flatten() {
        delete_key(state, &resource, &key, &DeleteOptions::default()).await?;
    }
    Ok(())
}

/// The latest of the times that an event carries.
fn last_seen(event: &[u8]) -> Option<Timestamp> {
    let event: Value = serde_json::from_slice(event).ok()?;
    [
        &event["series"]["lastObservedTime"],
        &event["eventTime"],
        &event["deprecatedLastTimestamp"],
        &event["metadata"]["creationTimestamp"],
    ]
    .into_iter()
    .filter_map(|time| time.as_str()?.parse().ok())
    .max()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use k8s_openapi::api::events::v1::Event;
    use kube::api::{Api, PostParams};
    use serde_json::json;

    use super::*;
    use crate::{ApiServer, Identity, ServerConfig};

    #[tokio::test]
    async fn an_event_is_forgotten_an_hour_after_it_was_last_seen() {
        let directory = tempfile::tempdir().unwrap();
        let minutes = Arc::new(AtomicI64::new(0));
        let mut config = ServerConfig::new(directory.path(), Vec::new());
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let passed = Arc::clone(&minutes);
        config.clock =
            Arc::new(move || start + SignedDuration::from_mins(passed.load(Ordering::SeqCst)));
        let server = ApiServer::open(config).await.unwrap();
        let api: Api<Event> =
            Api::namespaced(server.client(Identity::controller("tester")), "default");
        for (name, minute) in [("old", 0), ("new", 30)] {
            minutes.store(minute, Ordering::SeqCst);
            let event = json!({"metadata": {"name": name}, "reason": "Tested", "type": "Normal",
                "action": "Test", "regarding": {}, "eventTime": null,
                "reportingController": "t", "reportingInstance": "t"});
            let event: Event = serde_json::from_value(event).unwrap();
            api.create(&PostParams::default(), &event).await.unwrap();
        }
        let at = |minute| start + SignedDuration::from_mins(minute);
        let sweep = |believed, clock| sweep(server.state(), at(believed), at(clock));
        // The clock is wrong for a while, ahead and behind.
        sweep(40, 5000).await.unwrap();
        sweep(41, -5000).await.unwrap();
        assert!(api.get_opt("old").await.unwrap().is_some());
        sweep(61, 61).await.unwrap();
        assert!(api.get_opt("old").await.unwrap().is_none());
        assert!(api.get_opt("new").await.unwrap().is_some());
        // It was wrong when the event was written: by a clock that is right
        // again, the event is from the future.
        sweep(-40, -40).await.unwrap();
        assert!(api.get_opt("new").await.unwrap().is_none());
    }

    #[test]
    fn a_series_that_goes_on_keeps_its_event() {
        let event = br#"{"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"},
            "eventTime": "2026-01-01T00:00:00.000001Z",
            "series": {"count": 3, "lastObservedTime": "2026-01-01T00:59:00.000000Z"}}"#;
        assert_eq!(last_seen(event), Some("2026-01-01T00:59:00Z".parse().unwrap()));
        assert_eq!(last_seen(b"{}"), None);
    }
}
