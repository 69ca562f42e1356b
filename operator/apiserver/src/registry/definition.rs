//! What the registry knows of one custom resource definition.

use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::Resource;
use super::custom;
use super::gate::Gate;
use crate::definitions::spec::{Names, Spec};
use crate::definitions::{accepted_names, is_true};
use crate::store::Row;

/// A definition with the resources that it describes.
#[derive(Debug)]
pub(crate) struct Definition {
    pub name: String,
    /// The resourceVersion that it was read at.
    pub version: u64,
    pub uid: String,
    pub group: String,
    /// `group/plural` of the rows of its objects.
    pub storage: String,
    /// The names that it holds.
    pub names: Names,
    /// Some name that it asks for belongs to another.
    pub conflicted: bool,
    /// It is being deleted.
    pub terminating: bool,
    /// Why its resources can't be served.
    pub violation: Option<String>,
    /// One for each version; none unless it is established.
    pub resources: Vec<Arc<Resource>>,
    pub gate: Arc<Gate>,
    /// Of all that the resources are made from.
    digest: [u8; 32],
}

impl Definition {
    /// Reads a stored definition. What did not change since `before` is taken
    /// over: compiling is dear, and the watches of a resource end with it.
    pub fn read(
        row: &Row,
        object: &Value,
        before: Option<&Self>,
    ) -> Result<Self, serde_json::Error> {
        let spec = Spec::read(object)?;
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        let before = before.filter(|before| before.uid == uid);
        let names = accepted_names(object);
        let established = is_true(object, "Established");
        let digest = digest(object, established);
        let gate = before.map_or_else(|| Arc::new(Gate::open()), |before| Arc::clone(&before.gate));
        let (resources, violation) = match before.filter(|before| before.digest == digest) {
            Some(before) => (before.resources.clone(), before.violation.clone()),
            None if !established => (Vec::new(), None),
            None => match custom::resources(&spec, &names, &gate) {
                Ok(resources) => (resources.into_iter().map(Arc::new).collect(), None),
                Err(problem) => (Vec::new(), Some(problem)),
            },
        };
        Ok(Self {
            name: row.key.name().to_owned(),
            version: row.version,
            uid,
            storage: format!("{}/{}", spec.group, spec.names.plural),
            group: spec.group,
            names,
            conflicted: !is_true(object, "NamesAccepted"),
            terminating: row.terminating,
            violation,
            resources,
            gate,
            digest,
        })
    }
}

fn digest(object: &Value, established: bool) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update([u8::from(established)]);
    digest.update(object["spec"].to_string());
    digest.update(object["status"]["acceptedNames"].to_string());
    digest.finalize().into()
}
