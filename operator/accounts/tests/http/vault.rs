//! What lies in the data directory: nothing that anybody could log in with.

use std::path::Path;

use serde_json::{Value, json};

use crate::bed::{Bed, By, PASSWORD};

fn holds(directory: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holds(&path, text));
        } else if std::fs::read(&path)
            .unwrap()
            .windows(text.len())
            .any(|bytes| bytes == text.as_bytes())
        {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test]
async fn secrets_are_nowhere() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    let session = bed.session("jane").await;
    let token = bed.token("jane", "ci", json!({})).await;
    let begin = json!({"spec": {"currentPassword": PASSWORD}});
    let begun = bed.ask(By::Token(&session), "POST", "/ops/selftotp", begin).await.expect(201);
    let factor = begun["status"]["secret"].as_str().unwrap();
    bed.accounts.flush().await;
    // In the records there are hashes only, but for what codes are made of.
    let mut records = Vec::new();
    for kind in ["passwords", "tokens", "sessions"] {
        for record in bed.server.vault(kind).all::<Value>().unwrap() {
            records.push(record.value.to_string());
        }
    }
    let all = records.join("\n");
    for secret in [PASSWORD, &session, &token, &session[4..], &token[4..]] {
        assert!(!all.contains(secret));
    }
    let secrets = [PASSWORD, &session, &token, factor].map(str::to_owned);
    let (directory, server) = (bed.directory, bed.server);
    server.shutdown().await;
    for secret in secrets {
        assert_eq!(holds(directory.path(), &secret), Vec::<String>::new());
    }
}
