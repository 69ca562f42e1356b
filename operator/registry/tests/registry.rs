//! A real registry (Debian's docker-registry), and stand-ins for what it can't be
//! made to do.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod server;

use std::time::Duration;

use hades_registry::{Credentials, ImageName, LoginAnswer, Prefix, Registries, RegistryError};
use server::{RegistryServer, Stub};

fn registries() -> Registries {
    Registries::new().unwrap()
}

fn image(server: &str, name: &str) -> ImageName {
    ImageName::parse(&format!("{server}/{name}")).unwrap()
}

#[tokio::test]
async fn a_tag_has_a_digest_which_changes_when_it_moves() {
    let server = RegistryServer::start(false).await;
    let pushed = server.push("shop/api", "1", "one");
    let registries = registries();
    let name = image(&server.address, "shop/api:1");
    assert_eq!(registries.digest(&name, None).await.unwrap(), pushed);
    let moved = server.push("shop/api", "1", "two");
    assert_ne!(moved, pushed);
    assert_eq!(registries.digest(&name, None).await.unwrap(), moved);
    let by_digest = image(&server.address, &format!("shop/api@{pushed}"));
    assert_eq!(registries.digest(&by_digest, None).await.unwrap(), pushed);
    let absent = registries.digest(&image(&server.address, "shop/api:9"), None).await.unwrap_err();
    assert!(matches!(absent, RegistryError::NotFound { .. }), "{absent}");
    assert!(absent.to_string().contains("shop/api:9"), "{absent}");
}

#[tokio::test]
async fn every_tag_is_listed() {
    let server = RegistryServer::start(false).await;
    for tag in ["1.2.0", "1.10.0", "latest"] {
        server.push("shop/api", tag, tag);
    }
    let mut tags = registries().tags(&image(&server.address, "shop/api"), None).await.unwrap();
    tags.sort();
    assert_eq!(tags, ["1.10.0", "1.2.0", "latest"]);
    let none = registries().tags(&image(&server.address, "shop/none"), None).await.unwrap_err();
    assert!(matches!(none, RegistryError::NotFound { .. }), "{none}");
}

#[tokio::test]
async fn a_private_registry_wants_the_right_credentials() {
    let server = RegistryServer::start(true).await;
    let pushed = server.push("shop/api", "1", "one");
    let name = image(&server.address, "shop/api:1");
    let registries = registries();
    let right = Credentials::basic(server::USER, server::PASSWORD);
    let wrong = Credentials::basic(server::USER, "wrong-word");
    for _ in 0..2 {
        assert_eq!(registries.digest(&name, Some(&right)).await.unwrap(), pushed);
    }
    for (credentials, advice) in [(None, "RegistryAccount"), (Some(&wrong), "check user")] {
        let error = registries.digest(&name, credentials).await.unwrap_err();
        assert!(matches!(error, RegistryError::Unauthorized { .. }), "{error}");
        let text = format!("{error} {error:?}");
        assert!(text.contains(advice) && !text.contains("wrong-word"), "{text}");
    }
    let prefix = Prefix::parse(&server.address);
    assert_eq!(registries.log_in(&prefix, &right).await, Ok(LoginAnswer::Accepted));
    let refused = registries.log_in(&prefix, &wrong).await.unwrap_err();
    assert!(matches!(refused, RegistryError::Unauthorized { .. }), "{refused}");
    let open = RegistryServer::start(false).await;
    let answer = registries.log_in(&Prefix::parse(&open.address), &right).await;
    assert_eq!(answer, Ok(LoginAnswer::NotNeeded));
}

#[tokio::test]
async fn tokens_are_fetched_where_the_registry_says_and_used_again() {
    let stub = Stub::start(|request, address| {
        let token =
            request.contains("GET /token") && request.contains("scope=repository%3Aa%3Apull");
        match (token, request.contains("uthorization: Bearer t0ken")) {
            (true, _) if !request.contains("uthorization: Basic bWU6cA==") => {
                "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".to_owned()
            }
            (true, _) => Stub::json(r#"{"access_token": "t0ken", "expires_in": 300}"#),
            (false, true) => Stub::json(r#"{"name": "a", "tags": ["1"]}"#),
            (false, false) => format!(
                "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nWWW-Authenticate: Bearer \
                 realm=\"http://{address}/token\",service=\"s\"\r\n\r\n"
            ),
        }
    })
    .await;
    let registries = registries();
    let me = Credentials::basic("me", "p");
    let name = image(&stub.address, "a");
    for _ in 0..2 {
        assert_eq!(registries.tags(&name, Some(&me)).await.unwrap(), ["1"]);
    }
    assert_eq!(stub.requests().iter().filter(|request| request.contains("/token")).count(), 1);
    let you = Credentials::basic("you", "p");
    let refused = registries.tags(&name, Some(&you)).await.unwrap_err();
    assert!(matches!(refused, RegistryError::Unauthorized { .. }), "{refused}");
}

#[tokio::test]
async fn pages_are_followed_but_not_to_another_host() {
    let stub = Stub::start(|request, _| {
        let (tags, next) = match request {
            _ if request.contains("last=2") => ("\"3\"", None),
            _ if request.contains("/v2/b/") => ("\"1\"", Some("http://127.0.0.1:1/v2/b/tags/list")),
            _ => ("\"1\", \"2\"", Some("/v2/a/tags/list?last=2")),
        };
        let link = next.map(|next| format!("Link: <{next}>; rel=\"next\"\r\n")).unwrap_or_default();
        let body = format!("{{\"tags\": [{tags}]}}");
        format!("HTTP/1.1 200 OK\r\n{link}Content-Length: {}\r\n\r\n{body}", body.len())
    })
    .await;
    let registries = registries();
    assert_eq!(registries.tags(&image(&stub.address, "a"), None).await.unwrap(), ["1", "2", "3"]);
    let elsewhere = registries.tags(&image(&stub.address, "b"), None).await.unwrap_err();
    assert!(matches!(elsewhere, RegistryError::Unexpected { .. }), "{elsewhere}");
}

#[tokio::test]
async fn trouble_is_told_apart() {
    let answer =
        |status: &str, more: &str| format!("HTTP/1.1 {status}\r\n{more}Content-Length: 0\r\n\r\n");
    let limited = answer("429 Too Many Requests", "Retry-After: 77\r\n");
    let stub = Stub::start(move |_, _| limited.clone()).await;
    let error = registries().tags(&image(&stub.address, "a"), None).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(77)), "{error}");
    assert!(error.is_passing() && error.to_string().contains("77 s"), "{error}");

    let broken = answer("503 Service Unavailable", "");
    let stub = Stub::start(move |_, _| broken.clone()).await;
    let error = registries().tags(&image(&stub.address, "a"), None).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unreachable { .. }), "{error}");

    // Nothing listens on the discard port.
    let error = registries().tags(&image("127.0.0.1:9", "a"), None).await.unwrap_err();
    assert!(error.is_passing() && error.to_string().contains("refused"), "{error}");

    let endless =
        format!("HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n{}", "x".repeat(9_000_000));
    let stub = Stub::start(move |_, _| endless.clone()).await;
    let error = registries().tags(&image(&stub.address, "a"), None).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unexpected { .. }), "{error}");
}

#[tokio::test]
async fn a_registry_may_send_on_to_where_the_image_is() {
    let there = Stub::start(|request, address| match request {
        _ if request.contains("GET /token") && request.contains("scope=repository%3Amirror") => {
            Stub::json(r#"{"token": "t0ken"}"#)
        }
        _ if request.contains("uthorization: Bearer t0ken") => {
            "HTTP/1.1 200 OK\r\nDocker-Content-Digest: sha256:aa\r\n\r\n".to_owned()
        }
        _ => format!(
            "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nWWW-Authenticate: Bearer \
             realm=\"http://{address}/token\",scope=\"repository:mirror/a:pull\"\r\n\r\n"
        ),
    })
    .await;
    let target = there.address.clone();
    let front = Stub::start(move |request, _| {
        let path = match request.contains("HEAD /v2/a/") {
            true => format!("http://{target}/v2/mirror/a/manifests/1"),
            false => "/v2/b/manifests/1".to_owned(),
        };
        format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {path}\r\nContent-Length: 0\r\n\r\n")
    })
    .await;
    let registries = registries();
    let me = Credentials::basic("me", "p");
    for credentials in [None, Some(&me), Some(&Credentials::Token("mine".to_owned().into()))] {
        let found = registries.digest(&image(&front.address, "a:1"), credentials).await;
        assert_eq!(found.unwrap(), "sha256:aa");
    }
    let sent = there.requests().join("\n");
    assert!(
        !sent.contains("Basic") && !sent.contains("mine"),
        "credentials are the front's: {sent}"
    );
    let endless = registries.digest(&image(&front.address, "b:1"), None).await.unwrap_err();
    assert!(matches!(endless, RegistryError::Unexpected { .. }), "{endless}");
    assert!(endless.to_string().contains("without end"), "{endless}");
}

#[tokio::test]
async fn a_registry_without_head_is_asked_for_the_manifest() {
    let stub = Stub::start(|request, _| match request.starts_with("HEAD") {
        true => "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n".to_owned(),
        false => Stub::json("{}"),
    })
    .await;
    let found = registries().digest(&image(&stub.address, "a:1"), None).await.unwrap();
    let of_manifest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    assert_eq!(found, of_manifest);
}
