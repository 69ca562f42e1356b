//! A value is planted, and everything that people and programs get to see is searched
//! for it: by kubectl and hadesctl, on the engine, in logs, and in every file.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::hades::{Engine, Hades, condition, eventually};

/// In the environment of a container; with what URLs and base64 write differently.
const USED: &str = "planted/Used+value?a=b&c=d%20e~";
/// Of many lines, as keys are.
const LINES: &str =
    "-----BEGIN PLANTED KEY-----\nq83vEjRWeJq83vEjRWeJq83v\n-----END PLANTED KEY-----\n";
/// Applied by the client, which keeps a copy.
const APPLIED: &str = "planted-by-client-side-apply-Zz9";
/// Written over, so that it is of no use any more.
const FORMER: &str = "planted-and-written-over-Qq7";
/// What it was written over with.
const LATER: &str = "planted-later-instead-of-it-Ww5";
/// What registries, forges and hosts are opened with.
const ACCOUNT: &str = "planted/For+registries,forges?and=hosts";
/// No key, but where one should be.
const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEplanted\n";

const VALUES: [&str; 7] = [USED, LINES, APPLIED, FORMER, LATER, ACCOUNT, KEY];

/// What a search for a value looks for: as it is, in JSON, in base64 of both alphabets
/// wherever it may begin, and in URLs.
fn forms(value: &str) -> Vec<String> {
    let json = serde_json::Value::from(value).to_string();
    let mut forms = vec![value.to_owned(), json.trim_matches('"').to_owned()];
    for skipped in 0..3 {
        let encoded = BASE64.encode([vec![0; skipped], value.as_bytes().to_vec()].concat());
        // What depends on the value alone.
        let whole = &encoded[(skipped * 8).div_ceil(6)..(skipped + value.len()) * 8 / 6];
        forms.push(whole.to_owned());
        forms.push(whole.replace('+', "-").replace('/', "_"));
    }
    let percent = |upper: bool| -> String {
        let byte = |byte: u8| match byte {
            b if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) => char::from(b).to_string(),
            b if upper => format!("%{b:02X}"),
            b => format!("%{b:02x}"),
        };
        value.bytes().map(byte).collect()
    };
    forms.extend([percent(true), percent(false)]);
    // The lines of a text may be told one by one.
    if value.contains('\n') {
        forms.extend(value.lines().filter(|line| !line.starts_with('-')).map(str::to_owned));
    }
    forms
}

/// What was seen so far, each with where.
#[derive(Default)]
struct Seen(Vec<(String, Vec<u8>)>);

impl Seen {
    fn note(&mut self, place: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.push((place.into(), bytes.into()));
    }

    fn output(&mut self, place: String, output: Output) {
        self.note(format!("{place}, output"), output.stdout);
        self.note(format!("{place}, errors"), output.stderr);
    }

    fn folder(&mut self, folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.folder(&path);
            } else if path.is_file() {
                self.note(path.display().to_string(), std::fs::read(&path).unwrap());
            }
        }
    }

    #[track_caller]
    fn assert_nowhere(&self, values: &[&str]) {
        let forms: Vec<String> = values.iter().flat_map(|value| forms(value)).collect();
        for (place, bytes) in &self.0 {
            let text = String::from_utf8_lossy(bytes);
            let found = forms.iter().find(|form| text.contains(*form));
            assert_eq!(found, None, "in {place}");
        }
    }
}

fn plant(hades: &Hades) {
    let file = |name: &str, text: &str| {
        let path = hades.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let namespace = ["-n", &hades.project];
    let create = |args: &[&str]| hades.kubectl(&[&namespace, args].concat());
    let (used, lines) = (file("used", USED), file("lines", LINES));
    let (from_used, from_lines) =
        (format!("--from-file=password={used}"), format!("--from-file=key={lines}"));
    create(&["create", "secret", "generic", "used", &from_used, &from_lines]);
    for value in [FORMER, LATER] {
        let manifest = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: over}}\nstringData: {{value: {value}}}\n"
        );
        let manifest = file("over.yaml", &manifest);
        create(&["apply", "--server-side", "--force-conflicts", "-f", &manifest]);
    }
    let manifest = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: applied}}\nstringData: {{value: {APPLIED}}}\n"
    );
    let manifest = file("applied.yaml", &manifest);
    create(&["apply", "-f", &manifest]);
    create(&["apply", "-f", &manifest]);
    for name in ["used", "lines", "over.yaml", "applied.yaml"] {
        std::fs::remove_file(hades.dir.path().join(name)).unwrap();
    }
}

fn environment(value_of: &str) -> String {
    format!(
        r#"apiVersion: hades.dev/v1alpha1
kind: Environment
metadata: {{name: production, namespace: PROJECT}}
spec:
  defaults: {{host: local}}
  services:
    web:
      image: hades-sample:1
      env:
        PASSWORD: {{secretKeyRef: {{name: {value_of}, key: password}}}}
        DATABASE_URL: "postgres://app:$(PASSWORD)@db/app"
      envFrom: [{{secretRef: {{name: used}}}}]
      files:
        /etc/app/key: {{secretKeyRef: {{name: {value_of}, key: key}}}}
"#
    )
}

/// A registry and a forge that refuses everybody, and repeats what it was told.
struct Gate {
    port: u16,
    /// Each request that came with a credential: its first line, and the credential.
    heard: Arc<Mutex<Vec<(String, String)>>>,
}

impl Gate {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::<Mutex<Vec<_>>>::default();
        let hearing = heard.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut request = [0; 8192];
                let length = stream.read(&mut request).unwrap_or_default();
                let request = String::from_utf8_lossy(&request[..length]);
                let credential = request
                    .lines()
                    .find(|line| line.to_ascii_lowercase().starts_with("authorization:"));
                if let Some(credential) = credential {
                    let first = request.lines().next().unwrap_or_default().to_owned();
                    hearing.lock().unwrap().push((first, credential.to_owned()));
                }
                refuse(&mut stream, credential);
            }
        });
        Self { port, heard }
    }

    /// That the password of the accounts came with a request of that path, or nothing of
    /// it could have been repeated.
    #[track_caller]
    fn assert_heard(&self, path: &str) {
        let heard = self.heard.lock().unwrap();
        let forms = forms(ACCOUNT);
        let came = heard.iter().any(|(first, credential)| {
            first.contains(path) && forms.iter().any(|form| credential.contains(form))
        });
        let firsts: Vec<&String> = heard.iter().map(|(first, _)| first).collect();
        assert!(came, "no password for {path}, but {firsts:?}");
    }
}

fn refuse(stream: &mut TcpStream, credential: Option<&str>) {
    let status = if credential.is_some() {
        "403 Forbidden"
    } else {
        "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"planted\""
    };
    let message = format!("not you: {} {ACCOUNT}", credential.unwrap_or("nobody"));
    let body = serde_json::json!({"errors": [{"code": "DENIED", "message": message}]}).to_string();
    let length = body.len();
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
}

/// Credentials of the installation, none of which opens anything.
fn accounts(hades: &Hades) {
    let gate = Gate::open();
    let port = gate.port;
    let secret = |name: &str, keys: &[&str]| {
        let create = ["-n", "hades-system", "create", "secret", "generic", name];
        hades.kubectl(&[&create, keys].concat());
    };
    let password = format!("--from-literal=password={ACCOUNT}");
    secret("registry", &["--from-literal=username=robot", &password]);
    secret("forge", &[&format!("--from-literal=token={ACCOUNT}")]);
    secret("host", &[&format!("--from-literal=ssh-privatekey={KEY}")]);
    let host_key =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    hades.apply(&format!(
        r#"apiVersion: hades.dev/v1alpha1
kind: RegistryAccount
metadata: {{name: registry}}
spec: {{registry: "127.0.0.1:{port}", secretRef: {{name: registry}}, allowedProjects: ["*"]}}
---
apiVersion: hades.dev/v1alpha1
kind: GitAccount
metadata: {{name: forge}}
spec: {{provider: generic, url: "http://127.0.0.1:{port}", secretRef: {{name: forge}}}}
---
apiVersion: hades.dev/v1alpha1
kind: ConfigRepository
metadata: {{name: fleet, namespace: hades-system}}
spec: {{url: "http://127.0.0.1:{port}/fleet.git", account: forge}}
---
apiVersion: hades.dev/v1alpha1
kind: DockerHost
metadata: {{name: remote}}
spec:
  endpoint: "ssh://root@127.0.0.1:{port}"
  ssh: {{secretRef: {{name: host}}, hostKeys: ["{host_key}"]}}
"#
    ));
    let refused = |kind: &str, name: &str| {
        eventually(&format!("{kind} {name} to be refused"), || {
            let object = hades.object(kind, name, "hades-system");
            let ready = condition(&object, "Ready");
            if ready["status"] == "False" { Ok(ready) } else { Err(object) }
        })
    };
    refused("registryaccount", "registry");
    gate.assert_heard(" /v2/");
    refused("configrepository", "fleet");
    gate.assert_heard(" /fleet.git/");
    // By the key itself: it got as far as that.
    let host = refused("dockerhost", "remote");
    assert_eq!(host["reason"], "InvalidCredentials", "{host}");
    assert!(host["message"].as_str().unwrap().contains("private SSH key"), "{host}");
}

/// Everything that kubectl shows of Secrets, in every form, and what it says when
/// something is wrong.
fn kubectl(hades: &Hades, seen: &mut Seen) {
    let mut run = |args: &[&str]| {
        let args = [&["-n", &hades.project], args].concat();
        seen.output(format!("kubectl {}", args.join(" ")), hades.try_kubectl(&args));
    };
    for output in ["yaml", "json", "wide", "name", "jsonpath={.items[*].data}", "go-template={{.}}"]
    {
        run(&["get", "secrets", "-o", output, "--show-managed-fields"]);
        run(&["get", "secrets", "-A", "-o", output]);
    }
    run(&["get", "secrets", "--show-labels", "-v=9"]);
    run(&["get", "secrets", "--watch", "-o", "yaml", "--request-timeout=2s"]);
    run(&["get", "secret", "used", "--subresource=status", "-o", "yaml"]);
    run(&["get", "secrets", "--field-selector", "type=Opaque", "-o", "yaml"]);
    run(&["get", "secrets", "--field-selector", "data.password=x"]);
    run(&["describe", "secrets"]);
    run(&["get", "events", "-A", "-o", "yaml"]);
    run(&["get", "events.events.k8s.io", "-A", "-o", "yaml"]);
    let accounts = "registryaccounts,gitaccounts,configrepositories,dockerhosts";
    run(&["get", accounts, "-A", "-o", "yaml", "--show-managed-fields"]);
    run(&["describe", accounts, "-A"]);
    run(&["get", "environments,hadesprojects", "-o", "yaml", "--show-managed-fields"]);
    run(&["describe", "environments"]);
    run(&["annotate", "secret", "used", "seen=yes", "-o", "yaml"]);
    run(&["label", "secret", "used", "seen=yes", "-o", "json", "--dry-run=server"]);
    for (kind, patch) in [
        ("merge", r#"{"metadata":{"labels":{"a":"b"}}}"#),
        ("strategic", r#"{"data":{"$patch":"replace","x":"eA=="}}"#),
        ("json", r#"[{"op":"copy","from":"/data/password","path":"/metadata/annotations/x"}]"#),
        ("json", r#"[{"op":"test","path":"/data/password","value":"eA=="}]"#),
        ("merge", r#"{"data":{"password":"not base64"}}"#),
    ] {
        let patched = ["patch", "secret", "used", "--type", kind, "-p", patch, "-o", "yaml"];
        run(&[&patched[..], &["--dry-run=server"]].concat());
    }
    run(&["delete", "secrets", "--all", "--dry-run=server", "-o", "yaml"]);
    for raw in ["secrets", "secrets/used", "secrets/used/scale", "secrets?limit=1"] {
        run(&["get", "--raw", &format!("/api/v1/namespaces/{}/{raw}", hades.project)]);
    }
    run(&["get", "--raw", "/metrics"]);
    // What was read goes back, by edit, replace, diff and apply.
    let shown = hades.kubectl(&["-n", &hades.project, "get", "secret", "used", "-o", "yaml"]);
    let path = hades.dir.path().join("shown.yaml");
    std::fs::write(&path, shown).unwrap();
    let path = path.to_str().unwrap();
    run(&["diff", "-f", path]);
    run(&["replace", "-f", path, "-o", "yaml"]);
    run(&["apply", "-f", path, "-o", "yaml"]);
    run(&["apply", "--server-side", "--force-conflicts", "-f", path, "-o", "yaml"]);
}

/// What an editor gets to see.
fn edited(hades: &Hades, seen: &mut Seen) {
    let output = Command::new("kubectl")
        .args(["-n", &hades.project, "edit", "secrets"])
        .env("KUBECONFIG", hades.kubeconfig())
        .env("HOME", hades.dir.path())
        .env("KUBE_EDITOR", "cat")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("password: "), "{output:?}");
    seen.output("kubectl edit".to_owned(), output);
}

/// What hadesctl shows of the environment that uses them.
fn hadesctl(hades: &Hades, seen: &mut Seen) {
    let address = format!("{}/production", hades.project);
    let project: &str = &hades.project;
    // These have something to show, whatever is missing.
    for args in [
        &["get", "secrets", "-p", project, "-o", "yaml"][..],
        &["get", "env", "-A", "-o", "json"],
        &["describe", &address],
        &["describe", "secret", "over", "-p", project],
        &["describe", &format!("hp/{project}")],
        &["events", &address],
        &["events", "-A"],
        &["logs", &format!("{address}/web")],
        &["ps", &address],
        &["get", "env", "production", "-p", project, "-o", "yaml"],
        &["audit", "-o", "json"],
        &["audit"],
        &["secret", "list", "-p", project],
        &["secret", "list", "-A", "-o", "json"],
        &["set", "env", &format!("{address}/web")],
    ] {
        let output = hades.try_hadesctl(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        seen.output(format!("hadesctl {}", args.join(" ")), output);
    }
    for args in [
        &["diff", &address][..],
        &["diff", &address, "-o", "json"],
        &["describe", "secret", "used", "-p", project],
    ] {
        seen.output(format!("hadesctl {}", args.join(" ")), hades.try_hadesctl(args));
    }
    hadesctl_secret(hades, seen);
    let manifest = hades.dir.path().join("changed.yaml");
    let changed = environment("used").replace("PROJECT", project).replace("@db/", "@other/");
    std::fs::write(&manifest, changed).unwrap();
    let manifest = manifest.to_str().unwrap();
    for args in [
        &["diff", "-f", manifest][..],
        &["diff", "-f", manifest, "-o", "json"],
        &["render", "-f", manifest],
        &["apply", "-f", manifest, "--dry-run"],
    ] {
        seen.output(format!("hadesctl {}", args.join(" ")), hades.try_hadesctl(args));
    }
}

/// What the commands say that take values and give none out.
fn hadesctl_secret(hades: &Hades, seen: &mut Seen) {
    // Not in the folder that is searched.
    let values = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = values.path().join(name);
        std::fs::write(&path, text).unwrap();
        format!("password={}", path.display())
    };
    let (used, later) = (file("used", USED), file("later", LATER));
    let secret = format!("{}/typed", hades.project);
    let address = format!("{}/production/web", hades.project);
    for (code, args) in [
        (1, &["diff", &secret, "--from-file", &used][..]),
        (0, &["set", &secret, "--from-file", &used]),
        (0, &["diff", &secret, "--from-file", &used]),
        (1, &["diff", &secret, "--from-file", &later]),
        (0, &["set", &secret, "--from-file", &later]),
        // The project doesn't allow it.
        (1, &["reveal", &secret, "password"]),
        (0, &["delete", &secret, "--yes"]),
    ] {
        let output = hades.try_hadesctl(&[&["secret"], args].concat());
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
        seen.output(format!("hadesctl secret {}", args.join(" ")), output);
    }
    // Never made: there is no repository to commit it to.
    let lines = values.path().join("lines");
    std::fs::write(&lines, format!("A_PASSWORD='{USED}'\nB=db://a:{LATER}@b\n")).unwrap();
    for flags in [&["--commit"][..], &["--commit", "--yes"], &["--secret", "--commit"]] {
        let lines = ["set", "env", &address, "--from-env-file", lines.to_str().unwrap()];
        let output = hades.try_hadesctl(&[&lines, flags].concat());
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {output:?}");
        seen.output(format!("hadesctl set env {}", flags.join(" ")), output);
    }
}

/// What the engine shows, but for the one place where a value has to be.
fn engine(hades: &Hades, seen: &mut Seen) {
    let filter = format!("label=hades.dev/installation={}", hades.installation());
    for list in ["ps", "network ls", "volume ls"] {
        let mut args: Vec<&str> = list.split(' ').collect();
        args.extend(["--filter", &filter, "--format", "{{json .}}"]);
        seen.note(format!("docker {list}"), hades.engine.docker(&args));
    }
    let container = hades.container_of("web").unwrap();
    let mut inspected = hades.engine.get(&format!("/containers/{container}/json")).remove(0);
    let environment = inspected["Config"]["Env"].take().to_string();
    assert!(environment.contains("planted"), "the container has it: {environment}");
    seen.note("docker inspect", inspected.to_string());
    seen.note("docker logs", hades.engine.docker(&["logs", &container]));
}

/// Has everything sealed for a new identity while the server runs; returns the former.
fn rotated(hades: &Hades, seen: &mut Seen) -> String {
    let file = hades.data().join("identity.age");
    let identity = || {
        let text = std::fs::read_to_string(&file).unwrap();
        text.lines().find(|line| line.starts_with("AGE-SECRET-KEY-1")).unwrap().to_owned()
    };
    let former = identity();
    let said = hades.run(&["identity", "rotate"]);
    assert!(said.contains("sealed for a new identity"), "{said}");
    seen.note("hades identity rotate", said);
    assert_ne!(identity(), former);
    former
}

/// What the commands say that open the data folder themselves.
fn offline(hades: &Hades, seen: &mut Seen) {
    for command in ["store verify", "store compact", "audit verify", "identity show"] {
        let mut command = hades.command(&command.split(' ').collect::<Vec<_>>());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        seen.output(format!("{command:?}"), output);
    }
}

#[test]
fn a_planted_value_is_found_nowhere() {
    let mut hades = Hades::start(Engine::shared());
    // It tells all that it ever may.
    hades.stop();
    hades.variables.push(("HADES_LOG", "trace"));
    hades.launch();
    hades.apply(
        "apiVersion: hades.dev/v1alpha1\nkind: HadesProject\nmetadata: {name: PROJECT}\nspec: {}\n",
    );
    eventually("the namespace", || {
        let project = hades.object("hadesproject", &hades.project, "");
        let ready = condition(&project, "Ready")["status"] == "True";
        if ready { Ok(()) } else { Err(project) }
    });
    plant(&hades);
    accounts(&hades);
    hades.apply(&environment("used"));
    hades.wait_ready("production");
    let mut seen = Seen::default();
    kubectl(&hades, &mut seen);
    edited(&hades, &mut seen);
    hadesctl(&hades, &mut seen);
    engine(&hades, &mut seen);
    let former = rotated(&hades, &mut seen);
    // A reference that leads nowhere, and a Secret that is deleted while it is used.
    let running = hades.container_of("web");
    hades.apply(&environment("gone"));
    hades.wait_not_ready("production", "SecretNotFound");
    hadesctl(&hades, &mut seen);
    hades.apply(&environment("used"));
    hades.wait_ready("production");
    hades.kubectl(&["-n", &hades.project, "delete", "secret", "used"]);
    hades.wait_not_ready("production", "SecretNotFound");
    assert_eq!(hades.container_of("web"), running, "what runs goes on");
    hadesctl(&hades, &mut seen);
    // Nor would a crash write it to the disk.
    let process = std::fs::read_to_string(hades.data().join("lock")).unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.trim())).unwrap();
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(cores.matches(" 0 ").count(), 2, "{cores}");
    let log = hades.log();
    assert!(log.contains(" DEBUG ") && log.lines().count() > 100, "{log}");
    seen.note("the server's log", log);
    let asked = seen.0.len();
    assert!(asked > 100, "{asked}");
    hades.stop();
    // The data, and what kubectl keeps in its cache.
    seen.folder(hades.dir.path());
    assert!(seen.0.len() > asked + 10);
    offline(&hades, &mut seen);
    seen.folder(&hades.data());
    let mut values = VALUES.to_vec();
    values.push(&former);
    seen.assert_nowhere(&values);
}
