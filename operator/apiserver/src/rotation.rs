//! Replacing the identity that everything is sealed for.
//!
//! ```text
//! new identity before the old one in the file ─▶ data key for it ─▶ rows sealed anew
//!   ─▶ other data keys removed ─▶ store rewritten ─▶ old identity removed from the file
//! ```
//! While the file of the store may hold what is sealed for a former key, a mark in it says
//! so. Each step looks at what is there and does what is left, so that a crash at any moment
//! costs time only: a start goes on where the last run ended.

use std::sync::Arc;
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
    keyring: &Arc<Keyring>,
    turn: &Mutex<()>,
) -> Result<Rotated, RotationError> {
    let _turn = turn.lock().await;
    let started = Instant::now();
    with_file(keyring, Keyring::renew).await?;
    tracing::info!(recipient = keyring.recipient(), "sealing everything for a new identity");
    let Converged { rows, .. } = converge(store, keyring).await?;
    let rotated = Rotated { recipient: keyring.recipient(), rows, took: started.elapsed() };
    tracing::info!(rows, took = ?rotated.took, "everything is sealed for the new identity");
    Ok(rotated)
}

/// Does what an earlier run, or an earlier version, left to be done. What it did where a
/// rotation was left, so that whoever began it sees its end.
pub(crate) async fn finish(
    store: &Store,
    keyring: &Arc<Keyring>,
    turn: &Mutex<()>,
) -> Result<Option<Rotated>, RotationError> {
    let _turn = turn.lock().await;
    let started = Instant::now();
    let Converged { rows, is_rotation } = converge(store, keyring).await?;
    if rows > 0 {
        tracing::info!(rows, "what was left to be sealed anew is done");
    }
    let rotated = Rotated { recipient: keyring.recipient(), rows, took: started.elapsed() };
    Ok(is_rotation.then_some(rotated))
}

/// What was left to be done.
struct Converged {
    /// How many rows were sealed anew.
    rows: u64,
    /// There were former identities, or keys that are sealed for them: not only rows as an
    /// earlier version sealed them.
    is_rotation: bool,
}

async fn converge(store: &Store, keyring: &Arc<Keyring>) -> Result<Converged, RotationError> {
    let unfinished = RotationError::Unfinished;
    let has_former = keyring.has_former();
    let is_new = keyring.key()?.recipient() != keyring.recipient();
    if is_new {
        store.add_key().await.map_err(unfinished)?;
    }
    let rows = store.reseal().await.map_err(unfinished)?;
    let keys = store.remove_keys().await.map_err(unfinished)?;
    // What was replaced is left in the file until it is rewritten, by whichever run.
    if has_former || store.is_unclean().map_err(unfinished)? {
        store.rewrite().await.map_err(unfinished)?;
    }
    with_file(keyring, Keyring::forget_former).await?;
    Ok(Converged { rows, is_rotation: has_former || is_new || keys > 0 })
}

/// Does what waits for the disk, or for the work that a passphrase costs, where nobody
/// else has to wait for it.
async fn with_file(
    keyring: &Arc<Keyring>,
    work: fn(&Keyring) -> Result<(), SealError>,
) -> Result<(), RotationError> {
    let keyring = Arc::clone(keyring);
    let done = tokio::task::spawn_blocking(move || work(&keyring)).await;
    // It ends early only with the process.
    done.map_err(|_| RotationError::Unfinished(StoreError::Closed))?.map_err(Into::into)
}
