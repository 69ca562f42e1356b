//! The object of the scale subresource, which every kind answers in the same
//! form (autoscaling/v1).

use std::sync::{Arc, LazyLock};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Nature, Resource, ResourceInfo};
use crate::admission::schema::StructuralSchema;
use crate::wire::openapi;
use crate::wire::table::Columns;

static SCALE: LazyLock<Arc<Resource>> = LazyLock::new(|| Arc::new(resource()));

/// How scales are checked and shown. They are stored nowhere.
pub(crate) fn scale() -> &'static Arc<Resource> {
    &SCALE
}

fn resource() -> Resource {
    let schema_json = openapi::scale_schema();
    let columns = json!([
        {"name": "Desired", "type": "integer", "jsonPath": ".spec.replicas"},
        {"name": "Available", "type": "integer", "jsonPath": ".status.replicas"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]);
    let columns = columns.as_array().map(Vec::as_slice).unwrap_or_default();
    Resource {
        storage: "autoscaling/scales".into(),
        nature: Nature::Plain,
        schema: StructuralSchema::compile(&schema_json)
            .unwrap_or_else(|_| StructuralSchema::open()),
        columns: Columns::compile(columns)
            .unwrap_or_else(|_| Columns::builtin("autoscaling", "Scale")),
        selectable: Vec::new(),
        custom: None,
        retired: CancellationToken::new(),
        info: ResourceInfo {
            group: "autoscaling".to_owned(),
            version: "v1".to_owned(),
            kind: "Scale".to_owned(),
            list_kind: "ScaleList".to_owned(),
            plural: "scales".to_owned(),
            singular: "scale".to_owned(),
            short_names: Vec::new(),
            categories: Vec::new(),
            namespaced: true,
            status: false,
            scale: false,
            token: false,
            verbs: &["get", "patch", "update"],
            schema_json: Arc::new(schema_json),
        },
    }
}
