//! Lists: whole or in pages, as of one version, made from the bytes of their items.

mod held;
mod options;
mod token;
mod yaml;

use std::sync::Arc;

use axum::body::Body;
use futures::stream;

use super::feed::{CHUNK, Feed, Source};
use super::filter::Filter;
use super::view::{ListMeta, View};
use crate::registry::Resource;
use crate::state::State;
use crate::store::{Key, Scan, Snapshot};
use crate::wire::accept::ResponseForm;
use crate::wire::status::StatusError;

pub(crate) use super::feed::blocking;
pub(crate) use held::Held;
pub(crate) use options::{
    ListOptions, Wanted, check_not_newer, forbidden, invalid, text, unsupported_match,
    version_parameter,
};
use token::{Binding, Place};

/// A list as it was asked for.
pub(crate) struct Query<'a> {
    pub namespace: Option<&'a str>,
    pub parameters: &'a [(String, String)],
    pub options: ListOptions,
}

/// The part of a list that one request is about.
#[derive(Clone)]
pub(crate) struct Page {
    snapshot: Arc<Snapshot>,
    /// The version that clients see: that of the first page.
    version: u64,
    after: Option<Key>,
    limit: Option<usize>,
    left: Option<u64>,
    begins: bool,
    binding: Binding,
}

impl Page {
    /// Finds what a query asks for.
    ///
    /// # Errors
    /// 400 for a token that is none of this list, 410 where the version is gone, 504
    /// where it is yet to come.
    pub async fn find(
        state: &Arc<State>,
        resource: &Resource,
        query: Query<'_>,
    ) -> Result<Self, StatusError> {
        let Query { namespace, parameters, options } = query;
        let ListOptions { limit, token, wanted } = options;
        let selector = |name| text(parameters, name).unwrap_or_default();
        let (labels, fields) = (selector("labelSelector"), selector("fieldSelector"));
        let binding = Binding::new(&resource.storage, namespace, labels, fields);
        let current = Arc::new(state.store.snapshot()?);
        let latest = Self {
            version: current.version(),
            snapshot: current,
            after: None,
            limit,
            left: None,
            begins: true,
            binding,
        };
        if let Some(token) = token {
            let place = Place::decode(&token, &state.keyring, &latest.binding)?;
            return latest.resume(state, resource, place).await;
        }
        match wanted {
            Wanted::Latest => Ok(latest),
            Wanted::NotOlderThan(version) => {
                check_not_newer(Some(version), latest.version).map(|()| latest)
            }
            Wanted::Exact(version) => {
                check_not_newer(Some(version), latest.version)?;
                latest.at(state, resource, version).await.ok_or_else(|| {
                    StatusError::expired("The resourceVersion for the provided list is too old.")
                })
            }
        }
    }

    /// The page that a token names.
    async fn resume(
        mut self,
        state: &Arc<State>,
        resource: &Resource,
        place: Place,
    ) -> Result<Self, StatusError> {
        self.after = Some(Key::new(&resource.storage, &place.namespace, &place.name));
        let Some(version) = place.version else {
            return Ok(self);
        };
        self.left = place.left;
        self.begins = false;
        let binding = self.binding.clone();
        self.at(state, resource, version).await.ok_or_else(|| {
            let rest = Place { version: None, left: None, ..place };
            StatusError::continue_expired(rest.encode(&state.keyring, &binding))
        })
    }

    /// The same page as of an earlier version, where that can still be told.
    async fn at(mut self, state: &State, resource: &Resource, version: u64) -> Option<Self> {
        if let Some(snapshot) = state.held.find(&resource.storage, version) {
            self.snapshot = snapshot;
        } else if !is_unchanged(state, resource, version, self.snapshot.version()).await {
            return None;
        }
        self.version = version;
        Some(self)
    }

    /// Starts to read what a filter can match.
    pub fn scan(&self, resource: &Resource, filter: &Filter) -> Result<Scan, StatusError> {
        scan(&self.snapshot, resource, filter, self.after.as_ref())
    }

    pub fn limit(&self) -> Option<usize> {
        self.limit
    }
}

/// Whether a resource has not changed between an earlier version and the current
/// one: it can be read now as of then.
async fn is_unchanged(state: &State, resource: &Resource, version: u64, current: u64) -> bool {
    let ring = state.store.ring();
    // The ring learns of a commit a moment after it can be read.
    let mut latest = ring.subscribe();
    let known = latest.wait_for(|latest| *latest >= current).await.is_ok();
    known && version <= current && ring.unchanged_since(&resource.storage, version)
}

/// Starts to read what a filter can match.
pub(crate) fn scan(
    snapshot: &Snapshot,
    resource: &Resource,
    filter: &Filter,
    after: Option<&Key>,
) -> Result<Scan, StatusError> {
    let scan = match (&filter.name, &filter.namespace) {
        (Some(name), namespace) if namespace.is_some() || !resource.info.namespaced => {
            let namespace = namespace.as_deref().unwrap_or_default();
            snapshot.scan_one(&Key::new(&resource.storage, namespace, name))
        }
        (_, namespace) => snapshot.scan(&resource.storage, namespace.as_deref(), after),
    };
    Ok(scan?)
}

/// The body of a list. A short one is complete; a long one is read while it is
/// sent. `limited` says whether the caller has to wait for a seat.
pub(super) async fn body(
    view: View,
    filter: Filter,
    page: Page,
    limited: bool,
) -> Result<Body, StatusError> {
    let state = Arc::clone(&view.state);
    let listing = Listing::new(view, filter, page)?;
    let seats = limited.then_some(&state.seats);
    let mut feed = Feed::open(listing, seats, &state.shutdown).await?;
    if let Some(whole) = feed.whole() {
        return Ok(Body::from(whole));
    }
    // The head is out, so that the only honest end of a failure is a broken body.
    Ok(Body::from_stream(stream::unfold(feed, |mut feed| async move {
        feed.next().await.map(|part| (part, feed))
    })))
}

/// A list on its way out. Nothing of it is kept once it was sent.
struct Listing {
    scan: Scan,
    view: View,
    filter: Filter,
    page: Page,
    begun: bool,
    any: bool,
    /// How many items are still wanted.
    wanted: usize,
    /// How many rows were looked at.
    rows: u64,
    last: Option<Key>,
}

impl Listing {
    fn new(view: View, filter: Filter, page: Page) -> Result<Self, StatusError> {
        Ok(Self {
            scan: page.scan(&view.resource, &filter)?,
            view,
            filter,
            wanted: page.limit.unwrap_or(usize::MAX),
            page,
            begun: false,
            any: false,
            rows: 0,
            last: None,
        })
    }

    fn is_yaml(&self) -> bool {
        self.view.form == ResponseForm::Yaml
    }

    fn head(&self, out: &mut Vec<u8>) -> Result<(), StatusError> {
        // Where there may be a next page, its token is known only at the end.
        let meta = self.page.limit.is_none().then(|| ListMeta::of_version(self.page.version));
        if self.is_yaml() {
            return yaml::head(out, &self.view.resource.info, meta.as_ref());
        }
        out.extend_from_slice(&self.view.list_head(meta.as_ref(), true));
        Ok(())
    }

    fn tail(&mut self, out: &mut Vec<u8>, more: bool) -> Result<(), StatusError> {
        let meta = match self.page.limit {
            Some(_) => Some(self.meta(more)?),
            None => None,
        };
        if self.is_yaml() {
            return yaml::tail(out, meta.as_ref(), self.any);
        }
        out.extend_from_slice(&self.view.list_tail(meta.as_ref()));
        Ok(())
    }

    /// The metadata of a page; makes sure that the next one can be had.
    fn meta(&mut self, more: bool) -> Result<ListMeta, StatusError> {
        let Page { version, begins, .. } = self.page;
        let storage = &self.view.resource.storage;
        let mut meta = ListMeta::of_version(version);
        let Some(last) = self.last.take().filter(|_| more) else {
            if !begins {
                self.view.state.held.release(storage, version);
            }
            return Ok(meta);
        };
        let left = match self.page.left {
            Some(left) => Some(left.saturating_sub(self.rows)),
            // One row more was looked at, to see that there is one.
            None if self.filter.is_whole() => Some(self.scan.count_rest()? + 1),
            None => None,
        };
        let place = Place {
            version: Some(version),
            left,
            namespace: last.namespace().to_owned(),
            name: last.name().to_owned(),
        };
        meta.next = Some(place.encode(&self.view.state.keyring, &self.page.binding));
        meta.remaining = left;
        held::keep(&self.view.state, storage, version, &self.page.snapshot, begins);
        Ok(meta)
    }

    fn item(&mut self, out: &mut Vec<u8>, object: &[u8]) -> Result<(), StatusError> {
        if self.is_yaml() {
            yaml::item(out, &self.view.shown(object)?, !self.any)?;
        } else {
            if self.any {
                out.push(b',');
            }
            self.view.append(out, object)?;
        }
        self.any = true;
        Ok(())
    }
}

impl Source for Listing {
    fn fill(&mut self, out: &mut Vec<u8>) -> Result<bool, StatusError> {
        if !self.begun {
            self.head(out)?;
            self.begun = true;
        }
        while out.len() < CHUNK {
            let Some(entry) = self.scan.next_entry()? else {
                self.tail(out, false)?;
                return Ok(false);
            };
            if self.wanted == 0 {
                self.tail(out, true)?;
                return Ok(false);
            }
            self.rows += 1;
            let (namespace, name) = entry.address()?;
            if !self.filter.admits(namespace, name) {
                continue;
            }
            let object = entry.object()?;
            if self.filter.matches(object) {
                self.item(out, object)?;
                self.wanted -= 1;
                if self.wanted == 0 {
                    self.last = Some(entry.key()?);
                }
            }
        }
        Ok(true)
    }
}
