//! From successive states of an environment to what a person wants to hear. No
//! clock, no output.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hades_client::Address;
use hades_client::wait::Standing;
use k8s_openapi::api::core::v1::Event;
use serde_json::Value;

use crate::layout;

/// Events that say in other words what the states say anyway.
const TOLD_BY_STATES: [&str; 4] = ["PlanApplied", "Reconciled", "DriftHealed", "Progressing"];
/// Lines of the last event that are shown, such as the last output of a container.
const EVENT_LINES: usize = 12;

/// What a status says of a thing that is still to be made.
const NOT_THERE: &str = "it isn't there";

/// What is known of a roll-out.
#[derive(Debug, Default)]
pub struct Progress {
    address: String,
    /// Name of a container begins with it.
    prefix: String,
    looked: bool,
    /// What was last said of the whole.
    headline: String,
    ready: String,
    things: BTreeMap<Thing, String>,
    ports: BTreeMap<String, Vec<String>>,
    failing: BTreeSet<String>,
    events: BTreeSet<(String, String)>,
    /// The latest thing heard, for the block.
    note: String,
}

/// A container, network or volume.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Thing {
    name: String,
    host: String,
}

/// A thing as a status tells of it.
struct Found {
    thing: Thing,
    service: Option<String>,
    ports: Vec<String>,
    words: String,
    /// Nobody needs to hear of it.
    settled: bool,
    failing: bool,
}

impl Progress {
    /// Of an environment of which nothing is known yet.
    pub fn new(address: &Address) -> Self {
        Self {
            address: address.to_string(),
            prefix: format!("{}_{}_", address.project, address.environment),
            ..Self::default()
        }
    }

    /// Takes in how the environment looks now; returns what is new.
    pub fn look(&mut self, object: Option<&Value>, standing: Option<&Standing>) -> Vec<String> {
        let mut lines = vec![];
        let status = object.and_then(|object| object.get("status")).unwrap_or(&Value::Null);
        self.ready = status["ready"].as_str().unwrap_or_default().to_owned();
        let headline = standing.map(headline).unwrap_or_default();
        if headline != self.headline && !headline.is_empty() {
            lines.push(format!("{}: {headline}", self.address));
        }
        self.headline = headline;
        let found: Vec<Found> = self.found(status);
        self.ports = ports(&found);
        self.failing =
            found.iter().filter(|f| f.failing).filter_map(|f| f.service.clone()).collect();
        let mut now = BTreeMap::new();
        for Found { thing, words, settled, .. } in found {
            let known = self.things.get(&thing);
            let news = known.map_or(self.looked || !settled, |known| *known != words);
            if news && !words.is_empty() {
                lines.push(format!("  {thing}: {words}"));
            }
            now.insert(thing, words);
        }
        for thing in self.things.keys().filter(|thing| !now.contains_key(*thing)) {
            lines.push(format!("  {thing}: removed"));
        }
        self.things = now;
        self.looked |= object.is_some();
        lines
    }

    /// Takes in an event; returns it in words unless that says nothing new.
    pub fn event(&mut self, event: &Event) -> Option<String> {
        let reason = event.reason.clone().unwrap_or_default();
        let message = event.message.clone().unwrap_or_default();
        let message = message.trim();
        let told = TOLD_BY_STATES.contains(&reason.as_str()) || self.headline.contains(message);
        if told || message.is_empty() || !self.events.insert((reason.clone(), message.to_owned())) {
            return None;
        }
        let shown: Vec<&str> = message.lines().take(EVENT_LINES).collect();
        self.note = shown.first().copied().unwrap_or_default().to_owned();
        Some(format!("  {reason}: {}", shown.join("\n    ")))
    }

    /// Everything as it stands now, for a terminal.
    pub fn block(&self, elapsed: Duration) -> Vec<String> {
        let mut lines = vec![format!(
            "{}  {}s  {}",
            self.address,
            elapsed.as_secs(),
            if self.headline.is_empty() { "waiting" } else { &self.headline }
        )];
        let rows: Vec<Vec<String>> = self
            .things
            .iter()
            .filter(|(_, words)| !words.is_empty())
            .map(|(thing, words)| vec![thing.name.clone(), thing.host.clone(), words.clone()])
            .collect();
        lines.extend(layout::columns(&rows, 2).lines().map(str::to_owned));
        if !self.note.is_empty() {
            lines.push(format!("  {}", self.note));
        }
        lines
    }

    /// That it is done: how long it took, and where it can be reached.
    pub fn success(&self, elapsed: Duration) -> Vec<String> {
        let ready = match self.ready.as_str() {
            "" => String::new(),
            ready => format!(", {ready} containers"),
        };
        let time = format!("{}.{}s", elapsed.as_secs(), elapsed.subsec_millis() / 100);
        let mut lines = vec![format!("environment {} is ready after {time}{ready}", self.address)];
        let ports =
            self.ports.iter().map(|(name, ports)| format!("  {name}: {}", ports.join(", ")));
        lines.extend(ports);
        lines
    }

    /// What to do when it isn't.
    pub fn next_steps(&self) -> String {
        let all = format!("`hadesctl describe {}` shows all there is to know", self.address);
        match self.failing.first() {
            Some(service) => format!(
                "`hadesctl logs {}/{service} --tail 50` shows what it wrote; {all}",
                self.address
            ),
            None => all,
        }
    }

    fn found(&self, status: &Value) -> Vec<Found> {
        let resources = status["resources"].as_array().map(Vec::as_slice).unwrap_or_default();
        resources.iter().map(|resource| self.one(resource)).collect()
    }

    fn one(&self, resource: &Value) -> Found {
        let text = |key: &str| resource[key].as_str().unwrap_or_default();
        let kind = text("kind");
        let name = match kind {
            "Container" => text("name").trim_start_matches(&self.prefix).to_owned(),
            other => format!("{} {}", other.to_lowercase(), text("name")),
        };
        let in_sync = text("drift") == "InSync";
        let healthy = text("health") == "Healthy";
        let ports = resource["ports"].as_array().into_iter().flatten();
        Found {
            thing: Thing { name, host: text("host").to_owned() },
            service: resource["service"].as_str().map(str::to_owned),
            ports: ports.filter_map(Value::as_str).map(str::to_owned).collect(),
            words: match kind {
                "Container" => words(text("state"), text("health"), in_sync, text("message")),
                _ => other_words(text("state"), text("message")),
            },
            settled: in_sync && healthy,
            failing: kind == "Container" && text("health") == "Degraded",
        }
    }
}

/// `api-1-3f2a9c1d on local`.
impl std::fmt::Display for Thing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on {}", self.name, self.host)
    }
}

fn headline(standing: &Standing) -> String {
    let text = standing.message();
    let text = text.strip_prefix("Progressing: ").unwrap_or(text);
    match standing {
        Standing::Stalled(why) => format!("stalled, {why}"),
        // The word of the condition says no more than that it goes on.
        _ => text.replace(", Progressing: ", ", "),
    }
}

/// What a container does, in the words of somebody who waits for it.
fn words(state: &str, health: &str, in_sync: bool, message: &str) -> String {
    let because = |what: &str| match message {
        "" => what.to_owned(),
        message => format!("{what}, {message}"),
    };
    match (state, health) {
        // What it will be is no news before it is there.
        ("absent", _) if matches!(message, "" | NOT_THERE) => String::new(),
        ("absent", _) => because("waits"),
        ("running", _) if !in_sync => because("runs as it was described before"),
        ("running", "Healthy") => because("runs"),
        ("running", "Progressing") => because("started, not healthy yet"),
        ("running", "Degraded") => because("runs and is not healthy"),
        ("created", _) => because("created"),
        ("exited", _) => because("has ended"),
        ("restarting", _) => because("ends again and again"),
        (state, _) => because(state),
    }
}

fn other_words(state: &str, message: &str) -> String {
    match (state, message) {
        ("present", _) => "is there".to_owned(),
        ("absent", "" | NOT_THERE) => String::new(),
        (state, "") => state.to_owned(),
        (_, message) => format!("waits, {message}"),
    }
}

fn ports(found: &[Found]) -> BTreeMap<String, Vec<String>> {
    let mut ports: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for found in found.iter().filter(|found| !found.ports.is_empty()) {
        let name = found.service.clone().unwrap_or_else(|| found.thing.name.clone());
        let all = found.ports.iter().map(|port| format!("{port} on {}", found.thing.host));
        ports.entry(name).or_default().extend(all);
    }
    ports
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn container(name: &str, state: &str, health: &str, drift: &str, message: &str) -> Value {
        let message = if message.is_empty() { Value::Null } else { json!(message) };
        json!({
            "kind": "Container", "name": format!("shop_production_{name}"), "host": "local",
            "service": name.split('-').next(), "state": state, "health": health, "drift": drift,
            "message": message, "ports": if name.starts_with("web") { json!(["8080:80"]) } else { json!([]) },
        })
    }

    fn look(ready: &str, resources: &[Value]) -> Value {
        json!({"status": {"ready": ready, "resources": resources}})
    }

    fn progressing(text: &str) -> Option<Standing> {
        Some(Standing::Progressing(text.to_owned()))
    }

    /// The lines that a list of states and events leads to.
    fn told(steps: &[(Value, Option<Standing>)], end: Duration) -> String {
        let mut progress = Progress::new(&Address::environment("shop", "production"));
        let mut lines = vec![];
        for (object, standing) in steps {
            match object.get("reason") {
                Some(_) => {
                    let event: Event = serde_json::from_value(object.clone()).unwrap();
                    lines.extend(progress.event(&event));
                }
                None => lines.extend(progress.look(Some(object), standing.as_ref())),
            }
        }
        match steps.last() {
            Some((_, None)) => lines.extend(progress.success(end)),
            _ => lines.push(progress.next_steps()),
        }
        lines.join("\n")
    }

    #[test]
    fn a_rolling_replacement() {
        let old = |drift| container("api-1-aaaaaaaa", "running", "Healthy", drift, "");
        let web = container("web-1-cccccccc", "running", "Healthy", "InSync", "");
        let new = |state, health, drift, message| {
            container("api-1-bbbbbbbb", state, health, drift, message)
        };
        let waiting = || progressing("1/2 containers ready, Progressing: 1 to replace");
        let event = json!({
            "metadata": {}, "involvedObject": {}, "reason": "Pulling",
            "message": "api:2 on local: 3 of 5 layers, 40 MB of 100 MB",
        });
        let steps = [
            (
                look("2/2", &[old("InSync"), web.clone()]),
                progressing("Hades hasn't seen the request yet"),
            ),
            (look("1/2", &[old("OutOfSync"), web.clone()]), waiting()),
            (event.clone(), None),
            (event, None),
            (
                look(
                    "1/2",
                    &[old("OutOfSync"), new("created", "Progressing", "InSync", ""), web.clone()],
                ),
                waiting(),
            ),
            (
                look(
                    "1/2",
                    &[old("OutOfSync"), new("running", "Progressing", "InSync", ""), web.clone()],
                ),
                waiting(),
            ),
            (
                look(
                    "1/2",
                    &[old("OutOfSync"), new("running", "Healthy", "InSync", ""), web.clone()],
                ),
                waiting(),
            ),
            (look("2/2", &[new("running", "Healthy", "InSync", ""), web]), None),
        ];
        insta::assert_snapshot!(told(&steps, Duration::from_millis(12_340)));
    }

    #[test]
    fn a_first_roll_out() {
        let network = |state: &str| json!({"kind": "Network", "name": "shop_production", "host": "local", "state": state, "health": "Healthy", "drift": "InSync"});
        let steps = [
            (json!({}), progressing("Hades hasn't looked at it yet")),
            (
                look(
                    "0/1",
                    &[
                        network("absent"),
                        container("web-1-cccccccc", "absent", "Missing", "OutOfSync", ""),
                    ],
                ),
                progressing("0/1 containers ready, Progressing: 2 to create"),
            ),
            (
                look(
                    "0/1",
                    &[
                        network("present"),
                        container("web-1-cccccccc", "created", "Progressing", "InSync", ""),
                    ],
                ),
                progressing("0/1 containers ready, Progressing: 1 to create"),
            ),
            (
                look(
                    "1/1",
                    &[
                        network("present"),
                        container("web-1-cccccccc", "running", "Healthy", "InSync", ""),
                    ],
                ),
                None,
            ),
        ];
        insta::assert_snapshot!(told(&steps, Duration::from_millis(900)));
    }

    #[test]
    fn a_container_that_ends_at_once() {
        let why = "ContainerFailed: container shop_production_api-1-bbbbbbbb ended with status 1";
        let api = container("api-1-bbbbbbbb", "exited", "Degraded", "InSync", "exit status 1");
        let event = json!({
            "metadata": {}, "involvedObject": {}, "reason": "ContainerFailed",
            "message": "api-1 ended with status 1; its last words:\n  panic: no DATABASE_URL\n  goodbye",
        });
        let steps = [
            (
                look("0/1", &[container("api-1-bbbbbbbb", "created", "Progressing", "InSync", "")]),
                progressing("0/1 containers ready, Progressing: 1 to create"),
            ),
            (event, None),
            (look("0/1", &[api]), Some(Standing::Stalled(why.to_owned()))),
        ];
        insta::assert_snapshot!(told(&steps, Duration::ZERO));
    }

    #[test]
    fn a_block_shows_everything_at_once() {
        let mut progress = Progress::new(&Address::environment("shop", "production"));
        let state = look(
            "1/2",
            &[
                container("api-1-bbbbbbbb", "running", "Progressing", "InSync", ""),
                container("web-1-cccccccc", "running", "Healthy", "InSync", ""),
            ],
        );
        progress.look(
            Some(&state),
            progressing("1/2 containers ready, Progressing: 1 to replace").as_ref(),
        );
        insta::assert_snapshot!(progress.block(Duration::from_secs(7)).join("\n"));
    }
}
