//! Registration against a stand-in that keeps hooks as the forges' published API
//! documentation has them.

use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const TOKEN: &str = "forge-token";
const URL: &str = "https://hooks.example.com/hooks/config/shop/config";

/// A forge that keeps hooks: what was asked of it, and what it has.
#[derive(Default)]
struct StandIn {
    calls: Vec<String>,
    hooks: Vec<Value>,
    /// Answers with this instead, if it is set.
    fails: Option<(u16, Value)>,
}

async fn stand_in(api: Api, hooks: Vec<Value>) -> (String, Arc<Mutex<StandIn>>) {
    let state = Arc::new(Mutex::new(StandIn { hooks, ..StandIn::default() }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shared = state.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (head, body) = read_request(&mut stream).await;
            let (code, answer) = answer(api, &mut shared.lock().unwrap(), &head, body);
            let text = answer.to_string();
            let response = format!(
                "HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{text}",
                text.len()
            );
            let _ = stream.write_all(response.as_bytes()).await;
        }
    });
    (format!("http://{address}"), state)
}

async fn read_request(stream: &mut tokio::net::TcpStream) -> (String, Value) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).await.unwrap();
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |text| text.trim().parse().unwrap());
        if body.len() >= length || read == 0 {
            return (head, serde_json::from_str(body).unwrap_or_default());
        }
    }
}

fn answer(api: Api, state: &mut StandIn, head: &str, mut body: Value) -> (u16, Value) {
    let line = head.lines().next().unwrap_or_default();
    let (method, path) = line.trim_end_matches(" http/1.1").split_once(' ').unwrap();
    state.calls.push(format!("{method} {path}"));
    let (header, value) = authorization(api, TOKEN);
    if !head.lines().any(|line| line == format!("{header}: {}", value.to_ascii_lowercase())) {
        return (401, json!({"message": "Bad credentials"}));
    }
    if let Some(failure) = &state.fails {
        return failure.clone();
    }
    match method {
        "get" => {
            let page: usize = path.rsplit_once("page=").unwrap().1.parse().unwrap();
            let page = state.hooks.chunks(PAGE).nth(page - 1).unwrap_or_default();
            // Secrets are never shown.
            (200, json!(page))
        }
        "post" => {
            body["id"] = json!(state.hooks.len() + 1);
            state.hooks.push(body.clone());
            (201, body)
        }
        _ => {
            let id: usize = path.rsplit_once('/').unwrap().1.parse().unwrap();
            for (key, value) in body.as_object().unwrap() {
                state.hooks[id - 1][key] = value.clone();
            }
            (200, state.hooks[id - 1].clone())
        }
    }
}

fn wanted(token: &str) -> Wanted<'_> {
    Wanted { url: URL, token, tags: false }
}

fn place(api: Api, forge: &str) -> Place {
    Place::new(api, forge, &format!("{forge}/halolab/shop.git")).unwrap()
}

async fn run(place: &Place, token: &str) -> Result<Outcome, RegistrationError> {
    register(place, &wanted(token), &SecretString::from(TOKEN), None).await
}

#[tokio::test]
async fn a_hook_is_made_once_and_updated_after_that() {
    for (api, path, update) in [
        (Api::Github, "/api/v3/repos/halolab/shop/hooks", "patch"),
        (Api::Gitlab, "/api/v4/projects/halolab%2fshop/hooks", "put"),
        (Api::Gitea, "/api/v1/repos/halolab/shop/hooks", "patch"),
    ] {
        let (forge, state) = stand_in(api, Vec::new()).await;
        let place = place(api, &forge);
        assert_eq!(run(&place, "one").await.unwrap(), Outcome::Created);
        assert_eq!(run(&place, "two").await.unwrap(), Outcome::Updated);
        let state = state.lock().unwrap();
        assert_eq!(state.hooks.len(), 1);
        let hook = &state.hooks[0];
        let config = if api == Api::Gitlab { hook.clone() } else { hook["config"].clone() };
        let secret = if api == Api::Gitlab { &config["token"] } else { &config["secret"] };
        assert_eq!((config["url"].as_str(), secret.as_str()), (Some(URL), Some("two")));
        let without_query = |call: &String| call.split('?').next().unwrap().to_owned();
        let calls: Vec<String> = state.calls.iter().map(without_query).collect();
        let get = format!("get {path}");
        let expected = [get.clone(), format!("post {path}"), get, format!("{update} {path}/1")];
        assert_eq!(calls, expected);
    }
}

#[tokio::test]
async fn the_fields_are_those_of_the_documentation() {
    let (forge, state) = stand_in(Api::Github, Vec::new()).await;
    run(&place(Api::Github, &forge), "s").await.unwrap();
    let github = json!({
        "id": 1, "name": "web", "active": true, "events": ["push"],
        "config": {"url": URL, "content_type": "json", "secret": "s", "insecure_ssl": "0"},
    });
    assert_eq!(state.lock().unwrap().hooks[0], github);
    let (forge, state) = stand_in(Api::Gitlab, Vec::new()).await;
    run(&place(Api::Gitlab, &forge), "s").await.unwrap();
    let gitlab = json!({
        "id": 1, "url": URL, "token": "s", "push_events": true, "tag_push_events": false,
        "enable_ssl_verification": true,
    });
    assert_eq!(state.lock().unwrap().hooks[0], gitlab);
    let (forge, state) = stand_in(Api::Gitea, Vec::new()).await;
    run(&place(Api::Gitea, &forge), "s").await.unwrap();
    let gitea = json!({
        "id": 1, "type": "gitea", "active": true, "events": ["push"],
        "config": {"url": URL, "content_type": "json", "secret": "s"},
    });
    assert_eq!(state.lock().unwrap().hooks[0], gitea);
}

#[tokio::test]
async fn a_hook_on_a_later_page_is_found() {
    let other = |id: usize| json!({"id": id, "config": {"url": format!("https://other/{id}")}});
    let mut hooks: Vec<Value> = (1..=PAGE).map(other).collect();
    hooks.push(json!({"id": PAGE + 1, "config": {"url": URL}}));
    let (forge, state) = stand_in(Api::Github, hooks).await;
    assert_eq!(run(&place(Api::Github, &forge), "s").await.unwrap(), Outcome::Updated);
    assert_eq!(state.lock().unwrap().hooks.len(), PAGE + 1);
}

#[tokio::test]
async fn failures_say_what_to_do_and_show_no_token() {
    let (forge, state) = stand_in(Api::Github, Vec::new()).await;
    let place = place(Api::Github, &forge);
    let text = |result: Result<Outcome, RegistrationError>| result.unwrap_err().to_string();
    let wrong = register(&place, &wanted("s"), &SecretString::from("wrong"), None).await;
    assert!(text(wrong).contains("admin:repo_hook"));
    state.lock().unwrap().fails = Some((404, json!({"message": "Not Found"})));
    assert!(text(run(&place, "s").await).contains("finds no repository halolab/shop"));
    let echo = json!({"message": format!("no good: hook-secret {TOKEN}")});
    state.lock().unwrap().fails = Some((422, echo));
    let error = text(run(&place, "hook-secret").await);
    assert!(error.contains("422: no good: … …"), "{error}");
    state.lock().unwrap().fails = Some((200, json!({"not": "a list"})));
    assert!(text(run(&place, "s").await).contains("no list of webhooks"));
    let nobody = Place::new(Api::Github, "http://127.0.0.1:1", "git@x:a/b").unwrap();
    assert!(text(run(&nobody, "s").await).contains("127.0.0.1:1 doesn't answer"));
}
