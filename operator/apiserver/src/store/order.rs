//! A write on its way to the writer, with all work done that needs no version.

use serde::Deserialize;
use serde_json::Value;

use super::draft::{Draft, DraftError};
use super::{Change, Expect, Key, Meta, Policy, Write, WriteError};

/// One write, ready to be put into a transaction.
#[derive(Debug)]
pub(super) struct Order {
    pub key: Key,
    pub encoded: Vec<u8>,
    pub expect: Expect,
    pub needs_namespace: bool,
    /// The row is encrypted.
    pub sealed: bool,
    /// A power cut may lose it.
    pub volatile: bool,
    pub change: Prepared,
}

/// What a write does.
#[derive(Debug)]
pub(super) enum Prepared {
    Put(Put),
    Delete { last: Option<Draft> },
}

/// An object to store, and what the server has to know of it.
#[derive(Debug)]
pub(super) struct Put {
    pub draft: Draft,
    pub terminating: bool,
    /// Uids of its owners.
    pub owners: Vec<String>,
}

impl Order {
    /// Serialises what is to be written. For the caller's thread, not the
    /// writer's.
    pub fn new(write: Write, policy: &Policy) -> Result<Self, WriteError> {
        let Write { key, expect, needs_namespace, change } = write;
        let change = match change {
            Change::Put(object) => Prepared::Put(put(&object)?),
            Change::Delete { last } => {
                Prepared::Delete { last: last.map(|last| draft(&last)).transpose()? }
            }
        };
        Ok(Self {
            encoded: key.encode(),
            sealed: policy.seals(key.resource()),
            volatile: policy.volatile.contains(key.resource()),
            key,
            expect,
            needs_namespace,
            change,
        })
    }

    /// About how many bytes it adds to a transaction.
    pub fn size(&self) -> usize {
        match &self.change {
            Prepared::Put(put) => self.encoded.len() + put.draft.len(),
            Prepared::Delete { .. } => self.encoded.len(),
        }
    }
}

fn put(object: &Value) -> Result<Put, WriteError> {
    let meta = Meta::deserialize(&object["metadata"])
        .map_err(|error| WriteError::Store(error.to_string()))?;
    Ok(Put {
        draft: draft(object)?,
        terminating: meta.deletion_timestamp.is_some(),
        owners: meta.owner_references.into_iter().map(|owner| owner.uid).collect(),
    })
}

fn draft(object: &Value) -> Result<Draft, WriteError> {
    Draft::new(object).map_err(|error: DraftError| WriteError::Store(error.to_string()))
}
