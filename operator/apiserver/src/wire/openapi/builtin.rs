//! Schemas of the kinds that Kubernetes defines, inlined.

use k8s_openapi::api::authentication::v1::{SelfSubjectReview, TokenRequest, TokenReview};
use k8s_openapi::api::authorization::v1::{
    LocalSubjectAccessReview, SelfSubjectAccessReview, SelfSubjectRulesReview, SubjectAccessReview,
};
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Event as CoreEvent, Namespace, Secret, ServiceAccount,
};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta};
use k8s_openapi::schemars::JsonSchema;
use k8s_openapi::schemars::generate::SchemaSettings;
use serde_json::Value;

use super::definition;

use crate::wire::patch::{annotate, merge_rules};

/// The schema of a built-in kind, `None` for kinds that the server does not know.
#[must_use]
pub fn builtin_schema(group: &str, kind: &str) -> Option<Value> {
    let mut schema = match (group, kind) {
        ("", "Namespace") => inlined::<Namespace>(),
        ("", "Secret") => inlined::<Secret>(),
        ("", "ConfigMap") => inlined::<ConfigMap>(),
        ("", "ServiceAccount") => inlined::<ServiceAccount>(),
        ("", "Event") => inlined::<CoreEvent>(),
        ("events.k8s.io", "Event") => inlined::<Event>(),
        ("coordination.k8s.io", "Lease") => inlined::<Lease>(),
        ("authorization.k8s.io", "SelfSubjectAccessReview") => inlined::<SelfSubjectAccessReview>(),
        ("authorization.k8s.io", "SelfSubjectRulesReview") => inlined::<SelfSubjectRulesReview>(),
        ("authorization.k8s.io", "SubjectAccessReview") => inlined::<SubjectAccessReview>(),
        ("authorization.k8s.io", "LocalSubjectAccessReview") => {
            inlined::<LocalSubjectAccessReview>()
        }
        ("authentication.k8s.io", "SelfSubjectReview") => inlined::<SelfSubjectReview>(),
        ("authentication.k8s.io", "TokenReview") => inlined::<TokenReview>(),
        ("rbac.authorization.k8s.io", "Role") => inlined::<Role>(),
        ("rbac.authorization.k8s.io", "RoleBinding") => inlined::<RoleBinding>(),
        ("rbac.authorization.k8s.io", "ClusterRole") => inlined::<ClusterRole>(),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding") => inlined::<ClusterRoleBinding>(),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition::flat(),
        _ => return None,
    };
    annotate(&mut schema, &merge_rules(group, kind), &[]);
    Some(schema)
}

pub(super) fn object_meta() -> Value {
    let mut schema = inlined::<ObjectMeta>();
    annotate(&mut schema, &merge_rules("", ""), &["metadata"]);
    schema
}

/// The object of the scale subresource.
pub(super) fn scale() -> Value {
    inlined::<Scale>()
}

/// The object of the token subresource.
pub(super) fn token_request() -> Value {
    inlined::<TokenRequest>()
}

pub(super) fn delete_options() -> Value {
    inlined::<DeleteOptions>()
}

pub(super) fn inlined<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.remove("title");
    schema.to_value()
}
