//! Brings what is served in line with the definitions that are stored.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::spec::Spec;
use super::status::{self, Surroundings};
use super::{DEFINITIONS, Turn, taken};
use crate::http::list::blocking;
use crate::registry::Definition;
use crate::state::State;
use crate::store::{Change, Expect, Row, Write, WriteError};
use crate::wire::status::StatusError;
use crate::write::from_bytes;

/// A round gives names to those that wait for them, which may free others. More
/// rounds than this would be a mistake of ours.
const ROUNDS: usize = 64;

/// A definition on its way into the registry.
struct Member {
    row: Row,
    definition: Arc<Definition>,
    /// Its status may be another one than is stored.
    pending: bool,
}

/// Reads all definitions, writes the statuses that changed, and serves what is
/// established. Cheap where nothing changed.
///
/// # Errors
/// When the store fails. What is served stays as it was.
pub(crate) async fn settle(state: &State, _turn: &Turn<'_>) -> Result<(), StatusError> {
    let mut members = read(state).await?;
    // Who comes with the server takes its names first, then who came first.
    members.sort_by_key(|member| {
        (!state.installed.contains(&member.definition.name), member.row.version)
    });
    for _ in 0..ROUNDS {
        let mut changed = false;
        for index in 0..members.len() {
            if members[index].pending || members[index].definition.conflicted {
                changed |= restate(state, &mut members, index).await?;
            }
        }
        if !changed {
            break;
        }
    }
    let mut definitions: Vec<_> = members.into_iter().map(|member| member.definition).collect();
    definitions.sort_by(|a, b| a.name.cmp(&b.name));
    serve(state, definitions).await;
    Ok(())
}

async fn read(state: &State) -> Result<Vec<Member>, StatusError> {
    let registry = state.registry();
    let mut scan = state.store.scan(DEFINITIONS, None)?;
    blocking(move || {
        let known: HashMap<&str, &Arc<Definition>> =
            registry.definitions().iter().map(|known| (known.name.as_str(), known)).collect();
        let mut members = Vec::new();
        loop {
            let page = scan.next_page(1 << 20)?;
            if page.is_empty() {
                return Ok(members);
            }
            for row in page {
                let before = known.get(row.key.name()).copied();
                match before {
                    Some(before) if before.version == row.version => {
                        let definition = Arc::clone(before);
                        members.push(Member { row, definition, pending: false });
                    }
                    before => members.extend(member(row, before.map(Arc::as_ref))),
                }
            }
        }
    })
    .await?
}

/// `None` for a row that can't be read, which must not take the others along.
fn member(row: Row, before: Option<&Definition>) -> Option<Member> {
    let definition = serde_json::from_slice(&row.object)
        .and_then(|object: Value| Definition::read(&row, &object, before));
    match definition {
        Ok(definition) => {
            if let Some(problem) = &definition.violation {
                tracing::error!(definition = definition.name, problem, "it can't be served");
            }
            Some(Member { row, definition: Arc::new(definition), pending: true })
        }
        Err(error) => {
            tracing::error!(definition = row.key.name(), %error, "it can't be read");
            None
        }
    }
}

/// Computes the status of one definition and writes it where it changed.
async fn restate(state: &State, members: &mut [Member], index: usize) -> Result<bool, StatusError> {
    let own = &members[index];
    let all = members.iter().map(|member| member.definition.as_ref());
    let taken = taken(state, &own.definition.name, &own.definition.group, all);
    let mut object = from_bytes(&own.row.object)?;
    let spec = Spec::read(&object).map_err(StatusError::internal)?;
    let now = state.now();
    let violation = own.definition.violation.as_deref();
    let around = Surroundings { taken: &taken, violation, now: &now };
    let status = status::status(&object, &spec, &around);
    let own = &mut members[index];
    own.pending = false;
    if status == object["status"] {
        return Ok(false);
    }
    object["status"] = status;
    let write = Write {
        key: own.row.key.clone(),
        expect: Expect::Version(own.row.version),
        needs_namespace: false,
        change: Change::Put(Box::new(object)),
    };
    match state.store.write(write).await {
        Ok(_) => {}
        // Somebody else's change, which wakes the next look.
        Err(WriteError::Changed | WriteError::Missing) => return Ok(false),
        Err(error) => return Err(StatusError::internal(error)),
    }
    let Some(row) = state.store.get(&own.row.key)? else {
        return Ok(true);
    };
    if let Some(next) = member(row, Some(&own.definition)) {
        *own = next;
    }
    Ok(true)
}

/// Serves these definitions from now on.
async fn serve(state: &State, definitions: Vec<Arc<Definition>>) {
    let before = state.registry();
    let same = before.definitions().len() == definitions.len()
        && before.definitions().iter().zip(&definitions).all(|(a, b)| Arc::ptr_eq(a, b));
    if same {
        return;
    }
    for definition in definitions.iter().filter(|definition| definition.terminating) {
        definition.gate.close().await;
    }
    for gone in before.definitions() {
        if !definitions.iter().any(|one| one.uid == gone.uid) {
            gone.gate.close().await;
        }
        if !definitions.iter().any(|one| one.storage == gone.storage) {
            state.metrics.forget(&gone.storage);
        }
    }
    let next = Arc::new(before.with_definitions(definitions));
    state.serve(Arc::clone(&next));
    before.retire(&next);
}
