use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{to_core, to_events};

#[test]
fn a_recorded_event_reads_as_a_core_event() {
    let recorded = json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "shop.1", "namespace": "default"},
        "eventTime": "2026-01-01T00:00:00.000001Z",
        "series": {"count": 3, "lastObservedTime": "2026-01-01T00:01:00.000000Z"},
        "reportingController": "hades.dev/environment",
        "reportingInstance": "hades-0",
        "action": "Sync",
        "reason": "Synced",
        "type": "Normal",
        "note": "all is well",
        "regarding": {"kind": "Thing", "name": "shop"},
        "related": {"kind": "Other", "name": "x"},
        "deprecatedCount": 2,
        "deprecatedSource": {"component": "a"},
        "deprecatedFirstTimestamp": "2026-01-01T00:00:00Z",
        "deprecatedLastTimestamp": "2026-01-01T00:00:01Z",
    });
    let core = to_core(&recorded);
    assert_eq!(
        core,
        json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": "shop.1", "namespace": "default"},
            "eventTime": "2026-01-01T00:00:00.000001Z",
            "series": {"count": 3, "lastObservedTime": "2026-01-01T00:01:00.000000Z"},
            "reportingComponent": "hades.dev/environment",
            "reportingInstance": "hades-0",
            "action": "Sync",
            "reason": "Synced",
            "type": "Normal",
            "message": "all is well",
            "involvedObject": {"kind": "Thing", "name": "shop"},
            "related": {"kind": "Other", "name": "x"},
            "count": 2,
            "source": {"component": "a"},
            "firstTimestamp": "2026-01-01T00:00:00Z",
            "lastTimestamp": "2026-01-01T00:00:01Z",
        })
    );
    assert_eq!(to_events(&core), recorded);
    assert_eq!(to_events(&recorded), recorded, "the stored form stays as it is");
    assert_eq!(to_core(&core), core);
}

#[test]
fn the_target_view_wins_where_both_are_given() {
    let both = json!({"kind": "Event", "message": "core", "note": "events"});
    assert_eq!(to_core(&both)["message"], "core");
    assert_eq!(to_events(&both)["note"], "events");
}

proptest! {
    #[test]
    fn views_lose_nothing(picked in prop::collection::btree_map(
        prop::sample::select(vec![
            "regarding", "note", "reportingController", "reportingInstance", "deprecatedSource",
            "deprecatedFirstTimestamp", "deprecatedLastTimestamp", "deprecatedCount", "series",
            "eventTime", "action", "related", "reason", "type", "metadata", "unheardOf",
        ]),
        0..9i64,
        0..16,
    )) {
        let mut event: Map<String, Value> =
            picked.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        event.insert("apiVersion".to_owned(), json!("events.k8s.io/v1"));
        event.insert("kind".to_owned(), json!("Event"));
        let event = Value::Object(event);
        prop_assert_eq!(to_events(&to_core(&event)), event);
    }
}
