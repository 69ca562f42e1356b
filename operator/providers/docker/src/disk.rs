//! How full the disk of an engine is.

use hades_provider::{DiskUsage, ProviderError};

use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::failure::Failure;

/// The disk that the engine keeps images and volumes on. It can be told of an
/// engine on this machine whose folder is seen from here; an engine that is
/// reached otherwise doesn't say how much room it has.
pub(crate) async fn usage(client: &Client) -> Result<Option<DiskUsage>, ProviderError> {
    if !matches!(client.endpoint(), Endpoint::Unix(_)) {
        return Ok(None);
    }
    let info = client.look(|docker| async move { docker.info().await }).await;
    let Some(folder) = info.map_err(Failure::into_provider_error)?.docker_root_dir else {
        return Ok(None);
    };
    // A disk that hangs must not hold up what else runs here.
    let found = tokio::task::spawn_blocking(move || rustix::fs::statvfs(folder)).await;
    Ok(found.ok().and_then(Result::ok).map(|disk| DiskUsage {
        total: disk.f_frsize.saturating_mul(disk.f_blocks),
        free: disk.f_frsize.saturating_mul(disk.f_bavail),
    }))
}
