//! Deletion: policies, owners, preconditions.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::{Server, eventually};

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const BARNS: &str = "/apis/farm.example/v1/namespaces/default/barns";
const FARMS: &str = "/apis/farm.example/v1/farms";

fn config_map(name: &str, owners: Value, finalizers: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
        "name": name, "ownerReferences": owners, "finalizers": finalizers}})
}

fn farm_kind(kind: &str, name: &str, owners: Value) -> Value {
    json!({"apiVersion": "farm.example/v1", "kind": kind, "spec": {"cows": 1},
        "metadata": {"name": name, "ownerReferences": owners}})
}

/// A reference to a created object.
fn owner(object: &Value, blocks: bool) -> Value {
    json!({"apiVersion": object["apiVersion"], "kind": object["kind"],
        "name": object["metadata"]["name"], "uid": object["metadata"]["uid"],
        "blockOwnerDeletion": blocks})
}

impl Server {
    async fn made(&self, path: &str, object: Value) -> Value {
        let (code, answer) = self.raw("POST", path, object).await;
        assert_eq!(code, 201, "{answer}");
        answer
    }

    async fn is_there(&self, path: &str) -> bool {
        self.raw("GET", path, Value::Null).await.0 == 200
    }

    async fn gone(&self, path: &str) {
        eventually(&format!("{path} goes"), || async { !self.is_there(path).await }).await;
    }

    async fn terminating(&self, path: &str) {
        eventually(&format!("{path} is marked"), || async {
            let (_, object) = self.raw("GET", path, Value::Null).await;
            object["metadata"]["deletionTimestamp"].is_string()
        })
        .await;
    }

    async fn release(&self, path: &str) {
        let headers = [("content-type", "application/merge-patch+json")];
        let patch = json!({"metadata": {"finalizers": null}}).to_string();
        let (code, answer) = self.raw_with("PATCH", path, &headers, patch.into_bytes()).await;
        assert_eq!(code, 200, "{answer}");
    }

    /// The garbage collector has seen everything up to now.
    async fn collected(&self) {
        let barn = self.made(BARNS, farm_kind("Barn", "probe", json!([]))).await;
        let map = config_map("probe", json!([owner(&barn, false)]), json!([]));
        self.made(CONFIG_MAPS, map).await;
        self.raw("DELETE", &format!("{BARNS}/probe"), Value::Null).await;
        self.gone(&format!("{CONFIG_MAPS}/probe")).await;
    }
}

fn path(collection: &str, name: &str) -> String {
    format!("{collection}/{name}")
}

#[tokio::test]
async fn in_the_foreground_an_owner_waits_for_those_that_block_it() {
    let server = Server::start().await;
    let barn = server.made(BARNS, farm_kind("Barn", "b", json!([]))).await;
    let held = config_map("held", json!([owner(&barn, true)]), json!(["test.example/hold"]));
    server.made(CONFIG_MAPS, held).await;
    let free = config_map("free", json!([owner(&barn, true)]), json!([]));
    server.made(CONFIG_MAPS, free).await;
    let options = json!({"propagationPolicy": "Foreground", "gracePeriodSeconds": 0});
    let (code, answer) = server.raw("DELETE", &path(BARNS, "b"), options).await;
    assert_eq!(code, 200);
    assert_eq!(answer["metadata"]["finalizers"], json!(["foregroundDeletion"]), "{answer}");
    assert!(answer["metadata"]["deletionTimestamp"].is_string());
    server.gone(&path(CONFIG_MAPS, "free")).await;
    server.terminating(&path(CONFIG_MAPS, "held")).await;
    // What is half done goes on after a restart.
    let server = server.restart().await;
    server.collected().await;
    assert!(server.is_there(&path(BARNS, "b")).await, "it waits");
    server.release(&path(CONFIG_MAPS, "held")).await;
    server.gone(&path(CONFIG_MAPS, "held")).await;
    server.gone(&path(BARNS, "b")).await;
}

#[tokio::test]
async fn a_dependent_that_blocks_nobody_is_not_waited_for() {
    let server = Server::start().await;
    let barn = server.made(BARNS, farm_kind("Barn", "b", json!([]))).await;
    let held = config_map("held", json!([owner(&barn, false)]), json!(["test.example/hold"]));
    server.made(CONFIG_MAPS, held).await;
    let query = format!("{BARNS}/b?propagationPolicy=Foreground");
    server.raw("DELETE", &query, Value::Null).await;
    server.gone(&path(BARNS, "b")).await;
    server.terminating(&path(CONFIG_MAPS, "held")).await;
}

#[tokio::test]
async fn a_dependent_that_stops_blocking_lets_its_owner_go() {
    let server = Server::start().await;
    let barn = server.made(BARNS, farm_kind("Barn", "b", json!([]))).await;
    let held = config_map("held", json!([owner(&barn, true)]), json!(["test.example/hold"]));
    server.made(CONFIG_MAPS, held).await;
    server.raw("DELETE", &format!("{BARNS}/b?propagationPolicy=Foreground"), Value::Null).await;
    server.terminating(&path(CONFIG_MAPS, "held")).await;
    let headers = [("content-type", "application/merge-patch+json")];
    let patch = json!({"metadata": {"ownerReferences": null}}).to_string().into_bytes();
    server.raw_with("PATCH", &path(CONFIG_MAPS, "held"), &headers, patch).await;
    server.gone(&path(BARNS, "b")).await;
}

#[tokio::test]
async fn grandchildren_go_before_children_and_children_before_their_parent() {
    let server = Server::start().await;
    let farm = server.made(FARMS, farm_kind("Farm", "f", json!([]))).await;
    let barn = farm_kind("Barn", "b", json!([owner(&farm, true)]));
    let barn = server.made(BARNS, barn).await;
    let held = config_map("held", json!([owner(&barn, true)]), json!(["test.example/hold"]));
    server.made(CONFIG_MAPS, held).await;
    server.raw("DELETE", &format!("{FARMS}/f?propagationPolicy=Foreground"), Value::Null).await;
    server.terminating(&path(CONFIG_MAPS, "held")).await;
    assert!(server.is_there(&path(FARMS, "f")).await && server.is_there(&path(BARNS, "b")).await);
    server.release(&path(CONFIG_MAPS, "held")).await;
    server.gone(&path(BARNS, "b")).await;
    server.gone(&path(FARMS, "f")).await;
}

#[tokio::test]
async fn owners_in_a_circle_do_not_wait_for_each_other_for_ever() {
    let server = Server::start().await;
    let a = server.made(CONFIG_MAPS, config_map("a", json!([]), json!([]))).await;
    let b = config_map("b", json!([owner(&a, true)]), json!([]));
    let b = server.made(CONFIG_MAPS, b).await;
    let c = config_map("c", json!([owner(&b, true)]), json!([]));
    let c = server.made(CONFIG_MAPS, c).await;
    let headers = [("content-type", "application/merge-patch+json")];
    let patch = json!({"metadata": {"ownerReferences": [owner(&c, true)]}}).to_string();
    let (code, _) =
        server.raw_with("PATCH", &path(CONFIG_MAPS, "a"), &headers, patch.into_bytes()).await;
    assert_eq!(code, 200);
    let query = format!("{CONFIG_MAPS}/a?propagationPolicy=Foreground");
    server.raw("DELETE", &query, Value::Null).await;
    for name in ["a", "b", "c"] {
        server.gone(&path(CONFIG_MAPS, name)).await;
    }
}

#[tokio::test]
async fn an_owner_deleted_while_it_is_looked_at_takes_its_dependents_along() {
    let server = Server::start().await;
    let farm = server.made(FARMS, farm_kind("Farm", "f", json!([]))).await;
    let headers = [("content-type", "application/merge-patch+json")];
    let adopt = json!({"metadata": {"ownerReferences": [owner(&farm, false)]}}).to_string();
    for round in 0..200 {
        let name = format!("b{round}");
        let barn = server.made(BARNS, farm_kind("Barn", &name, json!([]))).await;
        let child = config_map(&name, json!([owner(&barn, true)]), json!([]));
        server.made(CONFIG_MAPS, child).await;
        // The new owner makes the collector look; the deletion comes meanwhile.
        let barn = path(BARNS, &name);
        server.raw_with("PATCH", &barn, &headers, adopt.clone().into_bytes()).await;
        let query = format!("{barn}?propagationPolicy=Foreground");
        server.raw("DELETE", &query, Value::Null).await;
        server.gone(&barn).await;
    }
}

#[tokio::test]
async fn an_object_may_own_itself() {
    let server = Server::start().await;
    let a = server.made(CONFIG_MAPS, config_map("a", json!([]), json!([]))).await;
    let headers = [("content-type", "application/merge-patch+json")];
    let patch = json!({"metadata": {"ownerReferences": [owner(&a, true)]}}).to_string();
    server.raw_with("PATCH", &path(CONFIG_MAPS, "a"), &headers, patch.into_bytes()).await;
    server
        .raw("DELETE", &format!("{CONFIG_MAPS}/a?propagationPolicy=Foreground"), Value::Null)
        .await;
    server.gone(&path(CONFIG_MAPS, "a")).await;
}

#[tokio::test]
async fn orphans_stay_without_the_reference() {
    let server = Server::start().await;
    let barn = server.made(BARNS, farm_kind("Barn", "b", json!([]))).await;
    let child = config_map("child", json!([owner(&barn, true)]), json!([]));
    server.made(CONFIG_MAPS, child).await;
    let query = format!("{BARNS}/b?propagationPolicy=Orphan");
    let (code, answer) = server.raw("DELETE", &query, Value::Null).await;
    assert_eq!((code, &answer["metadata"]["finalizers"]), (200, &json!(["orphan"])), "{answer}");
    server.gone(&path(BARNS, "b")).await;
    server.collected().await;
    let (code, child) = server.raw("GET", &path(CONFIG_MAPS, "child"), Value::Null).await;
    assert_eq!(code, 200);
    assert!(child["metadata"].get("ownerReferences").is_none(), "{child}");
}

#[tokio::test]
async fn a_second_deletion_may_change_the_policy() {
    let server = Server::start().await;
    let barn = server.made(BARNS, farm_kind("Barn", "b", json!([]))).await;
    let held = config_map("held", json!([owner(&barn, true)]), json!(["test.example/hold"]));
    server.made(CONFIG_MAPS, held).await;
    server.raw("DELETE", &format!("{BARNS}/b?propagationPolicy=Foreground"), Value::Null).await;
    server.terminating(&path(CONFIG_MAPS, "held")).await;
    // Without a policy the first one stands.
    let (_, answer) = server.raw("DELETE", &path(BARNS, "b"), Value::Null).await;
    assert_eq!(answer["metadata"]["finalizers"], json!(["foregroundDeletion"]), "{answer}");
    let query = format!("{BARNS}/b?propagationPolicy=Background");
    let (code, answer) = server.raw("DELETE", &query, Value::Null).await;
    assert_eq!((code, answer["status"].as_str()), (200, Some("Success")), "{answer}");
}

#[tokio::test]
async fn an_owner_must_be_where_its_dependent_is() {
    let server = Server::start().await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}});
    server.made("/api/v1/namespaces", namespace).await;
    let barn = server.made(BARNS, farm_kind("Barn", "b", json!([]))).await;
    let farm = server.made(FARMS, farm_kind("Farm", "f", json!([]))).await;
    let others = "/api/v1/namespaces/other/configmaps";
    let elsewhere = config_map("elsewhere", json!([owner(&barn, false)]), json!([]));
    server.made(others, elsewhere).await;
    server.gone(&path(others, "elsewhere")).await;
    let mut wrong_kind = owner(&barn, false);
    wrong_kind["kind"] = json!("ConfigMap");
    wrong_kind["apiVersion"] = json!("v1");
    server.made(CONFIG_MAPS, config_map("wrong-kind", json!([wrong_kind]), json!([]))).await;
    server.gone(&path(CONFIG_MAPS, "wrong-kind")).await;
    // A cluster-scoped owner is the same for every namespace.
    let of_farm = config_map("of-farm", json!([owner(&farm, false)]), json!([]));
    server.made(others, of_farm).await;
    // The owner of a cluster-scoped object can't live in a namespace.
    server.made(FARMS, farm_kind("Farm", "odd", json!([owner(&barn, false)]))).await;
    // Whatever either is called.
    let mut strange = owner(&barn, false);
    strange["uid"] = json!("Not A Name/of anything");
    let role =
        json!({"metadata": {"name": "Team:Odd ", "ownerReferences": [strange]}, "rules": []});
    server.made("/apis/rbac.authorization.k8s.io/v1/clusterroles", role).await;
    let mut unknown = owner(&barn, false);
    unknown["kind"] = json!("Windmill");
    server.made(CONFIG_MAPS, config_map("unknown", json!([unknown]), json!([]))).await;
    server.collected().await;
    assert!(server.is_there(&path(others, "of-farm")).await);
    assert!(server.is_there(&path(FARMS, "odd")).await);
    assert!(server.is_there(&path(CONFIG_MAPS, "unknown")).await, "not ours to judge");
    eventually("events tell of the odd references", || async {
        let (_, events) = server.raw("GET", "/api/v1/namespaces/default/events", Value::Null).await;
        let told = |name: &str| {
            events["items"].as_array().unwrap().iter().any(|event| {
                event["reason"] == "OwnerRefInvalidNamespace"
                    && event["involvedObject"]["name"] == name
            })
        };
        told("odd") && told("Team:Odd ")
    })
    .await;
    server.raw("DELETE", &path(FARMS, "f"), Value::Null).await;
    server.gone(&path(others, "of-farm")).await;
}

#[tokio::test]
async fn an_object_keeps_what_owners_it_has_left() {
    let server = Server::start().await;
    let one = server.made(BARNS, farm_kind("Barn", "one", json!([]))).await;
    let two = server.made(BARNS, farm_kind("Barn", "two", json!([]))).await;
    let child = config_map("child", json!([owner(&one, true), owner(&two, true)]), json!([]));
    server.made(CONFIG_MAPS, child).await;
    server.raw("DELETE", &format!("{BARNS}/one?propagationPolicy=Foreground"), Value::Null).await;
    server.gone(&path(BARNS, "one")).await;
    let (_, child) = server.raw("GET", &path(CONFIG_MAPS, "child"), Value::Null).await;
    assert_eq!(child["metadata"]["ownerReferences"][0]["name"], "two", "{child}");
    assert_eq!(child["metadata"]["ownerReferences"].as_array().unwrap().len(), 1);
    server.raw("DELETE", &path(BARNS, "two"), Value::Null).await;
    server.gone(&path(CONFIG_MAPS, "child")).await;
}

#[tokio::test]
async fn a_reference_to_nobody_that_comes_later_is_garbage_too() {
    let server = Server::start().await;
    let barn = server.made(BARNS, farm_kind("Barn", "b", json!([]))).await;
    server.made(CONFIG_MAPS, config_map("late", json!([]), json!([]))).await;
    server.raw("DELETE", &path(BARNS, "b"), Value::Null).await;
    let headers = [("content-type", "application/merge-patch+json")];
    let patch = json!({"metadata": {"ownerReferences": [owner(&barn, false)]}}).to_string();
    server.raw_with("PATCH", &path(CONFIG_MAPS, "late"), &headers, patch.into_bytes()).await;
    server.gone(&path(CONFIG_MAPS, "late")).await;
}

#[tokio::test]
async fn preconditions_and_policies_are_checked() {
    let server = Server::start().await;
    let barn = server.made(BARNS, farm_kind("Barn", "b", json!([]))).await;
    let uid = json!({"preconditions": {"uid": "another"}});
    let (code, status) = server.raw("DELETE", &path(BARNS, "b"), uid).await;
    assert_eq!((code, status["reason"].as_str()), (409, Some("Conflict")));
    assert!(status["message"].as_str().unwrap().contains("deleted and then recreated"), "{status}");
    let version = json!({"preconditions": {"resourceVersion": "1"}});
    let (code, status) = server.raw("DELETE", &path(BARNS, "b"), version).await;
    assert_eq!(code, 409, "{status}");
    let both = json!({"orphanDependents": true, "propagationPolicy": "Background"});
    let (code, status) = server.raw("DELETE", &path(BARNS, "b"), both).await;
    assert_eq!((code, status["reason"].as_str()), (422, Some("Invalid")));
    assert_eq!(status["details"]["kind"], "DeleteOptions", "{status}");
    let right = json!({"preconditions": {"uid": barn["metadata"]["uid"],
        "resourceVersion": barn["metadata"]["resourceVersion"]}, "dryRun": ["All"]});
    let (code, _) = server.raw("DELETE", &path(BARNS, "b"), right.clone()).await;
    assert_eq!(code, 200);
    assert!(server.is_there(&path(BARNS, "b")).await, "a dry run");
}

#[tokio::test]
async fn a_collection_is_deleted_with_a_policy() {
    let server = Server::start().await;
    for name in ["one", "two"] {
        let barn = server.made(BARNS, farm_kind("Barn", name, json!([]))).await;
        let child = config_map(name, json!([owner(&barn, true)]), json!(["test.example/hold"]));
        server.made(CONFIG_MAPS, child).await;
    }
    let options = json!({"propagationPolicy": "Foreground"});
    let (code, list) = server.raw("DELETE", BARNS, options).await;
    assert_eq!((code, list["items"].as_array().map(Vec::len)), (200, Some(2)), "{list}");
    for name in ["one", "two"] {
        server.terminating(&path(CONFIG_MAPS, name)).await;
        assert!(server.is_there(&path(BARNS, name)).await);
        server.release(&path(CONFIG_MAPS, name)).await;
        server.gone(&path(BARNS, name)).await;
    }
}

#[tokio::test]
async fn an_emptied_namespace_goes_though_its_objects_wait_for_each_other() {
    let server = Server::start().await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    server.made("/api/v1/namespaces", namespace).await;
    let maps = "/api/v1/namespaces/shop/configmaps";
    let parent = server.made(maps, config_map("parent", json!([]), json!([]))).await;
    let child = config_map("child", json!([owner(&parent, true)]), json!([]));
    server.made(maps, child).await;
    let options = json!({"propagationPolicy": "Foreground"});
    let (code, _) = server.raw("DELETE", "/api/v1/namespaces/shop", options).await;
    assert_eq!(code, 200);
    server.gone("/api/v1/namespaces/shop").await;
}
