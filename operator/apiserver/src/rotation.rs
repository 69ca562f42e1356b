//! Replacing the identity that everything is sealed for.
//!
//! ```text
//! new identity before the old one in the file ─▶ data key for it ─▶ rows sealed anew
//!   ─▶ other data keys removed ─▶ store rewritten ─▶ old identity removed from the file
//! ```
//! Each step looks at what is there and does what is left, so that a crash at any moment
//! costs time only: a start goes on where the last run ended.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::seal::{Keyring, SealError};
use crate::store::{Store, StoreError};

/// Why the identity was not replaced.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// There is no new identity.
    #[error(transparent)]
    Identity(#[from] SealError),
    /// Not everything is sealed anew.
    #[error(
        "not everything is sealed for the new identity yet; nothing is lost, and the next \
         rotation or start goes on from here"
    )]
    Unfinished(#[source] StoreError),
}

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The public half of the identity that everything is sealed for.
    pub recipient: String,
    /// How many rows were sealed anew: Secrets, and what accounts keep.
    pub rows: u64,
    /// How long it took.
    pub took: Duration,
}

/// Makes a new identity and seals everything for it. Whoever has the turn does; there is
/// one rotation at a time.
pub(crate) async fn rotate(
    store: &Store,
    keyring: &Keyring,
    turn: &Mutex<()>,
) -> Result<Rotated, RotationError> {
    let _turn = turn.lock().await;
    let started = Instant::now();
    keyring.renew()?;
    tracing::info!(recipient = keyring.recipient(), "sealing everything for a new identity");
    let rows = converge(store, keyring).await?;
    let rotated = Rotated { recipient: keyring.recipient(), rows, took: started.elapsed() };
    tracing::info!(rows, took = ?rotated.took, "everything is sealed for the new identity");
    Ok(rotated)
}

/// Does what an earlier run, or an earlier version, left to be done.
pub(crate) async fn finish(
    store: &Store,
    keyring: &Keyring,
    turn: &Mutex<()>,
) -> Result<(), RotationError> {
    let _turn = turn.lock().await;
    let rows = converge(store, keyring).await?;
    if rows > 0 {
        tracing::info!(rows, "what was left to be sealed anew is done");
    }
    Ok(())
}

/// How many rows were sealed anew.
async fn converge(store: &Store, keyring: &Keyring) -> Result<u64, RotationError> {
    let unfinished = RotationError::Unfinished;
    if keyring.key()?.recipient() != keyring.recipient() {
        store.add_key().await.map_err(unfinished)?;
    }
    let rows = store.reseal().await.map_err(unfinished)?;
    let keys = store.remove_keys().await.map_err(unfinished)?;
    if rows > 0 || keys > 0 || keyring.has_former() {
        // What was replaced is left in the file until it is rewritten.
        store.rewrite().await.map_err(unfinished)?;
        keyring.forget_former()?;
    }
    Ok(rows)
}
