//! Lists as the server lays them out, so that columns are the same in every
//! client.

use futures::{Stream, StreamExt};
use http::{HeaderValue, Request, header};
use kube::api::{PartialObjectMeta, WatchEvent, WatchParams};
use kube::core::Request as Requests;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::everywhere::Place;
use crate::object::Selection;
use crate::{Error, Kind, Session, everywhere};

/// Asks for a table, and for plain objects where the server has none.
const ACCEPT_TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

/// `meta.k8s.io/v1 Table`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Table {
    /// Columns; absent from all but the first event of a watch.
    #[serde(default)]
    pub column_definitions: Vec<Column>,
    /// A row each object.
    #[serde(default)]
    pub rows: Vec<Row>,
    /// Where the list stands.
    #[serde(default)]
    pub metadata: ListMeta,
}

/// Where a list stands.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListMeta {
    /// Version to watch from.
    #[serde(default)]
    pub resource_version: String,
}

/// A column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Head.
    pub name: String,
    /// 0 is always shown, more only in wide tables.
    #[serde(default)]
    pub priority: i32,
}

/// A row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// A cell each column.
    pub cells: Vec<Value>,
    /// The object it is about.
    pub object: PartialObjectMeta,
}

/// A change to a table that is watched.
#[derive(Debug, Clone)]
pub enum Change {
    /// New or different rows.
    Rows(Box<Table>),
    /// Rows that left.
    Gone(Box<Table>),
    /// Nothing but a later version to go on from.
    Bookmark(String),
}

/// Objects of a kind as a table; only that of `name` if one is given. Where the
/// person may not list those of all projects, those of his own ones: then there is
/// no version to watch from.
///
/// # Errors
/// When the server refuses, doesn't answer or knows no tables.
pub async fn get(
    session: &Session,
    kind: &Kind,
    selection: &Selection,
    name: Option<&str>,
) -> Result<Table, Error> {
    let question = |place: Place| {
        let selection = selection.at(place);
        async move { get_one(session, kind, &selection, name).await }
    };
    let tables = everywhere::ask(session, kind, selection.namespace.as_deref(), question).await?;
    let one_by_one = tables.one_by_one;
    let mut tables = tables.parts.into_iter();
    let mut whole = tables.next().unwrap_or_default();
    whole.rows.extend(tables.flat_map(|table| table.rows));
    if one_by_one {
        whole.metadata = ListMeta::default();
    }
    Ok(whole)
}

async fn get_one(
    session: &Session,
    kind: &Kind,
    selection: &Selection,
    name: Option<&str>,
) -> Result<Table, Error> {
    let requests = requests(session, kind, selection);
    let request = match name {
        Some(name) => requests.get(name, &kube::api::GetParams::default()),
        None => requests.list(&selection.parameters()),
    };
    let request = as_table(request.map_err(|error| session.protocol(error))?);
    let table = session.client().request(request).await;
    table.map_err(|error| session.error(error))
}

/// Changes to a table after `version`. Ends now and then; go on from the last
/// version seen.
///
/// # Errors
/// [`Error::Api`] with code 410 when the version is too old: list again.
pub async fn watch(
    session: &Session,
    kind: &Kind,
    selection: &Selection,
    version: &str,
) -> Result<impl Stream<Item = Result<Change, Error>> + use<>, Error> {
    let parameters = WatchParams {
        label_selector: selection.labels.clone(),
        field_selector: selection.fields.clone(),
        ..WatchParams::default()
    };
    let request = requests(session, kind, selection)
        .watch(&parameters, version)
        .map_err(|error| session.protocol(error))?;
    let events = session
        .client()
        .request_events::<Table>(as_table(request))
        .await
        .map_err(|error| session.error(error))?;
    let session = session.clone();
    Ok(events.map(move |event| match event.map_err(|error| session.error(error))? {
        WatchEvent::Added(table) | WatchEvent::Modified(table) => Ok(Change::Rows(Box::new(table))),
        WatchEvent::Deleted(table) => Ok(Change::Gone(Box::new(table))),
        WatchEvent::Bookmark(bookmark) => Ok(Change::Bookmark(bookmark.metadata.resource_version)),
        WatchEvent::Error(status) => Err(session.error(kube::Error::Api(status))),
    }))
}

fn requests(session: &Session, kind: &Kind, selection: &Selection) -> Requests {
    Requests::new(session.api(kind, selection.namespace.as_deref()).resource_url())
}

fn as_table(mut request: Request<Vec<u8>>) -> Request<Vec<u8>> {
    request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static(ACCEPT_TABLE));
    request
}
