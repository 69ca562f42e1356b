//! `hades identity`: what opens the Secrets in the store, shown and replaced.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use hades_apiserver::audit::AuditEvent;
use hades_apiserver::bootstrap::{self, DirectoryError};
use hades_apiserver::{ApiServer, IdentityInfo, IdentitySource, Rotated, RotationError, SealError};
use serde::{Deserialize, Serialize};

use crate::admin_client::{AdminClient, AdminClientError};
use crate::admin_socket::{self, PREFIX, Refusal};
use crate::identity_flags::{IdentityCommand, IdentityRotateFlags, IdentityShowFlags};
use crate::stopped::{Stopped, StoppedError};

/// Why a command about the identity ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityCommandError {
    #[error(transparent)]
    Server(#[from] AdminClientError),
    #[error("the server's answer can't be read")]
    Answer(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error(transparent)]
    Stopped(#[from] StoppedError),
    #[error(transparent)]
    Identity(#[from] SealError),
    #[error(transparent)]
    Rotation(#[from] RotationError),
    #[error("the result could not be printed")]
    Print(#[from] io::Error),
}

/// What a rotation answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    recipient: String,
    rows: u64,
    milliseconds: u64,
}

impl From<Rotated> for Answer {
    fn from(rotated: Rotated) -> Self {
        let milliseconds = u64::try_from(rotated.took.as_millis()).unwrap_or(u64::MAX);
        Self { recipient: rotated.recipient, rows: rotated.rows, milliseconds }
    }
}

/// The routes of the admin socket.
pub(crate) fn router(server: ApiServer) -> Router {
    let path = format!("{PREFIX}/identity/rotate");
    Router::new().route(&path, post(rotate_by_socket)).with_state(server)
}

async fn rotate_by_socket(State(server): State<ApiServer>) -> Result<Json<Answer>, Refusal> {
    // Whoever asked may hang up: what was begun is brought to its end.
    let rotating = tokio::spawn(async move { rotate_recorded(&server).await });
    let rotated =
        rotating.await.map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, &error))?;
    match rotated {
        Ok(rotated) => Ok(Json(rotated.into())),
        Err(error) => Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, &error)),
    }
}

/// Rotates, and leaves records of its beginning and its end in the audit log: whoever
/// kills the server in between is left with the first one, and the next start adds that
/// of the end.
async fn rotate_recorded(server: &ApiServer) -> Result<Rotated, RotationError> {
    let event = AuditEvent::new("rotate", "/admin/identity/rotate").by(&admin_socket::identity());
    let begun = server.audit().begin(event);
    let rotated = server.rotate_identity().await;
    server.audit().record(match &rotated {
        Ok(_) => begun.answered(200, "", ""),
        Err(_) => begun.answered(500, "InternalError", ""),
    });
    rotated
}

/// Runs a command and prints its result.
pub(crate) async fn run(
    command: &IdentityCommand,
    out: &mut impl Write,
) -> Result<(), IdentityCommandError> {
    match command {
        IdentityCommand::Show(flags) => show(flags, out),
        IdentityCommand::Rotate(flags) => rotate(flags, out).await,
    }
}

fn show(flags: &IdentityShowFlags, out: &mut impl Write) -> Result<(), IdentityCommandError> {
    let IdentityShowFlags { data_dir, identity } = flags;
    bootstrap::check_owner(data_dir)?;
    let IdentityInfo { path, recipient, former, is_protected } =
        IdentityInfo::read(data_dir, &identity.source())?;
    writeln!(out, "file: {}", path.display())?;
    writeln!(out, "passphrase: {}", if is_protected { "yes" } else { "no" })?;
    writeln!(out, "public key: {recipient}")?;
    for former in &former {
        writeln!(out, "former public key: {former}")?;
    }
    if !former.is_empty() {
        writeln!(out)?;
        writeln!(out, "A rotation is under way, or was cut off: the server goes on with it when")?;
        writeln!(out, "it runs, and removes the former identity when nothing needs it.")?;
    }
    Ok(())
}

async fn rotate(
    flags: &IdentityRotateFlags,
    out: &mut impl Write,
) -> Result<(), IdentityCommandError> {
    let IdentityRotateFlags { data_dir, audit_dir, identity } = flags;
    let Answer { recipient, rows, milliseconds } = match AdminClient::connect(data_dir).await? {
        Some(server) => ask(&server).await?,
        None => rotate_stopped(data_dir, audit_dir.clone(), identity.source()).await?.into(),
    };
    let took = Duration::from_millis(milliseconds);
    writeln!(out, "Everything is sealed for a new identity.")?;
    writeln!(out, "public key: {recipient}")?;
    writeln!(out, "{rows} Secrets and records were sealed anew in {took:?}.")?;
    writeln!(out)?;
    writeln!(out, "Make a backup now, or copy the identity to a safe place. Copies of the store")?;
    writeln!(out, "from before need the former identity, which is gone from here.")?;
    for copy in former_copies(data_dir) {
        writeln!(out, "An upgrade kept {}: delete it when you don't need it.", copy.display())?;
    }
    Ok(())
}

async fn ask(server: &AdminClient) -> Result<Answer, IdentityCommandError> {
    let answer = server.ask(server.post(&format!("{PREFIX}/identity/rotate"))).await?;
    let bytes = answer.bytes().await.map_err(|error| IdentityCommandError::Answer(error.into()))?;
    serde_json::from_slice(&bytes).map_err(|error| IdentityCommandError::Answer(error.into()))
}

/// Opens the directory of a server that is stopped, as that would, and does it there.
async fn rotate_stopped(
    data_dir: &Path,
    audit_dir: Option<PathBuf>,
    identity: IdentitySource,
) -> Result<Rotated, IdentityCommandError> {
    let Stopped { server, .. } = &Stopped::open(data_dir, audit_dir, identity).await?;
    let rotated = rotate_recorded(server).await;
    server.shutdown().await;
    Ok(rotated?)
}

/// Copies of the store that upgrades kept: what is in them is sealed for the identities
/// of their time.
fn former_copies(data_dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data_dir).into_iter().flatten().flatten();
    let is_copy = |name: &str| name.starts_with("store.redb.format-") && !name.ends_with(".new");
    let mut copies: Vec<_> = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(is_copy))
        .map(|entry| entry.path())
        .collect();
    copies.sort();
    copies
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use clap::Parser;
    use hades_apiserver::audit::AuditOptions;
    use hades_apiserver::bootstrap::DirectoryLock;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::serve;

    fn command(args: &[&str], data_dir: &Path) -> IdentityCommand {
        let data_dir = data_dir.to_str().unwrap();
        let args = [&["hades", "identity"], args, &["--data-dir", data_dir]].concat();
        match Cli::try_parse_from(args).unwrap().command {
            Command::Identity { command } => command,
            other => panic!("{other:?}"),
        }
    }

    async fn done(args: &[&str], data_dir: &Path) -> Result<String, IdentityCommandError> {
        let mut out = Vec::new();
        run(&command(args, data_dir), &mut out).await?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn recipient(text: &str) -> String {
        let line = text.lines().find_map(|line| line.strip_prefix("public key: "));
        line.unwrap().to_owned()
    }

    #[tokio::test]
    async fn an_identity_is_shown_and_replaced_while_no_server_runs() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path();
        std::fs::set_permissions(data, PermissionsExt::from_mode(0o700)).unwrap();
        let error = done(&["rotate"], data).await.unwrap_err();
        assert!(
            matches!(error, IdentityCommandError::Stopped(StoppedError::NoStore(_))),
            "{error}"
        );
        assert_eq!(std::fs::read_dir(data).unwrap().count(), 0);
        let config =
            || serve::server_config(data, AuditOptions::default(), IdentitySource::default());
        let server = ApiServer::open(config()).await.unwrap();
        server.vault("passwords").create("alice", &"planted").await.unwrap();
        server.shutdown().await;
        drop(server);
        let before = done(&["show"], data).await.unwrap();
        assert!(before.contains("passphrase: no\n") && !before.contains("SECRET"), "{before}");
        std::fs::write(data.join("store.redb.format-1"), "").unwrap();
        let said = done(&["rotate"], data).await.unwrap();
        assert!(said.contains("store.redb.format-1: delete it"), "{said}");
        let after = done(&["show"], data).await.unwrap();
        assert_eq!(recipient(&said), recipient(&after));
        assert_ne!(recipient(&before), recipient(&after));
        assert!(!after.contains("former"), "{after}");
        let server = ApiServer::open(config()).await.unwrap();
        let found = server.vault("passwords").get::<String>("alice").unwrap().unwrap();
        assert_eq!(found.value, "planted");
        let held = DirectoryLock::take(data).unwrap();
        let error = done(&["rotate"], data).await.unwrap_err();
        assert!(matches!(error, IdentityCommandError::Stopped(StoppedError::InUse(_))), "{error}");
        drop((held, server));
        let log = std::fs::read_dir(data.join("audit")).unwrap();
        let log: String =
            log.filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok()).collect();
        let of_rotation: Vec<&str> =
            log.lines().filter(|line| line.contains("/admin/identity/rotate")).collect();
        let id = |line: &str| line.split(r#""auditID":""#).nth(1).unwrap()[..36].to_owned();
        let [begun, ended] = of_rotation[..] else { panic!("{log}") };
        assert!(begun.contains(r#""stage":"ResponseStarted""#), "{begun}");
        assert!(ended.contains(r#""stage":"ResponseComplete""#), "{ended}");
        assert_eq!(id(begun), id(ended));
    }
}
