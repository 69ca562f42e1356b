//! Errors of manifests, for logs (one line) and for terminals (with the line).

use std::cmp::Ordering;
use std::fmt;

use super::Position;

/// Something wrong in one manifest.
///
/// `Display` is one line, `shop/production.yaml:12:7: message`;
/// [`ManifestError::render`] adds the line of the file and a caret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError {
    /// Path of the file, relative to the folder that was read.
    pub file: String,
    /// Where in the file, unless the error is about the file as a whole.
    pub position: Option<Position>,
    /// Which document of the file, from 0.
    pub document: Option<usize>,
    /// What is wrong and what to do about it. Holds no content of the file but
    /// names of keys.
    pub message: String,
    /// What kind of mistake it is.
    pub fault: Fault,
    /// The line of the file. None where it could hold a secret or is too long.
    pub(super) excerpt: Option<String>,
}

/// What kind of mistake an error is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// What is written.
    #[default]
    Manifest,
    /// A sealed file that can't be opened: it is sealed to others, or in a way that
    /// isn't known.
    Sealed,
    /// A sealed file that was changed after it was sealed.
    Tampered,
}

/// Longer lines are not shown: a caret below them helps nobody.
const EXCERPT_CHARACTERS: usize = 240;

impl ManifestError {
    /// An error about a whole file.
    pub fn of_file(file: impl Into<String>, message: impl Into<String>) -> Self {
        ManifestError {
            file: file.into(),
            position: None,
            document: None,
            message: message.into(),
            fault: Fault::Manifest,
            excerpt: None,
        }
    }

    /// Attaches the line of `text` that the error points at.
    pub(super) fn with_excerpt(mut self, text: &str) -> Self {
        self.excerpt = self
            .position
            .and_then(|position| text.lines().nth(position.line.checked_sub(1)? as usize))
            .filter(|line| line.chars().count() <= EXCERPT_CHARACTERS)
            .filter(|line| !line.trim().is_empty())
            .map(str::to_owned);
        self
    }

    /// The error over several lines, with the line of the file and a caret below
    /// its column, for a terminal. Control characters of the line are not passed on.
    pub fn render(&self) -> String {
        let Some(position) = self.position else {
            return format!("error: {}\n --> {}\n", self.message, self.file);
        };
        let number = position.line.to_string();
        let margin = " ".repeat(number.len());
        let head = format!("error: {}\n{margin}--> {}:{position}\n", self.message, self.file);
        let Some(excerpt) = &self.excerpt else {
            return head;
        };
        // Each character becomes exactly one column, so that the caret fits.
        let line: String = excerpt
            .chars()
            .map(|character| match character {
                '\t' => ' ',
                control if control.is_control() => '\u{fffd}',
                other => other,
            })
            .collect();
        let indent = " ".repeat(position.column.saturating_sub(1) as usize);
        format!("{head}{margin} |\n{number} | {}\n{margin} | {indent}^\n", line.trim_end())
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(position) => write!(f, "{}:{position}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

impl std::error::Error for ManifestError {}

impl PartialOrd for ManifestError {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By file, then by place, as a person works through them.
impl Ord for ManifestError {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |error: &Self| (error.position, error.document);
        self.file
            .cmp(&other.file)
            .then_with(|| key(self).cmp(&key(other)))
            .then_with(|| self.message.cmp(&other.message))
            .then_with(|| self.excerpt.cmp(&other.excerpt))
    }
}
