//! The objects that exist when a watch starts.

use super::line::Writer;
use crate::http::feed::{CHUNK, Source};
use crate::http::filter::Filter;
use crate::http::view::View;
use crate::store::Scan;
use crate::wire::status::StatusError;

/// What exists, as ADDED lines.
pub(super) struct Initial {
    pub scan: Scan,
    pub view: View,
    pub filter: Filter,
    pub writer: Writer,
}

impl Source for Initial {
    fn fill(&mut self, out: &mut Vec<u8>) -> Result<bool, StatusError> {
        let Self { scan, view, filter, writer } = self;
        while out.len() < CHUNK {
            let Some(entry) = scan.next_entry()? else {
                return Ok(false);
            };
            let (namespace, name) = entry.address()?;
            if !filter.admits(namespace, name) {
                continue;
            }
            let object = entry.object()?;
            if filter.matches(object) {
                let append = |out: &mut Vec<u8>| view.append(out, object);
                writer.object(out, view, "ADDED", entry.version(), append)?;
            }
        }
        Ok(true)
    }
}
