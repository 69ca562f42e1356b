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

    #[test]
    fn variables_are_quoted() {
        let script = script("ssh-ed25519 AAAA it's", "it's", "/x");
        assert!(script.starts_with("KEY='ssh-ed25519 AAAA it'\\''s'\nCOMMENT="), "{script}");
    }
}
