//! Webhooks of config repositories: where a forge delivers to, and having Hades
//! register them there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde::Deserialize;
use serde_json::json;

use crate::{Error, FIELD_MANAGER, Session, catalog, object};

/// Key of the token in its Secret.
pub const KEY: &str = "token";

/// How the webhook of a repository stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Where a forge delivers to.
    pub url: String,
    /// Whether that is an address which forges reach and trust: `hades serve` was
    /// given one by `--public-url`.
    pub public: bool,
    /// What runs at the host of the repository, as far as that can be told:
    /// `github`, `gitlab`, `gitea`, `bitbucket`.
    #[serde(default)]
    pub forge: Option<String>,
    /// GitAccount of the repository.
    #[serde(default)]
    pub account: Option<String>,
    /// Secret that `spec.webhook` names.
    #[serde(default)]
    pub secret: Option<String>,
    /// Whether that Secret is there and holds a token.
    pub has_token: bool,
}

/// What registering did.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    /// `created` or `updated`.
    pub outcome: String,
    /// `owner/name` in the forge.
    pub repository: String,
    /// Where it delivers to.
    pub url: String,
}

/// How the webhook of a repository stands.
///
/// # Errors
/// When the repository isn't there, or the server refuses or doesn't answer.
pub async fn describe(session: &Session, namespace: &str, name: &str) -> Result<Webhook, Error> {
    let request = Request::get(path(namespace, name)).body(vec![]);
    let request = request.map_err(|error| session.protocol(error))?;
    session.client().request(request).await.map_err(|error| session.error(error))
}

/// Has Hades register the webhook in the forge, by the repository's GitAccount. One
/// that is there with the same URL is updated.
///
/// # Errors
/// [`Error::Api`] with what the forge says, or when the server doesn't answer.
pub async fn register(session: &Session, namespace: &str, name: &str) -> Result<Registered, Error> {
    let request = Request::post(path(namespace, name))
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(b"{}".to_vec());
    let request = request.map_err(|error| session.protocol(error))?;
    session.client().request(request).await.map_err(|error| session.error(error))
}

/// Makes the Secret of a webhook, or gives the one that is there a new token, and
/// names it in the repository's spec.
///
/// # Errors
/// When the server refuses or doesn't answer.
pub async fn set_token(
    session: &Session,
    (namespace, name): (&str, &str),
    secret: &str,
    token: &str,
) -> Result<(), Error> {
    let api: Api<Secret> = Api::namespaced(session.client().clone(), namespace);
    let manifest = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": secret, "namespace": namespace},
        "data": {KEY: STANDARD.encode(token)},
    });
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    api.patch(secret, &parameters, &Patch::Apply(&manifest))
        .await
        .map_err(|error| session.error(error))?;
    let patch = json!({"spec": {"webhook": {"secretRef": {"name": secret}}}});
    let kind = catalog::config_repository();
    object::merge(session, &kind, Some(namespace), name, &patch).await?;
    Ok(())
}

/// A token that nobody guesses, in the form that GitLab wants of a signing token;
/// to all others it is any text.
///
/// # Errors
/// When the system has no random numbers.
pub fn new_token() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(format!("whsec_{}", STANDARD.encode(bytes)))
}

/// Name of the Secret that is made for a repository.
pub fn secret_name(repository: &str) -> String {
    format!("{repository}-webhook")
}

/// Names are DNS labels or subdomains, so nothing in them needs quoting.
fn path(namespace: &str, name: &str) -> String {
    format!(
        "/apis/operations.hades.dev/v1alpha1/namespaces/{namespace}/configrepositories/{name}/webhook"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_fit_every_forge() {
        let (a, b) = (new_token().unwrap(), new_token().unwrap());
        assert_ne!(a, b);
        let key = STANDARD.decode(a.strip_prefix("whsec_").unwrap()).unwrap();
        assert_eq!(key.len(), 32);
    }

    #[test]
    fn reads_what_the_server_says() {
        let webhook: Webhook = serde_json::from_value(json!({
            "url": "https://h/hooks/config/shop/config", "public": true, "hasToken": false,
        }))
        .unwrap();
        assert_eq!((webhook.secret, webhook.forge, webhook.has_token), (None, None, false));
    }
}
