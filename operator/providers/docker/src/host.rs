//! One Docker host as a provider.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use async_trait::async_trait;
use bollard::query_parameters::{
    InspectContainerOptions, ListContainersOptionsBuilder, ListImagesOptions, ListNetworksOptions,
    ListVolumesOptions,
};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use hades_api::reason;
use hades_plan::{Action, HostSnapshot, PublishedPort};
use hades_provider::coalesce::Coalesced;
use hades_provider::steps::Steps;
use hades_provider::{
    Connect, ErrorClass, HostInfo, LogOptions, LogStream, Outcome, Provider, ProviderError, Wake,
};

use crate::calls::Calls;
use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::listing::{self, DormantPorts, Lists};
use crate::logs;
use crate::wakes::{self, Index};

/// Inspections at once, when containers that don't run have to be looked at.
const INSPECTIONS_AT_ONCE: usize = 8;

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
    fn connect(&self, endpoint: &str) -> Result<Arc<dyn Provider>, ProviderError> {
        Ok(Arc::new(DockerHost::connect(endpoint, &self.installation)?))
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
    /// [`ErrorClass::Terminal`] when that is no endpoint.
    pub fn connect(endpoint: &str, installation: &str) -> Result<Self, ProviderError> {
        let endpoint = Endpoint::parse(endpoint).map_err(|error| {
            ProviderError::new(ErrorClass::Terminal, reason::INVALID_ENDPOINT, error.to_string())
        })?;
        let client = Arc::new(Client::new(endpoint));
        let steps = Steps::new(Calls::new(client.clone()), Some(installation.to_owned()));
        Ok(Self {
            client,
            steps,
            looks: Coalesced::default(),
            dormant: Mutex::default(),
            index: Arc::default(),
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
                match found.await {
                    Ok(found) => {
                        let bindings = found.host_config.and_then(|config| config.port_bindings);
                        Ok((id, listing::bound(&bindings.unwrap_or_default())))
                    }
                    // Gone since the list was made.
                    Err(failure) if failure.is_not_found() => Ok((id, Vec::new())),
                    Err(failure) => Err(failure),
                }
            })
            .buffer_unordered(INSPECTIONS_AT_ONCE)
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

    fn wakes(&self) -> BoxStream<'static, Wake> {
        let installation = self.steps.installation().map(str::to_owned);
        wakes::listen(self.client.clone(), installation, self.index.clone())
    }

    async fn logs(&self, id: &str, options: &LogOptions) -> Result<LogStream, ProviderError> {
        logs::open(self.client.clone(), id, options).await
    }
}
