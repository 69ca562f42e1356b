//! What validating webhooks would refuse beyond what RBAC and schemas say: rights that
//! are handed out through Hades's own kinds, and labels that decide over others'
//! objects.

mod abandon;
mod data;
mod grants;
mod ownership;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use hades_apiserver::{Cause, CauseReason, Validator};

/// All of them.
pub(crate) fn validators() -> Vec<Arc<dyn Validator>> {
    vec![
        Arc::new(grants::Grants),
        Arc::new(ownership::Ownership),
        Arc::new(data::Data),
        Arc::new(abandon::Abandon),
    ]
}

fn forbidden(field: impl Into<String>, why: &str) -> Cause {
    let field = field.into();
    let message = format!("{field}: Forbidden: {why}");
    Cause::new(field, CauseReason::FieldValueForbidden, message)
}
