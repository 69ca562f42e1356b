//! Upkeep: what nobody waits for. Records of users who left are removed, sessions
//! past their time, too; when tokens were used is written.

use std::sync::Weak;
use std::time::Duration;

use hades_apiserver::VaultError;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep, sleep_until};

use crate::accounts::Inner;
use crate::directory::Departure;

/// How often it is looked for sessions and tokens that are past their time.
const SWEEP: Duration = Duration::from_secs(15 * 60);

/// Expired tokens stay in the lists for this long, so that their owners see why
/// something stopped to work; in seconds.
const EXPIRED_STAY: i64 = 30 * 24 * 3600;

/// Runs until nobody has the accounts any more.
pub(crate) async fn run(inner: Weak<Inner>, mut departures: UnboundedReceiver<Departure>) {
    let Some(strong) = inner.upgrade() else { return };
    let (wake, gather) = (strong.wake.clone(), strong.settings.gather);
    drop(strong);
    let mut next_sweep = Instant::now() + SWEEP;
    loop {
        let outcome = tokio::select! {
            departure = departures.recv() => {
                let (Some(departure), Some(inner)) = (departure, inner.upgrade()) else { return };
                clear(&inner, departure).await
            }
            () = wake.notified() => {
                sleep(gather).await;
                let Some(inner) = inner.upgrade() else { return };
                write_out(&inner).await;
                Ok(())
            }
            () = sleep_until(next_sweep) => {
                next_sweep = Instant::now() + SWEEP;
                let Some(inner) = inner.upgrade() else { return };
                sweep(&inner).await
            }
        };
        if let Err(error) = outcome {
            // The next start does it: nothing that is left can be used.
            tracing::warn!(%error, "records of users could not be cleared up");
        }
    }
}

/// Writes when tokens and sessions were used, and what the status of Users says.
pub(crate) async fn write_out(inner: &Inner) {
    for outcome in [inner.tokens.save_uses().await, inner.sessions.save_uses().await] {
        if let Err(error) = outcome {
            tracing::warn!(%error, "when tokens were last used could not be written");
        }
    }
    inner.statuses.write().await;
}

async fn clear(inner: &Inner, departure: Departure) -> Result<(), VaultError> {
    match departure {
        Departure::KeptOut { uid } => inner.sessions.clear(&uid).await,
        Departure::Gone { name, uid } => {
            inner.sessions.clear(&uid).await?;
            inner.token_table.forget(&uid);
            inner.tokens.clear(&uid).await?;
            inner.passwords.remove(&name, &uid).await?;
            inner.forget_first_login(&name).await;
            inner.factors.remove(&name, &uid).await?;
            Ok(())
        }
    }
}

async fn sweep(inner: &Inner) -> Result<(), VaultError> {
    let now = (inner.settings.clock)();
    inner.sessions.sweep(|held| held.entry.is_over(held.used(), now)).await?;
    let long_over = |expires: jiff::Timestamp| now.as_second() - expires.as_second() > EXPIRED_STAY;
    inner.tokens.sweep(|held| held.entry.expires.is_some_and(long_over)).await
}
