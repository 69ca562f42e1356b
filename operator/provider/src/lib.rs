//! The contract every provider keeps, a fake that can fail, and the
//! conformance suite.
//!
//! ```text
//! controllers ──observe()──▶ HostSnapshot          (never changes anything)
//!             ──execute(action)──▶ Outcome         (idempotent, bounded)
//!             ◀──wakes()── something happened      (carries no state)
//! ```
//!
//! The laws are written at [`Provider`]; [`conformance`] checks them on every
//! provider, the fake included. Container engines share the way from an action
//! to single calls, so that a crash between any two of them can be tried on the
//! fake and holds on the real one:
//!
//! ```text
//! execute(action) ──▶ steps ──▶ engine::Engine ─┬─ Docker
//!                     (once)    (single calls)  └─ fake, which fails as told
//! ```

mod address;
pub mod coalesce;
pub mod conformance;
mod dial;
pub mod engine;
mod error;
mod exec;
pub mod fake;
pub mod image;
mod logs;
pub mod ownership;
mod pull;
pub mod refusal;
mod stats;
pub mod steps;
mod volume;

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use hades_api::name::EnvironmentName;
use hades_plan::{Action, HostSnapshot};
use serde::{Deserialize, Serialize};

pub use address::{Credentials, HostAddress};
pub use dial::{ByteStream, Duplex};
pub use error::{ErrorClass, ProviderError};
pub use exec::{ExecControl, ExecOptions, ExecSession, TerminalSize};
pub use logs::{LogChunk, LogOptions, LogStream};
pub use pull::{DiskUsage, ProgressListener, PullCredentials, PullOptions, PullProgress};
pub use stats::ContainerStats;
pub use volume::{NewVolume, VolumeArchive};

/// One host, or one account: a place where things are.
///
/// Laws:
/// 1. `observe` changes nothing and sees everything, what others made included.
/// 2. `execute` is idempotent: an action done twice is as if done once, also
///    when a crash came between any two of its calls. What is already as wanted
///    is `Done`; what is already gone is `Done`.
/// 3. `execute` never touches what doesn't carry the labels that the action's
///    target was planned by: a name held by something foreign is an error of
///    class [`ErrorClass::Conflict`], not a reason to remove it.
/// 4. Nothing blocks without bound: every call ends within a time that the
///    provider states, pulls excepted, which end when no byte has come for long.
/// 5. When the world differs from what the plan saw, `execute` returns
///    [`Outcome::Changed`] and the caller plans anew; it doesn't improvise.
/// 6. No secret is in an error, a log line or a Debug output.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// What the place is: version and capacity. Also the test that it answers.
    ///
    /// # Errors
    /// [`ErrorClass::Unreachable`] when it doesn't.
    async fn describe(&self) -> Result<HostInfo, ProviderError>;

    /// Everything there at one moment. Callers may share one answer: a host has
    /// many containers, and many environments look at it at the same time.
    ///
    /// # Errors
    /// [`ErrorClass::Unreachable`] when it doesn't answer.
    async fn observe(&self) -> Result<Arc<HostSnapshot>, ProviderError>;

    /// Carries out one action of a plan.
    ///
    /// # Errors
    /// By class: see [`ErrorClass`].
    async fn execute(&self, action: &Action) -> Result<Outcome, ProviderError>;

    /// Carries out an action that pulls an image, with what goes beside it. A place
    /// that knows no registries pulls as [`Provider::execute`] does.
    ///
    /// # Errors
    /// By class: see [`ErrorClass`].
    async fn pull(
        &self,
        action: &Action,
        _options: &PullOptions,
    ) -> Result<Outcome, ProviderError> {
        self.execute(action).await
    }

    /// The disk that images and volumes are kept on; none where that can't be told.
    ///
    /// # Errors
    /// [`ErrorClass::Unreachable`] when the place doesn't answer.
    async fn disk(&self) -> Result<Option<DiskUsage>, ProviderError> {
        Ok(None)
    }

    /// Wakes whenever something may have changed. Never ends by itself: on a
    /// lost connection it reconnects with back-off and says
    /// [`Wake::Everything`] afterwards; it may say so of the first one too.
    /// Must be polled within a tokio runtime.
    fn wakes(&self) -> BoxStream<'static, Wake>;

    /// Output of a container, by its id on the host.
    ///
    /// # Errors
    /// [`ErrorClass::Unreachable`], or `Conflict` when there is none of that id.
    async fn logs(&self, id: &str, options: &LogOptions) -> Result<LogStream, ProviderError>;

    /// Starts a command in a running container, by its id on the host. The one
    /// thing besides `execute` that may change something, and only because a
    /// person asked for it.
    ///
    /// # Errors
    /// [`ErrorClass::Unreachable`]; `Conflict` when there is no such container or
    /// it doesn't run; `Terminal` when the command can't be started.
    async fn exec(&self, id: &str, options: &ExecOptions) -> Result<ExecSession, ProviderError>;

    /// What a running container uses now, by its id on the host. Cheap: it
    /// doesn't wait for a second look.
    ///
    /// # Errors
    /// [`ErrorClass::Unreachable`], or `Conflict` when there is none of that id.
    async fn stats(&self, id: &str) -> Result<ContainerStats, ProviderError>;

    /// A stream to an address of the host's own network, such as that of a
    /// container, within the time of a look.
    ///
    /// # Errors
    /// [`ErrorClass::Unreachable`] when the host doesn't answer, `Retry` when
    /// nothing does at the address, `Terminal` when addresses of this host can't
    /// be reached at all.
    async fn dial(&self, address: SocketAddr) -> Result<ByteStream, ProviderError>;

    /// Names of the containers that run and may write to a volume.
    ///
    /// # Errors
    /// [`ErrorClass::Unreachable`] when the host doesn't answer.
    async fn volume_writers(&self, name: &str) -> Result<Vec<String>, ProviderError>;

    /// The content of a volume. Changes nothing in it.
    ///
    /// # Errors
    /// `Conflict` when there is no such volume.
    async fn read_volume(&self, name: &str) -> Result<VolumeArchive, ProviderError>;

    /// Makes a volume with that content. One that can't be filled whole is
    /// removed again; one that is there already is left alone.
    ///
    /// # Errors
    /// `Conflict` when there is one of that name; the error of `content` when
    /// that ends with one.
    async fn fill_volume(
        &self,
        volume: NewVolume<'_>,
        content: VolumeArchive,
    ) -> Result<(), ProviderError>;
}

/// Makes providers from endpoints, so that controllers know no SDK.
pub trait Connect: Send + Sync + 'static {
    /// A provider for the host at `address`; doesn't talk to it yet.
    ///
    /// # Errors
    /// [`ErrorClass::Terminal`] when the endpoint isn't one it can use, or the
    /// credentials aren't what it needs.
    fn connect(&self, address: &HostAddress) -> Result<Arc<dyn Provider>, ProviderError>;
}

/// What a place is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostInfo {
    /// Version of the engine.
    pub version: String,
    /// Processors.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory: i64,
}

/// What came of an action that didn't fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is as wanted.
    Done,
    /// The world isn't what the plan saw: plan anew.
    Changed,
}

/// Something may have changed. Carries no state: the next pass looks itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wake {
    /// Something of this environment, by its labels.
    Environment(EnvironmentName),
    /// Something that Hades didn't make: what waits for a name or a port may go on.
    Foreign,
    /// The connection was lost and is back, or events may have been missed.
    Everything,
}
