//! A second machine, as near as one machine comes to it: an engine and an SSH
//! server in a network of their own.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

use crate::hades::{Engine, Hades, condition, eventually, testbed};
use crate::sshd::Sshd;

/// The second machine and a Hades that knows the first one.
struct Studio {
    hades: Hades,
    server: Sshd,
    engine: Engine,
    address: String,
    /// Holds the `ssh` of somebody who may log in.
    person: PathBuf,
    _machine: Machine,
}

/// The second machine's engine, removed at the end, also of a start that fails.
struct Machine {
    name: String,
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = Command::new(testbed("dockerd.sh")).args(["remove", &self.name]).output();
    }
}

impl Studio {
    fn start() -> Self {
        let machine = Machine { name: format!("studio-{}", std::process::id()) };
        let name = &machine.name;
        let engine = Engine::named(name);
        let tell = |what: &str| {
            let output = Command::new(testbed("dockerd.sh")).args([what, name]).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let address = tell("address");
        let server = Sshd::start_at(&address, 22, Some(&tell("namespace")));
        let hades = Hades::start(Engine::shared());
        hades.apply(
            "{apiVersion: hades.dev/v1alpha1, kind: HadesProject, metadata: {name: PROJECT}, spec: {}}",
        );
        let person = hades.dir.path().join("person");
        std::fs::create_dir(&person).unwrap();
        let studio = Self { hades, server, engine, address, person, _machine: machine };
        studio.write_ssh();
        studio
    }

    /// An `ssh` that has a configuration of its own, as a person's has.
    fn write_ssh(&self) {
        use std::os::unix::fs::PermissionsExt;
        let folder = self.person.display();
        let write = |name: &str, text: &str, mode: u32| {
            let path = self.person.join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        use secrecy::ExposeSecret;
        write("id", self.server.login().expose_secret(), 0o600);
        let config = format!(
            "StrictHostKeyChecking accept-new\nUserKnownHostsFile {folder}/known\n\
             IdentityFile {folder}/id\nIdentitiesOnly yes\nLogLevel ERROR\n"
        );
        write("config", &config, 0o600);
        write("ssh", &format!("#!/bin/sh\nexec /usr/bin/ssh -F {folder}/config \"$@\"\n"), 0o755);
    }

    fn try_hadesctl(&self, args: &[&str]) -> Output {
        let path = format!("{}:{}", self.person.display(), std::env::var("PATH").unwrap());
        let program = std::path::Path::new(env!("CARGO_BIN_EXE_hades")).with_file_name("hadesctl");
        let mut command = Command::new(program);
        command.args(args).env("PATH", path).env("KUBECONFIG", self.hades.kubeconfig());
        command.stdin(std::process::Stdio::null()).output().unwrap()
    }

    fn hadesctl(&self, args: &[&str]) -> String {
        let output = self.try_hadesctl(args);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "hadesctl {args:?}: {out}{err}\n{}", self.hades.log());
        out + &err
    }

    fn refused(&self, args: &[&str]) -> String {
        let output = self.try_hadesctl(args);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn add(&self) -> String {
        let destination = format!("root@{}", self.address);
        let socket = self.engine.socket();
        self.hadesctl(&[
            "host",
            "add",
            &destination,
            "--name",
            "web-2",
            "--socket",
            socket,
            "--label",
            "disk=ssd",
        ])
    }

    fn ready(&self, host: &str) -> Value {
        condition(&self.hades.object("dockerhost", host, "default"), "Ready")
    }

    /// A service with its data, from the first machine to the second.
    fn moves_a_volume(&self) {
        let files = |host: &str| {
            format!(
                "apiVersion: hades.dev/v1alpha1\nkind: Environment\n\
                 metadata: {{name: files, namespace: PROJECT}}\n\
                 spec: {{volumes: {{files: {{}}}}, services: {{keeper: {{image: 'hades-sample:1', \
                 host: {host}, env: {{WRITE_FILE: /data/file}}, volumes: ['files:/data']}}}}}}\n"
            )
        };
        self.hades.apply(&files("local"));
        self.hades.wait_ready("files");
        let volume = format!("{}/files/files", self.hades.project);
        let refusal = self.refused(&["volume", "copy", &volume, "--to", "web-2"]);
        assert!(refusal.contains("_keeper-1-") && refusal.contains("--live"), "{refusal}");
        self.hadesctl(&["volume", "copy", &volume, "--to", "web-2", "--live"]);
        let again = self.refused(&["volume", "copy", &volume, "--to", "web-2", "--live"]);
        assert!(again.contains("on the host already"), "{again}");
        self.hades.apply(&files("web-2"));
        self.hades.wait_ready("files");
        let keeper = self.engine.docker(&["ps", "--filter", "name=_keeper-1-", "--quiet"]);
        let file = format!("{}:/data/file", keeper.trim());
        let text = eventually("both starts to be in the file", || {
            let text = self.engine.docker(&["cp", &file, "-"]);
            if text.matches("started\n").count() == 2 { Ok(text) } else { Err(text) }
        });
        assert!(text.contains("file"));
        let name = format!("{}_files_files", self.hades.project);
        self.hades.engine.docker(&["volume", "inspect", &name]);
        self.hadesctl(&["delete", &format!("{}/files", self.hades.project), "--yes"]);
    }

    fn keys_of_hades(&self) -> usize {
        let keys = std::fs::read_to_string(self.server.authorized_keys()).unwrap();
        keys.lines().filter(|line| line.contains(" hades/")).count()
    }
}

fn environment(services: &str) -> String {
    format!(
        "apiVersion: hades.dev/v1alpha1\nkind: Environment\n\
         metadata: {{name: production, namespace: PROJECT}}\n\
         spec: {{services: {{{services}}}}}\n"
    )
}

#[test]
fn a_machine_is_added_used_cut_off_and_removed() {
    let mut studio = Studio::start();
    let said = studio.add();
    assert!(said.contains("web-2 is ready: Docker "), "{said}");
    assert!(said.contains(&studio.server.host_key().fingerprint()), "{said}");
    let host = studio.hades.object("dockerhost", "web-2", "default");
    assert_eq!(host["metadata"]["labels"]["disk"], "ssd");
    assert_eq!(host["spec"]["ssh"]["hostKeys"][0], studio.server.host_key().to_string());
    assert!(studio.hadesctl(&["host", "test", "web-2"]).contains("answers within"));

    studio.hades.apply(&environment(
        "here: {image: 'hades-sample:1', host: local}, there: {image: 'hades-sample:1', host: web-2}",
    ));
    studio.hades.wait_ready("production");
    let there = || studio.engine.docker(&["ps", "--format", "{{.Names}}"]);
    assert!(there().contains("_there-1-"), "{}", there());
    assert!(studio.hades.container_of("here").is_some());
    let list = studio.hadesctl(&["host", "ls"]);
    assert!(list.lines().any(|line| line.starts_with("web-2") && line.contains("Ready")), "{list}");

    studio.moves_a_volume();

    // A new key takes the place of the old one; nothing that runs is disturbed.
    let before = there();
    assert_eq!(studio.keys_of_hades(), 1);
    studio.add();
    assert_eq!(studio.keys_of_hades(), 1);
    assert_eq!(there(), before);

    // Cut off: the other host goes on, and what is there stays.
    studio.server.stop();
    let gone = studio.hades.container_of("here").unwrap();
    studio.hades.engine.docker(&["rm", "-f", &gone]);
    eventually("the other host to be healed", || {
        studio.hades.container_of("here").ok_or("not yet")
    });
    eventually("the outage to be seen", || match studio.ready("web-2") {
        ready if ready["status"] == "False" => Ok(()),
        ready => Err(ready),
    });
    assert!(studio.refused(&["host", "test", "web-2"]).contains("connection refused"));
    studio.server.restart();
    studio.hades.wait_ready("production");
    assert_eq!(studio.engine.docker(&["ps", "--format", "{{.Names}}"]), before);

    let drained = studio.hadesctl(&["host", "drain", "web-2"]);
    assert!(
        drained.contains(&format!("{}/production (1 container", studio.hades.project)),
        "{drained}"
    );
    let refusal = studio.refused(&["host", "rm", "web-2"]);
    assert!(refusal.contains("web-2 is in use"), "{refusal}");
    studio.hades.apply(&environment("here: {image: 'hades-sample:1', host: local}"));
    studio.hades.wait_ready("production");
    eventually("web-2 to be empty", || {
        let left = studio.engine.docker(&["ps", "--all", "--quiet"]);
        if left.is_empty() { Ok(()) } else { Err(left) }
    });
    studio.hadesctl(&["host", "rm", "web-2"]);
    assert_eq!(studio.hades.object("dockerhost", "web-2", "default"), Value::Null);
    assert_eq!(studio.hades.object("secret", "host-web-2", "hades-system"), Value::Null);
}
