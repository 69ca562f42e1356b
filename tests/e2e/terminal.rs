//! Commands in containers, at a terminal and without one.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::hades::{Engine, Hades, eventually, testbed};

/// A server with a service `box` of two containers that have a shell, and one that
/// has none.
fn start() -> Hades {
    let hades = Hades::start(Engine::shared());
    let image = Command::new(testbed("shell-image.sh"))
        .arg("hades-shell:1")
        .env("DOCKER_HOST", &hades.engine.endpoint)
        .status();
    assert!(image.unwrap().success());
    hades.apply(
        "{apiVersion: hades.dev/v1alpha1, kind: HadesProject, metadata: {name: PROJECT}, spec: {}}\n\
         ---\n\
         apiVersion: hades.dev/v1alpha1\nkind: Environment\n\
         metadata: {name: production, namespace: PROJECT}\n\
         spec:\n  defaults: {host: local}\n  services:\n    \
         box: {image: 'hades-shell:1', replicas: 2}\n    bare: {image: 'hades-sample:1'}\n",
    );
    hades.wait_ready("production");
    hades
}

fn service(hades: &Hades, service: &str) -> String {
    format!("{}/production/{service}", hades.project)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a command that reads `input`.
fn piped(hades: &Hades, args: &[&str], input: &[u8]) -> Output {
    let mut child = hades
        .hadesctl_command()
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    output
}

#[test]
fn without_a_terminal() {
    let hades = start();
    let boxed = service(&hades, "box");

    // Both outputs apart, and the exit status passed on.
    let output =
        hades.try_hadesctl(&["exec", &boxed, "--", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("out\n".into(), "err\n".into()));
    assert_eq!(output.status.code(), Some(7));

    // Input is passed on to its end, more of it than fits into any buffer.
    let much = vec![b'x'; 3_000_000];
    let output = piped(&hades, &["exec", "-i", &boxed, "--", "wc", "-c"], &much);
    assert_eq!(text(&output.stdout).trim(), "3000000", "{}", text(&output.stderr));
    let output = piped(&hades, &["exec", "-i", &boxed, "--", "cat"], &much);
    assert_eq!(output.stdout.len(), much.len(), "{}", text(&output.stderr));
    // A command that reads nothing isn't waited for.
    let output = piped(&hades, &["exec", "-i", &boxed, "--", "true"], &much);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));

    // One of several containers, as another user, in another folder.
    let second = hades.hadesctl(&["exec", &format!("{boxed}/2"), "--", "hostname"]);
    let first = hades.hadesctl(&["exec", &format!("{boxed}/1"), "--", "hostname"]);
    assert_ne!(first, second);
    let name = hades.running().into_iter().find(|name| name.contains("_box-2-")).unwrap();
    assert_eq!(hades.hadesctl(&["exec", &format!("{boxed}/{name}"), "--", "hostname"]), second);
    let args = ["exec", &boxed, "-u", "nobody", "-w", "/tmp", "--", "sh", "-c", "id -un; pwd"];
    assert_eq!(hades.hadesctl(&args), "nobody\n/tmp\n");

    // Engines tell differently that there is no such program.
    let output = hades.try_hadesctl(&["exec", &boxed, "--", "no-such-program"]);
    assert!(matches!(output.status.code(), Some(1 | 126 | 127)), "{output:?}");
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(said.contains("no-such-program"), "{said}");

    // What can't be done is told.
    let environment = format!("{}/production", hades.project);
    for (args, part) in [
        (&["exec", &format!("{boxed}/3"), "--", "true"][..], "there are: bare/1, box/1, box/2"),
        (&["exec", &format!("{environment}/bax"), "--", "true"], "there is no container \"bax\""),
        (&["exec", &environment, "--", "true"], "one container"),
        (&["exec", &format!("{}/prod/box", hades.project), "--", "true"], "\"prod\" not found"),
    ] {
        let output = hades.try_hadesctl(args);
        assert!(!output.status.success());
        assert!(text(&output.stderr).contains(part), "{args:?}: {}", text(&output.stderr));
    }
}

/// Runs `hadesctl` at a terminal of 30 rows and 100 columns.
fn at_a_terminal(hades: &Hades, args: &[&str], steps: &Value) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/e2e/terminal.py");
    let hadesctl = hades.hadesctl_command();
    let mut command = Command::new("python3");
    command.arg(script).arg(steps.to_string()).arg(hadesctl.get_program()).args(args);
    command.envs(hadesctl.get_envs().filter_map(|(key, value)| Some((key, value?))));
    command.env("TERM", "xterm").output().unwrap()
}

#[test]
fn at_a_terminal_it_is_as_if_one_sat_there() {
    let hades = start();
    let boxed = service(&hades, "box");
    let output = at_a_terminal(
        &hades,
        &["exec", "-it", &boxed, "--", "sh"],
        &json!([
            {"expect": "# "},
            {"send": "stty size\r"}, {"expect": "30 100"}, {"expect": "# "},
            {"size": [40, 120]},
            // The new size may take a moment to get there.
            {"send": "while [ \"$(stty size)\" != '40 120' ]; do sleep 0.1; done; echo re''sized\r"},
            {"expect": "resized"}, {"expect": "# "},
            // Says so when it is in the foreground: a shell may be interrupted before.
            {"send": "sh -c 'echo sl\"\"eeps; exec sleep 1000'; echo never\r"},
            {"expect": "sleeps\r\n"},
            {"send": "\u{3}"}, {"expect": "# "},
            // Any byte may come first.
            {"send": "printf '\\000\\000\\000\\000\\377\\377\\377\\377'; echo al''ive\r"},
            {"expect": "alive"}, {"expect": "# "},
            {"send": "exit 5\r"},
        ]),
    );
    assert_eq!(output.status.code(), Some(5), "{}", text(&output.stderr));
}

/// Whether a process with these words runs in a container of the service.
fn runs(hades: &Hades, service: &str, words: &str) -> bool {
    let part = format!("_{service}-1-");
    let name = hades.running().into_iter().find(|name| name.contains(&part)).unwrap();
    hades.engine.docker(&["top", &name, "-eo", "pid,args"]).contains(words)
}

#[test]
fn a_command_ends_with_its_client() {
    let mut hades = start();
    let boxed = service(&hades, "box");
    let follow = |hades: &Hades, words: &str| {
        let child = hades
            .hadesctl_command()
            .args(["exec", "-i", &boxed, "--", "sleep", words])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        eventually("the command to run", || {
            if runs(hades, "box", &format!("sleep {words}")) { Ok(()) } else { Err(()) }
        });
        child
    };
    let mut child = follow(&hades, "54321");
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the command to be gone with its client", || {
        if runs(&hades, "box", "sleep 54321") { Err(()) } else { Ok(()) }
    });

    // And with the server, which says so.
    let child = follow(&hades, "65432");
    hades.stop();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("Hades stops"), "{}", text(&output.stderr));
    eventually("the command to be gone with the server", || {
        if runs(&hades, "box", "sleep 65432") { Err(()) } else { Ok(()) }
    });
}
