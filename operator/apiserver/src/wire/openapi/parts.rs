//! The parts of built-in kinds that have names of their own: kubectl explains a
//! field as `<[]OwnerReference>` where its schema refers to one, and as `<Object>`
//! where it is written out.

use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::api::core::v1::{
    EventSeries, EventSource, LocalObjectReference, NamespaceCondition, NamespaceSpec,
    NamespaceStatus, ObjectReference,
};
use k8s_openapi::api::events::v1::EventSeries as NewEventSeries;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    FieldsV1, ManagedFieldsEntry, OwnerReference,
};
use serde_json::{Map, Value, json};

use super::builtin::inlined;
use super::{OBJECT_META, reference};

/// A part, and the schemas with the fields that hold it or a list of it.
struct Part {
    name: &'static str,
    whole: fn() -> Value,
    places: &'static [(&'static str, &'static str)],
}

const MANAGED_FIELDS_ENTRY: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ManagedFieldsEntry";
const NAMESPACE: &str = "io.k8s.api.core.v1.Namespace";
const NAMESPACE_STATUS: &str = "io.k8s.api.core.v1.NamespaceStatus";
const SERVICE_ACCOUNT: &str = "io.k8s.api.core.v1.ServiceAccount";
const CORE_EVENT: &str = "io.k8s.api.core.v1.Event";
const EVENT: &str = "io.k8s.events.v1.Event";
const LEASE: &str = "io.k8s.coordination.v1.Lease";

/// What is inside of a part comes behind it.
const PARTS: &[Part] = &[
    Part {
        name: "io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference",
        whole: inlined::<OwnerReference>,
        places: &[(OBJECT_META, "ownerReferences")],
    },
    Part {
        name: MANAGED_FIELDS_ENTRY,
        whole: inlined::<ManagedFieldsEntry>,
        places: &[(OBJECT_META, "managedFields")],
    },
    Part {
        name: "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1",
        whole: inlined::<FieldsV1>,
        places: &[(MANAGED_FIELDS_ENTRY, "fieldsV1")],
    },
    Part {
        name: "io.k8s.api.core.v1.ObjectReference",
        whole: inlined::<ObjectReference>,
        places: &[
            (CORE_EVENT, "involvedObject"),
            (CORE_EVENT, "related"),
            (EVENT, "regarding"),
            (EVENT, "related"),
            (SERVICE_ACCOUNT, "secrets"),
        ],
    },
    Part {
        name: "io.k8s.api.core.v1.LocalObjectReference",
        whole: inlined::<LocalObjectReference>,
        places: &[(SERVICE_ACCOUNT, "imagePullSecrets")],
    },
    Part {
        name: "io.k8s.api.core.v1.EventSource",
        whole: inlined::<EventSource>,
        places: &[(CORE_EVENT, "source"), (EVENT, "deprecatedSource")],
    },
    Part {
        name: "io.k8s.api.core.v1.EventSeries",
        whole: inlined::<EventSeries>,
        places: &[(CORE_EVENT, "series")],
    },
    Part {
        name: "io.k8s.api.events.v1.EventSeries",
        whole: inlined::<NewEventSeries>,
        places: &[(EVENT, "series")],
    },
    Part {
        name: "io.k8s.api.core.v1.NamespaceSpec",
        whole: inlined::<NamespaceSpec>,
        places: &[(NAMESPACE, "spec")],
    },
    Part {
        name: NAMESPACE_STATUS,
        whole: inlined::<NamespaceStatus>,
        places: &[(NAMESPACE, "status")],
    },
    Part {
        name: "io.k8s.api.core.v1.NamespaceCondition",
        whole: inlined::<NamespaceCondition>,
        places: &[(NAMESPACE_STATUS, "conditions")],
    },
    Part {
        name: "io.k8s.api.coordination.v1.LeaseSpec",
        whole: inlined::<LeaseSpec>,
        places: &[(LEASE, "spec")],
    },
];

/// Moves each part that the schemas hold into a schema of its own.
pub(super) fn name_all(schemas: &mut Map<String, Value>) {
    for part in PARTS {
        let mut moved = None;
        for (schema, field) in part.places {
            let place = schemas.get_mut(*schema).and_then(|schema| place(schema, field));
            if let Some(place) = place {
                moved = Some(replace(place, part.name));
            }
        }
        let Some(mut schema) = moved else {
            continue;
        };
        if let Some(text) = (part.whole)().get_mut("description") {
            schema["description"] = text.take();
        }
        schemas.insert(part.name.to_owned(), schema);
    }
}

/// The schema of a field, or of its items.
fn place<'a>(schema: &'a mut Value, field: &str) -> Option<&'a mut Value> {
    let field = schema.get_mut("properties")?.get_mut(field)?;
    if field.get("items").is_some() { field.get_mut("items") } else { Some(field) }
}

/// Leaves a reference, which keeps the text that says what the field is for.
fn replace(place: &mut Value, name: &str) -> Value {
    let mut left = json!({"allOf": [reference(name)], "default": {}});
    if let Some(text) = place.get("description") {
        left["description"] = text.clone();
    }
    std::mem::replace(place, left)
}
