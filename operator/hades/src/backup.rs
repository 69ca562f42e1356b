//! `hades backup` and `hades restore`: backups as files of whoever runs the command.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use hades_apiserver::audit::{AuditEvent, AuditOptions};
use hades_apiserver::bootstrap::{self, BootstrapError, DirectoryError, DirectoryLock};
use hades_apiserver::{ApiServer, maintenance};
use hades_backup::{
    BackupError, IdentityError, Manifest, Recipient, RecipientError, RestoreError, Surroundings,
    Written,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::admin_client::{AdminClient, AdminClientError};
use crate::admin_socket::{self, PREFIX, Refusal};
use crate::backup_flags::{
    BackupCommand, BackupFlags, KeygenFlags, RestoreFlags, ShowFlags, ShowFormat,
};
use crate::backups::{Backups, PROGRAM};
use crate::instance::{self, InstanceError};
use crate::{backup_flags, backups};

/// Stands for the standard input or output.
const STANDARD: &str = "-";

/// What the names of files begin with that aren't whole.
const PARTIAL: &str = ".hades-backup-";

/// Why a command about backups ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupCommandError {
    #[error(transparent)]
    Recipients(#[from] RecipientError),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Server(#[from] AdminClientError),
    #[error("the server broke off, and what it sent is no backup")]
    BrokenOff(#[source] reqwest::Error),
    #[error("{} is there already; name another file", .0.display())]
    Exists(PathBuf),
    #[error("{} can't be written", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error("{} holds no store; name the data directory of the server with --data-dir", .0.display())]
    NoStore(PathBuf),
    #[error(transparent)]
    InUse(#[from] BootstrapError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("{} can't be read", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("{} can't be used as a backup", path.display())]
    Show { path: PathBuf, source: RestoreError },
    #[error("nothing was restored")]
    Restore(#[source] RestoreError),
    #[error("the manifest can't be shown")]
    Manifest(#[from] serde_json::Error),
    #[error("the result could not be printed")]
    Print(#[from] io::Error),
}

/// What the server is asked for.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Order {
    /// Public keys; where there are none, those of the server.
    #[serde(default)]
    recipients: Vec<String>,
}

/// The routes of the admin socket.
pub(crate) fn router(backups: Backups, server: ApiServer) -> Router {
    let path = format!("{PREFIX}/backup");
    Router::new().route(&path, post(send)).with_state((backups, server))
}

async fn send(
    State((backups, server)): State<(Backups, ApiServer)>,
    Json(order): Json<Order>,
) -> Result<Response, Refusal> {
    let bad = |error: &dyn std::error::Error| Refusal::new(StatusCode::BAD_REQUEST, error);
    let named: Result<Vec<Recipient>, _> = order.recipients.iter().map(|key| key.parse()).collect();
    let named = named.map_err(|error: RecipientError| bad(&error))?;
    let recipients = backups.recipients(named).map_err(|error| bad(&error))?;
    let event = AuditEvent::new("backup", "/admin/backup").by(&admin_socket::identity());
    let ended = move |sha256: Option<&str>| server.audit().record(backups::audited(event, sha256));
    let stream = backups.stream(recipients, ended).await;
    let stream = stream.map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, &error))?;
    let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
    Ok((kind, Body::from_stream(stream)).into_response())
}

/// Runs `hades backup` and prints its result.
pub(crate) async fn run(
    flags: &BackupFlags,
    out: &mut impl Write,
) -> Result<(), BackupCommandError> {
    match (&flags.command, &flags.file) {
        (Some(BackupCommand::Show(flags)), _) => show(flags, out),
        (Some(BackupCommand::Keygen(flags)), _) => keygen(flags, out),
        (None, Some(file)) => make(flags, file, out).await,
        // The flags don't let this happen.
        (None, None) => Ok(()),
    }
}

async fn make(
    flags: &BackupFlags,
    file: &Path,
    out: &mut impl Write,
) -> Result<(), BackupCommandError> {
    let mut recipients = backup_flags::recipients(&flags.recipient)?;
    if let Some(file) = &flags.recipients_file {
        recipients.extend(hades_backup::read_recipients(file)?);
    }
    if file == Path::new(STANDARD) {
        let to = Path::new("the standard output");
        let written = fill(flags, recipients, to, &mut io::stdout()).await?;
        // The backup has the standard output.
        eprintln!("{}", summary("the backup", &written));
        return Ok(());
    }
    let written = write_new(flags, recipients, file).await?;
    writeln!(out, "{}", summary(&file.display().to_string(), &written))?;
    let file = file.display();
    writeln!(out, "The private key opens it: hades backup show {file} --identity-file KEY")?;
    Ok(())
}

fn summary(what: &str, written: &Written) -> String {
    format!("{what}: {} bytes, SHA-256 {}", written.size, written.sha256)
}

/// Writes a file that gets its name when it is whole and on the disk.
async fn write_new(
    flags: &BackupFlags,
    recipients: Vec<Recipient>,
    path: &Path,
) -> Result<Written, BackupCommandError> {
    if path.exists() {
        return Err(BackupCommandError::Exists(path.to_owned()));
    }
    let failed = |source| BackupCommandError::Write { path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    // Of its own name: somebody else may be writing a backup of the same name.
    let mut file = tempfile::Builder::new().prefix(PARTIAL).tempfile_in(folder).map_err(failed)?;
    let written = fill(flags, recipients, path, &mut file).await?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist_noclobber(path).map_err(|refused| match refused.error.kind() {
        io::ErrorKind::AlreadyExists => BackupCommandError::Exists(path.to_owned()),
        _ => failed(refused.error),
    })?;
    // Has its name on the disk, too.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(written)
}

/// Has the server write the backup, or does it where no server runs. `path` is what
/// errors call the file.
async fn fill(
    flags: &BackupFlags,
    recipients: Vec<Recipient>,
    path: &Path,
    file: &mut impl Write,
) -> Result<Written, BackupCommandError> {
    let filled = match AdminClient::connect(&flags.data_dir).await? {
        Some(server) => receive(&server, &recipients, file).await,
        None => copy(flags, &recipients, file),
    };
    filled.map_err(|error| match error {
        BackupCommandError::Backup(BackupError::Write(source)) => {
            BackupCommandError::Write { path: path.to_owned(), source }
        }
        other => other,
    })
}

async fn receive(
    server: &AdminClient,
    recipients: &[Recipient],
    file: &mut impl Write,
) -> Result<Written, BackupCommandError> {
    let order = Order { recipients: recipients.iter().map(ToString::to_string).collect() };
    let request = server.post(&format!("{PREFIX}/backup"));
    let body = serde_json::to_vec(&order)?;
    let request = request.header(header::CONTENT_TYPE, "application/json").body(body);
    let mut answer = server.ask(request).await?;
    let (mut hash, mut size) = (Sha256::new(), 0);
    while let Some(chunk) = answer.chunk().await.map_err(BackupCommandError::BrokenOff)? {
        file.write_all(&chunk).map_err(BackupError::Write)?;
        hash.update(&chunk);
        size += chunk.len() as u64;
    }
    file.flush().map_err(BackupError::Write)?;
    let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Written { size, sha256 })
}

/// Copies a directory that no server has, and keeps servers out meanwhile.
fn copy(
    flags: &BackupFlags,
    recipients: &[Recipient],
    mut file: &mut impl Write,
) -> Result<Written, BackupCommandError> {
    let BackupFlags { data_dir, audit_dir, .. } = flags;
    bootstrap::check_directory(data_dir)?;
    if !data_dir.join("store.redb").exists() {
        return Err(BackupCommandError::NoStore(data_dir.to_owned()));
    }
    let _lock = DirectoryLock::take(data_dir)?;
    let audit = AuditOptions { directory: audit_dir.clone(), ..AuditOptions::default() };
    let surroundings = Surroundings {
        data_dir: data_dir.clone(),
        audit_dir: audit.folder(data_dir),
        program: PROGRAM.to_owned(),
        time: Timestamp::now(),
    };
    let gathered =
        hades_backup::gather(&surroundings, |path| maintenance::copy_closed(data_dir, path))?;
    Ok(gathered.write(recipients, &mut file)?)
}

fn show(flags: &ShowFlags, out: &mut impl Write) -> Result<(), BackupCommandError> {
    let key = hades_backup::read_identities(&flags.identity_file)?;
    let manifest = hades_backup::inspect(open(&flags.file)?, &key)
        .map_err(|source| BackupCommandError::Show { path: flags.file.clone(), source })?;
    match flags.output {
        Some(ShowFormat::Json) => writeln!(out, "{}", serde_json::to_string_pretty(&manifest)?)?,
        None => describe(&manifest, out)?,
    }
    Ok(())
}

fn describe(manifest: &Manifest, out: &mut impl Write) -> io::Result<()> {
    let Manifest {
        format,
        program,
        installation,
        time,
        store_format,
        store_version,
        recipients,
        files,
    } = manifest;
    writeln!(out, "Installation  {installation}")?;
    writeln!(out, "Made          {time:.0} by {program}")?;
    writeln!(out, "Format        {format}; store format {store_format}")?;
    writeln!(out, "Store         resourceVersion {store_version}")?;
    for recipient in recipients {
        writeln!(out, "Opens with    the private key of {recipient}")?;
    }
    if !manifest.holds_identity() {
        writeln!(out, "Secrets       take your copy of the identity, which isn't in the backup:")?;
        writeln!(out, "              hades restore --store-identity-file FILE")?;
    }
    writeln!(out)?;
    writeln!(out, "{:<36} {:>14}", "FILE", "BYTES")?;
    for file in files {
        writeln!(out, "{:<36} {:>14}", file.name, file.size)?;
    }
    writeln!(out)?;
    writeln!(out, "{} bytes in {} files. It is whole.", manifest.size(), files.len())
}

fn open(path: &Path) -> Result<Box<dyn Read>, BackupCommandError> {
    if path == Path::new(STANDARD) {
        return Ok(Box::new(io::stdin()));
    }
    let file = File::open(path);
    let file = file.map_err(|source| BackupCommandError::Open { path: path.to_owned(), source })?;
    Ok(Box::new(file))
}

fn keygen(flags: &KeygenFlags, out: &mut impl Write) -> Result<(), BackupCommandError> {
    let recipient = hades_backup::generate_key(&flags.file, Timestamp::now())?;
    writeln!(out, "{recipient}")?;
    eprintln!("The private key is in {}. Keep it where the server is not.", flags.file.display());
    Ok(())
}

/// Runs `hades restore` and prints its result.
pub(crate) fn restore(
    flags: &RestoreFlags,
    out: &mut impl Write,
) -> Result<(), BackupCommandError> {
    let RestoreFlags { file, data_dir, identity_file, .. } = flags;
    let key = hades_backup::read_identities(identity_file)?;
    let suspend = |partial: &Path| {
        instance::suspend(partial).map_err(|error: InstanceError| {
            io::Error::other(hades_controllers::error_chain(&error))
        })
    };
    let identity = flags.store_identity();
    let manifest = hades_backup::restore(open(file)?, &key, data_dir, &identity, suspend)
        .map_err(BackupCommandError::Restore)?;
    let (data, Manifest { installation, time, .. }) = (data_dir.display(), &manifest);
    writeln!(out, "Installation {installation}, as of {time:.0}, is in {data}.")?;
    writeln!(
        out,
        "A server starts on it suspended: it shows what there is and changes nothing. If"
    )?;
    writeln!(out, "the original will never run again:")?;
    writeln!(out, "  hades store adopt --data-dir {data}")?;
    // The owner of a file that was made right now is who runs this.
    if std::fs::metadata(data_dir).is_ok_and(|metadata| metadata.uid() == 0) {
        writeln!(out, "The files belong to root. If the server runs as another user:")?;
        writeln!(out, "  chown -R hades:hades {data}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::DirBuilderExt;
    use std::sync::Arc;

    use bytes::Bytes;
    use futures::StreamExt;
    use hades_accounts::Accounts;
    use hades_apiserver::ServerConfig;
    use secrecy::SecretString;
    use tempfile::TempDir;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::admin_socket::AdminSocket;

    struct Bed {
        dir: TempDir,
        server: ApiServer,
        key: PathBuf,
        public: Recipient,
    }

    impl Bed {
        async fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let data = dir.path().join("data");
            bootstrap::prepare(&data, &[], "https://127.0.0.1:7443").unwrap();
            let config = ServerConfig::new(&data, hades_api::schema::crds());
            let server = ApiServer::open(config).await.unwrap();
            let key = dir.path().join("key.txt");
            let public = hades_backup::generate_key(&key, Timestamp::now()).unwrap();
            Self { dir, server, key, public }
        }

        fn data(&self) -> PathBuf {
            self.dir.path().join("data")
        }

        fn flags(&self, file: &Path) -> BackupFlags {
            BackupFlags {
                command: None,
                file: Some(file.to_owned()),
                recipient: vec![SecretString::from(self.public.to_string())],
                recipients_file: None,
                data_dir: self.data(),
                audit_dir: None,
            }
        }

        /// Serves those routes until the guard is dropped.
        fn serve(&self, routes: Router) -> tokio_util::sync::DropGuard {
            let socket = AdminSocket::open(&self.data()).unwrap();
            let shutdown = CancellationToken::new();
            tokio::spawn(socket.serve(routes, shutdown.clone()));
            shutdown.drop_guard()
        }

        fn routes(&self, recipients: Vec<Recipient>) -> Router {
            let (data, audit) = (self.data(), self.data().join("audit"));
            router(Backups::new(self.server.clone(), data, audit, recipients), self.server.clone())
        }

        fn shown(&self, file: &Path) -> Result<String, BackupCommandError> {
            let (file, identity_file) = (file.to_owned(), self.key.clone());
            let mut out = Vec::new();
            show(&ShowFlags { file, identity_file, output: None }, &mut out)?;
            Ok(String::from_utf8(out).unwrap())
        }
    }

    #[tokio::test]
    async fn a_server_that_runs_is_asked_and_one_that_is_stopped_is_read() {
        let bed = Bed::new().await;
        let file = bed.dir.path().join("x.age");
        let error = run(&bed.flags(&file), &mut Vec::new()).await.unwrap_err();
        assert!(matches!(error, BackupCommandError::Backup(_)), "no socket: {error}");
        assert!(!file.exists());
        let guard = bed.serve(bed.routes(Vec::new()));
        let mut nobody = bed.flags(&file);
        nobody.recipient.clear();
        let error = run(&nobody, &mut Vec::new()).await.unwrap_err().to_string();
        assert!(error.contains("--recipient age1"), "{error}");
        let mut out = Vec::new();
        run(&bed.flags(&file), &mut out).await.unwrap();
        let length = std::fs::metadata(&file).unwrap().len();
        let said = String::from_utf8(out).unwrap();
        assert!(said.contains(&format!("x.age: {length} bytes, SHA-256 ")), "{said}");
        assert!(bed.shown(&file).unwrap().contains("It is whole."));
        let error = run(&bed.flags(&file), &mut Vec::new()).await.unwrap_err();
        assert!(matches!(error, BackupCommandError::Exists(_)), "{error}");
        drop(guard);
        bed.server.shutdown().await;
        let (_, sha256) = said.lines().next().unwrap().split_once("SHA-256 ").unwrap();
        let log = std::fs::read_dir(bed.data().join("audit")).unwrap();
        let log: String =
            log.filter_map(|file| std::fs::read_to_string(file.unwrap().path()).ok()).collect();
        assert!(log.contains(sha256), "{sha256}: {log}");
        let stopped = bed.dir.path().join("y.age");
        run(&bed.flags(&stopped), &mut Vec::new()).await.unwrap();
        assert!(bed.shown(&stopped).unwrap().contains("audit/head"));
        let held = DirectoryLock::take(&bed.data()).unwrap();
        let third = bed.dir.path().join("z.age");
        let error = run(&bed.flags(&third), &mut Vec::new()).await.unwrap_err();
        assert!(matches!(error, BackupCommandError::InUse(_)), "{error}");
        drop(held);
        // Another directory stays as it is.
        let data_dir = bed.dir.path().join("other");
        std::fs::DirBuilder::new().mode(0o700).create(&data_dir).unwrap();
        let flags = BackupFlags { data_dir: data_dir.clone(), ..bed.flags(&third) };
        let error = run(&flags, &mut Vec::new()).await.unwrap_err();
        assert!(matches!(error, BackupCommandError::NoStore(_)), "{error}");
        assert_eq!(std::fs::read_dir(&data_dir).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn what_breaks_off_leaves_no_file() {
        let bed = Bed::new().await;
        let half = || async {
            let parts = [Ok(Bytes::from_static(b"half")), Err(io::Error::other("the disk failed"))];
            Body::from_stream(futures::stream::iter(parts))
        };
        let _guard = bed.serve(Router::new().route("/admin/backup", post(half)));
        let file = bed.dir.path().join("x.age");
        let error = run(&bed.flags(&file), &mut Vec::new()).await.unwrap_err();
        assert!(error.to_string().contains("broke off"), "{error}");
        let names = std::fs::read_dir(bed.dir.path()).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "data and key: {names:?}");
    }

    #[tokio::test]
    async fn two_that_write_one_file_are_not_in_each_other_s_way() {
        let bed = Bed::new().await;
        // Each has half of it until all have.
        let both = Arc::new(tokio::sync::Barrier::new(2));
        let slow = move || async move {
            let rest = futures::stream::once(async move {
                both.wait().await;
                Ok::<_, io::Error>(Bytes::from_static(b"whole"))
            });
            let half = futures::stream::iter([Ok(Bytes::from_static(b"half and "))]);
            Body::from_stream(half.chain(rest))
        };
        let _guard = bed.serve(Router::new().route("/admin/backup", post(slow)));
        let file = bed.dir.path().join("x.age");
        let flags = bed.flags(&file);
        let (mut one, mut other) = (Vec::new(), Vec::new());
        let (one, other) = tokio::join!(run(&flags, &mut one), run(&flags, &mut other));
        let (made, refused) = if one.is_ok() { (one, other) } else { (other, one) };
        made.unwrap();
        assert!(matches!(refused, Err(BackupCommandError::Exists(_))), "{refused:?}");
        assert_eq!(std::fs::read(&file).unwrap(), b"half and whole");
        let mode = std::fs::metadata(&file).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600, "{mode:o}");
        let names = std::fs::read_dir(bed.dir.path()).unwrap();
        assert_eq!(names.count(), 3, "data, key and backup");
    }

    #[tokio::test]
    async fn a_full_disk_is_told_with_the_file() {
        let bed = Bed::new().await;
        let path = Path::new("/mnt/x.age");
        let (flags, to) = (bed.flags(path), vec![bed.public.clone()]);
        let mut full = File::options().write(true).open("/dev/full").unwrap();
        let told = |error: BackupCommandError| {
            let words = hades_controllers::error_chain(&error);
            let told = words.starts_with("/mnt/x.age can't be written: ");
            assert!(told && words.contains("No space left"), "{words}");
        };
        let guard = bed.serve(bed.routes(Vec::new()));
        told(fill(&flags, to.clone(), path, &mut full).await.unwrap_err());
        drop(guard);
        bed.server.shutdown().await;
        told(fill(&flags, to, path, &mut full).await.unwrap_err());
    }

    #[tokio::test]
    async fn what_was_restored_starts_suspended() {
        let bed = Bed::new().await;
        let _guard = bed.serve(bed.routes(vec![bed.public.clone()]));
        let file = bed.dir.path().join("x.age");
        // The server knows for whom.
        let flags = BackupFlags { recipient: Vec::new(), ..bed.flags(&file) };
        run(&flags, &mut Vec::new()).await.unwrap();
        let data_dir = bed.dir.path().join("restored");
        let identity_file = bed.key.clone();
        let flags = RestoreFlags {
            file,
            data_dir: data_dir.clone(),
            identity_file,
            store_identity_file: None,
            store_identity_passphrase_file: None,
        };
        let mut out = Vec::new();
        restore(&flags, &mut out).unwrap();
        let said = String::from_utf8(out).unwrap();
        assert!(said.contains("hades store adopt --data-dir"), "{said}");
        bootstrap::check_directory(&data_dir).unwrap();
        assert!(instance::is_copy(&data_dir).unwrap());
        let error = restore(&flags, &mut Vec::new()).unwrap_err();
        assert!(hades_controllers::error_chain(&error).contains("isn't empty"), "{error}");
    }

    /// Whoever adds a file to data directories decides here whether it is in backups.
    #[tokio::test]
    async fn each_file_of_a_data_directory_is_in_backups_or_left_out() {
        let bed = Bed::new().await;
        let settings = hades_accounts::Settings::new(bed.data());
        let _accounts = Accounts::open(&bed.server, settings).await.unwrap();
        instance::adopt(&bed.data()).unwrap();
        let _guard = bed.serve(Router::new());
        for entry in std::fs::read_dir(bed.data()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let decided = hades_backup::is_kept(&name) != hades_backup::is_left_out(&name);
            assert!(decided, "{name}: name it in operator/backup/src/gather.rs");
        }
    }
}
