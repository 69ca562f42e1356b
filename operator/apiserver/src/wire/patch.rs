//! JSON merge patch, JSON patch and strategic merge patch.

mod lists;
mod strategic;

use json_patch::PatchOperation;
use serde_json::{Map, Value};

use super::accept::{self, BodyForm};
use super::status::StatusError;

pub use lists::{MergeRule, annotate, merge_rules};
pub use strategic::{is_more_than_merge, strategic};

/// Kubernetes refuses JSON patches with more operations.
const MAX_OPERATIONS: usize = 10_000;

/// How many bytes the `copy` operations of one JSON patch may add: each can
/// double the document.
const MAX_COPIED_BYTES: usize = 3 * 1024 * 1024;

/// How many values the operations of one JSON patch may move: each item that is
/// put at the head of a list moves all the others.
const MAX_MOVED: usize = 20_000_000;

/// As deep as a body can be.
const MAX_DEPTH: usize = 128;

/// RFC 7396: members of `patch` replace those of `target`, nulls remove them.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else {
        return;
    };
    for (name, value) in patch {
        if value.is_null() {
            members.remove(name);
        } else {
            merge(members.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

/// RFC 6902; `patch` is the body of the request.
///
/// As the Go implementation does, a `test` of null passes on a missing path:
/// kube's `finalizer()` relies on it.
///
/// # Errors
/// 400 when the body is no JSON patch, 422 when an operation cannot be applied or
/// a test fails, 413 when it has too many operations or copies too much.
pub fn json(target: &Value, patch: &[u8]) -> Result<Value, StatusError> {
    // With the limits of bodies, which the patch crate knows nothing of.
    let patch = accept::decode_body(BodyForm::Json, patch)?;
    let operations = operations(patch)?;
    if operations.len() > MAX_OPERATIONS {
        return Err(StatusError::too_large(format!(
            "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
            operations.len()
        )));
    }
    let mut document = target.clone();
    let mut copied = 0;
    let mut moved = 0;
    for (index, operation) in operations.iter().enumerate() {
        moved += work(&document, operation);
        if moved > MAX_MOVED {
            return Err(StatusError::too_large(
                "the operations of the JSON patch move too many values about; replace the list \
                 as a whole",
            ));
        }
        check_depth(&document, operation)?;
        match operation {
            PatchOperation::Test(test)
                if test.value.is_null() && document.pointer(test.path.as_str()).is_none() =>
            {
                continue;
            }
            PatchOperation::Copy(copy) => {
                let source = document.pointer(copy.from.as_str());
                copied += source.map_or(0, |source| source.to_string().len());
                if copied > MAX_COPIED_BYTES {
                    return Err(StatusError::too_large(format!(
                        "the copy operations of the JSON patch add more than {MAX_COPIED_BYTES} bytes"
                    )));
                }
            }
            _ => {}
        }
        json_patch::patch(&mut document, std::slice::from_ref(operation)).map_err(|problem| {
            StatusError::unprocessable(format!(
                "the server rejected our request due to an error in our request: \
                 operation {index} of the JSON patch failed at {:?}: {}",
                problem.path.as_str(),
                problem.kind
            ))
        })?;
    }
    Ok(document)
}

/// What is wrong is said without the text, which may hold values of a Secret.
fn operations(patch: Value) -> Result<Vec<PatchOperation>, StatusError> {
    let wrong = |what: String| {
        StatusError::bad_request(format!(
            "error decoding patch: {what}; expected a list of operations such as \
             [{{\"op\": \"replace\", \"path\": \"/spec/replicas\", \"value\": 2}}]"
        ))
    };
    let Value::Array(operations) = patch else {
        return Err(wrong("the body is no list".to_owned()));
    };
    let read = |(index, operation)| {
        serde_json::from_value(operation).map_err(|_| {
            wrong(format!(
                "operation {index} lacks a field, or one of them has a value that doesn't fit"
            ))
        })
    };
    operations.into_iter().enumerate().map(read).collect()
}

/// How many values an operation moves or looks at, besides its own.
fn work(document: &Value, operation: &PatchOperation) -> usize {
    let items_beside = |path: &str| {
        let parent = path.rsplit_once('/').and_then(|(parent, _)| document.pointer(parent));
        parent.and_then(Value::as_array).map_or(0, Vec::len)
    };
    match operation {
        PatchOperation::Add(add) => items_beside(add.path.as_str()),
        PatchOperation::Remove(remove) => items_beside(remove.path.as_str()),
        PatchOperation::Copy(copy) => items_beside(copy.path.as_str()),
        PatchOperation::Move(step) => {
            let value = document.pointer(step.from.as_str()).map_or(0, count);
            value + items_beside(step.from.as_str()) + items_beside(step.path.as_str())
        }
        PatchOperation::Replace(_) | PatchOperation::Test(_) => 0,
    }
}

fn count(value: &Value) -> usize {
    match value {
        Value::Object(members) => 1 + members.values().map(count).sum::<usize>(),
        Value::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
        _ => 1,
    }
}

/// Refuses an operation that nests the document deeper than it could be read
/// again: each may add as many levels as its value has.
fn check_depth(document: &Value, operation: &PatchOperation) -> Result<(), StatusError> {
    let (path, value) = match operation {
        PatchOperation::Add(add) => (add.path.as_str(), Some(&add.value)),
        PatchOperation::Replace(replace) => (replace.path.as_str(), Some(&replace.value)),
        PatchOperation::Copy(copy) => (copy.path.as_str(), document.pointer(copy.from.as_str())),
        PatchOperation::Move(step) => (step.path.as_str(), document.pointer(step.from.as_str())),
        PatchOperation::Remove(_) | PatchOperation::Test(_) => return Ok(()),
    };
    let levels = path.matches('/').count() + value.map_or(0, depth);
    if levels > MAX_DEPTH {
        return Err(StatusError::unprocessable(format!(
            "the JSON patch would nest the object deeper than {MAX_DEPTH} levels"
        )));
    }
    Ok(())
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
