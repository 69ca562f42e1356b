//! Lists, assembled from the bytes of their items and streamed when long.

use axum::body::Body;
use bytes::Bytes;
use futures::stream;

use super::view::{Filter, LIST_TAIL, View};
use crate::store::{Key, Scan};
use crate::wire::accept::ResponseForm;
use crate::wire::status::StatusError;

/// How many bytes of objects are read and sent at a time.
const CHUNK: usize = 256 << 10;

/// A list on its way out. Nothing of it is kept once it was sent.
struct Listing {
    scan: Scan,
    view: View,
    filter: Filter,
    any: bool,
    done: bool,
}

impl Listing {
    /// Appends the next elements to `out`. Blocks on the disk.
    fn fill(&mut self, out: &mut Vec<u8>) -> Result<(), StatusError> {
        while out.len() < CHUNK {
            let page = self.scan.next_page(CHUNK)?;
            if page.is_empty() {
                out.extend_from_slice(LIST_TAIL);
                self.done = true;
                return Ok(());
            }
            for row in page {
                if let Some(item) = self.view.item(&self.filter, row)? {
                    if self.any {
                        out.push(b',');
                    }
                    self.any = true;
                    out.extend_from_slice(&item);
                }
            }
        }
        Ok(())
    }
}

/// Runs blocking work of a request off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StatusError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| StatusError::internal("a task of the request ended early"))
}

/// Starts to read what a filter can match.
pub(crate) fn scan(view: &View, filter: &Filter) -> Result<Scan, StatusError> {
    let store = &view.state.store;
    let resource = &view.resource;
    let scan = match (&filter.name, &filter.namespace) {
        (Some(name), namespace) if namespace.is_some() || !resource.info.namespaced => {
            let namespace = namespace.as_deref().unwrap_or_default();
            store.scan_one(&Key::new(&resource.storage, namespace, name))
        }
        (_, namespace) => store.scan(&resource.storage, namespace.as_deref()),
    };
    Ok(scan?)
}

/// The body of a list. A short one is complete; a long one is read while it is
/// sent, all of it as of the same version.
pub(super) async fn body(view: View, filter: Filter) -> Result<Body, StatusError> {
    let yaml = view.form == ResponseForm::Yaml;
    let (mut listing, mut first) = blocking(move || {
        let scan = scan(&view, &filter)?;
        let mut first = view.list_head(&scan.version().to_string(), true);
        let mut listing = Listing { scan, view, filter, any: false, done: false };
        listing.fill(&mut first)?;
        Ok::<_, StatusError>((listing, first))
    })
    .await??;
    if yaml {
        while !listing.done {
            (listing, first) = blocking(move || {
                let mut more = Vec::new();
                listing.fill(&mut more)?;
                first.extend_from_slice(&more);
                Ok::<_, StatusError>((listing, first))
            })
            .await??;
        }
        return super::respond::yaml(&first).map(Body::from);
    }
    if listing.done {
        return Ok(Body::from(first));
    }
    let rest = stream::unfold(listing, |mut listing| async move {
        if listing.done {
            return None;
        }
        let chunk = blocking(move || {
            let mut chunk = Vec::new();
            listing.fill(&mut chunk).map(|()| (Bytes::from(chunk), listing))
        });
        match chunk.await {
            Ok(Ok((chunk, listing))) => Some((Ok(chunk), listing)),
            // The head is out, so that the only honest end is a broken body.
            Ok(Err(error)) | Err(error) => {
                tracing::error!(%error, "a list could not be read to its end");
                None
            }
        }
    });
    let first = stream::once(async { Ok::<_, StatusError>(Bytes::from(first)) });
    Ok(Body::from_stream(futures::StreamExt::chain(first, rest)))
}
