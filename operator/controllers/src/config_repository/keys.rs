//! Keys: what the sealed files of a repository are opened with. Its own, those that it
//! names, and in a project the project's: no other's, or one tenant could have
//! another's files opened.

use hades_api::{ConfigRepository, ConfigRepositoryStatus, SYSTEM_NAMESPACE, reason};
use hades_sops::Keys;
use kube::ResourceExt;

use super::memory::Credential;
use super::record::Problem;
use crate::driver::ReconcileError;
use crate::git_account::Refusal;
use crate::{Context, sops_keys};

/// The Secret with the repository's own key, which people seal to as long as it is there.
pub(super) fn own(repository: &ConfigRepository) -> Credential {
    let name = sops_keys::of_repository(&repository.name_any());
    Credential::Secret(repository.namespace().unwrap_or_default(), name)
}

/// Secrets whose change may open what couldn't be opened, and once it was made its own.
pub(super) fn sources(repository: &ConfigRepository) -> Vec<Credential> {
    let namespace = repository.namespace().unwrap_or_default();
    let named = repository.spec.decryption.iter().map(|found| found.secret_ref.name.clone());
    let project = (namespace != SYSTEM_NAMESPACE).then(|| sops_keys::of_project().to_owned());
    let is_made = repository.status.as_ref().is_some_and(|status| status.sops_recipient.is_some());
    let others = named.chain(project).map(|name| Credential::Secret(namespace.clone(), name));
    others.chain(is_made.then(|| own(repository))).collect()
}

/// Reads the keys, and makes the repository's own where it isn't there. Its public
/// half goes to `status`.
pub(super) async fn gather(
    context: &Context,
    repository: &ConfigRepository,
    status: &mut ConfigRepositoryStatus,
) -> Result<Result<Keys, Problem>, ReconcileError> {
    let namespace = repository.namespace().unwrap_or_default();
    let name = sops_keys::of_repository(&repository.name_any());
    let mut keys = match sops_keys::keep(context, &namespace, &name).await? {
        Ok(keys) => keys,
        Err(refusal) => {
            // Nobody may seal to a key that isn't there.
            status.sops_recipient = None;
            return Ok(Err(problem(refusal)));
        }
    };
    note(context, repository, status, &keys).await;
    if let Some(decryption) = &repository.spec.decryption {
        let secret = &decryption.secret_ref.name;
        match sops_keys::brought(context, &namespace, secret).await? {
            Ok(brought) => keys.extend(brought),
            Err(refusal) => return Ok(Err(problem(refusal))),
        }
    }
    if namespace != SYSTEM_NAMESPACE {
        // Without the project's key, files for the repository itself open all the same.
        let found = sops_keys::find(context, &namespace, sops_keys::of_project()).await?;
        keys.extend(found.unwrap_or_default());
    }
    Ok(Ok(keys))
}

/// Notes whom to seal to; says if that is another one than before.
async fn note(
    context: &Context,
    repository: &ConfigRepository,
    status: &mut ConfigRepositoryStatus,
    keys: &Keys,
) {
    let recipient = keys.recipients().first().map(ToString::to_string);
    if let (Some(before), Some(now)) = (&status.sops_recipient, &recipient)
        && before != now
    {
        let note = format!(
            "the key of the repository is another one: seal to {now}; what was sealed to {before} \
             opens no more"
        );
        context.events.warning(repository, reason::SOPS_KEY_CHANGED, "Sync", note).await;
    }
    status.sops_recipient = recipient;
}

fn problem(Refusal { reason, message }: Refusal) -> Problem {
    Problem::new(reason, message)
}

#[cfg(test)]
mod tests;
