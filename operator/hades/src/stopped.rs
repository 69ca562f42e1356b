//! The data directory of a server that is stopped, opened for a while as that would.

use std::path::{Path, PathBuf};

use hades_apiserver::audit::AuditOptions;
use hades_apiserver::bootstrap::{self, BootstrapError, DirectoryError, DirectoryLock};
use hades_apiserver::{ApiServer, IdentitySource, OpenError};

use crate::serve;

/// Why a data directory wasn't opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoppedError {
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error("{} holds no store; name the data directory of the server with --data-dir", .0.display())]
    NoStore(PathBuf),
    #[error(transparent)]
    InUse(#[from] BootstrapError),
    #[error("cannot open the store in {}", path.display())]
    Open { path: PathBuf, source: OpenError },
}

/// A server that nobody is served by. No other one starts as long as this lives.
pub(crate) struct Stopped {
    pub(crate) server: ApiServer,
    _lock: DirectoryLock,
}

impl Stopped {
    /// Opens a directory that has a store.
    pub(crate) async fn open(
        data_dir: &Path,
        audit_dir: Option<PathBuf>,
        identity: IdentitySource,
    ) -> Result<Self, StoppedError> {
        bootstrap::check_directory(data_dir)?;
        if !data_dir.join("store.redb").exists() {
            return Err(StoppedError::NoStore(data_dir.to_owned()));
        }
        let lock = DirectoryLock::take(data_dir)?;
        let config = serve::server_config(data_dir, append_only(audit_dir), identity);
        let server = ApiServer::open(config)
            .await
            .map_err(|source| StoppedError::Open { path: data_dir.to_owned(), source })?;
        Ok(Self { server, _lock: lock })
    }
}

/// Removes nothing: how much is kept is said by flags of the server, which commands
/// don't know.
fn append_only(directory: Option<PathBuf>) -> AuditOptions {
    // A thousand years: more days than a date can be put back by are none.
    AuditOptions { directory, max_size: u64::MAX, max_age_days: 365_000 }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use hades_apiserver::ServerConfig;
    use hades_apiserver::audit::AuditEvent;

    use super::*;

    #[tokio::test]
    async fn records_that_a_server_was_told_to_keep_are_kept() {
        let mode = std::fs::Permissions::from_mode(0o700);
        let directory = tempfile::Builder::new().permissions(mode).tempdir().unwrap();
        let data = directory.path();
        let config = ServerConfig::new(data, hades_api::schema::crds());
        let server = ApiServer::open(config).await.unwrap();
        server.audit().record(AuditEvent::new("first", ""));
        server.shutdown().await;
        drop(server);
        // As if all of it were of then.
        let audit = data.join("audit");
        let logs = || -> Vec<PathBuf> {
            let entries = std::fs::read_dir(&audit).unwrap().map(|entry| entry.unwrap().path());
            entries.filter(|path| path.extension().is_some_and(|end| end == "log")).collect()
        };
        let old = audit.join("audit-20190101-1.log");
        assert_eq!(logs().len(), 1);
        std::fs::rename(&logs()[0], &old).unwrap();
        let stopped = Stopped::open(data, None, IdentitySource::default()).await.unwrap();
        stopped.server.audit().record(AuditEvent::new("second", ""));
        stopped.server.shutdown().await;
        assert_eq!(logs().len(), 2, "a new one was begun, which is when others are removed");
        assert!(old.exists());
    }
}
