//! Secrets on the command line, against a real API server over HTTPS.

// Helpers of tests may panic.
#![allow(clippy::unwrap_used)]

mod support;

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::Shell;
use support::server::Server;

const SHOP: &str = "\
apiVersion: hades.dev/v1alpha1
kind: EnvironmentTemplate
metadata: {name: base, namespace: shop}
spec:
  services:
    api: {image: 'api:1', envFrom: [{secretRef: {name: mail}}]}
    worker: {image: 'worker:1'}
---
apiVersion: hades.dev/v1alpha1
kind: Environment
metadata: {name: production, namespace: shop}
spec:
  templateRef: {name: base}
  defaults: {host: local, imagePullSecrets: [{name: pull}]}
  services:
    worker: {env: {PASS: {secretKeyRef: {name: mail, key: password}}}}
";

fn shop() -> (Server, Shell) {
    let server = Server::start();
    let shell = Shell::with_kubeconfig(&server.kubeconfig);
    server.namespace("shop");
    shell.write("shop.yaml", SHOP);
    let applied = shell.run("apply -f shop.yaml");
    assert_eq!(applied.status, 0, "{applied:?}");
    (server, shell)
}

fn data(server: &Server, name: &str) -> Value {
    server.get("v1", "Secret", Some("shop"), name)["data"].clone()
}

/// Fingerprints are others for every server; in columns they are words of eight digits.
fn without_fingerprints(session: &str) -> String {
    let is_print = |word: &str| word.len() == 8 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let mut steady = session.to_owned();
    for word in session.split_whitespace().filter(|word| is_print(word)) {
        steady = steady.replace(word, "[PRINT1]");
    }
    steady
}

#[test]
fn secrets() {
    let (server, shell) = shop();
    shell.write("password", "hunter2-hunter2\n");
    shell.write("other", "another-hunter2\n");
    shell.write("two", "typed-one\ntyped-two\n");
    shell.write("pem", "-----BEGIN\nplanted-pem\n");
    shell.write("mail.env", "# of the shop\nuser=planted-user\nhost='mail.example.com'\n");
    shell.write("broken.env", "planted-broken\n");
    shell.write("config.json", "{\"auths\": {}}");
    let session = shell.session(&[
        "secret set shop/mail",
        "secret set shop/mail --from-stdin password < password",
        "secret set shop/mail --from-stdin password < password",
        "secret diff shop/mail --from-stdin password < password",
        "secret diff shop/mail --from-stdin password < other",
        "secret diff shop/other --from-stdin password < other",
        "secret set shop/mail --from-env-file mail.env --from-file pem --from-file key=other",
        "secret set shop/mail password=planted-argument user- nothing-",
        "secret set mail -p shop first second < two",
        "secret set shop/mail first < two",
        "secret set shop/new first --type tls < two",
        "secret set shop/new first --override-until 2h < password",
        "secret set shp/mail first < two",
        "secret diff shp/mail first < two",
        "secret set shop/mail --from-stdin empty",
        "secret set shop/mail a=x --from-stdin a < password",
        "secret set shop/mail first --from-stdin second < password",
        "secret set shop/mail a/b=planted-key",
        "secret set shop/mail --from-env-file broken.env",
        "secret set shop/mail --from-file /dev/zero",
        "secret set shop/pull --from-file config.json --type dockerconfigjson",
        "secret set shop/pull --from-file .dockerconfigjson=config.json --type dockerconfigjson",
        "secret set shop/pull a=planted --type Opaque",
        "secret set shp/mail a=planted",
        "secret set shop/none a-",
        "secret list",
        "secret list -p shop",
        "secret list -A -o name",
        "secret ls -p shp",
        "secret delete shop/mial",
        "secret delete shop/mail",
        "secret delete shop/mail shop/pull --yes",
        "secret list -p shop",
    ]);
    for planted in ["hunter2", "planted-user", "planted-pem", "planted-broken", "typed-"] {
        assert!(!session.contains(planted), "{planted} is in {session}");
    }
    assert_golden!("secrets", without_fingerprints(&session));
    assert_eq!(data(&server, "mail"), Value::Null);
}

#[test]
fn values_are_as_they_were_given() {
    let (server, shell) = shop();
    shell.write("line", "one line\r\n");
    shell.write("lines", "one\ntwo\n");
    shell.write("two", " typed \nsecond=x\n");
    for line in [
        "secret set shop/a --from-stdin line < line",
        "secret set shop/a --from-stdin lines < lines",
        "secret set shop/a --from-file kept=line --from-file lines2=lines empty= equals=a=b",
        "secret set shop/a typed second < two",
    ] {
        let outcome = shell.run(line);
        assert_eq!(outcome.status, 0, "{line}: {outcome:?}");
    }
    let binary: Vec<u8> = (0..=255).collect();
    std::fs::write(shell.folder.path().join("binary"), &binary).unwrap();
    let large = vec![b'x'; 1 << 20];
    std::fs::write(shell.folder.path().join("large"), &large).unwrap();
    assert_eq!(shell.run("secret set shop/b --from-file binary").status, 0);
    assert_eq!(shell.run("secret set shop/large --from-file large").status, 0);
    let refused = shell.run("secret set shop/c --from-file large a=x");
    assert!(refused.stderr.contains("larger than 1 MiB"), "{refused:?}");

    let stored = server.plain_secret("shop", "a");
    let expected: [(&str, &[u8]); 8] = [
        ("empty", b""),
        ("equals", b"a=b"),
        ("kept", b"one line\r\n"),
        ("line", b"one line"),
        ("lines", b"one\ntwo\n"),
        ("lines2", b"one\ntwo\n"),
        ("second", b"second=x"),
        ("typed", b" typed "),
    ];
    let expected = expected.map(|(key, value)| (key.to_owned(), value.to_vec()));
    assert_eq!(stored, expected.into_iter().collect());
    assert_eq!(server.plain_secret("shop", "b")["binary"], binary);
    assert_eq!(server.plain_secret("shop", "large")["large"], large);
}

#[test]
fn users_of_all_kinds() {
    let (server, shell) = shop();
    let repository = json!({"metadata": {"name": "config"}, "spec": {
        "url": "https://git.example.com/a/b", "secretRef": {"name": "git"},
        "webhook": {"secretRef": {"name": "git"}}}});
    server.apply(hades_api::API_VERSION, "ConfigRepository", Some("shop"), repository);
    let account = json!({"metadata": {"name": "ghcr"}, "spec": {
        "registry": "ghcr.io", "secretRef": {"name": "registry"}, "allowedProjects": ["shop"]}});
    server.apply(hades_api::API_VERSION, "RegistryAccount", None, account);
    for name in ["shop/git", "shop/mail", "hades-system/registry", "shop/registry"] {
        assert_eq!(shell.run(&format!("secret set {name} a=planted-a")).status, 0, "{name}");
    }
    let own = json!({"metadata": {"name": "sops-age-config"}, "type": "hades.dev/sops-age",
        "stringData": {"identity": "planted-identity"}});
    server.apply("v1", "Secret", Some("shop"), own);
    let listed = shell.run("secret list -A -o json");
    assert!(!listed.stdout.contains("planted"), "{listed:?}");
    let listed: Vec<Value> = serde_json::from_str(&listed.stdout).unwrap();
    let users = |project: &str, name: &str| {
        let found = listed.iter().find(|it| it["project"] == project && it["name"] == name);
        found.unwrap()["usedBy"].clone()
    };
    let user = |kind: &str, name: &str, by: &str| json!({"kind": kind, "name": name, "by": by, "rolls": false});
    assert_eq!(
        users("shop", "git"),
        json!([
            user("ConfigRepository", "config", "spec.secretRef"),
            user("ConfigRepository", "config", "spec.webhook.secretRef"),
        ])
    );
    assert_eq!(
        users("hades-system", "registry"),
        json!([user("RegistryAccount", "ghcr", "spec.secretRef")])
    );
    // Of the same name in a project, it is another one.
    assert_eq!(users("shop", "registry"), json!([]));
    assert_eq!(
        users("shop", "sops-age-config"),
        json!([user("ConfigRepository", "config", "status.sopsRecipient")])
    );
    let refused = shell.run("secret delete shop/sops-age-config");
    assert_eq!(refused.status, 2, "{refused:?}");
    assert!(refused.stderr.contains("was encrypted for it can't be read"), "{refused:?}");
    let of_service = |service: &str, by: &str| json!({"kind": "Environment", "name": "production", "service": service, "by": by, "rolls": true});
    assert_eq!(
        users("shop", "mail"),
        json!([of_service("api", "envFrom"), of_service("worker", "PASS")])
    );
    let keys = &listed.iter().find(|it| it["name"] == "mail").unwrap()["keys"];
    assert_eq!(keys[0]["key"], "a");
    assert_eq!(keys[0]["fingerprint"].as_str().unwrap().len(), 32, "{keys}");
}

#[test]
fn secrets_of_a_repository() {
    let (server, shell) = shop();
    let secret = json!({
        "metadata": {"name": "mail",
            "labels": {"hades.dev/config-repository": "hades-system.fleet"},
            "annotations": {"hades.dev/config-file": "shop/mail.yaml"}},
        "stringData": {"password": "of git"}});
    server.apply("v1", "Secret", Some("shop"), secret);
    shell.write("password", "of-a-hand\n");
    assert_golden!(
        "secrets_of_a_repository",
        shell.session(&[
            "secret set shop/mail --from-stdin password < password",
            "secret diff shop/mail --from-stdin password < password",
            "secret set shop/mail --from-stdin password --override-until 2h < password",
            "secret set shop/mail --from-stdin more < password",
            // The Environment is nobody's, so the override is for the Secret alone.
            "set env shop/production/worker --secret=mail MORE=x",
            "set env shop/production/worker --secret=mail MORE=x --override-until 4h",
            "set env shop/production/worker --secret=other MORE=x --override-until 2h",
            "secret delete shop/mail --yes",
        ])
    );
}

/// Runs git in a folder as somebody.
fn git(folder: &Path, words: &[&str]) -> String {
    let output = Command::new("git").arg("-C").arg(folder).args(words).output().unwrap();
    assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn repository(shell: &Shell, files: &[(&str, &str)]) -> std::path::PathBuf {
    for (name, text) in files {
        shell.write(&format!("repository/{name}"), text);
    }
    let folder = shell.folder.path().join("repository");
    git(&folder, &["init", "--quiet", "--initial-branch=main"]);
    shell.write(".gitconfig", "[user]\n\tname = ada\n\temail = ada@example.com\n");
    git(&folder, &["add", "--all"]);
    let author = ["-c", "user.name=tester", "-c", "user.email=t@example.com"];
    git(&folder, &[&author[..], &["commit", "--quiet", "-m", "first"]].concat());
    folder
}

#[test]
fn what_a_repository_owns_is_committed_there() {
    let (server, shell) = shop();
    let manifest = SHOP.split_once("---\n").unwrap().1;
    let manifest = manifest.replace("worker: {env: {", "# Of the mail.\n    worker: {env: {A: a, S: {secretKeyRef: {name: production-worker, key: S}}, ");
    let folder = repository(&shell, &[("apps/shop/production.yaml", &manifest)]);
    let spec = json!({"url": format!("file://{}", folder.display()), "path": "apps"});
    let object = json!({"metadata": {"name": "fleet"}, "spec": spec});
    server.apply(hades_api::API_VERSION, "ConfigRepository", Some("hades-system"), object);
    let owned = |file: &str| {
        json!({"metadata": {"name": "production",
            "labels": {"hades.dev/config-repository": "hades-system.fleet"},
            "annotations": {"hades.dev/config-file": file}}})
    };
    server.apply(
        hades_api::API_VERSION,
        "Environment",
        Some("shop"),
        owned("apps/shop/production.yaml"),
    );
    let session = shell.session(&[
        "set env shop/production/worker A=b N=1",
        "set env shop/production/worker A=b N=1 --patch",
        "set image shop/production/worker worker:2 --patch",
        "set env shop/production/worker DB_PASSWORD=planted U=db://a:planted@b PASS=planted",
        "set env shop/production/worker DB_PASSWORD=planted U=db://a:planted@b --commit",
        "set env shop/production/worker DB_PASSWORD=changeme --patch --yes",
        "set env shop/production/worker A=b --commit --wait",
        "set env shop/production/worker T=planted --secret --patch",
        "set env shop/production/worker S=planted --secret --commit",
        "set env shop/production/worker S=planted --secret --patch",
        "set env shop/production/worker A=b --patch --commit",
        "set env shop/production/worker A=b --commit",
        "secret list -p shop",
    ]);
    assert!(!session.replace("=planted", "").replace(":planted@b ", "").contains("planted"));
    let branch = git(&folder, &["branch", "--list", "hadesctl/*", "--format", "%(refname:short)"]);
    assert_golden!("committed", session.replace(branch.trim(), "[BRANCH]"));
    let commit = git(&folder, &["show", "--format=%an %s", branch.trim()]);
    assert!(commit.starts_with("ada shop/production/worker: set A\n"), "{commit}");
    assert!(commit.contains("+    worker: {env: {A: b, S:"), "{commit}");

    // A file that leads elsewhere, and one that isn't there.
    std::os::unix::fs::symlink(shell.folder.path().join("shop.yaml"), folder.join("link.yaml"))
        .unwrap();
    let author = ["-c", "user.name=tester", "-c", "user.email=t@example.com"];
    git(&folder, &["add", "--all"]);
    git(&folder, &[&author[..], &["commit", "--quiet", "-m", "second"]].concat());
    for file in ["link.yaml", "../../shop.yaml", "nothing.yaml"] {
        server.apply(hades_api::API_VERSION, "Environment", Some("shop"), owned(file));
        let refused = shell.run("set env shop/production/worker A=c --commit");
        assert_eq!(refused.status, 1, "{refused:?}");
        assert!(
            refused.stderr.contains("there is no file") && refused.stderr.contains("env.A"),
            "{refused:?}"
        );
    }
    assert_eq!(std::fs::read_to_string(shell.folder.path().join("shop.yaml")).unwrap(), SHOP);
}

#[test]
fn what_cant_be_proposed_changes_no_secret() {
    let (server, shell) = shop();
    let line = "set env shop/production/worker T=planted --secret --commit";
    let refused = shell.run(line);
    assert_eq!(refused.status, 2, "{refused:?}");
    assert!(refused.stderr.contains("belongs to no repository"), "{refused:?}");
    let object = json!({"metadata": {"name": "fleet"}, "spec": {"url": "file:///nowhere"}});
    server.apply(hades_api::API_VERSION, "ConfigRepository", Some("hades-system"), object);
    let owned = json!({"metadata": {"name": "production",
        "labels": {"hades.dev/config-repository": "hades-system.fleet"},
        "annotations": {"hades.dev/config-file": "a.yaml"}}});
    server.apply(hades_api::API_VERSION, "Environment", Some("shop"), owned);
    let refused = shell.run(line);
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(refused.stderr.contains("`git clone` failed"), "{refused:?}");
    assert_eq!(data(&server, "production-worker"), Value::Null);
}

#[test]
fn one_file_is_proposed_whatever_git_is_told_to_do() {
    let (server, shell) = shop();
    let manifest = SHOP.split_once("---\n").unwrap().1;
    let folder = repository(&shell, &[("a*.yaml", manifest), ("ab.yaml", "# Of others.\n")]);
    let spec = json!({"url": format!("file://{}", folder.display())});
    let object = json!({"metadata": {"name": "fleet"}, "spec": spec});
    server.apply(hades_api::API_VERSION, "ConfigRepository", Some("hades-system"), object);
    let owned = json!({"metadata": {"name": "production",
        "labels": {"hades.dev/config-repository": "hades-system.fleet"},
        "annotations": {"hades.dev/config-file": "a*.yaml"}}});
    server.apply(hades_api::API_VERSION, "Environment", Some("shop"), owned);
    // Changes another file of every clone, and shows differences for people.
    shell.write("hooks/post-checkout", "#!/bin/sh\necho x >> ab.yaml\n");
    let hook = shell.folder.path().join("hooks/post-checkout");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(hook, executable).unwrap();
    shell.write("attributes", "*.yaml diff=people\n");
    let at = shell.folder.path().display();
    shell.write(
        ".gitconfig",
        &format!(
            "[user]\n\tname = ada\n\temail = ada@example.com\n\
             [core]\n\thooksPath = {at}/hooks\n\tattributesFile = {at}/attributes\n\
             [diff]\n\tnoprefix = true\n\
             [diff \"people\"]\n\ttextconv = sed s/image/picture/\n"
        ),
    );
    let patch = shell.run("set image shop/production/worker worker:2 --patch");
    assert_eq!(patch.status, 0, "{patch:?}");
    assert!(patch.stdout.starts_with("diff --git a/a*.yaml b/a*.yaml\n"), "{patch:?}");
    assert!(patch.stdout.contains("image: worker:2"), "{patch:?}");
    assert!(!patch.stdout.contains("ab.yaml"), "{patch:?}");
    shell.write("the.patch", &patch.stdout);
    git(&folder, &["apply", "--check", shell.folder.path().join("the.patch").to_str().unwrap()]);
    let pushed = shell.run("set image shop/production/worker worker:2 --commit");
    assert_eq!(pushed.status, 0, "{pushed:?}");
    let branch = git(&folder, &["branch", "--list", "hadesctl/*", "--format", "%(refname:short)"]);
    let files = git(&folder, &["show", "--format=", "--name-only", branch.trim()]);
    assert_eq!(files, "a*.yaml\n");
}

#[test]
fn the_second_of_two_who_make_a_secret_changes_it() {
    let (server, shell) = shop();
    for (owned, expected) in [(false, 0), (true, 1)] {
        let name = format!("mail-{owned}");
        let mut child = shell
            .command(&format!("secret set shop/{name} known=x password"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It was looked for, and the value is waited for.
        let mut warning = [0; 8];
        child.stderr.as_mut().unwrap().read_exact(&mut warning).unwrap();
        assert_eq!(&warning, b"warning:");
        let mut object = json!({"metadata": {"name": name}, "stringData": {"first": "of another"}});
        if owned {
            object["metadata"]["labels"] =
                json!({"hades.dev/config-repository": "hades-system.fleet"});
        }
        server.apply("v1", "Secret", Some("shop"), object);
        child.stdin.take().unwrap().write_all(b"hunter2\n").unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(expected), "{output:?}");
        let stored = server.plain_secret("shop", &name);
        assert_eq!(stored["first"], b"of another");
        assert_eq!(stored.contains_key("password"), !owned);
        let (said, part) = match owned {
            false => (output.stdout, format!("secret shop/{name} changed")),
            true => (output.stderr, "belongs to the repository hades-system/fleet".to_owned()),
        };
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains(&part), "{said}");
    }
}

#[test]
fn lines_of_a_program_are_values() {
    let (_server, shell) = shop();
    let mut child = shell
        .command("secret set shop/mail password")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Longer than what is typed: cut short, it would be another value.
    child.stdin.take().unwrap().write_all(&[b'x'; 5000]).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("longer than 4096"), "{said}");
}

/// Runs a command line at a terminal, as a person does.
fn at_a_terminal(shell: &Shell, line: &str, steps: &Value) {
    let hadesctl = shell.command(line);
    let words: Vec<&OsStr> =
        [hadesctl.get_program()].into_iter().chain(hadesctl.get_args()).collect();
    words_at_a_terminal(shell, &words, steps);
}

fn words_at_a_terminal(shell: &Shell, words: &[&OsStr], steps: &Value) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/e2e/terminal.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(steps.to_string()).args(words).current_dir(shell.folder.path());
    command.envs(shell.command("").get_envs().filter_map(|(key, value)| Some((key, value?))));
    let output = command.env("TERM", "xterm").output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn several_lines_that_are_pasted_are_no_value_and_no_commands() {
    let (server, shell) = shop();
    let hadesctl = shell.command("");
    let hadesctl = hadesctl.get_program().to_str().unwrap();
    let script = format!("{hadesctl} secret set shop/mail password; read line; echo \"got:$line\"");
    let words = ["/bin/sh", "-c", &script].map(OsStr::new);
    let refused = "more than one line, nothing was done";
    let steps = json!([
        {"expect": "Value of password: "}, {"send": "-----BEGIN\r"}, {"send": "hunter2\r"},
        {"expect": refused}, {"send": "own\r"}, {"expect": "got:own"},
    ]);
    words_at_a_terminal(&shell, &words, &steps);
    assert_eq!(data(&server, "mail"), Value::Null);
}

#[test]
fn what_is_typed_is_not_shown_and_files_are_asked_about() {
    let (server, shell) = shop();
    // Nothing of it may be between the question and the answer.
    let unseen = "\\A(?!.*hunter2).*secret shop/mail created";
    let steps = json!([
        {"expect": "Value of password: "}, {"send": "hunter2-typed\r"}, {"expect": unseen},
    ]);
    at_a_terminal(&shell, "secret set shop/mail password", &steps);
    let stored = server.plain_secret("shop", "mail");
    assert_eq!(stored["password"], b"hunter2-typed");

    shell.write(".env", "LEVEL=info\n");
    let asked = |answer: &str, then: &str| {
        json!([{"expect": "LEVEL: info \\(new\\).*Change it\\? \\[y/N\\] "},
               {"send": format!("{answer}\r")}, {"expect": then}])
    };
    let line = "set env shop/production/worker --from-env-file .env";
    at_a_terminal(&shell, line, &asked("n", "nothing was changed"));
    let environment =
        || server.get(hades_api::API_VERSION, "Environment", Some("shop"), "production");
    let level = || environment()["spec"]["services"]["worker"]["env"]["LEVEL"].clone();
    assert_eq!(level(), Value::Null);
    at_a_terminal(&shell, line, &asked("y", "set LEVEL"));
    assert_eq!(level(), "info");
    // What is typed was meant.
    at_a_terminal(
        &shell,
        "set env shop/production/worker LEVEL-",
        &json!([{"expect": "removed LEVEL"}]),
    );
    let asked = json!([
        {"expect": "used by production: api, worker.*Delete .*shop/mail\\? \\[y/N\\] "},
        {"send": "y\r"}, {"expect": "deleted"},
    ]);
    at_a_terminal(&shell, "secret delete shop/mail", &asked);
    assert_eq!(data(&server, "mail"), Value::Null);
}
