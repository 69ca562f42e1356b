//! The lines of a watch.

use serde_json::{Value, json};

use crate::http::view::{ListMeta, View};
use crate::wire::accept::ResponseForm;
use crate::wire::status::StatusError;

/// Writes the lines of one watch.
#[derive(Debug, Default)]
pub(super) struct Writer {
    /// Columns of a table are described once.
    definitions_sent: bool,
}

impl Writer {
    /// Says that lines with objects were sent by somebody else.
    pub fn begun(&mut self) {
        self.definitions_sent = true;
    }

    /// Appends an object as a line; a table row becomes a table of its own.
    pub fn object(
        &mut self,
        out: &mut Vec<u8>,
        view: &View,
        kind: &str,
        version: u64,
        append: impl FnOnce(&mut Vec<u8>) -> Result<(), StatusError>,
    ) -> Result<(), StatusError> {
        let start = out.len();
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\",\"object\":");
        let table = matches!(view.form, ResponseForm::Table(_));
        if table {
            let meta = ListMeta::of_version(version);
            out.extend_from_slice(&view.list_head(Some(&meta), !self.definitions_sent));
        }
        if let Err(error) = append(out) {
            out.truncate(start);
            return Err(error);
        }
        if table {
            out.extend_from_slice(&view.list_tail(None));
            self.definitions_sent = true;
        }
        out.extend_from_slice(b"}\n");
        Ok(())
    }

    /// Appends a bookmark: how far the store has come, and whether the initial
    /// objects end here.
    pub fn bookmark(
        &mut self,
        out: &mut Vec<u8>,
        view: &View,
        version: u64,
        initial_end: bool,
    ) -> Result<(), StatusError> {
        let mut metadata =
            json!({"resourceVersion": version.to_string(), "creationTimestamp": null});
        if initial_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let info = &view.resource.info;
        let object = json!({
            "kind": info.kind, "apiVersion": info.api_version(), "metadata": metadata,
        });
        // In every other form it is what becomes of such an object.
        let object = serde_json::to_vec(&object).map_err(StatusError::internal)?;
        self.object(out, view, "BOOKMARK", version, |out| view.append_shown(out, &object))
    }
}

/// The line that ends a watch for a reason.
pub(super) fn error(error: &StatusError) -> Vec<u8> {
    let object: Value = error.to_value();
    format!("{{\"type\":\"ERROR\",\"object\":{object}}}\n").into_bytes()
}
