//! The documents by which clients learn what is served, made when they are first
//! asked for and kept as bytes as long as their registry is.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use bytes::Bytes;
use serde_json::Value;

use super::ResourceInfo;
use crate::wire::discovery::{self, AggregatedVersion, Announced, DiscoveryRoot};
use crate::wire::openapi;

/// A document with the hash of its content.
#[derive(Debug)]
pub(crate) struct Document {
    pub body: Bytes,
    /// Hexadecimal; what ETags and `?hash=` carry.
    pub hash: String,
}

impl Document {
    fn new(value: &Value) -> Self {
        let body = Bytes::from(value.to_string());
        let hash = openapi::hash(&body);
        Self { body, hash }
    }
}

/// The documents of one registry.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    /// By their paths below `/openapi/v3/`.
    openapi: OnceLock<BTreeMap<String, Document>>,
    index: OnceLock<Document>,
    aggregated: [OnceLock<Document>; 4],
}

impl Documents {
    fn all(&self, resources: &[ResourceInfo]) -> &BTreeMap<String, Document> {
        self.openapi.get_or_init(|| {
            let versions = openapi::versions(resources).into_iter();
            versions
                .filter_map(|(path, (group, version))| {
                    let document = openapi::document(resources, group, version)?;
                    Some((path, Document::new(&document)))
                })
                .collect()
        })
    }

    /// `GET /openapi/v3/{path}`; `None` where nothing is served there.
    pub fn openapi(&self, resources: &[ResourceInfo], path: &str) -> Option<&Document> {
        self.all(resources).get(path)
    }

    /// `GET /openapi/v3`.
    pub fn index(&self, resources: &[ResourceInfo]) -> &Document {
        self.index.get_or_init(|| {
            let all = self.all(resources).iter();
            let hashes = all.map(|(path, document)| (path.as_str(), document.hash.as_str()));
            Document::new(&openapi::index(hashes))
        })
    }

    /// `GET /api` and `GET /apis` in one document.
    pub fn aggregated(
        &self,
        resources: &[ResourceInfo],
        announced: &[Announced],
        root: DiscoveryRoot,
        version: AggregatedVersion,
    ) -> &Document {
        let place = match (root, version) {
            (DiscoveryRoot::Api, AggregatedVersion::V2) => 0,
            (DiscoveryRoot::Api, AggregatedVersion::V2Beta1) => 1,
            (DiscoveryRoot::Apis, AggregatedVersion::V2) => 2,
            (DiscoveryRoot::Apis, AggregatedVersion::V2Beta1) => 3,
        };
        let [one, two, three, four] = &self.aggregated;
        [one, two, three, four][place].get_or_init(|| {
            let mut document = discovery::aggregated(resources, root, version);
            if root == DiscoveryRoot::Apis {
                discovery::announce(&mut document, announced);
            }
            Document::new(&document)
        })
    }
}
