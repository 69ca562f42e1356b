//! git's smart protocol over SSH: `git-upload-pack` on the server, spoken with over its
//! input and output.

use std::io::{self, Read};
use std::time::Duration;

use hades_ssh::{Error, Link, Process, Target};
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::FetchError;
use super::budget::Budget;
use super::credentials::SshCredentials;
use super::known_hosts::pinned;
use super::transport::{Body, Exchange, Stop, Transport, shorten};
use super::url::{RemoteUrl, SshUrl};

/// Much of what a server complains of (bytes).
const MAX_COMPLAINT: u64 = 4096;

/// Words by which forges and git itself say that there is no such repository, or none
/// for this key.
const NOT_FOUND: [&str; 5] = [
    "not found",
    "could not be found",
    "does not appear to be a git repository",
    "no such repository",
    "cannot find repository",
];

/// A repository over SSH.
pub(super) struct Ssh {
    /// Runs while somebody waits for the server; what is left of it ends with this.
    runtime: Runtime,
    process: Process,
    exchange: Exchange,
}

/// Checks a private key. The error says what is wrong with it and shows none of it.
pub fn check_identity(identity: &SecretString) -> Result<(), String> {
    hades_ssh::public_key(identity).map(|_| ()).map_err(|error| error.to_string())
}

impl Ssh {
    /// Connects, checks the server's key, logs in, and starts `git-upload-pack`.
    pub(super) fn new(
        url: &SshUrl,
        credentials: Option<&SshCredentials>,
        budget: Budget,
    ) -> Result<Self, FetchError> {
        let exchange = Exchange::new(RemoteUrl::Ssh(url.clone()).shown(), budget);
        let target = target(url, credentials, &exchange)?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| exchange.unreachable(error.to_string()))?;
        let Some(left) = exchange.budget().left() else { return Err(exchange.timed_out()) };
        let command = format!("git-upload-pack {}", quoted(&url.path));
        let started = within(&runtime, left, async {
            // Servers that don't let it through speak version 0.
            let environment = [("GIT_PROTOCOL", "version=2")];
            Link::alone(target).exec_with(&command, &environment).await
        });
        match started {
            Err(_) => Err(exchange.timed_out()),
            Ok(Err(error)) => Err(refused(&exchange, error)),
            Ok(Ok(process)) => Ok(Ssh { runtime, process, exchange }),
        }
    }

    fn body(&mut self) -> Body<'_> {
        let Ssh { runtime, process, exchange } = self;
        let source = Output { runtime, process, budget: exchange.budget().clone() };
        Body { source: Box::new(source), exchange, ends: false }
    }

    /// What the process says to its end without having said a word of the protocol.
    fn complaint(&mut self) -> FetchError {
        let mut text = Vec::new();
        let left = self.exchange.budget().left().unwrap_or_default();
        let mut stderr = (&mut self.process.stderr).take(MAX_COMPLAINT);
        let _ = within(&self.runtime, left, stderr.read_to_end(&mut text));
        let text = String::from_utf8_lossy(&text);
        // Forges draw boxes around their words.
        let words: Vec<&str> = text
            .lines()
            .map(|line| {
                line.trim_matches(|each: char| each.is_whitespace() || "=*#".contains(each))
            })
            .filter(|line| !line.is_empty())
            .collect();
        let words = shorten(&words.join(" "));
        let lower = words.to_lowercase();
        if NOT_FOUND.iter().any(|known| lower.contains(known)) {
            let reason = format!("the server says: {words}");
            return FetchError::NotFound { url: self.exchange.shown().to_owned(), reason };
        }
        if words.is_empty() {
            return self.exchange.unreachable("the server ended the connection without a word");
        }
        self.exchange.unreachable(format!("the server says: {words}"))
    }
}

impl Transport for Ssh {
    fn advertisement(&mut self) -> Result<Body<'_>, FetchError> {
        let mut first = [0; 1];
        let length = self.body().read(&mut first);
        match length {
            Err(error) => Err(self.exchange.broken(&error)),
            Ok(0) => Err(self.complaint()),
            Ok(_) => {
                let body = self.body();
                let exchange = body.exchange;
                let source = Read::chain(io::Cursor::new(first), body.source);
                Ok(Body { source: Box::new(source), exchange, ends: false })
            }
        }
    }

    fn upload_pack(&mut self, request: Vec<u8>, _v2: bool) -> Result<Body<'_>, FetchError> {
        let Some(left) = self.exchange.budget().left() else {
            return Err(self.exchange.timed_out());
        };
        let stdin = &mut self.process.stdin;
        let sent = within(&self.runtime, left, async {
            stdin.write_all(&request).await?;
            stdin.flush().await
        });
        match sent {
            Err(_) => Err(self.exchange.timed_out()),
            Ok(Err(error)) => Err(self.exchange.broken(&error)),
            Ok(Ok(())) => Ok(self.body()),
        }
    }
}

/// What the process writes, read by a thread that waits for it.
struct Output<'a> {
    runtime: &'a Runtime,
    process: &'a mut Process,
    budget: Budget,
}

impl Read for Output<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let over = || io::Error::other(Stop::TimedOut);
        let left = self.budget.left().ok_or_else(over)?;
        let read = self.process.stdout.read(buffer);
        within(self.runtime, left, read).unwrap_or_else(|_| Err(over()))
    }
}

/// Waits for something, for so long.
fn within<T>(
    runtime: &Runtime,
    limit: Duration,
    work: impl Future<Output = T>,
) -> Result<T, Elapsed> {
    // The timer belongs to the runtime, so it is made inside.
    runtime.block_on(async { timeout(limit, work).await })
}

fn target(
    url: &SshUrl,
    credentials: Option<&SshCredentials>,
    exchange: &Exchange,
) -> Result<Target, FetchError> {
    let Some(SshCredentials { identity, known_hosts }) = credentials else {
        return Err(FetchError::Invalid(format!(
            "{} is reached by SSH, which takes a key: put a private key as \"identity\" into a \
             Secret and name it in secretRef, or use an account that has one",
            exchange.shown()
        )));
    };
    let host_keys = pinned(known_hosts.as_deref(), &url.host, url.port);
    if host_keys.is_empty() {
        let port = if url.port == 22 { String::new() } else { format!("-p {} ", url.port) };
        return Err(FetchError::HostKey {
            url: exchange.shown().to_owned(),
            reason: format!(
                "no host key is known for it; put what `ssh-keyscan {port}{}` prints as \
                 \"known_hosts\" into the Secret, after comparing it with what the server's \
                 administrator publishes (names must not be hashed)",
                url.host
            ),
        });
    }
    Ok(Target {
        host: url.host.clone(),
        port: url.port,
        user: url.user.clone(),
        private_key: identity.clone(),
        host_keys,
    })
}

fn refused(exchange: &Exchange, error: Error) -> FetchError {
    let url = exchange.shown().to_owned();
    match error {
        Error::HostKey { expected, found, .. } => FetchError::HostKey {
            url,
            reason: format!(
                "the server shows the host key {found}, but known_hosts has {expected}. If its \
                 keys were changed, put the new one into known_hosts; if not, somebody may be \
                 listening in between"
            ),
        },
        Error::HostKeyKind { expected, .. } => FetchError::HostKey {
            url,
            reason: format!(
                "the server has no host key of the kind that known_hosts has ({expected}). If its \
                 keys were changed, put the new one into known_hosts; if not, somebody may be \
                 listening in between"
            ),
        },
        Error::Denied { fingerprint, public_key, .. } => {
            FetchError::KeyRefused { url, fingerprint, public_key }
        }
        error @ (Error::PrivateKey { .. } | Error::PublicKey { .. }) => {
            FetchError::Invalid(error.to_string())
        }
        error => exchange.unreachable(error.to_string()),
    }
}

/// As one word for the server's shell, or for a forge that only reads what git sends.
fn quoted(path: &str) -> String {
    let mut quoted = String::from("'");
    for character in path.chars() {
        match character {
            // As git itself does it.
            '\'' | '!' => {
                quoted.push_str("'\\");
                quoted.push(character);
                quoted.push('\'');
            }
            other => quoted.push(other),
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word() {
        assert_eq!(quoted("halolab/shop.git"), "'halolab/shop.git'");
        assert_eq!(quoted("a'; rm -rf ~ #!"), r"'a'\''; rm -rf ~ #'\!''");
    }
}
