//! A rotation of the identity that was cut off is brought to its end, and so is what an
//! earlier version sealed in another way.

use std::sync::Arc;
use std::time::Duration;

use crate::audit::AuditEvent;
use crate::authn::Identity;
use crate::rotation;
use crate::state::State;

/// A full disk, or whatever it was, takes somebody to do something about it.
const RETRY: Duration = Duration::from_secs(60);

/// Ends when nothing is left to be done.
pub(super) async fn run(state: Arc<State>) {
    loop {
        let finished = rotation::finish(&state.store, &state.keyring, &state.rotations);
        tokio::select! {
            finished = finished => match finished {
                Ok(rotated) => {
                    if rotated.is_some() {
                        record(&state);
                    }
                    return;
                }
                Err(error) => {
                    let reason = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(%error, reason, "the rotation of the identity goes on later");
                }
            },
            () = state.shutdown.cancelled() => return,
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY) => {}
            () = state.shutdown.cancelled() => return,
        }
    }
}

/// The end of a rotation whose beginning is in the audit log, or that somebody began in
/// the file of the identity.
fn record(state: &State) {
    let event = AuditEvent::new("rotate", "").by(&Identity::server());
    state.auditor.record(event.answered(200, "", ""));
}
