//! Groups that are served by extra routes: subresources of objects that another
//! group has, and requests that are no objects.

use serde_json::{Value, json};

/// One resource or subresource that an extra route serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// API group, which no definition may have.
    pub group: String,
    /// Version of the group.
    pub version: String,
    /// Plural name of the objects.
    pub resource: String,
    /// Name of the subresource; empty for the resource itself.
    pub subresource: String,
    /// Kind of what it answers.
    pub kind: String,
    /// Whether the objects live in namespaces.
    pub namespaced: bool,
    /// Verbs that it answers.
    pub verbs: &'static [&'static str],
}

/// What one of them is called. Nobody names subresources alone.
fn singular(one: &Announced) -> String {
    if one.subresource.is_empty() { one.kind.to_lowercase() } else { String::new() }
}

/// The groups with their versions, each once, in the order of `announced`.
fn versions(announced: &[Announced]) -> Vec<(&str, &str)> {
    let mut versions = Vec::new();
    for one in announced {
        let version = (one.group.as_str(), one.version.as_str());
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    versions
}

fn group_value(group: &str, announced: &[Announced]) -> Option<Value> {
    let versions: Vec<Value> = versions(announced)
        .into_iter()
        .filter(|(one, _)| *one == group)
        .map(|(_, version)| json!({"groupVersion": format!("{group}/{version}"), "version": version}))
        .collect();
    let preferred = versions.first()?.clone();
    Some(json!({"name": group, "preferredVersion": preferred, "versions": versions}))
}

fn groups(announced: &[Announced]) -> Vec<&str> {
    let mut groups: Vec<&str> = versions(announced).into_iter().map(|(group, _)| group).collect();
    groups.dedup();
    groups
}

/// Adds the groups to `GET /apis`.
pub fn announce_groups(list: &mut Value, announced: &[Announced]) {
    if let Some(list) = list["groups"].as_array_mut() {
        list.extend(
            groups(announced).into_iter().filter_map(|group| group_value(group, announced)),
        );
    }
}

/// `GET /apis/{group}`.
#[must_use]
pub fn announced_group(announced: &[Announced], group: &str) -> Option<Value> {
    let mut value = group_value(group, announced)?;
    value["kind"] = Value::from("APIGroup");
    value["apiVersion"] = Value::from("v1");
    Some(value)
}

/// `GET /apis/{group}/{version}`.
#[must_use]
pub fn announced_resources(announced: &[Announced], group: &str, version: &str) -> Option<Value> {
    let resources: Vec<Value> = announced
        .iter()
        .filter(|one| one.group == group && one.version == version)
        .map(|one| {
            let name = match one.subresource.as_str() {
                "" => one.resource.clone(),
                subresource => format!("{}/{subresource}", one.resource),
            };
            json!({
                "name": name,
                "singularName": singular(one),
                "namespaced": one.namespaced,
                "kind": one.kind,
                "verbs": one.verbs,
            })
        })
        .collect();
    (!resources.is_empty()).then(|| {
        json!({
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": format!("{group}/{version}"),
            "resources": resources,
        })
    })
}

/// Adds the groups to an `APIGroupDiscoveryList`. Resources of which only
/// subresources are served have no kind: it is in another group.
pub fn announce(document: &mut Value, announced: &[Announced]) {
    let of_version = |group: &str, version: &str| -> Value {
        let mut resources: Vec<Value> = Vec::new();
        for one in announced.iter().filter(|one| one.group == group && one.version == version) {
            let known = resources.iter().position(|resource| resource["resource"] == *one.resource);
            let index = known.unwrap_or_else(|| {
                resources.push(json!({
                    "resource": one.resource,
                    "scope": if one.namespaced { "Namespaced" } else { "Cluster" },
                    "singularResource": "",
                    "verbs": [],
                }));
                resources.len() - 1
            });
            let (resource, kind) = (&mut resources[index], &one.kind);
            let kind = json!({"group": group, "version": version, "kind": kind});
            if one.subresource.is_empty() {
                resource["responseKind"] = kind;
                resource["singularResource"] = Value::from(singular(one));
                resource["verbs"] = json!(one.verbs);
                continue;
            }
            if resource["subresources"].is_null() {
                resource["subresources"] = json!([]);
            }
            if let Some(list) = resource["subresources"].as_array_mut() {
                list.push(json!({
                    "subresource": one.subresource,
                    "responseKind": kind,
                    "verbs": one.verbs,
                }));
            }
        }
        json!({"version": version, "freshness": "Current", "resources": resources})
    };
    let Some(items) = document["items"].as_array_mut() else {
        return;
    };
    for group in groups(announced) {
        let versions: Vec<Value> = versions(announced)
            .into_iter()
            .filter(|(one, _)| *one == group)
            .map(|(group, version)| of_version(group, version))
            .collect();
        let metadata = json!({"name": group, "creationTimestamp": null});
        items.push(json!({"metadata": metadata, "versions": versions}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(resource: &str, subresource: &str, verbs: &'static [&'static str]) -> Announced {
        Announced {
            group: "ops.example".to_owned(),
            version: "v1".to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            kind: "Answer".to_owned(),
            namespaced: false,
            verbs,
        }
    }

    #[test]
    fn resources_and_subresources_are_found() {
        let announced = [one("things", "test", &["create"]), one("selves", "", &["get", "list"])];
        let list = announced_resources(&announced, "ops.example", "v1").unwrap();
        assert_eq!(list["resources"][0]["name"], "things/test");
        assert_eq!(list["resources"][1]["name"], "selves");
        let mut document = json!({"items": []});
        announce(&mut document, &announced);
        let kind = json!({"group": "ops.example", "version": "v1", "kind": "Answer"});
        let expected = json!([
            {"resource": "things", "scope": "Cluster", "singularResource": "", "verbs": [],
             "subresources": [
                {"subresource": "test", "responseKind": kind, "verbs": ["create"]}]},
            {"resource": "selves", "scope": "Cluster", "singularResource": "answer",
             "verbs": ["get", "list"], "responseKind": kind},
        ]);
        assert_eq!(document["items"][0]["versions"][0]["resources"], expected);
    }
}
