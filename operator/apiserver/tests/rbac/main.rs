//! Rights through HTTP: what roles and bindings give, what nobody can grant, and
//! what leads round them.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;
mod tokens;

use hades_apiserver::{ApiServer, Credential, Identity, Scope};
use serde_json::{Value, json};
use support::{Server, config, eventually};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const BARNS: &str = "/apis/farm.example/v1/namespaces/default/barns";
const SHOP: &str = "/apis/farm.example/v1/namespaces/shop/barns";
const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/roles";
const CLUSTER_ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings";
const CLUSTER_BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
const GROUP: &str = "rbac.authorization.k8s.io";

fn person(name: &str) -> Identity {
    Identity::of_user(name, vec!["dev".to_owned(), "system:authenticated".to_owned()])
}

fn admin() -> Identity {
    Identity::administrator("tester")
}

/// Code and answer of a request of somebody.
async fn ask(
    server: &ApiServer,
    who: &Identity,
    method: &str,
    path: &str,
    body: &Value,
) -> (u16, Value) {
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    ask_with(server, who, method, path, &[("content-type", kind)], body).await
}

async fn ask_with(
    server: &ApiServer,
    who: &Identity,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> (u16, Value) {
    let mut request = http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut request = request.body(axum::body::Body::from(body)).unwrap();
    request.extensions_mut().insert(who.clone());
    let response = tower::ServiceExt::oneshot(server.router(), request).await.unwrap();
    let code = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (code, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

fn message(answer: &Value) -> &str {
    answer["message"].as_str().unwrap_or_default()
}

impl Server {
    /// What an administrator does, which must succeed.
    async fn made(&self, path: &str, body: Value) -> Value {
        let (code, answer) = ask(&self.server, &admin(), "POST", path, &body).await;
        assert_eq!(code, 201, "{path} {answer}");
        answer
    }

    async fn with_namespace() -> Self {
        let server = Self::start().await;
        server.made("/api/v1/namespaces", json!({"metadata": {"name": "shop"}})).await;
        server
    }

    /// Where alice may write roles and bindings, and look at barns.
    async fn with_keeper() -> Self {
        let server = Self::with_namespace().await;
        let rules = json!([
            rule(
                &["get", "create", "update", "patch"],
                GROUP,
                &["roles", "rolebindings", "clusterroles", "clusterrolebindings"],
            ),
            rule(&["get", "list"], "farm.example", &["barns"]),
        ]);
        server.grant("alice", "", "keeper", rules).await;
        server
    }

    async fn code(&self, who: &Identity, method: &str, path: &str, body: Value) -> u16 {
        ask(&self.server, who, method, path, &body).await.0
    }

    /// Binds a role of these rules to a user, in a namespace or (empty) everywhere.
    async fn grant(&self, user: &str, namespace: &str, name: &str, rules: Value) {
        let role = json!({"metadata": {"name": name}, "rules": rules});
        self.made(&format!("{RBAC}/clusterroles"), role).await;
        let binding = binding(name, "ClusterRole", name, &[user]);
        let path = match namespace {
            "" => format!("{RBAC}/clusterrolebindings"),
            namespace => format!("{RBAC}/namespaces/{namespace}/rolebindings"),
        };
        self.made(&path, binding).await;
    }
}

fn binding(name: &str, kind: &str, role: &str, users: &[&str]) -> Value {
    let subjects: Vec<Value> =
        users.iter().map(|user| json!({"kind": "User", "name": user})).collect();
    json!({"metadata": {"name": name}, "roleRef": {"apiGroup": GROUP, "kind": kind, "name": role},
        "subjects": subjects})
}

fn rule(verbs: &[&str], group: &str, resources: &[&str]) -> Value {
    json!({"verbs": verbs, "apiGroups": [group], "resources": resources})
}

fn barn(name: &str) -> Value {
    json!({"apiVersion": "farm.example/v1", "kind": "Barn", "metadata": {"name": name},
        "spec": {"cows": 1}})
}

#[tokio::test]
async fn a_binding_gives_rights_at_once_and_its_end_takes_them() {
    let server = Server::with_namespace().await;
    let alice = person("alice");
    let (code, refused) = ask(&server.server, &alice, "GET", SHOP, &Value::Null).await;
    assert_eq!((code, refused["reason"].as_str()), (403, Some("Forbidden")));
    assert_eq!(
        message(&refused),
        "barns.farm.example is forbidden: User \"alice\" cannot list resource \"barns\" in API group \
         \"farm.example\" in the namespace \"shop\""
    );
    let rules = json!([rule(&["get", "list", "watch", "create"], "farm.example", &["barns"])]);
    server.grant("alice", "shop", "farmer", rules).await;
    assert_eq!(server.code(&alice, "GET", SHOP, Value::Null).await, 200);
    assert_eq!(server.code(&alice, "POST", SHOP, barn("a")).await, 201);
    let one = format!("{SHOP}/a");
    assert_eq!(server.code(&alice, "GET", &one, Value::Null).await, 200);
    assert_eq!(server.code(&alice, "DELETE", &one, Value::Null).await, 403);
    assert_eq!(server.code(&alice, "PATCH", &one, json!({"spec": {"cows": 2}})).await, 403);
    assert_eq!(server.code(&alice, "PATCH", &format!("{one}/status"), json!({})).await, 403);
    assert_eq!(server.code(&alice, "GET", BARNS, Value::Null).await, 403, "another namespace");
    let all = "/apis/farm.example/v1/barns";
    assert_eq!(server.code(&alice, "GET", all, Value::Null).await, 403, "all namespaces");
    assert_eq!(server.code(&person("bob"), "GET", SHOP, Value::Null).await, 403);
    let path = format!("{RBAC}/namespaces/shop/rolebindings/farmer");
    assert_eq!(server.code(&admin(), "DELETE", &path, Value::Null).await, 200);
    assert_eq!(server.code(&alice, "GET", SHOP, Value::Null).await, 403);
    // Rights outlive the process.
    server.grant("alice", "", "everywhere", json!([rule(&["list"], "*", &["*"])])).await;
    let server = server.restart().await;
    assert_eq!(server.code(&alice, "GET", all, Value::Null).await, 200);
    assert_eq!(server.code(&alice, "POST", SHOP, barn("b")).await, 403);
}

#[tokio::test]
async fn rights_over_a_name_reach_lists_of_that_name() {
    let server = Server::with_namespace().await;
    let alice = person("alice");
    let mut named =
        rule(&["get", "list", "watch", "delete", "deletecollection"], "", &["configmaps"]);
    named["resourceNames"] = json!(["mine"]);
    server.grant("alice", "shop", "one", json!([named])).await;
    let path = "/api/v1/namespaces/shop/configmaps";
    for name in ["mine", "other"] {
        server.made(path, json!({"metadata": {"name": name}})).await;
    }
    let cases = [
        (format!("{path}/mine"), 200),
        (format!("{path}/other"), 403),
        (path.to_owned(), 403),
        (format!("{path}?fieldSelector=metadata.name%3Dmine"), 200),
        (format!("{path}?fieldSelector=metadata.name%3Dother"), 403),
        (format!("{path}?fieldSelector=metadata.name!%3Dother"), 403),
        (
            format!(
                "{path}?fieldSelector=metadata.name%3Dmine&fieldSelector=metadata.name%3Dother"
            ),
            200,
        ),
        (
            format!(
                "{path}?fieldSelector=metadata.name%3Dother&fieldSelector=metadata.name%3Dmine"
            ),
            403,
        ),
    ];
    for (path, expected) in cases {
        let (code, list) = ask(&server.server, &alice, "GET", &path, &Value::Null).await;
        assert_eq!(code, expected, "{path}");
        let names: Vec<&str> = list["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|item| item["metadata"]["name"].as_str())
            .collect();
        assert!(names.iter().all(|name| *name == "mine"), "{path} {names:?}");
    }
    let picked = format!("{path}?fieldSelector=metadata.name%3Dmine");
    assert_eq!(server.code(&alice, "DELETE", &picked, Value::Null).await, 403, "as on Kubernetes");
}

#[tokio::test]
async fn whoever_makes_by_changing_needs_the_right_to_make() {
    let server = Server::with_namespace().await;
    let alice = person("alice");
    let rules = json!([
        rule(&["patch", "update"], "farm.example", &["barns"]),
        rule(&["patch", "update"], "coordination.k8s.io", &["leases"])
    ]);
    server.grant("alice", "shop", "changer", rules).await;
    let applied = json!({"apiVersion": "farm.example/v1", "kind": "Barn", "spec": {"cows": 1}});
    let path = format!("{SHOP}/a?fieldManager=t");
    let headers = [("content-type", "application/apply-patch+yaml")];
    let apply = || ask_with(&server.server, &alice, "PATCH", &path, &headers, &applied);
    let (code, refused) = apply().await;
    assert_eq!(code, 403, "{refused}");
    assert!(message(&refused).contains("cannot create resource \"barns\""), "{refused}");
    let lease = "/apis/coordination.k8s.io/v1/namespaces/shop/leases/l";
    let body = json!({"metadata": {"name": "l"}, "spec": {}});
    let (code, refused) = ask(&server.server, &alice, "PUT", lease, &body).await;
    assert_eq!(code, 403, "{refused}");
    assert!(message(&refused).contains("cannot create resource \"leases\""), "{refused}");
    server.made(SHOP, barn("a")).await;
    let (code, refused) = apply().await;
    assert_eq!(code, 200, "it is there now: {refused}");
    let rules = json!([rule(&["create"], "farm.example", &["barns"])]);
    server.grant("alice", "shop", "maker", rules).await;
    let path = format!("{SHOP}/b?fieldManager=t");
    let (code, _) = ask_with(&server.server, &alice, "PATCH", &path, &headers, &applied).await;
    assert_eq!(code, 201);
}

fn bound(subject: Value) -> Value {
    json!({"metadata": {"name": "b"}, "subjects": [subject],
        "roleRef": {"kind": "ClusterRole", "name": "r"}})
}

/// Where, what, and what is said of it.
fn mistakes() -> Vec<(&'static str, Value, &'static str)> {
    let role = |rules: Value| json!({"metadata": {"name": "r"}, "rules": rules});
    vec![
        (
            ROLES,
            role(json!([{"apiGroups": [""], "resources": ["x"]}])),
            "rules[0].verbs: Required value: verbs must contain at least one value",
        ),
        (
            ROLES,
            role(json!([{"verbs": ["get"], "resources": ["x"]}])),
            "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
        ),
        (
            ROLES,
            role(json!([{"verbs": ["get"], "apiGroups": [""]}])),
            "rules[0].resources: Required value: resource rules must supply at least one resource",
        ),
        (
            ROLES,
            role(json!([{"verbs": ["get"], "nonResourceURLs": ["/x"]}])),
            "rules[0].nonResourceURLs: Invalid value: [\"/x\"]: namespaced rules cannot apply to non-resource URLs",
        ),
        (
            CLUSTER_ROLES,
            role(json!([{"verbs": ["get"], "nonResourceURLs": ["/x"], "resources": ["x"]}])),
            "rules cannot apply to both regular resources and non-resource URLs",
        ),
        (
            CLUSTER_ROLES,
            json!({"metadata": {"name": "r"}, "aggregationRule": {}}),
            "aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector",
        ),
        (CLUSTER_ROLES, json!({"metadata": {"name": "a/b"}, "rules": []}), "may not contain '/'"),
        (BINDINGS, json!({"metadata": {"name": "b"}}), "roleRef"),
        (
            BINDINGS,
            binding("b", "Rolle", "r", &["a"]),
            "roleRef.kind: Unsupported value: \"Rolle\": supported values: \"Role\", \"ClusterRole\"",
        ),
        (
            CLUSTER_BINDINGS,
            binding("b", "Role", "r", &["a"]),
            "roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\"",
        ),
        (
            BINDINGS,
            bound(json!({"kind": "Robot", "name": "x"})),
            "subjects[0].kind: Unsupported value: \"Robot\": supported values: \"ServiceAccount\", \"User\", \"Group\"",
        ),
        (
            BINDINGS,
            bound(json!({"kind": "User", "name": "x", "apiGroup": "v1"})),
            "subjects[0].apiGroup: Unsupported value: \"v1\"",
        ),
        (BINDINGS, bound(json!({"kind": "User", "name": ""})), "subjects[0].name: Required value"),
        (
            CLUSTER_BINDINGS,
            bound(json!({"kind": "ServiceAccount", "name": "x"})),
            "subjects[0].namespace: Required value",
        ),
        (
            BINDINGS,
            bound(json!({"kind": "ServiceAccount", "name": "X"})),
            "subjects[0].name: Invalid value",
        ),
    ]
}

#[tokio::test]
async fn roles_and_bindings_are_checked_as_kubernetes_checks_them() {
    let server = Server::with_namespace().await;
    for (path, body, words) in mistakes() {
        let (code, answer) = ask(&server.server, &admin(), "POST", path, &body).await;
        assert_eq!(code, 422, "{body} {answer}");
        assert!(message(&answer).contains(words), "{words}\n{answer}");
    }
    let made = server.made(BINDINGS, bound(json!({"kind": "Group", "name": "dev"}))).await;
    assert_eq!(made["subjects"][0]["apiGroup"], GROUP);
    assert_eq!(made["roleRef"]["apiGroup"], GROUP);
    let other = json!({"roleRef": {"name": "s"}});
    let (code, answer) =
        ask(&server.server, &admin(), "PATCH", &format!("{BINDINGS}/b"), &other).await;
    assert_eq!(code, 422, "{answer}");
    assert!(message(&answer).contains("cannot change roleRef"), "{answer}");
    let name = "team:read_Only.1";
    server.made(CLUSTER_ROLES, json!({"metadata": {"name": name}, "rules": []})).await;
    // PUT makes them, as on Kubernetes.
    let (code, _) = ask(
        &server.server,
        &admin(),
        "PUT",
        &format!("{ROLES}/new"),
        &json!({"metadata": {"name": "new"}, "rules": []}),
    )
    .await;
    assert_eq!(code, 201);
}

#[tokio::test]
async fn no_role_grants_what_its_author_does_not_hold() {
    let server = Server::with_keeper().await;
    let alice = person("alice");
    let held = json!({"metadata": {"name": "held"}, "rules": [rule(&["get"], "farm.example", &["barns"])]});
    assert_eq!(server.code(&alice, "POST", ROLES, held.clone()).await, 201);
    let more = json!({"metadata": {"name": "more"},
        "rules": [rule(&["get", "delete", "update"], "farm.example", &["barns"]),
            rule(&["get"], "", &["secrets"])]});
    let (code, refused) = ask(&server.server, &alice, "POST", ROLES, &more).await;
    assert_eq!(code, 403);
    assert_eq!(
        message(&refused),
        "roles.rbac.authorization.k8s.io \"more\" is forbidden: user \"alice\" (groups=[\"dev\" \
         \"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n\
         {APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}\n\
         {APIGroups:[\"farm.example\"], Resources:[\"barns\"], Verbs:[\"delete\" \"update\"]}"
    );
    // By no other road either.
    let one = format!("{ROLES}/held");
    let more_rules = json!({"rules": more["rules"]});
    assert_eq!(server.code(&alice, "PATCH", &one, more_rules.clone()).await, 403);
    let mut put = held.clone();
    put["rules"] = more["rules"].clone();
    assert_eq!(server.code(&alice, "PUT", &one, put.clone()).await, 403);
    assert_eq!(server.code(&alice, "PUT", &format!("{ROLES}/more"), more.clone()).await, 403);
    assert_eq!(
        server.code(&alice, "POST", &format!("{ROLES}?dryRun=All"), more.clone()).await,
        403
    );
    let apply = [("content-type", "application/apply-patch+yaml")];
    let mut applied = more.clone();
    applied["apiVersion"] = json!("rbac.authorization.k8s.io/v1");
    applied["kind"] = json!("Role");
    let path = format!("{ROLES}/more?fieldManager=x&force=true");
    let (code, _) = ask_with(&server.server, &alice, "PATCH", &path, &apply, &applied).await;
    assert_eq!(code, 403);
    server
        .grant("alice", "shop", "escalator", json!([rule(&["escalate"], GROUP, &["roles"])]))
        .await;
    assert_eq!(server.code(&alice, "PUT", &one, put).await, 200);
}

#[tokio::test]
async fn no_binding_grants_what_its_author_does_not_hold() {
    let server = Server::with_keeper().await;
    let alice = person("alice");
    let held = json!({"metadata": {"name": "held"}, "rules": [rule(&["get"], "farm.example", &["barns"])]});
    server.made(ROLES, held).await;
    // Bindings of roles that hold more; of some that are not there.
    let to_me = |kind: &str, role: &str| binding("mine", kind, role, &["alice"]);
    assert_eq!(
        server.code(&alice, "POST", BINDINGS, to_me("ClusterRole", "cluster-admin")).await,
        403
    );
    assert_eq!(
        server.code(&alice, "POST", CLUSTER_BINDINGS, to_me("ClusterRole", "cluster-admin")).await,
        403
    );
    let (code, absent) =
        ask(&server.server, &alice, "POST", BINDINGS, &to_me("ClusterRole", "later")).await;
    assert_eq!(code, 404, "who knows what it will hold: {absent}");
    assert_eq!(message(&absent), "clusterrole.rbac.authorization.k8s.io \"later\" not found");
    assert_eq!(server.code(&alice, "POST", BINDINGS, to_me("Role", "held")).await, 201);
    let subjects = json!({"subjects": [{"kind": "User", "name": "bob"}]});
    assert_eq!(
        server.code(&alice, "PATCH", &format!("{BINDINGS}/mine"), subjects.clone()).await,
        200
    );
    server.made(BINDINGS, binding("strong", "ClusterRole", "cluster-admin", &[])).await;
    assert_eq!(server.code(&alice, "PATCH", &format!("{BINDINGS}/strong"), subjects).await, 403);
    // Labels by which another role gathers the rules of one that holds more, and
    // aggregation itself.
    let label = json!({"metadata": {"labels": {"to": "me"}}});
    let admin_role = format!("{CLUSTER_ROLES}/cluster-admin");
    assert_eq!(server.code(&alice, "PATCH", &admin_role, label).await, 403);
    let gather =
        json!({"metadata": {"name": "g"}, "aggregationRule": {"clusterRoleSelectors": [{}]}});
    let (code, refused) = ask(&server.server, &alice, "POST", CLUSTER_ROLES, &gather).await;
    assert_eq!(code, 403);
    assert!(
        message(&refused)
            .ends_with("must have cluster-admin privileges to use the aggregationRule")
    );
    // Rights of their own allow it.
    let mut bind = rule(&["bind"], GROUP, &["clusterroles"]);
    bind["resourceNames"] = json!(["cluster-admin"]);
    server.grant("alice", "shop", "binder", json!([bind])).await;
    assert_eq!(
        server.code(&alice, "POST", CLUSTER_BINDINGS, to_me("ClusterRole", "cluster-admin")).await,
        403
    );
    let again = binding("again", "ClusterRole", "cluster-admin", &["bob"]);
    assert_eq!(server.code(&alice, "POST", BINDINGS, again).await, 201);
}

#[tokio::test]
async fn a_role_that_comes_to_too_much_is_refused_at_once() {
    let server = Server::with_keeper().await;
    let words = |word: &str, count: usize| -> Vec<String> {
        (0..count).map(|index| format!("{word}{index}")).collect()
    };
    let role = |count: usize| {
        json!({"metadata": {"name": "huge"}, "rules": [{"verbs": words("v", count),
            "apiGroups": words("g", count), "resources": words("r", count),
            "resourceNames": words("n", count)}]})
    };
    let alice = person("alice");
    for who in [&admin(), &alice] {
        for query in ["", "?dryRun=All"] {
            for (path, count) in [(ROLES, 300), (ROLES, 9), (CLUSTER_ROLES, 300)] {
                let path = format!("{path}{query}");
                let (code, refused) = ask(&server.server, who, "POST", &path, &role(count)).await;
                assert_eq!(code, 422, "{path} {}", message(&refused));
                let cause = &refused["details"]["causes"][0];
                assert_eq!(
                    (&cause["field"], &cause["reason"]),
                    (&json!("rules"), &json!("FieldValueTooMany")),
                    "{cause}"
                );
            }
        }
    }
    // What may be written and isn't held is told in a few lines.
    let (code, refused) = ask(&server.server, &alice, "POST", ROLES, &role(8)).await;
    assert_eq!(code, 403);
    assert_eq!(message(&refused).lines().count(), 12, "{refused}");
    assert!(message(&refused).ends_with("\nand 502 more"), "{refused}");
    assert_eq!(server.code(&admin(), "POST", ROLES, role(8)).await, 201);
    // Many names beside many held rules: found out quickly, or refused.
    let mut named = rule(&["get"], "farm.example", &["barns"]);
    named["resourceNames"] = json!(words("n", 4096));
    let small = json!({"metadata": {"name": "names"}, "rules": [named]});
    assert_eq!(server.code(&alice, "POST", ROLES, small).await, 201);
    let many: Vec<Value> =
        words("r", 1000).iter().map(|one| rule(&["get"], "x", &[one.as_str()])).collect();
    server.grant("alice", "", "many", json!(many)).await;
    let mut named = rule(&["get"], "farm.example", &["barns"]);
    named["resourceNames"] = json!(words("n", 4096));
    let small = json!({"metadata": {"name": "more"}, "rules": [named]});
    let (code, refused) = ask(&server.server, &alice, "POST", ROLES, &small).await;
    assert_eq!(code, 403);
    assert!(message(&refused).contains("too many rules to compare"), "{refused}");
}

#[tokio::test]
async fn a_finalizer_keeps_the_binding_and_not_the_right() {
    let server = Server::with_namespace().await;
    let alice = person("alice");
    let list = json!([rule(&["list"], "farm.example", &["barns"])]);
    server.grant("alice", "shop", "farmer", list.clone()).await;
    server.grant("alice", "default", "other", list).await;
    let ways = [
        (format!("{RBAC}/namespaces/shop/rolebindings/farmer"), SHOP),
        (format!("{RBAC}/clusterroles/other"), BARNS),
    ];
    for (path, what) in ways {
        assert_eq!(server.code(&alice, "GET", what, Value::Null).await, 200);
        let held = json!({"metadata": {"finalizers": ["farm.example/keep"]}});
        assert_eq!(server.code(&admin(), "PATCH", &path, held).await, 200);
        assert_eq!(server.code(&alice, "GET", what, Value::Null).await, 200);
        assert_eq!(server.code(&admin(), "DELETE", &path, Value::Null).await, 200);
        assert_eq!(server.code(&admin(), "GET", &path, Value::Null).await, 200, "still there");
        assert_eq!(server.code(&alice, "GET", what, Value::Null).await, 403, "{path}");
    }
    let server = server.restart().await;
    assert_eq!(server.code(&alice, "GET", SHOP, Value::Null).await, 403, "nor after a start");
}

#[tokio::test]
async fn a_role_has_a_name_that_requests_can_carry() {
    let server = Server::with_namespace().await;
    for name in ["x".repeat(1025), "a\nb".to_owned(), "a\0".to_owned()] {
        let role = json!({"metadata": {"name": name}, "rules": []});
        assert_eq!(server.code(&admin(), "POST", CLUSTER_ROLES, role).await, 422, "{name:?}");
    }
    let name = "\u{20ac}".repeat(341);
    let role = json!({"metadata": {"name": name}, "rules": []});
    assert_eq!(server.code(&admin(), "POST", CLUSTER_ROLES, role).await, 201);
    let path = format!("{CLUSTER_ROLES}/{}", "%E2%82%AC".repeat(341));
    assert_eq!(server.code(&admin(), "DELETE", &path, Value::Null).await, 200);
}

#[tokio::test]
async fn a_scoped_token_grants_no_more_than_it_holds() {
    let server = Server::with_namespace().await;
    let scope =
        Scope { namespaces: vec!["shop".to_owned()], verbs: vec!["create".into(), "get".into()] };
    let scoped = admin().within(scope);
    let path = format!("{RBAC}/namespaces/shop/roles");
    let role = |verb: &str| json!({"metadata": {"name": verb}, "rules": [rule(&[verb], "farm.example", &["barns"])]});
    assert_eq!(server.code(&scoped, "POST", &path, role("get")).await, 201);
    assert_eq!(server.code(&scoped, "POST", &path, role("delete")).await, 403);
    assert_eq!(
        server.code(&scoped, "POST", &format!("{RBAC}/clusterroles"), role("get")).await,
        403
    );
    assert_eq!(server.code(&scoped, "GET", BARNS, Value::Null).await, 403);
    assert_eq!(server.code(&scoped, "GET", "/apis", Value::Null).await, 200);
    // The token of a service account would have no limits.
    let accounts = "/api/v1/namespaces/shop/serviceaccounts";
    server.made(accounts, json!({"metadata": {"name": "robot"}})).await;
    let tokens = format!("{accounts}/robot/token");
    let (code, refused) = ask(&server.server, &scoped, "POST", &tokens, &json!({})).await;
    assert_eq!(code, 403, "{refused}");
    assert!(message(&refused).contains("a limited token makes no token"), "{refused}");
    assert_eq!(server.code(&admin(), "POST", &tokens, json!({})).await, 201);
}

#[tokio::test]
async fn an_owner_needs_rights_over_the_object_and_over_the_owner() {
    let server = Server::with_namespace().await;
    let alice = person("alice");
    let rules = json!([rule(&["get", "create", "patch"], "farm.example", &["barns"])]);
    server.grant("alice", "shop", "changer", rules).await;
    let path = "/api/v1/namespaces/shop/configmaps";
    let owner = server.made(path, json!({"metadata": {"name": "owner"}})).await;
    let uid = owner["metadata"]["uid"].clone();
    let owned = |blocks: bool| {
        json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap",
            "name": "owner", "uid": uid, "blockOwnerDeletion": blocks}]}})
    };
    let mut new = barn("new");
    new["metadata"]["ownerReferences"] = owned(false)["metadata"]["ownerReferences"].clone();
    assert_eq!(server.code(&alice, "POST", SHOP, new.clone()).await, 201, "one's own");
    let (code, refused) =
        ask(&server.server, &alice, "PATCH", &format!("{SHOP}/new"), &owned(true)).await;
    assert_eq!(code, 403);
    assert!(
        message(&refused).contains("cannot set an ownerRef on a resource you can't delete"),
        "{refused}"
    );
    server
        .grant("alice", "shop", "deleter", json!([rule(&["delete"], "farm.example", &["barns"])]))
        .await;
    let (code, refused) =
        ask(&server.server, &alice, "PATCH", &format!("{SHOP}/new"), &owned(true)).await;
    assert_eq!(code, 403);
    assert!(message(&refused).contains("a resource you can't set finalizers on"), "{refused}");
    let rules = json!([rule(&["update"], "", &["configmaps/finalizers"])]);
    server.grant("alice", "shop", "finalizer", rules).await;
    assert_eq!(server.code(&alice, "PATCH", &format!("{SHOP}/new"), owned(true)).await, 200);
    let other = json!({"metadata": {"labels": {"a": "b"}}});
    assert_eq!(server.code(&alice, "PATCH", &format!("{SHOP}/new"), other).await, 200);
}

#[tokio::test]
async fn no_spelling_of_a_path_leads_round_the_rights() {
    let server = Server::with_namespace().await;
    let alice = person("alice");
    let rules = json!([rule(&["get", "list", "create"], "", &["configmaps"]),
        {"verbs": ["*"], "nonResourceURLs": ["/api/*", "/apis/*", "/version*"]}]);
    server.grant("alice", "", "reader", rules).await;
    server.made("/api/v1/namespaces/shop/secrets", json!({"metadata": {"name": "s"}})).await;
    for path in [
        "/api/v1/namespaces/shop/secrets/s",
        "/api/v1/namespaces/shop/secrets",
        "/api/v1/secrets",
        "/api/v1//secrets",
        "/api/v1/secrets/",
        "//api/v1/secrets",
        "/api//v1/secrets",
        "/api/v1/configmaps/../secrets",
        "/api/v1/configmaps/%2e%2e/secrets",
        "/api/v1/namespaces/shop/configmaps%2F..%2Fsecrets",
        "/api/v1/namespaces/shop/configmaps/..%2fsecrets%2fs",
        "/api/v1/namespaces/shop/%73ecrets/s",
        "/api/v1/namespaces/%73hop/secrets/s",
        "/%61pi/v1/namespaces/shop/secrets/s",
        "/api/%761/secrets",
        "/apis//v1/secrets",
        "/version/../api/v1/secrets",
        "/api/v1/namespaces/shop/secrets/s/status/x/y",
        "/api/v1/namespaces/shop/secrets/s?watch=1",
        "/api/v1/namespaces/shop/secrets;configmaps",
        "/api/v1/namespaces/shop/secrets%00",
    ] {
        let (code, answer) = ask(&server.server, &alice, "GET", path, &Value::Null).await;
        assert!(matches!(code, 403 | 404), "{path} {code} {answer}");
    }
    // A look that says it is a console is no look.
    let secrets = json!([rule(&["create"], "", &["secrets"])]);
    server.grant("alice", "shop", "creator", secrets).await;
    let upgrade = [("connection", "upgrade"), ("upgrade", "websocket")];
    let path = "/api/v1/namespaces/shop/secrets/s";
    let (code, answer) =
        ask_with(&server.server, &alice, "GET", path, &upgrade, &Value::Null).await;
    assert_eq!(code, 400, "{answer}");
    assert_eq!(server.code(&alice, "GET", "/api/v1/configmaps", Value::Null).await, 200);
}

#[tokio::test]
async fn roles_that_gather_show_what_they_gathered() {
    let server = Server::with_namespace().await;
    let alice = person("alice");
    let roles = format!("{RBAC}/clusterroles");
    server
        .made(
            &roles,
            json!({"metadata": {"name": "all"}, "aggregationRule": {
        "clusterRoleSelectors": [{"matchLabels": {"to": "all"}}]}}),
        )
        .await;
    server
        .made(
            &format!("{RBAC}/clusterrolebindings"),
            binding("b", "ClusterRole", "all", &["alice"]),
        )
        .await;
    let part = json!({"metadata": {"name": "part", "labels": {"to": "all"}},
        "rules": [rule(&["list"], "farm.example", &["barns"])]});
    server.made(&roles, part.clone()).await;
    assert_eq!(server.code(&alice, "GET", SHOP, Value::Null).await, 200, "at once");
    let shown = async |expected: Value| {
        eventually("the rules are written down", async || {
            let (_, role) =
                ask(&server.server, &admin(), "GET", &format!("{roles}/all"), &Value::Null).await;
            role["rules"] == expected
        })
        .await;
    };
    shown(part["rules"].clone()).await;
    assert_eq!(server.code(&admin(), "DELETE", &format!("{roles}/part"), Value::Null).await, 200);
    assert_eq!(server.code(&alice, "GET", SHOP, Value::Null).await, 403, "at once");
    shown(json!([])).await;
}

#[tokio::test]
async fn first_objects_come_back_with_what_they_lack() {
    let server = Server::start().await;
    let role = format!("{RBAC}/clusterroles/system:discovery");
    let binding = format!("{RBAC}/clusterrolebindings/system:basic-user");
    let own = json!({"rules": [rule(&["get"], "", &["namespaces"])]});
    assert_eq!(server.code(&admin(), "PATCH", &role, own).await, 200);
    assert_eq!(server.code(&admin(), "DELETE", &binding, Value::Null).await, 200);
    assert_eq!(server.code(&person("alice"), "GET", "/apis", Value::Null).await, 403);
    let Server { server: running, directory } = server;
    running.shutdown().await;
    drop(running);
    let mut config = config(&directory);
    config.first_objects = vec![
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "team:reader"}, "rules": [rule(&["list"], "farm.example", &["barns"])]}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "team:reader"}, "subjects": [{"kind": "Group", "name": "dev"}],
            "roleRef": {"kind": "ClusterRole", "name": "team:reader"}}),
        json!({"apiVersion": "farm.example/v1", "kind": "Barn", "spec": {"cows": 1},
            "metadata": {"name": "first", "namespace": "new"}}),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "new"}}),
        json!({"apiVersion": "farm.example/v1", "kind": "Farm", "spec": {"cows": 1}, "metadata": {"name": "first"}}),
    ];
    let server = ApiServer::open(config).await.unwrap();
    let (_, found) = ask(&server, &admin(), "GET", &role, &Value::Null).await;
    assert_eq!(found["rules"].as_array().unwrap().len(), 2, "{found}");
    let alice = person("alice");
    for (path, expected) in [("/apis", 200), ("/apis/farm.example/v1/barns", 200), (&role, 403)] {
        assert_eq!(ask(&server, &alice, "GET", path, &Value::Null).await.0, expected, "{path}");
    }
    for path in ["farms/first", "namespaces/new/barns/first"] {
        let path = format!("/apis/farm.example/v1/{path}");
        assert_eq!(ask(&server, &admin(), "GET", &path, &Value::Null).await.0, 200);
    }
}

#[tokio::test]
async fn reviews_answer_by_the_same_rights() {
    let server = Server::with_namespace().await;
    let alice = person("alice");
    server
        .grant(
            "alice",
            "shop",
            "farmer",
            json!([rule(&["get"], "farm.example", &["barns/status"])]),
        )
        .await;
    let access = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let question = |namespace: &str, subresource: &str| {
        json!({"spec": {"resourceAttributes": {"verb": "get", "group": "farm.example",
            "resource": "barns", "subresource": subresource, "namespace": namespace, "name": "x"}}})
    };
    let (_, yes) = ask(&server.server, &alice, "POST", access, &question("shop", "status")).await;
    assert_eq!(
        yes["status"],
        json!({"allowed": true, "reason":
            "RBAC: allowed by RoleBinding \"farmer/shop\" of ClusterRole \"farmer\" to User \"alice\""})
    );
    for (namespace, subresource) in [("shop", ""), ("default", "status"), ("", "status")] {
        let (_, no) =
            ask(&server.server, &alice, "POST", access, &question(namespace, subresource)).await;
        assert_eq!(no["status"], json!({"allowed": false}));
    }
    let rules = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let spec = json!({"spec": {"namespace": "shop"}});
    let (_, answer) = ask(&server.server, &alice, "POST", rules, &spec).await;
    let listed = answer["status"]["resourceRules"].as_array().unwrap();
    assert!(listed.contains(&rule(&["get"], "farm.example", &["barns/status"])), "{answer}");
    assert!(!answer["status"]["nonResourceRules"].as_array().unwrap().is_empty());
    assert_eq!(answer["status"]["incomplete"], false);
    let others = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let mut about = question("shop", "status");
    about["spec"]["user"] = json!("alice");
    assert_eq!(server.code(&alice, "POST", others, about.clone()).await, 403);
    let (_, answer) = ask(&server.server, &admin(), "POST", others, &about).await;
    assert_eq!(answer["status"]["allowed"], true);
}
