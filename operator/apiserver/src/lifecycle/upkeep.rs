//! The file of the store gives back what deleted objects left behind.

use std::sync::Arc;
use std::time::Duration;

use crate::state::State;

const INTERVAL: Duration = Duration::from_secs(60);

/// Nothing was written for so long: whoever made the room is done with it.
const QUIET: Duration = Duration::from_secs(5);

/// Looks until shutdown.
pub(super) async fn run(state: Arc<State>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = state.shutdown.cancelled() => return,
        }
        state.store.tidy(QUIET).await;
    }
}
