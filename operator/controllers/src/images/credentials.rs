//! With whose credentials the images of an environment are pulled.

use std::collections::{BTreeMap, BTreeSet};

use hades_api::{
    EnvironmentSpec, ProjectPolicy, RegistryAccount, RegistryAccountSpec, SYSTEM_NAMESPACE, reason,
};
use hades_plan::SecretData;
use hades_registry::{Credentials, ImageName, Keyring, Login, Prefix, docker_config};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use secrecy::ExposeSecret;

use crate::Context;
use crate::driver::ReconcileError;
use crate::environment::{Fault, secrets};

/// Key of a Secret of type `kubernetes.io/dockerconfigjson`.
const DOCKER_CONFIG: &str = ".dockerconfigjson";

/// Credentials by the repository that they are used for.
#[derive(Debug, Clone, Default)]
pub(crate) struct PullKeys {
    by_repository: BTreeMap<String, Credentials>,
}

impl PullKeys {
    /// The credentials for an image, by any of its names.
    pub(crate) fn find(&self, image: &str) -> Option<&Credentials> {
        self.by_repository.get(&ImageName::parse(image).ok()?.full_repository())
    }

    /// The same as long as they are the same; for comparing in memory alone.
    pub(crate) fn identity(&self) -> String {
        let parts = self.by_repository.iter();
        parts.map(|(repository, found)| format!("{repository} {}\n", found.identity())).collect()
    }
}

/// Finds the credentials for every image of an environment: those of a service's own
/// Secrets, of `spec.defaults`, and of the RegistryAccounts that allow the project,
/// in that order; of the accounts only those that the project's policy allows, too.
/// `known` are the Secrets of the project that the spec names.
pub(crate) async fn pull_keys(
    context: &Context,
    project: &str,
    spec: &EnvironmentSpec,
    known: &BTreeMap<String, SecretData>,
    policy: &ProjectPolicy,
) -> Result<Result<PullKeys, Vec<Fault>>, ReconcileError> {
    let images: Vec<(&String, ImageName)> = spec
        .services
        .iter()
        .filter_map(|(name, service)| {
            Some((name, ImageName::parse(service.image.as_deref()?).ok()?))
        })
        .collect();
    let mut faults = Vec::new();
    let mut logins = |field: String, name: &str| match known.get(name).map(stored_config) {
        Some(Some(Ok(logins))) => logins,
        Some(Some(Err(message))) => {
            faults.push(Fault { reason: reason::INVALID_SPEC, field, message });
            Vec::new()
        }
        // What is missing is said where the spec is resolved.
        Some(None) | None => Vec::new(),
    };
    let defaults =
        spec.defaults.iter().flat_map(|defaults| defaults.image_pull_secrets.iter().flatten());
    let defaults: Vec<Login> = defaults
        .flat_map(|secret| logins("spec.defaults.imagePullSecrets".to_owned(), &secret.name))
        .collect();
    let accounts = account_logins(context, project, &images, policy).await?;
    let mut keys = PullKeys::default();
    for (name, image) in &images {
        let own = spec
            .services
            .get(*name)
            .into_iter()
            .flat_map(|s| s.image_pull_secrets.iter().flatten());
        let field = || format!("spec.services.{name}.imagePullSecrets");
        let mut keyring = Keyring::new();
        keyring.add(own.flat_map(|secret| logins(field(), &secret.name)).collect());
        keyring.add(defaults.clone());
        keyring.add(accounts.clone());
        if let Some(found) = keyring.find(image) {
            keys.by_repository.entry(image.full_repository()).or_insert_with(|| found.clone());
        }
    }
    Ok(if faults.is_empty() { Ok(keys) } else { Err(faults) })
}

fn stored_config(data: &SecretData) -> Option<Result<Vec<Login>, String>> {
    let text = data.0.get(DOCKER_CONFIG)?;
    Some(docker_config(text.expose_secret()).map_err(|error| format!("its Secret: {error}")))
}

async fn account_logins(
    context: &Context,
    project: &str,
    images: &[(&String, ImageName)],
    policy: &ProjectPolicy,
) -> Result<Vec<Login>, ReconcileError> {
    let accounts: Api<RegistryAccount> = Api::all(context.client.clone());
    let list = accounts
        .list(&ListParams::default())
        .await
        .map_err(ReconcileError::api("list RegistryAccounts"))?;
    let used: Vec<RegistryAccountSpec> = list
        .into_iter()
        .filter(|account| policy.allows_registry_account(&account.name_any()))
        .map(|account| account.spec)
        .filter(|spec| {
            let prefix = Prefix::parse(&spec.registry);
            spec.allows(project) && images.iter().any(|(_, image)| prefix.covers(image))
        })
        .collect();
    let names: BTreeSet<String> = used.iter().map(|spec| spec.secret_ref.name.clone()).collect();
    let secrets = secrets(context, SYSTEM_NAMESPACE, &names).await?;
    // One that can't be used says so in its own status.
    Ok(used
        .iter()
        .filter_map(|spec| account_login(spec, secrets.get(&spec.secret_ref.name)?).ok())
        .collect())
}

/// The login that an account's Secret holds.
pub(crate) fn account_login(
    spec: &RegistryAccountSpec,
    data: &SecretData,
) -> Result<Login, String> {
    let prefix = Prefix::parse(&spec.registry);
    let text = |key: &str| data.0.get(key).map(|value| value.expose_secret().trim());
    if let (Some(username), Some(password)) = (text("username"), text("password")) {
        return Ok(Login { credentials: Credentials::basic(username, password), prefix });
    }
    let config = text(DOCKER_CONFIG)
        .ok_or_else(|| format!("it needs the keys username and password, or {DOCKER_CONFIG}"))?;
    let logins = docker_config(config).map_err(|error| error.to_string())?;
    let login = logins
        .into_iter()
        .filter(|login| login.prefix.registry == prefix.registry)
        .max_by_key(|login| prefix.path.starts_with(&login.prefix.path));
    match login {
        Some(login) => Ok(Login { prefix, credentials: login.credentials }),
        None => Err(format!("its {DOCKER_CONFIG} has no entry for {}", prefix.registry)),
    }
}
