//! The certificates of the API while the server runs: its own is renewed in time,
//! and one that it was given is read again when its files change.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hades_apiserver::ServerTls;
use hades_apiserver::bootstrap::Installation;
use hades_controllers::error_chain;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::certificates::{CertificateError, Files};

/// How often to see whether the own certificate is about to expire.
const RENEW_EVERY: Duration = Duration::from_secs(6 * 60 * 60);

/// Keeps the certificates current until `shutdown`.
///
/// # Errors
/// When the given certificate can't be used now.
pub(crate) fn keep(
    installation: Arc<Installation>,
    given: Option<(PathBuf, PathBuf)>,
    shutdown: &CancellationToken,
) -> Result<(), CertificateError> {
    if let Some((chain, key)) = given {
        let mut files = Files::read(&chain, &key)?;
        show(&files, &installation.tls)?;
        let (tls, ends) = (installation.tls.clone(), shutdown.clone());
        tokio::spawn(async move {
            files.watch("certificate of --tls-cert", &ends, |files| show(files, &tls)).await;
        });
    }
    tokio::spawn(renew(installation, shutdown.clone()));
    Ok(())
}

fn show(files: &Files, tls: &ServerTls) -> Result<(), CertificateError> {
    let (chain, key) = files.texts()?;
    tls.show(chain, key).map_err(|source| files.unusable(source))
}

async fn renew(installation: Arc<Installation>, shutdown: CancellationToken) {
    while shutdown.run_until_cancelled(tokio::time::sleep(RENEW_EVERY)).await.is_some() {
        let installation = Arc::clone(&installation);
        let renewed = tokio::task::spawn_blocking(move || installation.renew(Timestamp::now()));
        match renewed.await {
            Ok(Ok(false)) | Err(_) => {}
            Ok(Ok(true)) => tracing::info!("the server's own certificate was made anew"),
            Ok(Err(error)) => tracing::error!(
                error = error_chain(&error),
                "the server's own certificate can't be made anew; the former one stays in use"
            ),
        }
    }
}
