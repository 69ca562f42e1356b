//! GitAccount: says whether an account's credentials can be used, and hands them to
//! those that it allows.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use hades_api::{
    GitAccount, GitAccountSpec, GitAccountStatus, GitProvider, HadesProject, SYSTEM_NAMESPACE,
    condition, reason,
};
use hades_source::git::{Scope, host_of};
use jiff::Timestamp;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, Resource};

use crate::driver::{Meta, Progress, ReconcileError, Reconciler};
use crate::git_credentials::{self, GitAccess};
use crate::redaction::redact;
use crate::status::set_condition;
use crate::{Context, status, system_secrets};

/// Why credentials can't be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// From [`hades_api::reason`].
    pub(crate) reason: &'static str,
    /// For people; holds no secret.
    pub(crate) message: String,
}

/// The credentials of an account, whoever asks.
pub(crate) async fn credentials(
    context: &Context,
    account: &GitAccountSpec,
) -> Result<Result<GitAccess, Refusal>, ReconcileError> {
    let user = token_user(account.provider);
    git_credentials::read(context, SYSTEM_NAMESPACE, &account.secret_ref.name, user).await
}

/// The account of that name and its credentials, for what lives in `namespace` and
/// goes to the host of `url`.
pub(crate) async fn credentials_for(
    context: &Context,
    name: &str,
    namespace: &str,
    url: &str,
) -> Result<Result<(GitAccountSpec, GitAccess), Refusal>, ReconcileError> {
    let api: Api<GitAccount> = Api::all(context.client.clone());
    let found =
        api.get_opt(name).await.map_err(ReconcileError::api(format!("read GitAccount {name}")))?;
    let Some(account) = found else {
        let message = format!("there is no GitAccount {name}");
        return Ok(Err(Refusal { reason: reason::ACCOUNT_NOT_FOUND, message }));
    };
    if let Some(refusal) = not_for(name, &account.spec, namespace, url) {
        return Ok(Err(refusal));
    }
    if let Some(refusal) = not_by_policy(context, name, namespace).await? {
        return Ok(Err(refusal));
    }
    let access = credentials(context, &account.spec).await?;
    let scope = scope(&account.spec);
    Ok(access.map(|access| (account.spec, GitAccess { scope, ..access })))
}

/// What the credentials of an account are for.
fn scope(account: &GitAccountSpec) -> Option<Scope> {
    Scope::new(account.url(), account.repositories.as_deref())
}

/// Why the policy of a project keeps it from an account, if it does.
async fn not_by_policy(
    context: &Context,
    name: &str,
    namespace: &str,
) -> Result<Option<Refusal>, ReconcileError> {
    if namespace == SYSTEM_NAMESPACE {
        return Ok(None);
    }
    let projects: Api<HadesProject> = Api::all(context.client.clone());
    let project = projects
        .get_opt(namespace)
        .await
        .map_err(ReconcileError::api(format!("read HadesProject {namespace}")))?;
    let policy = project.and_then(|project| project.spec.policy).unwrap_or_default();
    Ok((!policy.allows_git_account(name)).then(|| Refusal {
        reason: reason::ACCOUNT_NOT_ALLOWED,
        message: format!(
            "policy of project {namespace} doesn't allow GitAccount {name} \
             (spec.policy.accounts.git)"
        ),
    }))
}

/// Why an account isn't for what lives in `namespace` and goes to `url`, if it isn't.
fn not_for(name: &str, account: &GitAccountSpec, namespace: &str, url: &str) -> Option<Refusal> {
    let refusal = |message| Some(Refusal { reason: reason::ACCOUNT_NOT_ALLOWED, message });
    if !account.allows(namespace) {
        return refusal(format!(
            "GitAccount {name} isn't for project {namespace}: add the project to its \
             spec.allowedProjects"
        ));
    }
    let (own, wanted) = (host_of(account.url()), host_of(url));
    if own.is_none() || own != wanted {
        return refusal(format!(
            "GitAccount {name} is for {}, and its credentials go to no other host: use the \
             account of {}",
            own.unwrap_or_default(),
            wanted.unwrap_or_else(|| "that repository".to_owned())
        ));
    }
    if !scope(account).is_some_and(|scope| scope.covers(url)) {
        let folders = match account.repositories.as_deref() {
            None => "repositories below that".to_owned(),
            Some([]) => "none of its repositories".to_owned(),
            Some(folders) => format!("what is at or below {} there", folders.join(", ")),
        };
        return refusal(format!(
            "GitAccount {name} is for {} and {folders}: name another account, or add the \
             repository's folder to its spec.repositories",
            account.url()
        ));
    }
    None
}

/// The user name beside a token where the Secret names none: forges want it to be
/// there, and some want it to be this one.
fn token_user(provider: GitProvider) -> &'static str {
    match provider {
        GitProvider::Github => "x-access-token",
        GitProvider::Gitlab => "oauth2",
        GitProvider::Bitbucket => "x-token-auth",
        GitProvider::Gitea | GitProvider::Generic => "git",
    }
}

/// The same for a repository that names a Secret of its own, told by its host.
pub(crate) fn token_user_at(url: &str) -> &'static str {
    match host_of(url).as_deref() {
        Some("github.com") => token_user(GitProvider::Github),
        Some("gitlab.com") => token_user(GitProvider::Gitlab),
        Some("bitbucket.org") => token_user(GitProvider::Bitbucket),
        _ => token_user(GitProvider::Generic),
    }
}

/// Works on GitAccounts.
pub(crate) struct GitAccounts;

#[async_trait]
impl Reconciler for GitAccounts {
    type Kind = GitAccount;

    fn api(client: &Client, _namespace: Option<&str>) -> Api<GitAccount> {
        Api::all(client.clone())
    }

    fn wakes(
        &self,
        context: &Arc<Context>,
        store: Store<Meta<GitAccount>>,
    ) -> BoxStream<'static, ObjectRef<Meta<GitAccount>>> {
        system_secrets::wakes(&context.client, store)
    }

    async fn reconcile(
        &self,
        context: &Arc<Context>,
        account: GitAccount,
    ) -> Result<Progress, ReconcileError> {
        if account.meta().deletion_timestamp.is_some() {
            return Ok(Progress::Gone);
        }
        let mut access = credentials(context, &account.spec).await?;
        if let Err(refusal) = &mut access {
            redact(&context.system_redactor(), &mut refusal.message);
        }
        let before = account.status.clone().unwrap_or_default();
        let after = judged(&before, &account, &access, context.now());
        if let Err(refusal) = &access
            && condition::find(&before.conditions, condition::READY)
                .is_none_or(|ready| ready.message != refusal.message)
        {
            let (reason, message) = (refusal.reason, refusal.message.clone());
            context.events.warning(&account, reason, "Check", message).await;
        }
        status::write(context, &Self::api(&context.client, None), &account, &before, &after)
            .await?;
        Ok(Progress::Settled)
    }
}

fn judged(
    before: &GitAccountStatus,
    account: &GitAccount,
    access: &Result<GitAccess, Refusal>,
    now: Timestamp,
) -> GitAccountStatus {
    let mut after = before.clone();
    after.observed_generation = account.meta().generation;
    after.host = host_of(account.spec.url());
    let (ready, reason, message) = match access {
        Ok(access) => {
            after.credentials = access.kinds.iter().map(|&kind| kind.to_owned()).collect();
            let message = format!(
                "the Secret holds {} for {}; whether the forge takes them shows in the \
                 repositories that use them",
                if access.kinds.is_empty() {
                    "no credentials".to_owned()
                } else {
                    access.kinds.join(" and ")
                },
                after.host.as_deref().unwrap_or_default()
            );
            (true, reason::ACCOUNT_READY, message)
        }
        Err(refusal) => {
            after.credentials.clear();
            (false, refusal.reason, refusal.message.clone())
        }
    };
    let words = (reason, message.as_str());
    set_condition(&mut after.conditions, account, (condition::READY, ready), words, now);
    if ready {
        condition::clear(&mut after.conditions, condition::STALLED);
    } else {
        set_condition(&mut after.conditions, account, (condition::STALLED, true), words, now);
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_for_its_projects_and_its_host() {
        let account: GitAccountSpec = serde_json::from_value(serde_json::json!({
            "provider": "gitea", "url": "https://git.example.com:8443",
            "secretRef": {"name": "token"}, "allowedProjects": ["shop"],
        }))
        .unwrap();
        let refused = |namespace: &str, url: &str| {
            not_for("studio", &account, namespace, url).map(|refusal| refusal.message)
        };
        assert_eq!(refused("shop", "https://git.example.com/shop"), None);
        assert_eq!(refused("hades-system", "ssh://git@git.example.com:2222/shop"), None);
        assert!(refused("blog", "https://git.example.com/x").unwrap().contains("allowedProjects"));
        assert!(refused("shop", "https://git.example.org/x").unwrap().contains("no other host"));
        assert!(refused("shop", "file:///srv/x").unwrap().contains("no other host"));
    }

    /// What else its token can read is not for those who may name repositories.
    #[test]
    fn an_account_is_for_its_repositories_whoever_asks() {
        let account = |more: serde_json::Value| -> GitAccountSpec {
            let mut spec = serde_json::json!({
                "provider": "github", "secretRef": {"name": "token"}, "allowedProjects": ["shop"],
            });
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_value(spec).unwrap()
        };
        let ours = account(serde_json::json!({"repositories": ["acme", "studio/shop"]}));
        for namespace in ["shop", "hades-system"] {
            let refused = |url: &str| not_for("ours", &ours, namespace, url);
            assert_eq!(refused("https://github.com/acme/web.git"), None);
            assert_eq!(refused("git@github.com:studio/shop.git"), None);
            for url in ["https://github.com/acme-evil/x", "git@github.com:studio/secret.git"] {
                let refusal = refused(url).unwrap();
                assert_eq!(refusal.reason, reason::ACCOUNT_NOT_ALLOWED);
                assert!(refusal.message.contains("at or below acme, studio/shop"), "{refusal:?}");
            }
        }
        let folder = account(serde_json::json!({"url": "https://example.com/git"}));
        assert_eq!(not_for("f", &folder, "shop", "https://example.com/git/a/b"), None);
        let refusal = not_for("f", &folder, "shop", "https://example.com/wiki/a").unwrap();
        assert!(refusal.message.contains("repositories below that"), "{refusal:?}");
        let all = account(serde_json::json!({}));
        assert_eq!(not_for("all", &all, "shop", "https://github.com/any/thing"), None);
    }
}
