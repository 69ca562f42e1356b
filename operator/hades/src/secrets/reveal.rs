//! `secrets/reveal` of `operations.hades.dev`: the values of a project's own Secret,
//! for those who were given that right, where the project's policy allows it.

use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hades_api::{ConfigRepository, Environment, EnvironmentTemplate, HadesProject};
use hades_apiserver::Announced;
use hades_apiserver::wire::status::StatusError;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::ListParams;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::operations::API_VERSION;

/// Kind of the answer.
const KIND: &str = "RevealedSecret";

/// Types of Secrets that applications make of their own. All others are what
/// something is reached with.
const TYPES: [&str; 2] = ["Opaque", "kubernetes.io/basic-auth"];

/// Names in which a Secret is a credential, by the kind that names it.
const OF_REPOSITORIES: &str = "secretRef";
const OF_PULLS: &str = "imagePullSecrets";

/// Why a Secret isn't revealed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error(
        "no value of this project may be revealed: spec.policy.reveal of its HadesProject isn't \
         true"
    )]
    Policy,
    #[error("Secrets of type {0} are credentials, which are never revealed")]
    Type(String),
    #[error("{0} uses it to reach something else, and such credentials are never revealed")]
    Credential(String),
}

/// The route, below the prefix of the group. `client` reads Secrets as they are.
pub(crate) fn router(client: Client) -> Router {
    Router::new()
        .route("/namespaces/{namespace}/secrets/{name}/reveal", get(answer))
        .with_state(client)
}

/// What the route serves, for discovery.
pub(crate) fn announced(group: &str, version: &str) -> Announced {
    Announced {
        group: group.to_owned(),
        version: version.to_owned(),
        resource: "secrets".to_owned(),
        subresource: "reveal".to_owned(),
        kind: KIND.to_owned(),
        namespaced: true,
        verbs: &["get"],
    }
}

#[derive(Deserialize)]
struct Wanted {
    /// Only that one.
    key: Option<String>,
}

async fn answer(
    State(client): State<Client>,
    Path((namespace, name)): Path<(String, String)>,
    Query(Wanted { key }): Query<Wanted>,
) -> Response {
    match reveal(&client, &namespace, &name, key.as_deref()).await {
        // No cache and no browser keeps it.
        Ok(revealed) => ([(header::CACHE_CONTROL, "no-store")], Json(revealed)).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn reveal(
    client: &Client,
    namespace: &str,
    name: &str,
    key: Option<&str>,
) -> Result<Value, StatusError> {
    let forbidden = |refusal: &Refusal| StatusError::forbidden("", "secrets", name, refusal);
    let projects: Api<HadesProject> = Api::all(client.clone());
    let project = projects.get_opt(namespace).await.map_err(StatusError::internal)?;
    allowed(project.as_ref()).map_err(|refusal| forbidden(&refusal))?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = secrets.get_opt(name).await.map_err(StatusError::internal)?;
    let Some(secret) = secret else { return Err(StatusError::not_found("", "secrets", name)) };
    own(&secret).map_err(|refusal| forbidden(&refusal))?;
    if let Some(user) = user(client, namespace, name).await? {
        return Err(forbidden(&Refusal::Credential(user)));
    }
    let mut data = secret.data.unwrap_or_default();
    if let Some(key) = key {
        data.retain(|known, _| known == key);
        if data.is_empty() {
            let message = format!("Secret {namespace}/{name} has no key {key:?}");
            return Err(StatusError::bad_request(message));
        }
    }
    Ok(json!({
        "apiVersion": API_VERSION, "kind": KIND,
        "metadata": {"namespace": namespace, "name": name}, "data": data,
    }))
}

fn allowed(project: Option<&HadesProject>) -> Result<(), Refusal> {
    let policy = project.and_then(|project| project.spec.policy.as_ref());
    match policy.and_then(|policy| policy.reveal) {
        Some(true) => Ok(()),
        _ => Err(Refusal::Policy),
    }
}

fn own(secret: &Secret) -> Result<(), Refusal> {
    let type_ = secret.type_.as_deref().unwrap_or(TYPES[0]);
    if TYPES.contains(&type_) { Ok(()) } else { Err(Refusal::Type(type_.to_owned())) }
}

/// What of the namespace reaches something else with the Secret.
async fn user(client: &Client, namespace: &str, name: &str) -> Result<Option<String>, StatusError> {
    let found = match named::<ConfigRepository>(client, namespace, OF_REPOSITORIES, name).await? {
        None => named::<Environment>(client, namespace, OF_PULLS, name).await?,
        found => found,
    };
    let found = match found {
        None => named::<EnvironmentTemplate>(client, namespace, OF_PULLS, name).await?,
        found => found,
    };
    match found {
        None => named::<ServiceAccount>(client, namespace, OF_PULLS, name).await,
        found => Ok(found),
    }
}

/// The first object of a kind that names a Secret under that field, wherever the
/// field is: one that is added to the kind is covered too.
async fn named<K>(
    client: &Client,
    namespace: &str,
    field: &str,
    secret: &str,
) -> Result<Option<String>, StatusError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Serialize,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let all = api.list(&ListParams::default()).await.map_err(StatusError::internal)?;
    for object in all {
        let content = serde_json::to_value(&object).map_err(StatusError::internal)?;
        if names(&content, field, secret) {
            return Ok(Some(format!("{} {}", K::kind(&()), object.name_any())));
        }
    }
    Ok(None)
}

/// Whether `field` somewhere in it is `{name: SECRET}`, or a list of such.
fn names(content: &Value, field: &str, secret: &str) -> bool {
    let is_it = |reference: &Value| reference["name"] == secret;
    match content {
        Value::Object(fields) => fields.iter().any(|(key, value)| {
            let named = key == field
                && (is_it(value) || value.as_array().is_some_and(|all| all.iter().any(is_it)));
            named || names(value, field, secret)
        }),
        Value::Array(items) => items.iter().any(|item| names(item, field, secret)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use hades_api::role;
    use hades_apiserver::{ApiServer, Identity, ServerConfig};
    use kube::api::{DynamicObject, Patch, PatchParams};
    use kube::core::GroupVersionKind;
    use kube::discovery::{Scope, pinned_kind};
    use tower::ServiceExt;

    use super::*;
    use crate::operations::PREFIX;

    struct Bed {
        server: ApiServer,
        client: Client,
        _directory: tempfile::TempDir,
    }

    impl Bed {
        async fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let mut config = ServerConfig::new(directory.path(), hades_api::schema::crds());
            config.first_objects = role::first_objects();
            let server = ApiServer::open(config).await.unwrap();
            let reader = server.client(Identity::controller("reveal"));
            let server = server.with_routes(PREFIX, router(reader));
            let client = server.client(Identity::administrator("tester"));
            let bed = Self { server, client, _directory: directory };
            bed.apply("v1", "Namespace", json!({"metadata": {"name": "shop"}})).await;
            bed
        }

        async fn apply(&self, api_version: &str, kind: &str, mut object: Value) {
            let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
            let gvk = GroupVersionKind::gvk(group, version, kind);
            let (resource, capabilities) = pinned_kind(&self.client, &gvk).await.unwrap();
            object["apiVersion"] = json!(api_version);
            object["kind"] = json!(kind);
            let api: Api<DynamicObject> = match capabilities.scope {
                Scope::Namespaced => Api::namespaced_with(self.client.clone(), "shop", &resource),
                Scope::Cluster => Api::all_with(self.client.clone(), &resource),
            };
            let name = object["metadata"]["name"].as_str().unwrap().to_owned();
            let parameters = PatchParams::apply("tester").force();
            api.patch(&name, &parameters, &Patch::Apply(object)).await.unwrap();
        }

        async fn policy(&self, policy: Value) {
            let project = json!({"metadata": {"name": "shop"}, "spec": {"policy": policy}});
            self.apply("hades.dev/v1alpha1", "HadesProject", project).await;
        }

        async fn secret(&self, name: &str, type_: &str, data: Value) {
            let secret = json!({"metadata": {"name": name}, "type": type_, "stringData": data});
            self.apply("v1", "Secret", secret).await;
        }

        async fn bind(&self, user: &str, role: Value) {
            let name = user;
            let binding = json!({
                "metadata": {"name": name}, "roleRef": role, "subjects": [role::user(user)],
            });
            self.apply("rbac.authorization.k8s.io/v1", "RoleBinding", binding).await;
        }

        async fn ask(&self, user: &str, path: &str) -> (u16, Value) {
            let path = format!("{PREFIX}/namespaces/shop/secrets/{path}");
            let mut request = Request::get(path).body(Body::empty()).unwrap();
            let groups = vec!["system:authenticated".to_owned()];
            request.extensions_mut().insert(Identity::of_user(user, groups));
            let response = self.server.router().oneshot(request).await.unwrap();
            let code = response.status().as_u16();
            let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
            (code, serde_json::from_slice(&body).unwrap())
        }

        async fn refused(&self, path: &str, why: &str) {
            let (code, answer) = self.ask("rita", path).await;
            assert!(code == 403 && answer["message"].as_str().unwrap().contains(why), "{answer}");
            assert!(!answer.to_string().contains("hunter22"), "{answer}");
        }
    }

    /// Roles of a project, and the right itself.
    async fn people(bed: &Bed) {
        let right = json!({
            "metadata": {"name": "reveal"},
            "rules": [{
                "apiGroups": ["operations.hades.dev"], "resources": ["secrets/reveal"],
                "verbs": ["get"],
            }],
        });
        bed.apply("rbac.authorization.k8s.io/v1", "Role", right).await;
        bed.bind("rita", json!(role::role_ref("Role", "reveal"))).await;
        bed.bind("adam", json!(role::cluster_role_ref("hades:admin"))).await;
    }

    #[tokio::test]
    async fn own_values_are_revealed_to_those_who_were_given_the_right() {
        let bed = Bed::new().await;
        people(&bed).await;
        bed.secret("db", "Opaque", json!({"password": "hunter22", "user": "shop"})).await;
        // The right alone is not enough, nor is the policy.
        bed.refused("db/reveal", "spec.policy.reveal").await;
        bed.policy(json!({})).await;
        bed.refused("db/reveal", "spec.policy.reveal").await;
        bed.policy(json!({"reveal": true})).await;
        assert_eq!(bed.ask("adam", "db/reveal").await.0, 403, "an admin hasn't got it");
        let (code, answer) = bed.ask("rita", "db/reveal").await;
        let data =
            json!({"password": STANDARD.encode("hunter22"), "user": STANDARD.encode("shop")});
        assert_eq!((code, &answer["data"]), (200, &data));
        let (_, answer) = bed.ask("rita", "db/reveal?key=user").await;
        assert_eq!(answer["data"], json!({"user": STANDARD.encode("shop")}));
        assert_eq!(bed.ask("rita", "db/reveal?key=none").await.0, 400);
        assert_eq!(bed.ask("rita", "none/reveal").await.0, 404);
    }

    #[tokio::test]
    async fn credentials_are_revealed_to_nobody() {
        let bed = Bed::new().await;
        people(&bed).await;
        bed.policy(json!({"reveal": true})).await;
        let value = json!({"identity": "hunter22"});
        bed.secret("sops-age", "hades.dev/sops-age", value.clone()).await;
        bed.refused("sops-age/reveal", "hades.dev/sops-age").await;
        bed.secret("git", "Opaque", json!({"token": "hunter22"})).await;
        let spec = json!({"url": "https://git.example.com/x", "secretRef": {"name": "git"}});
        let repository = json!({"metadata": {"name": "config"}, "spec": spec});
        bed.apply("hades.dev/v1alpha1", "ConfigRepository", repository).await;
        bed.refused("git/reveal", "ConfigRepository config").await;
        bed.secret(
            "pull",
            "kubernetes.io/basic-auth",
            json!({"username": "a", "password": "hunter22"}),
        )
        .await;
        assert_eq!(bed.ask("rita", "pull/reveal").await.0, 200);
        let spec = json!({"defaults": {"imagePullSecrets": [{"name": "pull"}]}});
        let template = json!({"metadata": {"name": "base"}, "spec": spec});
        bed.apply("hades.dev/v1alpha1", "EnvironmentTemplate", template).await;
        bed.refused("pull/reveal", "EnvironmentTemplate base").await;
    }

    #[test]
    fn names_are_found_wherever_they_are() {
        let spec = json!({"a": {"webhook": [{"secretRef": {"name": "hook"}}]}, "b": "hook"});
        assert!(names(&spec, "secretRef", "hook") && !names(&spec, "secretRef", "other"));
        assert!(names(&json!({"imagePullSecrets": [{"name": "x"}]}), "imagePullSecrets", "x"));
        assert!(!names(
            &json!({"envFrom": [{"secretRef": {"name": "x"}}]}),
            "imagePullSecrets",
            "x"
        ));
    }
}
