//! RegistryAccount: says whether the registry takes its credentials.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, future, stream};
use hades_api::{RegistryAccount, SYSTEM_NAMESPACE, condition, reason};
use hades_registry::{LoginAnswer, Registries, RegistryError};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use tokio::sync::OnceCell;

use crate::driver::{Meta, Progress, ReconcileError, Reconciler, references};
use crate::environment::secrets;
use crate::images::account_login;
use crate::status::{self, set_condition};
use crate::{Context, error_chain};

/// How often credentials that work are tried again.
const RECHECK: Duration = Duration::from_secs(3600);
/// How soon a registry that didn't answer is asked again.
const RETRY: Duration = Duration::from_secs(60);

/// Works on RegistryAccounts.
#[derive(Default)]
pub(crate) struct RegistryAccounts {
    registries: OnceCell<Registries>,
}

/// What a check found: truth, reason and message of `Ready`.
type Verdict = (bool, &'static str, String);

#[async_trait]
impl Reconciler for RegistryAccounts {
    type Kind = RegistryAccount;

    fn api(client: &Client, _namespace: Option<&str>) -> Api<RegistryAccount> {
        Api::all(client.clone())
    }

    fn wakes(
        &self,
        context: &Arc<Context>,
        store: Store<Meta<RegistryAccount>>,
    ) -> BoxStream<'static, ObjectRef<Meta<RegistryAccount>>> {
        let secrets: Api<PartialObjectMeta<Secret>> =
            Api::namespaced(context.client.clone(), SYSTEM_NAMESPACE);
        watcher(secrets, watcher::Config::default())
            .default_backoff()
            .touched_objects()
            .filter_map(|object| future::ready(object.ok()))
            .flat_map(move |_| stream::iter(references(&store, None)))
            .boxed()
    }

    async fn reconcile(
        &self,
        context: &Arc<Context>,
        account: RegistryAccount,
    ) -> Result<Progress, ReconcileError> {
        if account.meta().deletion_timestamp.is_some() {
            return Ok(Progress::Gone);
        }
        let (ready, reason, message) = self.check(context, &account).await?;
        let before = account.status.clone().unwrap_or_default();
        let mut after = before.clone();
        after.observed_generation = account.meta().generation;
        let words = (reason, message.as_str());
        let truth = (condition::READY, ready);
        set_condition(&mut after.conditions, &account, truth, words, context.now());
        let known = condition::find(&before.conditions, condition::READY);
        if known.is_none_or(|known| known.reason != reason) {
            match ready {
                true => context.events.normal(&account, reason, "LogIn", message).await,
                false => context.events.warning(&account, reason, "LogIn", message).await,
            }
        }
        status::write(&Self::api(&context.client, None), &account, &before, &after).await?;
        Ok(Progress::After(if ready { RECHECK } else { RETRY }))
    }
}

impl RegistryAccounts {
    async fn check(
        &self,
        context: &Context,
        account: &RegistryAccount,
    ) -> Result<Verdict, ReconcileError> {
        let name = &account.spec.secret_ref.name;
        let found = secrets(context, SYSTEM_NAMESPACE, &BTreeSet::from([name.clone()])).await?;
        let Some(data) = found.get(name) else {
            let message = format!("there is no Secret {name:?} in namespace {SYSTEM_NAMESPACE}");
            return Ok((false, reason::SECRET_NOT_FOUND, message));
        };
        let login = match account_login(&account.spec, data) {
            Ok(login) => login,
            Err(problem) => {
                let message = format!("Secret {name:?} can't be used: {problem}");
                return Ok((false, reason::SECRET_NOT_FOUND, message));
            }
        };
        let registries = self
            .registries
            .get_or_try_init(|| async { Registries::new() })
            .await
            .map_err(|error| ReconcileError::Internal(error_chain(&error)))?;
        let registry = &login.prefix.registry;
        Ok(match registries.log_in(&login.prefix, &login.credentials).await {
            Ok(LoginAnswer::Accepted) => (
                true,
                reason::LOGIN_SUCCEEDED,
                format!("registry {registry} takes the credentials"),
            ),
            Ok(LoginAnswer::NotNeeded) => {
                let message = format!("registry {registry} asks nobody for credentials");
                (true, reason::LOGIN_SUCCEEDED, message)
            }
            Err(error) => (false, reason_of(&error), error.to_string()),
        })
    }
}

fn reason_of(error: &RegistryError) -> &'static str {
    match error {
        RegistryError::Unauthorized { .. } => reason::REGISTRY_UNAUTHORIZED,
        RegistryError::RateLimited { .. } => reason::REGISTRY_RATE_LIMITED,
        RegistryError::NotFound { .. }
        | RegistryError::Unreachable { .. }
        | RegistryError::Unexpected { .. } => reason::REGISTRY_UNREACHABLE,
    }
}
