//! Every role, verb, kind and subresource, asked of the server.

use http::{Method, StatusCode};
use serde_json::json;

use super::person::{Person, administrator};
use crate::hades::{Engine, Hades};

const EXPECTED: &str = include_str!("matrix.txt");

/// Verbs with their letters.
const VERBS: [(char, &str); 9] = [
    ('g', "get"),
    ('l', "list"),
    ('w', "watch"),
    ('c', "create"),
    ('u', "update"),
    ('p', "patch"),
    ('d', "delete"),
    ('x', "deletecollection"),
    ('i', "impersonate"),
];

/// A row of the table.
struct Row {
    resource: &'static str,
    allowed: Vec<&'static str>,
}

fn rows() -> Vec<Row> {
    let lines = EXPECTED.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let mut words = line.split_whitespace();
            Row { resource: words.next().unwrap(), allowed: words.collect() }
        })
        .collect()
}

/// A request for a verb on a resource of the table; none where there is no such
/// request, as a single object has no list but one that names it.
fn request(resource: &str, verb: &str) -> Option<(Method, String)> {
    let (resource, name) = match resource.split_once(':') {
        Some((resource, name)) => (resource, Some(name)),
        None => (resource, None),
    };
    let (namespace, resource) = match resource.strip_prefix("cluster/") {
        Some(rest) => ("", rest),
        None => ("/namespaces/shop", resource),
    };
    let (group, resource) = resource.split_once('/').unwrap();
    let root = match group {
        "" => "/api/v1".to_owned(),
        "ops" => "/apis/operations.hades.dev/v1alpha1".to_owned(),
        "rbac" => "/apis/rbac.authorization.k8s.io/v1".to_owned(),
        "hades.dev" => "/apis/hades.dev/v1alpha1".to_owned(),
        group => format!("/apis/{group}/v1"),
    };
    let (plural, subresource) = match resource.split_once('/') {
        Some((plural, subresource)) => (plural, Some(subresource)),
        None => (resource, None),
    };
    let collection = format!("{root}{namespace}/{plural}");
    let one = match subresource {
        Some(subresource) => format!("{collection}/{}/{subresource}", name?),
        None => format!("{collection}/{}", name.unwrap_or("some")),
    };
    let by_name = name.map(|name| format!("fieldSelector=metadata.name%3D{name}&"));
    let query = by_name.unwrap_or_default();
    let of_collection = subresource.is_none();
    Some(match verb {
        "get" => (Method::GET, one),
        "list" if of_collection => (Method::GET, format!("{collection}?{query}limit=1")),
        // Nothing is to be waited for: the version is refused, after the right was asked.
        "watch" if of_collection => {
            (Method::GET, format!("{collection}?{query}watch=true&resourceVersion=x"))
        }
        "create" if of_collection && name.is_some() => return None,
        "create" if of_collection => (Method::POST, collection),
        "create" => (Method::POST, one),
        "update" => (Method::PUT, one),
        "patch" => (Method::PATCH, one),
        "delete" => (Method::DELETE, format!("{one}?dryRun=All")),
        "deletecollection" if of_collection && name.is_none() => {
            (Method::DELETE, format!("{collection}?dryRun=All"))
        }
        _ => return None,
    })
}

/// The headers by which somebody asks in the name of whom a row is about.
fn mask(resource: &str) -> Option<Vec<(&'static str, String)>> {
    let user = |name: &str| ("impersonate-user", name.to_owned());
    let (resource, name) = resource.split_once(':')?;
    match resource {
        "cluster//users" => Some(vec![user(name)]),
        "cluster//groups" => Some(vec![user("viewer"), ("impersonate-group", name.to_owned())]),
        "/serviceaccounts" => Some(vec![user(&format!("system:serviceaccount:shop:{name}"))]),
        _ => None,
    }
}

/// The answer to a question of a row; none where there is no such question.
async fn ask(person: &Person, resource: &str, verb: &str) -> Option<(StatusCode, String)> {
    if verb == "impersonate" {
        return Some(person.ask_in_the_name(&mask(resource)?).await);
    }
    let (method, path) = request(resource, verb)?;
    // Nothing that would be done: what is allowed fails for another reason.
    let body = (method != Method::GET && method != Method::DELETE).then(|| json!({}));
    Some(person.ask(method, &path, body.as_ref()).await)
}

/// What the server refuses although the row allows it, and the other way round.
async fn differences(
    person: &Person,
    row: &Row,
    column: usize,
    name: &str,
) -> (usize, Vec<String>) {
    let mut wrong = Vec::new();
    let mut asked = 0;
    for (letter, verb) in VERBS {
        let Some((code, answer)) = ask(person, row.resource, verb).await else {
            assert!(
                !row.allowed[column].contains(letter),
                "{}: {verb} can't be asked",
                row.resource
            );
            continue;
        };
        asked += 1;
        let is_allowed = code != StatusCode::FORBIDDEN && code != StatusCode::UNAUTHORIZED;
        if is_allowed != row.allowed[column].contains(letter) {
            wrong.push(format!("{name} {verb} {}: {code} {answer:.200}", row.resource));
        }
    }
    (asked, wrong)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_role_may_do_what_is_written_and_nothing_else() {
    let hades = Hades::start_without_host(Engine::shared());
    let project = "{apiVersion: hades.dev/v1alpha1, kind: HadesProject, metadata: {name: NAME}, \
                   spec: {members: [MEMBERS]}}";
    let shop = "{user: viewer, role: viewer}, {user: deployer, role: deployer}, \
                {user: admin-of-shop, role: admin}, \
                {user: junior, role: deployer, environments: [staging]}";
    for (name, members) in [("shop", shop), ("farm", "{user: farmer, role: admin}")] {
        hades.apply(&project.replace("NAME", name).replace("MEMBERS", members));
        hades.hadesctl(&["wait", &format!("hadesproject/{name}")]);
    }
    let root = administrator(&hades).await;
    let all = json!({});
    let people = [
        ("viewer", root.token(&hades, "viewer", "t", all.clone()).await),
        ("deployer", root.token(&hades, "deployer", "t", all.clone()).await),
        ("admin", root.token(&hades, "admin-of-shop", "t", all.clone()).await),
        ("junior", root.token(&hades, "junior", "t", all.clone()).await),
        ("farmer", root.token(&hades, "farmer", "t", all).await),
        ("reader", root.token(&hades, "deployer", "reader", json!({"verbs": ["read"]})).await),
        (
            "elsewhere",
            root.token(&hades, "admin-of-shop", "elsewhere", json!({"projects": ["farm"]})).await,
        ),
    ];
    let mut wrong = Vec::new();
    let mut asked = 0;
    for row in rows() {
        assert_eq!(row.allowed.len(), people.len(), "{}", row.resource);
        for (column, (name, person)) in people.iter().enumerate() {
            let (count, found) = differences(person, &row, column, name).await;
            asked += count;
            wrong.extend(found);
        }
        // Whoever may do everything is let through by the same questions.
        if let Some((code, answer)) = ask(&root, row.resource, "impersonate").await {
            assert!(code.is_success(), "{}: {code} {answer}", row.resource);
        }
    }
    assert!(wrong.is_empty(), "{} of {asked}:\n{}", wrong.len(), wrong.join("\n"));
}
