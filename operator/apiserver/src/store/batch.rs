//! The writes of one transaction, each checked against the state before it.

use bytes::Bytes;
use redb::{ReadableTable, Table, WriteTransaction};

use super::draft::Draft;
use super::order::{Order, Prepared, Put};
use super::row::{self, Header, Seal};
use super::{
    CEILING, COUNTERS, Expect, Key, NAMESPACES, OBJECTS, Shared, StoreError, VERSION, WriteError,
    sealed,
};
use crate::watch::{Event, EventKind};

type Objects<'txn> = Table<'txn, &'static [u8], &'static [u8]>;

/// What a write did, told to the rest of the server after the commit.
#[derive(Debug)]
pub(super) struct Applied {
    pub event: Event,
    /// Uids of the owners of the object.
    pub owners: Vec<String>,
    /// The key as it is on disk.
    pub encoded: Vec<u8>,
    /// The row as it is on disk; `None` when it was removed.
    pub row: Option<Bytes>,
    /// Bytes by which the rows grew.
    pub growth: i64,
}

/// What became of one write.
pub(super) type Outcome = Result<Applied, WriteError>;

/// Whether the store may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Enough,
    /// Only what makes nothing larger may be written.
    None,
}

/// Puts writes into a transaction. They get the versions after `version`; the
/// last one given is answered, too. The outer error fails all of them.
pub(super) fn apply(
    txn: &WriteTransaction,
    shared: &Shared,
    orders: Vec<Order>,
    version: u64,
    room: Room,
) -> Result<(Vec<Outcome>, u64), StoreError> {
    let mut version = version;
    let mut outcomes = Vec::with_capacity(orders.len());
    let mut objects = txn.open_table(OBJECTS).map_err(StoreError::database)?;
    for order in orders {
        let outcome = step(&mut objects, shared, order, version + 1, room)?;
        version += u64::from(outcome.is_ok());
        outcomes.push(outcome);
    }
    Ok((outcomes, version))
}

/// A row as it was before a write.
struct Before {
    version: u64,
    /// Bytes of the row.
    length: usize,
    object: Bytes,
}

impl Before {
    fn read(shared: &Shared, key: &[u8], row: &[u8]) -> Result<Self, StoreError> {
        let (header, payload) = row::decode(row)?;
        let object = shared.open_payload(key, header, payload)?;
        Ok(Self { version: header.version, length: row.len(), object })
    }
}

fn step(
    objects: &mut Objects<'_>,
    shared: &Shared,
    order: Order,
    version: u64,
    room: Room,
) -> Result<Outcome, StoreError> {
    let Order { key, encoded, expect, needs_namespace, sealed, volatile: _, change } = order;
    let before = match objects.get(encoded.as_slice()).map_err(StoreError::database)? {
        None => None,
        Some(value) => match Before::read(shared, &encoded, value.value()) {
            Ok(before) => Some(before),
            // The others of the batch are none the worse for it.
            Err(error) => return Ok(Err(WriteError::Store(error.to_string()))),
        },
    };
    if let Err(refusal) = check_expected(expect, before.as_ref().map(|row| row.version)) {
        return Ok(Err(refusal));
    }
    if needs_namespace && let Err(refusal) = check_namespace(objects, key.namespace())? {
        return Ok(Err(refusal));
    }
    match change {
        Prepared::Put(put) => {
            let header = Header { seal: Seal::None, terminating: put.terminating, version };
            let (header, row) = match encode(shared, &encoded, header, sealed, &put.draft) {
                Ok(encoded) => encoded,
                Err(refusal) => return Ok(Err(refusal)),
            };
            let length = before.as_ref().map_or(0, |before| before.length);
            // A deletion that waits for its finalizers grows by its timestamp.
            if room == Room::None && row.len() > length && !put.terminating {
                return Ok(Err(WriteError::Full));
            }
            objects.insert(encoded.as_slice(), &*row).map_err(StoreError::database)?;
            Ok(Ok(stored(key, encoded, put, header, row, before)))
        }
        Prepared::Delete { last } => {
            let applied = match removed(key, encoded, last, before, version) {
                Ok(applied) => applied,
                Err(refusal) => return Ok(Err(refusal)),
            };
            objects.remove(applied.encoded.as_slice()).map_err(StoreError::database)?;
            Ok(Ok(applied))
        }
    }
}

/// The row of a draft, and its header.
fn encode(
    shared: &Shared,
    key: &[u8],
    header: Header,
    is_sealed: bool,
    draft: &Draft,
) -> Result<(Header, Bytes), WriteError> {
    if !is_sealed {
        return Ok((header, draft.row(header)));
    }
    sealed::seal(&shared.keyring, key, header, &draft.object(header.version))
        .map(|(header, row)| (header, Bytes::from(row)))
        .map_err(|error| WriteError::Store(error.to_string()))
}

fn stored(
    key: Key,
    encoded: Vec<u8>,
    put: Put,
    header: Header,
    row: Bytes,
    before: Option<Before>,
) -> Applied {
    let Put { draft, terminating: _, owners } = put;
    let object =
        if header.is_sealed() { draft.object(header.version) } else { row.slice(row::HEADER..) };
    let kind = if before.is_some() { EventKind::Modified } else { EventKind::Added };
    let growth = difference(row.len(), before.as_ref().map_or(0, |before| before.length));
    let before = before.map(|before| before.object);
    let event = Event::new(header.version, kind, key, object, before);
    Applied { event, owners, encoded, row: Some(row), growth }
}

fn removed(
    key: Key,
    encoded: Vec<u8>,
    last: Option<Draft>,
    before: Option<Before>,
    version: u64,
) -> Outcome {
    let before = before.ok_or(WriteError::Missing)?;
    // A watcher that saw the object must see it go, whatever its last state says.
    let (last, shown) = match last {
        Some(last) => (last, Some(before.object)),
        None => {
            let last = Draft::of_stored(&before.object);
            (last.map_err(|error| WriteError::Store(error.to_string()))?, None)
        }
    };
    Ok(Applied {
        owners: Vec::new(),
        encoded,
        row: None,
        growth: difference(0, before.length),
        event: Event::new(version, EventKind::Deleted, key, last.object(version), shown),
    })
}

fn difference(after: usize, before: usize) -> i64 {
    let bytes = |length| i64::try_from(length).unwrap_or(i64::MAX);
    bytes(after) - bytes(before)
}

fn check_expected(expect: Expect, current: Option<u64>) -> Result<(), WriteError> {
    match (expect, current) {
        (Expect::Absent, None) => Ok(()),
        (Expect::Absent, Some(_)) => Err(WriteError::Exists),
        (Expect::Version(_), None) => Err(WriteError::Missing),
        (Expect::Version(expected), Some(version)) if expected == version => Ok(()),
        (Expect::Version(_), Some(_)) => Err(WriteError::Changed),
    }
}

fn check_namespace(
    objects: &Objects<'_>,
    namespace: &str,
) -> Result<Result<(), WriteError>, StoreError> {
    let key = Key::new(&NAMESPACES.into(), "", namespace).encode();
    let row = objects.get(key.as_slice()).map_err(StoreError::database)?;
    Ok(match row {
        None => Err(WriteError::NamespaceMissing),
        Some(value) if row::decode(value.value())?.0.terminating => {
            Err(WriteError::NamespaceTerminating)
        }
        Some(_) => Ok(()),
    })
}

/// Writes the counters that a start reads.
pub(super) fn set_counters(
    txn: &WriteTransaction,
    version: u64,
    ceiling: Option<u64>,
) -> Result<(), StoreError> {
    let mut counters = txn.open_table(COUNTERS).map_err(StoreError::database)?;
    counters.insert(VERSION, version).map_err(StoreError::database)?;
    if let Some(ceiling) = ceiling {
        counters.insert(CEILING, ceiling).map_err(StoreError::database)?;
    }
    Ok(())
}
