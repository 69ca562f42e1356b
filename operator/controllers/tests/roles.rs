//! Every role, verb, kind and subresource against the answer that is expected, through
//! the API.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;
#[path = "../../api/src/role/tests/table.rs"]
mod table;

use http::Request;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::PostParams;
use kube::client::Body;
use kube::{Api, Client};
use serde_json::json;

use hades_api::role;
use support::Hades;
use table::{LETTERS, TABLE};

const ROLES: [&str; 4] = ["viewer", "deployer", "admin", "config-repository"];

/// What lives in no namespace.
const CLUSTER_SCOPED: [&str; 11] = [
    "clusterrolebindings",
    "clusterroles",
    "customresourcedefinitions",
    "dockerhosts",
    "gitaccounts",
    "groups",
    "hadesprojects",
    "namespaces",
    "registryaccounts",
    "subjectaccessreviews",
    "users",
];

/// The request that needs a verb; none where no request does.
fn request(
    verb: &str,
    (group, resource): (&str, &str),
    namespace: Option<&str>,
) -> Option<Request<Body>> {
    let (plural, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let root = match group {
        "" => "/api/v1".to_owned(),
        "hades.dev" | "operations.hades.dev" => format!("/apis/{group}/v1alpha1"),
        group => format!("/apis/{group}/v1"),
    };
    let place = match namespace {
        Some(namespace) if !CLUSTER_SCOPED.contains(&plural) => format!("/namespaces/{namespace}"),
        _ => String::new(),
    };
    // A namespace is inside of itself.
    let name = if plural == "namespaces" { namespace.unwrap_or("x") } else { "x" };
    let all = format!("{root}{place}/{plural}");
    let one = match subresource {
        "" => format!("{all}/{name}"),
        subresource => format!("{all}/{name}/{subresource}"),
    };
    let picked = format!("{all}?labelSelector=none%3D1");
    let whole = subresource.is_empty();
    let (method, path) = match verb {
        "get" => ("GET", one),
        "update" => ("PUT", one),
        "patch" => ("PATCH", one),
        "delete" => ("DELETE", one),
        "create" => ("POST", if whole { all } else { one }),
        "list" if whole => ("GET", picked),
        "watch" if whole => ("GET", format!("{picked}&watch=1&timeoutSeconds=1")),
        "deletecollection" if whole => ("DELETE", picked),
        // Of a subresource there is only one, and these are asked for by other requests.
        _ => return None,
    };
    let kind = if verb == "patch" { "application/merge-patch+json" } else { "application/json" };
    let body = match verb {
        "create" | "update" | "patch" => Body::from(b"{}".to_vec()),
        _ => Body::empty(),
    };
    Some(
        Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", kind)
            .body(body)
            .unwrap(),
    )
}

/// Whether the request gets past the gate. What becomes of it then is another matter:
/// there is no such object, and the bodies are empty.
async fn is_let_in(client: &Client, request: Request<Body>) -> bool {
    client.send(request).await.unwrap().status() != 403
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cell_through_the_api() {
    let hades = Hades::prepare().await;
    hades.add_namespace("farm").await;
    let bindings: Api<RoleBinding> = Api::namespaced(hades.client.clone(), "shop");
    for role in ROLES {
        let binding = json!({
            "metadata": {"name": role}, "subjects": [role::user(role)],
            "roleRef": role::cluster_role_ref(&format!("hades:{role}")),
        });
        let binding = serde_json::from_value(binding).unwrap();
        bindings.create(&PostParams::default(), &binding).await.unwrap();
    }
    let mut wrong = Vec::new();
    let mut asked = 0;
    for (index, role) in ROLES.iter().enumerate() {
        let client = hades.client_of(role, &[]);
        for (resource, group, expected) in TABLE {
            for (letter, verb) in LETTERS {
                let shop = request(verb, (group, resource), Some("shop"));
                let Some(shop) = shop else { continue };
                asked += 1;
                if is_let_in(&client, shop).await != expected[index].contains(letter) {
                    wrong.push(format!("{role} {verb} {group}/{resource} in shop"));
                }
                for elsewhere in [Some("farm"), Some("hades-system"), None] {
                    let request = request(verb, (group, resource), elsewhere).unwrap();
                    if is_let_in(&client, request).await {
                        wrong.push(format!("{role} {verb} {group}/{resource} in {elsewhere:?}"));
                    }
                }
            }
        }
    }
    assert!(asked > 1000, "{asked}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
