//! Takes known secret values out of text.
//!
//! ```text
//! values ─▶ forms (plain, base64, URL-encoded, JSON, by line) ─▶ Aho-Corasick automaton
//!                                                                     │
//! bytes ─▶ filter (most text is passed over) ─▶ automaton ─▶ spans ─▶ text with `***`
//! ```
//!
//! Invariants:
//! - every byte of every occurrence of a form is hidden, also where occurrences
//!   overlap or one value is a part of another;
//! - what comes out doesn't depend on where a stream is cut into pieces;
//! - line ends are never hidden, so lines stay where they are;
//! - a pass takes time that grows with the text alone, whatever the values are.

mod automaton;
mod filter;
mod form;
mod pattern;
mod redactor;
mod span;
mod stream;
mod value;

pub use redactor::{Redactor, WeakRedactor};
pub use stream::Stream;
pub use value::{MIN_CHARACTERS, is_too_short};

/// What stands in place of a value. Shorter than any value that is looked for, so
/// that it never is one itself.
pub const MARKER: &str = "***";
