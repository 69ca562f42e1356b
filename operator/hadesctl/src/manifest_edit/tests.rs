use serde_json::json;

use super::*;

const SUBJECT: Subject<'static> =
    Subject { kind: "Environment", namespace: Some("shop"), name: "production" };

fn head() -> String {
    "apiVersion: hades.dev/v1alpha1\nkind: Environment\nmetadata: {name: production}\n".to_owned()
}

/// The lines that differ, `-` before those that go and `+` before those that come.
fn edited(body: &str, patch: &Value) -> Result<String, EditError> {
    let text = head() + body;
    let after = edit("a.yaml", &text, SUBJECT, patch)?;
    let gone = without(&text, &after).map(|line| format!("-{line}"));
    let come = without(&after, &text).map(|line| format!("+{line}"));
    Ok(gone.chain(come).collect::<Vec<_>>().join("\n"))
}

/// The lines of a text that another one doesn't have, or has less often.
fn without<'a>(text: &'a str, other: &'a str) -> impl Iterator<Item = &'a str> {
    let mut rest: Vec<&str> = other.lines().collect();
    text.lines().filter(move |line| match rest.iter().position(|known| known == line) {
        Some(at) => {
            rest.remove(at);
            false
        }
        None => true,
    })
}

fn env(values: Value) -> Value {
    json!({"spec": {"services": {"api": {"env": values}}}})
}

const LINES: &str = "\
# Of the shop.
spec:
  services:
    api:
      image: api:1   # pinned
      env:
        # How much is said.
        LOG_LEVEL: info   # or debug
        TEXT: |
          one
          # no comment
          two

        PORT: 3000
      args:
      - a
      - b
    worker:
      image: worker:1
";

#[test]
fn values_are_replaced_and_comments_stay() {
    let patch = env(json!({"LOG_LEVEL": "debug", "PORT": "80"}));
    assert_eq!(
        edited(LINES, &patch).unwrap(),
        "-        LOG_LEVEL: info   # or debug\n-        PORT: 3000\n\
         +        LOG_LEVEL: debug   # or debug\n+        PORT: \"80\""
    );
    let patch = env(json!({"TEXT": "a: b"}));
    assert_eq!(
        edited(LINES, &patch).unwrap(),
        "-        TEXT: |\n-          one\n-          # no comment\n-          two\n\
         +        TEXT: \"a: b\""
    );
}

#[test]
fn keys_are_added_and_removed() {
    let reference = json!({"secretKeyRef": {"name": "db", "key": "password"}});
    let patch = env(json!({"NEW": "a b", "PASS": reference, "TEXT": null}));
    assert_eq!(
        edited(LINES, &patch).unwrap(),
        "-        TEXT: |\n-          one\n-          # no comment\n-          two\n\
         +        NEW: \"a b\"\n+        PASS: {secretKeyRef: {key: password, name: db}}"
    );
    let patch = json!({"spec": {"services": {"worker": {"env": {"A": "yes", "B": "b"}}}}});
    assert_eq!(edited(LINES, &patch).unwrap(), "+      env:\n+        A: \"yes\"\n+        B: b");
    let patch = json!({"spec": {"services": {"cron": {"image": "cron:1"}}}});
    assert_eq!(edited(LINES, &patch).unwrap(), "+    cron:\n+      image: cron:1");
    let gone = env(json!({"LOG_LEVEL": null, "TEXT": null, "PORT": null}));
    assert!(edited(LINES, &gone).unwrap().contains("+      env: {}"));
    assert_eq!(edited(LINES, &env(json!({"NOTHING": null}))).unwrap(), "");
}

#[test]
fn a_new_key_comes_behind_a_list_at_the_depth_of_its_key() {
    let body =
        "spec:\n  services:\n    api:\n      command:\n      - a\n      - b\n\n  volumes: {}\n";
    let patch = json!({"spec": {"services": {"api": {"replicas": 2}}}});
    let text = edit("a.yaml", &(head() + body), SUBJECT, &patch).unwrap();
    assert!(text.ends_with("      - b\n      replicas: 2\n\n  volumes: {}\n"), "{text}");
}

#[test]
fn texts_are_quoted_where_they_would_read_otherwise() {
    for text in ["a", "worker:2", "ghcr.io/a/b@sha256:0", "https://a.b/c", "_x"] {
        assert_eq!(Style { json: false }.inline(&json!(text)), text);
    }
    for text in
        ["", "1", "1.0", "true", "No", "n", "~", "a b", "a:", "a: b", "-", "*x", "a#b", "{a}", "ä"]
    {
        assert_eq!(Style { json: false }.inline(&json!(text)), format!("{text:?}"));
        let found =
            edited("spec:\n  services:\n    api: {env: {A: x}}\n", &env(json!({"A": text})));
        assert!(found.is_ok(), "{text}: {found:?}");
    }
}

#[test]
fn braces() {
    let body =
        "spec:\n  services:\n    api: {replicas: 2, env: {A: it's, B: \"x, }\"}, image: i}\n";
    for (patch, expected) in [
        (json!({"A": "b"}), "{replicas: 2, env: {A: b, B: \"x, }\"}, image: i}"),
        (json!({"B": "b"}), "{replicas: 2, env: {A: it's, B: b}, image: i}"),
        (json!({"B": null}), "{replicas: 2, env: {A: it's}, image: i}"),
        (json!({"A": null}), "{replicas: 2, env: {B: \"x, }\"}, image: i}"),
        (json!({"C": "1"}), "{replicas: 2, env: {A: it's, B: \"x, }\", C: \"1\"}, image: i}"),
        (json!({"A": null, "B": null}), "{replicas: 2, env: {}, image: i}"),
    ] {
        let found = edited(body, &env(patch)).unwrap();
        assert!(found.ends_with(&format!("+    api: {expected}")), "{found}");
    }
    let empty = "spec:\n  services: {api: {}}\n";
    let found = edited(empty, &env(json!({"A": "b"}))).unwrap();
    assert!(found.ends_with("+  services: {api: {env: {A: b}}}"), "{found}");
}

#[test]
fn only_one_of_several_objects_is_touched() {
    let other = head().replace("production", "staging");
    let body = "spec:\n  services:\n    api:\n      env:\n        A: a\n";
    let text = format!(
        "{other}{body}---\n{}{body}---\n{}{body}",
        head(),
        head().replace("{name: production}", "{name: production, namespace: blog}")
    );
    let after = edit("a.yaml", &text, SUBJECT, &env(json!({"A": "b"}))).unwrap();
    assert_eq!(after.matches("A: b").count(), 1);
    let place = after.find("A: b").unwrap();
    assert!(after[..place].contains("staging") && !after[..place].contains("blog"), "{after}");
}

#[test]
fn json_and_other_line_ends() {
    let text = json!({"apiVersion": "hades.dev/v1alpha1", "kind": "Environment",
        "metadata": {"name": "production"}, "spec": {"services": {"api": {"env": {"A": "a"}}}}});
    let text = serde_json::to_string_pretty(&text).unwrap();
    let after = edit("a.json", &text, SUBJECT, &env(json!({"A": "b", "N": "c"}))).unwrap();
    let after: Value = serde_json::from_str(&after).unwrap();
    assert_eq!(after["spec"]["services"]["api"]["env"], json!({"A": "b", "N": "c"}));
    let windows = (head() + LINES).replace('\n', "\r\n");
    let after = edit("a.yaml", &windows, SUBJECT, &env(json!({"LOG_LEVEL": "x", "N": "c"})));
    let after = after.unwrap();
    assert_eq!(after.matches('\n').count(), after.matches("\r\n").count(), "{after:?}");
}

#[test]
fn what_it_doesnt_understand_is_left_to_people() {
    let patch = env(json!({"A": "b"}));
    for body in [
        // One text is two values.
        "spec:\n  services:\n    api: &x\n      env:\n        A: a\n    worker: *x\n",
        "spec:\n  services:\n    worker:\n      env: &x {A: a}\n    api:\n      env: *x\n",
    ] {
        assert_eq!(edited(body, &patch), Err(EditError::Unfit), "{body}");
    }
    let commented = "spec:\n  services:\n    api: {env: {A: a, # why\n      B: b}}\n";
    assert_eq!(edited(commented, &env(json!({"N": "c"}))), Err(EditError::Unfit));
    assert_eq!(edited("spec: {}\nsops: {mac: x}\n", &patch), Err(EditError::Encrypted));
    let plain = "spec: {services: {api: {env: {A: a}}}}\n";
    let sealed = "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nsops: {mac: x}\n";
    for body in [format!("{plain}---\n{sealed}"), format!("{plain}sops:\n  mac: x\n---\n{sealed}")]
    {
        assert_eq!(edited(&body, &patch), Err(EditError::Encrypted), "{body}");
    }
    let below = edit("a.yaml", &format!("{sealed}---\n{}{plain}", head()), SUBJECT, &patch);
    assert_eq!(below, Err(EditError::Encrypted));
    // A field of that name alone isn't one of sops.
    assert!(edited(&format!("{plain}sops: {{}}\n"), &patch).is_ok());
    assert_eq!(edited("spec: [\n", &patch), Err(EditError::Unreadable));
    let other = Subject { name: "staging", ..SUBJECT };
    assert_eq!(edit("a.yaml", &head(), other, &patch), Err(EditError::NotThere));
}
