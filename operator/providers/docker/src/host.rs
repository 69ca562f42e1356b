//! One Docker host as a provider.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use bollard::query_parameters::{
    InspectContainerOptions, ListContainersOptionsBuilder, ListImagesOptions, ListNetworksOptions,
    ListVolumesOptions,
};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use hades_plan::{Action, HostSnapshot, PublishedPort};
use hades_provider::coalesce::Coalesced;
use hades_provider::steps::Steps;
use hades_provider::{
    ByteStream, Connect, ContainerStats, DiskUsage, ExecOptions, ExecSession, HostAddress,
    HostInfo, LogOptions, LogStream, NewVolume, Outcome, Provider, ProviderError, PullOptions,
    VolumeArchive, Wake,
};

use crate::calls::Calls;
use crate::client::Client;
use crate::disk::Disk;
use crate::failure::Failure;
use crate::listing::{self, DormantPorts, Lists};
use crate::transport::Transport;
use crate::wakes::{self, Index};
use crate::{exec, logs, stats, volumes};

/// Inspections at once, when containers that don't run have to be looked at.
const INSPECTIONS_AT_ONCE: usize = 8;
/// How long an inspection for ports may take. The engine locks a container while
/// files are copied out of it or into it, however long that takes; until then its
/// ports are unknown.
const INSPECTION_LIMIT: Duration = Duration::from_secs(4);

/// Makes Docker hosts from endpoints.
#[derive(Debug, Clone)]
pub struct DockerConnect {
    installation: String,
}

impl DockerConnect {
    /// For hosts on which only things that carry this installation's id may be
    /// changed.
    pub fn new(installation: impl Into<String>) -> Self {
        Self { installation: installation.into() }
    }
}

impl Connect for DockerConnect {
    fn connect(&self, address: &HostAddress) -> Result<Arc<dyn Provider>, ProviderError> {
        Ok(Arc::new(DockerHost::at(address, &self.installation)?))
    }
}

/// A Docker host. Nothing is sent before the first call; a lost connection is
/// made anew at the next one.
pub struct DockerHost {
    client: Arc<Client>,
    steps: Steps<Calls>,
    looks: Coalesced<Result<Arc<HostSnapshot>, ProviderError>>,
    /// Ports of containers that don't run, which can't change: a container is
    /// inspected once in its life.
    dormant: Mutex<DormantPorts>,
    index: Arc<RwLock<Index>>,
    disk: Disk,
}

impl fmt::Debug for DockerHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DockerHost")
            .field("endpoint", self.client.endpoint())
            .finish_non_exhaustive()
    }
}

impl DockerHost {
    /// The host at `endpoint` (`unix:///…`), on which only what `installation`
    /// made may be changed.
    ///
    /// # Errors
    /// [`ErrorClass::Terminal`](hades_provider::ErrorClass::Terminal) when that is
    /// no endpoint, or one that needs credentials.
    pub fn connect(endpoint: &str, installation: &str) -> Result<Self, ProviderError> {
        Self::at(&HostAddress::plain(endpoint), installation)
    }

    /// The host at `address`, on which only what `installation` made may be
    /// changed.
    ///
    /// # Errors
    /// [`ErrorClass::Terminal`](hades_provider::ErrorClass::Terminal) when that is
    /// no endpoint, or the credentials aren't what it needs.
    pub fn at(address: &HostAddress, installation: &str) -> Result<Self, ProviderError> {
        let client = Arc::new(Client::new(Transport::new(address)?));
        let steps = Steps::new(Calls::new(client.clone()), Some(installation.to_owned()));
        Ok(Self {
            client,
            steps,
            looks: Coalesced::default(),
            dormant: Mutex::default(),
            index: Arc::default(),
            disk: Disk::default(),
        })
    }

    /// The four lists at once, and an inspection of each container whose ports
    /// they don't tell, once in its life.
    async fn look(&self) -> Result<HostSnapshot, Failure> {
        let containers = self.client.look(|docker| async move {
            let options = ListContainersOptionsBuilder::new().all(true).build();
            docker.list_containers(Some(options)).await
        });
        let networks = self
            .client
            .look(|docker| async move { docker.list_networks(None::<ListNetworksOptions>).await });
        let volumes = self
            .client
            .look(|docker| async move { docker.list_volumes(None::<ListVolumesOptions>).await });
        let images = self
            .client
            .look(|docker| async move { docker.list_images(None::<ListImagesOptions>).await });
        let (containers, networks, volumes, images) =
            tokio::try_join!(containers, networks, volumes, images)?;
        let unknown: Vec<String> = {
            let mut dormant = self.dormant.lock().unwrap_or_else(PoisonError::into_inner);
            let mut ids: Vec<_> = containers.iter().filter_map(listing::needs_inspection).collect();
            ids.sort_unstable();
            dormant.retain(|id, _| ids.binary_search(&id.as_str()).is_ok());
            ids.into_iter().filter(|id| !dormant.contains_key(*id)).map(str::to_owned).collect()
        };
        let inspected = self.inspect_ports(unknown).await?;
        let volumes = volumes.volumes.unwrap_or_default();
        let lists = Lists { containers, networks, volumes, images };
        let snapshot = {
            let mut dormant = self.dormant.lock().unwrap_or_else(PoisonError::into_inner);
            dormant.extend(inspected);
            listing::snapshot(lists, &dormant)
        };
        let index = Index::new(&snapshot, self.steps.installation());
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = index;
        Ok(snapshot)
    }

    async fn inspect_ports(
        &self,
        ids: Vec<String>,
    ) -> Result<HashMap<String, Vec<PublishedPort>>, Failure> {
        stream::iter(ids)
            .map(|id| async move {
                let name = id.clone();
                let found = self.client.look(|docker| async move {
                    docker.inspect_container(&name, None::<InspectContainerOptions>).await
                });
                match tokio::time::timeout(INSPECTION_LIMIT, found).await {
                    Ok(Ok(found)) => {
                        let bindings = found.host_config.and_then(|config| config.port_bindings);
                        Ok(Some((id, listing::bound(&bindings.unwrap_or_default()))))
                    }
                    // Gone since the list was made.
                    Ok(Err(failure)) if failure.is_not_found() => Ok(Some((id, Vec::new()))),
                    Ok(Err(failure)) => Err(failure),
                    Err(_) => Ok(None),
                }
            })
            .buffer_unordered(INSPECTIONS_AT_ONCE)
            .try_filter_map(|known| async move { Ok(known) })
            .try_collect()
            .await
    }
}

#[async_trait]
impl Provider for DockerHost {
    async fn describe(&self) -> Result<HostInfo, ProviderError> {
        let version = self.client.look(|docker| async move { docker.version().await });
        let info = self.client.look(|docker| async move { docker.info().await });
        let (version, info) =
            tokio::try_join!(version, info).map_err(Failure::into_provider_error)?;
        Ok(HostInfo {
            version: version.version.unwrap_or_default(),
            cpus: info.ncpu.and_then(|cpus| u32::try_from(cpus).ok()).unwrap_or_default(),
            memory: info.mem_total.unwrap_or_default(),
        })
    }

    async fn observe(&self) -> Result<Arc<HostSnapshot>, ProviderError> {
        let look =
            || async { self.look().await.map(Arc::new).map_err(Failure::into_provider_error) };
        self.looks.get(look).await
    }

    async fn execute(&self, action: &Action) -> Result<Outcome, ProviderError> {
        self.steps.execute(action).await
    }

    async fn pull(&self, action: &Action, options: &PullOptions) -> Result<Outcome, ProviderError> {
        self.steps.pull(action, options).await
    }

    async fn disk(&self) -> Result<Option<DiskUsage>, ProviderError> {
        self.disk.usage(&self.client).await
    }

    fn wakes(&self) -> BoxStream<'static, Wake> {
        let installation = self.steps.installation().map(str::to_owned);
        wakes::listen(self.client.clone(), installation, self.index.clone())
    }

    async fn logs(&self, id: &str, options: &LogOptions) -> Result<LogStream, ProviderError> {
        logs::open(self.client.clone(), id, options).await
    }

    async fn exec(&self, id: &str, options: &ExecOptions) -> Result<ExecSession, ProviderError> {
        exec::start(self.client.clone(), id, options).await
    }

    async fn stats(&self, id: &str) -> Result<ContainerStats, ProviderError> {
        stats::look(&self.client, id).await
    }

    async fn dial(&self, address: SocketAddr) -> Result<ByteStream, ProviderError> {
        self.client.transport().dial(address).await
    }

    async fn volume_writers(&self, name: &str) -> Result<Vec<String>, ProviderError> {
        volumes::writers(&self.client, name).await
    }

    async fn read_volume(&self, name: &str) -> Result<VolumeArchive, ProviderError> {
        volumes::read(self.client.clone(), self.steps.installation(), name).await
    }

    async fn fill_volume(
        &self,
        volume: NewVolume<'_>,
        content: VolumeArchive,
    ) -> Result<(), ProviderError> {
        volumes::fill(&self.client, self.steps.installation(), volume, content).await
    }
}
