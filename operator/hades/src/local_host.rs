//! The DockerHost `local`, made at the first start when the local engine
//! answers, so that a new user needs not know what a DockerHost is.

use std::path::Path;
use std::time::Duration;

use hades_api::{DockerHost, DockerHostSpec};
use hades_provider::Connect;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::time::timeout;

/// Name of the host.
pub(crate) const NAME: &str = "local";

/// A local engine that takes longer than this isn't one to begin with.
const PATIENCE: Duration = Duration::from_secs(3);

/// Makes it unless any DockerHost is there. Says whether it did.
pub(crate) async fn ensure(
    client: &Client,
    connect: &dyn Connect,
    socket: &Path,
) -> Result<bool, kube::Error> {
    let hosts: Api<DockerHost> = Api::all(client.clone());
    if !hosts.list_metadata(&Default::default()).await?.items.is_empty() {
        return Ok(false);
    }
    let endpoint = format!("unix://{}", socket.display());
    let Ok(provider) = connect.connect(&endpoint) else { return Ok(false) };
    let answers = timeout(PATIENCE, provider.describe()).await.is_ok_and(|info| info.is_ok());
    if !answers {
        return Ok(false);
    }
    let host = DockerHost::new(NAME, DockerHostSpec { endpoint, ..DockerHostSpec::default() });
    hosts.create(&PostParams::default(), &host).await?;
    Ok(true)
}
