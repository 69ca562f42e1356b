//! `hadesctl host ls`.

use hades_api::{DockerHost, Environment, condition};
use kube::ResourceExt;

use super::{hosts, size, usage};
use crate::context::Context;
use crate::error::Error;
use crate::layout::columns;

/// Shows the hosts.
pub async fn run(context: &Context) -> Result<(), Error> {
    let session = context.session().await?;
    let found =
        hosts(session).list(&Default::default()).await.map_err(|error| session.error(error))?;
    if found.items.is_empty() {
        context.terminal.note("there is no host yet: `hadesctl host add USER@ADDRESS` adds one");
        return Ok(());
    }
    // Who may not see environments still sees hosts.
    let environments = usage::environments(session).await.ok();
    context.terminal.print(&table(&found.items, environments.as_deref()))
}

fn table(hosts: &[DockerHost], environments: Option<&[Environment]>) -> String {
    let head =
        ["NAME", "STATE", "VERSION", "CPUS", "MEMORY", "ENVIRONMENTS", "CONTAINERS", "ENDPOINT"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for host in hosts {
        let name = host.name_any();
        let status = host.status.clone().unwrap_or_default();
        let capacity = status.capacity.as_ref();
        let users = environments.map(|all| usage::users(all, &name).len().to_string());
        rows.push(vec![
            name,
            state(host),
            status.version.unwrap_or_else(unknown),
            capacity.map_or_else(unknown, |capacity| capacity.cpus.to_string()),
            capacity.map_or_else(unknown, |capacity| size(capacity.memory)),
            users.unwrap_or_else(unknown),
            status.containers.map_or_else(unknown, |count| count.to_string()),
            host.spec.endpoint.clone(),
        ]);
    }
    columns(&rows, 0)
}

fn unknown() -> String {
    "-".to_owned()
}

/// As `kubectl get nodes` says it.
fn state(host: &DockerHost) -> String {
    let conditions = host.status.iter().flat_map(|status| &status.conditions);
    let ready = conditions.into_iter().find(|found| found.type_ == condition::READY);
    let mut state = match ready {
        Some(ready) if ready.status == "True" => "Ready".to_owned(),
        Some(ready) => format!("NotReady ({})", ready.reason),
        None => "Unknown".to_owned(),
    };
    if !host.spec.is_schedulable() {
        state.push_str(", drained");
    }
    state
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_per_host() {
        let host = |value: serde_json::Value| serde_json::from_value::<DockerHost>(value).unwrap();
        let up = host(json!({
            "apiVersion": "hades.dev/v1alpha1", "kind": "DockerHost", "metadata": {"name": "web-1"},
            "spec": {"endpoint": "ssh://root@203.0.113.7", "unschedulable": true},
            "status": {
                "version": "26.1.5", "containers": 12,
                "capacity": {"cpus": 8, "memory": 16_000_000_000_i64},
                "conditions": [{"type": "Ready", "status": "True", "reason": "Reachable",
                    "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            },
        }));
        let new = host(json!({
            "apiVersion": "hades.dev/v1alpha1", "kind": "DockerHost", "metadata": {"name": "new"},
            "spec": {"endpoint": "unix:///x"},
        }));
        assert_eq!(
            table(&[up, new], Some(&[])),
            "\
NAME    STATE            VERSION   CPUS   MEMORY     ENVIRONMENTS   CONTAINERS   ENDPOINT
web-1   Ready, drained   26.1.5    8      14.9 GiB   0              12           ssh://root@203.0.113.7
new     Unknown          -         -      -          0              -            unix:///x
"
        );
    }
}
