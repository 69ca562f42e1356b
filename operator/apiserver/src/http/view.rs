//! In what form one caller sees the objects of a resource.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::authn::Identity;
use crate::registry::{Nature, Resource};
use crate::seal::secret;
use crate::state::State;
use crate::watch::Appearance;
use crate::wire::accept::{MetaVersion, ResponseForm};
use crate::wire::raw;
use crate::wire::status::StatusError;
use crate::wire::table::{self, IncludeObject};
use crate::write::{outward, parameter};

/// How a caller sees objects.
#[derive(Clone)]
pub(crate) struct View {
    pub state: Arc<State>,
    pub resource: Arc<Resource>,
    pub form: ResponseForm,
    pub include: IncludeObject,
    masked: bool,
}

/// `metadata` of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ListMeta {
    pub version: String,
    /// The token that gets the next page.
    pub next: Option<String>,
    pub remaining: Option<u64>,
}

impl ListMeta {
    pub fn of_version(version: u64) -> Self {
        Self { version: version.to_string(), ..Self::default() }
    }

    pub fn to_value(&self) -> Value {
        let mut meta = json!({"resourceVersion": self.version});
        if let Some(next) = &self.next {
            meta["continue"] = Value::from(next.as_str());
        }
        if let Some(remaining) = self.remaining {
            meta["remainingItemCount"] = Value::from(remaining);
        }
        meta
    }
}

/// What the rows of a table carry.
///
/// # Errors
/// 400 for an `includeObject` that there is not.
pub(super) fn include_object(query: &[(String, String)]) -> Result<IncludeObject, StatusError> {
    match parameter(query, "includeObject") {
        None | Some("" | "Metadata") => Ok(IncludeObject::Metadata),
        Some("None") => Ok(IncludeObject::None),
        Some("Object") => Ok(IncludeObject::Object),
        Some(other) => Err(StatusError::bad_request(format!(
            "Unable to convert to Table as requested: includeObject: Invalid value: {other:?}: \
             must be 'Metadata', 'Object', 'None', or empty"
        ))),
    }
}

impl View {
    /// `includeObject` was looked at before, by [`include_object`].
    pub fn new(
        state: &Arc<State>,
        resource: &Arc<Resource>,
        caller: &Identity,
        form: ResponseForm,
        query: &[(String, String)],
    ) -> Self {
        Self {
            state: Arc::clone(state),
            resource: Arc::clone(resource),
            form,
            include: include_object(query).unwrap_or_default(),
            masked: resource.nature == Nature::Secret && !caller.reads_secrets(),
        }
    }

    /// What decides how objects look here.
    pub fn appearance(&self) -> Appearance {
        Appearance {
            resource: Arc::clone(&self.resource),
            form: self.form,
            include: self.include,
            masked: self.masked,
        }
    }

    /// The object that this caller may see. For most resources these are the
    /// very bytes of the store.
    pub fn shown<'a>(&self, stored: &'a [u8]) -> Result<Cow<'a, [u8]>, StatusError> {
        let stored = self.resource.shown_bytes(stored).map_err(StatusError::internal)?;
        if !self.masked && self.resource.nature != Nature::CoreEvent {
            return Ok(stored);
        }
        let object = serde_json::from_slice(&stored).map_err(StatusError::internal)?;
        let mut object = outward(&self.resource, object);
        if self.masked {
            secret::mask(&self.state.keyring, &mut object);
        }
        serde_json::to_vec(&object).map(Cow::Owned).map_err(StatusError::internal)
    }

    /// Whether an object stands in a list as the bytes that are stored.
    pub fn is_verbatim(&self, stored: &[u8]) -> bool {
        self.resource.is_shown_as_stored(stored)
            && !self.masked
            && self.resource.nature != Nature::CoreEvent
            && self.form == ResponseForm::Json
    }

    /// Appends an object as it stands inside a list of this form: a table row, a
    /// partial object or the object itself.
    pub fn append(&self, out: &mut Vec<u8>, stored: &[u8]) -> Result<(), StatusError> {
        self.append_shown(out, &self.shown(stored)?)
    }

    /// Like [`View::append`], for what [`View::shown`] has seen already or is none of
    /// its business.
    pub fn append_shown(&self, out: &mut Vec<u8>, shown: &[u8]) -> Result<(), StatusError> {
        match self.form {
            ResponseForm::Json | ResponseForm::Yaml => {
                out.extend_from_slice(shown);
                Ok(())
            }
            ResponseForm::Table(version) => {
                let now = (self.state.clock)();
                let columns = &self.resource.columns;
                table::row(out, columns, shown, self.include, version, now)
            }
            ResponseForm::PartialObjectMetadata(version)
            | ResponseForm::PartialObjectMetadataList(version) => {
                table::partial_metadata(out, shown, version)
            }
        }
        .map_err(StatusError::internal)
    }

    /// An object on its own.
    pub fn single(&self, stored: Bytes) -> Result<Bytes, StatusError> {
        match self.form {
            ResponseForm::Json | ResponseForm::Yaml => Ok(match self.shown(&stored)? {
                Cow::Owned(shown) => Bytes::from(shown),
                Cow::Borrowed(_) => stored,
            }),
            ResponseForm::Table(_) => {
                let version = raw::find(&stored, &["metadata", "resourceVersion"]);
                let version = version.and_then(raw::text).unwrap_or_default().into_owned();
                let meta = ListMeta { version, ..ListMeta::default() };
                let mut table = self.list_head(Some(&meta), true);
                self.append(&mut table, &stored)?;
                table.extend_from_slice(&self.list_tail(None));
                Ok(Bytes::from(table))
            }
            ResponseForm::PartialObjectMetadata(_) | ResponseForm::PartialObjectMetadataList(_) => {
                let mut partial = Vec::new();
                self.append(&mut partial, &stored)?;
                Ok(Bytes::from(partial))
            }
        }
    }

    /// What precedes the first element of a list in this form. The metadata stands
    /// here where it is known yet, and otherwise in the tail.
    pub fn list_head(&self, meta: Option<&ListMeta>, definitions: bool) -> Vec<u8> {
        let meta =
            meta.map(|meta| format!("\"metadata\":{},", meta.to_value())).unwrap_or_default();
        let (kind, api_version, rest) = match self.form {
            ResponseForm::Table(version) => {
                let columns =
                    if definitions { self.resource.columns.definitions() } else { json!([]) };
                let rest = format!("\"columnDefinitions\":{columns},\"rows\":[");
                ("Table".to_owned(), version.api_version().to_owned(), rest)
            }
            ResponseForm::PartialObjectMetadata(version)
            | ResponseForm::PartialObjectMetadataList(version) => (
                "PartialObjectMetadataList".to_owned(),
                version.api_version().to_owned(),
                "\"items\":[".to_owned(),
            ),
            ResponseForm::Json | ResponseForm::Yaml => (
                self.resource.info.list_kind.clone(),
                self.resource.info.api_version(),
                "\"items\":[".to_owned(),
            ),
        };
        let (kind, api_version) = (Value::from(kind), Value::from(api_version));
        format!("{{\"kind\":{kind},\"apiVersion\":{api_version},{meta}{rest}").into_bytes()
    }

    /// What ends a list begun with [`View::list_head`].
    pub fn list_tail(&self, meta: Option<&ListMeta>) -> Vec<u8> {
        match meta {
            None => b"]}".to_vec(),
            Some(meta) => format!("],\"metadata\":{}}}", meta.to_value()).into_bytes(),
        }
    }

    /// The Content-Type of an answer in this form.
    pub fn content_type(&self) -> &'static str {
        use MetaVersion::{V1, V1Beta1};
        match self.form {
            ResponseForm::Json => "application/json",
            ResponseForm::Yaml => "application/yaml",
            ResponseForm::Table(V1) => "application/json;as=Table;v=v1;g=meta.k8s.io",
            ResponseForm::Table(V1Beta1) => "application/json;as=Table;v=v1beta1;g=meta.k8s.io",
            ResponseForm::PartialObjectMetadata(V1) => {
                "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
            }
            ResponseForm::PartialObjectMetadata(V1Beta1) => {
                "application/json;as=PartialObjectMetadata;v=v1beta1;g=meta.k8s.io"
            }
            ResponseForm::PartialObjectMetadataList(V1) => {
                "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
            }
            ResponseForm::PartialObjectMetadataList(V1Beta1) => {
                "application/json;as=PartialObjectMetadataList;v=v1beta1;g=meta.k8s.io"
            }
        }
    }
}
