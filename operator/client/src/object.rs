//! Objects of any kind: get, list, apply, delete.

use std::collections::BTreeMap;

use hades_api::label;
use http::Request;
use kube::api::{
    DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions, TypeMeta,
    ValidationDirective,
};
use serde_json::Value;

use crate::everywhere::Place;
use crate::{Error, FIELD_MANAGER, Kind, Session, everywhere};

/// Which objects of a kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only of this project; of all with none.
    pub namespace: Option<String>,
    /// Label selector.
    pub labels: Option<String>,
    /// Field selector.
    pub fields: Option<String>,
}

impl Selection {
    /// Everything of a project, or of all of them.
    pub fn of_project(namespace: Option<&str>) -> Self {
        Self { namespace: namespace.map(str::to_owned), ..Self::default() }
    }

    /// The same in a place.
    pub(crate) fn at(&self, place: Place) -> Self {
        let Place { project, name } = place;
        let by_name = name.map(|name| format!("metadata.name={name}"));
        let fields: Vec<String> = self.fields.iter().cloned().chain(by_name).collect();
        Self {
            namespace: project,
            labels: self.labels.clone(),
            fields: (!fields.is_empty()).then(|| fields.join(",")),
        }
    }

    pub(crate) fn parameters(&self) -> ListParams {
        ListParams {
            label_selector: self.labels.clone(),
            field_selector: self.fields.clone(),
            ..ListParams::default()
        }
    }
}

/// The object, or none when it isn't there.
///
/// # Errors
/// When the server refuses or doesn't answer.
pub async fn get(
    session: &Session,
    kind: &Kind,
    namespace: Option<&str>,
    name: &str,
) -> Result<Option<DynamicObject>, Error> {
    let found =
        session.api(kind, namespace).get_opt(name).await.map_err(|error| session.error(error))?;
    Ok(found.map(|object| typed(kind, object)))
}

/// Objects of a kind, sorted as the server does. Where the person may not list
/// those of all projects, those of his own ones.
///
/// # Errors
/// When the server refuses or doesn't answer.
pub async fn list(
    session: &Session,
    kind: &Kind,
    selection: &Selection,
) -> Result<Vec<DynamicObject>, Error> {
    let question = |place: Place| {
        let selection = selection.at(place);
        let api = session.api(kind, selection.namespace.as_deref());
        async move {
            let listed = api.list(&selection.parameters()).await;
            listed.map_err(|error| session.error(error))
        }
    };
    let lists = everywhere::ask(session, kind, selection.namespace.as_deref(), question).await?;
    let items = lists.parts.into_iter().flat_map(|list| list.items);
    Ok(items.map(|object| typed(kind, object)).collect())
}

/// Namespace and name of the objects of a kind; for suggestions.
///
/// # Errors
/// When the server refuses or doesn't answer.
pub async fn names(
    session: &Session,
    kind: &Kind,
    namespace: Option<&str>,
) -> Result<Vec<(Option<String>, String)>, Error> {
    let question = |place: Place| {
        let selection = Selection::default().at(place);
        let api = session.api(kind, selection.namespace.as_deref());
        async move {
            let listed = api.list_metadata(&selection.parameters()).await;
            listed.map_err(|error| session.error(error))
        }
    };
    let lists = everywhere::ask(session, kind, namespace, question).await?;
    let name = |meta: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta| {
        meta.name.map(|name| (meta.namespace, name))
    };
    let items = lists.parts.into_iter().flat_map(|list| list.items);
    Ok(items.filter_map(|item| name(item.metadata)).collect())
}

/// Items of lists don't say what they are; on their own they should.
fn typed(kind: &Kind, mut object: DynamicObject) -> DynamicObject {
    object.types.get_or_insert_with(|| TypeMeta {
        api_version: kind.resource.api_version.clone(),
        kind: kind.resource.kind.clone(),
    });
    object
}

/// What an apply did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It wasn't there.
    Created,
    /// It was there and is different now.
    Configured,
    /// It was there and is as it was.
    Unchanged,
}

impl std::fmt::Display for Applied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
        })
    }
}

/// How to apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApplyMode<'a> {
    /// Let the server check everything and store nothing.
    pub dry_run: bool,
    /// Take fields over that others own.
    pub force: bool,
    /// Who owns the fields afterwards.
    pub manager: &'a str,
}

/// The ConfigRepository that an object comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Value of the label that says so: `NAMESPACE.NAME`.
    pub label: String,
}

impl Owner {
    /// The owner of an object, if it has one.
    pub fn of(object: &DynamicObject) -> Option<Self> {
        Self::of_labels(object.metadata.labels.as_ref()?)
    }

    /// The owner of an object that has these labels, if it has one.
    pub fn of_labels(labels: &BTreeMap<String, String>) -> Option<Self> {
        labels.get(label::CONFIG_REPOSITORY).map(|label| Self { label: label.clone() })
    }

    /// The field manager under which the repository applies its objects.
    pub fn manager(&self) -> String {
        format!("hades-config/{}", self.label)
    }
}

/// `NAMESPACE/NAME`.
impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // No namespace has a dot in its name.
        f.write_str(&self.label.replacen('.', "/", 1))
    }
}

/// Applies a manifest (server-side apply, unknown fields refused). `before` is
/// the object as it was, which tells what the apply did.
///
/// # Errors
/// [`Error::Api`] when the server refuses: its status lists the fields.
pub async fn apply(
    session: &Session,
    kind: &Kind,
    namespace: Option<&str>,
    manifest: &Value,
    before: Option<&DynamicObject>,
    mode: ApplyMode<'_>,
) -> Result<(Applied, DynamicObject), Error> {
    let name = manifest.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let parameters = PatchParams {
        dry_run: mode.dry_run,
        force: mode.force,
        field_manager: Some(mode.manager.to_owned()),
        field_validation: Some(ValidationDirective::Strict),
    };
    let after = session
        .api(kind, namespace)
        .patch(name, &parameters, &Patch::Apply(manifest))
        .await
        .map_err(|error| session.error(error))?;
    let applied = match before {
        None => Applied::Created,
        Some(before) if same_content(before, &after) => Applied::Unchanged,
        Some(_) => Applied::Configured,
    };
    Ok((applied, after))
}

/// Whether two states of an object are the same to the person who wrote it:
/// a controller may have written its status meanwhile.
fn same_content(before: &DynamicObject, after: &DynamicObject) -> bool {
    let content = |object: &DynamicObject| {
        let mut data = object.data.clone();
        if let Some(fields) = data.as_object_mut() {
            fields.remove("status");
        }
        let meta = &object.metadata;
        (data, meta.labels.clone(), meta.annotations.clone(), meta.finalizers.clone())
    };
    content(before) == content(after)
}

/// Changes fields of an object by a merge patch.
///
/// # Errors
/// When the server refuses or doesn't answer.
pub async fn merge(
    session: &Session,
    kind: &Kind,
    namespace: Option<&str>,
    name: &str,
    patch: &Value,
) -> Result<DynamicObject, Error> {
    let parameters =
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    session
        .api(kind, namespace)
        .patch(name, &parameters, &Patch::Merge(patch))
        .await
        .map_err(|error| session.error(error))
}

/// Asks for an object's deletion. With `uid` given only that very object goes,
/// not one that has taken its name meanwhile.
///
/// # Errors
/// When the server refuses or doesn't answer.
pub async fn delete(
    session: &Session,
    kind: &Kind,
    namespace: Option<&str>,
    name: &str,
    uid: Option<&str>,
) -> Result<(), Error> {
    let parameters = DeleteParams {
        preconditions: uid
            .map(|uid| Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
        ..DeleteParams::background()
    };
    session
        .api(kind, namespace)
        .delete(name, &parameters)
        .await
        .map_err(|error| session.error(error))?;
    Ok(())
}

/// Version of the server, as `/version` tells.
///
/// # Errors
/// When the server doesn't answer.
pub async fn server_version(session: &Session) -> Result<String, Error> {
    let request = Request::get("/version").body(vec![]).map_err(|error| session.protocol(error))?;
    let info: Value =
        session.client().request(request).await.map_err(|error| session.error(error))?;
    let version = info.get("gitVersion").and_then(Value::as_str);
    version.map(str::to_owned).ok_or_else(|| session.protocol("/version names no version"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_status_written_meanwhile_is_no_change() {
        let object = |value| serde_json::from_value::<DynamicObject>(value).unwrap();
        let before =
            object(json!({"metadata": {"name": "a", "resourceVersion": "1"}, "spec": {"a": 1}}));
        let after = object(
            json!({"metadata": {"name": "a", "resourceVersion": "2"}, "spec": {"a": 1}, "status": {"ready": "1/1"}}),
        );
        assert!(same_content(&before, &after));
        let other =
            object(json!({"metadata": {"name": "a", "labels": {"x": "y"}}, "spec": {"a": 1}}));
        assert!(!same_content(&before, &other));
        let other = object(json!({"metadata": {"name": "a"}, "spec": {"a": 2}}));
        assert!(!same_content(&before, &other));
    }
}
