//! Which environments use which host.

use std::collections::BTreeSet;
use std::fmt;

use hades_api::Environment;
use hades_client::Session;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use crate::error::Error;

/// An environment that uses a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// `PROJECT/ENVIRONMENT`.
    pub environment: String,
    /// Containers there.
    pub containers: usize,
    /// Volumes there.
    pub volumes: usize,
    /// Whether its manifest names the host.
    pub wanted: bool,
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { environment, containers, volumes, wanted } = self;
        write!(f, "{environment} ({})", {
            let mut parts = Vec::new();
            let count = |count: usize, what: &str| {
                (count > 0).then(|| format!("{count} {what}{}", if count == 1 { "" } else { "s" }))
            };
            parts.extend(count(*containers, "container"));
            parts.extend(count(*volumes, "volume"));
            if *wanted {
                parts.push("named in its manifest".to_owned());
            }
            parts.join(", ")
        })
    }
}

/// All environments.
///
/// # Errors
/// When they may not be listed: who looks after hosts must see who uses them.
pub async fn environments(session: &Session) -> Result<Vec<Environment>, Error> {
    let api: Api<Environment> = Api::all(session.client().clone());
    let list = api
        .list(&ListParams::default())
        .await
        .map_err(|error| Error::from(session.error(error)))?;
    Ok(list.items)
}

/// Those that use a host: that have something there, or name it.
pub fn users(environments: &[Environment], host: &str) -> Vec<User> {
    let user = |environment: &Environment| {
        let resources = environment.status.iter().flat_map(|status| &status.resources);
        let (mut containers, mut volumes) = (0, 0);
        for found in resources.filter(|found| found.host == host) {
            match found.kind.as_str() {
                "Container" => containers += 1,
                "Volume" => volumes += 1,
                _ => {}
            }
        }
        let wanted = named(environment).contains(host);
        let project = environment.namespace().unwrap_or_default();
        (containers + volumes > 0 || wanted).then(|| User {
            environment: format!("{project}/{}", environment.name_any()),
            containers,
            volumes,
            wanted,
        })
    };
    environments.iter().filter_map(user).collect()
}

/// Hosts that a manifest names itself; a template's are seen by what runs there.
fn named(environment: &Environment) -> BTreeSet<&str> {
    let spec = &environment.spec;
    let of_services = spec.services.values().filter_map(|service| service.host.as_deref());
    let default = spec.defaults.as_ref().and_then(|defaults| defaults.host.as_deref());
    of_services.chain(default).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_has_something_there_or_wants_to() {
        let environment = |name: &str, value: serde_json::Value| -> Environment {
            let mut object = value;
            object["apiVersion"] = json!("hades.dev/v1alpha1");
            object["kind"] = json!("Environment");
            object["metadata"] = json!({"name": name, "namespace": "shop"});
            serde_json::from_value(object).unwrap()
        };
        let resource = |kind: &str, host: &str| {
            json!({"kind": kind, "name": "x", "host": host, "state": "running",
                   "health": "Healthy", "drift": "InSync"})
        };
        let all = [
            environment(
                "runs",
                json!({"spec": {}, "status": {"resources": [
                    resource("Container", "web-1"), resource("Container", "web-1"),
                    resource("Volume", "web-1"), resource("Container", "web-2"),
                ]}}),
            ),
            environment("wants", json!({"spec": {"defaults": {"host": "web-1"}}})),
            environment("neither", json!({"spec": {"defaults": {"host": "web-2"}}})),
        ];
        let words: Vec<String> = users(&all, "web-1").iter().map(ToString::to_string).collect();
        assert_eq!(
            words,
            ["shop/runs (2 containers, 1 volume)", "shop/wants (named in its manifest)"]
        );
    }
}
