//! Secrets in git: sealed by `hadesctl` and by real sops, opened by Hades alone.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::hades::{Engine, Hades, Repository, condition, eventually, free_port, http_get};

/// What is sealed, and must show up nowhere else than in the container.
const FIRST: &str = "planted-tangerine";
const SECOND: &str = "planted-mandarin";

fn manifests(hades: &Hades, port: u16) -> String {
    format!(
        r#"apiVersion: hades.dev/v1alpha1
kind: HadesProject
metadata: {{name: {project}}}
spec: {{}}
---
apiVersion: hades.dev/v1alpha1
kind: Environment
metadata: {{name: production, namespace: {project}}}
spec:
  defaults: {{host: local}}
  services:
    web:
      image: hades-sample:1
      env:
        MESSAGE: {{secretKeyRef: {{name: greeting, key: message}}}}
      ports: ["127.0.0.1:{port}:8080"]
"#,
        project = hades.project
    )
}

fn secret(hades: &Hades, message: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: greeting\n  namespace: {}\n\
         stringData:\n  message: {message}\n",
        hades.project
    )
}

/// The real program. None where it isn't installed.
fn sops() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("HADES_SOPS") else {
        eprintln!("skipped: hack/test.sh installs sops and sets HADES_SOPS");
        return None;
    };
    Some(PathBuf::from(folder).join("sops"))
}

fn status(hades: &Hades) -> Value {
    hades.object("configrepository", "config", "hades-system")["status"].clone()
}

/// Seals as somebody without any key does.
fn sealed(hades: &Hades, plain: &str) -> String {
    let mut child = hades
        .hadesctl_command()
        .args(["secret", "seal", "-p", "hades-system", "--repository", "config"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(plain.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn synced(hades: &Hades, commit: &str) {
    eventually("the commit to be synced", || {
        let found = hades.object("configrepository", "config", "hades-system");
        let ready = condition(&found, "Ready")["status"] == "True";
        let synced = found["status"]["syncedCommit"] == commit && ready;
        if synced { Ok(()) } else { Err(found["status"].clone()) }
    });
}

fn answers(port: u16, text: &str) {
    eventually(&format!("an answer with {text:?}"), || match http_get(port, "/") {
        Some(answer) if answer.contains(text) => Ok(()),
        other => Err(other),
    });
}

#[test]
fn sealed_secrets_reach_their_containers_and_tampered_ones_nothing() {
    let Some(sops) = sops() else { return };
    let hades = Hades::start(Engine::shared());
    let repository = Repository::new(hades.dir.path().join("config"));
    let port = free_port();
    repository.write("all.yaml", &manifests(&hades, port));
    repository.commit("without the secret");
    hades.apply(&format!(
        "apiVersion: hades.dev/v1alpha1\nkind: ConfigRepository\n\
         metadata: {{name: config, namespace: hades-system}}\n\
         spec: {{url: \"{}\", interval: 500ms}}\n",
        repository.url()
    ));
    let recipient = eventually("a recipient", || {
        let status = status(&hades);
        status["sopsRecipient"].as_str().map(str::to_owned).ok_or(status)
    });

    // By hadesctl, then anew by real sops.
    let text = sealed(&hades, &secret(&hades, FIRST));
    assert!(!text.contains(FIRST) && text.contains(&recipient), "{text}");
    repository.write("secret.yaml", &text);
    synced(&hades, &repository.commit("sealed by hadesctl"));
    answers(port, FIRST);
    repository.write("secret.yaml", &secret(&hades, SECOND));
    let file = repository.dir.join("secret.yaml");
    let encrypted = Command::new(&sops)
        .args(["encrypt", "--age", &recipient, "--encrypted-regex", "^stringData$", "-i"])
        .arg(&file)
        .env("HOME", hades.dir.path())
        .output()
        .unwrap();
    assert!(encrypted.status.success(), "{}", String::from_utf8_lossy(&encrypted.stderr));
    let text = std::fs::read_to_string(&file).unwrap();
    let good = repository.commit("sealed by sops");
    synced(&hades, &good);
    answers(port, SECOND);

    // Under another name it could go to another service, with a change that is harmless.
    repository.write("secret.yaml", &text.replace("name: greeting", "name: other"));
    let other = manifests(&hades, port).replace("env:\n", "labels: {a: b}\n      env:\n");
    repository.write("all.yaml", &other);
    let bad = repository.commit("tampered with");
    let stalled = eventually("the stall", || {
        let found = hades.object("configrepository", "config", "hades-system");
        let stalled = condition(&found, "Stalled")["reason"] == "SealBroken";
        let seen = found["status"]["observedCommit"] == bad.as_str();
        if stalled && seen { Ok(found["status"].clone()) } else { Err(found["status"].clone()) }
    });
    assert_eq!(stalled["syncedCommit"], good.as_str());
    assert_eq!(stalled["errors"][0]["file"], "secret.yaml");
    let kept = hades.object("environment", "production", &hades.project);
    assert_eq!(kept["spec"]["services"]["web"].get("labels"), None, "nothing of it is applied");
    assert!(hades.object("secret", "other", &hades.project).is_null());
    answers(port, SECOND);

    let described = hades.hadesctl(&["describe", "cr/config", "-p", "hades-system"]);
    assert!(described.contains("SealBroken") && described.contains(&recipient), "{described}");
    let shown = format!(
        "{described}{}{}",
        hades.log(),
        hades.hadesctl(&["get", "secret", "greeting", "-p", &hades.project, "-o", "yaml"])
    );
    for planted in [FIRST, SECOND] {
        assert!(!shown.contains(planted), "{shown}");
        let found = Command::new("grep").args(["-rlaF", planted]).arg(hades.data()).output();
        assert_eq!(String::from_utf8_lossy(&found.unwrap().stdout), "", "on disk");
    }
}
