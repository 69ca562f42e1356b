//! Events are forgotten an hour after they were last seen.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{delete_key, rows};
use crate::registry::Nature;
use crate::state::State;
use crate::wire::status::StatusError;

/// As long as Kubernetes keeps events unless told otherwise.
const TIME_TO_LIVE: SignedDuration = SignedDuration::from_hours(1);

const INTERVAL: Duration = Duration::from_secs(60);

/// Sweeps until shutdown.
pub(super) async fn run(state: Arc<State>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = state.shutdown.cancelled() => return,
        }
        if let Err(error) = sweep(&state).await {
            tracing::warn!(%error, "old events could not be deleted");
        }
    }
}

pub(super) async fn sweep(state: &Arc<State>) -> Result<(), StatusError> {
    let Some(resource) = state
        .registry
        .stored()
        .find(|resource| resource.nature == Nature::Event)
        .cloned()
    else {
        return Ok(());
    };
    let oldest = (state.clock)() - TIME_TO_LIVE;
    let pick = move |row: crate::store::Row| {
        let seen = last_seen(&row.object);
        seen.is_some_and(|seen| seen < oldest).then_some(row.key)
    };
    for key in rows(state, &resource.storage, None, pick)
        .await?
        .into_iter()
        .flatten()
    {
        delete_key(state, &resource, &key).await?;
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
    use super::*;

    #[test]
    fn a_series_that_goes_on_keeps_its_event() {
        let event = br#"{"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"},
            "eventTime": "2026-01-01T00:00:00.000001Z",
            "series": {"count": 3, "lastObservedTime": "2026-01-01T00:59:00.000000Z"}}"#;
        assert_eq!(
            last_seen(event),
            Some("2026-01-01T00:59:00Z".parse().unwrap())
        );
        assert_eq!(last_seen(b"{}"), None);
    }
}
