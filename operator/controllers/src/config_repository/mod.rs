//! ConfigRepository: fetch → read → check → apply → prune.
//!
//! A commit is applied whole or not at all: everything is read, parsed and
//! tried without effect before the first object is written.

mod apply;
mod check;
mod inventory;
mod kinds;
mod overrides;
mod record;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use hades_api::{ConfigRepository, ConfigRepositoryStatus, SYSTEM_NAMESPACE, annotation, reason};
use hades_source::git::Commit;
use hades_source::manifest::ManifestSet;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, Resource, ResourceExt};

use crate::driver::{Meta, Progress, ReconcileError, Reconciler};
use crate::{Context, error_chain, status};

use kinds::Kinds;
use record::Problem;

/// How soon to go on when projects of a commit don't have their namespaces yet.
const NAMESPACE_POLL: Duration = Duration::from_millis(100);

/// How soon to look again whether what is pruned has gone.
const PRUNE_POLL: Duration = Duration::from_secs(1);

/// Works on ConfigRepositories.
#[derive(Default)]
pub(crate) struct ConfigRepositories {
    /// When each repository was last fetched, and what was found, by UID.
    fetched: Mutex<HashMap<String, Fetched>>,
    kinds: Kinds,
}

#[derive(Clone)]
struct Fetched {
    at: Instant,
    /// What the fetch was of: a change means to fetch now.
    of: String,
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
        context.hooks.wakes.stream().boxed()
    }

    async fn forget(&self, context: &Arc<Context>, namespace: Option<&str>, name: &str) {
        context.hooks.table.forget(namespace.unwrap_or_default(), name);
    }

    async fn reconcile(
        &self,
        context: &Arc<Context>,
        repository: ConfigRepository,
    ) -> Result<Progress, ReconcileError> {
        let (namespace, name) = (repository.namespace().unwrap_or_default(), repository.name_any());
        if repository.meta().deletion_timestamp.is_some() {
            context.hooks.table.forget(&namespace, &name);
            return Ok(Progress::Gone);
        }
        context.hooks.table.learn(&repository);
        let interval = repository.spec.interval.get();
        let pushed = context.hooks.wakes.take(&namespace, &name);
        let asked = pushed || overrides::any_ended(&repository, context.now());
        if let Some(rest) = self.too_early(&repository, interval).filter(|_| !asked) {
            return Ok(Progress::After(rest));
        }
        let outcome = self.sync(context, &repository).await;
        if pushed && !matches!(outcome, Ok((Progress::Settled, _))) {
            context.hooks.wakes.keep(&namespace, &name);
        }
        let (progress, override_ends) = outcome?;
        Ok(match progress {
            Progress::Settled => {
                self.note_fetch(&repository);
                Progress::After(override_ends.map_or(interval, |end| end.min(interval)))
            }
            other => other,
        })
    }
}

impl ConfigRepositories {
    /// Time that is left of the interval, unless something asks for a sync now.
    fn too_early(&self, repository: &ConfigRepository, interval: Duration) -> Option<Duration> {
        let fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        let last = fetched.get(&repository.uid().unwrap_or_default())?;
        if last.of != request(repository) {
            return None;
        }
        interval.checked_sub(last.at.elapsed()).filter(|rest| !rest.is_zero())
    }

    fn note_fetch(&self, repository: &ConfigRepository) {
        let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        let note = Fetched { at: Instant::now(), of: request(repository) };
        fetched.insert(repository.uid().unwrap_or_default(), note);
    }

    /// Returns, besides, when the next override ends.
    async fn sync(
        &self,
        context: &Context,
        repository: &ConfigRepository,
    ) -> Result<(Progress, Option<Duration>), ReconcileError> {
        let mut draft = Draft::new(context, repository);
        if repository.spec.suspend.unwrap_or(false) {
            record::request_handled(&mut draft.after, repository);
            record::suspended(&mut draft.after, repository, context.now());
            draft.save().await?;
            return Ok((Progress::Settled, None));
        }
        let fetched = match forbidden(repository) {
            Some(problem) => Err(problem),
            None => fetch(context, repository).await?,
        };
        let step = match fetched {
            Ok((commit, set)) => {
                draft.after.observed_commit = Some(commit.id.clone());
                self.sync_commit(&mut draft, &commit, set).await?
            }
            Err(problem) => Step::Failed(problem),
        };
        let before = repository.status.clone().unwrap_or_default();
        let progress = match step {
            Step::Synced { commit, pruning } => {
                record::synced(&mut draft.after, repository, &commit.id, context.now());
                record::tell_synced(context, repository, &before, &draft.after, &commit).await;
                record::tell_overrides(context, repository, &before, &draft.after).await;
                if pruning { Progress::After(PRUNE_POLL) } else { Progress::Settled }
            }
            Step::WaitForNamespaces => {
                record::waiting(&mut draft.after, repository, context.now());
                Progress::After(NAMESPACE_POLL)
            }
            Step::Failed(problem) => {
                record::failed(&mut draft.after, repository, &problem, context.now());
                record::tell_failure(context, repository, &before, &problem).await;
                Progress::Settled
            }
        };
        // Told only now: conditions of before must not pass for the answer.
        record::request_handled(&mut draft.after, repository);
        draft.save().await?;
        Ok((progress, overrides::next_end(&draft.after.overrides, context.now())))
    }

    async fn sync_commit(
        &self,
        draft: &mut Draft<'_>,
        commit: &Commit,
        set: ManifestSet,
    ) -> Result<Step, ReconcileError> {
        let (context, repository) = (draft.context, draft.repository);
        if !set.errors.is_empty() {
            return Ok(Step::Failed(Problem::manifests(&set.errors)));
        }
        if set.documents.is_empty() && !draft.after.inventory.is_empty() {
            let had = draft.after.inventory.len();
            return Ok(Step::Failed(Problem::no_manifests(&commit.id, had)));
        }
        let checked = check::check(context, &self.kinds, repository, &set.documents).await?;
        let objects = match checked {
            Ok(objects) => objects,
            Err(problem) => return Ok(Step::Failed(problem)),
        };
        let wanted = inventory::of(&objects);
        draft.after.overrides = overrides::merged(&draft.after.overrides, &objects, &wanted);
        let leaving = inventory::leaving(&draft.after.inventory, &wanted);
        if repository.spec.prune && !confirmed(repository, &commit.id) {
            let had = &draft.after.inventory;
            if let Some(risk) = inventory::risk(context, &self.kinds, had, &leaving).await? {
                let problem = Problem::needs_confirmation(repository, &commit.id, &risk);
                return Ok(Step::Failed(problem));
            }
        }
        // First on record, then made: a crash in between forgets nothing.
        draft.after.inventory = inventory::union(&draft.after.inventory, &wanted);
        draft.save().await?;
        match apply::apply(context, repository, &objects).await? {
            apply::Applied::All => {}
            apply::Applied::WaitForNamespaces => return Ok(Step::WaitForNamespaces),
            apply::Applied::Refused(problem) => return Ok(Step::Failed(problem)),
        }
        // What isn't pruned is given up: it belongs to nobody's git any more.
        let survivors = match repository.spec.prune {
            true => inventory::prune(context, &self.kinds, repository, &leaving).await?,
            false => Vec::new(),
        };
        draft.after.inventory = inventory::union(&wanted, &survivors);
        Ok(Step::Synced { commit: commit.clone(), pruning: !survivors.is_empty() })
    }
}

/// The status of a repository while a pass works on it.
struct Draft<'a> {
    context: &'a Context,
    repository: &'a ConfigRepository,
    stored: ConfigRepositoryStatus,
    after: ConfigRepositoryStatus,
}

impl<'a> Draft<'a> {
    fn new(context: &'a Context, repository: &'a ConfigRepository) -> Self {
        let stored = repository.status.clone().unwrap_or_default();
        Self { context, repository, after: stored.clone(), stored }
    }

    async fn save(&mut self) -> Result<(), ReconcileError> {
        let namespace = self.repository.namespace();
        let api = ConfigRepositories::api(&self.context.client, namespace.as_deref());
        status::write(&api, self.repository, &self.stored, &self.after).await?;
        self.stored = self.after.clone();
        Ok(())
    }
}

enum Step {
    Synced {
        commit: Commit,
        /// Something that left isn't gone yet.
        pruning: bool,
    },
    WaitForNamespaces,
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

/// Folder that a repository is copied into; its UID keeps namesakes apart.
fn cache_dir(context: &Context, repository: &ConfigRepository) -> PathBuf {
    context.cache_dir.join(repository.uid().unwrap_or_default())
}

async fn fetch(
    context: &Context,
    repository: &ConfigRepository,
) -> Result<Result<(Commit, ManifestSet), Problem>, ReconcileError> {
    let dir = cache_dir(context, repository);
    let spec = repository.spec.clone();
    let known = repository.status.as_ref().and_then(|status| status.synced_commit.clone());
    let read = tokio::task::spawn_blocking(move || read(&dir, &spec, known.as_deref())).await;
    read.map_err(|error| ReconcileError::Internal(format!("the fetch was cut off: {error}")))
}

fn read(
    dir: &std::path::Path,
    spec: &hades_api::ConfigRepositorySpec,
    known: Option<&str>,
) -> Result<(Commit, ManifestSet), Problem> {
    use hades_source::git::{ReadOptions, RemoteOptions, Repository};
    let unreachable =
        |error: &dyn std::error::Error| Problem::new(reason::FETCH_FAILED, error_chain(error));
    let options = RemoteOptions::new(spec.url.clone(), spec.branch.clone());
    let repository = Repository::open(dir, options).map_err(|error| unreachable(&error))?;
    let commit = repository.fetch(known).map_err(|error| unreachable(&error))?;
    let options = ReadOptions::new(spec.path.as_deref().unwrap_or("."));
    let set = repository
        .read(&commit.id, &options)
        .map_err(|error| Problem::new(reason::INVALID_MANIFESTS, error_chain(&error)))?;
    Ok((commit, set))
}
