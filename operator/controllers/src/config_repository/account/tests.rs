//! A repository of a project against a real API server: what it may write there, and
//! nowhere else.

use std::sync::Arc;

use hades_api::{ConfigRepositorySpec, Environment, reason};
use hades_apiserver::{ApiServer, Identity, ServerConfig};
use hades_provider::fake::FakeConnect;
use hades_source::manifest::{Document, Limits, read_bytes};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use super::*;
use crate::Settings;
use crate::config_repository::check::check;
use crate::config_repository::kinds::Kinds;
use crate::config_repository::record::Problem;
use crate::config_repository::{ConfigRepositories, Desk};
use crate::driver::Reconciler;

struct Bed {
    context: Arc<Context>,
    /// As an administrator.
    client: Client,
    _dir: tempfile::TempDir,
}

impl Bed {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = ServerConfig::new(dir.path().join("data"), hades_api::schema::crds());
        config.first_objects = role::first_objects();
        let server = ApiServer::open(config).await.unwrap();
        let context = Context::new(Settings {
            client: server.client(Identity::controller("controllers")),
            connect: Arc::new(FakeConnect::new()),
            installation: "test".to_owned(),
            fingerprint: Arc::new(|_, value| value.to_owned()),
            secret_values: Arc::new(crate::NoValues),
            cache_dir: dir.path().join("repositories"),
            clock: Arc::new(Timestamp::now),
        });
        let bed = Self { context, client: server.client(Identity::administrator("a")), _dir: dir };
        for name in ["shop", "farm"] {
            let namespaces: Api<Namespace> = Api::all(bed.client.clone());
            let mut namespace = Namespace::default();
            namespace.metadata.name = Some(name.to_owned());
            namespaces.create(&PostParams::default(), &namespace).await.unwrap();
        }
        bed
    }

    /// Makes a ConfigRepository that nobody fetches.
    async fn repository(&self, namespace: &str, name: &str) -> ConfigRepository {
        let api: Api<ConfigRepository> = Api::namespaced(self.client.clone(), namespace);
        let spec = ConfigRepositorySpec::new("https://git.example.com/config");
        api.create(&PostParams::default(), &ConfigRepository::new(name, spec)).await.unwrap()
    }

    async fn bound(&self, repository: &ConfigRepository) -> Account {
        let account = Account::of(&self.context, repository);
        account.bind(&self.context, repository).await.unwrap();
        account
    }

    /// What the check of a manifest finds.
    async fn check(
        &self,
        repository: &ConfigRepository,
        account: &Account,
        manifests: &str,
    ) -> Result<usize, Problem> {
        let documents = documents(manifests);
        let (context, kinds) = (&*self.context, &Kinds::default());
        let desk = Desk { context, repository, account, kinds };
        check(&desk, &documents).await.unwrap().map(|objects| objects.len())
    }
}

fn documents(manifests: &str) -> Vec<Document> {
    let set = read_bytes("a.yaml", manifests.as_bytes(), &Limits::default()).unwrap();
    assert!(set.errors.is_empty(), "{:?}", set.errors);
    set.documents
}

const OWN: &str = "
apiVersion: hades.dev/v1alpha1
kind: Environment
metadata: {name: production}
spec: {}
---
apiVersion: v1
kind: Secret
metadata: {name: s}
stringData: {a: b}
---
apiVersion: hades.dev/v1alpha1
kind: ConfigRepository
metadata: {name: more}
spec: {url: 'https://git.example.com/more'}
";

const GRANT: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: mine}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: 'hades:admin'}
subjects: [{kind: User, name: mallory}]
";

fn bindings(client: &Client, namespace: &str) -> Api<RoleBinding> {
    Api::namespaced(client.clone(), namespace)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projects_repository_may_what_its_role_says() {
    let bed = Bed::new().await;
    let repository = bed.repository("shop", "config").await;
    let account = bed.bound(&repository).await;
    assert_eq!(bed.check(&repository, &account, OWN).await, Ok(3));
    let problem = bed.check(&repository, &account, GRANT).await.unwrap_err();
    assert_eq!(problem.reason, reason::FORBIDDEN, "{problem:?}");
    let said = &problem.message;
    assert!(said.contains("a.yaml:4:12: rolebindings"), "{said}");
    assert!(said.contains("\"system:serviceaccount:shop:config-config\" cannot"), "{said}");
    assert!(said.contains("kubectl -n shop create rolebinding"), "{said}");
    assert!(said.contains("--serviceaccount=shop:config-config"), "{said}");
    // An admin may let it do more.
    let binding: RoleBinding = serde_json::from_value(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "more"},
        "roleRef": {"apiGroup": role::RBAC_GROUP, "kind": "ClusterRole", "name": "hades:admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "config-config", "namespace": "shop"}],
    }))
    .unwrap();
    bindings(&bed.client, "shop").create(&PostParams::default(), &binding).await.unwrap();
    assert_eq!(bed.check(&repository, &account, GRANT).await, Ok(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rbac_holds_a_projects_repository_in_its_project() {
    let bed = Bed::new().await;
    let repository = bed.repository("shop", "config").await;
    let account = bed.bound(&repository).await;
    // Past the check that says so with the line, the server says it again.
    let elsewhere: Api<Environment> = Api::namespaced(account.client.clone(), "farm");
    let object = json!({"apiVersion": "hades.dev/v1alpha1", "kind": "Environment",
        "metadata": {"name": "e", "namespace": "farm"}, "spec": {}});
    let parameters = PatchParams::apply("x").force();
    let answers = [
        elsewhere.patch("e", &parameters, &Patch::Apply(&object)).await.map(|_| ()),
        elsewhere.get("e").await.map(|_| ()),
        elsewhere.delete("e", &DeleteParams::default()).await.map(|_| ()),
        Api::<Namespace>::all(account.client.clone())
            .list(&ListParams::default())
            .await
            .map(|_| ()),
        bindings(&account.client, "shop").list(&ListParams::default()).await.map(|_| ()),
        Api::<ConfigMap>::namespaced(account.client.clone(), "hades-system")
            .list(&ListParams::default())
            .await
            .map(|_| ()),
    ];
    for answer in answers {
        match answer {
            Err(kube::Error::Api(status)) => {
                assert!(account.lacks_right(&status), "{status:?}");
            }
            answer => panic!("{answer:?}"),
        }
    }
    let named = OWN.replace("{name: production}", "{name: production, namespace: farm}");
    let problem = bed.check(&repository, &account, &named).await.unwrap_err();
    assert_eq!(problem.reason, reason::INVALID_MANIFESTS);
    assert!(problem.message.contains("may not write to project farm"), "{problem:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_binding_is_kept_and_goes_with_the_repository() {
    let bed = Bed::new().await;
    let repository = bed.repository("shop", "config").await;
    let account = Account::of(&bed.context, &repository);
    assert!(account.bind(&bed.context, &repository).await.unwrap());
    assert!(!account.bind(&bed.context, &repository).await.unwrap(), "it is as it should be");
    let api = bindings(&bed.client, "shop");
    let name = "hades:config-repository:config";
    let edit = Patch::Merge(json!({"subjects": [{"kind": "User", "name": "mallory"}]}));
    api.patch(name, &PatchParams::default(), &edit).await.unwrap();
    assert!(account.bind(&bed.context, &repository).await.unwrap());
    let found = api.get(name).await.unwrap();
    assert_eq!(found.subjects.unwrap()[0].name, "config-config");
    assert_eq!(found.metadata.owner_references.unwrap()[0].name, "config");
    let repositories: Api<ConfigRepository> = Api::namespaced(bed.client.clone(), "shop");
    repositories.delete("config", &DeleteParams::default()).await.unwrap();
    while api.get_opt(name).await.unwrap().is_some() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_that_nobody_could_have_written_keep_nothing_from_git() {
    let bed = Bed::new().await;
    let repository = bed.repository("shop", "config").await;
    bed.repository("farm", "foreign").await;
    bed.repository("shop", "sibling").await;
    bed.repository(SYSTEM_NAMESPACE, "fleet").await;
    let account = bed.bound(&repository).await;
    let environments: Api<Environment> = Api::namespaced(bed.client.clone(), "shop");
    for (label, owner) in [
        ("farm.foreign", None),
        ("hades-system.none", None),
        ("nonsense", None),
        ("shop.sibling", Some("shop/sibling")),
        ("hades-system.fleet", Some("hades-system/fleet")),
    ] {
        let object = json!({"apiVersion": "hades.dev/v1alpha1", "kind": "Environment",
            "metadata": {"name": "production", "labels": {label::CONFIG_REPOSITORY: label}},
            "spec": {}});
        let parameters = PatchParams::apply("somebody").force();
        environments.patch("production", &parameters, &Patch::Apply(&object)).await.unwrap();
        let found = bed.check(&repository, &account, OWN).await;
        match owner {
            None => assert_eq!(found, Ok(3), "{label}"),
            Some(owner) => {
                let problem = found.unwrap_err();
                assert_eq!(problem.reason, reason::OWNERSHIP_CONFLICT, "{label}");
                assert!(problem.message.contains(owner), "{problem:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_agrees_to_nothing() {
    let bed = Bed::new().await;
    let repository = bed.repository("shop", "config").await;
    let account = bed.bound(&repository).await;
    let agreeing = OWN
        .replace("{name: more}", "{name: more, annotations: {hades.dev/confirm-prune: '0123456'}}");
    let problem = bed.check(&repository, &account, &agreeing).await.unwrap_err();
    assert_eq!(problem.reason, reason::INVALID_MANIFESTS);
    assert!(problem.message.contains("a commit would agree to itself"), "{problem:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_for_a_sync_is_an_annotation() {
    let bed = Bed::new().await;
    bed.repository("shop", "config").await;
    let asked = crate::config_repository::request_sync(&bed.context, "shop", "config").await;
    let asked = asked.unwrap().unwrap();
    let api = ConfigRepositories::api(&bed.client, Some("shop"));
    let found = api.get("config").await.unwrap();
    assert_eq!(found.annotations()[hades_api::annotation::RECONCILE_REQUESTED_AT], asked);
    let none = crate::config_repository::request_sync(&bed.context, "shop", "none").await;
    assert_eq!(none.unwrap(), None);
}
