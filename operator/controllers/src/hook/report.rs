//! Report: how the webhook of a repository stands, and registering it in its forge.

use std::sync::Arc;

use hades_api::{ConfigRepository, GitAccount, GitProvider, reason};
use hades_source::git::{HttpCredentials, host_of};
use kube::Api;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::delivery::read_token;
use super::forge_api::{self, Place, Wanted};
use super::registration::{Outcome, register};
use crate::driver::ReconcileError;
use crate::redaction::{redact, used};
use crate::{Context, git_account};

/// How the webhook of a repository stands, but for its URL.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What runs at the repository's host, if that can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forge: Option<&'static str>,
    /// GitAccount of the repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Secret that `spec.webhook` names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Whether that Secret is there and holds a token.
    pub has_token: bool,
}

/// A webhook that a forge has now.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    /// `created` or `updated`.
    pub outcome: &'static str,
    /// `owner/name` in the forge.
    pub repository: String,
    /// Where it delivers to.
    pub url: String,
}

/// Why a webhook can't be registered: in a sentence with what to do, without any
/// secret.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unregistered(String);

/// How the webhook of a repository stands; none when the repository isn't there.
///
/// # Errors
/// When the API server refuses or doesn't answer.
pub async fn report(
    context: &Context,
    namespace: &str,
    name: &str,
) -> Result<Option<Report>, ReconcileError> {
    let Some(repository) = read(context, namespace, name).await? else { return Ok(None) };
    let spec = &repository.spec;
    let secret = spec.webhook.as_ref().map(|webhook| webhook.secret_ref.name.clone());
    let has_token = token(context, namespace, &repository).await?.is_some();
    let provider = match &spec.account {
        Some(account) => {
            let api: Api<GitAccount> = Api::all(context.client.clone());
            let found = api.get_opt(account).await;
            let found = found.map_err(ReconcileError::api(format!("read GitAccount {account}")))?;
            found.map(|account| account.spec.provider)
        }
        None => provider_of(&spec.url),
    };
    let forge = provider.and_then(word);
    Ok(Some(Report { forge, account: spec.account.clone(), secret, has_token }))
}

/// Registers the webhook of a repository by its GitAccount, so that it delivers to
/// `url`; none when the repository isn't there.
///
/// # Errors
/// When the API server refuses or doesn't answer.
pub async fn register_webhook(
    context: &Arc<Context>,
    namespace: &str,
    name: &str,
    url: String,
) -> Result<Option<Result<Registered, Unregistered>>, ReconcileError> {
    let Some(repository) = read(context, namespace, name).await? else { return Ok(None) };
    let spec = &repository.spec;
    let refuse = |message: String| Ok(Some(Err(Unregistered(message))));
    let Some(token) = token(context, namespace, &repository).await? else {
        return refuse("the webhook has no token yet: `hadesctl webhook` makes one".to_owned());
    };
    let Some(account_name) = &spec.account else {
        return refuse(
            "the repository has no spec.account: only with a GitAccount can Hades register \
             anything in a forge"
                .to_owned(),
        );
    };
    let found = git_account::credentials_for(context, account_name, namespace, &spec.url).await?;
    let (account, access) = match found {
        Ok(found) => found,
        Err(refusal) => return refuse(refusal.message),
    };
    let api = match account.provider {
        GitProvider::Github => forge_api::Api::Github,
        GitProvider::Gitlab => forge_api::Api::Gitlab,
        GitProvider::Gitea => forge_api::Api::Gitea,
        GitProvider::Bitbucket | GitProvider::Generic => {
            return refuse(format!(
                "GitAccount {account_name} is of a forge whose webhooks Hades can't register; \
                 `hadesctl webhook` without --register shows the steps"
            ));
        }
    };
    let clear = used::of_git(&access.credentials);
    let (Some(place), Some(credential)) =
        (Place::new(api, account.url(), &spec.url), credential(access.credentials.http))
    else {
        return refuse(format!(
            "GitAccount {account_name} has no token, or spec.url names no repository of a forge"
        ));
    };
    let wanted =
        Wanted { url: &url, token: token.expose_secret(), tags: spec.followed_branch().is_none() };
    let done = register(&place, &wanted, &credential, access.extra_ca.as_deref()).await;
    let outcome = match done {
        Ok(Outcome::Created) => "created",
        Ok(Outcome::Updated) => "updated",
        Err(error) => {
            // The forge's words, which may repeat what it was asked with.
            let mut words = error.to_string();
            redact(&clear, &mut words);
            redact(&context.redactor(namespace), &mut words);
            return refuse(words);
        }
    };
    let note = format!("the webhook of {} was {outcome} in its forge", place.repository);
    context.events.normal(&repository, reason::WEBHOOK_REGISTERED, "Webhook", note).await;
    Ok(Some(Ok(Registered { outcome, repository: place.repository, url })))
}

async fn read(
    context: &Context,
    namespace: &str,
    name: &str,
) -> Result<Option<ConfigRepository>, ReconcileError> {
    let api: Api<ConfigRepository> = Api::namespaced(context.client.clone(), namespace);
    let action = format!("read ConfigRepository {namespace}/{name}");
    api.get_opt(name).await.map_err(ReconcileError::api(action))
}

async fn token(
    context: &Context,
    namespace: &str,
    repository: &ConfigRepository,
) -> Result<Option<SecretString>, ReconcileError> {
    let Some(webhook) = &repository.spec.webhook else { return Ok(None) };
    let name = &webhook.secret_ref.name;
    let action = format!("read Secret {namespace}/{name}");
    let token = read_token(context, namespace, name).await.map_err(ReconcileError::api(action))?;
    Ok(token.filter(|token| !token.expose_secret().is_empty()))
}

/// What a forge's API takes, which is what it takes for git.
fn credential(http: Option<HttpCredentials>) -> Option<SecretString> {
    match http? {
        HttpCredentials::Basic { username: _, password } => Some(password),
        HttpCredentials::Bearer(token) => Some(token),
    }
}

fn provider_of(url: &str) -> Option<GitProvider> {
    match host_of(url)?.as_str() {
        "github.com" => Some(GitProvider::Github),
        "gitlab.com" => Some(GitProvider::Gitlab),
        "bitbucket.org" => Some(GitProvider::Bitbucket),
        "codeberg.org" => Some(GitProvider::Gitea),
        _ => None,
    }
}

fn word(provider: GitProvider) -> Option<&'static str> {
    match provider {
        GitProvider::Github => Some("github"),
        GitProvider::Gitlab => Some("gitlab"),
        GitProvider::Gitea => Some("gitea"),
        GitProvider::Bitbucket => Some("bitbucket"),
        GitProvider::Generic => None,
    }
}
