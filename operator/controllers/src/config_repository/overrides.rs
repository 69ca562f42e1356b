//! Overrides: hand edits that go before git for a time ([`hades_api::overriding`]).
//! While one is in force its object isn't applied; when it ends, the object is
//! applied again and what the hand edit alone set is taken away.

use hades_api::overriding::{MANAGER, Override};
use hades_api::{
    ConfigRepository, ConfigRepositoryStatus, InventoryEntry, OverrideEntry, annotation,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Map, Value, json};

use super::check::{Object, field_manager};
use super::inventory;

/// Overrides that a message names.
const NAMED: usize = 3;

/// Whether an override has ended that the repository didn't see to yet.
pub(super) fn any_ended(repository: &ConfigRepository, now: Timestamp) -> bool {
    let overrides = repository.status.as_ref().map(|status| status.overrides.as_slice());
    overrides.unwrap_or_default().iter().any(|entry| entry.until <= now)
}

/// Time until the next of them ends. One that has ended already waits for a pass
/// that comes to its end.
pub(super) fn next_end(overrides: &[OverrideEntry], now: Timestamp) -> Option<std::time::Duration> {
    let first = overrides.iter().map(|entry| entry.until).filter(|&until| until > now).min()?;
    Some(first.duration_since(now).try_into().unwrap_or_default())
}

/// The overrides on record after `objects` were looked at: of the others what was
/// known stays, as long as they are in the inventory.
pub(super) fn merged(
    known: &[OverrideEntry],
    objects: &[Object],
    inventory: &[InventoryEntry],
) -> Vec<OverrideEntry> {
    let looked_at = inventory::of(objects);
    let kept = known
        .iter()
        .filter(|entry| !looked_at.contains(&entry.object) && inventory.contains(&entry.object));
    let found = objects.iter().filter_map(|object| match object.overridden {
        Some(Override::Active(until)) => {
            let entry = inventory::of(std::slice::from_ref(object)).pop()?;
            Some(OverrideEntry { object: entry, until })
        }
        Some(Override::Ended(_) | Override::Unreadable) | None => None,
    });
    let mut all: Vec<OverrideEntry> = kept.cloned().chain(found).collect();
    all.sort();
    all
}

/// What is overridden until when, in words; none when nothing is.
pub(super) fn message(status: &ConfigRepositoryStatus) -> Option<String> {
    let overrides = &status.overrides;
    if overrides.is_empty() {
        return None;
    }
    let named: Vec<String> = overrides
        .iter()
        .take(NAMED)
        .map(|entry| format!("{} until {}", inventory::shown(&entry.object), entry.until))
        .collect();
    let more = match overrides.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!("left as edited by hand: {}{more}", named.join(", ")))
}

/// Takes away what is left of an override after git was applied over it: the
/// annotation, and every field that the hand edit alone owns.
pub(super) async fn end(
    api: &Api<DynamicObject>,
    repository: &ConfigRepository,
    applied: &DynamicObject,
) -> Result<DynamicObject, kube::Error> {
    let mut patch = leftovers(applied.managed_fields());
    patch["metadata"]["annotations"][annotation::OVERRIDE_UNTIL] = Value::Null;
    // A new override that comes meanwhile is not to be lost.
    patch["metadata"]["resourceVersion"] = json!(applied.resource_version());
    let parameters =
        PatchParams { field_manager: Some(field_manager(repository)), ..PatchParams::default() };
    api.patch(&applied.name_any(), &parameters, &Patch::Merge(&patch)).await
}

/// The merge patch (RFC 7396) that removes the fields that hand edits own alone.
fn leftovers(managed: &[ManagedFieldsEntry]) -> Value {
    let of = |wanted: bool| {
        let mut all = Map::new();
        for entry in managed {
            let is_own = entry.manager.as_deref() == Some(MANAGER);
            let fields = entry.fields_v1.as_ref().and_then(|fields| fields.0.as_object());
            if is_own == wanted
                && let Some(fields) = fields
            {
                add(&mut all, fields);
            }
        }
        all
    };
    let patch = removal(&of(true), &of(false));
    let mut patch = Value::Object(patch);
    if let Some(fields) = patch.as_object_mut() {
        // Of the metadata people write only these; the status is not theirs.
        fields.retain(|key, _| !matches!(key.as_str(), "status" | "apiVersion" | "kind"));
        if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|key, _| matches!(key.as_str(), "labels" | "annotations"));
        }
        // All of it at once would take away what an older server put there.
        if fields.get("metadata").is_some_and(Value::is_null) {
            fields.remove("metadata");
        }
        if fields.get("spec").is_some_and(Value::is_null) {
            fields.remove("spec");
        }
    }
    patch
}

fn add(all: &mut Map<String, Value>, fields: &Map<String, Value>) {
    for (key, below) in fields {
        let into = all.entry(key.clone()).or_insert_with(|| json!({}));
        if let (Some(into), Some(below)) = (into.as_object_mut(), below.as_object()) {
            add(into, below);
        }
    }
}

/// `null` for each field of `own` that `others` don't have. Items of lists are left
/// alone: a merge patch can't name them.
fn removal(own: &Map<String, Value>, others: &Map<String, Value>) -> Map<String, Value> {
    let mut patch = Map::new();
    for (key, below) in own {
        let Some(field) = key.strip_prefix("f:") else { continue };
        match (others.get(key).and_then(Value::as_object), below.as_object()) {
            (None, _) => {
                patch.insert(field.to_owned(), Value::Null);
            }
            // Owned whole by one of the two: it stays.
            (Some(theirs), _) if theirs.is_empty() => {}
            (Some(theirs), Some(below)) => {
                let inner = removal(below, theirs);
                if !inner.is_empty() {
                    patch.insert(field.to_owned(), Value::Object(inner));
                }
            }
            (Some(_), None) => {}
        }
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;

    fn managed(entries: &[(&str, Value)]) -> Vec<ManagedFieldsEntry> {
        let entry = |(manager, fields): &(&str, Value)| {
            serde_json::from_value(json!({
                "manager": manager, "operation": "Update", "fieldsV1": fields,
            }))
            .unwrap()
        };
        entries.iter().map(entry).collect()
    }

    #[test]
    fn only_what_a_hand_edit_owns_alone_goes() {
        let hand = json!({
            "f:metadata": {"f:annotations": {"f:note": {}}, "f:finalizers": {}},
            "f:spec": {"f:services": {"f:web": {
                "f:replicas": {}, "f:env": {"f:A": {}, "f:B": {}}, "f:init": {},
                "f:ports": {"k:{\"port\":1}": {}},
            }, "f:extra": {".": {}, "f:image": {}}}},
        });
        let git = json!({
            "f:metadata": {"f:annotations": {"f:other": {}}},
            "f:spec": {"f:services": {"f:web": {
                "f:image": {}, "f:env": {"f:A": {}}, "f:ports": {},
            }}},
        });
        let patch = leftovers(&managed(&[("hades-override", hand), ("hades-config/x", git)]));
        assert_eq!(
            patch,
            json!({
                "metadata": {"annotations": {"note": null}},
                "spec": {"services": {"web": {"replicas": null, "env": {"B": null}, "init": null},
                    "extra": null}},
            })
        );
        assert_eq!(leftovers(&[]), json!({}));
    }

    #[test]
    fn overrides_on_record() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let entry = |name: &str, until: &str| OverrideEntry {
            object: InventoryEntry {
                api_version: "hades.dev/v1alpha1".to_owned(),
                kind: "Environment".to_owned(),
                namespace: Some("shop".to_owned()),
                name: name.to_owned(),
            },
            until: time(until),
        };
        let known = [entry("a", "2026-01-01T02:00:00Z"), entry("b", "2026-01-01T01:00:00Z")];
        let now = time("2026-01-01T00:59:00Z");
        assert_eq!(next_end(&known, now), Some(std::time::Duration::from_secs(60)));
        assert_eq!(next_end(&known, time("2026-01-02T00:00:00Z")), None);
        assert_eq!(next_end(&[], now), None);
        let inventory = [known[0].object.clone()];
        assert_eq!(merged(&known, &[], &inventory), [known[0].clone()]);
        let status = ConfigRepositoryStatus { overrides: known.to_vec(), ..Default::default() };
        assert_eq!(
            message(&status).unwrap(),
            "left as edited by hand: Environment shop/a until 2026-01-01T02:00:00Z, \
             Environment shop/b until 2026-01-01T01:00:00Z"
        );
    }
}
