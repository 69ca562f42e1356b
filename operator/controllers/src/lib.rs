//! A controller per kind: gather, plan, execute, record.
//!
//! ```text
//!              watch (metadata only)        host events, timers, requests
//!                    │                                │
//!                    ▼                                ▼
//!   driver ── one queue per kind, an object at a time ── reconcile(object)
//!                                                          │
//!        gather ─▶ plan (pure, hades-plan) ─▶ execute ─▶ record
//! ```
//!
//! Invariants:
//! - a wake only says that something may have changed; what it carried is never
//!   used, the next pass looks itself;
//! - a reconcile never sits and waits: what takes time is observed by a later
//!   pass;
//! - only `execute` changes things outside, and only by actions of a plan;
//! - one writer per kind of status, which writes only what changed;
//! - the controllers know `kube::Client` and the provider contract, no API
//!   server and no SDK.

mod backoff;
pub mod config_repository;
mod context;
mod credentials;
pub mod docker_host;
mod driver;
pub mod environment;
mod error_chain;
mod events;
mod finalizer;
mod git_account;
mod git_credentials;
mod grant;
mod health;
pub mod hook;
mod host_users;
mod hosts;
mod images;
mod metrics;
mod project;
mod reachability;
mod redaction;
mod registry_account;
mod sops_keys;
mod status;
mod system_secrets;
pub mod volume_copy;

use std::sync::Arc;

use futures::future::join_all;
use tokio_util::sync::CancellationToken;

pub use context::{Clock, Context, Fingerprint, Settings};
pub use driver::{Progress, ReconcileError};
pub use error_chain::error_chain;
pub use metrics::Metrics;
pub use redaction::{NoValues, ProjectValues, SecretValues, Texts, redact};

/// Runs all controllers until `shutdown`, then lets passes under way end.
pub async fn run(context: Arc<Context>, shutdown: CancellationToken) {
    let project = driver::run(context.clone(), project::Projects, shutdown.clone());
    let host = driver::run(context.clone(), docker_host::DockerHosts::default(), shutdown.clone());
    let environment =
        driver::run(context.clone(), environment::Environments::default(), shutdown.clone());
    let repository = driver::run(
        context.clone(),
        config_repository::ConfigRepositories::default(),
        shutdown.clone(),
    );
    let account = driver::run(context.clone(), git_account::GitAccounts, shutdown.clone());
    let registry_account = driver::run(
        context.clone(),
        registry_account::RegistryAccounts::default(),
        shutdown.clone(),
    );
    let polling = context.clone();
    let polls = async move { images::poll(&polling, shutdown).await };
    let tasks = [
        tokio::spawn(project),
        tokio::spawn(host),
        tokio::spawn(environment),
        tokio::spawn(repository),
        tokio::spawn(account),
        tokio::spawn(registry_account),
        tokio::spawn(polls),
    ];
    join_all(tasks).await;
    context.monitor.close();
    context.hosts.close();
}
