//! Members of a project: what they may do, through the API.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use hades_api::{Environment, HadesProject, condition, label};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, Role, RoleBinding};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use support::{Hades, eventually, is_true};

/// A project `farm`, so that it gets a namespace of its own.
async fn project(hades: &Hades, members: Value) {
    hades
        .apply(json!({
            "apiVersion": "hades.dev/v1alpha1", "kind": "HadesProject",
            "metadata": {"name": "farm"}, "spec": {"members": members},
        }))
        .await;
    let projects: Api<HadesProject> = Api::all(hades.client.clone());
    eventually("the project to be ready", || async {
        let found = projects.get("farm").await.unwrap();
        let status = found.status.clone().unwrap_or_default();
        let current = status.observed_generation == found.metadata.generation;
        let ready = current && is_true(&status.conditions, condition::READY);
        if ready { Ok(()) } else { Err(status) }
    })
    .await;
}

fn bindings(hades: &Hades) -> Api<RoleBinding> {
    Api::namespaced(hades.client.clone(), "farm")
}

fn environment(name: &str) -> Value {
    json!({
        "apiVersion": "hades.dev/v1alpha1", "kind": "Environment",
        "metadata": {"name": name, "namespace": "farm"}, "spec": {"suspend": true},
    })
}

fn environments(client: &Client) -> Api<Environment> {
    Api::namespaced(client.clone(), "farm")
}

/// 0 for what was allowed.
fn code<T>(answer: Result<T, kube::Error>) -> u16 {
    match answer {
        Ok(_) => 0,
        Err(kube::Error::Api(status)) => status.code,
        Err(error) => panic!("{error}"),
    }
}

async fn patch(client: &Client, name: &str) -> u16 {
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"touched": "yes"}}}));
    code(environments(client).patch(name, &PatchParams::default(), &patch).await)
}

async fn list(client: &Client) -> u16 {
    code(environments(client).list(&ListParams::default()).await)
}

async fn read_project(client: &Client) -> u16 {
    code(Api::<HadesProject>::all(client.clone()).get("farm").await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_have_the_rights_of_their_role_and_lose_them_with_it() {
    let hades = Hades::start().await;
    project(
        &hades,
        json!([
            {"user": "vera", "role": "viewer"},
            {"group": "deployers", "role": "deployer"},
            {"user": "ada", "role": "admin"},
            {"serviceAccount": "ci", "role": "deployer"},
        ]),
    )
    .await;
    hades.apply(environment("staging")).await;
    let vera = hades.client_of("vera", &[]);
    let dora = hades.client_of("dora", &["deployers"]);
    let ada = hades.client_of("ada", &[]);
    let robot = hades.client_of("system:serviceaccount:farm:ci", &[]);
    let stranger = hades.client_of("mallory", &[]);
    for (who, client, reads, changes, deletes) in [
        ("vera", &vera, 0, 403, 403),
        ("dora", &dora, 0, 0, 403),
        ("robot", &robot, 0, 0, 403),
        ("ada", &ada, 0, 0, 0),
        ("mallory", &stranger, 403, 403, 403),
    ] {
        assert_eq!(list(client).await, reads, "{who} lists");
        assert_eq!(read_project(client).await, reads, "{who} reads the project");
        assert_eq!(patch(client, "staging").await, changes, "{who} changes");
        let try_out = DeleteParams { dry_run: true, ..DeleteParams::default() };
        let deleted = code(environments(client).delete("staging", &try_out).await);
        assert_eq!(deleted, deletes, "{who} deletes");
        let other: Api<Environment> = Api::namespaced(client.clone(), "shop");
        assert_eq!(code(other.list(&ListParams::default()).await), 403, "{who} elsewhere");
        let everywhere: Api<Environment> = Api::all(client.clone());
        assert_eq!(code(everywhere.list(&ListParams::default()).await), 403, "{who} everywhere");
        let secrets: Api<Secret> = Api::namespaced(client.clone(), "farm");
        let expected = if who == "vera" { 403 } else { reads };
        assert_eq!(code(secrets.list(&ListParams::default()).await), expected, "{who} secrets");
        let projects: Api<HadesProject> = Api::all(client.clone());
        let rename = Patch::Merge(json!({"spec": {"displayName": "Mine"}}));
        let renamed = projects.patch("farm", &PatchParams::default(), &rename).await;
        assert_eq!(code(renamed), 403, "{who} writes the project");
    }
    // The role is taken with the next change of the project.
    project(&hades, json!([{"user": "ada", "role": "viewer"}])).await;
    for (who, client) in [("vera", &vera), ("dora", &dora), ("robot", &robot)] {
        assert_eq!(list(client).await, 403, "{who} is a member no more");
        assert_eq!(read_project(client).await, 403, "{who} is a member no more");
    }
    assert_eq!((list(&ada).await, patch(&ada, "staging").await), (0, 403));
    let status = Api::<HadesProject>::all(hades.client.clone()).get("farm").await.unwrap().status;
    assert_eq!(status.unwrap().members, Some(1));
    project(&hades, json!([])).await;
    assert_eq!(list(&ada).await, 403);
    let readers: Api<ClusterRoleBinding> = Api::all(hades.client.clone());
    assert!(readers.get_opt("hades:project:farm").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_of_some_environments_reaches_these_only() {
    let hades = Hades::start().await;
    let junior = json!({"user": "junior", "role": "deployer", "environments": ["staging"]});
    project(&hades, json!([junior])).await;
    for name in ["staging", "production"] {
        hades.apply(environment(name)).await;
    }
    let junior = hades.client_of("junior", &[]);
    assert_eq!((patch(&junior, "staging").await, patch(&junior, "production").await), (0, 403));
    assert_eq!(code(environments(&junior).get("production").await), 403);
    assert_eq!(list(&junior).await, 403);
    let picked = ListParams::default().fields("metadata.name=staging");
    assert_eq!(environments(&junior).list(&picked).await.unwrap().items.len(), 1);
    assert_eq!(read_project(&junior).await, 0);
    let made = serde_json::from_value(environment("own")).unwrap();
    assert_eq!(code(environments(&junior).create(&PostParams::default(), &made).await), 403);
    let gone = environments(&junior).delete("staging", &DeleteParams::default()).await;
    assert_eq!(code(gone), 403);
    let secrets: Api<Secret> = Api::namespaced(junior.clone(), "farm");
    assert_eq!(code(secrets.list(&ListParams::default()).await), 403);
    let roles: Api<Role> = Api::namespaced(hades.client.clone(), "farm");
    assert_eq!(roles.list(&ListParams::default()).await.unwrap().items.len(), 1);
    // Another set of environments is another role, and the first one goes.
    let both =
        json!({"user": "junior", "role": "viewer", "environments": ["production", "staging"]});
    project(&hades, json!([both])).await;
    assert_eq!(code(environments(&junior).get("production").await), 0);
    assert_eq!(patch(&junior, "staging").await, 403);
    let left = roles.list(&ListParams::default()).await.unwrap().items;
    assert_eq!(left.len(), 1);
    assert!(left[0].name_any().starts_with("hades:viewer:"), "{}", left[0].name_any());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_of_the_bindings_are_mended_and_those_of_others_left_alone() {
    let hades = Hades::start().await;
    let members = json!([{"user": "ada", "role": "admin"}, {"user": "vera", "role": "viewer"}]);
    project(&hades, members).await;
    let bindings = bindings(&hades);
    let ada: Api<RoleBinding> = Api::namespaced(hades.client_of("ada", &[]), "farm");
    let guest = hades.client_of("guest", &[]);
    // An admin adds a member by a binding of his own …
    let own = |name: &str, role: &str, user: &str| -> RoleBinding {
        serde_json::from_value(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "User", "name": user}],
        }))
        .unwrap()
    };
    let made = ada.create(&PostParams::default(), &own("guests", "hades:viewer", "guest")).await;
    assert_eq!(code(made), 0);
    assert_eq!(list(&guest).await, 0);
    eventually("the guest to see the project", || async {
        match read_project(&guest).await {
            0 => Ok(()),
            code => Err(code),
        }
    })
    .await;
    // … and can't lend what he doesn't have.
    for role in ["cluster-admin", "hades:fleet-repository", "hades:operator"] {
        let made = ada.create(&PostParams::default(), &own("more", role, "guest")).await;
        assert!(matches!(code(made), 403 | 404), "{role}");
    }
    // The controller's own bindings are as the project says, whoever edits them.
    let mallory = hades.client_of("mallory", &[]);
    let add = Patch::Merge(json!({"subjects": [{"kind": "User", "name": "mallory"}]}));
    ada.patch("hades:viewer", &PatchParams::default(), &add).await.unwrap();
    eventually("the binding to be mended", || async {
        let found = bindings.get("hades:viewer").await.unwrap();
        let names: Vec<_> =
            found.subjects.into_iter().flatten().map(|subject| subject.name).collect();
        if names == ["vera"] { Ok(()) } else { Err(names) }
    })
    .await;
    assert_eq!(list(&mallory).await, 403);
    ada.delete("hades:viewer", &DeleteParams::default()).await.unwrap();
    eventually("the binding to be back", || async {
        bindings.get_opt("hades:viewer").await.unwrap().map(|_| ()).ok_or("gone")
    })
    .await;
    // One of that name to another role makes room.
    bindings.delete("hades:viewer", &DeleteParams::default()).await.unwrap();
    let _ = bindings.create(&PostParams::default(), &own("hades:viewer", "hades:admin", "x")).await;
    eventually("the binding to be of its role", || async {
        match bindings.get_opt("hades:viewer").await.unwrap() {
            Some(found) if found.role_ref.name == "hades:viewer" => Ok(()),
            found => Err(found),
        }
    })
    .await;
    let own = bindings.get("guests").await.unwrap();
    assert_eq!(own.subjects.unwrap()[0].name, "guest");
    assert!(!own.metadata.labels.unwrap_or_default().contains_key(label::MEMBERS_OF));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_without_its_namespace_lends_nothing() {
    let hades = Hades::start().await;
    // `shop` was there before and isn't of a project.
    hades
        .apply(json!({
            "apiVersion": "hades.dev/v1alpha1", "kind": "HadesProject",
            "metadata": {"name": "shop"}, "spec": {"members": [{"user": "eve", "role": "admin"}]},
        }))
        .await;
    let projects: Api<HadesProject> = Api::all(hades.client.clone());
    let judged = |expected: Option<u32>| {
        let projects = projects.clone();
        async move {
            eventually("the project to be judged", || async {
                let status = projects.get("shop").await.unwrap().status.unwrap_or_default();
                if status.members == expected { Ok(()) } else { Err(status) }
            })
            .await;
        }
    };
    judged(Some(0)).await;
    let eve: Api<Environment> = Api::namespaced(hades.client_of("eve", &[]), "shop");
    assert_eq!(code(eve.list(&ListParams::default()).await), 403);
    // Handed over, it is the project's; taken away again, it isn't.
    let namespaces: Api<Namespace> = Api::all(hades.client.clone());
    let hand =
        |to: Value| Patch::Merge(json!({"metadata": {"labels": {label::OWNED_BY_PROJECT: to}}}));
    namespaces.patch("shop", &PatchParams::default(), &hand(json!("shop"))).await.unwrap();
    judged(Some(1)).await;
    assert_eq!(code(eve.list(&ListParams::default()).await), 0);
    namespaces.patch("shop", &PatchParams::default(), &hand(Value::Null)).await.unwrap();
    judged(Some(0)).await;
    assert_eq!(code(eve.list(&ListParams::default()).await), 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_project_lent_goes_with_it() {
    let hades = Hades::start().await;
    project(&hades, json!([{"user": "vera", "role": "viewer"}])).await;
    let projects: Api<HadesProject> = Api::all(hades.client.clone());
    projects.delete("farm", &DeleteParams::default()).await.unwrap();
    let readers: Api<ClusterRoleBinding> = Api::all(hades.client.clone());
    eventually("the reader's binding to be gone", || async {
        match readers.get_opt("hades:project:farm").await.unwrap() {
            None => Ok(()),
            Some(found) => Err(found),
        }
    })
    .await;
}
