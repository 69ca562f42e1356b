//! Resources that custom resource definitions describe.

use std::sync::Arc;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::gate::Gate;
use super::{FULL_VERBS, Nature, Resource, ResourceInfo, version};
use crate::admission::schema::StructuralSchema;
use crate::definitions::dotted;
use crate::definitions::spec::{Names, Scale, Spec, Version};
use crate::wire::discovery::compare_versions;
use crate::wire::table::Columns;

/// What custom resources have and others don't.
#[derive(Debug)]
pub(crate) struct Custom {
    /// The apiVersion that objects are stored in.
    pub stored_as: String,
    /// Whether this is the version that objects are stored in.
    pub is_storage: bool,
    /// Whether clients can ask for this version.
    pub served: bool,
    /// Where the scale subresource finds its numbers.
    pub scale: Option<ScalePaths>,
    /// What clients of a deprecated version are told.
    pub deprecation: Option<String>,
    /// Who wants to create an object passes here.
    pub gate: Arc<Gate>,
    /// What an object begins with that is stored in this version.
    pub(super) head: Vec<u8>,
    /// The schema of the storage version where this version has another one.
    pub(super) stored_schema: Option<Arc<StructuralSchema>>,
    /// All versions have the same schema.
    pub(super) alike: bool,
}

/// The fields behind the scale subresource, as names from the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScalePaths {
    pub spec_replicas: Vec<String>,
    pub status_replicas: Vec<String>,
    pub selector: Option<Vec<String>>,
}

impl ScalePaths {
    fn new(scale: &Scale) -> Self {
        let names =
            |path: &str| dotted(path).unwrap_or_default().into_iter().map(str::to_owned).collect();
        Self {
            spec_replicas: names(&scale.spec_replicas_path),
            status_replicas: names(&scale.status_replicas_path),
            selector: scale.label_selector_path.as_deref().map(names),
        }
    }
}

/// The resources of a definition, one for each version, served or not. The error
/// says what can't be used, for people.
pub(super) fn resources(
    spec: &Spec,
    names: &Names,
    gate: &Arc<Gate>,
) -> Result<Vec<Resource>, String> {
    let storage = spec.storage_version().ok_or("no version is marked as storage version")?;
    let first = spec.versions.first().and_then(Version::schema);
    let alike = spec.versions.iter().all(|version| version.schema() == first);
    let stored_schema = match storage.schema().filter(|_| !alike) {
        Some(schema) => Some(StructuralSchema::compile(schema).map_err(|e| e.to_string())?),
        None => None,
    };
    let shared = Shared {
        spec,
        names,
        gate,
        stored_as: format!("{}/{}", spec.group, storage.name),
        stored_schema: stored_schema.map(Arc::new),
        alike,
    };
    spec.versions.iter().map(|version| shared.resource(version)).collect()
}

struct Shared<'a> {
    spec: &'a Spec,
    names: &'a Names,
    gate: &'a Arc<Gate>,
    stored_as: String,
    stored_schema: Option<Arc<StructuralSchema>>,
    alike: bool,
}

impl Shared<'_> {
    fn resource(&self, version: &Version) -> Result<Resource, String> {
        let wrong =
            |problem: &dyn std::fmt::Display| format!("version {}: {problem}", version.name);
        let schema_json =
            version.schema().cloned().ok_or_else(|| wrong(&"openAPIV3Schema is missing"))?;
        let schema = StructuralSchema::compile(&schema_json).map_err(|error| wrong(&error))?;
        let columns =
            Columns::compile(&version.additional_printer_columns).map_err(|error| wrong(&error))?;
        let info = self.info(version, schema_json);
        Ok(Resource {
            storage: format!("{}/{}", self.spec.group, self.names.plural).into(),
            nature: Nature::Custom,
            schema,
            columns,
            selectable: version.selectable(),
            custom: Some(Custom {
                stored_as: self.stored_as.clone(),
                is_storage: version.storage,
                served: version.served,
                scale: version.scale().map(ScalePaths::new),
                deprecation: version.deprecated.then(|| self.deprecation(version)),
                gate: Arc::clone(self.gate),
                stored_schema: self.stored_schema.clone().filter(|_| !version.storage),
                head: version::head(&info.api_version()),
                alike: self.alike,
            }),
            retired: CancellationToken::new(),
            info,
        })
    }

    fn info(&self, version: &Version, schema_json: Value) -> ResourceInfo {
        let Names { plural, singular, kind, list_kind, short_names, categories } =
            self.names.clone();
        let or = |name: String, other: String| if name.is_empty() { other } else { name };
        ResourceInfo {
            group: self.spec.group.clone(),
            version: version.name.clone(),
            list_kind: or(list_kind, format!("{kind}List")),
            singular: or(singular, kind.to_lowercase()),
            kind,
            plural,
            short_names,
            categories,
            namespaced: self.spec.namespaced(),
            status: version.has_status(),
            scale: version.scale().is_some(),
            token: false,
            verbs: FULL_VERBS,
            schema_json: Arc::new(schema_json),
        }
    }

    /// As Kubernetes words it, with the best version to go to.
    fn deprecation(&self, version: &Version) -> String {
        if let Some(text) = &version.deprecation_warning {
            return text.clone();
        }
        let (group, kind) = (&self.spec.group, &self.names.kind);
        let text = format!("{group}/{} {kind} is deprecated", version.name);
        let better = self
            .spec
            .versions
            .iter()
            .filter(|other| other.served && !other.deprecated)
            .filter(|other| compare_versions(&other.name, &version.name).is_lt())
            .min_by(|a, b| compare_versions(&a.name, &b.name));
        match better {
            Some(better) => format!("{text}; use {group}/{} {kind}", better.name),
            None => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;

    fn compiled(versions: Value) -> Vec<Resource> {
        let spec = json!({"spec": {
            "group": "farm.example", "scope": "Namespaced",
            "names": {"plural": "barns", "kind": "Barn"}, "versions": versions,
        }});
        let spec = Spec::read(&spec).unwrap();
        resources(&spec, &spec.names, &Arc::new(Gate::open())).unwrap()
    }

    fn version(name: &str, storage: bool, fields: Value) -> Value {
        json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": {
            "type": "object",
            "properties": {"spec": {"type": "object", "properties": fields}},
        }}})
    }

    #[test]
    fn an_object_passes_untouched_or_is_shown_in_the_asked_version() {
        let cows = json!({"cows": {"type": "integer"}});
        let more =
            json!({"cows": {"type": "integer"}, "color": {"type": "string", "default": "red"}});
        let resources = compiled(json!([version("v1", true, cows), version("v2", false, more)]));
        let (v1, v2) = (&resources[0], &resources[1]);
        let stored = Bytes::from_static(
            br#"{"apiVersion":"farm.example/v1","kind":"Barn","spec":{"cows":1}}"#,
        );
        let shown = v1.shown(stored.clone()).unwrap();
        assert_eq!(shown.as_ptr(), stored.as_ptr(), "the very same bytes");
        let shown: Value = serde_json::from_slice(&v2.shown(stored).unwrap()).unwrap();
        assert_eq!(
            shown,
            json!({"apiVersion": "farm.example/v2", "kind": "Barn",
                   "spec": {"cows": 1, "color": "red"}})
        );
        let old = Bytes::from_static(
            br#"{"apiVersion":"farm.example/v2","kind":"Barn","spec":{"color":"x","cows":1}}"#,
        );
        let shown: Value = serde_json::from_slice(&v1.shown(old).unwrap()).unwrap();
        assert_eq!(shown["spec"], json!({"cows": 1}), "unknown fields are not shown");
        let mut object = json!({"apiVersion": "farm.example/v2", "kind": "Barn"});
        assert!(v2.to_shown(&mut object), "not stored as it would be today");
        assert_eq!(v2.to_stored(&mut object), None);
        assert_eq!(object["apiVersion"], "farm.example/v1");
        let mut blue = json!({"apiVersion": "farm.example/v2", "spec": {"color": "blue"}});
        let lost = v2.to_stored(&mut blue).unwrap();
        assert!(lost.starts_with("spec.color is not kept: farm.example/v1"), "{lost}");
        assert_eq!(blue["spec"], json!({}));
        let mut red = json!({"apiVersion": "farm.example/v2", "spec": {"color": "red"}});
        assert_eq!(v2.to_stored(&mut red), None, "a default is shown again");
    }

    #[test]
    fn versions_of_one_schema_differ_only_in_their_name() {
        let fields = json!({"cows": {"type": "integer"}});
        let resources =
            compiled(json!([version("v1", true, fields.clone()), version("v2", false, fields)]));
        let stored =
            Bytes::from_static(br#"{"apiVersion":"farm.example/v1","kind":"Barn","spec":{"x":1}}"#);
        assert_eq!(
            resources[1].shown(stored).unwrap(),
            br#"{"apiVersion":"farm.example/v2","kind":"Barn","spec":{"x":1}}"#.as_slice()
        );
    }

    #[test]
    fn a_deprecated_version_names_the_best_one() {
        let mut old = version("v1beta1", true, json!({}));
        old["deprecated"] = json!(true);
        let newer = version("v1", false, json!({}));
        let newest = version("v2alpha1", false, json!({}));
        let resources = compiled(json!([old, newer, newest]));
        let deprecation =
            |index: usize| resources[index].custom.as_ref().unwrap().deprecation.clone();
        assert_eq!(
            deprecation(0).unwrap(),
            "farm.example/v1beta1 Barn is deprecated; use farm.example/v1 Barn"
        );
        assert_eq!(deprecation(1), None);
    }
}
