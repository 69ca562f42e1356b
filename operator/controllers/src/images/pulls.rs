//! Pulls an image for an environment: recorded before, told while it goes on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hades_api::{Environment, reason};
use hades_plan::Action;
use hades_provider::{
    ErrorClass, Outcome, Provider, ProviderError, PullCredentials, PullOptions, PullProgress,
};
use hades_registry::Credentials;

use super::credentials::PullKeys;
use super::keep;
use crate::Context;
use crate::error_chain::error_chain;
use crate::events::Series;
use crate::redaction::{redact, used};

/// How often a pull says how far it has come.
const PROGRESS: Duration = Duration::from_secs(5);

/// Where an environment has its images pulled.
pub(crate) struct PullDesk<'a> {
    pub(crate) context: &'a Context,
    pub(crate) environment: &'a Environment,
    pub(crate) keys: &'a PullKeys,
}

impl PullDesk<'_> {
    /// Carries out an action that pulls an image.
    pub(crate) async fn pull(
        &self,
        provider: &dyn Provider,
        action: &Action,
    ) -> Result<Outcome, ProviderError> {
        let (host, image) = (&action.target.host, &action.target.name);
        let context = self.context;
        // A crash must not leave an image that nobody would ever remove.
        keep::intend(context, host, image, context.now()).await.map_err(|error| {
            let message = format!("image {image} isn't pulled yet: {}", error_chain(&error));
            ProviderError::new(ErrorClass::Retry, reason::ACTION_FAILED, message)
        })?;
        let result = self.pull_and_tell(provider, action).await;
        let recorded = match &result {
            // Another environment's pull of it may have failed and been given up, or a
            // look may have taken what had the name before for what was to come.
            Ok(_) => keep::intend(context, host, image, context.now()).await,
            Err(_) => keep::give_up(context, host, image).await,
        };
        if let Err(error) = recorded {
            tracing::debug!(host, image, error = error_chain(&error), "a record isn't changed");
        }
        result
    }

    async fn pull_and_tell(
        &self,
        provider: &dyn Provider,
        action: &Action,
    ) -> Result<Outcome, ProviderError> {
        let (host, image) = (&action.target.host, &action.target.name);
        let started = Instant::now();
        let latest = Arc::new(Mutex::new(PullProgress::default()));
        let heard = latest.clone();
        let options = PullOptions {
            credentials: self.keys.find(image).map(credentials),
            progress: Some(Arc::new(move |progress| {
                *heard.lock().unwrap_or_else(PoisonError::into_inner) = progress;
            })),
        };
        let told = || *latest.lock().unwrap_or_else(PoisonError::into_inner);
        let mut series = Series::new(self.context, self.environment, reason::PULLING, "Pull");
        series.say(format!("pulling image {image} onto {host}")).await;
        let pull = provider.pull(action, &options);
        tokio::pin!(pull);
        let result = loop {
            tokio::select! {
                result = &mut pull => break result,
                () = tokio::time::sleep(PROGRESS) => {
                    series.say(format!("pulling image {image} onto {host}: {}", far(told()))).await;
                }
            }
        };
        let seconds = started.elapsed().as_secs_f64();
        let note = match &result {
            Ok(_) => {
                format!("pulled image {image} onto {host}: {} in {seconds:.1} s", size(told()))
            }
            // The words are in the event that says why the environment isn't ready.
            Err(_) => format!("image {image} was not pulled onto {host} ({seconds:.1} s)"),
        };
        series.say(note).await;
        result.map_err(|mut error| {
            if let Some(found) = self.keys.find(image) {
                redact(&used::of_registry(found), &mut error);
            }
            error
        })
    }
}

fn credentials(found: &Credentials) -> PullCredentials {
    match found {
        Credentials::Basic { username, password } => {
            PullCredentials::Basic { username: username.clone(), password: password.clone() }
        }
        Credentials::Token(token) => PullCredentials::Token(token.clone()),
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}

fn far(progress: PullProgress) -> String {
    let PullProgress { layers, layers_done, bytes, total_bytes } = progress;
    let (bytes, total) = (mebibytes(bytes), mebibytes(total_bytes));
    format!("{layers_done} of {layers} layers, {bytes} of {total} MiB")
}

fn size(progress: PullProgress) -> String {
    format!("{} layers, {} MiB fetched", progress.layers, mebibytes(progress.total_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_in_words() {
        let progress =
            PullProgress { layers: 7, layers_done: 3, bytes: 45 << 20, total_bytes: 120 << 20 };
        assert_eq!(far(progress), "3 of 7 layers, 45.0 of 120.0 MiB");
        assert_eq!(size(progress), "7 layers, 120.0 MiB fetched");
    }
}
