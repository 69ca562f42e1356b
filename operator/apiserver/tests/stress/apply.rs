//! Managers that apply to one object at the same time: each keeps its fields, and
//! no update is lost.

use std::sync::Arc;

use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::wait::{Condition, conditions};
use serde_json::{Value, json};

use crate::run::{Run, Tasks, repeat, wait_for};
use crate::support::{Barn, barn};

const ROUNDS: u64 = 8;
/// How many cows there are before and after two counters.
const FIRST: i64 = 100;
const LAST: i64 = FIRST + 2 * ROUNDS as i64;
const MANAGERS: [&str; 3] = ["alice", "bob", "carol"];

/// Applies a label, an annotation and a condition of its own, again and again.
async fn manage(run: Arc<Run>, api: Api<Barn>, manager: &'static str) {
    let params = PatchParams::apply(manager);
    for round in 0..ROUNDS {
        run.note(manager, format!("applies round {round}"));
        // An odd round drops the annotation, the next one brings it back.
        let notes = if round % 2 == 0 { json!({manager: round.to_string()}) } else { json!({}) };
        let labels = json!({manager: round.to_string()});
        let object = json!({"apiVersion": "farm.example/v1", "kind": "Barn",
            "metadata": {"name": "b", "labels": labels, "annotations": notes}});
        api.patch("b", &params, &Patch::Apply(&object)).await.unwrap();
        run.dawdle(1).await;
        let condition = json!({"type": manager, "status": "True", "reason": format!("R{round}")});
        let status = json!({"apiVersion": "farm.example/v1", "kind": "Barn",
            "status": {"conditions": [condition]}});
        api.patch_status("b", &params, &Patch::Apply(&status)).await.unwrap();
    }
    run.note(manager, "done");
}

/// Counts up with a full replace; who read an old version must be told so.
async fn count(run: Arc<Run>, api: Api<Barn>, who: &'static str) {
    let mut done = 0;
    while done < ROUNDS {
        run.note(who, format!("counts {done}"));
        let mut object = api.get("b").await.unwrap();
        object.spec.cows += 1;
        run.dawdle(1).await;
        match api.replace("b", &PostParams::default(), &object).await {
            Ok(_) => done += 1,
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => panic!("{error}"),
        }
    }
    run.note(who, "done");
}

/// Wants a field that another manager has: refused with its name, every time.
async fn intrude(run: Arc<Run>, api: Api<Barn>) {
    let object = json!({"apiVersion": "farm.example/v1", "kind": "Barn",
        "metadata": {"name": "b"}, "spec": {"color": "blue"}});
    for round in 0..ROUNDS {
        run.note("intruder", format!("round {round}"));
        let refused = api.patch("b", &PatchParams::apply("mallory"), &Patch::Apply(&object)).await;
        let Err(kube::Error::Api(status)) = refused else { panic!("{refused:?}") };
        assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
        assert!(status.message.contains("painter"), "{}", status.message);
        run.dawdle(1).await;
    }
    run.note("intruder", "done");
}

fn check(object: &Value) {
    assert_eq!(object["spec"], json!({"cows": LAST, "color": "red"}));
    let last = (ROUNDS - 1).to_string();
    let conditions = object["status"]["conditions"].as_array().unwrap();
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    for manager in MANAGERS {
        assert_eq!(object["metadata"]["labels"][manager], last);
        assert!(object["metadata"]["annotations"][manager].is_null(), "given up by {manager}");
        let condition = conditions.iter().find(|one| one["type"] == manager).unwrap();
        assert_eq!(condition["reason"], format!("R{last}"));
        for subresource in [Value::Null, json!("status")] {
            let own = entries
                .iter()
                .filter(|entry| entry["manager"] == manager && entry["subresource"] == subresource);
            assert_eq!(own.count(), 1, "{manager} {subresource} in {entries:#?}");
        }
    }
    assert!(!entries.iter().any(|entry| entry["manager"] == "mallory"));
}

async fn life(run: Arc<Run>) {
    let server = run.server().await;
    let api: Api<Barn> = Api::namespaced(server.controller(), "default");
    let waiting = tokio::spawn(wait_for(api.clone(), "b", finished));
    api.create(&PostParams::default(), &barn("b", FIRST)).await.unwrap();
    let paint = json!({"apiVersion": "farm.example/v1", "kind": "Barn",
        "metadata": {"name": "b"}, "spec": {"color": "red"}});
    api.patch("b", &PatchParams::apply("painter").force(), &Patch::Apply(&paint)).await.unwrap();
    let mut tasks = Tasks::default();
    for manager in MANAGERS {
        tasks.spawn(manage(Arc::clone(&run), api.clone(), manager));
    }
    for who in ["first counter", "second counter"] {
        tasks.spawn(count(Arc::clone(&run), api.clone(), who));
    }
    tasks.spawn(intrude(Arc::clone(&run), api.clone()));
    tasks.join().await;
    run.note("main", "waits for the condition on the counted cows");
    let seen = waiting.await.unwrap().unwrap();
    assert_eq!(seen.spec.cows, LAST);
    let object = api.get("b").await.unwrap();
    check(&raw(&server, &object.name_any()).await);
    let uid = object.uid().unwrap();
    let deleted = move || {
        let uid = uid.clone();
        move |barn: Option<&Barn>| conditions::is_deleted(&uid).matches_object(barn)
    };
    let gone = tokio::spawn(wait_for(api.clone(), "b", deleted));
    api.delete("b", &Default::default()).await.unwrap();
    run.note("main", "waits for the deletion");
    gone.await.unwrap();
}

/// The object with the fields that the type does not have.
async fn raw(server: &crate::support::Server, name: &str) -> Value {
    let path = format!("/apis/farm.example/v1/namespaces/default/barns/{name}");
    server.raw("GET", &path, Value::Null).await.1
}

fn finished() -> impl Condition<Barn> {
    |barn: Option<&Barn>| barn.is_some_and(|barn| barn.spec.cows == LAST)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn managers_keep_their_fields_and_no_update_is_lost() {
    repeat("apply", 50, life).await;
}
