//! One object in the several versions of its kind.
//!
//! Objects lie in the storage version and are answered in the version that is
//! asked for. There is no conversion but that of `apiVersion`: fields that the
//! asked version doesn't know are not shown, fields that the storage version
//! doesn't know are not kept, as on Kubernetes. Where the stored version is the
//! asked one, the bytes pass through untouched.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::Value;

use super::Resource;

/// What stored objects begin with: the store writes fields in the order of
/// their names.
const HEAD: &[u8] = b"{\"apiVersion\":\"";

/// The beginning of objects of this apiVersion.
pub(super) fn head(api_version: &str) -> Vec<u8> {
    [HEAD, api_version.as_bytes(), b"\","].concat()
}

impl Resource {
    /// The bytes of a stored object as this version shows them.
    ///
    /// # Errors
    /// When the bytes are no JSON object.
    pub(crate) fn shown(&self, object: Bytes) -> Result<Bytes, serde_json::Error> {
        Ok(match self.shown_bytes(&object)? {
            Cow::Owned(shown) => Bytes::from(shown),
            Cow::Borrowed(_) => object,
        })
    }

    /// Like [`Resource::shown`], where the object lies.
    ///
    /// # Errors
    /// When the bytes are no JSON object.
    pub(crate) fn shown_bytes<'a>(
        &self,
        object: &'a [u8],
    ) -> Result<Cow<'a, [u8]>, serde_json::Error> {
        let Some(custom) = self.custom.as_ref().filter(|_| !self.is_shown_as_stored(object)) else {
            return Ok(Cow::Borrowed(object));
        };
        if custom.alike
            && let Some(rest) = after_api_version(object)
        {
            return Ok(Cow::Owned([custom.head.as_slice(), rest].concat()));
        }
        let mut object = serde_json::from_slice(object)?;
        self.to_shown(&mut object);
        serde_json::to_vec(&object).map(Cow::Owned)
    }

    /// Whether this version shows a stored object as it is.
    pub(crate) fn is_shown_as_stored(&self, object: &[u8]) -> bool {
        self.custom.as_ref().is_none_or(|custom| object.starts_with(&custom.head))
    }

    /// Turns a stored object into this version. Answers whether it was stored in
    /// another version than objects are stored in today.
    pub(crate) fn to_shown(&self, object: &mut Value) -> bool {
        let Some(custom) = &self.custom else {
            return false;
        };
        let outdated = object["apiVersion"] != custom.stored_as.as_str();
        object["apiVersion"] = Value::from(self.info.api_version());
        self.schema.prune(object);
        self.schema.apply_defaults(object);
        outdated
    }

    /// Turns an object of this version into the stored one. Answers what is lost
    /// by that, for the client to be warned.
    pub(crate) fn to_stored(&self, object: &mut Value) -> Option<String> {
        let custom = self.custom.as_ref()?;
        let written = custom.stored_schema.as_ref().map(|schema| (schema, object.clone()));
        object["apiVersion"] = Value::from(custom.stored_as.as_str());
        let (schema, written) = written?;
        let lost = schema.prune(object);
        if lost.is_empty() {
            return None;
        }
        let mut back = object.clone();
        self.to_shown(&mut back);
        // Defaults come back by themselves.
        if back == written {
            return None;
        }
        let fields: Vec<&str> = lost.iter().map(|field| field.path.as_str()).collect();
        let stored_as = &custom.stored_as;
        Some(format!(
            "{} is not kept: {stored_as}, the storage version, has no such field",
            fields.join(", ")
        ))
    }
}

/// What follows `{"apiVersion":"…",` in a stored object.
fn after_api_version(object: &[u8]) -> Option<&[u8]> {
    let rest = object.strip_prefix(HEAD)?;
    let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    rest.get(end..)?.strip_prefix(b"\",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_the_version() {
        let object = br#"{"apiVersion":"a.b/v1","kind":"K"}"#;
        assert_eq!(after_api_version(object), Some(br#""kind":"K"}"#.as_slice()));
        assert_eq!(after_api_version(br#"{"kind":"K"}"#), None);
        assert_eq!(after_api_version(br#"{"apiVersion":"a\"b","kind":"K"}"#), None);
        assert!(object.starts_with(&head("a.b/v1")));
    }
}
