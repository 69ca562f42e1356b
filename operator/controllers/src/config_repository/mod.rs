//! ConfigRepository: fetch → read → check → apply → prune.
//!
//! ```text
//!   memory ── how much of a commit is to be looked at? ──┐
//!                                                        ▼
//!   gate ─▶ fetch (commit) ─▶ commit: all files, or those that changed
//!                               └─▶ check (dry run) ─▶ apply ─▶ inventory (prune)
//! ```
//!
//! A commit is applied whole or not at all: everything that is to be written is
//! read, parsed and tried without effect before the first object is.

mod account;
mod apply;
mod check;
mod commit;
mod fetch;
mod gate;
mod inventory;
mod keys;
mod kinds;
mod memory;
mod overrides;
mod record;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, future, stream};
use hades_api::{
    ConfigRepository, ConfigRepositoryStatus, GitAccount, InventoryEntry, SYSTEM_NAMESPACE,
    annotation, reason,
};
use hades_source::git::Commit;
use hades_source::manifest::Document;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{PartialObjectMeta, Patch, PatchParams};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;

use crate::driver::{Meta, Progress, ReconcileError, Reconciler};
use crate::redaction::{redact, used};
use crate::{Context, status};

use account::Account;
use fetch::Source;
use gate::Gate;
use kinds::{Kind, Kinds};
use memory::{Credential, Memory};
use record::Problem;

/// How soon to ask again for what others take up.
const BUSY_POLL: Duration = Duration::from_millis(500);

/// What a pass came to, and how long until the next override ends.
type Outcome = (Progress, Option<Duration>);

/// Works on ConfigRepositories.
#[derive(Default)]
pub(crate) struct ConfigRepositories {
    memory: Arc<Memory>,
    gate: Gate,
    kinds: Kinds,
}

#[async_trait]
impl Reconciler for ConfigRepositories {
    type Kind = ConfigRepository;

    fn api(client: &Client, namespace: Option<&str>) -> Api<ConfigRepository> {
        match namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        }
    }

    fn wakes(
        &self,
        context: &Arc<Context>,
        _store: Store<Meta<ConfigRepository>>,
    ) -> BoxStream<'static, ObjectRef<Meta<ConfigRepository>>> {
        let hooks = context.hooks.wakes.stream();
        stream::select(credential_changes(&context.client, self.memory.clone()), hooks).boxed()
    }

    async fn reconcile(
        &self,
        context: &Arc<Context>,
        repository: ConfigRepository,
    ) -> Result<Progress, ReconcileError> {
        let (namespace, name) = (repository.namespace().unwrap_or_default(), repository.name_any());
        if repository.meta().deletion_timestamp.is_some() {
            context.hooks.table.forget(&namespace, &name);
            account::release(context, &repository).await?;
            return Ok(Progress::Gone);
        }
        context.hooks.table.learn(&repository);
        let interval = repository.spec.interval.get();
        let pushed = context.hooks.wakes.take(&namespace, &name);
        let asked = pushed || overrides::any_ended(&repository, context.now());
        if let Some(rest) = self.too_early(&repository, interval).filter(|_| !asked) {
            return self.between_fetches(context, &repository, rest).await;
        }
        let outcome = self.sync(context, &repository).await;
        if pushed && !matches!(outcome, Ok((Progress::Settled, _))) {
            context.hooks.wakes.keep(&namespace, &name);
        }
        let (progress, override_ends) = outcome?;
        Ok(match progress {
            Progress::Settled => {
                let next = self.note_fetch(&repository);
                let uid = repository.uid().unwrap_or_default();
                // Not sooner: the pass that makes the key is no reason for another one.
                self.memory.comes_from(&uid, keys::own(&repository));
                let prune = self.memory.prune_pause(&uid, interval);
                soonest(next, [override_ends, prune])
            }
            other => other,
        })
    }

    async fn forget(&self, context: &Arc<Context>, namespace: Option<&str>, name: &str) {
        context.hooks.table.forget(namespace.unwrap_or_default(), name);
        for uid in self.memory.forget(namespace.unwrap_or_default(), name) {
            let dir = fetch::cache_dir(context, &uid);
            // What can't be deleted now is only disk space.
            if let Err(error) = tokio::fs::remove_dir_all(&dir).await
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(dir = %dir.display(), %error, "can't delete a repository's copy");
            }
        }
    }
}

/// Repositories whose Secret or GitAccount was made, changed or deleted.
fn credential_changes(
    client: &Client,
    memory: Arc<Memory>,
) -> BoxStream<'static, ObjectRef<Meta<ConfigRepository>>> {
    let secrets: Api<PartialObjectMeta<Secret>> = Api::all(client.clone());
    let secrets = watcher(secrets, watcher::Config::default())
        .default_backoff()
        .touched_objects()
        .filter_map(|secret| future::ready(secret.ok()))
        .map(|secret| {
            Credential::Secret(secret.namespace().unwrap_or_default(), secret.name_any())
        });
    let accounts: Api<PartialObjectMeta<GitAccount>> = Api::all(client.clone());
    let accounts = watcher(accounts, watcher::Config::default())
        .default_backoff()
        .touched_objects()
        .filter_map(|account| future::ready(account.ok()))
        .map(|account| Credential::Account(account.name_any()));
    stream::select(secrets, accounts)
        .map(move |credential| stream::iter(memory.wake_users(&credential)))
        .flatten()
        .map(|(namespace, name)| ObjectRef::new(&name).within(&namespace))
        .boxed()
}

impl ConfigRepositories {
    /// Time that is left of the interval, unless something asks for a sync now.
    fn too_early(&self, repository: &ConfigRepository, interval: Duration) -> Option<Duration> {
        let uid = repository.uid().unwrap_or_default();
        self.memory.rest(&uid, &request(repository), interval)
    }

    /// Notes that a sync came to its end; returns the time until the next one.
    fn note_fetch(&self, repository: &ConfigRepository) -> Duration {
        let interval = repository.spec.interval.get();
        self.memory.looked(&repository.uid().unwrap_or_default(), interval)
    }

    /// The work of a pass that fetches nothing: it looks whether what is pruned has gone.
    async fn between_fetches(
        &self,
        context: &Context,
        repository: &ConfigRepository,
        rest: Duration,
    ) -> Result<Progress, ReconcileError> {
        let mut draft = Draft::new(context, repository);
        if let Some(leaving) = self.memory.leaving(&draft.uid) {
            // What can't be deleted for want of a right, the next fetch tells.
            let pruned = self.prune(&mut draft, &leaving).await?;
            draft.save().await?;
            self.memory.still_leaving(&draft.uid, &pruned.left);
        }
        let override_ends = overrides::next_end(&draft.after.overrides, context.now());
        let prune = self.memory.prune_pause(&draft.uid, repository.spec.interval.get());
        Ok(soonest(rest, [override_ends, prune]))
    }

    async fn sync(
        &self,
        context: &Context,
        repository: &ConfigRepository,
    ) -> Result<Outcome, ReconcileError> {
        let mut draft = Draft::new(context, repository);
        self.memory.begin(
            &draft.uid,
            (&repository.namespace().unwrap_or_default(), &repository.name_any()),
            &request(repository),
            fetch::credentials_of(repository),
        );
        if overrides::any_ended(repository, context.now()) {
            self.memory.look_at_all(&draft.uid);
        }
        if repository.spec.suspend.unwrap_or(false) {
            record::request_handled(&mut draft.after, repository);
            record::suspended(&mut draft.after, repository, context.now());
            draft.save().await?;
            if forbidden(repository).is_none() {
                // People may seal meanwhile. What keeps files from being opened can wait.
                let _ = keys::gather(context, repository, &mut draft.after).await?;
                draft.save().await?;
            }
            return Ok((Progress::Settled, None));
        }
        let step = match self.fetch(&mut draft).await? {
            Fetched::Busy => Step::Busy,
            Fetched::Failed(problem) => Step::Failed(problem),
            Fetched::Commit(source, commit) => {
                draft.after.observed_commit = Some(commit.id.clone());
                draft.after.follows = Some(commit.follows.clone());
                self.sync_as_account(&mut draft, &source, commit).await?
            }
        };
        self.record(draft, step).await
    }

    async fn record(&self, mut draft: Draft<'_>, step: Step) -> Result<Outcome, ReconcileError> {
        let (context, repository) = (draft.context, draft.repository);
        let before = repository.status.clone().unwrap_or_default();
        let now = context.now();
        let mut applied = None;
        let progress = match step {
            Step::Busy => return Ok((Progress::After(BUSY_POLL), None)),
            Step::Unchanged(commit) => {
                record::synced(&mut draft.after, repository, &commit.id, now);
                Progress::Settled
            }
            Step::Synced { commit, leaving, full } => {
                record::synced(&mut draft.after, repository, &commit.id, now);
                record::tell_synced(context, repository, &before, &draft.after, &commit).await;
                record::tell_overrides(context, repository, &before, &draft.after).await;
                applied = Some((commit, leaving, full));
                // What leaves is looked after between the fetches.
                Progress::Settled
            }
            Step::WaitForNamespaces => {
                record::waiting(&mut draft.after, repository, now);
                let interval = repository.spec.interval.get();
                Progress::After(self.memory.namespace_pause(&draft.uid, interval))
            }
            Step::Failed(mut problem) => {
                redact(&context.redactor_for(repository), &mut problem);
                problem.shorten();
                record::failed(&mut draft.after, repository, &problem, now);
                record::tell_failure(context, repository, &before, &problem).await;
                Progress::Settled
            }
        };
        // Told only now: conditions of before must not pass for the answer.
        record::request_handled(&mut draft.after, repository);
        draft.save().await?;
        // Only when the inventory is on record may a later pass build on it.
        if let Some((commit, leaving, full)) = applied {
            self.memory.applied(&draft.uid, &commit.id, &leaving, full);
        }
        Ok((progress, overrides::next_end(&draft.after.overrides, now)))
    }

    async fn fetch(&self, draft: &mut Draft<'_>) -> Result<Fetched, ReconcileError> {
        let (context, repository, uid) = (draft.context, draft.repository, &draft.uid);
        if let Some(problem) = forbidden(repository) {
            return Ok(Fetched::Failed(problem));
        }
        let Some(_leave) = self.gate.fetch(&fetch::host(&repository.spec)) else {
            return Ok(Fetched::Busy);
        };
        let mut also = Vec::new();
        let access = fetch::access(context, repository, &mut also).await?;
        for credential in also {
            self.memory.comes_from(uid, credential);
        }
        let keys = keys::gather(context, repository, &mut draft.after).await?;
        let (access, keys) = match access.and_then(|access| Ok((access, keys?))) {
            Ok(both) => both,
            Err(problem) => return Ok(Fetched::Failed(problem)),
        };
        let credentials = access.credentials.clone();
        let failed = |mut problem| {
            redact(&used::of_git(&credentials), &mut problem);
            Fetched::Failed(problem)
        };
        let dir = fetch::cache_dir(context, uid);
        let source = match Source::open(&dir, &repository.spec, access, keys) {
            Ok(source) => source,
            Err(problem) => return Ok(failed(problem)),
        };
        let known = repository.status.as_ref().and_then(|status| status.synced_commit.clone());
        Ok(match source.fetch(known).await? {
            Ok(commit) => Fetched::Commit(Box::new(source), commit),
            Err(problem) => failed(problem),
        })
    }
}

/// The next pass comes at the earliest of these times.
fn soonest(rest: Duration, others: [Option<Duration>; 2]) -> Progress {
    Progress::After(others.into_iter().flatten().fold(rest, Duration::min))
}

enum Fetched {
    Commit(Box<Source>, Commit),
    Failed(Problem),
    /// Others are being fetched.
    Busy,
}

/// The status of a repository while a pass works on it.
struct Draft<'a> {
    context: &'a Context,
    repository: &'a ConfigRepository,
    uid: String,
    account: Account,
    stored: ConfigRepositoryStatus,
    after: ConfigRepositoryStatus,
}

impl<'a> Draft<'a> {
    fn new(context: &'a Context, repository: &'a ConfigRepository) -> Self {
        let stored = repository.status.clone().unwrap_or_default();
        let uid = repository.uid().unwrap_or_default();
        let account = Account::of(context, repository);
        Self { context, repository, uid, account, after: stored.clone(), stored }
    }

    /// What work on its objects needs.
    fn desk(&'a self, kinds: &'a Kinds) -> Desk<'a> {
        let Self { context, repository, account, .. } = self;
        Desk { context, repository, account, kinds }
    }

    async fn save(&mut self) -> Result<(), ReconcileError> {
        let namespace = self.repository.namespace();
        let api = ConfigRepositories::api(&self.context.client, namespace.as_deref());
        status::write(self.context, &api, self.repository, &self.stored, &self.after).await?;
        self.stored = self.after.clone();
        Ok(())
    }
}

/// What work on the objects of a repository needs.
struct Desk<'a> {
    context: &'a Context,
    repository: &'a ConfigRepository,
    /// As whom all of it is read and written.
    account: &'a Account,
    kinds: &'a Kinds,
}

impl Desk<'_> {
    /// What the server knows of a document's kind.
    async fn kind_of(&self, document: &Document) -> Result<Option<Kind>, ReconcileError> {
        self.kinds.get(&self.context.client, &document.api_version, &document.kind).await
    }
}

enum Step {
    /// Everything is as the last pass left it.
    Unchanged(Commit),
    Synced {
        commit: Commit,
        /// What left and isn't gone yet.
        leaving: Vec<InventoryEntry>,
        /// All of the commit was looked at.
        full: bool,
    },
    WaitForNamespaces,
    /// Too much is under way.
    Busy,
    Failed(Problem),
}

/// A path of the server's own disk is read with the server's own rights, so only
/// those who look after the whole fleet may name one.
fn forbidden(repository: &ConfigRepository) -> Option<Problem> {
    /// What Kubernetes allows for the value of a label.
    const LONGEST_LABEL: usize = 63;
    if check::owner(repository).len() > LONGEST_LABEL {
        let message = format!(
            "metadata.name: the names of namespace and ConfigRepository together have more than {} characters; choose a shorter name",
            LONGEST_LABEL - 1
        );
        return Some(Problem::new(reason::INVALID_SPEC, message));
    }
    let fleet = repository.namespace().as_deref() == Some(SYSTEM_NAMESPACE);
    (!fleet && hades_source::git::is_local_url(&repository.spec.url)).then(|| {
        let message = format!(
            "spec.url: {} is on Hades's own machine; only a ConfigRepository in {SYSTEM_NAMESPACE} may read there",
            repository.spec.url
        );
        Problem::new(reason::OUT_OF_SCOPE, message)
    })
}

/// Has a repository looked at now, as its annotation does: for those who may not edit
/// it. Returns the value that `status.lastHandledReconcileAt` will have once that was
/// seen; none if there is no such repository.
///
/// # Errors
/// When the API server doesn't answer.
pub async fn request_sync(
    context: &Context,
    namespace: &str,
    name: &str,
) -> Result<Option<String>, ReconcileError> {
    let now = context.now().to_string();
    let annotations = json!({annotation::RECONCILE_REQUESTED_AT: now});
    let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
    let api = ConfigRepositories::api(&context.client, Some(namespace));
    match api.patch_metadata(name, &PatchParams::default(), &patch).await {
        Ok(_) => Ok(Some(now)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => {
            Err(ReconcileError::api(format!("ask for a sync of {namespace}/{name}"))(error))
        }
    }
}

/// What a person or a spec asks for: a change of it means to sync now.
fn request(repository: &ConfigRepository) -> String {
    let asked = |key: &str| repository.annotations().get(key).cloned().unwrap_or_default();
    format!(
        "{}\n{}\n{}",
        repository.meta().generation.unwrap_or_default(),
        asked(annotation::RECONCILE_REQUESTED_AT),
        asked(annotation::CONFIRM_PRUNE)
    )
}

fn confirmed(repository: &ConfigRepository, commit: &str) -> bool {
    /// Shortest part of a commit id that counts; git itself shows seven.
    const SHORTEST: usize = 7;
    repository.annotations().get(annotation::CONFIRM_PRUNE).is_some_and(|confirmed| {
        confirmed.len() >= SHORTEST && commit.starts_with(confirmed.as_str())
    })
}
