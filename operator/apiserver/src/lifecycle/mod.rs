//! What the server does by itself: it empties namespaces and custom resource
//! definitions that are being deleted, deletes what lost its owner, forgets old
//! events, writes down which rules roles gather from others, seals anew what an earlier
//! run left to be, and keeps the file of the store small.
//!
//! Every task is level-triggered: a change only wakes it, it looks at the store
//! for what to do, and a start looks at everything. A crash loses nothing.

mod aggregation;
mod cleanup;
mod definitions;
mod expiry;
mod garbage;
mod namespaces;
mod owner_event;
mod sealing;
mod steady;
mod upkeep;

use std::sync::Arc;
use std::time::Duration;

use crate::http::list::blocking;
use crate::state::State;
use crate::store::Row;
use crate::vital::Vital;
use crate::wire::status::StatusError;

/// How long a task waits after an error before it tries again.
const RETRY: Duration = Duration::from_secs(2);

/// Starts the tasks; they end with the server's shutdown token.
pub(crate) fn start(state: &Arc<State>) -> Vec<tokio::task::JoinHandle<()>> {
    vec![
        vital(state, "definitions", cleanup::run::<definitions::Definitions>(Arc::clone(state))),
        vital(state, "namespaces", cleanup::run::<namespaces::Namespaces>(Arc::clone(state))),
        vital(state, "garbage", garbage::run(Arc::clone(state))),
        vital(state, "expiry", expiry::run(Arc::clone(state))),
        vital(state, "sealing", sealing::run(Arc::clone(state))),
        vital(state, "upkeep", upkeep::run(Arc::clone(state))),
        vital(state, "aggregation", aggregation::run(Arc::clone(state))),
    ]
}

fn vital(
    state: &State,
    part: &'static str,
    task: impl Future<Output = ()> + Send + 'static,
) -> tokio::task::JoinHandle<()> {
    let vital = Vital::new(part, state.store.broken().clone());
    tokio::spawn(async move {
        let _vital = vital;
        task.await;
    })
}

/// All rows of a resource, of one namespace or of all, mapped to what is needed.
async fn rows<T: Send + 'static>(
    state: &Arc<State>,
    resource: &str,
    namespace: Option<&str>,
    pick: impl Fn(Row) -> T + Send + 'static,
) -> Result<Vec<T>, StatusError> {
    let mut scan = state.store.scan(resource, namespace)?;
    blocking(move || {
        let mut picked = Vec::new();
        loop {
            let page = scan.next_page(1 << 20)?;
            if page.is_empty() {
                return Ok(picked);
            }
            picked.extend(page.into_iter().map(&pick));
        }
    })
    .await?
}
