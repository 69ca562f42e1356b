//! age keys that sealed files of repositories are opened with. Each repository and each
//! project has one, made here once and kept in a Secret that nobody reads back.

use std::collections::BTreeMap;

use hades_api::{SOPS_AGE_TYPE, SOPS_IDENTITY, label, reason};
use hades_sops::{Keys, MAX_IDENTITIES, SopsError, new_identity};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use secrecy::ExposeSecret;
use secrecy::zeroize::Zeroizing;

use crate::Context;
use crate::driver::ReconcileError;
pub(crate) use crate::git_account::Refusal;

/// Ending of the keys of a Secret that hold identities, as Flux has it.
const IDENTITY_SUFFIX: &str = ".agekey";

/// The Secret with a repository's key.
pub(crate) fn of_repository(name: &str) -> String {
    format!("{}-{name}", of_project())
}

/// The Secret with a project's key, in the namespace of the project.
pub(crate) const fn of_project() -> &'static str {
    "sops-age"
}

/// Reads a key that Hades made, and makes it where it isn't there.
pub(crate) async fn keep(
    context: &Context,
    namespace: &str,
    name: &str,
) -> Result<Result<Keys, Refusal>, ReconcileError> {
    let api: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    if let Some(secret) = read(&api, namespace, name).await? {
        return Ok(made_by_hades(&secret, namespace, name));
    }
    let (secret, keys) = fresh(name);
    match api.create(&PostParams::default(), &secret).await {
        Ok(_) => Ok(Ok(keys)),
        // Somebody else was quicker, and it is theirs that counts.
        Err(kube::Error::Api(status)) if status.code == 409 => {
            let found = read(&api, namespace, name).await?.unwrap_or_default();
            Ok(made_by_hades(&found, namespace, name))
        }
        Err(error) => Err(ReconcileError::api(format!("create Secret {namespace}/{name}"))(error)),
    }
}

/// Reads a key that Hades made, if it is there.
pub(crate) async fn find(
    context: &Context,
    namespace: &str,
    name: &str,
) -> Result<Result<Keys, Refusal>, ReconcileError> {
    let api: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    Ok(match read(&api, namespace, name).await? {
        Some(secret) => made_by_hades(&secret, namespace, name),
        None => Ok(Keys::default()),
    })
}

/// Reads keys that a team brings.
pub(crate) async fn brought(
    context: &Context,
    namespace: &str,
    name: &str,
) -> Result<Result<Keys, Refusal>, ReconcileError> {
    let api: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    let Some(secret) = read(&api, namespace, name).await? else {
        let message = format!("there is no Secret {name} in namespace {namespace}");
        return Ok(Err(Refusal { reason: reason::SECRET_NOT_FOUND, message }));
    };
    if secret.type_.as_deref() == Some(SOPS_AGE_TYPE) {
        let words = "it is the key of a repository or project, which opens files for that one only";
        return Ok(Err(invalid(namespace, name, words)));
    }
    Ok(parse(&secret.data.unwrap_or_default())
        .map_err(|problem| invalid(namespace, name, &problem)))
}

async fn read(
    api: &Api<Secret>,
    namespace: &str,
    name: &str,
) -> Result<Option<Secret>, ReconcileError> {
    let found = api.get_opt(name).await;
    found.map_err(ReconcileError::api(format!("read Secret {namespace}/{name}")))
}

fn made_by_hades(secret: &Secret, namespace: &str, name: &str) -> Result<Keys, Refusal> {
    if secret.type_.as_deref() != Some(SOPS_AGE_TYPE) {
        let words = format!(
            "Hades keeps a key for sops under this name, and this one isn't of type \
             {SOPS_AGE_TYPE}; give it another name"
        );
        return Err(invalid(namespace, name, &words));
    }
    let data = secret.data.as_ref().and_then(|data| data.get(SOPS_IDENTITY));
    let text = data.and_then(|bytes| std::str::from_utf8(&bytes.0).ok()).unwrap_or_default();
    match Keys::parse(text) {
        Ok(keys) if !keys.is_empty() => Ok(keys),
        _ => {
            let words = format!("{SOPS_IDENTITY} holds no age identity; delete it for a new one");
            Err(invalid(namespace, name, &words))
        }
    }
}

/// All identities of a Secret. The error names keys only.
fn parse(data: &BTreeMap<String, ByteString>) -> Result<Keys, String> {
    let mut keys = Keys::default();
    for (key, ByteString(bytes)) in data {
        if key != SOPS_IDENTITY && !key.ends_with(IDENTITY_SUFFIX) {
            continue;
        }
        let text = std::str::from_utf8(bytes).map_err(|_| format!("{key} is no text"))?;
        match Keys::parse(text) {
            Ok(found) => keys.extend(found),
            Err(problem @ SopsError::TooManyIdentities { .. }) => return Err(problem.to_string()),
            Err(problem) => return Err(format!("{key}: {problem}")),
        }
        if keys.len() > MAX_IDENTITIES {
            return Err(SopsError::TooManyIdentities { limit: MAX_IDENTITIES }.to_string());
        }
    }
    if keys.is_empty() {
        return Err(format!(
            "it holds no age identity, neither under {SOPS_IDENTITY} nor under a key that ends in \
             {IDENTITY_SUFFIX}"
        ));
    }
    Ok(keys)
}

fn invalid(namespace: &str, name: &str, problem: &str) -> Refusal {
    let message = format!("Secret {namespace}/{name}: {problem}");
    Refusal { reason: reason::INVALID_SECRET, message }
}

/// A new key and the Secret that holds it. It can't be changed, only deleted.
fn fresh(name: &str) -> (Secret, Keys) {
    let (identity, recipient) = new_identity();
    let text = Zeroizing::new(format!("# public key: {recipient}\n{}\n", identity.expose_secret()));
    let keys = Keys::parse(&text).unwrap_or_default();
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(BTreeMap::from([(
                label::MANAGED_BY.to_owned(),
                label::MANAGER.to_owned(),
            )])),
            ..ObjectMeta::default()
        },
        type_: Some(SOPS_AGE_TYPE.to_owned()),
        immutable: Some(true),
        data: Some(BTreeMap::from([(
            SOPS_IDENTITY.to_owned(),
            ByteString(text.as_bytes().to_vec()),
        )])),
        ..Secret::default()
    };
    (secret, keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_read_again() {
        let (secret, keys) = fresh("sops-age-config");
        let read = made_by_hades(&secret, "shop", "sops-age-config").unwrap_or_default();
        assert_eq!(read.recipients(), keys.recipients());
        assert_eq!(keys.recipients().len(), 1);
        let foreign = Secret { type_: Some("Opaque".to_owned()), ..secret };
        let refusal = made_by_hades(&foreign, "shop", "sops-age-config").err().unwrap();
        assert!(refusal.message.contains("give it another name"), "{}", refusal.message);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_key_and_not_shown() {
        let data = |pairs: &[(&str, &str)]| {
            let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
            pairs.iter().map(|(key, text)| ((*key).to_owned(), bytes(text))).collect()
        };
        for (pairs, expected) in [
            (vec![], "no age identity"),
            (vec![("password", "hunter2")], "no age identity"),
            (vec![("team.agekey", "hunter2")], "team.agekey: line 1 is no age identity"),
        ] {
            let error = parse(&data(&pairs)).unwrap_err();
            assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
        }
        let (identity, recipient) = new_identity();
        let pairs = [("team.agekey", identity.expose_secret()), ("other", "x")];
        assert_eq!(parse(&data(&pairs)).unwrap().recipients(), [recipient]);
        // Each is an attempt to open each file.
        let many = format!("{}\n", identity.expose_secret()).repeat(MAX_IDENTITIES);
        assert_eq!(parse(&data(&[("a.agekey", &many)])).unwrap().len(), MAX_IDENTITIES);
        let more = format!("{many}{}\n", identity.expose_secret());
        for pairs in
            [vec![("a.agekey", more.as_str())], vec![("a.agekey", &many), ("b.agekey", &many)]]
        {
            let error = parse(&data(&pairs)).unwrap_err();
            assert_eq!(error, "it holds more than 32 age identities; take out old ones");
        }
    }
}
