//! What is wrong and what is odd, gathered until everything has been looked at.

use super::{SpecError, SpecErrorKind};
use crate::lint::Lint;

/// Errors and lints of one environment.
#[derive(Debug, Default)]
pub(super) struct Findings {
    errors: Vec<SpecError>,
    lints: Vec<Lint>,
}

impl Findings {
    /// The spec itself is wrong.
    pub(super) fn invalid(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.error(SpecErrorKind::Invalid, field, message);
    }

    pub(super) fn error(
        &mut self,
        kind: SpecErrorKind,
        field: impl Into<String>,
        message: impl Into<String>,
    ) {
        self.errors.push(SpecError { kind, field: field.into(), message: message.into() });
    }

    pub(super) fn lint(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.lints.push(Lint { field: field.into(), message: message.into() });
    }

    /// The lints, or every error: sorted, and once each, as a mistake in what
    /// all services share is found once a service.
    pub(super) fn into_lints(mut self) -> Result<Vec<Lint>, Vec<SpecError>> {
        if self.errors.is_empty() {
            self.lints.sort();
            self.lints.dedup();
            return Ok(self.lints);
        }
        self.errors.sort_by(|a, b| (&a.field, a).cmp(&(&b.field, b)));
        self.errors.dedup();
        Err(self.errors)
    }
}
