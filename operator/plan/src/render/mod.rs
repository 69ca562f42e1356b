//! Plans for people and programs. Secrets are fingerprints in every form: a
//! plan holds nothing else that could be shown.

mod line;
mod text;
mod words;

pub use line::{line, lines, waiting_line};
pub use text::text;
pub use words::{advice, cause, change, reason};

use crate::plan::Plan;

/// The whole plan as indented JSON.
///
/// # Errors
/// None that plain data can cause.
pub fn json(plan: &Plan) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(plan)
}
