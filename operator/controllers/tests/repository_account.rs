//! What a repository of the fleet may do, and what it hears when it may not.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use hades_api::{ConfigRepositoryStatus, condition};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use support::{Hades, Repository, eventually};

const PROJECT: &str = "
apiVersion: hades.dev/v1alpha1
kind: HadesProject
metadata: {name: blog}
spec:
  members:
    - {user: alice, role: deployer}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: blog}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: b, namespace: blog}
";

const EVERYTHING: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: everything}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: User, name: mallory}]
";

async fn follow(hades: &Hades, repository: &Repository) {
    hades
        .apply(json!({
            "apiVersion": "hades.dev/v1alpha1", "kind": "ConfigRepository",
            "metadata": {"name": "fleet", "namespace": "hades-system"},
            "spec": {"url": repository.url(), "interval": "100ms"},
        }))
        .await;
}

/// Waits until the commit was worked on and came to that reason.
async fn reason(hades: &Hades, commit: &str, reason: &str) -> (ConfigRepositoryStatus, String) {
    let repositories = hades.repositories("hades-system");
    eventually(reason, || async {
        let status = repositories.get("fleet").await.unwrap().status.unwrap_or_default();
        match condition::find(&status.conditions, condition::READY) {
            Some(ready)
                if ready.reason == reason && status.observed_commit.as_deref() == Some(commit) =>
            {
                Ok((status.clone(), ready.message.clone()))
            }
            _ => Err(status),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_repository_lends_roles_of_projects_and_no_more() {
    let hades = Hades::start().await;
    let repository = Repository::new(&[("project.yaml", PROJECT)]);
    let first = repository.git(&["rev-parse", "HEAD"]).trim().to_owned();
    follow(&hades, &repository).await;
    reason(&hades, &first, "Synced").await;
    let bindings: Api<RoleBinding> = Api::namespaced(hades.client.clone(), "blog");
    eventually("the member's binding", || async {
        bindings.get_opt("hades:deployer").await.unwrap().ok_or("none")
    })
    .await;
    let binding: Api<ClusterRoleBinding> = Api::all(hades.client.clone());
    let name = "hades:fleet-repository:fleet";
    let found = binding.get(name).await.unwrap();
    assert_eq!(found.role_ref.name, "hades:fleet-repository");
    let subject = &found.subjects.unwrap()[0];
    assert_eq!((subject.kind.as_str(), subject.name.as_str()), ("ServiceAccount", "config-fleet"));
    assert_eq!(subject.namespace.as_deref(), Some("hades-system"));

    let grasping = repository.commit(&[("everything.yaml", EVERYTHING)]);
    let (status, message) = reason(&hades, &grasping, "Forbidden").await;
    assert!(message.contains("everything.yaml:4:12: clusterrolebindings"), "{message}");
    assert!(message.contains("permissions not currently held"), "{message}");
    assert!(message.contains("--serviceaccount=hades-system:config-fleet"), "{message}");
    assert_eq!(status.synced_commit.as_deref(), Some(first.as_str()), "what was applied stays");
    assert_eq!(status.errors[0].file.as_deref(), Some("everything.yaml"));
    assert!(binding.get_opt("everything").await.unwrap().is_none());

    // The rights go with the repository.
    let repositories = hades.repositories("hades-system");
    repositories.delete("fleet", &DeleteParams::default()).await.unwrap();
    eventually("the binding and the repository to be gone", || async {
        let left = binding.get_opt(name).await.unwrap().is_some();
        let here = repositories.get_opt("fleet").await.unwrap().is_some();
        if left || here { Err((left, here)) } else { Ok(()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prune_that_is_refused_says_so_and_goes_on_when_it_may() {
    let hades = Hades::start().await;
    let repository = Repository::new(&[("project.yaml", PROJECT)]);
    let first = repository.git(&["rev-parse", "HEAD"]).trim().to_owned();
    follow(&hades, &repository).await;
    reason(&hades, &first, "Synced").await;
    let roles: Api<ClusterRole> = Api::all(hades.client.clone());
    let role = roles.get("hades:fleet-repository").await.unwrap();
    let rules = |verbs: Vec<&str>| {
        let all = json!({"verbs": verbs, "apiGroups": ["*"], "resources": ["*"]});
        Patch::Merge(json!({"rules": [all, role.rules.as_ref().unwrap()[1]]}))
    };
    let set = |rules: Patch<Value>| {
        let roles = roles.clone();
        async move {
            roles.patch("hades:fleet-repository", &PatchParams::default(), &rules).await.unwrap();
        }
    };
    set(rules(vec!["get", "list", "create", "patch"])).await;
    let without = PROJECT.replace("name: b,", "name: c,");
    let second = repository.commit(&[("project.yaml", &without)]);
    let (status, message) = reason(&hades, &second, "Forbidden").await;
    assert!(message.contains("ConfigMap blog/b"), "{message}");
    assert!(message.contains("cannot delete resource \"configmaps\""), "{message}");
    assert_eq!(status.inventory.len(), 4, "what can't be deleted isn't forgotten: {status:?}");
    let maps: Api<ConfigMap> = Api::namespaced(hades.client.clone(), "blog");
    assert!(maps.get_opt("b").await.unwrap().is_some());
    set(rules(vec!["get", "list", "create", "patch", "delete"])).await;
    let (status, _) = reason(&hades, &second, "Synced").await;
    assert_eq!(status.synced_commit.as_deref(), Some(second.as_str()));
    eventually("b to be gone", || async {
        match maps.get_opt("b").await.unwrap() {
            None => Ok(()),
            Some(found) => Err(found),
        }
    })
    .await;
}
