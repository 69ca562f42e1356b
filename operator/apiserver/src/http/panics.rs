//! A panic while a request is answered ends that request and nothing else: not
//! the connection, on which others may be under way, and not the controller of
//! this process that asked.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::FutureExt;
use http_body::{Frame, SizeHint};

use crate::wire::status::StatusError;

/// Answers 500 where the handler panics. What it said may hold values of the
/// request, so that only the place of the request is logged; the panic hook of
/// the process logs the place in the code.
pub(super) async fn catch(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    // Nothing that the handler shares is left half-changed by a panic: locks are
    // held over plain assignments only, and the store has a thread of its own.
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response.map(|body| Body::new(Guarded(body))),
        Err(_) => {
            tracing::error!(%method, path, "a request made the server panic");
            StatusError::internal("the server made a mistake; its log says more").into_response()
        }
    }
}

/// A body whose panics break it off.
struct Guarded(Body);

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let body = Pin::new(&mut self.0);
        std::panic::catch_unwind(AssertUnwindSafe(|| body.poll_frame(context))).unwrap_or_else(
            |_| {
                tracing::error!("an answer made the server panic");
                self.0 = Body::empty();
                Poll::Ready(Some(Err(axum::Error::new("the answer could not be completed"))))
            },
        )
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
