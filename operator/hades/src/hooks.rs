//! `/hooks/…`: where forges say that something was pushed. Reads bodies as they
//! come and hands them on; what they mean is decided by the controllers.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::StreamExt;
use hades_controllers::Context;
use hades_controllers::hook::{Answer, Delivery};
use serde_json::json;
use tokio::time::{Instant, timeout_at};

/// How long the next part of a body may take, and the whole of it. Forges give up
/// after ten seconds themselves.
const PAUSE: Duration = Duration::from_secs(5);
const WHOLE: Duration = Duration::from_secs(20);

/// The route, for any listener.
pub(crate) fn router(context: Arc<Context>) -> Router {
    Router::new()
        .route(&hades_controllers::hook::path("{namespace}", "{name}"), post(deliver))
        .with_state(context)
}

/// All that a listener serves which everybody reaches.
pub(crate) fn public_router(context: Arc<Context>) -> Router {
    router(context).route("/healthz", get(|| async { "ok" }))
}

async fn deliver(
    State(context): State<Arc<Context>>,
    Path((namespace, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let answer = match Delivery::begin(&context, &namespace, &name, headers).await {
        Ok(delivery) => receive(delivery, body, PAUSE, WHOLE).await,
        Err(answer) => answer,
    };
    let code = StatusCode::from_u16(answer.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (code, Json(json!({"message": answer.message}))).into_response()
}

async fn receive(mut delivery: Delivery, body: Body, pause: Duration, whole: Duration) -> Answer {
    let deadline = Instant::now() + whole;
    let mut parts = body.into_data_stream();
    loop {
        let end = deadline.min(Instant::now() + pause);
        match timeout_at(end, parts.next()).await {
            Ok(Some(Ok(part))) => {
                if let Err(answer) = delivery.update(&part) {
                    return answer;
                }
            }
            Ok(None) => return delivery.end(),
            // A body that broke off: the answer reaches nobody.
            Ok(Some(Err(_))) | Err(_) => return delivery.too_slow(),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use hades_apiserver::{ApiServer, Identity, ServerConfig};
    use hades_controllers::Settings;
    use hades_provider::fake::FakeConnect;
    use tower::ServiceExt;

    use super::*;

    async fn context(directory: &tempfile::TempDir) -> Arc<Context> {
        let config = ServerConfig::new(directory.path(), hades_api::schema::crds());
        let server = ApiServer::open(config).await.unwrap();
        Context::new(Settings {
            client: server.client(Identity::controller("controllers")),
            connect: Arc::new(FakeConnect::new()),
            installation: "test".to_owned(),
            fingerprint: Arc::new(|_, value| value.to_owned()),
            secret_values: Arc::new(hades_controllers::NoValues),
            cache_dir: directory.path().join("repositories"),
            clock: Arc::new(jiff::Timestamp::now),
        })
    }

    #[tokio::test]
    async fn only_posts_to_the_path_of_a_repository_are_looked_at() {
        let directory = tempfile::tempdir().unwrap();
        let router = public_router(context(&directory).await);
        let code = async |method: &str, path: &str| {
            let request = Request::builder().method(method).uri(path).body(Body::from("{}"));
            router.clone().oneshot(request.unwrap()).await.unwrap().status().as_u16()
        };
        assert_eq!(code("GET", "/healthz").await, 200);
        assert_eq!(code("POST", "/hooks/config/shop/config").await, 401);
        assert_eq!(code("POST", "/hooks/config/..%2f..%2fx/%00").await, 401);
        assert_eq!(code("GET", "/hooks/config/shop/config").await, 405);
        assert_eq!(code("POST", "/hooks/config/shop").await, 404);
        assert_eq!(code("GET", "/api/v1/secrets").await, 404);
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let context = context(&directory).await;
        let begin = || Delivery::begin(&context, "shop", "config", HeaderMap::new());
        let part = || Ok::<_, std::io::Error>(bytes::Bytes::from_static(b"{"));
        // One part and then nothing.
        let stalled = futures::stream::iter([part()]).chain(futures::stream::pending());
        let (short, long) = (Duration::from_millis(5), Duration::from_secs(600));
        let delivery = begin().await.unwrap();
        let answer = receive(delivery, Body::from_stream(stalled), short, long).await;
        assert_eq!(answer.code, 408);
        // A part now and then, for ever.
        let trickle = futures::stream::repeat(()).then(move |()| async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            part()
        });
        let delivery = begin().await.unwrap();
        let answer = receive(delivery, Body::from_stream(trickle), long, short * 4).await;
        assert_eq!(answer.code, 408);
    }
}
