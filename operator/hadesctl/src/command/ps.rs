//! `hadesctl ps`.

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use kube::api::DynamicObject;
use serde::Serialize;
use serde_json::Value;

use crate::age::age;
use crate::context::Context;
use crate::error::Error;
use crate::layout::columns;
use crate::output;
use crate::scope::{Scope, address_of};

/// Show containers
///
/// As Hades saw them last; `hadesctl top` looks anew.
#[derive(Debug, Args)]
pub struct Arguments {
    /// PROJECT, PROJECT/ENVIRONMENT or PROJECT/ENVIRONMENT/SERVICE; everything when left out
    scope: Option<String>,

    /// Of all projects
    #[arg(short = 'A', long, visible_alias = "all-namespaces", conflicts_with = "project")]
    all_projects: bool,

    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    #[default]
    Table,
    Wide,
    Yaml,
    Json,
    Name,
}

/// A container, or a stopped service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    environment: String,
    service: String,
    replica: Option<u32>,
    host: String,
    state: String,
    health: String,
    drift: String,
    image: String,
    ports: Vec<String>,
    created_at: Option<Timestamp>,
    container: String,
    message: String,
}

/// Shows containers.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let scope = Scope::read(context, arguments.scope.as_deref(), arguments.all_projects).await?;
    let environments = scope.environments(context.session().await?).await?;
    let mut entries: Vec<Entry> = environments.iter().flat_map(entries).collect();
    entries.retain(|entry| scope.service().is_none_or(|service| service == entry.service));
    let text = match arguments.output {
        Output::Json => output::json(&entries)?,
        Output::Yaml => output::yaml(&entries)?,
        Output::Name => entries
            .iter()
            .filter(|entry| !entry.container.is_empty())
            .map(|entry| format!("{}\n", entry.container))
            .collect(),
        Output::Table | Output::Wide if entries.is_empty() => {
            context.terminal.note("there are no containers");
            return Ok(());
        }
        Output::Table | Output::Wide => {
            let wide = arguments.output == Output::Wide;
            columns(&table(&entries, scope.is_wide(), wide, context.now()), 0)
        }
    };
    context.terminal.print(&text)
}

fn entries(environment: &DynamicObject) -> Vec<Entry> {
    let address = address_of(environment);
    let status = environment.data.get("status").unwrap_or(&Value::Null);
    let list = |key: &str| status[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let containers = list("resources").iter().filter(|found| found["kind"] == "Container");
    let prefix = format!("{}_{}_", address.project, address.environment);
    let mut entries: Vec<Entry> = containers
        .map(|found| {
            let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
            let service = text("service");
            let ports = found["ports"].as_array().into_iter().flatten();
            Entry {
                environment: address.to_string(),
                replica: replica(&text("name"), &prefix, &service),
                service,
                host: text("host"),
                state: text("state"),
                health: text("health"),
                drift: text("drift"),
                image: text("image"),
                ports: ports.filter_map(Value::as_str).map(str::to_owned).collect(),
                created_at: found["createdAt"].as_str().and_then(|time| time.parse().ok()),
                container: text("name"),
                message: text("message"),
            }
        })
        .collect();
    // One that is being removed is listed by itself.
    let stopped = list("stopped").iter().filter_map(Value::as_str);
    entries.extend(stopped.map(|service| Entry {
        environment: address.to_string(),
        service: service.to_owned(),
        replica: None,
        host: String::new(),
        state: "stopped".to_owned(),
        health: "Suspended".to_owned(),
        drift: "InSync".to_owned(),
        image: String::new(),
        ports: Vec::new(),
        created_at: None,
        container: String::new(),
        message: format!("start it by `hadesctl start {address}/{service}`"),
    }));
    entries.sort_by(|a, b| {
        (&a.service, a.replica, &a.host, &a.container).cmp(&(
            &b.service,
            b.replica,
            &b.host,
            &b.container,
        ))
    });
    entries
}

/// Number of a replica out of the name of its container:
/// `PROJECT_ENVIRONMENT_SERVICE-REPLICA-HASH`.
fn replica(name: &str, prefix: &str, service: &str) -> Option<u32> {
    let rest = name.strip_prefix(prefix)?.strip_prefix(service)?.strip_prefix('-')?;
    rest.split('-').next()?.parse().ok()
}

fn table(entries: &[Entry], environments: bool, wide: bool, now: Timestamp) -> Vec<Vec<String>> {
    let cells = |environment: &str, always: [String; 8], more: [String; 3]| -> Vec<String> {
        let mut row: Vec<String> =
            environments.then(|| environment.to_owned()).into_iter().collect();
        row.extend(always);
        if wide {
            row.extend(more);
        }
        row
    };
    let head = ["SERVICE", "REPLICA", "HOST", "STATE", "HEALTH", "IMAGE", "PORTS", "AGE"];
    let more = ["DRIFT", "CONTAINER", "MESSAGE"];
    let mut rows = vec![cells("ENVIRONMENT", head.map(str::to_owned), more.map(str::to_owned))];
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    rows.extend(entries.iter().map(|entry| {
        let always = [
            entry.service.clone(),
            entry.replica.map_or_else(|| "-".to_owned(), |replica| replica.to_string()),
            or_dash(&entry.host),
            entry.state.clone(),
            entry.health.clone(),
            or_dash(&entry.image),
            or_dash(&entry.ports.join(",")),
            entry.created_at.map_or_else(|| "-".to_owned(), |time| age(time, now)),
        ];
        let more =
            [entry.drift.clone(), or_dash(&entry.container), entry.message.replace('\n', " ")];
        cells(&entry.environment, always, more)
    }));
    rows
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn containers_and_stopped_services() {
        let container = |service: &str, replica: u32, state: &str, health: &str| {
            json!({"kind": "Container", "name": format!("shop_production_{service}-{replica}-3f2a9c1d"),
                   "host": "local", "service": service, "state": state, "health": health,
                   "drift": "InSync", "image": "api:1", "ports": ["8080:80"],
                   "createdAt": "2026-06-01T00:00:00Z"})
        };
        let environment: DynamicObject = serde_json::from_value(json!({
            "metadata": {"name": "production", "namespace": "shop"},
            "status": {"stopped": ["worker"], "resources": [
                {"kind": "Network", "name": "shop_production", "host": "local", "state": "present"},
                container("web-2", 10, "exited", "Degraded"),
                container("web-2", 2, "running", "Healthy"),
                container("api", 1, "running", "Healthy"),
            ]},
        }))
        .unwrap();
        let entries = entries(&environment);
        let now = "2026-06-01T03:00:00Z".parse().unwrap();
        insta::assert_snapshot!(columns(&table(&entries, false, false, now), 0));
        insta::assert_snapshot!(columns(&table(&entries, true, true, now), 0));
    }
}
