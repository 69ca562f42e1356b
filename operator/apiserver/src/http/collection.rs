//! Deletion of many: everything below a path that the selectors pick.

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use super::feed::blocking;
use super::filter::Filter;
use super::view::ListMeta;
use super::{Ask, respond};
use crate::store::{Key, Scan};
use crate::wire::accept::ResponseForm;
use crate::wire::status::{self, StatusError};
use crate::write::{DeleteOptions, Deleted, delete_key};

/// How many deletions wait for the store at once, which commits them together.
const TOGETHER: usize = 64;

/// How many keys are read at a time.
const KEYS: usize = 1024;

/// An answer that lists the deleted objects is no longer than this. Who deletes more
/// is told how many there were.
const ANSWER: usize = 4 << 20;

/// Deletes the objects of a list or of its first page, and answers them.
pub(super) async fn delete(ask: &Ask, options: &DeleteOptions) -> Result<Response, StatusError> {
    let filter = ask.filter()?;
    let page = ask.page().await?;
    let mut scan = page.scan(&ask.resource, &filter)?;
    let mut wanted = page.limit().unwrap_or(usize::MAX);
    let mut answer = Answer::default();
    loop {
        let (again, keys) = matching(scan, filter.clone(), wanted.min(KEYS)).await?;
        scan = again;
        wanted -= keys.len();
        let last = keys.is_empty() || wanted == 0;
        delete_all(ask, options, keys, &mut answer).await?;
        if last {
            return answer.finish(ask);
        }
    }
}

/// The next keys that match, at most `most` of them.
async fn matching(
    mut scan: Scan,
    filter: Filter,
    most: usize,
) -> Result<(Scan, Vec<Key>), StatusError> {
    blocking(move || {
        let mut keys = Vec::new();
        while keys.len() < most
            && let Some(entry) = scan.next_entry()?
        {
            let (namespace, name) = entry.address()?;
            if filter.admits(namespace, name) && filter.matches(entry.object()?) {
                keys.push(entry.key()?);
            }
        }
        Ok((scan, keys))
    })
    .await?
}

/// Those that went in the meantime are skipped.
async fn delete_all(
    ask: &Ask,
    options: &DeleteOptions,
    keys: Vec<Key>,
    answer: &mut Answer,
) -> Result<(), StatusError> {
    let deletions = keys
        .into_iter()
        .map(|key| async move { delete_key(&ask.state, &ask.resource, &key, options).await });
    let mut deletions = stream::iter(deletions).buffered(TOGETHER);
    while let Some(deleted) = deletions.try_next().await? {
        if let Some(Deleted::Gone(object) | Deleted::Waiting(object)) = deleted {
            answer.add(object);
        }
    }
    Ok(())
}

#[derive(Default)]
struct Answer {
    objects: Vec<Bytes>,
    size: usize,
    count: usize,
}

impl Answer {
    fn add(&mut self, object: Bytes) {
        self.count += 1;
        self.size += object.len();
        if self.size <= ANSWER {
            self.objects.push(object);
        } else {
            self.objects = Vec::new();
        }
    }

    fn finish(self, ask: &Ask) -> Result<Response, StatusError> {
        let info = &ask.resource.info;
        if self.size > ANSWER {
            let mut done = status::success(&info.group, &info.plural, "", "");
            done["message"] = Value::from(format!("{} objects were deleted", self.count));
            return Ok(respond::json(StatusCode::OK, &done));
        }
        let mut view = ask.view();
        view.form = ResponseForm::Json;
        let meta = ListMeta::of_version(ask.state.store.version()?);
        let mut body = view.list_head(Some(&meta), true);
        for (index, object) in self.objects.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            view.append(&mut body, object)?;
        }
        body.extend_from_slice(&view.list_tail(None));
        Ok(respond::document(StatusCode::OK, view.content_type(), Body::from(body)))
    }
}
