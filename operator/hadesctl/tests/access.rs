//! Logging in, users and rights, against a real API server with accounts over HTTPS.

// Helpers of tests may panic.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::Shell;
use support::server::Server;
use totp_rs::{Builder, Secret};

const PASSWORD: &str = "correct horse battery";

/// The time on the server's clock, in seconds: 2026-01-01.
const NOW: u64 = 1_767_225_600;

const SHOP: &str = "\
apiVersion: hades.dev/v1alpha1
kind: HadesProject
metadata: {name: shop}
spec: {displayName: The shop}
---
apiVersion: hades.dev/v1alpha1
kind: Environment
metadata: {name: production, namespace: shop}
spec:
  services:
    api: {image: 'api:1', replicas: 1}
  defaults: {host: local}
";

/// An administrator with users alice and bob, and a project.
fn studio() -> (Server, Shell) {
    let server = Server::with_accounts();
    let admin = Shell::with_kubeconfig(&server.kubeconfig);
    server.namespace("shop");
    admin.write("shop.yaml", SHOP);
    admin.write("password", &format!("{PASSWORD}\n"));
    for line in [
        "apply -f shop.yaml",
        "user create alice --display-name Alice --group dev < password",
        "user create bob < password",
    ] {
        let outcome = admin.run(line);
        assert_eq!(outcome.status, 0, "{outcome:?}");
    }
    (server, admin)
}

/// The machine of somebody who isn't logged in yet.
fn machine(server: &Server) -> Shell {
    let shell = Shell::offline();
    shell.write("ca.crt", &server.authority);
    shell.write("password", &format!("{PASSWORD}\n"));
    shell
}

/// The machine of somebody who is.
fn logged_in(server: &Server, user: &str) -> Shell {
    let shell = machine(server);
    let url = format!("https://{}", server.address);
    let outcome = shell.run(&format!("login {url} --ca-file ca.crt --user {user} < password"));
    assert_eq!(outcome.status, 0, "{outcome:?}");
    shell
}

fn bind(server: &Server, user: &str, role: &str) {
    server.apply(
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        Some("shop"),
        json!({"metadata": {"name": format!("test:{role}:{user}")},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                "name": format!("hades:{role}")}}),
    );
}

/// A session with the port of the server left out.
fn redacted(server: &Server, text: &str) -> String {
    text.replace(&server.address.port().to_string(), "[PORT]")
}

#[test]
fn logging_in_and_out() {
    let (server, _admin) = studio();
    let shell = machine(&server);
    let url = format!("https://{}", server.address);
    shell.write("wrong", "something else\n");
    shell.write("changed", &format!("{PASSWORD}\nanother horse battery\n"));
    shell.write("new", "another horse battery\n");
    let text = shell.session(&[
        "whoami",
        "login",
        &format!("login {url}"),
        &format!("login {url} --user alice < password"),
        "login http://hades.example.com --user alice < password",
        &format!("login {url} --ca-file ca.crt --user alice < wrong"),
        &format!("login {url} --ca-file ca.crt --user nobody < wrong"),
        &format!("login {url} --ca-file ca.crt --user alice < password"),
        "whoami",
        "passwd < changed",
        "login --user alice < password",
        "login --user alice < new",
        "auth can-i list environments",
        "logout",
        "logout",
        "whoami",
    ]);
    assert_golden!("logging_in_and_out", redacted(&server, &text));
    let kubeconfig = shell.folder.path().join(".hades/kubeconfig");
    let mode = std::fs::metadata(&kubeconfig).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!std::fs::read_to_string(&kubeconfig).unwrap().contains("hds_"));
}

#[test]
fn whoever_tries_too_often_is_told_at_once() {
    let (server, _admin) = studio();
    let shell = machine(&server);
    shell.write("wrong", "something else\n");
    let login = |password: &str| {
        format!("login https://{} --ca-file ca.crt --user alice < {password}", server.address)
    };
    let mut said = String::new();
    for password in ["wrong", "wrong", "wrong", "wrong", "wrong", "wrong", "password"] {
        let mut command = shell.command(&login(password));
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let end = Instant::now() + Duration::from_secs(30);
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > end {
                child.kill().unwrap();
                panic!("it waits and says nothing");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        said.clear();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    }
    assert!(said.contains("try again in"), "{said}");
}

#[test]
fn no_login_is_kept_in_the_kubeconfig_of_the_server() {
    let (server, admin) = studio();
    let before = std::fs::read_to_string(&server.kubeconfig).unwrap();
    let login = format!("login https://{} --user alice < password", server.address);
    let refused = admin.run(&login);
    assert_eq!(refused.status, 2, "{refused:?}");
    assert!(refused.stderr.contains("it is the server's own"), "{refused:?}");
    assert!(refused.stderr.contains("unset KUBECONFIG"), "{refused:?}");
    assert_eq!(std::fs::read_to_string(&server.kubeconfig).unwrap(), before);
    // One's own is named as the words say.
    admin.write("ca.crt", &server.authority);
    let login = format!(
        "login https://{} --ca-file ca.crt --user alice --kubeconfig mine < password",
        server.address
    );
    let done = admin.run(&login);
    assert_eq!(done.status, 0, "{done:?}");
}

#[test]
fn sessions() {
    let (server, admin) = studio();
    let one = logged_in(&server, "alice");
    let other = logged_in(&server, "alice");
    let list = |shell: &Shell| -> Vec<Value> {
        serde_json::from_str(&shell.run("session list -o json").stdout).unwrap()
    };
    let all = list(&one);
    assert_eq!(all.len(), 2, "{all:?}");
    assert_eq!(all[0]["status"]["method"], "password");
    assert_eq!(all[0]["status"]["address"], "127.0.0.1");
    let [own, others]: [Vec<&Value>; 2] = [true, false]
        .map(|current| all.iter().filter(|it| it["status"]["current"] == current).collect());
    assert_eq!((own.len(), others.len()), (1, 1), "{all:?}");
    let id = |entry: &Value| entry["metadata"]["name"].as_str().unwrap().to_owned();
    let table = one.run("session list").stdout;
    let marked = table.lines().find(|line| line.starts_with('*')).unwrap();
    assert!(marked.contains(&id(own[0])) && marked.contains("a password"), "{table}");
    // One of one's own, by its id.
    let ended = one.run(&format!("session end {}", id(others[0])));
    assert_eq!(ended.status, 0, "{ended:?}");
    assert_eq!(other.run("whoami").status, 1, "the other one has ended");
    assert_eq!(one.run(&format!("session end {}", id(others[0]))).status, 1);
    // All others.
    let another = logged_in(&server, "alice");
    let ended = one.run("session end --others");
    assert_eq!(ended.stdout, "1 other sessions ended\n", "{ended:?}");
    assert_eq!(another.run("whoami").status, 1);
    assert_eq!(one.run("whoami").status, 0);
    // Those of somebody else.
    let bob = logged_in(&server, "bob");
    let refused = bob.run("session list --user alice");
    assert!(refused.stderr.contains("is forbidden"), "{refused:?}");
    let named = admin.run("session list --user alice -o name").stdout;
    assert_eq!(named.trim(), id(own[0]));
    let ended = admin.run(&format!("session end {} --user alice", named.trim()));
    assert_eq!(ended.status, 0, "{ended:?}");
    assert_eq!(one.run("whoami").status, 1);
    for line in ["session end", "session end x --others", "session end --others --user alice"] {
        assert_eq!(bob.run(line).status, 2, "{line}");
    }
}

#[test]
fn forms_for_programs() {
    let (server, admin) = studio();
    let alice = logged_in(&server, "alice");
    let json = |shell: &Shell, line: &str| -> Value {
        let outcome = shell.run(line);
        serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("{line}: {outcome:?}"))
    };
    let users = json(&admin, "user list -o json");
    assert_eq!(users["kind"], "List");
    assert_eq!(users["items"][1]["metadata"]["name"], "alice");
    assert_eq!(json(&alice, "totp status -o json")["enabled"], false);
    assert_eq!(json(&admin, "audit verify -o json")["records"], 7);
    assert_eq!(admin.run("audit verify -o json").status, 1, "records are missing");
    let may = json(&alice, "auth can-i list users -o json");
    assert_eq!(may["allowed"], false);
    assert_eq!(alice.run("auth can-i list users -o json").status, 1);
    let token = json(&alice, "token create ci --read-only -o json");
    assert!(token["status"]["token"].as_str().unwrap().starts_with("hdt_"));
    assert_eq!(token["metadata"]["name"], "ci");
}

#[test]
fn what_is_no_kind_has_a_command() {
    let (server, _admin) = studio();
    let alice = logged_in(&server, "alice");
    for (line, command) in [
        ("get selftokens", "hadesctl token list"),
        ("get selfsessions", "hadesctl session list"),
        ("get auditevents", "hadesctl audit"),
        ("get selftotp.operations.hades.dev", "hadesctl totp status"),
    ] {
        let outcome = alice.run(line);
        assert_eq!(outcome.status, 1, "{line}: {outcome:?}");
        assert!(outcome.stderr.contains(command), "{line}: {outcome:?}");
    }
}

#[test]
fn rights_on_which_nothing_is_served() {
    let (server, admin) = studio();
    bind(&server, "alice", "deployer");
    bind(&server, "bob", "admin");
    let [alice, bob] = ["alice", "bob"].map(|user| logged_in(&server, user));
    let line = "auth can-i delete env/production --subresource volumes -p shop";
    assert_eq!(alice.run(line).status, 1);
    assert_eq!(bob.run(line).status, 0);
    let who = admin.run("who-can delete env --subresource volumes -p shop").stdout;
    assert!(who.contains("User bob") && !who.contains("User alice"), "{who}");
}

#[test]
fn logging_in_by_a_browser() {
    let (server, _admin) = studio();
    let shell = machine(&server);
    let url = format!("https://{}", server.address);
    let text =
        shell.session(&[&format!("login {url} --ca-file ca.crt --browser"), "whoami -o json"]);
    assert!(text.contains("shows the code BCDF-GHJK"), "{text}");
    assert!(text.contains("https://hades.example/login/device"), "{text}");
    assert!(text.contains("\"user\": \"alice\"") && text.contains("a browser"), "{text}");
}

#[test]
fn a_login_that_the_server_ended() {
    let (server, admin) = studio();
    let alice = logged_in(&server, "alice");
    assert_eq!(alice.run("whoami").status, 0);
    let text = admin.session(&["user disable alice", "user disable alice"]);
    assert!(text.contains("all its logins and tokens are refused now"), "{text}");
    assert!(text.contains("disabled already"), "{text}");
    let refused = alice.run("whoami");
    assert_eq!(refused.status, 1);
    assert!(refused.stderr.contains("doesn't accept your login any more"), "{refused:?}");
    assert!(refused.stderr.contains("hadesctl login"), "{refused:?}");
    assert_eq!(admin.run("user enable alice").status, 0);
}

#[test]
fn users() {
    let (_server, admin) = studio();
    admin.write("weak", "short\n");
    admin.write("empty", "");
    let text = admin.session(&[
        "user create ci --robot --group bots",
        "user create carol --no-password --email carol@example.com",
        "user create carol --no-password",
        "user create dora",
        "user create erin < weak",
        "user create Frank < password",
        "user passwd ci",
        "user passwd bob < password",
        "user passwd bobb < password",
        "user totp reset bob",
        "user delete bob carol",
        "user delete bob",
        "user disable alise",
    ]);
    assert_golden!("users", text);
    let list = admin.run("user list").stdout;
    assert!(list.contains("alice") && list.contains("robot") && !list.contains("bob"), "{list}");
}

#[test]
fn tokens() {
    let (server, admin) = studio();
    bind(&server, "alice", "deployer");
    let alice = logged_in(&server, "alice");
    let made = alice.run("token create reader -p shop --read-only --expires 30d");
    assert_eq!(made.status, 0, "{made:?}");
    // Alone on a line, so that a script can take it.
    assert!(made.stdout.starts_with("hdt_") && made.stdout.lines().count() == 1, "{made:?}");
    assert!(made.stderr.contains("read as alice in shop") || made.stderr.contains("in shop"));
    let text = alice.session(&["token create reader", "token revoke other", "token list -o name"]);
    assert!(text.contains("already exists") && text.contains("not found"), "{text}");
    let listed = alice.run("token list -o json");
    assert!(!listed.stdout.contains("hdt_"), "{listed:?}");
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(listed[0]["spec"], json!({"projects": ["shop"], "verbs": ["get", "list", "watch"]}));

    let program = machine(&server);
    program.write("token", &made.stdout);
    let url = format!("https://{}", server.address);
    let text = program.session(&[
        &format!("login {url} --ca-file ca.crt --token - < token"),
        "get env -p shop -o name",
        "auth can-i patch env/production -p shop",
        "logout",
    ]);
    assert!(
        text.contains("as alice") && text.contains("environment.hades.dev/production"),
        "{text}"
    );
    assert!(text.contains("\nno\n") && text.contains("still good"), "{text}");
    assert_eq!(program.run(&format!("login {url} --token - < token")).status, 0);
    assert_eq!(alice.run("token revoke reader").status, 0);
    let refused = program.run("get env -p shop");
    assert!(refused.stderr.contains("doesn't accept the API token"), "{refused:?}");

    assert_eq!(admin.run("user create ci --robot").status, 0);
    let made = admin.run("token create deploy --user ci --expires never");
    assert!(made.stderr.contains("for ever"), "{made:?}");
    assert_eq!(admin.run("token revoke deploy --user ci").status, 0);
}

fn code(secret: &str, time: u64) -> String {
    let secret = Secret::try_from_base32(secret).unwrap();
    Builder::new().with_secret(secret).build().unwrap().generate(time).to_string()
}

#[test]
fn a_second_factor() {
    let (server, admin) = studio();
    let alice = logged_in(&server, "alice");
    let mut command = alice.command("totp enable");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "{PASSWORD}").unwrap();
    let mut shown = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = shown.by_ref().map(Result::unwrap).find(|line| line.contains("enter the secret"));
    let line = line.unwrap();
    let secret = line.split(' ').find(|word| word.len() >= 16).unwrap();
    writeln!(input, "{}", code(secret, NOW)).unwrap();
    let rest: Vec<String> = shown.map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success(), "{rest:?}");
    let mut codes = String::new();
    child.stdout.take().unwrap().read_to_string(&mut codes).unwrap();
    assert_eq!(codes.lines().count(), 10, "{codes}");

    let url = format!("https://{}", server.address);
    let other = machine(&server);
    let recovery = codes.lines().next().unwrap();
    other.write("both", &format!("{PASSWORD}\n{recovery}\n"));
    let login = format!("login {url} --ca-file ca.crt --user alice");
    let without = other.run(&format!("{login} < password"));
    assert!(without.stderr.contains("Code of the second factor"), "{without:?}");
    assert_eq!(other.run(&format!("{login} < both")).status, 0);
    assert_eq!(other.run(&format!("{login} < both")).status, 1, "a recovery code is good once");
    let text =
        other.session(&["totp status", "totp enable", "totp disable < password", "totp status"]);
    assert!(
        text.contains("9 recovery codes are left") && text.contains("set up already"),
        "{text}"
    );
    assert!(text.ends_with("logins need no second factor\n\n"), "{text}");
    assert_eq!(admin.run("user totp reset alice").status, 0);
}

#[test]
fn members_and_their_rights() {
    let (server, admin) = studio();
    bind(&server, "bob", "admin");
    let text = admin.session(&[
        "grant alice deployer -p shop",
        "grant alice deployer -p shop",
        "grant alice viewer -p shop",
        "grant --group dev deployer -p shop --environment staging",
        "grant alicia viewer -p shop",
        "grant alice deploier -p shop",
        "grant alice viewer",
        "members -p shop",
        "revoke alicia -p shop",
        "revoke --group dev -p shop",
        "revoke alice admin -p shop",
        "who-can create env --subresource exec -p shop",
        "who-can delete users",
        "who-can get nothing -p shop",
    ]);
    assert_golden!("members", text);
    let bob = logged_in(&server, "bob");
    let text = bob.session(&[
        "grant alice deployer -p shop",
        "grant alice admin -p shop --environment staging",
        "grant --serviceaccount ci viewer -p shop",
        "members -p shop",
        "revoke alice deployer -p shop",
        "revoke alice -p shop",
        "revoke --serviceaccount ci -p shop",
        "get hp shop",
        "user list",
        "auth can-i delete env -p shop",
        "auth can-i create users",
    ]);
    assert_golden!("members_by_a_project_admin", text);
}

/// Makes alice a member as the controller does for what a HadesProject says.
fn by_project(server: &Server, role: &str) {
    server.apply(
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        Some("shop"),
        json!({"metadata": {"name": "hades:member", "labels": {"hades.dev/members-of": "shop"}},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "alice"}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                "name": format!("hades:{role}")}}),
    );
}

#[test]
fn roles_that_add_up() {
    let (server, admin) = studio();
    bind(&server, "bob", "admin");
    let bob = logged_in(&server, "bob");
    let by_bob = bob.session(&["grant alice admin -p shop"]);
    let by_admin = admin.session(&[
        "grant alice viewer -p shop",
        "grant alice deployer -p shop --environment test --environment staging",
        "grant alice deployer -p shop --environment staging,test --binding",
        "revoke alice deployer -p shop --environment staging",
        "revoke alice viewer -p shop",
        "revoke alice deployer -p shop",
        "revoke alice -p shop",
        "revoke alice -p shop",
    ]);
    let other_way_round = admin.session(&["grant alice admin -p shop"]);
    by_project(&server, "admin");
    let not_hers = bob.session(&["grant alice viewer -p shop"]);
    assert_golden!("roles_that_add_up", format!("{by_bob}{by_admin}{other_way_round}{not_hers}"));
}

#[test]
fn what_stays_is_told() {
    let (server, admin) = studio();
    by_project(&server, "viewer");
    bind(&server, "bob", "admin");
    let bob = logged_in(&server, "bob");
    assert_eq!(admin.run("grant --group dev deployer -p shop").status, 0);
    let by_admin = admin.session(&[
        "grant alice viewer -p shop",
        "revoke alice -p shop",
        "members -p blog",
        "revoke alice -p blog",
    ]);
    // Of the HadesProject he sees only what it leads to.
    let by_bob = bob.session(&["grant alice deployer -p shop", "revoke alice -p shop"]);
    assert_golden!("what_stays_is_told", format!("{by_admin}{by_bob}"));
}

#[test]
fn members_that_a_repository_owns() {
    let (server, admin) = studio();
    server.apply(
        hades_api::API_VERSION,
        "HadesProject",
        None,
        json!({"metadata": {"name": "shop",
            "labels": {"hades.dev/config-repository": "hades-system.fleet"},
            "annotations": {"hades.dev/config-file": "shop/project.yaml"}}}),
    );
    assert_golden!(
        "members_that_a_repository_owns",
        admin.session(&[
            "grant alice deployer -p shop",
            "grant alice deployer -p shop --binding",
            "revoke alice -p shop",
        ])
    );
}

#[test]
fn lists_of_all_projects_and_what_is_refused() {
    let (server, _admin) = studio();
    bind(&server, "alice", "viewer");
    bind(&server, "bob", "admin");
    let alice = logged_in(&server, "alice");
    assert_golden!(
        "what_a_viewer_is_told",
        alice.session(&[
            "get env -A -o name",
            "get env production -o name",
            "get env,secrets -A -o name",
            "get env -A -w",
            "get secrets -p shop",
            "get users",
            "scale shop/production/api=3",
            "delete shop/production --yes",
        ])
    );
}

#[test]
fn somebody_who_is_there_for_one_environment() {
    let (server, admin) = studio();
    let grant = "grant alice viewer -p shop --environment production --binding";
    assert_eq!(admin.run(grant).status, 0);
    let alice = logged_in(&server, "alice");
    for line in
        ["get env -A -o name", "get env -p shop -o name", "ps -A -o name", "ps shop -o name"]
    {
        let outcome = alice.run(line);
        assert_eq!(outcome.status, 0, "{line}: {outcome:?}");
    }
    let listed = alice.run("get env -p shop -o name").stdout;
    assert_eq!(listed, "environment.hades.dev/production\n");
    let text = alice.session(&["whoami", "get env -p shop -w", "get envt -p shop"]);
    assert!(text.contains("shop      viewer   production"), "{text}");
    assert!(text.contains("or one object") && text.contains("is forbidden"), "{text}");
}

#[test]
fn the_audit_log() {
    let (_server, admin) = studio();
    let text =
        admin.session(&["audit", "audit -o json --limit 5", "audit verify", "audit --limit 0"]);
    assert_golden!("audit", text);
}
