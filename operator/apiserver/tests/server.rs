//! The server around the objects: routes, validators, metrics, definitions and
//! the group commit.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use axum::routing::get;
use axum::{Extension, Router};
use hades_apiserver::{
    Admission, ApiServer, Cause, CauseReason, Credential, Identity, OpenError, StoreError,
    Validator,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use support::{Barn, Server, barn, config, definitions};

async fn fetch(router: Router, path: &str, token: Option<&str>) -> (u16, String) {
    let mut request = http::Request::builder().uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(axum::body::Body::empty()).unwrap();
    let response = tower::ServiceExt::oneshot(router, request).await.unwrap();
    let code = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (code, String::from_utf8(bytes.to_vec()).unwrap())
}

fn metrics(server: &ApiServer) -> String {
    let mut registry = Registry::default();
    server.register_metrics(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    text
}

/// The value of the sample whose name and labels start like this.
fn sample(text: &str, start: &str) -> f64 {
    let line = text.lines().find(|line| line.starts_with(start));
    let line = line.unwrap_or_else(|| panic!("no {start} in\n{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn extra_routes_stand_behind_the_login_and_public_ones_do_not() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(&directory);
    let admin = Identity::administrator("alice");
    config.credentials = vec![Credential::of_token("good", admin)];
    let whoami = get(|Extension(caller): Extension<Identity>| async move { caller.name });
    let server = ApiServer::open(config)
        .await
        .unwrap()
        .with_routes("/apis/extra.example/v1", Router::new().route("/whoami", whoami))
        .public_routes(Router::new().route("/livez", get(|| async { "ok" })));
    let path = "/apis/extra.example/v1/whoami";
    assert_eq!(fetch(server.router(), path, Some("good")).await, (200, "alice".to_owned()));
    for (path, token) in
        [(path, None), (path, Some("bad")), ("/api/v1/secrets", None), ("/x", None)]
    {
        let (code, body) = fetch(server.router(), path, token).await;
        assert_eq!(code, 401, "{path}");
        let status: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(status["reason"], "Unauthorized");
    }
    assert_eq!(fetch(server.router(), "/livez", None).await, (200, "ok".to_owned()));
    assert_eq!(fetch(server.router(), "/api/v1/secrets", Some("good")).await.0, 200);
}

struct NoGrowth;

impl Validator for NoGrowth {
    fn validate(&self, admission: &Admission<'_>) -> Vec<Cause> {
        let Admission { kind, object, old, .. } = *admission;
        let cows = |object: &Value| object["spec"]["cows"].as_i64().unwrap_or_default();
        match old {
            Some(old) if kind.kind == "Barn" && cows(object) > cows(old) => vec![Cause::new(
                "spec.cows",
                CauseReason::FieldValueForbidden,
                "Forbidden: barns do not grow",
            )],
            _ => Vec::new(),
        }
    }
}

#[tokio::test]
async fn a_validator_sees_the_old_object_and_refuses() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(&directory);
    config.validators = vec![Arc::new(NoGrowth)];
    let server = ApiServer::open(config).await.unwrap();
    let api: Api<Barn> = Api::namespaced(server.client(Identity::controller("x")), "default");
    api.create(&PostParams::default(), &barn("b", 3)).await.unwrap();
    let change = |cows: i64| Patch::Merge(json!({"spec": {"cows": cows}}));
    api.patch("b", &PatchParams::default(), &change(2)).await.unwrap();
    let error = api.patch("b", &PatchParams::default(), &change(4)).await.unwrap_err();
    let kube::Error::Api(status) = error else { panic!("{error}") };
    assert_eq!(status.code, 422);
    assert!(status.message.contains("barns do not grow"), "{}", status.message);
    assert_eq!(status.details.unwrap().causes[0].field, "spec.cows");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_come_together_share_a_commit() {
    let server = Server::start().await;
    let before = metrics(&server.server);
    let api: Api<Barn> = Api::namespaced(server.controller(), "default");
    let mut writers = tokio::task::JoinSet::new();
    for index in 0..200 {
        let api = api.clone();
        writers.spawn(async move {
            api.create(&PostParams::default(), &barn(&format!("b{index}"), 1)).await.unwrap();
        });
    }
    writers.join_all().await;
    let after = metrics(&server.server);
    let difference = |name: &str| sample(&after, name) - sample(&before, name);
    let writes = difference("hades_apiserver_store_commit_writes_sum");
    let commits = difference("hades_apiserver_store_commit_writes_count");
    assert!((writes - 200.0).abs() < 0.5, "{writes}");
    assert!(commits < 150.0, "{commits} commits for {writes} writes");
    assert_eq!(
        sample(&after, "hades_apiserver_objects{resource=\"barns.farm.example\"}") as i64,
        200
    );
    let created = "hades_apiserver_requests_total{verb=\"create\",resource=\"barns.farm.example\",code=\"201\"}";
    assert_eq!(sample(&after, created) as i64, 200);
    // Counted from the store, not from what this process did.
    let server = server.restart().await;
    let again = metrics(&server.server);
    assert_eq!(
        sample(&again, "hades_apiserver_objects{resource=\"barns.farm.example\"}") as i64,
        200
    );
}

#[tokio::test]
async fn two_servers_cannot_open_one_directory() {
    let server = Server::start().await;
    let error = ApiServer::open(config(&server.directory)).await.unwrap_err();
    assert!(matches!(error, OpenError::Store(StoreError::InUse(_))), "{error}");
    assert!(error.to_string().contains("in use by another hades"), "{error}");
}

#[tokio::test]
async fn installed_definitions_follow_what_the_server_is_given() {
    let server = Server::start().await;
    let api: Api<CustomResourceDefinition> = Api::all(server.admin());
    let first = api.get("barns.farm.example").await.unwrap();
    assert!(first.status.unwrap().conditions.unwrap().iter().any(|c| c.type_ == "Established"));
    let Server { server, directory } = server.restart().await;
    let api: Api<CustomResourceDefinition> = Api::all(server.client(Identity::administrator("x")));
    let same = api.get("barns.farm.example").await.unwrap();
    assert_eq!(same.metadata, first.metadata, "nothing changed, nothing written");
    server.shutdown().await;
    let mut config = config(&directory);
    config.crds = definitions().into_iter().take(1).collect();
    config.crds[0].spec.names.short_names = Some(vec!["bn".to_owned()]);
    let server = ApiServer::open(config).await.unwrap();
    let api: Api<CustomResourceDefinition> = Api::all(server.client(Identity::administrator("x")));
    let list = api.list(&ListParams::default()).await.unwrap().items;
    assert_eq!(list.len(), 1, "the other is served no longer");
    assert_eq!(list[0].metadata.uid, first.metadata.uid);
    assert_eq!(list[0].metadata.generation, Some(2));
}

#[tokio::test]
async fn a_definition_that_cannot_be_served_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(&directory);
    config.crds[0].spec.versions[0].schema = None;
    let error = ApiServer::open(config).await.unwrap_err().to_string();
    assert!(error.contains("barns.farm.example"), "{error}");
}

#[tokio::test]
async fn parameters_that_make_no_sense_are_refused() {
    let server = Server::start().await;
    let (code, status) =
        server.raw("GET", "/api/v1/configmaps?watch=true&resourceVersion=x", Value::Null).await;
    assert_eq!((code, status["reason"].as_str()), (400, Some("BadRequest")));
    let (code, _) = server.raw("GET", "/api/v1/configmaps?labelSelector=a%20b", Value::Null).await;
    assert_eq!(code, 400);
}

#[tokio::test]
async fn an_object_that_an_older_definition_allowed_is_not_stuck() {
    let Server { server, directory } = Server::start().await;
    let api: Api<Barn> = Api::namespaced(server.client(Identity::controller("x")), "default");
    let mut object = barn("b", 3);
    object.metadata.finalizers = Some(vec!["farm.example/cows".to_owned()]);
    api.create(&PostParams::default(), &object).await.unwrap();
    drop(api);
    server.shutdown().await;
    let mut config = config(&directory);
    let spec = &mut config.crds[0].spec.versions[0];
    let schema = spec.schema.as_mut().unwrap().open_api_v3_schema.as_mut().unwrap();
    let spec = schema.properties.as_mut().unwrap().get_mut("spec").unwrap();
    let fields = spec.properties.as_mut().unwrap();
    fields.get_mut("cows").unwrap().minimum = Some(5.0);
    let size: Value = json!({"type": "string", "default": "small"});
    fields.insert("size".to_owned(), serde_json::from_value(size).unwrap());
    let server = ApiServer::open(config).await.unwrap();
    let api: Api<Barn> = Api::namespaced(server.client(Identity::controller("x")), "default");
    let status = json!({"status": {"milk": 7}});
    let params = PatchParams::default();
    let barn = api.patch_status("b", &params, &Patch::Merge(&status)).await.unwrap();
    assert_eq!(barn.status.unwrap().milk, 7);
    assert_eq!(barn.metadata.generation, Some(1), "a new default is no change of the spec");
    let spec = json!({"spec": {"cows": 4}});
    let error = api.patch("b", &params, &Patch::Merge(&spec)).await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.code == 422));
    api.delete("b", &Default::default()).await.unwrap();
    let release = json!({"metadata": {"finalizers": null}});
    api.patch("b", &params, &Patch::Merge(&release)).await.unwrap();
    assert!(api.get_opt("b").await.unwrap().is_none());
}
