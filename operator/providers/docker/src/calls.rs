//! The single calls of [`hades_provider::steps`], made to Docker, and what its
//! refusals mean. Docker tells most of them apart by words alone.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use async_trait::async_trait;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, InspectNetworkOptions,
    ListNetworksOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder,
    RemoveVolumeOptions, StopContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use hades_plan::{ContainerFile, ContainerState, ObservedNetwork, ObservedVolume};
use hades_provider::engine::{CallError, ContainerDetail, Engine, NewContainer};
use hades_provider::{PullOptions, refusal};
use ipnet::Ipv4Net;
use std::sync::Arc;

use crate::client::Client;
use crate::failure::Failure;
use crate::{archive, config, listing, pull, refused_field};

/// Calls to one engine.
pub(crate) struct Calls {
    client: Arc<Client>,
}

impl Calls {
    pub fn new(client: Arc<Client>) -> Self {
        Self { client }
    }
}

#[async_trait]
impl Engine for Calls {
    async fn create_container(&self, new: NewContainer<'_>) -> Result<String, CallError> {
        let body = config::container(new)
            .map_err(|e| refusal::bad_input("its variables", &e.to_string()))?;
        let options = CreateContainerOptionsBuilder::new().name(new.name).build();
        let created = self
            .client
            .change(|docker| async move { docker.create_container(Some(options), body).await })
            .await;
        match created {
            Ok(created) => Ok(created.id),
            Err(failure) => Err(create_error(without_secrets(failure, new))),
        }
    }

    async fn inspect_container(&self, id: &str) -> Result<Option<ContainerDetail>, CallError> {
        let found = self
            .client
            .look(|docker| async move {
                docker.inspect_container(id, None::<InspectContainerOptions>).await
            })
            .await;
        Ok(none_if_absent(found)?.and_then(detail))
    }

    async fn put_files(
        &self,
        id: &str,
        files: &BTreeMap<String, ContainerFile>,
    ) -> Result<(), CallError> {
        let packed = archive::of(files)
            .map_err(|error| refusal::bad_input("its files", &error.to_string()))?;
        let body = bollard::body_full(packed.into());
        // A folder that is there is never replaced by a file.
        let options = UploadToContainerOptionsBuilder::new()
            .path("/")
            .no_overwrite_dir_non_dir("true")
            .build();
        self.client
            .change(
                |docker| async move { docker.upload_to_container(id, Some(options), body).await },
            )
            .await
            .map_err(files_error)
    }

    async fn start_container(&self, id: &str) -> Result<(), CallError> {
        self.client
            .change(|docker| async move { docker.start_container(id, None).await })
            .await
            .map_err(start_error)
    }

    async fn unpause_container(&self, id: &str) -> Result<(), CallError> {
        self.client
            .change(|docker| async move { docker.unpause_container(id).await })
            .await
            .map_err(state_error)
    }

    async fn stop_container(&self, id: &str, grace_seconds: u64) -> Result<(), CallError> {
        let seconds = i32::try_from(grace_seconds).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        self.client
            .stop(Duration::from_secs(grace_seconds), |docker| async move {
                docker.stop_container(id, Some(options)).await
            })
            .await
            .map_err(state_error)
    }

    async fn remove_container(&self, id: &str) -> Result<(), CallError> {
        let options = RemoveContainerOptionsBuilder::new().v(true).force(true).build();
        self.client
            .change(|docker| async move { docker.remove_container(id, Some(options)).await })
            .await
            .map_err(state_error)
    }

    async fn networks_named(&self, name: &str) -> Result<Vec<ObservedNetwork>, CallError> {
        // The engine finds parts of names too.
        let filters = HashMap::from([("name", vec![name])]);
        let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
        let found = self
            .client
            .look(|docker| async move { docker.list_networks(Some(options)).await })
            .await?;
        Ok(found.into_iter().filter_map(listing::network).filter(|n| n.name == name).collect())
    }

    async fn inspect_network(&self, id: &str) -> Result<Option<ObservedNetwork>, CallError> {
        let filters = HashMap::from([("id", vec![id])]);
        let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
        let found = self
            .client
            .look(|docker| async move { docker.list_networks(Some(options)).await })
            .await?;
        Ok(found.into_iter().filter_map(listing::network).find(|n| n.id == id))
    }

    async fn has_attached(&self, network: &str) -> Result<bool, CallError> {
        let found = self
            .client
            .look(|docker| async move {
                docker.inspect_network(network, None::<InspectNetworkOptions>).await
            })
            .await;
        let containers = none_if_absent(found)?.and_then(|network| network.containers);
        Ok(containers.is_some_and(|containers| !containers.is_empty()))
    }

    async fn create_network(
        &self,
        name: &str,
        subnet: Ipv4Net,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), CallError> {
        let body = config::network(name, subnet, labels);
        self.client
            .change(|docker| async move { docker.create_network(body).await })
            .await
            .map(|_| ())
            .map_err(network_error)
    }

    async fn connect_network(
        &self,
        network: &str,
        container: &str,
        aliases: &[String],
    ) -> Result<(), CallError> {
        let body = config::connection(container, aliases);
        self.client
            .change(|docker| async move { docker.connect_network(network, body).await })
            .await
            .map_err(connect_error)
    }

    async fn remove_network(&self, id: &str) -> Result<(), CallError> {
        self.client
            .change(|docker| async move { docker.remove_network(id).await })
            .await
            .map_err(network_error)
    }

    async fn create_volume(
        &self,
        name: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<ObservedVolume, CallError> {
        let body = config::volume(name, labels);
        let made =
            self.client.change(|docker| async move { docker.create_volume(body).await }).await;
        made.map(listing::volume).map_err(|failure| match failure {
            // One of another driver has the name.
            Failure::Refused { status: 409, words } => CallError::InUse(words),
            failure => failure.into(),
        })
    }

    async fn inspect_volume(&self, name: &str) -> Result<Option<ObservedVolume>, CallError> {
        let found =
            self.client.look(|docker| async move { docker.inspect_volume(name).await }).await;
        Ok(none_if_absent(found)?.map(listing::volume))
    }

    async fn remove_volume(&self, name: &str) -> Result<(), CallError> {
        self.client
            .change(|docker| async move {
                docker.remove_volume(name, None::<RemoveVolumeOptions>).await
            })
            .await
            .map_err(|failure| match failure {
                Failure::Refused { status: 404, .. } => CallError::Absent,
                Failure::Refused { status: 409, words } => CallError::InUse(words),
                failure => failure.into(),
            })
    }

    async fn has_image(&self, reference: &str) -> Result<bool, CallError> {
        let found =
            self.client.look(|docker| async move { docker.inspect_image(reference).await }).await;
        Ok(none_if_absent(found)?.is_some())
    }

    async fn pull_image(
        &self,
        reference: &str,
        host: &str,
        options: &PullOptions,
    ) -> Result<(), CallError> {
        pull::pull(&self.client, reference, host, options).await.map_err(CallError::Other)
    }

    async fn image_tags(&self, id: &str) -> Result<Option<Vec<String>>, CallError> {
        let found = self.client.look(|docker| async move { docker.inspect_image(id).await }).await;
        Ok(none_if_absent(found)?.map(|image| image.repo_tags.unwrap_or_default()))
    }

    async fn remove_image(&self, reference: &str) -> Result<(), CallError> {
        // Without its parents: an image that was pulled has none of its own.
        let options = RemoveImageOptionsBuilder::new().noprune(true).build();
        self.client
            .change(
                |docker| async move { docker.remove_image(reference, Some(options), None).await },
            )
            .await
            .map(|_| ())
            .map_err(|failure| match failure {
                Failure::Refused { status: 404, .. } => CallError::Absent,
                Failure::Refused { status: 409, words } => CallError::InUse(words),
                failure => failure.into(),
            })
    }
}

fn without_secrets(failure: Failure, new: NewContainer<'_>) -> Failure {
    match failure {
        Failure::Refused { status, words } => {
            Failure::Refused { status, words: config::without_secrets(&words, new.spec) }
        }
        failed @ Failure::Failed(_) => failed,
    }
}

fn none_if_absent<T>(answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(failure) if failure.is_not_found() => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn detail(found: ContainerInspectResponse) -> Option<ContainerDetail> {
    use bollard::models::ContainerStateStatusEnum as Status;
    let config = found.config.unwrap_or_default();
    let state = match found.state.and_then(|state| state.status) {
        Some(Status::RUNNING | Status::STOPPING) => ContainerState::Running,
        Some(Status::PAUSED) => ContainerState::Paused,
        Some(Status::RESTARTING) => ContainerState::Restarting,
        Some(Status::REMOVING) => ContainerState::Removing,
        Some(Status::EXITED) => ContainerState::Exited,
        Some(Status::DEAD) => ContainerState::Dead,
        Some(Status::CREATED | Status::EMPTY) | None => ContainerState::Created,
    };
    Some(ContainerDetail {
        id: found.id?,
        name: found.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        image: config.image.unwrap_or_default(),
        state,
        stop_grace_seconds: config.stop_timeout.and_then(|seconds| u64::try_from(seconds).ok()),
    })
}

fn create_error(failure: Failure) -> CallError {
    match &failure {
        Failure::Refused { status: 404, words } if words.contains("network") => {
            CallError::NoNetwork
        }
        Failure::Refused { status: 404, .. } => CallError::NoImage,
        Failure::Refused { status: 409, words } if words.contains("already in use") => {
            CallError::NameTaken
        }
        Failure::Refused { words, .. } => match refused_field::field(words) {
            Some(field) => refusal::bad_input(field, words).into(),
            None => failure.into(),
        },
        Failure::Failed(_) => failure.into(),
    }
}

/// What the unpacking of files stumbles over in an image; another try would do
/// the same.
const NO_PLACE: [&str; 4] =
    ["not a directory", "is a directory", "cannot overwrite", "marked read-only"];

fn files_error(failure: Failure) -> CallError {
    match failure {
        Failure::Refused { status: 404, .. } => CallError::Absent,
        Failure::Refused { status: 409, words } => CallError::WrongState(words),
        Failure::Refused { words, .. } if NO_PLACE.iter().any(|part| words.contains(part)) => {
            refusal::bad_input("files", &words).into()
        }
        failure => failure.into(),
    }
}

/// What runc says of a process that can't be: not worth another try.
const CANNOT_RUN: [&str; 6] = [
    "executable file not found",
    "no such file or directory: unknown",
    "permission denied: unknown",
    "exec format error",
    "unable to find user",
    "not a directory: unknown",
];

fn start_error(failure: Failure) -> CallError {
    let Failure::Refused { status, words } = failure else {
        return failure.into();
    };
    let says = |part: &str| words.contains(part);
    if says("port is already allocated") || says("address already in use") {
        return CallError::PortTaken(words);
    }
    if says("cannot assign requested address") {
        let what = "a published port names an address that the host doesn't have";
        return CallError::Other(refusal::bad_input(what, &words));
    }
    // What is run may be called like a setting.
    let field = refused_field::field(&words).filter(|_| !says("exec:"));
    match (status, field) {
        // A log server may come back.
        (_, Some(field)) if !field.starts_with("logging") => {
            return refusal::bad_input(field, &words).into();
        }
        _ => {}
    }
    match status {
        404 if says("network") => CallError::NoNetwork,
        404 => CallError::Absent,
        409 => CallError::WrongState(words),
        400 => CallError::CannotRun(words),
        _ if says("paused container") || says("marked for removal") => CallError::WrongState(words),
        _ if CANNOT_RUN.iter().any(|part| says(part)) => CallError::CannotRun(words),
        _ => Failure::Refused { status, words }.into(),
    }
}

/// Of calls whose 409 means that the container is in no state for it.
fn state_error(failure: Failure) -> CallError {
    match failure {
        Failure::Refused { status: 404, .. } => CallError::Absent,
        Failure::Refused { status: 409, words } => CallError::WrongState(words),
        Failure::Refused { status: 500, words } if words.contains("is not paused") => {
            CallError::WrongState(words)
        }
        failure => failure.into(),
    }
}

fn network_error(failure: Failure) -> CallError {
    match failure {
        Failure::Refused { status: 404, .. } => CallError::Absent,
        Failure::Refused { words, .. } if words.contains("active endpoints") => {
            CallError::InUse(words)
        }
        Failure::Refused { words, .. } if words.contains("overlap") => CallError::Overlap(words),
        Failure::Refused { status: 409, .. } => CallError::NameTaken,
        failure => failure.into(),
    }
}

fn connect_error(failure: Failure) -> CallError {
    match failure {
        Failure::Refused { words, .. }
            if words.contains("already exists in network")
                || words.contains("already attached to network") =>
        {
            CallError::AlreadyAttached
        }
        Failure::Refused { status: 404, words } if words.contains("network") => {
            CallError::NoNetwork
        }
        Failure::Refused { status: 404, .. } => CallError::Absent,
        Failure::Refused { words, .. }
            if words.contains("marked for removal") || words.contains("is not running") =>
        {
            CallError::WrongState(words)
        }
        failure => failure.into(),
    }
}

#[cfg(test)]
mod tests {
    use hades_api::reason;
    use hades_provider::ErrorClass;

    use super::*;

    fn refused(status: u16, words: &str) -> Failure {
        Failure::Refused { status, words: words.to_owned() }
    }

    #[test]
    fn creations() {
        let taken = "Conflict. The container name \"/a\" is already in use by container \"0303\".";
        assert_eq!(create_error(refused(409, taken)), CallError::NameTaken);
        assert_eq!(create_error(refused(404, "No such image: a:1")), CallError::NoImage);
        assert_eq!(create_error(refused(404, "network a not found")), CallError::NoNetwork);
        let CallError::Other(error) = create_error(refused(400, "invalid mount")) else { panic!() };
        assert_eq!((error.class, error.reason), (ErrorClass::Terminal, reason::ACTION_FAILED));
    }

    #[test]
    fn starts() {
        let taken = "driver failed programming external connectivity on endpoint a (f4): Bind for 0.0.0.0:80 failed: port is already allocated";
        let in_use = "driver failed […]: listen tcp4 0.0.0.0:80: bind: address already in use";
        for words in [taken, in_use] {
            assert_eq!(start_error(refused(500, words)), CallError::PortTaken(words.to_owned()));
        }
        let exec = "failed to create shim task: OCI runtime create failed: exec: \"/nope\": stat /nope: no such file or directory: unknown";
        assert_eq!(start_error(refused(400, exec)), CallError::CannotRun(exec.to_owned()));
        assert_eq!(start_error(refused(500, exec)), CallError::CannotRun(exec.to_owned()));
        assert_eq!(start_error(refused(404, "network 12 not found")), CallError::NoNetwork);
        assert_eq!(start_error(refused(404, "No such container: a")), CallError::Absent);
        let paused = "cannot start a paused container, try unpause instead";
        assert_eq!(start_error(refused(409, paused)), CallError::WrongState(paused.to_owned()));
        let address = "listen tcp4 198.51.100.1:80: bind: cannot assign requested address";
        let CallError::Other(error) = start_error(refused(500, address)) else { panic!() };
        assert_eq!(error.class, ErrorClass::Terminal);
        let CallError::Other(error) = start_error(refused(500, "something")) else { panic!() };
        assert_eq!(error.class, ErrorClass::Retry);
    }

    #[test]
    fn networks() {
        let overlap = "Pool overlaps with other one on this address space";
        assert_eq!(network_error(refused(403, overlap)), CallError::Overlap(overlap.to_owned()));
        let used = "error while removing network: network a id 1 has active endpoints";
        assert_eq!(network_error(refused(403, used)), CallError::InUse(used.to_owned()));
        assert_eq!(network_error(refused(404, "no such network")), CallError::Absent);
        let again = "endpoint with name a already exists in network b";
        assert_eq!(connect_error(refused(403, again)), CallError::AlreadyAttached);
        assert_eq!(connect_error(refused(404, "network b not found")), CallError::NoNetwork);
        assert_eq!(connect_error(refused(404, "No such container: a")), CallError::Absent);
    }
}
