use std::sync::Arc;

use insta::assert_json_snapshot;
use serde_json::json;

use super::*;
use crate::registry::{CREATE_VERBS, FULL_VERBS};

pub(crate) fn resources() -> Vec<ResourceInfo> {
    let thing = ResourceInfo {
        group: "example.org".to_owned(),
        version: "v1beta1".to_owned(),
        kind: "Thing".to_owned(),
        list_kind: "ThingList".to_owned(),
        plural: "things".to_owned(),
        singular: "thing".to_owned(),
        short_names: vec!["th".to_owned()],
        categories: vec!["example".to_owned()],
        namespaced: true,
        status: true,
        scale: false,
        token: false,
        verbs: FULL_VERBS,
        schema_json: Arc::new(json!({
            "type": "object",
            "description": "A thing.",
            "required": ["spec"],
            "properties": {
                "spec": {"type": "object", "properties": {"size": {"type": "integer"}}},
            },
        })),
    };
    let namespace = ResourceInfo {
        group: String::new(),
        version: "v1".to_owned(),
        kind: "Namespace".to_owned(),
        list_kind: "NamespaceList".to_owned(),
        plural: "namespaces".to_owned(),
        singular: "namespace".to_owned(),
        short_names: vec!["ns".to_owned()],
        categories: Vec::new(),
        namespaced: false,
        status: false,
        ..thing.clone()
    };
    let review = ResourceInfo {
        group: "authorization.k8s.io".to_owned(),
        version: "v1".to_owned(),
        kind: "SelfSubjectAccessReview".to_owned(),
        list_kind: "SelfSubjectAccessReviewList".to_owned(),
        plural: "selfsubjectaccessreviews".to_owned(),
        singular: "selfsubjectaccessreview".to_owned(),
        short_names: Vec::new(),
        categories: Vec::new(),
        namespaced: false,
        status: false,
        verbs: CREATE_VERBS,
        ..thing.clone()
    };
    let newer = ResourceInfo { version: "v1".to_owned(), status: false, ..thing.clone() };
    vec![namespace, thing, newer, review]
}

#[test]
fn plain_documents() {
    let resources = resources();
    assert_eq!(api_versions(&resources)["versions"], json!(["v1"]));
    assert_json_snapshot!("group_list", api_group_list(&resources));
    assert_eq!(
        api_group(&resources, "example.org").unwrap()["preferredVersion"]["version"],
        "v1",
        "the stable version is preferred, whichever was registered first"
    );
    assert_eq!(api_group(&resources, "nobody.org"), None);
    assert_json_snapshot!(
        "resource_list",
        api_resource_list(&resources, "example.org", "v1beta1").unwrap()
    );
    assert_eq!(api_resource_list(&resources, "", "v1").unwrap()["groupVersion"], "v1");
    assert_eq!(api_resource_list(&resources, "example.org", "v7"), None);
}

#[test]
fn aggregated_document() {
    let resources = resources();
    assert_json_snapshot!(
        "aggregated_core",
        aggregated(&resources, DiscoveryRoot::Api, AggregatedVersion::V2)
    );
    let apis = aggregated(&resources, DiscoveryRoot::Apis, AggregatedVersion::V2Beta1);
    assert_eq!(apis["apiVersion"], "apidiscovery.k8s.io/v2beta1");
    let versions = &apis["items"][0]["versions"];
    assert_eq!(versions[0]["version"], "v1");
    assert_eq!(versions[1]["resources"][0]["subresources"][0]["subresource"], "status");
}

#[test]
fn versions_are_ordered_by_stability() {
    let mut versions = ["foo1", "v1alpha1", "v10", "v1beta2", "v2", "v1", "v1beta1", "v11alpha2"];
    versions.sort_by(|a, b| priority(a).cmp(&priority(b)));
    assert_eq!(
        versions,
        ["v10", "v2", "v1", "v1beta2", "v1beta1", "v11alpha2", "v1alpha1", "foo1"]
    );
}
