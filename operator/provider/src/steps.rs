//! From an action to single calls of an engine.
//!
//! Names are deterministic and every sequence may be begun anew from its start,
//! so that a crash between two calls is healed by doing the action again:
//!
//! ```text
//! CreateContainer   create ─name taken─▶ inspect ─ours─▶ ┐
//!                     └──────────────────────────────────┴▶ files ─▶ start
//! StartContainer    inspect ─ours, never started─▶ files ─▶ start
//! RemoveContainer   inspect ─ours─▶ unpause? ─▶ stop ─▶ remove
//! CreateNetwork     list by name ─none─▶ create
//! ConnectNetwork    inspect both ─ours─▶ connect
//! RemoveImage       inspect ─no other name─▶ remove each name
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use hades_api::{label, reason};
use hades_plan::reference::familiar;
use hades_plan::{
    Action, ContainerFile, ContainerSpec, ContainerState, Operation, Target, TargetKind,
};
use ipnet::{IpNet, Ipv4Net};
use tokio::sync::Mutex;

use crate::engine::{CallError, ContainerDetail, Engine, NewContainer};
use crate::{ErrorClass, Outcome, ProviderError, PullOptions, ownership, refusal};

/// What engines use when neither the plan nor the container says how long it
/// may take to stop.
const DEFAULT_STOP_GRACE_SECONDS: u64 = 10;
/// How often and how many times a removal that is under way is looked at.
const REMOVAL_POLL: Duration = Duration::from_millis(200);
const REMOVAL_POLLS: u32 = 50;

/// Carries out actions on an engine.
#[derive(Debug)]
pub struct Steps<E> {
    engine: E,
    installation: Option<String>,
    /// Engines allow two networks of one name, so that looking and making must
    /// not overlap with another one's.
    making_networks: Mutex<()>,
}

impl<E: Engine> Steps<E> {
    /// For the things that `installation` made; with none, for those of any.
    pub fn new(engine: E, installation: Option<String>) -> Self {
        Self { engine, installation, making_networks: Mutex::new(()) }
    }

    /// The engine.
    pub fn engine(&self) -> &E {
        &self.engine
    }

    /// Whose things may be changed.
    pub fn installation(&self) -> Option<&str> {
        self.installation.as_deref()
    }

    /// Carries out one action; the laws are those of [`crate::Provider`].
    ///
    /// # Errors
    /// By class: see [`ErrorClass`].
    pub async fn execute(&self, action: &Action) -> Result<Outcome, ProviderError> {
        let target = &action.target;
        match &action.operation {
            Operation::PullImage => self.pull_image(target, &PullOptions::default()).await,
            Operation::RemoveImage { id, names } => self.remove_image(target, id, names).await,
            Operation::CreateNetwork { subnet, labels } => {
                self.create_network(target, *subnet, labels).await
            }
            Operation::RemoveNetwork { id } => self.remove_network(target, id).await,
            Operation::CreateVolume { labels } => self.create_volume(target, labels).await,
            Operation::RemoveVolume => self.remove_volume(target).await,
            Operation::CreateContainer { spec, image_id, network, labels, replaces: _ } => {
                let image = image_id.as_deref().unwrap_or(&spec.image);
                let name = &target.name;
                self.create_container(target, NewContainer { name, spec, image, network, labels })
                    .await
            }
            Operation::StartContainer { id, files } => {
                self.start_container(target, id, files).await
            }
            Operation::UnpauseContainer { id } => self.unpause_container(target, id).await,
            Operation::ConnectNetwork { id, network, aliases } => {
                self.connect_network(target, id, network, aliases).await
            }
            Operation::StopContainer { id, stop_grace_seconds } => {
                self.stop_container(target, id, *stop_grace_seconds).await
            }
            Operation::RemoveContainer { id, stop_grace_seconds } => {
                self.remove_container(target, id, *stop_grace_seconds).await
            }
        }
    }

    /// Carries out an action that pulls an image, with what goes beside it.
    ///
    /// # Errors
    /// By class: see [`ErrorClass`].
    pub async fn pull(
        &self,
        action: &Action,
        options: &PullOptions,
    ) -> Result<Outcome, ProviderError> {
        match action.operation {
            Operation::PullImage => self.pull_image(&action.target, options).await,
            _ => self.execute(action).await,
        }
    }

    /// Removes an image by its tags, all of which must be those that were planned
    /// with: one that somebody has given another name meanwhile stays.
    async fn remove_image(
        &self,
        target: &Target,
        id: &str,
        names: &[String],
    ) -> Result<Outcome, ProviderError> {
        let doing = format!("removing image {}", target.name);
        let Some(tags) = self.engine.image_tags(id).await.map_err(|e| other(&doing, e))? else {
            return Ok(Outcome::Done);
        };
        let is_planned = |tag: &String| names.iter().any(|name| familiar(name) == familiar(tag));
        if !tags.iter().all(is_planned) {
            return Ok(Outcome::Changed);
        }
        // The last tag takes the image with it; then there is none of that id.
        for reference in tags.iter().map(String::as_str).chain([id]) {
            match self.engine.remove_image(reference).await {
                Ok(()) | Err(CallError::Absent) => {}
                // Somebody has begun to use it.
                Err(CallError::InUse(_)) => return Ok(Outcome::Changed),
                Err(error) => return Err(other(&doing, error)),
            }
        }
        Ok(Outcome::Done)
    }

    async fn pull_image(
        &self,
        target: &Target,
        options: &PullOptions,
    ) -> Result<Outcome, ProviderError> {
        let doing = || format!("pulling image {}", target.name);
        if self.engine.has_image(&target.name).await.map_err(|e| other(&doing(), e))? {
            return Ok(Outcome::Done);
        }
        self.engine
            .pull_image(&target.name, &target.host, options)
            .await
            .map(|()| Outcome::Done)
            .map_err(|error| other(&doing(), error))
    }

    async fn create_network(
        &self,
        target: &Target,
        subnet: Ipv4Net,
        labels: &BTreeMap<String, String>,
    ) -> Result<Outcome, ProviderError> {
        let name = &target.name;
        let doing = format!("making network {name}");
        let _turn = self.making_networks.lock().await;
        let there = self.engine.networks_named(name).await.map_err(|e| other(&doing, e))?;
        if let Some(ours) = there.iter().find(|n| ownership::same_owner(&n.labels, labels)) {
            // Another subnet than planned for: the plan didn't see this network.
            let planned = ours.subnets.contains(&IpNet::V4(subnet));
            return Ok(if planned { Outcome::Done } else { Outcome::Changed });
        }
        if let Some(foreign) = there.first() {
            let holder = ownership::describe(&foreign.labels);
            return Err(refusal::blocked_by_foreign(TargetKind::Network, name, &holder));
        }
        match self.engine.create_network(name, subnet, labels).await {
            Ok(()) => Ok(Outcome::Done),
            Err(CallError::NameTaken) => Ok(Outcome::Changed),
            Err(CallError::Overlap(words)) => Err(ProviderError::new(
                ErrorClass::Conflict,
                reason::ACTION_FAILED,
                format!(
                    "network {name} can't have subnet {subnet}: {words}; if no network of the \
                     engine has it, choose another spec.subnetPool for DockerHost {}",
                    target.host
                ),
            )),
            Err(error) => Err(other(&doing, error)),
        }
    }

    async fn remove_network(&self, target: &Target, id: &str) -> Result<Outcome, ProviderError> {
        let doing = format!("removing network {}", target.name);
        let Some(network) = self.engine.inspect_network(id).await.map_err(|e| other(&doing, e))?
        else {
            return Ok(Outcome::Done);
        };
        self.check_owned(TargetKind::Network, &target.name, &network.labels)?;
        match self.engine.remove_network(id).await {
            Ok(()) | Err(CallError::Absent) => Ok(Outcome::Done),
            Err(CallError::InUse(words)) => self.explain_use(&doing, id, &words).await,
            Err(error) => Err(other(&doing, error)),
        }
    }

    /// Why a network that the plan saw unused can't be removed. Some engines
    /// lose count of endpoints when many containers end at once; trying again at
    /// once would then never end.
    async fn explain_use(
        &self,
        doing: &str,
        network: &str,
        words: &str,
    ) -> Result<Outcome, ProviderError> {
        if self.engine.has_attached(network).await.map_err(|e| other(doing, e))? {
            return Ok(Outcome::Changed);
        }
        Err(ProviderError::new(
            ErrorClass::Conflict,
            reason::ACTION_FAILED,
            format!(
                "{doing}: the engine says that it is in use, but knows of no container on it: \
                 {words}; an engine that has lost count finds it again when it is restarted"
            ),
        ))
    }

    async fn create_volume(
        &self,
        target: &Target,
        labels: &BTreeMap<String, String>,
    ) -> Result<Outcome, ProviderError> {
        let name = &target.name;
        let doing = format!("making volume {name}");
        let volume = self.engine.create_volume(name, labels).await.map_err(|e| other(&doing, e))?;
        if ownership::same_owner(&volume.labels, labels) {
            return Ok(Outcome::Done);
        }
        let holder = ownership::describe(&volume.labels);
        Err(refusal::blocked_by_foreign(TargetKind::Volume, name, &holder))
    }

    async fn remove_volume(&self, target: &Target) -> Result<Outcome, ProviderError> {
        let name = &target.name;
        let doing = format!("removing volume {name}");
        let Some(volume) = self.engine.inspect_volume(name).await.map_err(|e| other(&doing, e))?
        else {
            return Ok(Outcome::Done);
        };
        self.check_owned(TargetKind::Volume, name, &volume.labels)?;
        match self.engine.remove_volume(name).await {
            Ok(()) | Err(CallError::Absent) => Ok(Outcome::Done),
            Err(CallError::InUse(words)) => Err(ProviderError::new(
                ErrorClass::Conflict,
                reason::BLOCKED_BY_FOREIGN,
                format!("{doing}: a container still uses it: {words}"),
            )),
            Err(error) => Err(other(&doing, error)),
        }
    }

    async fn create_container(
        &self,
        target: &Target,
        new: NewContainer<'_>,
    ) -> Result<Outcome, ProviderError> {
        let doing = format!("creating container {}", new.name);
        let (id, never_started) = match self.engine.create_container(new).await {
            Ok(id) => (id, true),
            Err(CallError::NoImage | CallError::NoNetwork) => return Ok(Outcome::Changed),
            Err(CallError::NameTaken) => {
                let found = self.engine.inspect_container(new.name).await;
                let Some(holder) = found.map_err(|e| other(&doing, e))? else {
                    return Ok(Outcome::Changed);
                };
                if !can_take_over(&holder, new)? {
                    return Ok(Outcome::Changed);
                }
                (holder.id, holder.state == ContainerState::Created)
            }
            Err(error) => return Err(other(&doing, error)),
        };
        if never_started && !self.put_files(target, &id, &new.spec.files).await? {
            return Ok(Outcome::Changed);
        }
        self.start(target, &id).await
    }

    async fn start_container(
        &self,
        target: &Target,
        id: &str,
        files: &BTreeMap<String, ContainerFile>,
    ) -> Result<Outcome, ProviderError> {
        let Some(found) = self.owned_container(target, id, "starting").await? else {
            return Ok(Outcome::Changed);
        };
        if found.state == ContainerState::Running {
            return Ok(Outcome::Done);
        }
        if found.state == ContainerState::Created {
            // A plan that saw it in another state brings no files along.
            let is_short = files.is_empty() && wants_files(&found);
            if is_short || !self.put_files(target, id, files).await? {
                return Ok(Outcome::Changed);
            }
        }
        self.start(target, id).await
    }

    /// Puts a container's files in, all of them, however many are in already;
    /// answers whether the container is there for it.
    async fn put_files(
        &self,
        target: &Target,
        id: &str,
        files: &BTreeMap<String, ContainerFile>,
    ) -> Result<bool, ProviderError> {
        if files.is_empty() {
            return Ok(true);
        }
        let doing = format!("putting files into container {}", target.name);
        if let Some((path, _)) = files.iter().find(|(_, file)| file.content.expose().is_none()) {
            let words = format!(
                "what {path} holds is not known: the plan was read back from JSON; plan anew"
            );
            return Err(refusal::bad_input(&doing, &words));
        }
        match self.engine.put_files(id, files).await {
            Ok(()) => Ok(true),
            Err(CallError::Absent | CallError::WrongState(_)) => Ok(false),
            Err(error) => Err(other(&doing, error)),
        }
    }

    async fn start(&self, target: &Target, id: &str) -> Result<Outcome, ProviderError> {
        let name = &target.name;
        match self.engine.start_container(id).await {
            Ok(()) => Ok(Outcome::Done),
            Err(CallError::Absent | CallError::NoNetwork | CallError::WrongState(_)) => {
                Ok(Outcome::Changed)
            }
            Err(CallError::PortTaken(words)) => {
                Err(refusal::port_taken(name, &port_in(&words), &words))
            }
            Err(CallError::CannotRun(words)) => Err(ProviderError::new(
                ErrorClass::Terminal,
                reason::CONTAINER_FAILED,
                format!(
                    "container {name} can't be run: {words}; check command, entrypoint, user and \
                     workingDir in the manifest against the image"
                ),
            )),
            Err(error) => Err(other(&format!("starting container {name}"), error)),
        }
    }

    async fn stop_container(
        &self,
        target: &Target,
        id: &str,
        stop_grace_seconds: Option<u64>,
    ) -> Result<Outcome, ProviderError> {
        let Some(found) = self.owned_container(target, id, "stopping").await? else {
            return Ok(Outcome::Changed);
        };
        match found.state {
            ContainerState::Running | ContainerState::Restarting => {}
            ContainerState::Exited => return Ok(Outcome::Done),
            _ => return Ok(Outcome::Changed),
        }
        let grace =
            stop_grace_seconds.or(found.stop_grace_seconds).unwrap_or(DEFAULT_STOP_GRACE_SECONDS);
        match self.engine.stop_container(id, grace).await {
            Ok(()) => Ok(Outcome::Done),
            Err(CallError::Absent | CallError::WrongState(_)) => Ok(Outcome::Changed),
            Err(error) => Err(other(&format!("stopping container {}", target.name), error)),
        }
    }

    async fn unpause_container(&self, target: &Target, id: &str) -> Result<Outcome, ProviderError> {
        match self.owned_container(target, id, "thawing").await? {
            None => return Ok(Outcome::Changed),
            Some(found) if found.state == ContainerState::Running => return Ok(Outcome::Done),
            Some(found) if found.state != ContainerState::Paused => return Ok(Outcome::Changed),
            Some(_) => {}
        }
        match self.engine.unpause_container(id).await {
            Ok(()) => Ok(Outcome::Done),
            Err(CallError::Absent | CallError::WrongState(_)) => Ok(Outcome::Changed),
            Err(error) => Err(other(&format!("thawing container {}", target.name), error)),
        }
    }

    async fn connect_network(
        &self,
        target: &Target,
        id: &str,
        network: &str,
        aliases: &[String],
    ) -> Result<Outcome, ProviderError> {
        let doing = format!("attaching container {} to network {network}", target.name);
        let Some(container) = self.owned_container(target, id, "attaching").await? else {
            return Ok(Outcome::Changed);
        };
        let there = self.engine.networks_named(network).await.map_err(|e| other(&doing, e))?;
        let Some(first) = there.first() else {
            return Ok(Outcome::Changed);
        };
        let ours = there.iter().find(|n| ownership::same_owner(&n.labels, &container.labels));
        let Some(ours) = ours else {
            let holder = ownership::describe(&first.labels);
            return Err(refusal::blocked_by_foreign(TargetKind::Network, network, &holder));
        };
        match self.engine.connect_network(&ours.id, id, aliases).await {
            Ok(()) | Err(CallError::AlreadyAttached) => Ok(Outcome::Done),
            Err(CallError::Absent | CallError::NoNetwork | CallError::WrongState(_)) => {
                Ok(Outcome::Changed)
            }
            Err(error) => Err(other(&doing, error)),
        }
    }

    async fn remove_container(
        &self,
        target: &Target,
        id: &str,
        stop_grace_seconds: Option<u64>,
    ) -> Result<Outcome, ProviderError> {
        let doing = format!("removing container {}", target.name);
        let Some(found) = self.owned_container(target, id, "removing").await? else {
            return Ok(Outcome::Done);
        };
        if found.state == ContainerState::Paused {
            // A frozen process can't end by itself within its grace period.
            match self.engine.unpause_container(id).await {
                Ok(()) | Err(CallError::Absent | CallError::WrongState(_)) => {}
                Err(error) => return Err(other(&doing, error)),
            }
        }
        if matches!(
            found.state,
            ContainerState::Running | ContainerState::Paused | ContainerState::Restarting
        ) {
            let grace = stop_grace_seconds
                .or(found.stop_grace_seconds)
                .unwrap_or(DEFAULT_STOP_GRACE_SECONDS);
            match self.engine.stop_container(id, grace).await {
                Ok(()) | Err(CallError::WrongState(_)) => {}
                Err(CallError::Absent) => return Ok(Outcome::Done),
                Err(error) => return Err(other(&doing, error)),
            }
        }
        match self.engine.remove_container(id).await {
            Ok(()) | Err(CallError::Absent) => Ok(Outcome::Done),
            // Somebody else's removal, or an earlier one of ours, is under way.
            Err(CallError::WrongState(words)) => self.await_removal(&doing, id, &words).await,
            Err(error) => Err(other(&doing, error)),
        }
    }

    async fn await_removal(
        &self,
        doing: &str,
        id: &str,
        words: &str,
    ) -> Result<Outcome, ProviderError> {
        for _ in 0..REMOVAL_POLLS {
            let found = self.engine.inspect_container(id).await.map_err(|e| other(doing, e))?;
            if found.is_none() {
                return Ok(Outcome::Done);
            }
            tokio::time::sleep(REMOVAL_POLL).await;
        }
        Err(refusal::failed(doing, words))
    }

    /// The container of that id, if it is there and may be changed.
    async fn owned_container(
        &self,
        target: &Target,
        id: &str,
        verb: &str,
    ) -> Result<Option<ContainerDetail>, ProviderError> {
        let doing = format!("{verb} container {}", target.name);
        let found = self.engine.inspect_container(id).await.map_err(|e| other(&doing, e))?;
        if let Some(found) = &found {
            self.check_owned(TargetKind::Container, &found.name, &found.labels)?;
        }
        Ok(found)
    }

    fn check_owned(
        &self,
        kind: TargetKind,
        name: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), ProviderError> {
        if ownership::is_made_by(labels, self.installation()) {
            Ok(())
        } else {
            Err(refusal::not_ours(kind, name))
        }
    }
}

/// Whether the container that holds the wanted name is the very one that was to
/// be made, and not another one of the environment.
fn can_take_over(holder: &ContainerDetail, new: NewContainer<'_>) -> Result<bool, ProviderError> {
    if !ownership::same_owner(&holder.labels, new.labels) {
        let who = format!("image {}; {}", holder.image, ownership::describe(&holder.labels));
        return Err(refusal::blocked_by_foreign(TargetKind::Container, new.name, &who));
    }
    let same_spec = holder.labels.get(label::SPEC_HASH) == new.labels.get(label::SPEC_HASH);
    let usable = matches!(
        holder.state,
        ContainerState::Created | ContainerState::Running | ContainerState::Exited
    );
    Ok(same_spec && usable)
}

/// Whether a container was made to have files, by the spec that it carries.
fn wants_files(container: &ContainerDetail) -> bool {
    let spec = container.labels.get(label::SPEC);
    let spec = spec.and_then(|spec| serde_json::from_str::<ContainerSpec>(spec).ok());
    spec.is_some_and(|spec| !spec.files.is_empty())
}

/// The port in an engine's words, such as `0.0.0.0:8080`.
fn port_in(words: &str) -> String {
    words
        .split_whitespace()
        .map(|word| word.trim_matches(|c: char| c == ':' || c == ',' || c == ';'))
        .find(|word| {
            word.rsplit_once(':').is_some_and(|(ip, port)| {
                port.parse::<u16>().is_ok()
                    && ip.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok()
            })
        })
        .map_or_else(|| "that it publishes".to_owned(), |word| word.to_owned())
}

/// Any other failure, with what was being done in front.
fn other(doing: &str, error: CallError) -> ProviderError {
    match error {
        CallError::Other(error) if error.reason != reason::ACTION_FAILED => error,
        CallError::Other(error) => {
            ProviderError::new(error.class, error.reason, format!("{doing}: {}", error.message))
        }
        unexpected => refusal::failed(doing, &unexpected.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::port_in;

    #[test]
    fn ports_are_found_in_the_words_of_engines() {
        let allocated = "driver failed on endpoint x (ab12): Bind for 0.0.0.0:18777 failed: port is already allocated";
        let in_use =
            "Error starting userland proxy: listen tcp4 127.0.0.1:80: bind: address already in use";
        assert_eq!(port_in(allocated), "0.0.0.0:18777");
        assert_eq!(port_in(in_use), "127.0.0.1:80");
        assert_eq!(port_in("listen tcp6 [::]:80: bind"), "[::]:80");
        assert_eq!(port_in("no port here"), "that it publishes");
    }
}
