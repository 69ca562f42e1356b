//! Fields that the schema does not know.

use serde_json::{Map, Value};

use super::node::{Additional, Node};
use super::{Place, UnknownField};

/// As many are told as Kubernetes tells; all are removed.
const MAX_UNKNOWN: usize = 100;

/// Nobody misspells longer names, and comparing them takes long.
const MAX_NAME: usize = 64;

/// Removes unknown fields below `value` and collects them.
pub(super) fn node(
    node: &Node,
    value: &mut Value,
    path: &Place<'_>,
    unknown: &mut Vec<UnknownField>,
) {
    match value {
        Value::Object(map) => object(node, map, path, unknown),
        Value::Array(list) => {
            if let Some(items) = &node.items {
                for (index, item) in list.iter_mut().enumerate() {
                    self::node(items, item, &path.index(index), unknown);
                }
            }
        }
        _ => {}
    }
}

fn object(
    schema: &Node,
    map: &mut Map<String, Value>,
    path: &Place<'_>,
    unknown: &mut Vec<UnknownField>,
) {
    let open = schema.preserve_unknown || matches!(schema.additional, Additional::Any);
    map.retain(|name, value| match schema.child(name) {
        Some(child) => {
            node(child, value, &path.key(name), unknown);
            true
        }
        None if open => true,
        None => {
            if unknown.len() < MAX_UNKNOWN {
                unknown.push(UnknownField {
                    path: path.key(name).to_string(),
                    nearest: nearest(name, schema.properties.keys()),
                });
            }
            false
        }
    });
}

/// The candidate that `name` is most likely a misspelling of.
fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a String>) -> Option<String> {
    if name.len() > MAX_NAME {
        return None;
    }
    let lower = name.to_lowercase();
    // A third of the letters may be wrong; two always, so that `prot` finds `port`.
    let allowed = (name.chars().count() / 3).max(2);
    candidates
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
            (distance, candidate)
        })
        .filter(|(distance, candidate)| {
            *distance <= allowed && *distance < candidate.chars().count().min(name.chars().count())
        })
        .min_by_key(|(distance, candidate)| (*distance, candidate.len()))
        .map(|(_, candidate)| candidate.clone())
}
