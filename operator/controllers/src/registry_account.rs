//! RegistryAccount: says whether the registry takes its credentials.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::stream::BoxStream;
use hades_api::{RegistryAccount, SYSTEM_NAMESPACE, annotation, condition, reason};
use hades_registry::{Login, LoginAnswer, Registries, RegistryError};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, Resource, ResourceExt};
use tokio::sync::OnceCell;

use crate::driver::{Meta, Progress, ReconcileError, Reconciler};
use crate::environment::secrets;
use crate::images::account_login;
use crate::status::{self, set_condition};
use crate::{Context, error_chain, system_secrets};

/// How often credentials that work are tried again.
const RECHECK: Duration = Duration::from_secs(3600);
/// How soon a registry that didn't answer is asked again.
const RETRY: Duration = Duration::from_secs(60);

/// Works on RegistryAccounts.
#[derive(Default)]
pub(crate) struct RegistryAccounts {
    registries: OnceCell<Registries>,
    /// The latest logins, by name; may be lost at any time.
    logins: Mutex<HashMap<String, Tried>>,
}

/// A login that was tried.
struct Tried {
    /// With what, and who asked for it.
    what: String,
    /// When it is to be tried again.
    due: Instant,
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
        system_secrets::wakes(&context.client, store)
    }

    async fn reconcile(
        &self,
        context: &Arc<Context>,
        account: RegistryAccount,
    ) -> Result<Progress, ReconcileError> {
        if account.meta().deletion_timestamp.is_some() {
            return Ok(Progress::Gone);
        }
        let login = match login(context, &account).await? {
            Ok(login) => login,
            Err(verdict) => {
                self.forget_login(&account.name_any());
                record(context, &account, verdict).await?;
                return Ok(Progress::After(RETRY));
            }
        };
        // Any change of any Secret leads here: registries shut those out who log in
        // time and again.
        let what = attempt(&account, &login);
        if let Some(rest) = self.rest(&account, &what) {
            return Ok(Progress::After(rest));
        }
        let verdict = self.check(&login).await?;
        let pause = if verdict.0 { RECHECK } else { RETRY };
        record(context, &account, verdict).await?;
        let tried = Tried { what, due: Instant::now() + pause };
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        logins.insert(account.name_any(), tried);
        Ok(Progress::After(pause))
    }

    async fn forget(&self, _context: &Arc<Context>, _namespace: Option<&str>, name: &str) {
        self.forget_login(name);
    }
}

/// The login of an account, or why there is none.
async fn login(
    context: &Context,
    account: &RegistryAccount,
) -> Result<Result<Login, Verdict>, ReconcileError> {
    let name = &account.spec.secret_ref.name;
    let found = secrets(context, SYSTEM_NAMESPACE, &BTreeSet::from([name.clone()])).await?;
    let Some(data) = found.get(name) else {
        let message = format!("there is no Secret {name:?} in namespace {SYSTEM_NAMESPACE}");
        return Ok(Err((false, reason::SECRET_NOT_FOUND, message)));
    };
    Ok(account_login(&account.spec, data).map_err(|problem| {
        let message = format!("Secret {name:?} can't be used: {problem}");
        (false, reason::INVALID_SECRET, message)
    }))
}

/// The same as long as a login would be the same, and nobody asks for another one.
fn attempt(account: &RegistryAccount, login: &Login) -> String {
    let uid = account.uid().unwrap_or_default();
    let generation = account.meta().generation.unwrap_or_default();
    let asked = account.annotations().get(annotation::RECONCILE_REQUESTED_AT);
    let asked = asked.map(String::as_str).unwrap_or_default();
    format!("{uid}\n{generation}\n{asked}\n{}", login.credentials.identity())
}

/// Puts a verdict into the status, and tells when it is another one.
async fn record(
    context: &Context,
    account: &RegistryAccount,
    (ready, reason, message): Verdict,
) -> Result<(), ReconcileError> {
    let before = account.status.clone().unwrap_or_default();
    let mut after = before.clone();
    after.observed_generation = account.meta().generation;
    let words = (reason, message.as_str());
    let truth = (condition::READY, ready);
    set_condition(&mut after.conditions, account, truth, words, context.now());
    let known = condition::find(&before.conditions, condition::READY);
    if known.is_none_or(|known| known.reason != reason) {
        match ready {
            true => context.events.normal(account, reason, "LogIn", message).await,
            false => context.events.warning(account, reason, "LogIn", message).await,
        }
    }
    status::write(context, &RegistryAccounts::api(&context.client, None), account, &before, &after)
        .await
}

impl RegistryAccounts {
    fn forget_login(&self, name: &str) {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Time until a login is due that was tried lately.
    fn rest(&self, account: &RegistryAccount, what: &str) -> Option<Duration> {
        let logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        let tried = logins.get(&account.name_any()).filter(|tried| tried.what == what)?;
        Some(tried.due.saturating_duration_since(Instant::now())).filter(|rest| !rest.is_zero())
    }

    async fn check(&self, login: &Login) -> Result<Verdict, ReconcileError> {
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
