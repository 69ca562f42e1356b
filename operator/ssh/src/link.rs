//! A connection that is there when it is needed.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

use crate::channel::{Patience, Stream};
use crate::connection::{Connection, Opening};
use crate::process::{self, Process};
use crate::{Error, Target};

/// How long output may be left unread while others share the connection.
const SHARED_PATIENCE: Duration = Duration::from_secs(10);

type Attempt = Shared<BoxFuture<'static, Result<Arc<Connection>, Error>>>;

/// The way to one server: connects when first used and again after a loss.
/// Cheap to clone; clones share the connection.
///
/// All streams of a link share one TCP connection, in which a stream that isn't
/// read holds up the others. So output that is left unread for 10 s ends with an
/// error, except on a link of its own ([`Link::alone`]).
#[derive(Clone)]
pub struct Link {
    shared: Arc<Inner>,
}

struct Inner {
    target: Target,
    keep: bool,
    patience: Patience,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    kept: Option<Arc<Connection>>,
    passing: Weak<Connection>,
    attempt: Option<Attempt>,
}

impl Link {
    /// Keeps its connection once it is made.
    pub fn new(target: Target) -> Self {
        Self::with(target, true, Patience::Limited(SHARED_PATIENCE))
    }

    /// Lets its connection go with the last stream: for what is seldom used.
    pub fn passing(target: Target) -> Self {
        Self::with(target, false, Patience::Limited(SHARED_PATIENCE))
    }

    /// For one stream that may be read as slowly as it likes; lets its connection
    /// go with it.
    pub fn alone(target: Target) -> Self {
        Self::with(target, false, Patience::Endless)
    }

    fn with(target: Target, keep: bool, patience: Patience) -> Self {
        Self { shared: Arc::new(Inner { target, keep, patience, state: Mutex::default() }) }
    }

    /// Where it leads.
    pub fn target(&self) -> &Target {
        &self.shared.target
    }

    /// Connects and logs in, if it isn't.
    ///
    /// # Errors
    /// Why it can't.
    pub async fn check(&self) -> Result<(), Error> {
        self.connection().await.map(drop)
    }

    /// A stream to a unix socket on the server
    /// (`direct-streamlocal@openssh.com`).
    ///
    /// # Errors
    /// When there is no connection, or the server won't open it.
    pub async fn open_unix(&self, path: &str) -> Result<Stream, Error> {
        self.stream(Opening::Unix(path.to_owned())).await
    }

    /// A stream to an address as the server sees it (`direct-tcpip`, RFC 4254).
    ///
    /// # Errors
    /// When there is no connection, or the server won't open it.
    pub async fn open_tcp(&self, host: &str, port: u16) -> Result<Stream, Error> {
        self.stream(Opening::Tcp(host.to_owned(), port)).await
    }

    /// Runs a command; the server gives it to the user's shell.
    ///
    /// # Errors
    /// When there is no connection, or the server won't run it.
    pub async fn exec(&self, command: &str) -> Result<Process, Error> {
        let (connection, channel) = self.channel(&Opening::Session).await?;
        process::run(connection, channel, command, self.shared.patience).await
    }

    async fn stream(&self, opening: Opening) -> Result<Stream, Error> {
        let (connection, channel) = self.channel(&opening).await?;
        Ok(Stream::new(connection, channel, self.shared.patience))
    }

    async fn channel(
        &self,
        opening: &Opening,
    ) -> Result<(Arc<Connection>, russh::Channel<russh::client::Msg>), Error> {
        let held = self.held();
        let was_held = held.is_some();
        let connection = match held {
            Some(connection) => connection,
            None => self.connection().await?,
        };
        match connection.channel(opening).await {
            Ok(channel) => Ok((connection, channel)),
            // It ended since it was last used, which says nothing about now.
            Err(Error::Lost { .. }) if was_held => {
                let connection = self.connection().await?;
                let channel = connection.channel(opening).await?;
                Ok((connection, channel))
            }
            Err(error) => Err(error),
        }
    }

    fn held(&self) -> Option<Arc<Connection>> {
        let state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.passing.upgrade().filter(|connection| !connection.is_over())
    }

    async fn connection(&self) -> Result<Arc<Connection>, Error> {
        if let Some(connection) = self.held() {
            return Ok(connection);
        }
        let attempt = {
            let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.attempt.get_or_insert_with(|| attempt(&self.shared)).clone()
        };
        attempt.await
    }
}

/// One attempt for all who wait. It runs on when they go away, and takes itself
/// out of the state when it ends.
fn attempt(shared: &Arc<Inner>) -> Attempt {
    let link = shared.clone();
    let address = link.target.address();
    let task = tokio::spawn(async move {
        let opened = Connection::open(&link.target).await.map(Arc::new);
        let mut state = link.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.attempt = None;
        if let Ok(connection) = &opened {
            state.passing = Arc::downgrade(connection);
            state.kept = link.keep.then(|| connection.clone());
        }
        opened
    });
    task.map(|ended| ended.unwrap_or(Err(Error::Lost { address }))).boxed().shared()
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Link").field(&self.shared.target).finish()
    }
}
