//! What an answer leaves unread of its request. Over HTTP/1 the next request
//! comes after it on the same connection, so that it has to be taken off before
//! the answer goes out: a connection that closes just after an answer that didn't
//! say so takes the client's next request with it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Version, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt;
use http_body::{Body as _, Frame, SizeHint};

use super::Connection;

/// As much as Go's servers take (net/http, `maxPostHandlerReadBytes`).
const MAX_LEFTOVER: usize = 256 << 10;

/// How long the answer waits for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Takes what is left of a body, if it is little and comes soon. Otherwise the
/// answer says that the connection closes.
pub(super) async fn take(request: Request, next: Next) -> Response {
    let shares = request.version() < Version::HTTP_2
        && request.extensions().get::<Connection>().is_some()
        && !request.body().is_end_stream();
    if !shares {
        return next.run(request).await;
    }
    // Such a client sends its body when it is told to, or after an answer not at all.
    let waits = request.headers().contains_key(header::EXPECT);
    let (parts, body) = request.into_parts();
    let body = Arc::new(Mutex::new(body));
    let request = Request::from_parts(parts, Body::new(Borrowed(Arc::clone(&body))));
    let mut response = next.run(request).await;
    // Somebody who still reads it does so while the answer is sent.
    if let Some(body) = Arc::into_inner(body) {
        let body = body.into_inner().unwrap_or_else(PoisonError::into_inner);
        if !body.is_end_stream() && (waits || !is_short(body).await) {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
    }
    response
}

async fn is_short(body: Body) -> bool {
    let mut left = body.into_data_stream();
    let read = async {
        let mut length = 0;
        while let Some(part) = left.next().await {
            let Ok(part) = part else { return false };
            length += part.len();
            if length > MAX_LEFTOVER {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap_or(false)
}

/// A body that can be had back.
struct Borrowed(Arc<Mutex<Body>>);

impl Borrowed {
    fn body(&self) -> MutexGuard<'_, Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl http_body::Body for Borrowed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut *self.body()).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body().size_hint()
    }
}
