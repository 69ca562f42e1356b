//! What requests leave behind.

use super::*;

const SECRETS: &str = "/api/v1/namespaces/default/secrets";

#[tokio::test]
async fn a_change_is_recorded_with_who_what_and_when_and_holds_no_secret() {
    let bed = Bed::new().await;
    let body = r#"{"metadata":{"generateName":"c-"},"data":{"k":"planted-value"}}"#;
    let path = format!("{CONFIG_MAPS}?fieldManager=m&token=planted-token");
    let (code, id) = bed.ask("good", "POST", &path, body).await;
    assert_eq!(code, 201);
    let (code, none) = bed.ask("good", "GET", CONFIG_MAPS, "").await;
    assert_eq!((code, none.as_str()), (200, ""), "reads are not recorded");
    let secret = r#"{"metadata":{"name":"s"},"stringData":{"k":"planted-value"}}"#;
    assert_eq!(bed.ask("good", "POST", SECRETS, secret).await.0, 201);
    let wrong = r#"{"metadata":{"name":"t"},"data":{"k":"planted-value"}}"#;
    assert_eq!(bed.ask("good", "POST", SECRETS, wrong).await.0, 422);
    let found = bed.records(Query::default()).await;
    assert_eq!(found.len(), 3);
    let first = &found[2];
    assert_eq!(first["auditID"], *id);
    assert_eq!(first["verb"], "create");
    assert_eq!(first["stage"], "ResponseComplete");
    assert_eq!(first["requestURI"], format!("{CONFIG_MAPS}?fieldManager=m&token=-"));
    assert_eq!(first["user"]["username"], "root");
    assert_eq!(first["sourceIPs"][0], "192.0.2.7");
    assert_eq!(first["userAgent"], "tester/1");
    assert_eq!(first["objectRef"]["resource"], "configmaps");
    let name = first["objectRef"]["name"].as_str().unwrap();
    assert!(name.starts_with("c-") && name.len() > 2, "the name that was made: {name}");
    assert!(first["objectRef"]["uid"].as_str().unwrap().len() > 30);
    assert_eq!(first["responseStatus"]["code"], 201);
    assert_eq!(first["annotations"]["authorization.k8s.io/decision"], "allow");
    assert_eq!(found[0]["responseStatus"]["code"], 422);
    assert_eq!(found[0]["responseStatus"]["reason"], "Invalid");
    let directory = bed.stop().await;
    let text = log_text(directory.path());
    for planted in ["planted", "good", "Bearer"] {
        assert!(!text.contains(planted), "{planted} is in {text}");
    }
    use std::os::unix::fs::PermissionsExt;
    for entry in std::fs::read_dir(folder(directory.path())).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", entry.path());
    }
}

#[tokio::test]
async fn refusals_are_recorded_and_many_of_them_are_counted() {
    let bed = Bed::new().await;
    for _ in 0..100 {
        assert_eq!(bed.ask("wrong", "GET", CONFIG_MAPS, "").await.0, 401);
    }
    let found = bed.records(Query { limit: Some(1000), ..Query::default() }).await;
    assert!(found.len() < 50, "{} records of 100 refusals", found.len());
    assert_eq!(found[0]["responseStatus"]["code"], 401);
    assert_eq!(found[0]["annotations"][annotations::PROOF], "bearer");
    assert_eq!(found[0]["user"], serde_json::json!({}));
    for _ in 0..3 {
        let path = format!("{CONFIG_MAPS}/x");
        assert_eq!(bed.ask("janes", "DELETE", &path, "").await.0, 403);
    }
    let jane = Query { user: Some("jane".to_owned()), ..Query::default() };
    let found = bed.records(jane).await;
    assert_eq!(found.len(), 3, "each try at a change is told");
    assert_eq!(found[0]["annotations"]["authorization.k8s.io/decision"], "forbid");
    assert_eq!(found[0]["objectRef"]["name"], "x");
    assert_eq!(found[0]["responseStatus"]["reason"], "Forbidden");
}

#[tokio::test]
async fn both_sides_of_an_impersonation_are_told() {
    let bed = Bed::new().await;
    let mask = [("impersonate-user", "bob"), ("impersonate-group", "system:masters")];
    let body = r#"{"metadata":{"name":"c"}}"#;
    assert_eq!(bed.ask_with("good", "POST", CONFIG_MAPS, body, &mask).await.0, 201);
    assert_eq!(bed.ask_with("janes", "POST", CONFIG_MAPS, body, &mask).await.0, 403);
    let found = bed.records(Query::default()).await;
    assert_eq!(found[1]["user"]["username"], "root");
    assert_eq!(found[1]["impersonatedUser"]["username"], "bob");
    assert_eq!(found[0]["user"]["username"], "jane");
    assert_eq!(found[0].get("impersonatedUser"), None, "he never was bob");
    let bob = bed.records(Query { user: Some("bob".to_owned()), ..Query::default() }).await;
    assert_eq!(bob.len(), 1);
}

#[tokio::test]
async fn controllers_leave_their_changes_and_the_first_use_of_a_secret() {
    let bed = Bed::new().await;
    let here = || Identity::controller("c");
    let body = r#"{"metadata":{"name":"x"},"stringData":{"k":"v"}}"#;
    assert_eq!(bed.ask("good", "POST", SECRETS, body).await.0, 201);
    let one = format!("{SECRETS}/x");
    for _ in 0..3 {
        assert_eq!(bed.ask_here(here(), "GET", &one, "").await, 200);
    }
    let change = r#"{"stringData":{"k":"w"}}"#;
    assert_eq!(bed.ask("good", "PATCH", &one, change).await.0, 200);
    for _ in 0..3 {
        assert_eq!(bed.ask_here(here(), "GET", &one, "").await, 200);
    }
    let map = r#"{"metadata":{"name":"m"}}"#;
    assert_eq!(bed.ask_here(here(), "POST", CONFIG_MAPS, map).await, 201);
    let dry = format!("{CONFIG_MAPS}?dryRun=All");
    let map = r#"{"metadata":{"name":"n"}}"#;
    assert_eq!(bed.ask_here(here(), "POST", &dry, map).await, 201);
    let lease = r#"{"metadata":{"name":"l"}}"#;
    let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    assert_eq!(bed.ask_here(here(), "POST", leases, lease).await, 201);
    let mine = Query { user: Some("system:hades:c".to_owned()), ..Query::default() };
    let found = bed.records(mine).await;
    let told: Vec<String> = found
        .iter()
        .map(|one| format!("{} {}", one["verb"], one["objectRef"]["resource"]).replace('"', ""))
        .collect();
    assert_eq!(told, ["create configmaps", "get secrets", "get secrets"]);
    let version = |index: usize| found[index]["objectRef"]["resourceVersion"].as_str().unwrap();
    assert_ne!(version(1), version(2));
}

#[tokio::test]
async fn what_is_recorded_can_be_asked_for_by_place_time_and_number() {
    let bed = Bed::new().await;
    for index in 0..30 {
        let body = format!(r#"{{"metadata":{{"name":"c{index}"}}}}"#);
        bed.ask("good", "POST", CONFIG_MAPS, &body).await;
    }
    let body = r#"{"metadata":{"name":"s"}}"#;
    bed.ask("good", "POST", "/api/v1/namespaces/kube-system/configmaps", body).await;
    let names = async |query: Query| -> Vec<String> {
        let found = bed.records(query).await;
        found.iter().map(|one| one["objectRef"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let namespace = Some("default".to_owned());
    let limit = Some(2);
    assert_eq!(names(Query { namespace, limit, ..Query::default() }).await, ["c29", "c28"]);
    let namespace = Some("kube-system".to_owned());
    assert_eq!(names(Query { namespace, ..Query::default() }).await, ["s"]);
    let now = jiff::Timestamp::now();
    let hour = jiff::SignedDuration::from_hours(1);
    assert!(names(Query { since: Some(now + hour), ..Query::default() }).await.is_empty());
    assert!(names(Query { until: Some(now - hour), ..Query::default() }).await.is_empty());
    let hours = Query { since: Some(now - hour), until: Some(now + hour), ..Query::default() };
    assert_eq!(names(hours).await.len(), 31);
}

#[tokio::test]
async fn what_lasts_is_told_at_its_start_and_at_its_end() {
    let bed = Bed::new().await;
    let connection = Connection::new(CancellationToken::new(), Arc::default());
    let watch = format!("{SECRETS}?watch=true");
    let request = Request::builder()
        .uri(watch)
        .header("authorization", "Bearer good")
        .extension(connection)
        .body(Body::empty());
    let response = bed.server.router().oneshot(request.unwrap()).await.unwrap();
    let found = bed.records(Query::default()).await;
    assert_eq!(
        (&found[0]["verb"], &found[0]["stage"]),
        (&"watch".into(), &"ResponseStarted".into())
    );
    drop(response);
    // As a console does, which is an extra route.
    let open = |axum::Extension(trail): axum::Extension<Trail>| async move {
        trail.later().end("exit status 3");
        axum::http::StatusCode::SWITCHING_PROTOCOLS
    };
    let routes = axum::Router::new().route("/things/{name}/exec", axum::routing::get(open));
    let server = bed.server.with_routes("/apis/extra.example/v1", routes);
    let bed = Bed { server, directory: bed.directory };
    let path = "/apis/extra.example/v1/things/x/exec?command=rm&command=-rf";
    bed.ask_with("good", "GET", path, "", &[("upgrade", "websocket")]).await;
    let found =
        bed.records(Query { resource: Some("things/exec".to_owned()), ..Query::default() }).await;
    assert_eq!(found.len(), 2);
    assert_eq!(found[0]["auditID"], found[1]["auditID"]);
    assert_eq!(found[0]["stage"], "ResponseStarted");
    assert_eq!(found[1]["annotations"][annotations::END], "exit status 3");
    assert!(found[1]["annotations"][annotations::DURATION].as_str().unwrap().ends_with('s'));
    assert_eq!(found[0]["requestURI"], path);
    assert_eq!(found[0]["verb"], "create");
}

#[tokio::test]
async fn what_was_judged_is_what_is_told() {
    let bed = Bed::new().await;
    let upgrade = [("upgrade", "websocket")];
    let path = format!("{SECRETS}/none");
    assert_eq!(bed.ask_with("good", "DELETE", &path, "", &upgrade).await.0, 404);
    let verbs = async || -> Vec<String> {
        let found = bed.records(Query::default()).await;
        found.iter().map(|one| one["verb"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(verbs().await, ["delete"]);
    for (query, expected) in
        [("watch=0&watch=1", "list"), ("watch=0", "list"), ("watch=1", "watch")]
    {
        bed.ask("janes", "GET", &format!("{SECRETS}?{query}"), "").await;
        assert_eq!(verbs().await[0], expected, "{query}");
    }
}

#[tokio::test]
async fn refused_changes_are_counted_too_and_apart_from_refused_looks() {
    let bed = Bed::new().await;
    let path = format!("{CONFIG_MAPS}/x");
    for _ in 0..100 {
        assert_eq!(bed.ask("janes", "GET", &path, "").await.0, 403);
    }
    for _ in 0..100 {
        assert_eq!(bed.ask("janes", "DELETE", &path, "").await.0, 403);
    }
    let deletes = Query { verb: Some("delete".to_owned()), limit: Some(1000), ..Query::default() };
    let found = bed.records(deletes).await;
    assert!((20..50).contains(&found.len()), "{} records of 100 tries", found.len());
}

#[tokio::test]
async fn a_mask_in_this_process_that_may_not_is_told_as_refused() {
    let bed = Bed::new().await;
    let body = r#"{"metadata":{"name":"c"}}"#;
    let request = Request::builder()
        .method("POST")
        .uri(CONFIG_MAPS)
        .header("content-type", "application/json")
        .header("impersonate-user", "system:serviceaccount:default:config-x")
        .extension(Identity::controller("c"))
        .body(Body::from(body))
        .unwrap();
    assert_eq!(bed.server.router().oneshot(request).await.unwrap().status(), 403);
    let found = bed.records(Query::default()).await;
    assert_eq!(found[0]["annotations"]["authorization.k8s.io/decision"], "forbid");
    assert_eq!(found[0]["impersonatedUser"]["username"], "system:serviceaccount:default:config-x");
}
