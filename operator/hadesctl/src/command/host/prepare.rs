//! What happens on a machine that becomes a host.

use hades_ssh::HostKey;

use super::login::Login;
use crate::context::Context;
use crate::error::Error;

const SCRIPT: &str = include_str!("prepare.sh");

/// What a machine told of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prepared {
    /// Keys that its SSH server shows.
    pub host_keys: Vec<String>,
    /// What `dockerd --version` says.
    pub version: Option<String>,
    /// The reason, when it failed.
    failed: Option<String>,
    done: bool,
}

impl Prepared {
    /// Takes one line of the script's output in; answers words of progress.
    fn take(&mut self, line: &str) -> Option<String> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "hades-step" => return Some(rest.to_owned()),
            "hades-failed" => self.failed = Some(rest.to_owned()),
            "hades-host-key" => self.host_keys.push(rest.trim().to_owned()),
            "hades-version" => self.version = Some(rest.to_owned()),
            "hades-done" => self.done = true,
            // A greeting of the machine's shell.
            _ => {}
        }
        None
    }

    /// The keys to pin: the ed25519 one, or all that there are. Keys of kinds that
    /// Hades doesn't speak are left out.
    pub fn pinned(&self) -> Vec<HostKey> {
        let known = |text: &String| {
            let kinds = ["ssh-ed25519 ", "ecdsa-sha2-nistp", "ssh-rsa "];
            kinds.iter().any(|kind| text.starts_with(kind)).then(|| text.parse().ok()).flatten()
        };
        let best: Vec<HostKey> = self
            .host_keys
            .iter()
            .filter(|key| key.starts_with("ssh-ed25519 "))
            .filter_map(known)
            .collect();
        if best.is_empty() { self.host_keys.iter().filter_map(known).collect() } else { best }
    }
}

/// Logs in, installs Docker where it is missing, and lets `public_key` in.
///
/// # Errors
/// Each with the step that failed and what to do.
pub async fn prepare(
    context: &Context,
    login: &Login,
    public_key: &str,
    comment: &str,
    socket: &str,
) -> Result<Prepared, Error> {
    let script = script(public_key, comment, socket);
    let mut prepared = Prepared::default();
    let mut last = "logging in".to_owned();
    let outcome = login
        .run(&script, |line| {
            if let Some(step) = prepared.take(line) {
                context.terminal.note(&format!("  {step}"));
                last = step;
            }
        })
        .await;
    if let Some(reason) = prepared.failed {
        return Err(Error::Incomplete {
            message: format!("{last}: {reason}"),
            hint: Some("what was done so far is kept; run the same command again".to_owned()),
        });
    }
    outcome?;
    if !prepared.done {
        return Err(Error::Incomplete {
            message: format!("{last}: the connection ended before the machine was ready"),
            hint: Some("run the same command again".to_owned()),
        });
    }
    Ok(prepared)
}

/// The script with its variables in front.
fn script(public_key: &str, comment: &str, socket: &str) -> String {
    let line = |name: &str, value: &str| format!("{name}={}\n", quoted(value));
    line("KEY", public_key) + &line("COMMENT", comment) + &line("SOCKET", socket) + SCRIPT
}

/// For a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_script_says() {
        let key = hades_ssh::KeyPair::generate("x").unwrap().public;
        let bare = key.strip_suffix(" x").unwrap();
        let mut prepared = Prepared::default();
        let lines = [
            "Welcome to web-1!",
            "hades-step installing docker.io",
            &format!("hades-host-key {bare}"),
            "hades-host-key ssh-rsa AAAA",
            "hades-version Docker version 26.1.5",
            "hades-done",
        ];
        let steps: Vec<String> = lines.iter().filter_map(|line| prepared.take(line)).collect();
        assert_eq!(steps, ["installing docker.io"]);
        assert!(prepared.done && prepared.failed.is_none());
        let pinned: Vec<String> = prepared.pinned().iter().map(ToString::to_string).collect();
        assert_eq!(pinned, [bare]);
    }

    /// A bare machine: only what every one has, and an `apt-get` that installs
    /// nothing but says that it was called.
    struct Machine {
        home: tempfile::TempDir,
    }

    impl Machine {
        fn new(apt: &str) -> Self {
            let machine = Self { home: tempfile::tempdir().unwrap() };
            std::fs::create_dir(machine.path("bin")).unwrap();
            let tools = [
                "cat", "cut", "env", "grep", "head", "mkdir", "mktemp", "rm", "sed", "sh", "sleep",
                "tail", "touch",
            ];
            for tool in tools {
                let folder = ["/usr/bin", "/bin"]
                    .into_iter()
                    .find(|folder| std::path::Path::new(folder).join(tool).exists());
                let real = std::path::Path::new(folder.unwrap()).join(tool);
                std::os::unix::fs::symlink(real, machine.path("bin").join(tool)).unwrap();
            }
            machine.program("id", "[ \"$1\" = -u ] && echo 0 || echo root");
            machine.program("systemctl", "exit 0");
            machine.program("ssh-keyscan", "echo '# x'; echo 'host ssh-ed25519 AAAA'");
            machine.program("apt-get", &format!("echo \"$@\" >>\"$HOME/calls\"; {apt}"));
            machine
        }

        fn path(&self, name: &str) -> std::path::PathBuf {
            self.home.path().join(name)
        }

        fn program(&self, name: &str, text: &str) {
            use std::os::unix::fs::PermissionsExt;
            let path = self.path("bin").join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }

        /// Runs the script with that key; answers what it says.
        fn prepare(&self, key: &str) -> String {
            let socket = self.path("docker.sock").display().to_string();
            let script = script(key, "hades/uid/web-1", &socket);
            std::fs::write(self.path("script"), script).unwrap();
            let output = std::process::Command::new("sh")
                .arg("-s")
                .stdin(std::fs::File::open(self.path("script")).unwrap())
                .env_clear()
                .env("PATH", self.path("bin"))
                .env("HOME", self.home.path())
                .env("SSH_CONNECTION", "10.0.0.1 5000 10.0.0.2 22")
                .output()
                .unwrap();
            String::from_utf8(output.stdout).unwrap()
        }

        fn read(&self, name: &str) -> String {
            std::fs::read_to_string(self.path(name)).unwrap_or_default()
        }
    }

    #[test]
    fn a_bare_machine_is_prepared_once() {
        let machine = Machine::new("exit 0");
        let socket = machine.path("docker.sock");
        let calls = machine.path("calls");
        // The engine that the package would start.
        let engine = std::thread::spawn(move || {
            while !std::fs::read_to_string(&calls).unwrap_or_default().contains("docker.io") {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            std::os::unix::net::UnixListener::bind(socket).unwrap()
        });
        std::fs::create_dir(machine.path(".ssh")).unwrap();
        // Without an end of its line, as editors leave it.
        std::fs::write(machine.path(".ssh/authorized_keys"), "ssh-rsa BBBB somebody").unwrap();
        let said = machine.prepare("ssh-ed25519 ONE hades/uid/web-1");
        assert!(said.contains("hades-step installing docker.io on "), "{said}");
        assert!(said.contains("hades-host-key ssh-ed25519 AAAA\n"), "{said}");
        assert!(said.ends_with("hades-done\n"), "{said}");
        let _engine = engine.join().unwrap();
        let calls = machine.read("calls");
        let said = machine.prepare("ssh-ed25519 TWO hades/uid/web-1");
        assert!(said.contains("hades-step Docker is installed"), "{said}");
        assert_eq!(machine.read("calls"), calls, "nothing is installed again");
        assert_eq!(
            machine.read(".ssh/authorized_keys"),
            "ssh-rsa BBBB somebody\nssh-ed25519 TWO hades/uid/web-1\n"
        );
    }

    #[test]
    fn lines_of_others_stay_byte_by_byte() {
        let machine = Machine::new("exit 0");
        let _engine = std::os::unix::net::UnixListener::bind(machine.path("docker.sock")).unwrap();
        std::fs::create_dir(machine.path(".ssh")).unwrap();
        let keys = machine.path(".ssh/authorized_keys");
        let of_others: &[u8] = b"ssh-rsa BBBB Ren\xe9\nssh-ed25519 CCCC hades/uid/web-10\n\
            ssh-ed25519 DDDD other/hades/uid/web-1\n";
        let file = [of_others, b"ssh-ed25519 ONE hades/uid/web-1\n"].concat();
        std::fs::write(&keys, file).unwrap();
        let said = machine.prepare("ssh-ed25519 TWO hades/uid/web-1");
        assert!(said.ends_with("hades-done\n"), "{said}");
        let expected = [of_others, b"ssh-ed25519 TWO hades/uid/web-1\n"].concat();
        assert_eq!(std::fs::read(&keys).unwrap(), expected);
        // What can't be read isn't written either.
        std::fs::remove_file(&keys).unwrap();
        std::fs::create_dir(&keys).unwrap();
        let said = machine.prepare("ssh-ed25519 TWO hades/uid/web-1");
        assert!(
            said.contains("authorized_keys can't be read; nothing in it was changed"),
            "{said}"
        );
        assert!(!said.contains("hades-done"), "{said}");
    }

    #[test]
    fn a_step_that_fails_is_named() {
        let machine = Machine::new("echo 'no route to the mirror'; exit 100");
        let said = machine.prepare("ssh-ed25519 ONE hades/uid/web-1");
        assert!(said.contains("hades-failed apt-get could not install docker.io"), "{said}");
        assert!(!said.contains("hades-done"), "{said}");
        assert_eq!(machine.read(".ssh/authorized_keys"), "", "no key without an engine");
    }

    #[test]
    fn variables_are_quoted() {
        let script = script("ssh-ed25519 AAAA it's", "it's", "/x");
        assert!(script.starts_with("KEY='ssh-ed25519 AAAA it'\\''s'\nCOMMENT="), "{script}");
    }
}
