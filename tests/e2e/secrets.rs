//! Secrets of a project on real containers: who is replaced when one changes, and what
//! goes on when one is gone.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Stdio;

use crate::hades::{Engine, Hades, Repository, eventually};

/// Every way to use a Secret, in one environment; another one uses it, too.
const ENVIRONMENTS: &str = "\
{apiVersion: hades.dev/v1alpha1, kind: HadesProject, metadata: {name: PROJECT}, spec: {}}
---
apiVersion: hades.dev/v1alpha1
kind: Environment
metadata: {name: production, namespace: PROJECT}
spec:
  defaults: {host: local}
  services:
    variable: {image: 'hades-sample:1', env: {PASS: {secretKeyRef: {name: mail, key: password}}}}
    composed:
      image: 'hades-sample:1'
      env: {PASS: {secretKeyRef: {name: mail, key: password}}, URL: 'smtp://app:$(PASS)@mail'}
    whole: {image: 'hades-sample:1', envFrom: [{secretRef: {name: mail}}]}
    file:
      image: 'hades-sample:1'
      files: {/etc/mail.conf: {secretKeyRef: {name: mail, key: password}}}
    otherkey: {image: 'hades-sample:1', env: {USER: {secretKeyRef: {name: mail, key: user}}}}
    other: {image: 'hades-sample:1', env: {PASS: {secretKeyRef: {name: db, key: password}}}}
    pulled: {image: 'hades-sample:1', imagePullSecrets: [{name: pull}]}
    plain: {image: 'hades-sample:1'}
---
apiVersion: hades.dev/v1alpha1
kind: Environment
metadata: {name: staging, namespace: PROJECT}
spec:
  defaults: {host: local}
  services:
    user: {image: 'hades-sample:1', env: {USER: {secretKeyRef: {name: mail, key: user}}}}
";

/// Passes a value as people should: not on the command line.
fn set(hades: &Hades, secret: &str, key: &str, value: &str, more: &[&str]) -> String {
    let mut command = hades.hadesctl_command();
    let mut child = command
        .args(["secret", "set", &format!("{}/{secret}", hades.project), "--from-stdin", key])
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{value}").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    assert!(output.status.success(), "{said}{}", hades.log());
    assert!(!said.contains(value), "{said}");
    said
}

fn start() -> Hades {
    let hades = Hades::start(Engine::shared());
    hades.apply(
        "{apiVersion: hades.dev/v1alpha1, kind: HadesProject, metadata: {name: PROJECT}, spec: {}}",
    );
    set(&hades, "mail", "password", "first-password", &[]);
    set(&hades, "mail", "user", "first-user", &[]);
    set(&hades, "db", "password", "of-the-database", &[]);
    pull_secret(&hades, "first-login");
    hades.apply(ENVIRONMENTS);
    hades.wait_ready("production");
    hades.wait_ready("staging");
    hades
}

fn pull_secret(hades: &Hades, password: &str) {
    let file = hades.dir.path().join("config.json");
    // "user:" and the password in base64 are what Docker writes; plain fields do, too.
    let config = serde_json::json!({"auths": {"registry.example.com": {
        "username": "user", "password": password}}});
    std::fs::write(&file, config.to_string()).unwrap();
    let file = format!(".dockerconfigjson={}", file.display());
    let name = format!("{}/pull", hades.project);
    let mut args = vec!["secret", "set", &name, "--from-file", &file];
    if hades.object("secret", "pull", &hades.project).is_null() {
        args.extend(["--type", "dockerconfigjson"]);
    }
    hades.hadesctl(&args);
}

/// The container of each service, by the name of both.
fn containers(hades: &Hades) -> BTreeMap<String, String> {
    let service = |name: &String| name.rsplit_once("-1-").unwrap().0.to_owned();
    let names = hades.running();
    let ids = hades.engine.docker(
        &[
            &["inspect", "--format", "{{.Id}}"][..],
            &names.iter().map(String::as_str).collect::<Vec<_>>(),
        ]
        .concat(),
    );
    names.iter().map(service).zip(ids.lines().map(str::to_owned)).collect()
}

/// The services whose containers are others.
fn replaced(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    assert_eq!(before.len(), after.len());
    let other = after.iter().filter(|(service, id)| before.get(*service) != Some(id));
    other.map(|(service, _)| service.rsplit_once('_').unwrap().1.to_owned()).collect()
}

#[test]
fn a_changed_secret_replaces_exactly_its_users() {
    let hades = start();
    let first = containers(&hades);
    assert_eq!(first.len(), 9, "{first:?}");

    let said = set(&hades, "mail", "password", "second-password", &["--wait"]);
    assert!(said.contains("password   another value"), "{said}");
    let expected = "used by production: composed, file, otherkey, variable, whole; staging: user";
    assert!(said.contains(expected), "{said}");
    let second = containers(&hades);
    assert_eq!(replaced(&first, &second), ["composed", "file", "variable", "whole"]);
    let name = hades.container_of("composed").unwrap();
    let inside = hades.engine.docker(&["inspect", "--format", "{{json .Config.Env}}", &name]);
    assert!(inside.contains("smtp://app:second-password@mail"), "{inside}");

    // A key that two environments use.
    set(&hades, "mail", "user", "second-user", &["--wait"]);
    let third = containers(&hades);
    assert_eq!(replaced(&second, &third), ["otherkey", "whole", "user"]);

    // The same value once more, a Secret that images are pulled with, a key that nobody
    // names: these reach nothing that runs, but for what takes all keys.
    let said = set(&hades, "mail", "user", "second-user", &["--wait"]);
    assert!(said.contains("is so already"), "{said}");
    pull_secret(&hades, "second-login");
    let address = format!("{}/production", hades.project);
    hades.hadesctl(&["sync", &address, "--wait"]);
    assert_eq!(replaced(&third, &containers(&hades)), [""; 0]);
    set(&hades, "mail", "unused", "a-new-key", &["--wait"]);
    assert_eq!(replaced(&third, &containers(&hades)), ["whole"]);

    let listed = hades.hadesctl(&["secret", "list", "-p", &hades.project]);
    for words in ["mail", "dockerconfigjson", "production: other", "production: pulled"] {
        assert!(listed.contains(words), "{words} is not in {listed}");
    }
    for value in ["password\"", "first-", "second-", "of-the-database"] {
        assert!(!listed.contains(value), "{listed}");
    }
}

#[test]
fn a_secret_that_is_deleted_while_it_is_used() {
    let hades = start();
    let before = containers(&hades);
    let address = format!("{}/mail", hades.project);
    // Without somebody who agrees, what is used stays.
    let refused = hades.try_hadesctl(&["secret", "delete", &address]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("is used by production: composed") && said.contains("--yes"), "{said}");
    hades.hadesctl(&["secret", "delete", &address, "--yes"]);

    let message = hades.wait_not_ready("production", "SecretNotFound");
    assert!(message.contains("there is no Secret \"mail\""), "{message}");
    hades.wait_not_ready("staging", "SecretNotFound");
    assert_eq!(containers(&hades), before, "what runs goes on");

    // There again with the same values, nothing has changed; with others, its users do.
    set(&hades, "mail", "password", "first-password", &[]);
    // The reason stays the same.
    eventually("the missing key to be told", || {
        let message = hades.wait_not_ready("production", "SecretNotFound");
        message.contains("no text under the key \"user\"").then_some(()).ok_or(message)
    });
    set(&hades, "mail", "user", "first-user", &["--wait"]);
    assert_eq!(containers(&hades), before);

    // One that images are pulled with.
    hades.hadesctl(&["secret", "delete", &format!("{}/pull", hades.project), "--yes"]);
    let message = hades.wait_not_ready("production", "SecretNotFound");
    assert!(message.contains("there is no Secret \"pull\""), "{message}");
    assert_eq!(containers(&hades), before);
}

/// What git owns is changed in git: by hand, or by a branch that `--commit` pushes.
#[test]
fn a_variable_that_git_owns_is_committed() {
    let hades = Hades::start(Engine::shared());
    let repository = Repository::new(hades.dir.path().join("config"));
    let project = hades.project.as_str();
    repository.write(
        "shop.yaml",
        &format!(
            "apiVersion: hades.dev/v1alpha1\nkind: HadesProject\nmetadata: {{name: {project}}}\n\
             spec: {{}}\n---\napiVersion: hades.dev/v1alpha1\nkind: Environment\n\
             metadata: {{name: production, namespace: {project}}}\nspec:\n  \
             defaults: {{host: local}}\n  services:\n    web:   # the shop\n      \
             image: hades-sample:1\n      env: {{MESSAGE: one}}\n"
        ),
    );
    repository.commit("first");
    let url = repository.url();
    hades.apply(&format!(
        "apiVersion: hades.dev/v1alpha1\nkind: ConfigRepository\n\
         metadata: {{name: config, namespace: hades-system}}\nspec: {{url: '{url}', interval: 1s}}\n"
    ));
    crate::hades::eventually("the first commit to run", || {
        if hades.is_ready("production") { Ok(()) } else { Err(hades.ready_condition("production")) }
    });

    let service = format!("{project}/production/web");
    let refused = hades.try_hadesctl(&["set", "env", &service, "MESSAGE=two"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    for words in ["belongs to the repository", "env.MESSAGE: \"one\" -> \"two\"", "--commit"] {
        assert!(said.contains(words), "{words} is not in {said}");
    }
    let patch = hades.hadesctl(&["set", "env", &service, "MESSAGE=two", "--patch"]);
    assert!(patch.contains("-      env: {MESSAGE: one}\n+      env: {MESSAGE: two}"), "{patch}");

    let mut command = hades.hadesctl_command();
    let output = command
        .args(["set", "env", &service, "MESSAGE=two", "TOKEN=s3cret-token", "--secret", "--commit"])
        .envs([("GIT_AUTHOR_NAME", "ada"), ("GIT_AUTHOR_EMAIL", "ada@example.com")])
        .envs([("GIT_COMMITTER_NAME", "ada"), ("GIT_COMMITTER_EMAIL", "ada@example.com")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let branch =
        repository.git(&["branch", "--list", "hadesctl/*", "--format", "%(refname:short)"]);
    let branch = branch.trim();
    assert!(!branch.is_empty() && said.contains(branch), "{said}");
    let commit = repository.git(&["show", "--format=%an %s", branch]);
    assert!(
        commit.starts_with(&format!("ada {service}: set MESSAGE, TOKEN in Secret")),
        "{commit}"
    );
    assert!(commit.contains("web:   # the shop") && !commit.contains("s3cret"), "{commit}");

    // Merged, it is brought here.
    repository.git(&["merge", "--quiet", branch]);
    crate::hades::eventually("the merged commit to run", || {
        let env = hades.container_of("web").map(|name| {
            hades.engine.docker(&["inspect", "--format", "{{json .Config.Env}}", &name])
        });
        match env {
            Some(env) if env.contains("TOKEN=s3cret-token") => Ok(()),
            other => Err(other),
        }
    });
}
