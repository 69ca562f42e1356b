//! Images: who may pull them, what registries have, what hosts no longer need.
//!
//! ```text
//! Secrets, RegistryAccounts ─▶ PullKeys ─┬─▶ PullDesk ─▶ Provider::pull, with events
//!                                        └─▶ Poller ───▶ answers ─▶ wakes environments
//! DockerHost probe ─▶ tend: disk, record of what was pulled, clean-up
//! ```
//!
//! Invariants:
//! - what registries have they are asked by the poller alone, each politely: few
//!   questions at once, a pause between two, and none for as long as it wants to be left
//!   alone. Besides, a RegistryAccount logs in: once an hour, and when it is new;
//! - a question is asked once, however many services wait for its answer, and
//!   answers are kept apart by who asked;
//! - what is pulled is recorded on the DockerHost before it is pulled: only what is
//!   in that record is ever removed.

mod answers;
mod credentials;
mod disk;
mod keep;
mod poll;
mod pulls;
mod tend;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::Context;

pub(crate) use answers::{Machines, agree, found};
pub(crate) use credentials::{PullKeys, account_login, pull_keys};
pub(crate) use poll::{Poller, Want};
pub(crate) use pulls::PullDesk;
pub(crate) use tend::{see_to_disk, tend};

/// Asks registries until `shutdown`.
pub(crate) async fn poll(context: &Context, shutdown: CancellationToken) {
    poll::run(&context.images.poller, shutdown).await;
}

/// What is kept of images between passes; all of it may be lost at any time.
#[derive(Default)]
pub(crate) struct Images {
    /// Asks registries.
    pub(crate) poller: Poller,
    /// Why nothing may be pulled onto some hosts, by DockerHost.
    full_disks: Mutex<BTreeMap<String, String>>,
    /// Whose record of pulled images is being changed.
    records: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Images {
    /// Why nothing may be pulled onto some hosts, by DockerHost.
    pub(crate) fn full_disks(&self) -> BTreeMap<String, String> {
        self.full_disks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that a host's disk is full, or no longer; whether that is news.
    fn set_full(&self, host: &str, why: Option<String>) -> bool {
        let mut full = self.full_disks.lock().unwrap_or_else(PoisonError::into_inner);
        let was = full.contains_key(host);
        let is = why.is_some();
        match why {
            Some(why) => full.insert(host.to_owned(), why),
            None => full.remove(host),
        };
        was != is
    }

    fn record_of(&self, host: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.entry(host.to_owned()).or_default().clone()
    }
}
