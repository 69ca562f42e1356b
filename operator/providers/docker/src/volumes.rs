//! The content of volumes: read and written as tar archives through a container
//! that mounts the volume and is never started, of an image that holds nothing,
//! so that no program runs and nothing is pulled.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, DownloadFromContainerOptionsBuilder,
    InspectContainerOptions, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
    RemoveVolumeOptions, UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use hades_api::{label, reason};
use hades_provider::{ErrorClass, NewVolume, ProviderError, VolumeArchive, ownership};

use crate::client::Client;
use crate::config;
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
    let options = ListContainersOptionsBuilder::new().filters(&filters).build();
    let found = client
        .look(|docker| async move { docker.list_containers(Some(options)).await })
        .await
        .map_err(Failure::into_provider_error)?;
    let writes = |container: &bollard::models::ContainerSummary| {
        let mounts = container.mounts.iter().flatten();
        // The engine finds parts of names too.
        mounts.into_iter().any(|m| m.name.as_deref() == Some(name) && m.rw != Some(false))
    };
    let name = |container: bollard::models::ContainerSummary| {
        let name = container.names.and_then(|names| names.into_iter().next()).unwrap_or_default();
        name.trim_start_matches('/').to_owned()
    };
    Ok(found.into_iter().filter(writes).map(name).collect())
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
    let holder = Holder::create(&client, installation, name, true).await?;
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

/// Makes a volume with that content. One that isn't filled whole is removed again.
pub(crate) async fn fill(
    client: &Arc<Client>,
    installation: Option<&str>,
    volume: NewVolume<'_>,
    content: VolumeArchive,
) -> Result<(), ProviderError> {
    let NewVolume { name, labels } = volume;
    if let Some(found) = inspect(client, name).await? {
        return Err(conflict(format!(
            "there is a volume {name} on the host already ({}); if nothing needs it, remove it \
             there (`docker volume rm {name}`)",
            ownership::describe(&found)
        )));
    }
    let body = config::volume(name, labels);
    client
        .change(|docker| async move { docker.create_volume(body).await })
        .await
        .map_err(Failure::into_provider_error)?;
    let filled = upload(client, installation, name, content).await;
    if filled.is_err() {
        // Made here a moment ago: what is in it is a copy.
        let removed = client
            .change(|docker| async move {
                docker.remove_volume(name, None::<RemoveVolumeOptions>).await
            })
            .await;
        if let Err(failure) = removed {
            let error = failure.into_provider_error();
            tracing::warn!(volume = name, %error, "a volume that was filled in part is left");
        }
    }
    filled
}

async fn upload(
    client: &Arc<Client>,
    installation: Option<&str>,
    name: &str,
    content: VolumeArchive,
) -> Result<(), ProviderError> {
    let docker = client.docker_for(Purpose::Bulk).await.map_err(Failure::into_provider_error)?;
    let holder = Holder::create(client, installation, name, false).await?;
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
    holder.remove().await;
    // What kept us from reading comes first: the engine only saw the end of it.
    match read_error.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(error) => Err(error),
        None => outcome,
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
        read_only: bool,
    ) -> Result<Self, ProviderError> {
        let verb = if read_only { "read" } else { "fill" };
        let name = format!("hades-{verb}-{volume}");
        empty_image(client).await?;
        remove_leftover(client, installation, &name).await?;
        let labels = installation.map(|id| (label::INSTALLATION.to_owned(), id.to_owned()));
        let mount = Mount {
            target: Some(INSIDE.to_owned()),
            source: Some(volume.to_owned()),
            typ: Some(MountType::VOLUME),
            read_only: Some(read_only),
            ..Mount::default()
        };
        let body = ContainerCreateBody {
            image: Some(format!("{EMPTY_IMAGE}:{EMPTY_TAG}")),
            // Never run; the engine wants one.
            cmd: Some(vec!["/none".to_owned()]),
            labels: Some(labels.into_iter().collect()),
            host_config: Some(HostConfig {
                mounts: Some(vec![mount]),
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

    async fn remove(mut self) {
        self.removed = true;
        remove(&self.client, &self.id).await;
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

async fn remove(client: &Client, id: &str) {
    let options = RemoveContainerOptionsBuilder::new().force(true).build();
    let removed = client
        .change(|docker| async move { docker.remove_container(id, Some(options)).await })
        .await;
    if let Err(failure) = removed
        && !failure.is_not_found()
    {
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
    let found = client
        .look(|docker: Docker| async move {
            docker.inspect_container(name, None::<InspectContainerOptions>).await
        })
        .await;
    let found = match found {
        Ok(found) => found,
        Err(failure) if failure.is_not_found() => return Ok(()),
        Err(failure) => return Err(failure.into_provider_error()),
    };
    let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
    let ours = labels.get(label::INSTALLATION).map(String::as_str) == installation;
    if !ours {
        return Err(conflict(format!(
            "there is a container {name} on the host already, which this installation did not \
             make; remove it if nothing needs it (`docker rm {name}`)"
        )));
    }
    remove(client, &found.id.unwrap_or_default()).await;
    Ok(())
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
) -> Result<Option<std::collections::BTreeMap<String, String>>, ProviderError> {
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
