//! Discovery: which groups, versions and resources there are.
//!
//! The same facts in two shapes: the plain documents (one for each group and
//! version) and the aggregated one, which spares kubectl a request for each.

mod announced;

use serde_json::{Map, Value, json};

use crate::registry::ResourceInfo;

pub use announced::{Announced, announce, announce_groups, announced_group, announced_resources};

/// The verbs of every subresource: status and scale.
const SUBRESOURCE_VERBS: &[&str] = &["get", "patch", "update"];

/// Version of the aggregated discovery document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregatedVersion {
    /// `apidiscovery.k8s.io/v2`, kubectl 1.30 and later.
    V2,
    /// `apidiscovery.k8s.io/v2beta1`, same content.
    V2Beta1,
}

impl AggregatedVersion {
    fn as_str(self) -> &'static str {
        match self {
            Self::V2 => "v2",
            Self::V2Beta1 => "v2beta1",
        }
    }

    /// The Content-Type of the answer, by which clients tell the shapes apart.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::V2 => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            Self::V2Beta1 => {
                "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
            }
        }
    }
}

/// The two roots of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscoveryRoot {
    /// `/api`: the core group.
    Api,
    /// `/apis`: all other groups.
    Apis,
}

/// Orders versions as Kubernetes does: `v2`, `v1`, `v1beta2`, `v1beta1`,
/// `v1alpha1`, then everything else by name. Smaller is better.
fn priority(version: &str) -> (u8, std::cmp::Reverse<(u32, u32)>, &str) {
    let parse = || -> Option<(u8, u32, u32)> {
        let rest = version.strip_prefix('v')?;
        let digits = rest.find(|letter: char| !letter.is_ascii_digit());
        let (major, rest) = rest.split_at(digits.unwrap_or(rest.len()));
        let major = major.parse().ok()?;
        let (stage, minor) = match rest {
            "" => (0, "0"),
            _ => match (rest.strip_prefix("beta"), rest.strip_prefix("alpha")) {
                (Some(minor), _) => (1, minor),
                (None, Some(minor)) => (2, minor),
                (None, None) => return None,
            },
        };
        Some((stage, major, minor.parse().ok()?))
    };
    match parse() {
        Some((stage, major, minor)) => (stage, std::cmp::Reverse((major, minor)), ""),
        None => (3, std::cmp::Reverse((0, 0)), version),
    }
}

/// Compares two versions of a group; the better one is the smaller.
#[must_use]
pub fn compare_versions(a: &str, b: &str) -> std::cmp::Ordering {
    priority(a).cmp(&priority(b))
}

/// Groups with their versions, best first, in the order of the resources.
fn groups(resources: &[ResourceInfo]) -> Vec<(&str, Vec<&str>)> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for resource in resources {
        let versions = match groups.iter_mut().find(|(group, _)| *group == resource.group) {
            Some((_, versions)) => versions,
            None => {
                groups.push((&resource.group, Vec::new()));
                match groups.last_mut() {
                    Some((_, versions)) => versions,
                    None => continue,
                }
            }
        };
        if !versions.contains(&resource.version.as_str()) {
            versions.push(&resource.version);
        }
    }
    for (_, versions) in &mut groups {
        versions.sort_by(|a, b| compare_versions(a, b));
    }
    groups
}

fn of_version<'a>(
    resources: &'a [ResourceInfo],
    group: &'a str,
    version: &'a str,
) -> impl Iterator<Item = &'a ResourceInfo> {
    resources.iter().filter(move |resource| resource.group == group && resource.version == version)
}

/// `GET /api`.
#[must_use]
pub fn api_versions(resources: &[ResourceInfo]) -> Value {
    let versions: Vec<&str> = groups(resources)
        .into_iter()
        .filter(|(group, _)| group.is_empty())
        .flat_map(|(_, versions)| versions)
        .collect();
    json!({
        "kind": "APIVersions",
        "versions": versions,
        "serverAddressByClientCIDRs": [],
    })
}

/// `GET /apis`.
#[must_use]
pub fn api_group_list(resources: &[ResourceInfo]) -> Value {
    let groups: Vec<Value> = groups(resources)
        .into_iter()
        .filter(|(group, _)| !group.is_empty())
        .map(|(group, versions)| group_value(group, &versions))
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `GET /apis/{group}`; `None` where no resource has that group.
#[must_use]
pub fn api_group(resources: &[ResourceInfo], group: &str) -> Option<Value> {
    let (_, versions) = groups(resources).into_iter().find(|(one, _)| *one == group)?;
    let mut value = group_value(group, &versions);
    value["kind"] = Value::from("APIGroup");
    value["apiVersion"] = Value::from("v1");
    Some(value)
}

fn group_value(group: &str, versions: &[&str]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": format!("{group}/{version}"), "version": version}))
        .collect();
    json!({
        "name": group,
        "preferredVersion": versions.first(),
        "versions": versions,
    })
}

/// `GET /api/v1` (empty group) and `GET /apis/{group}/{version}`; `None` where
/// nothing is served there.
#[must_use]
pub fn api_resource_list(resources: &[ResourceInfo], group: &str, version: &str) -> Option<Value> {
    let mut list = Vec::new();
    let mut group_version = None;
    for resource in of_version(resources, group, version) {
        group_version = Some(resource.api_version());
        let mut value = json!({
            "name": resource.plural,
            "singularName": resource.singular,
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": resource.verbs,
        });
        add_names(&mut value, resource);
        list.push(value);
        if resource.status {
            list.push(json!({
                "name": format!("{}/status", resource.plural),
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": resource.kind,
                "verbs": SUBRESOURCE_VERBS,
            }));
        }
        if resource.token {
            list.push(json!({
                "name": format!("{}/token", resource.plural),
                "singularName": "",
                "namespaced": resource.namespaced,
                "group": "authentication.k8s.io",
                "version": "v1",
                "kind": "TokenRequest",
                "verbs": ["create"],
            }));
        }
        if resource.scale {
            list.push(json!({
                "name": format!("{}/scale", resource.plural),
                "singularName": "",
                "namespaced": resource.namespaced,
                "group": "autoscaling",
                "version": "v1",
                "kind": "Scale",
                "verbs": SUBRESOURCE_VERBS,
            }));
        }
    }
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version?,
        "resources": list,
    }))
}

fn add_names(value: &mut Value, resource: &ResourceInfo) {
    if !resource.short_names.is_empty() {
        value["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        value["categories"] = json!(resource.categories);
    }
}

/// `GET /api` and `GET /apis` as `APIGroupDiscoveryList`.
#[must_use]
pub fn aggregated(
    resources: &[ResourceInfo],
    root: DiscoveryRoot,
    version: AggregatedVersion,
) -> Value {
    let items: Vec<Value> = groups(resources)
        .into_iter()
        .filter(|(group, _)| group.is_empty() == (root == DiscoveryRoot::Api))
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .into_iter()
                .map(|version| discovered_version(resources, group, version))
                .collect();
            let mut metadata = Map::new();
            metadata.insert("creationTimestamp".to_owned(), Value::Null);
            if !group.is_empty() {
                metadata.insert("name".to_owned(), Value::from(group));
            }
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{}", version.as_str()),
        "metadata": {},
        "items": items,
    })
}

fn discovered_version(resources: &[ResourceInfo], group: &str, version: &str) -> Value {
    let list: Vec<Value> = of_version(resources, group, version)
        .map(|resource| {
            let kind = json!({
                "group": resource.group,
                "version": resource.version,
                "kind": resource.kind,
            });
            let mut value = json!({
                "resource": resource.plural,
                "responseKind": kind,
                "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
                "singularResource": resource.singular,
                "verbs": resource.verbs,
            });
            add_names(&mut value, resource);
            let mut subresources = Vec::new();
            if resource.status {
                subresources.push(subresource("status", kind));
            }
            if resource.token {
                let kind = json!({
                    "group": "authentication.k8s.io", "version": "v1", "kind": "TokenRequest",
                });
                let mut token = subresource("token", kind);
                token["verbs"] = json!(["create"]);
                subresources.push(token);
            }
            if resource.scale {
                let kind = json!({"group": "autoscaling", "version": "v1", "kind": "Scale"});
                subresources.push(subresource("scale", kind));
            }
            if !subresources.is_empty() {
                value["subresources"] = Value::from(subresources);
            }
            value
        })
        .collect();
    json!({"version": version, "freshness": "Current", "resources": list})
}

fn subresource(name: &str, kind: Value) -> Value {
    json!({"subresource": name, "responseKind": kind, "verbs": SUBRESOURCE_VERBS})
}

#[cfg(test)]
pub(crate) mod tests;
