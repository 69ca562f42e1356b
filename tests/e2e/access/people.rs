//! Two people at once, by kubectl, hadesctl and git: one may look, the other may
//! deploy, and neither gets any further.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use secrecy::ExposeSecret;
use serde_json::json;

use super::person::administrator;
use crate::bed::PrivateEngine;
use crate::hades::{Hades, Repository, condition, eventually, testbed};
use crate::sshd::Sshd;

/// A project with an environment that runs, and a repository that its people may
/// push to.
struct Office {
    hades: Hades,
    repository: Repository,
    _server: Sshd,
    _engine: PrivateEngine,
}

/// Somebody at a terminal.
struct Terminal<'a> {
    office: &'a Office,
    kubeconfig: PathBuf,
}

/// The engine, which has a network of its own: a project may name no repository on
/// Hades's own machine.
const ENGINE: &str = "e2e-people";

fn tell(what: &str) -> String {
    let output = Command::new(testbed("dockerd.sh")).args([what, ENGINE]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn environment(project: &str, name: &str, replicas: u32) -> String {
    format!(
        "apiVersion: hades.dev/v1alpha1\nkind: Environment\n\
         metadata: {{name: {name}, namespace: {project}}}\n\
         spec: {{defaults: {{host: local}}, services: {{web: {{image: 'hades-sample:1', \
         replicas: {replicas}}}}}}}\n"
    )
}

impl Office {
    fn open() -> Self {
        let private = PrivateEngine::start(ENGINE);
        let hades = Hades::start(private.engine.clone());
        let project = &hades.project;
        hades.apply(&format!(
            "apiVersion: hades.dev/v1alpha1\nkind: HadesProject\nmetadata: {{name: {project}}}\n\
             spec: {{members: [{{user: vera, role: viewer}}, {{user: dora, role: deployer}}]}}\n\
             ---\napiVersion: hades.dev/v1alpha1\nkind: HadesProject\n\
             metadata: {{name: {project}-other}}\nspec: {{}}\n"
        ));
        for name in [project.clone(), format!("{project}-other")] {
            hades.hadesctl(&["wait", &format!("hadesproject/{name}")]);
        }
        let repository = Repository::new(hades.dir.path().join("config"));
        let server = Sshd::start_at(&tell("address"), 22, Some(&tell("namespace")));
        let office = Self { hades, repository, _server: server, _engine: private };
        office.follow();
        office
    }

    /// The project follows its repository, over SSH as a forge's.
    fn follow(&self) {
        let Self { hades, repository, _server: server, _engine: _ } = self;
        let project = &hades.project;
        let folder = hades.dir.path();
        let (key, known) = (folder.join("key"), folder.join("known_hosts"));
        std::fs::write(&key, server.login().expose_secret()).unwrap();
        let authority = server.authority();
        let host = tell("address");
        std::fs::write(&known, format!("{host} {}\n", server.host_key())).unwrap();
        let files = [("identity", &key), ("known_hosts", &known)]
            .map(|(name, path)| format!("--from-file={name}={}", path.display()));
        hades.kubectl(&["create", "secret", "generic", "git", "-n", project, &files[0], &files[1]]);
        repository.write("staging.yaml", &environment(project, "staging", 1));
        repository.commit("first");
        hades.apply(&format!(
            "apiVersion: hades.dev/v1alpha1\nkind: ConfigRepository\n\
             metadata: {{name: config, namespace: {project}}}\n\
             spec: {{url: 'ssh://{authority}{}', interval: 1s, secretRef: {{name: git}}}}\n",
            repository.dir.display()
        ));
        eventually("the repository to be applied", || {
            let found = hades.object("configrepository", "config", project);
            let ready = condition(&found, "Ready");
            if ready["status"] == "True" { Ok(()) } else { Err(ready) }
        });
        hades.wait_ready("staging");
        // One that doesn't come from git.
        hades.apply(&environment(project, "live", 1));
        hades.wait_ready("live");
    }

    /// Why the repository can't be applied.
    fn refusal(&self, reason: &str) -> String {
        eventually(&format!("the repository to say {reason}"), || {
            let found = self.hades.object("configrepository", "config", &self.hades.project);
            let ready = condition(&found, "Ready");
            if ready["reason"] == reason { Ok(found["status"].to_string()) } else { Err(ready) }
        })
    }
}

impl Terminal<'_> {
    fn run(&self, program: &Path, args: &[&str], input: &str) -> Output {
        let mut child = Command::new(program)
            .args(args)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", self.office.hades.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    fn command(&self, line: &str, input: &str) -> Output {
        let mut words = line.split_whitespace();
        let program = match words.next() {
            Some("hadesctl") => Path::new(env!("CARGO_BIN_EXE_hades")).with_file_name("hadesctl"),
            _ => PathBuf::from("kubectl"),
        };
        self.run(&program, &words.collect::<Vec<_>>(), input)
    }

    /// What somebody may do.
    fn may(&self, line: &str, input: &str) -> String {
        let output = self.command(line, input);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{line}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What somebody may not do, and is told so.
    fn may_not(&self, line: &str, input: &str) {
        let output = self.command(line, input);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(!output.status.success(), "{line} was done: {said}");
        // "cannot" alone is said of a server that doesn't answer, too.
        assert!(said.contains("orbidden"), "{line}: {said}");
    }
}

/// A RoleBinding that makes somebody an admin of the project.
fn grant(user: &str, project: &str) -> String {
    let group = "rbac.authorization.k8s.io";
    json!({
        "apiVersion": format!("{group}/v1"), "kind": "RoleBinding",
        "metadata": {"name": "me", "namespace": project},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "hades:admin"},
    })
    .to_string()
}

/// Vera looks, and changes nothing by any road.
fn look(vera: &Terminal<'_>, project: &str) {
    let p = |line: &str| line.replace("PROJECT", project);
    assert!(vera.may(&p("kubectl get environments -n PROJECT"), "").contains("live"));
    assert!(vera.may(&p("hadesctl get environments -p PROJECT"), "").contains("live"));
    vera.may(&p("hadesctl ps PROJECT/live"), "");
    vera.may(&p("hadesctl logs PROJECT/live --tail 5"), "");
    vera.may(&p("hadesctl describe env live -p PROJECT"), "");
    vera.may(&p("kubectl get events -n PROJECT"), "");
    assert_eq!(vera.may(&p("kubectl auth can-i list environments -n PROJECT"), "").trim(), "yes");
    let manifest = environment(project, "live", 5);
    let secret = json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "s", "namespace": project}})
    .to_string();
    let grant = grant("vera", project);
    for (line, input) in [
        ("kubectl apply -f -", manifest.as_str()),
        ("kubectl apply --server-side --force-conflicts -f -", &manifest),
        ("kubectl replace -f -", &manifest),
        ("kubectl create -f -", &secret),
        ("kubectl create -f -", &grant),
        ("kubectl get secrets -n PROJECT", ""),
        ("kubectl delete environment live -n PROJECT", ""),
        ("kubectl label environment live -n PROJECT a=b", ""),
        ("kubectl annotate configrepository config -n PROJECT hades.dev/confirm-prune=x", ""),
        ("kubectl patch environment live -n PROJECT --type merge -p {}", ""),
        ("kubectl patch environment live -n PROJECT --subresource status --type merge -p {}", ""),
        ("kubectl patch hadesproject PROJECT --type merge -p {}", ""),
        ("kubectl get environments -n PROJECT --as dora", ""),
        ("kubectl get environments -n PROJECT --as vera --as-group system:masters", ""),
        ("kubectl get users", ""),
        ("hadesctl apply -f -", &manifest),
        ("hadesctl scale PROJECT/live/web=3", ""),
        ("hadesctl set env PROJECT/live/web A=1", ""),
        ("hadesctl set image PROJECT/live/web hades-sample:2", ""),
        ("hadesctl restart PROJECT/live", ""),
        ("hadesctl stop PROJECT/live", ""),
        ("hadesctl sync PROJECT/live", ""),
        ("hadesctl suspend PROJECT/live", ""),
        ("hadesctl exec PROJECT/live/web -- id", ""),
        ("hadesctl delete env live -p PROJECT --yes", ""),
    ] {
        vera.may_not(&p(line), input);
    }
}

/// Dora deploys, and doesn't leave the project.
fn deploy(dora: &Terminal<'_>, project: &str) {
    let p = |line: &str| line.replace("PROJECT", project);
    dora.may("kubectl apply -f -", &environment(project, "preview", 1));
    dora.may(&p("hadesctl wait env/preview -p PROJECT"), "");
    dora.may(&p("hadesctl scale PROJECT/preview/web=2"), "");
    dora.may(&p("hadesctl restart PROJECT/preview"), "");
    dora.may(&p("kubectl create secret generic s -n PROJECT --from-literal=k=planted-value"), "");
    let read = dora.may(&p("kubectl get secret s -n PROJECT -o yaml"), "");
    assert!(!read.contains("planted-value") && !read.contains("cGxhbnRlZC12YWx1ZQ"), "{read}");
    let elsewhere = environment(&format!("{project}-other"), "preview", 1);
    let host = json!({"apiVersion": "hades.dev/v1alpha1", "kind": "DockerHost",
        "metadata": {"name": "x"}, "spec": {"endpoint": "unix:///x.sock"}})
    .to_string();
    let grant = grant("dora", project);
    for (line, input) in [
        ("kubectl apply -f -", elsewhere.as_str()),
        ("hadesctl apply -f -", &elsewhere),
        ("kubectl apply -f -", &host),
        ("kubectl create -f -", &grant),
        ("kubectl get environments -n PROJECT-other", ""),
        ("kubectl get environments -A", ""),
        ("kubectl get secrets -n hades-system", ""),
        ("kubectl get dockerhosts", ""),
        ("kubectl delete environment preview -n PROJECT", ""),
        ("kubectl delete secret s -n PROJECT", ""),
        ("kubectl patch hadesproject PROJECT --type merge -p {}", ""),
        ("kubectl patch configrepository config -n PROJECT --type merge -p {}", ""),
        ("kubectl create token config-config -n PROJECT", ""),
        ("kubectl get environments -n PROJECT --as admin", ""),
        ("hadesctl host ls", ""),
        ("hadesctl logs PROJECT-other/preview", ""),
    ] {
        dora.may_not(&p(line), input);
    }
}

/// Whoever pushes gets no further than the repository's account.
fn push(office: &Office, project: &str) {
    let repository = &office.repository;
    let other = format!("{project}-other");
    repository.write("other.yaml", &environment(&other, "stolen", 1));
    repository.commit("another project");
    let said = office.refusal("InvalidManifests");
    assert!(said.contains(&other), "{said}");
    let project_manifest = format!(
        "{{apiVersion: hades.dev/v1alpha1, kind: HadesProject, metadata: {{name: {project}}}, spec: \
         {{policy: {{privileged: true}}}}}}"
    );
    repository.write("other.yaml", &project_manifest);
    repository.commit("the project's policy");
    office.refusal("InvalidManifests");
    let grant = grant("dora", project);
    repository.write("other.yaml", &grant);
    repository.commit("a grant");
    let said = office.refusal("Forbidden");
    assert!(said.contains("config-config"), "{said}");
    std::fs::remove_file(repository.dir.join("other.yaml")).unwrap();
    repository.write("staging.yaml", &environment(project, "staging", 2));
    repository.commit("what is ours");
    eventually("two replicas", || {
        let found = office.hades.object("environment", "staging", project);
        let replicas = &found["spec"]["services"]["web"]["replicas"];
        if replicas == 2 { Ok(()) } else { Err(replicas.clone()) }
    });
    let none = office.hades.try_kubectl(&["get", "env", "stolen", "-n", &other]);
    assert!(!none.status.success(), "nothing left the project");
}

#[test]
fn two_people_at_once_stay_within_their_rights() {
    let office = Office::open();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let [vera, dora] = ["vera", "dora"].map(|name| {
        let person = runtime.block_on(async {
            let root = administrator(&office.hades).await;
            root.token(&office.hades, name, "terminal", json!({})).await
        });
        Terminal { office: &office, kubeconfig: person.kubeconfig }
    });
    let project = office.hades.project.clone();
    std::thread::scope(|scope| {
        scope.spawn(|| look(&vera, &project));
        scope.spawn(|| deploy(&dora, &project));
        scope.spawn(|| push(&office, &project));
    });
    // Nothing that was refused was done, and each refusal is on record.
    let live = office.hades.object("environment", "live", &project);
    let web = &live["spec"]["services"]["web"];
    assert_eq!((&web["env"], &web["replicas"]), (&json!(null), &json!(1)));
    let path = "/apis/operations.hades.dev/v1alpha1/auditevents?user=vera&limit=1000";
    let records = office.hades.kubectl(&["get", "--raw", path]);
    let refused = records.lines().filter(|line| line.contains("\"code\":403")).count();
    assert!(refused >= 20, "{refused} of {records}");
}
