//! What the audit log is told of logins.

use serde_json::{Value, json};

use crate::bed::{Bed, By, PASSWORD};
use crate::provider::{Key, Provider};
use crate::web::Web;

/// All lines of the log, the oldest first.
fn lines(bed: &Bed) -> Vec<Value> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(bed.path("audit")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let text = std::fs::read_to_string(path).unwrap();
            lines.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
        }
    }
    lines
}

#[tokio::test]
async fn logins_good_and_bad_and_logouts_are_recorded_without_what_was_typed() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    bed.log_in("jane", "a wrong password", None).await.expect(401);
    bed.log_in("typed-into-the-wrong-field", "x", None).await.expect(401);
    bed.pass(3600);
    let session = bed.log_in("jane", PASSWORD, None).await.expect(201);
    let token = session["status"]["token"].as_str().unwrap().to_owned();
    bed.person("joe").await;
    let joe = bed.session("joe").await;
    bed.enrol(&joe).await;
    bed.log_in("joe", PASSWORD, None).await.expect(401);
    bed.log_in("joe", PASSWORD, Some("000000")).await.expect(401);
    let new = json!({"metadata": {"name": "ci"}, "spec": {}});
    bed.ask(By::Token(&token), "POST", "/ops/selftokens", new).await.expect(201);
    bed.ask(By::Token(&token), "POST", "/auth/logout", Value::Null).await.expect(200);
    let bed = bed.restart().await;
    let found = lines(&bed);
    let told: Vec<String> = found
        .iter()
        .filter(|one| one["user"]["username"] != "tester")
        .map(|one| {
            let (verb, user) = (&one["verb"], &one["user"]["username"]);
            let (code, about) = (&one["responseStatus"]["code"], &one["objectRef"]["resource"]);
            format!("{verb} {user} {about} {code}").replace('"', "")
        })
        .collect();
    let expected = [
        "create system:hades:accounts users 201",
        "login jane null 401",
        "login null null 401",
        "login jane null 201",
        "login joe null 201",
        "create joe selftotp 201",
        "create joe selftotp 201",
        "login joe null 401",
        "login joe null 401",
        "create jane selftokens 201",
        "logout jane null 200",
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}: {expected}");
    }
    let needed = "the password is right, a code is needed";
    let of_joe = |one: &&Value| one["responseStatus"]["message"] == needed;
    assert_eq!(found.iter().filter(of_joe).count(), 1);
    let text = found.iter().map(Value::to_string).collect::<String>();
    for planted in ["wrong password", "typed-into", PASSWORD, "hds_", "hdt_"] {
        assert!(!text.contains(planted), "{planted} is in the log");
    }
}

#[tokio::test]
async fn a_single_sign_on_that_is_refused_is_recorded() {
    let provider = Provider::start(1_790_000_000).await;
    let mut settings = provider.settings();
    settings.required_claims = vec![("hd".to_owned(), "example.com".to_owned())];
    let web = Web::with_provider(settings).await;
    let mut browser = web.browser();
    provider.said().user_info = json!({"sub": "7"});
    provider.log_in(&mut browser).await.expect(403, "hd=example.com");
    provider.said().user_info = json!({"sub": "7", "hd": "example.com"});
    provider.said().forge = Some(Box::new(|_, claims| Key::new("one").sign(claims)));
    provider.log_in(&mut browser).await.expect(403, "can&#39;t be trusted");
    provider.said().forge = None;
    web.bed.person("jane").await;
    provider.log_in(&mut browser).await.expect(403, "There is a user");
    web.bed.delete("jane").await;
    provider.log_in(&mut browser).await.location();
    web.bed.patch("jane", json!({"disabled": true})).await;
    provider.log_in(&mut browser).await.expect(403, "may not log in");
    web.bed.delete("jane").await;
    provider.log_in(&mut browser).await.expect(403, "was deleted");
    let bed = web.bed.restart().await;
    let found = lines(&bed);
    let logins = found.iter().filter(|one| one["verb"] == "login");
    let told: Vec<String> = logins
        .map(|one| {
            let (user, code) = (&one["user"]["username"], &one["responseStatus"]["code"]);
            let (notes, why) = (&one["annotations"], &one["responseStatus"]["message"]);
            assert_eq!(notes["hades.dev/method"], "sso", "{one}");
            let subject = &notes["hades.dev/subject"];
            format!("{user} {code} {subject} {why}").replace('"', "")
        })
        .collect();
    let expected = [
        "null 401 null this login is for people with hd=example.com only",
        "null 401 null the ID token proves nothing",
        "jane 401 7 there is another user",
        "jane 201 null null",
        "jane 401 7 there is no user",
        "jane 401 7 the user",
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}: {expected}");
    }
    assert!(told[5].contains("was deleted"), "{told:#?}");
}
