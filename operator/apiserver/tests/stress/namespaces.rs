//! Namespaces that are deleted while clients go on creating in them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::wait::conditions;
use kube::{Client, ResourceExt};
use serde_json::json;

use crate::run::{Run, Tasks, repeat, wait_for};
use crate::support::{Barn, barn};

const NAMESPACE: &str = "crowded";
const FINALIZER: &str = "farm.example/hold";
const CREATORS: u64 = 3;

async fn make(client: &Client) -> Namespace {
    let metadata = ObjectMeta { name: Some(NAMESPACE.to_owned()), ..ObjectMeta::default() };
    let namespace = Namespace { metadata, ..Namespace::default() };
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap()
}

/// Creates until it is refused because the namespace is going or gone.
async fn create(run: Arc<Run>, client: Client, who: u64, made: Arc<AtomicU64>) {
    let barns: Api<Barn> = Api::namespaced(client.clone(), NAMESPACE);
    let maps: Api<ConfigMap> = Api::namespaced(client, NAMESPACE);
    for index in 0.. {
        run.note(&format!("creator {who}"), format!("creates {index}"));
        let name = format!("o-{who}-{index}");
        let params = PostParams::default();
        let outcome = if run.below(3) == 0 {
            let mut object = barn(&name, 1);
            object.metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
            barns.create(&params, &object).await.map(drop)
        } else {
            let metadata = ObjectMeta { name: Some(name), ..ObjectMeta::default() };
            let map = ConfigMap { metadata, ..ConfigMap::default() };
            maps.create(&params, &map).await.map(drop)
        };
        match outcome {
            Ok(()) => drop(made.fetch_add(1, Ordering::SeqCst)),
            Err(kube::Error::Api(status)) => {
                let expected = status.code == 403
                    && status.message.contains("because it is being terminated")
                    || status.code == 404 && status.message.contains("namespaces");
                assert!(expected, "{status:?}");
                run.note(&format!("creator {who}"), "refused, done");
                return;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Releases the barns that wait for their finalizer.
async fn release(run: Arc<Run>, client: Client) {
    let barns: Api<Barn> = Api::namespaced(client, NAMESPACE);
    loop {
        for barn in barns.list(&ListParams::default()).await.unwrap().items {
            if barn.metadata.deletion_timestamp.is_some() {
                let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
                // It may be gone by now.
                drop(barns.patch(&barn.name_any(), &PatchParams::default(), &patch).await);
            }
        }
        run.dawdle(3).await;
    }
}

async fn life(run: Arc<Run>) {
    let server = run.server().await;
    let client = server.controller();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let mut helpers = Tasks::default();
    helpers.spawn(release(Arc::clone(&run), client.clone()));
    for round in 0..2 {
        let namespace = make(&client).await;
        let made = Arc::new(AtomicU64::new(0));
        let mut creators = Tasks::default();
        for who in 0..CREATORS {
            creators.spawn(create(Arc::clone(&run), client.clone(), who, Arc::clone(&made)));
        }
        let wanted = run.below(25);
        let enough = || async {
            let made = made.load(Ordering::SeqCst);
            (made < wanted).then(|| format!("{made} of {wanted} objects"))
        };
        run.until("enough is created", enough).await;
        run.note("main", format!("deletes the namespace of round {round}"));
        namespaces.delete(NAMESPACE, &DeleteParams::default()).await.unwrap();
        creators.join().await;
        let uid = namespace.uid().unwrap();
        run.note("main", "waits for the namespace to go");
        wait_for(namespaces.clone(), NAMESPACE, || conditions::is_deleted(&uid)).await;
        // Nothing of it is left behind, not even for its successor.
        for path in ["/api/v1/configmaps", "/apis/farm.example/v1/barns"] {
            let (_, list) = server.raw("GET", path, serde_json::Value::Null).await;
            assert_eq!(list["items"], json!([]), "{path} in round {round}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_takes_everything_along_while_clients_go_on() {
    repeat("namespaces", 50, life).await;
}
