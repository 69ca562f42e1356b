//! How one caller sees the objects of a resource: which of them, and in what
//! form.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::authn::Identity;
use crate::registry::{Nature, Resource};
use crate::seal::secret;
use crate::state::State;
use crate::store::{Key, Labels, Meta, Row};
use crate::wire::accept::ResponseForm;
use crate::wire::selector::{FieldSelector, LabelSelector};
use crate::wire::status::StatusError;
use crate::wire::table::{self, IncludeObject};
use crate::write::{outward, parameter};

/// The objects that a list or a watch is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub namespace: Option<String>,
    pub name: Option<String>,
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Filter {
    /// Reads the selectors of a query.
    pub fn read(
        namespace: Option<&str>,
        name: Option<&str>,
        query: &[(String, String)],
    ) -> Result<Self, StatusError> {
        let labels = LabelSelector::parse(parameter(query, "labelSelector").unwrap_or_default())?;
        let fields = FieldSelector::parse(parameter(query, "fieldSelector").unwrap_or_default())?;
        let exact = |path: &str| fields.exact(path).map(str::to_owned);
        Ok(Self {
            namespace: namespace.map(str::to_owned).or_else(|| exact("metadata.namespace")),
            name: name.map(str::to_owned).or_else(|| exact("metadata.name")),
            labels,
            fields,
        })
    }

    /// Whether the address alone allows the object.
    pub fn admits(&self, key: &Key) -> bool {
        self.namespace.as_deref().is_none_or(|namespace| namespace == key.namespace())
            && self.name.as_deref().is_none_or(|name| name == key.name())
    }

    pub fn labels_match(&self, labels: &Labels) -> bool {
        self.labels.is_empty() || self.labels.matches(labels)
    }

    /// Whether the fields of an object, as the caller sees it, match.
    pub fn fields_match(&self, shown: &[u8]) -> Result<bool, StatusError> {
        if self.fields.is_empty() {
            return Ok(true);
        }
        let object: Value = serde_json::from_slice(shown).map_err(StatusError::internal)?;
        Ok(self.fields.matches(&object))
    }
}

/// How a caller sees objects.
#[derive(Clone)]
pub(crate) struct View {
    pub state: Arc<State>,
    pub resource: Arc<Resource>,
    pub form: ResponseForm,
    pub include: IncludeObject,
    masked: bool,
}

impl View {
    pub fn new(
        state: &Arc<State>,
        resource: &Arc<Resource>,
        caller: &Identity,
        form: ResponseForm,
        query: &[(String, String)],
    ) -> Self {
        let include = match parameter(query, "includeObject") {
            Some("None") => IncludeObject::None,
            Some("Object") => IncludeObject::Object,
            _ => IncludeObject::Metadata,
        };
        Self {
            state: Arc::clone(state),
            resource: Arc::clone(resource),
            form,
            include,
            masked: resource.nature == Nature::Secret && !caller.reads_secrets(),
        }
    }

    /// The object that this caller may see. For most resources these are the
    /// very bytes of the store.
    pub fn shown(&self, object: Bytes) -> Result<Bytes, StatusError> {
        let object = self.resource.shown(object).map_err(StatusError::internal)?;
        if !self.masked && self.resource.nature != Nature::CoreEvent {
            return Ok(object);
        }
        let object = serde_json::from_slice(&object).map_err(StatusError::internal)?;
        let mut object = outward(&self.resource, object);
        if self.masked {
            secret::mask(&self.state.keyring, &mut object);
        }
        serde_json::to_vec(&object).map(Bytes::from).map_err(StatusError::internal)
    }

    /// One item of a list, or `None` where the filter drops it.
    pub fn item(&self, filter: &Filter, row: Row) -> Result<Option<Bytes>, StatusError> {
        if !filter.admits(&row.key) {
            return Ok(None);
        }
        if !filter.labels.is_empty() {
            let meta = Meta::read(&row.object).map_err(StatusError::internal)?;
            if !filter.labels_match(&meta.labels.unwrap_or_default()) {
                return Ok(None);
            }
        }
        let shown = self.shown(row.object)?;
        if !filter.fields_match(&shown)? {
            return Ok(None);
        }
        self.element(shown).map(Some)
    }

    /// A shown object as it stands inside a list of this form: a table row, a
    /// partial object or the object itself.
    pub fn element(&self, shown: Bytes) -> Result<Bytes, StatusError> {
        let encoded = match self.form {
            ResponseForm::Json | ResponseForm::Yaml => return Ok(shown),
            ResponseForm::Table => {
                let now = (self.state.clock)();
                table::row(&self.resource.columns, &shown, self.include, now)
            }
            ResponseForm::PartialObjectMetadata | ResponseForm::PartialObjectMetadataList => {
                table::partial_metadata(&shown)
            }
        };
        encoded.map(Bytes::from).map_err(StatusError::internal)
    }

    /// A shown object on its own.
    pub fn single(&self, shown: Bytes) -> Result<Bytes, StatusError> {
        if self.form != ResponseForm::Table {
            return self.element(shown);
        }
        let mut table = self.list_head(&resource_version(&shown), true);
        table.extend_from_slice(&self.element(shown)?);
        table.extend_from_slice(LIST_TAIL);
        Ok(Bytes::from(table))
    }

    /// What precedes the first element of a list in this form.
    pub fn list_head(&self, version: &str, definitions: bool) -> Vec<u8> {
        let version = Value::from(version);
        match self.form {
            ResponseForm::Table => {
                let columns =
                    if definitions { self.resource.columns.definitions() } else { json!([]) };
                format!(
                    "{{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":\
                     {{\"resourceVersion\":{version}}},\"columnDefinitions\":{columns},\"rows\":["
                )
            }
            ResponseForm::PartialObjectMetadata | ResponseForm::PartialObjectMetadataList => {
                format!(
                    "{{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"meta.k8s.io/v1\",\
                     \"metadata\":{{\"resourceVersion\":{version}}},\"items\":["
                )
            }
            ResponseForm::Json | ResponseForm::Yaml => format!(
                "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{{\"resourceVersion\":{version}}},\
                 \"items\":[",
                Value::from(self.resource.info.list_kind.as_str()),
                Value::from(self.resource.info.api_version()),
            ),
        }
        .into_bytes()
    }

    /// The Content-Type of an answer in this form.
    pub fn content_type(&self) -> &'static str {
        match self.form {
            ResponseForm::Json => "application/json",
            ResponseForm::Yaml => "application/yaml",
            ResponseForm::Table => "application/json;as=Table;v=v1;g=meta.k8s.io",
            ResponseForm::PartialObjectMetadata => {
                "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
            }
            ResponseForm::PartialObjectMetadataList => {
                "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
            }
        }
    }
}

/// What ends a list or table begun with [`View::list_head`].
pub(crate) const LIST_TAIL: &[u8] = b"]}";

fn resource_version(object: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        #[serde(default)]
        resource_version: String,
    }
    #[derive(serde::Deserialize)]
    struct Object {
        metadata: Version,
    }
    serde_json::from_slice::<Object>(object)
        .map(|object| object.metadata.resource_version)
        .unwrap_or_default()
}
