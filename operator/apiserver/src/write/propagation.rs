//! The finalizers by which a deletion says what becomes of dependents.
//!
//! As on Kubernetes, the answer is kept in the object itself: `orphan` until
//! every dependent lost its reference, `foregroundDeletion` until every dependent
//! that blocks its owner is gone. A crash in between forgets nothing.

use serde_json::Value;

use super::options::Propagation;

/// Holds an object until nothing refers to it.
pub(crate) const ORPHAN: &str = "orphan";

/// Holds an object until its blocking dependents are gone.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";

/// The finalizers of an object after a deletion with this policy; `None` where
/// they stay as they are. Without a policy those that the object has decide.
pub(super) fn finalizers_after(object: &Value, asked: Option<Propagation>) -> Option<Vec<Value>> {
    let asked = asked?;
    let before = object["metadata"]["finalizers"].as_array().map_or(&[][..], Vec::as_slice);
    let wanted = match asked {
        Propagation::Background => None,
        Propagation::Foreground => Some(FOREGROUND),
        Propagation::Orphan => Some(ORPHAN),
    };
    let mut after: Vec<Value> = before
        .iter()
        .filter(|finalizer| {
            let finalizer = finalizer.as_str().unwrap_or_default();
            Some(finalizer) == wanted || !matches!(finalizer, ORPHAN | FOREGROUND)
        })
        .cloned()
        .collect();
    if let Some(wanted) = wanted
        && !after.iter().any(|finalizer| finalizer.as_str() == Some(wanted))
    {
        after.push(Value::from(wanted));
    }
    (after != before).then_some(after)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_policy_replaces_the_finalizer_of_another() {
        use Propagation::{Background, Foreground, Orphan};
        let cases = [
            (json!([]), None, None),
            (json!(["orphan"]), None, None),
            (json!(["a"]), Some(Background), None),
            (json!(["a"]), Some(Foreground), Some(json!(["a", "foregroundDeletion"]))),
            (json!(["foregroundDeletion"]), Some(Foreground), None),
            (json!(["foregroundDeletion", "a"]), Some(Orphan), Some(json!(["a", "orphan"]))),
            (json!(["orphan", "a"]), Some(Background), Some(json!(["a"]))),
        ];
        for (before, asked, after) in cases {
            let object = json!({"metadata": {"finalizers": before}});
            assert_eq!(finalizers_after(&object, asked).map(Value::Array), after, "{object}");
        }
    }
}
