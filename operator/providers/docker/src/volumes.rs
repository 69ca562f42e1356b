//! The content of volumes: read and written as tar archives through a container
//! that mounts the volume and is never started, of an image that holds nothing,
//! so that no program runs and nothing is pulled.
//!
//! A volume that is filled is made together with that container, which goes when the
//! volume is whole, before anybody hears so: a volume beside which it is left was
//! filled in part.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bollard::models::{
    ContainerCreateBody, ContainerSummary, HostConfig, Mount, MountType, MountVolumeOptions,
    MountVolumeOptionsDriverConfig,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, DownloadFromContainerOptionsBuilder,
    ListContainersOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptions,
    UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use hades_api::{label, reason};
use hades_provider::{ErrorClass, NewVolume, ProviderError, VolumeArchive, ownership};

use crate::client::Client;
use crate::config::VOLUME_DRIVER;
use crate::failure::Failure;
use crate::transport::Purpose;

/// An image without a file, made here: two empty blocks are an empty archive.
const EMPTY_IMAGE: &str = "hades.dev/empty";
const EMPTY_TAG: &str = "1";
const EMPTY_ARCHIVE: [u8; 1024] = [0; 1024];
/// Where the volume is within the container, and so in the archive.
const INSIDE: &str = "/volume";
/// How long a copy may show no progress.
const SILENCE_LIMIT: Duration = Duration::from_secs(120);
/// How often progress is looked for.
const LOOK: Duration = Duration::from_secs(1);

/// Names of the containers that run and may write to a volume.
pub(crate) async fn writers(client: &Client, name: &str) -> Result<Vec<String>, ProviderError> {
    let filters = HashMap::from([
        ("volume", vec![name]),
        ("status", vec!["running", "paused", "restarting"]),
    ]);
    let found = containers(client, &filters).await?;
    let writes = |container: &&ContainerSummary| mounts(container, name, true);
    Ok(found.iter().filter(writes).map(name_of).map(str::to_owned).collect())
}

/// Whether a container has a volume, or may write to it. The engine finds parts of
/// names too.
fn mounts(container: &ContainerSummary, volume: &str, to_write: bool) -> bool {
    container.mounts.iter().flatten().any(|mount| {
        mount.name.as_deref() == Some(volume) && !(to_write && mount.rw == Some(false))
    })
}

fn name_of(container: &ContainerSummary) -> &str {
    let name = container.names.as_ref().and_then(|names| names.first());
    name.map(|name| name.trim_start_matches('/')).unwrap_or_default()
}

/// Containers by a list, whether they run or not: unlike an inspection it doesn't
/// wait for one that is being copied from.
async fn containers(
    client: &Client,
    filters: &HashMap<&str, Vec<&str>>,
) -> Result<Vec<ContainerSummary>, ProviderError> {
    let options = ListContainersOptionsBuilder::new().all(true).filters(filters).build();
    client
        .look(|docker| async move { docker.list_containers(Some(options)).await })
        .await
        .map_err(Failure::into_provider_error)
}

/// The content of a volume. What is needed for it goes when the archive is
/// dropped.
pub(crate) async fn read(
    client: Arc<Client>,
    installation: Option<&str>,
    name: &str,
) -> Result<VolumeArchive, ProviderError> {
    if inspect(&client, name).await?.is_none() {
        return Err(conflict(format!("there is no volume {name} on the host")));
    }
    let docker = client.docker_for(Purpose::Bulk).await.map_err(Failure::into_provider_error)?;
    let holder = Holder::create(&client, installation, name, Use::Read).await?;
    let options = DownloadFromContainerOptionsBuilder::new().path(INSIDE).build();
    let pieces = docker.download_from_container(&holder.id, Some(options)).boxed();
    let archive = stream::unfold(Some((pieces, holder)), move |state| {
        let client = client.clone();
        async move {
            let (mut pieces, holder) = state?;
            match tokio::time::timeout(SILENCE_LIMIT, pieces.next()).await {
                Ok(Some(Ok(piece))) => Some((Ok(piece), Some((pieces, holder)))),
                Ok(Some(Err(error))) => {
                    Some((Err(client.failure(&error).into_provider_error()), None))
                }
                Ok(None) => None,
                Err(_) => Some((Err(silent("reading")), None)),
            }
        }
    });
    Ok(archive.boxed())
}

/// Makes a volume with that content. One that isn't filled whole is removed again, at
/// the latest when it is to be filled again.
pub(crate) async fn fill(
    client: &Arc<Client>,
    installation: Option<&str>,
    volume: NewVolume<'_>,
    content: VolumeArchive,
) -> Result<(), ProviderError> {
    let NewVolume { name, .. } = volume;
    if let Some(found) = inspect(client, name).await? {
        let Some(holder) = cut_off(client, installation, volume, &found).await? else {
            return Err(conflict(format!(
                "there is a volume {name} on the host already ({}); if nothing needs it, remove \
                 it there (`docker volume rm {name}`)",
                ownership::describe(&found)
            )));
        };
        try_remove(client, &holder).await.map_err(Failure::into_provider_error)?;
        remove_volume(client, name).await.map_err(Failure::into_provider_error)?;
    }
    let filled = upload(client, installation, volume, content).await;
    // Made here a moment ago: what is in it is a copy.
    if filled.is_err()
        && let Err(failure) = remove_volume(client, name).await
    {
        let error = failure.into_provider_error();
        tracing::warn!(volume = name, %error, "a volume that was filled in part is left");
    }
    filled
}

/// Id of the container that a volume was being filled through when that was cut off;
/// none when it wasn't, or when somebody has the volume by now.
async fn cut_off(
    client: &Client,
    installation: Option<&str>,
    volume: NewVolume<'_>,
    found: &BTreeMap<String, String>,
) -> Result<Option<String>, ProviderError> {
    let NewVolume { name, labels } = volume;
    if !labels.iter().all(|(key, value)| found.get(key) == Some(value)) {
        return Ok(None);
    }
    let having = containers(client, &HashMap::from([("volume", vec![name])])).await?;
    let mut having = having.iter().filter(|container| mounts(container, name, false));
    let holder = match (having.next(), having.next()) {
        (Some(holder), None) => holder,
        _ => return Ok(None),
    };
    let is_ours =
        name_of(holder) == Use::Fill(labels).holder(name) && made_by(holder, installation);
    Ok(holder.id.clone().filter(|_| is_ours))
}

async fn remove_volume(client: &Client, name: &str) -> Result<(), Failure> {
    let removed = client
        .change(
            |docker| async move { docker.remove_volume(name, None::<RemoveVolumeOptions>).await },
        )
        .await;
    removed.or_else(|failure| if failure.is_not_found() { Ok(()) } else { Err(failure) })
}

async fn upload(
    client: &Arc<Client>,
    installation: Option<&str>,
    volume: NewVolume<'_>,
    content: VolumeArchive,
) -> Result<(), ProviderError> {
    let NewVolume { name, labels } = volume;
    let docker = client.docker_for(Purpose::Bulk).await.map_err(Failure::into_provider_error)?;
    let holder = Holder::create(client, installation, name, Use::Fill(labels)).await?;
    let progress = Arc::new(Mutex::new(Instant::now()));
    let read_error: Arc<Mutex<Option<ProviderError>>> = Arc::default();
    let (touched, failed) = (progress.clone(), read_error.clone());
    let body = content
        .inspect_ok(move |_| {
            *touched.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        })
        .map_err(move |error| {
            let told = std::io::Error::other(error.message.clone());
            *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            told
        });
    let options = UploadToContainerOptionsBuilder::new().path("/").build();
    let upload =
        docker.upload_to_container(&holder.id, Some(options), bollard::body_try_stream(body));
    let outcome = tokio::select! {
        outcome = upload => outcome.map_err(|error| client.failure(&error).into_provider_error()),
        () = stalled(&progress) => Err(silent("writing")),
    };
    let removed = holder.remove().await;
    // What kept us from reading comes first: the engine only saw the end of it.
    match read_error.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(error) => Err(error),
        None => outcome.and(removed),
    }
}

/// Comes back when nothing has been taken for long.
async fn stalled(progress: &Mutex<Instant>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let last = *progress.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() > SILENCE_LIMIT {
            return;
        }
    }
}

/// What a volume is mounted for.
#[derive(Clone, Copy)]
enum Use<'a> {
    Read,
    /// The volume is made, with these labels.
    Fill(&'a BTreeMap<String, String>),
}

impl Use<'_> {
    /// Name of the container.
    fn holder(self, volume: &str) -> String {
        match self {
            Self::Read => format!("hades-read-{volume}"),
            Self::Fill(_) => format!("hades-fill-{volume}"),
        }
    }

    fn mount(self, volume: &str) -> Mount {
        let made = match self {
            Self::Read => None,
            Self::Fill(labels) => Some(MountVolumeOptions {
                labels: Some(labels.clone().into_iter().collect()),
                driver_config: Some(MountVolumeOptionsDriverConfig {
                    name: Some(VOLUME_DRIVER.to_owned()),
                    ..MountVolumeOptionsDriverConfig::default()
                }),
                ..MountVolumeOptions::default()
            }),
        };
        Mount {
            target: Some(INSIDE.to_owned()),
            source: Some(volume.to_owned()),
            typ: Some(MountType::VOLUME),
            read_only: Some(matches!(self, Self::Read)),
            volume_options: made,
            ..Mount::default()
        }
    }
}

/// A container that mounts a volume, never started; removed when dropped.
struct Holder {
    id: String,
    client: Arc<Client>,
    removed: bool,
}

impl Holder {
    async fn create(
        client: &Arc<Client>,
        installation: Option<&str>,
        volume: &str,
        purpose: Use<'_>,
    ) -> Result<Self, ProviderError> {
        let name = purpose.holder(volume);
        empty_image(client).await?;
        remove_leftover(client, installation, &name).await?;
        // Says that it has no ports: the engine locks it while an archive is read or
        // extracted, and whoever inspected it would wait for that.
        let spec = (label::SPEC.to_owned(), "{}".to_owned());
        let owner = installation.map(|id| (label::INSTALLATION.to_owned(), id.to_owned()));
        let body = ContainerCreateBody {
            image: Some(format!("{EMPTY_IMAGE}:{EMPTY_TAG}")),
            // Never run; the engine wants one.
            cmd: Some(vec!["/none".to_owned()]),
            labels: Some(owner.into_iter().chain([spec]).collect()),
            host_config: Some(HostConfig {
                mounts: Some(vec![purpose.mount(volume)]),
                network_mode: Some("none".to_owned()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        let created = client
            .change(|docker| async move { docker.create_container(Some(options), body).await })
            .await
            .map_err(Failure::into_provider_error)?;
        Ok(Self { id: created.id, client: client.clone(), removed: false })
    }

    async fn remove(mut self) -> Result<(), ProviderError> {
        self.removed = true;
        try_remove(&self.client, &self.id).await.map_err(Failure::into_provider_error)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        if self.removed {
            return;
        }
        let (client, id) = (self.client.clone(), std::mem::take(&mut self.id));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { remove(&client, &id).await });
        }
    }
}

async fn try_remove(client: &Client, id: &str) -> Result<(), Failure> {
    let options = RemoveContainerOptionsBuilder::new().force(true).build();
    let removed = client
        .change(|docker| async move { docker.remove_container(id, Some(options)).await })
        .await;
    removed.or_else(|failure| if failure.is_not_found() { Ok(()) } else { Err(failure) })
}

async fn remove(client: &Client, id: &str) {
    if let Err(failure) = try_remove(client, id).await {
        let error = failure.into_provider_error();
        tracing::warn!(container = id, %error, "a container made for a copy is left");
    }
}

/// What a copy left that was cut off.
async fn remove_leftover(
    client: &Client,
    installation: Option<&str>,
    name: &str,
) -> Result<(), ProviderError> {
    let found = containers(client, &HashMap::from([("name", vec![name])])).await?;
    let Some(found) = found.into_iter().find(|found| name_of(found) == name) else {
        return Ok(());
    };
    if !made_by(&found, installation) {
        return Err(conflict(format!(
            "there is a container {name} on the host already, which this installation did not \
             make; remove it if nothing needs it (`docker rm {name}`)"
        )));
    }
    remove(client, &found.id.unwrap_or_default()).await;
    Ok(())
}

fn made_by(container: &ContainerSummary, installation: Option<&str>) -> bool {
    let labels = container.labels.as_ref();
    labels.and_then(|labels| labels.get(label::INSTALLATION)).map(String::as_str) == installation
}

async fn empty_image(client: &Client) -> Result<(), ProviderError> {
    let reference = format!("{EMPTY_IMAGE}:{EMPTY_TAG}");
    let wanted = reference.as_str();
    let found = client.look(|docker| async move { docker.inspect_image(wanted).await }).await;
    match found {
        Ok(_) => return Ok(()),
        Err(failure) if failure.is_not_found() => {}
        Err(failure) => return Err(failure.into_provider_error()),
    }
    let options =
        CreateImageOptionsBuilder::new().from_src("-").repo(EMPTY_IMAGE).tag(EMPTY_TAG).build();
    client
        .change(|docker| async move {
            let archive = bollard::body_full(Bytes::from_static(&EMPTY_ARCHIVE));
            docker
                .create_image(Some(options), Some(archive), None)
                .try_for_each(|_| async { Ok(()) })
                .await
        })
        .await
        .map_err(Failure::into_provider_error)
}

/// Labels of a volume; none when there is no such volume.
async fn inspect(
    client: &Client,
    name: &str,
) -> Result<Option<BTreeMap<String, String>>, ProviderError> {
    let found = client.look(|docker| async move { docker.inspect_volume(name).await }).await;
    match found {
        Ok(volume) => Ok(Some(volume.labels.into_iter().collect())),
        Err(failure) if failure.is_not_found() => Ok(None),
        Err(failure) => Err(failure.into_provider_error()),
    }
}

fn conflict(words: String) -> ProviderError {
    ProviderError::new(ErrorClass::Conflict, reason::ACTION_FAILED, words)
}

fn silent(verb: &str) -> ProviderError {
    let seconds = SILENCE_LIMIT.as_secs();
    let words = format!("{verb} the volume came to no end: nothing moved for {seconds} s");
    ProviderError::new(ErrorClass::Retry, reason::ACTION_FAILED, words)
}
