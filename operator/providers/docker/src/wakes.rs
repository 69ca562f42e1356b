//! The engine's events, as wakes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{EventMessage, EventMessageTypeEnum};
use bollard::query_parameters::{EventsOptionsBuilder, InspectContainerOptions};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, FuturesUnordered};
use hades_api::name::EnvironmentName;
use hades_plan::HostSnapshot;
use hades_provider::{Wake, ownership};
use jiff::Timestamp;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc};

use crate::client::Client;
use crate::failure::Failure;
use crate::transport::Purpose;

/// Pause before the connection is tried again, and how long it may grow.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Wakes kept for a caller who is busy.
const WAKES_KEPT: usize = 256;

/// How many ends are waited for at once until they are in the engine's lists.
const SETTLING_AT_ONCE: usize = 4;

/// What the engine is asked for. Health checks and commands run in containers
/// would come by the thousand and change nothing that a plan looks at.
const TYPES: [&str; 4] = ["container", "network", "volume", "image"];
const ACTIONS: [&str; 15] = [
    "create",
    "start",
    "die",
    "destroy",
    "pause",
    "unpause",
    "rename",
    // Sent when the verdict of a check changes, not at each check.
    "health_status",
    "connect",
    "disconnect",
    "remove",
    "pull",
    "tag",
    "load",
    "import",
];

/// Whose networks and volumes are whose, as last observed: their events carry
/// no labels.
#[derive(Debug, Default)]
pub(crate) struct Index {
    networks: HashMap<String, EnvironmentName>,
    volumes: HashMap<String, EnvironmentName>,
}

impl Index {
    /// Of what `installation` made.
    pub fn new(snapshot: &HostSnapshot, installation: Option<&str>) -> Self {
        let owner = |labels| ownership::environment_of(labels, installation);
        let networks = &snapshot.networks;
        let volumes = &snapshot.volumes;
        Self {
            networks: networks
                .iter()
                .filter_map(|n| Some((n.id.clone(), owner(&n.labels)?)))
                .collect(),
            volumes: volumes
                .iter()
                .filter_map(|v| Some((v.name.clone(), owner(&v.labels)?)))
                .collect(),
        }
    }
}

/// Wakes for ever. Listens in a task of its own from the first poll on, so that
/// a caller who is busy misses nothing; the task ends with the stream.
pub(crate) fn listen(
    client: Arc<Client>,
    installation: Option<String>,
    index: Arc<RwLock<Index>>,
) -> BoxStream<'static, Wake> {
    let listener = Listener {
        client,
        installation,
        index,
        events: None,
        pause: None,
        settling: FuturesUnordered::new(),
        turns: Arc::new(Semaphore::new(SETTLING_AT_ONCE)),
    };
    stream::once(async move {
        let (told, wakes) = mpsc::channel(WAKES_KEPT);
        tokio::spawn(pass_on(listener, told));
        stream::unfold(wakes, |mut wakes| async move { Some((wakes.recv().await?, wakes)) })
    })
    .flatten()
    .boxed()
}

async fn pass_on(mut listener: Listener, told: mpsc::Sender<Wake>) {
    loop {
        let wake = tokio::select! {
            wake = listener.next() => wake,
            () = told.closed() => return,
        };
        // Nobody takes them: one wake then stands for all that is left out.
        if let Err(TrySendError::Full(_)) = told.try_send(wake)
            && told.send(Wake::Everything).await.is_err()
        {
            return;
        }
    }
}

struct Listener {
    client: Arc<Client>,
    installation: Option<String>,
    index: Arc<RwLock<Index>>,
    events: Option<BoxStream<'static, Result<EventMessage, Error>>>,
    /// Before the next attempt; none before the first.
    pause: Option<Duration>,
    /// Ends that may not be in the lists yet.
    settling: FuturesUnordered<BoxFuture<'static, Wake>>,
    turns: Arc<Semaphore>,
}

impl Listener {
    async fn next(&mut self) -> Wake {
        loop {
            let Some(events) = &mut self.events else {
                if let Some(pause) = self.pause {
                    tokio::time::sleep(pause).await;
                }
                self.pause = Some(longer(self.pause));
                match subscribe(&self.client).await {
                    Ok(events) => self.events = Some(events),
                    Err(failure) => {
                        let error = failure.into_provider_error();
                        tracing::debug!(endpoint = %self.client.endpoint(), %error, "no events");
                        continue;
                    }
                }
                return Wake::Everything;
            };
            let event = tokio::select! {
                event = events.next() => event,
                Some(wake) = self.settling.next() => return wake,
            };
            match event {
                Some(Ok(event)) => {
                    self.pause = Some(FIRST_PAUSE);
                    let ended = ended(&event);
                    let wake = {
                        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
                        wake(event, self.installation.as_deref(), &index)
                    };
                    if let (Some(id), Some(wake)) = (ended, &wake) {
                        self.look_again(id, wake.clone());
                    }
                    if let Some(wake) = wake {
                        return wake;
                    }
                }
                Some(Err(error)) => {
                    // Forgets the connection too.
                    let _ = self.client.failure(&error);
                    self.events = None;
                }
                None => self.events = None,
            }
        }
    }

    /// The engine tells of an end before it takes it into its lists: the network is
    /// released in between, which takes a tenth of a second and more. Whoever looks at
    /// once may see it run, and nothing would wake him after that. An inspection waits
    /// for the lock that the engine holds meanwhile (moby, `handleContainerExit`).
    fn look_again(&self, id: String, wake: Wake) {
        let (client, turns) = (Arc::clone(&self.client), Arc::clone(&self.turns));
        self.settling.push(Box::pin(async move {
            let _turn = turns.acquire().await;
            let inspected = client.look(|docker| async move {
                docker.inspect_container(&id, None::<InspectContainerOptions>).await
            });
            // Whatever it says: it is a reason to look.
            let _ = inspected.await;
            wake
        }));
    }
}

/// The container that an event says has ended.
fn ended(event: &EventMessage) -> Option<String> {
    let ended = event.typ == Some(EventMessageTypeEnum::CONTAINER)
        && event.action.as_deref() == Some("die");
    event.actor.as_ref()?.id.clone().filter(|_| ended)
}

/// The library sends the request only when the stream is polled. Asking for
/// the events since before the caller is woken leaves no gap.
async fn subscribe(
    client: &Client,
) -> Result<BoxStream<'static, Result<EventMessage, Error>>, Failure> {
    let info = client.look(|docker| async move { docker.info().await }).await?;
    let filters = HashMap::from([("type", TYPES.to_vec()), ("event", ACTIONS.to_vec())]);
    let mut options = EventsOptionsBuilder::new().filters(&filters);
    // By the engine's clock: ours may differ.
    let now = info.system_time.and_then(|time| time.parse::<Timestamp>().ok());
    if let Some(now) = now {
        options = options.since(&format!("{}.{:09}", now.as_second(), now.subsec_nanosecond()));
    }
    let docker = client.docker_for(Purpose::Calls).await?;
    let options = options.build();
    Ok(docker.events(Some(options)).boxed())
}

fn longer(pause: Option<Duration>) -> Duration {
    pause.map_or(FIRST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE))
}

/// Whom an event concerns, if anybody.
fn wake(event: EventMessage, installation: Option<&str>, index: &Index) -> Option<Wake> {
    let action = event.action.unwrap_or_default();
    let actor = event.actor.unwrap_or_default();
    let attributes: BTreeMap<_, _> = actor.attributes.unwrap_or_default().into_iter().collect();
    let id = actor.id.unwrap_or_default();
    match event.typ? {
        EventMessageTypeEnum::CONTAINER => {
            // Labels are among the attributes.
            if let Some(environment) = ownership::environment_of(&attributes, installation) {
                return Some(Wake::Environment(environment));
            }
            // It may have let a name or a port go, or taken one.
            matches!(&*action, "start" | "die" | "destroy" | "rename").then_some(Wake::Foreign)
        }
        EventMessageTypeEnum::NETWORK => match index.networks.get(&id) {
            Some(environment) => Some(Wake::Environment(environment.clone())),
            None => (action == "destroy" || action == "remove").then_some(Wake::Foreign),
        },
        EventMessageTypeEnum::VOLUME => match index.volumes.get(&id) {
            Some(environment) => {
                (action != "create").then(|| Wake::Environment(environment.clone()))
            }
            None => (action == "destroy").then_some(Wake::Foreign),
        },
        // Somebody may be waiting for it.
        EventMessageTypeEnum::IMAGE => Some(Wake::Foreign),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hades_plan::{ObservedNetwork, ObservedVolume, naming};
    use serde_json::json;

    use super::*;

    fn shop() -> EnvironmentName {
        EnvironmentName::new("shop", "prod")
    }

    fn index() -> Index {
        let labels = naming::ownership("i", &shop(), "uid");
        let network = ObservedNetwork {
            id: "n1".to_owned(),
            name: "shop_prod".to_owned(),
            labels: labels.clone(),
            subnets: Vec::new(),
        };
        let snapshot = HostSnapshot {
            networks: vec![network],
            volumes: vec![ObservedVolume { name: "shop_prod_data".to_owned(), labels }],
            ..HostSnapshot::default()
        };
        Index::new(&snapshot, Some("i"))
    }

    fn event(kind: &str, action: &str, id: &str, attributes: serde_json::Value) -> Option<Wake> {
        let event = json!({
            "Type": kind, "Action": action, "Actor": {"ID": id, "Attributes": attributes},
        });
        wake(serde_json::from_value(event).unwrap(), Some("i"), &index())
    }

    #[test]
    fn whom_events_concern() {
        let ours = json!({
            "name": "x", "hades.dev/installation": "i", "hades.dev/project": "shop",
            "hades.dev/environment": "prod",
        });
        let theirs = json!({
            "name": "x", "hades.dev/installation": "j", "hades.dev/project": "shop",
            "hades.dev/environment": "prod",
        });
        let environment = Some(Wake::Environment(shop()));
        assert_eq!(event("container", "die", "c", ours), environment);
        assert_eq!(event("container", "die", "c", theirs.clone()), Some(Wake::Foreign));
        assert_eq!(event("container", "create", "c", theirs), None);
        assert_eq!(event("container", "rename", "c", json!({})), Some(Wake::Foreign));
        assert_eq!(event("network", "disconnect", "n1", json!({})), environment);
        assert_eq!(event("network", "disconnect", "n2", json!({})), None);
        assert_eq!(event("network", "destroy", "n2", json!({})), Some(Wake::Foreign));
        assert_eq!(event("volume", "destroy", "shop_prod_data", json!({})), environment);
        assert_eq!(event("volume", "destroy", "other", json!({})), Some(Wake::Foreign));
        assert_eq!(event("image", "load", "i", json!({})), Some(Wake::Foreign));
        assert_eq!(event("plugin", "enable", "p", json!({})), None);
    }

    #[test]
    fn pauses_grow_to_a_bound() {
        let pauses = std::iter::successors(Some(longer(None)), |pause| Some(longer(Some(*pause))));
        let pauses: Vec<_> = pauses.take(8).collect();
        assert_eq!(pauses[0], FIRST_PAUSE);
        assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(pauses[7], LONGEST_PAUSE);
    }
}
