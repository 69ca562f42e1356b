//! What a schema declares and can't hold.

use super::node::{Additional, ListType, Node};
use super::{Place, child_path, defaults, prune, validate};
use crate::admission::{Cause, CauseReason};

/// Every such declaration of the schema at `path`.
pub(super) fn causes(root: &Node, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    walk(root, path, true, &mut causes);
    causes
}

/// `correlated`: whether an old value can be told to be the one that a new value
/// continues. Items of lists without keys have no past.
fn walk(node: &Node, path: &str, correlated: bool, causes: &mut Vec<Cause>) {
    default(node, path, causes);
    if !correlated && let Some(rules) = &node.rules {
        for rule in rules.transitions() {
            causes.push(Cause::new(
                child_path(path, "x-kubernetes-validations"),
                CauseReason::FieldValueInvalid,
                format!(
                    "Invalid value: {rule:?}: oldSelf cannot be used on the uncorrelatable \
                     portion of the schema: items of a list without x-kubernetes-list-type map"
                ),
            ));
        }
    }
    for (name, property) in &node.properties {
        walk(property, &format!("{path}.properties[{name}]"), correlated, causes);
    }
    if let Additional::Schema(values) = &node.additional {
        walk(values, &format!("{path}.additionalProperties"), correlated, causes);
    }
    if let Some(items) = &node.items {
        let keyed = matches!(node.list_type, ListType::Map(_));
        walk(items, &format!("{path}.items"), correlated && keyed, causes);
    }
}

/// A default is stored where the client says nothing, so that it must pass what
/// the client's value would have to pass.
fn default(node: &Node, path: &str, causes: &mut Vec<Cause>) {
    let Some(default) = &node.default else {
        return;
    };
    let path = format!("{path}.default");
    let mut value = default.clone();
    let mut unknown = Vec::new();
    prune::node(node, &mut value, &Place::ROOT, &mut unknown);
    for field in unknown {
        causes.push(Cause::new(
            format!("{path}.{}", field.path),
            CauseReason::FieldValueInvalid,
            format!("Invalid value: {default}: must not have unknown fields"),
        ));
    }
    defaults::apply(node, &mut value);
    for cause in validate::lone_value(node, &value) {
        let field = match cause.field.as_str() {
            "" => path.clone(),
            field if field.starts_with('[') => format!("{path}{field}"),
            field => format!("{path}.{field}"),
        };
        causes.push(Cause { field, ..cause });
    }
}
