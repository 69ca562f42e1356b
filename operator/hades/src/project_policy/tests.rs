//! Through the API server itself, as every client meets it.

use std::sync::Arc;

use hades_api::{ConfigRepository, Environment, EnvironmentTemplate, HadesProject};
use hades_apiserver::{ApiServer, Identity, ServerConfig};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::ProjectRules;
use crate::validator::Typed;

struct Bed {
    client: Client,
    _dir: TempDir,
}

impl Bed {
    /// A server with the namespace `shop`.
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = ServerConfig::new(dir.path(), hades_api::schema::crds());
        config.validators = vec![Arc::new(Typed), Arc::new(ProjectRules)];
        let server = ApiServer::open(config).await.unwrap();
        let client = server.client(Identity::administrator("alice"));
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
        let namespace = serde_json::from_value(json!({"metadata": {"name": "shop"}})).unwrap();
        namespaces.create(&PostParams::default(), &namespace).await.unwrap();
        Self { client, _dir: dir }
    }

    /// Writes the policy of project `shop`.
    async fn policy(&self, policy: Value) {
        let projects: Api<HadesProject> = Api::all(self.client.clone());
        let project = json!({
            "apiVersion": "hades.dev/v1alpha1", "kind": "HadesProject",
            "metadata": {"name": "shop"}, "spec": {"policy": policy},
        });
        let parameters = PatchParams::apply("tests").force();
        projects.patch("shop", &parameters, &Patch::Apply(&project)).await.unwrap();
    }

    async fn host(&self, name: &str, spec: Value) {
        let hosts: Api<hades_api::DockerHost> = Api::all(self.client.clone());
        let host = json!({"metadata": {"name": name, "labels": {"zone": "a"}}, "spec": spec});
        let host = serde_json::from_value(host).unwrap();
        hosts.create(&PostParams::default(), &host).await.unwrap();
    }

    /// Applies an object of `shop`; what the server has against it, in a line each.
    async fn apply<K>(&self, kind: &str, name: &str, spec: Value) -> String
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
        K: Clone + std::fmt::Debug + Serialize + DeserializeOwned,
    {
        let object = json!({
            "apiVersion": "hades.dev/v1alpha1", "kind": kind,
            "metadata": {"name": name, "namespace": "shop"}, "spec": spec,
        });
        let api: Api<K> = Api::namespaced(self.client.clone(), "shop");
        // As hand edits that replace all they said before.
        let parameters = PatchParams::apply("tests").force();
        match api.patch(name, &parameters, &Patch::Apply(&object)).await {
            Ok(_) => String::new(),
            Err(kube::Error::Api(status)) => {
                assert_eq!(status.code, 422, "{status:?}");
                let details = status.details.as_ref().unwrap();
                let line = |cause: &kube::core::response::StatusCause| {
                    format!("{} | {} | {}\n", cause.field, cause.reason, cause.message)
                };
                details.causes.iter().map(line).collect()
            }
            Err(error) => panic!("{error}"),
        }
    }

    async fn environment(&self, name: &str, spec: Value) -> String {
        self.apply::<Environment>("Environment", name, spec).await
    }

    async fn template(&self, spec: Value) -> String {
        self.apply::<EnvironmentTemplate>("EnvironmentTemplate", "base", spec).await
    }
}

fn web(service: Value) -> Value {
    let mut service = service;
    service["image"] = json!("web:1");
    json!({"defaults": {"host": "local"}, "services": {"web": service}})
}

#[tokio::test]
async fn what_the_project_does_not_allow_is_not_stored() {
    let bed = Bed::new().await;
    let denied = "spec.services.web.privileged | FieldValueForbidden | Forbidden: policy of \
                  project shop doesn't allow privileged containers (spec.policy.privileged)\n";
    let privileged = web(json!({"privileged": true}));
    // Neither without a project nor without a policy.
    assert_eq!(bed.environment("a", privileged.clone()).await, denied);
    bed.policy(json!({})).await;
    assert_eq!(bed.environment("a", privileged.clone()).await, denied);
    bed.policy(json!({"privileged": true})).await;
    assert_eq!(bed.environment("a", privileged).await, "");

    let mounts = json!({"volumes": [
        "/srv/shop:/a",
        {"type": "bind", "source": "/srv/shop/../../etc", "target": "/b"},
        "/opt/one.sock:/c",
    ]});
    bed.host("local", json!({"endpoint": "unix:///opt/one.sock"})).await;
    bed.policy(json!({"hostMounts": ["/srv/shop", "/opt/one.sock"]})).await;
    let found = bed.environment("b", web(mounts)).await;
    let mut fields: Vec<&str> = found.lines().filter_map(|line| line.split(' ').next()).collect();
    fields.dedup();
    assert_eq!(fields, ["spec.services.web.volumes[1]", "spec.services.web.volumes[2]"], "{found}");
    assert!(found.contains("/etc of the host") && found.contains("dockerSocket"), "{found}");
}

#[tokio::test]
async fn templates_are_judged_by_themselves_and_in_their_environments() {
    let bed = Bed::new().await;
    bed.policy(json!({"capabilities": ["NET_ADMIN"], "quotas": {"replicas": 4}})).await;
    let found = bed.template(web(json!({"hostNetwork": true}))).await;
    assert!(found.starts_with("spec.services.web.hostNetwork | FieldValueForbidden"), "{found}");
    assert_eq!(bed.template(web(json!({"capAdd": ["NET_ADMIN"]}))).await, "");
    // What comes from the template counts as the environment's own.
    let base = json!({"templateRef": {"name": "base"}});
    assert_eq!(bed.environment("a", base.clone()).await, "");
    assert_eq!(bed.environment("b", base.clone()).await, "");
    let found = bed.template(web(json!({"replicas": 3}))).await;
    assert!(found.contains("in environment a: quota of project shop: replicas 6 of 4"), "{found}");
    assert_eq!(bed.template(web(json!({"replicas": 2}))).await, "");
    let found = bed.environment("c", base).await;
    assert!(found.contains("replicas 6 of 4 (this environment 2, others 4)"), "{found}");
    // A template that comes after its environment.
    let late = json!({"templateRef": {"name": "late"}, "services": {"x": {"replicas": 0}}});
    assert_eq!(bed.environment("d", late).await, "");
}

#[tokio::test]
async fn a_policy_that_is_tightened_lets_what_is_stored_be_changed_but_not_worsened() {
    let bed = Bed::new().await;
    bed.policy(json!({"privileged": true, "quotas": {"replicas": 5}})).await;
    let spec = |more: Value| {
        let mut service = json!({"privileged": true, "replicas": 5});
        service.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        web(service)
    };
    assert_eq!(bed.environment("a", spec(json!({}))).await, "");
    bed.policy(json!({"quotas": {"replicas": 2}})).await;
    let mut held = spec(json!({}));
    held["suspend"] = json!(true);
    assert_eq!(bed.environment("a", held).await, "", "it can be held back");
    assert_eq!(bed.environment("a", spec(json!({"replicas": 4}))).await, "", "and made smaller");
    assert!(bed.environment("a", spec(json!({"replicas": 5}))).await.contains("replicas 5 of 2"));
    assert!(bed.environment("a", spec(json!({"hostPID": true}))).await.contains("hostPID"));
    assert!(bed.environment("b", spec(json!({}))).await.contains("privileged"));
}

#[tokio::test]
async fn what_is_there_counts_whatever_manifests_say() {
    let bed = Bed::new().await;
    bed.policy(json!({"quotas": {"replicas": 4}})).await;
    let held = json!({"suspend": true, "defaults": {"host": "local"}});
    assert_eq!(bed.environment("a", held.clone()).await, "");
    let container = |number: u32| {
        json!({
            "kind": "Container", "name": format!("shop_a_web-{number}-0123abcd"), "host": "local",
            "service": "web", "state": "running", "health": "Healthy", "drift": "OutOfSync",
        })
    };
    let status = json!({"status": {"resources": [container(1), container(2), container(3)]}});
    let environments: Api<Environment> = Api::namespaced(bed.client.clone(), "shop");
    let parameters = PatchParams::default();
    environments.patch_status("a", &parameters, &Patch::Merge(&status)).await.unwrap();
    let found = bed.environment("b", web(json!({"replicas": 2}))).await;
    assert!(found.contains("replicas 5 of 4 (this environment 2, others 3)"), "{found}");
    assert_eq!(bed.environment("b", web(json!({"replicas": 1}))).await, "");
    // By way of a template as well.
    assert_eq!(bed.template(web(json!({"replicas": 1}))).await, "");
    assert_eq!(bed.environment("b", json!({"templateRef": {"name": "base"}})).await, "");
    let found = bed.template(web(json!({"replicas": 2}))).await;
    assert!(found.contains("in environment b: quota of project shop: replicas 5 of 4"), "{found}");
    // It can have again what it has still.
    bed.policy(json!({"quotas": {"replicas": 1}})).await;
    assert_eq!(bed.environment("a", web(json!({"replicas": 3}))).await, "");
    assert!(bed.environment("a", web(json!({"replicas": 4}))).await.contains("replicas 5 of 1"));
}

#[tokio::test]
async fn accounts_hosts_and_names_of_others() {
    let bed = Bed::new().await;
    bed.host("local", json!({"endpoint": "unix:///run/docker.sock"})).await;
    bed.host("theirs", json!({"endpoint": "unix:///run/docker.sock"})).await;
    bed.policy(json!({"hosts": ["local"], "accounts": {"git": ["ours"]}})).await;
    let repository =
        |account: &str| json!({"url": "https://git.example.com/shop", "account": account});
    let apply = async |account: &str| {
        bed.apply::<ConfigRepository>("ConfigRepository", "config", repository(account)).await
    };
    assert!(apply("theirs").await.contains("spec.policy.accounts.git"));
    assert_eq!(apply("ours").await, "");
    let placed = |placement: Value| web(json!({"placement": placement}));
    let found = bed.environment("a", placed(json!({"hosts": ["local", "theirs"]}))).await;
    assert!(found.starts_with("spec.services.web.placement.hosts[1]"), "{found}");
    let selector = |labels: Value| placed(json!({"selector": {"matchLabels": labels}}));
    assert_eq!(bed.environment("a", selector(json!({"zone": "a"}))).await, "");
    bed.policy(json!({"hosts": ["other-*"]})).await;
    let found = bed.environment("b", selector(json!({"zone": "a"}))).await;
    assert!(found.contains("any of the DockerHosts"), "{found}");
    for (service, field) in [
        (json!({"labels": {"hades.dev/project": "other"}}), "spec.services.web.labels"),
        (json!({"volumes": ["other_production_data:/data"]}), "spec.services.web.volumes[0]"),
        (
            json!({"env": {"A": {"secretKeyRef": {"name": "s", "namespace": "b", "key": "k"}}}}),
            "spec.services.web.env.A",
        ),
    ] {
        let found = bed.environment("c", web(service)).await;
        assert!(found.starts_with(field), "{field}: {found}");
    }
}

#[tokio::test]
async fn rules_that_make_no_sense_are_refused() {
    let bed = Bed::new().await;
    let projects: Api<HadesProject> = Api::all(bed.client.clone());
    for policy in [
        json!({"hostMounts": ["srv"]}),
        json!({"hostMounts": ["/srv/../etc"]}),
        json!({"hostMounts": ["/srv/.."]}),
        json!({"hostMounts": ["/srv:rw"]}),
        json!({"devices": ["/etc/passwd"]}),
        json!({"devices": ["/dev/../etc/"]}),
        json!({"capabilities": ["net_admin"]}),
        json!({"registries": ["https://ghcr.io"]}),
        json!({"hostPorts": ["9-8"]}),
        json!({"quotas": {"cpu": "lots"}}),
        json!({"privileged": "yes"}),
        json!({"everything": true}),
    ] {
        let project = json!({
            "apiVersion": "hades.dev/v1alpha1", "kind": "HadesProject",
            "metadata": {"name": "shop"}, "spec": {"policy": policy},
        });
        let mut parameters = PatchParams::apply("tests").force();
        parameters.field_validation = Some(kube::api::ValidationDirective::Strict);
        let answer = projects.patch("shop", &parameters, &Patch::Apply(&project)).await;
        let Err(kube::Error::Api(status)) = answer else { panic!("{policy} was taken") };
        assert!(status.code == 422 || status.code == 400, "{policy}: {status:?}");
        assert!(status.message.contains("policy"), "{policy}: {}", status.message);
    }
    bed.policy(json!({
        "hostMounts": ["/", "/srv/shop", "/srv/web/:ro", "/srv/x:ro"], "devices": ["/dev/dri/"],
        "capabilities": ["ALL"], "registries": ["ghcr.io/acme", "registry.example.com:5000"],
        "hostPorts": [80, "8000-8999"], "hosts": ["web-*"], "hostPID": true, "hostIPC": false,
        "quotas": {"cpu": "1500m", "memory": "2Gi", "environments": 3},
    }))
    .await;
}
