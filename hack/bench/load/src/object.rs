//! The objects that are written: 1 KB each, as those of the published figures.

use bytes::{BufMut, Bytes, BytesMut};
use clap::ValueEnum;

/// Length of the JSON of one object as it is sent.
const LENGTH: usize = 1024;

/// Objects carry one of so many values of the label `slot`.
pub const SLOTS: usize = 10;

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A built-in kind.
    Configmap,
    /// A custom kind with a schema and CEL rules, which no controller acts on.
    Environmenttemplate,
}

/// Makes paths and bodies.
pub struct Objects {
    kind: Kind,
    collection: String,
}

impl Objects {
    /// Objects of a kind in a namespace.
    pub fn new(kind: Kind, namespace: &str) -> Self {
        let collection = match kind {
            Kind::Configmap => format!("/api/v1/namespaces/{namespace}/configmaps"),
            Kind::Environmenttemplate => {
                format!("/apis/hades.dev/v1alpha1/namespaces/{namespace}/environmenttemplates")
            }
        };
        Self { kind, collection }
    }

    /// Path of the collection.
    pub fn collection(&self) -> &str {
        &self.collection
    }

    /// Path of one object.
    pub fn path(&self, number: usize) -> String {
        format!("{}/{}", self.collection, name(number))
    }

    /// The manifest of one object.
    pub fn manifest(&self, number: usize) -> Bytes {
        let (head, tail) = match self.kind {
            Kind::Configmap => {
                (r#"{"apiVersion":"v1","kind":"ConfigMap""#, r#""data":{"stamp":"0""#)
            }
            Kind::Environmenttemplate => (
                r#"{"apiVersion":"hades.dev/v1alpha1","kind":"EnvironmentTemplate""#,
                r#""spec":{"env":{"stamp":"0""#,
            ),
        };
        let end = match self.kind {
            Kind::Configmap => "}}",
            Kind::Environmenttemplate => "}}}",
        };
        let metadata = format!(
            r#","metadata":{{"name":"{}","labels":{{"app":"bench","slot":"s{}"}}}},"#,
            name(number),
            number % SLOTS
        );
        let mut body = BytesMut::with_capacity(LENGTH + 64);
        for part in [head, &metadata, tail] {
            body.put_slice(part.as_bytes());
        }
        // Ten values of even length fill up the rest.
        const VALUES: usize = 10;
        let frame = r#","VALUE_0":"""#.len();
        let room = LENGTH.saturating_sub(body.len() + end.len() + VALUES * frame);
        for index in 0..VALUES {
            let length = room / VALUES + usize::from(index < room % VALUES);
            body.put_slice(format!(r#","VALUE_{index}":""#).as_bytes());
            body.put_bytes(b'v', length);
            body.put_u8(b'"');
        }
        body.put_slice(end.as_bytes());
        body.freeze()
    }

    /// A merge patch that sets a value to a number.
    pub fn stamp(&self, stamp: u64) -> Bytes {
        Bytes::from(match self.kind {
            Kind::Configmap => format!(r#"{{"data":{{"stamp":"{stamp}"}}}}"#),
            Kind::Environmenttemplate => {
                format!(r#"{{"spec":{{"env":{{"stamp":"{stamp}"}}}}}}"#)
            }
        })
    }
}

/// The number that [`Objects::stamp`] left in the JSON of an object.
pub fn read_stamp(line: &[u8]) -> Option<u64> {
    const MARK: &[u8] = br#""stamp":""#;
    let start = line.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    let digits = line[start..].split(|byte| *byte == b'"').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn name(number: usize) -> String {
    format!("object-{number:06}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_json_of_one_kilobyte_that_carries_its_stamp() {
        for kind in [Kind::Configmap, Kind::Environmenttemplate] {
            let manifest = Objects::new(kind, "bench").manifest(7);
            assert_eq!(manifest.len(), LENGTH);
            assert!(serde_json::from_slice::<serde_json::Value>(&manifest).is_ok());
            assert_eq!(read_stamp(&manifest), Some(0));
        }
        let stamp = Objects::new(Kind::Configmap, "bench").stamp(42);
        assert_eq!(read_stamp(&stamp), Some(42));
    }
}
