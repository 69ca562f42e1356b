//! Record: what a sync found and did, as status and events.

use hades_api::{
    ConfigRepository, ConfigRepositoryStatus, InventoryEntry, ManifestProblem, annotation,
    condition, reason,
};
use hades_source::git::Commit;
use hades_source::manifest::{Fault, ManifestError};
use jiff::Timestamp;
use kube::{Resource, ResourceExt};

use super::account::Account;
use super::{inventory, overrides};
use crate::Context;
use crate::redaction::Texts;
use crate::status::set_condition;

/// Errors that a status lists.
const ERRORS_SHOWN: usize = 100;
/// Errors that a condition's message spells out.
const ERRORS_SPELT: usize = 3;

/// Characters of an error's message, and of its file and field, that a status holds.
const MESSAGE_SHOWN: usize = 1_000;
const PLACE_SHOWN: usize = 300;
/// Characters of a condition's message.
const SUMMARY_SHOWN: usize = 6_000;
/// Characters of an error's message that are kept at all: more than are shown, so that no
/// value of a Secret is cut before it was looked for.
const MESSAGE_KEPT: usize = 8_000;

/// Why a commit isn't applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) errors: Vec<ManifestProblem>,
}

impl Texts for Problem {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        each(&mut self.message);
        self.errors.texts(each);
    }
}

impl Problem {
    pub(super) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), errors: Vec::new() }
    }

    pub(super) fn manifests(errors: &[ManifestError]) -> Self {
        let problems = errors
            .iter()
            .map(|error| ManifestProblem {
                file: Some(error.file.clone()),
                line: error.position.map(|position| position.line),
                column: error.position.map(|position| position.column),
                field: None,
                message: error.message.clone(),
            })
            .collect();
        let reason = if errors.iter().any(|error| error.fault == Fault::Tampered) {
            reason::SEAL_BROKEN
        } else if errors.iter().any(|error| error.fault == Fault::Sealed) {
            reason::DECRYPTION_FAILED
        } else {
            reason::INVALID_MANIFESTS
        };
        Self::documents(reason, problems)
    }

    pub(super) fn documents(reason: &'static str, mut errors: Vec<ManifestProblem>) -> Self {
        errors.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        for error in &mut errors {
            error.file.iter_mut().chain(&mut error.field).for_each(|place| cut(place, PLACE_SHOWN));
            cut(&mut error.message, MESSAGE_KEPT);
        }
        let spelt: Vec<String> = errors.iter().take(ERRORS_SPELT).map(shown).collect();
        let more = match errors.len().saturating_sub(ERRORS_SPELT) {
            0 => String::new(),
            n => format!("; and {n} more"),
        };
        let message = format!("nothing was applied: {}{more}", spelt.join("; "));
        errors.truncate(ERRORS_SHOWN);
        Self { reason, message, errors }
    }

    /// Cuts texts to what is stored, however long the names in a manifest are: a status that
    /// the store refuses leaves the one from before, which says that all is well. To be done
    /// when values of Secrets are hidden.
    pub(super) fn shorten(&mut self) {
        cut(&mut self.message, SUMMARY_SHOWN);
        self.errors.iter_mut().for_each(|error| cut(&mut error.message, MESSAGE_SHOWN));
    }

    /// The account of a repository lacks a right; `what` says which.
    pub(super) fn forbidden(account: &Account, what: &str) -> Self {
        Self::new(reason::FORBIDDEN, format!("{what}. {}", account.hint()))
    }

    /// As [`Self::forbidden`], found out before anything was written.
    pub(super) fn forbidden_documents(account: &Account, errors: Vec<ManifestProblem>) -> Self {
        let problem = Self::documents(reason::FORBIDDEN, errors);
        Self { message: format!("{}. {}", problem.message, account.hint()), ..problem }
    }

    pub(super) fn no_manifests(commit: &str, had: usize) -> Self {
        let message = format!(
            "commit {} holds no manifest, {had} objects were applied before; nothing is deleted. \
             Check spec.path and spec.branch. To stop following the repository, delete the \
             ConfigRepository: what it applied stays",
            short(commit)
        );
        Self::new(reason::NO_MANIFESTS, message)
    }

    pub(super) fn needs_confirmation(
        repository: &ConfigRepository,
        commit: &str,
        risk: &str,
    ) -> Self {
        let address =
            format!("{} -n {}", repository.name_any(), repository.namespace().unwrap_or_default());
        let message = format!(
            "commit {commit} would {risk}; nothing was applied. If that is meant: \
             hadesctl sync {address} --confirm-prune (or annotate it with {}={})",
            annotation::CONFIRM_PRUNE,
            short(commit)
        );
        Self::new(reason::PRUNE_NEEDS_CONFIRMATION, message)
    }
}

fn cut(text: &mut String, characters: usize) {
    if let Some((end, _)) = text.char_indices().nth(characters) {
        text.truncate(end);
        text.push('…');
    }
}

fn shown(problem: &ManifestProblem) -> String {
    let place = match (&problem.file, problem.line, problem.column) {
        (Some(file), Some(line), Some(column)) => format!("{file}:{line}:{column}: "),
        (Some(file), ..) => format!("{file}: "),
        _ => String::new(),
    };
    match &problem.field {
        Some(field) if !problem.message.contains(field.as_str()) => {
            format!("{place}{field}: {}", problem.message)
        }
        _ => format!("{place}{}", problem.message),
    }
}

/// The beginning of a commit id, as git shows it.
pub(super) fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

/// Notes that a person's request for a sync has been seen.
pub(super) fn request_handled(status: &mut ConfigRepositoryStatus, repository: &ConfigRepository) {
    if let Some(request) = repository.annotations().get(annotation::RECONCILE_REQUESTED_AT) {
        status.last_handled_reconcile_at = Some(request.clone());
    }
}

fn set(
    status: &mut ConfigRepositoryStatus,
    repository: &ConfigRepository,
    truth: (&'static str, bool),
    words: (&str, &str),
    now: Timestamp,
) {
    set_condition(&mut status.conditions, repository, truth, words, now);
}

/// The repository is suspended.
pub(super) fn suspended(
    status: &mut ConfigRepositoryStatus,
    repository: &ConfigRepository,
    now: Timestamp,
) {
    status.observed_generation = repository.meta().generation;
    let words = (reason::SUSPENDED, "suspended; new commits are not applied");
    set(status, repository, (condition::SUSPENDED, true), words, now);
    condition::clear(&mut status.conditions, condition::RECONCILING);
    condition::clear(&mut status.conditions, condition::STALLED);
}

/// A commit was applied whole.
pub(super) fn synced(
    status: &mut ConfigRepositoryStatus,
    repository: &ConfigRepository,
    commit: &str,
    now: Timestamp,
) {
    status.observed_generation = repository.meta().generation;
    if status.synced_commit.as_deref() != Some(commit) {
        status.synced_at = Some(now);
    }
    status.synced_commit = Some(commit.to_owned());
    status.errors.clear();
    let message =
        format!("{} objects of commit {} are applied", status.inventory.len(), short(commit));
    let words = (reason::SYNCED, message.as_str());
    set(status, repository, (condition::READY, true), words, now);
    for type_ in [condition::RECONCILING, condition::STALLED, condition::SUSPENDED] {
        condition::clear(&mut status.conditions, type_);
    }
    match overrides::message(status) {
        Some(message) => {
            let words = (reason::OVERRIDDEN, message.as_str());
            set(status, repository, (condition::OVERRIDDEN, true), words, now);
        }
        None => {
            condition::clear(&mut status.conditions, condition::OVERRIDDEN);
        }
    }
}

/// Says that hand edits began or ceased to go before git, once each.
pub(super) async fn tell_overrides(
    context: &Context,
    repository: &ConfigRepository,
    before: &ConfigRepositoryStatus,
    after: &ConfigRepositoryStatus,
) {
    for entry in after.overrides.iter().filter(|entry| !before.overrides.contains(entry)) {
        let object = inventory::shown(&entry.object);
        let note = format!("{object} is left as edited by hand until {}", entry.until);
        context.events.normal(repository, reason::OVERRIDDEN, "Sync", note).await;
    }
    let here =
        |object: &InventoryEntry| after.overrides.iter().any(|entry| entry.object == *object);
    for entry in before.overrides.iter().filter(|entry| !here(&entry.object)) {
        let object = inventory::shown(&entry.object);
        let note = format!("{object} is no longer left as edited by hand");
        context.events.normal(repository, reason::OVERRIDE_ENDED, "Sync", note).await;
    }
}

/// Projects were applied, the rest follows when their namespaces are there.
pub(super) fn waiting(
    status: &mut ConfigRepositoryStatus,
    repository: &ConfigRepository,
    now: Timestamp,
) {
    let words = (reason::PROGRESSING, "waiting for the namespaces of new projects");
    set(status, repository, (condition::READY, false), words, now);
    set(status, repository, (condition::RECONCILING, true), words, now);
    condition::clear(&mut status.conditions, condition::STALLED);
    condition::clear(&mut status.conditions, condition::SUSPENDED);
}

/// The commit isn't applied; what was applied before stays.
pub(super) fn failed(
    status: &mut ConfigRepositoryStatus,
    repository: &ConfigRepository,
    problem: &Problem,
    now: Timestamp,
) {
    status.observed_generation = repository.meta().generation;
    status.errors.clone_from(&problem.errors);
    let words = (problem.reason, problem.message.as_str());
    set(status, repository, (condition::READY, false), words, now);
    condition::clear(&mut status.conditions, condition::SUSPENDED);
    // A repository that doesn't answer may come back by itself.
    if problem.reason == reason::FETCH_FAILED {
        set(status, repository, (condition::RECONCILING, true), words, now);
        condition::clear(&mut status.conditions, condition::STALLED);
    } else {
        set(status, repository, (condition::STALLED, true), words, now);
        condition::clear(&mut status.conditions, condition::RECONCILING);
    }
}

/// Says that a commit was applied, once a commit.
pub(super) async fn tell_synced(
    context: &Context,
    repository: &ConfigRepository,
    before: &ConfigRepositoryStatus,
    after: &ConfigRepositoryStatus,
    commit: &Commit,
) {
    let was_ready = condition::find(&before.conditions, condition::READY)
        .is_some_and(|ready| ready.status == "True");
    if was_ready && before.synced_commit.as_deref() == Some(&commit.id) {
        return;
    }
    let note = format!(
        "applied {} objects of commit {}: {}",
        after.inventory.len(),
        short(&commit.id),
        commit.summary
    );
    context.events.normal(repository, reason::SYNCED, "Sync", note).await;
}

/// Says what is wrong, once while it stays the same.
pub(super) async fn tell_failure(
    context: &Context,
    repository: &ConfigRepository,
    before: &ConfigRepositoryStatus,
    problem: &Problem,
) {
    let known = condition::find(&before.conditions, condition::READY);
    if known.is_some_and(|known| known.message == problem.message) {
        return;
    }
    context.events.warning(repository, problem.reason, "Sync", problem.message.clone()).await;
}
