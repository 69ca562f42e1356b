//! The checks against a real API server.

use hades_api::{
    ConfigRepository, Environment, EnvironmentTemplate, HadesProject, annotation, label, role,
};
use hades_apiserver::{ApiServer, Identity, ServerConfig};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::validators;

struct Bed {
    server: ApiServer,
    client: Client,
    _dir: tempfile::TempDir,
}

const SHOP: Option<&str> = Some("shop");
const SYSTEM: Option<&str> = Some("hades-system");

impl Bed {
    /// With the namespace `shop` and in it the viewer vera, the deployer dora and the
    /// admin ada.
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = ServerConfig::new(dir.path(), hades_api::schema::crds());
        config.first_objects = role::first_objects();
        config.validators = validators();
        let server = ApiServer::open(config).await.unwrap();
        let client = server.client(Identity::administrator("tester"));
        let bed = Self { server, client, _dir: dir };
        let namespace = json!({"metadata": {"name": "shop"}});
        bed.make::<Namespace>(&bed.client, None, namespace).await.unwrap();
        for (user, role) in [("vera", "viewer"), ("dora", "deployer"), ("ada", "admin")] {
            let binding = json!({
                "metadata": {"name": user, "namespace": "shop"},
                "roleRef": role::cluster_role_ref(&format!("hades:{role}")),
                "subjects": [role::user(user)],
            });
            bed.make::<RoleBinding>(&bed.client, SHOP, binding).await.unwrap();
        }
        bed
    }

    fn client_of(&self, user: &str) -> Client {
        let groups = vec!["system:authenticated".to_owned()];
        self.server.client(Identity::of_user(user, groups))
    }

    /// Somebody with these rights everywhere.
    async fn holder(&self, user: &str, rules: Value) -> Client {
        let role = json!({"metadata": {"name": user}, "rules": rules});
        self.make::<ClusterRole>(&self.client, None, role).await.unwrap();
        let binding = json!({
            "metadata": {"name": user}, "roleRef": role::cluster_role_ref(user),
            "subjects": [role::user(user)],
        });
        self.make::<ClusterRoleBinding>(&self.client, None, binding).await.unwrap();
        self.client_of(user)
    }

    /// Applies an object; the words of a refusal are the error.
    async fn make<K>(
        &self,
        by: &Client,
        namespace: Option<&str>,
        object: Value,
    ) -> Result<K, String>
    where
        K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Serialize,
    {
        let mut object = object;
        object["apiVersion"] = json!(K::api_version(&()));
        object["kind"] = json!(K::kind(&()));
        let resource = kube::core::ApiResource::erase::<K>(&());
        let api: Api<kube::api::DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(by.clone(), namespace, &resource),
            None => Api::all_with(by.clone(), &resource),
        };
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let parameters = PatchParams::apply("test").force();
        let made = api.patch(&name, &parameters, &Patch::Apply(&object)).await;
        made.map_err(|error| error.to_string()).map(|made| made.try_parse().unwrap())
    }
}

/// Refused in these words.
#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, String>, words: &str) {
    let said = answer.unwrap_err();
    assert!(said.contains(words), "{said}");
}

fn rule(verbs: &[&str], group: &str, resources: &[&str]) -> Value {
    json!({"verbs": verbs, "apiGroups": [group], "resources": resources})
}

fn project(spec: Value) -> Value {
    json!({"metadata": {"name": "shop"}, "spec": spec})
}

#[tokio::test]
async fn who_writes_projects_makes_no_members_beyond_himself() {
    let bed = Bed::new().await;
    let projects = rule(&["get", "create", "patch", "update"], "hades.dev", &["hadesprojects"]);
    let clerk = bed.holder("clerk", json!([projects])).await;
    let plain = project(json!({"displayName": "Shop"}));
    bed.make::<HadesProject>(&clerk, None, plain).await.unwrap();
    for role in ["viewer", "deployer", "admin"] {
        let of = |user| project(json!({"members": [{"user": user, "role": role}]}));
        let answer = bed.make::<HadesProject>(&clerk, None, of("clerk")).await;
        refused(answer, "spec.members[0].role: Forbidden: user \"clerk\" may not make anybody");
        bed.make::<HadesProject>(&bed.client, None, of("vera")).await.unwrap();
        // What was lent already may stay, and may go.
        let renamed = project(json!({
            "displayName": "The shop", "members": [{"user": "vera", "role": role}],
        }));
        bed.make::<HadesProject>(&clerk, None, renamed).await.unwrap();
        let more = project(json!({"members": [
            {"user": "vera", "role": role}, {"user": "clerk", "role": role, "environments": ["a"]},
        ]}));
        refused(bed.make::<HadesProject>(&clerk, None, more).await, "spec.members[1].role");
        bed.make::<HadesProject>(&clerk, None, project(json!({}))).await.unwrap();
    }
    // Who may bind the role, or has all of it, may.
    let mut bind = rule(&["bind"], "rbac.authorization.k8s.io", &["clusterroles"]);
    bind["resourceNames"] = json!(["hades:viewer"]);
    let projects = rule(&["get", "create", "patch"], "hades.dev", &["hadesprojects"]);
    let binder = bed.holder("binder", json!([projects, bind])).await;
    let viewer = project(json!({"members": [{"user": "x", "role": "viewer"}]}));
    bed.make::<HadesProject>(&binder, None, viewer.clone()).await.unwrap();
    let deployer = project(json!({"members": [{"user": "x", "role": "deployer"}]}));
    refused(bed.make::<HadesProject>(&binder, None, deployer).await, "spec.members[0].role");
    let projects = rule(&["get", "create", "patch"], "hades.dev", &["hadesprojects"]);
    let ada = bed.holder("ada", json!([projects])).await;
    let admin = project(json!({"members": [{"user": "x", "role": "admin"}]}));
    bed.make::<HadesProject>(&ada, None, admin).await.unwrap();
}

#[tokio::test]
async fn repositories_are_made_by_those_who_may_lend_their_role() {
    let bed = Bed::new().await;
    let repository = |url: &str| json!({"metadata": {"name": "config"}, "spec": {"url": url}});
    let (one, other) = ("https://git.example.com/one", "https://git.example.com/other");
    let writes = rule(&["get", "create", "patch"], "hades.dev", &["configrepositories"]);
    let clerk = bed.holder("clerk", json!([writes])).await;
    let (ada, dora) = (bed.client_of("ada"), bed.client_of("dora"));
    let make = |by: Client, namespace, object| {
        let bed = &bed;
        async move { bed.make::<ConfigRepository>(&by, namespace, object).await }
    };
    let answer = make(clerk.clone(), SHOP, repository(one)).await;
    refused(answer, "spec: Forbidden: user \"clerk\" may not decide what a repository");
    refused(make(dora, SHOP, repository(one)).await, "cannot patch resource");
    make(ada.clone(), SHOP, repository(one)).await.unwrap();
    refused(make(ada, SYSTEM, repository(one)).await, "cannot patch resource");
    refused(make(clerk.clone(), SYSTEM, repository(one)).await, "hades:fleet-repository");
    make(bed.client.clone(), SYSTEM, repository(one)).await.unwrap();
    for namespace in [SHOP, SYSTEM] {
        refused(make(clerk.clone(), namespace, repository(other)).await, "spec: Forbidden");
        let mut held = repository(one);
        held["spec"]["suspend"] = json!(true);
        held["metadata"]["annotations"] = json!({annotation::RECONCILE_REQUESTED_AT: "now"});
        make(clerk.clone(), namespace, held).await.unwrap();
    }
}

#[tokio::test]
async fn who_owns_an_object_is_nothing_to_make_up() {
    let bed = Bed::new().await;
    for (namespace, name) in [(SHOP, "config"), (SYSTEM, "fleet")] {
        let spec = json!({"url": "https://git.example.com/x"});
        let object = json!({"metadata": {"name": name}, "spec": spec});
        bed.make::<ConfigRepository>(&bed.client, namespace, object).await.unwrap();
    }
    let object = |owner: Option<&str>| {
        let labels = owner.map(|owner| json!({label::CONFIG_REPOSITORY: owner}));
        json!({"metadata": {"name": "m", "labels": labels.unwrap_or(json!({}))}})
    };
    let (ada, dora) = (bed.client_of("ada"), bed.client_of("dora"));
    let make = |by: &Client, owner| {
        let (by, bed) = (by.clone(), &bed);
        async move { bed.make::<ConfigMap>(&by, SHOP, object(owner)).await }
    };
    let label = "metadata.labels[hades.dev/config-repository]: Forbidden";
    make(&dora, None).await.unwrap();
    for owner in ["shop.config", "hades-system.fleet", "hades-system.to-come"] {
        refused(make(&dora, Some(owner)).await, label);
    }
    make(&ada, Some("shop.config")).await.unwrap();
    refused(make(&ada, Some("hades-system.fleet")).await, label);
    refused(make(&dora, None).await, label);
    make(&dora, Some("shop.config")).await.unwrap();
    make(&bed.client, Some("hades-system.fleet")).await.unwrap();
    refused(make(&ada, None).await, label);
    refused(make(&ada, Some("shop.config")).await, label);
    // Itself it may, and of one that is gone nothing is left to protect.
    let binding = json!({
        "metadata": {"name": "account"}, "roleRef": role::cluster_role_ref("hades:deployer"),
        "subjects": [role::service_account("hades-system", "config-fleet")],
    });
    bed.make::<RoleBinding>(&bed.client, SHOP, binding).await.unwrap();
    let fleet = bed.client_of("system:serviceaccount:hades-system:config-fleet");
    make(&fleet, None).await.unwrap();
    make(&fleet, Some("hades-system.fleet")).await.unwrap();
    let repositories: Api<ConfigRepository> = Api::namespaced(bed.client.clone(), "hades-system");
    repositories.delete("fleet", &Default::default()).await.unwrap();
    make(&dora, None).await.unwrap();
}

#[tokio::test]
async fn data_goes_by_the_word_of_those_who_may_delete_it() {
    let bed = Bed::new().await;
    let object = |policy: &str| json!({"metadata": {"name": "e"}, "spec": {"volumes": {"data": {"deletionPolicy": policy}}}});
    let (ada, dora) = (bed.client_of("ada"), bed.client_of("dora"));
    let words = "spec.volumes.data.deletionPolicy: Forbidden";
    refused(bed.make::<Environment>(&dora, SHOP, object("Delete")).await, words);
    refused(bed.make::<EnvironmentTemplate>(&dora, SHOP, object("Delete")).await, words);
    bed.make::<Environment>(&dora, SHOP, object("Retain")).await.unwrap();
    refused(bed.make::<Environment>(&dora, SHOP, object("Delete")).await, words);
    bed.make::<Environment>(&ada, SHOP, object("Delete")).await.unwrap();
    bed.make::<EnvironmentTemplate>(&ada, SHOP, object("Delete")).await.unwrap();
    // Who doesn't change it may change the rest.
    let mut rest = object("Delete");
    rest["spec"]["suspend"] = json!(true);
    bed.make::<Environment>(&dora, SHOP, rest).await.unwrap();
    bed.make::<Environment>(&dora, SHOP, object("Retain")).await.unwrap();
    let environments: Api<Environment> = Api::namespaced(dora, "shop");
    let made = environments.get("e").await.unwrap();
    let mut replaced = made.clone();
    replaced.spec.volumes.values_mut().for_each(|volume| {
        volume.deletion_policy = Some(hades_api::DeletionPolicy::Delete);
    });
    let answer = environments.replace("e", &PostParams::default(), &replaced).await;
    refused(answer.map_err(|error| error.to_string()), words);
}

#[tokio::test]
async fn a_template_is_no_detour_to_the_deletion_of_data() {
    let bed = Bed::new().await;
    let template = |name: &str, policy: &str| {
        json!({
            "metadata": {"name": name},
            "spec": {"volumes": {"data": {"deletionPolicy": policy}}},
        })
    };
    for (name, policy) in [("keeps", "Retain"), ("deletes", "Delete")] {
        let made = bed.make::<EnvironmentTemplate>(&bed.client, SHOP, template(name, policy)).await;
        made.unwrap();
    }
    let environment = |template: &str, volumes: Value| {
        let spec = json!({"templateRef": {"name": template}, "volumes": volumes});
        json!({"metadata": {"name": "e"}, "spec": spec})
    };
    let (ada, dora) = (bed.client_of("ada"), bed.client_of("dora"));
    let words = "spec.templateRef.name: Forbidden";
    let retain = json!({"data": {"deletionPolicy": "Retain"}});
    let make = async |by: &Client, template: &str, volumes: &Value| {
        bed.make::<Environment>(by, SHOP, environment(template, volumes.clone())).await
    };
    refused(make(&dora, "deletes", &json!({})).await, words);
    make(&dora, "keeps", &json!({})).await.unwrap();
    refused(make(&dora, "deletes", &json!({})).await, words);
    // It says itself that its data stays, until it doesn't.
    make(&dora, "deletes", &retain).await.unwrap();
    refused(make(&dora, "deletes", &json!({})).await, words);
    make(&ada, "deletes", &json!({})).await.unwrap();
    make(&dora, "deletes", &json!({"other": {}})).await.unwrap();
    make(&dora, "to-come", &json!({})).await.unwrap();
}

#[tokio::test]
async fn what_runs_is_given_up_by_those_who_decide_about_quotas() {
    let bed = Bed::new().await;
    let environments = |by: &Client| Api::<Environment>::namespaced(by.clone(), "shop");
    let object = json!({"metadata": {"name": "e", "finalizers": [annotation::FINALIZER]}});
    let object = bed.make::<Environment>(&bed.client, SHOP, with_spec(object)).await.unwrap();
    let policy = rule(&["update"], "hades.dev", &["hadesprojects/policy"]);
    let writes = rule(&["get", "patch", "update", "create"], "hades.dev", &["environments"]);
    let keeper = bed.holder("keeper", json!([policy, writes])).await;
    let merge = async |by: &Client, metadata: Value| {
        let patch = Patch::Merge(json!({"metadata": metadata}));
        let patched = environments(by).patch("e", &PatchParams::default(), &patch).await;
        patched.map_err(|error| error.to_string())
    };
    let abandon = json!({"annotations": {annotation::ABANDON: "true"}});
    let (ada, dora) = (bed.client_of("ada"), bed.client_of("dora"));
    for by in [&ada, &dora] {
        let words = "metadata.annotations[hades.dev/abandon]: Forbidden";
        refused(merge(by, abandon.clone()).await, words);
        let words = "metadata.finalizers: Forbidden";
        refused(merge(by, json!({"finalizers": null})).await, words);
        refused(merge(by, json!({"finalizers": ["example.com/other"]})).await, words);
        let both = json!({"finalizers": [annotation::FINALIZER, "example.com/other"]});
        merge(by, both).await.unwrap();
        merge(by, json!({"finalizers": [annotation::FINALIZER]})).await.unwrap();
        let mut fresh = object.clone();
        fresh.metadata = kube::api::ObjectMeta {
            name: Some("fresh".to_owned()),
            annotations: Some([(annotation::ABANDON.to_owned(), "true".to_owned())].into()),
            ..Default::default()
        };
        let made = environments(by).create(&PostParams::default(), &fresh).await;
        refused(made.map_err(|error| error.to_string()), "hades.dev/abandon");
    }
    merge(&keeper, abandon).await.unwrap();
    // Who finds it there may change the rest.
    merge(&dora, json!({"labels": {"a": "b"}})).await.unwrap();
    merge(&keeper, json!({"finalizers": null})).await.unwrap();
}

fn with_spec(mut object: Value) -> Value {
    object["spec"] = json!({"suspend": true});
    object
}
