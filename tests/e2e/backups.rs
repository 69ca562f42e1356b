//! Backups of a real server, and what comes of them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::hades::{Engine, Hades, eventually};

const PROJECT: &str =
    "{apiVersion: hades.dev/v1alpha1, kind: HadesProject, metadata: {name: PROJECT}, spec: {}}";

const PLANTED: &str = "planted-hunter2-value";

const ENVIRONMENT: &str = r#"apiVersion: hades.dev/v1alpha1
kind: Environment
metadata: {name: production, namespace: PROJECT}
spec:
  defaults: {host: local}
  volumes: {data: {}}
  services:
    web:
      image: 'hades-sample:1'
      volumes: ["data:/data"]
      env: {TOKEN: {secretKeyRef: {name: web, key: token}}}
---
apiVersion: v1
kind: Secret
metadata: {name: web, namespace: PROJECT}
stringData: {token: planted-hunter2-value}
"#;

/// A key for backups beside the server, and its public half.
fn keygen(hades: &Hades) -> (PathBuf, String) {
    let key = hades.dir.path().join("backup-key.txt");
    let public = hades.run(&["backup", "keygen", text(&key)]);
    (key, public.trim().to_owned())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Every container of the installation, and since when it runs.
fn runs(hades: &Hades) -> Vec<String> {
    let inspect = ["inspect", "--format", "{{.Id}} {{.State.StartedAt}} {{.RestartCount}}"];
    let containers = hades.containers();
    let names = containers.iter().map(String::as_str);
    let told = hades.engine.docker(&inspect.into_iter().chain(names).collect::<Vec<_>>());
    told.lines().map(str::to_owned).collect()
}

#[test]
fn a_lost_data_directory_is_restored_and_nothing_that_runs_is_touched() {
    let mut hades = Hades::start(Engine::shared());
    hades.apply(PROJECT);
    hades.apply(ENVIRONMENT);
    hades.wait_ready("production");
    let before = runs(&hades);
    assert_eq!(before.len(), 1);
    let (key, public) = keygen(&hades);
    let file = hades.dir.path().join("hades.backup");
    let said = hades.run(&["backup", text(&file), "--recipient", &public]);
    assert!(said.contains(" bytes, SHA-256 "), "{said}");
    let bytes = std::fs::read(&file).unwrap();
    assert!(!bytes.windows(PLANTED.len()).any(|window| window == PLANTED.as_bytes()));
    let shown = hades.run(&["backup", "show", text(&file), "--identity-file", text(&key)]);
    assert!(shown.contains(&hades.installation()) && shown.contains("It is whole."), "{shown}");
    // A file that is there is not replaced.
    let again = hades.command(&["backup", text(&file), "--recipient", &public]).output().unwrap();
    assert!(String::from_utf8_lossy(&again.stderr).contains("is there already"));
    // The machine burns down, and the containers run elsewhere.
    let installation = hades.installation();
    hades.kill();
    std::fs::remove_dir_all(hades.data()).unwrap();
    let said = hades.run(&["restore", text(&file), "--identity-file", text(&key)]);
    assert!(said.contains("hades store adopt"), "{said}");
    assert_eq!(hades.installation(), installation);
    hades.launch();
    eventually("the server to say what it is", || {
        let log = hades.log();
        if log.contains("was restored") { Ok(()) } else { Err(log) }
    });
    let web = format!("{}/production/web", hades.project);
    let refused = hades.try_hadesctl(&["exec", &web, "--", "true"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("hades store adopt"), "{said}");
    assert_eq!(runs(&hades), before);
    hades.stop();
    hades.adopt();
    hades.launch();
    // It works again, and finds everything as it should be.
    hades.apply(&ENVIRONMENT.replace("  volumes: {data: {}}", "  env: {}\n  volumes: {data: {}}"));
    hades.wait_ready("production");
    assert_eq!(runs(&hades), before, "nothing was made anew, started or stopped");
    hades.apply(&ENVIRONMENT.replace("env: {", "env: {MESSAGE: changed, "));
    hades.wait_ready("production");
    assert_ne!(runs(&hades), before, "it does its work again");
    assert!(!hades.data().join("restore.partial").exists());
}

#[test]
fn killed_at_any_moment_there_is_a_whole_backup_or_none() {
    let mut hades = Hades::start_without_host(Engine::shared());
    let (key, public) = keygen(&hades);
    // Enough for a backup to take a while.
    for part in 0..4 {
        let data: Vec<String> = (0..8).map(|n| format!("  k{n}: {}", "x".repeat(90_000))).collect();
        hades.apply(&format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: big-{part}, namespace: default}}\n\
             data:\n{}\n",
            data.join("\n")
        ));
    }
    for round in 0..6_u64 {
        let file = hades.dir.path().join(format!("backup-{round}"));
        let mut client = hades
            .command(&["backup", text(&file), "--recipient", &public])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(round * 25));
        // The server in one round, who asks it in the next.
        if round % 2 == 0 {
            hades.kill();
        } else {
            let _ = client.kill();
        }
        let ended = client.wait_with_output().unwrap();
        if file.exists() {
            hades.run(&["backup", "show", text(&file), "--identity-file", text(&key)]);
        } else {
            assert!(!ended.status.success(), "{round}: {ended:?}");
        }
        if round % 2 == 0 {
            hades.launch();
            // A copy of the store that lay there would outlive what is in it.
            assert!(!hades.data().join("backup.partial").exists());
        }
    }
    let file = hades.dir.path().join("last");
    hades.run(&["backup", text(&file), "--recipient", &public]);
    // Nothing is left where the server was killed.
    hades.stop();
    assert!(!hades.data().join("admin.sock").exists());
    hades.run(&["backup", text(&hades.dir.path().join("stopped")), "--recipient", &public]);
    assert!(!hades.data().join("backup.partial").exists());

    let target = hades.dir.path().join("restored");
    let restore =
        ["restore", text(&file), "--identity-file", text(&key), "--data-dir", text(&target)];
    for round in 0..6_u64 {
        let mut restoring =
            hades.command(&restore).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(5 + round * 20));
        let _ = restoring.kill();
        restoring.wait().unwrap();
        if target.join("instance.json").exists() {
            // It was done, or at the moment of its end; then a server says so.
            std::fs::remove_dir_all(&target).unwrap();
        } else if target.join("restore.partial").exists() {
            let serve = ["serve", "--listen", "127.0.0.1:0", "--data-dir", text(&target)];
            let said = hades.command(&serve).output().unwrap();
            let said = String::from_utf8_lossy(&said.stderr).into_owned();
            assert!(said.contains("was not finished"), "{said}");
        }
    }
    hades.run(&restore);
    let verified = hades.run(&["store", "verify", "--data-dir", text(&target)]);
    assert!(verified.contains("No problems."), "{verified}");
}

#[test]
fn a_schedule_makes_backups_and_tells_of_those_that_fail() {
    let mut hades = Hades::start_without_host(Engine::shared());
    let (key, public) = keygen(&hades);
    let folder = hades.dir.path().join("backups");
    hades.stop();
    let flags = ["--backup-recipient", &public, "--backup-schedule", "0 2 * * *"];
    hades.flags =
        flags.into_iter().chain(["--backup-to", text(&folder)]).map(str::to_owned).collect();
    // The disk isn't mounted.
    hades.launch();
    let events = |hades: &Hades, reason: &str| {
        eventually(&format!("an event {reason}"), || {
            let all = hades.kubectl(&["get", "events", "-n", "hades-system", "-o", "json"]);
            if all.contains(reason) { Ok(all) } else { Err((all, hades.log())) }
        })
    };
    assert!(events(&hades, "BackupFailed").contains("is no folder"));
    hades.stop();
    std::fs::create_dir(&folder).unwrap();
    // The first one is made at once.
    hades.launch();
    events(&hades, "BackupMade");
    let made: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(made.len(), 1, "{made:?}");
    hades.run(&["backup", "show", text(&made[0]), "--identity-file", text(&key)]);
    let metrics = hades.kubectl(&["get", "--raw", "/metrics"]);
    assert!(metrics.contains("hades_backups_total{outcome=\"made\"} 1"), "{metrics}");
    // Whoever asks by hand gets one for the same key.
    let file = hades.dir.path().join("by-hand");
    hades.run(&["backup", text(&file)]);
    hades.run(&["backup", "show", text(&file), "--identity-file", text(&key)]);
}

#[test]
fn an_administrator_is_let_in_again_by_the_socket() {
    let mut hades = Hades::start_without_host(Engine::shared());
    let password = |said: &str| {
        said.lines().find_map(|line| line.strip_prefix("password: ")).unwrap().to_owned()
    };
    let first = password(&hades.run(&["user", "recover", "admin"]));
    let socket = hades.data().join("admin.sock");
    assert!(socket.exists());
    hades.stop();
    assert!(!socket.exists());
    let second = password(&hades.run(&["user", "recover", "admin"]));
    assert_ne!(first, second);
    hades.launch();
    // It lets one in, and the one before doesn't.
    let log_in = |password: &str| {
        let config = hades.dir.path().join("person.kubeconfig");
        let ca_file = hades.data().join("ca.crt");
        let mut login = hades.hadesctl_command();
        login.env("KUBECONFIG", config).args(["login", &format!("https://{}", hades.address)]);
        login.args(["--user", "admin", "--ca-file", text(&ca_file)]);
        login.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut login = login.spawn().unwrap();
        writeln!(login.stdin.take().unwrap(), "{password}").unwrap();
        login.wait().unwrap().success()
    };
    assert!(!log_in(&first));
    assert!(log_in(&second));
    let nobody = hades.command(&["user", "recover", "nobody"]).output().unwrap();
    let said = String::from_utf8_lossy(&nobody.stderr).into_owned();
    assert!(!nobody.status.success() && said.contains("there is no user"), "{said}");
}
