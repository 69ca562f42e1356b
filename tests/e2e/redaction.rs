//! Values of Secrets in what real containers write, and who may see one.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::hades::{Engine, Hades, eventually, testbed};

const PASSWORD: &str = "s3cr3t/pass word";

/// One that talks, and one that says why it can't start.
const MANIFESTS: &str = r#"
{apiVersion: hades.dev/v1alpha1, kind: HadesProject, metadata: {name: PROJECT}, spec: {}}
---
apiVersion: v1
kind: Secret
metadata: {name: db, namespace: PROJECT}
stringData: {password: s3cr3t/pass word}
---
apiVersion: hades.dev/v1alpha1
kind: EnvironmentTemplate
metadata: {name: base, namespace: PROJECT}
spec:
  defaults: {host: local}
  env: {PASS: {secretKeyRef: {name: db, key: password}}}
---
apiVersion: hades.dev/v1alpha1
kind: Environment
metadata: {name: production, namespace: PROJECT}
spec:
  templateRef: {name: base}
  services:
    talker:
      image: hades-shell:1
      command:
        - sh
        - -c
        - |
          trap 'exit 0' TERM
          echo "plain $PASS."
          printf 'in two s3cr3'; sleep 0.3; echo 't/pass word.'
          printf 'x:%s' "$PASS" | base64
          echo "to stderr $PASS." >&2
          while :; do echo "again later-value $PASS."; sleep 0.2; done
---
apiVersion: hades.dev/v1alpha1
kind: Environment
metadata: {name: broken, namespace: PROJECT}
spec:
  templateRef: {name: base}
  services:
    mute: {image: 'hades-shell:1', command: [sh, -c, 'echo "cannot log in with $PASS"; exit 3']}
"#;

fn start() -> Hades {
    let hades = Hades::start(Engine::shared());
    let image = Command::new(testbed("shell-image.sh"))
        .arg("hades-shell:1")
        .env("DOCKER_HOST", &hades.engine.endpoint)
        .status();
    assert!(image.unwrap().success());
    hades.apply(MANIFESTS);
    hades.wait_ready("production");
    hades
}

/// Fails if the value is in a text in any form, or nothing was hidden in it.
fn assert_hidden(what: &str, text: &str) {
    let mut forms = vec![PASSWORD.to_owned(), PASSWORD.replace('/', "%2F")];
    for before in ["", "x", "xy"] {
        // Without the characters that have bits of what is beside it.
        let encoded = STANDARD.encode(format!("{before}{PASSWORD}"));
        forms.push(encoded[4..20].to_owned());
    }
    for form in forms {
        assert!(!text.contains(&form), "{form} in {what}: {text}");
    }
    assert!(text.contains("***"), "nothing is hidden in {what}: {text}");
}

#[test]
fn no_value_in_what_containers_write_and_what_is_said_of_them() {
    let hades = start();
    let address = format!("{}/production", hades.project);
    let log = eventually("all that the container writes", || {
        let log = hades.hadesctl(&["logs", &address]);
        if log.contains("again") && log.contains("to stderr") { Ok(log) } else { Err(log) }
    });
    assert_hidden("the log", &log);
    for line in ["plain ***.", "in two ***.", "to stderr ***.", "again later-value ***."] {
        assert!(log.contains(line), "{line} in {log}");
    }

    // What becomes a value while somebody reads.
    let mut follow = hades
        .hadesctl_command()
        .args(["logs", &address, "--follow", "--tail", "5"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("again later-value ***.")));
    hades.apply(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: later, namespace: PROJECT}\n\
         stringData: {token: later-value}\n",
    );
    assert!(lines.take(200).any(|line| line.contains("again *** ***.")));
    follow.kill().unwrap();
    follow.wait().unwrap();

    let broken = format!("{}/broken", hades.project);
    let said = eventually("the reason to be told", || {
        let said = hades.hadesctl(&["describe", &broken]);
        if said.contains("cannot log in with ***") { Ok(said) } else { Err(said) }
    });
    assert_hidden("describe", &said);
    for args in [
        &["get", "environments,events", "-o", "yaml"][..],
        &["get", "events.events.k8s.io", "-o", "json"],
    ] {
        let args = [args, &["-n", &hades.project]].concat();
        assert_hidden(&args.join(" "), &hades.kubectl(&args));
    }
    assert!(!hades.log().contains(PASSWORD), "{}", hades.log());
}

#[test]
fn short_values_are_warned_about() {
    let hades = Hades::start(Engine::shared());
    let secret = ["create", "secret", "generic", "pin", "-n", "default", "--from-literal=pin=1234"];
    let output = hades.try_kubectl(&secret);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("Warning: data[pin]: "), "{said}");
    let output = hades.try_apply(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: other, namespace: default}\n\
         stringData: {code: '99999', long: long-enough}\n",
    );
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("data[code]: "), "{said}");
    assert!(!said.contains("99999") && !said.contains("data[long]"), "{said}");
}

#[test]
fn a_value_is_revealed_where_the_project_allows_it() {
    let hades = Hades::start(Engine::shared());
    let project = |policy: &str| {
        format!(
            "{{apiVersion: hades.dev/v1alpha1, kind: HadesProject, metadata: {{name: PROJECT}}, \
             spec: {{policy: {policy}}}}}\n"
        )
    };
    let secrets = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: PROJECT}\n\
                   stringData: {password: \"two\\nlines\"}\n\
                   ---\napiVersion: v1\nkind: Secret\nmetadata: {name: key, namespace: PROJECT}\n\
                   type: example.com/key\nstringData: {password: of-a-forge}\n";
    hades.apply(&(project("{}") + secrets));
    let reveal = |name: &str| {
        let name = format!("{}/{name}", hades.project);
        let output = hades.try_hadesctl(&["secret", "reveal", &name, "password"]);
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap())
    };
    let [out, said] = reveal("db");
    assert!(out.is_empty() && said.contains("spec.policy.reveal"), "{out}{said}");
    hades.apply(&project("{reveal: true}"));
    assert_eq!(reveal("db"), ["two\nlines", ""].map(str::to_owned));
    let [out, said] = reveal("key");
    assert!(out.is_empty() && said.contains("example.com/key"), "{out}{said}");
    // Nor by calling it something else.
    let patch = ["patch", "secret", "key", "-n", &hades.project, "--patch={\"type\":\"Opaque\"}"];
    let output = hades.try_kubectl(&patch);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("field is immutable"), "{said}");

    let path = format!(
        "/apis/operations.hades.dev/v1alpha1/namespaces/{}/auditevents?limit=1000",
        hades.project
    );
    let audit = hades.kubectl(&["get", "--raw", &path]);
    assert!(audit.matches("\"reveal\"").count() >= 3, "{audit}");
    assert!(!audit.contains("lines") && !audit.contains("of-a-forge"), "{audit}");
}
