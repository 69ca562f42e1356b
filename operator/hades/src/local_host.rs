//! The DockerHost `local`, made at the first start when the local engine
//! answers, so that a new user needs not know what a DockerHost is.

use std::path::Path;
use std::time::Duration;

use hades_api::{DockerHost, DockerHostSpec, SYSTEM_NAMESPACE};
use hades_provider::{Connect, HostAddress};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::time::timeout;

/// Name of the host.
pub(crate) const NAME: &str = "local";

/// A local engine that takes longer than this isn't one to begin with.
const PATIENCE: Duration = Duration::from_secs(3);

/// On the namespace of the installation: the host was made once. Whoever deletes
/// it doesn't want it back at the next start.
const MADE: &str = "hades.dev/local-host-made";

/// Makes it unless any DockerHost is there or it was made before. Says whether it
/// did.
pub(crate) async fn ensure(
    client: &Client,
    connect: &dyn Connect,
    socket: &Path,
) -> Result<bool, kube::Error> {
    let hosts: Api<DockerHost> = Api::all(client.clone());
    if !hosts.list_metadata(&Default::default()).await?.items.is_empty() {
        return Ok(false);
    }
    let namespaces: Api<Namespace> = Api::all(client.clone());
    if namespaces.get(SYSTEM_NAMESPACE).await?.annotations().contains_key(MADE) {
        return Ok(false);
    }
    let endpoint = format!("unix://{}", socket.display());
    let address = HostAddress::plain(&endpoint);
    let Ok(provider) = connect.connect(&address) else { return Ok(false) };
    let answers = timeout(PATIENCE, provider.describe()).await.is_ok_and(|info| info.is_ok());
    if !answers {
        return Ok(false);
    }
    let host = DockerHost::new(NAME, DockerHostSpec { endpoint, ..DockerHostSpec::default() });
    hosts.create(&PostParams::default(), &host).await?;
    let made = json!({"metadata": {"annotations": {MADE: "true"}}});
    let parameters = PatchParams::default();
    namespaces.patch_metadata(SYSTEM_NAMESPACE, &parameters, &Patch::Merge(made)).await?;
    Ok(true)
}
