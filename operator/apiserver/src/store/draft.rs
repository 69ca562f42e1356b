//! Object bytes with a gap where the resourceVersion goes.
//!
//! Only the writer knows the version that a change gets, and everything waits for
//! the writer. So whoever asks for a change serialises the object, and the writer
//! only fills the gap.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::row::{self, Header, Seal};

/// A serialised object without its resourceVersion.
#[derive(Debug)]
pub(super) struct Draft {
    json: Vec<u8>,
    /// Offset between the quotes of `metadata.resourceVersion`.
    gap: usize,
}

/// Why there is no draft of some bytes.
#[derive(Debug, thiserror::Error)]
pub(super) enum DraftError {
    #[error("the object has no metadata")]
    NoMetadata,
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl Draft {
    /// Serialises an object; whatever version it carries is left out.
    pub fn new(object: &Value) -> Result<Self, DraftError> {
        let object = object.as_object().ok_or(DraftError::NoMetadata)?;
        let mut json = Vec::with_capacity(512);
        let mut gap = None;
        json.push(b'{');
        for (index, (key, value)) in object.iter().enumerate() {
            begin_entry(&mut json, index, key)?;
            match value {
                Value::Object(metadata) if key == "metadata" => {
                    gap = Some(write_metadata(&mut json, metadata)?);
                }
                value => serde_json::to_writer(&mut json, value)?,
            }
        }
        json.push(b'}');
        Ok(Self { json, gap: gap.ok_or(DraftError::NoMetadata)? })
    }

    /// The draft of an object that is stored already, for its last state.
    pub fn of_stored(json: &[u8]) -> Result<Self, DraftError> {
        #[derive(Deserialize)]
        struct Object<'a> {
            #[serde(borrow)]
            metadata: Metadata<'a>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Metadata<'a> {
            #[serde(borrow)]
            resource_version: &'a RawValue,
        }
        let object: Object<'_> = serde_json::from_slice(json)?;
        let version = object.metadata.resource_version.get();
        // The raw value is a part of `json`, quotes included.
        let start = version.as_ptr().addr() - json.as_ptr().addr();
        let (before, after) = (start + 1, start + version.len() - 1);
        let joined = [&json[..before], &json[after..]].concat();
        Ok(Self { json: joined, gap: before })
    }

    /// Bytes of the object, the version left out.
    pub fn len(&self) -> usize {
        self.json.len()
    }

    /// The object with this version.
    pub fn object(&self, version: u64) -> Bytes {
        self.row(Header { seal: Seal::None, terminating: false, version }).slice(row::HEADER..)
    }

    /// A plain row of the object with the version of its header. The object is
    /// what follows the header.
    pub fn row(&self, header: Header) -> Bytes {
        let version = header.version.to_string();
        let mut row = row::begin(header, self.json.len() + version.len());
        row.extend_from_slice(&self.json[..self.gap]);
        row.extend_from_slice(version.as_bytes());
        row.extend_from_slice(&self.json[self.gap..]);
        Bytes::from(row)
    }
}

fn begin_entry(json: &mut Vec<u8>, index: usize, key: &str) -> Result<(), serde_json::Error> {
    if index > 0 {
        json.push(b',');
    }
    serde_json::to_writer(&mut *json, key)?;
    json.push(b':');
    Ok(())
}

/// Writes the metadata with an empty version, and answers where it is empty.
fn write_metadata(
    json: &mut Vec<u8>,
    metadata: &serde_json::Map<String, Value>,
) -> Result<usize, DraftError> {
    const FIELD: &str = "resourceVersion";
    json.push(b'{');
    let mut gap = None;
    let mut index = 0;
    for (key, value) in metadata {
        // Where a sorted map has it, so that objects look alike.
        if gap.is_none() && key.as_str() >= FIELD {
            gap = Some(write_gap(json, index)?);
            index += 1;
        }
        if key != FIELD {
            begin_entry(json, index, key)?;
            serde_json::to_writer(&mut *json, value)?;
            index += 1;
        }
    }
    let gap = match gap {
        Some(gap) => gap,
        None => write_gap(json, index)?,
    };
    json.push(b'}');
    Ok(gap)
}

fn write_gap(json: &mut Vec<u8>, index: usize) -> Result<usize, serde_json::Error> {
    begin_entry(json, index, "resourceVersion")?;
    json.extend_from_slice(b"\"\"");
    Ok(json.len() - 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filled(object: &Value, version: u64) -> Value {
        serde_json::from_slice(&Draft::new(object).unwrap().object(version)).unwrap()
    }

    #[test]
    fn the_version_stands_where_it_belongs_and_nowhere_else() {
        let tricky = json!({
            "metadata": {"name": "a", "uid": "u", "annotations": {"resourceVersion": "\"\""}},
            "data": {"metadata": {"resourceVersion": ""}},
        });
        let mut expected = tricky.clone();
        expected["metadata"]["resourceVersion"] = json!("42");
        assert_eq!(filled(&tricky, 42), expected);
        let again = filled(&expected, 7);
        expected["metadata"]["resourceVersion"] = json!("7");
        assert_eq!(again, expected);
        assert_eq!(filled(&json!({"metadata": {}}), 1)["metadata"]["resourceVersion"], "1");
        let bytes = Draft::new(&tricky).unwrap().object(42);
        let sorted = serde_json::to_vec(&{
            let mut object = tricky;
            object["metadata"]["resourceVersion"] = json!("42");
            object
        });
        assert_eq!(bytes, sorted.unwrap(), "the same bytes as from the tree");
    }

    #[test]
    fn a_stored_object_gets_a_new_version() {
        let stored =
            br#"{"a":{"resourceVersion":"1"},"metadata":{"resourceVersion": "999" ,"x":1}}"#;
        let draft = Draft::of_stored(stored).unwrap();
        let expected =
            br#"{"a":{"resourceVersion":"1"},"metadata":{"resourceVersion": "1000" ,"x":1}}"#;
        assert_eq!(draft.object(1000), expected.as_slice());
        assert!(Draft::of_stored(b"{}").is_err());
        assert!(Draft::new(&json!({"spec": 1})).is_err());
    }
}
