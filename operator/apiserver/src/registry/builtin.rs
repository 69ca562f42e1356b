//! The standard kinds that the server keeps itself.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{CREATE_VERBS, FULL_VERBS, Nature, Resource, ResourceInfo, Review};
use crate::admission::schema::StructuralSchema;
use crate::authz;
use crate::wire::openapi;
use crate::wire::table::Columns;

struct Builtin {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    short_names: &'static [&'static str],
    namespaced: bool,
    status: bool,
    verbs: &'static [&'static str],
    nature: Nature,
}

const PLAIN: Builtin = Builtin {
    group: "",
    version: "v1",
    kind: "",
    plural: "",
    short_names: &[],
    namespaced: true,
    status: false,
    verbs: FULL_VERBS,
    nature: Nature::Plain,
};

/// What rights are made of.
const RIGHTS: Builtin = Builtin { group: authz::GROUP, ..PLAIN };

const REVIEW: Builtin = Builtin { namespaced: false, verbs: CREATE_VERBS, ..PLAIN };

const DEFINITIONS_GROUP: &str = "apiextensions.k8s.io";

/// Where both views of events are stored.
const EVENTS_GROUP: &str = "events.k8s.io";

const BUILTINS: &[Builtin] = &[
    Builtin {
        kind: "Namespace",
        plural: "namespaces",
        short_names: &["ns"],
        namespaced: false,
        status: true,
        nature: Nature::Namespace,
        ..PLAIN
    },
    Builtin { kind: "Secret", plural: "secrets", nature: Nature::Secret, ..PLAIN },
    Builtin { kind: "ConfigMap", plural: "configmaps", short_names: &["cm"], ..PLAIN },
    Builtin { kind: "ServiceAccount", plural: "serviceaccounts", short_names: &["sa"], ..PLAIN },
    Builtin {
        kind: "Event",
        plural: "events",
        short_names: &["ev"],
        nature: Nature::CoreEvent,
        ..PLAIN
    },
    Builtin {
        group: EVENTS_GROUP,
        kind: "Event",
        plural: "events",
        short_names: &["ev"],
        nature: Nature::Event,
        ..PLAIN
    },
    Builtin { group: "coordination.k8s.io", kind: "Lease", plural: "leases", ..PLAIN },
    Builtin { kind: "Role", plural: "roles", ..RIGHTS },
    Builtin { kind: "RoleBinding", plural: "rolebindings", ..RIGHTS },
    Builtin { kind: "ClusterRole", plural: "clusterroles", namespaced: false, ..RIGHTS },
    Builtin {
        kind: "ClusterRoleBinding",
        plural: "clusterrolebindings",
        namespaced: false,
        ..RIGHTS
    },
    Builtin {
        group: DEFINITIONS_GROUP,
        kind: "CustomResourceDefinition",
        plural: "customresourcedefinitions",
        short_names: &["crd", "crds"],
        namespaced: false,
        status: true,
        nature: Nature::Definition,
        ..PLAIN
    },
    Builtin {
        group: "authorization.k8s.io",
        kind: "SelfSubjectAccessReview",
        plural: "selfsubjectaccessreviews",
        nature: Nature::Review(Review::Access),
        ..REVIEW
    },
    Builtin {
        group: "authorization.k8s.io",
        kind: "SelfSubjectRulesReview",
        plural: "selfsubjectrulesreviews",
        nature: Nature::Review(Review::Rules),
        ..REVIEW
    },
    Builtin {
        group: "authentication.k8s.io",
        kind: "SelfSubjectReview",
        plural: "selfsubjectreviews",
        nature: Nature::Review(Review::Subject),
        ..REVIEW
    },
    Builtin {
        group: "authorization.k8s.io",
        kind: "SubjectAccessReview",
        plural: "subjectaccessreviews",
        nature: Nature::Review(Review::SubjectAccess),
        ..REVIEW
    },
    Builtin {
        group: "authorization.k8s.io",
        kind: "LocalSubjectAccessReview",
        plural: "localsubjectaccessreviews",
        namespaced: true,
        nature: Nature::Review(Review::LocalAccess),
        ..REVIEW
    },
    Builtin {
        group: "authentication.k8s.io",
        kind: "TokenReview",
        plural: "tokenreviews",
        nature: Nature::Review(Review::Token),
        ..REVIEW
    },
];

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// The built-in resources.
pub(super) fn resources() -> Vec<Resource> {
    BUILTINS.iter().map(resource).collect()
}

/// The schema that objects are checked against in the form that is stored.
fn stored_schema(nature: Nature, schema_json: &Value) -> StructuralSchema {
    let other = match nature {
        Nature::CoreEvent => openapi::builtin_schema(EVENTS_GROUP, "Event"),
        // What is published is recursive.
        Nature::Definition => {
            openapi::builtin_schema(DEFINITIONS_GROUP, "CustomResourceDefinition")
        }
        // Answered and not stored.
        Nature::Review(_) => return StructuralSchema::open(),
        _ => None,
    };
    let schema_json = other.as_ref().unwrap_or(schema_json);
    StructuralSchema::compile(schema_json).unwrap_or_else(|error| {
        tracing::error!(%error, "the schema of a built-in kind is not checked");
        StructuralSchema::open()
    })
}

fn resource(builtin: &Builtin) -> Resource {
    let Builtin { group, version, kind, plural, short_names, namespaced, status, verbs, nature } =
        *builtin;
    let schema_json = openapi::published_schema(group, kind)
        .unwrap_or_else(|| json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
    let schema = stored_schema(nature, &schema_json);
    let storage_group = if nature == Nature::CoreEvent { EVENTS_GROUP } else { group };
    Resource {
        storage: format!("{storage_group}/{plural}").into(),
        nature,
        schema,
        columns: Columns::builtin(group, kind),
        selectable: Vec::new(),
        custom: None,
        retired: CancellationToken::new(),
        info: ResourceInfo {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            list_kind: format!("{kind}List"),
            plural: plural.to_owned(),
            singular: kind.to_lowercase(),
            short_names: owned(short_names),
            categories: Vec::new(),
            namespaced,
            status,
            scale: false,
            token: group.is_empty() && kind == "ServiceAccount",
            verbs,
            schema_json: Arc::new(schema_json),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schemas_of_all_built_in_kinds_compile() {
        for builtin in BUILTINS {
            let schema = openapi::builtin_schema(builtin.group, builtin.kind);
            let schema = schema.unwrap_or_else(|| panic!("no schema of {}", builtin.kind));
            if let Err(error) = StructuralSchema::compile(&schema) {
                panic!("{}: {error}", builtin.kind);
            }
        }
    }
}
