//! What keeps a crowd, or one bad client, from taking the server down: how many
//! requests are worked on at once, how many bytes of bodies are in memory, and
//! how long a body may take to arrive.
//!
//! Only what came over a socket is limited. The controllers of this process are
//! few, and must go on working while clients are told to wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant as Moment};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, header, request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::audit::Trail;
use crate::authn::{ADMINISTRATORS, Identity};
use crate::rates::Rates;
use crate::wire::status::StatusError;

/// Larger bodies are refused, as Kubernetes does.
pub(crate) const MAX_BODY: usize = 3 << 20;

/// As many requests are worked on at once as kube-apiserver does by default
/// (`--max-requests-inflight`, `--max-mutating-requests-inflight`).
const READS: usize = 400;
const WRITES: usize = 200;

/// Bodies up to this size only count as requests.
const SMALL_BODY: usize = 64 << 10;

/// How many bytes of larger bodies are in memory at once. As trees they are
/// several times as big, so that this is what bounds the memory of a flood.
const BODIES: usize = 16 << 20;

/// Requests of one user: so many a second for long, and so many at once. A cluster's
/// worth of dashboards under one name stays below; a loop that has run wild doesn't.
/// The group system:masters is exempt, as it is in Kubernetes.
const REQUESTS_PER_SECOND: f64 = 200.0;
const REQUESTS_AT_ONCE: f64 = 2000.0;

/// How long a request waits for its turn before it is told to come back.
const QUEUE_TIME: Duration = Duration::from_secs(5);

/// When a client that was sent away may come back.
const RETRY_AFTER_SECONDS: u32 = 1;

/// How long the next part of a body may take, and the whole of it. A minute is
/// what kube-apiserver gives to a request.
const BODY_PAUSE: Duration = Duration::from_secs(10);
const BODY_TIME: Duration = Duration::from_secs(60);

/// Turns for requests and room for bodies, shared by all connections of a
/// listener.
#[derive(Debug)]
pub(crate) struct Limits {
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
    rates: Rates,
    queue_time: Duration,
    body_pause: Duration,
    /// How long what was judged counts as judged.
    pub judged_for: JudgedFor,
}

/// How long a request may go on before it is judged again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JudgedFor {
    /// While its body arrives.
    pub body: Duration,
    /// While it watches.
    pub watch: Duration,
}

impl Default for JudgedFor {
    fn default() -> Self {
        Self { body: Duration::from_secs(1), watch: Duration::from_secs(30) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            reads: Arc::new(Semaphore::new(READS)),
            writes: Arc::new(Semaphore::new(WRITES)),
            bodies: Arc::new(Semaphore::new(BODIES)),
            rates: Rates::new(REQUESTS_PER_SECOND, REQUESTS_AT_ONCE),
            queue_time: QUEUE_TIME,
            body_pause: BODY_PAUSE,
            judged_for: JudgedFor::default(),
        }
    }
}

/// Carried by requests that came over a socket. The listener may stop while the
/// controllers of this process go on watching.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub ends: CancellationToken,
    pub limits: Arc<Limits>,
    /// Whether somebody has shown a good token here.
    known: Arc<AtomicBool>,
}

impl Connection {
    /// A connection on which nobody is known yet.
    pub fn new(ends: CancellationToken, limits: Arc<Limits>) -> Self {
        Self { ends, limits, known: Arc::default() }
    }

    /// Notes that a caller was authenticated.
    pub fn mark_known(&self) {
        self.known.store(true, Ordering::Relaxed);
    }

    /// Whether a caller was authenticated.
    pub fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }
}

impl Limits {
    /// The usual ones, with less time for bodies.
    #[cfg(test)]
    pub fn hasty(body_pause: Duration) -> Self {
        Self { body_pause, ..Self::default() }
    }

    /// The usual ones, with everything judged again as soon as can be.
    #[cfg(test)]
    pub fn distrustful() -> Self {
        let judged_for = JudgedFor { body: Duration::ZERO, watch: Duration::from_millis(20) };
        Self { judged_for, ..Self::default() }
    }

    /// The usual ones, with so many requests of one user at once.
    #[cfg(test)]
    pub fn frugal(at_once: f64) -> Self {
        Self { rates: Rates::new(0.01, at_once), ..Self::default() }
    }

    /// Takes one of the requests that somebody may send.
    ///
    /// # Errors
    /// 429 where there is none left.
    pub fn within_rate(&self, caller: &Identity) -> Result<(), StatusError> {
        if caller.groups.iter().any(|group| group == ADMINISTRATORS) {
            return Ok(());
        }
        self.rates.take(&caller.name, Moment::now()).map(|_| ()).map_err(|wait| {
            let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
            let message = format!("{:?} sends too many requests; try again later", caller.name);
            StatusError::too_many_requests(message, seconds)
        })
    }

    async fn acquire(
        &self,
        semaphore: &Arc<Semaphore>,
        count: usize,
    ) -> Result<OwnedSemaphorePermit, StatusError> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let turn = Arc::clone(semaphore).acquire_many_owned(count);
        match timeout(self.queue_time, turn).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(StatusError::too_many_requests(
                "Too many requests, please try again later.",
                RETRY_AFTER_SECONDS,
            )),
        }
    }
}

/// Lets a request pass when it is its turn. The turn ends with the head of the
/// answer: what is streamed after it has limits of its own.
pub(super) async fn take_turns(request: Request, next: Next) -> Response {
    let Some(connection) = request.extensions().get::<Connection>() else {
        return next.run(request).await;
    };
    let limits = Arc::clone(&connection.limits);
    // Whether the log has room for what this leaves there.
    let ready = request.extensions().get::<Trail>().map_or(Ok(()), Trail::ready);
    if let Err(error) = ready {
        return error.into_response();
    }
    let turns = match *request.method() {
        Method::GET | Method::HEAD | Method::OPTIONS => &limits.reads,
        _ => &limits.writes,
    };
    match limits.acquire(turns, 1).await {
        Ok(_turn) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// A body in memory, and its room there until the request is done.
pub(super) struct Held {
    pub bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

/// Reads a whole body.
///
/// # Errors
/// 413 when it is too long, 408 when it is too slow, 429 when too many large
/// ones are being worked on, 400 when it breaks off.
pub(super) async fn read_body(parts: &request::Parts, body: Body) -> Result<Held, StatusError> {
    let declared = parts.headers.get(header::CONTENT_LENGTH);
    let declared: Option<usize> = declared.and_then(|text| text.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length| length > MAX_BODY) {
        return Err(too_long());
    }
    let Some(connection) = parts.extensions.get::<Connection>() else {
        let bytes = collect(body, None).await?;
        return Ok(Held { bytes, _room: None });
    };
    let limits = &connection.limits;
    let mut room = match declared {
        Some(length) if length > SMALL_BODY => Some(limits.acquire(&limits.bodies, length).await?),
        _ => None,
    };
    let bytes = collect(body, Some((limits.as_ref(), &mut room))).await?;
    Ok(Held { bytes, _room: room })
}

fn too_long() -> StatusError {
    StatusError::too_large(format!("limit is {MAX_BODY}"))
}

async fn collect(
    body: Body,
    mut limited: Option<(&Limits, &mut Option<OwnedSemaphorePermit>)>,
) -> Result<Bytes, StatusError> {
    let late = |_| {
        StatusError::request_timeout("the body took too long to arrive; send it without pauses")
    };
    let deadline = Instant::now() + BODY_TIME;
    let mut stream = body.into_data_stream();
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    loop {
        let part = match &limited {
            Some((limits, _)) => {
                let end = deadline.min(Instant::now() + limits.body_pause);
                timeout_at(end, stream.next()).await.map_err(late)?
            }
            None => stream.next().await,
        };
        let Some(part) = part else { break };
        let part = part.map_err(|_| StatusError::bad_request("the body could not be read"))?;
        let length = first.len() + rest.len() + part.len();
        if length > MAX_BODY {
            return Err(too_long());
        }
        if let Some((limits, room)) = &mut limited
            && room.is_none()
            && length > SMALL_BODY
        {
            // Of unknown length: all that it may become.
            **room = Some(limits.acquire(&limits.bodies, MAX_BODY).await?);
        }
        if first.is_empty() && rest.is_empty() {
            first = part;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
                first = Bytes::new();
            }
            rest.extend_from_slice(&part);
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

#[cfg(test)]
mod tests;
