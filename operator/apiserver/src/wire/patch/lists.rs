//! The lists of built-in kinds that a strategic merge patch merges: what
//! Kubernetes writes into the tags `patchStrategy` and `patchMergeKey` of its
//! types.

use serde_json::Value;

/// How the items of a patch find those of the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListMerge {
    /// By a field.
    Key(&'static str),
    /// As values of a set.
    Values,
}

/// The path of a list and how it merges.
pub type MergeRule = (&'static [&'static str], ListMerge);

const METADATA: [MergeRule; 2] = [
    (&["metadata", "finalizers"], ListMerge::Values),
    (&["metadata", "ownerReferences"], ListMerge::Key("uid")),
];

/// The lists that merge in a kind; a custom resource has none.
#[must_use]
pub fn merge_rules(group: &str, kind: &str) -> Vec<MergeRule> {
    let own: &[MergeRule] = match (group, kind) {
        ("", "ServiceAccount") => &[
            (&["imagePullSecrets"], ListMerge::Key("name")),
            (&["secrets"], ListMerge::Key("name")),
        ],
        ("", "Namespace") => &[(&["status", "conditions"], ListMerge::Key("type"))],
        _ => &[],
    };
    METADATA.iter().chain(own).copied().collect()
}

/// The rules below a member.
pub(super) fn below(rules: &[MergeRule], name: &str) -> Vec<MergeRule> {
    rules
        .iter()
        .filter_map(|(path, merge)| match path.split_first() {
            Some((first, rest)) if *first == name => Some((rest, *merge)),
            _ => None,
        })
        .collect()
}

/// Writes the rules below `at` into a schema, where kubectl looks for them to
/// make patches that mean the same.
pub fn annotate(schema: &mut Value, rules: &[MergeRule], at: &[&str]) {
    for (path, merge) in rules {
        let Some(path) = path.strip_prefix(at) else {
            continue;
        };
        let pointer: String = path.iter().map(|name| format!("/properties/{name}")).collect();
        let Some(node) = schema.pointer_mut(&pointer).and_then(Value::as_object_mut) else {
            continue;
        };
        node.insert("x-kubernetes-patch-strategy".to_owned(), Value::from("merge"));
        if let ListMerge::Key(key) = merge {
            node.insert("x-kubernetes-patch-merge-key".to_owned(), Value::from(*key));
        }
    }
}
