//! Suspended: a server on a copied data directory. It shows what there is, and
//! refuses whatever would change something outside of its own store.

use std::convert::Infallible;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use hades_apiserver::wire::status::StatusError;

/// A route that changes something outside: refused where the server is suspended.
pub(crate) fn unless_suspended<S>(
    suspended: bool,
    route: MethodRouter<S, Infallible>,
) -> MethodRouter<S, Infallible>
where
    S: Clone + Send + Sync + 'static,
{
    if suspended { route.route_layer(from_fn(refuse)) } else { route }
}

/// 409: it is no use to try again before somebody has decided.
async fn refuse(request: Request, _next: Next) -> Response {
    let what = request.uri().path().rsplit('/').next().unwrap_or_default();
    StatusError::conflict("operations.hades.dev", what, "", "")
        .saying(
            "this server runs on a copied data directory and changes nothing; see `hades store \
             adopt`",
        )
        .into_response()
}
