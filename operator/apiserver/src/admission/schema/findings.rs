//! What a validation found so far, and how far it may go on.

use crate::admission::{Cause, CauseReason};

/// Nobody reads more mistakes of one object; a hostile object has millions.
pub(crate) const MAX_CAUSES: usize = 100;

/// How many values may be compared with parts of a schema. An object of the
/// largest size needs a tenth of it with the schemas that people write; a list
/// in which every item is tried against hundreds of alternatives could keep a
/// processor busy for minutes.
const MAX_STEPS: usize = 2_000_000;

/// Longer values are cut off where a message repeats them.
const MAX_SHOWN: usize = 1024;

/// Mistakes, and the steps that were made to find them.
#[derive(Debug, Default)]
pub(super) struct Findings {
    causes: Vec<Cause>,
    steps: usize,
}

impl Findings {
    /// Adds a mistake.
    pub(super) fn push(&mut self, cause: Cause) {
        if self.causes.len() < MAX_CAUSES {
            self.causes.push(cause);
        }
    }

    /// Whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.causes.is_empty()
    }

    /// How many mistakes were found.
    pub(super) fn len(&self) -> usize {
        self.causes.len()
    }

    /// Counts so many comparisons. `false` when it is time to stop.
    pub(super) fn step(&mut self, count: usize) -> bool {
        self.steps = self.steps.saturating_add(count);
        self.steps <= MAX_STEPS && self.causes.len() < MAX_CAUSES
    }

    /// What `check` finds, apart from the rest; its steps count here too.
    pub(super) fn apart(&mut self, check: impl FnOnce(&mut Self)) -> Self {
        let mut branch = Self { causes: Vec::new(), steps: self.steps };
        check(&mut branch);
        self.steps = branch.steps;
        branch
    }

    /// Adds what was found apart.
    pub(super) fn extend(&mut self, branch: Self) {
        branch.causes.into_iter().for_each(|cause| self.push(cause));
    }

    /// All that was found, and whether that is all there is to find.
    pub(super) fn into_causes(self) -> Vec<Cause> {
        let mut causes = self.causes;
        if self.steps > MAX_STEPS {
            causes.push(Cause::new(
                "",
                CauseReason::FieldValueTooMany,
                "Too many: the object has more values than can be checked against its schema; \
                 make its lists shorter",
            ));
        } else if causes.len() >= MAX_CAUSES {
            causes.push(Cause::new(
                "",
                CauseReason::FieldValueInvalid,
                format!("Invalid value: null: only the first {MAX_CAUSES} mistakes are shown"),
            ));
        }
        causes
    }
}

/// A text as messages repeat it.
pub(crate) fn shown(text: String) -> String {
    if text.len() <= MAX_SHOWN {
        return text;
    }
    let mut short = text;
    short.truncate(short.floor_char_boundary(MAX_SHOWN));
    short.push('…');
    short
}
