//! What the audit log is told of logins.

use serde_json::{Value, json};

use crate::bed::{Bed, By, PASSWORD};

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
        "create jane selftokens 201",
        "logout jane null 200",
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}: {expected}");
    }
    let text = found.iter().map(Value::to_string).collect::<String>();
    for planted in ["wrong password", "typed-into", PASSWORD, "hds_", "hdt_"] {
        assert!(!text.contains(planted), "{planted} is in the log");
    }
}
