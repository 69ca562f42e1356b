//! Fetch: a repository's credentials, its newest commit, and what is read of it.

use std::path::{Path, PathBuf};

use hades_api::{ConfigRepository, ConfigRepositorySpec, SYSTEM_NAMESPACE, reason};
use hades_source::git::{
    Changes, Commit, FetchError, Follow, ReadOptions, RemoteOptions, Repository, host_of,
};
use hades_source::manifest::{ManifestSet, ReadError};
use kube::ResourceExt;

use super::memory::Credential;
use super::record::Problem;
use crate::driver::ReconcileError;
use crate::git_account::{self, Refusal, token_user_at};
use crate::git_credentials::{self, GitAccess};
use crate::{Context, error_chain};

/// A repository that can be fetched and read. Nothing of it is held in memory.
#[derive(Clone)]
pub(super) struct Source {
    repository: Repository,
    options: ReadOptions,
}

/// What a repository's credentials come from.
pub(super) fn credentials_of(repository: &ConfigRepository) -> Vec<Credential> {
    let spec = &repository.spec;
    let namespace = repository.namespace().unwrap_or_default();
    let secret = spec
        .secret_ref
        .iter()
        .map(|secret| Credential::Secret(namespace.clone(), secret.name.clone()));
    let account = spec.account.iter().cloned().map(Credential::Account);
    secret.chain(account).collect()
}

/// The host that is asked; that of files is Hades's own machine.
pub(super) fn host(spec: &ConfigRepositorySpec) -> String {
    host_of(&spec.url).unwrap_or_default()
}

/// Folder that a repository is copied into; its UID keeps namesakes apart.
pub(super) fn cache_dir(context: &Context, uid: &str) -> PathBuf {
    context.cache_dir.join(uid)
}

/// Reads the credentials that the spec names. `also` gets what they come from besides,
/// which is the Secret of an account.
pub(super) async fn access(
    context: &Context,
    repository: &ConfigRepository,
    also: &mut Vec<Credential>,
) -> Result<Result<GitAccess, Problem>, ReconcileError> {
    let spec = &repository.spec;
    let namespace = repository.namespace().unwrap_or_default();
    let access = match (&spec.secret_ref, &spec.account) {
        (Some(secret), _) => {
            let user = token_user_at(&spec.url);
            git_credentials::read(context, &namespace, &secret.name, user).await?
        }
        (None, Some(account)) => {
            let found =
                git_account::credentials_for(context, account, &namespace, &spec.url).await?;
            found.map(|(account, access)| {
                let secret = account.secret_ref.name;
                also.push(Credential::Secret(SYSTEM_NAMESPACE.to_owned(), secret));
                access
            })
        }
        (None, None) => Ok(GitAccess::default()),
    };
    Ok(access.map_err(|Refusal { reason, message }| Problem::new(reason, message)))
}

impl Source {
    /// Accesses nothing yet.
    pub(super) fn open(
        dir: &Path,
        spec: &ConfigRepositorySpec,
        access: GitAccess,
    ) -> Result<Self, Problem> {
        let path = spec.path.as_deref().unwrap_or(".");
        let mut options = RemoteOptions::new(spec.url.as_str(), "");
        options.follow = follow(spec);
        options.submodules = spec.submodules.unwrap_or(false).then(|| path.to_owned());
        let GitAccess { credentials, extra_ca, scope, kinds: _ } = access;
        options.credentials = credentials;
        options.scope = scope;
        options.extra_ca = extra_ca;
        let repository = Repository::open(dir, options).map_err(|error| refusal(&error))?;
        let mut options = ReadOptions::new(path);
        options.include.clone_from(&spec.include);
        options.ignore.clone_from(&spec.ignore);
        Ok(Self { repository, options })
    }

    /// Fetches the commit that is followed.
    pub(super) async fn fetch(
        &self,
        known: Option<String>,
    ) -> Result<Result<Commit, Problem>, ReconcileError> {
        let repository = self.repository.clone();
        blocking(move || repository.fetch(known.as_deref()).map_err(|error| refusal(&error))).await
    }

    /// Reads all manifests of a commit.
    pub(super) async fn read(
        &self,
        commit: &str,
    ) -> Result<Result<ManifestSet, Problem>, ReconcileError> {
        let (source, commit) = (self.clone(), commit.to_owned());
        blocking(move || {
            source.repository.read(&commit, &source.options).map_err(|error| unreadable(&error))
        })
        .await
    }

    /// Reads the manifests that differ between two commits. None if all must be read.
    pub(super) async fn read_changes(
        &self,
        from: &str,
        to: &str,
    ) -> Result<Result<Option<Changes>, Problem>, ReconcileError> {
        let (source, from, to) = (self.clone(), from.to_owned(), to.to_owned());
        blocking(move || {
            source
                .repository
                .read_changes(&from, &to, &source.options)
                .map_err(|error| unreadable(&error))
        })
        .await
    }
}

fn follow(spec: &ConfigRepositorySpec) -> Follow {
    match (&spec.tag, &spec.commit, spec.followed_branch()) {
        (Some(tag), ..) => Follow::Tag(tag.clone()),
        (None, Some(commit), _) => Follow::Commit(commit.clone()),
        (None, None, branch) => Follow::Branch(branch.unwrap_or_default().to_owned()),
    }
}

fn refusal(error: &FetchError) -> Problem {
    let reason = match error.reason() {
        "AuthenticationRequired" => reason::AUTHENTICATION_FAILED,
        "HostKeyMismatch" => reason::HOST_KEY_MISMATCH,
        "BranchNotFound" | "TagNotFound" | "CommitNotFound" => reason::REVISION_NOT_FOUND,
        _ => reason::FETCH_FAILED,
    };
    Problem::new(reason, error_chain(error))
}

fn unreadable(error: &ReadError) -> Problem {
    Problem::new(reason::INVALID_MANIFESTS, error_chain(error))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ReconcileError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ReconcileError::Internal(format!("the fetch was cut off: {error}")))
}
