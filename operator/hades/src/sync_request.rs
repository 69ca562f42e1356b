//! `configrepositories/sync` of `operations.hades.dev`: has a repository looked at now.
//! Who may edit a ConfigRepository does that by an annotation; those who only deploy
//! have this.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use hades_apiserver::Announced;
use hades_apiserver::wire::status::StatusError;
use hades_controllers::{Context, config_repository, error_chain};
use serde_json::json;

use crate::operations::API_VERSION;

/// Kind of the answer.
const KIND: &str = "SyncRequest";

/// The route, below the prefix of the operations.
pub(crate) fn router(context: Arc<Context>) -> Router {
    Router::new()
        .route("/namespaces/{namespace}/configrepositories/{name}/sync", post(request))
        .with_state(context)
}

/// For discovery.
pub(crate) fn announced(group: &str, version: &str) -> Announced {
    Announced {
        group: group.to_owned(),
        version: version.to_owned(),
        resource: "configrepositories".to_owned(),
        subresource: "sync".to_owned(),
        kind: KIND.to_owned(),
        namespaced: true,
        verbs: &["create"],
    }
}

/// Answers with the value that `status.lastHandledReconcileAt` will have once it was
/// looked at.
async fn request(
    State(context): State<Arc<Context>>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    match config_repository::request_sync(&context, &namespace, &name).await {
        Ok(Some(requested_at)) => Json(json!({
            "apiVersion": API_VERSION, "kind": KIND, "requestedAt": requested_at,
        }))
        .into_response(),
        Ok(None) => {
            StatusError::not_found("hades.dev", "configrepositories", &name).into_response()
        }
        Err(error) => StatusError::internal(error_chain(&error)).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use hades_api::{ConfigRepository, annotation, role};
    use hades_apiserver::{ApiServer, Identity, ServerConfig};
    use hades_controllers::Settings;
    use hades_provider::fake::FakeConnect;
    use k8s_openapi::api::rbac::v1::RoleBinding;
    use kube::api::PostParams;
    use kube::{Api, ResourceExt};
    use serde_json::Value;
    use tower::ServiceExt;

    use super::*;
    use crate::operations::PREFIX;

    #[tokio::test]
    async fn a_deployer_has_a_repository_looked_at_and_a_viewer_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = ServerConfig::new(directory.path(), hades_api::schema::crds());
        config.first_objects = role::first_objects();
        let server = ApiServer::open(config).await.unwrap();
        let context = Context::new(Settings {
            client: server.client(Identity::controller("controllers")),
            connect: Arc::new(FakeConnect::new()),
            installation: "test".to_owned(),
            fingerprint: Arc::new(|_, value| value.to_owned()),
            secret_values: Arc::new(hades_controllers::NoValues),
            cache_dir: directory.path().join("repositories"),
            clock: Arc::new(jiff::Timestamp::now),
        });
        let server = server.with_routes(PREFIX, router(context));
        let client = server.client(Identity::administrator("tester"));
        let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), "default");
        for (user, role) in [("vera", "hades:viewer"), ("dora", "hades:deployer")] {
            let binding = json!({
                "metadata": {"name": user}, "roleRef": role::cluster_role_ref(role),
                "subjects": [role::user(user)],
            });
            let binding = serde_json::from_value(binding).unwrap();
            bindings.create(&PostParams::default(), &binding).await.unwrap();
        }
        let repositories: Api<ConfigRepository> = Api::namespaced(client, "default");
        let object = json!({
            "apiVersion": "hades.dev/v1alpha1", "kind": "ConfigRepository",
            "metadata": {"name": "config"}, "spec": {"url": "https://git.example.com/x"},
        });
        let object = serde_json::from_value(object).unwrap();
        repositories.create(&PostParams::default(), &object).await.unwrap();
        let ask = |user: &str, name: &str| {
            let path = format!("{PREFIX}/namespaces/default/configrepositories/{name}/sync");
            let mut request = Request::post(path).body(Body::empty()).unwrap();
            let groups = vec!["system:authenticated".to_owned()];
            request.extensions_mut().insert(Identity::of_user(user, groups));
            let router = server.router();
            async move {
                let response = router.oneshot(request).await.unwrap();
                let code = response.status().as_u16();
                let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
                (code, serde_json::from_slice::<Value>(&body).unwrap())
            }
        };
        assert_eq!(ask("vera", "config").await.0, 403);
        assert_eq!(ask("dora", "none").await.0, 404);
        let (code, answer) = ask("dora", "config").await;
        assert_eq!((code, answer["kind"].as_str()), (200, Some(KIND)));
        let found = repositories.get("config").await.unwrap();
        let asked = &found.annotations()[annotation::RECONCILE_REQUESTED_AT];
        assert_eq!(answer["requestedAt"].as_str(), Some(asked.as_str()));
    }
}
