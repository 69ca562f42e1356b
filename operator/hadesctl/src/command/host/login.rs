//! The first login on a machine: by the person's own `ssh`, so that their
//! configuration, agent, jump hosts and passphrases work.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use crate::error::Error;

/// How long a machine may take to answer (seconds); people type passphrases after
/// that.
const CONNECT_SECONDS: u32 = 15;

/// Whom to log in as, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// User.
    pub user: String,
    /// Name or address.
    pub host: String,
    /// Port, unless it is the usual one.
    pub port: Option<u16>,
    /// The person's private key.
    pub identity: Option<PathBuf>,
}

impl Login {
    /// The arguments of `ssh` for running a script that comes by its input.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments =
            vec!["-T".to_owned(), "-o".to_owned(), format!("ConnectTimeout={CONNECT_SECONDS}")];
        if let Some(port) = self.port {
            arguments.extend(["-p".to_owned(), port.to_string()]);
        }
        if let Some(identity) = &self.identity {
            arguments.extend(["-i".to_owned(), identity.display().to_string()]);
        }
        arguments.extend([
            "-l".to_owned(),
            self.user.clone(),
            "--".to_owned(),
            self.host.clone(),
            "sh -s".to_owned(),
        ]);
        arguments
    }

    /// Runs a script there; `line` gets each line of its output.
    ///
    /// # Errors
    /// When there is no `ssh`, the login doesn't work, or the script fails.
    pub async fn run(&self, script: &str, mut line: impl FnMut(&str)) -> Result<(), Error> {
        let failed = |what: String, hint: &str| Error::Incomplete {
            message: format!("logging in to {}: {what}", self.host),
            hint: Some(hint.to_owned()),
        };
        let mut child = Command::new("ssh")
            .args(self.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                failed(
                    format!("ssh can't be started: {error}"),
                    "install the OpenSSH client (package openssh-client)",
                )
            })?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        if let Some(mut stdin) = stdin {
            // A login that fails closes it; the status tells.
            let _ = stdin.write_all(script.as_bytes()).await;
            let _ = stdin.shutdown().await;
        }
        if let Some(stdout) = stdout {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(text)) = lines.next_line().await {
                line(&text);
            }
        }
        let status = child.wait().await.map_err(|error| failed(error.to_string(), "try again"))?;
        match status.code() {
            Some(0) => Ok(()),
            Some(255) => Err(failed(
                "ssh could not log in; what it said is above".to_owned(),
                &format!(
                    "see that `ssh -l {} {}{}` works, then run this again",
                    self.user,
                    self.port.map_or_else(String::new, |port| format!("-p {port} ")),
                    self.host
                ),
            )),
            // The script has said why.
            _ => Err(failed(
                format!("the script there ended with {status}"),
                "what it said is above; mend it and run this again",
            )),
        }
    }
}
