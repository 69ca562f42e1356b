//! Commit: as much of it as has to be looked at is read, checked, applied; what left
//! is pruned.

use hades_api::{InventoryEntry, reason};
use hades_source::git::Commit;
use hades_source::manifest::ManifestError;

use super::check::{self, Object};
use super::fetch::Source;
use super::inventory::Pruned;
use super::memory::Extent;
use super::record::Problem;
use super::{ConfigRepositories, Draft, Step, apply, confirmed, inventory, overrides};
use crate::driver::ReconcileError;

impl ConfigRepositories {
    /// Syncs a commit with the rights of the repository's account. One that lacks a
    /// right is told what it is.
    pub(super) async fn sync_as_account(
        &self,
        draft: &mut Draft<'_>,
        source: &Source,
        commit: Commit,
    ) -> Result<Step, ReconcileError> {
        if draft.account.bind(draft.context, draft.repository).await? {
            self.memory.bound(&draft.uid);
        }
        let step = match self.sync_commit(draft, source, commit).await {
            Err(ReconcileError::Api { action, source: kube::Error::Api(status) })
                if draft.account.lacks_right(&status) =>
            {
                let what = format!("can't {action}: {}", status.message);
                Step::Failed(Problem::forbidden(&draft.account, &what))
            }
            step => step?,
        };
        // On Kubernetes a binding takes a moment to be known everywhere.
        let is_refused =
            matches!(&step, Step::Failed(problem) if problem.reason == reason::FORBIDDEN);
        Ok(if is_refused && self.memory.bound_lately(&draft.uid) { Step::Busy } else { step })
    }

    async fn sync_commit(
        &self,
        draft: &mut Draft<'_>,
        source: &Source,
        commit: Commit,
    ) -> Result<Step, ReconcileError> {
        let interval = draft.repository.spec.interval.get();
        match self.memory.extent(&draft.uid, &commit.id, interval) {
            Extent::Nothing(None) => Ok(Step::Unchanged(commit)),
            Extent::Nothing(Some(problem)) => Ok(Step::Failed(problem)),
            Extent::Prune(leaving) => self.go_on_pruning(draft, commit, &leaving).await,
            Extent::Since { commit: base, leaving } => {
                let step = self.sync_changes(draft, source, (&base, &leaving), &commit).await?;
                match step {
                    Some(step) => Ok(step),
                    None => self.sync_all(draft, source, commit).await,
                }
            }
            Extent::Full => self.sync_all(draft, source, commit).await,
        }
    }

    /// Reads, checks and applies everything.
    async fn sync_all(
        &self,
        draft: &mut Draft<'_>,
        source: &Source,
        commit: Commit,
    ) -> Result<Step, ReconcileError> {
        let Some(_leave) = self.gate.full_read().await else { return Ok(Step::Busy) };
        let set = match source.read(&commit.id).await? {
            Ok(set) => set,
            Err(problem) => return Ok(Step::Failed(problem)),
        };
        if !set.errors.is_empty() {
            return Ok(self.broken(draft, &commit, &set.errors));
        }
        if set.documents.is_empty() && !draft.after.inventory.is_empty() {
            return Ok(no_manifests(draft, &commit));
        }
        let checked = check::check(&draft.desk(&self.kinds), &set.documents).await?;
        drop(set);
        let objects = match checked {
            Ok(objects) => objects,
            Err(problem) => return Ok(Step::Failed(problem)),
        };
        let wanted = inventory::of(&objects);
        self.write(draft, commit, (&objects, wanted), true).await
    }

    /// Reads, checks and applies only the files that differ from a commit that is
    /// applied whole (with what of its inventory was leaving then). None if everything
    /// has to be looked at.
    async fn sync_changes(
        &self,
        draft: &mut Draft<'_>,
        source: &Source,
        (base, leaving): (&str, &[InventoryEntry]),
        commit: &Commit,
    ) -> Result<Option<Step>, ReconcileError> {
        let Ok(Some(changes)) = source.read_changes(base, &commit.id).await? else {
            return Ok(None);
        };
        if !changes.after.errors.is_empty() {
            return Ok(Some(self.broken(draft, commit, &changes.after.errors)));
        }
        let desk = draft.desk(&self.kinds);
        let before = &changes.before.documents;
        let Some(old) = check::entries(&desk, before).await? else {
            return Ok(None);
        };
        let documents = &changes.after.documents;
        let objects = match check::check(&desk, documents).await? {
            Ok(objects) => objects,
            Err(problem) => return Ok(Some(Step::Failed(problem))),
        };
        let new = inventory::of(&objects);
        let applied = inventory::leaving(&draft.after.inventory, leaving);
        let kept = inventory::leaving(&applied, &old);
        if inventory::meet(&kept, &new) {
            // A file that didn't change defines one of them, too: reading all of them
            // says where.
            return Ok(None);
        }
        let wanted = inventory::union(&kept, &new);
        if wanted.is_empty() && !draft.after.inventory.is_empty() {
            return Ok(Some(no_manifests(draft, commit)));
        }
        self.write(draft, commit.clone(), (&objects, wanted), false).await.map(Some)
    }

    /// Applies objects, with `wanted` being all of the commit, and prunes.
    async fn write(
        &self,
        draft: &mut Draft<'_>,
        commit: Commit,
        (objects, wanted): (&[Object], Vec<InventoryEntry>),
        full: bool,
    ) -> Result<Step, ReconcileError> {
        let repository = draft.repository;
        let leaving = inventory::leaving(&draft.after.inventory, &wanted);
        if repository.spec.prune && !confirmed(repository, &commit.id) {
            let had = &draft.after.inventory;
            if let Some(risk) = inventory::risk(&draft.desk(&self.kinds), had, &leaving).await? {
                let problem = Problem::needs_confirmation(repository, &commit.id, &risk);
                return Ok(Step::Failed(problem));
            }
        }
        draft.after.overrides = overrides::merged(&draft.after.overrides, objects, &wanted);
        self.memory.begin_writes(&draft.uid);
        // First on record, then made: a crash in between forgets nothing.
        let both = inventory::union(&draft.after.inventory, &wanted);
        if both != draft.after.inventory {
            draft.after.inventory = both;
            draft.save().await?;
        }
        let desk = draft.desk(&self.kinds);
        match apply::apply(&desk, objects).await? {
            apply::Applied::All => {}
            apply::Applied::WaitForNamespaces => return Ok(Step::WaitForNamespaces),
            apply::Applied::Refused(problem) => return Ok(Step::Failed(problem)),
        }
        // What isn't pruned is given up: it belongs to nobody's git any more.
        let pruned = match repository.spec.prune {
            true => inventory::prune(&desk, &leaving).await?,
            false => Pruned::default(),
        };
        draft.after.inventory = inventory::union(&wanted, &pruned.left);
        Ok(self.pruned(draft, commit, pruned, full))
    }

    async fn go_on_pruning(
        &self,
        draft: &mut Draft<'_>,
        commit: Commit,
        leaving: &[InventoryEntry],
    ) -> Result<Step, ReconcileError> {
        let pruned = self.prune(draft, leaving).await?;
        Ok(self.pruned(draft, commit, pruned, false))
    }

    /// Goes on deleting what left; says what of it isn't gone yet.
    pub(super) async fn prune(
        &self,
        draft: &mut Draft<'_>,
        leaving: &[InventoryEntry],
    ) -> Result<Pruned, ReconcileError> {
        let applied = inventory::leaving(&draft.after.inventory, leaving);
        let pruned = inventory::prune(&draft.desk(&self.kinds), leaving).await?;
        draft.after.inventory = inventory::union(&applied, &pruned.left);
        Ok(pruned)
    }

    fn pruned(&self, draft: &Draft<'_>, commit: Commit, pruned: Pruned, full: bool) -> Step {
        let Pruned { left, refusals } = pruned;
        if refusals.is_empty() {
            return Step::Synced { commit, leaving: left, full };
        }
        let what = format!("what left can't all be deleted: {}", refusals.join("; "));
        Step::Failed(Problem::forbidden(&draft.account, &what))
    }

    /// The commit can't be read: only another one, or another spec, mends that.
    fn broken(&self, draft: &Draft<'_>, commit: &Commit, errors: &[ManifestError]) -> Step {
        let problem = Problem::manifests(errors);
        // Another key may open what can't be opened now.
        if problem.reason != reason::DECRYPTION_FAILED {
            self.memory.broken(&draft.uid, &commit.id, &problem);
        }
        Step::Failed(problem)
    }
}

fn no_manifests(draft: &Draft<'_>, commit: &Commit) -> Step {
    Step::Failed(Problem::no_manifests(&commit.id, draft.after.inventory.len()))
}
