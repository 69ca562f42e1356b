//! The few metadata fields that the server looks at, read from object bytes
//! without building a tree of the whole object.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `metadata.labels`.
pub type Labels = BTreeMap<String, String>;

/// A partly read `metadata`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Meta {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`, empty for cluster-scoped objects.
    pub namespace: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.labels`.
    pub labels: Option<Labels>,
    /// `metadata.creationTimestamp` as it is stored.
    pub creation_timestamp: Option<String>,
    /// `metadata.deletionTimestamp` as it is stored.
    pub deletion_timestamp: Option<String>,
    /// `metadata.ownerReferences`.
    pub owner_references: Vec<OwnerReference>,
}

/// One of `metadata.ownerReferences`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OwnerReference {
    /// `apiVersion` of the owner.
    pub api_version: String,
    /// Kind of the owner.
    pub kind: String,
    /// Name of the owner.
    pub name: String,
    /// Uid of the owner.
    pub uid: String,
    /// Whether an owner that is deleted in the foreground waits for this object.
    pub block_owner_deletion: Option<bool>,
}

#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    metadata: Meta,
}

impl Meta {
    /// Reads the metadata of an object in bytes, skipping everything else.
    ///
    /// # Errors
    /// When the bytes are not a JSON object with Kubernetes metadata.
    pub fn read(object: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice::<Object>(object).map(|object| object.metadata)
    }
}
