//! What the environments of a project may ask of hosts, accounts and registries.

use std::borrow::Cow;
use std::fmt;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{IntOrString, Quantity};

/// Where the rules of a project are written, as messages name them.
pub const POLICY_FIELD: &str = "spec.policy";

/// What the environments of a project may ask for. What would give a container
/// its host, or a part of it, is denied unless it is allowed here; what is shared
/// out (hosts, accounts, registries, ports, amounts) is free unless it is limited
/// here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProjectPolicy {
    /// Containers may be privileged: they are root on their host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privileged: Option<bool>,

    /// Folders and files of the host that containers may mount: `/srv/shop` that
    /// very folder, `/srv/shop/` also what is below it, with `:ro` behind it only
    /// read-only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 100),
        inner(length(min = 1, max = 1024), regex(pattern = r"^/([^/:]+/)*([^/:]+)?(:ro)?$"))
    )]
    #[x_kube(validation = ("self.all(p, !p.contains('/../') && !p.contains('/./') && !p.endsWith('/..') && !p.endsWith('/.') && !p.endsWith('/..:ro') && !p.endsWith('/.:ro'))", "write paths without . and .."))]
    pub host_mounts: Vec<String>,

    /// Containers may mount the socket of the engine, and with `hostMounts` the
    /// folders that lead to it or to the engine's data: they are root on their
    /// host then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_socket: Option<bool>,

    /// Containers may be on the network of their host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_network: Option<bool>,

    /// Containers may see the processes of their host.
    #[serde(default, rename = "hostPID", skip_serializing_if = "Option::is_none")]
    pub host_pid: Option<bool>,

    /// Containers may share memory and queues with the processes of their host.
    #[serde(default, rename = "hostIPC", skip_serializing_if = "Option::is_none")]
    pub host_ipc: Option<bool>,

    /// Capabilities that containers may add to Docker's own set: `NET_ADMIN`;
    /// `ALL` for every one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(max = 40), regex(pattern = "^[A-Z][A-Z_]*$")))]
    pub capabilities: Vec<String>,

    /// Devices of the host that containers may have: `/dev/ttyUSB0` that one,
    /// `/dev/dri/` all below that folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 100),
        inner(length(min = 1, max = 1024), regex(pattern = r"^/dev/([^/:]+/)*([^/:]+)?$"))
    )]
    #[x_kube(validation = ("self.all(p, !p.contains('/../') && !p.contains('/./') && !p.endsWith('/..') && !p.endsWith('/.'))", "write paths without . and .."))]
    pub devices: Vec<String>,

    /// What `securityOpt` of services may say besides `no-new-privileges`, word
    /// by word: `seccomp=unconfined`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(min = 1, max = 256)))]
    pub security_opt: Vec<String>,

    /// Names of the DockerHosts that containers may run on; `*` stands for any
    /// text. Any host when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 200),
        inner(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9.*-]+$"))
    )]
    pub hosts: Option<Vec<String>>,

    /// Accounts that may be used, of those that allow the project; all of them
    /// when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<AllowedAccounts>,

    /// Where images may come from: `ghcr.io/acme`, `docker.io/library`,
    /// `registry.example.com:5000`, each with all that is below it. Anywhere when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 512)))]
    #[x_kube(validation = ("self.all(r, !r.contains('://') && !r.contains('@') && !r.startsWith('/') && !r.endsWith('/'))", "write host or host/path, without https://, a user, and a / at its end"))]
    pub registries: Option<Vec<String>>,

    /// Ports of hosts that services may publish: `8080`, `"8000-8999"`. All of
    /// them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub host_ports: Option<Vec<PortRange>>,

    /// How much all environments of the project may have together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quotas: Option<ProjectQuotas>,

    /// Values of the project's own Secrets may be revealed to those who have the right
    /// `get` on `secrets/reveal` of `operations.hades.dev`; never credentials by which
    /// hosts, forges or registries are reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reveal: Option<bool>,
}

/// Accounts by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowedAccounts {
    /// GitAccounts; all that allow the project when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200), inner(length(min = 1, max = 253)))]
    pub git: Option<Vec<String>>,

    /// RegistryAccounts; all that allow the project when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200), inner(length(min = 1, max = 253)))]
    pub registry: Option<Vec<String>>,
}

/// How much all environments of a project may have together; what isn't named has
/// no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProjectQuotas {
    /// Environments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environments: Option<u32>,

    /// Services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<u32>,

    /// Replicas of services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,

    /// Named volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volumes: Option<u32>,

    /// Processors: the sum of `resources.limits.cpu` over all replicas. Every
    /// service needs that limit then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,

    /// Memory: the sum of `resources.limits.memory` over all replicas. Every
    /// service needs that limit then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
}

impl ProjectPolicy {
    /// Whether a GitAccount that allows the project may be used by it.
    pub fn allows_git_account(&self, name: &str) -> bool {
        allows(self.accounts.as_ref().and_then(|accounts| accounts.git.as_ref()), name)
    }

    /// Whether a RegistryAccount that allows the project may be used by it.
    pub fn allows_registry_account(&self, name: &str) -> bool {
        allows(self.accounts.as_ref().and_then(|accounts| accounts.registry.as_ref()), name)
    }
}

fn allows(names: Option<&Vec<String>>, name: &str) -> bool {
    names.is_none_or(|names| names.iter().any(|allowed| allowed == name))
}

/// Ports from one number to another: `8080`, `8000-8999`. Keeps the form it was
/// written in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRange {
    written: IntOrString,
    first: u16,
    last: u16,
}

impl PortRange {
    /// From a number or `FIRST-LAST`.
    ///
    /// # Errors
    /// A sentence for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::read(IntOrString::String(text.to_owned()))
    }

    fn read(written: IntOrString) -> Result<Self, String> {
        let text = written.to_string();
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        let port = |digits: &str| digits.parse::<u16>().ok().filter(|port| *port > 0);
        match (port(first), port(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self { written, first, last }),
            _ => Err(format!("{text:?} is no port and no range of ports: write 8080 or 8000-8999")),
        }
    }

    /// Whether the port is one of them.
    pub fn contains(&self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written.fmt(f)
    }
}

impl Serialize for PortRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PortRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = IntOrString::deserialize(deserializer)?;
        Self::read(written).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for PortRange {
    fn schema_name() -> Cow<'static, str> {
        "PortRange".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = IntOrString::json_schema(generator);
        if let Some(object) = schema.as_object_mut() {
            let pattern = json_schema!({"pattern": r"^[0-9]+(-[0-9]+)?$"});
            object.extend(pattern.as_object().cloned().unwrap_or_default());
        }
        schema
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_ports() {
        for text in ["8080", r#""8000-8999""#, r#""443""#] {
            let range: PortRange = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&range).unwrap(), text);
        }
        let range = PortRange::parse("8000-8999").unwrap();
        assert!(range.contains(8000) && range.contains(8999));
        assert!(!range.contains(7999) && !range.contains(9000));
        for bad in ["", "0", "70000", "9-8", "1-", "-1", "a", "1-2-3"] {
            assert!(PortRange::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn accounts_are_free_unless_they_are_named() {
        let policy = |text: &str| serde_saphyr::from_str::<ProjectPolicy>(text).unwrap();
        assert!(policy("{}").allows_git_account("a") && policy("{}").allows_registry_account("a"));
        let some = policy("{accounts: {git: [a], registry: []}}");
        assert!(some.allows_git_account("a") && !some.allows_git_account("b"));
        assert!(!some.allows_registry_account("a"));
    }
}
