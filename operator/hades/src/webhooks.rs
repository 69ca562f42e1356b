//! `configrepositories/webhook` of `operations.hades.dev`: how a webhook stands,
//! and registering it in a forge.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hades_apiserver::Announced;
use hades_apiserver::wire::status::StatusError;
use hades_controllers::hook::{self, Report};
use hades_controllers::{Context, ReconcileError, error_chain};
use serde::Serialize;

use crate::suspended::unless_suspended;

/// What the handlers know.
#[derive(Clone)]
struct Known {
    context: Arc<Context>,
    /// What forges reach, if that was said.
    public_url: Option<Arc<str>>,
    /// Where this server is, for want of something better.
    own_url: Arc<str>,
}

/// The route, below the prefix of the operations. Where the server is `suspended`,
/// nothing is registered.
pub(crate) fn router(
    context: Arc<Context>,
    public_url: Option<&str>,
    own_url: &str,
    suspended: bool,
) -> Router {
    let known = Known { context, public_url: public_url.map(Arc::from), own_url: own_url.into() };
    Router::new()
        .route(
            "/namespaces/{namespace}/configrepositories/{name}/webhook",
            get(describe).merge(unless_suspended(suspended, post(register))),
        )
        .with_state(known)
}

/// For discovery.
pub(crate) fn announced(group: &str, version: &str) -> Announced {
    Announced {
        group: group.to_owned(),
        version: version.to_owned(),
        resource: "configrepositories".to_owned(),
        subresource: "webhook".to_owned(),
        kind: "WebhookReport".to_owned(),
        namespaced: true,
        verbs: &["create", "get"],
    }
}

#[derive(Serialize)]
struct Described {
    url: String,
    public: bool,
    #[serde(flatten)]
    report: Report,
}

async fn describe(
    State(known): State<Known>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    let base = known.public_url.as_ref().unwrap_or(&known.own_url);
    let url = format!("{base}{}", hook::path(&namespace, &name));
    match hook::report(&known.context, &namespace, &name).await {
        Ok(Some(report)) => {
            Json(Described { url, public: known.public_url.is_some(), report }).into_response()
        }
        Ok(None) => not_found(&name),
        Err(error) => failed(&error),
    }
}

async fn register(
    State(known): State<Known>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    let Some(base) = &known.public_url else {
        let message = "hades serve has no --public-url, so no forge could deliver to it";
        return StatusError::bad_request(message).into_response();
    };
    let url = format!("{base}{}", hook::path(&namespace, &name));
    match hook::register_webhook(&known.context, &namespace, &name, url).await {
        Ok(Some(Ok(registered))) => Json(registered).into_response(),
        Ok(Some(Err(why))) => StatusError::bad_request(why.to_string()).into_response(),
        Ok(None) => not_found(&name),
        Err(error) => failed(&error),
    }
}

fn not_found(name: &str) -> Response {
    StatusError::not_found("hades.dev", "configrepositories", name).into_response()
}

fn failed(error: &ReconcileError) -> Response {
    StatusError::internal(error_chain(error)).into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::body::Body;
    use axum::http::Request;
    use hades_apiserver::{ApiServer, Identity, ServerConfig};
    use hades_controllers::Settings;
    use hades_provider::fake::FakeConnect;
    use kube::api::{DynamicObject, Patch, PatchParams};
    use kube::core::GroupVersionKind;
    use kube::discovery::pinned_kind;
    use kube::{Api, Client};
    use serde_json::{Value, json};
    use tower::ServiceExt;

    use super::*;

    const PATH: &str = "/namespaces/hades-system/configrepositories/config/webhook";

    struct Bed {
        client: Client,
        context: Arc<Context>,
        _directory: tempfile::TempDir,
    }

    impl Bed {
        async fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let config = ServerConfig::new(directory.path(), hades_api::schema::crds());
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
            let client = server.client(Identity::administrator("tester"));
            Self { client, context, _directory: directory }
        }

        async fn apply(&self, api_version: &str, kind: &str, mut manifest: Value) {
            let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
            let gvk = GroupVersionKind::gvk(group, version, kind);
            let (resource, capabilities) = pinned_kind(&self.client, &gvk).await.unwrap();
            manifest["apiVersion"] = json!(api_version);
            manifest["kind"] = json!(kind);
            let api: Api<DynamicObject> = match capabilities.scope {
                kube::discovery::Scope::Namespaced => {
                    Api::namespaced_with(self.client.clone(), "hades-system", &resource)
                }
                kube::discovery::Scope::Cluster => Api::all_with(self.client.clone(), &resource),
            };
            let name = manifest["metadata"]["name"].as_str().unwrap().to_owned();
            let parameters = PatchParams::apply("tester").force();
            api.patch(&name, &parameters, &Patch::Apply(manifest)).await.unwrap();
        }

        async fn ask(&self, method: &str, public_url: Option<&str>) -> (u16, Value) {
            self.ask_server(method, public_url, false).await
        }

        async fn ask_server(
            &self,
            method: &str,
            public_url: Option<&str>,
            suspended: bool,
        ) -> (u16, Value) {
            let own_url = "https://127.0.0.1:7443";
            let router = router(self.context.clone(), public_url, own_url, suspended);
            let request = Request::builder().method(method).uri(PATH).body(Body::empty()).unwrap();
            let response = router.oneshot(request).await.unwrap();
            let code = response.status().as_u16();
            let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
            (code, serde_json::from_slice(&bytes).unwrap())
        }
    }

    /// Answers as Gitea does to whoever knows its token; keeps what it is sent.
    async fn forge() -> (String, Arc<Mutex<Vec<Value>>>) {
        let hooks: Arc<Mutex<Vec<Value>>> = Arc::default();
        let kept = hooks.clone();
        let list = async || Json(json!([]));
        let create = async move |headers: axum::http::HeaderMap, Json(body): Json<Value>| {
            assert_eq!(headers["authorization"], "token forge-token");
            kept.lock().unwrap().push(body);
            Json(json!({"id": 1}))
        };
        let route = get(list).post(create);
        let router = Router::new().route("/api/v1/repos/halolab/shop/hooks", route);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, router).into_future());
        (url, hooks)
    }

    #[tokio::test]
    async fn a_webhook_is_described_and_registered_by_the_account() {
        let bed = Bed::new().await;
        let public = Some("https://hooks.example.com");
        assert_eq!(bed.ask("GET", public).await.0, 404);
        let (forge, hooks) = forge().await;
        let spec = json!({"url": format!("{forge}/halolab/shop.git"), "account": "studio"});
        let repository = json!({"metadata": {"name": "config"}, "spec": spec});
        bed.apply("hades.dev/v1alpha1", "ConfigRepository", repository.clone()).await;
        let (code, described) = bed.ask("GET", None).await;
        assert_eq!(
            (code, &described["public"], &described["hasToken"]),
            (200, &json!(false), &json!(false))
        );
        assert_eq!(described["url"], "https://127.0.0.1:7443/hooks/config/hades-system/config");
        let refused = async |why: &str| {
            let (code, answer) = bed.ask("POST", public).await;
            let message = answer["message"].as_str().unwrap_or_default().to_owned();
            assert!(code == 400 && message.contains(why), "{message}");
        };
        refused("no token yet").await;
        for (name, token) in [("config-webhook", "hook-token"), ("studio", "forge-token")] {
            let secret = json!({"metadata": {"name": name}, "stringData": {"token": token}});
            bed.apply("v1", "Secret", secret).await;
        }
        let mut repository = repository;
        repository["spec"]["webhook"] = json!({"secretRef": {"name": "config-webhook"}});
        bed.apply("hades.dev/v1alpha1", "ConfigRepository", repository).await;
        refused("there is no GitAccount studio").await;
        let account = json!({"metadata": {"name": "studio"}, "spec": {
            "provider": "gitea", "url": forge, "secretRef": {"name": "studio"},
        }});
        bed.apply("hades.dev/v1alpha1", "GitAccount", account).await;
        let (code, answer) = bed.ask("POST", None).await;
        assert!(code == 400 && answer.to_string().contains("--public-url"), "{answer}");
        let (code, answer) = bed.ask_server("POST", public, true).await;
        assert!(code == 409 && answer.to_string().contains("copied data directory"), "{answer}");
        assert_eq!(hooks.lock().unwrap().len(), 0);
        assert_eq!(bed.ask_server("GET", public, true).await.0, 200);
        let (code, registered) = bed.ask("POST", public).await;
        assert_eq!(code, 200, "{registered}");
        let url = "https://hooks.example.com/hooks/config/hades-system/config";
        let expected = json!({"outcome": "created", "repository": "halolab/shop", "url": url});
        assert_eq!(registered, expected);
        let hook = hooks.lock().unwrap()[0].clone();
        assert_eq!(
            hook["config"],
            json!({"url": url, "content_type": "json", "secret": "hook-token"})
        );
        let (_, described) = bed.ask("GET", public).await;
        assert_eq!(described["forge"], "gitea");
        assert_eq!(described["secret"], "config-webhook");
        assert!(!described.to_string().contains("token\":\""), "{described}");
    }
}
