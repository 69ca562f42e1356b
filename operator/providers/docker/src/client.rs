//! The connection to one engine: opened when needed, every call with a time
//! limit, a bounded number of calls at once.

use std::future::Future;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use tokio::sync::Semaphore;

use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::transport::{Purpose, Transport};
use crate::wire::Cut;

/// Limit of calls that only look. A list of some hundred containers takes
/// under a second, even on a busy host.
pub const LOOK_LIMIT: Duration = Duration::from_secs(30);
/// Limit of calls that change something. Unpacking into a slow disk and
/// setting up a network under load can take long.
pub const CHANGE_LIMIT: Duration = Duration::from_secs(120);
/// What is added to a grace period: the engine kills after it, and must then
/// still tear the container down.
pub const STOP_MARGIN: Duration = Duration::from_secs(60);
/// How long a pull may show no progress.
pub const PULL_SILENCE_LIMIT: Duration = Duration::from_secs(120);

/// Calls at once that change something. More of them only queue inside the
/// engine, where they slow down what others ask of it.
pub const CHANGES_AT_ONCE: usize = 8;
/// Stops at once, apart from changes: they spend their time waiting for
/// processes to end, so they must not keep changes from their turn. Docker 20.10
/// loses count of the endpoints of a network when 32 containers leave it at the
/// same time, and then refuses to remove it until it is restarted; 8 at a time
/// have not been seen to do that and take no longer.
pub const STOPS_AT_ONCE: usize = 8;
/// Pulls at once: each fetches several layers in parallel already.
pub const PULLS_AT_ONCE: usize = 3;

/// The connection to one engine.
pub(crate) struct Client {
    transport: Transport,
    /// Open, with the API version agreed on; none before the first call and
    /// after the connection was lost, as another version may answer then.
    docker: RwLock<Option<Docker>>,
    changes: Semaphore,
    stops: Semaphore,
    pulls: Semaphore,
}

impl Client {
    /// Doesn't talk yet.
    pub fn new(transport: Transport) -> Self {
        Self {
            transport,
            docker: RwLock::new(None),
            changes: Semaphore::new(CHANGES_AT_ONCE),
            stops: Semaphore::new(STOPS_AT_ONCE),
            pulls: Semaphore::new(PULLS_AT_ONCE),
        }
    }

    pub fn endpoint(&self) -> &Endpoint {
        self.transport.endpoint()
    }

    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// The library's client for streams that are read as fast as somebody else
    /// takes them, such as output. Calls go through the methods below.
    pub async fn docker(&self) -> Result<Docker, Failure> {
        self.docker_for(Purpose::Streams).await
    }

    /// As [`Self::docker`], for what the client is to be used for.
    pub async fn docker_for(&self, purpose: Purpose) -> Result<Docker, Failure> {
        let docker = self.calls().await?;
        if purpose == Purpose::Calls {
            return Ok(docker);
        }
        self.stream_of(purpose, &docker).map(|(docker, _)| docker)
    }

    /// As [`Self::docker`], for one stream, with what tells whether it was cut off.
    pub async fn stream(&self) -> Result<(Docker, Cut), Failure> {
        let docker = self.calls().await?;
        self.stream_of(Purpose::Streams, &docker)
    }

    fn stream_of(&self, purpose: Purpose, calls: &Docker) -> Result<(Docker, Cut), Failure> {
        self.transport.open(purpose, &calls.client_version()).map_err(|e| self.failure(&e))
    }

    /// The client that calls share.
    async fn calls(&self) -> Result<Docker, Failure> {
        let open = self.docker.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(docker) = open {
            return Ok(docker);
        }
        let (docker, _) = self
            .transport
            .open(Purpose::Calls, bollard::API_DEFAULT_VERSION)
            .map_err(|e| self.failure(&e))?;
        let docker = match tokio::time::timeout(LOOK_LIMIT, docker.negotiate_version()).await {
            Ok(Ok(docker)) => docker,
            Ok(Err(error)) => return Err(self.failure(&error)),
            Err(_) => return Err(Failure::timeout(self.endpoint(), LOOK_LIMIT)),
        };
        *self.docker.write().unwrap_or_else(PoisonError::into_inner) = Some(docker.clone());
        Ok(docker)
    }

    /// What an error of the library means; forgets a lost connection.
    pub fn failure(&self, error: &Error) -> Failure {
        let failure = Failure::new(error, self.endpoint());
        self.forget_if_lost(&failure);
        failure
    }

    fn forget_if_lost(&self, failure: &Failure) {
        if failure.loses_connection() {
            *self.docker.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// A call that only looks.
    pub async fn look<T, F>(&self, call: impl FnOnce(Docker) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.limited(LOOK_LIMIT, call).await
    }

    /// A call that changes something.
    pub async fn change<T, F>(&self, call: impl FnOnce(Docker) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        // An error means that the semaphore was closed, which nobody does.
        let _turn = self.changes.acquire().await;
        self.limited(CHANGE_LIMIT, call).await
    }

    /// A call that waits for a container to stop.
    pub async fn stop<T, F>(
        &self,
        grace: Duration,
        call: impl FnOnce(Docker) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let _turn = self.stops.acquire().await;
        self.limited(grace + STOP_MARGIN, call).await
    }

    /// A turn to pull, held as long as the answer lives.
    pub async fn pull_turn(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.pulls.acquire().await.ok()
    }

    async fn limited<T, F>(
        &self,
        limit: Duration,
        call: impl FnOnce(Docker) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let docker = self.calls().await?;
        match tokio::time::timeout(limit, call(docker)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.failure(&error)),
            Err(_) => {
                let failure = Failure::timeout(self.endpoint(), limit);
                self.forget_if_lost(&failure);
                Err(failure)
            }
        }
    }
}
