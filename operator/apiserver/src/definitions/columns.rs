//! Printer columns of a definition.

use serde_json::Value;

use super::validate::{invalid_text, not_supported, required};
use crate::admission::Cause;
use crate::wire::table::Columns;

const TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];

const FORMATS: [&str; 8] =
    ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];

/// What is wrong with `additionalPrinterColumns` of the version at `path`.
pub(super) fn causes(columns: &[Value], path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (index, column) in columns.iter().enumerate() {
        let field = |name: &str| format!("{path}.additionalPrinterColumns[{index}].{name}");
        let text = |name: &str| column[name].as_str().unwrap_or_default();
        let before = causes.len();
        for name in ["name", "type", "jsonPath"] {
            if text(name).is_empty() {
                causes.push(required(&field(name), ""));
            }
        }
        if !text("type").is_empty() && !TYPES.contains(&text("type")) {
            causes.push(not_supported(&field("type"), text("type"), &TYPES));
        }
        if !text("format").is_empty() && !FORMATS.contains(&text("format")) {
            causes.push(not_supported(&field("format"), text("format"), &FORMATS));
        }
        if causes.len() == before
            && let Err(error) = Columns::compile(std::slice::from_ref(column))
        {
            let rule = format!("is an invalid path: {}", error.message);
            causes.push(invalid_text(&field("jsonPath"), text("jsonPath"), &rule));
        }
    }
    causes
}
